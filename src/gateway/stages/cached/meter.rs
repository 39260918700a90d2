//! What the cache does, for the metrics.

use crate::cache::semantic::Found;
use crate::telemetry::Meters;

/// A question was looked for by likeness.
pub(super) fn looked_alike(_meters: &Meters, _model: &str, _found: &Found) {}

/// An answer was kept.
pub(super) fn stored(_meters: &Meters, _model: &str) {}

/// An answer was not kept, and why.
pub(super) fn not_stored(_meters: &Meters, _model: &str, _why: &'static str) {}

/// What would have been served, against what was answered: 0 to 1.
pub(super) fn compared(_meters: &Meters, _model: &str, _alike: f32) {}
