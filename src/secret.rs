//! A value that must not be shown: no `Display`, a redacted `Debug`, zeroed when dropped.
//!
//! Not for keeping secrets at rest; it only stops them from slipping into logs, errors and core dumps by accident.

use zeroize::Zeroize;

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
