//! What a Claude model takes, told by its name.
//!
//! | | up to 3.5 | 3.7 – 4.5 | 4.6 | 4.7, 4.8 | 5 | 5.5 (and Fable, Mythos) |
//! |---|---|---|---|---|---|---|
//! | thinking | none | budget | adaptive, budget | adaptive | adaptive, on by itself | same |
//! | thinking off | – | say nothing | say nothing | say nothing | `disabled` | Sonnet `between_tools`, Haiku `disabled`, others cannot |
//! | effort | – | Opus 4.5: low – high | low – high, max | and xhigh | same | same |
//! | temperature, top_p, top_k | free | from 4.1 not both | not both | none | none | none |
//! | forced tool | yes | yes | yes | yes | yes | Haiku only |
//! | system between turns | – | – | – | 4.8 Opus | yes | yes |
//! | `output_config.format` | – | 4.1 Opus, 4.5 | yes | yes | yes | yes |
//!
//! Source: platform.claude.com/docs: about-claude/models/overview, build-with-claude/{thinking,effort,structured-outputs},
//! models/{opus,sonnet}-5-5/migration-guide, read 2026-11. Names of every platform are understood
//! (`us.anthropic.claude-opus-4-5-20251101-v1:0`, `claude-3-7-sonnet@20250219`); a name that says nothing (a deployment's
//! own) is taken for a 4.5, the middle of the table. A version newer than the table is taken for the last column.

use crate::wire::canonical::Effort;

/// Sizes of models, which differ in what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Haiku, and Instant.
    Haiku,
    /// Sonnet, and whatever does not say.
    Sonnet,
    /// Opus.
    Opus,
    /// Fable and Mythos: they always think.
    Fable,
}

/// A model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    family: Family,
    version: (u8, u8),
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinks {
    /// It cannot.
    Never,
    /// `{"type":"enabled","budget_tokens":n}`
    Budget,
    /// `{"type":"adaptive"}`
    Adaptive,
}

/// How a model is told not to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// By saying nothing.
    Silence,
    /// `{"type":"disabled"}`
    Disabled,
    /// `{"type":"between_tools"}`
    BetweenTools,
    /// It cannot be.
    Impossible,
}

impl Model {
    /// By name.
    pub fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let tail = name.rfind("claude").and_then(|at| name.get(at..)).unwrap_or("");
        let mut family = Family::Sonnet;
        let mut numbers: Vec<u8> = Vec::new();
        let mut preview = false;
        for word in tail.split(['-', '.', '@', ':', '_']).skip(1) {
            match word {
                "haiku" | "instant" => family = Family::Haiku,
                "sonnet" => family = Family::Sonnet,
                "opus" => family = Family::Opus,
                "fable" | "mythos" => family = Family::Fable,
                "preview" => preview = true,
                _ if word.len() <= 2 && numbers.len() < 2 => match word.parse() {
                    Ok(number) => numbers.push(number),
                    Err(_) => break,
                },
                // A date, or `v1`: no version follows.
                _ => break,
            }
        }
        let version = match (numbers.as_slice(), family) {
            ([major, minor, ..], _) => (*major, *minor),
            ([major], _) => (*major, 0),
            ([], Family::Fable) => {
                if preview {
                    (4, 7)
                } else {
                    (5, 1)
                }
            }
            ([], _) => (4, 5),
        };
        Self { family, version }
    }

    /// Most output tokens.
    pub fn most_output(self) -> u64 {
        match (self.family, self.version) {
            (_, v) if v < (3, 5) => 4096,
            (_, v) if v < (3, 7) => 8192,
            (Family::Opus, v) if ((4, 0)..(4, 5)).contains(&v) => 32_000,
            (Family::Fable, _) => 128_000,
            (Family::Opus, v) if v >= (4, 6) => 128_000,
            (_, v) if v >= (5, 0) => 128_000,
            _ => 64_000,
        }
    }

    /// Output tokens for clients that set no bound, which this API demands: the model's most, but at most 32 000, which is
    /// beyond any usual answer and short enough to be answered without a stream.
    pub fn usual_output(self) -> u64 {
        self.most_output().min(32_000)
    }

    /// How it is told to think.
    pub fn thinks(self) -> Thinks {
        match self.version {
            _ if self.family == Family::Fable => Thinks::Adaptive,
            v if v < (3, 7) => Thinks::Never,
            v if v < (4, 6) => Thinks::Budget,
            _ => Thinks::Adaptive,
        }
    }

    /// How it is told not to.
    pub fn off(self) -> Off {
        match (self.family, self.version) {
            (Family::Fable, _) => Off::Impossible,
            (_, v) if v < (5, 0) => Off::Silence,
            (Family::Opus, v) if v >= (5, 5) => Off::Impossible,
            (Family::Sonnet, v) if v >= (5, 5) => Off::BetweenTools,
            _ => Off::Disabled,
        }
    }

    /// Its word for this effort; nothing when it does not take any.
    pub fn effort(self, effort: Effort) -> Option<&'static str> {
        let newer = self.family == Family::Fable || self.version >= (4, 7);
        let takes = newer || self.version >= (4, 6) || (self.family == Family::Opus && self.version >= (4, 5));
        if !takes {
            return None;
        }
        match effort {
            Effort::None => None,
            Effort::Minimal | Effort::Low => Some("low"),
            Effort::Medium => Some("medium"),
            Effort::High => Some("high"),
            Effort::XHigh if newer => Some("xhigh"),
            Effort::Max if self.version >= (4, 6) => Some("max"),
            Effort::XHigh | Effort::Max => Some("high"),
        }
    }

    /// Takes `temperature`, `top_p` and `top_k` at all.
    pub fn samples(self) -> bool {
        self.family != Family::Fable && self.version < (4, 7)
    }

    /// Takes `temperature` and `top_p` in one request.
    pub fn samples_twice(self) -> bool {
        self.version < (4, 1)
    }

    /// Takes `tool_choice` `any` and `tool`.
    pub fn can_be_forced(self) -> bool {
        match self.family {
            Family::Haiku => true,
            Family::Fable => self.version < (5, 1),
            Family::Opus | Family::Sonnet => self.version < (5, 5),
        }
    }

    /// Takes messages with the role `system` between turns.
    pub fn hears_system_anywhere(self) -> bool {
        self.version >= (5, 0) || (self.family == Family::Opus && self.version >= (4, 8))
    }

    /// Goes on with a last turn of the assistant's; from 4.6 on that is refused (about-claude/models/whats-new-claude-4-6).
    pub fn continues(self) -> bool {
        self.family != Family::Fable && self.version < (4, 6)
    }

    /// Takes `output_config.format` and `strict` tools.
    pub fn structures(self) -> bool {
        self.version >= (4, 5) || (self.family == Family::Opus && self.version >= (4, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> (Family, (u8, u8)) {
        let model = Model::named(name);
        (model.family, model.version)
    }

    #[test]
    fn names_of_every_platform_are_understood() {
        use Family::{Fable, Haiku, Opus, Sonnet};
        for (name, family, version) in [
            ("claude-opus-4-5-20251101", Opus, (4, 5)),
            ("claude-opus-4-20250514", Opus, (4, 0)),
            ("claude-4-opus-20250514", Opus, (4, 0)),
            ("claude-3-5-haiku-20241022", Haiku, (3, 5)),
            ("claude-3-7-sonnet@20250219", Sonnet, (3, 7)),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Sonnet, (4, 5)),
            ("anthropic.claude-opus-4-6-v1", Opus, (4, 6)),
            ("anthropic/claude-sonnet-4.6", Sonnet, (4, 6)),
            ("claude-sonnet-5", Sonnet, (5, 0)),
            ("claude-haiku-5-5", Haiku, (5, 5)),
            ("claude-fable-5-2", Fable, (5, 2)),
            ("claude-mythos-preview", Fable, (4, 7)),
            ("claude-2.1", Sonnet, (2, 1)),
            ("claude-instant-1.2", Haiku, (1, 2)),
            ("my-deployment", Sonnet, (4, 5)),
            ("claude-999999", Sonnet, (4, 5)),
        ] {
            assert_eq!(of(name), (family, version), "{name}");
        }
    }

    #[test]
    fn what_models_take_follows_the_table() {
        let named = Model::named;
        assert_eq!(named("claude-3-opus-20240229").most_output(), 4096);
        assert_eq!(named("claude-opus-4-1").most_output(), 32_000);
        assert_eq!(named("claude-sonnet-4-6").most_output(), 64_000);
        assert_eq!(named("claude-opus-5").most_output(), 128_000);
        assert_eq!(named("claude-3-5-sonnet").thinks(), Thinks::Never);
        assert_eq!(named("claude-haiku-4-5").thinks(), Thinks::Budget);
        assert_eq!(named("claude-opus-4-6").thinks(), Thinks::Adaptive);
        assert_eq!(named("claude-opus-5-5").off(), Off::Impossible);
        assert_eq!(named("claude-sonnet-5-5").off(), Off::BetweenTools);
        assert_eq!(named("claude-sonnet-5").off(), Off::Disabled);
        assert_eq!(named("claude-opus-4-8").off(), Off::Silence);
        assert_eq!(named("claude-haiku-4-5").effort(Effort::High), None);
        assert_eq!(named("claude-opus-4-5").effort(Effort::Max), Some("high"));
        assert_eq!(named("claude-opus-4-6").effort(Effort::XHigh), Some("high"));
        assert_eq!(named("claude-sonnet-5").effort(Effort::XHigh), Some("xhigh"));
        assert!(named("claude-sonnet-4-6").samples() && !named("claude-opus-4-7").samples());
        assert!(!named("claude-fable-5-1").can_be_forced() && named("claude-haiku-5-5").can_be_forced());
        assert!(named("claude-haiku-4-5").continues() && named("claude-3-opus-20240229").continues());
        assert!(!named("claude-opus-4-6").continues() && !named("claude-mythos-preview").continues());
        assert!(named("claude-opus-4-1").structures() && !named("claude-sonnet-4").structures());
    }
}
