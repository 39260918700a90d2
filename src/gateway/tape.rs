//! An answer under way, recorded while it is sent: for those that asked the same and follow it, and for the cache.
//!
//! ```text
//! leader: push ─► pieces ─► end          followers: each reads from the first piece on, at its own pace
//! ```
//! Holds what was sent to the leader's client, in that client's dialect; each follower has it written anew in its own. The one
//! idea: pieces are the very buffers that were written, counted and not copied.

use super::buffers::Room;
use crate::units::Usage;
use crate::wire::{Call, Dialect, Envelope, Operation};
use bytes::Bytes;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How a recorded answer is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// In which dialect.
    pub dialect: Dialect,
    /// What was asked.
    pub operation: Operation,
    /// As a stream.
    pub stream: bool,
    /// As one JSON array (Gemini).
    pub json_array: bool,
    /// With usage in it: clients of OpenAI's chat streams get it only if they ask for it.
    pub tells_usage: bool,
}

impl Shape {
    /// The answer to this call. `usage_asked`: it asks for usage in its stream.
    pub fn of(call: &Call, usage_asked: bool) -> Self {
        Self {
            dialect: call.dialect,
            operation: call.operation,
            stream: call.streamed(),
            json_array: call.json_array,
            tells_usage: usage_asked || !call.streamed() || call.dialect != Dialect::OpenAi,
        }
    }

    /// A call with such an answer, without a body: for who reads the answer back.
    pub fn call(self) -> Call {
        Call {
            operation: self.operation,
            dialect: self.dialect,
            json_array: self.json_array,
            body: Bytes::new(),
            envelope: Envelope {
                stream: self.stream,
                ..Envelope::default()
            },
        }
    }
}

/// How a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the whole answer.
    Complete,
    /// Before it was whole.
    Broken,
}

/// A recording.
#[derive(Debug)]
pub struct Tape {
    /// How it is framed.
    pub shape: Shape,
    inner: Mutex<Inner>,
    grown: Notify,
    readers: AtomicUsize,
}

struct Inner {
    pieces: Vec<Bytes>,
    bytes: usize,
    end: Option<End>,
    /// What the answer took, where it does not say it itself.
    usage: Option<Usage>,
    /// Paid for as other bodies are. Grows with the pieces.
    room: Room,
}

// What was answered is in no log.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("bytes", &self.bytes)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Tape {
    /// Nothing recorded.
    pub fn new(shape: Shape, room: Room) -> Self {
        Self {
            shape,
            inner: Mutex::new(Inner {
                pieces: Vec::new(),
                bytes: 0,
                end: None,
                usage: None,
                room,
            }),
            grown: Notify::new(),
            readers: AtomicUsize::new(0),
        }
    }

    /// Record a piece that was sent. False: there is no room for it; nothing more is recorded and it has ended as broken.
    pub fn push(&self, piece: &Bytes, at_most: usize, buffered: usize) -> bool {
        let fits = {
            let mut inner = self.lock();
            if inner.end.is_some() {
                return false;
            }
            let bytes = inner.bytes.saturating_add(piece.len());
            let fits = bytes <= at_most && inner.room.grow_to(bytes, buffered).is_ok();
            if fits {
                inner.bytes = bytes;
                inner.pieces.push(piece.clone());
            } else {
                inner.end = Some(End::Broken);
            }
            fits
        };
        self.grown.notify_waiters();
        fits
    }

    /// Nothing more comes.
    pub fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.grown.notify_waiters();
    }

    /// All of it was sent, and took this.
    pub fn complete(&self, usage: Option<Usage>) {
        self.lock().usage = usage;
        self.end(End::Complete);
    }

    /// What it took, once it is complete.
    pub fn usage(&self) -> Option<Usage> {
        self.lock().usage
    }

    /// All of it, once it has ended.
    pub fn pieces(&self) -> Vec<Bytes> {
        self.lock().pieces.clone()
    }

    /// Bytes recorded.
    pub fn len(&self) -> usize {
        self.lock().bytes
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether anybody follows it.
    pub fn is_followed(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0
    }

    /// Follow it from its beginning.
    pub fn reader(self: &Arc<Self>) -> TapeReader {
        self.readers.fetch_add(1, Ordering::AcqRel);
        TapeReader {
            tape: Arc::clone(self),
            next: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Only lists are touched while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that follows.
#[derive(Debug)]
pub struct TapeReader {
    tape: Arc<Tape>,
    next: usize,
}

impl TapeReader {
    /// What it follows.
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// Wait for what has not been read; nothing but an end when there is no more. Cancel-safe.
    pub async fn read(&mut self) -> (Vec<Bytes>, Option<End>) {
        loop {
            let grown = self.tape.grown.notified();
            {
                let inner = self.tape.lock();
                let new = inner.pieces.get(self.next..).unwrap_or_default();
                if !new.is_empty() || inner.end.is_some() {
                    let new = new.to_vec();
                    self.next += new.len();
                    return (new, inner.end);
                }
            }
            grown.await;
        }
    }

    /// Wait for its end.
    pub async fn ended(&mut self) -> End {
        loop {
            if let (_, Some(end)) = self.read().await {
                return end;
            }
        }
    }
}

/// Another one that follows, from where this one is.
impl Clone for TapeReader {
    fn clone(&self) -> Self {
        self.tape.readers.fetch_add(1, Ordering::AcqRel);
        Self {
            tape: Arc::clone(&self.tape),
            next: self.next,
        }
    }
}

impl Drop for TapeReader {
    fn drop(&mut self) {
        self.tape.readers.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffers::Buffers;
    use super::*;

    fn tape() -> Arc<Tape> {
        let shape = Shape {
            dialect: Dialect::OpenAi,
            operation: Operation::Chat,
            stream: true,
            json_array: false,
            tells_usage: true,
        };
        Arc::new(Tape::new(shape, Room::none(&Arc::new(Buffers::default()))))
    }

    fn text(pieces: &[Bytes]) -> String {
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn followers_read_all_of_it_whenever_they_come() {
        let tape = tape();
        let mut early = tape.reader();
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            loop {
                let (new, end) = early.read().await;
                all.extend(new);
                if let Some(end) = end {
                    return (text(&all), end);
                }
            }
        });
        for piece in ["a", "b", "c"] {
            assert!(tape.push(&Bytes::from(piece), 10, 100));
            tokio::task::yield_now().await;
        }
        let mut late = tape.reader();
        assert!(tape.is_followed());
        tape.end(End::Complete);
        tape.end(End::Broken);
        assert_eq!(reading.await.unwrap(), ("abc".to_owned(), End::Complete));
        assert_eq!(late.ended().await, End::Complete);
        assert_eq!(text(&tape.pieces()), "abc");
        let another = late.clone();
        drop(late);
        assert!(tape.is_followed());
        drop(another);
        assert!(!tape.is_followed());
    }

    #[test]
    fn what_is_too_long_breaks_it() {
        let tape = tape();
        assert!(tape.push(&Bytes::from("12345"), 8, 100));
        assert!(!tape.push(&Bytes::from("6789"), 8, 100));
        assert!(!tape.push(&Bytes::from("x"), 8, 100));
        assert_eq!((tape.len(), tape.is_empty()), (5, false));
        assert_eq!(tape.lock().end, Some(End::Broken));
    }

    #[test]
    fn what_there_is_no_memory_for_breaks_it() {
        let tape = tape();
        assert!(!tape.push(&Bytes::from("12345"), 8, 4));
        assert_eq!(tape.lock().end, Some(End::Broken));
    }
}
