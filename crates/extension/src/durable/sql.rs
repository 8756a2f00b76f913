//! The SQL face of durable functions. Declared in `sql/32_durable_control.sql`; privileges are given there.
#![allow(
    clippy::result_large_err,
    reason = "pgrx reports SQLSTATE, DETAIL and HINT from an ErrorReport only"
)]
#![allow(clippy::needless_pass_by_value, reason = "pgrx passes arguments by value")]

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::error::Refusal;
use super::{board, control, inspect, outbox, start};
use crate::error::Error;

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
    let request = start::Request {
        function: needed(fut, "fut")?,
        label,
        database,
        mode: needed(mode, "transaction_mode")?,
        key,
        priority: needed(priority, "priority")?,
    };
    Ok(start::start(&request)?)
}

/// `df.signal(instance_id text, signal_name text, signal_data text)`
#[pg_extern(sql = false)]
fn durable_signal(id: &str, name: &str, data: &str) -> Result<&'static str, ErrorReport> {
    control::signal(id, name, data)?;
    Ok("OK")
}

/// `df.cancel(instance_id text, reason text)`
#[pg_extern(sql = false)]
fn durable_cancel(id: &str, reason: &str) -> Result<String, ErrorReport> {
    control::cancel(id, reason)?;
    Ok(format!("Instance {id} cancelled: {reason}"))
}

/// `df.status(instance_id text)`
#[pg_extern(sql = false)]
fn durable_status(id: &str) -> Result<Option<String>, ErrorReport> {
    Ok(control::status(id)?)
}

/// `df.await_instance(instance_id text, timeout_seconds integer)`
#[pg_extern(sql = false)]
fn durable_await(id: &str, seconds: i32) -> Result<String, ErrorReport> {
    Ok(control::await_end(id, seconds)?)
}

/// `postern.durable_running(instance text)`: whether an executor is at it right now.
#[pg_extern(sql = false)]
fn durable_running(id: &str) -> bool {
    !board::running(id).is_empty()
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

/// `postern.durable_explain(graph text, nodes text, header text, format text)`
#[pg_extern(sql = false)]
fn durable_explain(
    graph: Option<&str>,
    nodes: Option<&str>,
    header: Option<&str>,
    format: Option<&str>,
) -> Result<String, ErrorReport> {
    Ok(inspect::explain(needed(graph, "input")?, nodes, header, needed(format, "format")?)?)
}

/// `df.setvar(name text, value text)`
#[pg_extern(sql = false)]
fn durable_setvar(name: &str, value: &str) -> Result<&'static str, ErrorReport> {
    control::set_variable("setvar", Some(name), Some(value))?;
    Ok("OK")
}

/// `df.unsetvar(name text)`
#[pg_extern(sql = false)]
fn durable_unsetvar(name: &str) -> Result<&'static str, ErrorReport> {
    control::set_variable("unsetvar", Some(name), None)?;
    Ok("OK")
}

/// `df.clearvars()`
#[pg_extern(sql = false)]
fn durable_clearvars() -> Result<&'static str, ErrorReport> {
    control::set_variable("clearvars", None, None)?;
    Ok("OK")
}

/// `postern.durable_wake()`: has an executor look for work when the transaction is committed.
#[pg_extern(sql = false)]
fn durable_wake() {
    outbox::started();
}

/// `postern.durable_installed()`: has the launcher look at this database when the transaction is committed.
#[pg_extern(sql = false)]
fn durable_installed() {
    outbox::installed();
}
