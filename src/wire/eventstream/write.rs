//! Writing messages: for tests, fake providers and fuzzing. The gateway itself only reads them.

use super::{FRAME, HeaderValue, MOST_HEADER_BYTES, MOST_HEADERS};

/// Why something is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be written as an event stream message: {0}")]
pub struct Unwritable(&'static str);

/// Append one message.
pub fn write(headers: &[(&str, HeaderValue<'_>)], payload: &[u8], out: &mut Vec<u8>) -> Result<(), Unwritable> {
    if headers.len() > MOST_HEADERS {
        return Err(Unwritable("too many headers"));
    }
    let mut block = Vec::new();
    for (name, value) in headers {
        let length = u8::try_from(name.len()).map_err(|_| Unwritable("a header's name is too long"))?;
        if length == 0 {
            return Err(Unwritable("a header has no name"));
        }
        block.push(length);
        block.extend_from_slice(name.as_bytes());
        put(*value, &mut block)?;
    }
    if block.len() > MOST_HEADER_BYTES {
        return Err(Unwritable("the headers are too large"));
    }
    let total = u32::try_from(FRAME + block.len() + payload.len()).map_err(|_| Unwritable("it is too large"))?;
    let start = out.len();
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&(block.len() as u32).to_be_bytes());
    seal(start, out);
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    seal(start, out);
    Ok(())
}

/// Append the checksum of everything since `start`.
fn seal(start: usize, out: &mut Vec<u8>) {
    let sum = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_be_bytes());
}

fn put(value: HeaderValue<'_>, block: &mut Vec<u8>) -> Result<(), Unwritable> {
    let sized = |kind: u8, bytes: &[u8], block: &mut Vec<u8>| {
        let length = u16::try_from(bytes.len()).map_err(|_| Unwritable("a header's value is too long"))?;
        block.push(kind);
        block.extend_from_slice(&length.to_be_bytes());
        block.extend_from_slice(bytes);
        Ok(())
    };
    let mut fixed = |kind: u8, bytes: &[u8]| {
        block.push(kind);
        block.extend_from_slice(bytes);
        Ok(())
    };
    match value {
        HeaderValue::Bool(yes) => fixed(u8::from(!yes), &[]),
        HeaderValue::Byte(number) => fixed(2, &number.to_be_bytes()),
        HeaderValue::Short(number) => fixed(3, &number.to_be_bytes()),
        HeaderValue::Int(number) => fixed(4, &number.to_be_bytes()),
        HeaderValue::Long(number) => fixed(5, &number.to_be_bytes()),
        HeaderValue::Timestamp(number) => fixed(8, &number.to_be_bytes()),
        HeaderValue::Uuid(bytes) => fixed(9, &bytes),
        HeaderValue::Bytes(bytes) => sized(6, bytes, block),
        HeaderValue::Text(text) => sized(7, text.as_bytes(), block),
    }
}

/// Append an event with a JSON payload, as Bedrock writes it.
pub fn event(name: &str, json: &[u8], out: &mut Vec<u8>) -> Result<(), Unwritable> {
    named(":event-type", name, "event", json, out)
}

/// Append an exception with a JSON payload (`{"message":"…"}`), as Bedrock writes it.
pub fn exception(name: &str, json: &[u8], out: &mut Vec<u8>) -> Result<(), Unwritable> {
    named(":exception-type", name, "exception", json, out)
}

fn named(key: &str, name: &str, kind: &str, json: &[u8], out: &mut Vec<u8>) -> Result<(), Unwritable> {
    let headers = [
        (key, HeaderValue::Text(name)),
        (":content-type", HeaderValue::Text("application/json")),
        (":message-type", HeaderValue::Text(kind)),
    ];
    write(&headers, json, out)
}
