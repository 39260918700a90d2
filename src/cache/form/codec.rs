//! Canonical answers as bytes: every value as its members in order, texts and lists with their length before them, an option with
//! a byte before it. No names, no padding.

use super::Damaged;
use crate::units::{ServiceTier, Usage};
use crate::wire::canonical::{
    Cache, Candidate, Citation, Finish, Logprob, Media, MediaKind, Part, Response, Signature, Source, Text, Thinking,
    ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::{Dialect, Operation};
use std::borrow::Cow;
use std::sync::Arc;

/// Parts within parts, at most: a document in a tool's result is three.
const DEEPEST: usize = 16;

/// Elements that are made room for before they are read: bytes may claim more than they hold.
const ROOM: usize = 64;

/// Bytes being read.
pub(super) struct Reader<'d> {
    rest: &'d [u8],
    depth: usize,
}

impl<'d> Reader<'d> {
    /// All of these.
    pub(super) fn new(bytes: &'d [u8]) -> Self {
        Self { rest: bytes, depth: 0 }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Damaged> {
        self.rest.is_empty().then_some(()).ok_or(Damaged("more than an answer"))
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'d [u8], Damaged> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Damaged("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// So many bytes.
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Damaged("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    /// How many follow: each takes a byte at least.
    fn count(&mut self) -> Result<usize, Damaged> {
        let count = usize::try_from(u64::read(self)?).map_err(|_| Damaged("too many"))?;
        (count <= self.rest.len()).then_some(count).ok_or(Damaged("cut short"))
    }
}

/// What can be kept.
pub(super) trait Stored<'d>: Sized {
    /// Append it.
    fn put(&self, out: &mut Vec<u8>);
    /// Read it.
    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged>;
}

impl<'d> Stored<'d> for u64 {
    /// Seven bits a byte, the lowest first.
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = from.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged("a figure that is too large"))
    }
}

impl<'d> Stored<'d> for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        u64::read(from)?
            .try_into()
            .map_err(|_| Damaged("a figure that is too large"))
    }
}

impl<'d> Stored<'d> for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bits().to_le_bytes());
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        Ok(Self::from_bits(u64::from_le_bytes(from.fixed()?)))
    }
}

impl<'d> Stored<'d> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damaged("neither true nor false")),
        }
    }
}

impl<'d> Stored<'d> for Text<'d> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        let length = from.count()?;
        let text = simdutf8::basic::from_utf8(from.bytes(length)?).map_err(|_| Damaged("not UTF-8"))?;
        Ok(Cow::Borrowed(text))
    }
}

macro_rules! owned_text {
    ($($name:ty),*) => {$(
        impl<'d> Stored<'d> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                Cow::Borrowed(&**self).put(out);
            }

            fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
                Text::read(from).map(|text| Self::from(&*text))
            }
        }
    )*};
}

owned_text!(Arc<str>, Box<str>);

impl<'d, T: Stored<'d>> Stored<'d> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<'d, T: Stored<'d>> Stored<'d> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        let count = from.count()?;
        let mut all = Self::with_capacity(count.min(ROOM));
        for _ in 0..count {
            all.push(T::read(from)?);
        }
        Ok(all)
    }
}

impl<'d, A: Stored<'d>, B: Stored<'d>> Stored<'d> for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

/// By name: the order of variants in the code is nobody's business.
macro_rules! named {
    ($($name:ident: $find:expr),*) => {$(
        impl<'d> Stored<'d> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                Cow::Borrowed(self.as_str()).put(out);
            }

            fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
                let name = Text::read(from)?;
                let find: fn(&str) -> Option<Self> = $find;
                find(&name).ok_or(Damaged("an unknown name"))
            }
        }
    )*};
}

named!(
    Dialect: Dialect::from_name,
    Operation: |name| Operation::ALL.into_iter().find(|one| one.as_str() == name)
);

/// Variants without members, by number; numbers are never used again.
macro_rules! numbered {
    ($($name:ident { $($variant:ident = $number:literal),* $(,)? })*) => {$(
        impl<'d> Stored<'d> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $number),* });
            }

            fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
                match from.byte()? {
                    $($number => Ok(Self::$variant),)*
                    _ => Err(Damaged("an unknown variant")),
                }
            }
        }
    )*};
}

numbered! {
    Cache { Default = 0, FiveMinutes = 1, OneHour = 2 }
    MediaKind { Image = 0, Audio = 1, Video = 2, Document = 3 }
    ToolCallKind { Function = 0, Custom = 1 }
    ServiceTier { Standard = 0, Batch = 1, Flex = 2, Priority = 3 }
}

/// Members in order; a new one does not compile until it is named here, and then [`super::VERSION`] is raised.
macro_rules! members {
    ($([$name:ty] { $($member:ident),* $(,)? })*) => {$(
        impl<'d> Stored<'d> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($member),* } = self;
                $($member.put(out);)*
            }

            fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
                Ok(Self { $($member: Stored::read(from)?),* })
            }
        }
    )*};
}

members! {
    [Response<'d>] { id, model, created, candidates, usage, service_tier, fingerprint }
    [Candidate<'d>] { index, parts, finish, stop_sequence, logprobs, safety }
    [Logprob<'d>] { token, logprob, top }
    [Citation<'d>] { url, title, cited_text, span, document, raw }
    [Thinking<'d>] { text, signature, redacted, id }
    [ToolCall<'d>] { id, name, arguments, kind, signature, cache }
    [ToolResult<'d>] { call_id, name, parts, is_error, kind, cache }
    [Media<'d>] { kind, source, media_type, detail, title, context, citations, transcript, cache, signature }
    [Signature<'d>] { origin, data }
    [Usage] {
        input, output, cached, cache_write, cache_write_1h, reasoning, audio_input, audio_output, unbilled_input,
        unbilled_output, web_searches, tier,
    }
}

impl<'d> Stored<'d> for Part<'d> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text {
                text,
                cache,
                citations,
                signature,
            } => {
                out.push(0);
                text.put(out);
                cache.put(out);
                citations.put(out);
                signature.put(out);
            }
            Self::Refusal(text) => {
                out.push(1);
                text.put(out);
            }
            Self::Media(media) => {
                out.push(2);
                media.put(out);
            }
            Self::Thinking(thinking) => {
                out.push(3);
                thinking.put(out);
            }
            Self::ToolCall(call) => {
                out.push(4);
                call.put(out);
            }
            Self::ToolResult(result) => {
                out.push(5);
                result.put(out);
            }
            Self::Opaque { dialect, kind, raw } => {
                out.push(6);
                dialect.put(out);
                kind.put(out);
                raw.put(out);
            }
        }
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        if from.depth == DEEPEST {
            return Err(Damaged("nested too deeply"));
        }
        from.depth += 1;
        let part = match from.byte()? {
            0 => Self::Text {
                text: Stored::read(from)?,
                cache: Stored::read(from)?,
                citations: Stored::read(from)?,
                signature: Stored::read(from)?,
            },
            1 => Self::Refusal(Stored::read(from)?),
            2 => Self::Media(Stored::read(from)?),
            3 => Self::Thinking(Stored::read(from)?),
            4 => Self::ToolCall(Stored::read(from)?),
            5 => Self::ToolResult(Stored::read(from)?),
            6 => Self::Opaque {
                dialect: Stored::read(from)?,
                kind: Stored::read(from)?,
                raw: Stored::read(from)?,
            },
            _ => return Err(Damaged("an unknown sort of part")),
        };
        from.depth -= 1;
        Ok(part)
    }
}

impl<'d> Stored<'d> for Source<'d> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Url(url) => {
                out.push(0);
                url.put(out);
            }
            Self::Base64(data) => {
                out.push(1);
                data.put(out);
            }
            Self::File { dialect, id } => {
                out.push(2);
                dialect.put(out);
                id.put(out);
            }
            Self::Text(text) => {
                out.push(3);
                text.put(out);
            }
            Self::Parts(parts) => {
                out.push(4);
                parts.put(out);
            }
        }
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        Ok(match from.byte()? {
            0 => Self::Url(Stored::read(from)?),
            1 => Self::Base64(Stored::read(from)?),
            2 => Self::File {
                dialect: Stored::read(from)?,
                id: Stored::read(from)?,
            },
            3 => Self::Text(Stored::read(from)?),
            4 => Self::Parts(Stored::read(from)?),
            _ => return Err(Damaged("an unknown source")),
        })
    }
}

impl<'d> Stored<'d> for Finish<'d> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Stop => 0,
            Self::StopSequence => 1,
            Self::Length => 2,
            Self::ContextWindow => 3,
            Self::ToolCalls => 4,
            Self::ContentFilter => 5,
            Self::Refusal => 6,
            Self::Pause => 7,
            Self::MalformedCall => 8,
            Self::Error => 9,
            Self::Other(_) => 10,
        });
        if let Self::Other(word) = self {
            word.put(out);
        }
    }

    fn read(from: &mut Reader<'d>) -> Result<Self, Damaged> {
        Ok(match from.byte()? {
            0 => Self::Stop,
            1 => Self::StopSequence,
            2 => Self::Length,
            3 => Self::ContextWindow,
            4 => Self::ToolCalls,
            5 => Self::ContentFilter,
            6 => Self::Refusal,
            7 => Self::Pause,
            8 => Self::MalformedCall,
            9 => Self::Error,
            10 => Self::Other(Stored::read(from)?),
            _ => return Err(Damaged("an unknown end")),
        })
    }
}
