//! `check`: all that needs no server to run. Every check runs; the first failures do not hide the later ones.

use postern_cluster::Installation;

use crate::process::{self, Result, is_there};
use crate::report::{Report, Suite};
use crate::workspace;

/// Format, lints, documentation, licences and advisories.
pub fn run(server: &Installation) -> Result<()> {
    let mut report = Report::default();
    let mut step = |name: &str, command: &mut std::process::Command| {
        println!("\n== {name}");
        report.suites.push(Suite::of(name, &process::run(command)));
    };
    step("format", workspace::cargo().args(["fmt", "--all", "--check"]));
    step(
        "lints",
        workspace::cargo().args([
            "clippy",
            "--workspace",
            "--exclude",
            "postern-extension",
            "--all-targets",
            "--no-deps",
            "--",
            "-D",
            "warnings",
        ]),
    );
    step(
        &format!("lints of the extension, pg{}", server.major),
        workspace::cargo_for(server, "clippy").args(["--all-targets", "--no-deps", "--", "-D", "warnings"]),
    );
    step(
        "documentation",
        workspace::cargo()
            .args([
                "doc",
                "--workspace",
                "--exclude",
                "postern-extension",
                "--no-deps",
                "--document-private-items",
            ])
            // Private items are documented too, so links to them lead somewhere.
            .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"),
    );
    if is_there("cargo-deny", "--version") {
        step("licences and bans", workspace::cargo().args(["deny", "check", "licenses", "bans", "sources"]));
        step("advisories", workspace::cargo().args(["deny", "check", "advisories"]));
    } else {
        let reason = "cargo-deny is not installed (cargo install cargo-deny)";
        report.suites.push(Suite::skipped("licences and advisories", reason));
    }
    println!("\n{report}");
    report.verdict()
}
