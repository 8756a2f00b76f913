//! Results that go out row by row.
//!
//! The beginning of an answer, up to [`CHUNK`], is made before anything is sent: an error until then has a proper status. What
//! is longer is streamed by a task of its own, a chunk at a time, reading from the database only as fast as the client takes.
//!
//! An error after the first chunk ends the stream with a record that cannot be data, and then breaks the response off, so
//! that neither a person nor a program takes it for whole:
//!
//! | format | the record |
//! |---|---|
//! | JSON | the member `error` in place of `command` and `row_count` |
//! | NDJSON | a line with an array, `["error",{…}]`; rows are objects |
//! | CSV | a line that begins with `\.error `, then the error as JSON; a field that begins with `\.` is quoted |
//!
//! **Invariants**: memory is bounded by a few chunks and one row. A response ends cleanly only after the commit.

use std::time::{Duration, Instant};

use http::HeaderValue;
use postern_core::Code;
use postern_pool::{Column, Event, Running};

use crate::account::Account;
use crate::body::{Broken, PIECES, Producer};
use crate::encode::json::push_columns;
use crate::encode::text::{push_integer, push_string};
use crate::encode::{Conversion, RowForm, RowPlan, csv, tag};
use crate::failure::Failure;
use crate::gateway::Admitted;

/// What is sent at once.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Rows that have waited this long are sent, however few.
const LINGER: Duration = Duration::from_millis(200);

/// How long the record of an error has to reach the client before the response is broken off.
const FAREWELL: Duration = Duration::from_millis(500);

/// The formats of `/v1/query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json(RowForm),
    NdJson,
    Csv,
}

/// Makes the bytes of an answer from its events.
pub(crate) struct Encoder {
    format: Format,
    plan: Option<RowPlan>,
    /// The command tag, once it is there.
    tag: String,
    /// Rows so far.
    pub rows: u64,
    /// Bytes that were taken.
    sent: u64,
    max_rows: u64,
    max_bytes: u64,
    out: Vec<u8>,
}

impl Format {
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json(_) => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        })
    }
}

impl Encoder {
    pub(crate) fn new(format: Format, max_rows: u64, max_bytes: u64) -> Self {
        Self {
            format,
            plan: None,
            tag: String::new(),
            rows: 0,
            sent: 0,
            max_rows,
            max_bytes,
            out: Vec::with_capacity(1024),
        }
    }

    /// Adds an event. `true` if it was the last one.
    pub(crate) fn add(&mut self, event: Event) -> Result<bool, Failure> {
        match event {
            Event::Columns(columns) => self.columns(&columns),
            Event::Row(row) => self.row(row.cells())?,
            Event::Complete(tag) => self.tag = tag,
            // No format has a place for notices.
            Event::Empty | Event::Notice(_) => {}
            Event::Committed => {
                self.finish();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is enough to be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= CHUNK
    }

    /// How much memory the answer may take, with the chunks that wait for the client.
    pub(crate) fn held(&self) -> usize {
        self.out.capacity().max(CHUNK) * (PIECES + 1)
    }

    /// What is to be sent.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let capacity = if self.is_full() { CHUNK + CHUNK / 8 } else { 0 };
        self.sent += self.out.len() as u64;
        std::mem::replace(&mut self.out, Vec::with_capacity(capacity))
    }

    fn columns(&mut self, columns: &[Column]) {
        let form = match self.format {
            Format::Json(form) => form,
            Format::NdJson => RowForm::Object,
            Format::Csv => {
                if !columns.is_empty() {
                    csv::push_header(&mut self.out, columns);
                }
                return;
            }
        };
        self.plan = Some(RowPlan::new(columns, form, Conversion::Typed));
        if matches!(self.format, Format::Json(_)) {
            self.out.extend_from_slice(b"{\"columns\":");
            push_columns(&mut self.out, columns);
            self.out.extend_from_slice(b",\"rows\":[");
        }
    }

    fn row<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>> + Clone) -> Result<(), Failure> {
        if self.rows >= self.max_rows {
            let message = format!("response has too many rows (max is {})", self.max_rows);
            return Err(Failure::with_message(Code::ResponseRows, message));
        }
        self.rows += 1;
        let left = usize::try_from(self.max_bytes.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        let start = self.out.len();
        let fits = match (self.format, &self.plan) {
            (Format::Csv, _) => {
                // It grows by no more than its quotes.
                let bytes: usize = cells.clone().flatten().map(str::len).sum();
                let fits = start + bytes <= left;
                if fits {
                    csv::push_row(&mut self.out, cells);
                }
                fits
            }
            (Format::NdJson, Some(plan)) => {
                let fits = plan.push_within(&mut self.out, cells, left);
                self.out.push(b'\n');
                fits
            }
            (Format::Json(_), Some(plan)) => {
                if self.rows > 1 {
                    self.out.push(b',');
                }
                plan.push_within(&mut self.out, cells, left)
            }
            // The pool gives columns before rows.
            (_, None) => return Err(Failure::because(Code::Internal, "a row came before its columns")),
        };
        if !fits || self.out.len() > left {
            // The record of the error comes after whole rows.
            self.out.truncate(start);
            self.rows -= 1;
            let message = format!("response is too large (max is {} bytes)", self.max_bytes);
            return Err(Failure::with_message(Code::ResponseBytes, message));
        }
        Ok(())
    }

    /// Says that all is committed. Only now: an error at the commit comes after the tag.
    fn finish(&mut self) {
        if matches!(self.format, Format::Json(_)) {
            if self.plan.is_none() {
                self.columns(&[]);
            }
            let (command, count) = tag::split(&self.tag);
            self.out.extend_from_slice(b"],\"command\":");
            push_string(&mut self.out, command);
            self.out.extend_from_slice(b",\"row_count\":");
            match count {
                Some(count) => push_integer(&mut self.out, count),
                None => self.out.extend_from_slice(b"null"),
            }
            self.out.push(b'}');
        }
    }

    /// Ends the answer with an error, after something of it was sent.
    fn fail(&mut self, failure: &Failure, hide_internals: bool) {
        match self.format {
            Format::Json(_) => {
                self.out.extend_from_slice(b"],\"error\":");
                failure.push_v1(&mut self.out, hide_internals);
                self.out.push(b'}');
            }
            Format::NdJson => {
                self.out.extend_from_slice(b"[\"error\",");
                failure.push_v1(&mut self.out, hide_internals);
                self.out.extend_from_slice(b"]\n");
            }
            Format::Csv => {
                self.out.extend_from_slice(b"\\.error ");
                failure.push_v1(&mut self.out, hide_internals);
                self.out.push(b'\n');
            }
        }
    }
}

/// A response that is being streamed.
pub(crate) struct Pump {
    pub running: Running,
    pub encoder: Encoder,
    pub producer: Producer,
    pub account: Account,
    /// Counts as running until the end.
    pub admitted: Admitted,
    /// How long the client may leave a chunk unread.
    pub patience: Duration,
    pub hide_internals: bool,
}

/// Why a stream ended before its end.
pub(crate) enum Stop {
    Failed(Failure),
    /// The client went away.
    Gone,
}

impl From<Broken> for Stop {
    fn from(_: Broken) -> Self {
        Self::Gone
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<postern_pool::Error> for Stop {
    fn from(error: postern_pool::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Waits for the client, but not for ever.
pub(crate) async fn within(
    patience: Duration,
    deadline: Instant,
    step: impl Future<Output = Result<(), Broken>>,
) -> Result<(), Stop> {
    let patience = Instant::now() + patience;
    let (until, code) =
        if patience < deadline { (patience, Code::SlowReader) } else { (deadline, Code::WallClock) };
    match tokio::time::timeout_at(until.into(), step).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Stop::Failed(code.into())),
    }
}

impl Pump {
    /// Sends everything.
    pub(crate) async fn run(mut self) {
        let result = self.stream().await;
        let Self { running, mut encoder, producer, mut account, admitted, patience, hide_internals } = self;
        account.rows = encoder.rows;
        // Cancelled, if it is not over.
        drop(running);
        match result {
            Ok(()) => match within(patience, admitted.deadline, producer.end()).await {
                Ok(()) => account.close(Ok(())),
                // The account says that the client went away.
                Err(Stop::Gone) => {}
                Err(Stop::Failed(failure)) => account.close(Err(&failure)),
            },
            Err(Stop::Gone) => {}
            Err(Stop::Failed(failure)) => {
                encoder.fail(&failure, hide_internals);
                account.close(Err(&failure));
                // A client that does not read gets no more than the broken connection.
                let record = encoder.take();
                let told = async {
                    if producer.send(record).await.is_ok() {
                        producer.taken().await;
                        // What the HTTP layer has taken it has not sent yet, and it drops that with the connection.
                        tokio::time::sleep(FAREWELL).await;
                    }
                };
                let _ = tokio::time::timeout(FAREWELL * 2, told).await;
                // Dropping the producer breaks the response off.
                drop(producer);
            }
        }
    }

    async fn stream(&mut self) -> Result<(), Stop> {
        loop {
            if self.encoder.is_full() {
                self.admitted.waiting.cover(self.encoder.held()).map_err(Failure::from)?;
                self.send().await?;
            }
            let event = match self.running.buffered() {
                Some(event) => event?,
                None => self.wait().await?,
            };
            if self.encoder.add(event)? {
                return self.send().await;
            }
        }
    }

    /// The next event. Rows that are here are sent if it takes long.
    async fn wait(&mut self) -> Result<Event, Stop> {
        let linger = tokio::time::sleep(LINGER);
        tokio::select! {
            biased;
            event = self.running.next() => return Ok(event?),
            () = self.producer.gone() => return Err(Stop::Gone),
            () = linger, if !self.encoder.out.is_empty() => {}
        }
        self.send().await?;
        tokio::select! {
            biased;
            event = self.running.next() => Ok(event?),
            () = self.producer.gone() => Err(Stop::Gone),
        }
    }

    async fn send(&mut self) -> Result<(), Stop> {
        let chunk = self.encoder.take();
        if chunk.is_empty() {
            return Ok(());
        }
        within(self.patience, self.admitted.deadline, self.producer.send(chunk)).await
    }
}

#[cfg(test)]
mod tests {
    use postern_pool::Row;

    use super::*;
    use crate::encode::json::tests::column;

    fn encoder(format: Format) -> Encoder {
        Encoder::new(format, u64::MAX, u64::MAX)
    }

    fn events(encoder: &mut Encoder, events: Vec<Event>) -> Result<bool, Failure> {
        events.into_iter().try_fold(false, |_, event| encoder.add(event))
    }

    fn two_rows() -> Vec<Event> {
        vec![
            Event::Columns(vec![column("id", 23), column("note", 25)].into()),
            Event::Row(Row::from_cells([Some("1"), Some("a,\"b\"")])),
            Event::Row(Row::from_cells([Some("2"), None])),
        ]
    }

    fn text(encoder: &mut Encoder) -> String {
        String::from_utf8(encoder.take()).unwrap()
    }

    const FORMATS: [Format; 4] =
        [Format::Json(RowForm::Object), Format::Json(RowForm::Array), Format::NdJson, Format::Csv];

    #[test]
    fn a_result_in_each_format() {
        let texts = FORMATS.map(|format| {
            let mut encoder = encoder(format);
            let mut all = two_rows();
            all.extend([Event::Complete("SELECT 2".into()), Event::Committed]);
            assert!(events(&mut encoder, all).unwrap());
            text(&mut encoder)
        });
        insta::assert_snapshot!(texts.join("\n"), @r#"
        {"columns":[{"name":"id","type_oid":23},{"name":"note","type_oid":25}],"rows":[{"id":1,"note":"a,\"b\""},{"id":2,"note":null}],"command":"SELECT","row_count":2}
        {"columns":[{"name":"id","type_oid":23},{"name":"note","type_oid":25}],"rows":[[1,"a,\"b\""],[2,null]],"command":"SELECT","row_count":2}
        {"id":1,"note":"a,\"b\""}
        {"id":2,"note":null}

        id,note
        1,"a,""b"""
        2,
        "#);
    }

    #[test]
    fn a_statement_without_rows_in_each_format() {
        let texts = FORMATS.map(|format| {
            let mut encoder = encoder(format);
            assert!(events(&mut encoder, vec![Event::Empty, Event::Committed]).unwrap());
            text(&mut encoder)
        });
        insta::assert_snapshot!(texts.join("\n"), @r#"
        {"columns":[],"rows":[],"command":"","row_count":null}
        {"columns":[],"rows":[],"command":"","row_count":null}
        "#);
    }

    #[test]
    fn an_error_after_rows_were_sent_cannot_be_taken_for_data() {
        let texts = FORMATS.map(|format| {
            let mut encoder = encoder(format);
            let mut all = two_rows();
            // As when a deferred constraint fails at the commit.
            all.push(Event::Complete("SELECT 2".into()));
            assert!(!events(&mut encoder, all).unwrap());
            encoder.fail(&Code::WallClock.into(), false);
            text(&mut encoder)
        });
        insta::assert_snapshot!(texts.join("\n"), @r#"
        {"columns":[{"name":"id","type_oid":23},{"name":"note","type_oid":25}],"rows":[{"id":1,"note":"a,\"b\""},{"id":2,"note":null}],"error":{"message":"canceling statement due to request deadline","code":"57014","severity":"ERROR","postern":"PST304"}}
        {"columns":[{"name":"id","type_oid":23},{"name":"note","type_oid":25}],"rows":[[1,"a,\"b\""],[2,null]],"error":{"message":"canceling statement due to request deadline","code":"57014","severity":"ERROR","postern":"PST304"}}
        {"id":1,"note":"a,\"b\""}
        {"id":2,"note":null}
        ["error",{"message":"canceling statement due to request deadline","code":"57014","severity":"ERROR","postern":"PST304"}]

        id,note
        1,"a,""b"""
        2,
        \.error {"message":"canceling statement due to request deadline","code":"57014","severity":"ERROR","postern":"PST304"}
        "#);
    }

    #[test]
    fn rows_and_bytes_are_limited() {
        let mut encoder = Encoder::new(Format::Csv, 1, u64::MAX);
        assert_eq!(events(&mut encoder, two_rows()).unwrap_err().code(), Some(Code::ResponseRows));
        let mut encoder = Encoder::new(Format::Csv, u64::MAX, 10);
        assert_eq!(events(&mut encoder, two_rows()).unwrap_err().code(), Some(Code::ResponseBytes));
        let mut encoder = Encoder::new(Format::Csv, 2, 1000);
        assert!(events(&mut encoder, two_rows()).is_ok());
    }
}
