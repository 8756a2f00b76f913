//! `postern rows`: who sees which rows, against a private cluster.

mod common;

use common::{Output, postern, run};
use postern_cluster::Cluster;

#[test]
fn rows_tells_who_sees_what_and_why() {
    let cluster = Cluster::builder().extension(true).start().unwrap();
    cluster.create_database("app", true).unwrap();
    cluster
        .psql(
            "app",
            "create role clerk nologin; create role boss nologin;
             create table public.\"Odd doc\" (id int primary key, tenant text);
             insert into \"Odd doc\" values (1, 'acme'), (2, 'other');
             alter table \"Odd doc\" enable row level security;
             create policy tenant on \"Odd doc\" using (tenant = (select postern.fact('claims.tenant')));
             grant select on \"Odd doc\" to clerk;
             select postern.grant_direct('{select}', '\"Odd doc\"', '{boss}')",
        )
        .unwrap();
    let url = cluster.url("postgres", "app");
    let rows = |arguments: &[&str]| run(postern().arg("rows").args(arguments).args(["--db", &url]));

    let Output { status, stdout, stderr } =
        rows(&["matrix", "--role", "clerk", "--role", "boss", "--table", "\"Odd doc\""]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    let words: Vec<String> =
        stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(words[0], "relation role command access reason permissive restrictive");
    assert!(
        words.contains(&"public.Odd doc boss SELECT direct granted to boss tenant".to_owned()),
        "{stdout}"
    );
    assert!(words.contains(&"public.Odd doc clerk SELECT filtered policies tenant".to_owned()), "{stdout}");
    assert!(
        words.contains(&"public.Odd doc clerk INSERT none no privilege on the table".to_owned()),
        "{stdout}"
    );
    assert_eq!(words.len(), 9);

    let explain = |facts: &str| {
        let said =
            rows(&["explain", "\"Odd doc\"", "--key", "id=1", "--as", "clerk", "--facts", facts, "--json"]);
        assert_eq!(said.status, 0, "{}", said.stderr);
        let steps: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        steps.as_array().unwrap().last().unwrap()["says"].as_str().unwrap().to_owned()
    };
    assert_eq!(explain(r#"{"claims": {"tenant": "acme"}}"#), "visible");
    assert_eq!(explain(r#"{"claims": {"tenant": "other"}}"#), "hidden");

    let Output { status, stderr, .. } =
        rows(&["explain", "\"Odd doc\"", "--key", "id=1", "--as", "nobody_here"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("role \"nobody_here\" does not exist\nHINT:  "), "{stderr}");
    let Output { status, stderr, .. } = rows(&["explain", "t", "--key", "id", "--as", "clerk"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("write COLUMN=VALUE"), "{stderr}");
    let Output { status, .. } = rows(&["explain", "t", "--as", "clerk", "--facts", "[1]"]);
    assert_eq!(status, 2);
}
