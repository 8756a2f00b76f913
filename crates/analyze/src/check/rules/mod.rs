//! The rules, one in each file.

mod capturable;
mod captured;
mod current_user;
mod definer_path;
mod dynamic_sql;
mod event_trigger;
mod foreign_on_apply;
mod misquoted_path;
mod policy_function;
mod public_definer;
mod replaceable;
mod restore;
mod runs_text;
mod session_user;
mod stops_apply;
mod unread;
mod view_rows;

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
    runs_text::RULE,
    current_user::RULE,
    session_user::RULE,
    view_rows::RULE,
    replaceable::RULE,
    policy_function::RULE,
    event_trigger::RULE,
    restore::RULE,
    stops_apply::RULE,
    foreign_on_apply::RULE,
    unread::RULE,
];
