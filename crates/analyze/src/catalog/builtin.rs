//! What every database has: the names of `pg_catalog` and `information_schema`, for those who have no server to ask.
//!
//! `builtin.txt` has one object on each line: for which versions of PostgreSQL, what kind, and its columns as JSON. It is made
//! by asking a server of each version, never by hand:
//! `BLESS=1 cargo test -p postern-analyze --test oracle builtin`. The same test, without `BLESS`, compares it with the server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cast, Collation, Oid, Operator, PG_CATALOG, Relation, Role, Routine, Schema, Snapshot, Type};

/// The first OID that is given to what users make.
pub const FIRST_OF_USERS: Oid = 16_384;
/// The role that `initdb` makes.
pub const BOOTSTRAP: Oid = 10;

const TEXT: &str = include_str!("builtin.txt");

/// The major versions of which the names are known, oldest first.
pub fn versions() -> Vec<u32> {
    majors(TEXT)
}

fn majors(text: &str) -> Vec<u32> {
    let head = text.lines().next().unwrap_or_default();
    head.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// What a new database of a major version has; of the nearest version if that one is not known.
pub fn snapshot(major: u32) -> Snapshot {
    // An editor asks with every key.
    static READ: Mutex<BTreeMap<u32, Snapshot>> = Mutex::new(BTreeMap::new());
    let known = versions();
    let nearest = known.iter().enumerate().min_by_key(|(_, known)| known.abs_diff(major));
    let bit = nearest.map_or(0, |(at, _)| 1_u32 << at);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let snapshot = read.entry(bit).or_insert_with(|| of(bit)).clone();
    Snapshot { version: major * 10_000, ..snapshot }
}

/// The lines of one version.
fn of(bit: u32) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for line in TEXT.lines().skip(1) {
        let mut words = line.splitn(3, ' ');
        let (Some(mask), Some(kind), Some(columns)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if mask.parse::<u32>().is_ok_and(|mask| mask & bit != 0) {
            // A line that cannot be read is a mistake in the file, which the test finds.
            let _ = read(&mut snapshot, kind, columns);
        }
    }
    snapshot
}

/// The columns of a routine. Most have no more than their types: what is left out at the end is empty.
#[derive(Deserialize)]
struct Columns(
    Oid,
    String,
    Oid,
    char,
    Vec<Oid>,
    usize,
    Oid,
    Oid,
    bool,
    char,
    bool,
    #[serde(default)] Vec<Oid>,
    #[serde(default)] String,
    #[serde(default)] Vec<String>,
);

#[allow(clippy::too_many_lines, reason = "one arm for each kind of object, each with its columns")]
fn read(snapshot: &mut Snapshot, kind: &str, columns: &str) -> Option<()> {
    let owner = BOOTSTRAP;
    match kind {
        "n" => {
            let (oid, name, grants) = serde_json::from_str(columns).ok()?;
            snapshot.schemas.push(Schema { oid, name, owner, grants });
        }
        "t" => {
            let (
                oid,
                name,
                schema,
                kind,
                category,
                preferred,
                element,
                array,
                relation,
                base,
                subtype,
                partner,
            ) = serde_json::from_str(columns).ok()?;
            snapshot.types.push(Type {
                oid,
                name,
                schema,
                owner,
                kind,
                category,
                preferred,
                element,
                array,
                relation,
                base,
                subtype,
                partner,
            });
        }
        "r" => {
            let (oid, name, schema, kind, row_type, columns) = serde_json::from_str(columns).ok()?;
            snapshot.relations.push(Relation {
                oid,
                name,
                schema,
                owner,
                kind,
                row_type,
                row_security: false,
                options: Vec::new(),
                columns,
            });
        }
        "f" => {
            let Columns(
                oid,
                name,
                schema,
                kind,
                args,
                defaults,
                variadic,
                returns,
                set,
                volatility,
                strict,
                all_args,
                modes,
                names,
            ) = serde_json::from_str(columns).ok()?;
            snapshot.routines.push(Routine {
                oid,
                name,
                schema,
                owner,
                kind,
                args,
                defaults,
                variadic,
                all_args,
                modes: modes.chars().collect(),
                names,
                returns,
                set,
                language: "internal".into(),
                definer: false,
                volatility,
                strict,
                config: Vec::new(),
                source: String::new(),
                atomic: false,
                executors: Vec::new(),
                extension: 0,
            });
        }
        "o" => {
            let (oid, name, left, right, result, function) = serde_json::from_str(columns).ok()?;
            snapshot.operators.push(Operator {
                oid,
                name,
                schema: PG_CATALOG,
                owner,
                left,
                right,
                result,
                function,
            });
        }
        "c" => {
            let (source, target, context, binary) = serde_json::from_str(columns).ok()?;
            snapshot.casts.push(Cast { source, target, context, binary });
        }
        "l" => {
            let (oid, name) = serde_json::from_str(columns).ok()?;
            snapshot.collations.push(Collation { oid, name, schema: PG_CATALOG, owner });
        }
        "u" => {
            let (oid, name, member_of) = serde_json::from_str(columns).ok()?;
            let role = Role { oid, name, superuser: false, createrole: false, login: false, member_of };
            snapshot.roles.push(role);
        }
        _ => return None,
    }
    Some(())
}

/// The lines of a new database, as they are written for its version.
pub fn lines(snapshot: &Snapshot) -> BTreeSet<String> {
    let system = |schema: Oid| {
        snapshot.schemas.iter().any(|found| {
            found.oid == schema && (found.oid == PG_CATALOG || found.name == "information_schema")
        })
    };
    let mut lines = BTreeSet::new();
    let mut put = |kind: &str, columns: Value| lines.insert(format!("{kind} {columns}"));
    for s in snapshot.schemas.iter().filter(|s| system(s.oid)) {
        put("n", json!([s.oid, s.name, s.grants]));
    }
    for t in snapshot.types.iter().filter(|t| system(t.schema)) {
        put(
            "t",
            json!([
                t.oid,
                t.name,
                t.schema,
                t.kind,
                t.category,
                t.preferred,
                t.element,
                t.array,
                t.relation,
                t.base,
                t.subtype,
                t.partner
            ]),
        );
    }
    for r in snapshot.relations.iter().filter(|r| system(r.schema) && r.kind != 'i') {
        put("r", json!([r.oid, r.name, r.schema, r.kind, r.row_type, r.columns]));
    }
    for f in snapshot.routines.iter().filter(|f| system(f.schema)) {
        let mut columns = vec![
            json!(f.oid),
            json!(f.name),
            json!(f.schema),
            json!(f.kind),
            json!(f.args),
            json!(f.defaults),
            json!(f.variadic),
            json!(f.returns),
            json!(f.set),
            json!(f.volatility),
            json!(f.strict),
        ];
        if !f.names.is_empty() || !f.modes.is_empty() {
            columns.extend([json!(f.all_args), json!(f.modes.iter().collect::<String>()), json!(f.names)]);
        }
        put("f", columns.into());
    }
    for o in snapshot.operators.iter().filter(|o| system(o.schema)) {
        put("o", json!([o.oid, o.name, o.left, o.right, o.result, o.function]));
    }
    for c in snapshot.casts.iter().filter(|c| c.source < FIRST_OF_USERS && c.target < FIRST_OF_USERS) {
        put("c", json!([c.source, c.target, c.context, c.binary]));
    }
    // The others are those of the operating system.
    for c in snapshot.collations.iter().filter(|c| c.schema == PG_CATALOG && c.oid < 10_000) {
        put("l", json!([c.oid, c.name]));
    }
    for u in snapshot.roles.iter().filter(|u| u.name.starts_with("pg_")) {
        put("u", json!([u.oid, u.name, u.member_of]));
    }
    lines
}

/// The file with the lines of one version renewed.
pub fn renewed(file: &str, major: u32, lines: &BTreeSet<String>) -> String {
    let mut all: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let known = majors(file);
    for line in file.lines().skip(1) {
        let Some((mask, rest)) = line.split_once(' ') else { continue };
        let mask: u32 = mask.parse().unwrap_or(0);
        let of = known.iter().enumerate().filter(|(at, _)| mask & 1 << at != 0).map(|(_, major)| *major);
        all.entry(rest.to_owned()).or_default().extend(of.filter(|other| *other != major));
    }
    for line in lines {
        all.entry(line.clone()).or_default().insert(major);
    }
    let versions: BTreeSet<u32> = all.values().flatten().copied().collect();
    let mut out = versions.iter().map(u32::to_string).collect::<Vec<_>>().join(" ") + "\n";
    for (line, of) in all.into_iter().filter(|(_, of)| !of.is_empty()) {
        let bits = versions.iter().enumerate().filter(|(_, major)| of.contains(major));
        let mask = bits.fold(0_u32, |mask, (at, _)| mask | 1 << at);
        let _ = writeln!(out, "{mask} {line}");
    }
    out
}
