//! A program in `node/` that starts work of one contestant and waits for its end.
//!
//! **Invariants**: it ends with its value, and with this process however that ends. A measurement is one question and one answer, in
//! which the program tells how many steps ran, counted where they run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use postern_bench::error::{Context, Error, Result};
use postern_bench::machine::ending_with_us;
use serde::{Deserialize, Serialize};

use crate::contestant::Contestant;

/// What is to be done.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// So many instances of one step.
    One { count: usize },
    /// So many instances of so many steps.
    Chains { count: usize, length: usize },
    /// One instance of so many steps at once.
    Fan { width: usize },
    /// Clients that each start so many instances, one after the other, each after a pause of so many milliseconds.
    Latency { clients: usize, count: usize, pause: u64 },
}

impl Command {
    /// How many steps that is.
    pub fn steps(self) -> usize {
        match self {
            Self::One { count } => count,
            Self::Chains { count, length } => count * length,
            Self::Fan { width } => width,
            Self::Latency { clients, count, .. } => clients * count,
        }
    }
}

/// What came of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub seconds: f64,
    pub steps: usize,
    /// In milliseconds.
    #[serde(default)]
    pub latencies: Vec<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Error { error: String },
    Ready { ready: bool },
    Answer(Answer),
}

/// A program that runs.
#[derive(Debug)]
pub struct Driver {
    who: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// The programs, and the packages that they need.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

impl Driver {
    /// Starts a program; gives it when it is ready.
    pub fn start(contestant: Contestant, url: &str, connections: usize) -> Result<Self> {
        let who = contestant.title();
        let mut command = ending_with_us(Path::new("node"));
        command.arg("run.mjs").arg(contestant.script()).current_dir(folder());
        command
            .env("DATABASE_URL", url)
            .env("CONNECTIONS", connections.to_string())
            .env("NODE_ENV", "production");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().context("run node")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::wrong(who, "has no pipes"));
        };
        let mut driver = Self { who, child, input, output: BufReader::new(output) };
        match driver.read()? {
            Line::Ready { ready: true } => Ok(driver),
            Line::Error { error } => Err(Error::wrong(who, error)),
            other => Err(Error::wrong(who, format!("did not start: {other:?}"))),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has something done; every step of it must have run.
    pub fn perform(&mut self, command: Command) -> Result<Answer> {
        let text = serde_json::to_string(&command).map_err(|error| Error::wrong(self.who, error))?;
        writeln!(self.input, "{text}").context(format!("write to {}", self.who))?;
        match self.read()? {
            Line::Answer(answer) if answer.steps == command.steps() => Ok(answer),
            Line::Answer(answer) => Err(Error::wrong(
                self.who,
                format!("ran {} steps instead of {} ({text})", answer.steps, command.steps()),
            )),
            Line::Error { error } => Err(Error::wrong(self.who, format!("{text}: {error}"))),
            Line::Ready { .. } => Err(Error::wrong(self.who, "said twice that it is ready")),
        }
    }

    /// What compilers and caches of plans need, before anything counts.
    pub fn warm_up(&mut self) -> Result<()> {
        self.perform(Command::One { count: 50 })?;
        self.perform(Command::Chains { count: 5, length: 2 })?;
        Ok(())
    }

    fn read(&mut self) -> Result<Line> {
        let mut line = String::new();
        self.output.read_line(&mut line).context(format!("read from {}", self.who))?;
        serde_json::from_str(&line)
            .map_err(|error| Error::wrong(self.who, format!("{error}: {}", line.trim())))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself, and nobody is left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
