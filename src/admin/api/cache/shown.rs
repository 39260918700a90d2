//! What the routes of the cache take and give, as JSON. Their doc comments are the OpenAPI document.

use super::super::{Asked, rfc3339};
use crate::admin::cache::{Kept, Warm};
use crate::cache::State;
use crate::units::usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a question that lists show.
const EXCERPT: usize = 200;

/// A kept answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CachedAnswer {
    /// Its id, as in `x-cirque-cache-id`.
    pub id: String,
    /// Questions of the same partition can get it by likeness.
    pub partition: String,
    /// Public model.
    pub model: String,
    /// Target that answered.
    pub target: String,
    /// Who paid for it: dimension and name.
    pub owner: BTreeMap<String, String>,
    /// Tags of that caller.
    pub tags: Vec<String>,
    /// When it was complete.
    pub made_at: String,
    /// Seconds since then.
    pub age_seconds: u64,
    /// Seconds for which it is still fresh.
    pub fresh_seconds: u64,
    /// `fresh`, `stale` (served while a fresher one is fetched), `spare` (served when every target fails), `over`.
    pub state: String,
    /// It can be found by likeness.
    pub semantic: bool,
    /// Bytes of the answer, not compressed.
    pub bytes: u64,
    /// Input and output tokens it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What it cost, in US dollars as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// How often it was served here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
    /// How like its question is to the text of `like`, -1 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
    /// The last turn of its question, its beginning in lists; none: it has no text, or the role does not see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The answer, of a single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// What deleting did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CacheCleared {
    /// Answers that are gone from this instance.
    pub deleted: u64,
    /// Answers that are gone from what instances share; none: nothing is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<u64>,
}

/// An answer that was wrong.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheFeedback {
    /// What `x-cirque-cache-id` said, or the id of an answer: without a question the answer is wrong in itself, and goes.
    pub id: String,
    /// The key of the question that got it.
    #[serde(default)]
    pub question: Option<String>,
}

/// What a report did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CacheReported {
    /// The answer is gone; otherwise that question and those like it no longer get it.
    pub deleted: bool,
}

/// Answers to be kept beforehand.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheWarming {
    /// At most 500.
    #[schemars(length(min = 1, max = 500))]
    pub answers: Vec<Warm>,
}

/// What warming did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CacheWarmed {
    /// Ids of those that are kept.
    pub ids: Vec<String>,
    /// Those that are not, by their place in the list, and why.
    pub failed: BTreeMap<usize, String>,
}

/// An answer, as far as this operator sees it.
pub(super) fn shown(asked: &Asked, kept: &Kept, answer: Option<Value>) -> CachedAnswer {
    let entry = &kept.entry;
    let now_ms = asked.unix_ms();
    let owner = &entry.owner;
    let names = [
        ("organisation", &owner.organisation),
        ("team", &owner.team),
        ("project", &owner.project),
        ("user", &owner.user),
        ("key", &owner.key),
    ];
    let named = |(kind, name): (&str, &Option<Arc<str>>)| Some((kind.to_owned(), name.as_ref()?.to_string()));
    let question = entry.question.as_deref().filter(|_| asked.reads_texts());
    let all = answer.is_some();
    CachedAnswer {
        id: entry.key.to_string(),
        partition: entry.partition.to_string(),
        model: entry.model.to_string(),
        target: entry.target.to_string(),
        owner: names.into_iter().filter_map(named).collect(),
        tags: entry.tags.iter().map(ToString::to_string).collect(),
        made_at: rfc3339(i64::try_from(entry.made_ms).unwrap_or(i64::MAX)),
        age_seconds: entry.age_ms(now_ms) / 1000,
        fresh_seconds: entry.fresh_ms.saturating_sub(entry.age_ms(now_ms)) / 1000,
        state: match entry.state(now_ms) {
            State::Fresh => "fresh",
            State::Stale => "stale",
            State::Spare => "spare",
            State::Over => "over",
        }
        .to_owned(),
        semantic: entry.semantic,
        bytes: entry.answer.length.into(),
        tokens: entry.usage.map(|usage| usage.input.saturating_add(usage.output)),
        cost_usd: entry.cost.map(usd),
        hits: kept.hits,
        similarity: kept.similarity,
        question: question.map(|text| if all { text.to_owned() } else { excerpt(text) }),
        answer,
    }
}

/// The beginning of a text.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
