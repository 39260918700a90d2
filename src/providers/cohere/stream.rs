//! A chat stream in.
//!
//! ```text
//! message-start (content-start content-delta* content-end | tool-plan-delta* | citation-start citation-end)*
//!               (tool-call-start tool-call-delta* tool-call-end)* message-end [DONE]
//! ```
//! A text part is ended when something else begins, not at `content-end`: citations of it may still follow. `message-end`
//! is the end marker; without it the stream broke.

use super::super::codec::{Expect, RawEvent, Sink, StreamDecoder, Undecodable};
use super::super::free_text::{self, FreeText};
use super::response;
use crate::wire::canonical::{Delta, Event, Finish, PartStart, ToolCallKind};
use crate::wire::json::Node;

/// More calls open at a time than any model makes.
const MOST_OPEN: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Plan,
    Thinking,
}

/// An open call.
#[derive(Debug)]
struct Call {
    /// There.
    index: u64,
    /// Here.
    part: u32,
    /// Some of its arguments have come.
    argued: bool,
    /// It stands for the call of a free-text tool: what its arguments say.
    free: Option<Box<FreeText>>,
}

impl Call {
    /// A call without arguments is one with an empty object, as in a whole answer.
    fn end(self, sink: &mut Sink<'_>) {
        let part = self.part;
        if let Some(mut reader) = self.free {
            let mut text = String::new();
            reader.end(&mut text);
            argue(part, &text, sink);
        } else if !self.argued {
            sink(Event::Delta {
                candidate: 0,
                part,
                delta: Delta::Arguments("{}".into()),
            });
        }
        sink(Event::PartEnd { candidate: 0, part });
    }
}

fn argue(part: u32, more: &str, sink: &mut Sink<'_>) {
    if !more.is_empty() {
        let delta = Delta::Arguments(more.into());
        sink(Event::Delta {
            candidate: 0,
            part,
            delta,
        });
    }
}

/// Reads one stream.
pub(super) struct Decoder {
    expect: Expect,
    id: String,
    started: bool,
    ended: bool,
    failed: bool,
    /// The open text or thinking part.
    prose: Option<(u32, Kind)>,
    /// Open calls.
    calls: Vec<Call>,
    parts: u32,
    /// Calls begun, for ids where there are none.
    begun: usize,
}

impl Decoder {
    pub(super) fn new(expect: Expect) -> Self {
        Self {
            expect,
            id: String::new(),
            started: false,
            ended: false,
            failed: false,
            prose: None,
            calls: Vec::new(),
            parts: 0,
            begun: 0,
        }
    }

    fn start(&mut self, id: &str, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        id.clone_into(&mut self.id);
        sink(Event::Start {
            id: id.into(),
            model: self.expect.model.as_ref().into(),
            created: None,
            usage: None,
            service_tier: None,
            fingerprint: None,
        });
    }

    fn next_part(&mut self) -> u32 {
        let part = self.parts;
        self.parts = part.saturating_add(1);
        part
    }

    fn end_prose(&mut self, sink: &mut Sink<'_>) {
        if let Some((part, _)) = self.prose.take() {
            sink(Event::PartEnd { candidate: 0, part });
        }
    }

    /// The open part of this kind, begun if it is not.
    fn prose(&mut self, kind: Kind, sink: &mut Sink<'_>) -> u32 {
        if let Some((part, open)) = self.prose
            && open == kind
        {
            return part;
        }
        self.end_prose(sink);
        let part = self.next_part();
        self.prose = Some((part, kind));
        let start = match kind {
            Kind::Thinking => PartStart::Thinking { id: None },
            Kind::Text | Kind::Plan => PartStart::Text,
        };
        sink(Event::PartStart {
            candidate: 0,
            part,
            start,
        });
        part
    }

    fn say(&mut self, kind: Kind, text: &str, sink: &mut Sink<'_>) {
        if text.is_empty() {
            return;
        }
        let part = self.prose(kind, sink);
        let delta = match kind {
            Kind::Thinking => Delta::Thinking(text.into()),
            Kind::Text | Kind::Plan => Delta::Text(text.into()),
        };
        sink(Event::Delta {
            candidate: 0,
            part,
            delta,
        });
    }

    /// `content-start` and `content-delta`.
    fn content(&mut self, begins: bool, document: &Node<'_>, sink: &mut Sink<'_>) {
        let Some(content) = message(document).and_then(|message| message.get("content")) else {
            return;
        };
        if begins {
            self.end_prose(sink);
            let thinks = content.get_str("type") == Some("thinking") || content.get("thinking").is_some();
            self.prose(if thinks { Kind::Thinking } else { Kind::Text }, sink);
        }
        if let Some(text) = content.get_str("thinking") {
            self.say(Kind::Thinking, text, sink);
        }
        if let Some(text) = content.get_str("text") {
            self.say(Kind::Text, text, sink);
        }
        if let Some(logprob) = document.get("logprobs").and_then(response::logprob)
            && let Some((part, Kind::Text | Kind::Plan)) = self.prose
        {
            let delta = Delta::Logprobs(vec![logprob]);
            sink(Event::Delta {
                candidate: 0,
                part,
                delta,
            });
        }
    }

    fn citation(&mut self, document: &Node<'_>, sink: &mut Sink<'_>) {
        let (Some((part, Kind::Text | Kind::Plan)), Some(cited)) = (
            self.prose,
            message(document).and_then(|message| message.get("citations")),
        ) else {
            return;
        };
        if cited.get_str("type") == Some("THINKING_CONTENT") {
            return;
        }
        response::citations(cited, |citation| {
            sink(Event::Delta {
                candidate: 0,
                part,
                delta: Delta::Citation(Box::new(citation)),
            });
        });
    }

    fn call_start(&mut self, document: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let index = document.get_u64("index").unwrap_or(self.calls.len() as u64);
        let call = message(document).and_then(|message| message.get("tool_calls"));
        let function = call.and_then(|call| call.get("function"));
        let name = function
            .and_then(|function| function.get_str("name"))
            .ok_or_else(|| Undecodable("tool-call-start without a function name".to_owned()))?;
        if self.calls.len() >= MOST_OPEN {
            return Err(Undecodable("too many tool calls open at once".to_owned()));
        }
        self.end_prose(sink);
        self.end_call(index, sink);
        let part = self.next_part();
        let (name, kind) = free_text::tool(name, &self.expect);
        self.calls.push(Call {
            index,
            part,
            argued: false,
            free: (kind == ToolCallKind::Custom).then(Box::default),
        });
        let begun = self.begun;
        self.begun += 1;
        sink(Event::PartStart {
            candidate: 0,
            part,
            start: PartStart::ToolCall {
                id: response::call_id(call.and_then(|call| call.get_str("id")), &self.id, begun),
                name: name.into(),
                kind,
                signature: None,
            },
        });
        self.call_delta(index, document, sink);
        Ok(())
    }

    fn call_delta(&mut self, index: u64, document: &Node<'_>, sink: &mut Sink<'_>) {
        let Some(call) = self.calls.iter_mut().find(|open| open.index == index) else {
            return;
        };
        let more = message(document)
            .and_then(|message| message.get("tool_calls")?.get("function")?.get_str("arguments"))
            .filter(|more| !more.is_empty());
        if let Some(more) = more {
            call.argued = true;
            if let Some(reader) = &mut call.free {
                let mut text = String::with_capacity(more.len());
                reader.take(more, &mut text);
                argue(call.part, &text, sink);
            } else {
                argue(call.part, more, sink);
            }
        }
    }

    fn end_call(&mut self, index: u64, sink: &mut Sink<'_>) {
        if let Some(at) = self.calls.iter().position(|open| open.index == index) {
            self.calls.remove(at).end(sink);
        }
    }

    fn message_end(&mut self, document: &Node<'_>, sink: &mut Sink<'_>) {
        let delta = document.get("delta");
        let word = delta.and_then(|delta| delta.get_str("finish_reason"));
        if let Some(error) = delta.and_then(|delta| delta.get_str("error")) {
            self.fail(word.unwrap_or("ERROR"), error, sink);
            return;
        }
        self.end_prose(sink);
        for call in std::mem::take(&mut self.calls) {
            call.end(sink);
        }
        sink(Event::Finish {
            candidate: 0,
            finish: word.map_or(Finish::Stop, response::finish),
            stop_sequence: None,
        });
        if let Some(usage) = delta.and_then(|delta| delta.get("usage")).and_then(response::usage) {
            sink(Event::Usage(usage));
        }
        self.ended = true;
        sink(Event::End);
    }

    fn fail(&mut self, kind: &str, message: &str, sink: &mut Sink<'_>) {
        self.failed = true;
        sink(Event::Error {
            kind: kind.into(),
            message: message.into(),
        });
    }
}

fn message<'d>(document: &'d Node<'_>) -> Option<&'d Node<'d>> {
    document.get("delta")?.get("message")
}

impl StreamDecoder for Decoder {
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.ended || self.failed || raw.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let document = Node::parse(raw.data, raw.max_depth)?;
        let name = document.get_str("type").unwrap_or(raw.name);
        if name == "message-start" {
            self.start(document.get_str("id").unwrap_or_default(), sink);
            return Ok(());
        }
        // The error body of a plain answer, or an event of that name.
        if matches!(name, "" | "error") {
            if let Some(text) = document.get_str("message") {
                self.fail("error", text, sink);
            }
            return Ok(());
        }
        if !self.started {
            self.start("", sink);
        }
        let index = || document.get_u64("index").unwrap_or(0);
        match name {
            "content-start" => self.content(true, &document, sink),
            "content-delta" => self.content(false, &document, sink),
            "tool-plan-delta" => {
                let plan = message(&document).and_then(|message| message.get_str("tool_plan"));
                self.say(Kind::Plan, plan.unwrap_or_default(), sink);
            }
            "citation-start" => self.citation(&document, sink),
            "tool-call-start" => self.call_start(&document, sink)?,
            "tool-call-delta" => self.call_delta(index(), &document, sink),
            "tool-call-end" => self.end_call(index(), sink),
            "message-end" => self.message_end(&document, sink),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.ended {
            Ok(())
        } else {
            Err(Undecodable("the stream ended without `message-end`".to_owned()))
        }
    }
}
