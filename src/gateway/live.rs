//! A live stream: events from a provider (or the demo), checked or translated one by one as they pass.
//!
//! Forwards whole events only: a fragment cut off by a dying connection is discarded. Reading takes what is readable *now*
//! without waiting and hands it on as one batch, so that queued events cost one write; an event that stands alone still
//! leaves at once. A native stream (`native`) passes as its exact bytes; any other goes through a codec's decoder and the
//! client's writer (`translated`).

mod beside;
#[cfg(test)]
mod continuation_tests;
mod guard;
#[cfg(test)]
mod guard_tests;
mod native;
mod overlap;
mod seam;
#[cfg(test)]
mod tests;
mod trail;
mod translated;

use self::beside::Beside;
pub use self::guard::Guard;
use self::native::Judge;
pub(in crate::gateway) use self::native::facts_of;
pub use self::seam::How;
pub(in crate::gateway) use self::trail::tokens;
pub use self::trail::{Resumable, Shadow, Trail};
pub use self::translated::Translation;
pub(in crate::gateway) use self::translated::is_framed_as;

use super::tape::{End, TapeReader};
use crate::error::GatewayError;
use crate::guardrails::Verdict;
use crate::providers::codec::{Framing, StreamDecoder};
use crate::telemetry::ResponseText;
use crate::units::Usage;
use crate::upstream::{Exchange, Fault};
use crate::wire::Dialect;
use crate::wire::eventstream::FrameReader;
use crate::wire::sse::{self, SseReader};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A batch is handed on when it is this large, even if more is readable: bounds what a fast provider can make us hold.
const BATCH_UP_TO: usize = 64 * 1024;
/// How much of an answer is remembered for counting its tokens, should the provider not say.
const REMEMBER_UP_TO: usize = 256 * 1024;

/// What ended or broke a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The provider reported an error inside the stream; the bytes to end with, when they may be shown.
    Reported(Option<Bytes>),
    /// The same of a translated stream: its text.
    Said(String),
    /// It sent something that is no event of this API.
    Garbage(String),
    /// Asked to go on with an answer it gave another: why it is none.
    NoContinuation(&'static str),
    /// Its connection broke.
    Connection(Fault),
    /// It ended without saying that it was finished.
    Unfinished,
}

/// An error that a provider reported, as it said it: for judging whose fault it is.
#[derive(Debug)]
pub struct Report {
    /// The event's name, empty when it has none.
    pub name: Box<str>,
    /// Its data.
    pub data: Box<[u8]>,
}

/// Where events come from.
pub enum Source {
    /// A provider.
    Upstream(Box<Exchange>),
    /// An answer that is under way to another client.
    Tape(TapeReader),
    /// Events made here, sent `pace` apart.
    Paced {
        /// What is left to send.
        events: VecDeque<Bytes>,
        /// Pause between two.
        pace: Duration,
    },
}

/// How a stream is cut into events.
enum Reader {
    Sse(SseReader),
    Aws(FrameReader),
}

impl Reader {
    fn of(framing: Framing, max_event: usize) -> Self {
        match framing {
            Framing::Sse => Self::Sse(SseReader::new(max_event)),
            Framing::AwsEventStream => Self::Aws(FrameReader::new(max_event)),
        }
    }

    fn space(&mut self) -> &mut BytesMut {
        match self {
            Self::Sse(reader) => reader.space(),
            Self::Aws(reader) => reader.space(),
        }
    }
}

/// What becomes of the events.
enum Passing {
    Native(Judge),
    Translated(Box<Translation>),
}

/// Caps on what a provider may send.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Bytes of one event.
    pub event: usize,
    /// Nesting of its JSON.
    pub depth: usize,
}

/// Events on their way to a client.
pub struct LiveStream {
    source: Source,
    reader: Reader,
    passing: Passing,
    caps: Caps,
    /// Kept where the stream may be gone on with.
    trail: Option<Box<Trail>>,
    /// Judges what passes, where a policy wants that.
    guard: Option<Box<Guard>>,
    /// Reads a native stream for them.
    beside: Option<Beside>,
    /// Usage, once the provider gave it.
    pub usage: Option<Usage>,
    /// Its figures are of the whole answer: Anthropic tells the input's at the start, and the output's only at the end.
    pub usage_is_whole: bool,
    /// Set when something broke; what was complete before it is still forwarded.
    pub broken: Option<Broken>,
    /// With what, where the provider said it.
    pub reported: Option<Box<Report>>,
    /// The source has ended.
    pub ended: bool,
    /// An event of the API (not a comment) has come from whoever speaks now.
    pub begun: bool,
    /// When the last event was complete; the idle deadline counts from here.
    pub last_event: Instant,
    done: bool,
    remembered: Vec<Bytes>,
    remembered_bytes: usize,
    forgotten_bytes: usize,
}

impl LiveStream {
    /// A stream of OpenAI's chat API to a client of it. `withhold_usage`: the usage chunk was asked for by us.
    pub fn new(source: Source, max_event: usize, max_depth: usize, withhold_usage: bool) -> Self {
        let caps = Caps {
            event: max_event,
            depth: max_depth,
        };
        Self::native(source, caps, Dialect::OpenAi, withhold_usage, false)
    }

    /// A stream of the API that the client speaks. `json_array`: it is to be one JSON array (Gemini).
    pub fn native(source: Source, caps: Caps, dialect: Dialect, withhold_usage: bool, json_array: bool) -> Self {
        let judge = Judge::new(dialect, withhold_usage, json_array);
        Self::over(
            source,
            Reader::of(Framing::Sse, caps.event),
            Passing::Native(judge),
            caps,
        )
    }

    /// A stream of another API.
    pub fn translated(source: Source, caps: Caps, framing: Framing, translation: Translation) -> Self {
        let passing = Passing::Translated(Box::new(translation));
        Self::over(source, Reader::of(framing, caps.event), passing, caps)
    }

    fn over(source: Source, reader: Reader, passing: Passing, caps: Caps) -> Self {
        Self {
            source,
            reader,
            passing,
            caps,
            trail: None,
            guard: None,
            beside: None,
            usage: None,
            usage_is_whole: false,
            broken: None,
            reported: None,
            ended: false,
            begun: false,
            last_event: Instant::now(),
            done: false,
            remembered: Vec::new(),
            remembered_bytes: 0,
            forgotten_bytes: 0,
        }
    }

    /// Wait for bytes. Cancel-safe; [`Self::take`] then gives what is complete.
    pub async fn fill(&mut self) {
        match &mut self.source {
            Source::Paced { events, pace } => {
                if self.begun && !pace.is_zero() {
                    tokio::time::sleep(*pace).await;
                }
                match events.pop_front() {
                    Some(event) => self.reader.space().extend_from_slice(&event),
                    None => self.ended = true,
                }
                self.ended |= events.is_empty();
            }
            Source::Tape(tape) => {
                let (pieces, end) = tape.read().await;
                for piece in pieces {
                    self.reader.space().extend_from_slice(&piece);
                }
                self.ended = end.is_some();
                if end == Some(End::Broken) {
                    self.broken = Some(Broken::Said(
                        "the provider failed in the middle of the stream".to_owned(),
                    ));
                }
            }
            Source::Upstream(exchange) => {
                let mut read = exchange.read(self.reader.space()).await;
                while let Ok(true) = read {
                    if self.reader.space().len() >= BATCH_UP_TO {
                        break;
                    }
                    match exchange.read_ready(self.reader.space()) {
                        Some(more) => read = more,
                        None => break,
                    }
                }
                match read {
                    Ok(more) => self.ended = !more,
                    Err(fault) => {
                        self.ended = true;
                        self.broken = Some(Broken::Connection(fault));
                    }
                }
            }
        }
    }

    /// The complete events that may go to the client.
    pub fn take(&mut self) -> Bytes {
        match &mut self.passing {
            Passing::Native(_) => self.take_native(),
            Passing::Translated(_) => self.take_translated(),
        }
    }

    fn remember(&mut self, out: Bytes) -> Bytes {
        if self.usage_is_whole || out.is_empty() {
            return out;
        }
        if self.remembered_bytes < REMEMBER_UP_TO {
            self.remembered_bytes += out.len();
            self.remembered.push(out.clone());
        } else {
            self.forgotten_bytes = self.forgotten_bytes.saturating_add(out.len());
        }
        out
    }

    /// The end marker has passed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The answer so far, for counting tokens that the provider did not report.
    pub fn remembered(&mut self) -> ResponseText {
        match &mut self.passing {
            Passing::Native(_) => ResponseText::Events(std::mem::take(&mut self.remembered)),
            Passing::Translated(translation) => ResponseText::Plain(translation.take_text()),
        }
    }

    /// Bytes of it beyond what is remembered: a long answer is not cheaper for being left before its end.
    pub fn forgotten(&self) -> usize {
        match &self.passing {
            Passing::Native(_) => self.forgotten_bytes,
            Passing::Translated(translation) => translation.forgotten(),
        }
    }

    /// The bytes that end a stream which broke, in the client's dialect.
    pub fn failure(&mut self, error: &GatewayError, request_id: &str) -> Bytes {
        match &mut self.passing {
            Passing::Native(judge) => judge.failure(error, request_id),
            Passing::Translated(translation) => translation.failure(error),
        }
    }

    /// Keep what is needed to go on with this stream elsewhere. Before anything has passed.
    pub fn follow(&mut self, mut trail: Trail) {
        if let Some(decoder) = trail.take_decoder() {
            self.beside = Some(Beside(decoder));
        }
        self.trail = Some(Box::new(trail));
    }

    /// Judge what passes. Before anything has passed, and after [`Self::follow`]. `decoder`: reads the events of a native stream
    /// beside their passing; a guard that acts can only be given to a translated one.
    pub fn guard(&mut self, guard: Guard, decoder: Option<Box<dyn StreamDecoder>>) {
        self.guard = Some(Box::new(guard));
        if let (Passing::Native(_), None, Some(decoder)) = (&self.passing, &self.beside, decoder) {
            self.beside = Some(Beside(decoder));
        }
    }

    /// A guardrail has stopped the answer: nothing more of it passes, and [`Self::refuse`] ends it.
    pub fn is_refused(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.is_refused())
    }

    /// About how many tokens of the answer came, of a stream that is judged.
    pub fn tokens(&self) -> u64 {
        self.guard.as_ref().map_or(0, |guard| guard.tokens())
    }

    /// The bytes that end an answer which was refused. `usage`: for a client that wants to know.
    pub fn refuse(&mut self, usage: Usage) -> Bytes {
        let mut out = Vec::new();
        if let (Passing::Translated(translation), Some(guard)) = (&mut self.passing, &mut self.guard) {
            guard.close(usage, &mut |event| translation.writer().event(event, &mut out));
        }
        out.into()
    }

    /// What is held back of a stream that broke and that nobody goes on with: it passes as what it is.
    pub fn give_up(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let (Passing::Translated(translation), Some(guard)) = (&mut self.passing, &mut self.guard) {
            guard.give_up(&mut |event| translation.writer().event(event, &mut out));
        }
        out.into()
    }

    /// What the guardrails found; nothing is judged any more.
    pub fn take_verdicts(&mut self) -> Vec<Verdict> {
        self.guard.take().map_or_else(Vec::new, |guard| guard.verdicts())
    }

    /// An event's data, which passes as it is, for those that must know what it says.
    fn read_beside(&mut self, data: &[u8]) {
        let Some(beside) = &mut self.beside else { return };
        beside.feed(
            data,
            self.caps.depth,
            self.trail.as_deref_mut(),
            self.guard.as_deref_mut(),
        );
        if self.guard.is_none() && !self.trail.as_ref().is_some_and(|trail| trail.has_shadow()) {
            self.beside = None;
        }
    }

    /// Whether another target may go on with the answer, and from which text.
    pub fn resumable(&self) -> Resumable<'_> {
        match &self.trail {
            None => Resumable::No("a stream that is not followed"),
            Some(_) if self.done => Resumable::No("an answer that had ended"),
            Some(trail) => trail.resumable(),
        }
    }

    /// Seams written so far: targets beyond the first that have given something of the answer.
    pub fn seams(&self) -> u32 {
        self.trail.as_ref().map_or(0, |trail| trail.seams())
    }

    /// Go on with the events of another target, whose connection was asked for the rest (`gateway::plan::continued`). The old
    /// source is closed. Figures and remembered text are the new target's alone from here on: take the old one's before. The
    /// seam is marked with the first event that reaches the client; until then a break changes nothing, and yet another
    /// target may be asked. `false`, and nothing happens, if the stream cannot be gone on with.
    pub fn splice(&mut self, source: Source, framing: Framing, decoder: Box<dyn StreamDecoder>, how: How) -> bool {
        if matches!(self.resumable(), Resumable::No(_)) {
            return false;
        }
        let Some(trail) = &mut self.trail else { return false };
        let seam = trail.seam(how);
        match &mut self.passing {
            Passing::Translated(translation) => translation.go_on(decoder, seam),
            Passing::Native(_) => {
                let Some(writer) = trail.take_writer() else {
                    return false;
                };
                let mut translation = Translation::new(decoder, writer);
                translation.sew(seam);
                self.passing = Passing::Translated(Box::new(translation));
                self.beside = None;
            }
        }
        self.source = source;
        self.reader = Reader::of(framing, self.caps.event);
        (self.usage, self.usage_is_whole) = (None, false);
        (self.broken, self.ended, self.begun) = (None, false, false);
        self.reported = None;
        self.remembered.clear();
        (self.remembered_bytes, self.forgotten_bytes) = (0, 0);
        self.last_event = Instant::now();
        true
    }

    /// Let go of the source: keep its connection when it was read to its end, close it otherwise.
    pub async fn release(self) {
        let refused = self.is_refused();
        if let Source::Upstream(exchange) = self.source {
            // What a refused answer would still say is nobody's.
            if self.broken.is_some() || refused {
                drop(exchange);
            } else if self.ended {
                exchange.release().await;
            } else {
                exchange.drain().await;
            }
        }
    }
}

/// What is complete in the buffer, or that something is too large.
fn batch_of(reader: &mut SseReader) -> Result<Bytes, Broken> {
    reader
        .take()
        .map_err(|too_large| Broken::Garbage(too_large.to_string()))
}

/// Whether what is left at the end of a stream is a whole event that only lacks its blank line.
fn is_whole(rest: &[u8], max_depth: usize) -> bool {
    let data = sse::events(rest)
        .next()
        .and_then(|event| event.data.map(|data| data.into_owned()));
    data.is_some_and(|data| data.trim_ascii() == b"[DONE]" || crate::wire::json::scan_value(&data, max_depth).is_ok())
}
