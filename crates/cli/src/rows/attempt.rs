//! A statement as another role, in a transaction of ours that goes on afterwards.

use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::error::Error;

/// What came of a statement.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// How many rows it gave or changed, and those that it gave.
    Rows(u64, Vec<Value>),
    /// SQLSTATE and message.
    Refused(SqlState, String),
}

/// Runs a statement as the role, with the facts; what it changes is rolled back.
pub async fn attempt(
    client: &Client,
    role: &str,
    facts: Option<&Value>,
    sql: &str,
) -> Result<Outcome, Error> {
    const AS: &str = "SELECT postern.attempt_as(postern.row_role($1::pg_catalog.text::pg_catalog.name), $2::pg_catalog.jsonb, $3::pg_catalog.text)";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&role, &facts, &sql];
    match caught(client, client.query_one(AS, &parameters)).await? {
        Ok(row) => {
            let given: Value = row.get(0);
            let rows = given["rows"].as_array().cloned().unwrap_or_default();
            Ok(Outcome::Rows(given["count"].as_u64().unwrap_or(0), rows))
        }
        Err((code, message)) => Ok(Outcome::Refused(code, message)),
    }
}

/// Whether whoever asks may look as the role, with facts; if not, why. A refusal of that is no answer about the role.
pub async fn may_look(
    client: &Client,
    role: &str,
    facts: Option<&Value>,
) -> Result<Result<(), String>, Error> {
    Ok(match attempt(client, role, facts, "SELECT").await? {
        Outcome::Rows(..) => Ok(()),
        Outcome::Refused(_, message) => Err(message),
    })
}

/// Runs something of which the server's refusal is an answer, and the transaction goes on.
pub async fn caught<T>(
    client: &Client,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<Result<T, (SqlState, String)>, Error> {
    client.batch_execute("SAVEPOINT postern_attempt").await?;
    match work.await {
        Ok(done) => {
            client.batch_execute("RELEASE SAVEPOINT postern_attempt").await?;
            Ok(Ok(done))
        }
        Err(error) => match error.as_db_error() {
            None => Err(error.into()),
            Some(refused) => {
                let said = (refused.code().clone(), refused.message().to_owned());
                client
                    .batch_execute("ROLLBACK TO SAVEPOINT postern_attempt; RELEASE SAVEPOINT postern_attempt")
                    .await?;
                Ok(Err(said))
            }
        },
    }
}

/// A new transaction, in which nothing of the session's settings changes what SQL means.
pub async fn begin(client: &Client) -> Result<(), Error> {
    client
        .batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL standard_conforming_strings = on; SET LOCAL row_security = on; SET LOCAL lock_timeout = '5s'")
        .await?;
    Ok(())
}

/// Its end, of which nothing stays.
pub async fn end(client: &Client) -> Result<(), Error> {
    client.batch_execute("ROLLBACK").await?;
    Ok(())
}
