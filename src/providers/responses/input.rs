//! The conversation as items.
//!
//! ```json
//! {"type":"message","role":"user","content":[{"type":"input_text","text":"…"}]}
//! {"type":"reasoning","id":"rs_…","summary":[…],"encrypted_content":"…"}
//! {"type":"function_call","call_id":"…","name":"…","arguments":"{…}"}    {"type":"function_call_output","call_id":"…","output":"…"}
//! ```
//! One canonical message becomes as many items as it has sorts of parts; order is kept. Reasoning goes back only to the
//! vendor that made it, only with its proof, and only in front of what it led to: the API refuses it otherwise.

use super::names::{call_id, tool_name};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Dropped, Media, MediaKind, Message, Part, Role, Source, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::json::JsonWriter;
use std::borrow::Cow;

/// Writes the items of a request.
pub(super) struct Input<'w> {
    pub(super) json: &'w mut JsonWriter,
    pub(super) dropped: &'w mut Dropped,
    /// The provider keeps earlier answers: reasoning may be named by its id alone.
    pub(super) stateful: bool,
    /// A message is open, waiting for more content.
    pub(super) open: bool,
}

impl Input<'_> {
    /// Write one message.
    pub(super) fn message(&mut self, at: usize, message: &Message<'_>) {
        let is_thinking = |part: &Part<'_>| matches!(part, Part::Thinking(_));
        let last_else = message.parts.iter().rposition(|part| !is_thinking(part));
        for (index, part) in message.parts.iter().enumerate() {
            match part {
                Part::ToolCall(call) => self.call(call),
                Part::ToolResult(result) => self.result(at, result),
                Part::Thinking(thinking) => {
                    self.thinking(at, thinking, last_else.is_some_and(|last| last > index));
                }
                Part::Opaque {
                    dialect: Dialect::Responses,
                    raw,
                    ..
                } => {
                    self.close();
                    self.json.raw(raw);
                }
                Part::Opaque { kind, .. } => self.dropped.push(format!("messages[{at}].content[{index}] ({kind})")),
                part => self.say(at, index, message.role, part),
            }
        }
        self.close();
    }

    /// End the message under way.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.json.end_array();
            self.json.end_object();
        }
    }

    fn say(&mut self, at: usize, index: usize, role: Role, part: &Part<'_>) {
        // An empty text of the model says nothing, and is not always taken.
        if role == Role::Assistant && matches!(part, Part::Text { text, .. } if text.is_empty()) {
            return;
        }
        if let Err(what) = takes(role, part) {
            return self.dropped.push(format!("messages[{at}].content[{index}] ({what})"));
        }
        if !std::mem::replace(&mut self.open, true) {
            self.json.begin_object();
            self.json.field("type", "message");
            self.json.field("role", role_name(role));
            self.json.key("content").begin_array();
        }
        if role == Role::Assistant {
            put_said(self.json, part);
        } else {
            put_content(self.json, part);
        }
    }

    fn call(&mut self, call: &ToolCall<'_>) {
        self.close();
        self.json.object(|json| {
            let custom = call.kind == ToolCallKind::Custom;
            json.field("type", if custom { "custom_tool_call" } else { "function_call" });
            json.field("call_id", call_id(&call.id));
            json.field("name", tool_name(&call.name));
            match (custom, call.arguments.as_ref()) {
                (true, input) => json.field("input", input),
                (false, "") => json.field("arguments", "{}"),
                (false, arguments) => json.field("arguments", arguments),
            }
        });
    }

    fn result(&mut self, at: usize, result: &ToolResult<'_>) {
        self.close();
        for part in &result.parts {
            if let Err(what) = takes(Role::User, part) {
                self.dropped.push(format!("messages[{at}] (tool result: {what})"));
            }
        }
        let json = &mut *self.json;
        json.object(|json| {
            json.field(
                "type",
                match result.kind {
                    ToolCallKind::Function => "function_call_output",
                    ToolCallKind::Custom => "custom_tool_call_output",
                },
            );
            json.field("call_id", call_id(&result.call_id));
            match result.parts.as_slice() {
                [Part::Text { text, .. }] if untold(result) => json.field("output", format!("Error: {text}")),
                [Part::Text { text, .. }] => json.field("output", text),
                parts if !parts.iter().any(|part| takes(Role::User, part).is_ok()) => {
                    json.field("output", if result.is_error { "Error" } else { "" });
                }
                parts => json.key("output").array(|json| {
                    if untold(result) {
                        put_text(json, "Error:");
                    }
                    for part in parts.iter().filter(|part| takes(Role::User, part).is_ok()) {
                        put_content(json, part);
                    }
                }),
            }
        });
    }

    fn thinking(&mut self, at: usize, thinking: &Thinking<'_>, leads: bool) {
        let proof = thinking.signature.as_ref();
        let encrypted = proof.and_then(|signature| signature.for_target(Dialect::Responses));
        let by_id = self.stateful && proof.is_none() && thinking.id.is_some();
        if !leads || (encrypted.is_none() && !by_id) {
            let why = match proof {
                _ if !leads && encrypted.is_some() => "thinking that led to nothing",
                Some(_) => "thinking of another vendor",
                None => "thinking without its proof of origin",
            };
            return self.dropped.push(format!("messages[{at}] ({why})"));
        }
        self.close();
        self.json.object(|json| {
            json.field("type", "reasoning");
            json.opt("id", thinking.id.as_deref());
            json.key("summary").array(|json| {
                if !thinking.text.is_empty() {
                    json.object(|json| {
                        json.field("type", "summary_text");
                        json.field("text", &thinking.text);
                    });
                }
            });
            json.opt("encrypted_content", encrypted);
        });
    }
}

/// The function failed and its words do not say so: there is no member that would.
fn untold(result: &ToolResult<'_>) -> bool {
    let told = match result.parts.first() {
        Some(Part::Text { text, .. }) => text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")),
        _ => false,
    };
    result.is_error && !told
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// Whether a message of this role may hold the part; if not, what it is.
fn takes(role: Role, part: &Part<'_>) -> Result<(), Cow<'static, str>> {
    match part {
        Part::Text { .. } => Ok(()),
        Part::Refusal(_) if role == Role::Assistant => Ok(()),
        Part::Media(media) if role == Role::User => takes_media(media),
        Part::Media(media) => Err(kind_name(media.kind).into()),
        Part::Refusal(_) => Err("refusal".into()),
        Part::Opaque { kind, .. } => Err(kind.to_string().into()),
        _ => Err("a part that has no place here".into()),
    }
}

fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    }
}

fn takes_media(media: &Media<'_>) -> Result<(), Cow<'static, str>> {
    match (&media.source, media.kind) {
        (_, MediaKind::Audio | MediaKind::Video) => Err(kind_name(media.kind).into()),
        (Source::File { dialect, .. }, _) if !matches!(dialect, Dialect::Responses | Dialect::OpenAi) => {
            Err("file of another vendor".into())
        }
        (Source::Url(url), _) if !url.starts_with("https://") && !url.starts_with("http://") => {
            Err("address that is not http".into())
        }
        (Source::Parts(parts), _) => match parts.iter().find_map(|part| takes(Role::User, part).err()) {
            Some(what) => Err(what),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// What the model said.
fn put_said(json: &mut JsonWriter, part: &Part<'_>) {
    match part {
        Part::Text { text, citations, .. } => json.object(|json| {
            json.field("type", "output_text");
            json.field("text", text);
            json.key("annotations").array(|json| {
                for citation in citations {
                    if let Some((Dialect::Responses, raw)) = &citation.raw {
                        json.raw(raw);
                    }
                }
            });
        }),
        Part::Refusal(text) => json.object(|json| {
            json.field("type", "refusal");
            json.field("refusal", text);
        }),
        _ => {}
    }
}

fn put_text(json: &mut JsonWriter, text: &str) {
    json.object(|json| {
        json.field("type", "input_text");
        json.field("text", text);
    });
}

/// Content that [`takes`] lets pass.
fn put_content(json: &mut JsonWriter, part: &Part<'_>) {
    match part {
        Part::Text { text, .. } => put_text(json, text),
        Part::Media(media) => put_media(json, media),
        _ => {}
    }
}

fn put_media(json: &mut JsonWriter, media: &Media<'_>) {
    match (&media.source, media.kind) {
        (Source::Text(text), _) => put_text(json, text),
        (Source::Parts(parts), _) => {
            for part in parts {
                put_content(json, part);
            }
        }
        (source, MediaKind::Image) => json.object(|json| {
            json.field("type", "input_image");
            match source {
                Source::File { id, .. } => json.field("file_id", id),
                Source::Base64(data) => json.field("image_url", address(media, data, "image/png")),
                Source::Url(url) => json.field("image_url", url),
                Source::Text(_) | Source::Parts(_) => {}
            }
            json.field("detail", media.detail.as_deref().unwrap_or("auto"));
        }),
        (source, _) => json.object(|json| {
            json.field("type", "input_file");
            match source {
                Source::File { id, .. } => json.field("file_id", id),
                Source::Url(url) => json.field("file_url", url),
                Source::Base64(data) => {
                    json.field("filename", file_name(media));
                    json.field("file_data", address(media, data, "application/pdf"));
                }
                Source::Text(_) | Source::Parts(_) => {}
            }
        }),
    }
}

fn address(media: &Media<'_>, data: &str, otherwise: &str) -> String {
    let known = match media.media_type.as_deref() {
        Some(media_type) => media_type,
        None if data.starts_with("/9j/") => "image/jpeg",
        None if data.starts_with("R0lGOD") => "image/gif",
        None if data.starts_with("UklGR") => "image/webp",
        None => otherwise,
    };
    format!("data:{known};base64,{data}")
}

/// The API wants a name for bytes, and tells their sort by its ending.
fn file_name<'m>(media: &'m Media<'_>) -> &'m str {
    if let Some(title) = media.title.as_deref().filter(|title| !title.is_empty()) {
        return title;
    }
    match media.media_type.as_deref() {
        Some("text/plain") => "document.txt",
        Some("text/markdown") => "document.md",
        Some("text/csv") => "document.csv",
        Some("text/html") => "document.html",
        Some("application/json") => "document.json",
        _ => "document.pdf",
    }
}
