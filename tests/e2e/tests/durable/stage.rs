//! A private server with two people on it who may use durable functions.

use postern_cluster::{Builder, Cluster};

/// The server.
pub struct Stage {
    pub cluster: Cluster,
}

impl Stage {
    /// Starts a server with alice and bob, who log in, and report, who does not.
    pub fn start() -> Self {
        Self::with(Cluster::builder())
    }

    /// The same on a server that is to be as described.
    pub fn with(builder: Builder) -> Self {
        let cluster = builder.extension(true).setting("postern.loop_min_interval", "0").start().unwrap();
        let stage = Self { cluster };
        stage.admin(
            "create role alice login; create role bob login; create role report nologin;
             grant postern_application to alice, bob, report;
             create schema app; grant usage, create on schema app to alice, bob, report;
             create table app.log(who name default current_user, what text, at timestamptz default clock_timestamp());
             grant select, insert, update, delete on app.log to alice, bob, report;",
        );
        for role in ["alice", "bob"] {
            stage.cluster.set_password(role).unwrap();
        }
        stage
    }

    /// Runs SQL as the superuser; gives what psql prints, unaligned.
    pub fn admin(&self, sql: &str) -> String {
        self.cluster.psql("postgres", sql).unwrap().trim().to_owned()
    }

    /// Runs SQL as a role that logs in.
    pub fn run(&self, role: &str, sql: &str) -> String {
        self.try_run(role, sql).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`Stage::run`]; the error is what psql says.
    pub fn try_run(&self, role: &str, sql: &str) -> Result<String, String> {
        self.cluster
            .psql_as(role, "postgres", sql)
            .map(|text| text.trim().to_owned())
            .map_err(|error| error.to_string())
    }

    /// Starts a function as alice; `expression` is SQL that builds it.
    pub fn start_as_alice(&self, expression: &str) -> String {
        self.run("alice", &format!("select df.start({expression})"))
    }

    /// Runs a function as alice to its end; gives its status, and its result or what it failed with.
    pub fn outcome(&self, expression: &str) -> (String, String) {
        let id = self.start_as_alice(expression);
        self.end_of(&id)
    }

    /// Waits for the end of one of alice's instances.
    pub fn end_of(&self, id: &str) -> (String, String) {
        let status = self.run("alice", &format!("select df.await_instance('{id}', 60)"));
        let text = self.run(
            "alice",
            &format!(
                "select coalesce(df.result('{id}'), (select error->>'message' from df.instances where id = '{id}'))"
            ),
        );
        (status, text)
    }

    /// The result of a function that completes.
    pub fn result(&self, expression: &str) -> String {
        let (status, text) = self.outcome(expression);
        assert_eq!(status, "completed", "{text}");
        text
    }

    /// What a function fails with.
    pub fn failure(&self, expression: &str) -> String {
        let (status, text) = self.outcome(expression);
        assert_eq!(status, "failed", "{text}");
        text
    }

    /// Asks until the answer is this one. It must come: a test that is wrong is ended by the runner.
    pub fn until(&self, what: &str, sql: &str, wanted: &str) {
        let mut last = String::new();
        for _ in 0..6_000 {
            // A server that is being started again answers later.
            if let Ok(text) = self.cluster.psql("postgres", sql) {
                text.trim().clone_into(&mut last);
                if last == wanted {
                    return;
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("never happened: {what}; now: {last}");
    }
}
