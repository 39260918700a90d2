//! What a request holds of every count that applies to it, until it is settled.
//!
//! ```text
//! reserve ─► Lease ─ settle(what was used) ─► charges
//!                  └ drop ─► all of it returns; after `sent`, the request itself counts
//! ```
//! Settled once: settling takes the lease. It is settled in the window in which it was reserved, however late.

use super::bank::Bank;
use super::count::Count;
use super::demand::{Charged, Spent};
use super::rule::{Measure, Rule};
use std::sync::Arc;
use std::time::Duration;

/// Room held; see the module.
#[derive(Debug)]
#[must_use = "dropped, it returns what was reserved"]
pub struct Lease {
    pub(super) bank: Arc<Bank>,
    pub(super) holds: Vec<Hold>,
    pub(super) standings: Standings,
    pub(super) now_ms: u64,
    /// Room that was taken later, for another call of the same request.
    more: Vec<Hold>,
    sent: bool,
}

/// Room held in one count.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) count: Arc<Count>,
    /// Position of its rule among those that were given.
    pub(super) order: usize,
    pub(super) need: u64,
    /// What of it is held; all of it once the lease is handed out, nothing of a soft rule.
    pub(super) held: u64,
    /// Window or slot in which it was reserved.
    pub(super) mark: i64,
}

/// How one rule stands, for `x-ratelimit-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its limit.
    pub limit: u64,
    /// What is left of it after this request.
    pub remaining: u64,
    /// Until all of it is there again, if nothing more is used; zero where time alone changes nothing.
    pub reset: Duration,
}

/// The tightest rules of a request, as of when it was reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standings {
    /// Of requests per time.
    pub requests: Option<Standing>,
    /// Of tokens per time, of whichever kind.
    pub tokens: Option<Standing>,
}

impl Standings {
    pub(super) fn note(&mut self, measure: Measure, standing: impl FnOnce() -> Standing) {
        let place = match measure {
            Measure::Requests => &mut self.requests,
            Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => &mut self.tokens,
            Measure::Concurrent | Measure::NanoUsd => return,
        };
        let standing = standing();
        if place.is_none_or(|tightest| standing.remaining < tightest.remaining) {
            *place = Some(standing);
        }
    }
}

/// Why a request may not go out. Nothing was taken.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The first rule, in the order they were given, that has no room.
    pub rule: Arc<Rule>,
    /// The value it is counted apart for.
    pub value: Option<Arc<str>>,
    /// What the request needs of it.
    pub asked: u64,
    /// What is left of it.
    pub remaining: u64,
    /// When the same request could find room; none: time alone makes none (it is larger than the limit, or others have to end
    /// first).
    pub retry_after: Option<Duration>,
    /// Until all of it is there again, if nothing more is used.
    pub reset: Option<Duration>,
    /// The exchange could not be asked, and the rule does not let pass what it cannot count.
    pub outage: bool,
}

impl Lease {
    pub(super) fn new(bank: &Arc<Bank>, now_ms: u64) -> Self {
        Self {
            bank: Arc::clone(bank),
            holds: Vec::new(),
            standings: Standings::default(),
            now_ms,
            more: Vec::new(),
            sent: false,
        }
    }

    /// The tightest rules, for `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.
    pub fn standings(&self) -> Standings {
        self.standings
    }

    /// Whether no rule applies.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Room for another call of the same request is settled with it, in the window in which the first was reserved.
    pub fn add(&mut self, mut other: Self) {
        self.more.append(&mut other.holds);
        self.more.append(&mut other.more);
    }

    /// It got as far as a provider: from now on the request counts, also if the lease is dropped.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// The request is over, though what it used is not known yet: it is no longer under way, and all else stays reserved.
    pub fn over(&mut self, now_ms: u64) {
        let mut kept = Vec::with_capacity(self.holds.len());
        for hold in std::mem::take(&mut self.holds) {
            let mut state = hold.count.lock();
            if state.rule.measure != Measure::Concurrent {
                drop(state);
                kept.push(hold);
                continue;
            }
            state.advance(now_ms);
            state.release(hold.mark, hold.held, 0);
            drop(state);
            self.bank.touch(&hold.count);
        }
        self.holds = kept;
    }

    /// Account for what was used, at every provider that was asked; nothing at all: as if dropped. What was used beyond what
    /// was reserved is charged in full. Returns what counts of money were charged with.
    pub fn settle(mut self, parts: &[Spent<'_>], now_ms: u64) -> Vec<Charged> {
        let mut charged = Vec::new();
        let sent = std::mem::take(&mut self.sent) && parts.is_empty();
        let more = std::mem::take(&mut self.more);
        let mut met = Vec::new();
        for hold in std::mem::take(&mut self.holds) {
            let mut state = hold.count.lock();
            state.advance(now_ms);
            let here = || parts.iter().filter(|part| state.rule.counts_at(part.provider));
            let sum = |figure: fn(&Spent<'_>) -> u64| here().map(figure).fold(0, u64::saturating_add);
            let measure = state.rule.measure;
            let used = match measure {
                Measure::Requests => u64::from(sent || here().next().is_some()),
                Measure::Concurrent => 0,
                Measure::Tokens => sum(|part| part.input.saturating_add(part.output)),
                Measure::InputTokens => sum(|part| part.input),
                Measure::OutputTokens => sum(|part| part.output),
                Measure::NanoUsd => sum(|part| part.nano),
            };
            if !more.is_empty() {
                met.push(hold.count.serial);
            }
            // What was held beside returns in the same moment, so that nobody takes it before this is charged.
            for other in more.iter().filter(|other| Arc::ptr_eq(&other.count, &hold.count)) {
                state.release(other.mark, other.held, 0);
            }
            state.release(hold.mark, hold.held, used);
            state.alert(&hold.count, &self.bank.alerts);
            drop(state);
            self.bank.touch(&hold.count);
            if measure == Measure::NanoUsd && used > 0 {
                charged.push(Charged {
                    count: Arc::clone(&hold.count.id),
                    window: hold.mark,
                    nano: used,
                });
            }
        }
        // Of counts that the first call did not meet.
        self.more = more;
        self.more.retain(|other| !met.contains(&other.count.serial));
        charged
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        for hold in std::mem::take(&mut self.more) {
            let mut state = hold.count.lock();
            state.advance(self.now_ms);
            state.release(hold.mark, hold.held, 0);
            drop(state);
            self.bank.touch(&hold.count);
        }
        for hold in std::mem::take(&mut self.holds) {
            let mut state = hold.count.lock();
            state.advance(self.now_ms);
            let used = u64::from(self.sent && state.rule.measure == Measure::Requests);
            state.release(hold.mark, hold.held, used);
            drop(state);
            self.bank.touch(&hold.count);
        }
    }
}
