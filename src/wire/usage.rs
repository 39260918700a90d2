//! What an OpenAI-shaped answer or stream event says in passing: usage, an error, an ending.
//!
//! ```json
//! {"choices":[{"finish_reason":"stop", …}],
//!  "usage":{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":0},
//!           "completion_tokens_details":{"reasoning_tokens":0}}}
//! ```
//! Source: OpenAI API reference, chat/object and chat/streaming, read 2026-11. Vendors that put `usage` under `x_groq`
//! or in the last non-empty chunk are read too.

use super::json::{self, JsonError, Kind, Node, Span};
use crate::units::{ServiceTier, Usage};
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// What was found in one JSON document of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The usage figures, when the document carries them.
    pub usage: Option<Usage>,
    /// It has a usage object, whether its figures could be read or not.
    pub has_usage: bool,
    /// The document is (or holds) an error.
    pub error: bool,
    /// `choices` is an empty list: in a stream, the chunk that only carries usage.
    pub no_choices: bool,
    /// A choice gives a finish reason.
    pub finished: bool,
    /// It is the end marker of its stream (Anthropic `message_stop`, Responses `response.completed`); OpenAI's `[DONE]` is no
    /// document.
    pub done: bool,
}

/// Read one document, checking that it is JSON.
pub fn read(document: &[u8], max_depth: usize) -> Result<Facts, JsonError> {
    let (mut usage, mut groq, mut choices): (Option<Span>, Option<Span>, Option<Span>) = (None, None, None);
    let mut tier: Option<Span> = None;
    let mut facts = Facts::default();
    json::scan_object(document, max_depth, |member| match member.kind {
        Kind::Object if member.is("usage") => usage = Some(member.value),
        Kind::Object if member.is("x_groq") => groq = Some(member.value),
        Kind::String if member.is("service_tier") => tier = Some(member.value),
        Kind::Array if member.is("choices") => choices = Some(member.value),
        // `""` and `{}` are two bytes: some servers send an empty error with every answer.
        Kind::Object | Kind::String if member.value.len() > 2 && member.is("error") => facts.error = true,
        _ => {}
    })?;
    let part = |span: Option<Span>| span.and_then(|at| document.get(at));
    facts.has_usage = usage.is_some();
    facts.usage = part(usage)
        .and_then(read_usage)
        .or_else(|| part(groq).and_then(read_groq));
    if let (Some(usage), Some(tier)) = (&mut facts.usage, part(tier)) {
        usage.tier = read_tier(tier);
    }
    if let Some(choices) = part(choices) {
        facts.no_choices = choices
            .iter()
            .all(|b| matches!(b, b'[' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
        facts.finished = gives_finish_reason(choices);
    }
    Ok(facts)
}

/// Built once: making a searcher costs more than searching one event.
static FINISH_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));

/// Whether any `finish_reason` has a string value. A search, not a parse: the text of an answer cannot fake it, because
/// inside a JSON string the quotes would be escaped.
fn gives_finish_reason(choices: &[u8]) -> bool {
    FINISH_REASON.find_iter(choices).any(|at| {
        let rest = choices.get(at + 15..).unwrap_or_default();
        let mut after = rest.iter().filter(|b| !b.is_ascii_whitespace());
        after.next() == Some(&b':') && after.next() == Some(&b'"')
    })
}

/// The service tier of an answer, as JSON text.
pub fn read_tier(text: &[u8]) -> ServiceTier {
    let word = std::str::from_utf8(text).unwrap_or_default();
    ServiceTier::read(word.trim_matches('"'))
}

/// Deepest nesting of a usage object.
const DEPTH: usize = 16;

fn read_usage(object: &[u8]) -> Option<Usage> {
    from_node(&Node::parse(object, DEPTH).ok()?)
}

fn read_groq(object: &[u8]) -> Option<Usage> {
    from_node(Node::parse(object, DEPTH).ok()?.get("usage")?)
}

/// The figures of a usage object: OpenAI's, with OpenRouter's `cache_write_tokens`, DeepSeek's and Moonshot's places of the
/// cached ones, web searches where they are counted, and xAI's reasoning, which is counted beside the completion (its total tells). Figures written as `3.0`
/// count.
pub fn from_node(usage: &Node<'_>) -> Option<Usage> {
    let of = |group: &str, key: &str| usage.get(group).and_then(|group| group.get_u64(key));
    let read = |key: &str| of("prompt_tokens_details", key);
    let made = |key: &str| of("completion_tokens_details", key).unwrap_or(0);
    let total = usage.get_u64("total_tokens");
    let cached = read("cached_tokens").or_else(|| usage.get_u64("prompt_cache_hit_tokens"));
    let mut figures = Usage {
        // Embeddings report prompt and total only; an object with neither figure says nothing.
        input: usage.get_u64("prompt_tokens").or(total)?,
        output: usage.get_u64("completion_tokens").unwrap_or(0),
        cached: cached.or_else(|| usage.get_u64("cached_tokens")).unwrap_or(0),
        cache_write: read("cache_write_tokens").unwrap_or(0),
        cache_write_1h: 0,
        reasoning: made("reasoning_tokens"),
        audio_input: read("audio_tokens").unwrap_or(0),
        audio_output: made("audio_tokens"),
        // Perplexity; OpenRouter, in Anthropic's words.
        web_searches: usage
            .get_u64("num_search_queries")
            .or_else(|| of("server_tool_use", "web_search_requests"))
            .unwrap_or(0),
        ..Usage::default()
    };
    let beside = figures.total().saturating_add(figures.reasoning);
    if figures.reasoning > 0 && total == Some(beside) {
        figures.output = figures.output.saturating_add(figures.reasoning);
    }
    Some(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_with_its_details() {
        let facts = read(
            br#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":5}}}"#,
            64,
        )
        .unwrap();
        assert_eq!(
            facts.usage,
            Some(Usage {
                input: 9,
                output: 12,
                cached: 3,
                reasoning: 5,
                ..Usage::default()
            })
        );
        assert!(facts.finished && !facts.error && !facts.no_choices);
    }

    #[test]
    fn searches_and_the_tier_are_read() {
        let text = br#"{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":1,"completion_tokens":2,"num_search_queries":4}}"#;
        let usage = read(text, 64).unwrap().usage.unwrap();
        assert_eq!((usage.web_searches, usage.tier), (4, ServiceTier::Flex));
        let text =
            br#"{"service_tier":"default","usage":{"prompt_tokens":1,"server_tool_use":{"web_search_requests":1}}}"#;
        let usage = read(text, 64).unwrap().usage.unwrap();
        assert_eq!((usage.web_searches, usage.tier), (1, ServiceTier::Standard));
    }

    #[test]
    fn null_usage_errors_and_empty_choices_are_told_apart() {
        let facts = read(br#"{"choices":[ ],"usage":null}"#, 64).unwrap();
        assert_eq!(
            facts,
            Facts {
                no_choices: true,
                ..Facts::default()
            }
        );
        assert!(read(br#"{"error":{"message":"x"}}"#, 64).unwrap().error);
        assert!(!read(br#"{"error":null,"choices":[{}]}"#, 64).unwrap().error);
        assert!(read(b"<html>", 64).is_err());
    }

    #[test]
    fn an_answer_that_talks_about_finish_reasons_does_not_finish() {
        let facts = read(
            br#"{"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""},"finish_reason": null}]}"#,
            64,
        )
        .unwrap();
        assert!(!facts.finished);
        assert!(
            read(br#"{"choices":[{"finish_reason" : "length"}]}"#, 64)
                .unwrap()
                .finished
        );
    }

    #[test]
    fn groq_and_embeddings_shapes() {
        let groq = read(
            br#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}"#,
            64,
        )
        .unwrap();
        assert_eq!(
            groq.usage,
            Some(Usage {
                input: 1,
                output: 2,
                ..Usage::default()
            })
        );
        let embedding = read(br#"{"data":[],"usage":{"prompt_tokens":4,"total_tokens":4}}"#, 64).unwrap();
        assert_eq!(
            embedding.usage,
            Some(Usage {
                input: 4,
                ..Usage::default()
            })
        );
    }

    proptest::proptest! {
        /// What is found in passing is what a full parse finds.
        #[test]
        fn agrees_with_a_full_parse(
            text in ".{0,40}",
            input: Option<u64>, output: Option<u64>, total: Option<u64>,
            reason in proptest::option::of("[a-z_]{0,8}"),
            choices in 0..3usize,
            error: bool, pretty: bool,
        ) {
            let choice = serde_json::json!({"delta": {"content": text, "usage": {"prompt_tokens": 1}}, "finish_reason": reason});
            let mut document = serde_json::json!({"id": text, "choices": vec![choice; choices],
                "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": total}});
            if error {
                document["error"] = format!("e{text}").into();
            }
            let text = if pretty { format!("{document:#}") } else { document.to_string() };
            let facts = read(text.as_bytes(), 64).unwrap();
            let usage = input.or(total).map(|input| Usage { input, output: output.unwrap_or(0), ..Usage::default() });
            proptest::prop_assert_eq!(facts, Facts { usage, has_usage: true, error, no_choices: choices == 0, finished: reason.is_some() && choices > 0, done: false });
        }
    }
}
