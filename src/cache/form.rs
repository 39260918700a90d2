//! The form that answers are kept in: the canonical answer in few bytes, compressed when long, and the envelope that an entry
//! travels in.
//!
//! ```text
//! answer:   version, then the members of `canonical::Response` in their order (`codec`); zstd above a length
//! envelope: "cqE" version │ u32 length of the rest │ u32 CRC-32 of the rest │ members of `Entry` in their order
//! ```
//! Figures little-endian. Bytes that come from elsewhere are hostile: lengths are checked before anything is allocated, and what
//! does not decode to its last byte is [`Damaged`]. The CRC finds accidents, not forgery: who may write to the shared tier may
//! put answers there. Another version is no damage to mend: it is read as none, and a fresh answer replaces it.

mod codec;
mod envelope;
mod storable;
#[cfg(test)]
mod tests;

pub use self::storable::storable;

use self::codec::{Reader, Stored};
use super::{Answer, Form};
use crate::wire::canonical::Response;
use crate::wire::{Dialect, Operation};
use bytes::Bytes;

/// Of the canonical form. Raised when its members change.
const VERSION: u8 = 1;

/// Longest answer that is unpacked, in bytes; the policy's `max_answer` is below.
pub const LONGEST: usize = 64 << 20;

/// zstd's level: 3 is its own default; higher ones take twice the time for some per cent.
const LEVEL: i32 = 3;

/// Kept bytes that cannot be read: of another version, cut, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kept answer cannot be read: {0}")]
pub struct Damaged(pub &'static str);

/// A model's answer, to be kept. `compress_above`: bytes from which on it is compressed.
pub fn pack(response: &Response<'_>, compress_above: usize) -> Answer {
    let mut bytes = Vec::with_capacity(512);
    bytes.push(VERSION);
    response.put(&mut bytes);
    packed(Form::Canonical, bytes, compress_above)
}

/// Another operation's answer, to be kept as it was sent.
pub fn pack_verbatim(dialect: Dialect, operation: Operation, body: &[u8], compress_above: usize) -> Answer {
    packed(Form::Verbatim(dialect, operation), body.to_vec(), compress_above)
}

fn packed(form: Form, mut bytes: Vec<u8>, compress_above: usize) -> Answer {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let smaller = (bytes.len() > compress_above)
        .then(|| zstd::bulk::compress(&bytes, LEVEL).ok())
        .flatten()
        .filter(|smaller| smaller.len() < bytes.len());
    let zstd = smaller.is_some();
    let bytes = match smaller {
        Some(mut smaller) => {
            smaller.shrink_to_fit();
            smaller.into()
        }
        None => {
            bytes.shrink_to_fit();
            bytes.into()
        }
    };
    Answer {
        form,
        zstd,
        length,
        bytes,
    }
}

/// A kept answer's bytes, not compressed: of a verbatim one, the body as it was sent; of a canonical one, what [`unpack`] reads.
pub fn plain(answer: &Answer) -> Result<Bytes, Damaged> {
    let length = answer.length as usize;
    if length > LONGEST {
        return Err(Damaged("too long"));
    }
    let bytes = if answer.zstd {
        // Never more than the length it claims.
        zstd::bulk::decompress(&answer.bytes, length)
            .map_err(|_| Damaged("not zstd"))?
            .into()
    } else {
        answer.bytes.clone()
    };
    if bytes.len() != length {
        return Err(Damaged("another length than it says"));
    }
    Ok(bytes)
}

/// A model's answer, from what [`plain`] gave.
pub fn unpack(bytes: &[u8]) -> Result<Response<'_>, Damaged> {
    let Some((version, rest)) = bytes.split_first() else {
        return Err(Damaged("empty"));
    };
    if *version != VERSION {
        return Err(Damaged("another version"));
    }
    let mut reader = Reader::new(rest);
    let response = Response::read(&mut reader)?;
    reader.end()?;
    Ok(response)
}
