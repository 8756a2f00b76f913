//! What a cell becomes in JSON, by the OID of its type.
//!
//! | PostgreSQL | JSON |
//! |---|---|
//! | bool | true, false |
//! | int2, int4, float4, float8 | number (NaN and the infinities: string) |
//! | json, jsonb | as it is |
//! | arrays of built-in types | array of converted elements, bounds dropped |
//! | all others, int8 and numeric among them | string |
//!
//! int8 and numeric are strings because most JSON parsers read numbers as doubles, and a silently wrong number is worse than
//! a string. A domain is reported by the server with the OID of its base type. Types that users make have other OIDs and are
//! strings, arrays of them too.

use super::array;
use super::text::push_string;

/// Which of the two tables of types is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Every cell is a string of PostgreSQL's text output.
    Raw,
    /// By the table above.
    Typed,
}

/// How a cell is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// `t` or `f`.
    Bool,
    /// A number, unless it is none (NaN).
    Number,
    /// JSON already.
    Json,
    /// An array literal with this kind of element and this delimiter.
    Array(Element, u8),
}

/// The kinds of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// As [`Kind::Text`].
    Text,
    /// As [`Kind::Bool`].
    Bool,
    /// As [`Kind::Number`].
    Number,
    /// As [`Kind::Json`].
    Json,
}

impl Conversion {
    /// How cells of a type are written.
    pub(crate) fn kind(self, type_oid: u32) -> Kind {
        match self {
            Self::Raw => Kind::Text,
            Self::Typed => typed(type_oid),
        }
    }
}

fn typed(type_oid: u32) -> Kind {
    match type_oid {
        16 => Kind::Bool,
        21 | 23 | 700 | 701 => Kind::Number,
        114 | 3802 => Kind::Json,
        1000 => Kind::Array(Element::Bool, b','),
        1005 | 1007 | 1021 | 1022 => Kind::Array(Element::Number, b','),
        199 | 3807 => Kind::Array(Element::Json, b','),
        // box, alone, does not use the comma.
        1020 => Kind::Array(Element::Text, b';'),
        oid if TEXT_ARRAYS.binary_search(&oid).is_ok() => Kind::Array(Element::Text, b','),
        _ => Kind::Text,
    }
}

/// OIDs of the array types whose elements are strings in JSON, in order. (A test compares all with a server's catalog.)
const TEXT_ARRAYS: &[u32] = &[
    143, 271, 629, 651, 719, 775, 791, 1001, 1002, 1003, 1006, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    1015, 1016, 1017, 1018, 1019, 1027, 1028, 1034, 1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1263,
    1270, 1561, 1563, 2201, 2207, 2208, 2209, 2210, 2211, 2949, 2951, 3221, 3643, 3644, 3645, 3735, 3770,
    3905, 3907, 3909, 3911, 3913, 3927, 4073, 4090, 4097, 4192, 5039, 6150, 6151, 6152, 6153, 6155, 6157,
];

/// Appends a cell that is not NULL.
pub(crate) fn push_cell(out: &mut Vec<u8>, kind: Kind, cell: &str) {
    match kind {
        Kind::Text => push_string(out, cell),
        Kind::Bool => push_element(out, Element::Bool, cell),
        Kind::Number => push_element(out, Element::Number, cell),
        Kind::Json => push_element(out, Element::Json, cell),
        Kind::Array(element, delimiter) => {
            if !array::push(out, cell, element, delimiter) {
                push_string(out, cell);
            }
        }
    }
}

/// Appends a value that is not an array.
pub(crate) fn push_element(out: &mut Vec<u8>, element: Element, value: &str) {
    match element {
        Element::Bool => match value {
            "t" => out.extend_from_slice(b"true"),
            "f" => out.extend_from_slice(b"false"),
            _ => push_string(out, value),
        },
        Element::Number if is_number(value) => out.extend_from_slice(value.as_bytes()),
        Element::Text | Element::Number => push_string(out, value),
        Element::Json => push_json(out, value),
    }
}

/// Whether the output of a numeric type is a number of JSON. Not a full grammar: the server wrote it.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
}

/// `json` keeps the white space that it was written with; a line feed would break NDJSON. Inside its strings there are no
/// control characters, so that what is replaced is white space between tokens.
fn push_json(out: &mut Vec<u8>, value: &str) {
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(type_oid: u32, text: &str) -> String {
        let mut out = Vec::new();
        push_cell(&mut out, Conversion::Typed.kind(type_oid), text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_become_what_their_type_says() {
        let cells = [
            cell(16, "t"),
            cell(16, "f"),
            cell(23, "-42"),
            cell(701, "1e+20"),
            cell(701, "-0.5"),
            cell(701, "NaN"),
            cell(701, "-Infinity"),
            cell(20, "9007199254740993"),
            cell(1700, "1.10"),
            cell(25, "t"),
            cell(3802, r#"{"a": [1, null]}"#),
            cell(114, "{\n\"a\\n\":\r\n1}"),
            cell(17, "\\x6869"),
            cell(99_999, "{1,2}"),
        ];
        insta::assert_snapshot!(cells.join("\n"), @r#"
        true
        false
        -42
        1e+20
        -0.5
        "NaN"
        "-Infinity"
        "9007199254740993"
        "1.10"
        "t"
        {"a": [1, null]}
        { "a\n":  1}
        "\\x6869"
        "{1,2}"
        "#);
    }

    #[test]
    fn raw_output_is_always_text() {
        assert_eq!(Conversion::Raw.kind(16), Kind::Text);
        assert_eq!(Conversion::Raw.kind(1007), Kind::Text);
    }

    #[test]
    fn the_table_of_arrays_can_be_searched() {
        assert!(TEXT_ARRAYS.is_sorted());
    }
}
