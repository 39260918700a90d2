//! What looking by likeness came to, for the metrics.

use crate::cache::Mode;
use crate::cache::semantic::{Found, Why};
use crate::telemetry::CacheMeter;
use std::time::Duration;

/// A question was looked for by likeness.
pub(super) fn looked_alike(meter: &CacheMeter, mode: Mode, found: &Found, took: Duration) {
    let outcome = match found {
        Found::Hit { .. } if mode == Mode::Semantic => "hit",
        Found::Hit { .. } => "shadow",
        Found::Miss(Why::Veto(kind)) => return meter.vetoed(kind, took),
        Found::Miss(why) => match why {
            Why::BelowThreshold { .. } => "below",
            Why::Busy => "busy",
            Why::TooSlow => "slow",
            Why::TooLong => "too_long",
            Why::Unreadable | Why::Unavailable => "failed",
            Why::Empty | Why::NoCandidate | Why::Veto(_) => "no_candidate",
        },
    };
    meter.semantic(outcome, took);
}
