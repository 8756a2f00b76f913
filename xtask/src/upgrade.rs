//! `upgrade-diff`: what the upgrade script from the last released version lacks, as statements to put into it.
//!
//! A statement of today's install script that neither the released script nor the upgrade script has is shown, CREATE FUNCTION and CREATE
//! VIEW with OR REPLACE where there was one of that name; of those that are gone, the first line. What decides is the test that compares
//! catalogs (`cargo test -p postern-e2e --test upgrade catalog`): a new column of a table, for one, needs an ALTER TABLE of your own.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::process::{Error, Result};
use crate::script::Scripts;
use crate::workspace;

/// Prints it.
pub fn print_difference() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let scripts = Scripts::read(&workspace::root().join("crates/extension"), version)?;
    let released = scripts
        .names()
        .filter_map(|name| name.strip_prefix("postern--")?.strip_suffix(".sql"))
        .filter(|name| !name.contains("--") && *name != version)
        .max_by_key(|name| name.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>())
        .ok_or_else(|| Error::Wrong("no version was released".to_owned()))?
        .to_owned();
    let text = |name: String| scripts.text(&name).unwrap_or_default();
    let before = text(format!("postern--{released}.sql"));
    let upgrade = text(format!("postern--{released}--{version}.sql"));
    print!("{}", difference(before, upgrade, text(format!("postern--{version}.sql"))));
    Ok(())
}

/// What `today` has and neither `before` nor `upgrade`; what only `before` has.
fn difference(before: &str, upgrade: &str, today: &str) -> String {
    let before = statements(before);
    let new = statements(today);
    let known: BTreeSet<String> = before.iter().chain(&statements(upgrade)).map(|text| plain(text)).collect();
    let wanted: BTreeSet<String> = new.iter().map(|text| plain(text)).collect();
    let heads: BTreeSet<String> = before.iter().filter_map(|text| head(text)).collect();
    let mut text = String::new();
    for statement in new.iter().filter(|statement| !known.contains(&plain(statement))) {
        let replaces = head(statement).is_some_and(|head| heads.contains(&head));
        let shown = match (replaces, statement.strip_prefix("CREATE ")) {
            (true, Some(rest)) => format!("CREATE OR REPLACE {rest}"),
            _ => statement.clone(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{shown}\n");
    }
    for statement in before.iter().filter(|statement| !wanted.contains(&plain(statement))) {
        let _ = writeln!(text, "-- no longer: {}", statement.lines().next().unwrap_or_default());
    }
    text
}

/// What a function or view is known by: what comes before the body.
fn head(statement: &str) -> Option<String> {
    let (kind, rest) = ["CREATE FUNCTION ", "CREATE VIEW "]
        .iter()
        .find_map(|kind| Some((*kind, statement.strip_prefix(kind)?)))?;
    let end = rest.find(['(', ' '])?;
    Some(format!("{kind}{}", &rest[..end]))
}

/// A statement as it is compared.
fn plain(statement: &str) -> String {
    let text = statement.replacen("CREATE OR REPLACE ", "CREATE ", 1);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The statements of a script, without what is between them.
fn statements(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut statement, mut rest) = (String::new(), script);
    // How deep in BEGIN ATOMIC, and its CASEs.
    let mut depth = 0_usize;
    while let Some(first) = rest.chars().next() {
        let length = token(rest);
        let (word, after) = rest.split_at(length);
        rest = after;
        let comment = word.starts_with("--") || (first == '\\' && statement.is_empty());
        if comment || (statement.is_empty() && word.trim().is_empty()) {
            // Inside a statement it is part of it.
            if !statement.is_empty() {
                statement.push_str(word);
            }
            continue;
        }
        match word {
            "ATOMIC" => depth = 1,
            "CASE" if depth > 0 => depth += 1,
            "END" => depth = depth.saturating_sub(1),
            _ => {}
        }
        statement.push_str(word);
        if word == ";" && depth == 0 {
            found.push(std::mem::take(&mut statement));
        }
    }
    found
}

/// How many bytes belong together at the beginning of a text that is not empty.
fn token(text: &str) -> usize {
    let until =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("--") || text.starts_with('\\') {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with('\'') {
        return until("'", 1);
    }
    if text.starts_with('"') {
        return until("\"", 1);
    }
    if let Some(tag) = text.strip_prefix('$').and_then(|rest| rest.split_once('$')).map(|(tag, _)| tag)
        && tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit())
    {
        let quote = format!("${tag}$");
        return until(&quote, quote.len());
    }
    let word = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    if word > 0 { word } else { text.chars().next().map_or(1, char::len_utf8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_at_the_end_of_its_statements_only() {
        let script = "\\echo x \\quit\n-- a; b\nCREATE FUNCTION s.f() AS $x$ a; b $x$;\nSELECT 'a;''b', \"c;d\"; -- e;\n\
                      CREATE FUNCTION s.g() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;\nSELECT $1 -- f;\n;";
        let found = statements(script);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], "CREATE FUNCTION s.f() AS $x$ a; b $x$;");
        assert!(found[2].ends_with("SELECT 2; END;"), "{}", found[2]);
    }

    #[test]
    fn what_the_upgrade_lacks_is_shown_and_what_it_has_is_not() {
        let before = "CREATE FUNCTION s.f() AS 'a';\nCREATE TABLE s.t (a int);\nGRANT x ON s.t TO y;";
        let today =
            "CREATE FUNCTION s.f() AS 'b';\nCREATE TABLE s.t (a int);\nCREATE FUNCTION s.new() AS 'c';";
        let shown = difference(before, "", today);
        assert_eq!(
            shown,
            "CREATE OR REPLACE FUNCTION s.f() AS 'b';\n\nCREATE FUNCTION s.new() AS 'c';\n\n-- no longer: CREATE FUNCTION s.f() AS 'a';\n\
             -- no longer: GRANT x ON s.t TO y;\n"
        );
        let upgrade = "CREATE OR REPLACE FUNCTION s.f()\n  AS 'b';\nCREATE FUNCTION s.new() AS 'c';";
        assert!(!difference(before, upgrade, today).contains("CREATE OR REPLACE"));
    }
}
