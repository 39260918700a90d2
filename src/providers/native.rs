//! Native calls: the client speaks the API that answers, so its bytes pass, and only what must differ is spliced.
//!
//! Unknown fields, key order, white space and number spelling survive because nothing is parsed and written again. What
//! differs: `model`, and on OpenAI's streams `stream_options.include_usage` when the client did not ask for usage.

use super::Body;
use crate::wire::json::Span;
use crate::wire::{Call, Dialect};
use bytes::Bytes;

/// Bodies up to this size are assembled into one piece: copying them costs less than another write.
const ASSEMBLE_UP_TO: usize = 64 * 1024;

/// What is spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Native {
    /// `model`, and usage on streams.
    OpenAi,
    /// `model`.
    Model,
    /// Nothing: the model is in the path (Gemini).
    Unchanged,
    /// `model` gives way to `anthropic_version` (Claude on Vertex, where the model is in the path).
    VertexClaude,
}

/// What to send for a call, and what to know about its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Body,
    /// The gateway, not the client, asked for the usage chunk of this stream: it must not reach the client.
    pub withhold_usage: bool,
}

/// How a call is to be spliced for one target.
#[derive(Debug, Clone, Copy)]
pub struct EncodeOptions<'a> {
    /// The target's own name of the model.
    pub model: &'a str,
    /// Ask for usage on streams.
    pub stream_usage: bool,
}

/// Text that only this gateway writes, into conversations that another vendor answered before: what carries it must be
/// translated, so that every part reaches its own vendor or none. In base64 too, for Gemini's signatures.
const WRAPPED: [&[u8]; 2] = [b"\"cirque:", b"\"Y2lycXVlO"];

/// Whether a body holds reasoning of another vendor.
pub fn holds_foreign_parts(body: &[u8]) -> bool {
    WRAPPED.iter().any(|mark| memchr::memmem::find(body, mark).is_some())
}

/// Splice the body.
pub fn encode(native: Native, call: &Call, options: EncodeOptions<'_>) -> Encoded {
    let envelope = &call.envelope;
    let mut edits: Vec<(Span, String)> = Vec::with_capacity(2);
    match native {
        Native::Unchanged => {}
        Native::VertexClaude => edits.extend(version_for_model(call)),
        Native::OpenAi | Native::Model if envelope.model != options.model && !envelope.in_path => {
            let literal = serde_json::to_string(options.model).unwrap_or_default();
            edits.push((envelope.model_at.clone(), literal));
        }
        Native::OpenAi | Native::Model => {}
    }
    let withhold_usage = native == Native::OpenAi
        && call.dialect == Dialect::OpenAi
        && envelope.stream
        && options.stream_usage
        && !envelope.include_usage;
    if withhold_usage {
        edits.push(ask_for_usage(call));
    }
    edits.sort_by_key(|(at, _)| at.start);
    Encoded {
        body: splice(&call.body, &edits),
        withhold_usage,
    }
}

/// The member `"model": …` as a whole, to be replaced by the version that Vertex wants instead.
fn version_for_model(call: &Call) -> Option<(Span, String)> {
    const KEY: &[u8] = b"\"model\"";
    let at = &call.envelope.model_at;
    let before = call
        .body
        .get(..at.start)?
        .trim_ascii_end()
        .strip_suffix(b":")?
        .trim_ascii_end();
    let key = before.strip_suffix(KEY)?.len();
    Some((key..at.end, "\"anthropic_version\":\"vertex-2023-10-16\"".to_owned()))
}

/// Whether Vertex's splice can be made: the member is spelled plainly, and the version is not given already.
pub fn can_be_vertex(call: &Call) -> bool {
    version_for_model(call).is_some() && memchr::memmem::find(&call.body, b"\"anthropic_version\"").is_none()
}

/// The smallest edit that makes `stream_options.include_usage` true.
fn ask_for_usage(call: &Call) -> (Span, String) {
    let envelope = &call.envelope;
    if let Some(at) = &envelope.include_usage_at {
        return (at.clone(), "true".to_owned());
    }
    match &envelope.stream_options_at {
        Some(at) if call.body.get(at.start) == Some(&b'{') => {
            let comma = if envelope.stream_options_filled { "," } else { "" };
            (at.start + 1..at.start + 1, format!("\"include_usage\":true{comma}"))
        }
        Some(at) => (at.clone(), "{\"include_usage\":true}".to_owned()),
        None => {
            let after_brace = envelope.brace_at + 1;
            (
                after_brace..after_brace,
                "\"stream_options\":{\"include_usage\":true},".to_owned(),
            )
        }
    }
}

fn splice(body: &Bytes, edits: &[(Span, String)]) -> Body {
    if edits.is_empty() {
        return Body::whole(body.clone());
    }
    let mut spliced = Body::default();
    let mut at = 0;
    for (span, text) in edits {
        spliced.push(body.slice(at..span.start));
        spliced.push(Bytes::copy_from_slice(text.as_bytes()));
        at = span.end;
    }
    spliced.push(body.slice(at..));
    if spliced.len() <= ASSEMBLE_UP_TO {
        Body::whole(spliced.concat())
    } else {
        spliced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Operation;

    fn encoded(body: &str, model: &str, stream_usage: bool) -> (String, bool) {
        let call = Call::read(Operation::Chat, Bytes::from(body.to_owned()), 64).unwrap();
        let out = encode(Native::OpenAi, &call, EncodeOptions { model, stream_usage });
        (
            String::from_utf8(out.body.concat().to_vec()).unwrap(),
            out.withhold_usage,
        )
    }

    #[test]
    fn only_the_model_changes() {
        let body = r#"{ "x_unknown":1.0e2, "model" : "pub\u006cic", "messages":[{"content":"model"}] }"#;
        let (out, withhold) = encoded(body, "up/str\"eam", true);
        assert_eq!(
            out,
            r#"{ "x_unknown":1.0e2, "model" : "up/str\"eam", "messages":[{"content":"model"}] }"#
        );
        assert!(!withhold);
        assert_eq!(encoded(body, "public", true).0, body, "same name: same bytes");
    }

    #[test]
    fn usage_is_asked_for_where_the_client_did_not() {
        for (body, expected) in [
            (
                r#"{"model":"a","stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"model":"b","stream":true}"#,
            ),
            (
                r#"{"model":"a","stream":true,"stream_options":null}"#,
                r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"model":"a","stream":true,"stream_options":{}}"#,
                r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"stream_options":{"x":1},"model":"a","stream":true}"#,
                r#"{"stream_options":{"include_usage":true,"x":1},"model":"b","stream":true}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":false},"model":"a","stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"model":"b","stream":true}"#,
            ),
        ] {
            assert_eq!(encoded(body, "b", true), (expected.to_owned(), true));
        }
        let asked = r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#;
        assert_eq!(encoded(asked, "b", true), (asked.to_owned(), false));
        let plain = r#"{"model":"b","stream":true}"#;
        assert_eq!(encoded(plain, "b", false), (plain.to_owned(), false));
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let body = format!(r#"{{"model":"a","messages":"{}"}}"#, "x".repeat(ASSEMBLE_UP_TO));
        let call = Call::read(Operation::Chat, Bytes::from(body.clone()), 64).unwrap();
        let out = encode(
            Native::OpenAi,
            &call,
            EncodeOptions {
                model: "bb",
                stream_usage: true,
            },
        );
        assert_eq!(out.body.pieces().len(), 3);
        assert_eq!(out.body.len(), body.len() + 1);
        assert_eq!(out.body.concat(), body.replace("\"a\"", "\"bb\""));
    }

    #[test]
    fn vertex_has_a_version_where_the_model_was() {
        let body = r#"{"max_tokens":1, "model" : "a","messages":[]}"#;
        let call = Call::read_as(Operation::Chat, Dialect::Anthropic, Bytes::from(body), 64).unwrap();
        assert!(can_be_vertex(&call));
        let options = EncodeOptions {
            model: "claude",
            stream_usage: true,
        };
        assert_eq!(
            encode(Native::VertexClaude, &call, options).body.concat(),
            r#"{"max_tokens":1, "anthropic_version":"vertex-2023-10-16","messages":[]}"#
        );
    }

    #[test]
    fn other_dialects_are_not_asked_for_usage() {
        let body = r#"{"model":"a","stream":true}"#;
        let call = Call::read_as(Operation::Chat, Dialect::Anthropic, Bytes::from(body), 64).unwrap();
        let options = EncodeOptions {
            model: "a",
            stream_usage: true,
        };
        let out = encode(Native::Model, &call, options);
        assert_eq!((out.body.concat(), out.withhold_usage), (Bytes::from(body), false));
    }

    #[test]
    fn foreign_parts_are_seen() {
        assert!(holds_foreign_parts(br#"{"signature":"cirque:gemini:x"}"#));
        assert!(!holds_foreign_parts(br#"{"content":"a cirque: a bowl"}"#));
    }
}
