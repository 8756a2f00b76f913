//! The part of the attack suite in which identities are at stake, once more with the gate's login as it is installed: a
//! member of nothing. (In `attacks` it is a member of everyone, so that an escape would be seen.)

use std::sync::OnceLock;

use postern_e2e::{Membership, Site, World};

#[path = "attacks/a_entering.rs"]
mod a_entering;
#[path = "attacks/a_identity.rs"]
mod a_identity;
#[path = "attacks/a_names.rs"]
mod a_names;
#[path = "attacks/b_state.rs"]
mod b_state;
#[path = "attacks/c_facts.rs"]
mod c_facts;
#[path = "attacks/n_again.rs"]
mod n_again;
#[path = "attacks/n_kept.rs"]
mod n_kept;
#[path = "attacks/n_more.rs"]
mod n_more;

static SITE: OnceLock<Site> = OnceLock::new();

/// The server that the tests share.
fn site() -> &'static Site {
    SITE.get_or_init(|| Site::start(Membership::None, &[]))
}

/// A world as an application has it.
async fn world() -> World {
    World::builder().start(site()).await
}

/// A world in which temporary objects may be made.
async fn temp_world() -> World {
    World::builder().setting("postern.allow_temp", "on").start(site()).await
}

#[tokio::test]
async fn the_gate_is_a_member_of_nothing() {
    let world = world().await;
    let groups = "select count(*) from pg_auth_members where member = 'postern_gate'::regrole";
    assert_eq!(world.look(groups).await, "0");
    let found = world.doctor().await.join("\n");
    assert!(!found.contains("gate-member"), "{found}");
    world.canary().await;
}
