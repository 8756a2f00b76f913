//! Who may see and change which rows, said once more: from the documentation, without a line of what is tested.
//!
//! Privileges, memberships and owners are as the catalogs say. Policies, direct access and modes are the model's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::world::{Command, Direct, Entry, Modes, Oid, Relation, World};

pub const ROLES: [&str; 6] = ["m0", "m1", "m2", "m3", "m4", "m5"];
/// Those with policies of their own.
pub const TABLES: [&str; 8] = ["t0", "t1", "t1a", "t1b", "t2", "c2", "t3", "t4"];
pub const VIEWS: [&str; 5] = ["v0", "v1", "v2", "v3", "v4"];

/// Never a constant: the planner leaves out what one rules out, with the tables in it.
pub const SETUP: &str = "
    create schema w; grant usage on schema w to public; set search_path = w;
    create role m0 login; create role m1 login; create role m2; create role m3; create role m4; create role m5;
    create table t0 (k int primary key, who text, v int);
    insert into t0 select n, 'm' || n % 6, n from generate_series(1, 8) n;
    create table t1 (k int primary key, who text, v int) partition by range (k);
    create table t1a partition of t1 for values from (minvalue) to (5);
    create table t1b partition of t1 for values from (5) to (maxvalue);
    insert into t1 select k, who, v from t0;
    create table t2 (k int primary key, who text, v int);
    create table c2 (primary key (k)) inherits (t2);
    insert into t2 select k, who, v from t0 where k < 5; insert into c2 select k, who, v from t0 where k >= 5;
    create table t3 (k int primary key, who text, v int); insert into t3 select k, who, v from t0 where k % 2 = 0;
    create table t4 (k int primary key, who text, v int); insert into t4 select k, who, v from t0 where k % 3 = 0;
    create view v0 as select k, who, v from t0;
    create view v1 as select k, who, v from v0 where k <> 4;
    create view v2 with (security_barrier) as select k, who, v from t1 where k <> 4;
    create view v3 as select k, who, v from t0 a where exists (select from t3 b where b.k = a.k);
    create view v4 with (security_invoker) as select k, who, v from v2 where k <> 6 with cascaded check option;
    create function d0() returns setof int language plpgsql stable security definer as 'begin return query select k from w.t0; end';
    create function d1() returns setof int language sql stable security definer as 'select k from w.v1';
    create function i0() returns setof int language sql stable as 'select k from w.t0';
    create function i4() returns setof int language sql stable as 'select k from w.v4';
    create view x0 as select i0 as k from w.i0();
    create role m6; create table elsewhere (k int); alter table elsewhere enable row level security;
    -- Before 15.19 and 16.15 a server does not plan again when a membership changes. Where there is direct access, it is seen to.
    select postern.grant_direct('{select}', 'w.elsewhere', '{m6}');
    create policy p0 on t0 using (k > 0); create policy p1 on t1 using (k > 0)";

#[derive(Debug, Clone)]
pub enum Expression {
    Above(i64),
    Modulo(i64, i64),
    Mine,
    Below(i64),
    Null,
    /// The key is in another table, as who reads that.
    In(&'static str),
}

impl fmt::Display for Expression {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(n) => write!(to, "k > {n}"),
            Self::Modulo(of, is) => write!(to, "k % {of} = {is}"),
            Self::Mine => write!(to, "who = current_user::text"),
            Self::Below(n) => write!(to, "v < {n}"),
            Self::Null => write!(to, "nullif(k, k) > 0"),
            Self::In(table) => write!(to, "k in (select s.k from w.{table} s)"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Policy {
    pub table: &'static str,
    pub name: String,
    pub permissive: bool,
    /// `*`: all.
    pub command: Command,
    pub using: Option<Expression>,
    pub check: Option<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub k: i64,
    pub who: String,
    pub v: i64,
}

/// A statement on one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    Read,
    Lock,
    UpdateAll,
    UpdateSome,
    DeleteAll,
    DeleteSome,
    Insert,
    InsertReturning,
    Upsert,
    Merge,
}

pub const STATEMENTS: [Statement; 10] = [
    Statement::Read,
    Statement::Lock,
    Statement::UpdateAll,
    Statement::UpdateSome,
    Statement::DeleteAll,
    Statement::DeleteSome,
    Statement::Insert,
    Statement::InsertReturning,
    Statement::Upsert,
    Statement::Merge,
];

impl Statement {
    pub fn needs(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Lock | Self::UpdateSome => "rw",
            Self::UpdateAll => "w",
            Self::DeleteAll => "d",
            Self::DeleteSome => "rd",
            Self::Insert => "a",
            Self::InsertReturning => "ra",
            Self::Upsert | Self::Merge => "raw",
        }
    }

    /// What is inserted where: a key that the relation takes.
    pub fn new_row(relation: &str) -> Row {
        Row { k: if relation == "t1a" { -1 } else { 101 }, who: "m1".to_owned(), v: 7 }
    }

    pub fn sql(self, relation: &str) -> String {
        let Row { k, who, v } = Self::new_row(relation);
        match self {
            Self::Read => format!("select k from w.{relation} order by k"),
            Self::Lock => format!("select k from w.{relation} order by k for update"),
            Self::UpdateAll => format!("update w.{relation} set v = 70"),
            Self::UpdateSome => format!("update w.{relation} set v = 3 where k > 2 returning k"),
            Self::DeleteAll => format!("delete from w.{relation}"),
            Self::DeleteSome => format!("delete from w.{relation} where k > 2 returning k"),
            Self::Insert => format!("insert into w.{relation} values ({k}, '{who}', {v})"),
            Self::InsertReturning => {
                format!("insert into w.{relation} values ({k}, '{who}', {v}) returning k")
            }
            Self::Upsert => {
                format!(
                    "insert into w.{relation} values (2, 'm2', 9) on conflict (k) do update set v = 70 returning k"
                )
            }
            Self::Merge => format!(
                "merge into w.{relation} r using (values (2)) s (k) on r.k = s.k when matched then update set v = 70 when not matched then insert values (2, 'm2', 9)"
            ),
        }
    }
}

/// What there is to hear of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Done {
        keys: Option<Vec<i64>>,
        after: BTreeMap<i64, i64>,
    },
    /// One of these.
    Refused(Vec<Refusal>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Denied,
    Mode,
    Violates,
    Duplicate,
}

pub struct Model {
    pub world: World,
    pub policies: Vec<Policy>,
    pub direct: Direct,
    pub modes: Modes,
    pub rows: BTreeMap<&'static str, Vec<Row>>,
}

/// What keeps a statement from being run at all.
#[derive(Debug, Default, Clone, Copy)]
struct Faults {
    denied: bool,
    mode: bool,
}

/// An access to a table: who asks, and as whom.
#[derive(Debug, Clone, Copy)]
struct Access<'a> {
    table: &'static str,
    me: &'a str,
    user: Oid,
    needs: &'a str,
    merges: bool,
    writes: bool,
}

impl Model {
    pub fn new(world: World) -> Self {
        let mut rows = BTreeMap::new();
        let all: Vec<Row> = (1..=8).map(|k| Row { k, who: format!("m{}", k % 6), v: k }).collect();
        let some = |wanted: fn(i64) -> bool| -> Vec<Row> {
            all.iter().filter(|row| wanted(row.k)).cloned().collect()
        };
        rows.insert("t0", all.clone());
        rows.insert("t1a", some(|k| k < 5));
        rows.insert("t1b", some(|k| k >= 5));
        rows.insert("t2", some(|k| k < 5));
        rows.insert("c2", some(|k| k >= 5));
        rows.insert("t3", some(|k| k % 2 == 0));
        rows.insert("t4", some(|k| k % 3 == 0));
        let policy = |table, name: &str| Policy {
            table,
            name: name.to_owned(),
            permissive: true,
            command: '*',
            using: Some(Expression::Above(0)),
            check: None,
        };
        let policies = vec![policy("t0", "p0"), policy("t1", "p1")];
        let direct = world.direct.clone();
        Self { world, policies, direct, modes: Modes::new(), rows }
    }

    fn relation(&self, name: &str) -> &Relation {
        &self.world.relations[name]
    }

    /// The tables whose rows a statement on this one sees.
    fn parts(table: &str) -> &'static [&'static str] {
        match table {
            "t1" => &["t1a", "t1b"],
            "t2" => &["t2", "c2"],
            other => {
                let at = TABLES.iter().position(|table| *table == other).unwrap();
                &TABLES[at..=at]
            }
        }
    }

    /// The table below a view, the one to look at afterwards.
    pub fn root(relation: &str) -> &'static str {
        match relation {
            "t0" | "v0" | "v1" | "v3" => "t0",
            "t1" | "t1a" | "t1b" | "v2" | "v4" => "t1",
            "t2" | "c2" => "t2",
            "t3" => "t3",
            _ => "t4",
        }
    }

    pub fn is_exempt(&self, user: Oid, relation: &Relation) -> bool {
        let (_, role) = self.world.role(user);
        !relation.row_security
            || role.superuser
            || role.bypass
            || (!relation.forced && self.world.has(user, relation.owner))
    }

    pub fn is_direct(&self, user: Oid, relation: &Relation, command: Command) -> bool {
        self.direct
            .keys()
            .any(|(on, grantee, of)| *on == relation.oid && *of == command && self.world.has(user, *grantee))
    }

    pub fn is_error(&self, user: Oid, relation: &Relation, command: Command) -> bool {
        let for_user = |relation: Oid, named: bool| {
            self.modes
                .iter()
                .filter(|((on, role, of), _)| {
                    *on == relation && *of == command && (*role != 0) == named && self.world.has(user, *role)
                })
                .map(|(_, error)| *error)
                .collect::<Vec<bool>>()
        };
        let both = for_user(relation.oid, true);
        let one = [for_user(relation.oid, false), for_user(0, true)].concat();
        let none = for_user(0, false);
        [both, one, none]
            .into_iter()
            .find(|level| !level.is_empty())
            .is_some_and(|level| level.contains(&true))
    }

    /// The policies of a table that are for a user and a command.
    pub fn policies_for(&self, table: &str, user: Oid, command: Command) -> impl Iterator<Item = &Policy> {
        let table = table.to_owned();
        self.policies.iter().filter(move |policy| {
            policy.table == table
                && (policy.command == '*' || policy.command == command)
                && self.world.policies[&(policy.table.to_owned(), policy.name.clone())]
                    .iter()
                    .any(|role| self.world.has(user, *role))
        })
    }

    /// The expressions that decide, permissive and restrictive; without a permissive one nothing passes, and the rest is not looked at.
    fn deciding(
        &self,
        access: Access,
        command: Command,
        checks: bool,
    ) -> (Vec<&Expression>, Vec<&Expression>) {
        let of = |permissive: bool| {
            self.policies_for(access.table, access.user, command)
                .filter(|policy| policy.permissive == permissive)
                .filter_map(|policy| {
                    let check = policy.check.as_ref().filter(|_| checks);
                    check.or(policy.using.as_ref())
                })
                .collect::<Vec<_>>()
        };
        let permissive = of(true);
        let restrictive = if permissive.is_empty() { Vec::new() } else { of(false) };
        (permissive, restrictive)
    }

    fn says(&self, expression: &Expression, row: &Row, access: Access) -> Option<bool> {
        Some(match expression {
            Expression::Above(n) => row.k > *n,
            Expression::Modulo(of, is) => row.k % of == *is,
            Expression::Mine => row.who == access.me,
            Expression::Below(n) => row.v < *n,
            Expression::Null => return None,
            Expression::In(table) => {
                let inner = Access { table, needs: "r", merges: false, writes: false, ..access };
                self.visible(inner).iter().any(|seen| seen.k == row.k)
            }
        })
    }

    fn passes(&self, row: &Row, access: Access, command: Command, checks: bool) -> bool {
        if self.is_past(access) {
            return true;
        }
        let (permissive, restrictive) = self.deciding(access, command, checks);
        let holds = |expression: &&Expression| self.says(expression, row, access) == Some(true);
        permissive.iter().any(holds) && restrictive.iter().all(holds)
    }

    fn is_past(&self, access: Access) -> bool {
        let relation = self.relation(access.table);
        self.is_exempt(access.user, relation)
            || access.needs.chars().all(|command| self.is_direct(access.user, relation, command))
    }

    /// The rows of a table that a statement finds, whatever it does with them.
    fn visible(&self, access: Access) -> Vec<Row> {
        let rows = Self::parts(access.table).iter().filter_map(|part| self.rows.get(part)).flatten();
        rows.filter(|row| self.passes(row, access, 'r', false)).cloned().collect()
    }

    fn faults(&self, access: Access, found: &mut Faults) {
        let relation = self.relation(access.table);
        let denied = !self.world.may_all(access.user, relation, access.needs);
        found.denied |= denied;
        if self.is_past(access) {
            return;
        }
        let each = access.needs.chars().all(|command| self.world.may(access.user, relation, command));
        found.mode |=
            each && access.needs.chars().any(|command| self.is_error(access.user, relation, command));
        // A MERGE has the policies for DELETE in its plan, whatever it does; what only locks has no WITH CHECK.
        let all = if access.merges { "rawd" } else { access.needs };
        for command in all.chars() {
            for checks in [false, true] {
                // An INSERT has no USING of its own, but a policy without WITH CHECK lends it.
                let (permissive, restrictive) = self.deciding(access, command, checks || command == 'a');
                for expression in permissive.into_iter().chain(restrictive) {
                    if let Expression::In(table) = expression
                        && (!checks || (access.writes && "aw".contains(command)))
                    {
                        self.faults(
                            Access { table, needs: "r", merges: false, writes: false, ..access },
                            found,
                        );
                    }
                }
            }
        }
    }

    /// Down through the views: the table, as whom, which keys the views leave, and what forbids it.
    fn reach<'a>(
        &self,
        me: &'a str,
        relation: &str,
        needs: &'a str,
        found: &mut Faults,
    ) -> (Access<'a>, Vec<i64>, Option<Access<'a>>) {
        let caller = self.world.roles[me].oid;
        let mut user = caller;
        let mut name = relation;
        let (mut without, mut also) = (Vec::new(), None);
        loop {
            let (below, leaves_out) = match name {
                "v0" | "v3" => ("t0", None),
                "v1" => ("v0", Some(4)),
                "v2" => ("t1", Some(4)),
                "v4" => ("v2", Some(6)),
                table => {
                    let at = TABLES.iter().position(|name| *name == table).unwrap();
                    return (
                        Access { table: TABLES[at], me, user, needs, merges: false, writes: false },
                        without,
                        also,
                    );
                }
            };
            let view = self.relation(name);
            found.denied |= !self.world.may_all(user, view, needs);
            user = if view.invoker { caller } else { view.owner };
            if name == "v3" {
                also = Some(Access { table: "t3", me, user, needs: "r", merges: false, writes: false });
            }
            without.extend(leaves_out);
            name = below;
        }
    }

    pub fn read(&self, me: &str, relation: &str) -> Said {
        self.statement(me, relation, Statement::Read)
    }

    pub fn statement(&self, me: &str, relation: &str, statement: Statement) -> Said {
        let mut found = Faults::default();
        let (mut access, without, also) = self.reach(me, relation, statement.needs(), &mut found);
        access.merges = statement == Statement::Merge;
        access.writes = statement != Statement::Lock;
        self.faults(access, &mut found);
        // An INSERT of values asks no condition of the view.
        let also = also.filter(|_| {
            !matches!(statement, Statement::Insert | Statement::InsertReturning | Statement::Upsert)
        });
        if let Some(also) = also {
            self.faults(also, &mut found);
        }
        let mut refusals = Vec::new();
        refusals.extend(found.denied.then_some(Refusal::Denied));
        refusals.extend(found.mode.then_some(Refusal::Mode));
        if !refusals.is_empty() {
            return Said::Refused(refusals);
        }
        let others = also.map(|also| self.visible(also));
        let in_view = |row: &Row| {
            !without.contains(&row.k)
                && others.as_ref().is_none_or(|others| others.iter().any(|other| other.k == row.k))
        };
        self.run(access, relation, statement, &in_view)
    }

    fn run(
        &self,
        access: Access,
        relation: &str,
        statement: Statement,
        in_view: &dyn Fn(&Row) -> bool,
    ) -> Said {
        let root = Self::root(access.table);
        let everything: Vec<&Row> =
            Self::parts(root).iter().filter_map(|part| self.rows.get(part)).flatten().collect();
        let mut after: BTreeMap<i64, i64> = everything.iter().map(|row| (row.k, row.v)).collect();
        let here: Vec<&Row> =
            Self::parts(access.table).iter().filter_map(|part| self.rows.get(part)).flatten().collect();
        let passes = |row: &Row, command, checks| self.passes(row, access, command, checks);
        let reads = access.needs.contains('r');
        let found = |commands: &str| -> Vec<Row> {
            here.iter()
                .filter(|row| in_view(row) && commands.chars().all(|command| passes(row, command, false)))
                .map(|row| (**row).clone())
                .collect()
        };
        let keys = |rows: &[Row]| {
            let mut keys: Vec<i64> = rows.iter().map(|row| row.k).collect();
            keys.sort_unstable();
            keys
        };
        let violates = Said::Refused(vec![Refusal::Violates]);
        match statement {
            Statement::Read | Statement::Lock => Said::Done { keys: Some(keys(&found(access.needs))), after },
            Statement::UpdateAll | Statement::UpdateSome => {
                let (v, above) = if reads { (3, 2) } else { (70, i64::MIN) };
                let rows: Vec<Row> = found(access.needs).into_iter().filter(|row| row.k > above).collect();
                for row in &rows {
                    let new = Row { v, ..row.clone() };
                    if !passes(&new, 'w', true) || (reads && !passes(&new, 'r', false)) {
                        return violates;
                    }
                    after.insert(row.k, v);
                }
                Said::Done { keys: reads.then(|| keys(&rows)), after }
            }
            Statement::DeleteAll | Statement::DeleteSome => {
                let above = if reads { 2 } else { i64::MIN };
                let rows: Vec<Row> = found(access.needs).into_iter().filter(|row| row.k > above).collect();
                for row in &rows {
                    after.remove(&row.k);
                }
                Said::Done { keys: reads.then(|| keys(&rows)), after }
            }
            Statement::Insert | Statement::InsertReturning => {
                let new = Statement::new_row(relation);
                if !passes(&new, 'a', true) || (reads && !passes(&new, 'r', false)) {
                    return violates;
                }
                after.insert(new.k, new.v);
                Said::Done { keys: reads.then(|| vec![new.k]), after }
            }
            Statement::Upsert => {
                let new = Row { k: 2, who: "m2".to_owned(), v: 9 };
                if !passes(&new, 'a', true) || !passes(&new, 'r', false) {
                    return violates;
                }
                let old = here.iter().find(|row| row.k == 2);
                let v = match old {
                    None => new.v,
                    Some(old) => {
                        let changed = Row { v: 70, ..(*old).clone() };
                        if !passes(old, 'w', false)
                            || !passes(old, 'r', false)
                            || !passes(&changed, 'w', true)
                            || !passes(&changed, 'r', false)
                        {
                            return violates;
                        }
                        70
                    }
                };
                after.insert(2, v);
                Said::Done { keys: Some(vec![2]), after }
            }
            Statement::Merge => {
                let old = found("r").into_iter().find(|row| row.k == 2);
                let v = if let Some(old) = old {
                    let changed = Row { v: 70, ..old.clone() };
                    if !passes(&old, 'w', false)
                        || !passes(&changed, 'w', true)
                        || !passes(&changed, 'r', false)
                    {
                        return violates;
                    }
                    70
                } else {
                    let new = Row { k: 2, who: "m2".to_owned(), v: 9 };
                    // The server does not ask SELECT of a row that MERGE inserts.
                    if !passes(&new, 'a', true) {
                        return violates;
                    }
                    if here.iter().any(|row| row.k == 2) {
                        return Said::Refused(vec![Refusal::Duplicate]);
                    }
                    9
                };
                after.insert(2, v);
                Said::Done { keys: None, after }
            }
        }
    }

    /// The rows that a relation has, or may show.
    pub fn rows_of(&self, relation: &str) -> Vec<&Row> {
        let table = match relation {
            "v0" | "v1" | "v3" => "t0",
            "v2" | "v4" => "t1",
            table => table,
        };
        Self::parts(table).iter().filter_map(|part| self.rows.get(part)).flatten().collect()
    }

    /// What `postern.explain_row` is to say of a row: one of these.
    pub fn verdict(&self, me: &str, relation: &str, statement: Statement, row: &Row) -> Vec<&'static str> {
        let mut found = Faults::default();
        let (access, without, also) = self.reach(me, relation, statement.needs(), &mut found);
        let also = also.filter(|_| statement != Statement::Insert);
        let outer = found.denied
            || access
                .needs
                .chars()
                .any(|command| !self.world.may(access.user, self.relation(access.table), command));
        self.faults(access, &mut found);
        if let Some(also) = also {
            self.faults(also, &mut found);
        }
        if found.denied || found.mode {
            let mut verdicts = Vec::new();
            if found.denied {
                verdicts.push("permission denied");
                // A policy's own sub-select.
                if !outer {
                    verdicts.push("may raise");
                }
            }
            if found.mode {
                verdicts.extend(["error mode", "may raise"]);
            }
            return verdicts;
        }
        let in_view = also.is_none_or(|also| self.visible(also).iter().any(|other| other.k == row.k))
            && !without.contains(&row.k);
        let hidden = statement != Statement::Insert
            && statement != Statement::InsertReturning
            && (!in_view || access.needs.chars().any(|command| !self.passes(row, access, command, false)));
        if hidden {
            return vec!["hidden"];
        }
        let reads = access.needs.contains('r');
        let new = match statement {
            Statement::UpdateAll => Some((Row { v: 70, ..row.clone() }, 'w')),
            Statement::UpdateSome => Some((Row { v: 3, ..row.clone() }, 'w')),
            Statement::Insert | Statement::InsertReturning => Some((Statement::new_row(relation), 'a')),
            _ => None,
        };
        let refused = new.is_some_and(|(new, command)| {
            !self.passes(&new, access, command, true) || (reads && !self.passes(&new, access, 'r', false))
        });
        vec![match statement {
            _ if refused => "refused",
            Statement::Read => "visible",
            _ => "allowed",
        }]
    }

    /// A row of `postern.row_access`.
    pub fn access(&self, role: &str, table: &str, command: Command) -> &'static str {
        let user = self.world.roles[role].oid;
        let relation = self.relation(table);
        if !self.world.may(user, relation, command) {
            "none"
        } else if !relation.row_security {
            "open"
        } else if self.world.role(user).1.bypass {
            "bypass"
        } else if self.is_exempt(user, relation) {
            "owner"
        } else if self.is_direct(user, relation, command) {
            "direct"
        } else if self.is_error(user, relation, command) {
            "error"
        } else if self.policies_for(table, user, command).any(|policy| {
            policy.permissive && (policy.using.is_some() || (command == 'a' && policy.check.is_some()))
        }) {
            "filtered"
        } else {
            "none"
        }
    }

    /// A statement of somebody else's has taken privileges away, or given tables to another owner: whose direct access went with that.
    pub fn lose(&mut self, before: &World, takes_privileges: bool) {
        let acl = |world: &World, on: Oid| -> BTreeSet<Entry> {
            world
                .relations
                .values()
                .find(|relation| relation.oid == on)
                .map(|relation| relation.acl.clone())
                .unwrap_or_default()
        };
        let world = &self.world;
        self.direct.retain(|(on, grantee, command), (_, option)| {
            let of = |entries: &BTreeSet<Entry>| -> Vec<Entry> {
                entries
                    .iter()
                    .filter(|entry| entry.grantee == *grantee && entry.command == *command)
                    .cloned()
                    .collect()
            };
            let (was, is) = (of(&acl(before, *on)), of(&acl(world, *on)));
            *option &= is.iter().any(|entry| entry.option);
            !is.is_empty() && (!takes_privileges || was.len() <= is.len())
        });
        self.forget_passed_on();
    }

    /// What rests on a grant option that is gone.
    pub fn forget_passed_on(&mut self) {
        loop {
            let holders: BTreeSet<(Oid, Oid, Command)> =
                self.direct.iter().filter(|(_, (_, option))| *option).map(|(cell, _)| *cell).collect();
            let before = self.direct.len();
            self.direct.retain(|(on, _, command), (grantor, _)| {
                *grantor == 0 || holders.contains(&(*on, *grantor, *command))
            });
            if self.direct.len() == before {
                return;
            }
        }
    }
}
