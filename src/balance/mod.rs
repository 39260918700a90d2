//! Choosing a target: pools of members, a strategy to choose by, a breaker for each member and a quarantine for each
//! credential; and what asking once more (retries, hedges) may cost.
//!
//! Deals in ids, weights, loads and latencies only; what a target *is* (address, credential, dialect) is joined in
//! [`crate::upstream`], and what a key is made of is the gateway's to say.

pub mod breaker;
mod choose;
pub mod hedge;
pub mod key;
pub mod latency;
pub mod pool;
mod quantile;
pub mod quarantine;
pub mod queue;
pub mod retry;
#[cfg(test)]
mod simulation;
pub mod singleflight;
mod turns;

pub use breaker::{Breaker, BreakerState, Doubt, Permit, Released};
pub use hedge::HedgeBudget;
pub use key::KeyHash;
pub use pool::{Ask, LOAD_FACTOR, Member, NoPick, Pick, Pool, Strategy};
pub use quarantine::Quarantine;
pub use retry::{Backoff, RetryBudget};
