//! `POST /sql`: the HTTP protocol of Neon's serverless driver.
//!
//! Headers say who and how, the body holds one statement or a batch, the answer is made in memory and sent when the
//! transaction is committed.
//!
//! **Invariants**: status 200 means committed. The answer to one request is made of that request's events only. What the
//! connection string asks for is checked, never obeyed.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use postern_core::{Code, Protocol};
use postern_pool::{Column, Event, Isolation, Running, Statement, TransactionOptions};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::account::Account;
use crate::body::{self, Body};
use crate::client::{self, CONNECTION_STRING, single};
use crate::connection_string::ConnectionString;
use crate::deliver::deliver;
use crate::encode::json::push_fields;
use crate::encode::text::{push_integer, push_string};
use crate::encode::{Conversion, RowForm, RowPlan, tag};
use crate::failure::Failure;
use crate::gateway::{Admitted, Gateway};
use crate::params::{self, AtMost, Params};
use crate::response;
use crate::stream::CHUNK;

const RAW_TEXT: HeaderName = HeaderName::from_static("neon-raw-text-output");
const ARRAY_MODE: HeaderName = HeaderName::from_static("neon-array-mode");
const ISOLATION: HeaderName = HeaderName::from_static("neon-batch-isolation-level");
const READ_ONLY: HeaderName = HeaderName::from_static("neon-batch-read-only");
const DEFERRABLE: HeaderName = HeaderName::from_static("neon-batch-deferrable");

/// Each statement costs more memory than its few bytes of JSON.
const MAX_STATEMENTS: usize = 10_000;

type Queries<'a> = AtMost<'a, MAX_STATEMENTS>;

/// The body of a request.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
    #[serde(rename = "arrayMode")]
    array_mode: Option<bool>,
    #[serde(borrow)]
    queries: Option<Queries<'a>>,
}

/// One statement of a batch.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    query: &'a RawValue,
    #[serde(borrow)]
    params: Option<Params<'a>>,
    #[serde(rename = "arrayMode")]
    array_mode: Option<bool>,
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
struct Work {
    statements: Vec<Statement>,
    /// The form of each statement's rows.
    forms: Vec<RowForm>,
    batch: bool,
}

/// How the answer is to look, and how the transaction is run: what the headers say.
#[derive(Debug)]
struct Manner {
    conversion: Conversion,
    form: RowForm,
    transaction: TransactionOptions,
    /// The batch headers that were understood, to be repeated in the response.
    echo: Vec<(HeaderName, HeaderValue)>,
}

/// Runs one statement, or a batch in one transaction, by the HTTP protocol of Neon's serverless driver.
///
/// The reference of the HTTP interface describes headers, body and answer. Every error that a driver can do something about
/// has status 400.
#[utoipa::path(
    post,
    path = "/sql",
    operation_id = "sql",
    tag = "sql",
    params(("Neon-Connection-String" = String, Header, description = "postgresql://role@host/database")),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 200, description = "The result, or all results of the batch", body = Object),
        (status = 400, description = "An error", body = Object),
        (status = 408, description = "The body did not arrive in time", body = Object),
        (status = 413, description = "The body is too large", body = Object),
        (status = 415, description = "The body is compressed", body = Object),
        (status = 421, description = "The host is not served here", body = Object),
        (status = 429, description = "Too many requests of one identity", body = Object),
        (status = 500, description = "A fault of the server", body = Object),
        (status = 503, description = "Not now", body = Object),
        (status = 507, description = "The result is too large", body = Object),
    ),
    security(("token" = []), ("key" = []), ())
)]
pub(crate) async fn handle<B>(gateway: &Arc<Gateway>, peer: SocketAddr, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if request.method() != Method::POST {
        return response::with(StatusCode::BAD_REQUEST, response::JSON, "\"query is not supported\"");
    }
    let (parts, body) = request.into_parts();
    let mut account = Account::open(gateway, "/sql", &parts.headers);
    match answer(gateway, &mut account, peer, &parts, body).await {
        Ok(Answer { json, echo, admitted }) => {
            let mut response = response::with(StatusCode::OK, response::JSON, "");
            response.headers_mut().extend(echo);
            response::name(&mut response, &account);
            *response.body_mut() = deliver(json, account, admitted, gateway.config.limits.slow_reader);
            response
        }
        Err(failure) => {
            let mut response =
                response::failure(&failure, Protocol::Neon, gateway.config.errors.hide_internals);
            response::name(&mut response, &account);
            account.close(Err(&failure));
            response
        }
    }
}

/// The answer, and the request that it counts for.
struct Answer {
    json: Vec<u8>,
    echo: Vec<(HeaderName, HeaderValue)>,
    admitted: Admitted,
}

async fn answer<B>(
    gateway: &Arc<Gateway>,
    account: &mut Account,
    peer: SocketAddr,
    parts: &Parts,
    body: B,
) -> Result<Answer, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let headers = &parts.headers;
    client::check_encoding(headers)?;
    let presented = client::presented(headers, None)?;
    let asked = ConnectionString::parse(single(headers, &CONNECTION_STRING)?.ok_or(Code::ConnectionString)?)?;
    let manner = Manner::read(headers)?;
    let presented = postern_auth::Presented { requested_role: Some(&asked.role), ..presented };
    let mut admitted = gateway.admit(account, peer, headers, presented).await?;
    if asked.database != gateway.database {
        return Err(Code::OtherDatabase.into());
    }
    let limits = &gateway.config.limits;
    let body = body::read(body, headers, limits.body_bytes, limits.body_timeout).await?;
    let Work { statements, forms, batch } = read_work(&body, manner.form)?;
    drop(body);

    let json = async {
        let running = gateway.run(account, &admitted, statements, manner.transaction).await?;
        collect(running, account, &mut admitted, manner.conversion, &forms, batch).await
    };
    Ok(Answer { json: json.await?, echo: manner.echo, admitted })
}

impl Manner {
    fn read(headers: &HeaderMap) -> Result<Self, Code> {
        let is_true = |name| single(headers, &name).map(|value| value == Some("true"));
        let boolean =
            |name| single(headers, &name).map(|value| value.and_then(|value| value.parse::<bool>().ok()));
        let isolation = single(headers, &ISOLATION)?.map(isolation).transpose()?;
        let transaction = TransactionOptions {
            isolation: isolation.map(|(_, isolation)| isolation),
            read_only: boolean(READ_ONLY)?,
            deferrable: boolean(DEFERRABLE)?,
        };
        let mut echo = Vec::new();
        if let Some((name, _)) = isolation {
            echo.push((ISOLATION, HeaderValue::from_static(name)));
        }
        for (name, value) in [(READ_ONLY, transaction.read_only), (DEFERRABLE, transaction.deferrable)] {
            if let Some(value) = value {
                echo.push((name, HeaderValue::from_static(if value { "true" } else { "false" })));
            }
        }
        Ok(Self {
            conversion: if is_true(RAW_TEXT)? { Conversion::Raw } else { Conversion::Typed },
            form: form(is_true(ARRAY_MODE)?),
            transaction,
            echo,
        })
    }
}

fn isolation(value: &str) -> Result<(&'static str, Isolation), Code> {
    Ok(match value {
        "ReadUncommitted" => ("ReadUncommitted", Isolation::ReadUncommitted),
        "ReadCommitted" => ("ReadCommitted", Isolation::ReadCommitted),
        "RepeatableRead" => ("RepeatableRead", Isolation::RepeatableRead),
        "Serializable" => ("Serializable", Isolation::Serializable),
        _ => return Err(Code::IsolationLevel),
    })
}

fn form(arrays: bool) -> RowForm {
    if arrays { RowForm::Array } else { RowForm::Object }
}

fn read_work(body: &[u8], default_form: RowForm) -> Result<Work, Failure> {
    let text = std::str::from_utf8(body).map_err(|_| Code::NotUtf8)?;
    let Payload { query, params, array_mode, queries } = object(text)?;
    let batch = queries.is_some();
    let queries = match (query, queries) {
        (Some(query), None) => vec![Item { query, params, array_mode }],
        (None, Some(queries)) => {
            let Some(queries) = queries.items() else {
                return Err(malformed(format_args!("more than {MAX_STATEMENTS} statements")));
            };
            queries.iter().map(|query| object(query.get())).collect::<Result<_, _>>()?
        }
        (None, None) => return Err(malformed("missing field `query`")),
        (Some(_), Some(_)) => return Err(malformed("`query` and `queries` exclude each other")),
    };
    let mut work = Work {
        statements: Vec::with_capacity(queries.len()),
        forms: Vec::with_capacity(queries.len()),
        batch,
    };
    for Item { query, params, array_mode } in queries {
        work.statements
            .push(Statement { sql: params::text(query)?.into(), params: params::convert(params.as_ref())? });
        work.forms.push(array_mode.map_or(default_form, form));
    }
    Ok(work)
}

/// Reads a JSON object. (A list of its values would be taken for one otherwise.)
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(malformed("not a JSON object"));
    }
    serde_json::from_str(text).map_err(malformed)
}

/// A description of what is wrong with a body; it holds nothing that did not come with that body.
fn malformed(what: impl std::fmt::Display) -> Failure {
    Failure::with_message(Code::MalformedBody, format!("request body is malformed: {what}"))
}

/// Makes the answer from the events of the request.
async fn collect(
    mut running: Running,
    account: &mut Account,
    admitted: &mut Admitted,
    conversion: Conversion,
    forms: &[RowForm],
    batch: bool,
) -> Result<Vec<u8>, Failure> {
    let limits = admitted.admission.limits();
    let mut answer = Writer::new(conversion, forms);
    if batch {
        answer.out.extend_from_slice(b"{\"results\":[");
    }
    loop {
        match running.next().await? {
            Event::Columns(columns) => answer.columns(&columns),
            Event::Row(row) => {
                account.rows += 1;
                if account.rows > limits.response_rows {
                    let message = format!("response has too many rows (max is {})", limits.response_rows);
                    return Err(Failure::with_message(Code::ResponseRows, message));
                }
                if !answer.row(row.cells(), limits.response_bytes) {
                    return Err(too_large(limits.response_bytes));
                }
            }
            Event::Complete(tag) => answer.complete(&tag),
            Event::Empty => answer.complete(""),
            // The protocol has no place for them.
            Event::Notice(_) => {}
            Event::Committed => break,
        }
        if answer.out.len() > limits.response_bytes {
            return Err(too_large(limits.response_bytes));
        }
        if answer.out.len() > CHUNK {
            admitted.waiting.cover(answer.out.capacity())?;
        }
    }
    if batch {
        answer.out.extend_from_slice(b"]}");
    }
    Ok(answer.out)
}

fn too_large(limit: usize) -> Failure {
    Failure::with_message(Code::ResponseBytes, format!("response is too large (max is {limit} bytes)"))
}

struct Writer<'f> {
    out: Vec<u8>,
    conversion: Conversion,
    /// Of the statements to come.
    forms: std::slice::Iter<'f, RowForm>,
    form: RowForm,
    /// There while the result of a statement is being written.
    plan: Option<RowPlan>,
    /// Results begun.
    results: usize,
    /// Rows of this result.
    rows: u64,
}

impl<'f> Writer<'f> {
    fn new(conversion: Conversion, forms: &'f [RowForm]) -> Self {
        Self {
            out: Vec::with_capacity(1024),
            conversion,
            forms: forms.iter(),
            form: RowForm::Array,
            plan: None,
            results: 0,
            rows: 0,
        }
    }

    /// Begins the result of the next statement.
    fn columns(&mut self, columns: &[Column]) {
        if self.results > 0 {
            self.out.push(b',');
        }
        self.results += 1;
        self.rows = 0;
        self.form = self.forms.next().copied().unwrap_or(RowForm::Array);
        self.out.extend_from_slice(b"{\"fields\":");
        push_fields(&mut self.out, columns);
        self.out.extend_from_slice(b",\"rows\":[");
        self.plan = Some(RowPlan::new(columns, self.form, self.conversion));
    }

    /// Adds a row, if there is room for it.
    fn row<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>> + Clone, limit: usize) -> bool {
        if self.rows > 0 {
            self.out.push(b',');
        }
        self.rows += 1;
        self.plan.as_ref().is_none_or(|plan| plan.push_within(&mut self.out, cells, limit))
    }

    /// Ends the result; one that has not begun has no columns.
    fn complete(&mut self, tag: &str) {
        if self.plan.is_none() {
            self.columns(&[]);
        }
        self.plan = None;
        let (command, count) = tag::split(tag);
        self.out.extend_from_slice(b"],\"command\":");
        push_string(&mut self.out, command);
        self.out.extend_from_slice(b",\"rowCount\":");
        match count {
            Some(count) => push_integer(&mut self.out, count),
            None => self.out.extend_from_slice(b"null"),
        }
        let arrays: &[u8] = match self.form {
            RowForm::Array => b",\"rowAsArray\":true}",
            RowForm::Object => b",\"rowAsArray\":false}",
        };
        self.out.extend_from_slice(arrays);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(body: &str) -> Result<Work, String> {
        read_work(body.as_bytes(), RowForm::Array).map_err(|failure| {
            let body: serde_json::Value = serde_json::from_slice(&failure.body(Protocol::V1, false)).unwrap();
            format!("{} {}", failure.sqlstate(), body["error"]["message"].as_str().unwrap())
        })
    }

    #[test]
    fn a_single_statement_and_a_batch_are_told_apart() {
        let single = work(r#"{"query":"select $1","params":["a",null],"other":1}"#).unwrap();
        assert!(!single.batch);
        assert_eq!(&*single.statements[0].sql, "select $1");
        assert_eq!(single.statements[0].params, [Some(Bytes::from_static(b"a")), None]);

        let batch =
            work(r#"{"queries":[{"query":"a"},{"query":"b","params":[],"arrayMode":false}]}"#).unwrap();
        assert!(batch.batch);
        assert_eq!(batch.forms, [RowForm::Array, RowForm::Object]);

        let empty = work(r#"{"queries":[]}"#).unwrap();
        assert!(empty.batch && empty.statements.is_empty());
    }

    #[test]
    fn malformed_bodies_are_refused_with_what_is_wrong() {
        let errors = [
            "",
            "{",
            "[]",
            "{}",
            r#"{"query":1}"#,
            r#"{"query":null}"#,
            r#"{"query":"a","params":1}"#,
            r#"{"query":"a","query":"b"}"#,
            r#"{"query":"a","queries":[]}"#,
            r#"{"queries":[{"params":[]}]}"#,
            r#"{"queries":[["select 1",null,null]]}"#,
            r#"{"query":"a\u0000"}"#,
            r#"{"query":"\ud800"}"#,
        ]
        .map(|body| work(body).unwrap_err());
        insta::assert_snapshot!(errors.join("\n"), @r#"
        08P01 request body is malformed: not a JSON object
        08P01 request body is malformed: EOF while parsing an object at line 1 column 1
        08P01 request body is malformed: not a JSON object
        08P01 request body is malformed: missing field `query`
        08P01 request body is malformed
        08P01 request body is malformed: missing field `query`
        08P01 request body is malformed: invalid type: integer `1`, expected a sequence at line 1 column 23
        08P01 request body is malformed: duplicate field `query` at line 1 column 20
        08P01 request body is malformed: `query` and `queries` exclude each other
        08P01 request body is malformed: missing field `query` at line 1 column 13
        08P01 request body is malformed: not a JSON object
        22021 invalid byte sequence for encoding "UTF8": 0x00
        08P01 request body is malformed
        "#);
        let bad = read_work(b"{\"query\":\"\xff\"}", RowForm::Array).unwrap_err();
        assert_eq!(bad.code(), Some(Code::NotUtf8));
        assert!(
            work(&format!(r#"{{"query":"a","x":{}}}"#, "[".repeat(100_000))).is_err(),
            "an unfinished deep value"
        );
    }

    fn manner(pairs: &[(&'static str, &'static str)]) -> Result<Manner, Code> {
        let headers = pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Manner::read(&headers)
    }

    #[test]
    fn headers_say_how() {
        let plain = manner(&[]).unwrap();
        assert_eq!((plain.conversion, plain.form), (Conversion::Typed, RowForm::Object));
        assert_eq!(plain.transaction, TransactionOptions::default());

        let driver = manner(&[("neon-raw-text-output", "true"), ("neon-array-mode", "true")]).unwrap();
        assert_eq!((driver.conversion, driver.form), (Conversion::Raw, RowForm::Array));

        let batch = manner(&[
            ("neon-batch-isolation-level", "RepeatableRead"),
            ("neon-batch-read-only", "true"),
            ("neon-batch-deferrable", "false"),
        ]);
        let batch = batch.unwrap();
        assert_eq!(batch.transaction.isolation, Some(Isolation::RepeatableRead));
        assert_eq!((batch.transaction.read_only, batch.transaction.deferrable), (Some(true), Some(false)));
        assert_eq!(batch.echo.len(), 3);
    }

    #[test]
    fn booleans_count_only_when_they_are_exactly_that() {
        let odd = manner(&[("neon-raw-text-output", "TRUE"), ("neon-batch-read-only", "1")]).unwrap();
        assert_eq!((odd.conversion, odd.transaction.read_only), (Conversion::Typed, None));
        assert_eq!(
            manner(&[("neon-batch-isolation-level", "serializable")]).err(),
            Some(Code::IsolationLevel)
        );
    }

    #[test]
    fn results_have_all_members_whatever_the_statement() {
        let mut writer = Writer::new(Conversion::Typed, &[RowForm::Array, RowForm::Object, RowForm::Array]);
        writer.columns(&[crate::encode::json::tests::column("x", 23)]);
        assert!(writer.row([Some("1")].into_iter(), usize::MAX));
        assert!(writer.row([None].into_iter(), usize::MAX));
        writer.complete("SELECT 2");
        writer.columns(&[]);
        writer.complete("CREATE TABLE");
        writer.complete("");
        insta::assert_snapshot!(String::from_utf8(writer.out).unwrap(), @r#"{"fields":[{"name":"x","dataTypeID":23,"tableID":0,"columnID":0,"dataTypeSize":-1,"dataTypeModifier":-1,"format":"text"}],"rows":[[1],[null]],"command":"SELECT","rowCount":2,"rowAsArray":true},{"fields":[],"rows":[],"command":"CREATE","rowCount":null,"rowAsArray":false},{"fields":[],"rows":[],"command":"","rowCount":null,"rowAsArray":true}"#);
    }
}
