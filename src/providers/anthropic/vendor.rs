//! Anthropic as a vendor: addresses, key, version.
//!
//! `POST {root}/messages`, key in `x-api-key` (OAuth tokens as bearer), `anthropic-version` on every request.
//! Source: Anthropic API reference "Versions", read 2026-11.

use super::{AnthropicCodec, Variant};
use crate::providers::native::Native;
use crate::providers::{Api, Asked, Provider, Speaks, bearer, secret};
use crate::wire::{Dialect, Operation};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, InvalidHeaderValue};
use std::borrow::Cow;

static CODEC: AnthropicCodec = AnthropicCodec {
    variant: Variant::Direct,
};

/// The vendor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anthropic;

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.anthropic.com/v1")
    }

    fn default_path(&self) -> &'static str {
        "/v1"
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        let path = match asked.operation {
            Operation::Chat => "/messages",
            Operation::CountTokens => "/messages/count_tokens",
            _ => return None,
        };
        Some(Api {
            codec: Speaks::Fixed(&CODEC),
            native: (asked.client == Dialect::Anthropic).then_some(Native::Model),
            path: Cow::Borrowed(path),
        })
    }

    fn headers(&self, headers: &mut HeaderMap) {
        headers.insert(
            HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static("2023-06-01"),
        );
    }

    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        if credential.starts_with("sk-ant-oat") {
            return bearer(credential, headers);
        }
        secret(HeaderName::from_static("x-api-key"), credential, headers)
    }
}
