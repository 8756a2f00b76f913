//! Who could make a name mean something else.
//!
//! The answer is found as an attack would find it: the best object that a lesser role can make is planted in the copy of the
//! catalogs, and the name is looked up again. If it means the planted object, it is capturable, and the DDL that makes the
//! object is the proof.
//!
//! **Invariants**
//! * A *capturable* verdict names a role that holds the rights now, and DDL that this role can run.
//! * What could not be decided is [`Verdict::Unknown`], never [`Verdict::Safe`].

use std::sync::Arc;

use serde::Serialize;

use crate::catalog::{Catalog, Names, Oid, Operator, PG_CATALOG, Routine, Schema};
use crate::occurrence::{Kind, Lookup, Meaning, Occurrence, REPATHED, look_up};
use crate::path::{Path, Place};
use crate::text::quote;
use crate::typing::{Call, OPAQUE, Typer, known};

/// An OID that no object has: that of what is planted.
const PLANTED: Oid = Oid::MAX;

/// Whose rights are at stake, and who chooses the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Situation {
    /// The role with whose rights the name is used.
    pub victim: Oid,
    /// Does it run in the connection of whoever calls? Then temporary objects are the caller's.
    pub callers_connection: bool,
    /// Is the path the caller's?
    pub callers_path: bool,
}

/// A way to capture a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capture {
    /// Who could do it; a right that is missing for *if granted*.
    pub role: String,
    /// Where.
    pub schema: String,
    /// The SQL that does it, run as the role.
    pub ddl: String,
    /// The path that the caller sets, if the caller's path is what it needs.
    pub search_path: Option<String>,
}

impl Capture {
    /// The SQL that proves it: what the role runs, and the path that the caller then has.
    pub fn proof(&self) -> String {
        let path = self.search_path.as_ref();
        let path = path.map_or_else(String::new, |path| format!("\nSET search_path = {path};"));
        format!("{};{path}", self.ddl)
    }
}

/// What can happen to a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// An object of an untrusted role stands before a trusted one.
    Captured {
        /// Who owns it.
        owner: String,
    },
    /// Somebody can capture it with the rights held now.
    Capturable(Capture),
    /// It would be capturable if a right were granted that nobody untrusted holds.
    IfGranted(Capture),
    /// Nobody can.
    Safe,
    /// Not decided, and why.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// Judges names against a catalog, for one path and situation.
#[derive(Debug)]
pub struct Judge<'a> {
    catalog: &'a Catalog,
    path: &'a Path,
    situation: Situation,
    names: Option<Arc<Names>>,
}

impl<'a> Judge<'a> {
    /// A judge of names.
    pub fn new(catalog: &'a Catalog, path: &'a Path, situation: Situation) -> Self {
        Self { catalog, path, situation, names: catalog.names(path) }
    }

    /// An untrusted role that may create in a schema of the catalog.
    fn intruder(&self, schema: &Schema) -> Option<Oid> {
        self.catalog.intruder(schema, self.situation.victim)
    }

    /// What can happen to a name.
    pub fn judge(&self, occurrence: &Occurrence) -> Verdict {
        if occurrence.repathed {
            return Verdict::Unknown { reason: REPATHED.into() };
        }
        match &self.names {
            Some(names) => names.verdict(self.situation, occurrence, || self.decide(occurrence)),
            None => self.decide(occurrence),
        }
    }

    fn decide(&self, occurrence: &Occurrence) -> Verdict {
        match &occurrence.meaning {
            Meaning::Unknown(reason) => return Verdict::Unknown { reason: reason.clone() },
            Meaning::Ambiguous => return Verdict::Unknown { reason: "several objects fit".into() },
            Meaning::Local(_) if occurrence.kind() == Kind::Relation && self.situation.callers_connection => {
                return Verdict::Unknown {
                    reason: "whoever calls may have made a temporary table of that name".into(),
                };
            }
            // A cast written as a call gives way to a function.
            Meaning::Local(_) if !matches!(occurrence.lookup, Lookup::Call(_)) => return Verdict::Safe,
            Meaning::Object(_) | Meaning::Nothing | Meaning::Local(_) => {}
        }
        if let Some(owner) = self.shadowed_by(occurrence) {
            return Verdict::Captured { owner };
        }
        match self.attack(occurrence, true) {
            Ok(Some(capture)) => return Verdict::Capturable(capture),
            Err(reason) => return Verdict::Unknown { reason },
            Ok(None) => {}
        }
        match self.attack(occurrence, false) {
            Ok(Some(capture)) => Verdict::IfGranted(capture),
            Err(reason) => Verdict::Unknown { reason },
            Ok(None) => Verdict::Safe,
        }
    }

    /// The untrusted owner of what a name means, if a trusted object would be meant without it.
    fn shadowed_by(&self, occurrence: &Occurrence) -> Option<String> {
        if occurrence.schema.is_some() {
            return None;
        }
        let (schema, owner) = self.owner(occurrence.kind(), occurrence.object()?)?;
        if self.catalog.trusted_object(schema, owner, self.situation.victim) {
            return None;
        }
        let mut without = self.path.clone();
        without.places.retain(|&place| place != Place::Schema(schema));
        let typer = Typer::new(self.catalog, &without);
        match look_up(&typer, None, &occurrence.name, &occurrence.lookup) {
            Meaning::Object(other) => {
                let (schema, other) = self.owner(occurrence.kind(), other)?;
                self.catalog
                    .trusted_object(schema, other, self.situation.victim)
                    .then(|| self.role_name(owner))
            }
            _ => None,
        }
    }

    /// Schema and owner of an object.
    fn owner(&self, kind: Kind, oid: Oid) -> Option<(Oid, Oid)> {
        let catalog = self.catalog;
        match kind {
            Kind::Relation => catalog.relation_of(oid).map(|found| (found.schema, found.owner)),
            Kind::Type => catalog.type_of(oid).map(|found| (found.schema, found.owner)),
            Kind::Function => catalog.routine_of(oid).map(|found| (found.schema, found.owner)),
            Kind::Operator => catalog.operator_of(oid).map(|found| (found.schema, found.owner)),
            Kind::Collation => {
                let found = catalog.snapshot.collations.iter().find(|found| found.oid == oid)?;
                Some((found.schema, found.owner))
            }
        }
    }

    fn role_name(&self, oid: Oid) -> String {
        self.catalog.role_of(oid).map_or_else(|| oid.to_string(), |role| role.name.clone())
    }

    /// The first attack that works; with the rights held now, or with one more.
    fn attack(&self, occurrence: &Occurrence, now: bool) -> Result<Option<Capture>, String> {
        let temporary = matches!(occurrence.kind(), Kind::Relation | Kind::Type);
        if let Some(schema) = &occurrence.schema {
            // A qualified name can be captured only by a better overload in the same schema.
            let Some(schema) = self.catalog.schema(schema) else { return Ok(None) };
            if temporary || occurrence.kind() == Kind::Collation {
                return Ok(None);
            }
            return self.plant(occurrence, schema, self.path, now);
        }
        // Whoever chooses the path can put anything before everything.
        if self.situation.callers_path && now {
            if temporary && let Some(capture) = self.plant_temporary(occurrence) {
                return Ok(Some(capture));
            }
            if let Some(capture) = self.plant_anywhere(occurrence)? {
                return Ok(Some(capture));
            }
        }
        let hit = occurrence
            .object()
            .and_then(|oid| self.owner(occurrence.kind(), oid))
            .and_then(|(schema, _)| self.path.position(Place::Schema(schema)));
        for (at, place) in self.path.places.iter().enumerate() {
            let before = hit.is_none_or(|hit| at < hit);
            match place {
                Place::Temp if before && temporary && self.situation.callers_connection && now => {
                    if let Some(capture) = self.plant_temporary(occurrence) {
                        return Ok(Some(capture));
                    }
                }
                Place::Temp => {}
                Place::Schema(oid) => {
                    let in_order =
                        matches!(occurrence.lookup, Lookup::Relation | Lookup::Type | Lookup::Collation);
                    if (in_order && !before) || *oid == PG_CATALOG || hit == Some(at) && in_order {
                        continue;
                    }
                    if let Some(schema) = self.catalog.schema_of(*oid)
                        && let Some(capture) = self.plant(occurrence, schema, self.path, now)?
                    {
                        return Ok(Some(capture));
                    }
                }
            }
        }
        if now { self.plant_in_missing(occurrence, hit) } else { Ok(None) }
    }

    fn plant_temporary(&self, occurrence: &Occurrence) -> Option<Capture> {
        let role = self.catalog.intruder_on_database("TEMPORARY", self.situation.victim)?;
        let ddl = self.simple_ddl("pg_temp", occurrence)?;
        Some(Capture { role: self.role_name(role), schema: "pg_temp".into(), ddl, search_path: None })
    }

    /// The caller's path: any schema that the caller can create in will do.
    fn plant_anywhere(&self, occurrence: &Occurrence) -> Result<Option<Capture>, String> {
        for schema in &self.catalog.snapshot.schemas {
            if self.intruder(schema).is_none() {
                continue;
            }
            let mut path = self.path.clone();
            path.places.retain(|&place| place != Place::Schema(schema.oid));
            path.places.insert(0, Place::Schema(schema.oid));
            if let Some(mut capture) = self.plant(occurrence, schema, &path, true)? {
                // Before pg_catalog, which must be listed for that.
                let rest: Vec<String> = path
                    .schemas()
                    .filter(|&oid| oid != schema.oid)
                    .map(|oid| quote(&self.catalog.schema_name(oid)))
                    .collect();
                capture.search_path = Some(format!("{}, {}", quote(&schema.name), rest.join(", ")));
                return Ok(Some(capture));
            }
        }
        // A role that may create schemas needs no schema.
        let Some(role) = self.catalog.intruder_on_database("CREATE", self.situation.victim) else {
            return Ok(None);
        };
        let planted = Schema { oid: PLANTED, name: "captured".into(), owner: role, grants: Vec::new() };
        let mut path = self.path.clone();
        path.places.insert(0, Place::Schema(PLANTED));
        let Some(ddl) = self.works(occurrence, &planted, &path)? else { return Ok(None) };
        let rest: Vec<String> =
            self.path.schemas().map(|oid| quote(&self.catalog.schema_name(oid))).collect();
        Ok(Some(Capture {
            role: self.role_name(role),
            schema: "captured".into(),
            ddl: format!("CREATE SCHEMA captured;\nGRANT USAGE ON SCHEMA captured TO PUBLIC;\n{ddl}"),
            search_path: Some(format!("captured, {}", rest.join(", "))),
        }))
    }

    fn plant(
        &self,
        occurrence: &Occurrence,
        schema: &Schema,
        path: &Path,
        now: bool,
    ) -> Result<Option<Capture>, String> {
        if schema.oid == PG_CATALOG {
            return Ok(None);
        }
        let intruder = self.intruder(schema);
        let role = match (now, intruder) {
            (true, Some(role)) => self.role_name(role),
            (false, None) => format!("a role with CREATE on schema {}", quote(&schema.name)),
            _ => return Ok(None),
        };
        Ok(self.works(occurrence, schema, path)?.map(|ddl| Capture {
            role,
            schema: schema.name.clone(),
            ddl,
            search_path: None,
        }))
    }

    /// A schema that is listed but not there can be made by whoever may create schemas.
    fn plant_in_missing(
        &self,
        occurrence: &Occurrence,
        hit: Option<usize>,
    ) -> Result<Option<Capture>, String> {
        for (name, at) in &self.path.missing {
            let in_order = matches!(occurrence.lookup, Lookup::Relation | Lookup::Type | Lookup::Collation);
            if in_order && hit.is_some_and(|hit| *at > hit) {
                continue;
            }
            let Some(role) = self.catalog.intruder_on_database("CREATE", self.situation.victim) else {
                continue;
            };
            let planted = Schema { oid: PLANTED, name: name.clone(), owner: role, grants: Vec::new() };
            let mut path = self.path.clone();
            path.places.insert(*at, Place::Schema(PLANTED));
            if let Some(ddl) = self.works(occurrence, &planted, &path)? {
                return Ok(Some(Capture {
                    role: self.role_name(role),
                    schema: name.clone(),
                    ddl: format!(
                        "CREATE SCHEMA {0};\nGRANT USAGE ON SCHEMA {0} TO PUBLIC;\n{ddl}",
                        quote(name)
                    ),
                    search_path: None,
                }));
            }
        }
        Ok(None)
    }

    /// The DDL of the best object in a schema, if the name would then mean it.
    fn works(&self, occurrence: &Occurrence, schema: &Schema, path: &Path) -> Result<Option<String>, String> {
        match &occurrence.lookup {
            Lookup::Relation | Lookup::Type | Lookup::Collation => {
                // What is there already cannot be made again.
                let there = match occurrence.lookup {
                    Lookup::Relation => self.catalog.relation_named(schema.oid, &occurrence.name).is_some(),
                    Lookup::Type => self.catalog.type_named(schema.oid, &occurrence.name).is_some(),
                    _ => self.catalog.collation_named(schema.oid, &occurrence.name).is_some(),
                };
                Ok(if there { None } else { self.simple_ddl(&schema.name, occurrence) })
            }
            Lookup::Call(call) => self.plant_routine(occurrence, call, schema, path),
            Lookup::Routine(args) => {
                let args = args.clone().unwrap_or_default();
                let call = Call { name: occurrence.name.clone(), args, ..Call::default() };
                let hit = occurrence.object().and_then(|oid| self.catalog.routine_of(oid));
                let position = path.position(Place::Schema(schema.oid));
                let before = hit.is_none_or(|hit| position < path.position(Place::Schema(hit.schema)));
                if occurrence.schema.is_some() || !before {
                    return Ok(None);
                }
                self.plant_routine(occurrence, &call, schema, path)
            }
            Lookup::Binary(left, right) => self.plant_operator(occurrence, *left, *right, schema, path),
            Lookup::Prefix(operand) => self.plant_operator(occurrence, 0, *operand, schema, path),
        }
    }

    fn only(occurrence: &Occurrence, schema: &Schema) -> Option<Oid> {
        occurrence.schema.as_ref().map(|_| schema.oid)
    }

    fn plant_routine(
        &self,
        occurrence: &Occurrence,
        call: &Call,
        schema: &Schema,
        path: &Path,
    ) -> Result<Option<String>, String> {
        if call.args.contains(&OPAQUE) {
            return Err("the types of the arguments are not known".into());
        }
        let args: Vec<Oid> = call.args.iter().map(|&oid| assumed(oid)).collect();
        let hit = occurrence.object().and_then(|oid| self.catalog.routine_of(oid));
        let already =
            self.catalog.routines_named(&call.name).any(|r| r.schema == schema.oid && r.args == args);
        if already || args.iter().any(|&oid| !self.can_declare(oid)) {
            return Ok(None);
        }
        let variadic = if call.variadic {
            args.last().and_then(|&oid| Typer::new(self.catalog, path).element(oid)).unwrap_or(0)
        } else {
            0
        };
        let positional = args.len() - call.names.len().min(args.len());
        let names: Vec<String> = if call.names.is_empty() {
            Vec::new()
        } else {
            (0..positional).map(|at| format!("a{at}")).chain(call.names.iter().cloned()).collect()
        };
        let planted = Routine {
            oid: PLANTED,
            name: call.name.clone(),
            schema: schema.oid,
            kind: hit.map_or('f', |hit| hit.kind),
            args: args.clone(),
            variadic,
            names: names.clone(),
            returns: hit.map_or(known::TEXT, |hit| hit.returns),
            ..Routine::blank()
        };
        let typer = Typer::new(self.catalog, path).with_routine(&planted);
        let wanted = Call { schema: Self::only(occurrence, schema), ..call.clone() };
        if typer.call(&wanted).0 != crate::typing::Choice::Found(PLANTED) {
            return Ok(None);
        }
        let parameters: Vec<String> = args
            .iter()
            .enumerate()
            .map(|(at, &oid)| {
                let mode = if variadic != 0 && at + 1 == args.len() { "VARIADIC " } else { "" };
                let name = names.get(at).map_or_else(String::new, |name| format!("{} ", quote(name)));
                format!("{mode}{name}{}", self.catalog.type_name(oid))
            })
            .collect();
        let target = format!("{}.{}({})", quote(&schema.name), quote(&call.name), parameters.join(", "));
        if hit.is_some_and(|hit| hit.kind == 'p') {
            return Ok(Some(format!("CREATE PROCEDURE {target} LANGUAGE plpgsql AS 'BEGIN END'")));
        }
        let returns = self.returns(hit, &call.args);
        Ok(Some(format!(
            "CREATE FUNCTION {target} RETURNS {returns} LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )))
    }

    /// The result type that the planted function declares: that of the function it stands for.
    fn returns(&self, hit: Option<&Routine>, inputs: &[Oid]) -> String {
        let Some(hit) = hit else { return "pg_catalog.text".into() };
        let actual = Typer::new(self.catalog, self.path).actual(hit.returns, inputs, &hit.args);
        let oid = if actual == OPAQUE || (!self.can_declare(actual) && actual != known::TRIGGER) {
            known::TEXT
        } else {
            actual
        };
        self.catalog.type_name(oid)
    }

    fn plant_operator(
        &self,
        occurrence: &Occurrence,
        left: Oid,
        right: Oid,
        schema: &Schema,
        path: &Path,
    ) -> Result<Option<String>, String> {
        let prefix = matches!(occurrence.lookup, Lookup::Prefix(_));
        if right == OPAQUE || (left == OPAQUE && !prefix) {
            return Err("the types of the operands are not known".into());
        }
        let left_type = if prefix {
            0
        } else if left == known::UNKNOWN {
            assumed(right)
        } else {
            left
        };
        let right_type =
            if right == known::UNKNOWN { assumed(if prefix { right } else { left }) } else { right };
        let impossible = [left_type, right_type].iter().any(|&oid| oid != 0 && !self.can_declare(oid));
        let already = self
            .catalog
            .operators_named(&occurrence.name)
            .any(|o| o.schema == schema.oid && o.left == left_type && o.right == right_type);
        if impossible || already {
            return Ok(None);
        }
        let hit = occurrence.object().and_then(|oid| self.catalog.operator_of(oid));
        let planted = Operator {
            oid: PLANTED,
            name: occurrence.name.clone(),
            schema: schema.oid,
            owner: 0,
            left: left_type,
            right: right_type,
            result: known::BOOL,
            function: 0,
        };
        let typer = Typer::new(self.catalog, path).with_operator(&planted);
        let only = Self::only(occurrence, schema);
        let choice = if prefix {
            typer.prefix(only, &occurrence.name, right)
        } else {
            typer.binary(only, &occurrence.name, left, right)
        };
        if choice != crate::typing::Choice::Found(PLANTED) {
            return Ok(None);
        }
        let result = hit.map_or(known::BOOL, |hit| hit.result);
        let result = if self.can_declare(result) { result } else { known::TEXT };
        let schema_name = quote(&schema.name);
        let name = |oid| self.catalog.type_name(oid);
        let (args, declared) = if prefix {
            (name(right_type), format!("RIGHTARG = {}", name(right_type)))
        } else {
            (
                format!("{}, {}", name(left_type), name(right_type)),
                format!("LEFTARG = {}, RIGHTARG = {}", name(left_type), name(right_type)),
            )
        };
        Ok(Some(format!(
            "CREATE FUNCTION {schema_name}.captures({args}) RETURNS {} LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\n\
             CREATE OPERATOR {schema_name}.{} ({declared}, FUNCTION = {schema_name}.captures)",
            name(result),
            occurrence.name
        )))
    }

    /// Can a function of an ordinary role have a parameter of the type?
    fn can_declare(&self, oid: Oid) -> bool {
        self.catalog.type_of(oid).is_some_and(|found| found.kind != 'p')
    }

    fn simple_ddl(&self, schema: &str, occurrence: &Occurrence) -> Option<String> {
        let target = format!("{}.{}", quote(schema), quote(&occurrence.name));
        match occurrence.lookup {
            Lookup::Relation => {
                let like = occurrence.object().and_then(|oid| self.catalog.relation_of(oid));
                let body = match like {
                    Some(relation) if matches!(relation.kind, 'r' | 'v' | 'm' | 'f' | 'p') => {
                        let columns: Vec<String> = relation
                            .columns
                            .iter()
                            .filter(|(_, oid)| self.can_declare(*oid))
                            .map(|(name, oid)| format!("{} {}", quote(name), self.catalog.type_name(*oid)))
                            .collect();
                        format!("TABLE {target} ({})", columns.join(", "))
                    }
                    Some(relation) if relation.kind == 'S' => format!("SEQUENCE {target}"),
                    _ => format!("TABLE {target} ()"),
                };
                Some(format!("CREATE {}{body}", if schema == "pg_temp" { "TEMPORARY " } else { "" }))
            }
            Lookup::Type => {
                let base = match occurrence.object() {
                    Some(oid) if self.can_declare(oid) => self.catalog.type_name(oid),
                    _ => "pg_catalog.text".into(),
                };
                Some(format!("CREATE DOMAIN {target} AS {base}"))
            }
            Lookup::Collation => Some(format!("CREATE COLLATION {target} FROM pg_catalog.\"C\"")),
            _ => None,
        }
    }
}

/// What an attacker declares for an argument: its type, and text for a literal without one.
fn assumed(oid: Oid) -> Oid {
    if oid == known::UNKNOWN { known::TEXT } else { oid }
}
