//! A stream of legacy completions (`/v1/completions`), as far as going on with one and judging it need it: text, ending,
//! usage.
//!
//! ```json
//! {"id":"cmpl-…","object":"text_completion","created":1,"model":"…",
//!  "choices":[{"text":"…","index":0,"logprobs":null,"finish_reason":null}],"usage":null}
//! ```
//! Otherwise such streams pass unread: no request is translated into this API.

use super::answer;
use crate::providers::codec::{RawEvent, Sink, StreamDecoder, Undecodable};
use crate::wire::canonical::{Delta, Event, Finish, PartStart, Text};
use crate::wire::json::Node;

/// Most answers in one stream: each prompt may have many.
const MOST_CHOICES: usize = 2048;

/// Reads one stream.
#[derive(Debug, Default)]
pub struct TextDecoder {
    started: bool,
    choices: Vec<Choice>,
    over: bool,
}

/// One of its answers.
#[derive(Debug)]
struct Choice {
    index: u32,
    /// The text part has begun.
    begun: bool,
    finished: bool,
}

impl TextDecoder {
    fn choice(&mut self, index: u32) -> Result<&mut Choice, Undecodable> {
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                if self.choices.len() >= MOST_CHOICES {
                    return Err(Undecodable("more answers in one stream than are read".to_owned()));
                }
                self.choices.push(Choice {
                    index,
                    begun: false,
                    finished: false,
                });
                self.choices.len() - 1
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or just pushed")]
        Ok(&mut self.choices[at])
    }
}

impl Choice {
    fn take(&mut self, choice: &Node<'_>, sink: &mut Sink<'_>) {
        let (candidate, part) = (self.index, 0);
        if let Some(text) = choice.get_str("text").filter(|text| !text.is_empty() && !self.finished) {
            if !std::mem::replace(&mut self.begun, true) {
                let start = PartStart::Text;
                sink(Event::PartStart { candidate, part, start });
            }
            let delta = Delta::Text(text.into());
            sink(Event::Delta { candidate, part, delta });
        }
        if let Some(finish) = answer::finish(choice, false) {
            self.finish_as(finish, answer::stop_sequence(choice), sink);
        }
    }

    fn finish_as(&mut self, finish: Finish<'_>, stop_sequence: Option<Text<'_>>, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let (candidate, part) = (self.index, 0);
        if self.begun {
            sink(Event::PartEnd { candidate, part });
        }
        sink(Event::Finish {
            candidate,
            finish,
            stop_sequence,
        });
    }
}

impl StreamDecoder for TextDecoder {
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
        let data = raw.data.trim_ascii();
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            if !self.started {
                return Err(Undecodable("the stream ended before it began".to_owned()));
            }
            // An answer that gave no reason ends without one.
            if self.choices.is_empty() {
                self.choice(0)?;
            }
            for choice in &mut self.choices {
                choice.finish_as(Finish::Other(Text::default()), None, sink);
            }
            return self.finish(sink);
        }
        let event = Node::parse(data, raw.max_depth)?;
        if let Some((kind, message)) = answer::error(&event) {
            self.over = true;
            sink(Event::Error { kind, message });
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            sink(Event::Start {
                id: event.get_str("id").unwrap_or_default().into(),
                model: event.get_str("model").unwrap_or_default().into(),
                created: event.get_u64("created"),
                usage: None,
                service_tier: None,
                fingerprint: None,
            });
        }
        for choice in event.get("choices").and_then(Node::as_array).unwrap_or_default() {
            let index = choice.get_u64("index").and_then(|index| u32::try_from(index).ok());
            self.choice(index.unwrap_or(0))?.take(choice, sink);
        }
        if let Some(usage) = answer::usage_of(&event) {
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
        self.over = true;
        sink(Event::End);
        Ok(())
    }
}
