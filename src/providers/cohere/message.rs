//! Messages out, and the documents among them.
//!
//! ```json
//! {"role":"system","content":"…"}
//! {"role":"user","content":[{"type":"text","text":"…"},{"type":"image_url","image_url":{"url":"…","detail":"auto"}}]}
//! {"role":"assistant","content":[{"type":"thinking","thinking":"…"}],"tool_plan":"…","tool_calls":[{"id","type","function":{"name","arguments"}}]}
//! {"role":"tool","tool_call_id":"…","content":[{"type":"text","text":"…"}]}
//! ```
//! Text documents that the answer shall cite become top-level `documents` (`doc-0`, `doc-1` …), so that citations come back;
//! others are text in place. A failed tool's text is a document with the member `error`.

use super::request::Names;
use crate::providers::free_text;
use crate::wire::canonical::{
    Dropped, Media, MediaKind, Message, Part, Request, Role, Source, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::json::JsonWriter;
use std::borrow::Cow;

/// What goes into `content`.
enum Block<'a> {
    Text(Cow<'a, str>),
    Thinking(&'a str),
    Image { url: Cow<'a, str>, detail: Option<&'a str> },
}

/// Write `messages`, and `documents` if there are any.
pub(super) fn write(request: &Request<'_>, names: &Names, json: &mut JsonWriter, dropped: &mut Dropped) {
    let mut documents = Vec::new();
    json.key("messages").array(|json| {
        for (index, message) in request.messages.iter().enumerate() {
            if message.name.is_some() {
                dropped.push(format!("messages[{index}].name"));
            }
            let mut writer = Writer {
                index,
                names,
                dropped,
                documents: &mut documents,
            };
            match message.role {
                Role::System | Role::Developer => writer.instructions(message, json),
                Role::User => writer.user(message, json),
                Role::Assistant => writer.assistant(message, json),
            }
        }
    });
    if documents.is_empty() {
        return;
    }
    json.key("documents").array(|json| {
        for (index, media) in documents.iter().enumerate() {
            json.object(|json| {
                json.field("id", format!("doc-{index}"));
                json.key("data").object(|json| {
                    json.opt("title", media.title.as_deref());
                    json.opt("context", media.context.as_deref());
                    json.opt("text", text_of(media));
                });
            });
        }
    });
}

/// The text of a document that is text.
fn text_of<'m>(media: &'m Media<'_>) -> Option<Cow<'m, str>> {
    match &media.source {
        Source::Text(text) => Some(text.as_ref().into()),
        Source::Parts(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(plain).collect();
            (texts.len() == parts.len()).then(|| texts.join("\n").into())
        }
        _ => None,
    }
}

fn plain<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match part {
        Part::Text { text, .. } => Some(text),
        Part::Refusal(text) => Some(text),
        _ => None,
    }
}

struct Writer<'w, 'r, 'a> {
    index: usize,
    names: &'w Names,
    dropped: &'w mut Dropped,
    documents: &'w mut Vec<&'r Media<'a>>,
}

impl<'r, 'a> Writer<'_, 'r, 'a> {
    fn drop_part(&mut self, part: usize, what: &str) {
        self.dropped
            .push(format!("messages[{}].content[{part}] ({what})", self.index));
    }

    fn instructions(&mut self, message: &'r Message<'a>, json: &mut JsonWriter) {
        let mut blocks = Vec::new();
        for (at, part) in message.parts.iter().enumerate() {
            match plain(part) {
                Some(text) => blocks.push(Block::Text(text.into())),
                None => self.drop_part(at, kind_of(part)),
            }
        }
        write_message("system", &blocks, json);
    }

    fn user(&mut self, message: &'r Message<'a>, json: &mut JsonWriter) {
        let mut blocks = Vec::new();
        let mut results = 0;
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::ToolResult(result) => {
                    results += 1;
                    self.result(at, result, json);
                }
                Part::Media(media) => blocks.extend(self.media(at, media)),
                _ => match plain(part) {
                    Some(text) => blocks.push(Block::Text(text.into())),
                    None => self.drop_part(at, kind_of(part)),
                },
            }
        }
        if results == 0 || !blocks.is_empty() {
            write_message("user", &blocks, json);
        }
    }

    fn media(&mut self, at: usize, media: &'r Media<'a>) -> Option<Block<'r>> {
        if media.kind == MediaKind::Image
            && let Some(url) = media.url()
        {
            let detail = media.detail.as_deref();
            return Some(Block::Image { url, detail });
        }
        let Some(text) = text_of(media) else {
            self.drop_part(at, media_name(media.kind));
            return None;
        };
        if media.citations == Some(true) {
            self.documents.push(media);
            return None;
        }
        let head = [media.title.as_deref(), media.context.as_deref()];
        let lines: Vec<&str> = head.into_iter().flatten().chain([text.as_ref()]).collect();
        Some(Block::Text(lines.join("\n").into()))
    }

    fn result(&mut self, at: usize, result: &ToolResult<'_>, json: &mut JsonWriter) {
        let mut texts = Vec::new();
        for part in &result.parts {
            let text = match part {
                Part::Media(media) => text_of(media),
                part => plain(part).map(Cow::Borrowed),
            };
            match text {
                Some(text) => texts.push(text),
                None => self.drop_part(at, &format!("{} in a tool result", kind_of(part))),
            }
        }
        if texts.is_empty() {
            texts.push("".into());
        }
        json.object(|json| {
            json.field("role", "tool");
            json.field("tool_call_id", result.call_id.as_ref());
            json.key("content").array(|json| {
                for text in &texts {
                    json.object(|json| {
                        if !result.is_error {
                            json.field("type", "text");
                            json.field("text", text);
                            return;
                        }
                        json.field("type", "document");
                        json.key("document").object(|json| {
                            json.key("data").object(|json| json.field("error", text));
                        });
                    });
                }
            });
        });
    }

    fn assistant(&mut self, message: &'r Message<'a>, json: &mut JsonWriter) {
        let mut calls = Vec::new();
        let mut blocks = Vec::new();
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::ToolCall(call) => calls.push(call),
                Part::Thinking(Thinking { redacted: true, .. }) => {
                    self.dropped
                        .push(format!("messages[{}] (thinking of another vendor)", self.index));
                }
                Part::Thinking(thinking) if thinking.text.is_empty() => {}
                Part::Thinking(thinking) => blocks.push(Block::Thinking(&thinking.text)),
                _ => match plain(part) {
                    Some(text) => blocks.push(Block::Text(text.into())),
                    None => self.drop_part(at, kind_of(part)),
                },
            }
        }
        if calls.is_empty() {
            write_message("assistant", &blocks, json);
            return;
        }
        json.object(|json| {
            json.field("role", "assistant");
            let mut plan = String::new();
            blocks.retain(|block| match block {
                Block::Text(text) => {
                    if !plan.is_empty() {
                        plan.push('\n');
                    }
                    plan.push_str(text);
                    false
                }
                _ => true,
            });
            if !blocks.is_empty() {
                json.key("content")
                    .array(|json| blocks.iter().for_each(|block| write_block(block, json)));
            }
            if !plan.is_empty() {
                json.field("tool_plan", &plan);
            }
            json.key("tool_calls")
                .array(|json| calls.iter().for_each(|call| write_call(call, self.names, json)));
        });
    }
}

fn write_call(call: &ToolCall<'_>, names: &Names, json: &mut JsonWriter) {
    json.object(|json| {
        json.field("id", call.id.as_ref());
        json.field("type", "function");
        json.key("function").object(|json| {
            json.field("name", names.theirs(&call.name, call.kind));
            if call.kind == ToolCallKind::Custom {
                json.field("arguments", free_text::arguments(&call.arguments));
            } else if call.arguments.is_empty() {
                json.field("arguments", "{}");
            } else {
                json.field("arguments", call.arguments.as_ref());
            }
        });
    });
}

fn write_message(role: &str, blocks: &[Block<'_>], json: &mut JsonWriter) {
    json.object(|json| {
        json.field("role", role);
        match blocks {
            [] => json.field("content", ""),
            [Block::Text(text)] => json.field("content", text),
            blocks => json
                .key("content")
                .array(|json| blocks.iter().for_each(|block| write_block(block, json))),
        }
    });
}

fn write_block(block: &Block<'_>, json: &mut JsonWriter) {
    json.object(|json| match block {
        Block::Text(text) => {
            json.field("type", "text");
            json.field("text", text);
        }
        Block::Thinking(text) => {
            json.field("type", "thinking");
            json.field("thinking", *text);
        }
        Block::Image { url, detail } => {
            json.field("type", "image_url");
            json.key("image_url").object(|json| {
                json.field("url", url);
                json.opt("detail", *detail);
            });
        }
    });
}

fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    }
}

fn kind_of<'p>(part: &'p Part<'_>) -> &'p str {
    match part {
        Part::Text { .. } => "text",
        Part::Refusal(_) => "refusal",
        Part::Media(media) => media_name(media.kind),
        Part::Thinking(_) => "thinking",
        Part::ToolCall(_) => "tool call",
        Part::ToolResult(_) => "tool result",
        Part::Opaque { kind, .. } => kind,
    }
}
