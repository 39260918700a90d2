//! A live stream: events from a provider (or the demo), checked one by one as they pass.
//!
//! Forwards whole events only: a fragment cut off by a dying connection is discarded. Reading takes what is readable *now*
//! without waiting and hands it on as one batch, so that queued events cost one write; an event that stands alone still
//! leaves at once.

use crate::telemetry::ResponseText;
use crate::units::Usage;
use crate::upstream::{Exchange, Fault};
use crate::wire::sse::{self, SseReader};
use crate::wire::usage;
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
    /// The provider reported an error inside the stream; the event, when it may be shown.
    Reported(Option<Bytes>),
    /// It sent something that is no event of this API.
    Garbage(String),
    /// Its connection broke.
    Connection(Fault),
    /// It ended without saying that it was finished.
    Unfinished,
}

/// Where events come from.
pub enum Source {
    /// A provider.
    Upstream(Box<Exchange>),
    /// Events made here, sent `pace` apart.
    Paced {
        /// What is left to send.
        events: VecDeque<Bytes>,
        /// Pause between two.
        pace: Duration,
    },
}

/// Events on their way to a client.
pub struct LiveStream {
    source: Source,
    reader: SseReader,
    max_depth: usize,
    /// The usage chunk was asked for by us.
    withhold_usage: bool,
    done: bool,
    finished: bool,
    /// Usage, once the provider gave it.
    pub usage: Option<Usage>,
    /// Set when something broke; what was complete before it is still forwarded.
    pub broken: Option<Broken>,
    /// The source has ended.
    pub ended: bool,
    /// An event of the API (not a comment) has passed.
    pub begun: bool,
    /// When the last event was complete; the idle deadline counts from here.
    pub last_event: Instant,
    remembered: Vec<Bytes>,
    remembered_bytes: usize,
}

impl LiveStream {
    /// A stream from this source.
    pub fn new(source: Source, max_event: usize, max_depth: usize, withhold_usage: bool) -> Self {
        Self {
            source,
            reader: SseReader::new(max_event),
            max_depth,
            withhold_usage,
            done: false,
            finished: false,
            usage: None,
            broken: None,
            ended: false,
            begun: false,
            last_event: Instant::now(),
            remembered: Vec::new(),
            remembered_bytes: 0,
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
            Source::Upstream(exchange) => {
                let mut read = exchange.read(self.reader.space()).await;
                while let Ok(true) = read {
                    if self.reader.unfinished().len() >= BATCH_UP_TO {
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
        let batch = match self.reader.take() {
            Ok(batch) => batch,
            Err(too_large) => {
                self.broken.get_or_insert(Broken::Garbage(too_large.to_string()));
                return Bytes::new();
            }
        };
        let mut out = self.pass(batch);
        if let (Some(too_large), false) = (self.reader.too_large(), self.done) {
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
        // A connection that broke after these events is no reason to hold them back; only what `judge` finds is.
        let broken_after = self.broken.take();
        let mut kept: Option<BytesMut> = None;
        let mut passed = 0;
        for event in sse::events(&batch) {
            let keep = match &event.data {
                None => true,
                Some(data) => self.judge(data),
            };
            if self.broken.is_some() {
                let before = batch.get(..event.raw.start).unwrap_or_default();
                return self.remember(kept.map_or_else(|| batch.slice_ref(before), BytesMut::freeze));
            }
            match (&mut kept, keep) {
                (None, true) => {}
                (None, false) => kept = Some(BytesMut::from(batch.get(..event.raw.start).unwrap_or_default())),
                (Some(kept), true) => kept.extend_from_slice(batch.get(event.raw.clone()).unwrap_or_default()),
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

    /// Whether an event's data may pass.
    fn judge(&mut self, data: &[u8]) -> bool {
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return true;
        }
        match usage::read(data, self.max_depth) {
            Err(error) => {
                self.broken = Some(Broken::Garbage(format!("an event is not JSON: {error}")));
                false
            }
            Ok(facts) if facts.error => {
                // JSON of several `data:` lines is made one again: a string holds no raw line end, so no value changes.
                let one_line = |b: &u8| if matches!(b, b'\n' | b'\r') { b' ' } else { *b };
                let shown = crate::wire::errors::is_presentable(data).then(|| data.iter().map(one_line).collect());
                self.broken = Some(Broken::Reported(shown));
                false
            }
            Ok(facts) => {
                self.begun = true;
                self.finished |= facts.finished;
                if facts.usage.is_some() {
                    self.usage = facts.usage;
                }
                !(self.withhold_usage && facts.no_choices && facts.has_usage)
            }
        }
    }

    /// At the end of the source: a last event without its blank line counts if it is whole; an end without an end marker
    /// or a finish reason is a break.
    fn conclude(&mut self, out: Bytes) -> Bytes {
        let rest = self.reader.take_rest();
        let whole = !rest.is_empty() && self.broken.is_none() && {
            let data = sse::events(&rest)
                .next()
                .and_then(|event| event.data.map(|data| data.into_owned()));
            data.is_some_and(|data| {
                data.trim_ascii() == b"[DONE]" || crate::wire::json::scan_value(&data, self.max_depth).is_ok()
            })
        };
        let last = if whole { self.pass(rest) } else { Bytes::new() };
        // A connection that breaks after the end marker broke nothing.
        if self.done && matches!(self.broken, Some(Broken::Connection(_))) {
            self.broken = None;
        }
        if self.broken.is_none() && !self.done && !self.finished {
            self.broken = Some(Broken::Unfinished);
        }
        // The in-band error that follows must not land on a line that was never ended.
        let end: &[u8] = if last.is_empty() || self.broken.is_none() {
            b""
        } else {
            b"\n\n"
        };
        if last.is_empty() {
            out
        } else {
            [&out, &last, end].concat().into()
        }
    }

    fn remember(&mut self, out: Bytes) -> Bytes {
        if self.usage.is_none() && self.remembered_bytes < REMEMBER_UP_TO && !out.is_empty() {
            self.remembered_bytes += out.len();
            self.remembered.push(out.clone());
        }
        out
    }

    /// The end marker has passed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The answer so far, for counting tokens that the provider did not report.
    pub fn remembered(&mut self) -> ResponseText {
        ResponseText::Events(std::mem::take(&mut self.remembered))
    }

    /// Let go of the source: keep its connection when it was read to its end, close it otherwise.
    pub async fn release(self) {
        if let Source::Upstream(exchange) = self.source {
            if self.broken.is_some() {
                drop(exchange);
            } else if self.ended {
                exchange.release().await;
            } else {
                exchange.drain().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
    const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    async fn run(pieces: &[&str], withhold: bool) -> (String, LiveStream) {
        let events = pieces.iter().map(|p| Bytes::copy_from_slice(p.as_bytes())).collect();
        let source = Source::Paced {
            events,
            pace: Duration::ZERO,
        };
        let mut live = LiveStream::new(source, 4096, 64, withhold);
        let mut out = String::new();
        while !live.ended && live.broken.is_none() && !live.done {
            live.fill().await;
            out += std::str::from_utf8(&live.take()).unwrap();
        }
        (out, live)
    }

    #[tokio::test]
    async fn a_whole_stream_passes_byte_for_byte() {
        let text = format!(": comment\n\n{CHUNK}{FINISH}{USAGE}{DONE}");
        let (out, live) = run(&[&text], false).await;
        assert_eq!(out, text);
        assert_eq!(
            live.usage,
            Some(Usage {
                input: 1,
                output: 2,
                ..Usage::default()
            })
        );
        assert_eq!(live.broken, None);
    }

    #[tokio::test]
    async fn a_usage_chunk_nobody_asked_for_is_withheld_and_read() {
        for pieces in [
            vec![format!("{CHUNK}{FINISH}{USAGE}{DONE}")],
            vec![CHUNK.into(), FINISH.into(), USAGE.into(), DONE.into()],
        ] {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (out, live) = run(&pieces, true).await;
            assert_eq!(out, format!("{CHUNK}{FINISH}{DONE}"));
            assert!(live.usage.is_some());
        }
    }

    #[tokio::test]
    async fn a_usage_chunk_that_cannot_be_read_is_withheld_all_the_same() {
        let odd = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1.5}}\n\n";
        let (out, live) = run(&[CHUNK, FINISH, odd, DONE], true).await;
        assert_eq!((out, live.usage), (format!("{CHUNK}{FINISH}{DONE}"), None));
    }

    #[tokio::test]
    async fn endings_are_judged() {
        for (pieces, out, broken) in [
            (vec![CHUNK, FINISH], format!("{CHUNK}{FINISH}"), None),
            (vec![CHUNK, "data: [DONE]"], format!("{CHUNK}data: [DONE]"), None),
            (vec![CHUNK], CHUNK.to_owned(), Some(Broken::Unfinished)),
            (
                vec![CHUNK, "data: {\"choices\":[{\"del"],
                CHUNK.to_owned(),
                Some(Broken::Unfinished),
            ),
            (vec![CHUNK.trim_end()], CHUNK.to_owned(), Some(Broken::Unfinished)),
            (
                vec![CHUNK, "data: [DONE] \n\n"],
                format!("{CHUNK}data: [DONE] \n\n"),
                None,
            ),
            (
                vec![CHUNK, "data: {\"error\":\ndata: {\"message\":\"x\"}}\n\n"],
                CHUNK.to_owned(),
                Some(Broken::Reported(Some("{\"error\": {\"message\":\"x\"}}".into()))),
            ),
            (
                vec![CHUNK, "data: <html>\n\n", DONE],
                CHUNK.to_owned(),
                Some(Broken::Garbage(
                    "an event is not JSON: not a JSON object at byte 0".into(),
                )),
            ),
            (
                vec![CHUNK, "data: {\"error\":\"x\"}\n\n", DONE],
                CHUNK.to_owned(),
                Some(Broken::Reported(None)),
            ),
        ] {
            let (got, live) = run(&pieces, false).await;
            assert_eq!((got, live.broken), (out, broken), "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn an_endless_line_is_refused() {
        let (out, live) = run(&["data: ", &"x".repeat(5000)], false).await;
        assert_eq!(out, "");
        assert!(matches!(live.broken, Some(Broken::Garbage(_))));
        let (out, live) = run(&[&format!("{CHUNK}{}", "x".repeat(5000))], false).await;
        assert_eq!(out, CHUNK);
        assert!(matches!(live.broken, Some(Broken::Garbage(_))));
    }

    proptest::proptest! {
        /// However the bytes of a stream arrive, hostile ones included, the outcome is the same, and nothing is sent on
        /// that did not come.
        #[test]
        fn any_split_gives_the_same_outcome(
            parts in proptest::collection::vec(proptest::sample::select(vec![CHUNK, CHUNK, CHUNK, FINISH, USAGE, DONE,
                ": c\n", "\n", "data: {", "data:", "x", "data: {\"error\":{\"message\":\"e\"}}\n\n", "data: <\n\n"]), 0..12),
            long in 0..1200usize,
            step in 1..90usize,
            withhold: bool,
        ) {
            let text = parts.concat() + &"y".repeat(long.saturating_sub(400));
            let run = |pieces: Vec<&[u8]>| {
                let events = pieces.into_iter().map(Bytes::copy_from_slice).collect();
                let mut live = LiveStream::new(Source::Paced { events, pace: Duration::ZERO }, 512, 64, withhold);
                let mut out = Vec::new();
                while !live.ended && live.broken.is_none() && !live.done {
                    futures::FutureExt::now_or_never(live.fill()).unwrap();
                    out.extend_from_slice(&live.take());
                }
                (out, live.usage, live.done, live.finished, live.broken)
            };
            let whole = run(vec![text.as_bytes()]);
            proptest::prop_assert!(withhold || text.as_bytes().starts_with(whole.0.trim_ascii_end()));
            proptest::prop_assert_eq!(run(text.as_bytes().chunks(step).collect()), whole);
        }
    }
}
