//! How much a step may return.

use postern_cluster::Cluster;

use crate::stage::Stage;

#[test]
fn a_step_that_returns_too_much_fails_without_effect_and_takes_no_memory() {
    let stage = Stage::with(Cluster::builder().setting("postern.max_result_bytes", "10kB"));
    let too_much = "SQL execution failed: error returned from database: the result of the step is larger than 10240 bytes";
    // Far more than the machine has, if it were gathered.
    let endless = "'select repeat(''x'', 1000), generate_series(1, 1000000000)'";
    assert_eq!(stage.failure(endless), too_much);
    assert_eq!(stage.failure("'select repeat(''x'', 10300)'"), too_much);
    // A short row a thousand times: names count.
    assert_eq!(stage.failure("'select 1 as n from generate_series(1, 2000)'"), too_much);
    let insert = |rows: u32| {
        format!(
            "'insert into app.log(what) select repeat(''y'', 100) from generate_series(1, {rows}) returning what'"
        )
    };
    assert_eq!(stage.failure(&insert(200)), too_much);
    assert_eq!(stage.admin("select count(*) from app.log"), "0");
    stage.result(&insert(20));
    assert_eq!(stage.admin("select count(*) from app.log"), "20");
    // What returns nothing has no bound, nor what is read inside.
    assert_eq!(
        stage.result(
            "'select count(x) as n from (select repeat(''x'', 1000) as x from generate_series(1, 1000)) s'"
        ),
        r#"{"rows": [{"n": 1000}], "row_count": 1}"#
    );
    let id = stage.start_as_alice(endless);
    stage.end_of(&id);
    let error = stage.run(
        "alice",
        &format!(
            "select error->>'sqlstate', error->>'detail', error->>'hint' from df.instances where id = '{id}'"
        ),
    );
    assert_eq!(
        error,
        "54000|That is postern.max_result_bytes.|Let the step return less: aggregate, or write into a table of yours."
    );
}

#[test]
fn branches_that_return_too_much_together_fail_where_they_meet() {
    let stage = Stage::with(Cluster::builder().setting("postern.max_result_bytes", "10kB"));
    let map =
        |rows: u32| format!("df.map('select generate_series(1, {rows}) as n', 'select repeat(''x'', 1000)')");
    assert_eq!(stage.failure(&map(20)), "the results of 20 branches are larger than 10240 bytes");
    assert_eq!(
        stage.failure("df.all(array['select repeat(''x'', 6000)', 'select repeat(''x'', 6000)'])"),
        "the results of 2 branches are larger than 10240 bytes"
    );
    assert!(stage.result(&map(8)).len() > 8_000);
}

#[test]
fn whatever_returns_rows_gives_them() {
    let stage = Stage::start();
    for (statement, gives) in [
        ("show search_path", r#"[{"search_path": "\"$user\", public"}]"#),
        ("explain (costs off) select 1", r#"[{"QUERY PLAN": "Result"}]"#),
        (
            "values (1, ''a''), (2, null)",
            r#"[{"column1": 1, "column2": "a"}, {"column1": 2, "column2": null}]"#,
        ),
        ("delete from app.log where what = ''new'' returning 1 as a, 2 as a", "[]"),
        (
            "insert into app.log(what) values (''new'') returning what, who",
            r#"[{"who": "alice", "what": "new"}]"#,
        ),
        ("select from app.log", "[{}]"),
        (
            "select row(1, ''x''), array[1, 2], 1.50::numeric, ''2026-01-01''::date as d",
            r#"[{"d": "2026-01-01", "row": {"f1": 1, "f2": "x"}, "array": [1, 2], "numeric": "1.50"}]"#,
        ),
        (
            "select g, repeat(''é'', 2) as t from generate_series(1, 3) g order by g desc",
            r#"[{"g": 3, "t": "éé"}, {"g": 2, "t": "éé"}, {"g": 1, "t": "éé"}]"#,
        ),
        ("", "[]"),
        ("select 1 as n into app.made", "[]"),
        ("create table app.made_too as select 1 as n", "[]"),
    ] {
        let result = stage.result(&format!("'{statement}'"));
        assert!(result.starts_with(&format!("{{\"rows\": {gives}, ")), "{statement}: {result}");
    }
}
