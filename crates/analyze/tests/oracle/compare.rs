//! Our answer beside the server's.

use std::collections::BTreeMap;

use postern_analyze::catalog::Catalog;
use postern_analyze::occurrence::{Kind, Meaning, Occurrence};
use postern_analyze::parse::{As, parse, tokens};
use postern_analyze::path::Path;
use postern_analyze::typing::Typer;
use postern_analyze::walk::{Surroundings, Walker};

use crate::server::{Bound, Session};

#[derive(Debug, Default)]
pub struct Score {
    pub statements: usize,
    pub right: usize,
    pub unknown: usize,
    pub wrong: Vec<String>,
}

impl Score {
    pub fn names(&self) -> usize {
        self.right + self.unknown + self.wrong.len()
    }
}

pub fn ours(catalog: &Catalog, path: &Path, sql: &str, around: &Surroundings) -> Vec<Occurrence> {
    let tokens = tokens(sql).unwrap();
    let mut walker = Walker::new(Typer::new(catalog, path), sql, &tokens, around);
    for (_, statement) in parse(sql, As::Statements).unwrap() {
        walker.statement(&statement);
    }
    walker.finish().occurrences
}

/// Counts what of a statement is as the server says. The server refused it: then there is nothing to compare.
pub fn compare(
    session: &Session<'_>,
    catalog: &Catalog,
    path: &Path,
    sql: &str,
    score: &mut Score,
) -> Option<String> {
    let mut theirs = match session.bound(sql) {
        Ok(bound) => bound,
        Err(refused) => return Some(refused),
    };
    if catalog.snapshot.version < 140_000 {
        theirs.retain(|key, oids| !is_syntax(sql, *key, oids));
    }
    let ours = ours(catalog, path, sql, &Surroundings::default());
    score.statements += 1;
    judge(sql, &theirs, &ours, score);
    None
}

/// What SQL has a syntax of its own for, and the grammar turns into a call of `pg_catalog`.
const SYNTAX: &[&str] = &["extract", "at time zone", "substring", "trim", "position", "overlay"];

/// Is it a call that the grammar made of such syntax? The tree says so from version 14 on.
fn is_syntax(sql: &str, (place, kind): (i64, &'static str), oids: &[u32]) -> bool {
    const BUILT_IN: std::ops::Range<u32> = 1..16_384;
    let Some(here) = usize::try_from(place).ok().and_then(|place| sql.get(place..)) else { return false };
    let here = here.to_ascii_lowercase();
    kind == "function"
        && oids.iter().all(|oid| BUILT_IN.contains(oid))
        && SYNTAX.iter().any(|word| here.starts_with(word))
        && !here.starts_with("substring(v, 1)")
}

/// Counts what is as the server says.
pub fn judge(sql: &str, theirs: &Bound, ours: &[Occurrence], score: &mut Score) {
    let mut said: BTreeMap<(i64, &'static str), Vec<&Occurrence>> = BTreeMap::new();
    for occurrence in ours.iter().filter(|occurrence| !occurrence.quoted) {
        let kind = match occurrence.kind() {
            Kind::Relation => "relation",
            Kind::Function => "function",
            Kind::Operator => "operator",
            _ => continue,
        };
        let place = match occurrence.implied_by {
            _ if kind == "relation" => 0,
            Some("USING" | "NATURAL JOIN") => -1,
            _ => i64::try_from(occurrence.span.start).unwrap(),
        };
        said.entry((place, kind)).or_default().push(occurrence);
    }
    for (key, oids) in theirs {
        // like_escape and similar_to_escape: the grammar itself calls them. So it does the aggregates of SQL/JSON.
        let here = sql.get(usize::try_from(key.0.max(0)).unwrap()..).unwrap_or_default().to_ascii_lowercase();
        if key.1 == "function"
            && ["like", "ilike", "similar", "not", "json_arrayagg", "json_objectagg", "json_array(select"]
                .iter()
                .any(|word| here.starts_with(word))
        {
            continue;
        }
        let mine = said.remove(key).unwrap_or_default();
        for oid in oids {
            let place = usize::try_from(key.0.max(0)).unwrap();
            let near: String = sql.get(place..).unwrap_or_default().chars().take(60).collect();
            if mine.iter().any(|occurrence| occurrence.object() == Some(*oid)) {
                score.right += 1;
            } else if mine.iter().any(|occurrence| matches!(occurrence.meaning, Meaning::Unknown(_))) {
                score.unknown += 1;
                if std::env::var_os("SHOW").is_some() {
                    println!(
                        "unknown: {} at {}: {near} | {:?} | {}",
                        key.1,
                        key.0,
                        mine.iter().map(|o| &o.lookup).collect::<Vec<_>>(),
                        sql.split_whitespace().take(20).collect::<Vec<_>>().join(" ")
                    );
                }
            } else {
                let said: Vec<_> = mine
                    .iter()
                    .map(|occurrence| (&occurrence.name, &occurrence.meaning, &occurrence.lookup))
                    .collect();
                score.wrong.push(format!(
                    "{} at {}: server {oid}, we {said:?}\n  near: {near}\n  {sql}",
                    key.1, key.0
                ));
            }
        }
        // We said that an object is bound there which the server did not bind.
        for occurrence in mine {
            if let Some(oid) = occurrence.object()
                && !oids.contains(&oid)
            {
                score.wrong.push(format!(
                    "{} at {}: we also say {} = {oid}\n  {sql}",
                    key.1, key.0, occurrence.name
                ));
            }
        }
    }
    for (key, occurrences) in said {
        for occurrence in occurrences.iter().filter(|occurrence| occurrence.object().is_some()) {
            // An expression that is repeated in GROUP BY, DISTINCT or a window is one in the tree; USING has its place elsewhere.
            let repeated = ours.iter().any(|other| {
                other.span.start != occurrence.span.start
                    && other.name == occurrence.name
                    && other.lookup == occurrence.lookup
                    && other.meaning == occurrence.meaning
            });
            if repeated || occurrence.implied_by == Some("ORDER BY USING") {
                continue;
            }
            score.wrong.push(format!(
                "{} at {}: the server bound nothing, we {} {:?} {:?}\n  {sql}",
                key.1, key.0, occurrence.name, occurrence.meaning, occurrence.lookup
            ));
        }
    }
}
