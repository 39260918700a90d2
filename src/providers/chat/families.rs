//! What is known of OpenAI's own models by their names: whether they reason, with which words, and what they refuse.
//!
//! Source: platform.openai.com/docs/guides/reasoning and the model pages, read 2026-11. A name that is not recognised (a
//! deployment of Azure's, a fine-tune, a later model) is taken to understand everything: the provider judges.

use super::quirks::{Prefill, Quirks};
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

/// Whether a last message of the assistant's is gone on with, as far as that depends on the model too.
///
/// OpenRouter passes such a message on, and its makers' models differ: Claude as by its own API, OpenAI's, Google's newer,
/// xAI's, Cohere's and Amazon's begin anew or refuse; open weights go on, because the last message stays open in their
/// templates. Magistral thinks before everything. Moonshot's and DashScope's partial mode is not for thinking models.
/// Sources: docs.mistral.ai/capabilities/completion (prefix), platform.kimi.ai/docs (partial mode), DashScope partial mode,
/// vLLM and SGLang `continue_final_message`, llama.cpp `prefill-assistant`, read 2026-11.
pub fn continues(quirks: &Quirks, model: &str) -> bool {
    let name = model.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match quirks.prefill {
        Prefill::None => false,
        Prefill::Prefix => !has(&["magistral"]),
        Prefill::Partial => !has(&["thinking", "qwq", "-r1"]),
        Prefill::Native if quirks.name == "openrouter" => match name.split_once('/') {
            Some(("anthropic", claude)) => crate::providers::anthropic::model::Model::named(claude).continues(),
            Some((maker, _)) => ![
                "openai",
                "google",
                "x-ai",
                "cohere",
                "amazon",
                "openrouter",
                "perplexity",
            ]
            .contains(&maker),
            None => false,
        },
        Prefill::Native | Prefill::Continue => true,
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
    use crate::providers::chat::for_vendor;

    #[test]
    fn who_goes_on_with_the_assistants_words() {
        for (vendor, model, goes_on) in [
            ("openai", "gpt-4o", false),
            ("deepseek", "deepseek-chat", false),
            ("compatible", "anything", false),
            ("mistral", "mistral-large-latest", true),
            ("mistral", "magistral-medium-latest", false),
            ("vllm", "qwen3", true),
            ("sglang", "qwen3", true),
            ("llama-cpp", "any", true),
            ("ollama", "llama3.1", true),
            ("moonshot", "kimi-k2", true),
            ("moonshot", "kimi-k2-thinking", false),
            ("openrouter", "anthropic/claude-sonnet-4.5", true),
            ("openrouter", "anthropic/claude-sonnet-4.6", false),
            ("openrouter", "openai/gpt-4o", false),
            ("openrouter", "meta-llama/llama-4-scout", true),
            ("openrouter", "auto", false),
        ] {
            assert_eq!(continues(for_vendor(vendor), model), goes_on, "{vendor} {model}");
        }
    }

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
