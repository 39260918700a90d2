//! The fitted weights, written by `scripts/semantic/fit.py`; not edited by hand.

use super::FEATURES;

pub(super) const BIAS: f32 = 0.0;
pub(super) const WEIGHTS: [f32; FEATURES] = [0.0; FEATURES];
