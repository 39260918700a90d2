//! The store as the ledger sees it, and the metrics as the ledger raises them.

use crate::ledger::{Row, Sink, SinkError, Watch};
use crate::storage::{Store, StoreError};
use crate::telemetry::Meters;
use async_trait::async_trait;
use std::sync::Arc;

/// Inserts rows.
pub(super) struct StoreSink(pub Arc<dyn Store>);

#[async_trait]
impl Sink for StoreSink {
    async fn insert(&self, rows: &[Row]) -> Result<u64, SinkError> {
        self.0.insert(rows).await.map_err(|error| match error {
            StoreError::Failed(why) => SinkError::Refused(why),
            // A store that holds something else is for an operator to mend; the rows wait.
            StoreError::Unavailable(_) | StoreError::Corrupt(_) | StoreError::Conflict(_) => SinkError::Unavailable,
        })
    }
}

/// Counts what is lost.
pub(super) struct Meter(pub Arc<Meters>);

impl Watch for Meter {
    fn lost(&self, rows: u64) {
        self.0.accounts.records("lost", rows);
    }

    fn blocked(&self, blocked: bool) {
        self.0.accounts.records_kept.set(i64::from(!blocked));
    }
}
