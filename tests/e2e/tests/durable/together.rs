//! Functions that become due at one time are claimed together, and share a commit: each is still run as itself, or not at all.

use std::sync::LazyLock;

use postern_cluster::Cluster;

use crate::stage::Stage;

/// A server with one executor at work, so that whoever is due first decides in what company the others come.
static STAGE: LazyLock<Stage> =
    LazyLock::new(|| Stage::with(Cluster::builder().setting("postern.executors", "1")));

/// Who the step ran as, and what it knew of itself.
const STEP: &str = "df.sleep(600) ~> 'insert into app.log(what) values (coalesce(postern.fact(''claims.tenant''), ''nothing'')) returning who, what'";

/// What it gives.
fn gave(who: &str, what: &str) -> String {
    format!(r#"{{"rows": [{{"who": "{who}", "what": "{what}"}}], "row_count": 1}}"#)
}

/// Starts six functions of a role that sleep, in the order in which they will be due.
fn six(role: &str) -> Vec<String> {
    let ids = STAGE.admin(&format!(
        "set role {role}; select string_agg(df.start({STEP}), ' ') from generate_series(1, 6)"
    ));
    let ids: Vec<String> = ids.split(' ').map(str::to_owned).collect();
    for id in &ids {
        STAGE.until("it sleeps", &format!("select state from postern.strand where instance = '{id}'"), "w");
    }
    ids
}

/// They are all due, one microsecond after the other, and are claimed with one look.
fn due(ids: &[String]) {
    // The executor has learnt that steps are short.
    for _ in 0..8 {
        STAGE.result("'select 1' ~> 'select 2'");
    }
    let all: Vec<String> =
        ids.iter().enumerate().map(|(n, id)| format!("('{id}', interval '{n} microseconds')")).collect();
    STAGE.admin(&format!(
        "update postern.strand s set due = now() + after from (values {}) v(id, after) where s.instance = v.id;
         select postern.durable_wake()",
        all.join(", ")
    ));
}

fn outcome(id: &str) -> String {
    let ended = format!("select ended_at is not null from df.instances where id = '{id}'");
    STAGE.until("it ends", &ended, "t");
    STAGE.admin(&format!(
        "select coalesce(df.result('{id}'), (select error->>'message' from df.instances where id = '{id}'))"
    ))
}

#[test]
fn in_the_company_of_paused_ones_each_runs_as_itself_and_those_stay() {
    for paused in [0, 1] {
        let ids = six("alice");
        let (held, runs): (Vec<_>, Vec<_>) = ids.iter().enumerate().partition(|(n, _)| n % 2 == paused);
        for (_, id) in &held {
            STAGE.run("alice", &format!("select df.pause('{id}')"));
            STAGE.until(
                "it is paused",
                &format!("select status from df.instances where id = '{id}'"),
                "paused",
            );
        }
        due(&ids);
        for (_, id) in &runs {
            assert_eq!(outcome(id), gave("alice", "nothing"));
        }
        for (_, id) in &held {
            STAGE.until(
                "it is held",
                &format!("select held < now() from postern.strand where instance = '{id}'"),
                "t",
            );
            STAGE.run("alice", &format!("select df.resume('{id}')"));
            assert_eq!(outcome(id), gave("alice", "nothing"));
        }
    }
}

#[test]
fn whoever_may_not_be_entered_has_none_of_several_run() {
    STAGE.admin("create role riser; grant postern_application to riser; grant usage on schema app to riser; grant insert, select on app.log to riser");
    let ids = six("riser");
    STAGE.admin("alter role riser superuser");
    due(&ids);
    for id in &ids {
        assert!(outcome(id).contains("superuser"), "{}", outcome(id));
    }
    assert_eq!(STAGE.admin("select count(*) from app.log where who not in ('alice', 'bob', 'report')"), "0");
}

#[test]
fn each_has_its_own_facts_and_what_came_with_a_copy_waits() {
    let ids = six("bob");
    let facts = |ids: &[String]| {
        format!(
            "update postern.instance set facts = '{{\"claims\": {{\"tenant\": \"acme\"}}}}' where id in ('{}')",
            ids.join("', '")
        )
    };
    // Two of each, and others between them.
    STAGE.admin(&facts(&[ids[1].clone(), ids[2].clone(), ids[5].clone()]));
    // As a copy of the database has them.
    STAGE.admin(&format!(
        "update postern.instance set home = 'elsewhere bob' where id in ('{}', '{}')",
        ids[0], ids[5]
    ));
    due(&ids);
    for (n, id) in ids.iter().enumerate() {
        if n == 0 || n == 5 {
            STAGE.until(
                "it waits",
                &format!("select status, away from df.instances where id = '{id}'"),
                "paused|t",
            );
        } else {
            assert_eq!(outcome(id), gave("bob", if n < 3 { "acme" } else { "nothing" }));
        }
    }
}
