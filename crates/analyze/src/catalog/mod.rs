//! What is known of a database: one snapshot of its catalogs, and the look-ups that name resolution makes in it.
//!
//! [`Snapshot`] is plain data: it can be written to a file and read again. [`Catalog`] adds the indexes. [`load`] takes a
//! snapshot of a server, [`rights`] says who may do what.
//!
//! **Invariants**: a snapshot is of one moment; nothing in it is guessed. What the role that took it cannot see is absent.

mod apply;
pub mod builtin;
mod by_oid;
mod edit;
pub mod load;
mod memory;
mod named;
pub mod rights;
mod stored;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

pub use apply::{OnApply, Publication};
use by_oid::ByOid;
pub use memory::Names;
use named::Named;
use serde::{Deserialize, Serialize};

/// The identity of an object within its catalog.
pub type Oid = u32;

/// The schema `pg_catalog`.
pub const PG_CATALOG: Oid = 11;

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: Oid,
    /// Who was granted what: (role, or 0 for PUBLIC; privilege).
    pub grants: Vec<(Oid, String)>,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Type {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: Oid,
    /// Its owner.
    pub owner: Oid,
    /// `b` base, `c` composite, `d` domain, `e` enum, `p` pseudo, `r` range, `m` multirange.
    pub kind: char,
    /// The category that decides between candidates.
    pub category: char,
    /// Is it preferred in its category?
    pub preferred: bool,
    /// Of a true array: the type of its elements, else 0.
    pub element: Oid,
    /// The array type over this one, or 0.
    pub array: Oid,
    /// Of a composite type: its relation, else 0.
    pub relation: Oid,
    /// Of a domain: the type below it, else 0.
    pub base: Oid,
    /// Of a range or multirange: the type of its bounds, else 0.
    pub subtype: Oid,
    /// Of a range: its multirange; of a multirange: its range; else 0.
    pub partner: Oid,
}

/// A table, view, sequence, index, composite type, or whatever else is in `pg_class`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: Oid,
    /// Its owner.
    pub owner: Oid,
    /// `relkind`.
    pub kind: char,
    /// Its row type, or 0.
    pub row_type: Oid,
    /// Is row security on?
    pub row_security: bool,
    /// Of a view: its options.
    pub options: Vec<String>,
    /// Name and type of its columns, in order.
    pub columns: Vec<(String, Oid)>,
}

/// A function, procedure, aggregate or window function.
#[allow(clippy::struct_excessive_bools, reason = "they are columns of pg_proc")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routine {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: Oid,
    /// Its owner.
    pub owner: Oid,
    /// `f` function, `p` procedure, `a` aggregate, `w` window function.
    pub kind: char,
    /// Types of the input arguments.
    pub args: Vec<Oid>,
    /// How many of the last arguments have a default.
    pub defaults: usize,
    /// The element type of the VARIADIC argument, or 0.
    pub variadic: Oid,
    /// Types of all arguments, if some are not only input.
    pub all_args: Vec<Oid>,
    /// Modes of all arguments, if some are not only input.
    pub modes: Vec<char>,
    /// Names of all arguments, if there are any.
    pub names: Vec<String>,
    /// What it returns.
    pub returns: Oid,
    /// Does it return a set?
    pub set: bool,
    /// Its language.
    pub language: String,
    /// SECURITY DEFINER.
    pub definer: bool,
    /// `i`, `s`, `v`.
    pub volatility: char,
    /// STRICT.
    pub strict: bool,
    /// Its SET clauses, as `name=value`.
    pub config: Vec<String>,
    /// Its source; empty for those of `pg_catalog`.
    pub source: String,
    /// Is it bound at creation (`BEGIN ATOMIC`)?
    pub atomic: bool,
    /// Who may execute it: roles, 0 for PUBLIC.
    pub executors: Vec<Oid>,
    /// The extension that it belongs to, or 0.
    pub extension: Oid,
}

impl Routine {
    /// A function without a name, arguments or a body, to be filled in.
    pub(crate) fn blank() -> Self {
        Self {
            oid: 0,
            name: String::new(),
            schema: 0,
            owner: 0,
            kind: 'f',
            args: Vec::new(),
            defaults: 0,
            variadic: 0,
            all_args: Vec::new(),
            modes: Vec::new(),
            names: Vec::new(),
            returns: 0,
            set: false,
            language: "plpgsql".into(),
            definer: false,
            volatility: 'v',
            strict: false,
            config: Vec::new(),
            source: String::new(),
            atomic: false,
            executors: Vec::new(),
            extension: 0,
        }
    }
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: Oid,
    /// Its owner.
    pub owner: Oid,
    /// The left operand, or 0 for a prefix operator.
    pub left: Oid,
    /// The right operand.
    pub right: Oid,
    /// What it gives.
    pub result: Oid,
    /// The function behind it.
    pub function: Oid,
}

/// A cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cast {
    /// From this type.
    pub source: Oid,
    /// To this type.
    pub target: Oid,
    /// `e` explicit, `a` assignment, `i` implicit.
    pub context: char,
    /// Is it without a function, the bytes being the same?
    pub binary: bool,
}

/// A collation, for its name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collation {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: Oid,
    /// Its owner.
    pub owner: Oid,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Superuser.
    pub superuser: bool,
    /// CREATEROLE.
    pub createrole: bool,
    /// LOGIN.
    pub login: bool,
    /// The roles that it is a direct member of.
    pub member_of: Vec<Oid>,
}

/// One trigger, policy or other stored expression that calls a function: what is bound already, and what it calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// What kind of object calls: `trigger`, `policy`, `default`, `check`, `index`, `view`, `domain`, `event trigger`.
    pub kind: String,
    /// The caller, as the server describes it.
    pub by: String,
    /// The function that is called.
    pub function: Oid,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its table.
    pub relation: Oid,
    /// Its function.
    pub function: Oid,
    /// Its transition tables.
    pub tables: Vec<String>,
}

/// A definition that has expressions in it, whose names were bound when it was made: of a view, a policy, a default, and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// Its OID: of the view, the policy, the default, the constraint.
    pub oid: Oid,
    /// `view`, `materialized view`, `rule`, `policy`, `default`, `generated`, `check`, `domain`, `index`, `trigger`,
    /// `event trigger`; of files also `body` (`BEGIN ATOMIC`), `do` and `statement`, which run once.
    pub kind: String,
    /// What it is, as the server describes it.
    pub by: String,
    /// With whose rights it is used, or who made it.
    pub owner: Oid,
    /// The table, view or domain that it belongs to, or 0.
    pub relation: Oid,
    /// The SQL that makes it.
    pub source: String,
    /// The path under which the names of that SQL mean what was bound.
    pub search_path: String,
    /// The names, if they were looked up when it was made.
    #[serde(skip)]
    pub found: Option<crate::walk::Found>,
}

/// Everything that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `server_version_num`.
    pub version: u32,
    /// The database.
    pub database: String,
    /// Its owner.
    pub database_owner: Oid,
    /// Who was granted what on the database.
    pub database_grants: Vec<(Oid, String)>,
    /// The role that took the snapshot.
    pub user: String,
    /// The `search_path` in force for it.
    pub search_path: String,
    /// Settings of roles and of the database: (role or 0, `name=value`).
    pub settings: Vec<(Oid, String)>,
    /// Schemas.
    pub schemas: Vec<Schema>,
    /// Types.
    pub types: Vec<Type>,
    /// Relations.
    pub relations: Vec<Relation>,
    /// Routines.
    pub routines: Vec<Routine>,
    /// Operators.
    pub operators: Vec<Operator>,
    /// Casts.
    pub casts: Vec<Cast>,
    /// Collations.
    pub collations: Vec<Collation>,
    /// Roles.
    pub roles: Vec<Role>,
    /// Which tables inherit from which: (child, parent).
    pub inherits: Vec<(Oid, Oid)>,
    /// Temporary tables that the connection is assumed to have; never read from a server.
    #[serde(default)]
    pub temporary: Vec<String>,
    /// Triggers that users made.
    pub triggers: Vec<Trigger>,
    /// What calls which function from a stored expression.
    pub uses: Vec<Use>,
    /// Publications.
    #[serde(default)]
    pub publications: Vec<Publication>,
    /// What runs when a row is applied.
    #[serde(default)]
    pub on_apply: Vec<OnApply>,
    /// Definitions with expressions in them.
    #[serde(default)]
    pub expressions: Vec<Expression>,
    /// Extensions whose objects are not known, with their schemas. A name that means nothing may be one of theirs.
    #[serde(default)]
    pub sealed: Vec<(String, Oid)>,
}

/// A snapshot with indexes, and a memory of what was asked: whoever changes the snapshot itself makes a new catalog of it.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The data.
    pub snapshot: Snapshot,
    schema_by_name: HashMap<String, usize>,
    schema_by_oid: ByOid<usize>,
    type_by_oid: ByOid<usize>,
    type_by_name: Named,
    relation_by_oid: ByOid<usize>,
    relation_by_name: Named,
    routine_by_oid: ByOid<usize>,
    routines_by_name: HashMap<String, Vec<usize>>,
    operator_by_oid: ByOid<usize>,
    operators_by_name: HashMap<String, Vec<usize>>,
    casts: ByOid<Cast, (Oid, Oid)>,
    collation_by_name: Named,
    role_by_oid: ByOid<usize>,
    uses_by_function: ByOid<Vec<usize>>,
    on_apply_by_function: ByOid<Vec<usize>>,
    triggers_by_function: ByOid<Vec<usize>>,
    memory: memory::Memory,
}

impl Catalog {
    /// Indexes a snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        let mut routines_by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, routine) in snapshot.routines.iter().enumerate() {
            routines_by_name.entry(routine.name.clone()).or_default().push(at);
        }
        let mut operators_by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, operator) in snapshot.operators.iter().enumerate() {
            operators_by_name.entry(operator.name.clone()).or_default().push(at);
        }
        Self {
            schema_by_name: index(&snapshot.schemas, |s| s.name.clone()),
            schema_by_oid: index(&snapshot.schemas, |s| s.oid),
            type_by_oid: index(&snapshot.types, |t| t.oid),
            type_by_name: Named::of(snapshot.types.iter().map(|t| (t.schema, t.name.as_str()))),
            relation_by_oid: index(&snapshot.relations, |r| r.oid),
            relation_by_name: Named::of(snapshot.relations.iter().map(|r| (r.schema, r.name.as_str()))),
            routine_by_oid: index(&snapshot.routines, |r| r.oid),
            routines_by_name,
            operator_by_oid: index(&snapshot.operators, |o| o.oid),
            operators_by_name,
            casts: snapshot.casts.iter().map(|cast| ((cast.source, cast.target), *cast)).collect(),
            collation_by_name: Named::of(snapshot.collations.iter().map(|c| (c.schema, c.name.as_str()))),
            role_by_oid: index(&snapshot.roles, |r| r.oid),
            uses_by_function: group(&snapshot.uses, |used| used.function),
            on_apply_by_function: group(&snapshot.on_apply, |used| used.function),
            triggers_by_function: group(&snapshot.triggers, |trigger| trigger.function),
            memory: memory::Memory::default(),
            snapshot,
        }
    }

    /// The same, for a catalog that is going to change: it remembers nothing.
    pub fn changing(snapshot: Snapshot) -> Self {
        Self { memory: memory::Memory::off(), ..Self::new(snapshot) }
    }

    /// An object, described as it was before.
    pub(crate) fn described(
        &self,
        kind: crate::occurrence::Kind,
        oid: Oid,
        answer: impl FnOnce() -> Option<crate::report::Object>,
    ) -> Option<std::sync::Arc<crate::report::Object>> {
        self.memory.object(kind, oid, answer)
    }

    /// What was asked before under a path.
    pub(crate) fn names(&self, path: &crate::path::Path) -> Option<std::sync::Arc<Names>> {
        self.memory.names(path)
    }

    /// A schema by its name.
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schema_by_name.get(name).map(|&at| &self.snapshot.schemas[at])
    }

    /// A schema by its OID.
    pub fn schema_of(&self, oid: Oid) -> Option<&Schema> {
        self.schema_by_oid.get(&oid).map(|&at| &self.snapshot.schemas[at])
    }

    /// The name of a schema; a number for one that is not there.
    pub fn schema_name(&self, oid: Oid) -> String {
        self.schema_of(oid).map_or_else(|| oid.to_string(), |schema| schema.name.clone())
    }

    /// A type by its OID.
    pub fn type_of(&self, oid: Oid) -> Option<&Type> {
        self.type_by_oid.get(&oid).map(|&at| &self.snapshot.types[at])
    }

    /// A type by schema and name.
    pub fn type_named(&self, schema: Oid, name: &str) -> Option<&Type> {
        self.type_by_name.get(schema, name).map(|at| &self.snapshot.types[at])
    }

    /// A relation by its OID.
    pub fn relation_of(&self, oid: Oid) -> Option<&Relation> {
        self.relation_by_oid.get(&oid).map(|&at| &self.snapshot.relations[at])
    }

    /// A relation by schema and name.
    pub fn relation_named(&self, schema: Oid, name: &str) -> Option<&Relation> {
        self.relation_by_name.get(schema, name).map(|at| &self.snapshot.relations[at])
    }

    /// A routine by its OID.
    pub fn routine_of(&self, oid: Oid) -> Option<&Routine> {
        self.routine_by_oid.get(&oid).map(|&at| &self.snapshot.routines[at])
    }

    /// Every routine of a name, in any schema.
    pub fn routines_named(&self, name: &str) -> impl Iterator<Item = &Routine> {
        self.routines_by_name.get(name).into_iter().flatten().map(|&at| &self.snapshot.routines[at])
    }

    /// An operator by its OID.
    pub fn operator_of(&self, oid: Oid) -> Option<&Operator> {
        self.operator_by_oid.get(&oid).map(|&at| &self.snapshot.operators[at])
    }

    /// Every operator of a name, in any schema.
    pub fn operators_named(&self, name: &str) -> impl Iterator<Item = &Operator> {
        self.operators_by_name.get(name).into_iter().flatten().map(|&at| &self.snapshot.operators[at])
    }

    /// The cast between two types.
    pub fn cast(&self, source: Oid, target: Oid) -> Option<Cast> {
        self.casts.get(&(source, target)).copied()
    }

    /// A collation by schema and name.
    pub fn collation_named(&self, schema: Oid, name: &str) -> Option<&Collation> {
        self.collation_by_name.get(schema, name).map(|at| &self.snapshot.collations[at])
    }

    /// A role by its OID.
    pub fn role_of(&self, oid: Oid) -> Option<&Role> {
        self.role_by_oid.get(&oid).map(|&at| &self.snapshot.roles[at])
    }

    /// A role by its name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.snapshot.roles.iter().find(|role| role.name == name)
    }

    /// What calls a function from a stored expression, as of when the catalog was made.
    pub fn uses_of(&self, function: Oid) -> impl Iterator<Item = &Use> {
        self.uses_by_function.get(&function).into_iter().flatten().map(|&at| &self.snapshot.uses[at])
    }

    /// What calls a function when a row is applied, as of when the catalog was made.
    pub fn on_apply_of(&self, function: Oid) -> impl Iterator<Item = &OnApply> {
        self.on_apply_by_function.get(&function).into_iter().flatten().map(|&at| &self.snapshot.on_apply[at])
    }

    /// The triggers of a function, as of when the catalog was made.
    pub fn triggers_of(&self, function: Oid) -> impl Iterator<Item = &Trigger> {
        self.triggers_by_function.get(&function).into_iter().flatten().map(|&at| &self.snapshot.triggers[at])
    }

    /// The type below all domains.
    pub fn base_type(&self, oid: Oid) -> Oid {
        let mut oid = oid;
        // A chain of domains is finite; a damaged snapshot may not be.
        for _ in 0..64 {
            match self.type_of(oid) {
                Some(found) if found.kind == 'd' => oid = found.base,
                _ => break,
            }
        }
        oid
    }

    /// A type as SQL names it, with its schema unless that is `pg_catalog`.
    pub fn type_name(&self, oid: Oid) -> String {
        let Some(found) = self.type_of(oid) else { return format!("type {oid}") };
        if found.element != 0
            && found.name.starts_with('_')
            && let Some(element) = self.type_of(found.element)
            && element.array == oid
        {
            return format!("{}[]", self.type_name(element.oid));
        }
        self.qualified(found.schema, &found.name)
    }

    /// `schema.name`, quoted where needed.
    pub fn qualified(&self, schema: Oid, name: &str) -> String {
        format!("{}.{}", crate::text::quote(&self.schema_name(schema)), crate::text::quote(name))
    }

    /// A routine with the types of its input arguments, as DDL names it.
    pub fn signature(&self, routine: &Routine) -> String {
        let args: Vec<String> = routine.args.iter().map(|&oid| self.type_name(oid)).collect();
        format!("{}({})", self.qualified(routine.schema, &routine.name), args.join(", "))
    }
}

fn index<T, K: Hash + Eq, S: BuildHasher + Default>(
    items: &[T],
    key: impl Fn(&T) -> K,
) -> HashMap<K, usize, S> {
    items.iter().enumerate().map(|(at, item)| (key(item), at)).collect()
}

fn group<T>(items: &[T], key: impl Fn(&T) -> Oid) -> ByOid<Vec<usize>> {
    let mut groups: ByOid<Vec<usize>> = HashMap::default();
    for (at, item) in items.iter().enumerate() {
        groups.entry(key(item)).or_default().push(at);
    }
    groups
}
