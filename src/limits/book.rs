//! The account of one window of one count: what is held by requests under way, and in a fleet what of it was given by the
//! exchange.
//!
//! ```text
//! alone      room = limit − base − held                 base: settled
//! in a fleet room = have − held − spent                 have: taken from the exchange or granted by ourselves (owed)
//!            told by report: spent, back, owed          out: what the exchange believes we still have
//! ```
//! Not the rule and not the clock (`count`). The idea: in a fleet everything spent comes out of `have`, and what had to be
//! granted without asking (an outage, a call dearer than its worst case) is `owed` until it was reported, once.

use super::exchange::Given;

/// One window's account.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    /// Seconds since 1970; 0 where there is no window.
    pub(super) start: i64,
    /// Seconds since 1970; `i64::MAX` where there is none.
    pub(super) end: i64,
    /// Reserved by requests under way.
    pub(super) held: u64,
    /// Settled; in a fleet: at the last contact, by all, less what was still ours to spend.
    pub(super) base: u64,
    /// Ours: held, spent and not reported, or free.
    pub(super) have: u64,
    /// What the exchange has out with us.
    pub(super) out: u64,
    /// Granted by ourselves, not reported.
    pub(super) owed: u64,
    /// Spent, not reported.
    pub(super) spent: u64,
    /// No longer ours, not reported.
    pub(super) back: u64,
    /// Used and out with all, as last heard.
    pub(super) fleet: u64,
    /// When that was; 0: never.
    pub(super) heard_ms: u64,
    /// The exchange has not said anything since it lost its memory, or since this was read back: it is told what is known.
    pub(super) unconfirmed: bool,
    /// Under way to the exchange.
    pub(super) telling: Option<Told>,
}

/// Figures of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) spent: u64,
    pub(super) back: u64,
    pub(super) owed: u64,
}

impl Book {
    /// Free of what is ours.
    pub(super) fn free(&self) -> u64 {
        self.have.saturating_sub(self.held).saturating_sub(self.spent)
    }

    /// Settled by all, as far as known here.
    pub(super) fn used(&self) -> u64 {
        let telling = self.telling.map_or(0, |told| told.spent);
        self.base.saturating_add(self.spent).saturating_add(telling)
    }

    /// Take without asking.
    pub(super) fn grant_self(&mut self, amount: u64) {
        let amount = amount.min(u64::MAX - self.have);
        self.have += amount;
        self.owed = self.owed.saturating_add(amount);
    }

    /// What was held is no longer, and so much of it was used.
    pub(super) fn settle(&mut self, held: u64, used: u64) {
        self.held = self.held.saturating_sub(held);
        self.grant_self(used.saturating_sub(self.free()));
        self.spent = self.spent.saturating_add(used);
        // What was granted by ourselves and is not needed after all was never taken.
        let unneeded = self.free().min(self.owed);
        self.owed -= unneeded;
        self.have -= unneeded;
    }

    /// The exchange gave.
    pub(super) fn given(&mut self, given: Given, now_ms: u64) {
        self.have = self.have.saturating_add(given.amount);
        self.out = self.out.saturating_add(given.amount);
        self.hear(given.used, now_ms);
    }

    /// The exchange gave, from a memory that does not know what the others have: it gets it back.
    pub(super) fn given_in_vain(&mut self, amount: u64) {
        self.out = self.out.saturating_add(amount);
        self.back = self.back.saturating_add(amount);
    }

    /// The exchange said what is used.
    fn hear(&mut self, used: u64, now_ms: u64) {
        self.fleet = used;
        self.base = used.saturating_sub(self.out);
        self.heard_ms = now_ms;
        self.unconfirmed = false;
    }

    /// Stop using what is free, as far as the exchange can take it back; the rest stays ours.
    pub(super) fn give_back(&mut self, at_most: u64) {
        let telling = self.telling.map_or(0, |told| told.spent + told.back);
        let returnable = self
            .out
            .saturating_sub(telling)
            .saturating_sub(self.spent)
            .saturating_sub(self.back);
        let amount = self.free().min(at_most).min(returnable);
        self.have -= amount;
        self.back += amount;
    }

    /// Nothing free may be used any longer.
    pub(super) fn expire(&mut self) {
        let free = self.free();
        self.give_back(free);
        self.have -= self.free().min(self.have);
    }

    /// What is to be told; none: nothing, or the last report is still under way. `known_first`: what is owed waits until all
    /// have told what they know, for the exchange takes the largest of that, and not the sum.
    pub(super) fn tell(&mut self, anyway: bool, known_first: bool) -> Option<Told> {
        let owed = if known_first { 0 } else { self.owed };
        if self.telling.is_some() || (!anyway && self.spent == 0 && self.back == 0 && owed == 0) {
            return None;
        }
        // What is told as owed is used for good by that, and not out with us.
        let spent = self.spent.saturating_sub(owed).min(self.out);
        let told = Told {
            spent,
            back: self.back.min(self.out - spent),
            owed,
        };
        self.have = self.have.saturating_sub(self.spent);
        // Of what was spent, what the exchange does not have out with us is what it has for good already, or is told as owed.
        self.base = self.base.saturating_add(self.spent - spent);
        (self.spent, self.back) = (0, 0);
        self.owed -= owed;
        self.telling = Some(told);
        Some(told)
    }

    /// The report arrived. `returns`: what was owed is out with us (of what is under way at one time) rather than used for good.
    pub(super) fn told(&mut self, used: u64, now_ms: u64, returns: bool) {
        if let Some(told) = self.telling.take() {
            self.out = self.out.saturating_sub(told.spent).saturating_sub(told.back);
            if returns {
                self.out = self.out.saturating_add(told.owed);
            }
        }
        self.hear(used, now_ms);
    }

    /// The exchange lost its memory. What it is told as known holds what we have of it; what was owed is owed still.
    pub(super) fn forgotten(&mut self, returns: bool) {
        let told = self.telling.take().unwrap_or_default();
        self.owed = self.owed.saturating_add(told.owed);
        self.base = self.base.saturating_add(told.spent);
        (self.out, self.back, self.unconfirmed) = (0, 0, true);
        if returns {
            (self.owed, self.fleet) = (self.have, 0);
        }
    }

    /// Nothing to settle and nothing to tell.
    pub(super) fn done(&self) -> bool {
        self.held == 0 && self.spent == 0 && self.back == 0 && self.owed == 0 && self.telling.is_none()
    }
}
