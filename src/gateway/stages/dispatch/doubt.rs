//! Whether a request itself is what targets fail on.
//!
//! Some requests make every provider answer 500, or think past every deadline. Whoever sends them must not take all targets from
//! everybody, so of one request only the first such failure counts at once. The others count when somebody answers it after all:
//! then those who failed had failed by themselves. Outages of several providers are noticed all the same, since each of many
//! requests has its first failure somewhere.

use crate::balance::{Doubt, Permit};
use crate::telemetry::Outcome;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What one request's failures say of its targets.
#[derive(Default)]
pub(in crate::gateway) struct Doubts(Mutex<Known>);

#[derive(Default)]
struct Known {
    failed: bool,
    held: Vec<Doubt>,
}

impl Doubts {
    /// Of a request that a target has failed on already.
    pub fn after_a_failure() -> Self {
        Self(Mutex::new(Known {
            failed: true,
            held: Vec::new(),
        }))
    }

    /// A target failed on it, as far as the target shows.
    pub fn failed(&self, permit: Permit, outcome: Outcome) {
        let now = Instant::now();
        // Who could not be reached has not read it.
        if !may_be_the_requests(outcome) {
            permit.failure(now);
            return;
        }
        let mut known = self.known();
        if std::mem::replace(&mut known.failed, true) {
            known.held.extend(permit.doubt(now));
        } else {
            permit.failure(now);
        }
    }

    /// Somebody answered it.
    pub fn answered(&self) {
        let held = std::mem::take(&mut self.known().held);
        for doubt in held {
            doubt.failed(Instant::now());
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn may_be_the_requests(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::ServerError
            | Outcome::BadResponse
            | Outcome::Disconnected
            | Outcome::FirstByteTimeout
            | Outcome::FirstEventTimeout
            | Outcome::IdleTimeout
            | Outcome::TotalTimeout
    )
}
