//! Running programs, and the error type of this crate.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

pub type Result<T> = std::result::Result<T, Error>;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A cluster or an installation made trouble.
    #[error(transparent)]
    Cluster(#[from] postern_cluster::Error),
    /// A program ended with an error; it has said why.
    #[error("{0} failed")]
    Failed(String),
    /// Something about the sources is not as it must be.
    #[error("{0}")]
    Wrong(String),
    /// The operating system refused something.
    #[error("could not {action}: {source}")]
    Io {
        /// What we tried, with the file's name.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Gives an I/O error the words that make it useful.
pub trait Context<T> {
    fn context(self, action: &str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action: format!("{action} \"{}\"", path.display()), source })
    }
}

/// Runs a program with our own output, and insists on success.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if status.success() { Ok(()) } else { Err(Error::Failed(name_of(command))) }
}

/// Runs a program with our own output.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().context("run", Path::new(command.get_program()))
}

/// Runs a program and gives its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("run", Path::new(command.get_program()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Wrong(format!("{} failed: {}", name_of(command), message.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Is a program there? It is asked for its version.
pub fn is_there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

fn name_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    if name == "cargo"
        && let Some(first) = command.get_args().next()
    {
        name = format!("cargo {}", first.to_string_lossy());
    }
    name
}
