//! Whether a target is fit to be asked. One breaker per target, shared by all pools that name it; survives reloads.
//!
//! ```text
//!            5 failures in a row, or >= 50 % of >= 20 within 10 s        (Settings)
//!   closed ───────────────────────────────────────────────────────► open (30 s × times opened, <= 300 s, jittered)
//!     ▲                                                              │ time is up
//!     │ probe, last resort or health check succeeds                  ▼
//!     └──────────────────────────────────────────────────────── half-open (lets one probe pass)
//!                                                                    │ probe or health check fails: open again, longer
//! ```
//! Closed lets requests pass; open refuses. A probe dropped without a verdict gives its place back; reports of requests
//! from before the last change are ignored. Beside it, none of them failures:
//!
//! * a *cool-down*: a provider that answered 429 is left alone until the time it named;
//! * a *quarantine* of this target: 403, the credential may not use this model ([`super::quarantine`] has the rule);
//! * a *hold*: an operator took the target out by hand; not even a last resort passes;
//! * a *bound* on requests in flight, which is no judgement at all.
//!
//! A calm breaker (closed, none of the above) costs one atomic load to ask, one add to count and one to report success;
//! the lock is taken only around failures and while not calm. The rules are in `machine.rs`, the leave in `permit.rs`.

mod machine;
mod permit;

pub use permit::{Doubt, Permit};

use super::latency::{Latency, Quantiles};
pub(super) use machine::Entry;
use machine::Machine;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Longest cool-down a provider's header can impose.
pub const COOL_AT_MOST: Duration = Duration::from_secs(3600);
/// Longest time any setting is taken to mean, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// `max_in_flight` when there is no bound.
const UNBOUNDED: u32 = u32::MAX;
/// The bit of [`Breaker::word`] that says calm; the epoch is above it.
const CALM: u32 = 1;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Share of failures within the window that opens it, in percent.
    pub failure_percent: u32,
    /// Requests within the window from which the share counts.
    pub min_requests: u32,
    /// Length of the window for the failure share; it starts with a failure.
    pub window: Duration,
    /// How long it stays open the first time; the second time twice as long, and so on.
    pub open: Duration,
    /// Longest time it stays open.
    pub open_at_most: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failures: 5,
            failure_percent: 50,
            min_requests: 20,
            window: Duration::from_secs(10),
            open: Duration::from_secs(30),
            open_at_most: Duration::from_secs(300),
        }
    }
}

impl Settings {
    /// Values that mean something: no zero opens a breaker on success, no time overflows a clock.
    fn bounded(self) -> Self {
        Self {
            failures: self.failures.max(1),
            failure_percent: self.failure_percent.clamp(1, 100),
            min_requests: self.min_requests.max(1),
            window: self.window.min(LONGEST),
            open: self.open.min(LONGEST),
            open_at_most: self.open_at_most.min(LONGEST),
        }
    }
}

/// What a breaker does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Passing.
    Closed,
    /// One probe may pass.
    HalfOpen,
    /// Refusing.
    Open,
}

impl BreakerState {
    /// Lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Why a breaker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is open for this long, or half-open with its probe under way (nothing).
    Open(Duration),
    /// The provider asked to be left alone for this long.
    Cooling(Duration),
    /// The provider refused the credential for this target; it is asked again after this long (nothing: one is finding out).
    Quarantined(Duration),
    /// As many requests are under way as may be.
    Full,
    /// An operator took it out.
    Held,
}

/// Told when a target may have become able to take a request: for those who wait.
pub trait Released: Send + Sync {
    /// Somebody may pass who could not before; `many`: not only one. Called without any lock of the breaker's, on the thread
    /// that reported; it must be quick. Whoever waits must ask once more *after* it can be told, or it can miss the only call.
    fn released(&self, many: bool);
}

/// What an operator is shown of a breaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// Passing, probing or refusing; a hold, a cool-down and a quarantine are beside it.
    pub state: BreakerState,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// Requests and failures in the window; `None` when none failed of late.
    pub window: Option<(u32, u32)>,
    /// Times it opened since the process started.
    pub opened: u64,
    /// How much longer it is open.
    pub open_for: Option<Duration>,
    /// How much longer its provider wants to be left alone.
    pub cooling_for: Option<Duration>,
    /// How much longer its own quarantine lasts; nothing: the next request finds out.
    pub quarantined_for: Option<Duration>,
    /// Held out by an operator.
    pub held: bool,
    /// How much longer it is held out, if not until it is reset.
    pub held_for: Option<Duration>,
    /// Requests under way.
    pub in_flight: u32,
    /// The most there may be.
    pub max_in_flight: Option<u32>,
    /// Times to the first token of streams, where that is measured.
    pub first_token: Quantiles,
    /// Times to the end of whole answers, where that is measured.
    pub whole: Quantiles,
}

/// The breaker of one target.
#[derive(Debug)]
pub struct Breaker {
    /// [`CALM`] and the machine's epoch, so that the one load that asks also says when the permit was given.
    word: AtomicU32,
    /// Successes since the window started.
    successes: AtomicU32,
    /// Requests under way.
    in_flight: AtomicU32,
    max_in_flight: AtomicU32,
    /// Whether `listeners` has any.
    listened: AtomicBool,
    /// Times it opened since the process started, for the operator.
    opened: AtomicU64,
    machine: Mutex<Machine>,
    listeners: Mutex<Arc<[Weak<dyn Released>]>>,
    /// How long it takes to answer; kept here because it is as old as the target and shared by the same pools.
    latency: Latency,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            word: AtomicU32::new(CALM),
            successes: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            max_in_flight: AtomicU32::new(UNBOUNDED),
            listened: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            machine: Mutex::default(),
            listeners: Mutex::new(Arc::new([])),
            latency: Latency::default(),
        }
    }
}

impl Breaker {
    /// At a load or reload: new thresholds and bound; what is known of the target stays.
    pub fn configure(&self, settings: Settings, max_in_flight: Option<u32>) {
        self.lock().configure(settings);
        let bound = max_in_flight.unwrap_or(UNBOUNDED);
        let before = self.max_in_flight.swap(bound, Ordering::Relaxed);
        if bound > before {
            self.tell(true);
        }
    }

    /// Ask to pass. `now` is read only when the breaker is not calm.
    pub fn admit(self: &Arc<Self>, now: impl FnOnce() -> Instant) -> Result<Permit, Refusal> {
        Ok(Permit::new(Arc::clone(self), self.enter(now)?, None))
    }

    /// As [`Breaker::admit`], for who makes the permit; it counts as in flight already.
    #[inline]
    pub(super) fn enter(&self, now: impl FnOnce() -> Instant) -> Result<Entry, Refusal> {
        let word = self.word.load(Ordering::Acquire);
        if word & CALM == 0 {
            return self.lock_and(|machine| machine.admit(now(), || self.take_place()));
        }
        if self.take_place() {
            Ok(Entry::calm(word >> 1))
        } else {
            Err(Refusal::Full)
        }
    }

    /// Pass although it may be open, cooling or in quarantine: for the last resort, which is asked rather than refused. An
    /// operator's hold and bound stand.
    pub fn admit_anyway(self: &Arc<Self>, now: Instant) -> Result<Permit, Refusal> {
        Ok(Permit::new(Arc::clone(self), self.enter_anyway(now)?, None))
    }

    /// As [`Breaker::admit_anyway`], for who makes the permit; it counts as in flight already.
    pub(super) fn enter_anyway(&self, now: Instant) -> Result<Entry, Refusal> {
        let entry = self.lock_and(|machine| machine.admit_anyway(now))?;
        if self.take_place() {
            Ok(entry)
        } else {
            Err(Refusal::Full)
        }
    }

    /// One more in flight, if there may be.
    #[inline]
    fn take_place(&self) -> bool {
        let bound = self.max_in_flight.load(Ordering::Relaxed);
        if bound == UNBOUNDED {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let one_more = |now: u32| (now < bound).then(|| now + 1);
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    /// A request is over. `news`: its report lets others pass.
    #[inline]
    fn leave(&self, news: bool) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.listened.load(Ordering::Relaxed) && (news || self.max_in_flight.load(Ordering::Relaxed) != UNBOUNDED) {
            self.tell(news);
        }
    }

    #[inline]
    fn succeeded(&self, entry: Entry) -> bool {
        self.successes.fetch_add(1, Ordering::Relaxed);
        let calm = self.word.load(Ordering::Acquire) & CALM != 0;
        !calm && self.lock_and(|machine| machine.succeeded(entry))
    }

    fn failed(&self, entry: Entry, now: Instant) {
        let opened = self.lock_and(|machine| machine.failed(entry, now, &self.successes));
        self.opened.fetch_add(u64::from(opened), Ordering::Relaxed);
    }

    /// An active health check was answered: an open or half-open breaker closes early.
    pub fn probe_succeeded(&self) {
        if self.word.load(Ordering::Acquire) & CALM == 0 && self.lock_and(Machine::check_succeeded) {
            self.tell(true);
        }
    }

    /// An active health check failed: a failure like a request's; and no request has to find out that an open breaker
    /// whose time is up must open again.
    pub fn probe_failed(&self, now: Instant) {
        let opened = self.lock_and(|machine| machine.check_failed(now, &self.successes));
        self.opened.fetch_add(u64::from(opened), Ordering::Relaxed);
    }

    /// An operator takes the target out, until [`Breaker::reset`].
    pub fn hold_open(&self) {
        self.lock_and(|machine| machine.hold(None));
    }

    /// An operator takes the target out until then, or until [`Breaker::reset`].
    pub fn isolate(&self, until: Instant) {
        self.lock_and(|machine| machine.hold(Some(until)));
    }

    /// An operator's word that it is well: closed, not held, no cool-down, no quarantine of its own.
    pub fn reset(&self) {
        self.lock_and(Machine::reset);
        self.tell(true);
    }

    /// Whether nothing is held against it now: closed and no failures since it last answered.
    pub fn is_calm(&self, now: impl FnOnce() -> Instant) -> bool {
        self.word.load(Ordering::Acquire) & CALM != 0
            || self.lock_and(|machine| {
                machine.forget(now());
                machine.is_calm()
            })
    }

    /// Be told when somebody may pass again who could not: a place is free, or a report ended what kept others out. What
    /// ends by itself (a cool-down, the time open) tells nobody. Registering twice is once.
    pub fn on_release(&self, listener: Weak<dyn Released>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |other: &&Weak<dyn Released>| !std::ptr::addr_eq(other.as_ptr(), listener.as_ptr());
        let others = listeners.iter().filter(|other| other.strong_count() > 0).filter(same);
        *listeners = others.cloned().chain([listener.clone()]).collect();
        self.listened.store(true, Ordering::SeqCst);
    }

    fn tell(&self, many: bool) {
        if !self.listened.load(Ordering::Relaxed) {
            return;
        }
        let listeners = Arc::clone(&self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.released(many);
        }
    }

    /// Its state now.
    pub fn state(&self, now: Instant) -> BreakerState {
        self.lock().state(now)
    }

    /// All that an operator may want to know.
    pub fn report(&self, now: Instant) -> Shown {
        let machine = self.lock();
        let bound = self.max_in_flight.load(Ordering::Relaxed);
        let held = machine.held(now);
        let window = machine.window_failures(now).map(|failures| {
            let successes = self.successes.load(Ordering::Relaxed);
            (successes.saturating_add(failures), failures)
        });
        Shown {
            state: machine.state(now),
            failures_in_a_row: machine.failures_in_a_row(),
            window,
            opened: self.times_opened(),
            open_for: machine.open_for(now),
            cooling_for: machine.cooling_for(now),
            quarantined_for: machine.forbidden_for(now),
            held: held.is_some(),
            held_for: held.flatten(),
            in_flight: self.in_flight(),
            max_in_flight: (bound != UNBOUNDED).then_some(bound),
            first_token: self.latency.quantiles(true),
            whole: self.latency.quantiles(false),
        }
    }

    /// Requests under way at this target.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Times it opened since the process started.
    pub fn times_opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How long it takes to answer, where a pool measures that.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        // The state is valid after every statement, so a panic elsewhere leaves nothing half-done.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change what is known, and with it the word that is read without the lock.
    fn lock_and<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.lock();
        let result = change(&mut machine);
        let word = machine.epoch() << 1 | u32::from(machine.is_calm());
        self.word.store(word, Ordering::Release);
        result
    }
}

#[cfg(test)]
pub(super) mod tests;
