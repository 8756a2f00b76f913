//! A transaction in a `psql` that is kept open: it connects wherever `pg_dump` would, by the same options, files and variables.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::error::Error;

/// What `psql` puts between columns: nothing of ours, no name and no number has it.
const COLUMN: char = '\u{1f}';

/// An open transaction, with one snapshot.
pub struct Session {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Who it is.
    pub role: String,
    /// What others see the same with.
    pub snapshot: String,
}

impl Session {
    /// Connects, becomes the role, and takes a snapshot, or another session's.
    pub fn open(
        mut psql: Command,
        connection: &[String],
        role: Option<&str>,
        snapshot: Option<&str>,
    ) -> Result<Self, Error> {
        let separator = COLUMN.to_string();
        psql.args(["-X", "-q", "-A", "-t", "-F", &separator, "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let mut child = psql
            .args(connection)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Io { action: "run psql".into(), source })?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(gone());
        };
        let mut session = Self {
            child,
            ask,
            answers: BufReader::new(answers),
            role: String::new(),
            snapshot: snapshot.unwrap_or_default().to_owned(),
        };
        session.ask("SET row_security = on")?;
        session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        if let Some(snapshot) = snapshot {
            session.ask(&format!("SET TRANSACTION SNAPSHOT {}", literal(snapshot)))?;
        }
        if let Some(role) = role {
            session.ask(&format!("SET ROLE \"{}\"", role.replace('"', "\"\"")))?;
        }
        session.role = session.one("SELECT CURRENT_USER")?;
        if snapshot.is_none() {
            session.snapshot = session.one("SELECT pg_catalog.pg_export_snapshot()")?;
        }
        Ok(session)
    }

    /// Runs a statement and gives its rows. What the server refuses, `psql` has said on standard error.
    pub fn ask(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        const END: &str = "--postern: that was all--";
        writeln!(self.ask, "{sql};\n\\echo '{END}'").and_then(|()| self.ask.flush()).map_err(|_| gone())?;
        let mut rows = Vec::new();
        loop {
            let mut line = String::new();
            match self.answers.read_line(&mut line) {
                Ok(read) if read > 0 => {}
                _ => return Err(gone()),
            }
            let line = line.trim_end_matches('\n');
            if line == END {
                return Ok(rows);
            }
            rows.push(line.split(COLUMN).map(str::to_owned).collect());
        }
    }

    /// The first value of a statement's result; nothing is the empty text.
    pub fn one(&mut self, sql: &str) -> Result<String, Error> {
        let row = self.ask(sql)?.into_iter().next();
        Ok(row.and_then(|row| row.into_iter().next()).unwrap_or_default())
    }

    /// Whether Postern is in the database, with direct access.
    pub fn has_extension(&mut self) -> Result<bool, Error> {
        let found = self.one(
            "SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.to_regclass('postern.direct_access') IS NOT NULL
               FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) 'postern'",
        )?;
        Ok(found == "t")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its transaction only reads: there is nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gone() -> Error {
    Error::Usage("psql ended (it has said why)".into())
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
