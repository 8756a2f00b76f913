//! A reference as written, and what it finds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::spell::plain;
use super::{MAX_ROWS, Named, Scope, word_length};
use crate::Error;
use crate::value::{self, Columns, Fields, Shape};

/// A result that a reference has named, cut up once however often it is named.
pub(super) struct Seen<'a> {
    named: &'a Named,
    shape: Shape<'a>,
    /// The first row of a row set.
    first: Option<Fields<'a>>,
}

/// The results that may be named, and those that have been.
pub(super) struct Results<'a> {
    all: &'a BTreeMap<String, Named>,
    seen: RefCell<BTreeMap<&'a str, Rc<Seen<'a>>>>,
}

impl<'a> Results<'a> {
    pub(super) fn of(scope: &Scope<'a>) -> Self {
        Self { all: scope.results, seen: RefCell::default() }
    }

    fn get(&self, name: &str) -> Option<Rc<Seen<'a>>> {
        let (name, named) = self.all.get_key_value(name)?;
        let mut seen = self.seen.borrow_mut();
        let entry = seen.entry(name).or_insert_with(|| {
            let shape = value::shape(&named.json);
            let first = match &shape {
                Shape::Rows(_, rows) => rows.first().and_then(|row| value::fields(row.get())),
                _ => None,
            };
            Rc::new(Seen { named, shape, first })
        });
        Some(Rc::clone(entry))
    }
}

/// A `$name…` that is there, and the result it names.
pub(super) struct Reference<'t, 'a> {
    /// As written, without the `$`.
    pub(super) text: &'t str,
    pub(super) name: &'t str,
    pub(super) part: Member<'t>,
    /// `?`: NULL instead of an error.
    optional: bool,
    seen: Rc<Seen<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Member<'a> {
    Whole,
    Rows,
    Column(&'a str),
}

/// Whether a word may name a column without quotes: letters of any script, as in SQL.
fn is_column(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What a reference to one value found.
pub(super) enum Found<'a> {
    /// JSON, and the column's type if it is known.
    Value(&'a str, Option<&'a str>),
    /// NULL, which is allowed.
    Null(Option<&'a str>),
    /// No such column.
    Missing,
}

impl<'t, 'a> Reference<'t, 'a> {
    /// Reads a reference at the start of `text`, behind the `$`.
    pub(super) fn read(text: &'t str, results: &Results<'a>) -> Option<Self> {
        let name = &text[..word_length(text)];
        let seen = results.get(name)?;
        let rest = &text[name.len()..];
        let member = rest.strip_prefix('.').unwrap_or("");
        let column = &member[..word_length(member)];
        let (part, mut length) = if member.starts_with('*') {
            (Member::Rows, name.len() + 2)
        } else if is_column(column) {
            (Member::Column(column), name.len() + 1 + column.len())
        } else {
            (Member::Whole, name.len())
        };
        // `https://host/$id?page=1`: a question mark with a word behind it is the text's own.
        let optional = part != Member::Rows
            && text[length..].strip_prefix('?').is_some_and(|rest| word_length(rest) == 0);
        length += usize::from(optional);
        Some(Self { text: &text[..length], name, part, optional, seen })
    }

    fn label(&self) -> String {
        match self.part {
            Member::Whole => format!("${}", self.name),
            Member::Rows => format!("${}.*", self.name),
            Member::Column(column) => format!("${}.{column}", self.name),
        }
    }

    /// The one value that is meant.
    pub(super) fn find(&self) -> Result<Found<'a>, Error> {
        let null = |why: String, kind| {
            if self.optional { Ok(Found::Null(kind)) } else { Err(Error::Reference(why)) }
        };
        let columns = self.columns();
        match (&self.seen.shape, self.part) {
            (Shape::Rows(_, rows), part) => {
                let kind = match (part, columns) {
                    (Member::Column(column), Some(columns)) => columns.type_of(column),
                    (_, columns) => {
                        columns.and_then(|columns| columns.0.first()).map(|c| c.type_name.as_str())
                    }
                };
                if rows.is_empty() {
                    return null(format!("${} has no rows — query returned zero results", self.name), kind);
                }
                let Some(fields) = &self.seen.first else { return Err(self.not_readable()) };
                let value = match part {
                    Member::Column(column) => match fields.get(column) {
                        Some(value) => value,
                        None => return Ok(Found::Missing),
                    },
                    _ => fields.first().map_or("null", |(_, value)| value),
                };
                match (value, part) {
                    ("null", Member::Column(_)) => null(format!("{} is NULL", self.label()), kind),
                    ("null", _) => {
                        null(format!("${} is NULL — first column of first row is NULL", self.name), kind)
                    }
                    (value, _) => Ok(Found::Value(value, kind)),
                }
            }
            (_, Member::Whole) if self.seen.named.json.trim() == "null" => {
                null(format!("${} is NULL", self.name), None)
            }
            (_, Member::Whole) => Ok(Found::Value(&self.seen.named.json, None)),
            (Shape::Object(fields), Member::Column(column)) => match fields.get(column) {
                Some("null") => null(format!("{} is NULL", self.label()), None),
                Some(value) => Ok(Found::Value(value, None)),
                None => Ok(Found::Missing),
            },
            _ => Err(self.not_readable()),
        }
    }

    /// What the columns of the result are, if it is known.
    pub(super) fn columns(&self) -> Option<&'a Columns> {
        self.seen.named.columns.as_ref()
    }

    /// The error for a column that is not there.
    pub(super) fn missing(&self) -> Error {
        let fields = match &self.seen.shape {
            Shape::Object(fields) => Some(fields),
            _ => self.seen.first.as_ref(),
        };
        let available: Vec<_> = fields.into_iter().flat_map(Fields::iter).map(|(name, _)| name).collect();
        let Member::Column(column) = self.part else { return self.not_readable() };
        Error::MissingField(format!(
            "{}: result has no field '{column}' (available: {})",
            self.label(),
            available.join(", ")
        ))
    }

    fn not_readable(&self) -> Error {
        Error::Reference(format!("{}: result is neither a row set nor a JSON object", self.label()))
    }

    /// The rows of `$name.*`, as one JSON array and one by one.
    pub(super) fn rows(&self) -> Result<(&'a RawValue, &[&'a RawValue]), Error> {
        match &self.seen.shape {
            Shape::Rows(_, rows) if rows.len() > MAX_ROWS => Err(Error::TooManyRows(format!(
                "${}.* — result has {} rows, exceeding the maximum of {MAX_ROWS} for row-set expansion. \
                 Use pagination or intermediate tables for large result sets.",
                self.name,
                rows.len()
            ))),
            Shape::Rows(raw, rows) => Ok((raw, rows)),
            _ => Err(self.not_readable()),
        }
    }

    /// Without quotes: for HTTP.
    pub(super) fn raw(&self) -> Result<String, Error> {
        if self.part == Member::Rows {
            return self.rows().map(|(raw, _)| raw.get().to_owned());
        }
        match self.find()? {
            Found::Value(json, _) => Ok(plain(json)),
            Found::Null(_) => Ok("NULL".into()),
            Found::Missing => Err(self.missing()),
        }
    }
}
