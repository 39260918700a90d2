//! Error bodies, in the client's dialect. The only file that writes error JSON.
//!
//! OpenAI: `{"error":{"message":…,"type":…,"param":…,"code":…}}`, always all four keys.
//! Source: OpenAI API reference, "Error codes", read 2026-11.

use super::Dialect;
use crate::error::GatewayError;
use bytes::Bytes;
use serde::Serialize;

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// The body of an error response.
pub fn body(dialect: Dialect, error: &GatewayError) -> Bytes {
    match dialect {
        Dialect::OpenAi => render(
            &error.message,
            error.kind.openai_type(),
            error.param.as_deref(),
            error.error_code(),
        ),
    }
}

/// The event that ends a stream which failed after its first bytes were sent. No end marker follows it.
pub fn event(dialect: Dialect, error: &GatewayError) -> Bytes {
    let body = body(dialect, error);
    let mut event = Vec::with_capacity(body.len() + 8);
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(&body);
    event.extend_from_slice(b"\n\n");
    event.into()
}

fn render(message: &str, r#type: &str, param: Option<&str>, code: Option<&str>) -> Bytes {
    let body = OpenAiBody {
        error: OpenAiError {
            message,
            r#type,
            param,
            code,
        },
    };
    serde_json::to_vec(&body).map(Bytes::from).unwrap_or_else(|_| {
        Bytes::from_static(
            br#"{"error":{"message":"internal error","type":"internal_error","param":null,"code":null}}"#,
        )
    })
}

/// Whether an upstream's error body may be passed on as it is: a JSON object whose `error` is an object with a text
/// `message`. Anything else (HTML, a stack trace, another vendor's shape) is never shown.
pub fn is_presentable(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: Inner<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        message: std::borrow::Cow<'a, str>,
    }
    serde_json::from_slice::<Body<'_>>(body).is_ok_and(|b| !b.error.message.is_empty())
}

/// The text of an error body of another shape (`{"message":…}`, `{"detail":…}`, `{"error":"…"}`), for re-rendering.
pub fn foreign_message(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = ["message", "detail", "error"]
        .iter()
        .find_map(|key| value.get(key)?.as_str())?;
    (!text.is_empty()).then(|| text.chars().take(1000).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::time::Duration;

    const KINDS: [ErrorKind; 18] = [
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
            let value: serde_json::Value = serde_json::from_slice(&body(Dialect::OpenAi, &error)).unwrap();
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
        assert!(is_presentable(br#"{"error":{"message":"no such model","type":"x"}}"#));
        for body in [
            &b"<html>"[..],
            br#"{"error":"text"}"#,
            br#"{"message":"m"}"#,
            br#"{"error":{"message":3}}"#,
            b"",
        ] {
            assert!(!is_presentable(body));
        }
        assert_eq!(foreign_message(br#"{"detail":"bad"}"#).as_deref(), Some("bad"));
        assert_eq!(foreign_message(br#"{"error":"text"}"#).as_deref(), Some("text"));
        assert_eq!(foreign_message(b"<html>"), None);
    }
}
