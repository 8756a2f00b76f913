//! What SQL gives as another role, without a trace: the look behind `postern.explain_row` and `postern rows`.

use pgrx::pg_sys;

use crate::error::Error;
use crate::identity::{admission, enter, facts::Checked, run_as};
use crate::pg::jsonb::Jsonb;
use crate::pg::{role, spi, subxact, user};

/// The first value of `query` as `as_role`, with `facts`; what it changed is rolled back, and it cannot leave the role.
pub fn evaluate(as_role: pg_sys::Oid, facts: Option<Jsonb>, query: &str) -> Result<Option<String>, Error> {
    let (rows, _) = rolled_back(as_role, facts, query, false)?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()?.text))
}

/// What `query` gives as `as_role`, with `facts`: the number of rows that it gave or changed, and the rows, as JSON. Deferred
/// constraints are checked; then all is rolled back.
pub fn attempt(as_role: pg_sys::Oid, facts: Option<Jsonb>, query: &str) -> Result<Jsonb, Error> {
    let (rows, count) = rolled_back(as_role, facts, query, true)?;
    let rows: Vec<String> = rows.iter().map(|row| run_as::object(row)).collect();
    let text = format!("{{\"count\":{count},\"rows\":[{}]}}", rows.join(","));
    Ok(Jsonb::parse(&spi::c_string(&text).unwrap_or_default()))
}

/// The rows of a query, and how many rows it gave or changed.
type Given = (Vec<Vec<spi::Cell>>, u64);

fn rolled_back(
    as_role: pg_sys::Oid,
    facts: Option<Jsonb>,
    query: &str,
    constraints: bool,
) -> Result<Given, Error> {
    check(as_role, facts.is_some())?;
    let facts = facts.map(|facts| facts.to_text().to_string_lossy().into_owned());
    let facts = Checked::new(facts.as_deref())?;
    let query = spi::c_string(query).ok_or(Error::Null("query"))?;
    subxact::rolled_back(|| {
        enter::enter_subtransaction(as_role, facts)?;
        let given = spi::execute_counting(&query)?;
        if constraints {
            spi::execute(c"SET CONSTRAINTS ALL IMMEDIATE")?;
        }
        Ok(given)
    })
}

/// Who may look: a superuser as anybody; `postern_admin` as whoever could be admitted; everyone as a role that they could make
/// theirs by SET ROLE, but not with facts of their choice.
fn check(as_role: pg_sys::Oid, with_facts: bool) -> Result<(), Error> {
    let caller = role::by_oid(user::current().oid).ok_or(Error::NotInstalled)?;
    let wanted = role::by_oid(as_role).ok_or_else(|| Error::UnknownRole(as_role.to_u32().to_string()))?;
    if caller.superuser {
        return Ok(());
    }
    let could_be = caller.oid == as_role || role::may_set(caller.oid, as_role);
    if could_be && !with_facts {
        return Ok(());
    }
    let admin =
        role::by_name(c"postern_admin").is_some_and(|admin| role::has_privileges_of(caller.oid, admin.oid));
    if admin {
        admission::harmless(&wanted.name).map(drop)
    } else {
        Err(Error::NotYours { role: wanted.name })
    }
}
