//! Where and with what it ran.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::Serialize;

use crate::error::{Context, Error, Result};

/// Where it ran.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The model of the processors.
    pub processor: String,
    /// How many there are.
    pub processors: usize,
    /// All memory.
    pub memory_megabytes: u64,
    /// Its release.
    pub kernel: String,
    /// Processes that waited for a processor on average in the minute before, when nothing of ours ran.
    pub load_before: f64,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let kilobytes = value(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse::<u64>();
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_megabytes: kilobytes.unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(f64::NAN),
        }
    }
}

/// Now, as RFC 3339 writes it.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Postern's version and commit.
pub fn postern() -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let commit = first_line(Command::new("git").args(["-C", folder, "rev-parse", "--short=12", "HEAD"]));
    format!("{} ({})", env!("CARGO_PKG_VERSION"), commit.unwrap_or_else(|| "no commit".to_owned()))
}

/// The version of Node; `None` without it.
pub fn node() -> Option<String> {
    first_line(Command::new("node").arg("--version"))
}

/// The version of a package that is installed in a folder of Node's.
pub fn package(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read(folder.join("node_modules").join(name).join("package.json")).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(value.get("version")?.as_str()?.to_owned())
}

/// Writes a report for programs.
pub fn save(report: &impl Serialize, file: &Path) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).context(format!("create {}", folder.display()))?;
    }
    let mut text = serde_json::to_string_pretty(report).map_err(|error| Error::wrong("the report", error))?;
    text.push('\n');
    fs::write(file, text).context(format!("write {}", file.display()))
}

/// `setpriv` becomes the program: the process id is the program's own, and it ends with us.
pub fn ending_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}
