//! OpenAI requests from OpenAI clients: the client's bytes, with `model` spliced and usage asked for.
//!
//! Unknown fields, key order, white space and number spelling survive because nothing is parsed and written again.

use super::super::{Body, EncodeOptions, Encoded};
use crate::wire::Call;
use crate::wire::json::Span;
use bytes::Bytes;

/// Bodies up to this size are assembled into one piece: copying them costs less than another write.
const ASSEMBLE_UP_TO: usize = 64 * 1024;

/// Splice the body.
pub fn encode(call: &Call, options: EncodeOptions<'_>) -> Encoded {
    let envelope = &call.envelope;
    let mut edits: Vec<(Span, String)> = Vec::with_capacity(2);
    if envelope.model != options.model {
        let literal = serde_json::to_string(options.model).unwrap_or_default();
        edits.push((envelope.model_at.clone(), literal));
    }
    let withhold_usage = envelope.stream && options.stream_usage && !envelope.include_usage;
    if withhold_usage {
        edits.push(ask_for_usage(call));
    }
    edits.sort_by_key(|(at, _)| at.start);
    Encoded {
        body: splice(&call.body, &edits),
        withhold_usage,
    }
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
        let call = Call::read(Operation::ChatCompletions, Bytes::from(body.to_owned()), 64).unwrap();
        let out = encode(&call, EncodeOptions { model, stream_usage });
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
        let call = Call::read(Operation::ChatCompletions, Bytes::from(body.clone()), 64).unwrap();
        let out = encode(
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
}
