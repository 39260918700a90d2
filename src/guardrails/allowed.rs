//! Values that look like something and are none: what an operator lets pass.

use crate::glob;
use std::fmt;

/// The longest value that may be allowed, in bytes.
const LONGEST: usize = 1024;

/// Values, as [`glob`] patterns.
pub(super) struct Allowed {
    patterns: Vec<String>,
    /// Whatever their case.
    any_case: bool,
}

impl Allowed {
    /// These. `any_case`: whatever their case, of ASCII letters.
    ///
    /// # Errors
    /// A value that is empty, allows everything or is longer than 1 KiB.
    pub(super) fn new(values: &[String], any_case: bool) -> Result<Self, String> {
        if let Some(bad) = values.iter().find(|value| value.trim_matches('*').is_empty()) {
            return Err(format!("`{bad}` would allow nothing or everything"));
        }
        if values.iter().any(|value| value.len() > LONGEST) {
            return Err(format!("a value that is allowed is longer than {LONGEST} bytes"));
        }
        let patterns = values.iter();
        Ok(Self {
            patterns: patterns
                .map(|value| {
                    if any_case {
                        value.to_ascii_lowercase()
                    } else {
                        value.clone()
                    }
                })
                .collect(),
            any_case,
        })
    }

    /// Whether this is one of them, as a whole.
    pub(super) fn has(&self, value: &str) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        let fits = |value: &str| self.patterns.iter().any(|pattern| glob::fits(pattern, value));
        if self.any_case {
            fits(&value.to_ascii_lowercase())
        } else {
            fits(value)
        }
    }
}

/// They may be somebody's: only how many they are.
impl fmt::Debug for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Allowed").field(&self.patterns.len()).finish()
    }
}
