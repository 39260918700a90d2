//! Pieces of answers and contents as Google writes them: parts, grounding, logprobs, finish words.
//!
//! ```json
//! {"text":"…","thought":true,"thoughtSignature":"…"}   {"functionCall":{"id":"…","name":"f","args":{}}}
//! "groundingMetadata":{"groundingChunks":[{"web":{"uri":"…","title":"…"}}],
//!   "groundingSupports":[{"segment":{"partIndex":0,"startIndex":0,"endIndex":9},"groundingChunkIndices":[0]}]}
//! "logprobsResult":{"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.1}]}],"chosenCandidates":[…]}
//! ```
//! Source: ai.google.dev/api/generate-content, read 2026-11.

use super::{carried, signature};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Citation, Finish, Logprob, Media, MediaKind, Part, Source, Thinking, ToolCall, ToolCallKind,
};
use crate::wire::json::{JsonWriter, scan_object};

/// Deepest nesting of a call's arguments that is still sent as an object.
const MOST_DEPTH: usize = 256;

/// One part of an answer, for a client. Nothing for what this API has no form for. `signature`: what goes out on it if it is
/// a text or a call.
pub fn answer(part: &Part<'_>, signature: Option<&str>, json: &mut JsonWriter) {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => prose(text, false, signature, json),
        Part::Thinking(thinking) => thought(thinking, json),
        Part::ToolCall(one) => call(one, signature, json),
        Part::Media(one) if has_form(one) => json.object(|json| {
            media(one, json);
            let signature = one.signature.as_ref();
            json.opt("thoughtSignature", signature.map(signature::write));
        }),
        Part::Opaque {
            dialect: Dialect::Gemini,
            raw,
            ..
        } => json.raw(raw),
        Part::Media(_) | Part::ToolResult(_) | Part::Opaque { .. } => {}
    }
}

/// Text or a thought, for a client.
pub fn prose(text: &str, thought: bool, signature: Option<&str>, json: &mut JsonWriter) {
    json.object(|json| {
        json.field("text", text);
        json.opt("thought", thought.then_some(true));
        json.opt("thoughtSignature", signature);
    });
}

/// A whole thought. Another vendor's is for display only: see [`carried`].
fn thought(thinking: &Thinking<'_>, json: &mut JsonWriter) {
    let own = thinking.signature.as_ref().filter(|_| carried::is_own(thinking));
    if own.is_some() || !thinking.text.is_empty() {
        prose(&thinking.text, true, own.map(|own| own.data.as_ref()), json);
    }
}

/// A call, for a client.
pub fn call(call: &ToolCall<'_>, signature: Option<&str>, json: &mut JsonWriter) {
    json.object(|json| {
        json.key("functionCall").object(|json| {
            json.field("id", &call.id);
            json.field("name", &call.name);
            arguments(&call.arguments, call.kind, json.key("args"));
        });
        json.opt("thoughtSignature", signature);
    });
}

/// A call's arguments as an object: broken JSON travels as `{"_raw": …}`, free text as `{"input": …}`.
pub fn arguments(arguments: &str, kind: ToolCallKind, json: &mut JsonWriter) {
    if kind == ToolCallKind::Custom {
        json.object(|json| json.field("input", arguments));
    } else if arguments.trim_ascii().is_empty() {
        json.object(|_| ());
    } else if is_object(arguments) {
        json.raw(arguments);
    } else {
        json.object(|json| json.field("_raw", arguments));
    }
}

/// Whether a text is one JSON object.
pub fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && scan_object(text.as_bytes(), MOST_DEPTH, |_| ()).is_ok()
}

/// Whether [`media`] can write it.
pub fn has_form(media: &Media<'_>) -> bool {
    match &media.source {
        Source::Base64(_) | Source::Url(_) => true,
        Source::File { dialect, .. } => *dialect == Dialect::Gemini,
        Source::Text(_) | Source::Parts(_) => false,
    }
}

/// `inlineData` or `fileData`, inside the object of its part.
pub fn media(media: &Media<'_>, json: &mut JsonWriter) {
    let (uri, guessed) = match &media.source {
        Source::Base64(data) => {
            json.key("inlineData").object(|json| {
                json.field("mimeType", media.media_type.as_deref().unwrap_or(usual(media.kind)));
                json.field("data", data);
            });
            return;
        }
        Source::Url(url) => (url, super::contents::media_type_of(url).or(Some(usual(media.kind)))),
        Source::File { id, .. } => (id, super::contents::media_type_of(id)),
        Source::Text(_) | Source::Parts(_) => return,
    };
    json.key("fileData").object(|json| {
        json.opt("mimeType", media.media_type.as_deref().or(guessed));
        json.field("fileUri", uri);
    });
}

/// The media type of a medium of which only its sort is known.
fn usual(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Audio => "audio/mp3",
        MediaKind::Video => "video/mp4",
        MediaKind::Document => "application/pdf",
    }
}

/// What an answer relies on: the index of the part, where in it (bytes), and the source.
pub struct Grounds<'a> {
    /// Index of the text part in the answer.
    pub part: u64,
    /// Bytes of it, end exclusive.
    pub segment: Option<(u64, u64)>,
    /// The source.
    pub citation: &'a Citation<'a>,
}

/// `groundingMetadata`, if there is anything to ground on. Google's own goes back as it came.
pub fn grounding(all: &[Grounds<'_>], json: &mut JsonWriter) {
    let own = all.iter().find_map(|one| match &one.citation.raw {
        Some((Dialect::Gemini, raw)) => Some(raw),
        _ => None,
    });
    if let Some(raw) = own {
        json.raw_field("groundingMetadata", raw);
        return;
    }
    if all.is_empty() {
        return;
    }
    let mut sources: Vec<&Citation<'_>> = Vec::new();
    let mut supports = Vec::new();
    for one in all {
        let same = |source: &&Citation<'_>| {
            let (a, b) = (*source, one.citation);
            a.url == b.url && a.title == b.title && (a.url.is_some() || a.cited_text == b.cited_text)
        };
        let at = sources.iter().position(same).unwrap_or_else(|| {
            sources.push(one.citation);
            sources.len() - 1
        });
        supports.extend(one.segment.map(|segment| (one.part, segment, at as u64)));
    }
    json.key("groundingMetadata").object(|json| {
        json.key("groundingChunks")
            .array(|json| sources.iter().for_each(|source| chunk(source, json)));
        json.key("groundingSupports").array(|json| {
            for (part, (start, end), chunk) in supports {
                json.object(|json| {
                    json.key("segment").object(|json| {
                        json.field("partIndex", part);
                        json.field("startIndex", start);
                        json.field("endIndex", end);
                    });
                    json.key("groundingChunkIndices").array(|json| json.value(chunk));
                });
            }
        });
    });
}

fn chunk(source: &Citation<'_>, json: &mut JsonWriter) {
    json.object(|json| {
        json.key(if source.url.is_some() {
            "web"
        } else {
            "retrievedContext"
        })
        .object(|json| {
            json.opt("uri", source.url.as_ref());
            json.opt("title", source.title.as_ref());
            if source.url.is_none() {
                json.opt("text", source.cited_text.as_ref());
            }
        });
    });
}

/// `logprobsResult`, if there are any.
pub fn logprobs(all: &[Logprob<'_>], json: &mut JsonWriter) {
    if all.is_empty() {
        return;
    }
    let one = |token: &str, logprob: f64, json: &mut JsonWriter| {
        json.object(|json| {
            json.field("token", token);
            json.field("logProbability", logprob);
        });
    };
    json.key("logprobsResult").object(|json| {
        json.key("topCandidates").array(|json| {
            for token in all {
                json.object(|json| {
                    json.key("candidates")
                        .array(|json| token.top.iter().for_each(|(text, logprob)| one(text, *logprob, json)));
                });
            }
        });
        json.key("chosenCandidates")
            .array(|json| all.iter().for_each(|token| one(&token.token, token.logprob, json)));
    });
}

/// Google's words for endings, beyond those with a canonical one, that SDKs know.
const WORDS: [&str; 20] = [
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
    "MODEL_ARMOR",
];

/// `finishReason`. A refusal is `SAFETY`, the word under which Google's clients expect an answer to be withheld; a word of
/// another vendor is `OTHER`, because the SDKs' type is closed.
pub fn finish_out<'a>(finish: &'a Finish<'_>) -> &'a str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::ToolCalls | Finish::Pause => "STOP",
        Finish::Length | Finish::ContextWindow => "MAX_TOKENS",
        Finish::ContentFilter | Finish::Refusal => "SAFETY",
        Finish::MalformedCall => "MALFORMED_FUNCTION_CALL",
        Finish::Error => "OTHER",
        Finish::Other(word) => WORDS.into_iter().find(|known| known == word).unwrap_or("OTHER"),
    }
}

/// The canonical ending of a `finishReason`; `called`: the answer calls functions (Google says `STOP` then too).
pub fn finish_in(word: &str, called: bool) -> Finish<'_> {
    match word {
        "STOP" if called => Finish::ToolCalls,
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Finish::ContentFilter,
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => Finish::MalformedCall,
        other => Finish::Other(other.into()),
    }
}
