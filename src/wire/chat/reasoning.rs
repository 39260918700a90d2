//! Reasoning inside Chat Completions messages: `reasoning_details`, and the plain `reasoning_content` or `reasoning` beside it.
//!
//! ```json
//! [{"type":"reasoning.text","text":"…","signature":"…","format":"anthropic-claude-v1","id":"rs_1","index":0},
//!  {"type":"reasoning.summary","summary":"…","format":"openai-responses-v1","index":1},
//!  {"type":"reasoning.encrypted","data":"…","format":"google-gemini-v1","id":"call_1","index":2}]
//! ```
//! OpenRouter's shape (openrouter.ai/docs/use-cases/reasoning-tokens, read 2026-11; recordings openrouter/thinking-anthropic-*
//! and multi-tool-stream-*), the only documented one that can carry signatures. Used to clients and to OpenRouter. `format`
//! says whose model signed, so it stands for [`Signature::origin`]; a format that is no dialect of ours is kept before a
//! `|` in the data of a signature of [`Dialect::OpenAi`], for it must come back with it.

use crate::wire::Dialect;
use crate::wire::canonical::{Part, Signature, Text, Thinking, ToolCall};
use crate::wire::json::{Invalid, JsonWriter, Node};
use std::collections::HashMap;

/// The formats that are dialects.
const FORMATS: [(&str, Dialect); 3] = [
    ("anthropic-claude-v1", Dialect::Anthropic),
    ("google-gemini-v1", Dialect::Gemini),
    ("openai-responses-v1", Dialect::Responses),
];

/// Most letters of a format's name: what is longer is part of the data.
const LONGEST_FORMAT: usize = 40;

/// A bare signature, by its format.
fn signature<'a>(format: Option<&str>, data: &'a str) -> Signature<'a> {
    let known = FORMATS.iter().find(|(name, _)| Some(*name) == format);
    match (known, format) {
        (Some((_, origin)), _) => Signature::new(*origin, data),
        (None, Some(format)) if !format.is_empty() && format != "unknown" => {
            Signature::new(Dialect::OpenAi, format!("{format}|{data}"))
        }
        _ => Signature::new(Dialect::OpenAi, data),
    }
}

/// A signature that a client echoed or a target gave: wrapped ones say themselves whose they are (the target may be a gateway
/// like this one), bare ones by their format.
pub fn echoed<'a>(format: Option<&str>, text: &'a str) -> Signature<'a> {
    let wrapped = Signature::from_client(Dialect::OpenAi, text);
    if wrapped.origin != Dialect::OpenAi || text.starts_with("cirque:openai:") {
        return wrapped;
    }
    signature(format, text)
}

/// The format and the bare data of a signature.
pub fn format_of<'s>(signature: &'s Signature<'_>) -> (&'s str, &'s str) {
    if let Some((name, _)) = FORMATS.iter().find(|(_, origin)| *origin == signature.origin) {
        return (name, &signature.data);
    }
    match signature.data.split_once('|') {
        Some((format, data)) if format.len() <= LONGEST_FORMAT && signature.origin == Dialect::OpenAi => (format, data),
        _ => ("unknown", &signature.data),
    }
}

/// What a client shall echo: bare for signatures of this family, wrapped for others.
pub fn for_client<'s>(signature: &'s Signature<'_>) -> (&'s str, Text<'s>) {
    let (format, data) = format_of(signature);
    if signature.origin == Dialect::OpenAi {
        (format, data.into())
    } else {
        (format, signature.for_client(Dialect::OpenAi))
    }
}

/// One entry of `reasoning_details`, as far as it is understood.
#[derive(Debug, Default)]
pub struct Detail<'n> {
    /// Text, or a summary of it.
    pub text: Option<&'n str>,
    /// Of the text; or the data of an encrypted entry.
    pub proof: Option<&'n str>,
    /// It is encrypted: there is no text.
    pub encrypted: bool,
    /// Whose.
    pub format: Option<&'n str>,
    /// Of the reasoning item, or of the tool call it belongs to.
    pub id: Option<&'n str>,
    /// Entries of one index are pieces of one.
    pub index: Option<u64>,
}

/// Read one entry; nothing when it is of an unknown type or says nothing.
pub fn detail<'n>(node: &'n Node<'_>) -> Option<Detail<'n>> {
    let kind = node.get_str("type")?;
    let full = |text: Option<&'n str>| text.filter(|text| !text.is_empty());
    let mut detail = Detail {
        format: node.get_str("format"),
        id: full(node.get_str("id")),
        index: node.get_u64("index"),
        ..Detail::default()
    };
    match kind {
        "reasoning.text" => {
            detail.text = full(node.get_str("text"));
            detail.proof = full(node.get_str("signature"));
        }
        "reasoning.summary" => detail.text = full(node.get_str("summary")),
        "reasoning.encrypted" => {
            detail.proof = full(node.get_str("data"));
            detail.encrypted = true;
        }
        _ => return None,
    }
    (detail.text.is_some() || detail.proof.is_some()).then_some(detail)
}

/// The reasoning of one message, as parts, put before what else it holds. Encrypted entries that name a call of the message
/// are that call's signature (Gemini's models through OpenRouter). Pieces of one index are joined: some clients echo the
/// deltas of a stream as they came.
pub fn parts<'d>(message: &'d Node<'_>, calls: &mut [ToolCall<'d>]) -> Result<Vec<Part<'d>>, Invalid> {
    let mut all: Vec<(Option<u64>, Thinking<'d>)> = Vec::new();
    if let Some(details) = message.get("reasoning_details") {
        let entries = details.array().map_err(|invalid| invalid.within("reasoning_details"))?;
        // Of calls of one id the first.
        let places = calls.iter().enumerate().rev();
        let places: HashMap<Text<'d>, usize> = places.map(|(at, call)| (call.id.clone(), at)).collect();
        for detail in entries.iter().filter_map(detail) {
            let place = detail.id.and_then(|id| places.get(id));
            take(&mut all, detail, place.and_then(|&at| calls.get_mut(at)));
        }
    }
    if all.iter().all(|(_, thinking)| thinking.text.is_empty()) {
        let plain = ["reasoning_content", "reasoning"]
            .into_iter()
            .find_map(|key| Some((key, message.get(key)?)));
        if let Some((key, node)) = plain {
            let text = node.str().map_err(|invalid| invalid.within(key))?;
            if !text.is_empty() {
                let thinking = Thinking {
                    text: text.into(),
                    ..Thinking::default()
                };
                all.insert(0, (None, thinking));
            }
        }
    }
    Ok(all.into_iter().map(|(_, thinking)| Part::Thinking(thinking)).collect())
}

fn take<'d>(all: &mut Vec<(Option<u64>, Thinking<'d>)>, detail: Detail<'d>, call: Option<&mut ToolCall<'d>>) {
    let signature = detail.proof.map(|proof| echoed(detail.format, proof));
    if detail.encrypted {
        if let Some(call) = call {
            call.signature = signature;
            return;
        }
        let thinking = Thinking {
            signature,
            redacted: true,
            id: detail.id.map(Into::into),
            ..Thinking::default()
        };
        all.push((None, thinking));
        return;
    }
    let text = detail.text.unwrap_or_default();
    match all.last_mut() {
        Some((index, open)) if index.is_some() && *index == detail.index => {
            if open.text.is_empty() {
                open.text = text.into();
            } else if !text.is_empty() {
                open.text.to_mut().push_str(text);
            }
            if signature.is_some() {
                open.signature = signature;
            }
        }
        _ => {
            let thinking = Thinking {
                text: text.into(),
                signature,
                redacted: false,
                id: detail.id.map(Into::into),
            };
            all.push((detail.index, thinking));
        }
    }
}

/// Write the entry of one thinking part. `echo` makes the signature's text.
pub fn write(
    json: &mut JsonWriter,
    thinking: &Thinking<'_>,
    index: u64,
    echo: for<'s> fn(&'s Signature<'_>) -> (&'s str, Text<'s>),
) {
    let proof = thinking.signature.as_ref().map(echo);
    json.object(|json| {
        if thinking.redacted {
            json.field("type", "reasoning.encrypted");
            json.field("data", proof.as_ref().map_or("", |(_, data)| data.as_ref()));
        } else {
            json.field("type", "reasoning.text");
            json.field("text", &thinking.text);
            json.opt("signature", proof.as_ref().map(|(_, data)| data.as_ref()));
        }
        json.opt("format", proof.as_ref().map(|(format, _)| *format));
        json.opt("id", thinking.id.as_ref());
        json.field("index", index);
    });
}

/// Write the entry that carries a call's signature.
pub fn write_call(
    json: &mut JsonWriter,
    id: &str,
    signature: &Signature<'_>,
    index: u64,
    echo: for<'s> fn(&'s Signature<'_>) -> (&'s str, Text<'s>),
) {
    let (format, data) = echo(signature);
    json.object(|json| {
        json.field("type", "reasoning.encrypted");
        json.field("data", data.as_ref());
        json.field("format", format);
        json.field("id", id);
        json.field("index", index);
    });
}

/// A signature bare, for a target of this family.
pub fn bare<'s>(signature: &'s Signature<'_>) -> (&'s str, Text<'s>) {
    let (format, data) = format_of(signature);
    (format, data.into())
}
