//! The fitted weights, written by `scripts/semantic/fit.py`; not edited by hand.

use super::FEATURES;

pub(super) const BIAS: f32 = 0.0779;
#[rustfmt::skip]
pub(super) const WEIGHTS: [f32; FEATURES] = [0.9611, 2.1316, 2.4679, 2.5590, 0.0000, 0.0000, -1.2323, 0.0000, -1.1225, -5.0200, -3.4931, -3.5865, 0.0000, 0.0000, 1.9890, 0.8913, 0.3411, -0.4599, -0.5628, 0.1330, -2.7340, 0.0000];
