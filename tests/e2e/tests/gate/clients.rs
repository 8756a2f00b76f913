//! Clients of others, unmodified: each one's tests are a program in `tests/clients`.

use postern_e2e::{Front, unix_time};
use serde_json::json;

use crate::{example, node};

async fn run(test: &str, file: &str) {
    if !node::is_there(test).await {
        return;
    }
    let database = example().database(include_str!("clients.sql"));
    let front = Front::start(example().cluster(), &database).await;
    let mut expired = front.issuer.claims("app_user", "alice");
    expired.insert("tenant".into(), "acme".into());
    expired.insert("exp".into(), json!(unix_time() - 3_600));
    let environment = [
        ("POSTERN_SQL_URL", front.url("/sql")),
        ("POSTERN_CONNECTION", front.connection_string("app_user")),
        ("POSTERN_ALICE", front.token("alice", "acme")),
        ("POSTERN_BOB", front.token("bob", "globex")),
        ("POSTERN_EXPIRED", front.issuer.sign(&expired)),
    ];
    node::test(file, &environment).await;
}

#[tokio::test]
async fn the_serverless_driver_works_unmodified() {
    run("the_serverless_driver_works_unmodified", "driver.test.js").await;
}

#[tokio::test]
async fn users_of_the_serverless_driver_are_who_they_are() {
    run("users_of_the_serverless_driver_are_who_they_are", "identity.test.js").await;
}

#[tokio::test]
async fn drizzle_works_unmodified() {
    run("drizzle_works_unmodified", "drizzle.test.js").await;
}

#[tokio::test]
async fn kysely_works_unmodified() {
    run("kysely_works_unmodified", "kysely.test.js").await;
}
