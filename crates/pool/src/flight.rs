//! Reads the answer to one request, message by message; no input or output here.
//!
//! **Invariants.**
//! - Every message has its place. One that comes out of turn is an error, and the connection is not used again.
//! - Success is ReadyForQuery with status `I` after the end of every statement, and nothing else.
//! - The name of a kept statement is told to nobody.
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

    fn error(&mut self, mut error: ServerError) -> Step {
        // To the client it is a statement without a name.
        if let Plan::Keep { name, .. } | Plan::Kept { name, .. } = &self.plan {
            error.forget(name);
        }
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
            Stage::EnterBind | Stage::EnterRow | Stage::EnterComplete => {
                let odd = !is_refusal(code);
                let error = Error::Entering(error);
                return Ok(Err(if odd { Verdict::Fresh(error) } else { Verdict::Failed(error) }));
            }
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
mod tests;
