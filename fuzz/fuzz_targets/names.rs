//! No bytes make the analysis panic, and each place that it names is one of the text.
//!
//! `make fuzz`; what has been found goes into `crates/analyze/tests/robust.rs`. The catalog is a sample of the server's own: with all of it,
//! an input takes ten times as long.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use postern_analyze::body;
use postern_analyze::catalog::Catalog;
use postern_analyze::files::{self, RUNNER, Source};
use postern_analyze::parse::with_stack;
use postern_analyze::path::Path;
use postern_analyze::walk::Surroundings;

/// One in so many routines, operators and relations is kept.
const SAMPLE: u32 = 12;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let mut snapshot = files::empty(15, RUNNER);
    let common = [
        "count",
        "length",
        "lower",
        "format",
        "nextval",
        "unnest",
        "generate_series",
        "now",
        "=",
        "||",
        "+",
        "pg_class",
    ];
    let kept = |oid: u32, name: &str| oid % SAMPLE == 0 || common.contains(&name);
    snapshot.routines.retain(|found| kept(found.oid, &found.name));
    snapshot.operators.retain(|found| kept(found.oid, &found.name));
    snapshot.relations.retain(|found| kept(found.oid, &found.name));
    Catalog::new(snapshot)
});

fuzz_target!(|data: &[u8]| {
    let source = Source::new("fuzz.sql", data.to_vec());
    let text = source.text.clone();
    with_stack(|| {
        let path = Path::new(&CATALOG, "a, public, pg_temp", RUNNER);
        for found in [
            body::statements(&CATALOG, &path, &text, &Surroundings::default()),
            body::plpgsql(&CATALOG, &path, &text, Surroundings::default()),
        ] {
            for occurrence in found.occurrences {
                assert!(text.get(occurrence.span).is_some(), "a place that is none");
            }
        }
        files::check(&files::replay(CATALOG.snapshot.clone(), vec![source.clone()]));
    })
    .expect("a thread starts");
});
