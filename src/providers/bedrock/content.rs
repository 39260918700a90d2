//! Parts of messages as Converse's content blocks.
//!
//! ```json
//! {"text":"…"} {"image":{"format":"png","source":{"bytes":"…"}}} {"toolUse":{"toolUseId":"…","name":"…","input":{}}}
//! {"toolResult":{"toolUseId":"…","content":[{"text":"…"}],"status":"error"}} {"cachePoint":{"type":"default","ttl":"1h"}}
//! {"reasoningContent":{"reasoningText":{"text":"…","signature":"…"}}} {"reasoningContent":{"redactedContent":"…"}}
//! ```
//! Blobs are base64 in the REST form. Empty text is refused by every model and left out. A cache marker is a block of its
//! own behind what it marks.

use super::media::Placed;
use super::model::CachePoints;
use super::naming;
use super::request::Encoder;
use crate::wire::Dialect;
use crate::wire::canonical::{Cache, Citation, Part, Role, Thinking, ToolCall, ToolCallKind, ToolResult};
use crate::wire::json::{JsonWriter, Kind, scan_value};

/// Bedrock takes four cache points in a request ("Prompt caching").
const MOST_CACHE_POINTS: usize = 4;
/// Deepest arguments that are passed as JSON.
const DEPTH: usize = 128;

/// The content of one message being put together.
#[derive(Debug)]
pub(super) struct Blocks {
    json: JsonWriter,
    /// Blocks written.
    pub count: usize,
    /// There is text.
    pub text: bool,
    /// There is something besides reasoning and cache points.
    pub solid: bool,
    /// The name of a document in it.
    pub document: Option<String>,
}

impl Blocks {
    pub fn new() -> Self {
        let mut json = JsonWriter::new();
        json.begin_array();
        Self {
            json,
            count: 0,
            text: false,
            solid: false,
            document: None,
        }
    }

    /// The array.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.end_array();
        self.json.finish()
    }

    /// One block.
    pub fn block(&mut self, write: impl FnOnce(&mut JsonWriter)) {
        self.count += 1;
        self.solid = true;
        self.json.object(write);
    }

    /// A block that does not make a message.
    fn aside(&mut self, write: impl FnOnce(&mut JsonWriter)) {
        self.count += 1;
        self.json.object(write);
    }

    /// Prose, unless there is none; whether there was.
    pub fn prose(&mut self, text: &str) -> bool {
        if text.trim().is_empty() {
            return false;
        }
        self.text = true;
        self.block(|json| json.field("text", text));
        true
    }

    fn raw(&mut self, block: &str) {
        self.count += 1;
        self.solid = true;
        self.json.raw(block);
    }
}

/// Where a part stands, for naming it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub message: usize,
    pub part: usize,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "messages[{}].content[{}]", self.message, self.part)
    }
}

impl Encoder<'_, '_> {
    /// One part of a message.
    pub(super) fn part(&mut self, part: &Part<'_>, role: Role, at: At, blocks: &mut Blocks) {
        match part {
            Part::Text {
                text, cache, citations, ..
            } => {
                if !self.cited(text, citations, role, at, blocks) && !blocks.prose(text) {
                    return;
                }
                self.cache(*cache, true, blocks);
            }
            Part::Refusal(text) => {
                blocks.prose(text);
            }
            Part::Media(media) => {
                let placed = if role == Role::User {
                    self.media(media, at, blocks)
                } else {
                    self.drop(at, Self::kind_of(media));
                    Placed::No
                };
                if placed == Placed::Yes {
                    self.cache(media.cache, false, blocks);
                }
            }
            Part::Thinking(thinking) => self.thinking(thinking, at, blocks),
            Part::ToolCall(call) => {
                self.call(call, blocks);
                self.cache(call.cache, false, blocks);
            }
            Part::ToolResult(result) => {
                self.result(result, at, blocks);
                self.cache(result.cache, false, blocks);
            }
            Part::Opaque { dialect, raw, .. } if *dialect == Dialect::Bedrock => blocks.raw(raw),
            Part::Opaque { kind, .. } => self.drop(at, kind),
        }
    }

    /// Note that a part, or something of it, could not be taken.
    pub(super) fn drop(&mut self, at: At, what: &str) {
        self.dropped.push(format!("{at} ({what})"));
    }

    /// Text with Bedrock's own citations, which it gets back; whether it was that.
    fn cited(&mut self, text: &str, citations: &[Citation<'_>], role: Role, at: At, blocks: &mut Blocks) -> bool {
        if citations.is_empty() || role != Role::Assistant || text.trim().is_empty() {
            return false;
        }
        let own = |citation: &Citation<'_>| matches!(citation.raw, Some((Dialect::Bedrock, _)));
        if !citations.iter().all(own) {
            self.drop(at, "citations");
            return false;
        }
        blocks.text = true;
        blocks.block(|json| {
            json.key("citationsContent").object(|json| {
                json.key("content")
                    .array(|json| json.object(|json| json.field("text", text)));
                json.key("citations").array(|json| {
                    for (_, raw) in citations.iter().filter_map(|citation| citation.raw.as_ref()) {
                        json.raw(raw);
                    }
                });
            });
        });
        true
    }

    fn thinking(&mut self, thinking: &Thinking<'_>, at: At, blocks: &mut Blocks) {
        let signature = thinking.signature.as_ref();
        let own = signature.and_then(|signature| signature.for_target(self.model.origin()));
        let (Some(signature), true) = (own, self.model.takes.thinking_back) else {
            let whose = if signature.is_some() && own.is_none() {
                "thinking of another vendor"
            } else {
                "thinking"
            };
            return self.dropped.push(format!("messages[{}] ({whose})", at.message));
        };
        blocks.aside(|json| {
            json.key("reasoningContent").object(|json| {
                if thinking.redacted {
                    return json.field("redactedContent", signature);
                }
                json.key("reasoningText").object(|json| {
                    json.field("text", &thinking.text);
                    json.field("signature", signature);
                });
            });
        });
    }

    fn call(&mut self, call: &ToolCall<'_>, blocks: &mut Blocks) {
        let name = self.tool_name(&call.name, call.kind);
        blocks.block(|json| {
            json.key("toolUse").object(|json| {
                id(json, &call.id);
                json.field("name", &name);
                json.key("input");
                match (call.kind, scan_value(call.arguments.as_bytes(), DEPTH)) {
                    (ToolCallKind::Custom, _) => json.object(|json| json.field("input", &call.arguments)),
                    (_, Ok(Kind::Object)) => json.raw(&call.arguments),
                    _ if call.arguments.trim().is_empty() => json.raw("{}"),
                    _ => json.object(|json| json.field("_raw", &call.arguments)),
                }
            });
        });
    }

    fn result(&mut self, result: &ToolResult<'_>, at: At, blocks: &mut Blocks) {
        let rich = self.model.takes.rich_results;
        let mut inner = Blocks::new();
        for part in &result.parts {
            match part {
                Part::Text { text, .. } | Part::Refusal(text) => {
                    inner.prose(text);
                }
                Part::Media(media) if rich => {
                    self.media(media, at, &mut inner);
                }
                Part::Media(media) => self.drop(at, Self::kind_of(media)),
                Part::Opaque { dialect, raw, .. } if *dialect == Dialect::Bedrock => inner.raw(raw),
                Part::Opaque { kind, .. } => self.drop(at, kind),
                Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
            }
        }
        if result.is_error && !rich {
            self.drop(at, "is_error");
        }
        // A success without content is taken by Claude, a failure by nobody; an empty text is taken by all.
        if inner.count == 0 && (result.is_error || !self.model.is_claude()) {
            inner.block(|json| json.field("text", ""));
        }
        let inner = inner.finish();
        blocks.block(|json| {
            json.key("toolResult").object(|json| {
                id(json, &result.call_id);
                json.raw_field("content", std::str::from_utf8(&inner).unwrap_or("[]"));
                if result.is_error && rich {
                    json.field("status", "error");
                }
            });
        });
    }

    /// A cache point, where the model takes one. Models without them cache by themselves or not at all: nothing is lost.
    pub(super) fn cache(&mut self, cache: Option<Cache>, behind_text: bool, blocks: &mut Blocks) {
        let Some(cache) = cache else {
            return;
        };
        match self.model.takes.cache {
            CachePoints::Never => return,
            CachePoints::BehindText if !behind_text => return self.dropped.push("cache_control (not behind text)"),
            _ => {}
        }
        if let Some(ttl) = self.cache_point(cache) {
            blocks.aside(|json| cache_point(json, ttl));
        }
    }

    /// Whether one more cache point may be written, and for how long.
    pub(super) fn cache_point(&mut self, cache: Cache) -> Option<Option<&'static str>> {
        if self.cache_points >= MOST_CACHE_POINTS {
            self.dropped.push("cache_control (more than four)");
            return None;
        }
        self.cache_points += 1;
        Some(match cache {
            Cache::OneHour if self.model.takes.cache_hour => Some("1h"),
            Cache::OneHour => {
                self.dropped.push("cache_control.ttl");
                None
            }
            Cache::FiveMinutes if self.model.takes.cache_hour => Some("5m"),
            Cache::FiveMinutes | Cache::Default => None,
        })
    }
}

/// `"cachePoint":{…}`, the one member of its block.
pub(super) fn cache_point(json: &mut JsonWriter, ttl: Option<&str>) {
    json.key("cachePoint").object(|json| {
        json.field("type", "default");
        json.opt("ttl", ttl);
    });
}

fn id(json: &mut JsonWriter, id: &str) {
    match naming::changed(id) {
        Some(changed) => json.field("toolUseId", changed),
        None => json.field("toolUseId", id),
    }
}
