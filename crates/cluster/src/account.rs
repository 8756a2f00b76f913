//! As whom the programs of PostgreSQL run.
//!
//! **How it works.** The server refuses to run as root. An ordinary user runs it directly; root runs it as the user
//! `postgres` (another by `POSTERN_PG_USER`) through `setpriv`, which needs no configuration and replaces itself by
//! the program, so that the child's process id is the server's.
//!
//! **Invariants**
//! * A child sees none of our `PG…` variables (they would redirect it) and no `RUST_BACKTRACE` (the extension's
//!   errors would carry a backtrace in their DETAIL).
//! * Messages are English whatever the user's locale: some are read.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::Context;
use crate::{Error, Result};

/// The operating system account of the server.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    other: Option<Other>,
}

#[derive(Debug, Clone)]
struct Other {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account for a server started by this process.
    pub(crate) fn current() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let name = std::env::var("POSTERN_PG_USER").unwrap_or_else(|_| "postgres".to_owned());
        let (uid, gid) = (id(&name, "-u")?, id(&name, "-g")?);
        if uid == 0 {
            return Err(Error::NoAccount(name));
        }
        Ok(Self { other: Some(Other { name, uid, gid }) })
    }

    /// Does the server run as someone other than this process?
    pub(crate) fn is_other(&self) -> bool {
        self.other.is_some()
    }

    /// A program that runs as this account, in a folder that it can enter.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let mut command = match &self.other {
            None => Command::new(program),
            Some(Other { uid, gid, .. }) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
        };
        clean(&mut command).env("HOME", folder).current_dir(folder).stdin(Stdio::null());
        if let Some(other) = &self.other {
            command.env("USER", &other.name).env("LOGNAME", &other.name);
        }
        command
    }

    /// Hands a file or an empty folder over to this account.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        match &self.other {
            None => Ok(()),
            Some(Other { uid, gid, .. }) => {
                chown(path, Some(*uid), Some(*gid)).context("change the owner of", path)
            }
        }
    }

    /// Can this account enter the folder, with all that lies above it?
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        if self.other.is_none() {
            return true;
        }
        let tried =
            self.command("sh", Path::new("/")).args(["-c", "cd -- \"$1\"", "sh"]).arg(folder).output();
        tried.is_ok_and(|output| output.status.success())
    }
}

/// Takes out of a child's environment what would change how PostgreSQL's programs behave.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("PG") || text.starts_with("LC_") || text.starts_with("RUST_");
        if ours || matches!(&*text, "LANG" | "LANGUAGE" | "NOTIFY_SOCKET") {
            command.env_remove(&name);
        }
    }
    command.env("LC_ALL", "C.UTF-8")
}

/// Runs a program to its end; what it wrote to standard error becomes the error.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().map_err(|source| Error::Io {
        action: format!("run \"{}\"", command.get_program().to_string_lossy()),
        source,
    })?;
    if output.status.success() {
        return Ok(output);
    }
    Err(Error::Program { program: name_of(command), message: message_of(&output) })
}

/// What a program that failed has to say.
pub(crate) fn message_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if text.is_empty() { output.status.to_string() } else { text }
}

/// The program a command is about: the one behind `setpriv`, where that is used.
pub(crate) fn name_of(command: &Command) -> String {
    let own = command.get_program();
    let behind = command.get_args().skip_while(|argument| *argument != OsStr::new("--")).nth(1);
    let program = if own == OsStr::new("setpriv") { behind.unwrap_or(own) } else { own };
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

fn id(name: &str, option: &str) -> Result<u32> {
    let missing = || Error::NoAccount(name.to_owned());
    let output = Command::new("id").args([option, "--", name]).output().map_err(|_| missing())?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| missing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_after_the_program_behind_setpriv() {
        let account = Account { other: Some(Other { name: "pg".into(), uid: 7, gid: 8 }) };
        assert_eq!(name_of(&account.command("/usr/lib/x/initdb", Path::new("/"))), "initdb");
        assert_eq!(name_of(&Command::new("/usr/bin/psql")), "psql");
    }

    #[test]
    fn a_failing_program_says_why() {
        let error = run(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh failed: no luck");
    }

    #[test]
    fn the_server_is_told_nothing_of_our_libpq_settings() {
        let mut command = Command::new("env");
        clean(&mut command);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.lines().any(|line| line.starts_with("PG") || line.starts_with("RUST_")), "{text}");
        assert!(text.lines().any(|line| line == "LC_ALL=C.UTF-8"), "{text}");
    }
}
