//! Requests for the outbound worker: rows of `postern.outbound`, written with the turn that waits for the answer and taken away
//! with the one that has it. What the worker does with them is in `sql/32_durable_http.sql`.

use postern_durable::Failure;
use postern_durable::request::{Request, Target};

use super::store::Strand;
use crate::pg::query::{self, Arg};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Method and URL, for the record.
    pub request: String,
    /// When it was sent last.
    pub sent_at: Option<i64>,
    /// At most how often it was sent.
    pub sends: i32,
    /// The result, or what went wrong.
    pub came_back: Result<String, Failure>,
}

/// Writes a request, unless the strand's owner may not send it; tells workers when the transaction is committed.
pub fn put(
    strand: &Strand,
    node: u32,
    multipart: bool,
    request: &Request,
    target: &Target,
    secrets: &[String],
) -> Result<(), Failure> {
    let port = i32::from(target.port);
    let refusal = query::run(
        c"SELECT postern.http_refusal($1, $2::pg_catalog.bool, $3, $4, $5, $6)",
        &[
            Arg::Oid(strand.owner),
            Arg::Text(if multipart { "t" } else { "f" }),
            Arg::Text(&target.scheme),
            Arg::Text(&target.host),
            Arg::Int4(port),
            Arg::Text(&request.method),
        ],
    );
    if let Some(message) = refusal.first().and_then(|row| row.text(0)) {
        return Err(Failure::new("42501", message));
    }
    // Texts and numbers always serialize.
    let text = serde_json::to_string(request).unwrap_or_default();
    query::run(
        // What a strand left behind that was dropped and came again is not wanted any more.
        c"INSERT INTO postern.outbound (instance, strand, node, owner, multipart, method, scheme, host, port, request, secrets, created_at, due) \
          VALUES ($1, $2, $3, $4, $5::pg_catalog.bool, $6, $7, $8, $9, $10::pg_catalog.json, $11, now(), now()) \
          ON CONFLICT ON CONSTRAINT outbound_pkey DO UPDATE SET \
              id = DEFAULT, node = excluded.node, owner = excluded.owner, key = excluded.key, multipart = excluded.multipart, \
              method = excluded.method, scheme = excluded.scheme, host = excluded.host, port = excluded.port, \
              request = excluded.request, secrets = excluded.secrets, created_at = excluded.created_at, due = excluded.due, worker = NULL, sends = 0, \
              sent_at = NULL, result = NULL, error = NULL",
        &[
            Arg::Text(&strand.instance),
            Arg::Int4(strand.strand),
            Arg::Int4(node.cast_signed()),
            Arg::Oid(strand.owner),
            Arg::Text(if multipart { "t" } else { "f" }),
            Arg::Text(&request.method),
            Arg::Text(&target.scheme),
            Arg::Text(&target.host),
            Arg::Int4(port),
            Arg::Text(&text),
            Arg::Texts(secrets),
        ],
    );
    tell();
    Ok(())
}

/// Takes what came back for a strand; `None` if nothing has.
pub fn take(id: &str, strand: i32) -> Option<Answer> {
    let rows = query::run(
        c"DELETE FROM postern.outbound o WHERE o.instance = $1 AND o.strand = $2 AND (o.result IS NOT NULL OR o.error IS NOT NULL) \
          RETURNING o.request::text, o.sent_at, o.sends, o.result::text, o.error::text",
        &[Arg::Text(id), Arg::Int4(strand)],
    );
    let row = rows.first()?;
    let request = row.text(0).and_then(|text| serde_json::from_str::<Request>(text).ok());
    let came_back = match (row.text(3), row.text(4)) {
        (Some(result), _) => Ok(result.to_owned()),
        (None, error) => Err(error.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()),
    };
    Some(Answer {
        request: request.map(|request| request.shown()).unwrap_or_default(),
        sent_at: row.time(1),
        sends: row.int4(2),
        came_back,
    })
}

/// Drops the requests of an instance whose strands are gone, and tells workers to stop with them.
pub fn drop_unwanted(id: &str) {
    let gone = query::run(
        c"DELETE FROM postern.outbound o WHERE o.instance = $1 AND NOT EXISTS ( \
              SELECT FROM postern.strand s WHERE s.instance = o.instance AND s.strand = o.strand) RETURNING o.id",
        &[Arg::Text(id)],
    );
    if !gone.is_empty() {
        tell();
    }
}

/// Has workers look, when the transaction is committed.
fn tell() {
    query::run(c"SELECT pg_catalog.pg_notify('postern_outbound', '')", &[]);
}
