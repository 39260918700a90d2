//! Streams of another API than the client's: each event goes through the codec's decoder and the client's writer, at once.

use super::guard::Guard;
use super::seam::Seam;
use super::{Broken, LiveStream, Passing, Reader, Report, Trail, batch_of, is_whole};
use crate::error::GatewayError;
use crate::providers::codec::{RawEvent, StreamDecoder, Undecodable};
use crate::units::Usage;
use crate::wire::canonical::{Delta, Event};
use crate::wire::client::ReplyWriter;
use crate::wire::sse;
use bytes::Bytes;
use std::time::Instant;

/// How much of an answer's text is kept for counting its tokens.
const TEXT_UP_TO: usize = 256 * 1024;

/// From a provider's events to a client's.
pub struct Translation {
    decoder: Box<dyn StreamDecoder>,
    writer: Box<dyn ReplyWriter>,
    seen: Seen,
    /// These events go on with another target's.
    seam: Option<Box<Seam>>,
}

/// What passed.
#[derive(Default)]
struct Seen {
    usage: Option<Usage>,
    usage_is_whole: bool,
    text: String,
    /// Bytes of it that were not kept.
    forgotten: usize,
    begun: bool,
    ended: bool,
    error: Option<String>,
    /// Why they are no continuation.
    unfit: Option<&'static str>,
}

impl Seen {
    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { usage, .. } => {
                self.begun = true;
                self.usage = *usage;
            }
            Event::Usage(usage) => {
                self.usage.get_or_insert_default().merge(usage);
                self.usage_is_whole = true;
            }
            Event::Delta {
                delta: Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text),
                ..
            } => {
                if self.text.len() < TEXT_UP_TO {
                    self.text.push_str(text);
                } else {
                    self.forgotten = self.forgotten.saturating_add(text.len());
                }
            }
            Event::End => self.ended = true,
            Event::Error { message, .. } => self.error = Some(message.chars().take(1000).collect()),
            _ => {}
        }
    }
}

impl Translation {
    /// Nothing has passed.
    pub fn new(decoder: Box<dyn StreamDecoder>, writer: Box<dyn ReplyWriter>) -> Self {
        Self {
            decoder,
            writer,
            seen: Seen::default(),
            seam: None,
        }
    }

    /// What follows goes on with an answer under way.
    pub(super) fn sew(&mut self, seam: Seam) {
        self.seam = Some(Box::new(seam));
    }

    /// The same, from another target: what it says is written on.
    pub(super) fn go_on(&mut self, decoder: Box<dyn StreamDecoder>, seam: Seam) {
        self.decoder = decoder;
        self.seen = Seen::default();
        self.sew(seam);
    }

    fn event(&mut self, raw: RawEvent<'_>, along: Along<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        let (decoder, mut passage) = self.passage(along, out);
        let decoded = decoder.event(raw, &mut |event| passage.pass(&event));
        self.verdict(decoded.map_err(|error| Broken::Garbage(error.to_string())))
    }

    fn finish(&mut self, along: Along<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        let (decoder, mut passage) = self.passage(along, out);
        let decoded = decoder.finish(&mut |event| passage.pass(&event));
        self.verdict(decoded.map_err(|Undecodable(_)| Broken::Unfinished))
    }

    fn passage<'p>(&'p mut self, along: Along<'p>, out: &'p mut Vec<u8>) -> (&'p mut dyn StreamDecoder, Passage<'p>) {
        let passage = Passage {
            writer: self.writer.as_mut(),
            seen: &mut self.seen,
            seam: self.seam.as_deref_mut(),
            along,
            out,
        };
        (self.decoder.as_mut(), passage)
    }

    fn verdict(&mut self, decoded: Result<(), Broken>) -> Result<(), Broken> {
        match (self.seen.error.take(), self.seen.unfit) {
            (_, Some(why)) => Err(Broken::NoContinuation(why)),
            (Some(message), _) => Err(Broken::Said(message)),
            (None, None) => decoded,
        }
    }

    /// Where the client stands.
    pub(super) fn writer(&mut self) -> &mut dyn ReplyWriter {
        self.writer.as_mut()
    }

    pub(super) fn failure(&mut self, error: &GatewayError) -> Bytes {
        let mut out = Vec::with_capacity(256);
        self.writer.fail(error, &mut out);
        out.into()
    }

    pub(super) fn forgotten(&self) -> usize {
        self.seen.forgotten
    }

    pub(super) fn take_text(&mut self) -> String {
        std::mem::take(&mut self.seen.text)
    }
}

/// Who goes along with a stream.
struct Along<'p> {
    trail: Option<&'p mut Trail>,
    guard: Option<&'p mut Guard>,
}

impl Along<'_> {
    /// An event on its last step to the client.
    fn pass(&mut self, event: &Event<'_>, writer: &mut dyn ReplyWriter, out: &mut Vec<u8>) {
        if let Some(trail) = &mut self.trail {
            trail.note(event);
        }
        match &mut self.guard {
            Some(guard) => guard.event(event, &mut |event| writer.event(event, out)),
            None => writer.event(event, out),
        }
    }

    fn has_refused(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.is_refused())
    }
}

/// The way of canonical events to the client.
struct Passage<'p> {
    writer: &'p mut dyn ReplyWriter,
    seen: &'p mut Seen,
    seam: Option<&'p mut Seam>,
    along: Along<'p>,
    out: &'p mut Vec<u8>,
}

impl Passage<'_> {
    fn pass(&mut self, event: &Event<'_>) {
        if self.seen.unfit.is_some() || self.along.has_refused() {
            return;
        }
        self.seen.note(event);
        if self.seen.error.is_some() {
            return;
        }
        match &self.seam {
            Some(_) => self.pass_seam(event),
            None => self.along.pass(event, self.writer, self.out),
        }
    }

    fn pass_seam(&mut self, event: &Event<'_>) {
        let Self {
            writer,
            seen,
            seam,
            along,
            out,
        } = self;
        let Some(seam) = seam else { return };
        let mut begun = seam.begun;
        let fits = seam.event(event, &mut |event| {
            if !begun && !matches!(event, Event::Ping) {
                begun = true;
                if let Some(trail) = &mut along.trail {
                    writer.seam(trail.sewn(), out);
                }
            }
            along.pass(event, *writer, out);
        });
        seam.begun = begun;
        if let Err(why) = fits {
            // Of which nothing was passed on: the client stands where it stood, and another may go on.
            if begun && let Some(trail) = &mut along.trail {
                trail.bar(why);
            }
            seen.unfit = Some(why);
        }
    }
}

impl LiveStream {
    pub(super) fn take_translated(&mut self) -> Bytes {
        let mut out = Vec::new();
        if self.done || self.is_refused() {
            return Bytes::new();
        }
        // A connection that broke after these events is no reason to hold them back.
        let broken_after = self.broken.take();
        let mut result = self.translate_ready(&mut out);
        if result.is_ok() && self.ended && !self.done && !self.is_refused() {
            result = self.translate_end(broken_after.is_some(), &mut out);
        }
        self.broken = match result {
            // What came behind it is nobody's concern any more.
            _ if self.is_refused() => None,
            Err(broken) if broken == Broken::Unfinished => broken_after.or(Some(broken)),
            Err(broken) => Some(broken),
            Ok(()) if self.done => None,
            Ok(()) => broken_after,
        };
        out.into()
    }

    /// The complete events in the buffer.
    fn translate_ready(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        match &mut self.reader {
            Reader::Sse(reader) => {
                let batch = batch_of(reader)?;
                let too_large = reader.too_large();
                self.translate_batch(&batch, out)?;
                match too_large {
                    Some(too_large) if !self.done => Err(Broken::Garbage(too_large.to_string())),
                    _ => Ok(()),
                }
            }
            Reader::Aws(_) => self.translate_messages(out),
        }
    }

    fn translate_batch(&mut self, batch: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        if !batch.is_empty() {
            // Comments, and events that are nothing to the client, show that the provider lives.
            self.last_event = Instant::now();
        }
        for event in sse::events(batch) {
            let Some(data) = &event.data else {
                // A blank line whose event was in the batch before is none.
                if batch.get(event.raw.clone()).is_some_and(|raw| raw.starts_with(b":")) {
                    self.translate_comment(out);
                }
                continue;
            };
            let raw = RawEvent {
                name: std::str::from_utf8(event.name).unwrap_or_default(),
                exception: false,
                data,
                max_depth: self.caps.depth,
            };
            self.translate(raw, out)?;
            if self.done || self.is_refused() {
                break;
            }
        }
        Ok(())
    }

    /// Where text may be held back, comments are all by which a client sees that something goes on.
    fn translate_comment(&mut self, out: &mut Vec<u8>) {
        if let (Passing::Translated(translation), Some(guard)) = (&mut self.passing, &self.guard)
            && guard.acts()
            && translation.seen.begun
        {
            translation.writer.event(&Event::Ping, out);
        }
    }

    fn translate_messages(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        loop {
            let Reader::Aws(reader) = &mut self.reader else {
                return Ok(());
            };
            let message = reader.take().map_err(|fault| Broken::Garbage(fault.to_string()))?;
            let Some(message) = message else { return Ok(()) };
            self.last_event = Instant::now();
            // An error without a body says what it is in a header.
            let said = message.error_message().filter(|_| message.payload.is_empty());
            let said = said.map(|text| serde_json::json!({"message": text}).to_string());
            let raw = RawEvent {
                name: message.name(),
                exception: message.is_exception(),
                data: said.as_ref().map_or(&message.payload, |text| text.as_bytes()),
                max_depth: self.caps.depth,
            };
            self.translate(raw, out)?;
            if self.is_refused() {
                return Ok(());
            }
        }
    }

    fn translate(&mut self, raw: RawEvent<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        let Passing::Translated(translation) = &mut self.passing else {
            return Ok(());
        };
        let (name, data) = (raw.name, raw.data);
        let along = Along {
            trail: self.trail.as_deref_mut(),
            guard: self.guard.as_deref_mut(),
        };
        let result = translation.event(raw, along, out);
        if let Err(Broken::Said(_)) = result {
            self.reported = Some(Box::new(Report {
                name: name.into(),
                data: data.into(),
            }));
        }
        self.begun |= translation.seen.begun;
        self.done |= translation.seen.ended;
        self.usage = translation.seen.usage;
        self.usage_is_whole = translation.seen.usage_is_whole;
        result
    }

    /// The source has ended: a last event without its blank line, then whatever the decoder still owes.
    fn translate_end(&mut self, torn: bool, out: &mut Vec<u8>) -> Result<(), Broken> {
        if let (Reader::Sse(reader), false) = (&mut self.reader, torn) {
            let rest = reader.take_rest();
            if !rest.is_empty() && is_whole(&rest, self.caps.depth) {
                self.translate_batch(&rest, out)?;
            }
        }
        if torn || self.done {
            return if self.done { Ok(()) } else { Err(Broken::Unfinished) };
        }
        let Passing::Translated(translation) = &mut self.passing else {
            return Ok(());
        };
        let along = Along {
            trail: self.trail.as_deref_mut(),
            guard: self.guard.as_deref_mut(),
        };
        let result = translation.finish(along, out);
        self.begun |= translation.seen.begun;
        self.done |= translation.seen.ended;
        self.usage = translation.seen.usage;
        self.usage_is_whole = translation.seen.usage_is_whole;
        result
    }
}

/// Whether a response's content type is the one this framing has.
pub(in crate::gateway) fn is_framed_as(framing: crate::providers::codec::Framing, content_type: &[u8]) -> bool {
    let wanted: &[u8] = match framing {
        crate::providers::codec::Framing::Sse => b"text/event-stream",
        crate::providers::codec::Framing::AwsEventStream => b"application/vnd.amazon.eventstream",
    };
    content_type
        .get(..wanted.len())
        .is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
}
