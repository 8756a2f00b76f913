//! Few connections for many requests.
//!
//! Requests wait in one queue, in which whom they count for take turns ([`crate::queue`]); SQL of our own has a lane beside it,
//! one statement at a time. The connection used last is used next, so that kept statements are found and the others grow old in
//! peace. While the server is down, requests fail at once and one of them now and then tries
//! to connect; nothing has to be restarted when it is back. While it only has no room for more connections, requests share
//! those that there are.
//!
//! **Invariants.**
//! - There are never more backends at work than `connections`, one for SQL of our own, and those that stop others.
//! - No lock is held over an await.
//! - An error of SQL costs no connection. What does cost one, and is the request's own doing, keeps its place for a while: so
//!   nobody can make us connect more often than places times that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use postgres_protocol::message::frontend;
use rand::RngExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::config::Target;
use crate::connection::Connection;
use crate::leash::{Leash, Measure, Watchdog};
use crate::queue::{Permit, Queue, Refused};
use crate::startup::{self, Bounds};
use crate::stats::{Counters, Stats};
use crate::stream::Route;
use crate::{Config, Error, Request, Row, Running, TransactionOptions, pipeline};

/// How long SQL of our own may take.
const OWN_DEADLINE: Duration = Duration::from_secs(10);
const OWN_GRACE: Duration = Duration::from_secs(1);
/// How much of it may wait.
const OWN_QUEUE: usize = 256;
/// Between attempts to connect to a server that is down: this, doubled each time, up to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Connections to one database. Cheap to clone; all clones are one pool.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Why a connection is closed without having been offered to the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It failed, or its state is in doubt.
    Broken,
    /// Its request was given up.
    Abandoned,
}

/// What all requests share.
pub(crate) struct Inner {
    config: Config,
    target: Target,
    route: Route,
    queue: Arc<Queue>,
    /// The place of our own SQL, and how much of it waits.
    lane: Semaphore,
    lane_waiting: AtomicUsize,
    /// Nothing runs any more, and nothing will.
    closed: AtomicBool,
    #[allow(clippy::vec_box, reason = "connections move between here and requests")]
    idle: Mutex<Vec<Box<Connection>>>,
    /// Requests that have the right to use a connection, but none yet.
    empty_handed: AtomicUsize,
    /// Those of them that wait for one that is given back.
    heirs: Mutex<VecDeque<oneshot::Sender<Box<Connection>>>>,
    outage: Mutex<Outage>,
    server_version: Mutex<Option<Arc<str>>>,
    pub watchdog: Arc<Watchdog>,
    pub counters: Counters,
    pub runtime: Handle,
    rounds: Mutex<Option<AbortHandle>>,
}

/// What is remembered of failed attempts to connect.
#[derive(Default)]
struct Outage {
    failures: u32,
    /// Nobody tries before this.
    until: Option<Instant>,
    last: Option<Error>,
}

impl Pool {
    /// Checks the settings; connects when the first request comes. Has to be called within a tokio runtime.
    #[allow(clippy::needless_pass_by_value, reason = "the pool owns its configuration")]
    pub fn new(config: Config) -> Result<Self, Error> {
        let target = config.target()?;
        let route = Route::new(&target)?;
        let runtime = Handle::try_current()
            .map_err(|_| Error::Config("a pool has to be made within a tokio runtime".to_owned()))?;
        let inner = Arc::new(Inner {
            queue: Arc::new(Queue::new(config.connections, config.queue)),
            lane: Semaphore::new(1),
            lane_waiting: AtomicUsize::new(0),
            idle: Mutex::new(Vec::with_capacity(config.connections)),
            config,
            target,
            route,
            empty_handed: AtomicUsize::new(0),
            heirs: Mutex::default(),
            closed: AtomicBool::new(false),
            outage: Mutex::default(),
            server_version: Mutex::default(),
            watchdog: Arc::new(Watchdog::new()),
            counters: Counters::default(),
            runtime,
            rounds: Mutex::default(),
        });
        let (watchdog, weak) = (Arc::clone(&inner.watchdog), Arc::downgrade(&inner));
        let rounds = async move { watchdog.rounds(|measure, leash| take(&weak, measure, leash)).await };
        *lock(&inner.rounds) = Some(inner.runtime.spawn(rounds).abort_handle());
        Ok(Self { inner })
    }

    /// Waits for a connection and sends the request. The answer is read from what this returns.
    pub async fn run(&self, request: Request) -> Result<Running, Error> {
        pipeline::check(&request, self.inner.config.max_request_bytes)?;
        let permit = self.inner.queue(request.key, request.deadline).await?;
        self.inner.counters.requests.add();
        Running::start(Arc::clone(&self.inner), permit, request).await
    }

    /// Runs a fixed statement of our own, outside any identity, with explicit parameter types and text values. It does not wait
    /// behind requests, only behind others of its kind.
    ///
    /// It runs where strangers' SQL has run, so it has to name everything with its schema and cast nothing by a bare name. It
    /// has to be safe to run twice: a connection that turns out to be dead is replaced once. Once begun, it runs to its end,
    /// even if nobody waits for that.
    pub async fn own(
        &self,
        sql: &'static str,
        types: &[u32],
        params: &[Option<&[u8]>],
    ) -> Result<Vec<Row>, Error> {
        let _place = Place::take(&self.inner.lane_waiting, OWN_QUEUE).ok_or_else(|| self.inner.busy())?;
        self.in_lane(sql, types, params).await
    }

    /// Whether the database answers. However much of our own SQL waits, one more question is let in.
    pub async fn ping(&self) -> Result<(), Error> {
        self.in_lane("select 1", &[], &[]).await.map(drop)
    }

    async fn in_lane(
        &self,
        sql: &'static str,
        types: &[u32],
        params: &[Option<&[u8]>],
    ) -> Result<Vec<Row>, Error> {
        let types = types.to_vec();
        let params: Vec<_> = params.iter().map(|param| param.map(<[u8]>::to_vec)).collect();
        // The place is waited for here, so that who goes away does not wait any more.
        let deadline = Instant::now() + OWN_DEADLINE;
        self.inner.lane(deadline).await?.forget();
        let lane = Lane(Arc::clone(&self.inner));
        let task = async move {
            let params: Vec<_> = params.iter().map(Option::as_deref).collect();
            lane.0.own_twice(deadline, sql, &types, &params).await
        };
        match self.inner.runtime.spawn(task).await {
            Ok(result) => result,
            Err(_) => Err(Error::Closed),
        }
    }

    /// What the pool is doing and has done.
    pub fn stats(&self) -> Stats {
        let idle = lock(&self.inner.idle).len();
        let (busy, waiting) = (self.inner.queue.in_use(), self.inner.queue.waiting());
        self.inner.counters.stats(self.inner.config.connections, idle, busy, waiting)
    }

    /// The server's own text, for example `15.20 (Debian 15.20-1)`, once there was a connection.
    pub fn server_version(&self) -> Option<Arc<str>> {
        lock(&self.inner.server_version).clone()
    }

    /// Takes no more requests, waits for those in flight and in the queue, and closes all connections.
    pub async fn close(&self) {
        self.inner.queue.close().await;
        // Behind whoever waits already.
        let last = self.inner.lane.acquire().await;
        self.inner.lane.close();
        drop(last);
        self.inner.closed.store(true, Ordering::SeqCst);
        for connection in std::mem::take(&mut *lock(&self.inner.idle)) {
            connection.close();
        }
    }
}

impl Inner {
    /// Waits for the right to use a connection.
    async fn queue(&self, key: u64, deadline: Instant) -> Result<Permit, Error> {
        let until = deadline.min(Instant::now() + self.config.queue_timeout);
        self.queue.enter(key, until).await.map_err(|refused| match refused {
            Refused::Busy => self.busy(),
            Refused::Closed => Error::Closed,
        })
    }

    /// Waits for the place of our own SQL.
    async fn lane(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout_at(deadline.into(), self.lane.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Deadline),
        }
    }

    fn busy(&self) -> Error {
        self.counters.refused.add();
        Error::Busy
    }

    /// Runs SQL of our own; once more if its connection turns out to be dead. The caller holds the lane.
    async fn own_twice(
        &self,
        deadline: Instant,
        sql: &'static str,
        types: &[u32],
        params: &[Option<&[u8]>],
    ) -> Result<Vec<Row>, Error> {
        let mut connection = self.checkout(deadline).await?;
        let mut result = self.own(&mut connection, deadline, sql, types, params).await;
        if result.as_ref().is_err_and(Error::is_end_of_connection) && !connection.leash.is_pulled() {
            self.discard(connection, Reason::Broken);
            connection = self.connect().await?;
            result = self.own(&mut connection, deadline, sql, types, params).await;
        }
        self.put_back(connection);
        result
    }

    async fn own(
        &self,
        connection: &mut Connection,
        deadline: Instant,
        sql: &'static str,
        types: &[u32],
        params: &[Option<&[u8]>],
    ) -> Result<Vec<Row>, Error> {
        self.watchdog.run(&connection.leash, deadline, OWN_GRACE);
        connection.set_options(TransactionOptions::default()).await?;
        let out = connection.begin();
        pipeline::own(out, sql, types, params)?;
        frontend::sync(out);
        connection.answer().await
    }

    /// An idle connection that is alive, or a new one, or else the next one that is given back. The caller holds a permit or the lane.
    pub async fn checkout(&self, deadline: Instant) -> Result<Box<Connection>, Error> {
        let until = deadline.min(Instant::now() + self.config.queue_timeout);
        self.empty_handed.fetch_add(1, Ordering::Relaxed);
        let _empty_handed = Place(&self.empty_handed);
        loop {
            if let Some(connection) = self.idle() {
                return Ok(connection);
            }
            let error = match self.connect().await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            if self.nobody_is_served() {
                // It is full, not down: a connection may be on its way from one to the other just now.
                if error.server().is_none_or(|server| server.code != "53300") {
                    return self.idle().ok_or(error);
                }
                let given = self.inherit().await.or_else(|| self.idle());
                if given.is_some() || self.nobody_is_served() {
                    return given.ok_or(error);
                }
            }
            // Others are being served: the server is there, but takes no more connections.
            if Instant::now() >= until {
                return Err(self.busy());
            }
            if let Some(connection) = self.inherit().await {
                return Ok(connection);
            }
        }
    }

    /// Whether all who hold a permit or the lane are without a connection.
    fn nobody_is_served(&self) -> bool {
        let with_permit = self.queue.in_use() + (1 - self.lane.available_permits().min(1));
        with_permit <= self.empty_handed.load(Ordering::Relaxed)
    }

    /// An idle connection that is alive.
    fn idle(&self) -> Option<Box<Connection>> {
        let now = Instant::now();
        loop {
            let mut connection = lock(&self.idle).pop()?;
            if connection.is_fresh(now) {
                return Some(connection);
            }
            self.counters.closed.add();
            connection.close();
        }
    }

    /// A connection that is given back within a short while.
    async fn inherit(&self) -> Option<Box<Connection>> {
        let (sender, mut receiver) = oneshot::channel();
        lock(&self.heirs).push_back(sender);
        let given = if let Ok(given) = timeout(FIRST_PAUSE, &mut receiver).await {
            given.ok()
        } else {
            receiver.close();
            receiver.try_recv().ok()
        };
        let mut connection = given?;
        if connection.is_fresh(Instant::now()) {
            return Some(connection);
        }
        self.counters.closed.add();
        connection.close();
        None
    }

    /// A new connection. The caller holds a permit or the lane.
    pub async fn connect(&self) -> Result<Box<Connection>, Error> {
        self.may_connect()?;
        // Spread over a tenth, so that connections made together do not end together.
        let age = self.config.max_age.mul_f64(rand::rng().random_range(0.9..=1.0));
        let bounds = Bounds {
            max_message_bytes: self.config.max_message_bytes,
            statements: self.config.statements,
            expires: Instant::now() + age,
        };
        let attempt = async {
            match startup::connect(&self.route, &self.target, bounds).await {
                // It was there, and was ended: that alone does not make an outage.
                Err(error) if error.is_end_of_connection() => {
                    startup::connect(&self.route, &self.target, bounds).await
                }
                result => result,
            }
        };
        let result = match timeout(self.config.connect_timeout, attempt).await {
            Ok(result) => result,
            Err(_) => Err(Error::unavailable("connecting took too long")),
        };
        match result {
            Ok(connection) => {
                self.watchdog.add(&connection.leash);
                self.counters.connects.add();
                *lock(&self.outage) = Outage::default();
                let version = connection.reported("server_version");
                let mut known = lock(&self.server_version);
                if known.as_deref() != version {
                    *known = version.map(Arc::from);
                }
                drop(known);
                Ok(Box::new(connection))
            }
            Err(error) => Err(self.failed_to_connect(error)),
        }
    }

    /// Gives a place back. The place of a request that cost a connection is kept for a while.
    pub fn release(self: &Arc<Self>, permit: Permit, cost_a_connection: bool) {
        let pause = self.config.reconnect_pause;
        if !cost_a_connection || pause.is_zero() || self.queue.is_closed() {
            return drop(permit);
        }
        self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            drop(permit);
        });
    }

    /// Takes a connection back, if it may serve another request.
    pub fn put_back(&self, connection: Box<Connection>) {
        if !self.closed.load(Ordering::SeqCst)
            && connection.is_reusable(self.config.max_requests, Instant::now())
        {
            self.pass_on(connection);
        } else {
            self.counters.closed.add();
            connection.close();
        }
    }

    /// Gives a connection to whoever waits for one, or keeps it.
    fn pass_on(&self, mut connection: Box<Connection>) {
        loop {
            let heir = lock(&self.heirs).pop_front();
            let Some(heir) = heir else {
                return lock(&self.idle).push(connection);
            };
            match heir.send(connection) {
                Ok(()) => return,
                // It has stopped waiting.
                Err(back) => connection = back,
            }
        }
    }

    /// Closes a connection.
    pub fn discard(&self, connection: Box<Connection>, reason: Reason) {
        tracing::debug!(pid = connection.leash.pid, ?reason, "connection closed");
        self.counters.closed.add();
        drop(connection);
    }

    /// Ends a backend, and says in the log if that fails.
    pub async fn terminate(&self, leash: &Leash) {
        self.counters.terminated.add();
        let attempt = startup::terminate(&self.route, &self.target, leash);
        match timeout(self.config.connect_timeout, attempt).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(pid = leash.pid, %error, "could not terminate a backend"),
            Err(_) => tracing::warn!(pid = leash.pid, "could not terminate a backend in time"),
        }
    }

    async fn cancel(&self, leash: &Leash) {
        self.counters.cancelled.add();
        match timeout(self.config.connect_timeout, startup::cancel(&self.route, leash)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(pid = leash.pid, %error, "could not cancel a statement"),
            Err(_) => tracing::warn!(pid = leash.pid, "could not cancel a statement in time"),
        }
    }

    /// During an outage only one request in a while tries.
    fn may_connect(&self) -> Result<(), Error> {
        let now = Instant::now();
        let mut outage = lock(&self.outage);
        match (outage.until, &outage.last) {
            (Some(until), Some(last)) if now < until => Err(last.clone()),
            (Some(_), _) => {
                outage.until = Some(now + self.config.connect_timeout);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    fn failed_to_connect(&self, error: Error) -> Error {
        self.counters.failed_connects.add();
        let error = match error {
            Error::Server(server) => {
                Error::Unavailable { reason: server.message.clone(), server: Some(server) }
            }
            error @ (Error::Unavailable { .. } | Error::Config(_)) => error,
            error => Error::unavailable(error),
        };
        let mut outage = lock(&self.outage);
        let pause = FIRST_PAUSE.saturating_mul(1 << outage.failures.min(10)).min(LAST_PAUSE);
        outage.failures = outage.failures.saturating_add(1);
        outage.until = Some(Instant::now() + pause);
        outage.last = Some(error.clone());
        if outage.failures == 1 {
            let reason = match &error {
                Error::Unavailable { reason, .. } => reason.clone(),
                other => other.to_string(),
            };
            tracing::warn!(reason, "could not connect to the database");
        }
        error
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(rounds) = lock(&self.rounds).take() {
            rounds.abort();
        }
    }
}

/// The place of our own SQL, given back at the end.
struct Lane(Arc<Inner>);

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.lane.add_permits(1);
    }
}

/// A place in a count.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let place = Self(waiting);
        // Counted first and given back on refusal, so that the limit holds among threads.
        (waiting.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries out what the watchdog decides.
fn take(pool: &Weak<Inner>, measure: Measure, leash: Arc<Leash>) {
    let Some(pool) = pool.upgrade() else {
        return;
    };
    let runtime = pool.runtime.clone();
    runtime.spawn(async move {
        // If the connection is gone, the process id may be someone else's by now.
        if Arc::strong_count(&leash) == 1 {
            return;
        }
        match measure {
            Measure::Cancel => pool.cancel(&leash).await,
            Measure::Terminate => pool.terminate(&leash).await,
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
