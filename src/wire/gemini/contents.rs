//! `contents` and `systemInstruction` as messages.
//!
//! ```json
//! {"role":"model","parts":[{"text":"…","thought":true},{"text":"…","thoughtSignature":"…"},
//!   {"functionCall":{"id":"…","name":"f","args":{}},"thoughtSignature":"…"},{"inlineData":{"mimeType":"image/png","data":"…"}}]}
//! {"role":"user","parts":[{"functionResponse":{"id":"…","name":"f","response":{"output":"…"},"parts":[{"inlineData":{}}]}}]}
//! ```
//! A missing role is the user's, and `function` an old name of it. Applications that stream put every chunk's content into
//! the history as its own turn, so consecutive model contents are one message, and pieces of text or thought without a
//! signature between them are one part. Reasoning of another vendor comes back inside signatures ([`super::carried`]). Calls without an id get `call_<n>`, counted through the conversation; a response
//! without one belongs to the oldest open call of its name. A response to no call is refused, as Google refuses it.
//! Source: ai.google.dev/api/caching#Content and Part, read 2026-11.

use super::carried::unload;
use super::fields::{Fields, each, text};
use super::signature;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Media, MediaKind, Message, Part, Role, Signature, Source, Text, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::json::{Invalid, Node, Value};
use crate::wire::media::{self, check_base64, kind_of};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

const MEMBERS: &str = "must have one of text, inlineData, fileData, functionCall, functionResponse, executableCode, \
                       codeExecutionResult";

/// Members that only Google's own models take further, whole.
const OPAQUE: [&str; 4] = ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];

/// The system prompt; nothing when it is empty.
pub fn system<'d>(content: &'d Node<'_>) -> Result<Option<Message<'d>>, Invalid> {
    content.object()?;
    let part = |part: &'d Node<'_>| part.req_field("text", text).map(Part::text);
    let mut parts = content.req_field("parts", |parts| each(parts, part))?;
    parts.retain(|part| !matches!(part, Part::Text { text, .. } if text.is_empty()));
    Ok((!parts.is_empty()).then_some(Message {
        role: Role::System,
        name: None,
        parts,
    }))
}

/// The conversation.
pub fn read<'d>(contents: &'d Node<'_>) -> Result<Vec<Message<'d>>, Invalid> {
    let mut reader = Reader::default();
    each(contents, |content| reader.content(content))?;
    Ok(reader.messages)
}

#[derive(Default)]
struct Reader<'d> {
    messages: Vec<Message<'d>>,
    /// Calls so far, by their id: the function's name.
    calls: HashMap<Text<'d>, &'d str>,
    /// Of the last model turn, the ids of calls of a name, the oldest first.
    open: HashMap<&'d str, VecDeque<Text<'d>>>,
    /// Ids of that turn that were answered.
    closed: HashSet<&'d str>,
    /// Ids made.
    made: usize,
    /// Where in the model's turn what the next carrier of reasoning stands for begins.
    since: usize,
    /// The signature that last brought reasoning into the model's turn: on a second part it brings nothing.
    brought: &'d str,
}

/// Reasoning that a part brought along, as [`super::carried`] says.
type Thoughts = Vec<(usize, Thinking<'static>)>;

impl<'d> Reader<'d> {
    fn content(&mut self, content: &'d Node<'_>) -> Result<(), Invalid> {
        content.object()?;
        let role = content.opt_field("role", |role| match role.str()? {
            "user" | "function" | "" => Ok(Role::User),
            "model" => Ok(Role::Assistant),
            "system" => Err(Invalid::value(
                "cannot be system here; put the system prompt into `systemInstruction`",
            )),
            _ => Err(Invalid::value("must be user or model")),
        })?;
        let role = role.unwrap_or(Role::User);
        let joins = role == Role::Assistant && self.messages.last().is_some_and(|last| last.role == role);
        if role == Role::Assistant && !joins {
            self.open.clear();
            self.closed.clear();
            (self.since, self.brought) = (0, "");
        }
        let parts = match content.opt_field("parts", |parts| each(parts, |part| self.part(part, role)))? {
            Some(parts) => parts,
            // What is left of an answer that was blocked.
            None if role == Role::Assistant => Vec::new(),
            None => return Err(Invalid::missing().within("parts")),
        };
        let mut message = Message {
            role,
            name: None,
            parts: Vec::with_capacity(parts.len()),
        };
        if joins && let Some(last) = self.messages.pop() {
            message = last;
        }
        for (part, thoughts) in parts {
            match role {
                Role::Assistant => self.add(&mut message.parts, part, thoughts),
                _ => message.parts.push(part),
            }
        }
        if !message.parts.is_empty() {
            self.messages.push(message);
        }
        Ok(())
    }

    fn part(&mut self, part: &'d Node<'_>, role: Role) -> Result<(Part<'d>, Thoughts), Invalid> {
        part.object()?;
        let Some(echoed) = part.opt_field("thoughtSignature", Node::str)? else {
            return Ok((self.signed(part, role, None, false)?, Vec::new()));
        };
        let mut carried = signature::read(echoed);
        if !carried.thoughts.is_empty() && std::mem::replace(&mut self.brought, echoed) == echoed {
            carried.thoughts.clear();
        }
        Ok((self.signed(part, role, carried.own, true)?, carried.thoughts))
    }

    /// A part with its own signature; `marked`: it has one of any sort.
    fn signed(
        &mut self,
        part: &'d Node<'_>,
        role: Role,
        signature: Option<Signature<'d>>,
        marked: bool,
    ) -> Result<Part<'d>, Invalid> {
        if let Some(call) = part.opt_field("functionCall", |call| self.call(call, role))? {
            return Ok(Part::ToolCall(ToolCall { signature, ..call }));
        }
        if let Some(result) = part.opt_field("functionResponse", |result| self.result(result, role))? {
            return Ok(Part::ToolResult(result));
        }
        if let Some(mut media) = media(part)? {
            media.signature = signature;
            return Ok(Part::Media(media));
        }
        if let Some(kind) = OPAQUE.into_iter().find(|kind| part.field(kind).is_some()) {
            return Ok(Part::Opaque {
                dialect: Dialect::Gemini,
                kind: kind.into(),
                raw: part.raw.into(),
            });
        }
        let thought = part.opt_field("thought", Node::bool)? == Some(true);
        match part.opt_field("text", text)? {
            None if !marked => Err(Invalid::value(MEMBERS)),
            said => Ok(prose(said.unwrap_or_default(), thought, signature)),
        }
    }

    /// Add a part of a model turn, and in front of it the reasoning that it carried. A prose carrier ends what it stands for.
    fn add(&mut self, parts: &mut Vec<Part<'d>>, part: Part<'d>, thoughts: Thoughts) {
        let (carries, called) = (!thoughts.is_empty(), matches!(part, Part::ToolCall(_)));
        match part {
            Part::Text { .. } | Part::Thinking(_) => {
                add(parts, self.since, part);
                if carries {
                    unload(parts, self.since, thoughts);
                }
            }
            part => {
                if carries {
                    unload(parts, self.since, thoughts);
                }
                parts.push(part);
            }
        }
        if carries || called {
            self.since = parts.len();
        }
    }

    fn call(&mut self, call: &'d Node<'_>, role: Role) -> Result<ToolCall<'d>, Invalid> {
        if role != Role::Assistant {
            return Err(Invalid::value("belongs into a content with role model"));
        }
        let name = call.req_field("name", Node::str)?;
        let arguments = call.opt_field("args", |args| args.object().map(|_| args.raw))?;
        let id = match call.opt_field("id", Node::str)?.filter(|id| !id.is_empty()) {
            Some(id) => Cow::Borrowed(id),
            None => {
                self.made += 1;
                Cow::Owned(format!("call_{}", self.made))
            }
        };
        self.calls.insert(id.clone(), name);
        self.open.entry(name).or_default().push_back(id.clone());
        Ok(ToolCall {
            id,
            name: name.into(),
            arguments: arguments.unwrap_or("{}").into(),
            kind: ToolCallKind::Function,
            signature: None,
            cache: None,
        })
    }

    fn result(&mut self, result: &'d Node<'_>, role: Role) -> Result<ToolResult<'d>, Invalid> {
        if role != Role::User {
            return Err(Invalid::value("belongs into a content with role user"));
        }
        let id = result.opt_field("id", Node::str)?.filter(|id| !id.is_empty());
        let name = result.opt_field("name", Node::str)?.filter(|name| !name.is_empty());
        let (call_id, name) = self.answered(id, name)?;
        let mut parts = Vec::new();
        let said = result.opt_field("response", said)?;
        let is_error = said.as_ref().is_some_and(|(_, error)| *error);
        parts.extend(said.map(|(text, _)| Part::text(text)));
        let read =
            |part: &'d Node<'_>| media(part)?.ok_or_else(|| Invalid::value("must have one of inlineData, fileData"));
        let media = result.opt_field("parts", |parts| each(parts, read))?;
        parts.extend(media.into_iter().flatten().map(Part::Media));
        Ok(ToolResult {
            call_id,
            name: Some(name.into()),
            parts,
            is_error,
            kind: ToolCallKind::Function,
            cache: None,
        })
    }

    /// Which call a response answers: its id and the function's name.
    fn answered(&mut self, id: Option<&'d str>, name: Option<&'d str>) -> Result<(Text<'d>, &'d str), Invalid> {
        if let Some(id) = id
            && let Some(called) = self.calls.get(id)
        {
            self.closed.insert(id);
            return Ok((id.into(), called));
        }
        let Some(name) = name else {
            let missing = match id {
                Some(_) => Invalid::value("answers no functionCall before it").within("id"),
                None => Invalid::missing().within("name"),
            };
            return Err(missing);
        };
        let open = self.open.get_mut(name).and_then(|open| {
            let closed = &self.closed;
            std::iter::from_fn(|| open.pop_front()).find(|id| !closed.contains(id.as_ref()))
        });
        match open {
            Some(id) => Ok((id, name)),
            None => Err(Invalid::value(
                "answers no functionCall of this name in the model turn before it; send the calls back with their responses",
            )
            .within("name")),
        }
    }
}

/// Text or a thought.
fn prose<'d>(said: Text<'d>, thought: bool, signature: Option<Signature<'d>>) -> Part<'d> {
    if thought {
        return Part::Thinking(Thinking {
            text: said,
            signature,
            ..Thinking::default()
        });
    }
    Part::Text {
        text: said,
        cache: None,
        citations: Vec::new(),
        signature,
    }
}

/// Add a part of a model turn: what goes on without a signature between is one part, and an empty text (which ends every
/// stream) is none. What stands before `since` is done with.
fn add<'d>(parts: &mut Vec<Part<'d>>, since: usize, part: Part<'d>) {
    let last = parts.get_mut(since..).and_then(<[_]>::last_mut);
    match (last, part) {
        (
            _,
            Part::Text {
                text, signature: None, ..
            },
        ) if text.is_empty() => {}
        (
            Some(Part::Text {
                text: before,
                signature: open @ None,
                ..
            }),
            Part::Text { text, signature, .. },
        ) => {
            before.to_mut().push_str(&text);
            *open = signature;
        }
        (Some(Part::Thinking(before)), Part::Thinking(more)) if before.signature.is_none() => {
            before.text.to_mut().push_str(&more.text);
            before.signature = more.signature;
        }
        (_, part) => parts.push(part),
    }
}

/// What a function said, and whether it failed: `{"error": …}` alone is a failure, anything else travels as its JSON text.
fn said<'d>(response: &'d Node<'_>) -> Result<(Text<'d>, bool), Invalid> {
    match response.object()? {
        [(key, error)] if key == "error" => {
            let text = error.as_str().unwrap_or(error.raw);
            Ok((text.into(), true))
        }
        _ => Ok((response.raw.into(), false)),
    }
}

/// `inlineData` or `fileData`.
fn media<'d>(part: &'d Node<'_>) -> Result<Option<Media<'d>>, Invalid> {
    let mut found = match part.opt_field("inlineData", inline)? {
        Some(media) => media,
        None => match part.opt_field("fileData", file)? {
            Some(media) => media,
            None => return Ok(None),
        },
    };
    let level = part.value_of("mediaResolution").and_then(|node| match &node.value {
        Value::Object(_) => node.value_of("level").and_then(Node::as_str),
        _ => node.as_str(),
    });
    found.detail = match level {
        Some("MEDIA_RESOLUTION_LOW") => Some("low".into()),
        Some("MEDIA_RESOLUTION_HIGH") => Some("high".into()),
        _ => None,
    };
    Ok(Some(found))
}

fn inline<'d>(blob: &'d Node<'_>) -> Result<Media<'d>, Invalid> {
    let media_type = blob.req_field("mimeType", Node::str)?;
    let data = blob.req_field("data", |data| {
        let data = media::standard_base64(data.str()?);
        check_base64(&data).map(|()| data)
    })?;
    let mut media = Media::new(kind_of(media_type), Source::Base64(data), Some(media_type.into()));
    media.title = blob.opt_field("displayName", text)?;
    Ok(media)
}

fn file<'d>(file: &'d Node<'_>) -> Result<Media<'d>, Invalid> {
    let uri = file.req_field("fileUri", |uri| match uri.str()? {
        "" => Err(Invalid::value("is empty")),
        uri => Ok(uri),
    })?;
    let media_type = file.opt_field("mimeType", Node::str)?.filter(|kind| !kind.is_empty());
    let mut media = media_at(uri, media_type);
    media.title = file.opt_field("displayName", text)?;
    Ok(media)
}

/// A medium at a URI: an uploaded file when only Google can read it.
pub fn media_at<'d>(uri: &'d str, media_type: Option<&'d str>) -> Media<'d> {
    let web = uri.starts_with("https://") || uri.starts_with("http://");
    let own = uri.starts_with("https://generativelanguage.googleapis.com/");
    let source = if web && !own {
        Source::Url(uri.into())
    } else {
        Source::File {
            dialect: Dialect::Gemini,
            id: uri.into(),
        }
    };
    let known = media_type.or_else(|| media_type_of(uri));
    let kind = known.map_or(MediaKind::Document, kind_of);
    Media::new(kind, source, media_type.map(Cow::Borrowed))
}

/// The media type an address suggests, by its extension.
pub fn media_type_of(uri: &str) -> Option<&'static str> {
    let host = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let host = host.strip_prefix("www.").unwrap_or(host);
    if host.starts_with("youtube.com/") || host.starts_with("youtu.be/") {
        return Some("video/mp4");
    }
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let (_, name) = path.rsplit_once('/')?;
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "m4a" => "audio/mp4",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "mpeg" | "mpg" => "video/mpeg",
        _ => return None,
    })
}
