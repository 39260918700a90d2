//! Strings and containers of JSON that is known to be valid, by position; and what a string looks like.

use std::borrow::Cow;

/// Longest that an identifier is, in bytes: one of the longest, an item of Responses, has 64 or so.
const LONGEST_IDENTIFIER: usize = 256;

/// Where in a `data:` URL its data must have begun.
const LONGEST_MEDIA_TYPE: usize = 256;

/// Where a string ends, its closing quote included.
pub(super) fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Where an object or array ends, its bracket included.
pub(super) fn container_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0usize);
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' => string_end(bytes, at),
            _ => at + 1,
        };
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Where a number ends.
pub(super) fn number_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
    length.map_or(bytes.len(), |length| start + length)
}

/// Whether there is a number in an array, or in an array of it.
pub(super) fn holds_numbers(array: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = array.get(at) {
        at = match byte {
            b'"' => string_end(array, at),
            b'{' => container_end(array, at),
            b'-' | b'0'..=b'9' => return true,
            _ => at + 1,
        };
    }
    false
}

/// What a string reads; `quoted` is it with its quotes. An escape of half a character reads U+FFFD.
pub(super) fn read(quoted: &[u8]) -> Cow<'_, str> {
    let inside = inside(quoted);
    match simdutf8::basic::from_utf8(inside) {
        Ok(text) => resolved(text, true),
        Err(_) => String::from_utf8_lossy(inside),
    }
}

/// A string without its quotes, as it is written.
pub(super) fn inside(quoted: &[u8]) -> &[u8] {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}

/// Whether a string can be an identifier, or a word of an API.
pub(super) fn is_identifier(written: &[u8]) -> bool {
    let part = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/' | b'+' | b'=' | b'|' | b'*')
    };
    written.len() <= LONGEST_IDENTIFIER && written.iter().all(part)
}

/// Whether a string can be base64, of either alphabet, in lines or not; or a `data:` URL of it.
pub(super) fn is_base64(written: &[u8]) -> bool {
    let mut rest = data_of_url(written).unwrap_or(written);
    loop {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
        let Some(at) = rest.iter().position(|byte| !plain(byte)) else {
            return true;
        };
        rest = match rest.get(at..).unwrap_or_default() {
            // Some writers escape every slash.
            [b'\\', b'/' | b'n' | b'r', rest @ ..] => rest,
            _ => return false,
        };
    }
}

/// Whether it is a `data:` URL in base64.
pub(super) fn is_data_url(written: &[u8]) -> bool {
    data_of_url(written).is_some() && is_base64(written)
}

fn data_of_url(written: &[u8]) -> Option<&[u8]> {
    let rest = written.strip_prefix(b"data:")?;
    let mark = b";base64,";
    let at = memchr::memmem::find(rest.get(..LONGEST_MEDIA_TYPE).unwrap_or(rest), mark)?;
    rest.get(at + mark.len()..)
}

/// Escapes resolved: `all` of JSON, or only those of a character's number, for what is no JSON but may have been meant to be
/// (arguments that were cut off).
pub(super) fn resolved(text: &str, all: bool) -> Cow<'_, str> {
    let Some(mut at) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (character, length) = character(escape, all);
        out.push(character);
        rest = escape.get(length..).unwrap_or_default();
        match memchr::memchr(b'\\', rest.as_bytes()) {
            Some(next) => at = next,
            None => {
                out.push_str(rest);
                return Cow::Owned(out);
            }
        }
    }
}

/// What the escape that a text begins with stands for, and its length.
fn character(escape: &str, all: bool) -> (char, usize) {
    let letter = match escape.as_bytes().get(1) {
        Some(b'u') => {
            return match (unit(escape, 0), unit(escape, 6)) {
                (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
                    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    (char::from_u32(code).unwrap_or('\u{fffd}'), 12)
                }
                (Some(code), _) => (char::from_u32(code).unwrap_or('\u{fffd}'), 6),
                (None, _) => ('\\', 1),
            };
        }
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'"') => '"',
        Some(b'/') => '/',
        _ => '\\',
    };
    let known = escape
        .as_bytes()
        .get(1)
        .is_some_and(|byte| br#"bfnrt"/\"#.contains(byte));
    if all && known { (letter, 2) } else { ('\\', 1) }
}

/// The number in `\uXXXX` at `at`.
fn unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}
