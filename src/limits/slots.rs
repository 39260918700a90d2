//! A sliding window: how much was granted in the last stretch of time, kept in slots of a twentieth of it.
//!
//! Not a token bucket: one that holds the whole limit lets twice the limit through in its first stretch. The idea: what is
//! granted counts until the *end* of its slot is a whole stretch ago, so in any stretch at most the limit is granted, all of
//! it at once if need be; the price is that room returns up to a twentieth of the stretch late.

use std::time::Duration;

/// Slots in a stretch.
const PARTS: u64 = 20;
/// Slots that count: a stretch and the one that is being filled.
const KEPT: u64 = PARTS + 1;

/// Grants of the last stretch.
#[derive(Debug)]
pub(super) struct Slots {
    width_ms: u64,
    /// The latest slot seen, counted from 1970: a clock that goes back a little stays in it.
    head: u64,
    total: u64,
    sums: [u64; KEPT as usize],
}

impl Slots {
    pub(super) fn new(stretch: Duration, now_ms: u64) -> Self {
        let width_ms = width_ms(stretch);
        Self {
            width_ms,
            head: now_ms / width_ms,
            total: 0,
            sums: [0; KEPT as usize],
        }
    }

    /// Whether it keeps this stretch.
    pub(super) fn keeps(&self, stretch: Duration) -> bool {
        self.width_ms == width_ms(stretch)
    }

    fn sum(&mut self, slot: u64) -> Option<&mut u64> {
        self.sums.get_mut(usize::try_from(slot % KEPT).unwrap_or_default())
    }

    /// Lets go of what no longer counts. The slot of the moment.
    pub(super) fn advance(&mut self, now_ms: u64) -> u64 {
        // Nearly always: without the division.
        let into = now_ms.checked_sub(self.head.saturating_mul(self.width_ms));
        if into.is_some_and(|into| into < self.width_ms) {
            return self.head;
        }
        let slot = now_ms / self.width_ms;
        if slot > self.head {
            for gone in self.head + 1..=slot.min(self.head + KEPT) {
                if let Some(sum) = self.sum(gone) {
                    let had = std::mem::take(sum);
                    self.total -= had;
                }
            }
            self.head = slot;
        } else if slot + KEPT < self.head {
            // The clock went back more than the stretch: all of it is counted as if granted now, for it would else stay until
            // the clock is where it was.
            self.sums = [0; KEPT as usize];
            self.head = slot;
            let total = self.total;
            if let Some(sum) = self.sum(slot) {
                *sum = total;
            }
        }
        self.head
    }

    /// What counts, as of the last [`Slots::advance`].
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Count so much more, in the slot of the moment.
    pub(super) fn add(&mut self, amount: u64) {
        let amount = amount.min(u64::MAX - self.total);
        self.total += amount;
        if let Some(sum) = self.sum(self.head) {
            *sum += amount;
        }
    }

    /// Take back what was counted in that slot, if it still counts.
    pub(super) fn sub(&mut self, slot: u64, amount: u64) {
        if slot + PARTS < self.head {
            return;
        }
        let mut rest = amount;
        let head = self.head;
        let newest_first = (0..KEPT).map(|age| head.saturating_sub(age));
        for slot in std::iter::once(slot.min(head)).chain(newest_first) {
            if rest == 0 {
                break;
            }
            if let Some(sum) = self.sum(slot) {
                let back = rest.min(*sum);
                *sum -= back;
                rest -= back;
                self.total -= back;
            }
        }
    }

    /// How long until time alone makes room for so much; none: the limit itself is too small.
    pub(super) fn until_room(&self, amount: u64, limit: u64, now_ms: u64) -> Option<Duration> {
        let must_go = (self.total.saturating_add(amount)).saturating_sub(limit);
        if amount > limit {
            return None;
        }
        let mut gone = 0;
        for slot in self.head.saturating_sub(PARTS)..=self.head {
            gone += self.peek(slot);
            if gone >= must_go {
                return Some(self.ends(slot, now_ms));
            }
        }
        None
    }

    /// How long until nothing counts any more, if nothing is added.
    pub(super) fn until_empty(&self, now_ms: u64) -> Duration {
        let newest = (self.head.saturating_sub(PARTS)..=self.head)
            .rev()
            .find(|slot| self.peek(*slot) > 0);
        newest.map_or(Duration::ZERO, |slot| self.ends(slot, now_ms))
    }

    fn peek(&self, slot: u64) -> u64 {
        let at = usize::try_from(slot % KEPT).unwrap_or_default();
        self.sums.get(at).copied().unwrap_or_default()
    }

    fn ends(&self, slot: u64, now_ms: u64) -> Duration {
        Duration::from_millis(
            slot.saturating_add(KEPT)
                .saturating_mul(self.width_ms)
                .saturating_sub(now_ms),
        )
    }

    /// Milliseconds until the slot of the moment is over.
    pub(super) fn left_ms(&self, now_ms: u64) -> u64 {
        self.head
            .saturating_add(1)
            .saturating_mul(self.width_ms)
            .saturating_sub(now_ms)
    }
}

/// Never shorter than a twentieth, else twenty of them would not be the stretch.
fn width_ms(stretch: Duration) -> u64 {
    u64::try_from(stretch.as_millis())
        .unwrap_or(u64::MAX)
        .div_ceil(PARTS)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_whole_limit_at_once_and_then_nothing_for_the_stretch() {
        let minute = Duration::from_secs(60);
        let mut slots = Slots::new(minute, 2_999);
        slots.advance(2_999);
        slots.add(100);
        assert_eq!(slots.until_room(1, 100, 2_999), Some(Duration::from_millis(60_001)));
        assert_eq!(slots.until_room(101, 100, 2_999), None);
        slots.advance(62_999);
        assert_eq!(slots.total(), 100);
        slots.advance(63_000);
        assert_eq!(slots.total(), 0);
        assert_eq!(slots.until_empty(63_000), Duration::ZERO);
    }

    proptest! {
        /// Against a log of every grant: no stretch holds more than the limit, whatever is refunded and however the clock
        /// jumps back; and whoever waits a stretch and a slot with nothing granted has the whole limit again.
        #[test]
        fn no_stretch_holds_more_than_the_limit(
            stretch_ms in 1..5_000u64, limit in 1..50u64,
            steps in proptest::collection::vec((0..400i64, 0..20u64, 0..4u8), 1..400),
        ) {
            let stretch = Duration::from_millis(stretch_ms);
            let (mut now, mut true_now) = (1_000_000u64, 1_000_000u64);
            let mut slots = Slots::new(stretch, now);
            // (true moment, slot, amount)
            let mut log: Vec<(u64, u64, u64)> = Vec::new();
            for (wait, amount, what) in steps {
                let wait = wait as u64 * stretch_ms / 200;
                true_now += wait;
                // The clock that is told may have gone back, less or more than the stretch; from then on it goes on from there.
                now = match what { 3 => now.saturating_sub(wait * 3), _ => now + wait };
                let slot = slots.advance(now);
                match what {
                    0 | 1 | 3 if slots.total() + amount <= limit => {
                        slots.add(amount);
                        log.push((true_now, slot, amount));
                    }
                    2 => if let Some((_, slot, amount)) = log.pop() { slots.sub(slot, amount) },
                    _ => {}
                }
                let within: u64 = log.iter().filter(|(at, ..)| at + stretch_ms > true_now).map(|(.., n)| n).sum();
                prop_assert!(within <= limit, "{within} of {limit}");
                prop_assert_eq!(slots.total(), slots.sums.iter().sum::<u64>());
            }
            slots.advance(now + stretch_ms * 100 + 100);
            prop_assert_eq!(slots.total(), 0);
        }
    }
}
