//! A JSON reader that keeps its place in a list, not on the stack.
//!
//! A tree of nodes may be nested 256 deep, more than serde_json reads, and a hostile one as deep as a text is long.
//! This reader only walks: it finds tokens and checks the grammar. What a string holds, serde_json decodes.

/// Where the text stops being JSON, or has another shape than asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// The first token of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// `{`
    Object,
    /// `[`
    Array,
    /// A string, decoded.
    String(String),
    /// `null`
    Null,
    /// A number, `true` or `false`.
    Other,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn fault<T>(&self, what: &str) -> Result<T, Fault> {
        Err(Fault(format!("{what} at byte {}", self.at)))
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fault("trailing characters"),
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                None => return self.fault("unterminated string"),
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        let Some(raw) = self.text.get(start..=end) else { return self.fault("invalid string") };
        match serde_json::from_str(raw) {
            Ok(value) => {
                self.at = end + 1;
                Ok(value)
            }
            Err(_) => self.fault("invalid string"),
        }
    }

    /// The start of the value that comes next; an object or array is left open.
    pub(crate) fn value(&mut self) -> Result<Start, Fault> {
        match self.peek() {
            None => self.fault("unexpected end"),
            Some(b'{') => {
                self.at += 1;
                Ok(Start::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Start::Array)
            }
            Some(b'"') => Ok(Start::String(self.string()?)),
            Some(_) => {
                let rest = &self.text[self.at..];
                let length = rest
                    .bytes()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
                    .count();
                let word = &rest[..length];
                match serde_json::from_str::<serde::de::IgnoredAny>(word) {
                    Ok(_) => self.at += length,
                    Err(_) => return self.fault("invalid value"),
                }
                Ok(if word == "null" { Start::Null } else { Start::Other })
            }
        }
    }

    /// The next key of the open object, its colon read too; None at the closing brace. `first` is true before any.
    pub(crate) fn key(&mut self, first: &mut bool) -> Result<Option<String>, Fault> {
        if self.eat(b'}') {
            return Ok(None);
        }
        if !std::mem::take(first) && !self.eat(b',') {
            return self.fault("expected ',' or '}'");
        }
        if self.peek() != Some(b'"') {
            return self.fault("expected a key");
        }
        let key = self.string()?;
        if self.eat(b':') { Ok(Some(key)) } else { self.fault("expected ':'") }
    }

    /// Whether another item comes in the open array; false at the closing bracket.
    pub(crate) fn item(&mut self, first: &mut bool) -> Result<bool, Fault> {
        if self.eat(b']') {
            return Ok(false);
        }
        if std::mem::take(first) || self.eat(b',') { Ok(true) } else { self.fault("expected ',' or ']'") }
    }

    /// Passes over the rest of a value whose start was read.
    pub(crate) fn skip(&mut self, start: &Start) -> Result<(), Fault> {
        let mut open = match start {
            Start::Object => vec![(b'{', true)],
            Start::Array => vec![(b'[', true)],
            _ => return Ok(()),
        };
        while let Some((kind, first)) = open.last_mut() {
            let more = if *kind == b'{' { self.key(first)?.is_some() } else { self.item(first)? };
            if !more {
                open.pop();
                continue;
            }
            match self.value()? {
                Start::Object => open.push((b'{', true)),
                Start::Array => open.push((b'[', true)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The `node_type` of the object that `text` is, if it is valid JSON and has one that is a string.
pub(crate) fn node_type(text: &str) -> Option<String> {
    let mut reader = Reader::new(text);
    let mut found = None;
    if reader.value().ok()? != Start::Object {
        return None;
    }
    let mut first = true;
    while let Some(key) = reader.key(&mut first).ok()? {
        let start = reader.value().ok()?;
        reader.skip(&start).ok()?;
        if key == "node_type" {
            found = match start {
                Start::String(name) => Some(name),
                _ => None,
            };
        }
    }
    reader.end().ok()?;
    found
}
