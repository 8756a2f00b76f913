//! Many rows: the gate's NDJSON beside `COPY … TO STDOUT` in psql.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION};
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::json;
use tokio::task::LocalSet;

use crate::contestant::{finish, post, tokens};
use crate::fixture::Fixture;
use crate::load;
use crate::service::Service;
use postern_bench::aim::median;
use postern_bench::error::{Context, Error, Result};
use postern_bench::process::{Cast, memory};

const QUERY: &str = "select id, tenant, kind, amount, happened_at from bench.event";

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    pub rows: u64,
    /// Rows per second of NDJSON, the median of the rounds.
    pub ndjson_rows_per_second: f64,
    /// Of psql's COPY.
    pub copy_rows_per_second: f64,
    /// The median of the ratios of single rounds.
    pub ratio: f64,
    /// MB of NDJSON.
    pub ndjson_megabytes: f64,
    /// Nanoseconds of processor for each row, NDJSON: in the server, the gate, the client.
    pub ndjson_cpu: [f64; 3],
    /// COPY: in the server and the client.
    pub copy_cpu: [f64; 2],
    /// The gate's memory at most, in MB; it was fresh and did nothing else.
    pub peak_rss: f64,
}

struct Run {
    elapsed: Duration,
    /// Server, gate, client; nanoseconds.
    cpu: [u64; 3],
    bytes: u64,
}

/// Measures both in turn.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn stream(
    fixture: &Fixture,
    program: &Path,
    connections: usize,
    rows: u64,
    rounds: usize,
) -> Result<Stream> {
    let gate = Service::gate(fixture, program, connections)?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        pairs.push((ndjson(fixture, &gate, rows)?, copy(fixture)?));
    }
    let count = rows as f64;
    let rate = |run: &Run| count / run.elapsed.as_secs_f64();
    let cpu = |of: &dyn Fn(&(Run, Run)) -> u64| median(pairs.iter().map(|pair| of(pair) as f64 / count));
    Ok(Stream {
        rows,
        ndjson_rows_per_second: median(pairs.iter().map(|(ndjson, _)| rate(ndjson))),
        copy_rows_per_second: median(pairs.iter().map(|(_, copy)| rate(copy))),
        ratio: median(pairs.iter().map(|(ndjson, copy)| rate(ndjson) / rate(copy))),
        ndjson_megabytes: pairs.first().map_or(0.0, |(ndjson, _)| ndjson.bytes as f64 / 1e6),
        ndjson_cpu: [0, 1, 2].map(|who| cpu(&|pair| pair.0.cpu[who])),
        copy_cpu: [0, 2].map(|who| cpu(&|pair| pair.1.cpu[who])),
        peak_rss: memory(gate.pid())?.peak as f64 / 1024.0,
    })
}

/// Reads everything, counts the lines, keeps nothing.
fn ndjson(fixture: &Fixture, gate: &Service, rows: u64) -> Result<Run> {
    let cast = Cast { server: fixture.server, middle: Some(gate.pid()), client: std::process::id() };
    let wrong = |what: String| Error::wrong("the gate's NDJSON", what);
    let token = tokens(fixture).swap_remove(0);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the client")?;
    LocalSet::new().block_on(&runtime, async {
        let mut sender = load::connect(gate.address).await?;
        let request = post("/v1/query").header(AUTHORIZATION, token).header(ACCEPT, "application/x-ndjson");
        let (begin, before) = (Instant::now(), cast.clocks()?);
        let response = sender
            .send_request(finish(request, &json!({"query": QUERY})))
            .await
            .map_err(|error| wrong(error.to_string()))?;
        let status = response.status();
        let (mut lines, mut bytes) = (0, 0);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            // A break in the middle is an error here: the response did not end.
            if let Ok(data) = frame.map_err(|error| wrong(error.to_string()))?.into_data() {
                lines += memchr::memchr_iter(b'\n', &data).count() as u64;
                bytes += data.len() as u64;
            }
        }
        let (elapsed, used) = (begin.elapsed(), cast.clocks()?.since(&before));
        if status != StatusCode::OK || lines != rows {
            return Err(wrong(format!("{status}, {lines} lines instead of {rows}")));
        }
        Ok(Run { elapsed, cpu: [used.server, used.middle, used.client], bytes })
    })
}

/// psql's time on the processor is read when it has ended, as that of a child that was waited for.
fn copy(fixture: &Fixture) -> Result<Run> {
    let mut command = fixture.cluster.client("psql");
    command.args(["-X", "-q", "-w", "-U", "bench_direct", "-v", "ON_ERROR_STOP=1"]);
    // The settings of the role are there at its login.
    command.args(["-c", &format!("copy ({QUERY}) to stdout")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let child = command.spawn().context("run psql")?;
    let sampler = Sampler::start(Cast { server: fixture.server, middle: None, client: child.id() });
    let output = child.wait_with_output().context("wait for psql")?;
    let elapsed = begin.elapsed();
    let cpu = sampler.end();
    if !output.status.success() {
        return Err(Error::wrong("psql", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(Run { elapsed, cpu, bytes: 0 })
}

/// Reads the clocks of processes that end by themselves, often: the last reading is close to the end.
struct Sampler {
    stop: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<[u64; 3]>,
}

impl Sampler {
    const EVERY: Duration = Duration::from_millis(20);

    fn start(cast: Cast) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut most = [0; 3];
            let first = cast.clocks();
            while stopped.recv_timeout(Self::EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                if let (Ok(first), Ok(now)) = (&first, cast.clocks()) {
                    let used = now.since(first);
                    // psql is counted from its beginning.
                    most = [most[0].max(used.server), 0, most[2].max(now.client())];
                }
            }
            most
        });
        Self { stop, thread }
    }

    fn end(self) -> [u64; 3] {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}
