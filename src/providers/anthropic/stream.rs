//! A target's stream, event by event.
//!
//! ```json
//! {"type":"message_start","message":{"id":"msg_…","model":"…","usage":{…}}}
//! {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
//! {"type":"content_block_delta","index":0,"delta":{"type":"text_delta|input_json_delta|thinking_delta|signature_delta|citations_delta",…}}
//! {"type":"content_block_stop","index":0}
//! {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{…cumulative…}}
//! {"type":"message_stop"} · {"type":"ping"} · {"type":"error","error":{"type":"overloaded_error","message":"…"}}
//! ```
//! Blocks only this API has are canonical parts that come whole, so a server tool's input, which streams, is gathered and
//! its block given when it is complete. Everything else goes on at once.

use super::decode::{finish, refusal, signature};
use super::invoke_chunk;
use crate::providers::codec::{Expect, RawEvent, Sink, StreamDecoder, Undecodable};
use crate::providers::free_text::{self, FreeText};
use crate::wire::Dialect;
use crate::wire::canonical::{Delta, Event, Finish, Part, PartStart, Thinking, ToolCallKind};
use crate::wire::json::{JsonWriter, Node};
use crate::wire::messages::blocks::read_citation;
use crate::wire::messages::figures::Figures;

/// Most blocks open at once; the API opens one.
const MOST_OPEN: usize = 64;

/// Most bytes of a server tool's input.
const MOST_GATHERED: usize = 4 << 20;

/// Reads one stream.
pub struct Decoder {
    expect: Expect,
    /// Events come wrapped, as Bedrock's chunks.
    wrapped: bool,
    figures: Figures,
    started: bool,
    finished: bool,
    ended: bool,
    /// A tool of the client's was called.
    called: bool,
    next_part: u32,
    open: Vec<Open>,
}

struct Open {
    index: u64,
    part: u32,
    kind: Kind,
    /// Something of it was given on.
    any: bool,
}

enum Kind {
    Text,
    Thinking,
    Call,
    FreeText(Box<FreeText>),
    /// The answer, as the input of a forced tool.
    Answer,
    /// Given whole already.
    Whole,
    /// To be given whole when its input is complete: the block as it began, and the input.
    Gathered(String, String),
}

impl Decoder {
    /// At the beginning. `wrapped`: events come as Bedrock's chunks.
    pub fn new(expect: Expect, wrapped: bool) -> Self {
        Self {
            expect,
            wrapped,
            figures: Figures::default(),
            started: false,
            finished: false,
            ended: false,
            called: false,
            next_part: 0,
            open: Vec::new(),
        }
    }

    fn message_start(&mut self, node: &Node<'_>, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message = node.get("message");
        let text = |key: &str| message.and_then(|message| message.get_str(key));
        let usage = message.and_then(|message| message.get("usage"));
        if let Some(usage) = usage {
            self.figures.take(usage);
        }
        sink(Event::Start {
            id: text("id").unwrap_or_default().into(),
            model: text("model").unwrap_or(&self.expect.model).into(),
            created: None,
            usage: self.figures.usage(),
            service_tier: usage.and_then(|usage| usage.get_str("service_tier")).map(Into::into),
            fingerprint: None,
        });
    }

    fn part(&mut self) -> u32 {
        let part = self.next_part;
        self.next_part += 1;
        part
    }

    fn block_start(&mut self, node: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let index = node.req("index", Node::u64)?;
        let block = node.req("content_block", Ok)?;
        // Only calls may be open together; anything left open was cut short.
        let calls = |open: &Open| matches!(open.kind, Kind::Call | Kind::FreeText(_));
        while let Some(at) = self.open.iter().position(|open| !calls(open) || open.index == index) {
            let open = self.open.remove(at);
            self.close(open, sink);
        }
        if self.open.len() >= MOST_OPEN {
            return Err(Undecodable("too many blocks are open at once".to_owned()));
        }
        let word = block.get_str("type").unwrap_or_default();
        let gathers = block.get("input").is_some() && word != "tool_use";
        let kind = if gathers {
            let input = String::new();
            Kind::Gathered(block.raw.to_owned(), input)
        } else {
            let part = self.next_part;
            let (start, kind) = begin(block, word, &self.expect);
            self.called |= matches!(start, PartStart::ToolCall { .. });
            sink(Event::PartStart {
                candidate: 0,
                part,
                start,
            });
            kind
        };
        let part = if gathers { 0 } else { self.part() };
        let mut open = Open {
            index,
            part,
            kind,
            any: false,
        };
        first(&mut open, block, sink);
        self.open.push(open);
        Ok(())
    }

    fn block_delta(&mut self, node: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let index = node.req("index", Node::u64)?;
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else {
            return Err(Undecodable("a delta of a block that is not open".to_owned()));
        };
        let delta = node.req("delta", Ok)?;
        let text = |key: &str| delta.get_str(key).unwrap_or_default();
        let more = match (delta.get_str("type").unwrap_or_default(), &mut open.kind) {
            ("text_delta", Kind::Text) => Delta::Text(text("text").into()),
            ("citations_delta", Kind::Text) => match delta.get("citation") {
                Some(citation) => Delta::Citation(Box::new(read_citation(citation))),
                None => return Ok(()),
            },
            ("thinking_delta", Kind::Thinking) => Delta::Thinking(text("thinking").into()),
            ("signature_delta", Kind::Thinking) => match signature(text("signature")) {
                Some(signature) => Delta::Signature(signature),
                None => return Ok(()),
            },
            ("input_json_delta", kind) => {
                let piece = text("partial_json");
                match kind {
                    _ if piece.is_empty() => return Ok(()),
                    Kind::Call => Delta::Arguments(piece.into()),
                    Kind::Answer => Delta::Text(piece.into()),
                    Kind::FreeText(reader) => {
                        let mut plain = String::with_capacity(piece.len());
                        reader.take(piece, &mut plain);
                        if plain.is_empty() {
                            return Ok(());
                        }
                        Delta::Arguments(plain.into())
                    }
                    Kind::Gathered(_, input) => {
                        if input.len() + piece.len() > MOST_GATHERED {
                            return Err(Undecodable("the input of a server tool is too large".to_owned()));
                        }
                        input.push_str(piece);
                        return Ok(());
                    }
                    _ => return Ok(()),
                }
            }
            _ => return Ok(()),
        };
        open.any = true;
        sink(Event::Delta {
            candidate: 0,
            part: open.part,
            delta: more,
        });
        Ok(())
    }

    fn close(&mut self, mut open: Open, sink: &mut Sink<'_>) {
        let owed = match &mut open.kind {
            // A call without arguments is streamed without any.
            Kind::Call if !open.any => Some(Delta::Arguments("{}".into())),
            Kind::Answer if !open.any => Some(Delta::Text("{}".into())),
            Kind::FreeText(reader) => {
                let mut rest = String::new();
                reader.end(&mut rest);
                (!rest.is_empty()).then(|| Delta::Arguments(rest.into()))
            }
            Kind::Gathered(block, input) => {
                open.part = self.part();
                let part = with_input(block, input);
                sink(Event::PartStart {
                    candidate: 0,
                    part: open.part,
                    start: PartStart::Whole(Box::new(part)),
                });
                None
            }
            _ => None,
        };
        if let Some(delta) = owed {
            sink(Event::Delta {
                candidate: 0,
                part: open.part,
                delta,
            });
        }
        sink(Event::PartEnd {
            candidate: 0,
            part: open.part,
        });
    }

    fn close_all(&mut self, sink: &mut Sink<'_>) {
        for open in std::mem::take(&mut self.open) {
            self.close(open, sink);
        }
    }

    fn message_delta(&mut self, node: &Node<'_>, sink: &mut Sink<'_>) {
        if let Some(delta) = node.get("delta")
            && let Some(word) = delta.get_str("stop_reason")
            && !self.finished
        {
            self.close_all(sink);
            if let Some(words) = refusal(delta) {
                self.refuse(words, sink);
            }
            self.finished = true;
            sink(Event::Finish {
                candidate: 0,
                finish: finish(word, self.called || self.expect.structured_tool.is_none()),
                stop_sequence: delta.get_str("stop_sequence").map(Into::into),
            });
        }
        if let Some(usage) = node.get("usage") {
            self.figures.take(usage);
            if let Some(usage) = self.figures.usage() {
                sink(Event::Usage(usage));
            }
        }
    }

    fn refuse(&mut self, words: &str, sink: &mut Sink<'_>) {
        let (candidate, part) = (0, self.part());
        sink(Event::PartStart {
            candidate,
            part,
            start: PartStart::Refusal,
        });
        sink(Event::Delta {
            candidate,
            part,
            delta: Delta::Text(words.into()),
        });
        sink(Event::PartEnd { candidate, part });
    }

    /// A failure Bedrock reports with a frame of its own: `{"message":"…"}`.
    fn exception(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) {
        self.ended = true;
        let node = Node::parse(raw.data, raw.max_depth).ok();
        let message = node.as_ref().and_then(|node| node.get_str("message"));
        sink(Event::Error {
            kind: raw.name.into(),
            message: message.unwrap_or("the provider reports an error").into(),
        });
    }

    fn message_stop(&mut self, sink: &mut Sink<'_>) {
        self.close_all(sink);
        if !std::mem::replace(&mut self.finished, true) {
            sink(Event::Finish {
                candidate: 0,
                finish: Finish::Other("unknown".into()),
                stop_sequence: None,
            });
        }
        self.ended = true;
        sink(Event::End);
    }
}

/// What a block begins.
fn begin<'b>(block: &'b Node<'_>, word: &'b str, expect: &'b Expect) -> (PartStart<'b>, Kind) {
    match word {
        "text" => (PartStart::Text, Kind::Text),
        "thinking" => (PartStart::Thinking { id: None }, Kind::Thinking),
        "redacted_thinking" => {
            let part = Part::Thinking(Thinking {
                signature: block.get_str("data").and_then(signature),
                redacted: true,
                ..Thinking::default()
            });
            (PartStart::Whole(Box::new(part)), Kind::Whole)
        }
        "tool_use" => {
            let name = block.get_str("name").unwrap_or_default();
            if expect.structured_tool.as_deref() == Some(name) {
                return (PartStart::Text, Kind::Answer);
            }
            let (name, kind) = free_text::tool(name, expect);
            let start = PartStart::ToolCall {
                id: block
                    .get_str("id")
                    .filter(|id| !id.is_empty())
                    .unwrap_or("call_0")
                    .into(),
                name: name.into(),
                kind,
                signature: None,
            };
            match kind {
                ToolCallKind::Function => (start, Kind::Call),
                ToolCallKind::Custom => (start, Kind::FreeText(Box::default())),
            }
        }
        _ => {
            let part = Part::Opaque {
                dialect: Dialect::Anthropic,
                kind: word.into(),
                raw: block.raw.into(),
            };
            (PartStart::Whole(Box::new(part)), Kind::Whole)
        }
    }
}

/// What a block says with its start already: usually nothing.
fn first(open: &mut Open, block: &Node<'_>, sink: &mut Sink<'_>) {
    let filled = |key: &str| block.get_str(key).filter(|text| !text.is_empty());
    let (candidate, part) = (0, open.part);
    let mut give = |delta: Delta<'_>| {
        open.any = true;
        sink(Event::Delta { candidate, part, delta });
    };
    match open.kind {
        Kind::Text => {
            if let Some(text) = filled("text") {
                give(Delta::Text(text.into()));
            }
            let citations = block.get("citations").and_then(Node::as_array).unwrap_or_default();
            for citation in citations {
                give(Delta::Citation(Box::new(read_citation(citation))));
            }
        }
        Kind::Thinking => {
            if let Some(text) = filled("thinking") {
                give(Delta::Thinking(text.into()));
            }
            if let Some(signature) = filled("signature").and_then(signature) {
                give(Delta::Signature(signature));
            }
        }
        Kind::Call | Kind::Answer => {
            // An input that comes with the start is complete.
            let input = block
                .get("input")
                .filter(|input| input.as_object().is_some_and(|all| !all.is_empty()));
            if let Some(input) = input {
                let answer = matches!(open.kind, Kind::Answer);
                let raw = input.raw.into();
                give(if answer {
                    Delta::Text(raw)
                } else {
                    Delta::Arguments(raw)
                });
            }
        }
        _ => {}
    }
}

/// A server tool's block with the input that streamed after it.
fn with_input(block: &str, input: &str) -> Part<'static> {
    let node = Node::parse(block.as_bytes(), 512).ok();
    let kind = node.as_ref().and_then(|node| node.get_str("type")).unwrap_or_default();
    let readable = Node::parse(input.as_bytes(), 512).is_ok();
    let raw = match node.as_ref().and_then(Node::as_object) {
        Some(members) if readable => {
            let mut json = JsonWriter::new();
            json.object(|json| {
                for (key, member) in members {
                    json.raw_field(key, if key == "input" { input } else { member.raw });
                }
            });
            String::from_utf8(json.finish()).unwrap_or_default()
        }
        _ => block.to_owned(),
    };
    Part::Opaque {
        dialect: Dialect::Anthropic,
        kind: kind.to_owned().into(),
        raw: raw.into(),
    }
}

impl StreamDecoder for Decoder {
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.ended {
            return Ok(());
        }
        if raw.exception {
            self.exception(raw, sink);
            return Ok(());
        }
        let unwrapped;
        let data = if self.wrapped {
            unwrapped = invoke_chunk(raw.data).ok_or_else(|| Undecodable("a chunk without `bytes`".to_owned()))?;
            unwrapped.as_slice()
        } else {
            raw.data
        };
        let node = Node::parse(data, raw.max_depth)?;
        let kind = node.get_str("type").unwrap_or(raw.name);
        match kind {
            "message_start" => self.message_start(&node, sink),
            "ping" => sink(Event::Ping),
            "error" => {
                let error = node.get("error");
                let text = |key: &str| error.and_then(|error| error.get_str(key));
                self.ended = true;
                sink(Event::Error {
                    kind: text("type").unwrap_or("api_error").into(),
                    message: text("message").unwrap_or("the provider reports an error").into(),
                });
            }
            "content_block_start" | "content_block_delta" | "content_block_stop" | "message_delta" | "message_stop"
                if !self.started =>
            {
                return Err(Undecodable(format!("`{kind}` before `message_start`")));
            }
            _ if self.finished && kind.starts_with("content_block") => {}
            "content_block_start" => self.block_start(&node, sink)?,
            "content_block_delta" => self.block_delta(&node, sink)?,
            "content_block_stop" => {
                let index = node.req("index", Node::u64)?;
                if let Some(at) = self.open.iter().position(|open| open.index == index) {
                    let open = self.open.remove(at);
                    self.close(open, sink);
                }
            }
            "message_delta" => self.message_delta(&node, sink),
            "message_stop" => self.message_stop(sink),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.ended {
            return Ok(());
        }
        Err(Undecodable("the stream ended without `message_stop`".to_owned()))
    }
}
