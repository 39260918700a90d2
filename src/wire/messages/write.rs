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
use crate::error::{ErrorKind, GatewayError};
use crate::wire::Dialect;
use crate::wire::canonical::{Candidate, Part, Response};
use crate::wire::client::Reply;
use crate::wire::json::JsonWriter;

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
                json.field("id", call.id.as_ref());
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

/// The API's word for a failure. Source: platform.claude.com/docs/en/api/errors, read 2026-11.
pub fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::PayloadTooLarge => "request_too_large",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::NoHealthyTarget | ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::ProviderTimeout => "timeout_error",
        ErrorKind::ProviderAuthFailed
        | ErrorKind::ProviderError
        | ErrorKind::ProviderBadResponse
        | ErrorKind::Internal
        | ErrorKind::ClientLeft => "api_error",
        ErrorKind::InvalidRequest
        | ErrorKind::MethodNotAllowed
        | ErrorKind::RequestTimeout
        | ErrorKind::UnsupportedEncoding
        | ErrorKind::HeadersTooLarge => "invalid_request_error",
    }
}

/// Append an error body; `request_id` is a member of whole bodies, not of stream events.
pub fn error_body(error: &GatewayError, request_id: Option<&str>, out: &mut Vec<u8>) {
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        json.field("type", "error");
        json.key("error").object(|json| {
            json.field("type", error_type(error.kind));
            json.field("message", error.message.as_ref());
        });
        json.opt("request_id", request_id);
    });
    *out = json.finish();
}
