//! A value that must not be shown: no `Display`, a redacted `Debug`, zeroed when dropped.
//!
//! Not for keeping secrets at rest; it only stops them from slipping into logs, errors and core dumps by accident.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::{Zeroize, Zeroizing};

/// A credential in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Take ownership of a credential; surrounding white space (a file's last newline) is removed.
    pub fn new(mut value: String) -> Self {
        let trimmed = value.trim().to_owned();
        value.zeroize();
        Self(trimmed)
    }

    /// The value itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The 32 bytes that it writes as 64 hexadecimal digits or as base64; nothing if it is something else.
    pub fn bytes_32(&self) -> Option<Zeroizing<[u8; 32]>> {
        let mut bytes = Zeroizing::new([0; 32]);
        if self.0.len() == 64 {
            for (byte, digits) in bytes.iter_mut().zip(self.0.as_bytes().chunks_exact(2)) {
                let digits = std::str::from_utf8(digits).ok()?;
                let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                *byte = u8::from_str_radix(digits, 16).ok().filter(|_| plain)?;
            }
            return Some(bytes);
        }
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            if let Ok(decoded) = engine.decode(&self.0).map(Zeroizing::new)
                && decoded.len() == bytes.len()
            {
                bytes.copy_from_slice(&decoded);
                return Some(bytes);
            }
        }
        None
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_value_and_white_space_is_trimmed() {
        let secret = Secret::new("  sk-very-secret\n".to_owned());
        assert_eq!(secret.expose(), "sk-very-secret");
        assert!(!format!("{secret:?}").contains("very"));
    }
}
