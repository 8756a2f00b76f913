//! A path in one pair of quotes is one schema with a comma in its name.

use super::super::{Finding, Severity, Subject};
use super::Rule;
use crate::path::split;

pub const RULE: Rule =
    Rule { id: "misquoted-path", summary: "The search_path is one name with a comma in it", check };

fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(setting) = subject.own_path() else { return Vec::new() };
    split(setting)
        .into_iter()
        .filter(|name| name.contains(',') && subject.catalog.schema(name).is_none())
        .map(|name| {
            let message = format!("its search_path is the one schema \"{name}\", which does not exist");
            let remedy = format!("{} SET search_path = {name}, without the quotes", subject.alter());
            subject.finding(RULE.id, Severity::Error, message, remedy)
        })
        .collect()
}
