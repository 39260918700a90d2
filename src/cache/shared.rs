//! What instances of a fleet share of the cache, behind a trait: payloads, and a log of what was stored and deleted.
//!
//! Every call is bounded in time by the one who implements it. An outage is a miss: the caller goes on with what it has itself.

use super::{Entry, Key, Selection};
use async_trait::async_trait;

/// Why the shared tier did not answer. For the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Outage(pub String);

/// The shared tier.
#[async_trait]
pub trait Shared: Send + Sync {
    /// The answer under a key. What is kept there and cannot be read is deleted, and there is none.
    async fn get(&self, key: Key) -> Result<Option<Entry>, Outage>;

    /// Keep an answer until [`Entry::ends_ms`], and tell the others.
    async fn put(&self, entry: &Entry) -> Result<(), Outage>;

    /// As [`Self::put`], of an answer that was begun at a moment (ms since 1970, of this instance's clock): nothing is kept that was
    /// deleted since, although the answer is younger than the deletion. [`Self::put`] counts from [`Entry::made_ms`].
    async fn put_since(&self, entry: &Entry, _begun_ms: u64) -> Result<(), Outage> {
        self.put(entry).await
    }

    /// Delete answers, and tell the others. How many were kept here.
    async fn delete(&self, selection: &Selection) -> Result<u64, Outage>;

    /// Tell the others that an answer served a question wrongly.
    async fn disown(&self, wrong: &Wrong) -> Result<(), Outage>;
}

/// An answer that was served to a question that it does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The answer.
    pub id: Key,
    /// The key of the question that got it; none: the answer is wrong in itself and goes.
    pub question: Option<Key>,
}

/// What another instance did.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Stored this. The answer's bytes are empty: they are fetched on a hit.
    Stored(Box<Entry>),
    /// Deleted these.
    Deleted(Selection),
    /// Was told this.
    Disowned(Wrong),
    /// The log was cut: what was deleted meanwhile is not known, so nothing that came from others may be served from memory.
    Gap,
}
