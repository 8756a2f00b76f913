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
