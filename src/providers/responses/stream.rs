//! Streams.
//!
//! ```json
//! {"type":"response.created","response":{…}}
//! {"type":"response.output_item.added","output_index":0,"item":{…}}   … {"type":"response.output_item.done", …}
//! {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"…"}
//! {"type":"response.completed","response":{…}}
//! ```
//! Deltas open the part they belong to when nothing else did, and `done` events give what no delta gave: servers leave out
//! either. Only `response.completed` or `response.incomplete` end a stream; OpenRouter's `[DONE]` behind them says nothing.

use super::decode;
use crate::providers::codec::{Expect, RawEvent, Sink, StreamDecoder, Undecodable};
use crate::wire::canonical::{Delta, Event, Part, PartStart, Text, Thinking};
use crate::wire::json::Node;
use crate::wire::responses::{citation, facts, joined};

/// What an open part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Text,
    Refusal,
    Thinking,
    Call,
}

/// A part under way. Its place in the answer tells it from others.
#[derive(Debug)]
struct Open {
    item: u64,
    content: u64,
    sort: Sort,
    part: u32,
    /// It has been given something: a `done` event repeats it.
    filled: bool,
    /// Thinking: raw thoughts came, so the summary of them is not wanted.
    raw: bool,
}

/// Reads one stream.
pub(super) struct Decoder {
    expect: Expect,
    started: bool,
    over: bool,
    next: u32,
    open: Vec<Open>,
    /// Items given in full or in part, by output index: the end repeats them.
    seen: Vec<u64>,
    calls: bool,
    refuses: bool,
}

/// Most items of one answer that are told apart; a stream with more is no answer.
const MOST_ITEMS: usize = 4096;

impl Decoder {
    pub(super) fn new(expect: Expect) -> Self {
        Self {
            expect,
            started: false,
            over: false,
            next: 0,
            open: Vec::new(),
            seen: Vec::new(),
            calls: false,
            refuses: false,
        }
    }
}

impl StreamDecoder for Decoder {
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.over || raw.data.trim_ascii().is_empty() || raw.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let data = Node::parse(raw.data, raw.max_depth)?;
        let kind = data.get_str("type").unwrap_or(raw.name);
        self.on(kind, &data, sink);
        if self.seen.len() > MOST_ITEMS {
            return Err(Undecodable(format!("more than {MOST_ITEMS} items in one answer")));
        }
        Ok(())
    }

    fn finish(&mut self, _sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.over {
            return Ok(());
        }
        Err(Undecodable("the stream ended without response.completed".to_owned()))
    }
}

fn index(data: &Node<'_>, key: &str) -> u64 {
    data.get_u64(key).unwrap_or(0)
}

impl Decoder {
    fn on(&mut self, kind: &str, data: &Node<'_>, sink: &mut Sink<'_>) {
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                if let Some(response) = data.get("response") {
                    self.start(Some(response), sink);
                }
            }
            "response.output_text.delta" => self.text(data, Sort::Text, "delta", sink),
            "response.refusal.delta" => self.text(data, Sort::Refusal, "delta", sink),
            "response.output_text.done" => self.rest(data, Sort::Text, "text", sink),
            "response.refusal.done" => self.rest(data, Sort::Refusal, "refusal", sink),
            "response.output_text.annotation.added" => self.annotation(data, sink),
            "response.content_part.added" => self.content_added(data, sink),
            "response.content_part.done" => {
                let (item, content) = (index(data, "output_index"), index(data, "content_index"));
                let said = |open: &Open| matches!(open.sort, Sort::Text | Sort::Refusal);
                self.close(|open| said(open) && (open.item, open.content) == (item, content), sink);
            }
            "response.reasoning_summary_part.added" => self.summary_part(data, sink),
            "response.reasoning_summary_text.delta" => self.thought(data, false, sink),
            "response.reasoning_text.delta" => self.thought(data, true, sink),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(data, "delta", sink);
            }
            "response.function_call_arguments.done" => self.arguments_done(data, "arguments", sink),
            "response.custom_tool_call_input.done" => self.arguments_done(data, "input", sink),
            "response.output_item.added" => self.item_added(data, sink),
            "response.output_item.done" => {
                if let Some(item) = data.get("item") {
                    self.item_done(index(data, "output_index"), item, sink);
                }
            }
            "response.completed" | "response.incomplete" => self.end(data, sink),
            "response.failed" => self.failed(data.get("response").unwrap_or(data), sink),
            "error" => self.failed(data, sink),
            "" if data.get("error").is_some() => self.failed(data, sink),
            _ => {}
        }
    }

    fn start(&mut self, response: Option<&Node<'_>>, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let said = |key: &str| response.and_then(|response| response.get_str(key));
        sink(Event::Start {
            id: said("id").unwrap_or_default().into(),
            model: said("model").unwrap_or(&self.expect.model).into(),
            created: response.and_then(decode::created),
            usage: None,
            // At the start it is what was asked for; `auto` is no tier.
            service_tier: said("service_tier").filter(|tier| *tier != "auto").map(Into::into),
            fingerprint: None,
        });
    }

    fn see(&mut self, item: u64) {
        if !self.seen.contains(&item) {
            self.seen.push(item);
        }
    }

    /// End the open parts of this sort.
    fn close(&mut self, which: impl Fn(&Open) -> bool, sink: &mut Sink<'_>) {
        self.open.retain(|open| {
            let ends = which(open);
            if ends {
                sink(Event::PartEnd {
                    candidate: 0,
                    part: open.part,
                });
            }
            !ends
        });
    }

    /// Begin a part. Texts and thoughts end before the next part; calls may stay open together.
    fn begin(&mut self, item: u64, content: u64, sort: Sort, start: PartStart<'_>, sink: &mut Sink<'_>) {
        self.start(None, sink);
        self.see(item);
        self.close(|open| open.sort != Sort::Call, sink);
        sink(Event::PartStart {
            candidate: 0,
            part: self.next,
            start,
        });
        self.open.push(Open {
            item,
            content,
            sort,
            part: self.next,
            filled: false,
            raw: false,
        });
        self.next = self.next.saturating_add(1);
    }

    fn find(&mut self, item: u64, content: u64, sort: Sort) -> Option<&mut Open> {
        self.open
            .iter_mut()
            .find(|open| open.sort == sort && open.item == item && open.content == content)
    }

    /// The open part of this place, begun now if need be.
    fn said(&mut self, data: &Node<'_>, sort: Sort, sink: &mut Sink<'_>) -> Option<&mut Open> {
        let (item, content) = (index(data, "output_index"), index(data, "content_index"));
        if self.find(item, content, sort).is_none() {
            let start = if sort == Sort::Refusal {
                self.refuses = true;
                PartStart::Refusal
            } else {
                PartStart::Text
            };
            self.begin(item, content, sort, start, sink);
        }
        self.find(item, content, sort)
    }

    fn text(&mut self, data: &Node<'_>, sort: Sort, key: &str, sink: &mut Sink<'_>) {
        let Some(more) = data.get_str(key) else { return };
        let Some(open) = self.said(data, sort, sink) else {
            return;
        };
        open.filled |= !more.is_empty();
        let part = open.part;
        if !more.is_empty() {
            give(part, Delta::Text(more.into()), sink);
        }
        let logprobs: Vec<_> = decode::tokens(data.get("logprobs")).collect();
        if !logprobs.is_empty() {
            give(part, Delta::Logprobs(logprobs), sink);
        }
    }

    /// A text said whole: only news if no delta came.
    fn rest(&mut self, data: &Node<'_>, sort: Sort, key: &str, sink: &mut Sink<'_>) {
        let (item, content) = (index(data, "output_index"), index(data, "content_index"));
        let news = match self.find(item, content, sort) {
            Some(open) => !open.filled,
            None => !self.seen.contains(&item),
        };
        if news {
            self.text(data, sort, key, sink);
        }
    }

    fn content_added(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        let Some(part) = data.get("part") else { return };
        match part.get_str("type") {
            Some("output_text") => {
                self.said(data, Sort::Text, sink);
            }
            Some("refusal") => {
                self.said(data, Sort::Refusal, sink);
            }
            _ => {}
        }
    }

    fn annotation(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        let Some(annotation) = data.get("annotation") else {
            return;
        };
        if let Some(open) = self.said(data, Sort::Text, sink) {
            give(open.part, Delta::Citation(Box::new(citation(annotation))), sink);
        }
    }

    fn thinks(&mut self, item: u64, id: Option<&str>, sink: &mut Sink<'_>) -> Option<&mut Open> {
        if self.find(item, 0, Sort::Thinking).is_none() {
            let start = PartStart::Thinking { id: id.map(Into::into) };
            self.begin(item, 0, Sort::Thinking, start, sink);
        }
        self.find(item, 0, Sort::Thinking)
    }

    /// Parts of a summary are paragraphs.
    fn summary_part(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        let open = self.find(index(data, "output_index"), 0, Sort::Thinking);
        if let Some(open) = open.filter(|open| open.filled && !open.raw) {
            give(open.part, Delta::Thinking("\n\n".into()), sink);
        }
    }

    fn thought(&mut self, data: &Node<'_>, raw: bool, sink: &mut Sink<'_>) {
        let Some(more) = data.get_str("delta").filter(|more| !more.is_empty()) else {
            return;
        };
        let item = index(data, "output_index");
        let Some(open) = self.thinks(item, data.get_str("item_id"), sink) else {
            return;
        };
        if open.raw && !raw {
            return;
        }
        (open.filled, open.raw) = (true, open.raw || raw);
        give(open.part, Delta::Thinking(more.into()), sink);
    }

    fn arguments(&mut self, data: &Node<'_>, key: &str, sink: &mut Sink<'_>) {
        let Some(more) = data.get_str(key).filter(|more| !more.is_empty()) else {
            return;
        };
        if let Some(open) = self.find(index(data, "output_index"), 0, Sort::Call) {
            open.filled = true;
            give(open.part, Delta::Arguments(more.into()), sink);
        }
    }

    fn arguments_done(&mut self, data: &Node<'_>, key: &str, sink: &mut Sink<'_>) {
        let open = self.find(index(data, "output_index"), 0, Sort::Call);
        if open.is_some_and(|open| !open.filled) {
            self.arguments(data, key, sink);
        }
    }

    fn item_added(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        let Some(item) = data.get("item") else { return };
        let at = index(data, "output_index");
        let call = matches!(item.get_str("type"), Some("function_call" | "custom_tool_call"));
        if call && !self.seen.contains(&at) {
            self.call(at, item, sink);
        }
    }

    fn call(&mut self, at: u64, item: &Node<'_>, sink: &mut Sink<'_>) {
        // Taken for a moment, so that the call may borrow from it while the parts are counted.
        let expect = std::mem::take(&mut self.expect);
        if let Some(call) = decode::call(item, &expect) {
            self.calls = true;
            let start = PartStart::ToolCall {
                id: call.id,
                name: call.name,
                kind: call.kind,
                signature: None,
            };
            self.begin(at, 0, Sort::Call, start, sink);
            if let (false, Some(open)) = (call.arguments.is_empty(), self.find(at, 0, Sort::Call)) {
                open.filled = true;
                give(open.part, Delta::Arguments(call.arguments), sink);
            }
        }
        self.expect = expect;
    }

    /// An item in full: what of it has not been given yet, and its end.
    fn item_done(&mut self, at: u64, item: &Node<'_>, sink: &mut Sink<'_>) {
        let new = !self.seen.contains(&at);
        match item.get_str("type") {
            Some("function_call" | "custom_tool_call") if new => self.call(at, item, sink),
            Some("function_call" | "custom_tool_call") => {
                let arguments = item.get_str("arguments").or_else(|| item.get_str("input"));
                let open = self.find(at, 0, Sort::Call).filter(|open| !open.filled);
                if let (Some(open), Some(arguments)) = (open, arguments.filter(|text| !text.is_empty())) {
                    give(open.part, Delta::Arguments(arguments.into()), sink);
                }
            }
            Some("reasoning") => self.reasoning_done(at, item, sink),
            Some("message") if new => self.message(at, item, sink),
            Some(_) if new => {
                if let Some(part) = decode::opaque(item) {
                    self.whole(at, part, sink);
                }
            }
            _ => {}
        }
        self.close(|open| open.item == at, sink);
        self.see(at);
    }

    fn whole(&mut self, at: u64, part: Part<'_>, sink: &mut Sink<'_>) {
        self.begin(at, 0, Sort::Thinking, PartStart::Whole(Box::new(part)), sink);
        self.close(|open| open.item == at, sink);
    }

    fn reasoning_done(&mut self, at: u64, item: &Node<'_>, sink: &mut Sink<'_>) {
        let filled = self.find(at, 0, Sort::Thinking).map(|open| open.filled);
        if filled.is_none() && self.seen.contains(&at) {
            // Another part has ended it; it cannot grow any more.
            return;
        }
        let text: Text<'_> = match filled {
            Some(true) => "".into(),
            _ => joined(&decode::reasoning_texts(item)),
        };
        let proof = decode::proof(item);
        if filled.is_none() && text.is_empty() {
            if proof.is_some() {
                let hidden = Thinking {
                    redacted: true,
                    signature: proof,
                    id: item.get_str("id").map(Into::into),
                    text,
                };
                self.whole(at, Part::Thinking(hidden), sink);
            }
            return;
        }
        let Some(open) = self.thinks(at, item.get_str("id"), sink) else {
            return;
        };
        let part = open.part;
        if !text.is_empty() {
            give(part, Delta::Thinking(text), sink);
        }
        if let Some(proof) = proof {
            give(part, Delta::Signature(proof), sink);
        }
    }

    /// A message that came without any event of its own.
    fn message(&mut self, at: u64, item: &Node<'_>, sink: &mut Sink<'_>) {
        let expect = Expect::default();
        let (mut parts, mut logprobs) = (Vec::new(), Vec::new());
        decode::item_parts(item, &expect, &mut logprobs, &mut parts);
        for (content, part) in (0..).zip(parts) {
            let (sort, start, text, citations) = match part {
                Part::Refusal(text) => {
                    self.refuses = true;
                    (Sort::Refusal, PartStart::Refusal, text, Vec::new())
                }
                Part::Text { text, citations, .. } => (Sort::Text, PartStart::Text, text, citations),
                _ => continue,
            };
            self.begin(at, content, sort, start, sink);
            let part = self.next.saturating_sub(1);
            if !text.is_empty() {
                give(part, Delta::Text(text), sink);
            }
            for citation in citations {
                give(part, Delta::Citation(Box::new(citation)), sink);
            }
            if !logprobs.is_empty() {
                give(part, Delta::Logprobs(std::mem::take(&mut logprobs)), sink);
            }
        }
    }

    fn end(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        let response = data.get("response").unwrap_or(data);
        self.start(Some(response), sink);
        let output = response.get("output").and_then(Node::as_array).unwrap_or_default();
        for (at, item) in (0..).zip(output) {
            if self.seen.len() > MOST_ITEMS {
                return;
            }
            if !self.seen.contains(&at) {
                self.item_done(at, item, sink);
            }
        }
        self.close(|_| true, sink);
        let cut =
            data.get_str("type") == Some("response.incomplete") || response.get_str("status") == Some("incomplete");
        sink(Event::Finish {
            candidate: 0,
            finish: if cut {
                decode::incomplete(response)
            } else {
                decode::completed(self.calls, self.refuses)
            },
            stop_sequence: None,
        });
        if let Some(usage) = facts::usage(response) {
            sink(Event::Usage(usage));
        }
        sink(Event::End);
        self.over = true;
    }

    /// `{"type":"error","code","message"}`, with or without an `error` around code and message, or a failed response.
    fn failed(&mut self, data: &Node<'_>, sink: &mut Sink<'_>) {
        let (kind, message) = decode::failure(data).unwrap_or((
            data.get_str("code").unwrap_or("server_error"),
            data.get_str("message")
                .unwrap_or("the provider reports a failure without a reason"),
        ));
        sink(Event::Error {
            kind: kind.into(),
            message: message.into(),
        });
        self.over = true;
    }
}

fn give(part: u32, delta: Delta<'_>, sink: &mut Sink<'_>) {
    sink(Event::Delta {
        candidate: 0,
        part,
        delta,
    });
}
