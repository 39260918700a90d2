//! Which models of Bedrock take what: Converse is one shape, but each family refuses parts of it with a 400.
//!
//! The family is read off the model's id, whatever its prefix: `anthropic.claude-…`, `us.anthropic.claude-…` and the ARN of a
//! foundation model or inference profile are the same model. The ARN of an application inference profile, an imported or
//! a provisioned model says nothing; for those everything is sent as asked, and Bedrock judges.
//!
//! Sources, read 2026-11: Bedrock user guide, "Supported models and model features" (tools, vision, documents, system
//! prompts), "Prompt caching" (supported models), "Structured outputs" (supported models), "Extended thinking" and "Adaptive
//! thinking" (Claude), Nova 2 user guide, "Request and response schema" and "Extended thinking"; API reference, ToolChoice;
//! model cards (sampling removed from Claude Opus 4.7 on). Model ids new since those pages: profile data of langchain-aws 1.9.

use crate::providers::anthropic::model::{self as claude, Model as Claude};

/// How far a model can be made to call tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    /// `toolChoice` is refused.
    Unsaid,
    /// `auto` only.
    Auto,
    /// `auto` and `any`.
    Any,
    /// `auto`, `any` and `tool`.
    Tool,
}

/// Where `cachePoint` may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CachePoints {
    /// Nowhere: the model caches by itself or not at all, and the request would be refused.
    Never,
    /// In `system` and behind text in `messages` (Nova).
    BehindText,
    /// There, behind anything, and in `toolConfig`.
    Everywhere,
}

/// How thinking is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinks {
    /// It cannot be.
    Unasked,
    /// Claude 3.7 to 4.5: `thinking.budget_tokens`.
    Budget,
    /// Claude from 4.6: `thinking.type: adaptive`, `output_config.effort`.
    Adaptive,
    /// Nova 2: `reasoningConfig.maxReasoningEffort`.
    Nova,
    /// `reasoning_effort` (gpt-oss, GLM, Kimi).
    Effort,
    /// `reasoning.effort` (OpenAI's GPT).
    NestedEffort,
}

/// Where `top_k` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopK {
    /// Nowhere.
    Untaken,
    /// `additionalModelRequestFields.top_k`.
    Claude,
    /// `additionalModelRequestFields.inferenceConfig.topK`.
    Nova,
    /// `additionalModelRequestFields.k`.
    Cohere,
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Takes {
    pub choice: Choice,
    /// `outputConfig.textFormat` and strict tools.
    pub schema: bool,
    /// Top level of a tool's schema: only `type`, `properties`, `required`.
    pub narrow_schema: bool,
    pub system: bool,
    pub images: bool,
    pub documents: bool,
    pub video: bool,
    pub audio: bool,
    /// `toolResult.status`, and media in tool results.
    pub rich_results: bool,
    pub cache: CachePoints,
    /// `cachePoint.ttl`.
    pub cache_hour: bool,
    pub thinks: Thinks,
    /// Reasoning may come back with the history.
    pub thinking_back: bool,
    /// Which Claude it is: a forced tool and its thinking exclude each other, and each has its own words for thinking.
    pub claude: Option<Claude>,
    /// `temperature` and `topP`.
    pub sampling: bool,
    /// … but not both.
    pub one_of_sampling: bool,
    pub top_k: TopK,
}

/// What is taken by models nothing more is known of.
const PLAIN: Takes = Takes {
    choice: Choice::Unsaid,
    schema: false,
    narrow_schema: false,
    system: true,
    images: false,
    documents: true,
    video: false,
    audio: false,
    rich_results: false,
    cache: CachePoints::Never,
    cache_hour: false,
    thinks: Thinks::Unasked,
    thinking_back: true,
    claude: None,
    sampling: true,
    one_of_sampling: false,
    top_k: TopK::Untaken,
};

/// An id that says nothing: as asked.
const UNKNOWN: Takes = Takes {
    choice: Choice::Tool,
    images: true,
    video: true,
    audio: true,
    rich_results: true,
    cache: CachePoints::Everywhere,
    ..PLAIN
};

const NOVA: Takes = Takes {
    choice: Choice::Tool,
    narrow_schema: true,
    images: true,
    video: true,
    rich_results: true,
    cache: CachePoints::BehindText,
    top_k: TopK::Nova,
    ..PLAIN
};

/// Open-weight models that Bedrock constrains itself.
const OPEN: Takes = Takes { schema: true, ..PLAIN };

const OPEN_VISION: Takes = Takes { images: true, ..OPEN };

/// By prefix of the id without region; the first that fits counts, so the longer come first.
#[rustfmt::skip]
const FAMILIES: &[(&str, Takes)] = &[
    ("amazon.nova-2-omni", Takes { audio: true, thinks: Thinks::Nova, ..NOVA }),
    ("amazon.nova-2", Takes { thinks: Thinks::Nova, ..NOVA }),
    ("amazon.nova-micro", Takes { images: false, documents: false, video: false, ..NOVA }),
    ("amazon.nova", NOVA),
    ("amazon.titan", Takes { system: false, ..PLAIN }),
    ("meta.llama3-1", Takes { choice: Choice::Auto, ..PLAIN }),
    ("meta.llama3-2-11b", Takes { choice: Choice::Auto, images: true, ..PLAIN }),
    ("meta.llama3-2-90b", Takes { choice: Choice::Auto, images: true, ..PLAIN }),
    ("meta.llama3-3", Takes { choice: Choice::Auto, ..PLAIN }),
    ("meta.llama4", Takes { choice: Choice::Auto, images: true, ..PLAIN }),
    ("mistral.mistral-7b", Takes { system: false, ..PLAIN }),
    ("mistral.mixtral", Takes { system: false, ..PLAIN }),
    ("mistral.mistral-large-3", Takes { choice: Choice::Any, ..OPEN_VISION }),
    ("mistral.mistral-large", Takes { choice: Choice::Any, ..PLAIN }),
    ("mistral.pixtral", Takes { choice: Choice::Any, images: true, ..PLAIN }),
    ("mistral.voxtral", Takes { audio: true, ..OPEN }),
    ("mistral.devstral", OPEN),
    ("mistral.ministral", OPEN_VISION),
    ("mistral.magistral", OPEN_VISION),
    ("cohere.command-r", Takes { top_k: TopK::Cohere, ..PLAIN }),
    ("deepseek.r1", Takes { thinking_back: false, ..PLAIN }),
    ("deepseek.", Takes { choice: Choice::Any, ..OPEN }),
    ("openai.gpt-oss", Takes { thinks: Thinks::Effort, ..OPEN }),
    ("openai.", Takes { choice: Choice::Tool, thinks: Thinks::NestedEffort, sampling: false, ..OPEN_VISION }),
    ("qwen.qwen3-vl", OPEN_VISION),
    ("qwen.", OPEN),
    ("xai.grok", Takes { choice: Choice::Tool, images: true, ..PLAIN }),
    ("zai.glm-5.3", Takes { choice: Choice::Tool, thinks: Thinks::Effort, ..OPEN }),
    ("zai.", Takes { choice: Choice::Any, thinks: Thinks::Effort, ..OPEN }),
    ("moonshotai.", Takes { thinks: Thinks::Effort, ..OPEN_VISION }),
    ("moonshot.", Takes { thinks: Thinks::Effort, ..OPEN }),
    ("minimax.", OPEN),
    ("nvidia.nemotron-nano-12b", OPEN_VISION),
    ("nvidia.", OPEN),
    ("google.gemma", OPEN_VISION),
];

/// Vendors whose name may follow a region (`us.`, `eu.`, `apac.`, `global.` …).
#[rustfmt::skip]
const VENDORS: &[&str] = &[
    "ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral", "moonshot",
    "moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "xai", "zai",
];

/// A model of Bedrock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model<'a> {
    /// Its id without region and ARN: `anthropic.claude-sonnet-4-5-20250929-v1:0`.
    pub base: &'a str,
    /// What it takes.
    pub takes: Takes,
}

impl<'a> Model<'a> {
    /// The model of this id or ARN.
    pub fn of(id: &'a str) -> Self {
        let base = base(id);
        let takes = match base.strip_prefix("anthropic.") {
            Some(name) => claude(name),
            None => {
                let row = FAMILIES.iter().find(|(prefix, _)| base.starts_with(prefix));
                let known = VENDORS.contains(&base.split('.').next().unwrap_or_default());
                row.map_or(if known { PLAIN } else { UNKNOWN }, |(_, takes)| *takes)
            }
        };
        Self { base, takes }
    }

    /// One of Anthropic's: its signatures hold on every platform that serves it.
    pub fn is_claude(&self) -> bool {
        self.base.starts_with("anthropic.")
    }

    /// One of OpenAI's own, not the open weights.
    pub fn is_gpt(&self) -> bool {
        self.base.starts_with("openai.") && !self.base.starts_with("openai.gpt-oss")
    }

    /// Whose signatures its reasoning carries.
    pub fn origin(&self) -> crate::wire::Dialect {
        if self.is_claude() {
            crate::wire::Dialect::Anthropic
        } else {
            crate::wire::Dialect::Bedrock
        }
    }
}

/// The id without ARN and region.
fn base(id: &str) -> &str {
    let name = if id.starts_with("arn:") {
        id.rsplit_once('/').map_or(id, |(_, name)| name)
    } else {
        id
    };
    match name.split_once('.') {
        Some((region, rest)) if !VENDORS.contains(&region) => {
            let vendor = rest.split('.').next().unwrap_or_default();
            if VENDORS.contains(&vendor) { rest } else { name }
        }
        _ => name,
    }
}

/// What a Claude takes: mostly what the Anthropic dialect knows of it. `name` has no vendor before it.
fn claude(name: &str) -> Takes {
    if name.starts_with("claude-v") || name.starts_with("claude-instant") {
        return PLAIN;
    }
    let claude = Claude::named(name);
    let thinks = match claude.thinks() {
        claude::Thinks::Never => Thinks::Unasked,
        claude::Thinks::Budget => Thinks::Budget,
        claude::Thinks::Adaptive => Thinks::Adaptive,
    };
    let small = name.starts_with("claude-3-5-haiku");
    let cached = thinks != Thinks::Unasked || small || name.contains("3-5-sonnet-20241022");
    // Bedrock's lists begin with 4.5.
    let newer = claude.structures() && !name.contains("opus-4-1");
    Takes {
        choice: if claude.can_be_forced() {
            Choice::Tool
        } else {
            Choice::Auto
        },
        schema: newer,
        images: !small,
        rich_results: true,
        cache: if cached {
            CachePoints::Everywhere
        } else {
            CachePoints::Never
        },
        cache_hour: newer,
        thinks,
        claude: Some(claude),
        sampling: claude.samples(),
        one_of_sampling: !claude.samples_twice(),
        top_k: if claude.samples() { TopK::Claude } else { TopK::Untaken },
        ..PLAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lose_region_and_arn() {
        for (id, expected) in [
            ("anthropic.claude-v2:1", "anthropic.claude-v2:1"),
            ("us.anthropic.claude-sonnet-5", "anthropic.claude-sonnet-5"),
            ("us-gov.openai.gpt-oss-20b-1:0", "openai.gpt-oss-20b-1:0"),
            ("apac.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
            ("deepseek.v3.2", "deepseek.v3.2"),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/meta.llama4-scout-17b-instruct-v1:0",
                "meta.llama4-scout-17b-instruct-v1:0",
            ),
            (
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0",
                "amazon.nova-pro-v1:0",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef",
                "abcdef",
            ),
            ("", ""),
        ] {
            assert_eq!(base(id), expected, "{id}");
        }
        assert_eq!(
            Model::of("arn:aws:bedrock:us-east-1:1:application-inference-profile/abcdef").takes,
            UNKNOWN
        );
        assert_eq!(Model::of("writer.palmyra-x5-v1:0").takes, PLAIN);
    }

    #[test]
    fn claude_by_generation() {
        let takes = |id| Model::of(id).takes;
        assert_eq!(takes("anthropic.claude-v2:1"), PLAIN);
        let three = takes("anthropic.claude-3-5-sonnet-20240620-v1:0");
        assert_eq!(
            (three.choice, three.cache, three.schema),
            (Choice::Tool, CachePoints::Never, false)
        );
        let seven = takes("us.anthropic.claude-3-7-sonnet-20250219-v1:0");
        assert_eq!((seven.thinks, seven.cache), (Thinks::Budget, CachePoints::Everywhere));
        let one = takes("us.anthropic.claude-opus-4-1-20250805-v1:0");
        assert_eq!(
            (one.thinks, one.one_of_sampling, one.schema),
            (Thinks::Budget, true, false)
        );
        let five = takes("anthropic.claude-haiku-4-5-20251001-v1:0");
        assert_eq!((five.schema, five.cache_hour, five.sampling), (true, true, true));
        let new = takes("global.anthropic.claude-opus-4-8");
        assert_eq!(
            (new.thinks, new.sampling, new.top_k),
            (Thinks::Adaptive, false, TopK::Untaken)
        );
        assert_eq!(takes("us.anthropic.claude-sonnet-5-5").choice, Choice::Auto);
    }

    #[test]
    fn the_longer_prefix_wins() {
        for (at, (prefix, _)) in FAMILIES.iter().enumerate() {
            let earlier = FAMILIES.iter().take(at).find(|(other, _)| prefix.starts_with(other));
            assert_eq!(earlier.map(|row| row.0), None, "{prefix} is never reached");
        }
        assert!(!Model::of("us.amazon.nova-micro-v1:0").takes.images);
        assert!(Model::of("us.openai.gpt-5.6-sol").is_gpt() && !Model::of("openai.gpt-oss-20b-1:0").is_gpt());
    }
}
