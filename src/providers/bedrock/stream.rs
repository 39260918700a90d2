//! ConverseStream's events read.
//!
//! ```text
//! messageStart {"role"}
//! ( contentBlockStart {"contentBlockIndex","start":{"toolUse":{"toolUseId","name"}}}      only for tool use
//!   contentBlockDelta {"contentBlockIndex","delta":{"text"|"toolUse":{"input"}|"reasoningContent"|"citation"}}*
//!   contentBlockStop {"contentBlockIndex"} )*
//! messageStop {"stopReason"}
//! metadata {"usage","metrics","trace"}
//! ```
//! Text and reasoning begin with their first delta. `messageStop` is the end marker: a stream without it broke. `metadata` may
//! come more than once or never, so `End` waits for the end of the stream. `p` is padding against guessing by length.
//! Blocks that the service runs itself (`server_tool_use`, tool results, images piecemeal) are skipped: a stream cannot give
//! them whole without holding them back.
//! Source: Bedrock API reference, ConverseStream and ConverseStreamOutput, and the service model of botocore 1.44; read 2026-11.

use super::model::Model;
use super::response::{
    call_id, citation, finish, redacted, safety, stop_sequence, thinking_tokens, usage, with_thinking,
};
use crate::providers::codec::{Expect, RawEvent, Sink, StreamDecoder, Undecodable};
use crate::providers::free_text::{self, FreeText};
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{Delta, Event, PartStart, Signature, ToolCallKind};
use crate::wire::json::Node;

/// No answer has so many blocks open at once; they are one after another.
const MOST_OPEN: usize = 64;

/// What an open block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
    /// The forced tool that carries structured output: its arguments are text.
    Structured,
    /// Not for the client.
    Skipped,
}

/// A block that has begun and not ended.
#[derive(Debug)]
struct Open {
    /// Its `contentBlockIndex`.
    index: u64,
    /// Its part's number.
    part: u32,
    kind: Kind,
    /// Something was written into it.
    written: bool,
    /// Reads the text out of a free-text tool's input.
    free_text: Option<Box<FreeText>>,
}

/// Reads one stream.
#[derive(Debug)]
pub(super) struct Decoder {
    expect: Expect,
    /// Whose signatures the model makes.
    origin: Dialect,
    /// It is one of OpenAI's.
    gpt: bool,
    started: bool,
    /// `messageStop` has come.
    stopped: bool,
    /// `End` or an error was given: nothing follows.
    over: bool,
    open: Vec<Open>,
    parts: u32,
    calls: usize,
    /// Tokens thought with, which come before the other figures.
    thinking: Option<u64>,
}

impl Decoder {
    pub fn new(expect: Expect) -> Self {
        let model = Model::of(&expect.model);
        Self {
            origin: model.origin(),
            gpt: model.is_gpt(),
            expect,
            started: false,
            stopped: false,
            over: false,
            open: Vec::new(),
            parts: 0,
            calls: 0,
            thinking: None,
        }
    }

    fn begin(&mut self, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            sink(Event::Start {
                id: "".into(),
                model: self.expect.model.as_ref().into(),
                created: None,
                usage: None,
                service_tier: None,
                fingerprint: None,
            });
        }
    }

    /// End the open parts that `which` names.
    fn end_parts(&mut self, which: impl Fn(u64, Kind) -> bool, sink: &mut Sink<'_>) {
        self.open.retain_mut(|open| {
            if !which(open.index, open.kind) {
                return true;
            }
            let (candidate, part) = (0, open.part);
            let mut rest = String::new();
            if let Some(reader) = &mut open.free_text {
                reader.end(&mut rest);
            }
            if !rest.is_empty() {
                let delta = Delta::Arguments(rest.into());
                sink(Event::Delta { candidate, part, delta });
            }
            // A call without arguments is streamed as nothing, or as empty pieces.
            let nothing = match open.kind {
                Kind::Call if !open.written && open.free_text.is_none() => Some(Delta::Arguments("{}".into())),
                Kind::Structured if !open.written => Some(Delta::Text("{}".into())),
                _ => None,
            };
            if let Some(delta) = nothing {
                sink(Event::Delta { candidate, part, delta });
            }
            if open.kind != Kind::Skipped {
                sink(Event::PartEnd { candidate, part });
            }
            false
        });
    }

    /// Begin a part; text and thinking end before it.
    fn start(&mut self, index: u64, kind: Kind, start: PartStart<'_>, sink: &mut Sink<'_>) -> Result<u32, Undecodable> {
        self.end_parts(
            |at, kind| at == index || matches!(kind, Kind::Text | Kind::Thinking | Kind::Structured),
            sink,
        );
        if self.open.len() >= MOST_OPEN {
            return Err(Undecodable("too many content blocks are open at once".to_owned()));
        }
        let part = self.parts;
        self.parts += 1;
        self.open.push(Open {
            index,
            part,
            kind,
            written: false,
            free_text: None,
        });
        sink(Event::PartStart {
            candidate: 0,
            part,
            start,
        });
        Ok(part)
    }

    /// The open part of this block, if it is of this kind.
    fn part(&self, index: u64, kind: Kind) -> Option<u32> {
        let open = self.open.iter().find(|open| open.index == index && open.kind == kind);
        open.map(|open| open.part)
    }

    /// Let the deltas of this block pass unseen.
    fn skip(&mut self, index: u64) {
        if self.open.len() < MOST_OPEN {
            self.open.push(Open {
                index,
                part: 0,
                kind: Kind::Skipped,
                written: false,
                free_text: None,
            });
        }
    }

    fn block_start(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let index = index_of(data)?;
        let Some(start) = data.get("start") else {
            return Ok(());
        };
        let Some(call) = start.get("toolUse") else {
            // `toolResult`, `image`, what is still to come. An empty `start` is a text block's.
            if start.as_object().is_some_and(|members| !members.is_empty()) {
                self.skip(index);
            }
            return Ok(());
        };
        if call.get_str("type") == Some("server_tool_use") {
            self.skip(index);
            return Ok(());
        }
        let name = call
            .req("name", Node::str)
            .map_err(|invalid| invalid.within("start.toolUse"))?;
        if self.expect.structured_tool.as_deref() == Some(name) {
            self.start(index, Kind::Structured, PartStart::Text, sink)?;
            return Ok(());
        }
        self.calls += 1;
        let (name, kind) = free_text::tool(name, &self.expect);
        let name = name.to_owned();
        let id = call_id(call, self.calls - 1);
        let start = PartStart::ToolCall {
            id,
            name: name.into(),
            kind,
            signature: None,
        };
        self.start(index, Kind::Call, start, sink)?;
        if let (ToolCallKind::Custom, Some(open)) = (kind, self.open.last_mut()) {
            open.free_text = Some(Box::default());
        }
        Ok(())
    }

    fn block_delta(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let index = index_of(data)?;
        let Some(delta) = data.get("delta") else {
            return Ok(());
        };
        if let Some(text) = delta.get_str("text") {
            return self.text(index, text, sink);
        }
        if let Some(call) = delta.get("toolUse") {
            return self.arguments(index, call.get_str("input").unwrap_or_default(), sink);
        }
        if let Some(reasoning) = delta.get("reasoningContent") {
            return self.reasoning(index, reasoning, sink);
        }
        if let Some(from) = delta.get("citation") {
            let part = match self.part(index, Kind::Text) {
                Some(part) => part,
                None => self.start(index, Kind::Text, PartStart::Text, sink)?,
            };
            let delta = Delta::Citation(Box::new(citation(from)));
            sink(Event::Delta {
                candidate: 0,
                part,
                delta,
            });
        }
        Ok(())
    }

    fn text(&mut self, index: u64, text: &str, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if text.is_empty() {
            return Ok(());
        }
        let part = match self.part(index, Kind::Text) {
            Some(part) => part,
            None => self.start(index, Kind::Text, PartStart::Text, sink)?,
        };
        let delta = Delta::Text(text.into());
        sink(Event::Delta {
            candidate: 0,
            part,
            delta,
        });
        Ok(())
    }

    fn arguments(&mut self, index: u64, piece: &str, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let open = self.open.iter_mut().find(|open| open.index == index);
        let mut text = String::new();
        let (open, delta) = match open {
            Some(open) if open.kind == Kind::Call => match &mut open.free_text {
                Some(reader) => {
                    reader.take(piece, &mut text);
                    (open, Delta::Arguments(text.into()))
                }
                None => (open, Delta::Arguments(piece.into())),
            },
            Some(open) if open.kind == Kind::Structured => (open, Delta::Text(piece.into())),
            Some(open) if open.kind == Kind::Skipped => return Ok(()),
            _ => {
                return Err(Undecodable(
                    "tool input came for a block that is no tool use".to_owned(),
                ));
            }
        };
        let (Delta::Arguments(said) | Delta::Text(said)) = &delta else {
            return Ok(());
        };
        if !said.is_empty() {
            open.written = true;
            let (candidate, part) = (0, open.part);
            sink(Event::Delta { candidate, part, delta });
        }
        Ok(())
    }

    fn reasoning(&mut self, index: u64, from: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if let Some(data) = from.get_str("redactedContent").filter(|data| !data.is_empty()) {
            let whole = redacted(data, self.origin).to_static();
            self.start(index, Kind::Skipped, PartStart::Whole(Box::new(whole)), sink)?;
            let part = self.parts - 1;
            sink(Event::PartEnd { candidate: 0, part });
            return Ok(());
        }
        let text = from.get_str("text").filter(|text| !text.is_empty());
        let signature = from.get_str("signature").filter(|signature| !signature.is_empty());
        let delta = match (text, signature) {
            (Some(text), _) => Delta::Thinking(text.into()),
            (None, Some(signature)) => Delta::Signature(Signature::new(self.origin, signature)),
            (None, None) => return Ok(()),
        };
        let part = match self.part(index, Kind::Thinking) {
            Some(part) => part,
            None => self.start(index, Kind::Thinking, PartStart::Thinking { id: None }, sink)?,
        };
        sink(Event::Delta {
            candidate: 0,
            part,
            delta,
        });
        Ok(())
    }

    fn stop(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.end_parts(|_, _| true, sink);
        self.thinking = thinking_tokens(data);
        sink(Event::Finish {
            candidate: 0,
            finish: finish(
                data.get_str("stopReason").unwrap_or("end_turn"),
                &self.expect,
                self.calls,
            ),
            stop_sequence: stop_sequence(data),
        });
    }

    fn metadata(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        if let Some((dialect, raw)) = safety(data) {
            sink(Event::Safety {
                candidate: 0,
                dialect,
                raw,
            });
        }
        if let Some(figures) = data.get("usage").and_then(usage) {
            sink(Event::Usage(with_thinking(self.corrected(figures), self.thinking)));
        }
    }

    /// The streams of OpenAI's models count cached tokens into `inputTokens`, and so twice into `totalTokens`, while their
    /// whole answers do not (measured by maximhq/bifrost, pull request 6942, 2026-09). Where the sum cannot be otherwise it is
    /// undone, so that a call costs the same streamed or not.
    fn corrected(&self, mut figures: Usage) -> Usage {
        let beside = figures.cached.saturating_add(figures.cache_write);
        if beside > 0 && self.gpt && figures.input >= beside.saturating_mul(2) {
            figures.input -= beside;
        }
        figures
    }

    fn fail(&mut self, name: &str, data: &[u8], max_depth: usize, sink: &mut Sink<'_>) {
        self.over = true;
        let body = Node::parse(data, max_depth).ok();
        let said = body.as_ref().and_then(|body| {
            let message = body.get_str("message").or_else(|| body.get_str("Message"));
            message.or_else(|| body.get_str("originalMessage"))
        });
        sink(Event::Error {
            kind: name.into(),
            message: said.unwrap_or("the provider reported a failure in its stream").into(),
        });
    }
}

impl StreamDecoder for Decoder {
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.over {
            return Ok(());
        }
        if raw.exception || raw.name.ends_with("Exception") {
            self.fail(raw.name, raw.data, raw.max_depth, sink);
            return Ok(());
        }
        if !matches!(
            raw.name,
            "messageStart"
                | "contentBlockStart"
                | "contentBlockDelta"
                | "contentBlockStop"
                | "messageStop"
                | "metadata"
        ) {
            return Ok(());
        }
        let data = Node::parse(raw.data, raw.max_depth)?;
        self.begin(sink);
        match raw.name {
            "messageStop" => self.stop(&data, sink),
            "metadata" => self.metadata(&data, sink),
            // Content after the end of the message would be an answer that never ends.
            _ if self.stopped => return Err(Undecodable(format!("`{}` came after messageStop", raw.name))),
            "contentBlockStart" => self.block_start(&data, sink)?,
            "contentBlockDelta" => self.block_delta(&data, sink)?,
            "contentBlockStop" => {
                let index = index_of(&data)?;
                self.end_parts(|at, _| at == index, sink);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.over {
            return Ok(());
        }
        if !self.stopped {
            return Err(Undecodable("the stream ended without messageStop".to_owned()));
        }
        self.over = true;
        sink(Event::End);
        Ok(())
    }
}

fn index_of(data: &Node<'_>) -> Result<u64, Undecodable> {
    Ok(data.req("contentBlockIndex", Node::u64)?)
}
