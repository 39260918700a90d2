//! Which path is which operation in which dialect.
//!
//! ```text
//! /v1/chat/completions /v1/completions /v1/embeddings /v1/moderations     OpenAI (also below /openai, and Azure's
//!                                                                         /openai/deployments/{name}/…)
//! /v1/responses                                                           OpenAI Responses
//! /v1/messages  /v1/messages/count_tokens                                 Anthropic (also below /anthropic)
//! /v1beta/models/{model}:generateContent | :streamGenerateContent | :countTokens | :embedContent | :batchEmbedContents
//!                                                                         Gemini (also /v1, /v1alpha, Vertex's longer paths)
//! /v1/rerank /v2/rerank /rerank                                           Cohere, Jina
//! ```
//! A model's name may hold slashes; in a Gemini path it is what stands between `models/` and the last colon.

use super::{Dialect, Operation};
use http::HeaderMap;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// What.
    pub operation: Operation,
    /// In which dialect.
    pub dialect: Dialect,
    /// What stands in the path instead of the body.
    pub in_path: Option<InPath>,
}

/// Model and method of a Gemini path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InPath {
    /// Where the model's name begins in the path, and ends; still percent-encoded.
    pub model: (usize, usize),
    /// `streamGenerateContent`
    pub stream: bool,
}

impl Endpoint {
    /// The endpoint of a path without a trailing slash.
    pub fn find(path: &str) -> Option<Self> {
        let plain = |operation, dialect| {
            Some(Self {
                operation,
                dialect,
                in_path: None,
            })
        };
        match path {
            "/v1/chat/completions" => plain(Operation::Chat, Dialect::OpenAi),
            "/v1/messages" => plain(Operation::Chat, Dialect::Anthropic),
            "/v1/responses" => plain(Operation::Chat, Dialect::Responses),
            "/v1/completions" => plain(Operation::Completions, Dialect::OpenAi),
            "/v1/embeddings" => plain(Operation::Embeddings, Dialect::OpenAi),
            "/v1/moderations" => plain(Operation::Moderations, Dialect::OpenAi),
            "/v1/messages/count_tokens" => plain(Operation::CountTokens, Dialect::Anthropic),
            "/v1/rerank" | "/v2/rerank" | "/rerank" => plain(Operation::Rerank, Dialect::Cohere),
            _ => Self::longer(path),
        }
    }

    fn longer(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/anthropic") {
            return Self::find(rest).filter(|found| found.dialect == Dialect::Anthropic);
        }
        if let Some(rest) = path.strip_prefix("/openai") {
            let of_openai = |found: &Self| matches!(found.dialect, Dialect::OpenAi | Dialect::Responses);
            if let Some(deployment) = rest.strip_prefix("/deployments/") {
                let (_, operation) = deployment.split_once('/')?;
                return Self::find(&format!("/v1/{operation}")).filter(of_openai);
            }
            return Self::find(rest).filter(of_openai);
        }
        Self::gemini(path)
    }

    fn gemini(path: &str) -> Option<Self> {
        let version = ["/v1beta/", "/v1/", "/v1alpha/", "/v1beta1/"]
            .iter()
            .find(|version| path.starts_with(**version))?;
        // Vertex: /v1/projects/{p}/locations/{l}/publishers/google/models/{model}:{method}
        let vertex = path
            .find("/publishers/google/models/")
            .map(|at| at + "/publishers/google/models/".len());
        let from = match vertex {
            Some(from) => from,
            None => path
                .get(version.len()..)?
                .starts_with("models/")
                .then_some(version.len() + "models/".len())?,
        };
        let colon = path.rfind(':').filter(|colon| *colon > from)?;
        let (operation, stream) = match path.get(colon + 1..)? {
            "generateContent" => (Operation::Chat, false),
            "streamGenerateContent" => (Operation::Chat, true),
            "countTokens" => (Operation::CountTokens, false),
            "embedContent" | "batchEmbedContents" => (Operation::Embeddings, false),
            _ => return None,
        };
        Some(Self {
            operation,
            dialect: Dialect::Gemini,
            in_path: Some(InPath {
                model: (from, colon),
                stream,
            }),
        })
    }
}

/// The dialect whose errors and lists a client expects that asked for this path, whether the path exists or not.
pub fn dialect_of(path: &str, headers: &HeaderMap) -> Dialect {
    if let Some(found) = Endpoint::find(path) {
        return found.dialect;
    }
    if path.starts_with("/anthropic/") || path.starts_with("/v1/messages") || headers.contains_key("anthropic-version")
    {
        Dialect::Anthropic
    } else if path.starts_with("/v1beta") || path.starts_with("/v1alpha/") || headers.contains_key("x-goog-api-key") {
        Dialect::Gemini
    } else {
        Dialect::OpenAi
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found() {
        for (path, operation, dialect) in [
            ("/v1/chat/completions", Operation::Chat, Dialect::OpenAi),
            ("/openai/v1/responses", Operation::Chat, Dialect::Responses),
            (
                "/openai/deployments/gpt-4o/chat/completions",
                Operation::Chat,
                Dialect::OpenAi,
            ),
            (
                "/anthropic/v1/messages/count_tokens",
                Operation::CountTokens,
                Dialect::Anthropic,
            ),
            ("/v2/rerank", Operation::Rerank, Dialect::Cohere),
        ] {
            let found = Endpoint::find(path).unwrap();
            assert_eq!(
                (found.operation, found.dialect, found.in_path),
                (operation, dialect, None),
                "{path}"
            );
        }
        for path in [
            "/v1/files",
            "/openai/v1/messages",
            "/v1/models/x",
            "/v1beta/models/:generateContent",
            "/v1/models/x:predict",
        ] {
            assert_eq!(Endpoint::find(path), None, "{path}");
        }
    }

    #[test]
    fn a_gemini_path_names_its_model() {
        for (path, model, stream) in [
            ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", false),
            ("/v1beta/models/a/b:c:streamGenerateContent", "a/b:c", true),
            (
                "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
                "m",
                false,
            ),
        ] {
            let found = Endpoint::find(path).unwrap().in_path.unwrap();
            assert_eq!((&path[found.model.0..found.model.1], found.stream), (model, stream));
        }
    }

    #[test]
    fn errors_come_in_the_dialect_that_was_meant() {
        let mut headers = HeaderMap::new();
        assert_eq!(dialect_of("/v1/nothing", &headers), Dialect::OpenAi);
        assert_eq!(dialect_of("/v1beta/nothing", &headers), Dialect::Gemini);
        headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
        assert_eq!(dialect_of("/v1/models", &headers), Dialect::Anthropic);
    }
}
