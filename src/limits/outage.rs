//! What becomes of requests while the exchange cannot be asked, and in the moment after.
//!
//! ```text
//! Up ─ does not answer, or lost its memory ─► Down ─ answers, all have told what they know ─► Settling ─ 2 s ─► Up
//! ```
//! Not how counts are told (`fleet`). The one idea: of what was left when the outage began, an instance has its share and no more
//! until everybody has told what he granted by himself. They do not all see the end of an outage at the same moment, and whoever is
//! first would be given by the exchange what the others had granted and not yet told. So while *settling* room is asked for as
//! ever, and an instance that has used its share asks for none: the shares together are the limit, whoever has told.

use super::count::State;
use super::fleet::Fleet;
use super::lease::{Lease, Refusal};
use super::rule::{Measure, OnOutage};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// After an outage, in which time every instance has noticed that it is over and told what it granted (ticks are 200 ms apart,
/// attempts to connect a second).
pub(super) const SETTLE_MS: u64 = 2_000;

/// Whether the exchange can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Up,
    /// Yes, but not beyond the share of an outage that has just ended.
    Settling(Absence),
    No(Absence),
}

/// An outage, as it was noticed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absence {
    /// When it was noticed: its name.
    pub(super) since_ms: u64,
    /// So many instances there were.
    pub(super) instances: usize,
}

/// When the exchange was last found away.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// 0: never.
    last_ms: AtomicU64,
    since_ms: AtomicU64,
}

/// What a count granted in an outage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone {
    since_ms: u64,
    /// Left of the limit when it began.
    left: u64,
    /// Granted since, but for what is `owed`.
    pub(super) granted: u64,
}

impl Away {
    /// It is away. Since when.
    pub(super) fn note(&self, now_ms: u64) -> u64 {
        let last = self.last_ms.swap(now_ms, Ordering::AcqRel);
        if last == 0 || last.abs_diff(now_ms) >= SETTLE_MS {
            self.since_ms.store(now_ms, Ordering::Release);
        }
        self.since_ms.load(Ordering::Acquire)
    }

    /// It is not; if it was a moment ago, since when.
    pub(super) fn settling(&self, now_ms: u64) -> Option<u64> {
        let last = self.last_ms.load(Ordering::Acquire);
        (last != 0 && last.abs_diff(now_ms) < SETTLE_MS).then(|| self.since_ms.load(Ordering::Acquire))
    }
}

impl Lease {
    /// What is still missing, the exchange did not answer for: the rules say what becomes of it.
    pub(super) fn cover(&mut self, fleet: &Fleet) -> Result<(), Refusal> {
        if self.holds.iter().all(|hold| hold.held >= hold.need) {
            return Ok(());
        }
        let outage = fleet.outage(self.now_ms);
        for hold in self.holds.iter_mut().filter(|hold| hold.held < hold.need) {
            let mut state = hold.count.lock();
            let missing = hold.need - hold.held;
            // It may have become free while the exchange was asked.
            let free = state.book_of(hold.mark).map_or(0, |book| book.free());
            let beyond = missing.saturating_sub(free);
            if beyond > 0 && !state.passes_outage(hold.need - hold.held, beyond, outage) {
                return Err(state.refusal(&hold.count, hold.need, None, true));
            }
            if let Some(book) = state.book_of(hold.mark) {
                book.grant_self(beyond);
            }
            state.hold(Some(hold.mark), missing);
            hold.held = hold.need;
        }
        Ok(())
    }
}

impl State {
    /// Whether the rule lets `need` pass by the share of an outage, `missing` of it not at hand.
    pub(super) fn passes_outage(&mut self, need: u64, missing: u64, outage: Absence) -> bool {
        match self.rule.on_outage {
            OnOutage::FailOpen => true,
            OnOutage::FailClosed => false,
            OnOutage::Share => self.within_share(need, missing, outage),
        }
    }

    /// Whether it may ask while an outage is settling.
    pub(super) fn asks_settling(&mut self, need: u64, missing: u64, outage: Absence) -> bool {
        self.rule.on_outage != OnOutage::Share || self.within_share(need, missing, outage)
    }

    fn within_share(&mut self, need: u64, missing: u64, outage: Absence) -> bool {
        let share = |amount: u64| amount / u64::try_from(outage.instances.max(1)).unwrap_or(u64::MAX);
        let alone = self.alone(outage);
        let taken = alone.granted.saturating_add(self.book.owed).saturating_add(missing);
        let of_what_was_left = taken <= share(alone.left);
        match (self.slots_total(), self.rule.measure) {
            (Some(total), _) => {
                total.saturating_add(need) <= share(self.rule.amount) && (of_what_was_left || !self.is_recent())
            }
            (None, Measure::Concurrent) => self.book.held.saturating_add(need) <= share(self.rule.amount),
            (None, _) => of_what_was_left,
        }
    }

    fn alone(&mut self, outage: Absence) -> Alone {
        let known = self.flow.alone.filter(|alone| alone.since_ms == outage.since_ms);
        let alone = known.unwrap_or_else(|| Alone {
            since_ms: outage.since_ms,
            left: self.rule.amount.saturating_sub(self.book.fleet),
            granted: 0,
        });
        self.flow.alone = Some(alone);
        alone
    }

    /// So much more was granted in the outage that the count is in, if it is in any; `owed` is counted by itself.
    pub(super) fn granted_alone(&mut self, amount: u64) {
        if let Some(alone) = &mut self.flow.alone {
            alone.granted = alone.granted.saturating_add(amount);
        }
    }

    /// So much of it is `owed` again.
    pub(super) fn forgo_alone(&mut self, amount: u64) {
        if let Some(alone) = &mut self.flow.alone {
            alone.granted = alone.granted.saturating_sub(amount);
        }
    }

    /// Whether what the exchange said last still says something.
    pub(super) fn is_recent(&self) -> bool {
        let age = Duration::from_millis(self.clock_ms.saturating_sub(self.book.heard_ms));
        self.rule.stretch().is_none_or(|stretch| age < stretch)
    }
}
