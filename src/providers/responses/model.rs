//! What a model's name tells: OpenAI's reasoning models refuse what its plain ones take, and the other way round, and a 400
//! for a setting that can be left out helps nobody. Names that tell nothing (Azure deployments, other vendors) are taken
//! at the request's word.
//!
//! Source: OpenAI's model pages and the guides on reasoning, read 2026-11.

use crate::wire::canonical::Effort;

/// What sort of model it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Never reasons: no `reasoning`, no `encrypted_content`.
    Plain,
    /// Always or usually reasons. `least` is its lowest effort.
    Reasoning {
        /// The effort that stands for "do not".
        least: Effort,
    },
    /// Not known.
    Unknown,
}

impl Family {
    /// From the target's name of the model.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let name = name.strip_prefix("ft:").unwrap_or(&name);
        let o_series = name
            .strip_prefix('o')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if o_series {
            return Self::Reasoning { least: Effort::Low };
        }
        if ["gpt-4", "gpt-3.5", "chatgpt-"]
            .iter()
            .any(|plain| name.starts_with(plain))
        {
            return Self::Plain;
        }
        let Some(version) = name.strip_prefix("gpt-") else {
            return Self::Unknown;
        };
        let major: String = version.chars().take_while(char::is_ascii_digit).collect();
        if name.contains("-chat") || major.parse::<u32>().map_or(true, |major| major < 5) {
            return Self::Unknown;
        }
        let least = match version.get(major.len()..) {
            Some(rest) if rest.starts_with('.') || major != "5" => Effort::None,
            Some(rest) if rest.starts_with("-codex") => Effort::Low,
            _ => Effort::Minimal,
        };
        Self::Reasoning { least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_they_tell() {
        let reasoning = |least| Family::Reasoning { least };
        for (name, family) in [
            ("gpt-4o", Family::Plain),
            ("ft:gpt-4.1-mini:acme", Family::Plain),
            ("o4-mini", reasoning(Effort::Low)),
            ("openai/gpt-5-nano", reasoning(Effort::Minimal)),
            ("gpt-5.6-terra", reasoning(Effort::None)),
            ("gpt-6", reasoning(Effort::None)),
            ("gpt-5-codex", reasoning(Effort::Low)),
            ("gpt-5-chat-latest", Family::Unknown),
            ("gpt-oss-120b", Family::Unknown),
            ("my-deployment", Family::Unknown),
            ("grok-4", Family::Unknown),
            ("", Family::Unknown),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }
}
