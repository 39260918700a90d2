//! How far this instance has read the log, and how far it had when an answer was begun.
//!
//! The one idea: an answer is begun knowing the deletions that were read by then; Redis refuses it if one that came later covers
//! it. Which deletion came first is thereby decided by the log alone, never by comparing two machines' clocks.

use std::collections::VecDeque;

/// Deletions remembered; what was begun before all of them counts as begun before the first.
const REMEMBERED: usize = 1024;

/// What was read of the log.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The epoch it is of; empty: nothing was read yet.
    pub epoch: String,
    /// Number of the last record that was read.
    pub last: u64,
    /// Deletions, oldest first: when they were read here (ms since 1970), and the number of the record before.
    deletions: VecDeque<(u64, u64)>,
}

impl Heard {
    /// Another epoch, or a gap: of what is before `last` nothing is known.
    pub(super) fn begin(&mut self, epoch: &str, last: u64, now_ms: u64) {
        if self.epoch != epoch {
            self.deletions.clear();
            epoch.clone_into(&mut self.epoch);
        }
        // What is under way now was begun before.
        self.note(now_ms, self.last.min(last));
        self.last = last;
    }

    /// A record was read.
    pub(super) fn read(&mut self, number: u64, deletion: bool, now_ms: u64) {
        if deletion {
            self.note(now_ms, number.saturating_sub(1));
        }
        self.last = number;
    }

    /// The last record known to what was begun at a moment.
    pub(super) fn known(&self, begun_ms: u64) -> u64 {
        let later = self.deletions.iter().find(|(at, _)| *at >= begun_ms);
        later.map_or(self.last, |(_, before)| *before)
    }

    fn note(&mut self, now_ms: u64, before: u64) {
        if self.deletions.len() >= REMEMBERED {
            // What was begun before the forgotten one is now begun before the next: it keeps the lower number.
            let lost = self.deletions.pop_front();
            if let (Some((_, lower)), Some(next)) = (lost, self.deletions.front_mut()) {
                next.1 = lower;
            }
        }
        self.deletions.push_back((now_ms, before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_knows_the_deletions_read_by_then() {
        let mut heard = Heard::default();
        heard.begin("a", 10, 1_000);
        assert_eq!(heard.known(1_001), 10);
        heard.read(11, false, 1_010);
        heard.read(12, true, 1_020);
        heard.read(13, false, 1_030);
        // Before, at the very moment of, and after the deletion.
        assert_eq!([1_019, 1_020, 1_021].map(|at| heard.known(at)), [11, 11, 13]);
    }

    #[test]
    fn what_was_under_way_at_a_new_beginning_knows_nothing_of_it() {
        let mut heard = Heard::default();
        heard.begin("a", 10, 1_000);
        heard.read(11, false, 1_010);
        heard.begin("b", 5_000, 2_000);
        assert_eq!((heard.known(1_500), heard.known(2_001)), (11, 5_000));
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_to_the_safe_side() {
        let mut heard = Heard::default();
        heard.begin("a", 0, 0);
        for number in 1..5_000 {
            heard.read(number, true, number);
        }
        assert_eq!(heard.deletions.len(), REMEMBERED);
        assert_eq!(heard.known(1), 0);
        assert_eq!(heard.known(4_999), 4_998);
        assert_eq!(heard.known(5_000), 4_999);
    }
}
