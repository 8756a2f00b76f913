//! Ends a cluster whose process died without ending it.
//!
//! **How it works.** A shell waits for the end of a pipe that only this process holds open. The system closes it when
//! we die, however we die; then the shell stops the server and, for a temporary cluster, removes the folder. A signal
//! at the parent's death would depend on the thread that started the server, which in a test is gone long before.
//!
//! **Invariants**
//! * It is in a process group of its own: neither Ctrl-C nor the killing of a test's group reaches it.
//! * It signals the process named in the data folder's lock file only if that process lives in that folder.

use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::error::Context;

const SCRIPT: &str = r#"
trap '' HUP INT TERM
folder=$1 remove=$2 signal=$3
read -r word && [ "$word" = done ] && exit 0
pid=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null)
data=$(readlink -f "$folder/data")
lives() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$data" ]; }
lives && kill -s "$signal" "$pid"
tries=0
while lives; do
    tries=$((tries + 1))
    [ "$tries" -eq 600 ] && kill -s KILL "$pid"
    sleep 0.05
done
# What copies into the folder may go on for a moment.
tries=0
while [ "$remove" = remove ] && [ -e "$folder" ] && [ "$tries" -lt 600 ]; do
    tries=$((tries + 1))
    rm -rf -- "$folder" || sleep 0.05
done
exit 0
"#;

/// Guards one folder for as long as it lives.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
}

/// What is to happen to the folder of a cluster that nobody holds any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphan {
    /// Stop the server at once and remove the folder.
    Remove,
    /// Stop the server in order and keep the folder.
    Keep,
}

impl Watchdog {
    pub(crate) fn start(folder: &Path, orphan: Orphan) -> Result<Self> {
        let (remove, signal) = match orphan {
            Orphan::Remove => ("remove", "QUIT"),
            Orphan::Keep => ("keep", "INT"),
        };
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "postern-watchdog"])
            .arg(folder)
            .args([remove, signal])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start a watchdog for", folder)?;
        Ok(Self { child })
    }

    /// Sends it away: the cluster was ended in order.
    pub(crate) fn release(mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            // It may have been killed; then there is nobody to send away.
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.child.wait();
    }
}
