//! What a Messages answer or stream event says in passing, for the same-dialect path: usage, an error, an ending.
//!
//! ```json
//! {"type":"message","stop_reason":"end_turn","usage":{…}}                     a whole answer
//! {"type":"message_start","message":{"usage":{…}, …}}                         input figures
//! {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{…}}     cumulative figures
//! {"type":"message_stop"}                                                     the end marker
//! {"type":"error","error":{"type":"overloaded_error","message":"…"}}
//! ```
//! Builds no tree: positions by [`scan_object`], and only small spans are read. The figures of a stream come in pieces;
//! whoever follows it merges them ([`crate::units::Usage::merge`]).

use super::figures::Figures;
use crate::wire::json::{JsonError, Kind, Node, Span, scan_object};
use crate::wire::usage::Facts;

/// Depth at which a usage object is read: it holds objects of figures only.
const USAGE_DEPTH: usize = 8;

/// Read one document, checking that it is JSON.
pub fn facts(document: &[u8], max_depth: usize) -> Result<Facts, JsonError> {
    let mut facts = Facts::default();
    let (mut usage, mut message, mut delta): (Option<Span>, Option<Span>, Option<Span>) = (None, None, None);
    scan_object(document, max_depth, |member| match member.kind {
        Kind::String => {
            if member.is("type") {
                match document.get(member.value) {
                    Some(b"\"message_stop\"") => facts.done = true,
                    Some(b"\"error\"") => facts.error = true,
                    _ => {}
                }
            } else if member.is("stop_reason") {
                facts.finished = true;
            }
        }
        Kind::Object => {
            if member.is("delta") {
                delta = Some(member.value);
            } else if member.is("usage") {
                usage = Some(member.value);
            } else if member.is("message") {
                message = Some(member.value);
            } else if member.value.len() > 2 && member.is("error") {
                facts.error = true;
            }
        }
        _ => {}
    })?;
    let part = |span: Option<Span>| span.and_then(|at| document.get(at));
    if let (true, Some(delta)) = (usage.is_some(), part(delta)) {
        // Only `message_delta` has both; a text delta is not looked into.
        scan_object(delta, max_depth, |member| {
            facts.finished |= member.kind == Kind::String && member.is("stop_reason");
        })?;
    }
    let mut nested: Option<&[u8]> = None;
    if let Some(message) = part(message) {
        scan_object(message, max_depth, |member| {
            if member.kind == Kind::Object && member.is("usage") {
                nested = message.get(member.value);
            }
        })?;
    }
    if let Some(usage) = part(usage).or(nested) {
        facts.has_usage = true;
        facts.usage = Node::parse(usage, USAGE_DEPTH).ok().and_then(|usage| {
            let mut figures = Figures::default();
            figures.take(&usage);
            figures.usage()
        });
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Usage;

    fn of(text: &str) -> Facts {
        facts(text.as_bytes(), 64).unwrap()
    }

    #[test]
    fn each_event_says_what_it_carries() {
        let start = of(
            r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":4,"cache_read_input_tokens":6,"output_tokens":1}}}"#,
        );
        assert_eq!(start.usage.map(|u| (u.input, u.output, u.cached)), Some((10, 1, 6)));
        let delta = of(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#);
        assert!(delta.finished && !delta.done && delta.has_usage);
        let mut both = start.usage.unwrap();
        both.merge(&delta.usage.unwrap());
        assert_eq!((both.input, both.output), (10, 9));
        let still = of(r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":9}}"#);
        assert!(!still.finished);
        assert!(of(r#"{"type":"message_stop"}"#).done);
        assert!(of(r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#).error);
        assert!(facts(b"<html>", 8).is_err());
    }

    #[test]
    fn text_cannot_fake_facts() {
        let fake = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"{\"usage\":{},\"type\":\"message_stop\"}"}}"#;
        assert_eq!(of(fake), Facts::default());
    }

    #[test]
    fn a_whole_answer_has_usage_and_an_end() {
        let whole = of(
            r#"{"type":"message","content":[],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}"#,
        );
        assert!(whole.finished && !whole.error);
        assert_eq!(
            whole.usage,
            Some(Usage {
                input: 1,
                output: 2,
                ..Usage::default()
            })
        );
        assert!(of(r#"{"usage":{"x":1}}"#).has_usage);
    }
}
