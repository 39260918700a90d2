//! The fitted weights, written by `scripts/semantic/fit.py`; not edited by hand.

use super::FEATURES;

pub(super) const BIAS: f32 = 3.4663;
#[rustfmt::skip]
pub(super) const WEIGHTS: [f32; FEATURES] = [0.8965, 1.4584, 0.7629, 3.1362, 0.0000, 0.0000, 0.0000, 0.0000, -1.1409, 0.0000, -4.0177, -0.3796, 0.0000, 0.0918, 1.0146, 1.5087, 0.0000, -1.7649, -0.7931, -0.7523, -2.5954, 0.0000];
