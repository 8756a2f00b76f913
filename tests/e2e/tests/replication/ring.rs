//! Topologies with a way back. Where a server cannot tell what was written on it from what was applied on it, a ring goes
//! wrong; where it can, three servers that each take from the other two have the same rows.

use std::time::Instant;

use postern_cluster::{Cluster, Installation, extension_folder, skipped};

use crate::pair::builder;

const TABLES: &str = "create schema app; create table app.doc (id int primary key, body text); create table app.event (what text);
    create publication pub for table app.doc, app.event;";

/// Three servers with the same tables, all of them published.
fn three(installation: &Installation) -> Vec<Cluster> {
    let start = || {
        let cluster = builder().installation(installation.clone()).start().unwrap();
        cluster.create_database("app", true).unwrap();
        cluster.psql("app", TABLES).unwrap();
        cluster
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// `to` takes what `from` has.
fn subscribe(nodes: &[Cluster], from: usize, to: usize, options: &str) {
    let source = &nodes[from];
    let connection = format!(
        "host={} port={} user={} password={} dbname=app",
        source.socket_dir().display(),
        source.port(),
        source.superuser(),
        source.password(source.superuser()).unwrap_or_default(),
    );
    let sql = format!(
        "create subscription from_{from} connection '{connection}' publication pub with (copy_data = false{options}, slot_name = from_{from}_to_{to})"
    );
    nodes[to].psql("app", &sql).unwrap();
}

fn until(node: &Cluster, sql: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let got = node.psql("app", sql).unwrap();
        if got == wanted {
            return;
        }
        assert!(begun.elapsed().as_secs() < 40, "{sql}: {got}, not {wanted}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A subscription asks again as long as it is enabled, and the slot keeps the other server from stopping.
fn end(nodes: &[Cluster]) {
    for node in nodes {
        let names = node.psql("app", "select subname from pg_subscription").unwrap();
        names.lines().for_each(|name| drop(node.psql("app", &format!("alter subscription {name} disable"))));
    }
}

#[test]
fn a_ring_sends_rows_round() {
    let nodes = three(&Installation::find().unwrap());
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        subscribe(&nodes, from, to, "");
    }
    // A row without a key is written again on every round.
    nodes[0].psql("app", "insert into app.event values ('once')").unwrap();
    until(&nodes[0], "select count(*) > 3 from app.event", "t");
    // A row with a key stops it where it began, and that is seen there.
    nodes[0].psql("app", "insert into app.doc values (1, 'once')").unwrap();
    until(
        &nodes[0],
        "select distinct subscription, sqlstate from postern.apply_conflicts where relation = 'app.doc'::regclass",
        "from_2|23505",
    );
    end(&nodes);
}

#[test]
fn three_that_take_from_each_other_have_the_same_rows() {
    let test = "three_that_take_from_each_other_have_the_same_rows";
    let servers: Vec<_> = Installation::find_all()
        .unwrap()
        .into_iter()
        .filter(|server| server.major >= 16 && extension_folder(server.major).is_ok())
        .collect();
    if servers.is_empty() {
        skipped(test, "there is no server of 16 or later with the extension");
    }
    for server in servers {
        let nodes = three(&server);
        // The owner's own code runs on apply, everywhere.
        for node in &nodes {
            node.psql(
                "app",
                "create function app.mark() returns trigger language plpgsql as $$ begin new.body := new.body || '!'; return new; end $$;
                 create trigger mark before insert on app.doc for each row execute function app.mark();
                 alter table app.doc enable replica trigger mark",
            )
            .unwrap();
        }
        for (from, to) in
            (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to)
        {
            subscribe(&nodes, from, to, ", origin = none");
        }
        for (n, node) in nodes.iter().enumerate() {
            node.psql(
                "app",
                &format!("insert into app.doc values ({n}, '{n}'); insert into app.event values ('{n}')"),
            )
            .unwrap();
        }
        for (n, node) in nodes.iter().enumerate() {
            let all: Vec<_> =
                (0..3).map(|id| if id == n { id.to_string() } else { format!("{id}!") }).collect();
            until(node, "select string_agg(body, ' ' order by id) from app.doc", &all.join(" "));
            until(node, "select string_agg(what, ' ' order by what) from app.event", "0 1 2");
        }
        // What one changes, the others do, and nobody sends it on.
        nodes[1]
            .psql("app", "update app.doc set body = 'changed'; delete from app.doc where id = 0")
            .unwrap();
        for node in &nodes {
            until(node, "select string_agg(body, ' ' order by id) from app.doc", "changed changed");
        }
        for node in &nodes {
            assert_eq!(node.psql("app", "select count(*) from app.event").unwrap(), "3");
            assert_eq!(node.psql("app", "select count(*) from postern.apply_conflicts").unwrap(), "0");
            assert_eq!(node.psql("app", "select count(*) from postern.replication_findings where replicated and reason = 'foreign'").unwrap(), "0");
        }
        end(&nodes);
    }
}
