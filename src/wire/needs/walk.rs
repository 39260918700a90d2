//! The walk through what was said, part by part.
//!
//! The bytes are known to be JSON. Only containers on the way to parts are entered; the others are skipped by counting
//! brackets.

use super::super::Dialect;
use super::{Needs, Seen};

/// Content lies no deeper than this; below, nothing is looked for.
const DEEPEST: usize = 64;

/// A string shorter than this is not media.
const SHORTEST_MEDIA: usize = 256;

/// The members that lead to parts, and to their media.
const WAYS: [&[u8]; 14] = [
    b"content",
    b"parts",
    b"output",
    b"image_url",
    b"input_audio",
    b"file",
    b"source",
    b"inlineData",
    b"inline_data",
    b"fileData",
    b"file_data",
    b"functionResponse",
    b"image",
    b"document",
];

/// The members that hold media.
const MEDIA: [&[u8]; 5] = [b"data", b"url", b"image_url", b"file_data", b"bytes"];

pub(super) fn walk(value: &[u8], dialect: Dialect, seen: &mut Seen) {
    // A bit for each open container: set = object.
    let (mut open, mut depth): (u64, usize) = (0, 0);
    let mut key: Option<&[u8]> = None;
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match byte {
            b'"' => {
                let end = string_end(value, at);
                let text = value.get(at + 1..end - 1).unwrap_or_default();
                at = end;
                if open & 1 == 1 && key.is_none() {
                    key = Some(text);
                } else if let Some(name) = key {
                    string(name, text, dialect, seen);
                }
            }
            b'{' | b'[' => {
                let enter = key.is_none_or(|key| WAYS.contains(&key)) && depth < DEEPEST;
                if enter {
                    open = open << 1 | u64::from(byte == b'{');
                    depth += 1;
                    key = None;
                    at += 1;
                } else {
                    at = container_end(value, at);
                }
            }
            b'}' | b']' => {
                open >>= 1;
                depth = depth.saturating_sub(1);
                key = None;
                at += 1;
            }
            b',' => {
                key = None;
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Where a string ends, its closing quote included. Quotes are looked for and not escapes, of which text has many more: one
/// that an odd number of backslashes stands before is part of the string.
fn string_end(value: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = value.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
        let before = value.get(start + 1..at + found).unwrap_or_default();
        let escapes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        at += found + 1;
        if escapes.is_multiple_of(2) {
            return at;
        }
    }
    value.len().max(start + 2)
}

fn container_end(value: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0usize);
    while let Some(&byte) = value.get(at) {
        at = match byte {
            b'"' => string_end(value, at),
            _ => at + 1,
        };
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    value.len()
}

/// A string member of a part or of its media.
fn string(name: &[u8], text: &[u8], dialect: Dialect, seen: &mut Seen) {
    match name {
        b"type" => kind(text, dialect, &mut seen.needs),
        b"mimeType" | b"mime_type" if dialect == Dialect::Gemini => mime(text, &mut seen.needs),
        _ if text.len() >= SHORTEST_MEDIA && MEDIA.contains(&name) => seen.media_bytes += text.len(),
        _ => {}
    }
}

fn kind(text: &[u8], dialect: Dialect, needs: &mut Needs) {
    match (dialect, text) {
        (Dialect::OpenAi | Dialect::Cohere, b"image_url" | b"video_url")
        | (Dialect::Responses, b"input_image")
        | (Dialect::Anthropic, b"image") => needs.vision = true,
        (Dialect::OpenAi | Dialect::Responses, b"input_audio") | (Dialect::OpenAi, b"audio_url") => needs.audio = true,
        (Dialect::OpenAi, b"file") | (Dialect::Responses, b"input_file") | (Dialect::Anthropic, b"document") => {
            needs.files = true;
        }
        _ => {}
    }
}

fn mime(text: &[u8], needs: &mut Needs) {
    if text.starts_with(b"image/") || text.starts_with(b"video/") {
        needs.vision = true;
    } else if text.starts_with(b"audio/") {
        needs.audio = true;
    } else {
        needs.files = true;
    }
}

#[cfg(test)]
mod tests {
    use super::string_end;

    /// The plain way: byte by byte.
    fn plainly(bytes: &[u8]) -> usize {
        let mut at = 1;
        while at < bytes.len() && bytes[at] != b'"' {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        if at < bytes.len() { at + 1 } else { bytes.len().max(2) }
    }

    proptest::proptest! {
        #[test]
        fn a_string_ends_at_the_quote_that_is_not_escaped(text in r#"[a"\\\\]{0,40}"#) {
            let text = format!("\"{text}");
            proptest::prop_assert_eq!(string_end(text.as_bytes(), 0), plainly(text.as_bytes()));
        }
    }
}
