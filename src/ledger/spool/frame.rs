//! Records in a segment: how each is framed, and how the next good one is found behind damage.
//!
//! ```text
//! marker (4) · length (4, little endian) · CRC-32 of the payload (4) · CRC-32 of these twelve bytes (4) · payload
//! ```
//! Not what a payload means (`encoding`) and no input or output. The one idea: the header has a checksum of its own, so a
//! length is believed or not before anything is skipped by it; reading any bytes takes time linear in their number and always
//! gets further.

use memchr::memmem;

/// What every record begins with.
const MARKER: [u8; 4] = [0xC1, 0x9E, 0x0D, 0xB5];
/// Bytes before the payload.
pub const HEADER: usize = 16;
/// Bytes of a payload at most. Rows are some hundred bytes; metadata has a limit of its own, far below this.
pub const LONGEST: usize = 1024 * 1024;

/// Append a record whose payload `write` appends. False, and nothing is appended, when it is too long.
pub fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = out.len();
    out.resize(start + HEADER, 0);
    write(out);
    let (head, payload) = out.split_at_mut(start + HEADER);
    let Some(head) = head.get_mut(start..) else {
        return false;
    };
    if payload.len() > LONGEST {
        out.truncate(start);
        return false;
    }
    let mut header = [0; 12];
    let (marker, rest) = header.split_at_mut(4);
    let (length, crc) = rest.split_at_mut(4);
    marker.copy_from_slice(&MARKER);
    length.copy_from_slice(&(payload.len() as u32).to_le_bytes());
    crc.copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let (front, check) = head.split_at_mut(12);
    front.copy_from_slice(&header);
    check.copy_from_slice(&crc32fast::hash(&header).to_le_bytes());
    true
}

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record, and where the next one begins.
    Record(&'a [u8], usize),
    /// Something else, and where to go on; always further than before.
    Damaged(usize),
    /// The last record was not written to its end.
    Torn,
    /// More bytes are needed, from this place on.
    More,
    /// Nothing.
    End,
}

/// Look at a place in bytes. `whole`: nothing comes after them; otherwise there is more to be had.
pub fn at(bytes: &[u8], place: usize, whole: bool) -> Found<'_> {
    let rest = bytes.get(place..).unwrap_or_default();
    if rest.is_empty() {
        return if whole { Found::End } else { Found::More };
    }
    if rest.len() < HEADER {
        return match (whole, begins_a_record(rest)) {
            (false, _) => Found::More,
            (true, true) => Found::Torn,
            (true, false) => Found::Damaged(place + rest.len()),
        };
    }
    let Some((length, crc)) = header(rest) else {
        return Found::Damaged(resume(bytes, place, whole));
    };
    let end = HEADER + length;
    match rest.get(HEADER..end) {
        Some(payload) if crc32fast::hash(payload) == crc => Found::Record(payload, place + end),
        Some(_) => Found::Damaged(place + end),
        None if !whole => Found::More,
        // The tail is missing; unless more records follow, because the middle is.
        None => match memmem::find(rest.get(1..).unwrap_or_default(), &MARKER) {
            Some(found) => Found::Damaged(place + 1 + found),
            None => Found::Torn,
        },
    }
}

fn begins_a_record(rest: &[u8]) -> bool {
    let length = rest.len().min(MARKER.len());
    rest.get(..length) == MARKER.get(..length)
}

/// Length and checksum of the payload, if this is a header.
fn header(rest: &[u8]) -> Option<(usize, u32)> {
    let (front, check) = rest.get(..HEADER)?.split_at(12);
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    if !front.starts_with(&MARKER) || number(check)? != crc32fast::hash(front) {
        return None;
    }
    let length = usize::try_from(number(front.get(4..8)?)?).ok()?;
    (length <= LONGEST).then_some((length, number(front.get(8..12)?)?))
}

/// Where the next marker is, or where it could begin.
fn resume(bytes: &[u8], place: usize, whole: bool) -> usize {
    let behind = bytes.get(place + 1..).unwrap_or_default();
    match memmem::find(behind, &MARKER) {
        Some(found) => place + 1 + found,
        None if whole => bytes.len(),
        None => bytes.len() - (MARKER.len() - 1),
    }
}
