//! A whole answer as a `chat.completion`.
//!
//! ```json
//! {"id":"chatcmpl-…","object":"chat.completion","created":1,"model":"…","choices":[{"index":0,"message":{"role":"assistant",
//!  "content":"…","refusal":null,"annotations":[…],"reasoning_content":"…","reasoning_details":[…],"images":[…],"audio":{…},
//!  "tool_calls":[…]},"logprobs":null,"finish_reason":"stop"}],"usage":{…},"system_fingerprint":null}
//! ```
//! The text parts of an answer are one `content` here; spans of citations are moved along. What the SDKs' types require is
//! always there; reasoning, images and verdicts stand in members that OpenRouter and DeepSeek made usual.
//!
//! Finish reasons. The SDKs' types know `stop`, `length`, `tool_calls`, `content_filter` only, and strict ones refuse other words:
//! Stop, StopSequence, Other → `stop`; Length, ContextWindow → `length`; Pause → `length` (the turn is unfinished, sending it
//! back goes on); ToolCalls → `tool_calls`; ContentFilter → `content_filter`; Refusal → `stop` beside a `refusal` text, as
//! OpenAI does, else `content_filter`; Error, MalformedCall → `error`, OpenRouter's word: nothing in the closed set would be
//! honest, and a client that fails on it fails rightly. Where the mapping loses something, `native_finish_reason` says it.

use super::reasoning;
use super::stream::Choice;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Candidate, Citation, Finish, Logprob, Media, MediaKind, Part, Raw, Request, Response, Source, ToolCall,
    ToolCallKind,
};
use crate::wire::client::{Reply, ReplyWriter};
use crate::wire::json::{JsonWriter, Node};

/// Writes one answer.
pub struct ChatWriter {
    pub(super) reply: Reply,
    /// The answer's id, whole.
    pub(super) id: String,
    /// Its names are those of a stream that its provider wrote.
    pub(super) adopted: bool,
    pub(super) stream_usage: bool,
    /// The start of every chunk, up to and with `"choices":[`.
    pub(super) head: Vec<u8>,
    /// What follows the choices of every chunk.
    pub(super) tail: Vec<u8>,
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<Usage>,
}

impl ChatWriter {
    /// For the answer to this request.
    pub fn new(request: &Request<'_>, reply: Reply) -> Self {
        Self {
            id: format!("chatcmpl-{}", reply.id),
            adopted: false,
            reply,
            stream_usage: request.stream_usage,
            head: Vec::new(),
            tail: Vec::new(),
            choices: Vec::new(),
            usage: None,
        }
    }
}

impl ReplyWriter for ChatWriter {
    fn whole(&mut self, response: &Response<'_>, out: &mut Vec<u8>) {
        let mut json = JsonWriter::over(std::mem::take(out));
        json.object(|json| {
            json.field("id", &self.id);
            json.field("object", "chat.completion");
            json.field("created", self.reply.created);
            json.field("model", &self.reply.model);
            json.key("choices").array(|json| {
                for candidate in &response.candidates {
                    choice(json, candidate, &self.reply);
                }
            });
            if let Some(figures) = &response.usage {
                json.key("usage");
                usage(json, figures);
            }
            json.opt("service_tier", response.service_tier.as_deref().and_then(tier));
            json.or_null("system_fingerprint", response.fingerprint.as_ref());
        });
        *out = json.finish();
    }

    fn event(&mut self, event: &crate::wire::canonical::Event<'_>, out: &mut Vec<u8>) {
        self.stream_event(event, out);
    }

    fn fail(&mut self, error: &crate::error::GatewayError, out: &mut Vec<u8>) {
        failure(error, out);
    }

    fn passed(&mut self, data: &[u8], max_depth: usize) {
        if !self.adopted {
            self.adopted = adopt(data, max_depth, &mut self.id, &mut self.reply);
            self.head_of_chunks();
        }
    }
}

/// Take over the names in an event of a provider's; whether it had any. All events of a stream have the same.
pub fn adopt(data: &[u8], max_depth: usize, id: &mut String, reply: &mut Reply) -> bool {
    let Ok(event) = Node::parse(data, max_depth) else {
        return false;
    };
    let Some(theirs) = event.get_str("id").filter(|id| !id.is_empty()) else {
        return false;
    };
    theirs.clone_into(id);
    if let Some(model) = event.get_str("model") {
        model.clone_into(&mut reply.model);
    }
    reply.created = event.get_u64("created").unwrap_or(reply.created);
    true
}

/// The tier, if it has a word in the SDKs' closed set.
pub fn tier(word: &str) -> Option<&str> {
    match word {
        "auto" | "default" | "flex" | "scale" | "priority" | "fast" => Some(word),
        "standard" | "on_demand" => Some("default"),
        _ => None,
    }
}

/// The in-band error of this dialect's streams.
pub fn failure(error: &crate::error::GatewayError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        json.key("error").object(|json| {
            json.field("message", error.message.as_ref());
            json.field("type", error.kind.openai_type());
            json.or_null("param", error.param.as_deref());
            json.or_null("code", error.error_code());
        });
    });
    *out = json.finish();
    out.extend_from_slice(b"\n\n");
}

fn choice(json: &mut JsonWriter, candidate: &Candidate<'_>, reply: &Reply) {
    let refused = candidate.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    json.object(|json| {
        json.field("index", u64::from(candidate.index));
        json.key("message")
            .object(|json| message(json, &candidate.parts, reply));
        json.key("logprobs");
        logprobs(json, &candidate.logprobs);
        // The SDKs' types want a reason in a whole answer, also where the provider gave none.
        finish(json, candidate.finish.as_ref().unwrap_or(&Finish::Stop), refused);
        json.opt("stop_reason", candidate.stop_sequence.as_ref());
        if let Some((origin, raw)) = &candidate.safety {
            safety(json, *origin, raw);
        }
    });
}

fn message(json: &mut JsonWriter, parts: &[Part<'_>], reply: &Reply) {
    json.field("role", "assistant");
    let content = joined(parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_ref()),
        _ => None,
    }));
    json.or_null("content", content);
    json.or_null(
        "refusal",
        joined(parts.iter().filter_map(|part| match part {
            Part::Refusal(text) => Some(text.as_ref()),
            _ => None,
        })),
    );
    thoughts(json, parts);
    citations(json, parts);
    media(json, parts, reply);
    let mut calls = parts.iter().filter_map(as_call).peekable();
    if calls.peek().is_some() {
        json.key("tool_calls")
            .array(|json| calls.for_each(|made| call(json, made)));
    }
}

fn as_call<'p, 'a>(part: &'p Part<'a>) -> Option<&'p ToolCall<'a>> {
    match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    }
}

fn joined<'t>(mut texts: impl Iterator<Item = &'t str>) -> Option<std::borrow::Cow<'t, str>> {
    let mut all: std::borrow::Cow<'t, str> = texts.next()?.into();
    for text in texts {
        all.to_mut().push_str(text);
    }
    Some(all)
}

/// `reasoning_content` for those who show it, `reasoning_details` for those who send it back.
fn thoughts(json: &mut JsonWriter, parts: &[Part<'_>]) {
    let thinking = || {
        parts.iter().filter_map(|part| match part {
            Part::Thinking(thinking) => Some(thinking),
            _ => None,
        })
    };
    let signed = || parts.iter().filter_map(as_call).filter(|call| call.signature.is_some());
    if let Some(text) = joined(thinking().map(|t| t.text.as_ref()).filter(|text| !text.is_empty())) {
        json.field("reasoning_content", text);
    }
    if thinking().next().is_none() && signed().next().is_none() {
        return;
    }
    json.key("reasoning_details").array(|json| {
        let mut index = 0;
        for thinking in thinking() {
            reasoning::write(json, thinking, index, reasoning::for_client);
            index += 1;
        }
        for call in signed() {
            if let Some(signature) = &call.signature {
                reasoning::write_call(json, &call.id, signature, index, reasoning::for_client);
            }
            index += 1;
        }
    });
}

fn citations(json: &mut JsonWriter, parts: &[Part<'_>]) {
    let all = || {
        let mut before = 0u64;
        parts.iter().flat_map(move |part| {
            let Part::Text { text, citations, .. } = part else {
                return [].iter().map(with_offset(0));
            };
            let offset = before;
            before += text.chars().count() as u64;
            citations.iter().map(with_offset(offset))
        })
    };
    if all().next().is_some() {
        json.key("annotations").array(|json| {
            for (citation, offset) in all() {
                annotation(json, citation, offset, None);
            }
        });
    }
}

fn with_offset<'p, 'a>(offset: u64) -> impl Fn(&'p Citation<'a>) -> (&'p Citation<'a>, u64) {
    move |citation| (citation, offset)
}

/// One annotation. Those of the web are as OpenAI has them; for others the empty address says that there is none, and the
/// cited words and the document's number stand beside it. In streams they are numbered: the SDKs put deltas together by
/// `index`, and fail on a list whose entries have none.
pub fn annotation(json: &mut JsonWriter, citation: &Citation<'_>, offset: u64, index: Option<u64>) {
    if let (Some((Dialect::OpenAi, raw)), 0, None) = (&citation.raw, offset, index) {
        return json.raw(raw);
    }
    json.object(|json| {
        json.opt("index", index);
        json.field("type", "url_citation");
        json.key("url_citation").object(|json| {
            let (start, end) = citation.span.unwrap_or((0, 0));
            json.field("start_index", start + if citation.span.is_some() { offset } else { 0 });
            json.field("end_index", end + if citation.span.is_some() { offset } else { 0 });
            json.field("url", citation.url.as_deref().unwrap_or_default());
            json.field("title", citation.title.as_deref().unwrap_or_default());
            json.opt("content", citation.cited_text.as_ref());
            json.opt("document_index", citation.document);
        });
    });
}

fn media(json: &mut JsonWriter, parts: &[Part<'_>], reply: &Reply) {
    let of = |wanted: MediaKind| {
        parts.iter().filter_map(move |part| match part {
            Part::Media(media) if media.kind == wanted => Some(media),
            _ => None,
        })
    };
    if of(MediaKind::Image).any(|media| media.url().is_some()) {
        json.key("images").array(|json| {
            for (index, media) in (0u64..).zip(of(MediaKind::Image)) {
                image(json, media, index);
            }
        });
    }
    // There is room for one sound.
    if let Some(sound) = of(MediaKind::Audio).next() {
        json.key("audio");
        audio(json, sound, Some(reply));
    }
}

/// As OpenRouter gives images.
pub fn image(json: &mut JsonWriter, media: &Media<'_>, index: u64) {
    if let Some(url) = media.url() {
        json.object(|json| {
            json.field("type", "image_url");
            json.key("image_url").object(|json| json.field("url", url));
            json.field("index", index);
        });
    }
}

/// A sound. It is kept nowhere, so it expires as it is made. Without `reply`: more of one that has its id already.
pub fn audio(json: &mut JsonWriter, media: &Media<'_>, reply: Option<&Reply>) {
    let data = match &media.source {
        Source::Base64(data) => data.as_ref(),
        _ => "",
    };
    json.object(|json| {
        json.opt("id", reply.map(|reply| format!("audio_{}", reply.id)));
        json.field("data", data);
        json.opt("expires_at", reply.map(|reply| reply.created));
        json.field("transcript", media.transcript.as_deref().unwrap_or_default());
    });
}

fn call(json: &mut JsonWriter, call: &ToolCall<'_>) {
    json.object(|json| {
        json.field("id", &call.id);
        match call.kind {
            ToolCallKind::Function => {
                json.field("type", "function");
                json.key("function").object(|json| {
                    json.field("name", &call.name);
                    json.field("arguments", &call.arguments);
                });
            }
            ToolCallKind::Custom => {
                json.field("type", "custom");
                json.key("custom").object(|json| {
                    json.field("name", &call.name);
                    json.field("input", &call.arguments);
                });
            }
        }
        if let Some(signature) = &call.signature {
            thought_signature(json, signature);
        }
    });
}

/// Google's place for the signature of a call in this shape (ai.google.dev/gemini-api/docs/openai, read 2026-11).
pub fn thought_signature(json: &mut JsonWriter, signature: &crate::wire::canonical::Signature<'_>) {
    let (_, text) = reasoning::for_client(signature);
    json.key("extra_content").object(|json| {
        json.key("google").object(|json| json.field("thought_signature", text));
    });
}

/// `{"content":[{"token","logprob","bytes","top_logprobs":[…]}],"refusal":null}` or `null`.
pub fn logprobs(json: &mut JsonWriter, logprobs: &[Logprob<'_>]) {
    if logprobs.is_empty() {
        return json.null();
    }
    json.object(|json| {
        json.key("content").array(|json| {
            for logprob in logprobs {
                json.object(|json| {
                    token(json, &logprob.token, logprob.logprob);
                    json.key("top_logprobs").array(|json| {
                        for (text, likely) in &logprob.top {
                            json.object(|json| token(json, text, *likely));
                        }
                    });
                });
            }
        });
        json.key("refusal").null();
    });
}

fn token(json: &mut JsonWriter, text: &str, logprob: f64) {
    json.field("token", text);
    json.field("logprob", logprob);
    // A token that is part of a letter has come as U+FFFD: its bytes are not known.
    if text.contains('\u{fffd}') {
        json.key("bytes").null();
    } else {
        json.key("bytes")
            .array(|json| text.bytes().for_each(|byte| json.value(u64::from(byte))));
    }
}

/// `finish_reason`, and `native_finish_reason` where that says more.
pub fn finish(json: &mut JsonWriter, finish: &Finish<'_>, refused: bool) {
    let (reason, native) = match finish {
        Finish::Stop | Finish::StopSequence => ("stop", None),
        Finish::Other(word) => ("stop", Some(word.as_ref()).filter(|word| !word.is_empty())),
        Finish::Length => ("length", None),
        Finish::ContextWindow => ("length", Some("model_context_window_exceeded")),
        Finish::Pause => ("length", Some("pause_turn")),
        Finish::ToolCalls => ("tool_calls", None),
        Finish::ContentFilter => ("content_filter", None),
        Finish::Refusal => (if refused { "stop" } else { "content_filter" }, Some("refusal")),
        Finish::MalformedCall => ("error", Some("malformed_function_call")),
        Finish::Error => ("error", None),
    };
    json.field("finish_reason", reason);
    json.opt("native_finish_reason", native);
}

/// Verdicts of this family in Azure's place, of others named.
pub fn safety(json: &mut JsonWriter, origin: Dialect, raw: &Raw<'_>) {
    if origin == Dialect::OpenAi {
        return json.raw_field("content_filter_results", raw);
    }
    json.key("safety").object(|json| {
        json.field("origin", origin.as_str());
        json.raw_field("verdicts", raw);
    });
}

/// The usage object.
pub fn usage(json: &mut JsonWriter, usage: &Usage) {
    json.object(|json| {
        json.field("prompt_tokens", usage.input);
        json.field("completion_tokens", usage.output);
        json.field("total_tokens", usage.total());
        json.key("prompt_tokens_details").object(|json| {
            json.field("cached_tokens", usage.cached);
            json.field("audio_tokens", usage.audio_input);
            json.opt(
                "cache_write_tokens",
                (usage.cache_write > 0).then_some(usage.cache_write),
            );
        });
        json.key("completion_tokens_details").object(|json| {
            json.field("reasoning_tokens", usage.reasoning);
            json.field("audio_tokens", usage.audio_output);
        });
    });
}
