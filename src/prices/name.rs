//! Names of models: patterns, and the other names one model goes by.
//!
//! Not a list of models. The one idea: a name is tried as it is before anything is taken from it, and only what vendors are
//! known to add is taken: a region before it, a date behind it.

use crate::glob;

/// A name with `*` for any text, in any number of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many characters of it are fixed: of two that match, the one that says more is meant.
    pub fn weight(&self) -> usize {
        glob::exactness(&self.0)
    }

    /// Whether a name is of this form. Time is bounded by the product of the lengths.
    pub fn matches(&self, name: &str) -> bool {
        glob::fits(&self.0, name)
    }
}

/// Which models of a table are asked for: `VENDOR/MODEL`, or `MODEL` of any vendor, both with `*`.
#[derive(Debug, Clone)]
pub struct Selector(Pattern);

impl Selector {
    /// Read one.
    pub fn new(text: &str) -> Self {
        Self(Pattern::new(text))
    }

    /// Whether this model is one.
    pub fn takes(&self, vendor: &str, model: &str) -> bool {
        self.0.matches(model) || self.0.matches(&format!("{vendor}/{model}"))
    }
}

/// What vendors put before the name of a model.
const BEFORE: [&str; 14] = [
    "models/",
    "publishers/google/models/",
    "publishers/anthropic/models/",
    "global.",
    "us.",
    "eu.",
    "apac.",
    "ap.",
    "jp.",
    "au.",
    "ca.",
    "sa.",
    "me.",
    "us-gov.",
];

/// Without what stands before it: a region or inference profile (Bedrock), a path (Gemini, Vertex, a Bedrock ARN).
pub(super) fn bare(name: &str) -> Option<&str> {
    if name.starts_with("arn:") {
        return name.rsplit_once('/').map(|(_, last)| bare(last).unwrap_or(last));
    }
    BEFORE
        .iter()
        .find_map(|before| name.strip_prefix(before))
        .filter(|rest| !rest.is_empty())
}

/// Without the date or version behind it: `-2024-08-06`, `-20250929`, `@20250929`, `-0709`, `-latest`, `-001`.
pub fn undated(name: &str) -> Option<&str> {
    if let Some((rest, _)) = name.split_once('@') {
        return Some(rest).filter(|rest| !rest.is_empty());
    }
    if let Some(rest) = name.strip_suffix("-latest") {
        return Some(rest).filter(|rest| !rest.is_empty());
    }
    let end = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let tail = name.get(end.len()..)?;
    // The longest of these forms that is there; `gpt-4-1106` has `-1106`, `claude-sonnet-4-20250514` keeps its 4.
    let cut = [11, 9, 5, 4].into_iter().find(|length| {
        let form = tail.len().checked_sub(*length).and_then(|from| tail.get(from..));
        form.is_some_and(is_version)
    })?;
    name.get(..name.len() - cut).filter(|rest| !rest.is_empty())
}

fn is_version(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('-') else {
        return false;
    };
    let shape: Vec<usize> = digits.split('-').map(str::len).collect();
    // A year and more, a month and day or a month and year, a number with zeros before it.
    match shape.as_slice() {
        [4, 2, 2] | [8] => digits.starts_with("20"),
        [4] => digits.starts_with(['0', '1', '2']),
        [3] => digits.starts_with('0'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        assert!(matches("gpt-4o", "gpt-4o") && !matches("gpt-4o", "gpt-4o-mini"));
        assert!(matches("gpt-*", "gpt-") && matches("*-mini", "o4-mini") && matches("*", ""));
        assert!(matches("a*b*c", "axxbxxbc") && !matches("a*b*c", "acb"));
        assert!(!matches("ab*ba", "aba") && matches("ab*ba", "abba"));
        assert!(matches("a**b", "ab") && !matches("a*é", "a"));
    }

    #[test]
    fn dates_and_regions_are_taken_off() {
        assert_eq!(undated("gpt-4o-2024-08-06"), Some("gpt-4o"));
        assert_eq!(undated("claude-sonnet-4-20250514"), Some("claude-sonnet-4"));
        assert_eq!(undated("claude-sonnet-4@20250514"), Some("claude-sonnet-4"));
        assert_eq!(undated("grok-4-0709"), Some("grok-4"));
        assert_eq!(undated("gemini-2.0-flash-001"), Some("gemini-2.0-flash"));
        assert_eq!(undated("mistral-large-latest"), Some("mistral-large"));
        for same in [
            "gpt-4o",
            "claude-opus-4-5",
            "gpt-4",
            "llama-3.1-405",
            "x-70",
            "",
            "-001",
            "@x",
            "2024-08-06",
        ] {
            assert_eq!(undated(same), None, "{same}");
        }
        assert_eq!(bare("us.anthropic.claude-sonnet-5"), Some("anthropic.claude-sonnet-5"));
        assert_eq!(bare("models/gemini-2.5-pro"), Some("gemini-2.5-pro"));
        let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0";
        assert_eq!(bare(arn), Some("amazon.nova-pro-v1:0"));
        assert_eq!(bare("gpt-4o"), None);
    }

    proptest::proptest! {
        /// Against a matcher that tries everything; no text is too odd.
        #[test]
        fn matching_agrees_with_trying_everything(pattern in "[ab*é]{0,8}", name in "[abé]{0,10}") {
            fn tries(pattern: &[char], name: &[char]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some(('*', rest)) => (0..=name.len()).any(|at| tries(rest, &name[at..])),
                    Some((c, rest)) => name.first() == Some(c) && tries(rest, &name[1..]),
                }
            }
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(Pattern::new(&pattern).matches(&name), tries(&chars(&pattern), &chars(&name)));
        }

        #[test]
        fn any_name_can_be_shortened(name in "\\PC{0,40}") {
            let _ = (bare(&name), undated(&name));
        }
    }
}
