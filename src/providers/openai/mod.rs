//! OpenAI's API, and every server that speaks it.
//!
//! Sources: OpenAI API reference (chat, completions, embeddings, moderations, "Error codes", "Rate limits"), read
//! 2026-11. Non-2xx bodies: `{"error":{"message","type","param","code"}}`.

mod request;
mod retry_after;

use super::{Blame, EncodeOptions, Encoded, Provider, Verdict};
use crate::wire::{Call, Operation};
use http::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use http::{HeaderMap, StatusCode};
use std::time::SystemTime;

/// The dialect.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAi;

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn supports(&self, _operation: Operation) -> bool {
        true
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.openai.com/v1")
    }

    fn path(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::ChatCompletions => "/chat/completions",
            Operation::Completions => "/completions",
            Operation::Embeddings => "/embeddings",
            Operation::Moderations => "/moderations",
        }
    }

    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {credential}"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    fn encode(&self, call: &Call, options: EncodeOptions<'_>) -> Encoded {
        request::encode(call, options)
    }

    fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
        let blame = match status.as_u16() {
            401..=403 => Blame::Credential,
            429 if is_quota(body) => Blame::Credential,
            429 => Blame::RateLimit,
            408 | 425 | 500..=599 => Blame::Server,
            // Redirects are not followed: a base URL that redirects is misconfigured, and following would carry the
            // credential to another host.
            300..=399 => Blame::Server,
            _ => Blame::Client,
        };
        Verdict {
            blame,
            retry_after: retry_after::read(headers, now),
        }
    }
}

/// `insufficient_quota`: the account is out of money. Waiting does not help as it does with a rate limit.
fn is_quota(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\"insufficient_quota\"").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn blame(status: u16, body: &str) -> Blame {
        OpenAi
            .classify(
                StatusCode::from_u16(status).unwrap(),
                &HeaderMap::new(),
                body.as_bytes(),
                SystemTime::now(),
            )
            .blame
    }

    #[test]
    fn statuses_have_the_right_owner() {
        for (statuses, owner) in [
            (&[400, 404, 405, 409, 413, 415, 422][..], Blame::Client),
            (&[401, 402, 403][..], Blame::Credential),
            (&[429][..], Blame::RateLimit),
            (&[301, 408, 425, 500, 502, 503, 504, 529][..], Blame::Server),
        ] {
            for &status in statuses {
                assert_eq!(blame(status, "{}"), owner, "{status}");
            }
        }
        assert_eq!(
            blame(429, r#"{"error":{"code":"insufficient_quota"}}"#),
            Blame::Credential
        );
    }

    #[test]
    fn retry_after_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        let verdict = OpenAi.classify(StatusCode::TOO_MANY_REQUESTS, &headers, b"", SystemTime::now());
        assert_eq!(verdict.retry_after, Some(Duration::from_secs(7)));
    }
}
