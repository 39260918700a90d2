//! Pieces of answers that whole ones and streams have alike: usage, finish reasons, citations, logprobs, media, errors.

use crate::providers::codec::Undecodable;
use crate::units::{ServiceTier, Usage};
use crate::wire::Dialect;
use crate::wire::canonical::{Citation, Finish, Logprob, Media, MediaKind, Source, Text};
use crate::wire::json::Node;
use crate::wire::media::source;
use crate::wire::usage;

/// Most of a provider's error text that is passed on.
const LONGEST_ERROR: usize = 1000;

/// Most entries of a list that is read in passing (citations, top logprobs).
const MOST: usize = 256;

/// Of a whole answer or a chunk: in its place, under `x_groq`, or in the choice (Moonshot's streams).
pub fn usage_of(document: &Node<'_>) -> Option<Usage> {
    let groq = || document.get("x_groq")?.get("usage");
    let inner = || {
        document
            .get("choices")?
            .as_array()?
            .iter()
            .rev()
            .find_map(|choice| choice.get("usage"))
    };
    document
        .get("usage")
        .or_else(groq)
        .or_else(inner)
        .and_then(usage::from_node)
        .map(|usage| Usage {
            tier: document.get_str("service_tier").map_or(usage.tier, ServiceTier::read),
            ..usage
        })
}

/// Why a choice ended; nothing when it has not. `called`: it made calls; several vendors say `stop` then, and OpenAI does for
/// a call that was forced by name.
pub fn finish<'d>(choice: &'d Node<'_>, called: bool) -> Option<Finish<'d>> {
    let word = choice.get_str("finish_reason").filter(|word| !word.is_empty())?;
    let native = choice.get_str("native_finish_reason").unwrap_or_default();
    Some(match word {
        "stop" | "eos" | "eos_token" | "end_turn" | "content_filter" if native == "refusal" => Finish::Refusal,
        "stop" | "eos" | "eos_token" | "end_turn" if called => Finish::ToolCalls,
        "stop" if choice.get_str("stop_reason").is_some() => Finish::StopSequence,
        "stop" | "eos" | "eos_token" | "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "length" if native == "pause_turn" => Finish::Pause,
        "length" if native == "model_context_window_exceeded" => Finish::ContextWindow,
        "length" | "max_tokens" => Finish::Length,
        "model_length" => Finish::ContextWindow,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" | "sensitive" => Finish::ContentFilter,
        "refusal" => Finish::Refusal,
        "error" if native == "malformed_function_call" => Finish::MalformedCall,
        "error" | "insufficient_system_resource" | "network_error" | "abort" => Finish::Error,
        other => Finish::Other(other.into()),
    })
}

/// The stop text that ended a choice, which vLLM and SGLang tell.
pub fn stop_sequence<'d>(choice: &'d Node<'_>) -> Option<Text<'d>> {
    choice.get_str("stop_reason").map(Into::into)
}

/// `annotations`: citations of the web.
pub fn citations<'d>(message: &'d Node<'_>) -> impl Iterator<Item = Citation<'d>> {
    let list = message.get("annotations").and_then(Node::as_array).unwrap_or_default();
    list.iter().take(MOST).filter_map(|annotation| {
        let inner = annotation.get("url_citation")?;
        let full = |key: &str| inner.get_str(key).filter(|text| !text.is_empty());
        let span = (inner.get_u64("start_index")?, inner.get_u64("end_index")?);
        Some(Citation {
            url: full("url").map(Into::into),
            title: full("title").map(Into::into),
            cited_text: full("content").map(Into::into),
            // OpenRouter writes 0, 0 where it does not know.
            span: Some(span).filter(|span| span.1 > span.0),
            document: inner.get_u64("document_index"),
            raw: Some((Dialect::OpenAi, annotation.raw.into())),
        })
    })
}

/// Perplexity's and xAI's addresses beside the choices.
pub fn addresses<'d>(document: &'d Node<'_>) -> impl Iterator<Item = Citation<'d>> {
    let list = document.get("citations").and_then(Node::as_array).unwrap_or_default();
    let titles = document
        .get("search_results")
        .and_then(Node::as_array)
        .unwrap_or_default();
    list.iter().take(MOST).filter_map(|address| {
        let url = address.as_str().or_else(|| address.get_str("url"))?;
        let result = titles.iter().find(|result| result.get_str("url") == Some(url));
        Some(Citation {
            url: Some(url.into()),
            title: result.and_then(|result| result.get_str("title")).map(Into::into),
            ..Citation::default()
        })
    })
}

/// `logprobs.content`, or a refusal's.
pub fn logprobs<'d>(choice: &'d Node<'_>) -> Vec<Logprob<'d>> {
    let list = |key: &str| {
        choice
            .get("logprobs")?
            .get(key)?
            .as_array()
            .filter(|list| !list.is_empty())
    };
    let list = list("content").or_else(|| list("refusal")).unwrap_or_default();
    let one = |node: &'d Node<'_>| Some((Text::Borrowed(node.get_str("token")?), node.get("logprob")?.as_f64()?));
    list.iter()
        .filter_map(|node| {
            let (token, logprob) = one(node)?;
            let top = node.get("top_logprobs").and_then(Node::as_array).unwrap_or_default();
            Some(Logprob {
                token,
                logprob,
                top: top.iter().take(MOST).filter_map(one).collect(),
            })
        })
        .collect()
}

/// `images` as OpenRouter gives them.
pub fn images<'d>(message: &'d Node<'_>) -> impl Iterator<Item = Media<'d>> {
    let list = message.get("images").and_then(Node::as_array).unwrap_or_default();
    list.iter().filter_map(|image| {
        let url = image.get("image_url")?;
        let (from, media_type) = source(url.as_str().or_else(|| url.get_str("url"))?).ok()?;
        Some(Media::new(MediaKind::Image, from, media_type.map(Into::into)))
    })
}

/// `audio`: bytes in the format that was asked for, which the answer does not repeat.
pub fn audio<'d>(message: &'d Node<'_>) -> Option<Media<'d>> {
    let audio = message.get("audio")?;
    let data = audio.get_str("data").unwrap_or_default();
    let transcript = audio.get_str("transcript").filter(|text| !text.is_empty());
    if data.is_empty() && transcript.is_none() {
        return None;
    }
    let mut media = Media::new(MediaKind::Audio, Source::Base64(data.into()), None);
    media.transcript = transcript.map(Into::into);
    Some(media)
}

/// Azure's verdicts, if there are any.
pub fn verdicts<'d>(choice: &'d Node<'_>) -> Option<&'d str> {
    let results = choice.get("content_filter_results")?;
    let some = results.as_object().is_some_and(|members| !members.is_empty());
    some.then_some(results.raw)
}

/// An error inside a document: its kind and its text.
pub fn error<'d>(document: &'d Node<'_>) -> Option<(Text<'d>, Text<'d>)> {
    let own = document.get_str("object") == Some("error");
    let error = if own { document } else { document.get("error")? };
    if let Some(text) = error.as_str() {
        return (!text.is_empty()).then(|| ("error".into(), clip(text)));
    }
    error.as_object().filter(|members| !members.is_empty())?;
    let word = |key: &str| error.get(key).map(|node| node.as_str().unwrap_or(node.raw));
    let kind = word("type").or_else(|| word("code")).filter(|kind| !kind.is_empty());
    let message = word("message").filter(|text| !text.is_empty());
    Some((
        kind.map_or("error".into(), clip),
        message.map_or("the provider reports an error without a text".into(), clip),
    ))
}

fn clip(text: &str) -> Text<'_> {
    match text.char_indices().nth(LONGEST_ERROR) {
        Some((at, _)) => text.get(..at).unwrap_or_default().into(),
        None => text.into(),
    }
}

/// Why a document without its main member is no answer.
pub fn not_an_answer(document: &Node<'_>, member: &str) -> Undecodable {
    match error(document) {
        Some((kind, _)) => Undecodable(format!("an error of kind {kind:?} in an answer of status 200")),
        None => Undecodable(format!("no `{member}` in the answer")),
    }
}
