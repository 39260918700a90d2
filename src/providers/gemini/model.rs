//! What a model's name says of what it takes.
//!
//! Google's models differ by generation more than by name: thinking is set by a budget in 2.5 and by a level from 3 on, calls
//! must be signed from 3 on, tools and a schema go together from 3 on. Names without a number (`gemini-flash-latest`) mean
//! the newest. Anything else (Gemma, tuned endpoints) is treated as the plainest.
//!
//! ```text
//! thinkingBudget   2.5 pro 128 to 32768 · flash 0 to 24576 · flash-lite 0 or 512 to 24576 · -1 the model decides
//! thinkingLevel    flash, flash-lite minimal low medium high (from 3.7 on without minimal) · pro low high, medium from 3.1 on
//! ```
//! Source: ai.google.dev/gemini-api/docs/thinking and the Vertex page of the same name, read 2026-11.

use crate::wire::canonical::Effort;

/// A model, as far as requests depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Major and minor, `(2, 5)`; `(0, 0)` when it is no Gemini.
    pub version: (u32, u32),
    /// `-flash`, `-flash-lite`.
    pub flash: bool,
    /// `-flash-lite`.
    pub lite: bool,
    /// Makes images or speech, or hears live: does not think.
    pub special: bool,
}

/// How thinking is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thought {
    /// Not at all.
    None,
    /// By tokens: least, most, and whether it can be switched off.
    Budget {
        /// Least, when on.
        least: u64,
        /// Most.
        most: u64,
        /// 0 switches it off.
        off: bool,
    },
    /// By level.
    Level,
}

impl Model {
    /// From the target's name of it, which may be a path (`publishers/google/models/gemini-2.5-pro`).
    pub fn of(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let has = |word: &str| name.contains(word);
        let version = match name.strip_prefix("gemini-") {
            Some(rest) => version(rest),
            None => (0, 0),
        };
        Self {
            version,
            flash: has("flash"),
            lite: has("flash-lite"),
            special: has("-image") || has("-tts") || has("-native-audio") || has("-live") || has("-embedding"),
        }
    }

    /// Generation 3 or later.
    pub fn third(self) -> bool {
        self.version >= (3, 0)
    }

    /// How its thinking is set.
    pub fn thought(self) -> Thought {
        match self.version {
            _ if self.special => Thought::None,
            version if version >= (3, 0) => Thought::Level,
            (2, 5) if self.lite => Thought::Budget {
                least: 512,
                most: 24_576,
                off: true,
            },
            (2, 5) if self.flash => Thought::Budget {
                least: 1,
                most: 24_576,
                off: true,
            },
            (2, 5) => Thought::Budget {
                least: 128,
                most: 32_768,
                off: false,
            },
            _ => Thought::None,
        }
    }

    /// The level nearest to an effort.
    pub fn level(self, effort: Effort) -> &'static str {
        match effort {
            Effort::None | Effort::Minimal if self.flash && self.version < (3, 7) => "minimal",
            Effort::None | Effort::Minimal | Effort::Low => "low",
            Effort::Medium if !self.flash && self.version == (3, 0) => "high",
            Effort::Medium => "medium",
            Effort::High | Effort::XHigh | Effort::Max => "high",
        }
    }
}

fn version(rest: &str) -> (u32, u32) {
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut figures = number.split('.').map(|figure| figure.parse::<u32>().ok());
    match figures.next().flatten() {
        Some(major) => (major, figures.next().flatten().unwrap_or(0)),
        None if rest.contains("latest") || rest.starts_with("flash") || rest.starts_with("pro") => {
            // `gemini-pro` was 1.0; the rest are names for what is newest.
            if rest.contains("latest") { (3, 5) } else { (1, 0) }
        }
        None => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_generations() {
        assert_eq!(Model::of("gemini-2.5-flash-lite-preview-06-17").version, (2, 5));
        assert!(Model::of("publishers/google/models/gemini-3-pro-preview").third());
        assert!(Model::of("gemini-3.5-flash").third() && Model::of("gemini-4-hydrogen").third());
        assert!(Model::of("gemini-flash-latest").third());
        assert!(!Model::of("gemini-2.0-flash-001").third() && !Model::of("gemini-pro").third());
        assert!(!Model::of("gemma-3-27b-it").third() && !Model::of("1234567890").third());
        assert_eq!(Model::of("gemini-2.5-flash-image").thought(), Thought::None);
        assert_eq!(Model::of("gemini-1.5-pro").thought(), Thought::None);
        assert_eq!(Model::of("gemini-3.5-flash").thought(), Thought::Level);
    }

    #[test]
    fn levels_a_model_lacks_go_to_the_next() {
        let level = |name, effort| Model::of(name).level(effort);
        assert_eq!(level("gemini-3-pro-preview", Effort::Medium), "high");
        assert_eq!(level("gemini-3.1-pro-preview", Effort::Medium), "medium");
        assert_eq!(level("gemini-3.1-pro-preview", Effort::Minimal), "low");
        assert_eq!(level("gemini-3.6-flash", Effort::None), "minimal");
        assert_eq!(level("gemini-3.8-flash", Effort::Minimal), "low");
        assert_eq!(level("gemini-3.5-flash", Effort::Max), "high");
    }
}
