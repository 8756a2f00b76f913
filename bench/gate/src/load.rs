//! The load: clients that each keep one connection, ask, check the answer, and ask again.
//!
//! **How it works.** All clients are tasks of one thread, which takes less time from the others on the machine than several
//! would. Only requests answered while it is measured count.
//!
//! **Invariants**: each answer is checked to have the row that was asked for; the first wrong one ends the measurement.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::fixture::READABLE;
use crate::sample::{Sample, Span, histogram};
use postern_bench::error::{Context, Error, Result};
use postern_bench::process::{Cast, memory};

/// A body that is sent at once.
pub type Sent = Full<Bytes>;
/// The request of a client (by its number) for the row with an id.
pub type Ask = Box<dyn Fn(usize, u32) -> Request<Sent> + Send + Sync>;

/// Whom to ask what.
pub struct Target {
    pub name: &'static str,
    pub address: SocketAddr,
    pub ask: Ask,
}

const WARM_UP: u8 = 0;
const MEASURED: u8 = 1;
const OVER: u8 = 2;

/// Measures a service with a number of clients.
pub fn run(target: &Target, server: u32, middle: u32, clients: usize, span: Span) -> Result<Sample> {
    let cast = Cast { server, middle: Some(middle), client: std::process::id() };
    let phase = Arc::new(AtomicU8::new(WARM_UP));
    let (ready, is_ready) = mpsc::channel();
    std::thread::scope(|scope| {
        let load = {
            let phase = Arc::clone(&phase);
            scope.spawn(move || load(target, clients, &phase, &ready))
        };
        // The sender is dropped if a client fails before all are connected.
        let window = is_ready.recv().ok().map(|()| {
            std::thread::sleep(span.warm_up);
            let (begin, before) = (Instant::now(), cast.clocks());
            phase.store(MEASURED, Ordering::Relaxed);
            std::thread::sleep(span.measured);
            let (elapsed, after) = (begin.elapsed(), cast.clocks());
            let rss = memory(middle);
            phase.store(OVER, Ordering::Relaxed);
            (elapsed, before, after, rss)
        });
        let latencies = load.join().map_err(|_| Error::wrong(target.name, "the load generator broke"))??;
        let (elapsed, before, after, rss) =
            window.ok_or_else(|| Error::wrong(target.name, "no client could connect"))?;
        Sample::new(&latencies, elapsed, after?.since(&before?), rss?.now)
    })
}

/// Opens a connection.
pub async fn connect(address: SocketAddr) -> Result<SendRequest<Sent>> {
    let stream = TcpStream::connect(address).await.context(format!("connect to {address}"))?;
    stream.set_nodelay(true).context("set an option of a socket")?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Error::wrong("HTTP", error))?;
    // Its end is seen by whoever sends.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

/// Asks for a row and checks that it came.
pub async fn fetch(sender: &mut SendRequest<Sent>, target: &Target, client: usize, id: u32) -> Result<()> {
    let wrong = |what: String| Error::wrong(target.name, what);
    sender.ready().await.map_err(|error| wrong(error.to_string()))?;
    let response =
        sender.send_request((target.ask)(client, id)).await.map_err(|error| wrong(error.to_string()))?;
    let status = response.status();
    let body = whole(response.into_body()).await.map_err(|error| wrong(error.to_string()))?;
    let expected = format!("\"account {id}\"");
    if status == StatusCode::OK && memchr::memmem::find(&body, expected.as_bytes()).is_some() {
        return Ok(());
    }
    Err(wrong(format!("answered {status} to the request for row {id}: {}", String::from_utf8_lossy(&body))))
}

async fn whole(body: Incoming) -> hyper::Result<Bytes> {
    Ok(body.collect().await?.to_bytes())
}

fn load(
    target: &Target,
    clients: usize,
    phase: &AtomicU8,
    ready: &mpsc::Sender<()>,
) -> Result<Histogram<u64>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the clients")?;
    let latencies = RefCell::new(histogram());
    LocalSet::new().block_on(&runtime, async {
        let mut connections = Vec::new();
        for client in 0..clients {
            let mut sender = connect(target.address).await?;
            fetch(&mut sender, target, client, id(client, 0)).await?;
            connections.push(sender);
        }
        // Whoever waits for it may be gone only if it failed itself.
        let _ = ready.send(());
        let clients = connections.into_iter().enumerate();
        try_join_all(clients.map(|(client, sender)| closed_loop(target, client, sender, phase, &latencies)))
            .await
    })?;
    Ok(latencies.into_inner())
}

/// Until it is over.
async fn closed_loop(
    target: &Target,
    client: usize,
    mut sender: SendRequest<Sent>,
    phase: &AtomicU8,
    latencies: &RefCell<Histogram<u64>>,
) -> Result<()> {
    for turn in 1.. {
        let begin = Instant::now();
        fetch(&mut sender, target, client, id(client, turn)).await?;
        match phase.load(Ordering::Relaxed) {
            MEASURED => {
                let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                latencies.borrow_mut().saturating_record(nanos);
            }
            OVER => break,
            _ => {}
        }
    }
    Ok(())
}

/// Ids jump about the whole table, and clients are never in step.
fn id(client: usize, turn: u32) -> u32 {
    let client = u32::try_from(client).unwrap_or(0);
    2 * (client.wrapping_mul(7_919).wrapping_add(turn.wrapping_mul(31_337)) % READABLE + 1)
}
