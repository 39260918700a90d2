//! The guardrails of a request on its walk.

use crate::guardrails::{Policy, Verdict};

/// The guardrails that hold for a request, and what they found.
#[derive(Debug)]
pub struct Guarding {
    /// They.
    pub policy: Policy,
    /// What was found so far.
    pub verdicts: Vec<Verdict>,
}
