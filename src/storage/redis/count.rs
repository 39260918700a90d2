//! A count's name in Redis, how it behaves there, and numbers as Redis gets and gives them.
//!
//! Not the figures (`book`). The one idea: name and kind follow from id and shape alone, so that all instances agree.

use crate::limits::Shape;
use std::sync::Arc;
use std::time::Duration;

/// The most that an amount can be there: room for sums below 2^63.
pub(super) const MOST: u64 = 9_223_372_036_000_000_000;

/// Slots that a sliding count is kept in, besides the current one.
pub(super) const SLOTS: u64 = 20;

/// How a count is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In slots of so many microseconds.
    Sliding { slot_us: u64 },
    /// Until a moment in seconds since 1970; none: for ever.
    Window { until: Option<i64> },
    /// What is under way.
    Concurrent,
}

impl Kind {
    /// As the scripts want it: a letter, and its time.
    pub(super) fn written(self) -> [String; 2] {
        match self {
            Self::Sliding { slot_us } => ["s".to_owned(), slot_us.to_string()],
            Self::Window { until } => [
                "w".to_owned(),
                until.map_or_else(|| "0".to_owned(), |at| at.to_string()),
            ],
            Self::Concurrent => ["c".to_owned(), "0".to_owned()],
        }
    }

    /// How long what is counted in it counts, for sliding counts.
    pub(super) fn stretch(self) -> Option<Duration> {
        match self {
            Self::Sliding { slot_us } => Some(Duration::from_micros(slot_us.saturating_mul(SLOTS + 2))),
            _ => None,
        }
    }
}

/// The name (`begin` is `{prefix}:`) and the kind.
pub(super) fn name(begin: &str, count: &str, shape: Shape) -> (Arc<str>, Kind) {
    match shape {
        Shape::Sliding(per) => {
            let us = u64::try_from(per.as_micros()).unwrap_or(u64::MAX).clamp(SLOTS, 1 << 50);
            // Rounded up: twenty slots are never less than the stretch.
            let slot_us = us.div_ceil(SLOTS);
            (Arc::from(format!("{begin}s:{us}:{count}")), Kind::Sliding { slot_us })
        }
        Shape::Window { start, end } => {
            // What ends after the year 9999 does not end.
            let until = (end < 253_402_300_800).then(|| end.saturating_add(86_400).max(1));
            (
                Arc::from(format!("{begin}w:{start}-{end}:{count}")),
                Kind::Window { until },
            )
        }
        Shape::Concurrent => (Arc::from(format!("{begin}c:{count}")), Kind::Concurrent),
    }
}

/// What may be given ahead of need, before Redis' own bound of a hundredth: five seconds of a sliding count's rate.
pub(super) fn ahead(shape: Shape, limit: u64, wanted: u64) -> u64 {
    let Shape::Sliding(per) = shape else { return wanted };
    let rate = u128::from(limit) * 5_000_000 / per.as_micros().max(1);
    wanted.min(u64::try_from(rate).unwrap_or(u64::MAX))
}

/// A number for a script.
pub(super) fn written(amount: u64) -> String {
    amount.min(MOST).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_slots_cover_the_stretch() {
        for ms in [1, 7, 1_000, 60_000, 61_001] {
            let (_, kind) = name("{p}:", "a", Shape::Sliding(Duration::from_millis(ms)));
            let Kind::Sliding { slot_us } = kind else { panic!() };
            assert!(slot_us * SLOTS >= ms * 1_000, "{ms}");
        }
    }

    #[test]
    fn five_seconds_of_the_rate_at_most() {
        let per = Shape::Sliding(Duration::from_secs(60));
        assert_eq!(ahead(per, 1_200, 1_000), 100);
        assert_eq!(ahead(per, 1_200, 7), 7);
        assert_eq!(ahead(Shape::Concurrent, 10, 1_000), 1_000);
        assert_eq!(ahead(Shape::Sliding(Duration::ZERO), u64::MAX, 9), 9);
    }
}
