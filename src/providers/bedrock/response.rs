//! Converse's answers read.
//!
//! ```json
//! {"output":{"message":{"role":"assistant","content":[{"text":"…"},{"toolUse":{"toolUseId":"…","name":"…","input":{}}}]}},
//!  "stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3,"cacheReadInputTokens":0,
//!  "cacheWriteInputTokens":0,"cacheDetails":[{"ttl":"1h","inputTokens":0}]},"metrics":{"latencyMs":1},"trace":{"guardrail":{}}}
//! ```
//! `inputTokens` leaves cached tokens out, as in Anthropic's API: the reference does not say so, the SDKs' users measured it
//! (BerriAI/litellm 9221, sashiko 113, librefang 5878), and `totalTokens` then holds all four. Where `totalTokens` is
//! `inputTokens` + `outputTokens` although tokens were cached, they were counted in.
//! Source: Bedrock API reference, Converse, ContentBlock, TokenUsage, read 2026-11.

use super::model::Model;
use crate::providers::codec::{Expect, Undecodable};
use crate::providers::free_text;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::aux::TokenCount;
use crate::wire::canonical::{
    Candidate, Citation, Finish, Media, MediaKind, Part, Response, Signature, Source, Text, Thinking, ToolCall,
    ToolCallKind,
};
use crate::wire::json::Node;

/// Read a whole answer.
pub(super) fn decode<'d>(body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
    let model = Model::of(&expect.model);
    let message = body.get("output").and_then(|output| output.get("message"));
    let message = message.ok_or_else(|| Undecodable("`output.message` is missing".to_owned()))?;
    let blocks = match message.get("content") {
        Some(content) => content.array().map_err(|invalid| invalid.within("content"))?,
        None => &[],
    };
    let mut parts = Vec::with_capacity(blocks.len());
    let mut calls = 0;
    for block in blocks {
        if let Some(part) = part(block, expect, model.origin(), calls) {
            calls += usize::from(matches!(part, Part::ToolCall(_)));
            parts.push(part);
        }
    }
    let word = body.get_str("stopReason");
    let candidate = Candidate {
        parts,
        finish: word.map(|word| finish(word, expect, calls)),
        stop_sequence: stop_sequence(body),
        safety: safety(body),
        ..Candidate::default()
    };
    Ok(Response {
        model: routed_model(body).unwrap_or_else(|| expect.model.as_ref().into()),
        candidates: vec![candidate],
        usage: body
            .get("usage")
            .and_then(usage)
            .map(|usage| with_thinking(usage, thinking_tokens(body))),
        service_tier: service_tier(body),
        ..Response::default()
    })
}

/// A block of content; nothing when it is empty. `calls`: how many came before, for an id where the service gives none.
fn part<'d>(block: &'d Node<'_>, expect: &'d Expect, origin: Dialect, calls: usize) -> Option<Part<'d>> {
    if let Some(text) = block.get_str("text") {
        return (!text.is_empty()).then(|| Part::text(text));
    }
    if let Some(call) = block.get("toolUse") {
        if call.get_str("type") == Some("server_tool_use") {
            return Some(opaque("toolUse", block));
        }
        let input = call.get("input");
        let arguments: &str = input.map_or("{}", |input| input.as_str().unwrap_or(input.raw));
        let name = call.get_str("name").unwrap_or_default();
        if expect.structured_tool.as_deref() == Some(name) {
            return Some(Part::text(arguments));
        }
        let (name, kind) = free_text::tool(name, expect);
        return Some(Part::ToolCall(ToolCall {
            id: call_id(call, calls),
            name: name.into(),
            arguments: match kind {
                ToolCallKind::Function => arguments.into(),
                ToolCallKind::Custom => free_text::whole(arguments),
            },
            kind,
            signature: None,
            cache: None,
        }));
    }
    if let Some(reasoning) = block.get("reasoningContent") {
        return thinking(reasoning, origin);
    }
    if let Some(cited) = block.get("citationsContent") {
        return Some(cited_text(cited));
    }
    for (key, kind) in [
        ("image", MediaKind::Image),
        ("audio", MediaKind::Audio),
        ("video", MediaKind::Video),
    ] {
        if let Some(media) = block.get(key) {
            return media_part(media, kind).or_else(|| Some(opaque(key, block)));
        }
    }
    let (key, _) = block.as_object()?.first()?;
    Some(opaque(key, block))
}

/// The id of a tool use, or one made up that is unique within the answer.
pub(super) fn call_id<'d>(call: &'d Node<'_>, calls: usize) -> Text<'d> {
    match call.get_str("toolUseId") {
        Some(id) if !id.is_empty() => id.into(),
        _ => format!("call_{calls}").into(),
    }
}

fn opaque<'d>(kind: &'d str, block: &'d Node<'_>) -> Part<'d> {
    Part::Opaque {
        dialect: Dialect::Bedrock,
        kind: kind.into(),
        raw: block.raw.into(),
    }
}

fn thinking<'d>(reasoning: &'d Node<'_>, origin: Dialect) -> Option<Part<'d>> {
    if let Some(data) = reasoning.get_str("redactedContent") {
        return Some(redacted(data, origin));
    }
    let readable = reasoning.get("reasoningText")?;
    let text = readable.get_str("text").unwrap_or_default();
    let signature = readable.get_str("signature").filter(|signature| !signature.is_empty());
    if text.is_empty() && signature.is_none() {
        return None;
    }
    Some(Part::Thinking(Thinking {
        text: text.into(),
        signature: signature.map(|signature| Signature::new(origin, signature)),
        ..Thinking::default()
    }))
}

/// Reasoning whose text is not shown.
pub(super) fn redacted(data: &str, origin: Dialect) -> Part<'_> {
    Part::Thinking(Thinking {
        signature: Some(Signature::new(origin, data)),
        redacted: true,
        ..Thinking::default()
    })
}

fn cited_text<'d>(cited: &'d Node<'_>) -> Part<'d> {
    let pieces = || cited.get("content").and_then(Node::as_array).unwrap_or_default().iter();
    let mut texts = pieces().filter_map(|piece| piece.get_str("text"));
    let text: Text<'d> = match (texts.next(), texts.next()) {
        (None, _) => "".into(),
        (Some(only), None) => only.into(),
        _ => pieces()
            .filter_map(|piece| piece.get_str("text"))
            .collect::<String>()
            .into(),
    };
    let citations = cited.get("citations").and_then(Node::as_array).unwrap_or_default();
    Part::Text {
        text,
        cache: None,
        citations: citations.iter().map(citation).collect(),
        signature: None,
    }
}

/// What a text relies on: the same object in an answer and in a stream.
pub(super) fn citation<'d>(from: &'d Node<'_>) -> Citation<'d> {
    let pieces = from.get("sourceContent").and_then(Node::as_array).unwrap_or_default();
    let mut texts = pieces.iter().filter_map(|piece| piece.get_str("text"));
    let cited_text: Option<Text<'d>> = match (texts.next(), texts.next()) {
        (None, _) => None,
        (Some(only), None) => Some(only.into()),
        (Some(first), Some(second)) => {
            let more: String = texts.collect();
            Some(format!("{first}{second}{more}").into())
        }
    };
    let location = from.get("location");
    let web = location.and_then(|location| location.get("web")?.get_str("url"));
    let place = location
        .and_then(|location| location.as_object()?.first())
        .map(|(_, place)| place);
    let source = from.get_str("source").filter(|source| source.starts_with("http"));
    Citation {
        url: web.or(source).map(Into::into),
        title: from.get_str("title").map(Into::into),
        cited_text,
        span: None,
        document: place.and_then(|place| place.get_u64("documentIndex")),
        raw: Some((Dialect::Bedrock, from.raw.into())),
    }
}

fn media_part<'d>(media: &'d Node<'_>, kind: MediaKind) -> Option<Part<'d>> {
    let data = media.get("source")?.get_str("bytes")?;
    let format = media.get_str("format").unwrap_or_default();
    let family = match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        _ => "image",
    };
    let media_type = format!("{family}/{}", if format == "three_gp" { "3gpp" } else { format });
    Some(Part::Media(Media::new(
        kind,
        Source::Base64(data.into()),
        Some(media_type.into()),
    )))
}

/// Why the answer ended. `calls`: how many calls for the client it holds, the one that carries structured output not counted.
pub(super) fn finish<'d>(word: &'d str, expect: &Expect, calls: usize) -> Finish<'d> {
    match word {
        "end_turn" => Finish::Stop,
        "tool_use" if calls == 0 && expect.structured_tool.is_some() => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "max_tokens" => Finish::Length,
        "stop_sequence" => Finish::StopSequence,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        "malformed_tool_use" => Finish::MalformedCall,
        "malformed_model_output" => Finish::Error,
        "model_context_window_exceeded" => Finish::ContextWindow,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        other => Finish::Other(other.into()),
    }
}

/// The stop text, which Claude tells when `additionalModelResponseFieldPaths` asks for it.
pub(super) fn stop_sequence<'d>(body: &'d Node<'_>) -> Option<Text<'d>> {
    let fields = body.get("additionalModelResponseFields")?;
    let place = fields.get("delta").unwrap_or(fields);
    place.get_str("stop_sequence").map(Into::into)
}

/// A guardrail's verdict.
pub(super) fn safety<'d>(body: &'d Node<'_>) -> Option<(Dialect, Text<'d>)> {
    let verdict = body.get("trace")?.get("guardrail")?;
    Some((Dialect::Bedrock, verdict.raw.into()))
}

/// The model a prompt router chose.
fn routed_model<'d>(body: &'d Node<'_>) -> Option<Text<'d>> {
    let id = body.get("trace")?.get("promptRouter")?.get_str("invokedModelId")?;
    Some(id.into())
}

/// The tier that served it.
fn service_tier<'d>(body: &'d Node<'_>) -> Option<Text<'d>> {
    body.get("serviceTier")?.get_str("type").map(Into::into)
}

/// The figures of a usage object.
pub(super) fn usage(from: &Node<'_>) -> Option<Usage> {
    let input = from.get_u64("inputTokens")?;
    let output = from.get_u64("outputTokens").unwrap_or(0);
    let cached = from.get_u64("cacheReadInputTokens").unwrap_or(0);
    let cache_write = from.get_u64("cacheWriteInputTokens").unwrap_or(0);
    let beside = cached.saturating_add(cache_write);
    let counted_in = from.get_u64("totalTokens") == Some(input.saturating_add(output)) && input >= beside;
    let details = from.get("cacheDetails").and_then(Node::as_array).unwrap_or_default();
    let hour = details.iter().filter(|detail| detail.get_str("ttl") == Some("1h"));
    let hour = hour.filter_map(|detail| detail.get_u64("inputTokens"));
    Some(Usage {
        input: if counted_in {
            input
        } else {
            input.saturating_add(beside)
        },
        output,
        cached,
        cache_write,
        cache_write_1h: hour.fold(0, u64::saturating_add).min(cache_write),
        ..Usage::default()
    })
}

/// Tokens that Claude thought with, when they were asked for (`/usage`).
pub(super) fn thinking_tokens(body: &Node<'_>) -> Option<u64> {
    let usage = body.get("additionalModelResponseFields")?.get("usage")?;
    usage.get("output_tokens_details")?.get_u64("thinking_tokens")
}

/// The figures, with those of the thinking.
pub(super) fn with_thinking(mut figures: Usage, thinking: Option<u64>) -> Usage {
    figures.reasoning = thinking.unwrap_or(0).min(figures.output);
    figures
}

/// Read the answer of CountTokens: `{"inputTokens":12}`.
pub(super) fn decode_count(body: &Node<'_>) -> Result<TokenCount, Undecodable> {
    let input = body.req("inputTokens", Node::u64)?;
    Ok(TokenCount { input, cached: None })
}
