//! Server-sent events, read incrementally: bytes in at any split, complete events out, with the exact bytes of each.
//!
//! The relay forwards bytes as they came and must only know where events end and what their data is. Accepts `\n`,
//! `\r\n` and `\r`, comments, fields without a space after the colon, several `data:` lines.
//! Source: WHATWG HTML, "Server-sent events", 9.2.6 Interpreting an event stream, read 2026-11.
//!
//! Not for writing events, and not for what the data means.

use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::ops::Range;

/// An event larger than the configured cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream event is larger than {0} bytes")]
pub struct EventTooLarge(pub usize);

/// One complete event of a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its bytes in the batch, the blank line that ends it included.
    pub raw: Range<usize>,
    /// Its `event:` field; empty without one.
    pub name: &'a [u8],
    /// Its data; `None` for comments, blank lines and events of other fields only.
    pub data: Option<Cow<'a, [u8]>>,
}

/// Splits a byte stream into events.
#[derive(Debug)]
pub struct SseReader {
    /// Bytes that do not make a complete event yet.
    pending: BytesMut,
    /// Where the first unfinished line of `pending` starts.
    line_start: usize,
    /// How far `pending` holds no other line end, so that a long line in many small reads is searched once.
    searched: usize,
    /// The last byte seen was a `\r` that ended a line; a `\n` next belongs to it.
    after_cr: bool,
    too_large: bool,
    max_event: usize,
}

impl SseReader {
    /// A reader that refuses events larger than `max_event` bytes.
    pub fn new(max_event: usize) -> Self {
        Self {
            pending: BytesMut::new(),
            line_start: 0,
            searched: 0,
            after_cr: false,
            too_large: false,
            max_event,
        }
    }

    /// Room for the next bytes; whoever reads from a socket appends here, then calls [`Self::take`].
    pub fn space(&mut self) -> &mut BytesMut {
        &mut self.pending
    }

    /// The complete events among the bytes so far; what is incomplete stays for later. Events before one that is too
    /// large are still given; the error comes with the next call, and with every one after it.
    pub fn take(&mut self) -> Result<Bytes, EventTooLarge> {
        if self.too_large {
            return Err(EventTooLarge(self.max_event));
        }
        let mut complete = 0;
        let mut line_start = self.line_start;
        if let (true, Some(&next)) = (self.after_cr, self.pending.get(line_start)) {
            self.after_cr = false;
            if next == b'\n' {
                line_start += 1;
                if line_start == 1 {
                    complete = 1;
                }
            }
        }
        let mut searched = self.searched.max(line_start);
        loop {
            let rest = self.pending.get(searched..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\n', b'\r', rest) else {
                searched = self.pending.len();
                break;
            };
            let line_end = searched + found;
            let mut next = line_end + 1;
            if rest.get(found) == Some(&b'\r') {
                match rest.get(found + 1) {
                    Some(b'\n') => next += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if line_end == line_start {
                if next - complete > self.max_event {
                    self.too_large = true;
                    break;
                }
                complete = next;
            }
            line_start = next;
            searched = next;
        }
        self.too_large |= self.pending.len() - complete > self.max_event;
        if self.too_large && complete == 0 {
            return Err(EventTooLarge(self.max_event));
        }
        self.line_start = line_start.saturating_sub(complete);
        self.searched = searched.saturating_sub(complete);
        Ok(self.pending.split_to(complete).freeze())
    }

    /// Whether an event beyond the cap has come: the next [`Self::take`] says so too.
    pub fn too_large(&self) -> Option<EventTooLarge> {
        self.too_large.then_some(EventTooLarge(self.max_event))
    }

    /// Bytes of an unfinished event.
    pub fn unfinished(&self) -> &[u8] {
        &self.pending
    }

    /// Everything that is left, taken as a last event: some servers end without the final blank line.
    pub fn take_rest(&mut self) -> Bytes {
        self.line_start = 0;
        self.searched = 0;
        self.pending.split().freeze()
    }
}

/// The events of a batch returned by [`SseReader::take`].
pub fn events(batch: &[u8]) -> Events<'_> {
    Events { batch, at: 0 }
}

/// Iterator over a batch.
#[derive(Debug)]
pub struct Events<'a> {
    batch: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let start = self.at;
        let mut data: Option<Cow<'a, [u8]>> = None;
        let mut name: &[u8] = b"";
        loop {
            let rest = self.batch.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                // A batch ends at an event's end, except a last one taken by `take_rest`.
                return (self.at > start).then_some(Event {
                    raw: start..self.at,
                    name,
                    data,
                });
            }
            let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            let crlf = rest.get(length) == Some(&b'\r') && rest.get(length + 1) == Some(&b'\n');
            self.at = (self.at + length + 1 + usize::from(crlf)).min(self.batch.len());
            if line.is_empty() {
                return Some(Event {
                    raw: start..self.at,
                    name,
                    data,
                });
            }
            if let Some(value) = line.strip_prefix(b"event:") {
                name = value.strip_prefix(b" ").unwrap_or(value);
            } else if let Some(value) = data_of(line) {
                data = Some(match data {
                    None => Cow::Borrowed(value),
                    Some(before) => {
                        let mut joined = before.into_owned();
                        joined.push(b'\n');
                        joined.extend_from_slice(value);
                        Cow::Owned(joined)
                    }
                });
            }
        }
    }
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    match value.split_first() {
        None => Some(value),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>, Vec<u8>) {
        let mut reader = SseReader::new(1 << 20);
        let (mut datas, mut raw) = (Vec::new(), Vec::new());
        for piece in pieces {
            reader.space().extend_from_slice(piece);
            let batch = reader.take().unwrap();
            for event in events(&batch) {
                datas.extend(event.data.map(|d| String::from_utf8_lossy(&d).into_owned()));
            }
            raw.extend_from_slice(&batch);
        }
        (datas, raw, reader.unfinished().to_vec())
    }

    #[test]
    fn line_endings_comments_and_spacing_do_not_matter() {
        let text = b": hi\n\ndata: a\r\n\r\ndata:b\rdata: c\r\rid: 7\n\ndata\n\nevent: x\ndata: d\n\ndata: tail";
        let (datas, raw, rest) = all(&[text]);
        assert_eq!(datas, ["a", "b\nc", "", "d"]);
        assert_eq!(rest, b"data: tail");
        assert_eq!([raw, rest].concat(), text);
    }

    #[test]
    fn an_event_beyond_the_cap_is_refused_before_it_is_complete() {
        let mut reader = SseReader::new(64);
        reader.space().extend_from_slice(&[b'x'; 65]);
        assert_eq!(reader.take(), Err(EventTooLarge(64)));
    }

    #[test]
    fn what_was_complete_before_too_large_an_event_is_given() {
        let small = b"data: a\n\n";
        for tail in [[b'x'; 65].to_vec(), [&[b'x'; 65][..], b"\n\ndata: b\n\n"].concat()] {
            let mut reader = SseReader::new(64);
            reader.space().extend_from_slice(&[small, &tail[..]].concat());
            assert_eq!(reader.take().unwrap(), &small[..]);
            assert_eq!(reader.too_large(), Some(EventTooLarge(64)));
            assert_eq!(reader.take(), Err(EventTooLarge(64)));
        }
    }

    #[test]
    fn a_line_end_after_a_lone_cr_is_not_swallowed() {
        let (datas, _, rest) = all(&[b"data: a\r", b"data: b\n", b"\n"]);
        assert_eq!(datas, ["a\nb"]);
        assert!(rest.is_empty());
    }

    /// Time must grow with the bytes, not with bytes times reads: 2 MiB in 16-byte reads took 130 000 searches of up to
    /// 2 MiB each before `searched` existed (minutes unoptimised).
    #[test]
    fn a_large_line_in_small_reads_is_searched_once() {
        let mut reader = SseReader::new(16 << 20);
        let began = std::time::Instant::now();
        for _ in 0..1 << 17 {
            reader.space().extend_from_slice(&[b'x'; 16]);
            assert!(reader.take().unwrap().is_empty());
        }
        reader.space().extend_from_slice(b"\n\n");
        assert_eq!(reader.take().unwrap().len(), (2 << 20) + 2);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }

    #[test]
    fn a_crlf_split_between_its_two_bytes_is_one_line_end() {
        let (datas, _, rest) = all(&[b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n", b"data: c\r\n\r\n"]);
        assert_eq!(datas, ["a\nb", "c"]);
        assert!(rest.is_empty());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events_and_bytes(
            lines in prop::collection::vec(prop_oneof![
                Just(&b"data: x"[..]), Just(&b"data:yy"[..]), Just(&b""[..]), Just(&b":c"[..]), Just(&b"event: e"[..])], 0..30),
            ends in prop::collection::vec(prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..]), Just(&b"\r"[..])], 30),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut text = Vec::new();
            for (line, end) in lines.iter().zip(&ends) {
                text.extend_from_slice(line);
                text.extend_from_slice(end);
            }
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let (split, raw, rest) = all(&pieces);
            let (whole, _, _) = all(&[&text]);
            prop_assert_eq!(split, whole);
            prop_assert_eq!([raw, rest].concat(), text);
        }
    }
}
