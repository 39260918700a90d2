//! Written answers, cut at random.

use super::*;
