//! `models:` as written: the pool of targets behind a public model, and how it chooses among them.

use super::{Budget, CachePolicy, Continuation, Hedge, Limit, Mirror, Need, Price, Queue, Retry, Timeouts};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a pool chooses among its targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Smooth weighted round robin.
    #[default]
    Weighted,
    /// Who has the fewest requests in flight for its weight.
    LeastBusy,
    /// Of two drawn by weight, the one expected to be done sooner, by its latency (time to the first token of streams) and
    /// what it has in flight.
    PeakEwma,
    /// Requests that belong together go to one target, so that the provider's prompt cache is met: see `sticky`.
    Sticky,
    /// Who costs least by `price`; of equal ones by weight. Targets without a price come last.
    Cheapest,
    /// Shares of what `sticky` tells apart (sessions, prompts) instead of requests: for canaries and comparisons.
    Split,
}

/// What requests stick by, and how far.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// What belongs together. Default prefix.
    #[serde(default)]
    pub by: StickyBy,
    /// The header that names a session, for `by: session-header`. Default x-session-id.
    #[serde(default)]
    pub header: Option<String>,
    /// A target with more than this times its share of all requests in flight passes new ones on. Default 1.25.
    #[serde(default)]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub load_factor: Option<f64>,
}

/// What requests stick by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StickyBy {
    /// The beginning of the conversation: system prompt, tools, first message.
    #[default]
    Prefix,
    /// A header; requests without it stick by their beginning.
    SessionHeader,
    /// The caller: its key, or its address where it needs none.
    Key,
}

/// A public model: the pool of targets that answers it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Who can answer, at least one.
    #[schemars(length(min = 1))]
    pub targets: Vec<Target>,
    /// How to choose among them.
    #[serde(default)]
    pub strategy: Strategy,
    /// For the strategies sticky and split: what requests stick by.
    #[serde(default)]
    pub sticky: Option<Sticky>,
    /// Other public models to try, in order, when no target of this one answers.
    #[serde(default)]
    pub fallback: Vec<String>,
    /// Models to ask instead, in order, when a provider says that the conversation is too long for its model, or nobody's
    /// `context_tokens` are enough for it.
    #[serde(default)]
    pub context_fallback: Vec<String>,
    /// Models to ask instead, in order, when a provider's content filter refuses. Default: its refusal is the answer.
    #[serde(default)]
    pub content_filter_fallback: Vec<String>,
    /// Asking a target again.
    #[serde(default)]
    pub retry: Retry,
    /// Ask a second target when the first is slow. Default: never.
    #[serde(default)]
    pub hedge: Option<Hedge>,
    /// Go on with broken text streams from another target. Default: they end in an error.
    #[serde(default)]
    pub continuation: Option<Continuation>,
    /// Wait when all targets are full or cooling down. Default: refused at once.
    #[serde(default)]
    pub queue: Option<Queue>,
    /// Send copies of requests to another pool.
    #[serde(default)]
    pub mirror: Option<Mirror>,
    /// Other names clients may use for this model.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Deadlines for this model.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Refuse with 400 what a target cannot take. Default false: such parts of a request are dropped, and named in the
    /// response header `x-cirque-dropped`.
    #[serde(default)]
    pub strict: bool,
    /// What all requests for this model together may use.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// What they may cost.
    #[serde(default)]
    pub budgets: Vec<Budget>,
    /// Output tokens that a request is taken to write at most if it does not say. Default: the price entry's cap, else
    /// `prices.assumed_output_tokens`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub assumed_output_tokens: Option<u64>,
    /// What may be kept of answers and served again. Default: nothing.
    #[serde(default)]
    pub cache: Option<CachePolicy>,
    /// Names of `guardrails` that its requests and answers must pass; those of models that may answer in its place hold, too.
    #[serde(default)]
    pub guardrails: Vec<String>,
}

/// One deployment in a pool.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// A name under `providers:`.
    pub provider: String,
    /// The provider's own name of the model. `*` stands for what the `*` of the public name matched. Default: the public
    /// model's own name; under a pattern, the name the client asked for.
    #[serde(default)]
    pub model: Option<String>,
    /// Share of the requests, relative to the other targets; 0 = only when all others are unavailable. Default 1.
    #[serde(default = "one")]
    #[schemars(range(max = 10_000))]
    pub weight: u32,
    /// Targets of a higher tier are asked only while none of a lower one can be. Default 0.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub tier: u32,
    /// Most requests under way at this target, over all pools that name it. Default: no bound. Those beyond it go to others,
    /// or wait (`queue`).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<u32>,
    /// Tokens its model takes; requests whose prompt is estimated to be longer go elsewhere. The answer is not estimated: leave
    /// room for it. Default: no bound.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub context_tokens: Option<u64>,
    /// What it cannot do; requests that need it go elsewhere.
    #[serde(default)]
    pub lacks: Vec<Need>,
    /// What its tokens cost, for the strategy cheapest and for what calls are recorded to have cost.
    #[serde(default)]
    pub price: Option<Price>,
    /// Name of the arm of a comparison it belongs to: a label in metrics.
    #[serde(default)]
    pub arm: Option<String>,
}

fn one() -> u32 {
    1
}
