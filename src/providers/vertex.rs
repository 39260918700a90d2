//! Google Vertex AI: Gemini, Claude and open models below one project's paths, by OAuth token.
//!
//! ```text
//! /v1/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent
//!                                            /publishers/anthropic/models/{model}:rawPredict | :streamRawPredict
//!                                            /endpoints/openapi/chat/completions        models named `publisher/model`
//! ```
//! Sources: Vertex AI REST reference (publishers.models), "Claude on Vertex AI", "OpenAI compatibility", read 2026-11.

use super::anthropic::{AnthropicCodec, Variant};
use super::chat::ChatCodec;
use super::gemini::{self, GeminiCodec};
use super::native::Native;
use super::{Api, Asked, Provider, Speaks, secret, segment};
use crate::wire::{Dialect, Operation};
use http::HeaderMap;
use http::header::{HeaderName, InvalidHeaderValue};

static GEMINI: GeminiCodec = GeminiCodec { vertex: true };
static CLAUDE: AnthropicCodec = AnthropicCodec {
    variant: Variant::Vertex,
};

/// The vendor, for one project and location.
#[derive(Debug, Clone)]
pub struct Vertex {
    /// `/v1/projects/{project}/locations/{location}`
    root: String,
    chat: ChatCodec,
}

impl Vertex {
    /// For a project and a location (`us-central1`, `global`).
    pub fn new(project: &str, location: &str) -> Self {
        Self {
            root: format!("/v1/projects/{}/locations/{}", segment(project), segment(location)),
            chat: ChatCodec {
                quirks: super::chat::for_vendor("vertex"),
            },
        }
    }

    fn claude(&self, asked: Asked<'_>) -> Option<Api> {
        let publisher = format!("{}/publishers/anthropic/models", self.root);
        let native = (asked.client == Dialect::Anthropic).then_some(Native::VertexClaude);
        let model = segment(asked.model);
        match asked.operation {
            Operation::Chat => {
                let method = if asked.stream { "streamRawPredict" } else { "rawPredict" };
                Some(Api {
                    codec: Speaks::Fixed(&CLAUDE),
                    native,
                    path: format!("{publisher}/{model}:{method}").into(),
                })
            }
            // The model stays in the body here.
            Operation::CountTokens => Some(Api {
                codec: Speaks::Fixed(&CLAUDE),
                native: None,
                path: format!("{publisher}/count-tokens:rawPredict").into(),
            }),
            _ => None,
        }
    }
}

impl Provider for Vertex {
    fn name(&self) -> &'static str {
        "gcp.vertex_ai"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        // It depends on the location: `config` knows.
        None
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        if asked.model.starts_with("claude") {
            return self.claude(asked);
        }
        if asked.model.contains('/') {
            let native = (asked.client == Dialect::OpenAi).then_some(Native::OpenAi);
            return (asked.operation == Operation::Chat).then(|| Api {
                codec: Speaks::Chat(self.chat),
                native,
                path: format!("{}/endpoints/openapi/chat/completions", self.root).into(),
            });
        }
        let method = match asked.operation {
            Operation::Embeddings => "predict",
            _ => gemini::vendor::method(asked)?,
        };
        Some(Api {
            codec: Speaks::Fixed(&GEMINI),
            native: gemini::vendor::native(asked),
            path: format!(
                "{}/publishers/google/models/{}:{method}",
                self.root,
                segment(asked.model)
            )
            .into(),
        })
    }

    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        secret(HeaderName::from_static("x-goog-api-key"), credential, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_decides_the_publisher() {
        let vertex = Vertex::new("p-1", "us-east5");
        let path = |model: &str, client, stream| {
            let asked = Asked {
                operation: Operation::Chat,
                client,
                model,
                stream,
                several: false,
            };
            let api = vertex.api(asked).unwrap();
            (api.path.into_owned(), api.native)
        };
        let root = "/v1/projects/p-1/locations/us-east5";
        assert_eq!(
            path("claude-sonnet-4@20250514", Dialect::Anthropic, true),
            (
                format!("{root}/publishers/anthropic/models/claude-sonnet-4%4020250514:streamRawPredict"),
                Some(Native::VertexClaude)
            )
        );
        assert_eq!(
            path("gemini-2.5-pro", Dialect::OpenAi, true),
            (
                format!("{root}/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
                None
            )
        );
        assert_eq!(
            path("meta/llama-4", Dialect::OpenAi, false),
            (
                format!("{root}/endpoints/openapi/chat/completions"),
                Some(Native::OpenAi)
            )
        );
    }
}
