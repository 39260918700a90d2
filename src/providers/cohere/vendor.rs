//! Cohere as a vendor: addresses and key. `POST {root}/chat`, `/embed`, `/rerank` below `https://api.cohere.com/v2`, bearer
//! key. Source: Cohere API reference v2, read 2026-11.

use super::CohereCodec;
use crate::providers::{Api, Asked, Provider, Speaks};
use crate::wire::Operation;
use std::borrow::Cow;

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
}
