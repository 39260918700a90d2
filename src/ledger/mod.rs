//! Usage records: what each request and each of its attempts used and cost, on its way from the request to the store.
//!
//! ```text
//! settle ─► bounded queue ─► spool (append-only file, length + CRC, fsync in groups) ─► batches ─► Sink (the store) ─► spool trimmed
//! ```
//! Not for metrics (`telemetry`) and not for limits: a row is history. The one idea: a row has an id of its own, made here and
//! never by a client, and storing it twice is storing it once; so that everything between the queue and the store may be
//! repeated after a failure.

mod row;

pub use row::{Charge, Row, RowId, Tenant};
