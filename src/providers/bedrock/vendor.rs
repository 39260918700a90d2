//! Amazon Bedrock's runtime as a vendor: addresses and statuses. Requests are signed (`upstream::credential`) or carry an API
//! key as a bearer token.
//!
//! `POST /model/{id}/converse`, `/converse-stream`, `/count-tokens`, `/invoke` below
//! `https://bedrock-runtime.{region}.amazonaws.com`. What went wrong is named in `x-amzn-errortype`.
//! Sources: Bedrock API reference (Converse, ConverseStream, CountTokens, InvokeModel, "Common errors"), read 2026-11.

use super::ConverseCodec;
use crate::providers::{Api, Asked, Blame, Provider, Speaks, Verdict, retry_after, segment, usual_blame};
use crate::wire::Operation;
use crate::wire::json::Node;
use http::{HeaderMap, StatusCode};
use std::time::SystemTime;

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

    fn classify(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
        let kind = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        // `ThrottlingException:http://internal.amazon.com/…`
        let kind = kind.and_then(|kind| kind.split(':').next()).unwrap_or_default();
        // Some front ends name it in the body only.
        let body_kind = Node::parse(body, 16)
            .ok()
            .and_then(|body| Some(body.get_str("__type")?.to_owned()));
        let kind = match (kind, &body_kind) {
            ("", Some(named)) => named.rsplit('#').next().unwrap_or_default(),
            (kind, _) => kind,
        };
        let blame = match kind {
            "ThrottlingException" | "TooManyRequestsException" | "ServiceQuotaExceededException" => Blame::RateLimit,
            "ModelTimeoutException"
            | "ModelNotReadyException"
            | "ModelErrorException"
            | "ModelStreamErrorException"
            | "ServiceUnavailableException"
            | "InternalServerException"
            | "InternalFailure" => Blame::Server,
            "AccessDeniedException"
            | "ExpiredTokenException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException" => Blame::Credential,
            _ => usual_blame(status, body),
        };
        Verdict {
            blame,
            retry_after: retry_after::read(headers, now),
            reason: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_judged_by_name() {
        let judge = |status: u16, kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amzn-errortype", http::HeaderValue::from_static(kind));
            let status = StatusCode::from_u16(status).unwrap();
            Bedrock.classify(status, &headers, b"", SystemTime::UNIX_EPOCH).blame
        };
        assert_eq!(judge(429, "ThrottlingException:http://x/"), Blame::RateLimit);
        assert_eq!(judge(400, "ServiceQuotaExceededException"), Blame::RateLimit);
        assert_eq!(judge(429, "ModelNotReadyException"), Blame::Server);
        assert_eq!(judge(400, "ExpiredTokenException"), Blame::Credential);
        assert_eq!(judge(400, "ValidationException"), Blame::Client);
    }
}
