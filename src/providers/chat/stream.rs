//! A stream of `chat.completion.chunk` events, of whichever vendor.
//!
//! ```json
//! {"id":"…","model":"…","choices":[{"index":0,"delta":{"role":"assistant","content":"…","reasoning_content":"…",
//!  "tool_calls":[{"index":0,"id":"…","function":{"name":"…","arguments":"…"}}]},"finish_reason":null}],"usage":null}
//! ```
//! Variants that are read: usage in the last chunk with choices, in one without, in all, or under `x_groq`; no `[DONE]` when
//! every choice has finished; errors in the middle; calls without index or id, or whole in one chunk; reasoning in any
//! of its members; content as chunks (Mistral); finish reasons given twice or as an empty text. What a choice says after
//! it has finished is not read. Parts of one choice:
//!
//! ```text
//! one of text, refusal, thinking open at a time ─ ends when another kind begins
//! calls open from their name on, several at once ─ all end with the choice
//! ```

use super::answer;
use super::stream_choice::Choice;
use crate::providers::codec::{Expect, RawEvent, Sink, StreamDecoder, Undecodable};
use crate::wire::canonical::Event;
use crate::wire::json::Node;

/// Most answers in one stream.
const MOST_CHOICES: usize = 128;

/// Most bytes kept of a stream, over all its answers: ids, signatures and arguments that came before what they belong to.
const MOST_KEPT: usize = 16 << 20;

/// Reads one stream.
#[derive(Debug)]
pub struct ChatDecoder {
    expect: Expect,
    started: bool,
    /// Nothing more is to come: the end marker was read, or an error.
    over: bool,
    id: String,
    choices: Vec<Choice>,
    /// Addresses that were given as citations already.
    cited: usize,
}

impl ChatDecoder {
    /// For the answer to such a request.
    pub fn new(expect: Expect) -> Self {
        Self {
            expect,
            started: false,
            over: false,
            id: String::new(),
            choices: Vec::new(),
            cited: 0,
        }
    }

    fn start(&mut self, chunk: &Node<'_>, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.id = chunk.get_str("id").unwrap_or_default().to_owned();
        let model = chunk.get_str("model").filter(|model| !model.is_empty());
        let fingerprint = chunk.get_str("system_fingerprint").filter(|text| !text.is_empty());
        sink(Event::Start {
            id: self.id.as_str().into(),
            model: model.unwrap_or(&self.expect.model).into(),
            created: chunk.get_u64("created").filter(|&created| created > 0),
            usage: None,
            service_tier: chunk.get_str("service_tier").map(Into::into),
            fingerprint: fingerprint.map(Into::into),
        });
    }

    fn choice(&mut self, node: &Node<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let index = node
            .get_u64("index")
            .and_then(|index| u32::try_from(index).ok())
            .unwrap_or(0);
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() < MOST_CHOICES => {
                self.choices.push(Choice::new(index));
                self.choices.len() - 1
            }
            None => return Err(Undecodable("more answers in one stream than are read".to_owned())),
        };
        match self.choices.get_mut(at) {
            Some(choice) => choice.take(node, &self.expect, &self.id, sink),
            None => Ok(()),
        }
    }

    /// The end marker, or what stands for it.
    fn end(&mut self, sink: &mut Sink<'_>) {
        self.over = true;
        for choice in &mut self.choices {
            choice.end(&self.expect, sink);
        }
        sink(Event::End);
    }
}

impl StreamDecoder for ChatDecoder {
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let data = raw.data.trim_ascii();
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            if !self.started {
                return Err(Undecodable("the stream ended before it began".to_owned()));
            }
            self.end(sink);
            return Ok(());
        }
        let chunk = Node::parse(data, raw.max_depth)?;
        if chunk.as_object().is_none() {
            return Err(Undecodable("an event that is no object".to_owned()));
        }
        let bare = raw.name == "error" && chunk.get("choices").is_none();
        let told = answer::error(&chunk).or_else(|| {
            let message = chunk.get_str("message").filter(|_| bare)?;
            Some(("error".into(), message.into()))
        });
        if let Some((kind, message)) = told {
            self.over = true;
            sink(Event::Error { kind, message });
            return Ok(());
        }
        let choices = chunk.get("choices").and_then(Node::as_array).unwrap_or_default();
        let usage = answer::usage_of(&chunk);
        let named = chunk.get_str("id").is_some_and(|id| !id.is_empty());
        // Azure's first event holds verdicts on the prompt and nothing else.
        if choices.is_empty() && usage.is_none() && !named {
            return Ok(());
        }
        self.start(&chunk, sink);
        for node in choices {
            self.choice(node, sink)?;
        }
        if self.choices.iter().map(|choice| choice.kept).sum::<usize>() > MOST_KEPT {
            return Err(Undecodable("more to be kept of one stream than is".to_owned()));
        }
        if let Some(first) = self.choices.first_mut() {
            first.cite(&chunk, &mut self.cited, sink);
        }
        // After citations, which belong to text that is still open.
        for node in choices {
            let index = node.get_u64("index").unwrap_or(0);
            if let Some(choice) = self.choices.iter_mut().find(|known| u64::from(known.index) == index) {
                choice.finish(node, &self.expect, sink);
            }
        }
        if let Some(usage) = usage {
            sink(Event::Usage(usage));
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        if self.over {
            return Ok(());
        }
        if self.choices.is_empty() || !self.choices.iter().all(|choice| choice.finished) {
            return Err(Undecodable("the stream ended before the answer did".to_owned()));
        }
        self.end(sink);
        Ok(())
    }
}
