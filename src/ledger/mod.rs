//! Usage records: what each request and each of its attempts used and cost, on its way from the request to the store.
//!
//! ```text
//! settle ─► bounded queue ─► spool (append-only files, length + CRC, fsync in groups) ─► batches ─► Sink (the store) ─► spool trimmed
//! ```
//! Not for metrics (`telemetry`) and not for limits: a row is history. The one idea: a row has an id of its own, made here and
//! never by a client, and storing it twice is storing it once; so that everything between the queue and the store may be
//! repeated after a failure.
//!
//! What is lost when: `kill -9` and a panic lose what is in the queue (some 10 ms of rows; all that is queued while the spool
//! cannot be written), nothing that was written, since the page cache outlives the process. Power loss also loses what was
//! not yet synced: up to 50 ms of rows and the time of an fsync. Rows beyond the queue's length are lost and counted.

pub mod encoding;
pub mod export;
mod row;
mod sink;
pub mod spool;
pub(crate) mod varint;
mod words;

pub use row::{Charge, Row, RowId, Tenant};
pub use sink::{Sink, SinkError};
pub use spool::{Ledger, OnFull, SpoolSettings, Stats, Watch};
pub use words::word;
