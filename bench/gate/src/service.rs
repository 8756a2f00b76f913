//! What stands between client and server: the gate, PostGraphile, the minimal gate in Node.
//!
//! **Invariants**: a service ends with its value, and with this process however that ends. No port is fixed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use postern_bench::error::{Context, Error, Result};
use postern_bench::machine::ending_with_us;

/// How long a service may take to be ready.
const START: Duration = Duration::from_mins(1);

/// A service that runs.
#[derive(Debug)]
pub struct Service {
    pub address: SocketAddr,
    child: Child,
}

impl Service {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The gate, with an optimized program and the configuration as it comes.
    pub fn gate(fixture: &Fixture, program: &Path, connections: usize) -> Result<Self> {
        // Taken and given back: the gate takes it a moment later.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("find a free port")?
            .port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config = fixture.folder().join(format!("postern-{port}.toml"));
        fs::write(&config, fixture.gate_config(port, connections))
            .context("write the gate's configuration")?;
        let log_file = fixture.folder().join(format!("postern-{port}.log"));
        let log = File::create(&log_file).context("create the gate's log")?;
        let mut command = ending_with_us(program);
        command.args(["serve", "-c"]).arg(&config).stdin(Stdio::null());
        command.stdout(log.try_clone().context("open the gate's log")?).stderr(log);
        let child = command.spawn().context("run the gate")?;
        let mut service = Self { address, child };
        let until = Instant::now() + START;
        while !is_ready(address) {
            if service.child.try_wait().context("wait for the gate")?.is_some() || Instant::now() > until {
                let said = fs::read_to_string(&log_file).unwrap_or_default();
                return Err(Error::wrong("the gate", format!("did not start: {}", said.trim())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(service)
    }

    /// A program of `bench/gate/node`, which says its port when it is ready.
    pub fn node(fixture: &Fixture, script: &str, connections: usize) -> Result<Self> {
        let mut command = ending_with_us(Path::new("node"));
        command.arg(node_folder().join(script)).current_dir(node_folder());
        command.env("DATABASE_URL", fixture.cluster.url("bench_pool", "postgres"));
        command.env("CONNECTIONS", connections.to_string());
        command.env("NODE_ENV", "production").env("GRAPHILE_ENV", "production");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().context("run node")?;
        let mut line = String::new();
        if let Some(pipe) = child.stdout.take() {
            BufReader::new(pipe).read_line(&mut line).context(format!("read from {script}"))?;
        }
        let port = line.trim().parse::<u16>();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port.as_ref().unwrap_or(&0)));
        let service = Self { address, child };
        port.map_err(|_| Error::wrong(script, "did not start")).map(|_| service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, and nobody is left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Installs the packages of the programs in Node, if they are not there as the lock file has them.
pub fn install_node_packages() -> Result<()> {
    let folder = node_folder();
    let modified = |file: &str| fs::metadata(folder.join(file)).and_then(|file| file.modified()).ok();
    let (installed, wanted) = (modified("node_modules/.package-lock.json"), modified("package-lock.json"));
    if installed.is_some() && installed >= wanted {
        return Ok(());
    }
    eprintln!("installing the packages of bench/gate/node");
    let status =
        Command::new("npm").args(["ci", "--silent"]).current_dir(&folder).status().context("run npm")?;
    if status.success() { Ok(()) } else { Err(Error::wrong("npm ci", "failed")) }
}

/// The programs in Node.
pub fn node_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
