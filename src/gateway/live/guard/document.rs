//! Calls and opaque blocks: JSON whose strings are judged as what they say, however they are escaped.
//!
//! Keys and long numbers count as texts too. What is no JSON (a call that was cut short, free text of a custom tool) is judged as
//! the text it is, its escapes resolved.

use crate::guardrails::Judge;
use crate::wire::canonical::ToolCallKind;
use crate::wire::json::{DEPTH_CAP, escape_into, scan_value};

/// Numbers that have fewer letters say nothing about anybody.
const SHORT: usize = 7;

/// What a call is given, as it may pass, if it must change.
pub(super) fn arguments(judge: &mut Judge, kind: ToolCallKind, text: &str) -> Option<String> {
    match kind {
        ToolCallKind::Function => judged(judge, text),
        ToolCallKind::Custom => judge.text(text),
    }
}

/// A document as it may pass, if it must change.
pub(super) fn judged(judge: &mut Judge, text: &str) -> Option<String> {
    if scan_value(text.as_bytes(), DEPTH_CAP).is_ok() {
        return document(judge, text);
    }
    match plain(text) {
        Some(plain) => judge.text(&plain),
        None => judge.text(text),
    }
}

fn document(judge: &mut Judge, text: &str) -> Option<String> {
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b'"' => string_end(bytes, at + 1),
            b'-' | b'0'..=b'9' => scalar_end(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        let written = text.get(at..end).unwrap_or_default();
        let judged = if byte == b'"' {
            let said = serde_json::from_str::<String>(written).ok();
            // Half a pair of surrogates is JSON, and no text.
            let said = said.or_else(|| plain(written.trim_matches('"')));
            judge.text(said.as_deref().unwrap_or(written))
        } else if written.len() >= SHORT {
            judge.text(written)
        } else {
            None
        };
        if judge.blocked().is_some() {
            return None;
        }
        if let Some(judged) = judged {
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
            out.push(b'"');
            escape_into(&judged, out);
            out.push(b'"');
            copied = end;
        }
        at = end;
    }
    let mut out = out?;
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    String::from_utf8(out).ok()
}

/// Behind the closing quote.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

fn scalar_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    at + rest.iter().take_while(|byte| is_part(byte)).count()
}

/// Broken JSON with its escapes resolved, if it has any.
fn plain(text: &str) -> Option<String> {
    let mut rest = text;
    let mut out = String::new();
    while let Some((head, tail)) = rest.split_once('\\') {
        out.push_str(head);
        let mut letters = tail.chars();
        let (said, length) = match letters.next() {
            Some('u') => unit(tail).unwrap_or(('\\', 0)),
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('b') => ('\u{8}', 1),
            Some('f') => ('\u{c}', 1),
            Some(letter @ ('"' | '\\' | '/')) => (letter, 1),
            _ => ('\\', 0),
        };
        out.push(said);
        rest = tail.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    (rest.len() < text.len()).then_some(out)
}

/// `uXXXX` at the beginning, a pair of surrogates included, and its bytes.
fn unit(text: &str) -> Option<(char, usize)> {
    let hex = |from: usize| u32::from_str_radix(text.get(from..from + 4)?, 16).ok();
    let first = hex(1)?;
    if let (0xd800..=0xdbff, Some("\\u")) = (first, text.get(5..7))
        && let Some(second @ 0xdc00..=0xdfff) = hex(7)
    {
        let both = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return Some((char::from_u32(both)?, 11));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5))
}
