//! Whether a target is fit to be asked. One breaker per target, shared by all pools that name it; survives reloads.
//!
//! ```text
//!            5 failures in a row, or >= 50 % of >= 20 within 10 s
//!   closed ───────────────────────────────────────────────────────► open (30 s × times opened, <= 300 s, jittered)
//!     ▲                                                              │ time is up
//!     │ probe succeeds                                               ▼
//!     └──────────────────────────────────────────────────────── half-open (lets one probe pass)
//!                                                                    │ probe fails: open again, longer
//! ```
//! Closed lets requests pass; open refuses. Beside it, a *cool-down*: a provider that answered 429 is left alone until
//! the time it named, which is no failure. A closed breaker costs one atomic load to ask and one add to report success;
//! the lock is taken only around failures and while not closed.

use super::latency::Latency;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open it.
pub const CONSECUTIVE_FAILURES: u32 = 5;
/// Requests within [`WINDOW`] from which the failure share counts.
pub const MIN_REQUESTS: u32 = 20;
/// Length of the window for the failure share; it starts with a failure.
pub const WINDOW: Duration = Duration::from_secs(10);
/// First time it stays open.
pub const OPEN_FOR: Duration = Duration::from_secs(30);
/// Longest time it stays open.
pub const OPEN_AT_MOST: Duration = Duration::from_secs(300);
/// Longest cool-down a provider's header can impose.
pub const COOL_AT_MOST: Duration = Duration::from_secs(600);

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
    /// It is open, or half-open with its probe under way.
    Open,
    /// The provider asked to be left alone for this long.
    Cooling(Duration),
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    times_opened: u32,
    consecutive: u32,
    window_start: Option<Instant>,
    window_failures: u32,
    cooling_until: Option<Instant>,
}

/// The breaker of one target.
#[derive(Debug)]
pub struct Breaker {
    /// Closed, not cooling and no failures in a row: the state in which nothing needs the lock.
    calm: AtomicBool,
    /// Successes since the window started.
    successes: AtomicU32,
    /// Requests under way.
    in_flight: AtomicU32,
    /// Times it opened since the process started, for the operator.
    opened: AtomicU64,
    inner: Mutex<Inner>,
    /// How long it takes to answer; kept here because it is as old as the target and shared by the same pools.
    latency: Latency,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            calm: AtomicBool::new(true),
            successes: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            opened: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                phase: Phase::Closed,
                times_opened: 0,
                consecutive: 0,
                window_start: None,
                window_failures: 0,
                cooling_until: None,
            }),
            latency: Latency::default(),
        }
    }
}

impl Breaker {
    /// Ask to pass. `now` is read only when the breaker is not calm.
    pub fn admit(self: &Arc<Self>, now: impl FnOnce() -> Instant) -> Result<Permit, Refusal> {
        let probe = if self.calm.load(Ordering::Acquire) {
            false
        } else {
            self.admit_slowly(now())?
        };
        Ok(self.permit(probe))
    }

    /// Pass although it may be open: for the last resort, which is asked rather than refused. Counts as a probe.
    pub fn admit_anyway(self: &Arc<Self>) -> Permit {
        self.permit(true)
    }

    fn permit(self: &Arc<Self>, probe: bool) -> Permit {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Permit {
            breaker: Arc::clone(self),
            probe,
            reported: false,
            measured: None,
        }
    }

    fn admit_slowly(&self, now: Instant) -> Result<bool, Refusal> {
        let mut inner = self.lock();
        if let Some(until) = inner.cooling_until {
            if now < until {
                return Err(Refusal::Cooling(until - now));
            }
            inner.cooling_until = None;
        }
        match inner.phase {
            Phase::Closed => Ok(false),
            Phase::Open { until } if now < until => Err(Refusal::Open),
            Phase::HalfOpen { probing: true } => Err(Refusal::Open),
            Phase::Open { .. } | Phase::HalfOpen { probing: false } => {
                inner.phase = Phase::HalfOpen { probing: true };
                Ok(true)
            }
        }
    }

    fn succeeded(&self, probe: bool) {
        self.successes.fetch_add(1, Ordering::Relaxed);
        if !self.calm.load(Ordering::Acquire) {
            let mut inner = self.lock();
            if !probe && !matches!(inner.phase, Phase::Closed) {
                // A request from before it opened: late news, the probe decides.
                return;
            }
            inner.consecutive = 0;
            inner.phase = Phase::Closed;
            inner.times_opened = 0;
            let cooling = inner.cooling_until.is_some();
            self.calm.store(!cooling, Ordering::Release);
        }
    }

    fn failed(&self, now: Instant) {
        let mut inner = self.lock();
        self.calm.store(false, Ordering::Release);
        inner.consecutive = inner.consecutive.saturating_add(1);
        if inner
            .window_start
            .is_none_or(|start| now.saturating_duration_since(start) > WINDOW)
        {
            inner.window_start = Some(now);
            inner.window_failures = 0;
            self.successes.store(0, Ordering::Relaxed);
        }
        inner.window_failures = inner.window_failures.saturating_add(1);
        let successes = self.successes.load(Ordering::Relaxed);
        let total = successes.saturating_add(inner.window_failures);
        let half_failed = total >= MIN_REQUESTS && inner.window_failures >= successes;
        match inner.phase {
            Phase::Closed if inner.consecutive >= CONSECUTIVE_FAILURES || half_failed => self.open(&mut inner, now),
            Phase::HalfOpen { .. } => self.open(&mut inner, now),
            _ => {}
        }
    }

    fn open(&self, inner: &mut Inner, now: Instant) {
        inner.times_opened = inner.times_opened.saturating_add(1);
        inner.consecutive = 0;
        inner.window_start = None;
        let length = OPEN_FOR.saturating_mul(inner.times_opened).min(OPEN_AT_MOST);
        // ±10 %, so that instances and targets that failed together do not probe together.
        inner.phase = Phase::Open {
            until: now + length.mul_f64(0.9 + 0.2 * fastrand::f64()),
        };
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    fn cool(&self, now: Instant, length: Duration) {
        let until = now + length.min(COOL_AT_MOST);
        let mut inner = self.lock();
        inner.cooling_until = Some(inner.cooling_until.map_or(until, |before| before.max(until)));
        if let Phase::HalfOpen { .. } = inner.phase {
            inner.phase = Phase::HalfOpen { probing: false };
        }
        self.calm.store(false, Ordering::Release);
    }

    fn abandoned(&self) {
        let mut inner = self.lock();
        if let Phase::HalfOpen { .. } = inner.phase {
            inner.phase = Phase::HalfOpen { probing: false };
        }
    }

    /// Its state now.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.lock().phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until } if now < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
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

    /// How long it takes to answer, where a strategy measures that.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The state is valid after every statement, so a panic elsewhere leaves nothing half-done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to ask a target once. What came of it must be reported; dropped unreported (the client left), it says nothing
/// about the target, and a probe's place is given back.
#[derive(Debug)]
pub struct Permit {
    breaker: Arc<Breaker>,
    probe: bool,
    reported: bool,
    /// Only from pools that choose by latency; elsewhere nothing reads a clock.
    measured: Option<Measured>,
}

#[derive(Debug)]
struct Measured {
    began: Instant,
    stream: bool,
    heard: bool,
}

impl Permit {
    /// Measure how long it takes from now to the first token of a stream or to the end of a whole answer.
    pub(super) fn measured(mut self, began: Instant, stream: bool) -> Self {
        self.measured = Some(Measured {
            began,
            stream,
            heard: false,
        });
        self
    }

    /// The first token of a stream, or all of a whole answer, is here. Not for refusals: they are quick and say nothing
    /// about answers. The clock is read only if the pool measures, and only the first time.
    pub fn heard(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(measured) = &mut self.measured
            && !measured.heard
        {
            measured.heard = true;
            let now = now();
            let took = now.saturating_duration_since(measured.began);
            self.breaker.latency.answered(measured.stream, took, now);
        }
    }

    /// The target answered.
    pub fn success(mut self) {
        self.reported = true;
        self.breaker.succeeded(self.probe);
    }

    /// The target failed.
    pub fn failure(mut self, now: Instant) {
        self.reported = true;
        if let Some(measured) = &self.measured {
            let after = now.saturating_duration_since(measured.began);
            self.breaker.latency.failed(measured.stream, after, now);
        }
        self.breaker.failed(now);
    }

    /// stub
    pub fn is_calm(&self) -> bool {
        true
    }
    /// stub
    pub fn refused_credential(self, now: Instant) {
        self.failure(now)
    }
    /// stub
    pub fn forbidden(self, now: Instant) {
        self.failure(now)
    }
    /// The target asked to be left alone.
    pub fn cool(mut self, now: Instant, length: Duration) {
        self.reported = true;
        self.breaker.cool(now, length);
    }

    /// The client left or our own time was up: no verdict, but it was no faster than this. Dropping does the same without
    /// the latter.
    pub fn unanswered(self, now: impl FnOnce() -> Instant) {
        if let Some(measured) = &self.measured
            && !measured.heard
        {
            let now = now();
            let waited = now.saturating_duration_since(measured.began);
            self.breaker.latency.not_within(measured.stream, waited, now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.breaker.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.reported && self.probe {
            self.breaker.abandoned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Arc<Breaker>, now: Instant, times: u32) {
        for _ in 0..times {
            breaker.admit(|| now).unwrap().failure(now);
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
        let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
        fail(&breaker, start, 4);
        breaker.admit(|| start).unwrap().success();
        fail(&breaker, start, 5);
        assert_eq!(breaker.state(start), BreakerState::Open);
        assert_eq!(
            breaker.admit(|| start + Duration::from_secs(26)).unwrap_err(),
            Refusal::Open
        );
        let later = start + Duration::from_secs(34);
        let probe = breaker.admit(|| later).unwrap();
        assert_eq!(breaker.admit(|| later).unwrap_err(), Refusal::Open, "only one probe");
        probe.success();
        assert_eq!(breaker.state(later), BreakerState::Closed);
        assert!(breaker.admit(|| later).is_ok());
    }

    #[test]
    fn a_failed_probe_opens_it_for_longer_and_an_abandoned_one_gives_its_place_back() {
        let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
        fail(&breaker, start, 5);
        let second = start + Duration::from_secs(34);
        drop(breaker.admit(|| second).unwrap());
        breaker.admit(|| second).unwrap().failure(second);
        assert!(breaker.admit(|| second + Duration::from_secs(53)).is_err());
        assert!(breaker.admit(|| second + Duration::from_secs(67)).is_ok());
        assert_eq!(breaker.times_opened(), 2);
    }

    #[test]
    fn half_of_twenty_within_ten_seconds_open_it() {
        let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
        for _ in 0..9 {
            fail(&breaker, start, 1);
            breaker.admit(|| start).unwrap().success();
        }
        assert_eq!(breaker.state(start), BreakerState::Closed);
        breaker.admit(|| start).unwrap().success();
        fail(&breaker, start, 1);
        assert_eq!(breaker.state(start), BreakerState::Open);
    }

    #[test]
    fn a_cool_down_is_no_failure_and_ends_by_itself() {
        let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
        breaker.admit(|| start).unwrap().cool(start, Duration::from_secs(7));
        assert_eq!(
            breaker.admit(|| start + Duration::from_secs(2)).unwrap_err(),
            Refusal::Cooling(Duration::from_secs(5))
        );
        breaker.admit(|| start + Duration::from_secs(7)).unwrap().success();
        assert_eq!(breaker.in_flight(), 0);
        assert!(breaker.calm.load(Ordering::Relaxed), "back on the lock-free path");
    }
}
