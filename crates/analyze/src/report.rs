//! What every name of a routine, or of some SQL, means: for people and programs.

use std::sync::Arc;

use serde::Serialize;

use crate::body;
use crate::capture::{Judge, Situation, Verdict};
use crate::catalog::{Catalog, Expression, Oid, PG_CATALOG, Routine};
use crate::occurrence::{Kind, Lookup, Meaning, Occurrence};
use crate::path::Path;
use crate::text::{Lines, Position};
use crate::typing::{Typer, known};
use crate::walk::{Found, Surroundings};

/// The object that a name means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Its schema.
    pub schema: String,
    /// Its name, with the types of its arguments if it has any.
    pub name: String,
    /// Its OID.
    pub oid: Oid,
}

/// Writes an object that others have, too.
#[allow(clippy::ref_option, reason = "as it is called")]
fn shared<S: serde::Serializer>(object: &Option<Arc<Object>>, to: S) -> Result<S::Ok, S::Error> {
    object.as_deref().serialize(to)
}

/// One name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name {
    /// Where it stands in the body.
    #[serde(flatten)]
    pub position: Position,
    /// Its bytes in the body.
    pub span: std::ops::Range<usize>,
    /// What kind of thing it names.
    pub kind: Kind,
    /// As written.
    pub name: String,
    /// The construct that looks it up, if it is not written.
    pub implied_by: Option<&'static str>,
    /// The object, if it is one.
    #[serde(serialize_with = "shared")]
    pub object: Option<Arc<Object>>,
    /// What it means, in words; empty for an object that nobody can capture, if nothing was to be explained.
    pub meaning: String,
    /// Why that one; empty if it was not asked for.
    pub why: String,
    /// When it is bound.
    pub binds: &'static str,
    /// Who could capture it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Something that was not looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Where.
    #[serde(flatten)]
    pub position: Position,
    /// Its bytes in the body.
    pub span: std::ops::Range<usize>,
    /// Why.
    pub reason: String,
}

/// All names of one subject under one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The routine, or `SQL`.
    pub subject: String,
    /// How it runs.
    pub runs: String,
    /// The setting of the path.
    pub search_path: String,
    /// The schemas in the order in which they are searched.
    pub searched: Vec<String>,
    /// Listed, but not there.
    pub missing: Vec<String>,
    /// Listed and there, but not searched for want of USAGE.
    pub skipped: Vec<String>,
    /// The names, in order.
    pub names: Vec<Name>,
    /// What was not looked into.
    pub gaps: Vec<Gap>,
}

/// What was asked for cannot be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There is no such routine.
    #[error("there is no function or procedure {0}")]
    None(String),
    /// There are several.
    #[error("{asked} is not unique: {}", found.join(", "))]
    Several {
        /// As asked for.
        asked: String,
        /// Those that there are.
        found: Vec<String>,
    },
}

/// The routine that a text such as `s1.f(int, text)`, `s1.f()` or `s1.f` names.
pub fn find<'c>(catalog: &'c Catalog, text: &str) -> Result<&'c Routine, NotFound> {
    let (names, args) = match text.split_once('(') {
        Some((names, args)) => (names, Some(args.trim_end().trim_end_matches(')'))),
        None => (text, None),
    };
    let parts = crate::walk::dotted(names).ok_or_else(|| NotFound::None(text.to_owned()))?;
    let path = Path::new(catalog, &catalog.snapshot.search_path, &catalog.snapshot.user);
    let schemas: Vec<Oid> = match parts.as_slice() {
        [schema, _] => catalog.schema(schema).map(|found| found.oid).into_iter().collect(),
        _ => path.schemas().collect(),
    };
    let name = parts.last().map_or("", String::as_str);
    let mut found: Vec<&Routine> =
        catalog.routines_named(name).filter(|routine| schemas.contains(&routine.schema)).collect();
    if let Some(args) = args {
        let wanted = types(catalog, &path, args);
        found.retain(|routine| wanted.as_ref() == Some(&routine.args));
    }
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(NotFound::None(text.to_owned())),
        several => Err(NotFound::Several {
            asked: text.to_owned(),
            found: several.iter().map(|routine| catalog.signature(routine)).collect(),
        }),
    }
}

/// The types of a list such as `int, text`.
fn types(catalog: &Catalog, path: &Path, list: &str) -> Option<Vec<Oid>> {
    if list.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut casts = Vec::new();
    let mut depth = 0_i32;
    let mut start = 0;
    for (at, character) in list.char_indices().chain([(list.len(), ',')]) {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                casts.push(format!("NULL::{}", &list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    let sql = format!("SELECT {}", casts.join(", "));
    let tokens = crate::parse::tokens(&sql).ok()?;
    let statements = crate::parse::parse(&sql, crate::parse::As::Statements).ok()?;
    let around = Surroundings::default();
    let mut walker = crate::walk::Walker::new(Typer::new(catalog, path), &sql, &tokens, &around);
    let columns = walker.statement(&statements.first()?.1)?;
    Some(columns.into_iter().map(|(_, oid)| oid).collect())
}

/// The `search_path` that a routine sets for itself.
pub fn own_path(routine: &Routine) -> Option<&str> {
    routine.config.iter().find_map(|setting| setting.strip_prefix("search_path="))
}

/// The path of a connection of a role: what was set for it, or for the database, or what the server starts with.
pub fn session_path(catalog: &Catalog, role: Oid) -> &str {
    let of = |wanted: Oid| {
        let mut settings = catalog.snapshot.settings.iter().rev();
        settings
            .find_map(|(role, setting)| (*role == wanted).then(|| setting.strip_prefix("search_path="))?)
    };
    of(role).or_else(|| of(0)).unwrap_or("\"$user\", public")
}

/// Under which path and in which situation a routine runs.
pub fn situation(
    catalog: &Catalog,
    routine: &Routine,
    setting: Option<&str>,
    role: Option<&str>,
) -> (Path, Situation) {
    let own = own_path(routine);
    let caller = role
        .and_then(|name| catalog.role(name))
        .map_or_else(|| catalog.role(&catalog.snapshot.user).map_or(0, |role| role.oid), |role| role.oid);
    let user = if routine.definer { routine.owner } else { caller };
    let name = catalog.role_of(user).map_or("", |role| role.name.as_str());
    let chosen = setting.or(own).unwrap_or_else(|| session_path(catalog, caller));
    let situation = Situation {
        victim: routine.owner,
        callers_connection: routine.definer,
        callers_path: routine.definer && own.is_none() && setting.is_none(),
    };
    (Path::new(catalog, chosen, name), situation)
}

/// All names of a routine; under another path or role than its own, if they are given.
pub fn routine(catalog: &Catalog, routine: &Routine, setting: Option<&str>, role: Option<&str>) -> Report {
    examined(catalog, routine, setting, role, true)
}

/// The same under its own path, without saying why a name means what it means: that is most of the work where a name has many
/// overloads.
pub fn routine_briefly(catalog: &Catalog, routine: &Routine) -> Report {
    examined(catalog, routine, None, None, false)
}

fn examined(
    catalog: &Catalog,
    routine: &Routine,
    setting: Option<&str>,
    role: Option<&str>,
    explain: bool,
) -> Report {
    let (path, situation) = situation(catalog, routine, setting, role);
    let found = body::routine(catalog, &path, routine);
    let owner = catalog.role_of(routine.owner).map_or("", |role| role.name.as_str());
    let mut runs =
        if routine.definer { format!("as its owner {owner}") } else { "as whoever calls it".to_owned() };
    runs += match own_path(routine) {
        Some(_) => ", under its own search_path",
        None if routine.definer => ", under any search_path that the caller likes",
        None => ", under the search_path of whoever calls it",
    };
    if routine.atomic {
        runs += "; its body was bound when it was created";
    }
    let bind = |occurrence: &Occurrence| binds(routine, occurrence);
    build(catalog, &path, situation, catalog.signature(routine), runs, &routine.source, found, bind, explain)
}

/// All names of some SQL, as a role would run it.
pub fn sql(catalog: &Catalog, text: &str, setting: Option<&str>, role: Option<&str>) -> Report {
    let user = role.unwrap_or(&catalog.snapshot.user);
    let victim = catalog.role(user).map_or(0, |role| role.oid);
    let path = Path::new(catalog, setting.unwrap_or(&catalog.snapshot.search_path), user);
    let situation = Situation { victim, callers_connection: false, callers_path: false };
    let found = body::statements(catalog, &path, text, &Surroundings::default());
    let bind = |_: &Occurrence| "when the statement is analysed";
    build(catalog, &path, situation, "SQL".into(), format!("as {user}"), text, found, bind, true)
}

/// All names of a definition with expressions in it, as they were bound or will be; without saying why.
pub fn expression(catalog: &Catalog, expression: &Expression) -> Report {
    let owner = catalog.role_of(expression.owner).map_or("", |role| role.name.as_str());
    let path = Path::new(catalog, &expression.search_path, owner);
    let situation = Situation { victim: expression.owner, callers_connection: false, callers_path: false };
    let found = match &expression.found {
        Some(found) => found.clone(),
        None => body::statements(catalog, &path, &expression.source, &Surroundings::default()),
    };
    let runs = match expression.kind.as_str() {
        "do" | "statement" | "header" => "once, when it is run",
        _ => "whenever it is used; its names were bound when it was made",
    };
    let bind = |_: &Occurrence| "when the definition is made";
    build(
        catalog,
        &path,
        situation,
        expression.by.clone(),
        runs.into(),
        &expression.source,
        found,
        bind,
        false,
    )
}

#[allow(clippy::too_many_arguments, reason = "the callers above are all there are")]
fn build(
    catalog: &Catalog,
    path: &Path,
    situation: Situation,
    subject: String,
    runs: String,
    text: &str,
    found: Found,
    binds: impl Fn(&Occurrence) -> &'static str,
    explain: bool,
) -> Report {
    let judge = Judge::new(catalog, path, situation);
    let lines = Lines::new(text);
    let names = found
        .occurrences
        .iter()
        .map(|occurrence| {
            let object = object(catalog, occurrence);
            let verdict = judge.judge(occurrence);
            let told = explain || object.is_none() || verdict != Verdict::Safe;
            Name {
                position: lines.position(occurrence.span.start),
                span: occurrence.span.clone(),
                kind: occurrence.kind(),
                name: occurrence.written(),
                implied_by: occurrence.implied_by,
                meaning: if told { meaning(occurrence, object.as_deref()) } else { String::new() },
                object,
                why: if explain { why(catalog, path, occurrence) } else { String::new() },
                binds: binds(occurrence),
                verdict,
            }
        })
        .collect();
    Report {
        subject,
        runs,
        search_path: path.setting.clone(),
        searched: path.names(catalog),
        missing: path.missing.iter().map(|(name, _)| name.clone()).collect(),
        skipped: path.skipped.clone(),
        names,
        gaps: found
            .gaps
            .into_iter()
            .map(|(span, reason)| Gap { position: lines.position(span.start), span, reason })
            .collect(),
    }
}

fn binds(routine: &Routine, occurrence: &Occurrence) -> &'static str {
    match routine.language.as_str() {
        _ if routine.atomic => "when the function was created",
        "plpgsql" if occurrence.kind() == Kind::Type => {
            "at the first call in a connection (in a declaration), or whenever the path has changed (in a statement)"
        }
        "plpgsql" => "at the first execution in a connection, and again whenever the path has changed",
        _ => "at every execution, or when the calling statement is planned if it is inlined",
    }
}

/// The object that a name means, described.
pub fn object(catalog: &Catalog, occurrence: &Occurrence) -> Option<Arc<Object>> {
    let (kind, oid) = (occurrence.kind(), occurrence.object()?);
    catalog.described(kind, oid, || describe(catalog, kind, oid))
}

fn describe(catalog: &Catalog, kind: Kind, oid: Oid) -> Option<Object> {
    let (schema, name) = match kind {
        Kind::Relation => catalog.relation_of(oid).map(|found| (found.schema, found.name.clone()))?,
        Kind::Type => catalog.type_of(oid).map(|found| (found.schema, found.name.clone()))?,
        Kind::Function => {
            let found = catalog.routine_of(oid)?;
            let args: Vec<String> = found.args.iter().map(|&oid| short(catalog, oid)).collect();
            (found.schema, format!("{}({})", found.name, args.join(", ")))
        }
        Kind::Operator => {
            let found = catalog.operator_of(oid)?;
            let left =
                if found.left == 0 { String::new() } else { format!("{}, ", short(catalog, found.left)) };
            (found.schema, format!("{}({left}{})", found.name, short(catalog, found.right)))
        }
        Kind::Collation => {
            let found = catalog.snapshot.collations.iter().find(|found| found.oid == oid)?;
            (found.schema, found.name.clone())
        }
    };
    Some(Object { schema: catalog.schema_name(schema), name, oid })
}

/// A type without the schema that everyone knows.
fn short(catalog: &Catalog, oid: Oid) -> String {
    if oid == known::UNKNOWN {
        return "a literal".into();
    }
    let name = catalog.type_name(oid);
    name.strip_prefix("pg_catalog.").map_or(name.clone(), str::to_owned)
}

fn meaning(occurrence: &Occurrence, object: Option<&Object>) -> String {
    match &occurrence.meaning {
        Meaning::Object(_) => match object {
            Some(object) => format!("{}.{}", object.schema, object.name),
            None => "an object that is not in the snapshot".into(),
        },
        Meaning::Local(what) => (*what).to_owned(),
        Meaning::Nothing => "nothing".into(),
        Meaning::Ambiguous => "several things, and nothing decides".into(),
        Meaning::Unknown(reason) => format!("unknown: {reason}"),
    }
}

fn why(catalog: &Catalog, path: &Path, occurrence: &Occurrence) -> String {
    if let Some(schema) = &occurrence.schema {
        return format!("schema {schema} is written");
    }
    let names = path.names(catalog);
    let hit = object(catalog, occurrence);
    match &occurrence.lookup {
        Lookup::Relation | Lookup::Type | Lookup::Collation => match hit {
            Some(hit) => {
                let before: Vec<&str> =
                    names.iter().map(String::as_str).take_while(|name| *name != hit.schema).collect();
                if before.is_empty() {
                    format!("{} is searched first", hit.schema)
                } else {
                    format!("{} is the first that has it; there is none in {}", hit.schema, before.join(", "))
                }
            }
            None => format!("searched {}", names.join(", ")),
        },
        Lookup::Call(call) => {
            let candidates: Vec<String> = catalog
                .routines_named(&call.name)
                .filter(|routine| {
                    routine.schema == PG_CATALOG || path.schemas().any(|schema| schema == routine.schema)
                })
                .map(|routine| {
                    let args: Vec<String> = routine.args.iter().map(|&oid| short(catalog, oid)).collect();
                    format!("{}({})", catalog.schema_name(routine.schema), args.join(", "))
                })
                .collect();
            let given: Vec<String> = call.args.iter().map(|&oid| short(catalog, oid)).collect();
            overloads(&given, &candidates)
        }
        Lookup::Binary(left, right) => {
            let given = [short(catalog, *left), short(catalog, *right)];
            overloads(&given, &operators(catalog, path, &occurrence.name))
        }
        Lookup::Prefix(operand) => {
            overloads(&[short(catalog, *operand)], &operators(catalog, path, &occurrence.name))
        }
        Lookup::Routine(_) => format!("searched {}", names.join(", ")),
    }
}

fn operators(catalog: &Catalog, path: &Path, name: &str) -> Vec<String> {
    catalog
        .operators_named(name)
        .filter(|operator| path.schemas().any(|schema| schema == operator.schema))
        .map(|operator| catalog.schema_name(operator.schema))
        .collect()
}

fn overloads(given: &[String], candidates: &[String]) -> String {
    let given = given.join(", ");
    match candidates {
        [] => format!("given ({given}); there is none of this name on the path"),
        [one] => format!("given ({given}); the only one of this name: {one}"),
        several if several.len() <= 8 => format!("given ({given}); the best of {}", several.join(", ")),
        several => format!("given ({given}); the best of {} of this name", several.len()),
    }
}

/// A table of names by column, each with what it means there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Subject and path of each column.
    pub columns: Vec<(String, String)>,
    /// Each name, as kind and text, and its objects: one for each column.
    pub rows: Vec<(Kind, String, Vec<String>)>,
}

/// What the names of several reports mean, side by side.
pub fn compare(reports: &[Report]) -> Comparison {
    let columns = reports.iter().map(|report| (report.subject.clone(), report.search_path.clone())).collect();
    // The schema of a name may be written in one and not in another.
    let bare = |name: &Name| name.name.rsplit('.').next().unwrap_or_default().to_owned();
    let mut keys: Vec<(Kind, String)> = Vec::new();
    for name in reports.iter().flat_map(|report| &report.names) {
        let key = (name.kind, bare(name));
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let rows = keys
        .into_iter()
        .map(|(kind, key)| {
            let cells = reports
                .iter()
                .map(|report| {
                    let mut cells: Vec<String> = Vec::new();
                    for name in report.names.iter().filter(|name| name.kind == kind && bare(name) == key) {
                        let cell = match &name.object {
                            Some(object) => format!("{}.{} {}", object.schema, object.name, object.oid),
                            None => name.meaning.clone(),
                        };
                        if !cells.contains(&cell) {
                            cells.push(cell);
                        }
                    }
                    cells.join(", ")
                })
                .collect();
            (kind, key, cells)
        })
        .collect();
    Comparison { columns, rows }
}
