//! Choosing a target: pools of members, a strategy to choose by, and a breaker for each member.
//!
//! Deals in ids, weights, loads and latencies only; what a target *is* (address, credential, dialect) is joined in
//! [`crate::upstream`], and what a key is made of is the gateway's to say.

pub mod breaker;
mod choose;
pub mod hedge;
pub mod key;
pub mod latency;
pub mod pool;
pub mod retry;
#[cfg(test)]
mod simulation;
mod turns;

pub use breaker::{Breaker, BreakerState, Permit};
pub use hedge::HedgeBudget;
pub use key::KeyHash;
pub use pool::{Ask, LOAD_FACTOR, Member, Pick, Pool, Strategy};
pub use retry::{Backoff, RetryBudget};
