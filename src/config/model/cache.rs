//! The cache as written: where answers are kept, and the policies that models, tenants, keys and rules have.

use crate::config::scalars::{ByteSize, Interval};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where answers are kept. What may be kept is said by the `cache` of models, tenants, keys and rules.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheStore {
    /// Memory for answers. Default 256MiB.
    #[serde(default)]
    pub memory: Option<ByteSize>,
    /// Answers longer than this are compressed (zstd). Default 2KiB.
    #[serde(default)]
    pub compress_above: Option<ByteSize>,
    /// Share answers with the instances on the same `redis`. Default: true when there is a `redis`.
    #[serde(default)]
    pub shared: Option<bool>,
    /// Seal answers and questions in Redis and in the vector store with `secrets.keys`. Default: true when there are such keys.
    #[serde(default)]
    pub sealed: Option<bool>,
    /// What every policy starts from.
    #[serde(default)]
    pub defaults: CachePolicy,
    /// The semantic tier; needed by policies whose mode is `semantic` or `shadow`.
    #[serde(default)]
    pub semantic: Option<SemanticStore>,
}

/// The semantic tier.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SemanticStore {
    /// The folder that `make models` wrote. Default `models` below the working directory.
    #[serde(default)]
    pub models: Option<PathBuf>,
    /// Instead of the built-in encoder: a public model of this file whose targets have `/v1/embeddings`.
    #[serde(default)]
    pub embedder: Option<String>,
    /// Threads that verify. Default 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    pub threads: Option<usize>,
    /// Questions that wait for a thread, at most; beyond it a lookup is a miss. Default 64.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    pub waiting: Option<usize>,
    /// Answers in the index, at most; the oldest leave first. Default 100000.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub entries: Option<usize>,
    /// Where vectors are kept when there are more than fit here. Default: in memory.
    #[serde(default)]
    pub vectors: Option<VectorStore>,
}

/// Where vectors are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum VectorStore {
    /// PostgreSQL with the extension `vector`.
    Pgvector {
        /// `postgres://user:password@host/database`, as `env:NAME` or `file:PATH`. Default: that of `store`.
        #[serde(default)]
        url: Option<crate::config::scalars::SecretRef>,
        /// Connections, at most. Default 4.
        #[serde(default)]
        #[schemars(range(min = 1, max = 100))]
        connections: Option<u32>,
    },
}

/// What may be kept and served. What is not given is that of the block around it: key before user, project, team, organisation, the
/// model, `cache.defaults`; a rule's goes before all of them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CachePolicy {
    /// How answers are looked for. Default off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CacheMode>,
    /// Who shares answers. Default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<CacheScope>,
    /// How long an answer is served. Default 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Interval>,
    /// How much longer while a fresher one is fetched. Default: not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_while_revalidate: Option<Interval>,
    /// How much longer when every target fails. Default: not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_if_error: Option<Interval>,
    /// Requests with a higher temperature are left alone. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub max_temperature: Option<f64>,
    /// Requests that offer tools are served and kept. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Answers that end in tool calls are kept. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<bool>,
    /// Answers cut off by their length are kept. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<bool>,
    /// Requests for what changes with time (`today`, `latest`) are served and kept. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_bound: Option<bool>,
    /// Requests about the asker (`my order`, an e-mail address) are served and kept. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<bool>,
    /// An answer is only for requests that would go to the same target. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_target: Option<bool>,
    /// How sure the verifier must be that one answer serves both questions. Default 0.98.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub threshold: Option<f32>,
    /// Longest wait for looking by likeness. Default 5ms; 500ms with an `embedder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Interval>,
    /// Of the answers found in `shadow`, the share whose real answer is compared with them. Default 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: Option<f32>,
    /// Identical requests under way share one call. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singleflight: Option<bool>,
    /// Tokens a second at which a kept answer is streamed. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 100_000.0))]
    pub tokens_per_second: Option<f32>,
    /// Longest request body that is looked at. Default 256KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request: Option<ByteSize>,
    /// Longest answer that is kept. Default 1MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_answer: Option<ByteSize>,
}

// No member can be NaN: each has its bounds.
impl Eq for CachePolicy {}

macro_rules! members {
    ($($member:ident),* $(,)?) => {
        impl CachePolicy {
            /// Put a narrower block over this one: what it gives counts, what it leaves out stays.
            pub fn overlay(&mut self, narrower: &Self) {
                // Taken apart, so that a new member is not forgotten.
                let Self { $($member),* } = narrower;
                $(if $member.is_some() {
                    self.$member = *$member;
                })*
            }
        }
    };
}

members!(
    mode,
    scope,
    ttl,
    stale_while_revalidate,
    stale_if_error,
    max_temperature,
    tools,
    tool_calls,
    length,
    time_bound,
    personal,
    by_target,
    threshold,
    time_limit,
    sample,
    singleflight,
    tokens_per_second,
    max_request,
    max_answer,
);

impl CachePolicy {
    /// Whether it looks for answers at all.
    pub fn turns_on(&self) -> bool {
        self.mode.is_some_and(|mode| mode != CacheMode::Off)
    }

    /// Whether it looks for answers by likeness, which needs `cache.semantic`.
    pub fn needs_semantic(&self) -> bool {
        matches!(self.mode, Some(CacheMode::Semantic | CacheMode::Shadow))
    }
}

/// How answers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// Not at all.
    Off,
    /// Under the very same question.
    Exact,
    /// And by likeness, but what is found so is only written down.
    Shadow,
    /// And by likeness.
    Semantic,
}

/// Who shares answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// Each virtual key (or person) for itself.
    Key,
    /// All of a user's.
    User,
    /// All of a project's.
    Project,
    /// All of a team's.
    Team,
    /// All of an organisation's.
    Organisation,
}
