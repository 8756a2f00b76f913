//! What steps give to each other, and what they are told when they cannot.

use std::sync::LazyLock;

use crate::stage::Stage;

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::start);

fn only_row(result: &str) -> serde_json::Value {
    let result: serde_json::Value = serde_json::from_str(result).unwrap();
    result["rows"][0].clone()
}

#[test]
fn types_with_a_length_keep_what_is_longer_than_one() {
    let result = STAGE.result(
        "$$select 'ab'::char(5) as c, '101'::bit(3) as b, array['ab'::char(3)] as cs, array['10'::bit(2)] as bs$$ |=> 'r'
         ~> $$select c, b, cs, bs, $r.b as again, $r.cs as all_c, pg_typeof(c) as kind from $r.*$$",
    );
    assert_eq!(
        only_row(&result),
        serde_json::json!({"c": "ab   ", "b": "101", "cs": ["ab "], "bs": ["10"], "again": "101", "all_c": ["ab "],
                           "kind": "character"})
    );
    // Where there are no parameters it is cast.
    STAGE.result(
        "$$select 'ab'::char(5) as c, '101'::bit(3) as b$$ |=> 'r'
         ~> 'create table app.of_a_length as select $r.c as c, $r.b as b' ~> 'select * from app.of_a_length'",
    );
    assert_eq!(STAGE.admin("select c || b::text from app.of_a_length"), "ab   101");
}

#[test]
fn an_array_goes_where_arrays_go() {
    let result = STAGE.result(
        "'select array_agg(g) as ids, array[''a'', null, ''b,{}\"''] as names from generate_series(1, 3) g' |=> 'r'
         ~> 'select (select array_agg(g) from generate_series(0, 5) g where g = any($r.ids)) as found, $r.ids[2] as second, $r.ids || 4 as more,
                    4 <> all($r.ids) as none, cardinality($r.names) as n, ''a'' = any($r.names) as named, $r.names[3] as odd'",
    );
    assert_eq!(
        only_row(&result),
        serde_json::json!({"found": [1, 2, 3], "second": 2, "more": [1, 2, 3, 4], "none": true, "n": 3, "named": true, "odd": "b,{}\""})
    );
}

#[test]
fn records_without_a_type_go_through_as_objects() {
    let result = STAGE.result(
        "'select row(1, ''a'') as r, array[row(2), row(3)] as rs, 7 as k' |=> 'x'
         ~> 'select r, rs, k, pg_typeof(r) as kind, (r ->> ''f1'')::int + 1 as one, $x.r ->> ''f2'' as two, $x.rs -> 1 ->> ''f1'' as three from $x.*'",
    );
    assert_eq!(
        only_row(&result),
        serde_json::json!({"r": {"f1": 1, "f2": "a"}, "rs": [{"f1": 2}, {"f1": 3}], "k": 7, "kind": "jsonb", "one": 2, "two": "a", "three": "3"})
    );
}

#[test]
fn a_column_may_have_a_name_in_any_script() {
    let result = STAGE.result(
        "'select 1 as größe, 2 as \"Ab\"' |=> 'r' ~> 'select $r.größe as a, ''$r.größe'' as b, $r.Ab as c'",
    );
    assert_eq!(only_row(&result), serde_json::json!({"a": 1, "b": "1", "c": 2}));
}

#[test]
fn a_handler_knows_which_node_failed() {
    let result = STAGE.result("df.catch('select 1' ~> 'select 1/0', 'select ''$error.node_id'' as n')");
    assert_eq!(only_row(&result)["n"], "00000003");
    // Of what was called, it is the call.
    let result = STAGE.result("df.catch(df.all(array['select 1', df.call('select 1' ~> 'select 1/0')]), 'select ''$error.node_id'' as n')");
    assert_eq!(only_row(&result)["n"], "00000003");
}

#[test]
fn what_a_step_cannot_do_comes_with_what_to_do_instead() {
    for (statement, sqlstate, hint) in [
        ("begin", "0A000", "A procedure may commit"),
        ("copy app.log to stdout", "0A000", "COPY with a file of the server"),
        ("select $nobody", "42601", "no such name is known here"),
    ] {
        let id = STAGE.start_as_alice(&format!("'{statement}'"));
        assert_eq!(STAGE.end_of(&id).0, "failed");
        let error = STAGE.run(
            "alice",
            &format!("select error->>'sqlstate', error->>'hint' from df.instances where id = '{id}'"),
        );
        assert!(error.starts_with(sqlstate) && error.contains(hint), "{statement}: {error}");
    }
}

#[test]
fn a_statement_that_runs_is_shown_as_running() {
    let id = STAGE
        .start_as_alice("df.loop('select 1' ~> 'select pg_sleep(600), 7', 'select false') & df.sleep(600)");
    let nodes = format!(
        "select string_agg(node_type || ' ' || inferred_status, ',' order by node_id) from df.instance_nodes('{id}')"
    );
    STAGE.until(
        "the statement runs",
        &nodes,
        "JOIN running,LOOP running,SQL pending,THEN running,SQL completed,SQL running,SLEEP running",
    );
    let picture = STAGE.run("alice", &format!("select df.explain('{id}')"));
    assert!(picture.contains("→ SQL: select pg_sleep(600), 7 ⏳"), "{picture}");
    STAGE.run("alice", &format!("select df.cancel('{id}'); select df.await_instance('{id}')"));
    let picture = STAGE.run("alice", &format!("select df.explain('{id}')"));
    assert!(picture.contains("→ SQL: select pg_sleep(600), 7 ⊘"), "{picture}");
}
