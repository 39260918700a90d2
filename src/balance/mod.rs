//! Choosing a target: pools of weighted members, and a breaker for each.
//!
//! Deals in ids and weights only; what a target *is* (address, credential, dialect) is joined in [`crate::upstream`].

pub mod breaker;
pub mod pool;

pub use breaker::{Breaker, BreakerState, Permit};
pub use pool::{Member, Pick, Pool};
