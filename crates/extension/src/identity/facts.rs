//! The facts of the identity that stands.
//!
//! The leader keeps the text that they came as, and makes the server's own `jsonb` of it when something asks for more than
//! [`json`] finds in the text. A parallel worker has no state of ours but the settings that it took over from its leader, and
//! reads them from there.

use std::cell::RefCell;
use std::ffi::CString;

use super::json::{self, Value, Wrong};
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::{guc, pg};

/// How much memory a process keeps for the facts of the next identity.
const KEPT: usize = 8 * 1024;

thread_local! {
    static FACTS: RefCell<Facts> = const { RefCell::new(Facts::none()) };
}

/// The facts as they are kept.
struct Facts {
    /// The text of a JSON object; empty if there are none.
    text: String,
    /// The same, once it was needed.
    parsed: Option<Jsonb>,
}

impl Facts {
    const fn none() -> Self {
        Self { text: String::new(), parsed: None }
    }

    fn jsonb(&mut self) -> &Jsonb {
        self.parsed.get_or_insert_with(|| Jsonb::parse(&c_string(&self.text)))
    }
}

/// Facts that were checked: the text of a JSON object within the limit, or none.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a>(Option<&'a str>);

impl<'a> Checked<'a> {
    /// Checks facts before they are entered with. May raise too.
    pub fn new(facts: Option<&'a str>) -> Result<Self, Error> {
        let Some(text) = facts else { return Ok(Self(None)) };
        let limit = usize::try_from(guc::MAX_FACTS_BYTES.get()).unwrap_or(0);
        if text.len() > limit {
            return Err(Error::FactsTooLarge { bytes: text.len(), limit });
        }
        match json::member(text, "claims") {
            Ok(_) => {}
            Err(Wrong::NotObject) => return Err(Error::FactsNotObject),
            Err(Wrong::NotJson(why)) => return Err(Error::FactsNotJson(why)),
        }
        // Escapes may stand for what is no character of the server's: it judges them itself, and raises.
        if text.contains("\\u") {
            Jsonb::parse(&c_string(text));
        }
        Ok(Self(facts))
    }
}

/// Keeps the facts of the identity that begins. Does not raise.
pub fn remember(facts: Checked<'_>) {
    FACTS.with_borrow_mut(|kept| {
        kept.parsed = None;
        kept.text.clear();
        kept.text.push_str(facts.0.unwrap_or_default());
    });
}

/// The identity has ended. Frees memory, and does not raise.
pub fn forget() {
    FACTS.with_borrow_mut(|kept| {
        kept.parsed = None;
        kept.text.clear();
        kept.text.shrink_to(KEPT);
    });
}

/// The text that parallel workers get.
pub fn for_workers() -> CString {
    FACTS.with_borrow(|kept| c_string(if kept.text.is_empty() { "null" } else { &kept.text }))
}

/// Does `f` with the facts, if there are any.
fn with<R>(f: impl FnOnce(&mut Facts) -> R) -> Option<R> {
    FACTS.with_borrow_mut(|kept| {
        if kept.text.is_empty() && pg::xact::is_parallel_worker() {
            // A worker lives for one plan of one leader: what it took over at its start does not change.
            let text = guc::facts_for_worker().filter(|text| text.as_c_str() != c"null")?;
            kept.text = text.into_string().ok()?;
        }
        (!kept.text.is_empty()).then(|| f(kept))
    })
}

/// All facts, as the text that they came as.
pub fn text() -> Option<String> {
    with(|facts| facts.text.clone())
}

/// All facts.
pub fn all() -> Option<Jsonb> {
    with(|facts| facts.jsonb().copy())
}

/// The fact at `path`, as text.
pub fn at(path: &str) -> Result<Option<String>, Error> {
    let steps = steps(path).ok_or_else(|| Error::FactPath(path.to_owned()))?;
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    Ok(with(|facts| text_at(facts, &steps)).flatten())
}

fn text_at(facts: &mut Facts, path: &[&str]) -> Option<String> {
    match json::at(&facts.text, path) {
        Value::Nothing => None,
        Value::Text(text) => Some(text.to_owned()),
        Value::Other => facts.jsonb().text_at(path),
    }
}

/// The `claims` of the facts, as text for `request.jwt.claims`; empty if there are none.
pub fn claims_text() -> CString {
    with(|facts| match json::member(&facts.text, "claims") {
        Ok(Some(object)) if object.starts_with('{') => c_string(object),
        _ => text_at(facts, &["claims"]).map(|text| c_string(&text)).unwrap_or_default(),
    })
    .unwrap_or_default()
}

/// What is a text of the server's has no NUL byte.
fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
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
