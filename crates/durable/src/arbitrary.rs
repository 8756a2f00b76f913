//! Random durable functions, for property tests of the language and of engines.
//!
//! What is generated passes every check. A leaf's statement is `select N` with a number of its own making, so that runs
//! can be told apart; references and names are from a few, so that they meet.

use proptest::prelude::*;

use crate::compose;
use crate::retry::Retry;

/// Which nodes a function may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// Those of old.
    Known,
    /// One line of execution: nothing runs beside anything, but there are undos.
    Line,
    /// All but CALL and COMPENSATE.
    Branches,
    /// All.
    All,
}

/// The names that results get.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// A function of up to about `size` nodes, as text.
pub fn function(size: u32, kinds: Kinds) -> BoxedStrategy<String> {
    let name = prop::sample::select(NAMES.to_vec());
    let mut leaves = vec![
        (0..1000_u32).prop_map(|number| format!("select {number}")).boxed(),
        name.clone().prop_map(|name| format!("select ${name}?")).boxed(),
        (0..3_i64).prop_map(|seconds| built(compose::sleep(seconds))).boxed(),
        (1..4_i32).prop_map(|seconds| built(compose::wait_for_signal("go", Some(seconds)))).boxed(),
        prop::option::of(Just("done")).prop_map(compose::break_loop).boxed(),
        Just(built(compose::wait_for_schedule("* * * * *"))).boxed(),
    ];
    if kinds != Kinds::Known {
        leaves.push((1..500_u64).prop_map(|millis| built(compose::sleep_millis(millis))).boxed());
    }
    let leaf = prop::strategy::Union::new(leaves);
    leaf.prop_recursive(6, size, 3, move |inner| {
        let pair = || (inner.clone(), inner.clone());
        let list = || prop::collection::vec(inner.clone(), 1..4);
        let refs = |steps: &[String], make: fn(&[&str]) -> Result<String, crate::Error>| {
            built(make(&steps.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        let mut nodes = vec![
            pair().prop_map(|(a, b)| built(compose::seq(&a, &b))).boxed(),
            pair().prop_map(|(a, b)| built(compose::seq(&a, &b))).boxed(),
            (inner.clone(), name.clone()).prop_map(|(step, name)| built(compose::name(&step, name))).boxed(),
            (pair(), inner.clone()).prop_map(|((c, a), b)| built(compose::branch(&c, &a, &b))).boxed(),
            (name.clone(), pair()).prop_map(|(name, (a, b))| built(compose::if_rows(name, &a, &b))).boxed(),
            (inner.clone(), prop::option::of(inner.clone()))
                .prop_map(|(body, condition)| built(compose::repeat(&body, condition.as_deref())))
                .boxed(),
        ];
        if kinds != Kinds::Line {
            nodes.extend([
                pair().prop_map(|(a, b)| built(compose::join(&a, &b))).boxed(),
                pair().prop_map(|(a, b)| built(compose::race(&a, &b))).boxed(),
            ]);
        }
        if kinds != Kinds::Known {
            nodes.extend([
                (inner.clone(), 1..4_u32)
                    .prop_map(|(step, max_attempts)| {
                        let policy = Retry { max_attempts, jitter: 0.0, ..Retry::default() };
                        built(compose::retry(&step, policy))
                    })
                    .boxed(),
                pair().prop_map(|(a, b)| built(compose::catch(&a, &b))).boxed(),
            ]);
        }
        if matches!(kinds, Kinds::Branches | Kinds::All) {
            nodes.extend([
                list().prop_map(move |steps| refs(&steps, compose::all)).boxed(),
                list().prop_map(move |steps| refs(&steps, compose::first)).boxed(),
                list().prop_map(move |steps| refs(&steps, compose::race_all)).boxed(),
                (inner.clone(), 1..5_000_u64)
                    .prop_map(|(step, millis)| built(compose::timeout(&step, millis)))
                    .boxed(),
                (pair(), 1..4_i32)
                    .prop_map(|((rows, body), concurrency)| {
                        built(compose::map(&rows, &body, concurrency, "item"))
                    })
                    .boxed(),
            ]);
        }
        if matches!(kinds, Kinds::Line | Kinds::All) {
            nodes.push(pair().prop_map(|(a, b)| built(compose::compensate(&a, &b))).boxed());
        }
        if kinds == Kinds::All {
            nodes.push(inner.clone().prop_map(|step| built(compose::call(&step, None))).boxed());
        }
        prop::strategy::Union::new(nodes)
    })
    .boxed()
}

/// What is generated is in order; if it is not, that is the finding.
fn built(text: Result<String, crate::Error>) -> String {
    text.expect("a generated function composes")
}
