//! Whether a load balancer should send requests here.
//!
//! Not health: a process that is starting or draining is healthy. Not the state of providers either: with every provider
//! down another instance would do no better, so that must not empty a whole fleet.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where the process stands in its life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The listeners are not open yet.
    Starting = 0,
    /// Serving.
    Ready = 1,
    /// Finishing what is in flight, taking nothing new.
    Draining = 2,
}

/// The process's phase, shared by whoever moves it and whoever shows it.
#[derive(Debug)]
pub struct Readiness(AtomicU8);

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Starting.
    pub const fn new() -> Self {
        Self(AtomicU8::new(Phase::Starting as u8))
    }

    /// Move on. A step back (ready after draining began) is ignored.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Why not; empty when ready.
    pub fn reasons(&self) -> &'static [&'static str] {
        match self.phase() {
            Phase::Starting => &["starting"],
            Phase::Ready => &[],
            Phase::Draining => &["draining"],
        }
    }
}
