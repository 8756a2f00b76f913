//! No bytes make the analysis panic, and each place that it names is one of the text.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run names` from the folder above; what has been found goes into `crates/analyze/tests/robust.rs`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use postern_analyze::body;
use postern_analyze::catalog::Catalog;
use postern_analyze::files::{self, RUNNER, Source};
use postern_analyze::parse::with_stack;
use postern_analyze::path::Path;
use postern_analyze::walk::Surroundings;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::new(files::empty(15, RUNNER)));

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
