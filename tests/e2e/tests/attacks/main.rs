//! The attack catalogue: one test for each entry, named by its id. What each entry is about, and what comes of it:
//! `docs/explanations/attack-suite.md`.

mod a_entering;
mod a_identity;
mod a_names;
mod b_state;
mod c_facts;
mod d_leaks;
mod e_limits;
mod f_tampering;
mod g_floor;
mod h_gateway;
mod h_tokens;
mod n_again;
mod n_kept;
mod n_more;

use std::sync::OnceLock;

use postern_e2e::{Membership, Site, World};

static SITE: OnceLock<Site> = OnceLock::new();

/// The server that the tests share.
fn site() -> &'static Site {
    SITE.get_or_init(|| Site::start(Membership::Granted, &[]))
}

/// A world as an application has it.
async fn world() -> World {
    World::builder().start(site()).await
}

/// A world in which temporary objects may be made.
async fn temp_world() -> World {
    World::builder().setting("postern.allow_temp", "on").start(site()).await
}

/// The files of the suite.
const SOURCES: [&str; 14] = [
    include_str!("a_entering.rs"),
    include_str!("a_identity.rs"),
    include_str!("a_names.rs"),
    include_str!("b_state.rs"),
    include_str!("c_facts.rs"),
    include_str!("d_leaks.rs"),
    include_str!("e_limits.rs"),
    include_str!("f_tampering.rs"),
    include_str!("g_floor.rs"),
    include_str!("h_gateway.rs"),
    include_str!("h_tokens.rs"),
    include_str!("n_again.rs"),
    include_str!("n_kept.rs"),
    include_str!("n_more.rs"),
];

/// Every test, with its name.
fn tests() -> impl Iterator<Item = (&'static str, &'static str)> {
    let bodies = SOURCES.into_iter().flat_map(|source| source.split("test]\n").skip(1));
    bodies.map(|body| {
        (body.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).expect("a function").0, body)
    })
}

#[test]
fn the_page_lists_every_test_once() {
    let page = include_str!("../../../../docs/explanations/attack-suite.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |"));
    let mut listed: Vec<_> = rows.filter_map(|line| line.rsplit('`').nth(1)).collect();
    let mut there: Vec<_> = tests().map(|(name, _)| name).collect();
    assert!(there.len() > 100, "{there:?}");
    listed.sort_unstable();
    there.sort_unstable();
    assert_eq!(listed, there);
}

#[test]
fn every_attack_is_followed_by_the_canary() {
    for (name, body) in tests().filter(|(name, _)| *name != "g_versions_below_the_floor_are_refused") {
        assert!(body.contains("canary().await") || body.contains("finds("), "{name}");
    }
}
