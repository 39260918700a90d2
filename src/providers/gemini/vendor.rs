//! Google AI Studio as a vendor: addresses, key, statuses. Shared with Vertex where they are the same.
//!
//! `POST {root}/models/{model}:generateContent`, streams by `:streamGenerateContent?alt=sse`, key in `x-goog-api-key`.
//! Errors are google.rpc.Status; a bad key is 400 with reason `API_KEY_INVALID`, and 429 names its delay in
//! `google.rpc.RetryInfo`. Sources: Gemini API reference and "Troubleshooting", read 2026-11.

use super::GeminiCodec;
use crate::providers::native::Native;
use crate::providers::{Api, Asked, Blame, Provider, Speaks, Verdict, retry_after, secret, segment, usual_blame};
use crate::wire::json::Node;
use crate::wire::{Dialect, Operation};
use http::header::{HeaderName, InvalidHeaderValue};
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

static CODEC: GeminiCodec = GeminiCodec { vertex: false };

/// The vendor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemini;

/// The method of a call.
pub fn method(asked: Asked<'_>) -> Option<&'static str> {
    Some(match (asked.operation, asked.stream, asked.several) {
        (Operation::Chat, false, _) => "generateContent",
        // Asked for as events also when the client wants an array: those can be cut at any time.
        (Operation::Chat, true, _) => "streamGenerateContent?alt=sse",
        (Operation::CountTokens, ..) => "countTokens",
        (Operation::Embeddings, _, false) => "embedContent",
        (Operation::Embeddings, _, true) => "batchEmbedContents",
        _ => return None,
    })
}

/// Clients of this dialect are passed on as they are. Other operations repeat the model in the body, so are translated.
pub fn native(asked: Asked<'_>) -> Option<Native> {
    (asked.client == Dialect::Gemini && asked.operation == Operation::Chat).then_some(Native::Unchanged)
}

/// Judge a non-2xx answer.
pub fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
    let bad_key = status == StatusCode::BAD_REQUEST && memchr::memmem::find(body, b"API_KEY_INVALID").is_some();
    let blame = if bad_key {
        Blame::Credential
    } else {
        usual_blame(status, body)
    };
    Verdict {
        blame,
        retry_after: retry_after::read(headers, now).or_else(|| retry_delay(body)),
        reason: None,
    }
}

/// `{"error":{"details":[{"@type":"…RetryInfo","retryDelay":"17s"}]}}`
fn retry_delay(body: &[u8]) -> Option<Duration> {
    let node = Node::parse(body, 16).ok()?;
    let node = node.as_array().and_then(<[Node<'_>]>::first).unwrap_or(&node);
    let details = node.get("error")?.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get_str("retryDelay"))?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (0.0..=86_400.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

impl Provider for Gemini {
    fn name(&self) -> &'static str {
        "gcp.gemini"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://generativelanguage.googleapis.com/v1beta")
    }

    fn default_path(&self) -> &'static str {
        "/v1beta"
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        let model = asked.model.strip_prefix("models/").unwrap_or(asked.model);
        Some(Api {
            codec: Speaks::Fixed(&CODEC),
            native: native(asked),
            path: format!("/models/{}:{}", segment(model), method(asked)?).into(),
        })
    }

    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        secret(HeaderName::from_static("x-goog-api-key"), credential, headers)
    }

    fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
        classify(status, headers, body, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_key_is_ours_and_delays_are_read() {
        let judge = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            classify(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
        };
        let bad_key =
            r#"{"error":{"code":400,"message":"API key not valid.","details":[{"reason":"API_KEY_INVALID"}]}}"#;
        assert_eq!(judge(400, bad_key).blame, Blame::Credential);
        assert_eq!(judge(400, r#"{"error":{"message":"bad"}}"#).blame, Blame::Client);
        let limited = r#"[{"error":{"code":429,"details":[{"@type":"x"},{"@type":"t/google.rpc.RetryInfo","retryDelay":"17.5s"}]}}]"#;
        let verdict = judge(429, limited);
        assert_eq!(
            (verdict.blame, verdict.retry_after),
            (Blame::RateLimit, Some(Duration::from_millis(17_500)))
        );
    }
}
