//! The loop: take, send, keep, write down, give back.
//!
//! **How it works.** One task has the connection and all decisions; each request is a task of its own. The loop wakes when the
//! server rings (something to send, or something not wanted any more), when an answer is there, when the next request is due,
//! and when what it holds must be kept. Between these it does nothing. A connection that breaks is made again; requests under
//! way go on meanwhile, and count if their time has not run out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use postern_durable::Failure;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::call::{Caller, Job, Question};
use crate::database::{Came, Database};
use crate::{Config, Error};

/// Requests taken with one statement.
const BATCH: usize = 200;

/// Answers written in one transaction.
const ANSWERS: usize = 100;

/// A ring can be lost with the connection that it came over, but nothing else looks: this is how long that may go unnoticed.
const LOOK: Duration = Duration::from_secs(30);

/// How soon after one look for unwanted requests comes the next.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest pause before the database is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What a worker has done since it was started.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests under way.
    pub in_flight: AtomicU64,
    /// Requests taken.
    pub taken: AtomicU64,
    /// Those of them that had been taken before.
    pub repeated: AtomicU64,
    /// Answers that are results.
    pub completed: AtomicU64,
    /// Requests that failed.
    pub failed: AtomicU64,
    /// Requests that were stopped, or whose answer nobody wanted any more.
    pub unwanted: AtomicU64,
    /// Places that requests were told to go to, and might.
    pub redirected: AtomicU64,
}

/// A running worker.
#[derive(Debug)]
pub struct Outbound {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    stats: Arc<Stats>,
}

impl Outbound {
    /// Starts a worker. A database that does not answer is tried again until it does; a configuration that cannot be used is an
    /// error. Must be called within a runtime.
    pub fn start(config: Config) -> Result<Self, Error> {
        config.validate()?;
        let (questions, asked_for) = mpsc::unbounded_channel();
        let caller = Caller::new(&config, questions)?;
        let (stop, stopping) = watch::channel(false);
        let (sender, answers) = mpsc::unbounded_channel();
        let stats = Arc::new(Stats::default());
        let worker = Worker {
            id: Uuid::new_v4(),
            config,
            caller,
            stats: Arc::clone(&stats),
            sender,
            answers,
            questions: asked_for,
            unwritten: Vec::new(),
            under_way: HashMap::new(),
            hosts: HashMap::new(),
        };
        Ok(Self { stop, task: tokio::spawn(worker.run(stopping)), stats })
    }

    /// What it has done so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The same, for whoever shows it.
    pub fn shared_stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Takes nothing more, lets requests under way end, for so long as the configuration says, and gives the rest back.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            warn!(%error, "the outbound worker ended before its time");
        }
    }
}

/// A request under way.
struct UnderWay {
    host: String,
    task: AbortHandle,
}

/// The requests to one host.
struct Host {
    count: usize,
    room: Arc<Semaphore>,
}

struct Worker {
    id: Uuid,
    config: Config,
    caller: Caller,
    stats: Arc<Stats>,
    sender: mpsc::UnboundedSender<(i64, Came)>,
    answers: mpsc::UnboundedReceiver<(i64, Came)>,
    /// Requests that are told to go elsewhere.
    questions: mpsc::UnboundedReceiver<Question>,
    /// Answers that are not in the database yet.
    unwritten: Vec<(i64, Came)>,
    under_way: HashMap<i64, UnderWay>,
    hosts: HashMap<String, Host>,
}

impl Worker {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pause = Duration::from_millis(100);
        loop {
            match self.session(&mut stop, &mut pause).await {
                Ok(()) => break,
                Err(error) => warn!(%error, retry_in = ?pause, "the outbound worker lost its database"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = asked(&mut stop) => break,
            }
            pause = (pause * 2).min(AGAIN);
        }
        for under_way in self.under_way.values() {
            under_way.task.abort();
        }
        info!("the outbound worker has stopped");
    }

    /// As long as one connection lasts. `Ok`: the worker was asked to stop, and has.
    async fn session(&mut self, stop: &mut watch::Receiver<bool>, pause: &mut Duration) -> Result<(), Error> {
        let database = Database::connect(&self.config, self.id).await?;
        info!(worker = %self.id, "the outbound worker is connected");
        *pause = Duration::from_millis(100);
        self.keep(&database).await?;
        let mut kept = Instant::now();
        let mut look = Instant::now();
        let mut check: Option<Instant> = None;
        loop {
            if !self.unwritten.is_empty() {
                self.write(&database).await?;
            }
            if look <= Instant::now() {
                look = Instant::now() + self.take(&database).await?;
            }
            let renew = kept + self.config.lease / 3;
            let renew = check.map_or(renew, |check| check.min(renew));
            tokio::select! {
                () = asked(stop) => return self.finish(&database).await,
                () = database.rung.notified() => {
                    if database.is_closed() {
                        return Err(Error::Config("the connection was closed".into()));
                    }
                    look = Instant::now();
                    if !self.under_way.is_empty() {
                        check.get_or_insert(Instant::now().max(kept + SETTLE));
                    }
                }
                Some(answer) = self.answers.recv() => {
                    self.collect(answer);
                    // There is room again.
                    look = Instant::now();
                }
                Some(question) = self.questions.recv() => answer(question, &database, &self.stats).await?,
                () = tokio::time::sleep_until(look) => {}
                () = tokio::time::sleep_until(renew), if !self.under_way.is_empty() => {
                    self.keep(&database).await?;
                    (kept, check) = (Instant::now(), None);
                }
            }
        }
    }

    /// Takes what is due and begins to send it; gives in how long to look again.
    async fn take(&mut self, database: &Database) -> Result<Duration, Error> {
        loop {
            let room = self.config.in_flight.saturating_sub(self.under_way.len()).min(BATCH);
            if room == 0 {
                // An answer makes room, and has us look.
                return Ok(LOOK);
            }
            let busy: Vec<String> = self
                .hosts
                .iter()
                .filter(|(_, host)| host.count >= self.config.per_host)
                .map(|(name, _)| name.clone())
                .collect();
            let jobs = database.claim(room, &busy).await?;
            let taken = jobs.len();
            for job in jobs {
                self.send(job);
            }
            if taken < room {
                let next = database.next().await?.unwrap_or(LOOK);
                // What is due now is for a busy host, or somebody else's to take.
                let least = if taken == 0 { Duration::from_millis(100) } else { Duration::from_millis(10) };
                return Ok(next.clamp(least, LOOK));
            }
        }
    }

    fn send(&mut self, job: Job) {
        self.stats.taken.fetch_add(1, Relaxed);
        self.stats.in_flight.fetch_add(1, Relaxed);
        if job.sends > 1 {
            self.stats.repeated.fetch_add(1, Relaxed);
            info!(request = job.id, host = job.target.host, sends = job.sends, "sent again");
        }
        let name = job.target.host.clone();
        let per_host = self.config.per_host;
        let host = self
            .hosts
            .entry(name.clone())
            .or_insert_with(|| Host { count: 0, room: Arc::new(Semaphore::new(per_host)) });
        host.count += 1;
        let room = Arc::clone(&host.room);
        let (caller, sender, id) = (self.caller.clone(), self.sender.clone(), job.id);
        let task = tokio::spawn(async move {
            // Never closed.
            let _permit = room.acquire_owned().await;
            let came = caller.call(&job).await;
            match &came {
                Ok(result) => {
                    debug!(request = id, host = job.target.host, status = %result["status"], "answered");
                }
                Err(failure) => {
                    info!(request = id, host = job.target.host, sqlstate = failure.sqlstate, "failed");
                }
            }
            // Nobody listens any more: the worker has stopped.
            let _ = sender.send((id, came));
        });
        let task = task.abort_handle();
        if let Some(before) = self.under_way.insert(id, UnderWay { host: name, task }) {
            // Its time had run out while the database did not answer, and it came back to us.
            before.task.abort();
            self.leave(&before);
        }
    }

    /// One less.
    fn leave(&mut self, under_way: &UnderWay) {
        self.stats.in_flight.fetch_sub(1, Relaxed);
        if let Some(host) = self.hosts.get_mut(&under_way.host) {
            host.count -= 1;
            if host.count == 0 {
                self.hosts.remove(&under_way.host);
            }
        }
    }

    /// Takes an answer, and those that are there with it.
    fn collect(&mut self, answer: (i64, Came)) {
        let mut next = Some(answer);
        while let Some((id, came)) = next.take() {
            if let Some(under_way) = self.under_way.remove(&id) {
                self.leave(&under_way);
                match &came {
                    Ok(_) => &self.stats.completed,
                    Err(_) => &self.stats.failed,
                }
                .fetch_add(1, Relaxed);
                self.unwritten.push((id, came));
            }
            if self.unwritten.len() < ANSWERS {
                next = self.answers.try_recv().ok();
            }
        }
    }

    /// Writes the answers that are there. One that the server refuses fails its step, not the others'.
    async fn write(&mut self, database: &Database) -> Result<(), Error> {
        let unwanted = match database.done(&self.unwritten).await {
            Ok(unwanted) => unwanted,
            Err(error) if database.is_closed() => return Err(error),
            Err(error) => {
                warn!(%error, "answers could not be written together");
                let mut unwanted = 0;
                for (id, came) in self.unwritten.clone() {
                    let one = [(id, came)];
                    unwanted += match database.done(&one).await {
                        Ok(unwanted) => unwanted,
                        Err(error) if database.is_closed() => return Err(error),
                        Err(error) => {
                            let failure =
                                Failure::new("22000", format!("HTTP response cannot be stored: {error}"));
                            database.done(&[(id, Err(failure))]).await?
                        }
                    };
                }
                unwanted
            }
        };
        self.stats.unwanted.fetch_add(unwanted as u64, Relaxed);
        self.unwritten.clear();
        Ok(())
    }

    /// Keeps what is under way, and stops what is not wanted any more.
    async fn keep(&mut self, database: &Database) -> Result<(), Error> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = self.under_way.keys().copied().collect();
        let wanted = database.renew(&ids).await?;
        for id in ids.into_iter().filter(|id| !wanted.contains(id)) {
            if let Some(under_way) = self.under_way.remove(&id) {
                under_way.task.abort();
                self.leave(&under_way);
                self.stats.unwanted.fetch_add(1, Relaxed);
                info!(request = id, host = under_way.host, "stopped: not wanted any more");
            }
        }
        Ok(())
    }

    /// Lets what is under way end, and gives the rest back.
    async fn finish(&mut self, database: &Database) -> Result<(), Error> {
        let end = Instant::now() + self.config.shutdown_timeout;
        let mut renew = Instant::now() + self.config.lease / 3;
        while !self.under_way.is_empty() {
            tokio::select! {
                Some(answer) = self.answers.recv() => {
                    self.collect(answer);
                    self.write(database).await?;
                }
                Some(question) = self.questions.recv() => answer(question, database, &self.stats).await?,
                () = tokio::time::sleep_until(renew) => {
                    self.keep(database).await?;
                    renew = Instant::now() + self.config.lease / 3;
                }
                () = tokio::time::sleep_until(end) => break,
            }
        }
        let left: Vec<i64> = self.under_way.keys().copied().collect();
        if !left.is_empty() {
            info!(requests = left.len(), "given back");
            database.release(&left).await?;
        }
        Ok(())
    }
}

/// Asks the server whether a request may go where it was told to.
async fn answer(question: Question, database: &Database, stats: &Stats) -> Result<(), Error> {
    let may = database.redirect(question.id, &question.to, &question.method).await?;
    if may.is_ok() {
        stats.redirected.fetch_add(1, Relaxed);
    }
    // Who has asked may have been stopped.
    let _ = question.answer.send(may);
    Ok(())
}

/// Returns when the worker is asked to stop, or its owner is gone.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|asked| *asked).await;
}
