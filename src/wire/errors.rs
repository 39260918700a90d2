//! Error bodies, in the client's dialect. The only file that writes error JSON (in-band errors of translated streams are the
//! dialects' own writers').
//!
//! ```text
//! OpenAI, Responses  {"error":{"message":…,"type":…,"param":…,"code":…}}                 always all four keys
//! Anthropic          {"type":"error","error":{"type":…,"message":…},"request_id":…}
//! Gemini             {"error":{"code":400,"message":…,"status":"INVALID_ARGUMENT"}}
//! Cohere             {"message":…}
//! ```
//! Sources, read 2026-11: OpenAI API reference "Error codes"; Anthropic API reference "Errors"; Gemini API
//! "Troubleshooting" and google.rpc.Status; Cohere API reference "Errors".

use super::Dialect;
use super::json::{JsonWriter, Node};
use crate::error::{ErrorKind, GatewayError};
use bytes::Bytes;

/// The body of an error response.
pub fn body(dialect: Dialect, error: &GatewayError, request_id: &str) -> Bytes {
    let mut json = JsonWriter::new();
    write(dialect, error, request_id, &mut json);
    json.finish().into()
}

fn write(dialect: Dialect, error: &GatewayError, request_id: &str, json: &mut JsonWriter) {
    let message = error.message.as_ref();
    json.object(|json| match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Bedrock => json.key("error").object(|json| {
            json.field("message", message);
            json.field("type", error.kind.openai_type());
            json.or_null("param", error.param.as_deref());
            json.or_null("code", error.error_code());
        }),
        Dialect::Anthropic => {
            json.field("type", "error");
            json.key("error").object(|json| {
                json.field("type", anthropic_type(error.kind));
                json.field("message", message);
            });
            json.field("request_id", request_id);
        }
        Dialect::Gemini => json.key("error").object(|json| {
            json.field("code", u64::from(error.kind.status().as_u16()));
            json.field("message", message);
            json.field("status", google_status(error.kind));
        }),
        Dialect::Cohere => json.field("message", message),
    });
}

/// Anthropic's `error.type`.
pub fn anthropic_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::PayloadTooLarge | ErrorKind::HeadersTooLarge => "request_too_large",
        ErrorKind::RateLimited | ErrorKind::BudgetExceeded => "rate_limit_error",
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
        | ErrorKind::UnsupportedEncoding => "invalid_request_error",
    }
}

/// Google's `error.status`.
pub fn google_status(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthenticated => "UNAUTHENTICATED",
        ErrorKind::Forbidden => "PERMISSION_DENIED",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::RateLimited | ErrorKind::BudgetExceeded => "RESOURCE_EXHAUSTED",
        ErrorKind::ProviderTimeout | ErrorKind::RequestTimeout => "DEADLINE_EXCEEDED",
        ErrorKind::NoHealthyTarget
        | ErrorKind::Overloaded
        | ErrorKind::ProviderAuthFailed
        | ErrorKind::ProviderError
        | ErrorKind::ProviderBadResponse => "UNAVAILABLE",
        ErrorKind::Internal | ErrorKind::ClientLeft => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// What ends a same-dialect stream that failed after its first bytes were sent. No end marker follows it.
pub fn event(dialect: Dialect, error: &GatewayError, request_id: &str) -> Bytes {
    let mut out = Vec::with_capacity(256);
    if dialect == Dialect::Responses {
        // This API has an ending for it, so clients need not know another one.
        out.extend_from_slice(b"event: response.failed\ndata: ");
        let mut json = JsonWriter::over(out);
        json.object(|json| {
            json.field("type", "response.failed");
            json.key("response").object(|json| {
                json.field("id", format!("resp_{request_id}"));
                json.field("object", "response");
                json.field("status", "failed");
                json.key("error").object(|json| {
                    json.field("code", error.error_code().unwrap_or("server_error"));
                    json.field("message", error.message.as_ref());
                });
                json.key("output").array(|_| ());
            });
        });
        out = json.finish();
        out.extend_from_slice(b"\n\n");
        return out.into();
    }
    if dialect == Dialect::Anthropic {
        out.extend_from_slice(b"event: error\n");
    }
    out.extend_from_slice(b"data: ");
    let mut json = JsonWriter::over(out);
    write(dialect, error, request_id, &mut json);
    out = json.finish();
    out.extend_from_slice(if dialect == Dialect::Gemini {
        b"\r\n\r\n"
    } else {
        b"\n\n"
    });
    out.into()
}

/// How deep error bodies are read.
const DEPTH: usize = 16;

/// Whether an upstream's error body may be passed on as it is to a client of this dialect: its shape with a text in it.
/// Anything else (HTML, a stack trace, another vendor's shape) is never shown.
pub fn is_presentable(dialect: Dialect, body: &[u8]) -> bool {
    let Ok(node) = Node::parse(body, DEPTH) else {
        return false;
    };
    let text = |node: &Node<'_>| node.get_str("message").is_some_and(|text| !text.is_empty());
    match dialect {
        Dialect::Cohere => text(&node),
        Dialect::Anthropic => node.get_str("type") == Some("error") && node.get("error").is_some_and(text),
        _ => node.get("error").is_some_and(text),
    }
}

/// The text of an error body of any shape, for writing it again in the client's: `{"error":{"message"}}`, `{"message"}`,
/// `{"detail"}` (text or a list of `{"msg"}`), `{"error":"…"}`, `{"Message"}`, or the first element of a list of those.
pub fn foreign_message(body: &[u8]) -> Option<String> {
    let node = Node::parse(body, DEPTH).ok()?;
    let node = node.as_array().and_then(<[Node<'_>]>::first).unwrap_or(&node);
    let error = node.get("error");
    let inner = error.and_then(|error| error.get_str("message").or_else(|| error.as_str()));
    let text = inner
        .or_else(|| node.get_str("message"))
        .or_else(|| node.get_str("Message"))
        .or_else(|| node.get_str("detail"))
        .or_else(|| node.get("message")?.get_str("detail"))
        .or_else(|| node.get("detail")?.as_array()?.first()?.get_str("msg"))?;
    (!text.is_empty()).then(|| {
        text.chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .take(1000)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::time::Duration;

    const KINDS: [ErrorKind; 19] = [
        ErrorKind::InvalidRequest,
        ErrorKind::Unauthenticated,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::MethodNotAllowed,
        ErrorKind::RequestTimeout,
        ErrorKind::PayloadTooLarge,
        ErrorKind::UnsupportedEncoding,
        ErrorKind::HeadersTooLarge,
        ErrorKind::RateLimited,
        ErrorKind::BudgetExceeded,
        ErrorKind::ProviderAuthFailed,
        ErrorKind::ProviderError,
        ErrorKind::ProviderBadResponse,
        ErrorKind::NoHealthyTarget,
        ErrorKind::Overloaded,
        ErrorKind::ProviderTimeout,
        ErrorKind::Internal,
        ErrorKind::ClientLeft,
    ];

    #[test]
    fn every_error_has_all_four_keys_and_shows_nothing_internal() {
        for kind in KINDS {
            let error = GatewayError::new(kind, "what \"went\" wrong\n")
                .because("SECRET")
                .retry_after(Duration::from_secs(1));
            for dialect in Dialect::ALL {
                let text = String::from_utf8(body(dialect, &error, "r1").to_vec()).unwrap();
                assert!(!text.contains("SECRET"));
                assert!(is_presentable(dialect, text.as_bytes()), "{text}");
                assert_eq!(
                    foreign_message(text.as_bytes()).as_deref(),
                    Some("what \"went\" wrong\n")
                );
                assert!(event(dialect, &error, "r1").ends_with(b"\n"));
            }
            let value: serde_json::Value = serde_json::from_slice(&body(Dialect::OpenAi, &error, "")).unwrap();
            let object = value["error"].as_object().unwrap();
            let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(keys, ["code", "message", "param", "type"], "{kind:?}");
            assert!(!value.to_string().contains("SECRET"));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
    }

    #[test]
    fn only_openai_shaped_bodies_are_presentable() {
        assert!(is_presentable(
            Dialect::OpenAi,
            br#"{"error":{"message":"no such model","type":"x"}}"#
        ));
        for body in [
            &b"<html>"[..],
            br#"{"error":"text"}"#,
            br#"{"message":"m"}"#,
            br#"{"error":{"message":3}}"#,
            b"",
        ] {
            assert!(!is_presentable(Dialect::OpenAi, body));
        }
        assert_eq!(foreign_message(br#"{"detail":"bad"}"#).as_deref(), Some("bad"));
        assert_eq!(foreign_message(br#"{"error":"text"}"#).as_deref(), Some("text"));
        assert_eq!(foreign_message(b"<html>"), None);
        for (body, text) in [
            (&br#"[{"error":{"message":"gemini"}}]"#[..], "gemini"),
            (br#"{"detail":[{"msg":"mistral"}]}"#, "mistral"),
            (br#"{"Message":"aws"}"#, "aws"),
        ] {
            assert_eq!(foreign_message(body).as_deref(), Some(text));
        }
    }
}
