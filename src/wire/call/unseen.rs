//! What a request makes a provider read or do that is not in its bytes: what is kept there, and tools that the provider runs.
//!
//! Not what it costs (`prices`) nor what it needs of a model (`needs`). The one idea: read only by what is a member of the body
//! itself or of one of its tools; in doubt (an escape, a shape nobody knows) as much as there may be.
//!
//! Sources: OpenAI API reference, responses/create (`previous_response_id`, `conversation`, `prompt`, tools), chat/create
//! (`web_search_options`); Anthropic, web search and web fetch tools (`max_uses`), MCP connector; Gemini API reference, Tool,
//! CachedContent; OpenRouter, plugins; xAI, live search; all read 2026-11.

use super::super::Dialect;
use super::super::json::{Kind, Member, Span};
use super::Call;
use serde::Deserialize;
use std::borrow::Cow;

/// Where a request says so; read when somebody wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beyond {
    /// From the first `tools` to the end of the last.
    tools: Option<Span>,
    /// Something is kept at the provider.
    held: bool,
    /// The provider is to search by itself.
    searches: bool,
    /// `prompt`, an object: of Responses, a template that is kept at the provider.
    template: bool,
}

/// What is not in the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Input of a length that nobody here knows: an earlier answer, a conversation, a cache, pages, or the steps of a tool that the
    /// provider runs.
    pub held: bool,
    /// It may search the web.
    pub searches: Option<Searches>,
}

/// How often it may search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Searches {
    /// As the request says.
    AtMost(u64),
    /// It does not say.
    Any,
}

/// Beginnings of the types and names of tools that a provider runs by itself.
const RUN_THERE: [&[u8]; 11] = [
    b"\"web_",
    b"\"google",
    b"\"enterprise",
    b"\"file_search",
    b"\"fileSearch",
    b"\"url",
    b"\"code",
    b"\"mcp",
    b"\"x_search",
    b"\"image_generation",
    // An escape, behind which one could hide.
    b"\\u00",
];

/// A tool, as far as it matters. What else it holds is skipped.
#[derive(Deserialize)]
struct Tool<'t> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'t, str>>,
    #[serde(default)]
    max_uses: Option<u64>,
    /// Gemini's.
    #[serde(
        default,
        alias = "googleSearch",
        alias = "googleSearchRetrieval",
        alias = "google_search_retrieval"
    )]
    google_search: Option<serde::de::IgnoredAny>,
    #[serde(default, alias = "enterpriseWebSearch")]
    enterprise_web_search: Option<serde::de::IgnoredAny>,
    #[serde(default, alias = "urlContext")]
    url_context: Option<serde::de::IgnoredAny>,
    #[serde(default, alias = "fileSearch")]
    file_search: Option<serde::de::IgnoredAny>,
    #[serde(default, alias = "codeExecution")]
    code_execution: Option<serde::de::IgnoredAny>,
    #[serde(default, alias = "googleMaps")]
    google_maps: Option<serde::de::IgnoredAny>,
}

impl Beyond {
    /// A member of the body; whether it was one of these.
    pub(super) fn member(&mut self, member: &Member<'_>) {
        let given = member.kind != Kind::Null;
        match () {
            () if member.is("tools") => {
                let start = self.tools.as_ref().map_or(member.value.start, |before| before.start);
                self.tools = Some(start..member.value.end);
            }
            () if member.is("previous_response_id")
                || member.is("conversation")
                || member.is("cachedContent")
                || member.is("cached_content")
                || member.is("mcp_servers") =>
            {
                self.held |= given;
            }
            () if member.is("web_search_options") || member.is("plugins") || member.is("search_parameters") => {
                self.searches |= given;
            }
            () if member.is("prompt") => self.template |= member.kind == Kind::Object,
            () => {}
        }
    }
}

impl Call {
    /// What of this request is not in its bytes.
    pub fn unseen(&self) -> Unseen {
        let beyond = &self.envelope.bounds.beyond;
        let mut unseen = Unseen {
            held: beyond.held || (beyond.template && self.dialect == Dialect::Responses),
            searches: beyond.searches.then_some(Searches::Any),
        };
        let tools = beyond.tools.clone().and_then(|at| self.body.get(at));
        if let Some(tools) = tools.filter(|tools| RUN_THERE.iter().any(|mark| has(tools, mark))) {
            unseen.look(tools);
        }
        unseen
    }
}

fn has(text: &[u8], mark: &[u8]) -> bool {
    memchr::memmem::find(text, mark).is_some()
}

impl Unseen {
    fn look(&mut self, tools: &[u8]) {
        let Ok(tools) = serde_json::from_slice::<Vec<Tool<'_>>>(tools) else {
            (self.held, self.searches) = (true, Some(Searches::Any));
            return;
        };
        for tool in &tools {
            let kind = tool.kind.as_deref().unwrap_or_default();
            let by_name = tool.google_search.is_some() || tool.enterprise_web_search.is_some();
            if kind.starts_with("web_search") || kind == "x_search" || by_name {
                let often = tool.max_uses.map_or(Searches::Any, Searches::AtMost);
                self.searches = Some(match (self.searches, often) {
                    (None, often) => often,
                    (Some(Searches::AtMost(one)), Searches::AtMost(other)) => {
                        Searches::AtMost(one.saturating_add(other))
                    }
                    _ => Searches::Any,
                });
            }
            let run_there = ["web_fetch", "file_search", "code_", "mcp", "image_generation"];
            self.held |= run_there.iter().any(|begins| kind.starts_with(begins))
                || tool.url_context.is_some()
                || tool.file_search.is_some()
                || tool.code_execution.is_some()
                || tool.google_maps.is_some();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::*;
    use bytes::Bytes;

    fn unseen(dialect: Dialect, rest: &str) -> Unseen {
        let body = format!("{{\"model\":\"m\",{rest}}}");
        Call::read_as(Operation::Chat, dialect, Bytes::from(body), 64)
            .unwrap()
            .unseen()
    }

    #[test]
    fn what_a_provider_keeps_is_not_seen() {
        for held in [
            r#""previous_response_id":"resp_1""#,
            r#""conversation":{"id":"conv_1"}"#,
            r#""prompt":{"id":"pmpt_1"}"#,
            r#""tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]"#,
            r#""tools":[{"type":"mcp","server_url":"https://x"}]"#,
            r#""tools":[{"type":"code_interpreter"}]"#,
        ] {
            let seen = unseen(Dialect::Responses, held);
            assert!(seen.held && seen.searches.is_none(), "{held}: {seen:?}");
        }
        for not in [
            r#""previous_response_id":null,"input":"previous_response_id""#,
            r#""tools":[{"type":"function","name":"web_search","parameters":{"properties":{"type":{"const":"mcp"}}}}]"#,
            r#""prompt":"text""#,
        ] {
            assert_eq!(unseen(Dialect::Responses, not), Unseen::default(), "{not}");
        }
        assert!(unseen(Dialect::Gemini, r#""cachedContent":"cachedContents/1""#).held);
    }

    #[test]
    fn searches_are_as_many_as_the_tools_say() {
        let anthropic = |tools: &str| unseen(Dialect::Anthropic, &format!("\"tools\":[{tools}]"));
        let five = r#"{"type":"web_search_20250305","name":"web_search","max_uses":5}"#;
        let open = r#"{"type":"web_search_20250305","name":"web_search"}"#;
        assert_eq!(anthropic(five).searches, Some(Searches::AtMost(5)));
        assert_eq!(
            anthropic(&format!("{five},{five}")).searches,
            Some(Searches::AtMost(10))
        );
        assert_eq!(anthropic(&format!("{open},{five}")).searches, Some(Searches::Any));
        assert!(!anthropic(five).held);
        assert!(anthropic(r#"{"type":"web_fetch_20250910"}"#).held);
        let any = |dialect, text| assert_eq!(unseen(dialect, text).searches, Some(Searches::Any), "{text}");
        any(Dialect::OpenAi, r#""web_search_options":{}"#);
        any(Dialect::OpenAi, r#""plugins":[{"id":"web"}]"#);
        any(Dialect::Responses, r#""tools":[{"type":"web_search"}]"#);
        any(Dialect::Gemini, r#""tools":[{"googleSearch":{}}]"#);
        // What nobody can read is as much as there may be.
        any(
            Dialect::Anthropic,
            r#""tools":[{"type":"\u0077eb_search_20250305","max_uses":-1}]"#,
        );
        any(Dialect::Anthropic, r#""tools":[{"type":"web_search_1"}],"tools":[]"#);
    }
}
