//! Azure OpenAI: OpenAI's APIs below other paths, with another header.
//!
//! ```text
//! api_version v1 (default)   {resource}/openai/v1/chat/completions                     the deployment is the body's model
//! api_version 2024-10-21     {resource}/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21
//!                            {resource}/openai/responses?api-version=…
//! ```
//! Sources: Azure OpenAI REST API reference and "API version lifecycle" (v1), read 2026-11. Keys go into `api-key`; an
//! Entra ID token is a bearer token, which `upstream::credential` fetches.

use super::chat::ChatCodec;
use super::openai::{self, Preferred};
use super::{Api, Asked, Provider, secret, segment};
use crate::wire::Operation;
use http::HeaderMap;
use http::header::{HeaderName, InvalidHeaderValue};

/// The vendor.
#[derive(Debug, Clone)]
pub struct Azure {
    chat: ChatCodec,
    preferred: Preferred,
    /// A dated version; nothing for the v1 surface.
    version: Option<String>,
}

impl Azure {
    /// With this `api_version`.
    pub fn new(version: Option<&str>, preferred: Preferred) -> Self {
        Self {
            chat: ChatCodec {
                quirks: super::chat::for_vendor("azure"),
            },
            preferred,
            version: version.filter(|version| *version != "v1").map(str::to_owned),
        }
    }
}

impl Provider for Azure {
    fn name(&self) -> &'static str {
        "azure.ai.openai"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn default_path(&self) -> &'static str {
        if self.version.is_some() {
            "/openai"
        } else {
            "/openai/v1"
        }
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        if asked.operation == Operation::Rerank {
            return None;
        }
        let mut api = openai::api(asked, self.chat, self.preferred, true)?;
        if let Some(version) = &self.version {
            api.path = if api.path == "/responses" {
                format!("/responses?api-version={version}").into()
            } else {
                let deployment = segment(asked.model);
                format!("/deployments/{deployment}{}?api-version={version}", api.path).into()
            };
        }
        Some(api)
    }

    fn authorize(&self, credential: &str, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        secret(HeaderName::from_static("api-key"), credential, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Dialect;

    #[test]
    fn versions_decide_the_paths() {
        let asked = |client| Asked {
            operation: Operation::Chat,
            client,
            model: "my gpt",
            stream: true,
            several: false,
        };
        let v1 = Azure::new(Some("v1"), Preferred::Same);
        assert_eq!(v1.default_path(), "/openai/v1");
        assert_eq!(v1.api(asked(Dialect::OpenAi)).unwrap().path, "/chat/completions");
        let dated = Azure::new(Some("2024-10-21"), Preferred::Same);
        assert_eq!(dated.default_path(), "/openai");
        assert_eq!(
            dated.api(asked(Dialect::OpenAi)).unwrap().path,
            "/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(
            dated.api(asked(Dialect::Responses)).unwrap().path,
            "/responses?api-version=2024-10-21"
        );
    }
}
