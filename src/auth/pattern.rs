//! A text with `*` in it, as operators write names of many: `spiffe://acme/*`, `search-*`.
//!
//! Not what it means, which is [`crate::glob`]'s; only which of several is meant first.

use crate::glob;

/// A text or a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Of what is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it means more than one text.
    pub fn is_open(&self) -> bool {
        self.0.contains('*')
    }

    /// How many characters have to be just so: the more, the more exact.
    pub fn exactness(&self) -> usize {
        glob::exactness(&self.0)
    }

    /// Whether this text is meant. Upper and lower case differ.
    pub fn fits(&self, text: &str) -> bool {
        glob::fits(&self.0, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_run() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*ab*ab", "xabyabzab", true),
            ("*ab*ab", "xab", false),
            ("A", "a", false),
            ("spiffe://acme/*/search", "spiffe://acme/eu/search", true),
            ("**", "x", true),
        ] {
            assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} {text}");
        }
    }

    /// Matching by its definition.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=text.len()).any(|taken| plainly(rest, &text[taken..])),
            (Some((wanted, pattern)), Some((byte, text))) => wanted == byte && plainly(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_fits_what_its_definition_says(pattern in "[ab*]{0,7}", text in "[ab]{0,8}") {
            prop_assert_eq!(Pattern::new(&*pattern).fits(&text), plainly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
