//! Messages of a Chat Completions request.
//!
//! ```json
//! {"role":"user","content":"…" | [{"type":"text","text":"…"},{"type":"image_url","image_url":{"url":"…"}}],"name":"…"}
//! {"role":"assistant","content":…,"refusal":…,"tool_calls":[{"id":"…","type":"function","function":{"name":"…","arguments":"…"}}]}
//! {"role":"tool","tool_call_id":"…","content":…}
//! ```
//! Consecutive tool messages become one user message of results. An assistant message that says nothing at all is left out:
//! no other API has such a thing. Legacy `function_call` and `function` messages become a call and its result.

use super::reasoning;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Cache, Media, MediaKind, Message, Part, Role, Source, Text, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::json::{Invalid, Node};
use crate::wire::media::{check_base64, kind_of, source};
use std::collections::HashMap;

const KNOWN_PARTS: &str =
    "is not a content type that is known here; use text, image_url, input_audio, file or video_url";

/// What has been called so far: ids, and the names of legacy calls.
#[derive(Default)]
struct Calls<'d> {
    kinds: HashMap<Text<'d>, ToolCallKind>,
    names: HashMap<Text<'d>, Text<'d>>,
}

impl<'d> Calls<'d> {
    fn of_id(&self, id: &str) -> Option<ToolCallKind> {
        self.kinds.get(id).copied()
    }

    fn of_name(&self, name: &str) -> Option<Text<'d>> {
        self.names.get(name).cloned()
    }

    /// A later one of the same id or name takes its place.
    fn made(&mut self, call: &ToolCall<'d>) {
        self.kinds.insert(call.id.clone(), call.kind);
        self.names.insert(call.name.clone(), call.id.clone());
    }
}

/// The `messages` member.
pub fn all<'d>(messages: &'d Node<'_>) -> Result<Vec<Message<'d>>, Invalid> {
    let items = messages.array()?;
    if items.is_empty() {
        return Err(Invalid::value("is empty; give at least one message"));
    }
    let mut calls = Calls::default();
    let mut all: Vec<Message<'d>> = Vec::with_capacity(items.len());
    let mut gathering = false;
    for (index, item) in items.iter().enumerate() {
        let (message, results) = one(item, index, &mut calls).map_err(|invalid| invalid.at(index))?;
        match all.last_mut() {
            Some(last) if gathering && results => last.parts.extend(message.parts),
            _ if message.parts.is_empty() && message.role == Role::Assistant => continue,
            _ => all.push(message),
        }
        gathering = results;
    }
    Ok(all)
}

/// A message, and whether it is a result.
fn one<'d>(node: &'d Node<'_>, at: usize, calls: &mut Calls<'d>) -> Result<(Message<'d>, bool), Invalid> {
    node.object()?;
    let name = node.opt("name", Node::str)?;
    let role = node.req("role", Node::str)?;
    let (role, parts, result) = match role {
        "system" => (Role::System, content(node, true)?, false),
        "developer" => (Role::Developer, content(node, true)?, false),
        "user" => (Role::User, content(node, true)?, false),
        "assistant" => (Role::Assistant, assistant(node, at, calls)?, false),
        "tool" => (Role::User, vec![tool(node, calls)?], true),
        "function" => (Role::User, vec![function(node, calls)?], true),
        _ => {
            let known = "must be system, developer, user, assistant or tool";
            return Err(Invalid::value(known).within("role"));
        }
    };
    let mut message = Message {
        role,
        name: name.filter(|_| !result).map(Into::into),
        parts,
    };
    if let Some(marker) = node.opt("cache_control", cache)?
        && let Some(last) = message.parts.last_mut()
    {
        mark(last, marker);
    }
    Ok((message, result))
}

/// A prompt-cache marker in Anthropic's words, which OpenRouter and LiteLLM take in this shape too.
pub fn cache(node: &Node<'_>) -> Result<Cache, Invalid> {
    node.object()?;
    Ok(match node.opt("ttl", Node::str)? {
        Some("1h") => Cache::OneHour,
        Some("5m") => Cache::FiveMinutes,
        None => Cache::Default,
        Some(_) => return Err(Invalid::value("must be 5m or 1h").within("ttl")),
    })
}

fn mark(part: &mut Part<'_>, marker: Cache) {
    match part {
        Part::Text { cache, .. } => *cache = Some(marker),
        Part::Media(media) => media.cache = Some(marker),
        Part::ToolCall(call) => call.cache = Some(marker),
        Part::ToolResult(result) => result.cache = Some(marker),
        Part::Refusal(_) | Part::Thinking(_) | Part::Opaque { .. } => {}
    }
}

/// The `content` member: a string or parts.
fn content<'d>(node: &'d Node<'_>, required: bool) -> Result<Vec<Part<'d>>, Invalid> {
    let read = |content: &'d Node<'_>| match content.as_str() {
        Some(text) => Ok(vec![Part::text(text)]),
        None if content.as_array().is_some() => content.each(part),
        None => Err(Invalid::wrong_type("a string or an array of content parts")),
    };
    if required {
        node.req("content", read)
    } else {
        Ok(node.opt("content", read)?.unwrap_or_default())
    }
}

/// One content part.
fn part<'d>(node: &'d Node<'_>) -> Result<Part<'d>, Invalid> {
    if let Some(text) = node.as_str() {
        return Ok(Part::text(text));
    }
    node.object()?;
    let kind = node.req("type", Node::str)?;
    let mut read = match kind {
        "text" => Part::text(node.req("text", Node::str)?),
        "refusal" => Part::Refusal(node.req("refusal", Node::str)?.into()),
        "image_url" => Part::Media(node.req("image_url", image)?),
        "input_audio" => Part::Media(node.req("input_audio", audio)?),
        "file" => Part::Media(node.req("file", file)?),
        "video_url" => Part::Media(node.req("video_url", |video| address(video, MediaKind::Video))?),
        "thinking" => Part::Thinking(thinking(node)?),
        _ => return Err(Invalid::unsupported(KNOWN_PARTS).within("type")),
    };
    let explicit = node.get("prompt_cache_breakpoint").map(|_| Cache::Default);
    if let Some(marker) = node.opt("cache_control", cache)?.or(explicit) {
        mark(&mut read, marker);
    }
    Ok(read)
}

/// `{"url":…,"detail":…}`, or the bare address as some clients write it.
fn address<'d>(node: &'d Node<'_>, kind: MediaKind) -> Result<Media<'d>, Invalid> {
    let bare = node.as_str();
    let read = |url: &'d Node<'_>| source(url.str()?);
    let (source, media_type) = match bare {
        Some(url) => source(url)?,
        None => {
            node.object()?;
            node.req("url", read)?
        }
    };
    let mut media = Media::new(kind, source, media_type.map(Into::into));
    if bare.is_none() {
        media.detail = node.opt("detail", Node::str)?.map(Into::into);
    }
    Ok(media)
}

fn image<'d>(node: &'d Node<'_>) -> Result<Media<'d>, Invalid> {
    address(node, MediaKind::Image)
}

/// `{"data":"base64","format":"wav"}`
fn audio<'d>(node: &'d Node<'_>) -> Result<Media<'d>, Invalid> {
    node.object()?;
    let data = node.req("data", |data| {
        let text = data.str()?;
        if text.starts_with("data:") {
            return Ok(source(text)?.0);
        }
        check_base64(text)?;
        Ok(Source::Base64(text.into()))
    })?;
    let media_type: Text<'d> = match node.req("format", Node::str)? {
        "wav" => "audio/wav".into(),
        "mp3" => "audio/mpeg".into(),
        other if other.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !other.is_empty() => {
            format!("audio/{other}").into()
        }
        _ => return Err(Invalid::value("must be a format such as wav or mp3").within("format")),
    };
    Ok(Media::new(MediaKind::Audio, data, Some(media_type)))
}

/// `{"file_data":"data:application/pdf;base64,…","filename":"…"}` or `{"file_id":"…"}`
fn file<'d>(node: &'d Node<'_>) -> Result<Media<'d>, Invalid> {
    node.object()?;
    let name = node.opt("filename", Node::str)?;
    let data = node.opt("file_data", |data| {
        let text = data.str()?;
        if text.starts_with("data:") || text.contains("://") {
            return source(text);
        }
        check_base64(text)?;
        Ok((Source::Base64(text.into()), None))
    })?;
    let mut media = match (data, node.opt("file_id", Node::str)?) {
        (Some((source, media_type)), _) => {
            let ending = name.and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
            let pdf = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("pdf"));
            let media_type = media_type.or(pdf.then_some("application/pdf"));
            let kind = media_type.map_or(MediaKind::Document, kind_of);
            Media::new(kind, source, media_type.map(Into::into))
        }
        (None, Some(id)) => {
            let dialect = Dialect::OpenAi;
            Media::new(MediaKind::Document, Source::File { dialect, id: id.into() }, None)
        }
        (None, None) => return Err(Invalid::value("needs file_data or file_id")),
    };
    media.title = name.map(Into::into);
    Ok(media)
}

/// A thinking block as Mistral and Anthropic write it: the text is a string or an array of text chunks.
fn thinking<'d>(node: &'d Node<'_>) -> Result<Thinking<'d>, Invalid> {
    let text: Text<'d> = node.req("thinking", |thinking| match thinking.as_str() {
        Some(text) => Ok(text.into()),
        None => {
            let pieces = thinking.each(|piece| Ok(piece.get_str("text").unwrap_or_default()))?;
            Ok(match pieces.as_slice() {
                [one] => (*one).into(),
                many => many.concat().into(),
            })
        }
    })?;
    let signature = node.opt("signature", Node::str)?.filter(|text| !text.is_empty());
    Ok(Thinking {
        text,
        signature: signature.map(|text| reasoning::echoed(None, text)),
        redacted: false,
        id: None,
    })
}

fn assistant<'d>(node: &'d Node<'_>, at: usize, calls: &mut Calls<'d>) -> Result<Vec<Part<'d>>, Invalid> {
    let mut made = node.opt("tool_calls", |list| list.each(call))?.unwrap_or_default();
    if let Some(legacy) = node.opt("function_call", |legacy| legacy_call(legacy, at))? {
        made.push(legacy);
    }
    made.iter().for_each(|call| calls.made(call));
    let mut parts = reasoning::parts(node, &mut made)?;
    let said = content(node, false)?;
    parts.extend(said.into_iter().filter(|part| match part {
        Part::Text { text, .. } => !text.is_empty(),
        _ => true,
    }));
    if let Some(refusal) = node.opt("refusal", Node::str)?.filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal(refusal.into()));
    }
    if let Some(sound) = node.opt("audio", spoken)? {
        parts.push(Part::Media(sound));
    }
    if let Some(images) = node.opt("images", |images| images.each(|i| i.req("image_url", image)))? {
        parts.extend(images.into_iter().map(Part::Media));
    }
    parts.extend(made.into_iter().map(Part::ToolCall));
    Ok(parts)
}

/// A sound the model made: by its id, or whole where the client echoes what it got.
fn spoken<'d>(node: &'d Node<'_>) -> Result<Media<'d>, Invalid> {
    node.object()?;
    let data = node.opt("data", |data| {
        let text = data.str()?;
        if !text.is_empty() {
            check_base64(text)?;
        }
        Ok(text)
    })?;
    let transcript = node.opt("transcript", Node::str)?.filter(|text| !text.is_empty());
    let source = match data.filter(|text| !text.is_empty()) {
        Some(data) => Source::Base64(data.into()),
        None => Source::File {
            dialect: Dialect::OpenAi,
            id: node.req("id", Node::str)?.into(),
        },
    };
    let mut media = Media::new(MediaKind::Audio, source, None);
    media.transcript = transcript.map(Into::into);
    Ok(media)
}

fn call<'d>(node: &'d Node<'_>) -> Result<ToolCall<'d>, Invalid> {
    node.object()?;
    let id = node.req("id", Node::str)?;
    if id.is_empty() {
        return Err(Invalid::value("is empty; give the id the call came with").within("id"));
    }
    let kind = node.opt("type", Node::str)?.unwrap_or("function");
    let (name, arguments, kind) = match kind {
        "function" => node.req("function", |function| {
            let arguments = function.opt("arguments", arguments)?.unwrap_or("{}".into());
            Ok((function.req("name", Node::str)?, arguments, ToolCallKind::Function))
        })?,
        "custom" => node.req("custom", |custom| {
            let input = custom.opt("input", Node::str)?.unwrap_or_default();
            Ok((custom.req("name", Node::str)?, input.into(), ToolCallKind::Custom))
        })?,
        _ => return Err(Invalid::unsupported("must be function or custom").within("type")),
    };
    let google = node.get("extra_content").and_then(|extra| extra.get("google"));
    let signature = google.and_then(|google| google.get_str("thought_signature"));
    let signature = signature.filter(|text| !text.is_empty());
    Ok(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments,
        kind,
        signature: signature.map(|text| reasoning::echoed(Some("google-gemini-v1"), text)),
        cache: node.opt("cache_control", cache)?,
    })
}

/// Arguments are JSON text; some clients send the object itself.
fn arguments<'d>(node: &'d Node<'_>) -> Result<Text<'d>, Invalid> {
    match (node.as_str(), node.as_object()) {
        (Some(text), _) if text.trim().is_empty() => Ok("{}".into()),
        (Some(text), _) => Ok(text.into()),
        (None, Some(_)) => Ok(node.raw.into()),
        (None, None) => Err(Invalid::wrong_type("a string of JSON")),
    }
}

fn legacy_call<'d>(node: &'d Node<'_>, at: usize) -> Result<ToolCall<'d>, Invalid> {
    Ok(ToolCall {
        id: format!("call_function_{at}").into(),
        name: node.req("name", Node::str)?.into(),
        arguments: node.opt("arguments", arguments)?.unwrap_or("{}".into()),
        kind: ToolCallKind::Function,
        signature: None,
        cache: None,
    })
}

fn tool<'d>(node: &'d Node<'_>, calls: &Calls<'d>) -> Result<Part<'d>, Invalid> {
    let id = node.req("tool_call_id", Node::str)?;
    let Some(kind) = calls.of_id(id) else {
        let message = "answers a call that no assistant message before it makes; send the assistant message with its tool_calls first";
        return Err(Invalid::value(message).within("tool_call_id"));
    };
    result(node, id.into(), kind)
}

fn function<'d>(node: &'d Node<'_>, calls: &Calls<'d>) -> Result<Part<'d>, Invalid> {
    let name = node.req("name", Node::str)?;
    let Some(id) = calls.of_name(name) else {
        let message = "names a function that no assistant message before it calls";
        return Err(Invalid::value(message).within("name"));
    };
    result(node, id, ToolCallKind::Function)
}

fn result<'d>(node: &'d Node<'_>, call_id: Text<'d>, kind: ToolCallKind) -> Result<Part<'d>, Invalid> {
    Ok(Part::ToolResult(ToolResult {
        call_id,
        name: None,
        parts: content(node, false)?,
        is_error: false,
        kind,
        cache: None,
    }))
}
