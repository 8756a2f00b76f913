//! That what has ended goes away, and leaves no bloat.
//!
//! `POSTERN_SOAK_INSTANCES` says how many; without it, some tens of thousands.

use postern_cluster::Cluster;

use crate::stage::Stage;

/// Started with one transaction.
const BATCH: u64 = 1_000;

/// What a batch may take in any table or index before it is cleaned.
const LEAST: u64 = 512 * 1024;

/// Everything of ours that grows with work.
const SIZES: &str = "select string_agg(c.relname || ' ' || pg_relation_size(c.oid), ',' order by c.relname)
      from pg_class c where c.relnamespace = 'postern'::regnamespace and c.relkind in ('r', 'i')
       and c.relname ~ '^(instance|strand|step|message)(_|$)'";

#[test]
fn tables_and_indexes_stay_small_however_much_has_ended() {
    let all: u64 =
        std::env::var("POSTERN_SOAK_INSTANCES").ok().and_then(|text| text.parse().ok()).unwrap_or(24_000);
    let stage = Stage::with(
        Cluster::builder()
            .setting("postern.retention_instances", "1000")
            .setting("autovacuum_naptime", "1s")
            .setting("shared_buffers", "128MB"),
    );
    let batches = all / BATCH;
    let mut steady: Vec<(String, u64)> = Vec::new();
    for batch in 1..=batches {
        // With a signal for some: the box is emptied too.
        stage.run(
            "alice",
            &format!(
                "select count(df.start('select 1' ~> 'select 2', 'soak')) from generate_series(1, {BATCH} - 50);
                 with s as (select df.start(df.wait_for_signal('go'), 'soak') as id from generate_series(1, 50)) select count(df.signal(id, 'go')) from s"
            ),
        );
        stage.until("the batch has ended", "select count(*) from postern.strand", "0");
        let sizes = sizes(&stage);
        if batch <= batches / 2 {
            // What it takes while it works: the most of the first half.
            if steady.is_empty() {
                steady = sizes;
            } else {
                for ((_, most), (_, size)) in steady.iter_mut().zip(&sizes) {
                    *most = (*most).max(*size);
                }
            }
        } else {
            for ((name, most), (_, size)) in steady.iter().zip(&sizes) {
                // Smaller than a batch with all its versions, it is chance.
                assert!(
                    *size <= 2 * (*most).max(LEAST),
                    "batch {batch}: {name} has {size} bytes, and had {most}"
                );
            }
        }
    }
    println!("{steady:?}\n{:?}", sizes(&stage));
    // Of all that have ended few are left: the thousand, and what has come since somebody looked.
    let left: u64 = stage.admin("select count(*) from postern.instance").parse().unwrap();
    assert!((1_000..20_000).contains(&left), "{left}");
    let orphans = "select count(*) from postern.step s where not exists (select from postern.instance i where i.id = s.instance)";
    assert_eq!(stage.admin(orphans), "0");
}

fn sizes(stage: &Stage) -> Vec<(String, u64)> {
    let text = stage.admin(SIZES);
    let pair = |pair: &str| {
        let (name, size) = pair.split_once(' ').unwrap();
        (name.to_owned(), size.parse().unwrap())
    };
    text.split(',').map(pair).collect()
}

/// Ids are random, and of those that were removed one may come again.
#[test]
fn an_id_that_comes_again_is_of_the_new_function() {
    let stage = Stage::with(Cluster::builder().setting("postern.executors", "1"));
    let old = stage.start_as_alice("'select 1 as old' ~> 'select 2 as old'");
    assert_eq!(stage.end_of(&old).0, "completed");
    for n in 0..5 {
        stage.admin(&format!(
            "begin; delete from postern.step where instance = '{old}'; delete from postern.instance where id = '{old}';
             set local role bob; create temp table new on commit drop as select df.start('select {n} as new') as id; reset role;
             update postern.strand set instance = '{old}' from new where instance = new.id;
             update postern.instance i set id = '{old}' from new where i.id = new.id; commit"
        ));
        stage.until(
            "it has ended",
            &format!("select status from postern.instance where id = '{old}'"),
            "completed",
        );
        let result = stage.run("bob", &format!("select df.result('{old}')"));
        assert_eq!(result, format!(r#"{{"rows": [{{"new": {n}}}], "row_count": 1}}"#));
    }
}

/// What took long is kept as long after its end as what did not.
#[test]
fn what_has_just_ended_is_kept_however_long_it_took() {
    let stage = Stage::with(
        Cluster::builder().setting("postern.executors", "1").setting("postern.retention_instances", "5"),
    );
    // Old ones are looked for after so many turns.
    let looked = || {
        stage.run("alice", "delete from app.log");
        stage.result(
            "df.loop('insert into app.log(what) values (''turn'')', 'select count(*) < 600 from app.log')",
        );
    };
    let long = stage.start_as_alice("df.wait_for_signal('go') ~> 'select 7 as n'");
    for _ in 0..12 {
        stage.result("'select 1'");
    }
    stage.run("alice", &format!("select df.signal('{long}', 'go')"));
    assert_eq!(stage.end_of(&long).0, "completed");
    looked();
    let left = "select count(*) from postern.instance";
    stage.until("older ones are gone", &format!("select ({left}) < 12"), "t");
    assert_eq!(stage.end_of(&long), ("completed".into(), r#"{"rows": [{"n": 7}], "row_count": 1}"#.into()));
    for _ in 0..10 {
        stage.result("'select 1'");
    }
    looked();
    stage.until(
        "it goes as well",
        &format!("select count(*) from postern.instance where id = '{long}'"),
        "0",
    );
}
