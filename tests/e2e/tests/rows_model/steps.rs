//! What changes: one statement after another, by whoever, also by those who may not.

use super::Session;
use super::model::{Expression, Model, Policy, ROLES, TABLES, VIEWS};
use super::world::{Command, Oid, World};
use postern_e2e::Random;

const COMMANDS: [(Command, &str); 4] = [('r', "SELECT"), ('a', "INSERT"), ('w', "UPDATE"), ('d', "DELETE")];
const BY: [&str; 7] = ["m0", "m1", "m2", "m3", "m4", "m5", "postgres"];

/// What a step may be refused with: no right, a circle of grants or of roles, what rests on a grant, no row security on the table.
const REFUSALS: [&str; 4] = ["42501", "0LP01", "2BP01", "55000"];

fn names(commands: &[(Command, &str)]) -> String {
    commands.iter().map(|command| command.1).collect::<Vec<_>>().join(", ")
}

/// A statement by somebody; whether it was done. What the server refuses, it refuses with a reason that is one.
async fn run(session: &Session, by: &str, sql: &str) -> bool {
    let client = &session.client;
    let done = client.batch_execute(&format!("begin; set local role {by}; {sql}; commit")).await;
    let Err(error) = done else { return true };
    client.batch_execute("rollback").await.unwrap();
    let error = error.as_db_error().expect("the server is there").clone();
    assert!(REFUSALS.contains(&error.code().code()), "{by}: {sql}: {error}");
    false
}

/// What there is at the beginning: owners, rights and row security on most tables.
pub async fn begin(random: &mut Random, session: &Session, model: &mut Model) {
    for table in TABLES {
        let owner = *random.pick(&ROLES);
        let sql = format!("alter table w.{table} owner to {owner}");
        assert!(run(session, "postgres", &sql).await);
        if random.percent(85) {
            let force = if random.percent(40) { "force" } else { "no force" };
            let sql = format!("alter table w.{table} enable row level security, {force} row level security");
            assert!(run(session, "postgres", &sql).await);
        }
        for role in random.some(&ROLES) {
            let sql = format!("grant {} on w.{table} to {role}", names(&random.some(&COMMANDS)));
            assert!(run(session, "postgres", &sql).await);
        }
        for _ in 0..random.below(3) {
            policy(random, session, model).await;
            read(session, model).await;
        }
    }
    for view in VIEWS.into_iter().chain(["x0"]) {
        let owner = *random.pick(&ROLES);
        let sql = format!("alter view w.{view} owner to {owner}; grant all on w.{view} to m0, m1, m2, m3");
        assert!(run(session, "postgres", &sql).await);
    }
    for function in ["d0", "d1"] {
        let owner = *random.pick(&ROLES);
        assert!(run(session, "postgres", &format!("alter function w.{function}() owner to {owner}")).await);
    }
    read(session, model).await;
}

async fn read(session: &Session, model: &mut Model) {
    model.world = World::read(&session.client).await;
    let world = &model.world;
    model
        .policies
        .retain(|policy| world.policies.contains_key(&(policy.table.to_owned(), policy.name.clone())));
}

/// One step; what was said.
pub async fn step(random: &mut Random, session: &Session, model: &mut Model) -> String {
    let by = *random.pick(&BY);
    let before = model.world.clone();
    let said = match random.below(100) {
        0..20 => grant_direct(random, session, model, by).await,
        20..30 => revoke_direct(random, session, model, by).await,
        30..38 => plain(random, session, by, true).await,
        38..52 => plain(random, session, by, false).await,
        52..60 => member(random, session).await,
        60..66 => flags(random, session).await,
        66..72 => owners(random, session, model, &before).await,
        72..80 => policy(random, session, model).await,
        80..90 => mode(random, session, model).await,
        90..95 => view(random, session).await,
        _ => taken_back(random, session).await,
    };
    read(session, model).await;
    if said.1 != Loses::Nothing {
        model.lose(&before, said.1 == Loses::Privileges);
    }
    said.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loses {
    Nothing,
    Privileges,
    Ownership,
}

type Step = (String, Loses);

/// What somebody grants as: the owner (0), or a role that has the grant option.
fn grantor(model: &Model, by: &str, on: Oid, command: Command) -> Option<Oid> {
    let world = &model.world;
    let who = world.roles[by].oid;
    let relation = world.relations.values().find(|relation| relation.oid == on).unwrap();
    if world.has(who, relation.owner) {
        return Some(0);
    }
    let mut holders: Vec<Oid> = model
        .direct
        .iter()
        .filter(|((at, grantee, of), (_, option))| {
            *at == on && *of == command && *option && world.has(who, *grantee)
        })
        .map(|((_, grantee, _), _)| *grantee)
        .collect();
    holders.sort_unstable_by_key(|holder| (*holder != who, *holder));
    holders.first().copied()
}

async fn grant_direct(random: &mut Random, session: &Session, model: &mut Model, by: &str) -> Step {
    let table = *random.pick(&TABLES);
    let (roles, commands) = (random.some(&ROLES), random.some(&COMMANDS));
    let option = random.percent(30);
    let sql = format!(
        "select postern.grant_direct('{{{}}}', 'w.{table}', '{{{}}}', {option})",
        names(&commands),
        roles.join(",")
    );
    let done = run(session, by, &sql).await;
    let relation = model.world.relations[table].clone();
    let grantors: Vec<Option<Oid>> =
        commands.iter().map(|(c, _)| grantor(model, by, relation.oid, *c)).collect();
    let may = relation.row_security && grantors.iter().all(Option::is_some);
    // To whom somebody's own grant option comes from, it cannot be given back.
    assert!(done == may || (!done && option), "{by}: {sql}: {done}, {grantors:?}");
    if done {
        for role in &roles {
            for (command, _) in &commands {
                let grantee = model.world.roles[*role].oid;
                let acts_as = grantor(model, by, relation.oid, *command).unwrap();
                let cell = model.direct.entry((relation.oid, grantee, *command)).or_insert((acts_as, option));
                let adds = option && !cell.1;
                if cell.0 != 0 && (acts_as == 0 || adds) {
                    cell.0 = acts_as;
                }
                cell.1 |= option;
            }
        }
    }
    (format!("/* {by} */ {sql} -- {done}"), Loses::Nothing)
}

async fn revoke_direct(random: &mut Random, session: &Session, model: &mut Model, by: &str) -> Step {
    let table = *random.pick(&TABLES);
    let (roles, commands) = (random.some(&ROLES), random.some(&COMMANDS));
    let keep = random.percent(50);
    let sql = format!(
        "select postern.revoke_direct('{{{}}}', 'w.{table}', '{{{}}}', {keep})",
        names(&commands),
        roles.join(",")
    );
    let done = run(session, by, &sql).await;
    let on = model.world.relations[table].oid;
    let may = commands.iter().all(|(command, _)| grantor(model, by, on, *command).is_some());
    assert!(if keep && by != "postgres" && !may { !done } else { done || !keep }, "{by}: {sql}: {done}");
    if done {
        for role in &roles {
            for (command, _) in &commands {
                let Some(acts_as) = grantor(model, by, on, *command) else { continue };
                let cell = (on, model.world.roles[*role].oid, *command);
                if model.direct.get(&cell).is_some_and(|(from, _)| acts_as == 0 || *from == acts_as) {
                    model.direct.remove(&cell);
                }
                model.forget_passed_on();
            }
        }
    }
    (format!("/* {by} */ {sql} -- {done}"), Loses::Privileges)
}

/// GRANT and REVOKE, of the server and ours.
async fn plain(random: &mut Random, session: &Session, by: &str, gives: bool) -> Step {
    let on = match random.below(10) {
        0 => "all tables in schema w".to_owned(),
        1 => format!("w.{}, w.{}", random.pick(&TABLES), random.pick(&TABLES)),
        2 => format!("w.{}", random.pick(&VIEWS)),
        _ => format!("w.{}", random.pick(&TABLES)),
    };
    let commands = if random.percent(15) { "all".to_owned() } else { names(&random.some(&COMMANDS)) };
    let to = if random.percent(8) { "public".to_owned() } else { random.some(&ROLES).join(", ") };
    let option = random.percent(25);
    let sql = if gives && random.percent(25) {
        // Not on tables below views, which use other columns than the statement.
        let on = random.pick(&["t1a", "t1b", "t2", "c2", "t4"]);
        let columns = random.some(&["select (k)", "insert (k, who, v)", "update (v)"]).join(", ");
        format!("grant {columns} on w.{on} to {to}")
    } else if gives {
        let option = if option && to != "public" { " with grant option" } else { "" };
        format!("grant {commands} on {on} to {to}{option}")
    } else if random.percent(15) && to != "public" && !on.contains([',', ' ']) && TABLES.contains(&&on[2..]) {
        let to = to.replace(' ', "");
        format!("select postern.revoke('{{{commands}}}', '{on}', '{{{to}}}')")
    } else {
        let option = if option { "grant option for " } else { "" };
        let cascade = if random.percent(60) { " cascade" } else { "" };
        format!("revoke {option}{commands} on {on} from {to}{cascade}")
    };
    let done = run(session, by, &sql).await;
    (format!("/* {by} */ {sql} -- {done}"), if gives { Loses::Nothing } else { Loses::Privileges })
}

async fn member(random: &mut Random, session: &Session) -> Step {
    let of = if random.percent(20) {
        *random.pick(&["pg_read_all_data", "pg_write_all_data"])
    } else {
        *random.pick(&ROLES)
    };
    let role = *random.pick(&ROLES);
    let sql =
        if random.percent(55) { format!("grant {of} to {role}") } else { format!("revoke {of} from {role}") };
    let done = run(session, "postgres", &sql).await;
    (format!("{sql} -- {done}"), Loses::Nothing)
}

async fn flags(random: &mut Random, session: &Session) -> Step {
    let role = *random.pick(&ROLES);
    let table = *random.pick(&TABLES);
    let sql = match random.below(8) {
        0 => format!("alter role {role} noinherit"),
        1 => format!("alter role {role} inherit"),
        2 => format!("alter role {role} bypassrls"),
        3 => format!("alter role {role} nobypassrls"),
        4 => format!("alter table w.{table} disable row level security"),
        5 => format!("alter table w.{table} force row level security"),
        6 => format!("alter table w.{table} no force row level security"),
        _ => format!("alter table w.{table} enable row level security"),
    };
    let done = run(session, "postgres", &sql).await;
    (format!("{sql} -- {done}"), Loses::Nothing)
}

async fn owners(random: &mut Random, session: &Session, model: &mut Model, before: &World) -> Step {
    let role = *random.pick(&ROLES);
    let other = *random.pick(&ROLES);
    let sql = match random.below(6) {
        0 => format!("reassign owned by {role} to {other}"),
        1 if role != other => {
            // Who owns nothing any more can lose what was granted to it, and more.
            let first = format!("reassign owned by {role} to {other}");
            assert!(run(session, "postgres", &first).await);
            model.world = World::read(&session.client).await;
            model.lose(before, false);
            let between = model.world.clone();
            let sql = format!("drop owned by {role}");
            assert!(run(session, "postgres", &sql).await);
            model.world = World::read(&session.client).await;
            model.lose(&between, true);
            return (format!("{first}; {sql}"), Loses::Nothing);
        }
        2 => format!("alter view w.{} owner to {role}", random.pick(&VIEWS)),
        3 => format!("alter function w.{}() owner to {role}", random.pick(&["d0", "d1"])),
        _ => format!("alter table w.{} owner to {role}", random.pick(&TABLES)),
    };
    let done = run(session, "postgres", &sql).await;
    (format!("{sql} -- {done}"), Loses::Ownership)
}

fn expression(random: &mut Random, table: &str) -> Expression {
    let others: &[&'static str] = match table {
        "t3" => &["t4"],
        "t4" => &[],
        _ => &["t3", "t4"],
    };
    match random.below(10) {
        0..2 => Expression::Above(0),
        2 => Expression::Above(4),
        3..5 => Expression::Modulo(2, random.below(2)),
        5 => Expression::Mine,
        6 => Expression::Below(50),
        7 => Expression::Null,
        _ if others.is_empty() => Expression::Modulo(3, 0),
        _ => Expression::In(others[random.below(others.len())]),
    }
}

async fn policy(random: &mut Random, session: &Session, model: &mut Model) -> Step {
    if random.percent(35) && !model.policies.is_empty() {
        let at = random.below(model.policies.len());
        let (table, name) = (model.policies[at].table, model.policies[at].name.clone());
        let sql = if random.percent(50) {
            format!("drop policy {name} on w.{table}")
        } else {
            let to = if random.percent(30) { "public".to_owned() } else { random.some(&ROLES).join(", ") };
            format!("alter policy {name} on w.{table} to {to}")
        };
        assert!(run(session, "postgres", &sql).await, "{sql}");
        return (sql, Loses::Nothing);
    }
    let table = *random.pick(&TABLES);
    let command = *random.pick(&['*', '*', 'r', 'a', 'w', 'd']);
    let using = (command != 'a' && random.percent(85)).then(|| expression(random, table));
    let check = ("*aw".contains(command) && (using.is_none() || random.percent(40)))
        .then(|| expression(random, table));
    let permissive = random.percent(65);
    let to = if random.percent(50) { "public".to_owned() } else { random.some(&ROLES).join(", ") };
    let name = format!("p{}", model.policies.len() + random.below(1_000_000));
    let sql = format!(
        "create policy {name} on w.{table} as {} for {} to {to}{}{}",
        if permissive { "permissive" } else { "restrictive" },
        COMMANDS.iter().find(|known| known.0 == command).map_or("all", |known| known.1),
        using.as_ref().map(|using| format!(" using ({using})")).unwrap_or_default(),
        check.as_ref().map(|check| format!(" with check ({check})")).unwrap_or_default(),
    );
    if run(session, "postgres", &sql).await {
        model.policies.push(Policy { table, name, permissive, command, using, check });
    }
    (sql, Loses::Nothing)
}

async fn mode(random: &mut Random, session: &Session, model: &mut Model) -> Step {
    let mode = *random.pick(&["error", "on", "default", "default"]);
    let table = random.percent(65).then(|| *random.pick(&TABLES));
    let role = random.percent(75).then(|| *random.pick(&ROLES));
    let commands = random.some(&COMMANDS);
    let quoted = |name: Option<String>| name.map_or_else(|| "null".to_owned(), |name| format!("'{name}'"));
    let sql = format!(
        "select postern.set_row_security('{mode}', {}, {}, '{{{}}}')",
        quoted(table.map(|table| format!("w.{table}"))),
        quoted(role.map(str::to_owned)),
        names(&commands)
    );
    assert!(run(session, "postgres", &sql).await, "{sql}");
    for (command, _) in commands {
        let on = table.map_or(0, |table| model.world.relations[table].oid);
        let cell = (on, role.map_or(0, |role| model.world.roles[role].oid), command);
        if mode == "default" {
            model.modes.remove(&cell);
        } else {
            model.modes.insert(cell, mode == "error");
        }
    }
    (sql, Loses::Nothing)
}

async fn view(random: &mut Random, session: &Session) -> Step {
    let view = *random.pick(&VIEWS);
    let sql = match random.below(3) {
        0 => format!("alter view w.{view} set (security_invoker = true)"),
        1 => format!("alter view w.{view} set (security_invoker = false)"),
        _ => format!("grant all on w.{view} to {}", random.pick(&ROLES)),
    };
    let done = run(session, "postgres", &sql).await;
    (format!("{sql} -- {done}"), Loses::Nothing)
}

/// What is rolled back has never been: in a transaction or a part of one, with a statement between that sees it.
async fn taken_back(random: &mut Random, session: &Session) -> Step {
    let table = *random.pick(&TABLES);
    let roles = random.some(&ROLES).join(",");
    let change = match random.below(5) {
        0 => format!("select postern.grant_direct('{{all}}', 'w.{table}', '{{{roles}}}', true)"),
        1 => format!("select postern.revoke_direct('{{all}}', 'w.{table}', '{{{roles}}}', true)"),
        2 => format!("revoke all on w.{table} from {roles} cascade"),
        3 => format!("drop owned by {}", random.pick(&ROLES)),
        _ => "select postern.set_row_security('error')".to_owned(),
    };
    let look = format!(
        "set local role {}; select count(*) from w.{}; reset role",
        random.pick(&ROLES),
        random.pick(&TABLES)
    );
    let sql = if random.percent(50) {
        format!("begin; savepoint s; {change}; savepoint l; {look}; rollback to s; commit")
    } else {
        format!("begin; {change}; {look}; rollback")
    };
    if session.client.batch_execute(&sql).await.is_err() {
        session.client.batch_execute("rollback").await.unwrap();
    }
    (sql, Loses::Nothing)
}
