//! A whole answer for a client, and errors in this dialect's form.
//!
//! ```json
//! {"id":"msg_…","type":"message","role":"assistant","model":"…","content":[blocks],"stop_reason":"end_turn",
//!  "stop_sequence":null,"usage":{…}}
//! {"type":"error","error":{"type":"invalid_request_error","message":"…"}}
//! ```
//! The API knows one answer only: of several candidates the first is written. Blocks have no place for media and for other
//! vendors' own parts: those are left out, except that of speech the words are kept.

use super::blocks::{
    Carried, carrier_signature, input, thinking_signature, write_redacted, write_text, write_thinking,
};
use super::{figures, stop};
use crate::error::GatewayError;
use crate::wire::Dialect;
use crate::wire::canonical::{Candidate, Part, Response};
use crate::wire::client::Reply;
use crate::wire::errors::anthropic_type;
use crate::wire::json::JsonWriter;
use std::borrow::Cow;

/// Append the answer.
pub fn message(response: &Response<'_>, reply: &Reply, out: &mut Vec<u8>) {
    let none = Candidate::default();
    let of_zero = response.candidates.iter().find(|candidate| candidate.index == 0);
    let candidate = of_zero.or(response.candidates.first()).unwrap_or(&none);
    let holds = stop::Holds {
        calls: candidate.parts.iter().any(|part| matches!(part, Part::ToolCall(_))),
        refusal: candidate.parts.iter().any(|part| matches!(part, Part::Refusal(_))),
    };
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        head(reply, json);
        json.key("content").array(|json| {
            for part in &candidate.parts {
                block(part, json);
            }
        });
        json.field("stop_reason", stop::word(candidate.finish.as_ref(), holds));
        json.or_null("stop_sequence", candidate.stop_sequence.as_deref());
        json.key("usage");
        figures::write(response.usage.as_ref(), response.service_tier.as_deref(), false, json);
    });
    *out = json.finish();
}

/// The members every message begins with.
pub fn head(reply: &Reply, json: &mut JsonWriter) {
    json.key("id");
    json.value(format!("msg_{}", reply.id));
    json.field("type", "message");
    json.field("role", "assistant");
    json.field("model", reply.model.as_str());
}

/// The blocks of a part: none, one, or two.
fn block(part: &Part<'_>, json: &mut JsonWriter) {
    match part {
        Part::Text {
            text,
            citations,
            signature,
            ..
        } => {
            write_text(text, citations, None, false, json);
            if let Some(signature) = signature {
                write_thinking("", &carrier_signature(signature, Carried::Text), json);
            }
        }
        Part::Refusal(text) => write_text(text, &[], None, false, json),
        Part::Media(media) => {
            if let Some(words) = &media.transcript {
                write_text(words, &[], None, false, json);
            }
        }
        Part::Thinking(thinking) => {
            let signature = thinking_signature(thinking.signature.as_ref(), thinking.id.as_deref());
            if thinking.redacted {
                write_redacted(&signature, json);
            } else {
                write_thinking(&thinking.text, &signature, json);
            }
        }
        Part::ToolCall(call) => {
            if let Some(signature) = &call.signature {
                write_thinking("", &carrier_signature(signature, Carried::Call), json);
            }
            json.object(|json| {
                json.field("type", "tool_use");
                json.field("id", call_id(&call.id));
                json.field("name", call.name.as_ref());
                json.raw_field("input", &input(call));
            });
        }
        Part::Opaque {
            dialect: Dialect::Anthropic,
            raw,
            ..
        } => json.raw(raw),
        Part::Opaque { .. } | Part::ToolResult(_) => {}
    }
}

/// The id of a call as this API's own service takes it back: letters, digits, `_` and `-`, 64 at most. Others are changed, the
/// same way every time: a conversation that goes on with a target of this API is passed to it as it is, ids and all.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) {
        return id.into();
    }
    // FNV-1a: two ids of one conversation must merely differ.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("toolu_{hash:016x}").into()
}

/// Append an error body; `request_id` is a member of whole bodies, not of stream events.
pub fn error_body(error: &GatewayError, request_id: Option<&str>, out: &mut Vec<u8>) {
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        json.field("type", "error");
        json.key("error").object(|json| {
            json.field("type", anthropic_type(error.kind));
            json.field("message", error.message.as_ref());
        });
        json.opt("request_id", request_id);
    });
    *out = json.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_this_api_s_form() {
        for fits in ["toolu_01", "call_a-b", &"x".repeat(64)] {
            assert_eq!(call_id(fits), fits);
        }
        for other in ["functions.add:0", "", "é", &"x".repeat(65)] {
            let made = call_id(other).into_owned();
            assert_eq!(made, call_id(other));
            assert!(made.starts_with("toolu_") && made.len() == 22, "{made}");
        }
        assert_ne!(call_id("functions.add:0"), call_id("functions.add:1"));
    }
}
