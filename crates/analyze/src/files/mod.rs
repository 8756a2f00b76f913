//! SQL files without a server: what is there after all of them have run, in order.
//!
//! [`replay()`] goes through the statements and keeps a [`Catalog`], as a server would: built-in names to begin with, or the
//! snapshot of a database. What it ends with is the same model that [`load`](crate::catalog::load) reads of a server, so that
//! the same rules judge both. [`Project`] adds where each thing stands in which file.
//!
//! **Invariants**
//! * The last definition counts: what a later statement replaces, drops or alters is not judged as it was.
//! * No file and no statement stops the others: what cannot be read is a finding.
//! * Nothing is executed. `IF` in a `DO` block is not decided: what stands there is assumed to run.

mod batch;
mod bound;
mod judge;
mod mend;
mod objects;
mod problems;
mod replay;
mod replication;
mod rights;
mod routines;
mod split;
mod stored;
mod tables;

use std::collections::HashMap;
use std::ops::Range;

use crate::catalog::{Catalog, Oid, Role, Schema, Snapshot, builtin};
use crate::text::Places;

pub use judge::check;
pub use mend::{Mended, mend};
pub use problems::Problem;
pub use replay::replay;

/// The role that runs the files if nothing else is said.
pub const RUNNER: &str = "postgres";
/// Stands for every role that the files do not name.
pub const ANYONE: &str = "any role";
const ANYONE_OID: Oid = builtin::FIRST_OF_USERS - 1;
const PUBLIC_SCHEMA: Oid = 2200;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, as it is to be said.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The byte at which it was not UTF-8, if it was not. There is a question mark for each such byte.
    pub damaged: Option<usize>,
}

impl Source {
    /// A file of these bytes.
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let name = name.into();
        match String::from_utf8(bytes) {
            Ok(text) => Self { name, text, damaged: None },
            Err(error) => {
                let damaged = error.utf8_error().valid_up_to();
                let mut text = String::new();
                for chunk in error.as_bytes().utf8_chunks() {
                    text.push_str(chunk.valid());
                    text.extend(std::iter::repeat_n('?', chunk.invalid().len()));
                }
                Self { name, text, damaged: Some(damaged) }
            }
        }
    }
}

/// Where something that exists after the last statement was defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which file.
    pub file: usize,
    /// Its statement.
    pub statement: Range<usize>,
    /// Its name in that statement.
    pub name: Range<usize>,
    /// Where the bytes of the code that was analysed stand in the file.
    pub code: Option<Places>,
    /// The path that was in force there.
    pub search_path: String,
    /// Of a routine: the statements that altered it later, as (file, statement).
    pub altered: Vec<(usize, Range<usize>)>,
    /// Of a routine: where the value of its own path stands, as (file, bytes), if a later statement set it.
    pub path_set_at: Option<(usize, Range<usize>)>,
    /// Of a routine: a later statement has taken its path away.
    pub path_reset: bool,
}

/// Files, and what there is after them.
#[derive(Debug)]
pub struct Project {
    /// The files, in order.
    pub sources: Vec<Source>,
    /// What there is.
    pub catalog: Catalog,
    /// Where it is from.
    pub origins: HashMap<Oid, Origin>,
    /// Statements that define what was replaced or dropped later.
    pub superseded: Vec<(usize, Range<usize>)>,
    /// Of a publication, by its name: where it is said what it has.
    pub publications: HashMap<String, Origin>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A new database of a major version, in which a role is to run files. The role is a superuser if it is [`RUNNER`].
pub fn empty(major: u32, runner: &str) -> Snapshot {
    let mut snapshot = builtin::snapshot(major);
    let role = |oid, name: &str, superuser| Role {
        oid,
        name: name.into(),
        superuser,
        createrole: superuser,
        login: true,
        member_of: Vec::new(),
    };
    snapshot.roles.push(role(builtin::BOOTSTRAP, RUNNER, true));
    snapshot.roles.push(role(ANYONE_OID, ANYONE, false));
    let owners = snapshot.roles.iter().find(|role| role.name == "pg_database_owner").map(|role| role.oid);
    let mut grants = vec![(0, "USAGE".to_owned())];
    if major < 15 {
        grants.push((0, "CREATE".to_owned()));
    }
    snapshot.schemas.push(Schema {
        oid: PUBLIC_SCHEMA,
        name: "public".into(),
        owner: owners.filter(|_| major >= 15).unwrap_or(builtin::BOOTSTRAP),
        grants,
    });
    snapshot.database_owner = builtin::BOOTSTRAP;
    if runner != RUNNER {
        // It owns the database, as those who run migrations do.
        snapshot.roles.push(role(builtin::FIRST_OF_USERS, runner, false));
        snapshot.database_owner = builtin::FIRST_OF_USERS;
    }
    snapshot.database = "files".into();
    snapshot.database_grants = vec![(0, "TEMPORARY".into()), (0, "CONNECT".into())];
    snapshot.user = runner.into();
    snapshot.search_path = "\"$user\", public".into();
    snapshot
}
