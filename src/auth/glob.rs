//! Names and patterns with `*`: what a block allows or denies of models, operations and providers.
//!
//! Not what a pattern means, which is [`crate::glob`]'s. The one idea: most lists are plain names, so those are looked up in a sorted
//! list and only patterns are tried one by one.

pub use crate::glob::fits;

/// Most `*` in one pattern.
const MOST_STARS: usize = 8;
/// Longest name or pattern, in bytes.
const LONGEST: usize = 256;

/// A list of names and patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globs {
    /// Sorted.
    exact: Box<[Box<str>]>,
    patterns: Box<[Box<str>]>,
}

impl Globs {
    /// Of a list as written. The error is what is wrong with the first bad one.
    pub fn compile<'a>(written: impl IntoIterator<Item = &'a str>) -> Result<Self, &'static str> {
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for text in written {
            if let Some(wrong) = wrong_with(text) {
                return Err(wrong);
            }
            if text.contains('*') { &mut patterns } else { &mut exact }.push(text.into());
        }
        exact.sort_unstable();
        exact.dedup();
        Ok(Self {
            exact: exact.into(),
            patterns: patterns.into(),
        })
    }

    /// Whether a name is in the list.
    pub fn has(&self, name: &str) -> bool {
        self.exact.binary_search_by(|known| (**known).cmp(name)).is_ok()
            || self.patterns.iter().any(|pattern| fits(pattern, name))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }
}

/// What is wrong with a name or pattern.
pub fn wrong_with(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("an empty name");
    }
    if text.len() > LONGEST {
        return Some("longer than 256 bytes");
    }
    if text.contains(char::is_control) || text.trim() != text {
        return Some("a control character, or a space at an end");
    }
    (text.matches('*').count() > MOST_STARS).then_some("more than 8 `*` in a pattern")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_what_they_say() {
        for (pattern, name, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-*", "gpt-", true),
            ("gpt-*", "xgpt-4", false),
            ("*", "", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
            ("Gpt*", "gpt-4", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn lists_have_names_and_patterns() {
        let globs = Globs::compile(["b", "a", "x-*", "a"]).unwrap();
        for (name, expected) in [("a", true), ("b", true), ("x-1", true), ("c", false), ("x", false)] {
            assert_eq!(globs.has(name), expected, "{name}");
        }
        assert!(Globs::compile([]).unwrap().is_empty());
        for bad in ["", " a", "a\n", &"*".repeat(9), &"a".repeat(257)] {
            assert!(Globs::compile([bad]).is_err(), "{bad}");
        }
    }

    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => slow(rest, name),
            (Some((b'*', rest)), Some((_, less))) => slow(rest, name) || slow(pattern, less),
            (Some((p, rest)), Some((n, less))) => p == n && slow(rest, less),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn fitting_is_what_its_definition_says(pattern in "[ab*]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(fits(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
