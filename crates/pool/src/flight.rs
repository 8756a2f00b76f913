//! Reads the answer to one request, message by message; no input or output here.
//!
//! **Invariants.**
//! - Every message has its place. One that comes out of turn is an error, and the connection is not used again.
//! - Success is ReadyForQuery with status `I` after the end of every statement, and nothing else.
//! - A request is run again only if it is certain that nothing of the client's ran, or that what ran is rolled back and nothing of
//!   it was handed out.

use std::sync::Arc;

use crate::plans::{Plan, Plans};
use crate::wire::{self, Frame};
use crate::{Column, Error, Event, Request, Row, ServerError};

/// Notices handed out per request, at most: a loop of RAISE NOTICE must not become the answer.
const MAX_NOTICES: usize = 100;
const MAX_NOTICE_BYTES: usize = 64 << 10;

/// Where the answer to one request stands.
pub(crate) struct Flight {
    stage: Stage,
    /// Closes of our own statements that are still to be acknowledged.
    closes: usize,
    /// The statement that the stage is about, and how many there are.
    index: usize,
    total: usize,
    plan: Plan,
    columns: usize,
    failure: Option<Failure>,
    notices: usize,
    notice_bytes: usize,
}

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    EnterBind,
    EnterRow,
    EnterComplete,
    Parse,
    Bind,
    Describe,
    Rows,
    End,
}

struct Failure {
    stage: Stage,
    index: usize,
    error: Box<ServerError>,
}

/// What a message means.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing for the caller.
    Skip,
    /// Something for the caller.
    Event(Event),
    /// ReadyForQuery: the end, and how it ended. The connection still has to settle.
    Ready(Result<(), Verdict>),
    /// The server has ended the connection.
    Ended(Verdict),
}

/// How a request failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With this error.
    Failed(Error),
    /// Nothing of the client's ran; try on a new connection, or fail with this error.
    Fresh(Error),
    /// A kept statement did not fit any more; try without, or fail with this error.
    Unkept(Error),
}

impl Flight {
    pub fn new(plan: Plan, closes: usize, total: usize) -> Self {
        Self {
            stage: Stage::EnterBind,
            closes,
            index: 0,
            total,
            plan,
            columns: 0,
            failure: None,
            notices: MAX_NOTICES,
            notice_bytes: MAX_NOTICE_BYTES,
        }
    }

    /// The plan of the first statement.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Takes the next message.
    pub fn take(&mut self, frame: Frame, plans: &mut Plans, request: &Request) -> Result<Step, Error> {
        match frame.tag {
            b'Z' => return self.ready().map(Step::Ready),
            b'E' => return Ok(self.error(ServerError::parse(&frame.body)?)),
            b'N' => return self.notice(&frame.body),
            b'G' | b'H' | b'W' => return Err(Error::Copy),
            _ if self.failure.is_some() => return Err(Error::Protocol("an answer after an error")),
            _ => {}
        }
        let event = match (self.stage, frame.tag) {
            (Stage::EnterBind, b'3') if self.closes > 0 => {
                self.closes -= 1;
                None
            }
            (Stage::EnterBind, b'2') if self.closes == 0 => self.go(Stage::EnterRow),
            (Stage::EnterRow, b'D') => self.go(Stage::EnterComplete),
            (Stage::EnterComplete, b'C') => self.go(self.first_of_statement()),
            (Stage::Parse, b'1') => {
                if let (0, Some(statement)) = (self.index, request.statements.first()) {
                    plans.keep(&self.plan, &request.role, statement);
                }
                self.go(Stage::Bind)
            }
            (Stage::Bind, b'2') => self.go(Stage::Describe),
            (Stage::Describe, b'T') => {
                let columns = self.describe(&frame, plans)?;
                self.columns = columns.len();
                self.stage = Stage::Rows;
                Some(Event::Columns(columns))
            }
            (Stage::Describe, b'n') => {
                self.columns = 0;
                self.stage = Stage::Rows;
                Some(Event::Columns(Arc::default()))
            }
            (Stage::Rows, b'D') => {
                let row = Row::parse(frame.body)?;
                if row.len() != self.columns {
                    return Err(Error::Protocol("a row does not have the columns that were described"));
                }
                Some(Event::Row(row))
            }
            (Stage::Rows, b'C') => {
                let tag = wire::command_tag(&frame.body)?.to_owned();
                self.next_statement();
                Some(Event::Complete(tag))
            }
            (Stage::Rows, b'I') => {
                self.next_statement();
                Some(Event::Empty)
            }
            _ => return Err(Error::Protocol("a message out of turn")),
        };
        Ok(event.map_or(Step::Skip, Step::Event))
    }

    fn go(&mut self, stage: Stage) -> Option<Event> {
        self.stage = stage;
        None
    }

    fn first_of_statement(&self) -> Stage {
        match (&self.plan, self.index) {
            _ if self.index == self.total => Stage::End,
            (Plan::Kept { .. }, 0) => Stage::Bind,
            _ => Stage::Parse,
        }
    }

    fn next_statement(&mut self) {
        self.index += 1;
        self.stage = self.first_of_statement();
    }

    fn describe(&self, frame: &Frame, plans: &mut Plans) -> Result<Arc<[Column]>, Error> {
        let key = self.plan.key().filter(|_| self.index == 0);
        if let Some(columns) = key.and_then(|key| plans.columns(key, &frame.body)) {
            return Ok(columns);
        }
        let columns: Arc<[Column]> = wire::columns(&frame.body)?.into();
        if let Some(key) = key {
            plans.describe(key, &frame.body, &columns);
        }
        Ok(columns)
    }

    /// Notices belong to the request only while a statement of it runs.
    fn notice(&mut self, body: &[u8]) -> Result<Step, Error> {
        let entering = matches!(self.stage, Stage::EnterBind | Stage::EnterRow | Stage::EnterComplete);
        if entering || self.notices == 0 {
            return Ok(Step::Skip);
        }
        let notice = ServerError::parse(body)?;
        self.notices -= 1;
        let Some(left) = self.notice_bytes.checked_sub(notice.size()) else {
            self.notices = 0;
            return Ok(Step::Skip);
        };
        self.notice_bytes = left;
        Ok(Step::Event(Event::Notice(Box::new(notice))))
    }

    fn error(&mut self, error: ServerError) -> Step {
        if error.is_fatal() {
            // The server's messages come in order: if `enter` was not even bound, nothing ran. The server says nothing
            // between a commit and ReadyForQuery that would tell whether it still could commit.
            let nothing_ran = self.stage == Stage::EnterBind && self.failure.is_none();
            let going_down = matches!(error.code.as_str(), "57P01" | "57P02" | "57P03" | "57P05");
            return Step::Ended(match self.stage {
                _ if nothing_ran && going_down => Verdict::Fresh(Error::Server(Box::new(error))),
                Stage::End if self.failure.is_none() => Verdict::Failed(Error::Lost { unsent: false }),
                _ => Verdict::Failed(Error::Server(Box::new(error))),
            });
        }
        // The first one is the cause.
        self.failure.get_or_insert(Failure { stage: self.stage, index: self.index, error: Box::new(error) });
        Step::Skip
    }

    fn ready(&mut self) -> Result<Result<(), Verdict>, Error> {
        let Some(Failure { stage, index, error }) = self.failure.take() else {
            let ended = self.stage == Stage::End;
            return if ended { Ok(Ok(())) } else { Err(Error::Protocol("ready before the end")) };
        };
        let code = error.code.as_str();
        let kept = matches!(self.plan, Plan::Kept { .. }) && stage == Stage::Bind && index == 0;
        let verdict = match stage {
            Stage::EnterBind | Stage::EnterRow | Stage::EnterComplete if !is_refusal(code) => Verdict::Fresh,
            // "cached plan must not change result type", or our name is gone.
            _ if kept && matches!(code, "0A000" | "26000") => Verdict::Unkept,
            _ => Verdict::Failed,
        };
        Ok(Err(verdict(Error::Server(error))))
    }
}

/// Errors of `enter` that are about the identity, not about the connection.
fn is_refusal(code: &str) -> bool {
    matches!(code, "42501" | "42704" | "53400" | "57014") || code.starts_with("22") || code.starts_with("54")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use postern_core::RoleName;

    use super::*;
    use crate::{Statement, TransactionOptions};

    const ROW: (char, &[u8]) = ('D', b"\0\x01\0\0\0\x01x");
    const COLUMN: (char, &[u8]) = ('T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0");
    const DONE: (char, &[u8]) = ('C', b"SELECT 1\0");
    const ENTERED: [(char, &[u8]); 3] = [('2', b""), ('D', b"\0\x01\0\0\0\0"), DONE];
    const READY: (char, &[u8]) = ('Z', b"I");

    fn error(severity: &str, code: &str) -> (char, &'static [u8]) {
        let body = format!("V{severity}\0C{code}\0Mm\0\0").into_bytes();
        ('E', Box::leak(body.into_boxed_slice()))
    }

    fn request(count: usize) -> Request {
        let statement = Statement { sql: Arc::from("select 1"), params: vec![] };
        Request {
            role: RoleName::try_from("alice").unwrap(),
            facts: None,
            statements: vec![statement; count],
            transaction: TransactionOptions::default(),
            deadline: Instant::now() + Duration::from_mins(1),
            grace: Duration::ZERO,
        }
    }

    /// What a run of messages comes to: a word for each step that is not skipped.
    fn fly(
        plan: Plan,
        closes: usize,
        count: usize,
        messages: &[(char, &[u8])],
    ) -> Result<Vec<String>, Error> {
        let request = request(count);
        let mut plans = Plans::new(8, "p".into());
        let mut flight = Flight::new(plan, closes, count);
        let mut seen = Vec::new();
        for (tag, body) in messages {
            let frame = Frame { tag: u8::try_from(*tag).unwrap(), body: Bytes::copy_from_slice(body) };
            match flight.take(frame, &mut plans, &request)? {
                Step::Skip => {}
                Step::Event(Event::Columns(columns)) => seen.push(format!("columns {}", columns.len())),
                Step::Event(Event::Row(row)) => seen.push(format!("row {}", row.get(0).unwrap_or("null"))),
                Step::Event(Event::Complete(tag)) => seen.push(tag),
                Step::Event(Event::Empty) => seen.push("empty".into()),
                Step::Event(Event::Notice(notice)) => seen.push(format!("notice {}", notice.message)),
                Step::Event(Event::Committed) => unreachable!("said by the one who settles the connection"),
                Step::Ready(Ok(())) => seen.push("committed".into()),
                Step::Ready(Err(verdict)) | Step::Ended(verdict) => seen.push(match verdict {
                    Verdict::Failed(error) => format!("failed {}", error.sqlstate()),
                    Verdict::Fresh(error) => format!("fresh {}", error.sqlstate()),
                    Verdict::Unkept(error) => format!("unkept {}", error.sqlstate()),
                }),
            }
        }
        Ok(seen)
    }

    fn run(count: usize, messages: &[(char, &[u8])]) -> Result<Vec<String>, Error> {
        fly(Plan::Unnamed, 0, count, messages)
    }

    fn kept() -> Plan {
        Plan::Kept { key: 1, name: "p1".into() }
    }

    /// `enter`, then these.
    fn entered(rest: &[(char, &'static [u8])]) -> Vec<(char, &'static [u8])> {
        ENTERED.iter().chain(rest).copied().collect()
    }

    #[test]
    fn an_answer_is_read_in_order() {
        let messages = entered(&[
            ('1', b""),
            ('2', b""),
            COLUMN,
            ROW,
            ROW,
            DONE,
            ('1', b""),
            ('2', b""),
            ('n', b""),
            ('I', b""),
            READY,
        ]);
        let expected = ["columns 1", "row x", "row x", "SELECT 1", "columns 0", "empty", "committed"];
        assert_eq!(run(2, &messages).unwrap(), expected);
    }

    #[test]
    fn no_statement_is_a_request_too() {
        assert_eq!(run(0, &entered(&[READY])).unwrap(), ["committed"]);
    }

    #[test]
    fn a_kept_statement_is_not_parsed_and_closes_are_acknowledged_first() {
        let messages =
            [&[('3', &b""[..]), ('3', b"")], &entered(&[('2', b""), ('n', b""), DONE, READY])[..]].concat();
        assert_eq!(fly(kept(), 2, 1, &messages).unwrap(), ["columns 0", "SELECT 1", "committed"]);
        assert!(fly(kept(), 1, 1, &messages).is_err(), "one close too many");
        assert!(fly(kept(), 3, 1, &messages).is_err(), "one close missing");
    }

    #[test]
    fn an_error_after_complete_is_an_error() {
        let messages = entered(&[('1', b""), ('2', b""), ('n', b""), DONE, error("ERROR", "23505"), READY]);
        assert_eq!(run(1, &messages).unwrap(), ["columns 0", "SELECT 1", "failed 23505"]);
    }

    #[test]
    fn the_first_error_is_the_cause_and_nothing_but_ready_follows() {
        let messages = entered(&[('1', b""), error("ERROR", "22012"), error("ERROR", "25P02"), READY]);
        assert_eq!(run(1, &messages).unwrap(), ["failed 22012"]);
        let messages = entered(&[('1', b""), error("ERROR", "22012"), ('2', b"")]);
        assert!(matches!(run(1, &messages), Err(Error::Protocol(_))));
    }

    #[test]
    fn every_message_out_of_turn_is_an_error() {
        let whole = entered(&[('1', b""), ('2', b""), COLUMN, ROW, DONE, READY]);
        assert!(run(1, &whole).is_ok());
        for left_out in 0..whole.len() - 1 {
            let mut messages = whole.clone();
            let (tag, _) = messages.remove(left_out);
            let result = run(1, &messages);
            // A result may be empty; anything else has to be there.
            let may_miss = left_out == 6;
            assert_eq!(result.is_ok(), may_miss, "without message {left_out}, {tag}");
        }
        for position in 0..whole.len() {
            for odd in ['1', '2', '3', 's', 't', 'c', 'd', 'V', 'v', 'R', 'K', '\0'] {
                let mut messages = whole.clone();
                messages.insert(position, (odd, b""));
                assert!(run(1, &messages).is_err(), "{odd:?} before message {position}");
            }
        }
    }

    #[test]
    fn ready_before_the_end_is_not_success() {
        for end in 0..8 {
            let mut messages = entered(&[('1', b""), ('2', b""), COLUMN, ROW, DONE])[..end].to_vec();
            messages.push(READY);
            assert!(matches!(run(1, &messages), Err(Error::Protocol(_))), "after {end} messages");
        }
    }

    #[test]
    fn a_refusal_to_enter_is_an_answer_and_anything_else_asks_for_a_new_connection() {
        for code in ["42501", "42704", "22023", "53400", "22P02", "57014", "54001"] {
            assert_eq!(run(1, &[error("ERROR", code), READY]).unwrap(), [format!("failed {code}")]);
        }
        for code in ["26000", "55000", "XX000", "42883"] {
            assert_eq!(run(1, &[error("ERROR", code), READY]).unwrap(), [format!("fresh {code}")]);
        }
        let messages = entered(&[error("ERROR", "55000"), READY]);
        assert_eq!(run(1, &messages).unwrap(), ["failed 55000"], "after enter, it is the client's");
    }

    #[test]
    fn a_kept_statement_that_does_not_fit_is_left_out_once_it_alone_failed() {
        for code in ["0A000", "26000"] {
            let messages = entered(&[error("ERROR", code), READY]);
            assert_eq!(fly(kept(), 0, 1, &messages).unwrap(), [format!("unkept {code}")]);
            assert_eq!(run(1, &messages).unwrap(), [format!("failed {code}")], "nothing was kept");
            let messages = entered(&[('2', b""), ('n', b""), error("ERROR", code), READY]);
            assert_eq!(fly(kept(), 0, 1, &messages).unwrap().last().unwrap(), &format!("failed {code}"));
        }
    }

    #[test]
    fn a_server_that_goes_down_before_enter_has_run_nothing() {
        for code in ["57P01", "57P02", "57P03", "57P05"] {
            assert_eq!(run(1, &[error("FATAL", code)]).unwrap(), [format!("fresh {code}")]);
        }
        assert_eq!(run(1, &[error("FATAL", "53200")]).unwrap(), ["failed 53200"]);
        assert_eq!(run(1, &entered(&[error("FATAL", "57P01")])).unwrap(), ["failed 57P01"]);
        assert_eq!(run(1, &[ENTERED[0], error("FATAL", "57P01")]).unwrap(), ["failed 57P01"]);
    }

    #[test]
    fn a_server_that_goes_down_at_the_commit_leaves_it_unknown() {
        let messages = entered(&[('1', b""), ('2', b""), ('n', b""), DONE, error("FATAL", "57P01")]);
        assert_eq!(run(1, &messages).unwrap().last().unwrap(), "failed 08007");
    }

    #[test]
    fn a_row_has_the_columns_that_were_described() {
        let messages = entered(&[('1', b""), ('2', b""), COLUMN, ('D', b"\0\0")]);
        assert!(matches!(run(1, &messages), Err(Error::Protocol(_))));
        let messages = entered(&[('1', b""), ('2', b""), COLUMN, ('D', b"\0\x01\0\0\0\x01\xe9")]);
        assert_eq!(run(1, &messages), Err(Error::Encoding));
    }

    #[test]
    fn copy_is_refused() {
        for tag in ['G', 'H', 'W'] {
            assert_eq!(
                run(1, &entered(&[('1', b""), ('2', b""), ('n', b""), (tag, b"\0\0\0")])),
                Err(Error::Copy)
            );
        }
    }

    #[test]
    fn notices_are_those_of_the_statements_and_not_without_end() {
        let notice: (char, &'static [u8]) = ('N', b"VNOTICE\0C00000\0Mhi\0\0");
        let mut messages = vec![notice];
        messages.extend(entered(&[('1', b""), notice, ('2', b""), ('n', b"")]));
        messages.extend(vec![notice; 1000]);
        messages.extend([DONE, READY]);
        let seen = run(1, &messages).unwrap();
        assert_eq!(seen.iter().filter(|step| *step == "notice hi").count(), MAX_NOTICES);
        assert_eq!(seen.first().unwrap(), "notice hi", "the one before enter is not the request's");
        assert_eq!(seen.last().unwrap(), "committed");

        let long: &'static [u8] =
            Box::leak(format!("VNOTICE\0M{}\0\0", "x".repeat(60_000)).into_bytes().into());
        let messages = entered(&[('1', b""), ('N', long), ('N', long), notice, ('2', b"")]);
        assert_eq!(run(1, &messages).unwrap().len(), 1, "the second one is over the limit of bytes");
    }

    #[test]
    fn a_statement_is_kept_when_the_server_has_parsed_it() {
        let request = request(1);
        let mut plans = Plans::new(8, "p".into());
        plans.choose(&request.role, &request.statements[0]);
        let plan = plans.choose(&request.role, &request.statements[0]);
        let mut flight = Flight::new(plan, 0, 1);
        let mut take = |messages: &[(char, &[u8])], plans: &mut Plans| {
            for (tag, body) in messages {
                let frame = Frame { tag: u8::try_from(*tag).unwrap(), body: Bytes::copy_from_slice(body) };
                flight.take(frame, plans, &request).unwrap();
            }
        };
        take(&ENTERED, &mut plans);
        assert!(matches!(plans.choose(&request.role, &request.statements[0]), Plan::Keep { .. }));
        take(&[('1', b"")], &mut plans);
        assert!(matches!(plans.choose(&request.role, &request.statements[0]), Plan::Kept { .. }));
    }
}
