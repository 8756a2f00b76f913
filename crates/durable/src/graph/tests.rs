use proptest::prelude::*;

use super::*;
use crate::Retry;
use crate::compose;

fn refused(text: &str) -> String {
    Graph::parse(text).unwrap_err().to_string()
}

fn node(rest: &str) -> String {
    format!("{{\"node_type\":{rest}}}")
}

const SQL: &str = "{\"node_type\":\"SQL\",\"query\":\"x\"}";

#[test]
fn anything_that_is_no_node_is_sql() {
    for text in
        ["", "select 1", "{\"a\":1}", "{\"node_type\":5}", "[1]", "{\"node_type\":\"SQL\",", "\"SQL\""]
    {
        let graph = Graph::parse(text).unwrap();
        assert_eq!(graph.nodes()[0].kind, Kind::Sql { query: text.into() }, "{text}");
        assert_eq!(compose::step(text).unwrap(), compose::sql(text));
    }
    let unknown = node("\"HOP\"");
    assert_eq!(compose::step(&unknown).unwrap(), compose::sql(&unknown));
    assert_eq!(compose::step(&format!("\n {SQL} ")).unwrap(), SQL);
}

#[test]
fn what_df_start_refuses() {
    assert_eq!(
        refused(&node("\"HOP\"")),
        "Invalid durable function: Unknown node_type 'HOP'. Valid types: SQL, THEN, IF, JOIN, LOOP, BREAK, RACE, SLEEP, \
         WAIT_SCHEDULE, HTTP, HTTP_MULTIPART, SIGNAL, RETRY, CATCH, TIMEOUT, MAP, FIRST, CALL, COMPENSATE"
    );
    assert!(refused(&node("\"SQL\",\"query\":5")).starts_with(
        "Invalid durable function: Malformed Durofut JSON with node_type 'SQL': query must be a string"
    ));
    assert!(
        compose::step(&node("\"SQL\",\"query\":5"))
            .unwrap_err()
            .to_string()
            .starts_with("Invalid Durofut JSON: failed to deserialize workflow step: query must be a string")
    );
    for (rest, message) in [
        (
            format!("\"THEN\",\"left_node\":{SQL},\"right_node\":{{\"node_type\":\"HOP\"}}"),
            "root.right: Unknown node_type 'HOP'. Valid types: ",
        ),
        (
            format!("\"SQL\",\"query\":\"x\",\"condition_node\":{SQL}"),
            "root: condition_node is not valid for SQL nodes",
        ),
        (
            format!("\"RETRY\",\"left_node\":{SQL},\"extra_nodes\":[{SQL}]"),
            "root: extra_nodes is not valid for RETRY nodes",
        ),
        (format!("\"THEN\",\"left_node\":{SQL}"), "root: right_node is required for THEN nodes"),
        ("\"SQL\"".into(), "root: query is required for SQL nodes"),
        (
            format!("\"LOOP\",\"left_node\":{SQL},\"query\":\"{{\\\"condition_node\\\":\\\"00000001\\\"}}\""),
            "root: condition_node in LOOP must be a first-class Durofut field, not embedded in query",
        ),
        (
            format!(
                "\"JOIN\",\"left_node\":{SQL},\"right_node\":{SQL},\"query\":\"{{\\\"extra_nodes\\\":[]}}\""
            ),
            "root: extra_nodes in JOIN must be a first-class Durofut field, not embedded in query",
        ),
        ("\"SIGNAL\",\"query\":\"{\"".into(), "root: query in SIGNAL must be valid JSON config: "),
        ("\"SIGNAL\",\"query\":\"[]\"".into(), "root: query in SIGNAL must be a JSON config object"),
        (
            "\"THEN\",\"left_node\":\"00000001\"".into(),
            "Malformed Durofut JSON with node_type 'THEN': Durofut children must be JSON objects",
        ),
        (
            format!(
                "\"IF\",\"left_node\":{SQL},\"right_node\":{{\"node_type\":\"LOOP\",\"condition_node\":\"x\"}}"
            ),
            "root.right: failed to deserialize Durofut child: condition_node must be a Durofut JSON object",
        ),
        (
            format!("\"THEN\",\"left_node\":{{\"node_type\":\"JOIN\",\"extra_nodes\":[{SQL},1]}}"),
            "root.left: failed to deserialize Durofut child: extra_nodes entries must be Durofut JSON objects",
        ),
        (
            format!(
                "\"JOIN\",\"left_node\":{SQL},\"right_node\":{SQL},\"extra_nodes\":[{SQL},{{\"node_type\":\"SQL\"}}]"
            ),
            "root.extra_nodes[1]: query is required for SQL nodes",
        ),
        (
            format!("\"LOOP\",\"left_node\":{SQL},\"condition_node\":{{\"node_type\":\"SQL\"}}"),
            "root.condition_node: query is required for SQL nodes",
        ),
        ("\"SLEEP\",\"query\":\"-1\"".into(), "root: Sleep duration must be non-negative"),
        (
            "\"WAIT_SCHEDULE\",\"query\":\"{\\\"cron_expr\\\":\\\"0 0 31 2 *\\\"}\"".into(),
            "root: Invalid cron expression '0 0 31 2 *': ",
        ),
        (
            "\"SQL\",\"query\":\"x\",\"result_name\":\"a b\"".into(),
            "root: result_name 'a b' is not a valid identifier",
        ),
        ("\"SQL\",\"node_type\":\"SQL\"".into(), "duplicate field `node_type`"),
    ] {
        let found = refused(&node(&rest));
        assert!(found.contains(message), "{found}\nis not\n{message}");
    }
}

#[test]
fn too_deep_and_too_many() {
    let deep = |levels: usize| {
        let open = "{\"node_type\":\"RETRY\",\"left_node\":".repeat(levels - 1);
        format!("{open}{SQL}{}", "}".repeat(levels - 1))
    };
    assert_eq!(Graph::parse(&deep(257)).unwrap().nodes().len(), 257);
    let error = Graph::parse(&deep(258)).unwrap_err();
    assert_eq!(error.sqlstate(), "54000");
    assert!(error.to_string().starts_with("Invalid durable function graph: root.left.left."));
    // Far deeper than any stack.
    assert!(Graph::parse(&deep(9_000)).is_err());
    assert!(Graph::parse(&deep(500_000)).is_err());
    assert_eq!(Graph::parse(&"{\"node_type\":".repeat(500_000)).unwrap().nodes().len(), 1);
    assert_eq!(
        Graph::parse(&format!("{{\"node_type\":\"SQL\",\"x\":{}", "[".repeat(500_000)))
            .unwrap()
            .nodes()
            .len(),
        1
    );
    let many = |count: usize| {
        format!(
            "{{\"node_type\":\"JOIN\",\"left_node\":{SQL},\"right_node\":{SQL},\"extra_nodes\":[{}]}}",
            vec![SQL; count - 3].join(",")
        )
    };
    assert_eq!(Graph::parse(&many(10_000)).unwrap().nodes().len(), 10_000);
    assert_eq!(
        refused(&many(10_001)),
        "Invalid durable function graph: root: Workflow exceeds maximum node count of 10000. \
         Simplify the workflow or break it into multiple instances."
    );
}

#[test]
fn rows_name_children_by_their_ids() {
    let graph = Graph::parse(&compose::branch("c", "a", "b").unwrap()).unwrap();
    assert_eq!(graph.row_query(0).unwrap(), "{\"condition_node\":\"00000001\"}");
    assert_eq!(graph.nodes()[0].kind.row_children(), (Some(2), Some(3)));
    let graph = Graph::parse(&compose::all(&["a", "b", "c", "d"]).unwrap()).unwrap();
    assert_eq!(graph.row_query(0).unwrap(), "{\"extra_nodes\":[\"00000003\",\"00000004\"]}");
    assert_eq!(graph.nodes()[0].kind.row_children(), (Some(1), Some(2)));
    assert_eq!(Graph::parse(&compose::join("a", "b").unwrap()).unwrap().row_query(0), None);
    assert_eq!(Graph::parse(&compose::repeat("a", None).unwrap()).unwrap().row_query(0), None);
    let waits = Graph::parse(&compose::wait_for_signal("go", None).unwrap()).unwrap();
    assert_eq!(waits.row_query(0).unwrap(), "{\"signal_name\":\"go\",\"timeout_seconds\":null}");
    let rows = Graph::parse(&compose::if_rows("r", "a", "b").unwrap()).unwrap();
    assert_eq!(rows.row_query(0).unwrap(), "{\"condition_type\":\"result_has_rows\",\"result_name\":\"r\"}");
}

#[test]
fn a_policy_pauses_longer_and_longer() {
    let policy = Retry { max_attempts: 5, initial_backoff_ms: 100, max_backoff_ms: 350, ..Retry::default() };
    let pauses: Vec<_> = (1..=5).map(|attempt| policy.pause(attempt, 0.0)).collect();
    assert_eq!(pauses, [Some(100), Some(200), Some(350), Some(350), None]);
    assert_eq!(policy.pause(1, 1.0), Some(90));
    assert_eq!(Retry { max_attempts: u32::MAX, ..policy }.pause(u32::MAX - 1, f64::NAN), Some(350));
    let only =
        Retry { sqlstates: vec!["40".into(), "55P03".into()], statuses: vec![503], ..Retry::default() };
    assert!(
        only.covers(Some("40001"), None) && only.covers(Some("55P03"), None) && only.covers(None, Some(503))
    );
    assert!(!only.covers(Some("55000"), Some(404)) && !only.covers(None, None));
}

proptest! {
    #[test]
    fn nothing_panics(text in any::<String>()) {
        let _ = Graph::parse(&text);
        let _ = compose::whole_if(&text, &text);
        prop_assert!(compose::seq(&text, &text).is_ok());
    }

    /// Trees with any types, children and configurations: an answer or a refusal, and composers agree with the check.
    #[test]
    fn hostile_trees_are_answered(
        text in (prop::sample::select(tree::NODE_TYPES.to_vec()), "[\\[{}\":a-z0-9,-]{0,12}")
            .prop_map(|(kind, query)| node(&format!("\"{kind}\",\"query\":{}", serde_json::to_string(&query).unwrap())))
            .prop_recursive(4, 20, 3, |inner| {
                (prop::sample::select(tree::NODE_TYPES.to_vec()), prop::collection::vec((prop::sample::select(vec!["left_node", "right_node", "condition_node"]), inner), 0..3))
                    .prop_map(|(kind, children)| {
                        let children = children.iter().fold(String::new(), |text, (key, child)| format!("{text},\"{key}\":{child}"));
                        node(&format!("\"{kind}\"{children}"))
                    })
            })
    ) {
        let composed = compose::step(&text);
        if let Ok(graph) = Graph::parse(&text) {
            prop_assert_eq!(Graph::parse(&composed.unwrap()).unwrap(), graph);
        }
    }
}

#[test]
fn what_is_below_a_node_is_a_function_of_its_own() {
    let inner = crate::compose::branch(
        "select true",
        &crate::compose::all(&[
            "select 1",
            "select 2",
            &crate::compose::name("select 3", "x").unwrap(),
            "select 4",
        ])
        .unwrap(),
        "select 5",
    )
    .unwrap();
    let whole =
        crate::compose::seq("select 0", &crate::compose::call(&inner, Some("inner")).unwrap()).unwrap();
    let graph = Graph::parse(&whole).unwrap();
    let called = graph.nodes().iter().find_map(|node| match node.kind {
        Kind::Call { child, .. } => Some(child),
        _ => None,
    });
    assert_eq!(graph.text_of(called.unwrap()).unwrap(), Graph::parse(&inner).unwrap().text());
    assert_eq!(graph.text_of(0).unwrap(), graph.text());
    assert_eq!(
        Graph::parse("select 7").unwrap().text_of(0).unwrap(),
        Graph::parse("select 7").unwrap().text()
    );
    assert_eq!(graph.text_of(100), None);
}
