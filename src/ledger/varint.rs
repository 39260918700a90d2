//! Numbers and texts as bytes: what the spool's rows and the stores' packed columns are written in.
//!
//! Not which of them come in which order. The one idea: numbers are LEB128; what may be missing (`maybe_`) is 0 or, of numbers, 1
//! and the number, of texts, the length plus one and the text; a text is its length and its bytes. Reading any bytes ends.

/// Read no more numbers of one list than this.
pub(crate) const CLASSES: usize = 16;

/// Bytes that are nothing this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a row that this version can read")]
pub struct Unreadable;

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that a number takes.
pub(crate) fn width(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

pub(crate) fn maybe_number(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        number(out, value);
    }
}

pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    number(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

pub(crate) fn maybe_text(out: &mut Vec<u8>, value: Option<&str>) {
    number(out, value.map_or(0, |value| value.len() as u64 + 1));
    out.extend_from_slice(value.unwrap_or_default().as_bytes());
}

pub(crate) fn numbers(out: &mut Vec<u8>, values: &[u64]) {
    number(out, values.len() as u64);
    for value in values {
        number(out, *value);
    }
}

/// What is left to read.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            let part = u64::from(byte & 0x7F);
            if index == 9 && part > 1 {
                return Err(Unreadable);
            }
            value |= part << (7 * index);
            if byte & 0x80 == 0 {
                self.take(index + 1)?;
                return Ok(value);
            }
        }
        Err(Unreadable)
    }

    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Unreadable> {
        T::try_from(self.number()?).map_err(|_| Unreadable)
    }

    pub(crate) fn maybe_number(&mut self) -> Result<Option<u64>, Unreadable> {
        match self.take(1)? {
            [0] => Ok(None),
            _ => self.number().map(Some),
        }
    }

    /// A number of things that take a byte each at least: never more than there are bytes.
    pub(crate) fn count(&mut self) -> Result<usize, Unreadable> {
        let count: usize = self.small()?;
        if count > self.0.len() {
            Err(Unreadable)
        } else {
            Ok(count)
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = self.small()?;
        simdutf8::basic::from_utf8(self.take(length)?).map_err(|_| Unreadable)
    }

    /// A text that may be missing, of a version that may be older than it.
    pub(crate) fn added_text(&mut self) -> Result<Option<&'a str>, Unreadable> {
        if self.0.is_empty() { Ok(None) } else { self.maybe_text() }
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<&'a str>, Unreadable> {
        let Some(length) = self.number()?.checked_sub(1) else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| Unreadable)?;
        let bytes = self.take(length)?;
        simdutf8::basic::from_utf8(bytes).map(Some).map_err(|_| Unreadable)
    }

    /// None of them is nothing at all: how a missing cost is written.
    pub(crate) fn numbers(&mut self) -> Result<Option<[u64; CLASSES]>, Unreadable> {
        let count = self.count()?;
        let mut values = [0; CLASSES];
        let mut slots = values.iter_mut();
        for _ in 0..count {
            let value = self.number()?;
            if let Some(slot) = slots.next() {
                *slot = value;
            }
        }
        Ok((count > 0).then_some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_wide_as_it_is_said_to_be() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                number(&mut out, value);
                assert_eq!(out.len() as u64, width(value), "{value}");
                assert_eq!(Reader(&out).number(), Ok(value));
            }
        }
    }
}
