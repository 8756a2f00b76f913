//! Running the program as a process.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first surprise; clippy allows it in test functions only"
)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// How a process ended.
#[derive(Debug)]
pub struct Output {
    /// -1 if by a signal.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// What it said to standard error, but for the word that it is at work, which a busy machine has it say.
    pub fn complaints(&self) -> String {
        let lines = self.stderr.lines().filter(|line| !line.starts_with("examining the database"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The program, without what the environment of the tests would say to it.
pub fn postern() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    output(command.output().unwrap())
}

/// How a process ended that was waited for.
pub fn output(output: std::process::Output) -> Output {
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder that the server's user can enter, too.
pub fn room() -> TempDir {
    let room = tempfile::Builder::new().prefix("postern-cli-").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(room.path(), PermissionsExt::from_mode(0o755)).unwrap();
    room
}

/// A `postern up` (or `serve`) that is ready.
pub struct Running {
    child: Child,
    /// `http://127.0.0.1:port`
    pub url: String,
    /// What it said until it was ready.
    pub greeting: String,
    rest: mpsc::Receiver<String>,
}

impl Running {
    /// Starts `postern up` on a free port, and waits until it greets.
    pub fn up(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = postern();
        command.arg("up").arg("--dir").arg(folder).args(["--listen", "127.0.0.1:0"]).args(arguments);
        Self::start(command, "Ctrl-C stops it")
    }

    /// Starts `postern serve`, and waits until it greets.
    pub fn serve(config: &Path) -> Self {
        let mut command = postern();
        command.args(["serve", "-c"]).arg(config);
        Self::start(command, "postern is listening on")
    }

    /// Waits until it says where it listens and then a line that starts so, or panics with what it said instead.
    fn start(mut command: Command, last: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, lines) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        for pipe in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)] {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = said.send(line);
                }
            });
        }
        drop(said);
        let mut greeting = String::new();
        let mut url = None;
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            greeting += &line;
            greeting.push('\n');
            if let Some((_, address)) = line.split_once("listening on ") {
                url = address.split_whitespace().next().map(str::to_owned);
            }
            if url.is_some() && line.starts_with(last) {
                break;
            }
        }
        let Some(url) = url else {
            let _ = child.kill();
            panic!("it did not come up:\n{greeting}");
        };
        Self { child, url, greeting, rest: lines }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, and waits until something is said with this in it.
    pub fn says_to(&self, signal: &str, part: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        while !self.rest.recv_timeout(PATIENCE).unwrap().contains(part) {}
    }

    /// Sends a signal by name, and waits for the end. Gives the exit status, and what was said since the greeting.
    pub fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let said: Vec<String> = self.rest.iter().collect();
        (status.code(), said.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, or the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
