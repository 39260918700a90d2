//! Streams of the very API that the client speaks: every event is looked at, none is changed.
//!
//! What an event says in passing (usage, an error, an ending) is read by its dialect's `facts`, without building a tree. The
//! one change that is made: a Gemini client that wants a JSON array gets the events' data as its elements.

use super::{Broken, LiveStream, Passing, Reader, Report, batch_of, is_whole};
use crate::error::GatewayError;
use crate::wire::json::JsonError;
use crate::wire::usage::{self, Facts};
use crate::wire::{Dialect, errors, gemini, messages, responses, sse};
use bytes::{Bytes, BytesMut};
use std::time::Instant;

/// What is known of a native stream.
pub(super) struct Judge {
    dialect: Dialect,
    /// The usage chunk was asked for by us.
    withhold_usage: bool,
    /// The client wants one JSON array.
    json_array: bool,
    /// Elements written to it.
    elements: usize,
    finished: bool,
}

impl Judge {
    pub(super) fn new(dialect: Dialect, withhold_usage: bool, json_array: bool) -> Self {
        Self {
            dialect,
            withhold_usage,
            json_array,
            elements: 0,
            finished: false,
        }
    }

    /// An API without an end marker ends well when a finish reason has passed.
    fn may_end_unmarked(&self) -> bool {
        self.finished && matches!(self.dialect, Dialect::OpenAi | Dialect::Gemini)
    }

    pub(super) fn failure(&mut self, error: &GatewayError, request_id: &str) -> Bytes {
        if !self.json_array {
            return errors::event(self.dialect, error, request_id);
        }
        let body = errors::body(self.dialect, error, request_id);
        let mut out = Vec::with_capacity(body.len() + 4);
        self.element(&body, &mut out);
        out.push(b']');
        out.into()
    }

    fn element(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(if self.elements == 0 { b"[" } else { b",\r\n" });
        self.elements += 1;
        out.extend_from_slice(data);
    }
}

/// What one document of a dialect says in passing.
pub(in crate::gateway) fn facts_of(dialect: Dialect, document: &[u8], max_depth: usize) -> Result<Facts, JsonError> {
    match dialect {
        Dialect::Anthropic => messages::facts(document, max_depth),
        Dialect::Gemini => gemini::facts(document, max_depth),
        Dialect::Responses => responses::facts(document, max_depth),
        _ => usage::read(document, max_depth),
    }
}

impl LiveStream {
    pub(super) fn take_native(&mut self) -> Bytes {
        let Reader::Sse(reader) = &mut self.reader else {
            return Bytes::new();
        };
        let batch = match batch_of(reader) {
            Ok(batch) => batch,
            Err(broken) => {
                self.broken.get_or_insert(broken);
                return Bytes::new();
            }
        };
        let too_large = reader.too_large();
        let mut out = self.pass(batch);
        if let (Some(too_large), false) = (too_large, self.done) {
            self.broken.get_or_insert(Broken::Garbage(too_large.to_string()));
        }
        if self.ended {
            out = self.conclude(out);
        }
        out
    }

    /// Check the events of a batch; what must not pass is cut out.
    fn pass(&mut self, batch: Bytes) -> Bytes {
        if batch.is_empty() {
            return batch;
        }
        // After the end marker nothing is an event any more.
        if self.done {
            return Bytes::new();
        }
        if matches!(&self.passing, Passing::Native(judge) if judge.json_array) {
            return self.pass_elements(&batch);
        }
        // A connection that broke after these events is no reason to hold them back; only what `judge` finds is.
        let broken_after = self.broken.take();
        let mut kept: Option<BytesMut> = None;
        let mut passed = 0;
        for event in sse::events(&batch) {
            let raw = batch.get(event.raw.clone()).unwrap_or_default();
            let keep = match &event.data {
                None => true,
                Some(data) => self.judge(data, raw),
            };
            if self.broken.is_some() {
                let before = batch.get(..event.raw.start).unwrap_or_default();
                return self.remember(kept.map_or_else(|| batch.slice_ref(before), BytesMut::freeze));
            }
            match (&mut kept, keep) {
                (None, true) => {}
                (None, false) => kept = Some(BytesMut::from(batch.get(..event.raw.start).unwrap_or_default())),
                (Some(kept), true) => kept.extend_from_slice(raw),
                (Some(_), false) => {}
            }
            passed = event.raw.end;
            if self.done {
                break;
            }
        }
        self.broken = broken_after;
        self.last_event = Instant::now();
        let out = match kept {
            Some(kept) => kept.freeze(),
            None => batch.slice(..passed),
        };
        self.remember(out)
    }

    /// The same for a client that wants an array.
    fn pass_elements(&mut self, batch: &Bytes) -> Bytes {
        let broken_after = self.broken.take();
        let mut out = Vec::with_capacity(batch.len());
        for event in sse::events(batch) {
            let Some(data) = &event.data else { continue };
            self.judge(data, data);
            if self.broken.is_some() {
                return self.remember(out.into());
            }
            if let Passing::Native(judge) = &mut self.passing {
                judge.element(data, &mut out);
            }
        }
        self.broken = broken_after;
        self.last_event = Instant::now();
        self.remember(out.into())
    }

    /// Whether an event's data may pass. `raw` is the whole event.
    fn judge(&mut self, data: &[u8], raw: &[u8]) -> bool {
        let Passing::Native(judge) = &mut self.passing else {
            return false;
        };
        if judge.dialect == Dialect::OpenAi && data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return true;
        }
        match facts_of(judge.dialect, data, self.caps.depth) {
            Err(error) => {
                self.broken = Some(Broken::Garbage(format!("an event is not JSON: {error}")));
                false
            }
            Ok(facts) if facts.error => {
                self.broken = Some(Broken::Reported(presentable(judge.dialect, data, raw)));
                self.reported = Some(Box::new(Report {
                    name: "".into(),
                    data: data.into(),
                }));
                false
            }
            Ok(facts) => {
                self.begun = true;
                judge.finished |= facts.finished;
                self.done |= facts.done;
                if let Some(usage) = facts.usage {
                    self.usage_is_whole |= judge.dialect != Dialect::Anthropic || facts.finished;
                    match &mut self.usage {
                        // OpenAI-shaped usage is whole each time, and the last one counts.
                        Some(known) if judge.dialect != Dialect::OpenAi => known.merge(&usage),
                        slot => *slot = Some(usage),
                    }
                }
                let passes = !(judge.withhold_usage && facts.no_choices && facts.has_usage);
                self.read_beside(data);
                passes
            }
        }
    }

    /// At the end of the source: a last event without its blank line counts if it is whole; an end without an end marker
    /// or a finish reason is a break.
    fn conclude(&mut self, mut out: Bytes) -> Bytes {
        let Reader::Sse(reader) = &mut self.reader else {
            return out;
        };
        let rest = reader.take_rest();
        let whole = !rest.is_empty() && self.broken.is_none() && is_whole(&rest, self.caps.depth);
        let last = if whole { self.pass(rest) } else { Bytes::new() };
        // A connection that breaks after the end marker broke nothing.
        if self.done && matches!(self.broken, Some(Broken::Connection(_))) {
            self.broken = None;
        }
        let Passing::Native(judge) = &mut self.passing else {
            return out;
        };
        if self.broken.is_none() && !self.done && !judge.may_end_unmarked() {
            self.broken = Some(Broken::Unfinished);
        }
        if judge.json_array {
            let end: &[u8] = if self.broken.is_none() { b"]" } else { b"" };
            return [&out, &last, end].concat().into();
        }
        // The in-band error that follows must not land on a line that was never ended.
        let end: &[u8] = if last.is_empty() || self.broken.is_none() {
            b""
        } else {
            b"\n\n"
        };
        if !last.is_empty() {
            out = [&out, &last, end].concat().into();
        }
        out
    }
}

/// The bytes by which the client learns of the provider's own error, if it may.
fn presentable(dialect: Dialect, data: &[u8], raw: &[u8]) -> Option<Bytes> {
    match dialect {
        Dialect::OpenAi => {
            // JSON of several `data:` lines is made one again: a string holds no raw line end, so no value changes.
            let one_line = data.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b });
            errors::is_presentable(dialect, data)
                .then(|| b"data: ".iter().copied().chain(one_line).chain(*b"\n\n").collect())
        }
        // A failed response is this API's own way to end.
        Dialect::Responses => Some(Bytes::copy_from_slice(raw)),
        _ => errors::is_presentable(dialect, data).then(|| Bytes::copy_from_slice(raw)),
    }
}
