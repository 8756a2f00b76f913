//! When a step is tried again.

use serde::{Deserialize, Serialize};

use crate::kind::MAX_SLEEP_MILLIS;
use crate::value;

/// When and how often a step is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// The first attempt counts.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub initial_backoff_ms: u64,
    /// Never longer.
    pub max_backoff_ms: u64,
    /// From one pause to the next.
    pub backoff_multiplier: f64,
    /// How much of a pause is left to chance: 0 none, 1 all.
    pub jitter: f64,
    /// SQLSTATEs of five characters, or their classes of two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sqlstates: Vec<String>,
    /// HTTP statuses; a response with one of them counts as a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_backoff_ms: 1_000,
            max_backoff_ms: 60_000,
            backoff_multiplier: 2.0,
            jitter: 0.1,
            sqlstates: Vec::new(),
            statuses: Vec::new(),
        }
    }
}

impl Retry {
    /// What is wrong with the policy.
    pub fn fault(&self) -> Option<&'static str> {
        let class = |code: &String| {
            matches!(code.len(), 2 | 5) && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        };
        if self.max_attempts == 0 {
            Some("max_attempts must be at least 1")
        } else if self.initial_backoff_ms > MAX_SLEEP_MILLIS || self.max_backoff_ms > MAX_SLEEP_MILLIS {
            Some("backoff is too long")
        } else if !(1.0..=1_000.0).contains(&self.backoff_multiplier) {
            Some("backoff_multiplier must be between 1 and 1000")
        } else if !(0.0..=1.0).contains(&self.jitter) {
            Some("jitter must be between 0 and 1")
        } else if !self.sqlstates.iter().all(class) {
            Some("sqlstates must be SQLSTATEs of five characters or their classes of two")
        } else if !self.statuses.iter().all(|status| (100..=599).contains(status)) {
            Some("statuses must be between 100 and 599")
        } else {
            None
        }
    }

    /// Whether a failure is one to try again after. Without a list every failure is.
    pub fn covers(&self, sqlstate: Option<&str>, status: Option<u16>) -> bool {
        if self.sqlstates.is_empty() && self.statuses.is_empty() {
            return true;
        }
        sqlstate.is_some_and(|state| self.sqlstates.iter().any(|code| state.starts_with(code.as_str())))
            || status.is_some_and(|status| self.statuses.contains(&status))
    }

    /// The status of a response that counts as a failure.
    pub fn refused(&self, result: &str) -> Option<u16> {
        if self.statuses.is_empty() {
            return None;
        }
        let status = value::fields(result)?.get("status")?.parse().ok()?;
        self.statuses.contains(&status).then_some(status)
    }

    /// The pause in milliseconds after attempt `attempt` (from 1) has failed; None when it was the last.
    /// `chance` is a random number from 0 to 1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn pause(&self, attempt: u32, chance: f64) -> Option<u64> {
        if attempt >= self.max_attempts {
            return None;
        }
        let steps = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let full = (self.initial_backoff_ms as f64 * self.backoff_multiplier.powi(steps))
            .min(self.max_backoff_ms as f64);
        let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.0 };
        Some((full * (1.0 - self.jitter * chance)).max(0.0) as u64)
    }
}
