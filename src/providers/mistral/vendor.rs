//! Mistral as a vendor: addresses and key. `https://api.mistral.ai/v1`, bearer key; its chat API is like OpenAI's but refuses
//! fields it does not know, so that clients of OpenAI's dialect are translated too. Source: docs.mistral.ai/api, read 2026-11.

use super::MistralCodec;
use crate::providers::{Api, Asked, Provider, Speaks};
use crate::wire::Operation;
use std::borrow::Cow;

static CODEC: MistralCodec = MistralCodec;

/// The vendor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mistral;

impl Provider for Mistral {
    fn name(&self) -> &'static str {
        "mistral_ai"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.mistral.ai/v1")
    }

    fn default_path(&self) -> &'static str {
        "/v1"
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        let path = match asked.operation {
            Operation::Chat => "/chat/completions",
            Operation::Embeddings => "/embeddings",
            _ => return None,
        };
        Some(Api {
            codec: Speaks::Fixed(&CODEC),
            native: None,
            path: Cow::Borrowed(path),
        })
    }
}
