//! `postern rows simulate`: which rows appear and disappear, for whom, if SQL were run.
//!
//! One transaction, rolled back: every table is read as every role, the SQL runs, and all is read again. The SQL runs inside a
//! DO, in which the server accepts no COMMIT, by whatever route.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::args::Simulate;
use super::attempt::{self, Outcome};
use crate::error::{Context as _, Error};
use crate::{database, serve};

/// How many keys are shown of each kind.
const SHOWN: usize = 10;

/// A table, by its OID: that is the same before and after.
#[derive(Debug, Clone)]
struct Table {
    name: String,
    /// What tells its rows.
    key: String,
    columns: String,
}

/// What a role sees of a table: its rows' keys, with how often each comes; or why it sees none.
type Seen = Result<BTreeMap<String, usize>, String>;

/// What has changed for a role in a table.
#[derive(Debug, serde::Serialize)]
struct Change {
    role: String,
    table: String,
    key: String,
    appear: Vec<Value>,
    disappear: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub fn run(args: &Simulate) -> Result<(), Error> {
    let sql = std::fs::read_to_string(&args.file).context("read", &args.file)?;
    let changes = serve::runtime()?.block_on(async {
        let client = database::connect(&database::url_or(args.ask.db.as_ref(), &args.ask.dir)?).await?;
        attempt::begin(&client).await?;
        let changes = simulate(&client, args, &sql).await;
        attempt::end(&client).await?;
        changes
    })?;
    let text = if args.ask.json {
        serde_json::to_string_pretty(&changes)
            .map_err(|error| Error::Io { action: "write the answer".into(), source: error.into() })?
            + "\n"
    } else {
        text(&changes)
    };
    crate::print(&text)
}

async fn simulate(client: &Client, args: &Simulate, sql: &str) -> Result<Vec<Change>, Error> {
    let roles_before = roles(client, &args.roles).await?;
    let tables_before = tables(client, &args.tables).await?;
    let before = seen(client, &roles_before, &tables_before, args.facts.as_ref()).await?;
    client.batch_execute(&confined(sql)).await?;
    client.batch_execute(OURSELVES).await?;
    let roles_after = roles(client, &args.roles).await?;
    // By OID: a table that was renamed is the same; one that was dropped has no rows.
    let mut tables_after = tables(client, &[]).await?;
    if !args.tables.is_empty() {
        let chosen: BTreeSet<u32> = tables_before
            .keys()
            .copied()
            .chain(tables(client, &args.tables).await.unwrap_or_default().into_keys())
            .collect();
        tables_after.retain(|oid, _| chosen.contains(oid));
    }
    let after = seen(client, &roles_after, &tables_after, args.facts.as_ref()).await?;

    let mut changes = Vec::new();
    let nothing = || Ok(BTreeMap::new());
    let places: BTreeSet<&(String, u32)> = before.keys().chain(after.keys()).collect();
    for place @ (role, oid) in places {
        let (was, is) = (
            before.get(place).cloned().unwrap_or_else(nothing),
            after.get(place).cloned().unwrap_or_else(nothing),
        );
        let Some(table) = tables_after.get(oid).or_else(|| tables_before.get(oid)) else { continue };
        // Of what is new or gone, only rows are told.
        let note = match (before.get(place), after.get(place)) {
            (Some(Ok(_)), Some(Err(why))) => Some(format!("now: {why}")),
            (Some(Err(why)), Some(Ok(_))) => Some(format!("was: {why}")),
            _ => None,
        };
        let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
        let (appear, disappear) = (more(&is, &was), more(&was, &is));
        if !appear.is_empty() || !disappear.is_empty() || note.is_some() {
            changes.push(Change {
                role: role.clone(),
                table: table.name.clone(),
                key: table.columns.clone(),
                appear,
                disappear,
                note,
            });
        }
    }
    Ok(changes)
}

/// As it was for us, after SQL that may have set anything.
pub const OURSELVES: &str =
    "RESET SESSION AUTHORIZATION; RESET ROLE; SET LOCAL row_security = on; SET LOCAL search_path = DEFAULT";

/// SQL that cannot end the transaction that it runs in.
pub fn confined(sql: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    format!(
        "SET LOCAL standard_conforming_strings = on; DO LANGUAGE plpgsql {}",
        quoted(&format!("BEGIN EXECUTE {}; END", quoted(sql)))
    )
}

async fn roles(client: &Client, chosen: &[String]) -> Result<Vec<String>, Error> {
    const SQL: &str = "SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r
        WHERE CASE WHEN pg_catalog.cardinality($1::pg_catalog.text[]) OPERATOR(pg_catalog.>) 0 THEN r.rolname OPERATOR(pg_catalog.=) ANY ($1)
                   ELSE NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.!~) '^(pg_|postern_)' END
        ORDER BY 1";
    let roles: Vec<String> = client.query(SQL, &[&chosen]).await?.iter().map(|row| row.get(0)).collect();
    match chosen.iter().find(|name| !roles.contains(name)) {
        Some(missing) => Err(Error::Usage(format!("there is no role \"{missing}\""))),
        None => Ok(roles),
    }
}

async fn tables(client: &Client, chosen: &[String]) -> Result<BTreeMap<u32, Table>, Error> {
    const SQL: &str = "
        SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname),
               CASE WHEN k.columns IS NULL THEN 'pg_catalog.to_jsonb(t.*)' ELSE pg_catalog.format('pg_catalog.jsonb_build_array(%s)', k.columns) END, coalesce(k.columns, 'row')
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          LEFT JOIN LATERAL (
               SELECT pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), ', ' ORDER BY pg_catalog.array_position(i.indkey, a.attnum)) AS columns
                 FROM pg_catalog.pg_index i
                 JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey)
                WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisprimary) k ON true
         WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
           AND n.nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema$)' AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{postern,df}'::pg_catalog.name[])
           AND (pg_catalog.cardinality($1::pg_catalog.text[]) OPERATOR(pg_catalog.=) 0
                OR c.oid OPERATOR(pg_catalog.=) ANY (SELECT pg_catalog.to_regclass(x.name)::pg_catalog.oid FROM pg_catalog.unnest($1::pg_catalog.text[]) x (name)))";
    let rows = client.query(SQL, &[&chosen]).await?;
    let tables: BTreeMap<u32, Table> = rows
        .iter()
        .map(|row| {
            let columns: String = row.get(3);
            (row.get(0), Table { name: row.get(1), key: row.get(2), columns: columns.replace("t.", "") })
        })
        .collect();
    if tables.len() < chosen.len() {
        return Err(Error::Usage(format!("not every one of these is a table: {}", chosen.join(", "))));
    }
    Ok(tables)
}

/// What each of the roles sees of each of the tables.
async fn seen(
    client: &Client,
    roles: &[String],
    tables: &BTreeMap<u32, Table>,
    facts: Option<&Value>,
) -> Result<BTreeMap<(String, u32), Seen>, Error> {
    let mut all = BTreeMap::new();
    for role in roles {
        if let Err(message) = attempt::may_look(client, role, facts).await? {
            return Err(Error::Usage(format!("{message} (name the roles with --as)")));
        }
        for (oid, table) in tables {
            let sql = format!("SELECT {} AS key FROM {} AS t", table.key, table.name);
            let seen = match attempt::attempt(client, role, facts, &sql).await? {
                Outcome::Refused(_, message) => Err(message),
                Outcome::Rows(_, rows) => {
                    let mut keys = BTreeMap::new();
                    for row in rows {
                        *keys.entry(row["key"].to_string()).or_insert(0) += 1;
                    }
                    Ok(keys)
                }
            };
            all.insert((role.clone(), *oid), seen);
        }
    }
    Ok(all)
}

/// The keys that are in one and not, or not as often, in the other.
fn more(one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>) -> Vec<Value> {
    let mut keys: Vec<(&String, &usize)> = one.iter().collect();
    // Numbers in their order.
    keys.sort_by_key(|(key, _)| (key.len(), *key));
    keys.into_iter()
        .flat_map(|(key, count)| {
            let surplus = count.saturating_sub(other.get(key).copied().unwrap_or(0));
            std::iter::repeat_n(serde_json::from_str(key).unwrap_or_else(|_| json!(key)), surplus)
        })
        .collect()
}

fn text(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "No row appears or disappears for any of the roles.\n".to_owned();
    }
    let mut text = String::new();
    for change in changes {
        let _ = writeln!(text, "{} for {}:", change.table, change.role);
        if let Some(note) = &change.note {
            let _ = writeln!(text, "  {note}");
        }
        for (what, keys) in [("appear", &change.appear), ("disappear", &change.disappear)] {
            if keys.is_empty() {
                continue;
            }
            let shown: Vec<String> = keys.iter().take(SHOWN).map(key).collect();
            let rest =
                if keys.len() > SHOWN { format!(", and {} more", keys.len() - SHOWN) } else { String::new() };
            let (rows, s) = if keys.len() == 1 { ("row", "s") } else { ("rows", "") };
            let _ = writeln!(
                text,
                "  {} {rows} {what}{s} ({}): {}{rest}",
                keys.len(),
                change.key,
                shown.join(", ")
            );
        }
    }
    text
}

fn key(key: &Value) -> String {
    match key {
        Value::Array(columns) if columns.len() == 1 => columns[0].to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{confined, more};
    use serde_json::json;

    #[test]
    fn sql_stays_inside() {
        assert_eq!(
            confined("select 'a'; $$ '' \\"),
            "SET LOCAL standard_conforming_strings = on; DO LANGUAGE plpgsql 'BEGIN EXECUTE ''select ''''a''''; $$ '''''''' \\''; END'"
        );
    }

    #[test]
    fn keys_are_compared_as_often_as_they_come() {
        let keys = |list: &[(&str, usize)]| list.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
        assert_eq!(more(&keys(&[("[1]", 2), ("[2]", 1)]), &keys(&[("[1]", 1)])), [json!([1]), json!([2])]);
        assert!(more(&keys(&[("[1]", 1)]), &keys(&[("[1]", 3)])).is_empty());
    }
}
