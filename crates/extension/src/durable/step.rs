//! One SQL step: someone's statement, inside the identity that stands, in a subtransaction of its own.
//!
//! **Invariants**
//! * The identity that is named stands when the statement is parsed, and until the transaction is committed ([`crate::identity`]).
//! * Nothing of the step happens later than the step: what is deferred is made immediate before the subtransaction ends, so a
//!   constraint that fails then is this step's failure.
//! * Nothing of a session passes to the next step: settings, cursors, session locks and sequence values end here. The rest is
//!   refused while an identity stands.
//! * A result is converted inside: a value that cannot be shown undoes the effect.

use std::ffi::CString;

use postern_durable::value::{self, Column, Columns};
use postern_durable::{Failure, Param};

use super::board;
use crate::error::raise;
use crate::identity::{self, worker::Judged};
use crate::pg::caught::Caught;
use crate::pg::guc::{self, Level};
use crate::pg::statement::{self, Output, Parameter, Refusal};
use crate::pg::{Oid, catalog, json, limit, session, subxact, toplevel, worker, xact};

/// What a step gave.
#[derive(Debug)]
pub struct Done {
    /// `{"rows":[…],"row_count":N}`.
    pub result: String,
    /// Names and types of its columns, as JSON; `None` if it returns no rows.
    pub columns: Option<String>,
}

/// Why a step gave nothing.
#[derive(Debug)]
pub enum Stopped {
    /// It failed.
    Failed(Failure),
    /// It was cancelled: by whom, the caller finds out.
    Cancelled(Failure),
    /// The server does not take it in a transaction, or it ends transactions itself. Nothing of it has taken effect.
    TopLevel,
}

/// What the server says to what it does not take in a transaction (`PreventInTransactionBlock()`), and to a procedure that commits
/// where it may not. It decides; we keep no list.
const ONLY_AT_TOP_LEVEL: [&str; 2] = ["25001", "2D000"];

/// As whom a statement is to be run.
#[derive(Debug, Clone, Copy)]
pub struct As<'a> {
    pub role: Oid,
    pub facts: Option<&'a str>,
}

/// Runs a statement as somebody who was entered before: anything else is an ERROR, which ends the turn. `timeout` in milliseconds, 0: none; beside the role's own `statement_timeout`. Neither, nor a request to cancel, is shaken
/// off by catching it.
pub fn run(who: As<'_>, sql: &str, params: &[Param], timeout: i32) -> Result<Done, Stopped> {
    identity::worker::must_stand(who.role, who.facts).unwrap_or_else(|error| raise(error));
    let Ok(text) = CString::new(sql) else {
        return Err(Stopped::Failed(Failure::new("22021", "SQL execution failed: the text has a NUL byte")));
    };
    let attempt = subxact::attempt(|| {
        let level = Level::open();
        // The executor's own are for its own statements.
        guc::to_default(c"search_path");
        guc::to_default(c"row_security");
        identity::worker::apply_settings();
        limit::begin(xact::nest_level(), limit::shorter(timeout, limit::of_settings()), board::is_asked);
        let parameters = params.iter().map(parameter).collect::<Option<Vec<_>>>();
        let output = parameters.map(|parameters| statement::run(&text, &parameters, most()));
        statement::constraints_immediate();
        limit::end();
        statement::close_cursors();
        level.undo();
        output
    });
    let late = limit::end();
    session::release_advisory_locks();
    session::forget_sequences();
    match attempt {
        Ok(Some(Ok(output))) => Ok(done(&output)),
        Ok(Some(Err(refusal))) => Err(Stopped::Failed(refused(refusal))),
        Ok(None) => {
            Err(Stopped::Failed(Failure::new("22021", "SQL execution failed: a value has a NUL byte")))
        }
        Err(caught) if caught.sqlstate == "57014" => Err(Stopped::Cancelled(cancelled(caught, late))),
        Err(caught)
            if ONLY_AT_TOP_LEVEL.contains(&caught.sqlstate.as_str())
                && statement::may_be_at_top_level(&text) =>
        {
            Err(Stopped::TopLevel)
        }
        Err(caught) => Err(Stopped::Failed(failure(caught))),
    }
}

/// Runs a statement at top level, as the identity that was entered for the life of this process; as in [`run`], no other. `timeout` as in [`run`]. It has made
/// what transactions it likes; the last is committed, or rolled back if it failed.
pub fn run_at_top_level(who: &Judged, sql: &str, params: &[Param], timeout: i32) -> Result<Done, Stopped> {
    let nul = |what: &str| {
        Stopped::Failed(Failure::new("22021", format!("SQL execution failed: {what} has a NUL byte")))
    };
    let Ok(text) = CString::new(sql) else { return Err(nul("the text")) };
    let parameters = worker::transaction(|| {
        who.must_stand().unwrap_or_else(|error| raise(error));
        params.iter().map(parameter).collect::<Option<Vec<_>>>()
    });
    let parameters = match parameters {
        Ok(Some(parameters)) => parameters,
        Ok(None) => return Err(nul("a value")),
        Err(caught) => return Err(Stopped::Failed(failure(caught))),
    };
    limit::begin(1, limit::shorter(timeout, limit::of_settings()), board::is_asked);
    let output = toplevel::run(&text, &parameters, most());
    let late = limit::end();
    // The next step may begin before this process has ended.
    session::release_advisory_locks();
    match output {
        Ok(output) => Ok(done(&output)),
        Err(caught) if caught.sqlstate == "57014" => Err(Stopped::Cancelled(cancelled(caught, late))),
        Err(caught) => Err(Stopped::Failed(failure(caught))),
    }
}

/// What the server raised when it was cancelled; `late`: because its time was up, which it does not say if it was said before.
fn cancelled(caught: Caught, late: bool) -> Failure {
    let message = if late { limit::TIME_IS_UP.to_owned() } else { caught.message };
    failure(Caught { message, ..caught })
}

/// How many bytes a result may have.
fn most() -> usize {
    usize::try_from(crate::guc::MAX_RESULT_BYTES.get()).unwrap_or(0)
}

fn parameter(param: &Param) -> Option<Parameter> {
    let name = CString::new(param.type_name.as_str()).ok()?;
    let text = param.value.as_deref().map(CString::new).transpose().ok()?;
    Some(Parameter { type_oid: catalog::type_by_name(&name), text })
}

/// What the server raised, with the words that pg_durable puts before it.
pub fn failure(caught: Caught) -> Failure {
    // What is left of a `$name` is no SQL.
    let unknown = caught.sqlstate == "42601" && caught.message.ends_with("at or near \"$\"");
    let hint = unknown.then(|| {
        "$name is the result that a step before it was given by |=>; no such name is known here.".into()
    });
    Failure {
        sqlstate: Some(caught.sqlstate),
        message: format!("SQL execution failed: error returned from database: {}", caught.message),
        detail: caught.detail,
        hint: caught.hint.or(hint),
        context: caught.context,
        ..Failure::default()
    }
}

fn refused(refusal: Refusal) -> Failure {
    let words = |message: &str| format!("SQL execution failed: error returned from database: {message}");
    match refusal {
        Refusal::Several => {
            Failure::new("42601", words("cannot insert multiple commands into a prepared statement"))
        }
        Refusal::Spi(name) => {
            let (message, detail, hint) = match name.as_str() {
                "SPI_ERROR_TRANSACTION" => (
                    "a step cannot begin or end a transaction",
                    Some("It is one: with the statement goes the record of what it did."),
                    Some("Leave it out. A procedure may commit: CALL runs it at top level."),
                ),
                "SPI_ERROR_COPY" => (
                    "a step cannot COPY from or to a client",
                    Some("There is none."),
                    Some("Use INSERT or SELECT, or COPY with a file of the server."),
                ),
                other => {
                    return Failure::new(
                        "0A000",
                        words(&format!("the statement cannot be run in a step: {other}")),
                    );
                }
            };
            Failure {
                detail: detail.map(Into::into),
                hint: hint.map(Into::into),
                ..Failure::new("0A000", words(message))
            }
        }
    }
}

fn done(output: &Output) -> Done {
    let names: Vec<&str> = output.columns.iter().map(|column| column.name.as_str()).collect();
    let names = value::column_names(&names);
    let mut result = String::from("{\"rows\":[");
    for (n, row) in output.rows.iter().enumerate() {
        if n > 0 {
            result.push(',');
        }
        result.push('{');
        for (m, (name, value)) in names.iter().zip(row).enumerate() {
            if m > 0 {
                result.push(',');
            }
            json::quote(&mut result, name);
            result.push(':');
            result.push_str(value);
        }
        result.push('}');
    }
    result.push_str("],\"row_count\":");
    result.push_str(&output.rows.len().to_string());
    result.push('}');
    let columns = (!output.columns.is_empty()).then(|| {
        let types = output.columns.iter().map(|column| column.type_name.clone());
        let columns = names.into_iter().zip(types).map(|(name, type_name)| Column { name, type_name });
        // Texts always serialize.
        serde_json::to_string(&Columns(columns.collect())).unwrap_or_default()
    });
    Done { result, columns }
}
