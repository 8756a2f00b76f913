//! The rules, one in each file.

mod capturable;
mod captured;
mod current_user;
mod definer_path;
mod dynamic_sql;
mod foreign_on_apply;
mod misquoted_path;
mod public_definer;
mod restore;
mod stops_apply;
mod unread;

use super::{Finding, Subject};

/// One thing that is looked for.
#[derive(Debug)]
pub struct Rule {
    /// Its id; the page of the documentation has the same name.
    pub id: &'static str,
    /// What it says, in a line.
    pub summary: &'static str,
    /// Looks for it.
    pub check: fn(&Subject<'_>) -> Vec<Finding>,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    captured::RULE,
    capturable::RULE,
    definer_path::RULE,
    misquoted_path::RULE,
    public_definer::RULE,
    dynamic_sql::RULE,
    current_user::RULE,
    restore::RULE,
    stops_apply::RULE,
    foreign_on_apply::RULE,
    unread::RULE,
];
