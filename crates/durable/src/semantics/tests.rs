use proptest::prelude::*;

use super::*;
use crate::arbitrary::{Kinds, function};
use crate::compose::*;
use crate::{Error, Retry, Tree};

const LIMITS: Limits = Limits { loop_millis: 1_000, iterations: 50, horizon: 200_000 };

fn ok(millis: u64, value: &str) -> Step {
    Step { millis, outcome: Ok(plain(format!("{{\"rows\":[{{\"v\":{value}}}],\"row_count\":1}}"))) }
}

fn bad(millis: u64, message: &str) -> Step {
    let failure = Failure { message: message.into(), sqlstate: Some("22012".into()), ..Failure::default() };
    Step { millis, outcome: Err(failure) }
}

/// A world that goes by the statements: `ok 5 true`, `bad 5 oops`, and `rows N`.
#[derive(Default)]
struct Spelled {
    ran: Vec<String>,
}

impl World for Spelled {
    fn sql(&mut self, node: u32, visit: u32, statement: &Prepared) -> Step {
        self.ran.push(statement.sql.clone());
        let words: Vec<&str> = statement.sql.splitn(3, ' ').collect();
        match words[..] {
            ["ok", millis, value] => ok(millis.parse().unwrap(), value),
            ["bad", millis, message] => bad(millis.parse().unwrap(), message),
            ["once", millis, value] if visit > 0 => ok(millis.parse().unwrap(), value),
            ["once", millis, _] => bad(millis.parse().unwrap(), "not yet"),
            ["rows", count] => {
                let rows: Vec<_> =
                    (0..count.parse().unwrap()).map(|n: u32| format!("{{\"n\":{n}}}")).collect();
                let json = format!("{{\"rows\":[{}],\"row_count\":{}}}", rows.join(","), rows.len());
                Step { millis: 1, outcome: Ok(plain(json)) }
            }
            _ => ok(1, &node.to_string()),
        }
    }

    fn http(&mut self, _: u32, visit: u32) -> Step {
        let status = if visit == 0 { 503 } else { 200 };
        Step { millis: 1, outcome: Ok(plain(format!("{{\"status\":{status}}}"))) }
    }

    fn signal(&mut self, _: u32, _: u32) -> Option<(u64, String)> {
        None
    }

    fn schedule(&mut self, _: u32, _: u32) -> u64 {
        60_000
    }
}

fn walk(text: Result<String, Error>) -> (Report, Vec<String>) {
    let graph = Graph::parse(&text.unwrap()).unwrap();
    let mut world = Spelled::default();
    let report = super::run(&graph, &BTreeMap::new(), LIMITS, &mut world);
    (report, world.ran)
}

fn result(text: Result<String, Error>) -> String {
    match walk(text).0.outcome {
        Some(Ok(result)) => result,
        Some(Err(failure)) => format!("! {}", failure.message),
        None => "never".into(),
    }
}

const ONE: &str = "{\"rows\":[{\"v\":1}],\"row_count\":1}";
const TWO: &str = "{\"rows\":[{\"v\":2}],\"row_count\":1}";

#[test]
fn one_branch_runs_and_the_other_is_skipped() {
    let (report, ran) = walk(branch("ok 1 true", "ok 1 1", "ok 1 2"));
    assert_eq!(report.outcome, Some(Ok(ONE.into())));
    assert_eq!(ran, ["ok 1 true", "ok 1 1"]);
    assert_eq!(report.statuses[..3], [Status::Completed; 3]);
    assert_eq!(report.statuses[3], Status::Skipped);
}

#[test]
fn the_first_failure_ends_a_sequence() {
    let (report, ran) = walk(seq("bad 1 oops", "ok 1 1"));
    assert_eq!(report.outcome.unwrap().unwrap_err().message, "oops");
    assert_eq!(ran.len(), 1);
    assert_eq!(report.statuses, [Status::Failed, Status::Failed, Status::Skipped]);
}

#[test]
fn a_join_waits_and_the_first_in_order_decides() {
    assert_eq!(result(join("ok 5 1", "ok 1 2")), format!("[{ONE},{TWO}]"));
    let (report, ran) = walk(all(&["ok 9 1", "bad 5 late", "bad 1 early"]));
    assert_eq!(report.outcome.unwrap().unwrap_err().message, "JOIN branch 2 failed: late");
    assert_eq!((report.at, ran.len()), (9, 3));
}

#[test]
fn the_first_to_finish_wins_a_race() {
    let (report, _) = walk(race("ok 5 1", &seq("ok 1 1", "ok 1 2").unwrap()));
    assert_eq!(report.outcome, Some(Ok(TWO.into())));
    assert_eq!((report.at, report.statuses[1]), (2, Status::Skipped));
    assert_eq!(result(race("ok 5 1", "bad 1 x")), "! RACE right branch failed: x");
    assert_eq!(result(first(&["ok 5 1", "bad 1 x"])), ONE);
    assert_eq!(result(first(&["bad 5 y", "bad 1 x"])), "! every branch failed; the last: y");
}

#[test]
fn what_a_loser_never_began_stays_so() {
    let loser = seq("ok 5 1", "ok 5 2").unwrap();
    let (report, _) = walk(race(&loser, "ok 7 1"));
    let order: Vec<_> = report.order.iter().map(|(_, node)| *node).collect();
    assert_eq!(order, [2, 4, 3]);
    let (report, _) = walk(race(&loser, "ok 4 1"));
    assert_eq!(report.order.len(), 2);
}

#[test]
fn a_loop_ends_by_its_condition_or_a_break() {
    assert_eq!(result(repeat("ok 1 1", Some("ok 1 false"))), ONE);
    assert_eq!(result(repeat(&break_loop(Some("{\"x\":1}")), None)), "{\"x\":1}");
    assert_eq!(
        result(Ok(break_loop(None))),
        "! df.break() was called outside of a loop. df.break() may only be used inside df.loop()."
    );
    let broken = repeat(&join("ok 1 1", &break_loop(Some("out"))).unwrap(), None);
    assert_eq!(result(broken), "\"out\"");
    let (report, ran) = walk(repeat(&catch("once 1 1", &sleep(0).unwrap()).unwrap(), Some("ok 1 false")));
    assert_eq!((report.at, ran.len()), (2, 2));
    assert_eq!(
        result(repeat("ok 1 1", None)),
        "! Loop exceeded maximum iteration count of 50. Use df.break() to exit the loop or restructure the workflow."
    );
    assert_eq!(walk(repeat("ok 1 1", None)).0.at, 50_000);
}

#[test]
fn results_have_a_scope() {
    let named = |text: &str, to: &str| name(text, to).unwrap();
    let both = join(&named("ok 1 1", "x"), &named("ok 1 2", "x")).unwrap();
    assert_eq!(walk(seq(&both, "select $x")).1[2], "select 2");
    let raced = race(&named("ok 1 1", "x"), &seq(&named("ok 1 2", "y"), "ok 9 1").unwrap()).unwrap();
    assert_eq!(walk(seq(&raced, "select $x, $y")).1.last().unwrap(), "select 1, $y");
    // What a branch did not bind, it does not give back.
    let older = join(&named("ok 1 2", "x"), "ok 5 1").unwrap();
    assert_eq!(walk(seq(&seq(&named("ok 1 1", "x"), &older).unwrap(), "select $x")).1[3], "select 2");
    let root_loop = repeat(&seq(&named("select $x, 1", "x"), "ok 1 1").unwrap(), Some("select 0"));
    assert_eq!(walk(root_loop).1[0], "select $x, 1");
}

#[test]
fn retries_catches_and_timeouts() {
    let policy = Retry { initial_backoff_ms: 100, jitter: 0.0, ..Retry::default() };
    let (report, ran) = walk(retry("once 1 1", policy.clone()));
    assert_eq!((report.outcome, report.at, ran.len()), (Some(Ok(ONE.into())), 102, 2));
    assert_eq!(walk(retry("bad 1 x", policy.clone())).0.at, 1 + 100 + 1 + 200 + 1);
    let other = Retry { sqlstates: vec!["40".into()], ..policy.clone() };
    assert_eq!(walk(retry("bad 1 x", other)).1.len(), 1);
    let statuses = Retry { statuses: vec![503], ..policy };
    assert_eq!(
        result(retry(&http("https://h", "GET", None, None, 5).unwrap(), statuses)),
        "{\"status\":200}"
    );

    let caught = catch("bad 1 oops", "select '$error.message $error.sqlstate'");
    let (report, ran) = walk(caught);
    assert_eq!(ran[1], "select 'oops 22012'");
    assert!(report.outcome.unwrap().is_ok());
    // The failure is the handler's; that of a catch in a handler is its handler's.
    let inner = catch("bad 1 inner", "select '$error.message'").unwrap();
    let handler = seq(&inner, "select '$error.message'").unwrap();
    let (_, ran) = walk(seq(&catch("bad 1 outer", &handler).unwrap(), "select '$error.message'"));
    assert_eq!(ran[2..], ["select 'inner'", "select 'outer'", "select '$error.message'"]);
    assert_eq!(result(timeout("ok 5 1", 5)), ONE);
    let (report, _) = walk(timeout(&seq("ok 4 1", "ok 5 1").unwrap(), 5));
    assert_eq!(
        (report.at, report.outcome.unwrap().unwrap_err().message.as_str()),
        (5, "Timeout after 0.005s")
    );
}

#[test]
fn a_map_has_its_row_and_its_limit() {
    let (report, ran) = walk(map("rows 3", "select $item.n", 2, "item"));
    assert_eq!(ran, ["rows 3", "select 0", "select 1", "select 2"]);
    assert_eq!(report.at, 3);
    assert_eq!(result(map("rows 0", "ok 1 1", 2, "item")), "[]");
    let (report, ran) = walk(map("rows 9", "bad 1 $item.n", 2, "item"));
    assert_eq!(report.outcome.unwrap().unwrap_err().message, "MAP item 1 failed: 0");
    assert_eq!(ran.len(), 3);
    assert_eq!(
        result(map(&sleep(0).unwrap(), "ok 1 1", 1, "item")),
        "! df.map: the result of its query is no row set"
    );
}

#[test]
fn undos_run_latest_first_with_what_they_saw() {
    let one = compensate(&name("ok 1 1", "x").unwrap(), "undo $x").unwrap();
    let two = compensate(&name("ok 1 2", "x").unwrap(), "undo $x").unwrap();
    let both = seq(&one, &two).unwrap();
    assert_eq!(walk(seq(&both, "bad 1 oops")).1[3..], ["undo 2", "undo 1"]);
    assert_eq!(walk(Ok(both.clone())).1.len(), 2);
    let caught = catch(&seq(&both, "bad 1 oops").unwrap(), "handle");
    assert_eq!(walk(caught).1[3..], ["undo 2", "undo 1", "handle"]);
    // A function that was called and has ended well keeps what it did.
    let called = seq(&call(&both, None).unwrap(), "bad 1 oops");
    assert_eq!(walk(called).1.len(), 3);
}

fn world() -> impl Strategy<Value = Script> {
    let step = (0..3_000_u64, 0..6_u8).prop_map(|(millis, what)| match what {
        0 => bad(millis, "failed"),
        1 => ok(millis, "false"),
        2 => Step { millis, outcome: Ok(plain("{\"rows\":[],\"row_count\":0}".into())) },
        _ => ok(millis, "1"),
    });
    let steps = prop::collection::btree_map(0..30_u32, prop::collection::vec(step, 1..4), 0..20);
    (steps, prop::option::of(0..5_000_u64)).prop_map(|(steps, signal)| Script {
        steps,
        otherwise: None,
        signal: signal.map(|after| (after, "1".into())),
        tick: 60_000,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_run_makes_sense(text in function(30, Kinds::All), mut world in world()) {
        let graph = Graph::parse(&text).unwrap();
        let report = run(&graph, &BTreeMap::new(), LIMITS, &mut world.clone());
        prop_assert_eq!(&report, &run(&graph, &BTreeMap::new(), LIMITS, &mut world));
        let undoes = graph.nodes().iter().any(|node| matches!(node.kind, Kind::Compensate { .. }));
        let allowed: &[Status] = match &report.outcome {
            Some(Ok(_)) => &[Status::Completed],
            // A break outside of any loop has completed its node and fails the instance.
            Some(Err(_)) => &[Status::Failed, Status::Completed],
            // The undos of a root that has failed run before the instance ends.
            None if undoes => &[Status::Running, Status::Failed],
            None => &[Status::Running],
        };
        prop_assert!(allowed.contains(&report.statuses[0]), "{:?}", report.statuses[0]);
        prop_assert!(report.order.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        for (number, node) in graph.nodes().iter().enumerate() {
            let Some(parent) = node.parent.map(|parent| report.statuses[parent as usize]) else { continue };
            match report.statuses[number] {
                Status::Pending => prop_assert!(matches!(parent, Status::Pending | Status::Running)),
                Status::Running => prop_assert_eq!(parent, Status::Running),
                Status::Skipped => prop_assert!(parent != Status::Pending && parent != Status::Running),
                Status::Completed | Status::Failed => {}
            }
        }
    }

    #[test]
    fn what_is_composed_reads_back_the_same(text in function(60, Kinds::All)) {
        let text = step(&text).unwrap();
        let graph = Graph::parse(&text).unwrap();
        prop_assert_eq!(graph.text(), &text);
        prop_assert_eq!(&Graph::parse(graph.text()).unwrap(), &graph);
        prop_assert_eq!(Tree::from_step(&text).unwrap().to_text(), text);
        for (number, node) in graph.nodes().iter().enumerate() {
            for child in node.kind.children() {
                prop_assert!(child as usize > number);
                prop_assert_eq!(graph.node(child).unwrap().parent, Some(u32::try_from(number).unwrap()));
            }
        }
        let _ = crate::explain::tree(&graph, None);
    }
}
