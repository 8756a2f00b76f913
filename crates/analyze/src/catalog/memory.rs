//! What was asked of a catalog before, and answered.
//!
//! The bodies of a database ask for the same few hundred names under the same few paths again and again, and each answer takes a look
//! at all overloads, or at all roles.
//!
//! **Invariants**
//! * An answer is kept with all that it depends on but the catalog; a catalog that changes has no memory, or loses it.
//! * Memory is bounded.
//! * Several threads may ask at once: nobody waits while what a name means under a path is looked for.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Oid;
use super::by_oid::ByOid;
use crate::capture::{Situation, Verdict};
use crate::occurrence::{Kind, Lookup, Meaning, Occurrence};
use crate::path::{Path, Place};
use crate::report::Object;

/// How many paths are remembered, and how many names under each.
const MOST_PATHS: usize = 2_000;
const MOST_NAMES: usize = 4_000;

/// A place where somebody may hold the right to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Right {
    /// CREATE on a schema.
    Schema(Oid),
    /// CREATE on the database.
    Create,
    /// TEMPORARY on the database.
    Temporary,
}

/// The memory of one catalog.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The catalog is about to change: nothing is to be remembered.
    off: bool,
    intruders: Mutex<HashMap<(Right, Oid), Option<Oid>>>,
    paths: Mutex<HashMap<Searched, Arc<Names>>>,
    objects: Mutex<Objects>,
}

/// Objects, described; nothing for those that are not there.
type Objects = HashMap<(Kind, Oid), Option<Arc<Object>>>;

/// What decides of a path.
type Searched = (Vec<Place>, Vec<(String, usize)>);

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self { off: self.off, ..Self::default() }
    }
}

impl Memory {
    /// Never remembers anything.
    pub fn off() -> Self {
        Self { off: true, ..Self::default() }
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        if !self.off {
            *self = Self::default();
        }
    }

    /// Who could create somewhere, against a victim.
    pub fn intruder(&self, right: Right, victim: Oid, answer: impl FnOnce() -> Option<Oid>) -> Option<Oid> {
        if self.off {
            return answer();
        }
        let mut known = self.intruders.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry((right, victim)).or_insert_with(answer)
    }

    /// An object, described.
    pub fn object(
        &self,
        kind: Kind,
        oid: Oid,
        answer: impl FnOnce() -> Option<Object>,
    ) -> Option<Arc<Object>> {
        if self.off {
            return answer().map(Arc::new);
        }
        let mut known = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((kind, oid)).or_insert_with(|| answer().map(Arc::new)).clone()
    }

    /// What is known under a path.
    pub fn names(&self, path: &Path) -> Option<Arc<Names>> {
        if self.off {
            return None;
        }
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() >= MOST_PATHS {
            paths.clear();
        }
        Some(Arc::clone(paths.entry((path.places.clone(), path.missing.clone())).or_default()))
    }
}

/// What names mean under one path, and what can happen to them.
#[derive(Debug, Default)]
pub struct Names {
    meanings: RwLock<Answers<Meaning>>,
    verdicts: RwLock<HashMap<Situation, Answers<Verdict>>>,
}

impl Names {
    /// What a name means.
    pub(crate) fn meaning(
        &self,
        schema: Option<&str>,
        name: &str,
        lookup: &Lookup,
        answer: impl FnOnce() -> Meaning,
    ) -> Meaning {
        let question = Question { schema, name, lookup, meaning: None };
        let hash = question.hashed();
        let known = self.meanings.read().unwrap_or_else(PoisonError::into_inner).known(hash, question);
        known.unwrap_or_else(|| {
            let answer = answer();
            self.meanings.write().unwrap_or_else(PoisonError::into_inner).keep(hash, question, &answer);
            answer
        })
    }

    /// What can happen to a name.
    pub(crate) fn verdict(
        &self,
        situation: Situation,
        occurrence: &Occurrence,
        answer: impl FnOnce() -> Verdict,
    ) -> Verdict {
        let question = Question {
            schema: occurrence.schema.as_deref(),
            name: &occurrence.name,
            lookup: &occurrence.lookup,
            meaning: Some(&occurrence.meaning),
        };
        let hash = question.hashed();
        // Nobody waits for the lock below while this one is held.
        let known = {
            let verdicts = self.verdicts.read().unwrap_or_else(PoisonError::into_inner);
            verdicts.get(&situation).and_then(|answers| answers.known(hash, question))
        };
        known.unwrap_or_else(|| {
            let answer = answer();
            let mut verdicts = self.verdicts.write().unwrap_or_else(PoisonError::into_inner);
            verdicts.entry(situation).or_default().keep(hash, question, &answer);
            answer
        })
    }
}

/// A question, as it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Question<'q> {
    schema: Option<&'q str>,
    name: &'q str,
    lookup: &'q Lookup,
    meaning: Option<&'q Meaning>,
}

/// The same, as it is kept.
#[derive(Debug)]
struct Kept<A> {
    schema: Option<String>,
    name: String,
    lookup: Lookup,
    meaning: Option<Meaning>,
    answer: A,
}

/// Answers by the hash of their question, so that asking copies nothing.
#[derive(Debug)]
struct Answers<A> {
    kept: ByOid<Vec<Kept<A>>, u64>,
    count: usize,
}

impl<A> Default for Answers<A> {
    fn default() -> Self {
        Self { kept: ByOid::default(), count: 0 }
    }
}

impl Question<'_> {
    fn hashed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl<A: Clone> Answers<A> {
    fn known(&self, hash: u64, question: Question<'_>) -> Option<A> {
        let same = |kept: &&Kept<A>| {
            kept.schema.as_deref() == question.schema
                && kept.name == question.name
                && kept.lookup == *question.lookup
                && kept.meaning.as_ref() == question.meaning
        };
        self.kept.get(&hash)?.iter().find(same).map(|kept| kept.answer.clone())
    }

    fn keep(&mut self, hash: u64, question: Question<'_>, answer: &A) {
        // Another thread may have found it in the meantime.
        if self.known(hash, question).is_some() {
            return;
        }
        if self.count >= MOST_NAMES {
            *self = Self::default();
        }
        self.count += 1;
        self.kept.entry(hash).or_default().push(Kept {
            schema: question.schema.map(str::to_owned),
            name: question.name.to_owned(),
            lookup: question.lookup.clone(),
            meaning: question.meaning.cloned(),
            answer: answer.clone(),
        });
    }
}
