//! Which statements of clients a connection keeps parsed, under which names.
//!
//! A text is kept when it is seen for the second time: a statement that never comes again costs no name. It is kept per role
//! and number of parameters, so nobody runs a statement that was analysed for another role.
//!
//! **Invariants.**
//! - Only the *first* statement of a request is kept or found: before it, the settings of the session are as new. A batch that
//!   changes `standard_conforming_strings` or `TimeZone` first cannot leave a differently read statement to someone else.
//! - A text whose meaning is fixed when it is parsed is not kept: `'today'` would stay the day of its first use.
//! - A name is known only after the server said ParseComplete, it is never used twice, and it cannot be guessed.
//! - Memory is bounded: a number of statements, each with a bounded text.
//!
//! **Not guaranteed.** A function that is declared IMMUTABLE but reads facts may be folded into a kept plan, as in any prepared
//! statement or PL/pgSQL function. A literal that is read by a setting which the server does not report (such as
//! `array_nulls`) is read as it was when the statement was parsed, until the connection is replaced.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;
use postern_core::RoleName;

use crate::{Column, Statement};

/// Longer texts are not kept.
const MAX_SQL: usize = 16 << 10;
/// How many texts are remembered as seen once. A power of two.
const SEEN: usize = 1024;

/// The kept statements of one connection.
pub(crate) struct Plans {
    kept: Option<LruCache<u64, Kept, RandomState>>,
    seen: Box<[u64]>,
    hasher: RandomState,
    prefix: String,
    counter: u64,
    closes: Vec<Box<str>>,
}

/// A kept statement.
struct Kept {
    role: RoleName,
    sql: Arc<str>,
    params: usize,
    name: Box<str>,
    columns: Option<(Bytes, Arc<[Column]>)>,
}

/// What to do with the first statement of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing: it is parsed as the unnamed statement.
    Unnamed,
    /// It is parsed under this name, and kept if that succeeds.
    Keep { key: u64, name: Box<str> },
    /// It is there.
    Kept { key: u64, name: Box<str> },
}

impl Plan {
    pub fn key(&self) -> Option<u64> {
        match self {
            Self::Unnamed => None,
            Self::Keep { key, .. } | Self::Kept { key, .. } => Some(*key),
        }
    }
}

impl Plans {
    /// `prefix` starts all names.
    pub fn new(capacity: usize, prefix: String) -> Self {
        let kept =
            NonZeroUsize::new(capacity).map(|capacity| LruCache::with_hasher(capacity, RandomState::new()));
        let seen = if kept.is_some() { vec![0; SEEN].into() } else { Box::default() };
        Self { kept, seen, hasher: RandomState::new(), prefix, counter: 0, closes: Vec::new() }
    }

    /// Decides about the first statement of a request.
    pub fn choose(&mut self, role: &RoleName, statement: &Statement) -> Plan {
        let Some(kept) = &mut self.kept else {
            return Plan::Unnamed;
        };
        let (sql, params) = (&statement.sql, statement.params.len());
        if sql.len() > MAX_SQL {
            return Plan::Unnamed;
        }
        let key = self.hasher.hash_one((role, &**sql, params));
        if let Some(found) = kept.get(&key) {
            // Two statements with one hash: the second one goes without.
            let same = found.params == params && found.role == *role && found.sql == *sql;
            return if same { Plan::Kept { key, name: found.name.clone() } } else { Plan::Unnamed };
        }
        let place = &mut self.seen[usize::try_from(key).unwrap_or(0) % SEEN];
        if *place != key {
            *place = key;
            return Plan::Unnamed;
        }
        if !means_the_same_later(sql) {
            return Plan::Unnamed;
        }
        self.counter += 1;
        Plan::Keep { key, name: format!("{}{:x}", self.prefix, self.counter).into() }
    }

    /// The server said ParseComplete for [`Plan::Keep`].
    pub fn keep(&mut self, plan: &Plan, role: &RoleName, statement: &Statement) {
        let (Plan::Keep { key, name }, Some(kept)) = (plan, &mut self.kept) else {
            return;
        };
        let entry = Kept {
            role: role.clone(),
            sql: Arc::clone(&statement.sql),
            params: statement.params.len(),
            name: name.clone(),
            columns: None,
        };
        if let Some((_, old)) = kept.push(*key, entry) {
            self.closes.push(old.name);
        }
    }

    /// Forgets a kept statement; it is closed with the next request.
    pub fn forget(&mut self, key: u64) {
        if let Some(old) = self.kept.as_mut().and_then(|kept| kept.pop(&key)) {
            self.closes.push(old.name);
        }
    }

    /// Names to be closed by the next request, which must send them.
    pub fn take_closes(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.closes)
    }

    /// The columns of a kept statement, if its description is byte for byte the one before.
    pub fn columns(&self, key: u64, description: &Bytes) -> Option<Arc<[Column]>> {
        let (bytes, columns) = self.kept.as_ref()?.peek(&key)?.columns.as_ref()?;
        (bytes == description).then(|| Arc::clone(columns))
    }

    /// Remembers the columns of a kept statement.
    pub fn describe(&mut self, key: u64, description: &Bytes, columns: &Arc<[Column]>) {
        if let Some(entry) = self.kept.as_mut().and_then(|kept| kept.peek_mut(&key)) {
            // A copy: a slice of the read buffer would keep the whole buffer.
            entry.columns = Some((Bytes::copy_from_slice(description), Arc::clone(columns)));
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, LruCache::len)
    }
}

/// Whether a text, parsed now under the default settings, means the same tomorrow.
///
/// `'now'`, `'today'`, `'tomorrow'` and `'yesterday'` become constants when they are parsed. All literals are searched for these
/// words, put together as adjacent literals would be; texts with escapes, which could hide one, do not pass. This decides
/// about speed only: a false alarm costs a parse.
fn means_the_same_later(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    if bytes.contains(&b'\\') || bytes.windows(2).any(|pair| pair.eq_ignore_ascii_case(b"u&")) {
        return false;
    }
    let mut literals = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at += match byte {
            b'\'' => {
                let end = rest[1..].iter().position(|byte| *byte == b'\'').unwrap_or(rest.len() - 1);
                literals.extend_from_slice(&rest[1..=end]);
                end + 2
            }
            b'"' => rest[1..].iter().position(|byte| *byte == b'"').map_or(rest.len(), |end| end + 2),
            b'-' if rest.starts_with(b"--") => {
                rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
            }
            // Nested comments and dollar quotes are not worth following.
            b'/' if rest.starts_with(b"/*") => return false,
            b'$' if !rest.get(1).is_some_and(u8::is_ascii_digit) => return false,
            _ => 1,
        };
    }
    literals.make_ascii_lowercase();
    let words: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];
    !words.iter().any(|word| literals.windows(word.len()).any(|part| part == *word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> RoleName {
        RoleName::try_from(name).unwrap()
    }

    fn statement(sql: &str) -> Statement {
        Statement { sql: Arc::from(sql), params: vec![] }
    }

    /// Two requests with this statement, both of which the server accepts.
    fn keep(plans: &mut Plans, who: &RoleName, what: &Statement) -> Plan {
        assert_eq!(plans.choose(who, what), Plan::Unnamed);
        let plan = plans.choose(who, what);
        plans.keep(&plan, who, what);
        plan
    }

    #[test]
    fn a_text_is_kept_when_it_comes_again() {
        let mut plans = Plans::new(10, "p_".into());
        let (alice, one) = (role("alice"), statement("select 1"));
        assert_eq!(plans.choose(&alice, &one), Plan::Unnamed);
        let Plan::Keep { name, .. } = plans.choose(&alice, &one) else { panic!("not kept") };
        let Plan::Keep { name: again, .. } = plans.choose(&alice, &one) else {
            panic!("kept before ParseComplete")
        };
        assert_ne!(name, again, "a name is never used twice");
        let plan = plans.choose(&alice, &one);
        plans.keep(&plan, &alice, &one);
        assert!(matches!(plans.choose(&alice, &one), Plan::Kept { .. }));
    }

    #[test]
    fn a_kept_statement_is_for_its_role_text_and_number_of_parameters() {
        let mut plans = Plans::new(10, "p_".into());
        keep(&mut plans, &role("alice"), &statement("select 1"));
        assert_eq!(plans.choose(&role("bob"), &statement("select 1")), Plan::Unnamed);
        assert_eq!(plans.choose(&role("alice"), &statement("select 1 ")), Plan::Unnamed);
        let with_parameter = Statement { params: vec![None], ..statement("select 1") };
        assert_eq!(plans.choose(&role("alice"), &with_parameter), Plan::Unnamed);
    }

    #[test]
    fn the_least_recently_used_is_closed() {
        let mut plans = Plans::new(2, "p_".into());
        let alice = role("alice");
        let names =
            ["select 1", "select 2", "select 3"].map(|sql| match keep(&mut plans, &alice, &statement(sql)) {
                Plan::Keep { name, .. } => name,
                other => panic!("{other:?}"),
            });
        assert_eq!(plans.take_closes(), [names[0].clone()]);
        assert!(plans.take_closes().is_empty());
        assert_eq!(plans.len(), 2);
        let key = plans.choose(&alice, &statement("select 3")).key().unwrap();
        plans.forget(key);
        assert_eq!(plans.take_closes(), [names[2].clone()]);
    }

    #[test]
    fn nothing_is_kept_without_room_or_for_long_texts() {
        let mut plans = Plans::new(0, "p_".into());
        for _ in 0..3 {
            assert_eq!(plans.choose(&role("alice"), &statement("select 1")), Plan::Unnamed);
        }
        let mut plans = Plans::new(9, "p_".into());
        let long = statement(&format!("select {}", "1".repeat(MAX_SQL)));
        for _ in 0..3 {
            assert_eq!(plans.choose(&role("alice"), &long), Plan::Unnamed);
        }
    }

    #[test]
    fn columns_are_found_again_only_for_the_same_description() {
        let mut plans = Plans::new(2, "p_".into());
        let alice = role("alice");
        let key = keep(&mut plans, &alice, &statement("select 1")).key().unwrap();
        let columns: Arc<[Column]> = Arc::from([]);
        assert_eq!(plans.columns(key, &Bytes::from_static(b"a")), None);
        plans.describe(key, &Bytes::from_static(b"a"), &columns);
        assert_eq!(plans.columns(key, &Bytes::from_static(b"a")), Some(columns));
        assert_eq!(plans.columns(key, &Bytes::from_static(b"b")), None);
    }

    #[test]
    fn a_text_whose_meaning_is_fixed_when_it_is_parsed_is_not_kept() {
        for fixed in [
            "select 'now'::timestamptz",
            "select * from t where d >= 'TODAY'",
            "select timestamp ' Yesterday 10:00'",
            "select 'no'\n'w'",
            "select e'n\\x6fw'",
            "select u&'!006eow' uescape '!'",
            "select $$now$$::date",
            "select $a$now$a$::date",
            "select /* ' */ 'now'::date",
            "select \"it's\", 'now'::date",
            "-- it's\nselect 'tomorrow'",
            "select '{now}'::date[]",
            "select 'it''s now'",
        ] {
            assert!(!means_the_same_later(fixed), "{fixed}");
        }
        for stable in [
            "select now(), $1, $2::text",
            "select * from t where at > now() - interval '1 day' and \"now\" = 'x'",
            "select 'it''s'",
            "select 1 -- until now, 'now'",
            "select 'unterminated",
            "select \"unterminated",
            "",
        ] {
            assert!(means_the_same_later(stable), "{stable}");
        }
    }
}
