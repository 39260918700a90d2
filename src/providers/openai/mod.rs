//! OpenAI: chat completions, responses, and the operations beside them. The body formats are [`super::chat`] and
//! [`super::responses`].
//!
//! Sources: OpenAI API reference (chat, responses, completions, embeddings, moderations, "Error codes", "Rate limits"), read
//! 2026-11. Non-2xx bodies: `{"error":{"message","type","param","code"}}`.

use super::chat::{ChatCodec, Quirks};
use super::native::Native;
use super::responses::ResponsesCodec;
use super::{Api, Asked, Provider, Speaks};
use crate::wire::{Dialect, Operation};
use std::borrow::Cow;

/// Which of OpenAI's two APIs answers clients of other dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preferred {
    /// The one the client speaks; chat completions for all others.
    #[default]
    Same,
    /// Chat completions, also for clients that speak Responses.
    Chat,
    /// Responses, also for clients that speak chat completions.
    Responses,
}

/// The vendor, and anything that speaks its API.
#[derive(Debug, Clone, Copy)]
pub struct OpenAi {
    chat: ChatCodec,
    preferred: Preferred,
}

impl Default for OpenAi {
    fn default() -> Self {
        Self::new(Preferred::Same, true)
    }
}

impl OpenAi {
    /// With this preference. `own`: at OpenAI's own address; a server elsewhere that speaks its API is asked for less.
    pub fn new(preferred: Preferred, own: bool) -> Self {
        Self {
            chat: ChatCodec {
                quirks: if own { quirks() } else { &super::chat::PLAIN },
            },
            preferred,
        }
    }
}

/// The API of an OpenAI-shaped vendor for a call. `responses`: it has that API.
pub(super) fn api(asked: Asked<'_>, chat: ChatCodec, preferred: Preferred, responses: bool) -> Option<Api> {
    let native = |path: &'static str| {
        Some(Api {
            codec: Speaks::Chat(chat),
            native: (asked.client == Dialect::OpenAi).then_some(Native::OpenAi),
            path: Cow::Borrowed(path),
        })
    };
    match asked.operation {
        Operation::Chat => {
            let speak_responses = match preferred {
                Preferred::Same => responses && asked.client == Dialect::Responses,
                Preferred::Chat => false,
                Preferred::Responses => true,
            };
            if speak_responses {
                return Some(Api {
                    codec: Speaks::Fixed(&ResponsesCodec),
                    native: (asked.client == Dialect::Responses).then_some(Native::Model),
                    path: Cow::Borrowed("/responses"),
                });
            }
            native("/chat/completions")
        }
        Operation::Completions => native("/completions"),
        Operation::Embeddings => native("/embeddings"),
        Operation::Moderations => native("/moderations").filter(|api| api.native.is_some()),
        Operation::Rerank => Some(Api {
            codec: Speaks::Chat(chat),
            native: None,
            path: Cow::Borrowed("/rerank"),
        }),
        Operation::CountTokens => None,
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.openai.com/v1")
    }

    fn api(&self, asked: Asked<'_>) -> Option<Api> {
        api(asked, self.chat, self.preferred, true)
    }
}

/// The quirks of OpenAI itself.
pub fn quirks() -> &'static Quirks {
    super::chat::for_vendor("openai")
}

#[cfg(test)]
mod tests {
    use super::super::Blame;
    use super::*;
    use http::header::HeaderValue;
    use http::{HeaderMap, StatusCode};
    use std::time::{Duration, SystemTime};

    fn blame(status: u16, body: &str) -> Blame {
        OpenAi::default()
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
        let verdict = OpenAi::default().classify(StatusCode::TOO_MANY_REQUESTS, &headers, b"", SystemTime::now());
        assert_eq!(verdict.retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn each_client_gets_the_api_that_fits() {
        let asked = |client| Asked {
            operation: Operation::Chat,
            client,
            model: "m",
            stream: false,
            several: false,
        };
        for (preferred, client, path, native) in [
            (
                Preferred::Same,
                Dialect::OpenAi,
                "/chat/completions",
                Some(Native::OpenAi),
            ),
            (Preferred::Same, Dialect::Responses, "/responses", Some(Native::Model)),
            (Preferred::Same, Dialect::Anthropic, "/chat/completions", None),
            (Preferred::Responses, Dialect::OpenAi, "/responses", None),
            (Preferred::Chat, Dialect::Responses, "/chat/completions", None),
        ] {
            let vendor = OpenAi::new(preferred, true);
            let api = vendor.api(asked(client)).unwrap();
            assert_eq!(
                (api.path.as_ref(), api.native),
                (path, native),
                "{preferred:?} {client:?}"
            );
        }
    }
}
