//! The SQL face of durable functions. Declared in `sql/32_durable_control.sql`; privileges are given there.
#![allow(
    clippy::result_large_err,
    reason = "pgrx reports SQLSTATE, DETAIL and HINT from an ErrorReport only"
)]
#![allow(clippy::needless_pass_by_value, reason = "pgrx passes arguments by value")]

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use pgrx::datum::TimestampWithTimeZone;

use super::error::Refusal;
use super::pause::Wish;
use super::{afar, board, control, home, inspect, misuse, outbox, pause, rerun, schedule, secrets, start};
use crate::error::Error;
use crate::pg::nonatomic::{Given, Procedure};
use crate::pg::{log, worker};
use crate::{guc, identity, version};

fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, Error> {
    value.ok_or_else(|| Refusal::Null(name).into())
}

/// `df.start(fut text, label text, database text, transaction_mode text, key text, priority integer)`
#[pg_extern(sql = false)]
fn durable_start(
    fut: Option<&str>,
    label: Option<&str>,
    database: Option<&str>,
    mode: Option<&str>,
    key: Option<&str>,
    priority: Option<i32>,
) -> Result<String, ErrorReport> {
    version::check()?;
    let function = needed(fut, "fut")?;
    misuse::check_start(function)?;
    let request = start::Request {
        function,
        label,
        database,
        mode: needed(mode, "transaction_mode")?,
        key,
        priority: needed(priority, "priority")?,
    };
    let id = start::start(&request)?;
    if guc::executors() == 0 {
        log::warning(
            "nothing executes durable functions here",
            "The function was started, and waits: postern.executors is 0.",
            "Set postern.executors, and reload the configuration.",
        );
    }
    Ok(id)
}

/// `df.start(fut text, label text, database text, transaction_mode text)`
#[pg_extern(sql = false)]
fn durable_start_plain(
    fut: Option<&str>,
    label: Option<&str>,
    database: Option<&str>,
    mode: Option<&str>,
) -> Result<String, ErrorReport> {
    durable_start(fut, label, database, mode, None, Some(0))
}

/// `df.signal(instance_id text, signal_name text, signal_data text)`
#[pg_extern(sql = false)]
fn durable_signal(id: &str, name: &str, data: &str) -> Result<&'static str, ErrorReport> {
    version::check()?;
    control::signal(id, name, data)?;
    Ok("OK")
}

/// `df.cancel(instance_id text, reason text)`
#[pg_extern(sql = false)]
fn durable_cancel(id: &str, reason: &str) -> Result<String, ErrorReport> {
    version::check()?;
    control::cancel(id, reason)?;
    Ok(format!("Instance {id} cancelled: {reason}"))
}

/// `df.pause(instance_id text)`
#[pg_extern(sql = false)]
fn durable_pause(id: &str) -> Result<String, ErrorReport> {
    version::check()?;
    pause::ask(id, Wish::Pause)?;
    Ok(format!("Instance {id} paused"))
}

/// `df.resume(instance_id text)`
#[pg_extern(sql = false)]
fn durable_resume(id: &str) -> Result<String, ErrorReport> {
    version::check()?;
    pause::ask(id, Wish::Resume)?;
    Ok(format!("Instance {id} resumed"))
}

/// `df.rerun(instance_id text)`
#[pg_extern(sql = false)]
fn durable_rerun(id: &str) -> Result<String, ErrorReport> {
    version::check()?;
    rerun::rerun(id)?;
    Ok(format!("Instance {id} goes on from the step that failed"))
}

/// A time of the engine's as SQL sees it.
fn shown(time: i64) -> Option<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(time).ok()
}

/// `df.schedule(name text, cron text, step text, overlap text, backfill boolean, label text, priority integer)`
#[pg_extern(sql = false)]
fn durable_schedule(
    name: Option<&str>,
    cron: Option<&str>,
    step: Option<&str>,
    overlap: Option<&str>,
    backfill: Option<bool>,
    label: Option<&str>,
    priority: Option<i32>,
) -> Result<Option<TimestampWithTimeZone>, ErrorReport> {
    version::check()?;
    let request = schedule::Request {
        name: needed(name, "name")?,
        cron: needed(cron, "cron")?,
        function: needed(step, "step")?,
        overlap: needed(overlap, "overlap")?,
        backfill: needed(backfill, "backfill")?,
        label,
        priority: needed(priority, "priority")?,
    };
    Ok(shown(schedule::schedule(&request)?))
}

/// `df.unschedule(name text)`
#[pg_extern(sql = false)]
fn durable_unschedule(name: &str) -> Result<String, ErrorReport> {
    version::check()?;
    schedule::unschedule(name)?;
    Ok(format!("Schedule {name} removed"))
}

/// `df.pause_schedule(name text)`
#[pg_extern(sql = false)]
fn durable_pause_schedule(name: &str) -> Result<String, ErrorReport> {
    version::check()?;
    schedule::pause(name)?;
    Ok(format!("Schedule {name} paused"))
}

/// `df.resume_schedule(name text)`
#[pg_extern(sql = false)]
fn durable_resume_schedule(name: &str) -> Result<Option<TimestampWithTimeZone>, ErrorReport> {
    version::check()?;
    Ok(shown(schedule::resume(name)?))
}

/// `df.status(instance_id text)`
#[pg_extern(sql = false)]
fn durable_status(id: &str) -> Result<Option<String>, ErrorReport> {
    Ok(control::status(id)?)
}

/// `postern.durable_afar(instance_id text)`
#[pg_extern(sql = false)]
fn durable_afar(id: &str) -> Result<Option<String>, ErrorReport> {
    Ok(afar::result(id)?)
}

/// `df.await_instance(instance_id text, timeout_seconds integer)`
#[pg_extern(sql = false)]
fn durable_await(id: &str, seconds: i32) -> Result<String, ErrorReport> {
    let status = control::await_end(id, seconds, &|| ())?;
    misuse::answered("await_instance");
    Ok(status)
}

/// `df.await(instance_id text, timeout_seconds integer, INOUT status text)`, a procedure.
#[pg_extern(sql = false)]
fn durable_await_between(
    id: Option<&str>,
    seconds: Option<i32>,
    _status: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Given, ErrorReport> {
    let (id, seconds) = (needed(id, "instance_id")?.to_owned(), needed(seconds, "timeout_seconds")?);
    if worker::is_ours() {
        return Err(Error::from(Refusal::AwaitInside).into());
    }
    let procedure = if identity::is_entered() { None } else { Procedure::begin(fcinfo) };
    let procedure = procedure.ok_or(Error::from(Refusal::AwaitInBlock))?;
    let status = control::await_between(&id, seconds, &procedure)?;
    misuse::answered("await_instance");
    Ok(procedure.end(&status))
}

/// `postern.durable_running(instance text)`: whether an executor is at it right now.
#[pg_extern(sql = false)]
fn durable_running(id: &str) -> bool {
    !board::running(id).is_empty()
}

/// `postern.durable_at(instance text, strand integer)`: the node of it that an executor is at right now.
#[pg_extern(sql = false)]
fn durable_at(id: &str, strand: i32) -> Option<i32> {
    board::running(id).into_iter().find(|(at, _)| *at == strand).map(|(_, node)| node)
}

/// `postern.durable_nodes(graph text, status text, steps text, strands text)`
#[pg_extern(sql = false)]
fn durable_nodes(
    graph: &str,
    status: &str,
    steps: Option<&str>,
    strands: Option<&str>,
) -> Result<String, ErrorReport> {
    Ok(inspect::nodes(graph, status, steps, strands)?)
}

/// `postern.durable_subject(input text)`: what `df.explain()` was given.
#[pg_extern(sql = false)]
fn durable_subject(input: &str) -> &'static str {
    inspect::subject(input)
}

/// `postern.durable_explain(graph text, instance text, format text)`
#[pg_extern(sql = false)]
fn durable_explain(
    graph: Option<&str>,
    instance: Option<&str>,
    format: Option<&str>,
) -> Result<String, ErrorReport> {
    Ok(inspect::explain(needed(graph, "input")?, instance, needed(format, "format")?)?)
}

/// `postern.durable_list_limit()`
#[pg_extern(sql = false)]
fn durable_list_limit() -> i32 {
    guc::list_limit()
}

/// `postern.durable_ready()`: whether this database has executors, and they work.
#[pg_extern(sql = false)]
fn durable_ready() -> bool {
    version::installed() == version::Installed::Same && board::executors(worker::database()) > 0
}

/// `postern.durable_executors()`: every executor, and what it is at.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "a row")]
fn durable_executors() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(database, pg_sys::Oid),
        name!(idle, bool),
        name!(instance, Option<String>),
        name!(strand, Option<i32>),
        name!(node, Option<i32>),
        name!(since, Option<TimestampWithTimeZone>),
        name!(woken, i64),
    ),
> {
    TableIterator::new(board::shown().into_iter().map(|shown| {
        let database = pg_sys::Oid::from(shown.database);
        let woken = i64::try_from(shown.woken).unwrap_or(i64::MAX);
        match shown.at {
            Some((instance, strand, node, since)) => (
                shown.pid,
                database,
                shown.idle,
                Some(instance),
                Some(strand),
                Some(node),
                TimestampWithTimeZone::try_from(since).ok(),
                woken,
            ),
            None => (shown.pid, database, shown.idle, None, None, None, None, woken),
        }
    }))
}

/// Sets a variable, or takes some away.
fn variable(function: &'static str, name: Option<&str>, value: Option<&str>) -> Result<&'static str, Error> {
    version::check()?;
    control::set_variable(function, name, value)?;
    misuse::answered(function);
    Ok("OK")
}

/// `df.setvar(name text, value text)`
#[pg_extern(sql = false)]
fn durable_setvar(name: &str, value: &str) -> Result<&'static str, ErrorReport> {
    Ok(variable("setvar", Some(name), Some(value))?)
}

/// `df.unsetvar(name text)`
#[pg_extern(sql = false)]
fn durable_unsetvar(name: &str) -> Result<&'static str, ErrorReport> {
    Ok(variable("unsetvar", Some(name), None)?)
}

/// `df.clearvars()`
#[pg_extern(sql = false)]
fn durable_clearvars() -> Result<&'static str, ErrorReport> {
    Ok(variable("clearvars", None, None)?)
}

/// `df.set_secret(name text, value text)`
#[pg_extern(sql = false)]
fn durable_set_secret(name: &str, value: &str) -> Result<&'static str, ErrorReport> {
    version::check()?;
    secrets::set(name, value)?;
    misuse::answered("set_secret");
    Ok("OK")
}

/// `df.drop_secret(name text)`
#[pg_extern(sql = false)]
fn durable_drop_secret(name: &str) -> Result<&'static str, ErrorReport> {
    version::check()?;
    secrets::drop(name)?;
    misuse::answered("drop_secret");
    Ok("OK")
}

/// `postern.durable_wake()`: has an executor look for work when the transaction is committed.
#[pg_extern(sql = false)]
fn durable_wake() {
    outbox::started();
}

/// `postern.durable_changed()`: has executors read quotas and schedules again when the transaction is committed.
#[pg_extern(sql = false)]
fn durable_changed() {
    outbox::rescheduled();
}

/// `postern.durable_sent()`: has executors look for messages when the transaction is committed.
#[pg_extern(sql = false)]
fn durable_sent() {
    outbox::sent();
}

/// `postern.durable_here()`
#[pg_extern(sql = false)]
fn durable_here() -> String {
    home::here()
}

/// `postern.durable_installed()`: has the launcher look at this database when the transaction is committed.
#[pg_extern(sql = false)]
fn durable_installed() {
    outbox::installed();
}
