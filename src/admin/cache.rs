//! What the routes of the cache ask of it: totals, what is kept, deleting, reports of wrong answers, warming.
//!
//! Not the routes (`api/cache.rs`) and not the cache. The one idea: a trait object, so that the routes can be tried without a cache, and
//! say so where there is none.

use crate::cache::{Entry, Key, Selection, Wrong};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What operators can ask of the cache. Every call is bounded in time by whoever implements it.
#[async_trait]
pub trait CacheDesk: Send + Sync {
    /// What it holds.
    async fn totals(&self, now_ms: u64) -> CacheTotals;

    /// What is kept of a selection: by key, from after `look.after` on; with `look.like` the likest first.
    async fn list(&self, look: &Look, now_ms: u64) -> Result<Looked, String>;

    /// One answer, and what it says as a client of its dialect would read it; nothing: it is not kept, or over.
    async fn get(&self, id: Key, now_ms: u64) -> Option<(Kept, Value)>;

    /// Delete here and wherever it is shared.
    async fn delete(&self, selection: &Selection) -> Cleared;

    /// An answer was served wrongly. Whether it is known.
    async fn disown(&self, wrong: &Wrong) -> Disowned;

    /// Keep answers as if they had been fetched for these keys. For each its id, or why not.
    async fn warm(&self, answers: Vec<Warm>, now_ms: u64) -> Vec<Result<Key, String>>;
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Which answers; `all` is set.
    pub selection: Selection,
    /// Those whose questions are like this one, the likest first.
    pub like: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// After this one.
    pub after: Option<Key>,
}

/// Part of what is kept.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// The part. The answers' bytes may be left out.
    pub items: Vec<Kept>,
    /// There is more.
    pub more: bool,
}

/// A kept answer.
#[derive(Debug, Clone)]
pub struct Kept {
    /// It.
    pub entry: Entry,
    /// How often it was served here, if that is counted.
    pub hits: Option<u64>,
    /// How like its question is to the one asked for, -1 to 1.
    pub similarity: Option<f32>,
}

/// What deleting did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Answers that are gone here.
    pub here: u64,
    /// Where answers are shared: those that are gone there; an outage, if it could not be told.
    pub shared: Option<Result<u64, SharedAway>>,
}

/// What is shared could not be reached: other instances have not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedAway;

/// What a report did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disowned {
    /// The answer is known.
    pub known: bool,
    /// It is gone; otherwise it is served to that question, and to those like it, no more.
    pub deleted: bool,
    /// Other instances could not be told.
    pub shared_away: bool,
}

/// What the cache holds here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CacheTotals {
    /// Answers in memory.
    pub memory: CacheTier,
    /// Questions that can be found by likeness; none: no semantic tier is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<CacheTier>,
    /// What embeds and verifies, or why the semantic tier does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semantic: Option<String>,
    /// Whether what instances share answers now; none: nothing is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_up: Option<bool>,
}

/// One tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheTier {
    /// Answers.
    pub entries: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// At most: bytes of memory, answers of the index.
    pub capacity: u64,
}

/// An answer to be kept beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warm {
    /// The virtual key for which it is kept; by its policy others share it.
    pub key: String,
    /// Path of the request; default `/v1/chat/completions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The request's body, as clients send it.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub request: Value,
    /// The answer: its body as a provider of that API would send it, or for chat only its text.
    pub answer: Value,
}
