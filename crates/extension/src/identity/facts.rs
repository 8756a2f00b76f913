//! The facts of the identity that stands.
//!
//! The leader keeps them here, as the server's own `jsonb`. A parallel worker has no state of ours but the settings that it
//! took over from its leader, and reads them from there.

use std::cell::RefCell;
use std::ffi::CString;

use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::{guc, pg};

thread_local! {
    static FACTS: RefCell<Option<Jsonb>> = const { RefCell::new(None) };
}

/// Facts that were checked: an object within the limit, with its text.
pub struct Checked {
    json: Option<Jsonb>,
    text: CString,
}

impl Checked {
    /// Checks facts before they are entered with.
    pub fn new(facts: Option<Jsonb>) -> Result<Self, Error> {
        let Some(json) = facts else {
            return Ok(Self { json: None, text: c"null".to_owned() });
        };
        if !json.is_object() {
            return Err(Error::FactsNotObject);
        }
        let limit = usize::try_from(guc::MAX_FACTS_BYTES.get()).unwrap_or(0);
        let text = json.to_text();
        match text.as_bytes().len() {
            bytes if bytes > limit => Err(Error::FactsTooLarge { bytes, limit }),
            _ => Ok(Self { json: Some(json), text }),
        }
    }
}

/// Keeps the facts of the identity that begins, here and for parallel workers.
pub fn remember(facts: Checked) {
    guc::take_facts(&facts.text);
    FACTS.set(facts.json);
}

/// The identity has ended. Frees memory, and does not raise.
pub fn forget() {
    FACTS.set(None);
}

/// Does `f` with the facts, if there are any.
pub fn with<R>(f: impl FnOnce(&Jsonb) -> R) -> Option<R> {
    if pg::xact::is_parallel_worker() {
        // A worker lives for one plan of one leader: what it took over at its start does not change.
        let text = guc::facts_for_worker().filter(|text| text.as_c_str() != c"null")?;
        if FACTS.with_borrow(Option::is_none) {
            let parsed = Jsonb::parse(&text);
            FACTS.set(Some(parsed));
        }
    }
    FACTS.with_borrow(|facts| facts.as_ref().map(f))
}

/// The fact at `path`, as text.
pub fn at(path: &str) -> Result<Option<String>, Error> {
    let steps = steps(path).ok_or_else(|| Error::FactPath(path.to_owned()))?;
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    Ok(with(|facts| facts.text_at(&steps)).flatten())
}

/// The `claims` of the facts, as text for `request.jwt.claims`; empty if there are none.
pub fn claims_text() -> CString {
    with(|facts| facts.text_at(&["claims"]))
        .flatten()
        .and_then(|text| CString::new(text).ok())
        .unwrap_or_default()
}

/// The steps of a path: names with dots between them, or a JSON pointer (RFC 6901) when it begins with a slash.
fn steps(path: &str) -> Option<Vec<String>> {
    let steps: Vec<String> = match path.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(unescape).collect::<Option<_>>()?,
        None => path.split('.').map(str::to_owned).collect(),
    };
    (!path.is_empty() && steps.iter().all(|step| !step.is_empty())).then_some(steps)
}

/// `~1` is a slash and `~0` a tilde; a tilde before anything else is an error.
fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut result = parts.next()?.to_owned();
    for part in parts {
        match part.as_bytes().first() {
            Some(b'0') => result.push('~'),
            Some(b'1') => result.push('/'),
            _ => return None,
        }
        result.push_str(&part[1..]);
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn a_path_is_names_with_dots_or_a_json_pointer() {
        assert_eq!(steps("sub"), Some(vec!["sub".into()]));
        assert_eq!(steps("claims.sub"), Some(vec!["claims".into(), "sub".into()]));
        assert_eq!(
            steps("/claims/https:~1~1example.org~1a"),
            Some(vec!["claims".into(), "https://example.org/a".into()])
        );
        assert_eq!(steps("/a~0b"), Some(vec!["a~b".into()]));
        assert_eq!(steps("/a.b"), Some(vec!["a.b".into()]));
        for wrong in ["", ".", "a..b", "/", "/a/", "/~2", "/a~"] {
            assert_eq!(steps(wrong), None, "{wrong:?}");
        }
    }
}
