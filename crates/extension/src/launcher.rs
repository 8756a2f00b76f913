//! The launcher: the one process of ours that runs as long as the server, and starts the others.
//!
//! It is connected to no database, and waits: for who asks for an executor of durable functions, for an error that an apply worker
//! has noted, and, where there are subscriptions, for the time to look at their counters. What is to be started, each part says.

use pgrx::{pg_guard, pg_sys};

use crate::pg::shmem;
use crate::pg::worker::{self, Job};
use crate::{durable, replication};

const JOB: Job =
    Job { function: "postern_launcher", name: "postern launcher", argument: 0, extra: 0, restart: 5 };

/// Has the launcher started with the server. While preloading.
pub fn register() {
    worker::register(JOB);
}

/// The entry point of the launcher.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the server finds the function by its name")]
pub extern "C-unwind" fn postern_launcher(_argument: pg_sys::Datum) {
    worker::set_up(None);
    shmem::i_am_the_launcher();
    let mut recorders = replication::Recorders::new();
    let mut all = true;
    let mut again = None;
    loop {
        if shmem::executors_were_asked_for() || all || again.is_some() {
            again = durable::launch();
        }
        let wait = [recorders.launch(), again].into_iter().flatten().min();
        all = worker::wait(wait);
    }
}
