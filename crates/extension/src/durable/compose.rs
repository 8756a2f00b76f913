//! The SQL face of the language: each function builds text from text (`postern_durable::compose`). Declared in
//! `sql/31_durable_language.sql`; strictness is given there.
#![allow(
    clippy::result_large_err,
    reason = "pgrx reports SQLSTATE, DETAIL and HINT from an ErrorReport only"
)]
#![allow(clippy::needless_pass_by_value, reason = "pgrx passes arguments by value")]

use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use postern_durable::{Retry, compose};

use super::error::Refusal;
use super::misuse;
use crate::error::Error;
use crate::pg::jsonb::Jsonb;

type Built = Result<String, ErrorReport>;

/// Builds from steps, none of which is what a function answered.
fn built_from(steps: &[&str], build: impl FnOnce() -> Result<String, postern_durable::Error>) -> Built {
    built(steps.iter().try_for_each(|step| misuse::check(step)).and_then(|()| build()))
}

fn built(result: Result<String, postern_durable::Error>) -> Built {
    Ok(result.map_err(|error| Error::from(Refusal::from(error)))?)
}

fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, Error> {
    value.ok_or_else(|| Refusal::Null(name).into())
}

/// The length of an interval in milliseconds, a month as 30 days, as `extract(epoch …)` counts; negative ones are 0.
fn millis(interval: &Interval) -> u64 {
    let days = i64::from(interval.months()) * 30 + i64::from(interval.days());
    let micros = interval.micros().saturating_add(days.saturating_mul(86_400_000_000));
    u64::try_from(micros / 1_000).unwrap_or(0)
}

/// Whether any part of it is: days and months have no sign of their own.
fn is_negative(interval: &Interval) -> bool {
    interval.micros() < 0 || interval.days() < 0 || interval.months() < 0
}

/// A pause between attempts.
fn pause(given: Option<Interval>, name: &'static str) -> Result<u64, Error> {
    let interval = needed(given, name)?;
    if is_negative(&interval) {
        return Err(Refusal::Negative(name).into());
    }
    Ok(millis(&interval))
}

/// What the server holds as JSON; it writes no other.
fn json(value: &Jsonb) -> serde_json::Value {
    serde_json::from_slice(value.to_text().to_bytes()).unwrap_or_default()
}

fn texts(list: Array<&str>, name: &'static str) -> Result<Vec<String>, Error> {
    list.iter().map(|text| needed(text, name).map(str::to_owned)).collect()
}

fn of_many(steps: Array<&str>, build: fn(&[&str]) -> Result<String, postern_durable::Error>) -> Built {
    let steps = texts(steps, "steps")?;
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    built_from(&steps, || build(&steps))
}

#[pg_extern(sql = false)]
fn df_sql(query: &str) -> String {
    compose::sql(query)
}

#[pg_extern(sql = false)]
fn df_seq(a: &str, b: &str) -> Built {
    built_from(&[a, b], || compose::seq(a, b))
}

#[pg_extern(sql = false)]
fn df_as(fut: &str, name: &str) -> Built {
    built_from(&[fut], || compose::name(fut, name))
}

#[pg_extern(sql = false)]
fn df_sleep(seconds: i64) -> Built {
    built(compose::sleep(seconds))
}

#[pg_extern(sql = false)]
fn df_sleep_interval(duration: Interval) -> Built {
    if is_negative(&duration) {
        built(compose::sleep(-1))
    } else {
        built(compose::sleep_millis(millis(&duration)))
    }
}

#[pg_extern(sql = false)]
fn df_wait_for_schedule(cron: &str) -> Built {
    built(compose::wait_for_schedule(cron))
}

#[pg_extern(sql = false)]
fn df_wait_for_signal(name: Option<&str>, timeout_seconds: Option<i32>) -> Built {
    built(compose::wait_for_signal(needed(name, "name")?, timeout_seconds))
}

#[pg_extern(sql = false)]
fn df_loop(body: Option<&str>, condition: Option<&str>) -> Built {
    let body = needed(body, "body")?;
    built_from(&[body, condition.unwrap_or_default()], || compose::repeat(body, condition))
}

#[pg_extern(sql = false)]
fn df_loop_prefix_op(body: &str) -> Built {
    built_from(&[body], || compose::repeat(body, None))
}

#[pg_extern(sql = false)]
fn df_break(value: Option<&str>) -> String {
    compose::break_loop(value)
}

#[pg_extern(sql = false)]
fn df_if(condition: &str, then: &str, otherwise: &str) -> Built {
    built_from(&[condition, then, otherwise], || compose::branch(condition, then, otherwise))
}

#[pg_extern(sql = false)]
fn df_if_rows(name: &str, then: &str, otherwise: &str) -> Built {
    built_from(&[then, otherwise], || compose::if_rows(name, then, otherwise))
}

#[pg_extern(sql = false)]
fn df_if_then_op(condition: &str, then: &str) -> Built {
    built_from(&[condition, then], || compose::half_if(condition, then))
}

#[pg_extern(sql = false)]
fn df_if_else_op(half: &str, otherwise: &str) -> Built {
    built_from(&[otherwise], || compose::whole_if(half, otherwise))
}

#[pg_extern(sql = false)]
fn df_join(a: &str, b: &str) -> Built {
    built_from(&[a, b], || compose::join(a, b))
}

#[pg_extern(sql = false)]
fn df_join3(a: &str, b: &str, c: &str) -> Built {
    built_from(&[a, b, c], || compose::join3(a, b, c))
}

#[pg_extern(sql = false)]
fn df_race(a: &str, b: &str) -> Built {
    built_from(&[a, b], || compose::race(a, b))
}

#[pg_extern(sql = false)]
fn df_all(steps: Array<&str>) -> Built {
    of_many(steps, compose::all)
}

#[pg_extern(sql = false)]
fn df_first(steps: Array<&str>) -> Built {
    of_many(steps, compose::first)
}

#[pg_extern(sql = false)]
fn df_race_all(steps: Array<&str>) -> Built {
    of_many(steps, compose::race_all)
}

#[pg_extern(sql = false)]
fn df_retry(
    fut: Option<&str>,
    max_attempts: Option<i32>,
    backoff: Option<Interval>,
    multiplier: Option<f64>,
    max_backoff: Option<Interval>,
    jitter: Option<f64>,
    on_error: Option<Array<&str>>,
) -> Built {
    let policy = Retry {
        max_attempts: u32::try_from(needed(max_attempts, "max_attempts")?).unwrap_or(0),
        initial_backoff_ms: pause(backoff, "backoff")?,
        max_backoff_ms: pause(max_backoff, "max_backoff")?,
        backoff_multiplier: needed(multiplier, "multiplier")?,
        jitter: needed(jitter, "jitter")?,
        sqlstates: on_error.map(|list| texts(list, "on_error")).transpose()?.unwrap_or_default(),
        ..Retry::default()
    };
    let fut = needed(fut, "fut")?;
    built_from(&[fut], || compose::retry(fut, policy))
}

#[pg_extern(sql = false)]
fn df_catch(fut: &str, handler: &str) -> Built {
    built_from(&[fut, handler], || compose::catch(fut, handler))
}

#[pg_extern(sql = false)]
fn df_timeout(fut: &str, duration: Interval) -> Built {
    built_from(&[fut], || compose::timeout(fut, millis(&duration)))
}

#[pg_extern(sql = false)]
fn df_call(fut: Option<&str>, label: Option<&str>) -> Built {
    let fut = needed(fut, "fut")?;
    built_from(&[fut], || compose::call(fut, label))
}

#[pg_extern(sql = false)]
fn df_compensate(fut: &str, undo: &str) -> Built {
    built_from(&[fut, undo], || compose::compensate(fut, undo))
}

#[pg_extern(sql = false)]
fn df_map(query: Option<&str>, body: Option<&str>, concurrency: Option<i32>, item: Option<&str>) -> Built {
    let (query, body) = (needed(query, "query")?, needed(body, "body")?);
    let (concurrency, item) = (needed(concurrency, "concurrency")?, needed(item, "item")?);
    built_from(&[query, body], || compose::map(query, body, concurrency, item))
}

#[pg_extern(sql = false)]
fn df_http(
    url: Option<&str>,
    method: Option<&str>,
    body: Option<&str>,
    headers: Option<Jsonb>,
    timeout_seconds: Option<i32>,
) -> Built {
    let headers = headers.as_ref().map(json);
    let timeout = needed(timeout_seconds, "timeout_seconds")?;
    built(compose::http(needed(url, "url")?, needed(method, "method")?, body, headers.as_ref(), timeout))
}

#[pg_extern(sql = false)]
fn df_http_multipart(
    url: Option<&str>,
    method: Option<&str>,
    parts: Option<Jsonb>,
    headers: Option<Jsonb>,
    timeout_seconds: Option<i32>,
) -> Built {
    let (parts, headers) = (parts.as_ref().map(json), headers.as_ref().map(json));
    let timeout = needed(timeout_seconds, "timeout_seconds")?;
    built(compose::http_multipart(
        needed(url, "url")?,
        needed(method, "method")?,
        parts.as_ref(),
        headers.as_ref(),
        timeout,
    ))
}
