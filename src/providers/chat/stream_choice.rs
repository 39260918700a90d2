//! One answer of a stream: which of its parts are open, and what its deltas add to them.

use super::answer;
use super::decode::{Chunk, chunk};
use super::stream_calls::{Call, MOST_CALLS};
use crate::providers::codec::{Expect, Sink, Undecodable};
use crate::wire::Dialect;
use crate::wire::canonical::{Citation, Delta, Event, Finish, Part, PartStart, Signature, Text, Thinking};
use crate::wire::chat::reasoning::{self, Detail};
use crate::wire::json::{Node, Value};

/// What is open besides calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Refusal,
    Thinking,
}

/// One answer.
#[derive(Debug)]
pub struct Choice {
    /// Which.
    pub index: u32,
    /// It has ended.
    pub finished: bool,
    parts: u32,
    open: Option<(u32, Open)>,
    /// `index` of the reasoning that is open.
    detail: Option<u64>,
    pub(super) calls: Vec<Call>,
    pub(super) called: bool,
    /// Signatures that name a call which has not come yet: id, format, data.
    pub(super) signatures: Vec<(String, String, String)>,
    verdicts: String,
    /// Bytes kept of what the provider sent.
    pub(super) kept: usize,
}

impl Choice {
    /// Nothing said yet.
    pub fn new(index: u32) -> Self {
        Self {
            index,
            finished: false,
            parts: 0,
            open: None,
            detail: None,
            calls: Vec::new(),
            called: false,
            signatures: Vec::new(),
            verdicts: String::new(),
            kept: 0,
        }
    }

    pub(super) fn start(&mut self, start: PartStart<'_>, sink: &mut Sink<'_>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        sink(Event::PartStart {
            candidate: self.index,
            part,
            start,
        });
        part
    }

    pub(super) fn delta(&self, part: u32, delta: Delta<'_>, sink: &mut Sink<'_>) {
        sink(Event::Delta {
            candidate: self.index,
            part,
            delta,
        });
    }

    pub(super) fn close(&mut self, sink: &mut Sink<'_>) {
        if let Some((part, _)) = self.open.take() {
            sink(Event::PartEnd {
                candidate: self.index,
                part,
            });
        }
    }

    /// The part of this sort, open.
    fn open(&mut self, kind: Open, start: PartStart<'_>, sink: &mut Sink<'_>) -> u32 {
        match self.open {
            Some((part, open)) if open == kind => part,
            _ => {
                self.close(sink);
                let part = self.start(start, sink);
                self.open = Some((part, kind));
                part
            }
        }
    }

    fn whole(&mut self, part: Part<'_>, sink: &mut Sink<'_>) {
        self.close(sink);
        let part = self.start(PartStart::Whole(Box::new(part)), sink);
        sink(Event::PartEnd {
            candidate: self.index,
            part,
        });
    }

    /// What a chunk adds, but for its end.
    pub fn take(
        &mut self,
        node: &Node<'_>,
        expect: &Expect,
        answer: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Undecodable> {
        if self.finished {
            return Ok(());
        }
        if let Some(raw) = answer::verdicts(node).filter(|raw| *raw != self.verdicts) {
            raw.clone_into(&mut self.verdicts);
            sink(Event::Safety {
                candidate: self.index,
                dialect: Dialect::OpenAi,
                raw: raw.into(),
            });
        }
        let Some(delta) = node.get("delta").or_else(|| node.get("message")) else {
            return Ok(());
        };
        self.thoughts(delta, sink);
        self.content(delta, sink);
        if let Some(text) = delta.get_str("refusal").filter(|text| !text.is_empty()) {
            let part = self.open(Open::Refusal, PartStart::Refusal, sink);
            self.delta(part, Delta::Text(text.into()), sink);
        }
        for citation in answer::citations(delta) {
            self.citation(citation, sink);
        }
        for image in answer::images(delta) {
            self.whole(Part::Media(image), sink);
        }
        if let Some(sound) = answer::audio(delta) {
            self.whole(Part::Media(sound), sink);
        }
        self.tool_calls(delta, expect, answer, sink)?;
        let logprobs = answer::logprobs(node);
        let open = self.open.map(|(part, _)| part);
        let part = open.or_else(|| self.calls.iter().rev().find_map(|call| call.part));
        if let (false, Some(part)) = (logprobs.is_empty(), part) {
            self.delta(part, Delta::Logprobs(logprobs), sink);
        }
        Ok(())
    }

    fn citation(&mut self, citation: Citation<'_>, sink: &mut Sink<'_>) {
        let part = self.open(Open::Text, PartStart::Text, sink);
        self.delta(part, Delta::Citation(Box::new(citation)), sink);
    }

    /// Addresses beside the choices, which some vendors repeat with every chunk; given once, when there is text.
    pub fn cite(&mut self, chunk: &Node<'_>, cited: &mut usize, sink: &mut Sink<'_>) {
        if self.finished || !matches!(self.open, Some((_, Open::Text))) {
            return;
        }
        for citation in answer::addresses(chunk).skip(*cited) {
            *cited += 1;
            self.citation(citation, sink);
        }
    }

    fn content(&mut self, delta: &Node<'_>, sink: &mut Sink<'_>) {
        match delta.get("content").map(|content| &content.value) {
            Some(Value::String(text)) if !text.is_empty() => {
                let part = self.open(Open::Text, PartStart::Text, sink);
                self.delta(part, Delta::Text(Text::Borrowed(text)), sink);
            }
            Some(Value::Array(chunks)) => {
                for piece in chunks.iter().filter_map(chunk) {
                    match piece {
                        Chunk::Text(text) => {
                            let part = self.open(Open::Text, PartStart::Text, sink);
                            self.delta(part, Delta::Text(text), sink);
                        }
                        Chunk::Thinking(text, signature) => {
                            let signature = signature.map(|data| reasoning::echoed(Some("mistral"), data));
                            self.thought(None, None, &text, signature, sink);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn thoughts(&mut self, delta: &Node<'_>, sink: &mut Sink<'_>) {
        let details = delta
            .get("reasoning_details")
            .and_then(Node::as_array)
            .unwrap_or_default();
        let details = || details.iter().filter_map(reasoning::detail);
        if !details().any(|detail| detail.text.is_some()) {
            let plain = ["reasoning_content", "reasoning"].into_iter();
            let plain = plain.filter_map(|key| delta.get_str(key)).find(|text| !text.is_empty());
            if let Some(text) = plain {
                self.thought(self.detail, None, text, None, sink);
            }
        }
        for detail in details() {
            if detail.encrypted {
                self.encrypted(&detail, sink);
                continue;
            }
            let signature = detail.proof.map(|data| reasoning::echoed(detail.format, data));
            self.thought(
                detail.index,
                detail.id,
                detail.text.unwrap_or_default(),
                signature,
                sink,
            );
        }
    }

    fn thought(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
        text: &str,
        signature: Option<Signature<'_>>,
        sink: &mut Sink<'_>,
    ) {
        let other = index.is_some() && self.detail.is_some() && index != self.detail;
        if other && matches!(self.open, Some((_, Open::Thinking))) {
            self.close(sink);
        }
        let id = id.map(Into::into);
        let part = self.open(Open::Thinking, PartStart::Thinking { id }, sink);
        self.detail = index;
        if !text.is_empty() {
            self.delta(part, Delta::Thinking(text.into()), sink);
        }
        if let Some(signature) = signature {
            self.delta(part, Delta::Signature(signature), sink);
        }
    }

    /// Redacted reasoning; or, from Gemini's models, the signature of a call that comes next.
    fn encrypted(&mut self, detail: &Detail<'_>, sink: &mut Sink<'_>) {
        let data = detail.proof.unwrap_or_default();
        let gemini = detail.format == Some("google-gemini-v1");
        if let (Some(id), true) = (detail.id.filter(|_| gemini), self.signatures.len() < MOST_CALLS) {
            if !self.calls.iter().any(|call| call.id == id) {
                let format = detail.format.unwrap_or_default();
                self.kept += id.len() + format.len() + data.len();
                self.signatures
                    .push((id.to_owned(), format.to_owned(), data.to_owned()));
            }
            return;
        }
        self.redacted(detail.id, reasoning::echoed(detail.format, data), sink);
    }

    fn redacted(&mut self, id: Option<&str>, signature: Signature<'_>, sink: &mut Sink<'_>) {
        let thinking = Thinking {
            text: Text::default(),
            signature: Some(signature),
            redacted: true,
            id: id.map(Into::into),
        };
        self.whole(Part::Thinking(thinking), sink);
    }

    /// The end a chunk gives, if it gives one.
    pub fn finish(&mut self, node: &Node<'_>, expect: &Expect, sink: &mut Sink<'_>) {
        if self.finished {
            return;
        }
        if let Some(finish) = answer::finish(node, self.called) {
            self.finish_as(finish, answer::stop_sequence(node), expect, sink);
        }
    }

    /// The stream's end: a choice that gave no reason ends without one.
    pub fn end(&mut self, expect: &Expect, sink: &mut Sink<'_>) {
        if !self.finished {
            let finish = if self.called {
                Finish::ToolCalls
            } else {
                Finish::Other(Text::default())
            };
            self.finish_as(finish, None, expect, sink);
        }
    }

    fn finish_as(&mut self, finish: Finish<'_>, stop: Option<Text<'_>>, expect: &Expect, sink: &mut Sink<'_>) {
        self.close(sink);
        self.end_calls(sink);
        for (id, format, data) in std::mem::take(&mut self.signatures) {
            self.redacted(Some(&id), reasoning::echoed(Some(&format), &data), sink);
        }
        self.finished = true;
        let answered = expect.structured_tool.is_some() && !self.called;
        sink(Event::Finish {
            candidate: self.index,
            finish: if answered && finish == Finish::ToolCalls {
                Finish::Stop
            } else {
                finish
            },
            stop_sequence: stop,
        });
    }
}
