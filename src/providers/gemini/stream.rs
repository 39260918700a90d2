//! A stream: every event is a `GenerateContentResponse` with the next pieces of the answer.
//!
//! There is no end marker: the stream is whole when every candidate gave a `finishReason` (or the prompt was blocked). The
//! reason is told at the end of the stream and not when it comes, because some models repeat it with every chunk. A signature
//! may come on an empty text part behind the text; it belongs to the part that is open. Calls come whole.

use super::decode::{self, Ids, Piece};
use crate::providers::codec::{Expect, RawEvent, Sink, StreamDecoder, Undecodable};
use crate::wire::Dialect;
use crate::wire::canonical::{Delta, Event, Finish, PartStart};
use crate::wire::gemini::{Offsets, finish_in, read_usage};
use crate::wire::json::Node;

/// Most candidates of one answer.
const MOST_CANDIDATES: usize = 64;

/// Reads one stream.
pub struct Decoder {
    expect: Expect,
    ids: Ids,
    started: bool,
    over: bool,
    states: Vec<State>,
}

/// One candidate.
#[derive(Default)]
struct State {
    index: u32,
    /// Number of the next part.
    next: u32,
    /// The prose part that is open: its number, and whether it is a thought.
    open: Option<(u32, bool)>,
    calls: usize,
    finish: Option<Finish<'static>>,
    offsets: Offsets,
}

impl Decoder {
    /// For one answer.
    pub fn new(expect: Expect) -> Self {
        Self {
            expect,
            ids: Ids::default(),
            started: false,
            over: false,
            states: Vec::new(),
        }
    }

    fn start(&mut self, chunk: &Node<'_>, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.ids = Ids::of(chunk);
        let tier = chunk
            .get("usageMetadata")
            .and_then(|usage| usage.get_str("serviceTier"));
        sink(Event::Start {
            id: chunk.get_str("responseId").unwrap_or_default().into(),
            model: chunk.get_str("modelVersion").unwrap_or(&self.expect.model).into(),
            created: None,
            usage: None,
            service_tier: tier.map(decode::tier),
            fingerprint: None,
        });
    }

    fn chunk(&mut self, chunk: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        chunk.object()?;
        if let Some(error) = chunk.get("error") {
            self.over = true;
            sink(Event::Error {
                kind: error.get_str("status").unwrap_or("UNKNOWN").into(),
                message: error
                    .get_str("message")
                    .unwrap_or("the provider reported an error")
                    .into(),
            });
            return Ok(());
        }
        self.start(chunk, sink);
        let candidates = chunk.get("candidates").and_then(Node::as_array).unwrap_or_default();
        for (position, candidate) in candidates.iter().enumerate() {
            let index = decode::index(candidate, position);
            let Some(state) = state(&mut self.states, index) else {
                continue;
            };
            state.candidate(candidate, &self.ids, &self.expect, sink);
        }
        if let Some(feedback) = chunk.get("promptFeedback")
            && feedback.get("blockReason").is_some()
            && let Some(state) = state(&mut self.states, 0)
        {
            state.finish = Some(Finish::ContentFilter);
            state.safety(feedback, sink);
        }
        if let Some(usage) = chunk
            .get("usageMetadata")
            .and_then(|usage| read_usage(usage.raw.as_bytes()))
        {
            sink(Event::Usage(usage));
        }
        Ok(())
    }
}

fn state(states: &mut Vec<State>, index: u32) -> Option<&mut State> {
    let at = match states.iter().position(|state| state.index == index) {
        Some(at) => at,
        None if states.len() >= MOST_CANDIDATES => return None,
        None => {
            states.push(State {
                index,
                ..State::default()
            });
            states.len() - 1
        }
    };
    states.get_mut(at)
}

impl State {
    fn candidate(&mut self, node: &Node<'_>, ids: &Ids, expect: &Expect, sink: &mut Sink<'_>) {
        for part in decode::content(node) {
            match decode::piece(part) {
                Some(Piece::Prose {
                    text,
                    thought,
                    signature,
                }) => {
                    let part = self.prose(text, thought, sink);
                    if let Some(signature) = signature {
                        self.delta(part, Delta::Signature(signature), sink);
                        // A signature ends a thought. A text stays open for its citations.
                        if thought {
                            self.close(sink);
                        }
                    }
                }
                Some(Piece::Call {
                    id,
                    name,
                    args,
                    signature,
                }) => {
                    let made = id.is_none().then(|| ids.make(self.index, self.calls));
                    let id = id.or(made.as_deref()).unwrap_or_default();
                    self.calls += 1;
                    let (name, kind, arguments) = decode::called(name, args, expect);
                    let start = PartStart::ToolCall {
                        id: id.into(),
                        name: name.into(),
                        kind,
                        signature,
                    };
                    let part = self.begin(start, sink);
                    self.delta(part, Delta::Arguments(arguments), sink);
                    self.end(part, sink);
                }
                Some(Piece::Whole(whole)) => {
                    let part = self.begin(PartStart::Whole(whole), sink);
                    self.end(part, sink);
                }
                None => {}
            }
        }
        self.about(node, sink);
    }

    /// What a chunk says about the text so far, and why it ended.
    fn about(&mut self, node: &Node<'_>, sink: &mut Sink<'_>) {
        if let Some((part, false)) = self.open
            && decode::is_grounded(node)
        {
            for citation in decode::citations(node, &self.offsets) {
                self.delta(part, Delta::Citation(Box::new(citation)), sink);
            }
        }
        if let Some((part, false)) = self.open {
            let logprobs = decode::logprobs(node);
            if !logprobs.is_empty() {
                self.delta(part, Delta::Logprobs(logprobs), sink);
            }
        }
        self.safety(node, sink);
        if let Some(word) = node.get_str("finishReason") {
            self.finish = Some(finish_in(word, false).to_owned_finish());
        }
    }

    fn safety(&self, node: &Node<'_>, sink: &mut Sink<'_>) {
        if let Some(raw) = node.get("safetyRatings") {
            sink(Event::Safety {
                candidate: self.index,
                dialect: Dialect::Gemini,
                raw: raw.raw.into(),
            });
        }
    }

    /// Go on with text or a thought: in the part that is open, or in a new one.
    fn prose(&mut self, text: &str, thought: bool, sink: &mut Sink<'_>) -> u32 {
        let part = match self.open {
            Some((part, open)) if open == thought => part,
            _ => {
                let start = if thought {
                    PartStart::Thinking { id: None }
                } else {
                    PartStart::Text
                };
                let part = self.begin(start, sink);
                self.open = Some((part, thought));
                self.offsets.clear();
                part
            }
        };
        if !text.is_empty() {
            let delta = if thought {
                Delta::Thinking(text.into())
            } else {
                self.offsets.push(text);
                Delta::Text(text.into())
            };
            self.delta(part, delta, sink);
        }
        part
    }

    fn begin(&mut self, start: PartStart<'_>, sink: &mut Sink<'_>) -> u32 {
        self.close(sink);
        let part = self.next;
        self.next += 1;
        sink(Event::PartStart {
            candidate: self.index,
            part,
            start,
        });
        part
    }

    fn delta(&self, part: u32, delta: Delta<'_>, sink: &mut Sink<'_>) {
        sink(Event::Delta {
            candidate: self.index,
            part,
            delta,
        });
    }

    fn end(&self, part: u32, sink: &mut Sink<'_>) {
        sink(Event::PartEnd {
            candidate: self.index,
            part,
        });
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        if let Some((part, _)) = self.open.take() {
            self.end(part, sink);
        }
    }
}

impl StreamDecoder for Decoder {
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.over || raw.data.is_empty() || raw.data == b"[DONE]" {
            return Ok(());
        }
        let document = Node::parse(raw.data, raw.max_depth)?;
        match document.as_array() {
            // The array form in one piece.
            Some(chunks) => chunks.iter().try_for_each(|chunk| match self.over {
                true => Ok(()),
                false => self.chunk(chunk, sink),
            }),
            None => self.chunk(&document, sink),
        }
    }

    fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        if self.states.is_empty() || self.states.iter().any(|state| state.finish.is_none()) {
            return Err(Undecodable("the stream ended without a finish reason".to_owned()));
        }
        for state in &mut self.states {
            state.close(sink);
            let finish = match state.finish.take() {
                Some(Finish::Stop) if state.calls > 0 => Finish::ToolCalls,
                finish => finish.unwrap_or(Finish::Stop),
            };
            sink(Event::Finish {
                candidate: state.index,
                finish,
                stop_sequence: None,
            });
        }
        sink(Event::End);
        Ok(())
    }
}
