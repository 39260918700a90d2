//! What a client has been told by a running stream, kept so that another target can go on with it.
//!
//! Only where the pool allows continuation; other streams have no trail. A translated stream is followed by its canonical
//! events. A native one passes as bytes: its events are read beside that ([`super::beside`]) into a writer whose output is thrown
//! away, so that at a break the writer stands where the client stands (blocks, numbers, ids) and can go on.
//!
//! Only text is gone on with. Whatever else an answer has begun (a tool call, a refusal, citations, several answers) bars it,
//! and so does reasoning that no text has followed yet.

use super::seam::{How, Seam};
use crate::providers::codec::StreamDecoder;
use crate::units::Usage;
use crate::wire::canonical::{Delta, Event, Part, PartStart};
use crate::wire::client::ReplyWriter;

/// Longest text that is gone on with, in bytes.
const TEXT_UP_TO: usize = 256 * 1024;
/// Most reasoning beside it: a native stream's writer may keep that too.
const REASONING_UP_TO: usize = 1024 * 1024;

/// Whether another target may go on with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumable<'t> {
    /// It may, from this text; an empty one begins anew.
    Text(&'t str),
    /// It may not; why, for the log.
    No(&'static str),
}

/// Reads a native stream beside its passing.
pub struct Shadow {
    /// Of the API that the client speaks.
    pub decoder: Box<dyn StreamDecoder>,
    /// Of the client's dialect. Its output is thrown away.
    pub writer: Box<dyn ReplyWriter>,
}

/// What has been told.
pub struct Trail {
    said: Said,
    /// For the reading beside a native stream, until that begins.
    decoder: Option<Box<dyn StreamDecoder>>,
    /// Stands where the client of a native stream does.
    writer: Option<Box<dyn ReplyWriter>>,
    scratch: Vec<u8>,
    seams: u32,
    most_seams: u32,
}

/// The kind of the part begun last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Last {
    #[default]
    Nothing,
    Text,
    Thinking,
}

/// The answer so far, as its client knows it.
#[derive(Default)]
struct Said {
    text: String,
    /// Bytes of reasoning.
    thought: usize,
    /// The text part that is open, and its letters.
    open: Option<(u32, u64)>,
    next: u32,
    last: Last,
    finished: bool,
    barred: Option<&'static str>,
    usage: Option<Usage>,
}

impl Said {
    fn bar(&mut self, why: &'static str) {
        self.barred.get_or_insert(why);
    }

    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { usage, .. } => self.usage = *usage,
            Event::Usage(usage) => self.usage.get_or_insert_default().merge(usage),
            Event::PartStart {
                candidate: 0,
                part,
                start,
            } => self.begin(*part, start),
            Event::Delta {
                candidate: 0,
                part,
                delta,
            } => self.delta(*part, delta),
            Event::PartEnd { candidate: 0, part } => {
                self.open.take_if(|(open, _)| open == part);
            }
            Event::Finish { candidate: 0, .. } | Event::End => self.finished = true,
            Event::Safety { .. } | Event::Ping => {}
            Event::Error { .. } => self.bar("an error that was passed on"),
            Event::PartStart { .. } | Event::Delta { .. } | Event::PartEnd { .. } | Event::Finish { .. } => {
                self.bar("several answers");
            }
        }
    }

    fn begin(&mut self, part: u32, start: &PartStart<'_>) {
        self.next = self.next.max(part.saturating_add(1));
        match start {
            PartStart::Text => {
                self.open = Some((part, 0));
                self.last = Last::Text;
            }
            PartStart::Thinking { .. } => self.last = Last::Thinking,
            PartStart::Refusal => self.bar("a refusal"),
            PartStart::ToolCall { .. } => self.bar("a tool call"),
            PartStart::Whole(whole) => match whole.as_ref() {
                Part::Thinking(_) => self.last = Last::Thinking,
                Part::Text { text, .. } => {
                    self.last = Last::Text;
                    self.say(text);
                }
                _ => self.bar("something else than text"),
            },
        }
    }

    fn delta(&mut self, part: u32, delta: &Delta<'_>) {
        match delta {
            Delta::Text(text) => {
                if let Some((_, letters)) = self.open.as_mut().filter(|(open, _)| *open == part) {
                    *letters += text.chars().count() as u64;
                    self.say(text);
                }
            }
            Delta::Citation(_) => self.bar("citations"),
            Delta::Logprobs(_) => self.bar("probabilities"),
            Delta::Thinking(text) => self.think(text.len()),
            Delta::Signature(signature) => self.think(signature.data.len()),
            Delta::Arguments(_) => {}
        }
    }

    fn think(&mut self, bytes: usize) {
        self.thought = self.thought.saturating_add(bytes);
        if self.thought > REASONING_UP_TO {
            self.bar("reasoning that is too long");
        }
    }

    fn say(&mut self, text: &str) {
        if self.text.len() + text.len() > TEXT_UP_TO {
            self.bar("a text that is too long");
        } else if self.barred.is_none() {
            self.text.push_str(text);
        }
    }
}

impl Trail {
    /// Nothing told yet. `shadow`: the stream is native. `most_seams`: times it may be gone on with.
    pub fn new(shadow: Option<Shadow>, most_seams: u32) -> Self {
        let (decoder, writer) = shadow.map(|shadow| (shadow.decoder, shadow.writer)).unzip();
        Self {
            said: Said::default(),
            decoder,
            writer,
            scratch: Vec::new(),
            seams: 0,
            most_seams,
        }
    }

    /// An event that goes to the client's writer.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        self.said.note(event);
    }

    /// What the events of a native stream are to be read with.
    pub(super) fn take_decoder(&mut self) -> Option<Box<dyn StreamDecoder>> {
        self.decoder.take()
    }

    /// Whether the events of a native stream are still of use.
    pub(super) fn has_shadow(&self) -> bool {
        self.writer.is_some()
    }

    /// An event of a native stream.
    pub(super) fn shadow(&mut self, event: &Event<'_>) {
        if let Some(writer) = &mut self.writer {
            self.said.note(event);
            writer.event(event, &mut self.scratch);
        }
    }

    /// The data of those events, which passes to the client as it is. `read`: all of it could be.
    pub(super) fn passed(&mut self, read: bool, data: &[u8], max_depth: usize) {
        let Some(writer) = &mut self.writer else { return };
        if !read {
            self.said.bar("an event that could not be read");
        }
        writer.passed(data, max_depth);
        self.scratch.clear();
        if self.said.barred.is_some() {
            (self.writer, self.scratch, self.said.text) = (None, Vec::new(), String::new());
        }
    }

    /// Never again.
    pub(super) fn bar(&mut self, why: &'static str) {
        self.said.bar(why);
    }

    /// Whether somebody else may go on.
    pub(super) fn resumable(&self) -> Resumable<'_> {
        let said = &self.said;
        match said.barred {
            Some(why) => Resumable::No(why),
            None if self.seams >= self.most_seams => Resumable::No("seams enough"),
            None if said.finished => Resumable::No("an answer that had ended"),
            None if said.last == Last::Thinking => Resumable::No("reasoning under way"),
            None => Resumable::Text(&said.text),
        }
    }

    /// Seams in the answer.
    pub(super) fn seams(&self) -> u32 {
        self.seams
    }

    /// A seam was written; its number.
    pub(super) fn sewn(&mut self) -> u32 {
        self.seams += 1;
        self.seams
    }

    /// The writer that stands where the client of a native stream does.
    pub(super) fn take_writer(&mut self) -> Option<Box<dyn ReplyWriter>> {
        self.writer.take()
    }

    /// Where the next target's events are to be joined.
    pub(super) fn seam(&self, how: How) -> Seam {
        let said = &self.said;
        Seam::new(how, &said.text, said.usage, said.open, said.next)
    }
}

/// About how many tokens a text is, for want of the model's own count: four letters of ASCII each, one of any other.
pub(in crate::gateway) fn tokens(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let others = text.chars().count() as u64 - ascii;
    ascii.div_ceil(4) + others
}
