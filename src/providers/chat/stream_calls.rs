//! The calls of one answer of a stream: which of them a delta belongs to, and when each begins.

use super::decode::{made_id, thought_signature};
use super::stream_choice::Choice;
use crate::providers::codec::{Expect, Sink, Undecodable};
use crate::providers::free_text::{self, FreeText};
use crate::wire::canonical::{Delta, Event, PartStart, Signature, ToolCallKind};
use crate::wire::chat::reasoning;
use crate::wire::json::Node;

/// Most calls of one answer.
pub(super) const MOST_CALLS: usize = 512;

/// Most bytes of arguments that came before the name they belong to.
const MOST_EARLY: usize = 1 << 20;

/// A call.
#[derive(Debug)]
pub struct Call {
    /// Its number on the wire, if it has one.
    pub(super) wire: Option<u64>,
    pub(super) id: String,
    /// Its part, from when its name is known.
    pub(super) part: Option<u32>,
    pub(super) kind: ToolCallKind,
    /// It is the call of a free-text tool as a function: what its arguments say.
    pub(super) free: Option<Box<FreeText>>,
    /// It is the structured answer: its arguments are text.
    pub(super) answer: bool,
    /// It has arguments.
    pub(super) some: bool,
    /// Arguments that came before the name.
    pub(super) early: String,
}

impl Choice {
    pub(super) fn tool_calls(
        &mut self,
        delta: &Node<'_>,
        expect: &Expect,
        answer: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Undecodable> {
        let list = delta.get("tool_calls").and_then(Node::as_array).unwrap_or_default();
        for node in list {
            let (inner, kind) = match node.get("custom") {
                Some(custom) => (Some(custom), ToolCallKind::Custom),
                None => (node.get("function"), ToolCallKind::Function),
            };
            let id = node.get_str("id").filter(|id| !id.is_empty() && *id != "null");
            let name = inner
                .and_then(|inner| inner.get_str("name"))
                .filter(|name| !name.is_empty());
            let at = self.call_of(node.get_u64("index"), id, name.is_some(), kind)?;
            let key = if kind == ToolCallKind::Custom {
                "input"
            } else {
                "arguments"
            };
            let more = inner.and_then(|inner| inner.get(key));
            let more = more.map(|node| node.as_str().unwrap_or(node.raw)).unwrap_or_default();
            self.call(at, (id, name, more), thought_signature(node), expect, answer, sink)?;
        }
        if let (Some(legacy), true) = (delta.get("function_call"), list.is_empty()) {
            let name = legacy.get_str("name").filter(|name| !name.is_empty());
            let at = self.call_of(Some(0), None, name.is_some(), ToolCallKind::Function)?;
            let more = legacy.get("arguments").map(|node| node.as_str().unwrap_or(node.raw));
            self.call(at, (None, name, more.unwrap_or_default()), None, expect, answer, sink)?;
        }
        Ok(())
    }

    /// Which call a delta belongs to: by number, unless it names another id with a name; then by id; then a name begins a new
    /// one; else the last.
    pub(super) fn call_of(
        &mut self,
        wire: Option<u64>,
        id: Option<&str>,
        named: bool,
        kind: ToolCallKind,
    ) -> Result<usize, Undecodable> {
        let other =
            |call: &Call| named && call.part.is_some() && id.is_some_and(|id| !call.id.is_empty() && call.id != id);
        let last_of = |test: &dyn Fn(&Call) -> bool| self.calls.iter().rposition(test);
        let found = match (wire, id) {
            (Some(wire), _) => {
                last_of(&|call| call.wire == Some(wire)).filter(|&at| !self.calls.get(at).is_some_and(other))
            }
            (None, Some(id)) => last_of(&|call| call.id == id),
            (None, None) if named => None,
            (None, None) => self.calls.len().checked_sub(1),
        };
        if let Some(at) = found {
            return Ok(at);
        }
        if self.calls.len() >= MOST_CALLS {
            return Err(Undecodable("more tool calls in one answer than are read".to_owned()));
        }
        self.calls.push(Call {
            wire,
            id: String::new(),
            part: None,
            kind,
            free: None,
            answer: false,
            some: false,
            early: String::new(),
        });
        Ok(self.calls.len() - 1)
    }

    pub(super) fn call(
        &mut self,
        at: usize,
        (id, name, more): (Option<&str>, Option<&str>, &str),
        signature: Option<Signature<'_>>,
        expect: &Expect,
        answer: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Undecodable> {
        let Some(call) = self.calls.get_mut(at) else {
            return Ok(());
        };
        if let (Some(id), true) = (id, call.id.is_empty()) {
            id.clone_into(&mut call.id);
            self.kept += id.len();
        }
        if call.part.is_none() {
            let Some(name) = name else {
                if call.early.len() + more.len() > MOST_EARLY {
                    return Err(Undecodable("arguments of a tool call without a name".to_owned()));
                }
                call.early.push_str(more);
                self.kept += more.len();
                return Ok(());
            };
            self.begin(at, name, signature, expect, answer, sink);
        }
        self.arguments(at, more, sink);
        Ok(())
    }

    pub(super) fn begin(
        &mut self,
        at: usize,
        name: &str,
        signature: Option<Signature<'_>>,
        expect: &Expect,
        answer: &str,
        sink: &mut Sink<'_>,
    ) {
        self.close(sink);
        let (name, stands_for) = free_text::tool(name, expect);
        let Some(call) = self.calls.get_mut(at) else { return };
        if (call.kind, stands_for) == (ToolCallKind::Function, ToolCallKind::Custom) {
            call.kind = stands_for;
            call.free = Some(Box::default());
        }
        if call.id.is_empty() {
            call.id = made_id(answer, self.index, at, name);
        }
        let early = std::mem::take(&mut call.early);
        call.answer = expect.structured_tool.as_deref() == Some(name);
        let (id, kind, is_answer) = (call.id.clone(), call.kind, call.answer);
        let part = if is_answer {
            self.start(PartStart::Text, sink)
        } else {
            self.called = true;
            let known = self.signatures.iter().position(|(of, ..)| *of == id);
            let known = known.map(|known| self.signatures.swap_remove(known));
            let known = known
                .as_ref()
                .map(|(_, format, data)| reasoning::echoed(Some(format.as_str()), data));
            let start = PartStart::ToolCall {
                id: id.as_str().into(),
                name: name.into(),
                kind,
                signature: signature.or(known),
            };
            self.start(start, sink)
        };
        if let Some(call) = self.calls.get_mut(at) {
            call.part = Some(part);
        }
        self.arguments(at, &early, sink);
    }

    pub(super) fn arguments(&mut self, at: usize, more: &str, sink: &mut Sink<'_>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let Some(part) = call.part.filter(|_| !more.is_empty()) else {
            return;
        };
        call.some = true;
        if let Some(reader) = &mut call.free {
            let mut text = String::with_capacity(more.len());
            reader.take(more, &mut text);
            return self.free_text(part, text, sink);
        }
        let delta = if call.answer {
            Delta::Text(more.into())
        } else {
            Delta::Arguments(more.into())
        };
        self.delta(part, delta, sink);
    }

    fn free_text(&self, part: u32, text: String, sink: &mut Sink<'_>) {
        if !text.is_empty() {
            self.delta(part, Delta::Arguments(text.into()), sink);
        }
    }

    /// The choice has ended: what its calls still owe.
    pub(super) fn end_calls(&mut self, sink: &mut Sink<'_>) {
        for at in 0..self.calls.len() {
            let Some(call) = self.calls.get_mut(at) else { return };
            if !call.some && call.kind == ToolCallKind::Function {
                self.arguments(at, "{}", sink);
            } else if let (Some(mut reader), Some(part)) = (call.free.take(), call.part) {
                let mut text = String::new();
                reader.end(&mut text);
                self.free_text(part, text, sink);
            }
        }
        for part in self.calls.iter().filter_map(|call| call.part) {
            sink(Event::PartEnd {
                candidate: self.index,
                part,
            });
        }
    }
}
