//! `application/vnd.amazon.eventstream`, read incrementally: bytes in at any split, complete checked messages out.
//!
//! ```text
//! ┌ total length u32 ┬ headers length u32 ┬ CRC-32 of these 8 bytes ┬ headers ┬ payload ┬ CRC-32 of all before ┐
//! header: name length u8, name, value type u8, value (strings and bytes: length u16 first)
//! ```
//! Everything is big-endian. The prelude has its own checksum so that a broken length is noticed before it is believed;
//! lengths are bounded before anything is allocated. What stays unread of a broken stream is never given out: its
//! boundaries cannot be trusted any more, so the first error is final.
//! Source: AWS, "Event stream encoding" (Amazon Transcribe developer guide, streaming-setting-up; smithy.io,
//! amazon-eventstream), read 2026-11; checked against botocore 1.44 both ways.
//!
//! Not for what the messages mean: that is the provider's codec. [`write()`] is for tests, fake providers and fuzzing.

mod message;
mod write;

#[cfg(test)]
mod tests;

pub use self::message::{HeaderValue, Headers, Message};
pub use self::write::{Unwritable, event, exception, write};

use bytes::{Buf, BytesMut};

/// Lengths and checksum before the headers.
const PRELUDE: usize = 12;
/// Prelude and the last checksum: the smallest message.
const FRAME: usize = PRELUDE + 4;
/// AWS allows 128 KiB of headers.
const MOST_HEADER_BYTES: usize = 128 * 1024;
/// Far beyond the three or four that AWS sends; looking one up is a walk.
const MOST_HEADERS: usize = 64;

/// Why bytes are no event stream. Final: the reader gives nothing after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The lengths were damaged, or this is no event stream at all.
    #[error("the prelude's checksum does not match")]
    PreludeChecksum,
    /// The message was damaged.
    #[error("the message's checksum does not match")]
    MessageChecksum,
    /// The lengths contradict each other.
    #[error("the message's lengths are impossible: {total} bytes with {headers} of headers")]
    Lengths {
        /// Bytes of the message.
        total: u32,
        /// Of them, headers.
        headers: u32,
    },
    /// Larger than the configured cap.
    #[error("a stream message is {size} bytes, more than the {most} allowed")]
    TooLarge {
        /// What it says.
        size: usize,
        /// What is allowed.
        most: usize,
    },
    /// The headers do not follow the format.
    #[error("a message header is malformed: {0}")]
    Header(&'static str),
    /// The stream ended inside a message.
    #[error("the stream ended inside a message, {0} bytes into it")]
    Truncated(usize),
}

/// Splits a byte stream into messages.
#[derive(Debug)]
pub struct FrameReader {
    pending: BytesMut,
    max_message: usize,
    failed: Option<FrameError>,
}

impl FrameReader {
    /// A reader that refuses messages larger than `max_message` bytes.
    pub fn new(max_message: usize) -> Self {
        Self {
            pending: BytesMut::new(),
            max_message,
            failed: None,
        }
    }

    /// Room for the next bytes; whoever reads from a socket appends here, then calls [`Self::take`] until it gives nothing.
    pub fn space(&mut self) -> &mut BytesMut {
        &mut self.pending
    }

    /// The next complete message. Messages before a broken one are still given; the error stays.
    pub fn take(&mut self) -> Result<Option<Message>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let taken = self.next();
        if let Err(error) = &taken {
            self.failed = Some(*error);
            self.pending.clear();
        }
        taken
    }

    fn next(&mut self) -> Result<Option<Message>, FrameError> {
        let Some((total, headers)) = self.lengths()? else {
            return Ok(None);
        };
        if self.pending.len() < total {
            return Ok(None);
        }
        let mut frame = self.pending.split_to(total).freeze();
        let (checked, sum) = frame.split_at(total - 4);
        if crc32fast::hash(checked) != word(sum, 0) {
            return Err(FrameError::MessageChecksum);
        }
        frame.truncate(total - 4);
        frame.advance(PRELUDE);
        let payload = frame.split_off(headers);
        Message::new(frame, payload).map(Some)
    }

    /// Bytes of the message at the front and of its headers, once its prelude is there and sound.
    fn lengths(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let Some(prelude) = self.pending.get(..PRELUDE) else {
            return Ok(None);
        };
        let sealed = prelude.get(..8).unwrap_or_default();
        if crc32fast::hash(sealed) != word(prelude, 8) {
            return Err(FrameError::PreludeChecksum);
        }
        let (total, headers) = (word(prelude, 0), word(prelude, 4));
        let (size, header_size) = (total as usize, headers as usize);
        if size < FRAME || header_size > size - FRAME || header_size > MOST_HEADER_BYTES {
            return Err(FrameError::Lengths { total, headers });
        }
        if size > self.max_message {
            return Err(FrameError::TooLarge {
                size,
                most: self.max_message,
            });
        }
        Ok(Some((size, header_size)))
    }

    /// Bytes of an unfinished message.
    pub fn unfinished(&self) -> &[u8] {
        &self.pending
    }

    /// The stream has ended: an error if that was inside a message, or if an error came before.
    pub fn finish(&self) -> Result<(), FrameError> {
        match (self.failed, self.pending.len()) {
            (Some(error), _) => Err(error),
            (None, 0) => Ok(()),
            (None, rest) => Err(FrameError::Truncated(rest)),
        }
    }
}

/// The big-endian word at this place; whoever calls has looked that it is there.
fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_be_bytes)
}

/// All messages of a whole stream.
pub fn messages(stream: &[u8], max_message: usize) -> Result<Vec<Message>, FrameError> {
    let mut reader = FrameReader::new(max_message);
    reader.space().extend_from_slice(stream);
    let mut all = Vec::new();
    while let Some(message) = reader.take()? {
        all.push(message);
    }
    reader.finish()?;
    Ok(all)
}
