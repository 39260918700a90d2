//! Limits and budgets: how much of requests, tokens, concurrency and money a request may take, decided before it goes out and
//! corrected after it came back.
//!
//! ```text
//! reserve the worst case of every count that applies, all or none ─► Lease ─► settle with what it was (or drop: refund)
//! ```
//! Not who is asking (`auth`, `directory`) and not what was used in the past (`ledger`). The one idea: nothing is checked and
//! recorded later; room is taken first, so that no number of concurrent requests can take the same room.

mod exchange;

pub use exchange::{Ask, Exchange, Given, Outage, Report, Shape, Taken};
