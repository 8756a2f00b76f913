//! A1 – A13: becoming someone else, from inside.

use crate::{temp_world, world};

#[tokio::test]
async fn a01_plain_reset() {
    let world = world().await;
    for sql in [
        "reset role",
        "set role bob",
        "set role none",
        "set local role bob",
        "set session authorization bob",
        "set session authorization default",
        "reset session authorization",
    ] {
        world.alice().sql(sql).await.refused("42501");
        assert_eq!(world.alice().sql("select current_user").await.text(), "alice");
    }
    world.canary().await;
}

#[tokio::test]
async fn a07_deferred_trigger() {
    let world = temp_world().await;
    world.alice().sql("insert into work.dt values (1)").await.fine();
    assert_eq!(world.loot().await, "deferred|alice");
    world.canary().await;
}
