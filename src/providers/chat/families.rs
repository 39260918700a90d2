//! What is known of OpenAI's own models by their names: whether they reason, with which words, and what they refuse.
//!
//! Source: platform.openai.com/docs/guides/reasoning and the model pages, read 2026-11. A name that is not recognised (a
//! deployment of Azure's, a fine-tune, a later model) is taken to understand everything: the provider judges.

use crate::wire::canonical::Effort::{self, High, Low, Medium, Minimal, None as Off, XHigh};

/// What a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Does not reason: gpt-4*, gpt-3.5*, chatgpt-*.
    Plain,
    /// o1, o3, o4 …: always reasons, refuses sampling.
    Series,
    /// gpt-5 and its sizes: always reasons, refuses sampling.
    Five,
    /// gpt-5.1: reasons when asked.
    FiveOne,
    /// Anything else.
    Unknown,
}

/// By name.
pub fn of(model: &str) -> Family {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let digit_after = |prefix: &str| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    if ["gpt-4", "gpt-3.5", "chatgpt-", "gpt-35"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    {
        Family::Plain
    } else if digit_after("o") {
        Family::Series
    } else if name.starts_with("gpt-5.1") {
        Family::FiveOne
    } else if name == "gpt-5" || (name.starts_with("gpt-5-") && !name.starts_with("gpt-5-chat")) {
        Family::Five
    } else if name.starts_with("gpt-5-chat") {
        Family::Plain
    } else {
        Family::Unknown
    }
}

impl Family {
    /// The words of `reasoning_effort` it takes.
    pub fn efforts(self) -> &'static [Effort] {
        match self {
            Self::Plain => &[],
            Self::Series => &[Low, Medium, High],
            Self::Five => &[Minimal, Low, Medium, High],
            Self::FiveOne => &[Off, Low, Medium, High],
            Self::Unknown => &[Off, Minimal, Low, Medium, High, XHigh, Effort::Max],
        }
    }

    /// It refuses temperature, top_p, penalties, logprobs and logit_bias.
    pub fn refuses_sampling(self) -> bool {
        matches!(self, Self::Series | Self::Five)
    }

    /// It refuses stop texts too.
    pub fn refuses_stop(self) -> bool {
        self.refuses_sampling()
    }
}

/// Whether a model of a vendor that hosts many takes `reasoning_effort`: most answer 400 where it does not. Sources:
/// console.groq.com/docs/reasoning, inference-docs.cerebras.ai/capabilities/reasoning, docs.x.ai/docs/guides/reasoning.
pub fn takes_effort(vendor: &str, model: &str) -> bool {
    match vendor {
        "groq" | "cerebras" | "together" | "sambanova" | "huggingface" | "fireworks" => model.contains("gpt-oss"),
        "xai" => !["grok-2", "grok-4", "grok-code"]
            .iter()
            .any(|known| model == *known || model.starts_with(&format!("{known}-"))),
        "perplexity" => model.contains("deep-research") || model.contains("reasoning"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_by_name() {
        for (name, family) in [
            ("gpt-4o-mini", Family::Plain),
            ("ft:gpt-4o:org::id", Family::Plain),
            ("o4-mini", Family::Series),
            ("openai/o3", Family::Series),
            ("gpt-5-nano-2025-08-07", Family::Five),
            ("gpt-5-chat-latest", Family::Plain),
            ("gpt-5.1", Family::FiveOne),
            ("gpt-5.4", Family::Unknown),
            ("my-deployment", Family::Unknown),
            ("oracle", Family::Unknown),
        ] {
            assert_eq!(of(name), family, "{name}");
        }
    }
}
