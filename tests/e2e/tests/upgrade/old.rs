//! A server with today's library and a database as version 0.1.0 left it, with durable functions under way.
//!
//! **How it works.** `0.1.0.sql` is what `pg_dump` gave of a database on a server with version 0.1.0. It is restored into an extension
//! that is installed as of 0.1.0, and said to be at home here. That is what a server finds that was started with new files.

use std::time::Duration;

use postern_cluster::{Builder, Cluster, Mode};

/// The roles, with their memberships.
pub const ROLES: &str = include_str!("roles.sql");

/// The database, as it was dumped at [`DUMPED`].
const DUMP: &str = include_str!("0.1.0.sql");

/// The minute at which the database was dumped, that of the timers, and that of the schedule's next tick.
const DUMPED: [&str; 3] = ["2026-11-26 17:51:", "2026-11-26 20:51:", "2027-01-01 00:00:"];

/// The database, as if it had been dumped a few minutes ago by the clock of this server.
///
/// What was to come is yet to come, and what has ended has ended lately, whenever the tests are run.
pub fn dump(cluster: &Cluster) -> String {
    let minutes = cluster
        .psql(
            "postgres",
            "select string_agg(to_char(t, 'YYYY-MM-DD HH24:MI:'), '|' order by t)
               from (select now() at time zone 'UTC') n(now),
               lateral (values (now - interval '5 minutes'), (now + interval '3 hours'), (date_trunc('year', now) + interval '2 years')) v(t)",
        )
        .unwrap();
    let now: Vec<_> = minutes.trim().split('|').collect();
    assert!(DUMPED.iter().all(|then| DUMP.contains(then)));
    // What was put in is not looked at again: it may be another of the moments.
    let mut rest = DUMP;
    let mut dump = String::with_capacity(DUMP.len());
    while let Some((at, which)) =
        DUMPED.iter().enumerate().filter_map(|(which, then)| Some((rest.find(then)?, which))).min()
    {
        dump += &rest[..at];
        dump += now[which];
        rest = &rest[at + DUMPED[which].len()..];
    }
    dump + rest
}

/// What the extension must keep: who is a member of what, who may what, and everything that somebody has set. Only of objects that
/// version 0.1.0 has.
pub const KEPT: &str = include_str!("kept.sql");

/// How many rows of each text the steps have written.
const LOG: &str = "select string_agg(line, ', ' order by line collate \"C\") from (
    select what || case count(*) when 1 then '' else ' ×' || count(*) end || case when tenant is null then '' else ' of ' || tenant end
      from app.log group by what, tenant) t(line)";

/// The waiting executor of the database.
pub const WAITING: &str =
    "select count(*) from pg_stat_activity where backend_type = 'postern executor' and datname = 'app'
    and query = 'waits for ALTER EXTENSION postern UPDATE'";

/// The server.
pub struct Old {
    pub cluster: Cluster,
}

impl Old {
    /// Starts one.
    pub fn start() -> Self {
        Self::with(Cluster::builder())
    }

    /// Starts one that is to be as described.
    pub fn with(builder: Builder) -> Self {
        let builder = builder.extension(true).setting("postern.loop_min_interval", "0");
        // What is committed counts, whatever is killed.
        let cluster = builder
            .setting("max_worker_processes", "24")
            .setting("fsync", "on")
            .setting("restart_after_crash", "on")
            .start()
            .unwrap();
        cluster.psql("postgres", ROLES).unwrap();
        for role in ["alice", "bob", "boss", "postern_gate"] {
            cluster.set_password(role).unwrap();
        }
        cluster.create_database("app", false).unwrap();
        let dump = dump(&cluster);
        let older = dump
            .replacen("CREATE EXTENSION IF NOT EXISTS postern", "CREATE EXTENSION postern VERSION '0.1.0'", 1)
            .replacen("VERSION '0.1.0' WITH SCHEMA postern", "WITH SCHEMA postern VERSION '0.1.0'", 1);
        assert_ne!(dump, older);
        cluster.psql("app", &older).unwrap();
        let old = Self { cluster };
        // It has always been here.
        old.admin(
            "update postern.instance set home = postern.durable_here() || split_part(home, ' ', 2);
             update postern.schedule set home = postern.durable_here() || split_part(home, ' ', 2)",
        );
        old.until("an executor waits", WAITING, "1");
        old
    }

    /// Runs SQL in the database as the superuser.
    pub fn admin(&self, sql: &str) -> String {
        self.try_admin(sql).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`Old::admin`]; the error is what psql says.
    pub fn try_admin(&self, sql: &str) -> Result<String, String> {
        self.run_as("postgres", sql)
    }

    /// Runs SQL in the database as a role; the error is what psql says.
    pub fn run_as(&self, role: &str, sql: &str) -> Result<String, String> {
        let ran = if role == "postgres" {
            self.cluster.psql("app", sql)
        } else {
            self.cluster.psql_as(role, "app", sql)
        };
        ran.map(|text| text.trim().to_owned()).map_err(|error| error.to_string())
    }

    /// The version that the database has.
    pub fn version(&self) -> String {
        self.admin("select extversion from pg_extension where extname = 'postern'")
    }

    /// What the steps have written.
    pub fn log(&self) -> String {
        self.admin(LOG)
    }

    /// Asks until the answer is this one. It must come: a test that is wrong is ended by the runner.
    pub fn until(&self, what: &str, sql: &str, wanted: &str) {
        let mut last = String::new();
        for _ in 0..3_000 {
            // A server that is being started again answers later.
            if let Ok(text) = self.try_admin(sql) {
                if text == wanted {
                    return;
                }
                last = text;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("never happened: {what}; now: {last}; log: {:?}", self.try_admin(LOG));
    }

    /// Kills the postmaster, and starts the server again.
    pub fn kill(&self) {
        self.cluster.stop(Mode::Kill).unwrap();
        // Its children see that it is gone; until the last of them has, the server does not start.
        for _ in 0..1_000 {
            if self.cluster.start_again().is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not start again");
    }

    /// What the server has written into its log.
    pub fn server_log(&self) -> String {
        std::fs::read_to_string(self.cluster.folder().join("log")).unwrap()
    }

    /// Drives all that was under way to its end, and checks that each step has taken effect once.
    pub fn finish(&self) {
        self.signal("signal", "go", "{\"n\": 7}");
        self.signal("kept", "a", "{}");
        self.admin("update app.door set open = true");
        for role in ["race", "join", "call", "saga", "catch"] {
            let name = match role {
                "join" => "right",
                "call" => "child",
                "saga" => "fail",
                other => other,
            };
            self.signal(if role == "call" { "callee" } else { role }, name, "{}");
        }
        self.run_as(
            "alice",
            "select df.resume(id) from df.instances where label = 'paused' and status = 'paused'",
        )
        .unwrap();
        self.signal("paused", "p", "{}");
        self.run_as("bob", "select df.signal(id, 'go') from df.instances where label = 'bob'").unwrap();
        // A timer, and a tick, that come in a moment.
        self.admin(
            "update postern.strand s set due = now() + interval '200 milliseconds' from postern.instance i
              where i.id = s.instance and i.label in ('timer', 'timeout') and s.due <> 'infinity';
             update postern.schedule set next_at = now() + interval '200 milliseconds';
             select postern.durable_changed(), postern.durable_wake()",
        );
        for (wanted, label, name) in
            [("loop ×3", "loop", "again"), ("loop ×4", "loop", "again"), ("map 5", "map", "item")]
        {
            self.signal(label, name, "{}");
            self.until(wanted, &format!("select ({LOG}) like '%{wanted}%'"), "t");
        }
        self.signal("loop", "again", "{}");
        self.signal("map", "item", "{}");
        // The worker that sends, and an answer.
        self.until("the request is there", "select count(*) from postern.outbound where result is null", "1");
        assert_eq!(
            self.admin(
                "select postern.outbound_done(w.id, c.id, '{\"status\": 200, \"headers\": {}, \"body\": \"fine\"}', null)
                   from (select gen_random_uuid() as id) w, postern.outbound_claim(w.id, 60, 10, '{}') c"
            ),
            "t"
        );
        self.until(
            "everything ends",
            "select coalesce(string_agg(label || ' ' || status, ', ' order by label), 'all') from postern.instance where ended_at is null",
            "all",
        );
        self.run_as("alice", "select df.rerun(id) from df.instances where label = 'rerun'").unwrap();
        self.until(
            "what had failed completes",
            "select status from postern.instance where label = 'rerun'",
            "completed",
        );
        self.check();
    }

    /// All has ended as it should, and each step has taken effect once.
    pub fn check(&self) {
        assert_eq!(
            self.log(),
            "bob after of acme, bob before, call after, call before, caught, child, done, ended, http after, http before, join after, \
             kept after, kept before, left, loop begins, loop ×4, map 1, map 2, map 3, map 4, map 5, map after, paused after, paused before, \
             race after, rerun after, rerun before, retry after, right, signal after, signal before, slow after, slow before, \
             through the door, tick, timer after hello, timer before, undone, vacuum after, vacuum before"
        );
        assert_eq!(self.admin("select n from app.slow"), "1");
        assert_eq!(
            self.admin("select string_agg(label || ' ' || status, ', ' order by label) from postern.instance where status <> 'completed'"),
            "saga failed, timeout failed"
        );
        assert_eq!(self.admin("select count(*) from postern.strand"), "0");
    }

    /// Sends a signal to an instance of alice's.
    fn signal(&self, label: &str, name: &str, data: &str) {
        self.run_as(
            "alice",
            &format!("select df.signal(id, '{name}', '{data}') from df.instances where label = '{label}'"),
        )
        .unwrap();
    }
}
