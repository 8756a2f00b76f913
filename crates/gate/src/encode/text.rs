//! JSON strings.
//!
//! Text from a database is mostly plain: eight bytes at a time are looked at, and copied, until one needs an escape.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (plain, tail) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let Some((&special, after)) = tail.split_first() else { break };
        push_escape(out, special);
        rest = after;
    }
    out.push(b'"');
}

/// How many bytes at the start need no escape.
fn plain_length(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (LOW * 0x22);
        let backslash = word ^ (LOW * 0x5C);
        // The high bit of a byte is set where it is below 0x20, zero after the first XOR, or zero after the second. Borrows
        // can set it wrongly only above a byte where it is right, and the lowest one counts.
        let special = ((word.wrapping_sub(LOW * 0x20) & !word)
            | (quote.wrapping_sub(LOW) & !quote)
            | (backslash.wrapping_sub(LOW) & !backslash))
            & HIGH;
        if special != 0 {
            return index * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let start = words.len() * 8;
    start + tail.iter().position(|&byte| needs_escape(byte)).unwrap_or(tail.len())
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0C => out.extend_from_slice(b"\\f"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

/// Appends `text` as a JSON string, or `null`.
pub(crate) fn push_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends an integer.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_json_forbids_is_escaped() {
        insta::assert_snapshot!(encoded("a\"b\\c\nd\re\tf\u{8}g\u{c}h\u{1}i\u{1f}é😀"), @r#""a\"b\\c\nd\re\tf\bg\fh\u0001i\u001fé😀""#);
        assert_eq!(encoded(""), r#""""#);
    }

    #[test]
    fn every_byte_is_handled_at_every_place_of_a_word() {
        for code in 0..=0xFF_u32 {
            let special = char::from_u32(code).unwrap();
            for before in 0..18 {
                let text = format!("{}{special}{}", "x".repeat(before), "y".repeat(11));
                assert_eq!(serde_json::from_str::<String>(&encoded(&text)).unwrap(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_equal(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&encoded(&text)).unwrap(), text);
        }

        #[test]
        fn any_text_of_controls_and_quotes_comes_back_equal(text in "[\\x00-\\x7fé😀\"\\\\]{0,60}") {
            prop_assert_eq!(serde_json::from_str::<String>(&encoded(&text)).unwrap(), text);
        }
    }
}
