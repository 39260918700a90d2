//! An answer for a client, event by event.
//!
//! ```text
//! message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop     ping anywhere
//! ```
//! Each canonical event is written at once, but for the finish: `message_delta` carries both the stop reason and the final
//! figures, and most vendors send those after the reason, so it waits for them (or for the end).
//!
//! Blocks are numbered as they are opened. Parallel calls of a vendor that interleaves them stay interleaved: the SDKs append
//! a block at `content_block_start` and find it by `index` afterwards (`anthropic` 2.12.0, lib/streaming/_messages.py,
//! `accumulate_event`), so only the starts must be in order, and no call waits for another.

use super::blocks::{Carried, carrier_signature, thinking_signature, write_citation};
use super::write::{call_id, error_body, head};
use super::{figures, stop};
use crate::error::GatewayError;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{Delta, Event, Finish, Part, PartStart, Signature, ToolCallKind};
use crate::wire::client::Reply;
use crate::wire::json::{JsonWriter, Node, escape_into};

/// The events of one answer.
pub struct Stream {
    reply: Reply,
    started: bool,
    ended: bool,
    next_index: u64,
    open: Vec<Open>,
    holds: stop::Holds,
    finish: Option<(Finish<'static>, Option<String>)>,
    usage: Option<Usage>,
    /// The figures `message_delta` was written with.
    told: Option<Option<Usage>>,
}

/// An open block.
struct Open {
    part: u32,
    index: u64,
    kind: Kind,
    /// A thinking block: its signature was written. A text block: one waits to be written behind it.
    signed: bool,
    /// The vendor's id of the reasoning.
    id: Option<String>,
    /// A signature on text, for a block of its own.
    carried: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
    /// A call with free text, which becomes a member of an object.
    CustomCall,
    /// Complete with its start.
    Whole,
}

/// One server-sent event; `members` writes what follows `type`.
fn sse(out: &mut Vec<u8>, name: &str, members: impl FnOnce(&mut JsonWriter)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        json.field("type", name);
        members(json);
    });
    *out = json.finish();
    out.extend_from_slice(b"\n\n");
}

/// A failure after the stream had begun.
pub fn fail(error: &GatewayError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: ");
    error_body(error, None, out);
    out.extend_from_slice(b"\n\n");
}

fn start(out: &mut Vec<u8>, index: u64, block: impl FnOnce(&mut JsonWriter)) {
    sse(out, "content_block_start", |json| {
        json.field("index", index);
        json.key("content_block");
        block(json);
    });
}

fn delta(out: &mut Vec<u8>, index: u64, kind: &str, member: &str, text: &str) {
    sse(out, "content_block_delta", |json| {
        json.field("index", index);
        json.key("delta").object(|json| {
            json.field("type", kind);
            json.field(member, text);
        });
    });
}

fn stop_block(out: &mut Vec<u8>, index: u64) {
    sse(out, "content_block_stop", |json| json.field("index", index));
}

impl Stream {
    /// Nothing written yet.
    pub fn new(reply: Reply) -> Self {
        Self {
            reply,
            started: false,
            ended: false,
            next_index: 0,
            open: Vec::new(),
            holds: stop::Holds::default(),
            finish: None,
            usage: None,
            told: None,
        }
    }

    /// What the answer is called.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Write what this event is for the client.
    pub fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start {
                usage, service_tier, ..
            } => {
                self.usage = *usage;
                self.start(service_tier.as_deref(), out);
            }
            Event::PartStart {
                candidate: 0,
                part,
                start,
            } => self.part(*part, start, out),
            Event::Delta {
                candidate: 0,
                part,
                delta,
            } => self.delta(*part, delta, out),
            Event::PartEnd { candidate: 0, part } => {
                if let Some(at) = self.open.iter().position(|open| open.part == *part) {
                    let open = self.open.remove(at);
                    self.close(open, out);
                }
            }
            Event::Finish {
                candidate: 0,
                finish,
                stop_sequence,
            } => {
                let stop = stop_sequence.as_deref().map(str::to_owned);
                self.finish = Some((finish.to_owned_finish(), stop));
            }
            Event::Usage(usage) => {
                self.usage.get_or_insert_default().merge(usage);
                if self.finish.is_some() {
                    self.message_delta(out);
                }
            }
            Event::Ping => sse(out, "ping", |_| ()),
            Event::End => self.end(out),
            _ => {}
        }
    }

    /// Number blocks as their provider does: it may have more of them than were understood.
    pub fn passed(&mut self, data: &[u8], max_depth: usize) {
        if memchr::memmem::find(data, b"content_block_start").is_none() {
            return;
        }
        let Ok(event) = Node::parse(data, max_depth) else {
            return;
        };
        if let (Some("content_block_start"), Some(index)) = (event.get_str("type"), event.get_u64("index")) {
            self.next_index = index.saturating_add(1);
            if let Some(open) = self.open.last_mut() {
                open.index = index;
            }
        }
    }

    fn start(&mut self, service_tier: Option<&str>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        sse(out, "message_start", |json| {
            json.key("message").object(|json| {
                head(&self.reply, json);
                json.key("content").array(|_| ());
                json.key("stop_reason").null();
                json.key("stop_sequence").null();
                json.key("usage");
                figures::write(self.usage.as_ref(), service_tier, false, json);
            });
        });
    }

    fn index(&mut self) -> u64 {
        let index = self.next_index;
        self.next_index += 1;
        index
    }

    fn open(&mut self, part: u32, kind: Kind) -> u64 {
        let index = self.index();
        self.open.push(Open {
            part,
            index,
            kind,
            signed: false,
            id: None,
            carried: None,
        });
        index
    }

    fn part(&mut self, part: u32, begins: &PartStart<'_>, out: &mut Vec<u8>) {
        self.start(None, out);
        match begins {
            PartStart::Text | PartStart::Refusal => {
                self.holds.refusal |= matches!(begins, PartStart::Refusal);
                let index = self.open(part, Kind::Text);
                start(out, index, |json| json.raw(r#"{"type":"text","text":""}"#));
            }
            PartStart::Thinking { id } => {
                let index = self.open(part, Kind::Thinking);
                if let (Some(open), Some(id)) = (self.open.last_mut(), id) {
                    open.id = Some(id.to_string());
                }
                start(out, index, |json| {
                    json.raw(r#"{"type":"thinking","thinking":"","signature":""}"#)
                });
            }
            PartStart::ToolCall {
                id,
                name,
                kind,
                signature,
            } => {
                self.carrier(signature.as_ref(), out);
                let custom = *kind == ToolCallKind::Custom;
                let index = self.open(part, if custom { Kind::CustomCall } else { Kind::Call });
                self.holds.calls = true;
                start(out, index, |json| {
                    json.object(|json| {
                        json.field("type", "tool_use");
                        json.field("id", call_id(id));
                        json.field("name", name.as_ref());
                        json.raw_field("input", "{}");
                    });
                });
                if custom {
                    delta(out, index, "input_json_delta", "partial_json", "{\"input\":\"");
                }
            }
            PartStart::Whole(whole) => self.whole(part, whole, out),
        }
    }

    /// The block before a call that carries its signature.
    fn carrier(&mut self, signature: Option<&Signature<'_>>, out: &mut Vec<u8>) {
        if let Some(signature) = signature {
            self.carrier_block(&carrier_signature(signature, Carried::Call), out);
        }
    }

    fn carrier_block(&mut self, signature: &str, out: &mut Vec<u8>) {
        let index = self.index();
        start(out, index, |json| {
            json.raw(r#"{"type":"thinking","thinking":"","signature":""}"#)
        });
        delta(out, index, "signature_delta", "signature", signature);
        stop_block(out, index);
    }

    fn whole(&mut self, part: u32, whole: &Part<'_>, out: &mut Vec<u8>) {
        match whole {
            Part::Thinking(thinking) => {
                let signature = thinking_signature(thinking.signature.as_ref(), thinking.id.as_deref());
                if thinking.redacted {
                    let index = self.open(part, Kind::Whole);
                    start(out, index, |json| super::blocks::write_redacted(&signature, json));
                    return;
                }
                let index = self.open(part, Kind::Thinking);
                start(out, index, |json| {
                    json.raw(r#"{"type":"thinking","thinking":"","signature":""}"#)
                });
                if !thinking.text.is_empty() {
                    delta(out, index, "thinking_delta", "thinking", &thinking.text);
                }
                delta(out, index, "signature_delta", "signature", &signature);
                if let Some(open) = self.open.last_mut() {
                    open.signed = true;
                }
            }
            Part::Opaque {
                dialect: Dialect::Anthropic,
                raw,
                ..
            } => {
                let index = self.open(part, Kind::Whole);
                start(out, index, |json| json.raw(raw));
            }
            Part::Text { text, .. } | Part::Refusal(text) => self.spoken(part, text, out),
            Part::Media(media) => {
                if let Some(words) = &media.transcript {
                    self.spoken(part, words, out);
                }
            }
            // A call never comes whole, and the rest has no block: see `write`.
            _ => {}
        }
    }

    fn spoken(&mut self, part: u32, text: &str, out: &mut Vec<u8>) {
        let index = self.open(part, Kind::Text);
        start(out, index, |json| json.raw(r#"{"type":"text","text":""}"#));
        delta(out, index, "text_delta", "text", text);
    }

    fn delta(&mut self, part: u32, more: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(open) = self.open.iter_mut().find(|open| open.part == part) else {
            return;
        };
        let index = open.index;
        match (more, open.kind) {
            (Delta::Text(text), Kind::Text) => delta(out, index, "text_delta", "text", text),
            (Delta::Thinking(text), Kind::Thinking) => delta(out, index, "thinking_delta", "thinking", text),
            (Delta::Signature(signature), Kind::Thinking) => {
                open.signed = true;
                let signature = thinking_signature(Some(signature), open.id.as_deref());
                delta(out, index, "signature_delta", "signature", &signature);
            }
            (Delta::Signature(signature), Kind::Text) => {
                open.carried = Some(carrier_signature(signature, Carried::Text));
            }
            (Delta::Arguments(text), Kind::Call) => delta(out, index, "input_json_delta", "partial_json", text),
            (Delta::Arguments(text), Kind::CustomCall) => {
                // The free text is written as the inside of a JSON string, which itself is written as one.
                let mut inside = Vec::with_capacity(text.len() + 8);
                escape_into(text, &mut inside);
                let inside = String::from_utf8(inside).unwrap_or_default();
                delta(out, index, "input_json_delta", "partial_json", &inside);
            }
            (Delta::Citation(citation), Kind::Text) => sse(out, "content_block_delta", |json| {
                json.field("index", index);
                json.key("delta").object(|json| {
                    json.field("type", "citations_delta");
                    json.key("citation");
                    write_citation(citation, json);
                });
            }),
            _ => {}
        }
    }

    fn close(&mut self, open: Open, out: &mut Vec<u8>) {
        match open.kind {
            Kind::Thinking if !open.signed => {
                let signature = thinking_signature(None, open.id.as_deref());
                delta(out, open.index, "signature_delta", "signature", &signature);
            }
            Kind::CustomCall => delta(out, open.index, "input_json_delta", "partial_json", "\"}"),
            _ => {}
        }
        stop_block(out, open.index);
        if let Some(signature) = &open.carried {
            self.carrier_block(signature, out);
        }
    }

    /// The stop reason with the figures so far; again when they changed since.
    fn message_delta(&mut self, out: &mut Vec<u8>) {
        if self.told == Some(self.usage) {
            return;
        }
        self.told = Some(self.usage);
        let finish = self.finish.as_ref().map(|(finish, _)| finish);
        let stop_sequence = self.finish.as_ref().and_then(|(_, stop)| stop.as_deref());
        sse(out, "message_delta", |json| {
            json.key("delta").object(|json| {
                json.field("stop_reason", stop::word(finish, self.holds));
                json.or_null("stop_sequence", stop_sequence);
            });
            json.key("usage");
            figures::write(self.usage.as_ref(), None, true, json);
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.start(None, out);
        for open in std::mem::take(&mut self.open) {
            self.close(open, out);
        }
        self.message_delta(out);
        sse(out, "message_stop", |_| ());
    }
}
