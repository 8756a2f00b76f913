//! Random DDL by roles that are not administrators: whatever they do, in whatever order, no replicated table ends with code that the
//! rules forbid, and no trigger stands that no rule allows.
//!
//! The judge of the test is not the judge of the extension: it knows the rules as plain comparisons of owners.

use std::fmt::Write as _;

use postern_cluster::Cluster;

use crate::pair::server;

/// A generator that gives the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }
}

const ROLES: [&str; 3] = ["anna", "bert", "team"];
const TABLES: [&str; 4] = ["t1", "t2", "parent", "child"];
const FUNCTIONS: [&str; 4] = ["f1", "f2", "f3", "f4"];
const TESTS: [&str; 2] = ["w1", "w2"];

fn statement(dice: &mut Dice) -> String {
    let role = dice.of(&ROLES);
    let (table, function, test, other) =
        (dice.of(&TABLES), dice.of(&FUNCTIONS), dice.of(&TESTS), dice.of(&ROLES));
    let trigger = dice.of(&["a", "b", "c"]);
    let security = dice.of(&["security definer", "security invoker"]);
    let sql = match dice.roll(20) {
        0..=3 => {
            let replace = dice.of(&["", "or replace "]);
            let when = if dice.roll(3) == 0 { format!("when (s.{test}(new.id))") } else { String::new() };
            format!(
                "create {replace}trigger {trigger} before insert on s.{table} for each row {when} execute function s.{function}()"
            )
        }
        4 => format!("drop trigger {trigger} on s.{table}"),
        5 => format!(
            "alter table s.{table} {} trigger {trigger}",
            dice.of(&["enable always", "enable replica", "disable", "enable"])
        ),
        6 => format!("alter table s.{table} owner to {other}"),
        7 | 8 => format!("alter function s.{function}() {security}"),
        9 => format!("alter function s.{function}() owner to {other}"),
        10 => format!(
            "create or replace function s.{function}() returns trigger language plpgsql {security} as 'begin return new; end'"
        ),
        11 => format!("alter function s.{test}(int) {}", dice.of(&["security definer", "security invoker"])),
        12 => format!("alter function s.{test}(int) owner to {other}"),
        13 => format!("alter domain s.d owner to {other}"),
        14 => format!("alter domain s.d add check (s.{test}(value)) not valid"),
        15 => format!("alter table s.{table} add check (s.{test}(id)) not valid"),
        16 => format!("alter publication p {} table s.{table}", dice.of(&["add", "drop", "set"])),
        18 => format!("alter table s.{table} add check ((id::s.d) is not null) not valid"),
        17 => format!("alter table s.parent {} partition s.child{}", "detach", ""),
        _ => "alter table s.parent attach partition s.child for values in (1)".to_owned(),
    };
    match dice.roll(4) {
        0 => format!("begin; set local role {role}; {sql}; commit;"),
        1 => format!(
            "set role {role}; do $x$ begin begin {sql}; exception when others then null; end; end $x$; reset role;"
        ),
        _ => format!("set role {role}; {sql}; reset role;"),
    }
}

/// The statements are those of this number.
const SEED: u64 = 20_260_727;

const SETUP: &str = "\\set ON_ERROR_STOP 0
         set client_min_messages = fatal;
         create schema s; grant all on schema s to public; grant create on database :DBNAME to public;
         set role anna; create table s.t1 (id int); create function s.f1() returns trigger language plpgsql as 'begin return new; end';
         create function s.w1(int) returns bool language sql as 'select true'; create domain s.d as int;
         create publication p; grant trigger on s.t1 to public;
         set role bert; create table s.t2 (id int); create function s.f2() returns trigger language plpgsql as 'begin return new; end';
         create function s.w2(int) returns bool language sql as 'select true'; grant trigger on s.t2 to public;
         create function s.f4() returns trigger language plpgsql security definer as 'begin return new; end';
         set role team; create table s.parent (id int) partition by list (id); create table s.child (id int);
         create function s.f3() returns trigger language plpgsql as 'begin return new; end'; grant trigger on s.parent, s.child to public;
         reset role; alter publication p owner to anna;
         grant select on all tables in schema s to public;
         create table bad (n int, what text);
         -- The rules as the test knows them.
         create view judged as
           with recursive m (oid) as (
             select prrelid from pg_publication_rel
             union select inhrelid from m join pg_class c using (oid) join pg_inherits on inhparent = oid where relkind = 'p')
           select 'trigger ' || t.tgname || ' of ' || c.oid::regclass as what
             from m join pg_class c using (oid) join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal join pg_proc p on p.oid = t.tgfoid
            where p.proowner <> c.relowner and not p.prosecdef and t.tgenabled <> 'D'
           union all
           select 'condition of ' || t.tgname from m join pg_class c using (oid) join pg_trigger t on t.tgrelid = c.oid and t.tgenabled <> 'D'
             join pg_depend d on d.classid = 'pg_trigger'::regclass and d.objid = t.oid and d.refclassid = 'pg_proc'::regclass and d.refobjid <> t.tgfoid
             join pg_proc p on p.oid = d.refobjid where p.proowner <> c.relowner and not p.prosecdef
           union all
           select 'check ' || k.conname from m join pg_class c using (oid) join pg_constraint k on k.conrelid = c.oid and k.contype = 'c'
             join pg_depend d on d.classid = 'pg_constraint'::regclass and d.objid = k.oid and d.refclassid = 'pg_proc'::regclass
             join pg_proc p on p.oid = d.refobjid where p.proowner <> c.relowner and not p.prosecdef
           union all
           select 'cast in ' || k.conname from m join pg_class c using (oid) join pg_constraint k on k.conrelid = c.oid and k.contype = 'c'
             join pg_depend d on d.classid = 'pg_constraint'::regclass and d.objid = k.oid and d.refclassid = 'pg_type'::regclass
             join pg_type y on y.oid = d.refobjid and y.typtype = 'd'
            where y.typowner <> c.relowner or exists (
                select from pg_constraint q join pg_depend e on e.classid = 'pg_constraint'::regclass and e.objid = q.oid and e.refclassid = 'pg_proc'::regclass
                  join pg_proc p on p.oid = e.refobjid where q.contypid = y.oid and p.proowner <> c.relowner and not p.prosecdef);\n";

/// Runs the statements in a database of their own, under the setting; gives after how many of them something was wrong.
fn run(server: &Cluster, database: &str, setting: &str, rounds: usize) -> usize {
    server.create_database(database, true).unwrap();
    let mut script = format!("\\o /dev/null\n{SETUP}set postern.trigger_rule = {setting};\n");
    let mut dice = Dice(SEED);
    for n in 0..rounds {
        script.push_str(&statement(&mut dice));
        let _ = writeln!(script, "\nrollback; reset role; insert into bad select {n}, what from judged;");
    }
    script.push_str("\\o\nselect count(distinct n) from bad;");
    let output = server.psql(database, &script).unwrap();
    output.parse().unwrap()
}

#[test]
fn no_order_of_statements_leaves_what_the_rules_forbid() {
    let server = server();
    server
        .psql("postgres", "create role anna nologin; create role team nologin; create role bert nologin in role team; grant anna to bert")
        .unwrap();
    if run(&server, "ruled", "members", 400) > 0 {
        let first = server.psql("ruled", "select min(n) from bad").unwrap();
        let what = server
            .psql("ruled", "select string_agg(what, ', ') from bad where n = (select min(n) from bad)")
            .unwrap();
        let mut dice = Dice(SEED);
        let last = (0..=first.parse().unwrap()).map(|_: usize| statement(&mut dice)).last().unwrap();
        panic!("{what}\nafter: {last}");
    }
    // It is no silence: triggers stand, and the same statements without the rules leave what is forbidden.
    let stands = "select count(*) > 2 from pg_trigger where not tgisinternal and tgname in ('a', 'b', 'c')";
    assert_eq!(server.psql("ruled", stands).unwrap(), "t");
    assert!(run(&server, "unruled", "off", 100) > 10);
}
