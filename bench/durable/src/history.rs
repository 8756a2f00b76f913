//! Whether a step costs more the more there were before it: a long loop.

use postern_bench::error::{Error, Result};
use serde::Serialize;

use crate::fixture::{Fixture, ROLE};

/// What was found.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct History {
    pub iterations: usize,
    /// Steps per second in the first tenth, and in the last.
    pub first: f64,
    pub last: f64,
}

/// One loop whose iterations are two steps: its body and its condition.
pub fn long_loop(fixture: &Fixture, iterations: usize) -> Result<History> {
    let run = |sql: &str| fixture.cluster.psql_as(ROLE, "postgres", sql);
    fixture.cluster.psql("postgres", "alter system set postern.loop_min_interval = 0")?;
    fixture.cluster.psql("postgres", "select pg_reload_conf()")?;
    run("create sequence if not exists bench.turn")?;
    run("alter sequence bench.turn restart")?;
    let id = run(&format!(
        "select df.start(df.loop('select 1 as n', 'select nextval(''bench.turn'') < {iterations}'), 'loop')"
    ))?;
    // Asked now and then: one statement that waited all the time would keep the server from removing any old version of a row.
    let status = loop {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let status = run(&format!("select df.status('{id}')"))?;
        if !matches!(status.as_str(), "pending" | "running") {
            break status;
        }
    };
    if status != "completed" {
        return Err(Error::wrong("the loop", status));
    }
    let rates = run(&format!(
        "with s as (select ended_at, ntile(10) over (order by n) as tenth from postern.step where instance = '{id}'),
              r as (select tenth, count(*) / extract(epoch from max(ended_at) - min(ended_at)) as rate
                      from s group by tenth)
         select max(rate) filter (where tenth = 1), max(rate) filter (where tenth = 10) from r"
    ))?;
    fixture.cluster.psql("postgres", "alter system reset postern.loop_min_interval")?;
    fixture.cluster.psql("postgres", "select pg_reload_conf()")?;
    let mut numbers = rates.split('|').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok(History { iterations, first, last }),
        _ => Err(Error::wrong("the loop", rates)),
    }
}
