//! The gate's memory with many clients that only wait.

use std::path::Path;

use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::task::LocalSet;

use crate::contestant::{ask_v1, tokens};
use crate::fixture::Fixture;
use crate::load::{self, Target};
use crate::service::Service;
use postern_bench::error::{Context, Result};
use postern_bench::process::memory;

/// Clients at once while they are served.
const AT_ONCE: usize = 50;

/// What was found, in MB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Idle {
    pub clients: usize,
    /// Before anyone came.
    pub rss_at_start: f64,
    /// With all of them connected, each served once.
    pub rss: f64,
}

/// Measures a fresh gate.
#[allow(clippy::cast_precision_loss, reason = "kB of a process")]
pub fn idle(fixture: &Fixture, program: &Path, connections: usize, clients: usize) -> Result<Idle> {
    let gate = Service::gate(fixture, program, connections)?;
    let at_start = memory(gate.pid())?.now;
    let target = Target { name: "gate", address: gate.address, ask: ask_v1(tokens(fixture)) };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the clients")?;
    let with_all = LocalSet::new().block_on(&runtime, async {
        let mut waiting = Vec::with_capacity(clients);
        for first in (0..clients).step_by(AT_ONCE) {
            let some = (first..clients.min(first + AT_ONCE)).map(|client| {
                let target = &target;
                async move {
                    let mut sender = load::connect(target.address).await?;
                    load::fetch(&mut sender, target, client, 2).await?;
                    Ok::<_, postern_bench::error::Error>(sender)
                }
            });
            waiting.extend(try_join_all(some).await?);
        }
        memory(gate.pid())
    })?;
    let megabytes = |kilobytes: u64| kilobytes as f64 / 1024.0;
    Ok(Idle { clients, rss_at_start: megabytes(at_start), rss: megabytes(with_all.now) })
}
