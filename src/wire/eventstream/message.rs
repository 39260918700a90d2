//! One message of an event stream: its headers and its payload.

use super::{FrameError, MOST_HEADERS};
use bytes::Bytes;

/// A complete message whose checksums and headers were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    headers: Bytes,
    /// The body, as it came.
    pub payload: Bytes,
}

/// The value of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// Types 0 and 1.
    Bool(bool),
    /// Type 2.
    Byte(i8),
    /// Type 3.
    Short(i16),
    /// Type 4.
    Int(i32),
    /// Type 5.
    Long(i64),
    /// Type 6.
    Bytes(&'a [u8]),
    /// Type 7.
    Text(&'a str),
    /// Type 8: milliseconds since 1970.
    Timestamp(i64),
    /// Type 9.
    Uuid([u8; 16]),
}

impl Message {
    /// Check the headers once, so that looking them up later cannot fail.
    pub(super) fn new(headers: Bytes, payload: Bytes) -> Result<Self, FrameError> {
        let mut seen: [&str; MOST_HEADERS] = [""; MOST_HEADERS];
        let mut rest: &[u8] = &headers;
        let mut count = 0;
        while !rest.is_empty() {
            let (name, _, after) = header(rest)?;
            let before = seen.get(..count).unwrap_or_default();
            if before.contains(&name) {
                return Err(FrameError::Header("a name comes twice"));
            }
            let slot = seen.get_mut(count).ok_or(FrameError::Header("there are too many"))?;
            *slot = name;
            count += 1;
            rest = after;
        }
        Ok(Self { headers, payload })
    }

    /// The headers, in order.
    pub fn headers(&self) -> Headers<'_> {
        Headers { rest: &self.headers }
    }

    /// The text of a header; nothing when it is absent or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.headers().find_map(|(key, value)| match value {
            HeaderValue::Text(text) if key == name => Some(text),
            _ => None,
        })
    }

    /// `:message-type`: `event`, `exception` (one the service's model knows) or `error` (any other).
    pub fn message_type(&self) -> Option<&str> {
        self.text(":message-type")
    }

    /// `:event-type`.
    pub fn event_type(&self) -> Option<&str> {
        self.text(":event-type")
    }

    /// `:exception-type`.
    pub fn exception_type(&self) -> Option<&str> {
        self.text(":exception-type")
    }

    /// `:content-type` of the payload.
    pub fn content_type(&self) -> Option<&str> {
        self.text(":content-type")
    }

    /// Whether it reports a failure.
    pub fn is_exception(&self) -> bool {
        matches!(self.message_type(), Some("exception" | "error"))
    }

    /// What it is called: the event's, the exception's or the error's name, whichever there is; else empty.
    pub fn name(&self) -> &str {
        self.event_type()
            .or_else(|| self.exception_type())
            .or_else(|| self.text(":error-code"))
            .unwrap_or_default()
    }

    /// What an `error` message says; an `exception` says it in its payload.
    pub fn error_message(&self) -> Option<&str> {
        self.text(":error-message")
    }
}

/// Iterator over a message's headers.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, HeaderValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, after) = header(self.rest).ok()?;
        self.rest = after;
        Some((name, value))
    }
}

/// The header at the front of these bytes, and what follows it.
fn header(bytes: &[u8]) -> Result<(&str, HeaderValue<'_>, &[u8]), FrameError> {
    const SHORT: FrameError = FrameError::Header("it ends too early");
    let (&length, rest) = bytes.split_first().ok_or(SHORT)?;
    if length == 0 {
        return Err(FrameError::Header("it has no name"));
    }
    let (name, rest) = rest.split_at_checked(usize::from(length)).ok_or(SHORT)?;
    let name = std::str::from_utf8(name).map_err(|_| FrameError::Header("its name is not UTF-8"))?;
    let (&kind, rest) = rest.split_first().ok_or(SHORT)?;
    let size = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        6 | 7 => 2 + usize::from(be::<2>(rest).map(u16::from_be_bytes).ok_or(SHORT)?),
        9 => 16,
        _ => return Err(FrameError::Header("its value is of an unknown type")),
    };
    let (raw, after) = rest.split_at_checked(size).ok_or(SHORT)?;
    let value = match kind {
        0 | 1 => HeaderValue::Bool(kind == 0),
        2 => HeaderValue::Byte(be::<1>(raw).map(i8::from_be_bytes).ok_or(SHORT)?),
        3 => HeaderValue::Short(be::<2>(raw).map(i16::from_be_bytes).ok_or(SHORT)?),
        4 => HeaderValue::Int(be::<4>(raw).map(i32::from_be_bytes).ok_or(SHORT)?),
        5 => HeaderValue::Long(be::<8>(raw).map(i64::from_be_bytes).ok_or(SHORT)?),
        8 => HeaderValue::Timestamp(be::<8>(raw).map(i64::from_be_bytes).ok_or(SHORT)?),
        9 => HeaderValue::Uuid(be::<16>(raw).ok_or(SHORT)?),
        6 => HeaderValue::Bytes(raw.get(2..).unwrap_or_default()),
        _ => {
            let text = raw.get(2..).unwrap_or_default();
            HeaderValue::Text(std::str::from_utf8(text).map_err(|_| FrameError::Header("its text is not UTF-8"))?)
        }
    };
    Ok((name, value, after))
}

/// The first `N` bytes.
fn be<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}
