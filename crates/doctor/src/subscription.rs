//! One subscription: what runs when its rows are applied, as whom, and whether it would stop.
//!
//! **How it works.** The extension's views say who runs what and what the rules forbid; where the role may, each table is
//! rehearsed: a sample row is written as apply would write it, and rolled back.
//!
//! **Not guaranteed**: the sample is one row, of the table if it has any. What code does with others, only the publisher's rows show.

use std::fmt::Write as _;

use serde::Serialize;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use crate::render::printable;
use crate::{Error, describe};

/// Code that runs on apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Code {
    /// The table, and what makes the code run: `trigger audit on app.doc`.
    pub subject: String,
    /// The function.
    pub function: String,
    /// Who owns it.
    pub owner: String,
    /// The role that it runs as; none if it does not run.
    pub runs_as: Option<String>,
    /// Whether that role is a superuser.
    pub as_superuser: bool,
    /// Why as that role.
    pub why: String,
}

/// What is wrong, or would go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What.
    pub message: String,
    /// The commands that mend it.
    pub mend: Option<String>,
}

/// What there is to say of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Whether that is a superuser.
    pub owner_is_superuser: bool,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether code runs as its owner, not as the owners of the tables.
    pub owner_runs: bool,
    /// How many tables it has, partitions counted.
    pub tables: i64,
    /// How many of them are copied and follow the stream.
    pub ready: i64,
    /// How often applying or copying has failed.
    pub errors: i64,
    /// What runs on apply.
    pub code: Vec<Code>,
    /// Code that may not run, by the rules.
    pub forbidden: Vec<Problem>,
    /// Errors that the rehearsal met.
    pub stops: Vec<Problem>,
    /// What could not be rehearsed, each with the statement that looks closer.
    pub unknown: Vec<Problem>,
    /// Why nothing was rehearsed, if nothing was.
    pub not_rehearsed: Option<String>,
}

impl Subscription {
    /// Whether nothing is wrong with it, as far as was looked.
    pub fn is_safe(&self) -> bool {
        self.forbidden.is_empty()
            && self.stops.is_empty()
            && self.unknown.is_empty()
            && self.not_rehearsed.is_none()
    }
}

/// Looks at a subscription of the database that the client is connected to; `None` if there is none of that name.
pub async fn examine(client: &Client, name: &str) -> Result<Option<Subscription>, Error> {
    let check = |source| Error::Check { check: "the subscription", source };
    let there = "select pg_catalog.to_regclass('postern.apply_identity') is not null";
    if !client.query_one(there, &[]).await.and_then(|row| row.try_get(0)).map_err(check)? {
        return Err(Error::NoExtension);
    }
    let Some(row) = client.query_opt(SUBSCRIPTION, &[&name]).await.map_err(check)? else { return Ok(None) };
    let mut found = read(&row).map_err(check)?;
    for row in client.query(CODE, &[&name]).await.map_err(check)? {
        found.code.push(code(&row).map_err(check)?);
    }
    for row in client.query(FORBIDDEN, &[&name]).await.map_err(check)? {
        let (message, mend) = (row.try_get(0).map_err(check)?, row.try_get(1).map_err(check)?);
        found.forbidden.push(Problem { message, mend });
    }
    match client.query(REHEARSAL, &[&name]).await {
        Ok(rows) => {
            for row in rows {
                let (message, mend) = (row.try_get(0).map_err(check)?, row.try_get(1).map_err(check)?);
                let fails: bool = row.try_get(2).map_err(check)?;
                if fails { &mut found.stops } else { &mut found.unknown }.push(Problem { message, mend });
            }
        }
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            found.not_rehearsed = Some(describe(&error));
        }
        Err(error) => return Err(check(error)),
    }
    Ok(Some(found))
}

const SUBSCRIPTION: &str = "
    select s.subname::pg_catalog.text, r.rolname::pg_catalog.text, r.rolsuper, s.subenabled, postern.subscription_owner_runs(s.oid),
           (select pg_catalog.count(distinct m.relation) from postern.replication_members m where m.subscription = s.oid),
           (select pg_catalog.count(*) from pg_catalog.pg_subscription_rel x where x.srsubid = s.oid and x.srsubstate = 'r'),
           coalesce((select t.apply_error_count + t.sync_error_count from pg_catalog.pg_stat_subscription_stats t where t.subid = s.oid), 0)
      from pg_catalog.pg_subscription s join pg_catalog.pg_roles r on r.oid = s.subowner
     where s.subname = $1::pg_catalog.text
       and s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())";

const CODE: &str = "
    select i.kind || ' ' || coalesce(i.object, '') || ' on ' || i.relation::pg_catalog.text, i.function::pg_catalog.text,
           i.function_owner::pg_catalog.text, i.runs_as::pg_catalog.text,
           coalesce((select r.rolsuper from pg_catalog.pg_roles r where r.rolname = i.runs_as), false), i.why
      from postern.apply_identity i where i.subscription = $1::pg_catalog.text order by i.relation::pg_catalog.text, 1, 2";

const FORBIDDEN: &str = "
    select distinct f.sentence, f.mend
      from pg_catalog.pg_subscription s
      join pg_catalog.pg_roles r on r.oid = s.subowner
      join postern.replication_members m on m.subscription = s.oid
      cross join lateral postern.table_findings(array[m.relation]) f
     where s.subname = $1::pg_catalog.text and (f.reason <> 'subscription' or f.subscription = s.oid and r.rolsuper)
     order by 1";

const REHEARSAL: &str = "
    select distinct on (c.oid, h.message)
           c.oid::pg_catalog.regclass::pg_catalog.text || ', ' || h.step || ': ' || h.message,
           case when h.outcome = 'not known'
                then pg_catalog.format('SELECT * FROM postern.rehearse_apply(%L, sample => ''{...}''); with values that it takes', c.oid::pg_catalog.regclass)
                else h.fix end,
           h.outcome = 'fails'
      from pg_catalog.pg_subscription s
      join postern.replication_members m on m.subscription = s.oid
      join pg_catalog.pg_class c on c.oid = m.relation and c.relkind = 'r'
      cross join lateral postern.rehearse_apply(c.oid) h
     where s.subname = $1::pg_catalog.text and h.message is not null
     order by c.oid, h.message, h.outcome = 'fails' desc, h.step";

fn read(row: &Row) -> Result<Subscription, tokio_postgres::Error> {
    Ok(Subscription {
        name: row.try_get(0)?,
        owner: row.try_get(1)?,
        owner_is_superuser: row.try_get(2)?,
        enabled: row.try_get(3)?,
        owner_runs: row.try_get(4)?,
        tables: row.try_get(5)?,
        ready: row.try_get(6)?,
        errors: row.try_get(7)?,
        code: Vec::new(),
        forbidden: Vec::new(),
        stops: Vec::new(),
        unknown: Vec::new(),
        not_rehearsed: None,
    })
}

fn code(row: &Row) -> Result<Code, tokio_postgres::Error> {
    Ok(Code {
        subject: row.try_get(0)?,
        function: row.try_get(1)?,
        owner: row.try_get(2)?,
        runs_as: row.try_get(3)?,
        as_superuser: row.try_get(4)?,
        why: row.try_get(5)?,
    })
}

/// How many lines of one kind are shown; the rest is counted.
const SHOWN: usize = 8;

/// It as text: one screen.
pub fn text(subscription: &Subscription) -> String {
    let s = subscription;
    let mut out = String::new();
    let mut line = |text: String| {
        // Writing to a string cannot fail.
        let (blank, text) = text.strip_prefix('\n').map_or(("", text.as_str()), |rest| ("\n", rest));
        let _ = writeln!(out, "{blank}{}", printable(text));
    };
    line(format!(
        "subscription \"{}\" of \"{}\"{}, {}",
        s.name,
        s.owner,
        if s.owner_is_superuser { ", a superuser" } else { "" },
        if s.enabled { "enabled" } else { "disabled" }
    ));
    line(format!(
        "code runs as {}; {} of {} tables ready; {} errors so far",
        if s.owner_runs { "the owner of the subscription" } else { "the owners of the tables" },
        s.ready,
        s.tables,
        s.errors
    ));
    let runs: Vec<_> = s.code.iter().filter(|code| code.runs_as.is_some()).collect();
    line(format!("\nruns on apply: {}", if runs.is_empty() { "nothing" } else { "" }).trim_end().to_owned());
    for code in runs.iter().take(SHOWN) {
        let role = code.runs_as.as_deref().unwrap_or_default();
        let superuser = if code.as_superuser { ", a superuser" } else { "" };
        line(format!(
            "  {} runs {} of \"{}\" as \"{role}\"{superuser}",
            code.subject, code.function, code.owner
        ));
    }
    if let Some(more @ 1..) = runs.len().checked_sub(SHOWN) {
        line(format!("  ... and {more} more"));
    }
    for (title, problems) in
        [("may not run", &s.forbidden), ("would stop", &s.stops), ("not rehearsed", &s.unknown)]
    {
        if !problems.is_empty() {
            line(format!("\n{title}:"));
        }
        for problem in problems.iter().take(SHOWN) {
            line(format!("  {}", problem.message));
            if let Some(mend) = &problem.mend {
                line(format!("    mend: {mend}"));
            }
        }
        if let Some(more @ 1..) = problems.len().checked_sub(SHOWN) {
            line(format!("  ... and {more} more"));
        }
    }
    if let Some(why) = &s.not_rehearsed {
        line(format!("\nnot rehearsed: {why}"));
    }
    line(format!(
        "\n{}",
        match (s.forbidden.is_empty(), s.stops.is_empty(), s.unknown.is_empty(), &s.not_rehearsed) {
            (false, _, _, _) => "unsafe: code may run with rights that are not its author's",
            (true, false, _, _) => "would stop: a row like the sample fails",
            (true, true, _, Some(_)) => "not known: nothing was rehearsed",
            (true, true, false, None) => "not known: not everything could be rehearsed",
            (true, true, true, None) => "safe",
        }
    ));
    out
}
