//! Amazon Bedrock's runtime as a vendor: addresses. Requests are signed (`upstream::credential`) or carry an API
//! key as a bearer token.
//!
//! `POST /model/{id}/converse`, `/converse-stream`, `/count-tokens`, `/invoke` below
//! `https://bedrock-runtime.{region}.amazonaws.com`. What went wrong is named in `x-amzn-errortype`
//! (`providers::blame`).
//! Sources: Bedrock API reference (Converse, ConverseStream, CountTokens, InvokeModel, "Common errors"), read 2026-11.

use super::ConverseCodec;
use crate::providers::{Api, Asked, Provider, Speaks, segment};
use crate::wire::Operation;

static CODEC: ConverseCodec = ConverseCodec;

/// The vendor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bedrock;

impl Provider for Bedrock {
    fn name(&self) -> &'static str {
        "aws.bedrock"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        // It depends on the region: `config` knows.
        None
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        let method = match (asked.operation, asked.stream) {
            (Operation::Chat, false) => "converse",
            (Operation::Chat, true) => "converse-stream",
            (Operation::CountTokens, _) => "count-tokens",
            (Operation::Embeddings | Operation::Rerank, _) => "invoke",
            _ => return None,
        };
        Some(Api {
            codec: Speaks::Fixed(&CODEC),
            native: None,
            path: format!("/model/{}/{method}", segment(asked.model)).into(),
        })
    }
}
