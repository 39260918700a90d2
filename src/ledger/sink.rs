//! Where rows go in the end, as the ledger sees it.
//!
//! Not a store: `storage` has one, and the process bridges the two. The one idea: inserting a row twice is inserting it once
//! (by `id` and `attempt`), so whatever may have happened is simply done again.

use super::Row;
use async_trait::async_trait;

/// Why rows were not inserted. Texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It cannot be reached or does not answer: the same rows are offered again later, until they are taken.
    #[error("the store is unavailable")]
    Unavailable,
    /// It answered that these rows, or one of them, will never do: the row is found and set aside.
    #[error("the store refused rows: {0}")]
    Refused(String),
}

/// Takes rows.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Insert all or none. How many were new; those that had been there already change nothing.
    async fn insert(&self, rows: &[Row]) -> Result<u64, SinkError>;
}
