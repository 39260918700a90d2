//! What a breaker knows, and how reports change it: plain state behind the breaker's lock. The diagram is in `breaker.rs`.
//!
//! Every opening and closing begins a new *epoch*. A permit carries the epoch it was given in, and reports of another one
//! are late news: thousands of requests that hang when a target dies would otherwise open it again as they time out, long
//! after a probe has closed it.

use super::super::quarantine::Spell;
use super::{BreakerState, COOL_AT_MOST, Refusal, Settings};
use std::time::{Duration, Instant};

#[derive(Debug)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// Taken out by an operator.
#[derive(Debug, Clone, Copy)]
enum Held {
    UntilReset,
    Until(Instant),
}

#[derive(Debug)]
struct Window {
    start: Instant,
    failures: u32,
}

/// As what a request was let through; its report is judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Entry {
    pub(super) epoch: u32,
    /// It decides whether a half-open breaker closes.
    pub(super) probe: bool,
    /// It finds out whether a 403 still stands.
    pub(super) trial: bool,
    /// It passed whatever the breaker says: it is believed like a health check, and leaves a probe its place.
    pub(super) anyway: bool,
    /// Nothing was held against the target.
    pub(super) calm: bool,
}

impl Entry {
    /// Of somebody against whose target nothing is held.
    pub(super) fn calm(epoch: u32) -> Self {
        Self {
            epoch,
            probe: false,
            trial: false,
            anyway: false,
            calm: true,
        }
    }
}

#[derive(Debug)]
pub(super) struct Machine {
    settings: Settings,
    phase: Phase,
    epoch: u32,
    /// Openings since it last closed.
    openings: u32,
    in_a_row: u32,
    window: Option<Window>,
    cooling_until: Option<Instant>,
    forbidden: Option<Spell>,
    held: Option<Held>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            phase: Phase::Closed,
            epoch: 0,
            openings: 0,
            in_a_row: 0,
            window: None,
            cooling_until: None,
            forbidden: None,
            held: None,
        }
    }
}

impl Machine {
    pub(super) fn configure(&mut self, settings: Settings) {
        self.settings = settings.bounded();
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Closed, nothing held against it: requests need not come here.
    pub(super) fn is_calm(&self) -> bool {
        matches!(self.phase, Phase::Closed)
            && self.in_a_row == 0
            && self.cooling_until.is_none()
            && self.forbidden.is_none()
            && self.held.is_none()
    }

    /// What time alone has ended.
    pub(super) fn forget(&mut self, now: Instant) {
        self.cooling_until = self.cooling_until.filter(|until| now < *until);
        if matches!(self.held, Some(Held::Until(until)) if until <= now) {
            self.held = None;
        }
    }

    /// Let somebody through if `room` can be had too; it is asked for last, so that no probe's place is taken in vain.
    pub(super) fn admit(&mut self, now: Instant, room: impl FnOnce() -> bool) -> Result<Entry, Refusal> {
        self.forget(now);
        if self.held.is_some() {
            return Err(Refusal::Held);
        }
        if let Some(left) = self.forbidden.as_ref().and_then(|spell| spell.refuses_for(now)) {
            return Err(Refusal::Quarantined(left));
        }
        if let Some(until) = self.cooling_until {
            return Err(Refusal::Cooling(until.saturating_duration_since(now)));
        }
        let probe = match self.phase {
            Phase::Closed => false,
            Phase::Open { until } if now < until => return Err(Refusal::Open(until - now)),
            Phase::HalfOpen { probing: true } => return Err(Refusal::Open(Duration::ZERO)),
            Phase::Open { .. } | Phase::HalfOpen { probing: false } => true,
        };
        if !room() {
            return Err(Refusal::Full);
        }
        if probe {
            self.phase = Phase::HalfOpen { probing: true };
        }
        let trial = self.forbidden.as_mut().map(Spell::try_it).is_some();
        Ok(Entry {
            epoch: self.epoch,
            probe,
            trial,
            anyway: false,
            calm: !probe && !trial && self.in_a_row == 0,
        })
    }

    /// The last resort's entry, unless an operator holds the target out.
    pub(super) fn admit_anyway(&mut self, now: Instant) -> Result<Entry, Refusal> {
        self.forget(now);
        if self.held.is_some() {
            return Err(Refusal::Held);
        }
        Ok(Entry {
            epoch: self.epoch,
            probe: false,
            trial: false,
            anyway: true,
            calm: false,
        })
    }

    /// Whether more may pass than before.
    pub(super) fn succeeded(&mut self, entry: Entry) -> bool {
        let lifted = (entry.trial || entry.anyway) && self.forbidden.take().is_some();
        if entry.epoch != self.epoch {
            return lifted;
        }
        match self.phase {
            Phase::Closed => self.in_a_row = 0,
            Phase::Open { .. } | Phase::HalfOpen { .. } if entry.probe || entry.anyway => {
                self.close();
                return true;
            }
            Phase::Open { .. } | Phase::HalfOpen { .. } => {}
        }
        lifted
    }

    /// A failure; `successes` counts those since the window began and is set to 0 when a new one begins. Whether it opened.
    pub(super) fn failed(&mut self, entry: Entry, now: Instant, successes: impl Successes) -> bool {
        self.give_trial_back(entry);
        if entry.epoch != self.epoch {
            return false;
        }
        match self.phase {
            Phase::Closed => self.count_failure(now, successes),
            Phase::HalfOpen { .. } if entry.probe => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.open(now);
                true
            }
            // As a health check's: no request has to find out.
            Phase::Open { .. } | Phase::HalfOpen { .. } if entry.anyway => self.check_failed(now, successes),
            Phase::Open { .. } | Phase::HalfOpen { .. } => false,
        }
    }

    /// A failure that may be the request's: it is not calm, and no nearer to opening than after one failure.
    pub(super) fn doubt(&mut self, entry: Entry) {
        if entry.epoch == self.epoch && matches!(self.phase, Phase::Closed) {
            self.in_a_row = self.in_a_row.max(1);
        }
    }

    fn count_failure(&mut self, now: Instant, successes: impl Successes) -> bool {
        let settings = self.settings;
        self.in_a_row = self.in_a_row.saturating_add(1);
        let outdated = |window: &Window| now.saturating_duration_since(window.start) > settings.window;
        if self.window.as_ref().is_none_or(outdated) {
            successes.clear();
            self.window = Some(Window {
                start: now,
                failures: 0,
            });
        }
        let failures = self.window.as_mut().map_or(1, |window| {
            window.failures = window.failures.saturating_add(1);
            window.failures
        });
        let total = u64::from(successes.count()) + u64::from(failures);
        let share = total >= u64::from(settings.min_requests)
            && u64::from(failures) * 100 >= total * u64::from(settings.failure_percent);
        let opens = share || self.in_a_row >= settings.failures;
        if opens {
            self.open(now);
        }
        opens
    }

    fn open(&mut self, now: Instant) {
        self.openings = self.openings.saturating_add(1);
        self.window = None;
        self.epoch = self.epoch.wrapping_add(1) & EPOCHS;
        let Settings { open, open_at_most, .. } = self.settings;
        let length = open.saturating_mul(self.openings).min(open_at_most);
        // ±10 %, so that instances and targets that failed together do not probe together.
        self.phase = Phase::Open {
            until: now + length.mul_f64(0.9 + 0.2 * fastrand::f64()).min(open_at_most),
        };
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.epoch = self.epoch.wrapping_add(1) & EPOCHS;
        self.openings = 0;
        self.in_a_row = 0;
        self.window = None;
    }

    pub(super) fn cool(&mut self, entry: Entry, now: Instant, length: Duration) {
        let until = now + length.min(COOL_AT_MOST);
        self.cooling_until = Some(self.cooling_until.map_or(until, |before| before.max(until)));
        self.abandoned(entry);
    }

    /// A 403. Only news if it was on trial, or if nothing was known yet.
    pub(super) fn forbid(&mut self, entry: Entry, now: Instant) {
        match self.forbidden.as_mut() {
            None => self.forbidden = Some(Spell::begin(now)),
            Some(spell) if entry.trial => spell.lengthen(now),
            Some(_) => {}
        }
        self.give_probe_back(entry);
    }

    /// The answer has begun: a 403 does not stand any more, and another may probe. Whether more may pass than before.
    pub(super) fn begun(&mut self, entry: Entry) -> bool {
        let lifted = (entry.trial || entry.anyway) && self.forbidden.take().is_some();
        self.give_probe_back(entry) || lifted
    }

    /// No verdict: the places are given back. Whether there was one.
    pub(super) fn abandoned(&mut self, entry: Entry) -> bool {
        let trial = self.give_trial_back(entry);
        self.give_probe_back(entry) || trial
    }

    fn give_probe_back(&mut self, entry: Entry) -> bool {
        let gives = entry.probe && entry.epoch == self.epoch && matches!(self.phase, Phase::HalfOpen { .. });
        if gives {
            self.phase = Phase::HalfOpen { probing: false };
        }
        gives
    }

    fn give_trial_back(&mut self, entry: Entry) -> bool {
        entry.trial && self.forbidden.as_mut().map(Spell::give_back).is_some()
    }

    /// A health check of ours was answered. It says nothing of a closed breaker, whose requests know better. Whether it
    /// closed.
    pub(super) fn check_succeeded(&mut self) -> bool {
        let closes = !matches!(self.phase, Phase::Closed);
        if closes {
            self.close();
        }
        closes
    }

    /// A health check of ours failed. Whether it opened.
    pub(super) fn check_failed(&mut self, now: Instant, successes: impl Successes) -> bool {
        match self.phase {
            Phase::Closed => self.count_failure(now, successes),
            // Opened again before any request has to find out.
            Phase::Open { until } if until <= now => {
                self.open(now);
                true
            }
            Phase::HalfOpen { probing: false } => {
                self.open(now);
                true
            }
            Phase::Open { .. } | Phase::HalfOpen { probing: true } => false,
        }
    }

    pub(super) fn hold(&mut self, until: Option<Instant>) {
        self.held = Some(until.map_or(Held::UntilReset, Held::Until));
    }

    pub(super) fn reset(&mut self) {
        self.close();
        self.cooling_until = None;
        self.forbidden = None;
        self.held = None;
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Open { until } if now < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
            Phase::Closed => BreakerState::Closed,
        }
    }

    pub(super) fn failures_in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Failures in the window, if one runs.
    pub(super) fn window_failures(&self, now: Instant) -> Option<u32> {
        let window = self.window.as_ref()?;
        let runs = now.saturating_duration_since(window.start) <= self.settings.window;
        runs.then_some(window.failures)
    }

    pub(super) fn open_for(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Open { until } if now < until => Some(until - now),
            _ => None,
        }
    }

    pub(super) fn cooling_for(&self, now: Instant) -> Option<Duration> {
        self.cooling_until
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    pub(super) fn forbidden_for(&self, now: Instant) -> Option<Duration> {
        self.forbidden.as_ref().map(|spell| spell.left(now))
    }

    /// Whether it is held, and for how long where that is known.
    pub(super) fn held(&self, now: Instant) -> Option<Option<Duration>> {
        match self.held? {
            Held::UntilReset => Some(None),
            Held::Until(until) if now < until => Some(Some(until - now)),
            Held::Until(_) => None,
        }
    }
}

/// An epoch has 31 bits; the last one of its word says whether the breaker is calm.
const EPOCHS: u32 = u32::MAX >> 1;

/// The count of successes, which lives outside the lock.
pub(super) trait Successes {
    fn count(&self) -> u32;
    fn clear(&self);
}

impl Successes for &std::sync::atomic::AtomicU32 {
    fn count(&self) -> u32 {
        self.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn clear(&self) {
        self.store(0, std::sync::atomic::Ordering::Relaxed);
    }
}
