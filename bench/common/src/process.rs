//! What processes use, from /proc: time on a processor, and memory.
//!
//! **Invariants**: time is the scheduler's own, in nanoseconds, over all threads; processes that end between two readings are
//! not counted, so both readings are taken while everything runs.

use std::collections::BTreeMap;
use std::fs;

use crate::error::{Context, Error, Result};

/// The processes of one measurement.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    /// The server's first process; its children count too.
    pub server: u32,
    /// What stands between client and server, if anything does.
    pub middle: Option<u32>,
    /// Who sends the requests.
    pub client: u32,
}

/// Nanoseconds on a processor so far.
#[derive(Debug, Clone)]
pub struct Clocks {
    /// Each process of the server: they come and go.
    server: BTreeMap<u32, u64>,
    middle: u64,
    client: u64,
}

/// Nanoseconds on a processor between two readings.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Of the server.
    pub server: u64,
    /// Of what stands between.
    pub middle: u64,
    /// Of the client.
    pub client: u64,
}

impl Cast {
    /// Reads the clocks of all of them.
    pub fn clocks(&self) -> Result<Clocks> {
        let mut server = BTreeMap::from([(self.server, time_of(self.server)?)]);
        // One that has ended since is left out.
        server.extend(
            children(self.server)?.into_iter().filter_map(|child| Some((child, time_of(child).ok()?))),
        );
        Ok(Clocks { server, middle: self.middle.map_or(Ok(0), time_of)?, client: time_of(self.client)? })
    }
}

impl Clocks {
    /// What was used since an earlier reading, by those that are still there.
    pub fn since(&self, earlier: &Self) -> Usage {
        let used =
            |(pid, now): (&u32, &u64)| now.saturating_sub(earlier.server.get(pid).copied().unwrap_or(0));
        Usage {
            server: self.server.iter().map(used).sum(),
            middle: self.middle.saturating_sub(earlier.middle),
            client: self.client.saturating_sub(earlier.client),
        }
    }

    /// What the client has used since it began.
    pub fn client(&self) -> u64 {
        self.client
    }
}

/// Memory of a process in kB, now and at most so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// At most so far.
    pub peak: u64,
}

/// The memory of a process.
pub fn memory(pid: u32) -> Result<Memory> {
    let text = read(&format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .ok_or_else(|| Error::wrong(format!("/proc/{pid}/status"), format!("has no {name}")))
    };
    Ok(Memory { now: field("VmRSS:")?, peak: field("VmHWM:")? })
}

fn time_of(pid: u32) -> Result<u64> {
    let folder = format!("/proc/{pid}/task");
    let mut time = 0;
    for task in fs::read_dir(&folder).context(format!("read {folder}"))? {
        let file = task.context(format!("read {folder}"))?.path().join("schedstat");
        // A thread may have ended since.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        time += text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0);
    }
    Ok(time)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let text = read(&format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().filter_map(|child| child.parse().ok()).collect())
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).context(format!("read {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_and_memory_is_not_nothing() {
        let own = std::process::id();
        let cast = Cast { server: own, middle: Some(own), client: own };
        let before = cast.clocks().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_millis(30);
        let mut turns = 0_u64;
        while std::time::Instant::now() < until {
            turns += 1;
        }
        let used = cast.clocks().unwrap().since(&before);
        assert!(used.client > 0 && used.server > 0 && used.middle > 0, "{used:?} after {turns} turns");
        let memory = memory(own).unwrap();
        assert!(memory.now > 500 && memory.peak >= memory.now, "{memory:?}");
    }

    #[test]
    fn a_server_process_that_ends_takes_nothing_away_and_a_new_one_counts() {
        let clocks =
            |server: &[(u32, u64)]| Clocks { server: server.iter().copied().collect(), middle: 5, client: 7 };
        let used = clocks(&[(1, 12), (3, 4)]).since(&clocks(&[(1, 10), (2, 900)]));
        assert_eq!((used.server, used.middle, used.client), (6, 0, 0));
    }
}
