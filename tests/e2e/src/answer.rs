//! What came back: rows, or a refusal; and the assertions that tests make about it.

use std::fmt;

/// An error as a client sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
    /// The status of the HTTP answer; 0 on the wire.
    pub status: u16,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " | {detail}")?;
        }
        Ok(())
    }
}

/// What one statement gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// The first word of the command tag.
    pub command: String,
}

impl Answer {
    /// The only cell of the only row.
    #[track_caller]
    pub fn cell(&self) -> Option<&str> {
        match self.rows.as_slice() {
            [row] if row.len() == 1 => row[0].as_deref(),
            rows => panic!("one cell expected, not {rows:?}"),
        }
    }

    /// The rows in lines, cells parted by `|`, NULL as nothing: as psql prints them.
    pub fn text(&self) -> String {
        let line = |row: &Vec<Option<String>>| {
            row.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect::<Vec<_>>().join("|")
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The answer to a request, with the request for the message of a failing test.
#[derive(Debug, Clone)]
#[must_use]
pub struct Outcome {
    /// Who asked for what.
    pub asked: String,
    /// One answer for each statement, or the refusal of all of them.
    pub result: Result<Vec<Answer>, Refusal>,
}

impl Outcome {
    /// Asserts that the request was refused with this SQLSTATE.
    #[track_caller]
    pub fn refused(self, code: &str) -> Refusal {
        match self.result {
            Err(refusal) if refusal.code == code => refusal,
            Err(refusal) => panic!("{}\n  should be refused with {code}, not: {refusal}", self.asked),
            Ok(answers) => panic!("{}\n  should be refused with {code}, but gave {answers:?}", self.asked),
        }
    }

    /// Asserts that the request succeeded; gives every statement's answer.
    #[track_caller]
    pub fn all(self) -> Vec<Answer> {
        match self.result {
            Ok(answers) => answers,
            Err(refusal) => panic!("{}\n  should succeed, but: {refusal}", self.asked),
        }
    }

    /// Asserts that the request succeeded; gives the last statement's answer.
    #[track_caller]
    pub fn last(self) -> Answer {
        let asked = self.asked.clone();
        self.all().pop().unwrap_or_else(|| panic!("{asked}\n  has no answer"))
    }

    /// Asserts success.
    #[track_caller]
    pub fn fine(self) {
        self.all();
    }

    /// The rows of the last statement, as psql prints them.
    #[track_caller]
    pub fn text(self) -> String {
        self.last().text()
    }
}

/// Who asked for what, short enough for a message.
pub(crate) fn asked(role: &str, sql: &str) -> String {
    let short: String = sql.chars().take(400).collect();
    format!("{role}> {short}{}", if short.len() < sql.len() { "…" } else { "" })
}
