//! Cohere as a vendor: addresses and key. `POST {root}/chat`, `/embed`, `/rerank` below `https://api.cohere.com/v2`, bearer
//! key. Source: Cohere API reference v2, "Errors", read 2026-11: 498 is a refused token, 499 a request it cancelled.

use super::CohereCodec;
use crate::providers::{Api, Asked, Blame, Provider, Speaks, Verdict, retry_after, usual_blame};
use crate::wire::Operation;
use http::{HeaderMap, StatusCode};
use std::borrow::Cow;
use std::time::SystemTime;

static CODEC: CohereCodec = CohereCodec;

/// The vendor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cohere;

impl Provider for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.cohere.com/v2")
    }

    fn default_path(&self) -> &'static str {
        "/v2"
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        let path = match asked.operation {
            Operation::Chat => "/chat",
            Operation::Embeddings => "/embed",
            Operation::Rerank => "/rerank",
            _ => return None,
        };
        Some(Api {
            codec: Speaks::Fixed(&CODEC),
            native: None,
            path: Cow::Borrowed(path),
        })
    }

    fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
        let blame = match status.as_u16() {
            498 => Blame::Credential,
            499 => Blame::Server,
            _ => usual_blame(status, body),
        };
        Verdict {
            blame,
            retry_after: retry_after::read(headers, now),
            reason: None,
        }
    }
}
