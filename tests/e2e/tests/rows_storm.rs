//! Rows under a storm: sixteen sessions read and write, prepared and not, through views, functions, cursors, workers and rolled-back
//! subtransactions, while direct access, modes, policies, columns and roles change under them, statements are cancelled and sessions ended.
//!
//! Two things must hold. No process of the server dies of it: its log says. And while nothing changes, every session sees exactly what
//! the last change says, at its next statement, also of one that was prepared before: that is asked of each of them after every change.
//!
//! `POSTERN_SOAK_SECONDS` says how long; without it, so many rounds.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use postern_cluster::{Cluster, Installation};
use tokio_postgres::{Client, NoTls};

const ROUNDS: u32 = 4;
const SESSIONS: usize = 16;
/// Who changes nothing for longer than this waits for a session that hangs.
const LIMIT: Duration = Duration::from_mins(1);

/// 200 rows of each of ten tenants. Rows that a session writes and takes back are in nobody's sight.
const SETUP: &str = "
    create role owner nologin; create role clerk login; create role boss login;
    grant create on schema public to owner;
    set role owner;
    create table member (who name, tenant int);
    insert into member values ('clerk', 5), ('boss', 6);
    create table doc (id int primary key, tenant int, amount int);
    insert into doc select n, n % 10, n from generate_series(1, 2000) n;
    create index on doc (tenant);
    alter table doc enable row level security;
    select postern.create_policy('doc', 'mine', run_as => 'owner', using_qual => 'tenant in (select m.tenant from member m where m.who = current_user)');
    create view lens with (security_invoker) as select id, tenant from doc;
    create function docs() returns table (id int, tenant int) language sql stable as 'select d.id, d.tenant from doc d';
    create function attempts(n int) returns int language plpgsql as $$
    declare seen int := 0;
    begin
        begin insert into doc values (n, 1, 1); exception when unique_violation or insufficient_privilege then seen := seen + 1; end;
        begin perform 1 / (d.tenant - d.tenant) from doc d; exception when division_by_zero or insufficient_privilege then seen := seen + 1; end;
        begin update doc set amount = amount where id = n; raise exception using errcode = 'PST99'; exception when sqlstate 'PST99' or insufficient_privilege then seen := seen + 1; end;
        return seen;
    end $$;
    grant select, insert, update, delete on doc to clerk, boss;
    grant select on lens to clerk, boss";

/// What is said to the sessions: a number that grows with every change, and in its last digit what holds. While something changes, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing = 0,
    Filtered = 1,
    Direct = 2,
    Error = 3,
}

/// What the sessions and whoever changes things tell each other.
#[derive(Debug)]
struct Shared {
    now: AtomicU64,
    over: AtomicBool,
    /// The last state that each session has found to hold.
    found: [AtomicU64; SESSIONS],
}

impl Shared {
    fn say(&self, holds: Holds) -> u64 {
        let next = (self.now.load(SeqCst) / 10 + 1) * 10 + holds as u64;
        self.now.store(next, SeqCst);
        next
    }
}

/// However the test ends, the sessions do: a connection that fails at once would have them try for ever.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.over.store(true, SeqCst);
    }
}

async fn session(url: &str) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(connection);
    // Workers even for a table as small as this. Both spellings: 16 has a new one.
    let workers = "select set_config(name, 'on', false) from pg_settings where name in ('force_parallel_mode', 'debug_parallel_query') and pg_backend_pid() % 4 = 0";
    client.batch_execute(workers).await.ok()?;
    Some(client)
}

/// What one read comes to: all rows and those of other tenants than the session's own, or the error mode's refusal. `None`: it was
/// cancelled or ended, which says nothing.
fn outcome(
    result: Result<Vec<tokio_postgres::Row>, tokio_postgres::Error>,
) -> Option<Result<(i64, i64), String>> {
    match result {
        Ok(rows) => Some(Ok((rows[0].get(0), rows[0].get(1)))),
        Err(error) => match error.as_db_error() {
            Some(said) if ["57014", "57P01"].contains(&said.code().code()) => None,
            Some(said) if said.message().starts_with("row security would filter") => {
                Some(Err(said.message().to_owned()))
            }
            Some(said) => panic!("{said:?}"),
            None => None,
        },
    }
}

async fn read_on(shared: Arc<Shared>, url: String, n: usize) {
    let boss = n.is_multiple_of(2);
    let own = if boss { 6 } else { 5 };
    let from = ["doc", "lens", "docs()", "(select tenant from doc where id > 0 offset 0) q"][n / 2 % 4];
    let sql = format!("select count(*), count(*) filter (where tenant <> {own}) from {from}");
    while !shared.over.load(SeqCst) {
        let Some(client) = session(&url).await else { continue };
        let Ok(prepared) = client.prepare(&sql).await else { continue };
        for turn in 0_usize.. {
            if shared.over.load(SeqCst) || client.is_closed() {
                break;
            }
            let before = shared.now.load(SeqCst);
            let result = if (turn + n).is_multiple_of(3) {
                client.query(&sql, &[]).await
            } else {
                client.query(&prepared, &[]).await
            };
            let Some(outcome) = outcome(result) else { continue };
            let holds = before % 10;
            if before == shared.now.load(SeqCst) && holds != Holds::Nothing as u64 {
                let wanted =
                    if boss && holds == Holds::Direct as u64 { Ok((2000, 1800)) } else { Ok((200, 0)) };
                if !boss && holds == Holds::Error as u64 {
                    assert!(outcome.is_err(), "{from}: {outcome:?}");
                } else {
                    assert_eq!(outcome, wanted, "{from} as {own}, {before}");
                }
                shared.found[n].store(before, SeqCst);
            }
            // What else a session does, and does not care how it ends.
            let more = match turn % 4 {
                0 => "select attempts(7)",
                1 => {
                    "begin; declare c cursor for select id from doc; fetch 3 from c; savepoint s; update doc set amount = 0 where id = 15; rollback to s; fetch 3 from c; commit"
                }
                2 => "explain (analyze, costs off) select id from doc where amount = 3; discard plans",
                _ => {
                    "begin; delete from doc where id < 30; savepoint s; insert into doc values (5000, 5, 1); rollback"
                }
            };
            if client.batch_execute(more).await.is_err() {
                // It may be cancelled itself, and then the transaction is still there.
                while client.batch_execute("rollback").await.is_err() && !client.is_closed() {}
            }
        }
    }
}

/// Changes of every kind, while sessions are cancelled and ended.
const CHANGES: [&str; 8] = [
    "select pg_cancel_backend(pid) from pg_stat_activity where usename in ('clerk', 'boss') order by random() limit 3",
    "begin; select count(*) from postern.grant_direct('{all}', 'doc', '{clerk}'); select postern.set_row_security('error'); create table passing (a int); drop table passing; rollback",
    "alter table doc add column more int",
    "select postern.create_policy('doc', 'also', run_as => 'owner', using_qual => 'exists (select from member m where m.tenant = doc.tenant and m.who = current_user)')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename in ('clerk', 'boss') order by random() limit 2",
    "create role passing; grant passing to boss; grant select on doc to passing; drop owned by passing; drop role passing",
    "select postern.drop_policy('doc', 'also'); alter table doc drop column more; analyze doc",
    "select pg_cancel_backend(pid) from pg_stat_activity where usename in ('clerk', 'boss') order by random() limit 3",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_dies_and_no_session_sees_what_no_longer_holds() {
    storm(Installation::find().unwrap(), ROUNDS).await;
}

/// The plans of other versions are kept by other rules, and theirs have another shape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_they_on_another_version() {
    let tested = Installation::find().unwrap().major;
    for server in Installation::find_all().unwrap().into_iter().filter(|server| server.major != tested) {
        match postern_cluster::extension_folder(server.major) {
            Ok(_) => storm(server, 1).await,
            Err(reason) => postern_cluster::skipped("a storm on rows", reason),
        }
    }
}

async fn storm(server: Installation, rounds: u32) {
    let major = server.major;
    let cluster = Cluster::builder()
        .installation(server)
        .extension(true)
        .setting("parallel_setup_cost", "0")
        .setting("parallel_tuple_cost", "0")
        .setting("min_parallel_table_scan_size", "0")
        .setting("deadlock_timeout", "100ms")
        .start()
        .unwrap();
    cluster.create_database("app", true).unwrap();
    cluster.psql("app", SETUP).unwrap();
    for role in ["clerk", "boss"] {
        cluster.set_password(role).unwrap();
    }
    let shared = Arc::new(Shared {
        now: AtomicU64::new(0),
        over: AtomicBool::new(false),
        found: std::array::from_fn(|_| AtomicU64::new(0)),
    });
    let _ends = Ends(Arc::clone(&shared));
    let urls = [cluster.url("clerk", "app"), cluster.url("boss", "app")];
    let mut sessions: Vec<_> = (0..SESSIONS)
        .map(|n| {
            tokio::spawn(read_on(Arc::clone(&shared), urls[usize::from(n.is_multiple_of(2))].clone(), n))
        })
        .collect();

    let admin = session(&cluster.url(cluster.superuser(), "app")).await.unwrap();
    let seconds = std::env::var("POSTERN_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let begun = Instant::now();
    let mut round = 0;
    while seconds.map_or(round < rounds, |seconds| begun.elapsed() < Duration::from_secs(seconds)) {
        round += 1;
        for (change, holds) in [
            ("select count(*) from postern.grant_direct('{all}', 'doc', '{boss}')", Holds::Direct),
            ("select count(*) from postern.revoke_direct('{all}', 'doc', '{boss}', true)", Holds::Filtered),
            ("select postern.set_row_security('error', 'doc', 'clerk')", Holds::Error),
            ("select postern.set_row_security('default', 'doc', 'clerk')", Holds::Filtered),
        ] {
            shared.say(Holds::Nothing);
            for sql in CHANGES {
                // It may be the one that the server picks where two wait for each other.
                while let Err(error) = admin.batch_execute(sql).await {
                    let code = error.code().map(tokio_postgres::error::SqlState::code);
                    assert_eq!(code, Some("40P01"), "{sql}: {error:?}");
                    admin.batch_execute("rollback").await.unwrap();
                }
            }
            admin.batch_execute(change).await.unwrap();
            let said = shared.say(holds);
            let since = Instant::now();
            while shared.found.iter().any(|found| found.load(SeqCst) != said) {
                if let Some(ended) = sessions.iter().position(tokio::task::JoinHandle::is_finished) {
                    sessions.swap_remove(ended).await.unwrap();
                }
                assert!(since.elapsed() < LIMIT, "a session hangs: {:?}", shared.found);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    shared.over.store(true, SeqCst);
    for session in sessions {
        session.await.unwrap();
    }
    let log = fs::read_to_string(cluster.folder().join("log")).unwrap();
    let bad = [
        "terminated by signal",
        "PANIC",
        "panicked",
        "TRAP",
        "stack smashing",
        "cache lookup failed",
        "is still referenced",
    ];
    let said: Vec<&str> = log.lines().filter(|line| bad.iter().any(|word| line.contains(word))).collect();
    assert!(said.is_empty(), "{major}: {said:#?}");
    // Nothing that a session did stayed.
    assert_eq!(cluster.psql("app", "select count(*), sum(amount) from doc").unwrap().trim(), "2000|2001000");
}
