//! Limits and budgets: how much of requests, tokens, concurrency and money a request may take, decided before it goes out and
//! corrected after it came back.
//!
//! ```text
//! reserve the worst case of every count that applies, all or none ─► Lease ─► settle with what it was (or drop: refund)
//! ```
//! Not who is asking (`auth`, `directory`) and not what was used in the past (`ledger`). The one idea: nothing is checked and
//! recorded later; room is taken first, so that no number of concurrent requests can take the same room.
//!
//! Moments are milliseconds since 1970 (`now_ms`), given by the caller; a clock that goes back never makes room.

mod alerts;
mod bank;
mod book;
mod calendar;
mod count;
mod demand;
mod estimate;
mod exchange;
mod fleet;
mod lease;
mod outage;
mod rule;
mod shown;
mod slots;

#[cfg(test)]
mod tests;

pub use alerts::{Alert, AlertKind};
pub use bank::{Attempt, Bank, Bound, Short, VALUES};
pub use demand::{Charged, Demand, Spent};
pub use estimate::{Estimator, Prompt, Ratio};
pub use exchange::{Ask, Exchange, Given, Outage, Report, Shape, Taken};
pub use lease::{Lease, Refusal, Standing, Standings};
pub use rule::{Each, Measure, OnOutage, Patterns, Period, Rule, Scope, ScopeKind, Window};
pub use shown::CountStanding;
