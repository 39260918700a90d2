//! What is hashed into a key: tagged, length-prefixed, so that no two different lists of things are the same bytes.
//!
//! All of it is gathered and hashed at once: SHA-256 over one buffer costs a third of many small updates.

use ring::digest::{SHA256, digest};

/// Things to be hashed.
pub(super) struct Digest {
    bytes: Vec<u8>,
}

impl Digest {
    /// Nothing yet. `domain`: what it is a hash of; hashes of two domains are never compared.
    pub(super) fn new(domain: &str, capacity: usize) -> Self {
        let mut new = Self {
            bytes: Vec::with_capacity(capacity),
        };
        new.text(domain);
        new
    }

    /// One of a few.
    pub(super) fn tag(&mut self, tag: u8) {
        self.bytes.push(tag);
    }

    /// A number.
    pub(super) fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// A length: short, since nearly all are.
    pub(super) fn length(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short) if short < u8::MAX => self.bytes.push(short),
            _ => {
                self.bytes.push(u8::MAX);
                self.number(length as u64);
            }
        }
    }

    /// Text.
    pub(super) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Bytes of a known number.
    pub(super) fn fixed<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Something that may be absent.
    pub(super) fn maybe<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.tag(0),
            Some(value) => {
                self.tag(1);
                put(self, value);
            }
        }
    }

    /// The first 128 bits of SHA-256 over all of it.
    pub(super) fn finish(self) -> [u8; 16] {
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(digest(&SHA256, &self.bytes).as_ref()) {
            *to = *from;
        }
        short
    }
}
