//! Names that travel with a request: its id, and the id of the target that served it.
//!
//! Not for display logic. A request id is kept as a header value because that is where it is used most.

use http::HeaderValue;
use std::fmt;
use std::sync::Arc;

/// Longest client-chosen request id that is kept.
const MAX_CLIENT_ID: usize = 128;

/// Identifies one request in headers, logs and error bodies. Always visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own id when it is sane (1–128 characters of `A–Z a–z 0–9 . _ - :`), else a new random one.
    pub fn accept(client: Option<&HeaderValue>) -> Self {
        match client {
            Some(value) if is_sane(value.as_bytes()) => Self(value.clone()),
            _ => Self::random(),
        }
    }

    /// For a request that has none yet.
    pub fn unset() -> Self {
        Self(HeaderValue::from_static("-"))
    }

    /// `req_` and 128 random bits in hexadecimal. Unique, not secret.
    pub fn random() -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"req_00000000000000000000000000000000";
        let bits = fastrand::u128(..);
        for (i, slot) in text.iter_mut().skip(4).enumerate() {
            let nibble = ((bits >> (i * 4)) & 0xf) as usize;
            *slot = HEX.get(nibble).copied().unwrap_or(b'0');
        }
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("req_0")))
    }

    /// As a header value, for echoing.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_sane(id: &[u8]) -> bool {
    !id.is_empty()
        && id.len() <= MAX_CLIENT_ID
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':'))
}

/// Identifies a target across reloads: `provider/model`, with `#n` after it where a pool repeats one.
/// Breakers and counters are kept by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(Arc<str>);

impl TargetId {
    /// From its text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As shared text.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_client_id_is_kept_and_others_are_replaced() {
        let sane = HeaderValue::from_static("trace-42.a_b:c");
        assert_eq!(RequestId::accept(Some(&sane)).as_str(), "trace-42.a_b:c");
        for bad in ["", "has space", "quote\"", &"x".repeat(129)] {
            let value = HeaderValue::from_str(bad).unwrap();
            assert!(RequestId::accept(Some(&value)).as_str().starts_with("req_"), "{bad:?}");
        }
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(RequestId::random(), RequestId::random());
        assert_eq!(RequestId::random().as_str().len(), 36);
    }
}
