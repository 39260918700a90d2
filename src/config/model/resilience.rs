//! What a pool does beyond choosing: asking again, hedging, going on with broken streams, waiting, mirroring; and the breaker.
//!
//! Defaults are filled in by the snapshot. What each does: attempts, breaker, hedging, continuation, queueing and mirroring in
//! `docs/`.

use crate::config::money::{Usd, UsdPerMillion};
use crate::config::scalars::Interval;
use schemars::JsonSchema;
use serde::Deserialize;

/// Asking the same target again, when no other is left to ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Times a target is asked again after a failure that is not the client's. Default 0: SDKs ask again themselves.
    #[serde(default)]
    #[schemars(range(max = 5))]
    pub same_target: u32,
    /// Longest first wait; it doubles with each and is drawn at random up to that (full jitter). Default 250ms.
    #[serde(default)]
    pub backoff: Option<Interval>,
    /// Longest wait. Default 8s.
    #[serde(default)]
    pub backoff_at_most: Option<Interval>,
}

/// How many calls beyond the first all requests together may cause while targets are failing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryBudget {
    /// In percent of requests. Default 20. Moving on to a target that has not failed since it last answered is free and not
    /// counted.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub percent: Option<u32>,
    /// What is possible in any second, however few requests there are. Default 3.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub at_least: Option<u32>,
}

/// When a target is left alone, and for how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row that open it. Default 5.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub failures: Option<u32>,
    /// Share of failures within the window that opens it, in percent. Default 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub failure_percent: Option<u32>,
    /// Requests within the window from which the share counts. Default 20.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    pub min_requests: Option<u32>,
    /// Length of the window. Default 10s.
    #[serde(default)]
    pub window: Option<Interval>,
    /// How long it stays open the first time; the second time in a row twice as long, the third three times. Default 30s.
    #[serde(default)]
    pub open: Option<Interval>,
    /// The longest it stays open. Default 300s.
    #[serde(default)]
    pub open_at_most: Option<Interval>,
}

/// Asking a second target while the first one is slow; the first to answer wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long the first target is given. Default: the 95th percentile, but 1.5 to 3 medians, of its own recent times to
    /// the first token (of answers that are not streamed: to the answer).
    #[serde(default)]
    pub after: Option<Interval>,
    /// The least it is given, whatever its percentile or `after` says. Default 50ms.
    #[serde(default)]
    pub at_least: Option<Interval>,
    /// The most it is given. Default 30s.
    #[serde(default)]
    pub at_most: Option<Interval>,
    /// Most hedged requests, in percent of the pool's requests: what hedging may cost. Default 5.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub budget_percent: Option<u32>,
}

/// Going on with a text stream that broke, from another target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Continuation {
    /// Seams in one answer at most. Default 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 5))]
    pub seams: Option<u32>,
    /// How the next target is told what has been said. Default prefill.
    #[serde(default)]
    pub by: ContinueBy,
}

/// How a target is asked to go on with an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContinueBy {
    /// Only targets whose API continues a message of the assistant's: nothing is added to the conversation.
    #[default]
    Prefill,
    /// Others too, by an instruction after the text so far; a model may repeat or rephrase at the seam.
    Instruction,
}

/// Waiting while all targets of the pool are full (`max_in_flight`) or cooling down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Requests that may wait. Default 100; beyond it one of the lowest priority is refused, the newcomer if none is below it.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub size: Option<usize>,
    /// Longest wait. Default 10s; then 429 (503 when targets are full and not cooling) with retry-after.
    #[serde(default)]
    pub wait: Option<Interval>,
    /// Wait before the fallbacks are asked. Default false: whoever can answer at once does.
    #[serde(default)]
    pub before_fallback: bool,
}

/// Copies of requests to another pool, for comparing; their answers are dropped and no client pays for them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The public model whose pool gets them.
    pub to: String,
    /// Share of the requests, in percent. Default 100.
    #[serde(default)]
    #[schemars(range(min = 0.01, max = 100.0))]
    pub percent: Option<f64>,
    /// Copies under way at one time; beyond it requests are not mirrored. Default 16.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrency: Option<usize>,
}

/// What a request may need of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Tools that the model may call.
    Tools,
    /// Images in the conversation.
    Vision,
    /// Sound in the conversation.
    Audio,
    /// Documents (PDF and other files) in the conversation.
    Files,
    /// An answer that follows a JSON Schema.
    JsonSchema,
    /// Reasoning that the request asks for.
    Reasoning,
}

/// What a target's tokens cost. Overrides the price table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars per million input tokens, as text: "2.50".
    pub input: UsdPerMillion,
    /// US dollars per million output tokens.
    pub output: UsdPerMillion,
    /// US dollars per million input tokens read from the provider's cache. Default: as input.
    #[serde(default)]
    pub cached: Option<UsdPerMillion>,
    /// Of input tokens written to the provider's cache for five minutes. Default: as input.
    #[serde(default)]
    pub cache_write: Option<UsdPerMillion>,
    /// For an hour. Default: as `cache_write`.
    #[serde(default)]
    pub cache_write_1h: Option<UsdPerMillion>,
    /// Of reasoning. Default: as output.
    #[serde(default)]
    pub reasoning: Option<UsdPerMillion>,
    /// Of audio in the prompt. Default: as input.
    #[serde(default)]
    pub audio_input: Option<UsdPerMillion>,
    /// Of audio in the answer. Default: as output.
    #[serde(default)]
    pub audio_output: Option<UsdPerMillion>,
    /// US dollars for a request, beside its tokens. Default 0.
    #[serde(default)]
    pub request: Option<Usd>,
    /// US dollars for a web search that the provider counts. Default 0.
    #[serde(default)]
    pub search: Option<Usd>,
    /// Other prices for long prompts, ascending.
    #[serde(default)]
    pub tiers: Vec<PriceTier>,
}

/// What a call costs whose prompt is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    /// Holds for prompts of more input tokens than this.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub above: u64,
    /// US dollars per million input tokens.
    pub input: UsdPerMillion,
    /// US dollars per million output tokens.
    pub output: UsdPerMillion,
    /// Of input tokens read from the provider's cache. Default: as input.
    #[serde(default)]
    pub cached: Option<UsdPerMillion>,
    /// Of input tokens written to it. Default: as input.
    #[serde(default)]
    pub cache_write: Option<UsdPerMillion>,
    /// For an hour. Default: as `cache_write`.
    #[serde(default)]
    pub cache_write_1h: Option<UsdPerMillion>,
}
