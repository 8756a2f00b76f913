//! The server's rules for types: what can be coerced, which overload is chosen, which type an expression has.
//!
//! [`Typer`] is a catalog seen through a path. `coerce` says what can become what, `function` and `operator` choose between
//! candidates, `generic` is about polymorphic types. The rules are those of PostgreSQL's `parse_coerce.c`, `parse_func.c`,
//! `parse_oper.c` and `namespace.c`.
//!
//! **Invariants**
//! * [`OPAQUE`] is the type of what cannot be known. Nothing is decided by it: where it could matter the answer is
//!   [`Choice::Unknown`].
//! * A planted object ([`Typer::with_routine`], [`Typer::with_operator`]) is a candidate like any other: what the rules say
//!   with it in place is what an attack would do.

mod coerce;
mod function;
mod generic;
mod operator;

use crate::catalog::{Catalog, Oid, Operator, Routine};
use crate::path::{Path, Place};

pub use function::Call;

/// The type of what cannot be known.
pub const OPAQUE: Oid = 0;

/// OIDs that the server's grammar and rules know by number.
#[allow(missing_docs, reason = "their names say it")]
pub mod known {
    use crate::catalog::Oid;

    pub const BOOL: Oid = 16;
    pub const BYTEA: Oid = 17;
    pub const NAME: Oid = 19;
    pub const INT8: Oid = 20;
    pub const INT2: Oid = 21;
    pub const INT2VECTOR: Oid = 22;
    pub const INT4: Oid = 23;
    pub const TEXT: Oid = 25;
    pub const OID: Oid = 26;
    pub const OIDVECTOR: Oid = 30;
    pub const JSON: Oid = 114;
    pub const XML: Oid = 142;
    pub const FLOAT8: Oid = 701;
    pub const UNKNOWN: Oid = 705;
    pub const BPCHAR: Oid = 1042;
    pub const VARCHAR: Oid = 1043;
    pub const DATE: Oid = 1082;
    pub const TIME: Oid = 1083;
    pub const TIMESTAMP: Oid = 1114;
    pub const TIMESTAMPTZ: Oid = 1184;
    pub const INTERVAL: Oid = 1186;
    pub const TIMETZ: Oid = 1266;
    pub const BIT: Oid = 1560;
    pub const NUMERIC: Oid = 1700;
    pub const REFCURSOR: Oid = 1790;
    pub const REGCLASS: Oid = 2205;
    pub const RECORD: Oid = 2249;
    pub const ANY: Oid = 2276;
    pub const ANYARRAY: Oid = 2277;
    pub const VOID: Oid = 2278;
    pub const TRIGGER: Oid = 2279;
    pub const ANYELEMENT: Oid = 2283;
    pub const RECORD_ARRAY: Oid = 2287;
    pub const ANYNONARRAY: Oid = 2776;
    pub const ANYENUM: Oid = 3500;
    pub const JSONB: Oid = 3802;
    pub const ANYRANGE: Oid = 3831;
    pub const ANYMULTIRANGE: Oid = 4537;
    pub const ANYCOMPATIBLEMULTIRANGE: Oid = 4538;
    pub const ANYCOMPATIBLE: Oid = 5077;
    pub const ANYCOMPATIBLEARRAY: Oid = 5078;
    pub const ANYCOMPATIBLENONARRAY: Oid = 5079;
    pub const ANYCOMPATIBLERANGE: Oid = 5080;
}

/// What the rules choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This object.
    Found(Oid),
    /// Not a function: a cast to this type, written as a call.
    Coercion(Oid),
    /// Nothing: the server refuses.
    None,
    /// More than one: the server refuses.
    Ambiguous,
    /// It depends on what is not known.
    Unknown,
}

/// One thing to choose, with the arguments it would take in this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The object; 0 stands for several that nothing decides between.
    pub oid: Oid,
    /// The types of the arguments, VARIADIC spread and defaults added.
    pub args: Vec<Oid>,
    /// How many of the arguments are defaults.
    defaulted: usize,
    /// Is VARIADIC spread?
    variadic: bool,
    /// Where on the path.
    position: usize,
}

/// A catalog seen through a path.
#[derive(Debug, Clone, Copy)]
pub struct Typer<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    /// The path.
    pub path: &'a Path,
    routine: Option<&'a Routine>,
    operator: Option<&'a Operator>,
}

impl<'a> Typer<'a> {
    /// A catalog as it is.
    pub fn new(catalog: &'a Catalog, path: &'a Path) -> Self {
        Self { catalog, path, routine: None, operator: None }
    }

    /// With a routine that is not there.
    #[must_use]
    pub fn with_routine(self, routine: &'a Routine) -> Self {
        Self { routine: Some(routine), ..self }
    }

    /// With an operator that is not there.
    #[must_use]
    pub fn with_operator(self, operator: &'a Operator) -> Self {
        Self { operator: Some(operator), ..self }
    }

    /// A routine, planted or not.
    pub fn routine(&self, oid: Oid) -> Option<&'a Routine> {
        self.routine.filter(|planted| planted.oid == oid).or_else(|| self.catalog.routine_of(oid))
    }

    /// Where a schema is searched: at the qualifier, or on the path. The temporary schema never counts here.
    fn position(&self, only: Option<Oid>, schema: Oid) -> Option<usize> {
        match only {
            Some(only) => (only == schema).then_some(0),
            None => self.path.position(Place::Schema(schema)),
        }
    }
}
