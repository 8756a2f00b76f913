//! One server process.
//!
//! **How it works.** `postgres` runs as our child, in a process group of its own so that a Ctrl-C in the terminal
//! reaches it only through us. It says in its own lock file when it accepts connections; we look there.
//!
//! **Invariants**
//! * A [`Server`] value means that the process was started by us and has not been waited for: its process id is not
//!   someone else's.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::Account;
use crate::error::Context;
use crate::home::Home;
use crate::installation::Installation;
use crate::{Error, Result};

/// How long a server may take to come up: crash recovery of a large cluster is in this.
const START_LIMIT: Duration = Duration::from_mins(5);
/// How long a server may take to end before it is made to.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);
/// What a server says when children of one that was killed are still there; they end by themselves.
const STILL_IN_USE: &str = "pre-existing shared memory block";
/// A log longer than this is put aside at the next start.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts the server in a folder and waits until it accepts connections.
    pub(crate) fn start(installation: &Installation, account: &Account, home: &Home) -> Result<Self> {
        let begun = Instant::now();
        loop {
            match Self::start_once(installation, account, home, begun) {
                Err(Error::Start { log, .. })
                    if log.contains(STILL_IN_USE) && begun.elapsed() < STOP_LIMIT =>
                {
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    fn start_once(
        installation: &Installation,
        account: &Account,
        home: &Home,
        begun: Instant,
    ) -> Result<Self> {
        clear_stale(home)?;
        let (log, from) = open_log(&home.log())?;
        let errors = log.try_clone().context("open", &home.log())?;
        let child = account
            .command(installation.program("postgres"), home.folder())
            .arg("-D")
            .arg(home.data())
            .arg(format!("--config_file={}", home.configuration().display()))
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .context("start", &installation.program("postgres"))?;
        let mut server = Self { child };
        loop {
            if let Some(status) = server.child.try_wait().context("wait for", &home.data())? {
                let log = tail(&home.log(), from);
                return Err(Error::Start { status: status.to_string(), log });
            }
            if is_ready(&home.data(), server.pid()) {
                return Ok(server);
            }
            if begun.elapsed() > START_LIMIT {
                let log = tail(&home.log(), from);
                server.stop(Signal::QUIT)?;
                return Err(Error::NotReady { waited: START_LIMIT, log });
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended by itself?
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the server to end, insists if it does not, and waits for it.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<ExitStatus> {
        let waiting = Path::new("the server");
        for signal in [signal, Signal::QUIT, Signal::KILL] {
            // It may have ended by itself, which is what we want.
            let _ = kill_process(Pid::from_child(&self.child), signal);
            let begun = Instant::now();
            while begun.elapsed() < STOP_LIMIT {
                if let Some(status) = self.child.try_wait().context("wait for", waiting)? {
                    return Ok(status);
                }
                std::thread::sleep(PAUSE);
            }
        }
        self.child.wait().context("wait for", waiting)
    }
}

/// The process that the lock file of a data folder names, if it really lives in that folder.
pub(crate) fn living(data: &Path) -> Option<Pid> {
    let pid = fs::read_to_string(data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()?;
    let pid = Pid::from_raw(pid)?;
    let folder = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).ok()?;
    (folder == fs::canonicalize(data).ok()?).then_some(pid)
}

/// Ends a server that an earlier process of ours left behind.
pub(crate) fn stop_orphan(data: &Path) {
    let begun = Instant::now();
    let mut signal = Some(Signal::INT);
    while let Some(pid) = living(data) {
        if let Some(signal) = signal.take() {
            let _ = kill_process(pid, signal);
        }
        if begun.elapsed() > STOP_LIMIT {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Removes the lock files of a server that is no more. The server would do so itself, unless another process has got
/// the old one's process id meanwhile, which in a container is the rule.
fn clear_stale(home: &Home) -> Result<()> {
    if living(&home.data()).is_some() {
        return Err(Error::Running);
    }
    let mut stale = vec![home.data().join("postmaster.pid")];
    for entry in fs::read_dir(home.sockets()).context("read", &home.sockets())? {
        stale.push(entry.context("read", &home.sockets())?.path());
    }
    for file in stale {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("remove", &file);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Line 1 of the lock file is the process, line 8 its state.
fn is_ready(data: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
}

/// The log, and where in it the coming start begins.
fn open_log(path: &Path) -> Result<(File, u64)> {
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("old")).context("rename", path)?;
    }
    let log = OpenOptions::new().append(true).create(true).open(path).context("open", path)?;
    let length = log.metadata().context("read", path)?.len();
    Ok((log, length))
}

/// The last lines of the log that were written since an offset.
fn tail(path: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut log) = File::open(path)
        && log.seek(SeekFrom::Start(from)).is_ok()
    {
        let _ = log.read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
