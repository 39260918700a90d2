//! Leaving a refused credential alone. One [`Quarantine`] per credential, shared by all targets that use it; a 403, which
//! concerns one target only, is kept in that target's breaker by the same rule (`Spell`).
//!
//! ```text
//!           401, 402, insufficient_quota                       time is up, one request asks
//!   free ───────────────────────────────► quarantined 60 s ──────────────────────────────► on trial
//!     ▲                                        ▲ twice as long each time, <= 15 min            │ │
//!     │                                        └───────────────── refused again ───────────────┘ │
//!     └────────────────────────────────────────────── answered ──────────────────────────────────┘
//! ```
//! Not for failures and rate limits: those are the breaker's. Only the one on trial (or a last resort, which is asked
//! whatever this says) can lift or lengthen a spell; requests from before it are late news. While free it costs one
//! relaxed load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Length of the first spell.
pub const FIRST: Duration = Duration::from_secs(60);
/// Longest spell.
pub const AT_MOST: Duration = Duration::from_secs(15 * 60);

/// One stay in quarantine: plain state, whoever holds it locks.
#[derive(Debug)]
pub(super) struct Spell {
    /// Refusals that began or lengthened it.
    times: u32,
    until: Instant,
    /// One request is finding out whether it is over.
    on_trial: bool,
}

impl Spell {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            times: 1,
            until: now + FIRST,
            on_trial: false,
        }
    }

    /// `None` when one request may find out, else how long that takes (nothing: one is at it).
    pub(super) fn refuses_for(&self, now: Instant) -> Option<Duration> {
        let left = self.until.saturating_duration_since(now);
        (self.on_trial || left > Duration::ZERO).then_some(left)
    }

    pub(super) fn try_it(&mut self) {
        self.on_trial = true;
    }

    /// The one on trial left without a verdict.
    pub(super) fn give_back(&mut self) {
        self.on_trial = false;
    }

    /// The one on trial was refused.
    pub(super) fn lengthen(&mut self, now: Instant) {
        self.on_trial = false;
        let length = FIRST.saturating_mul(1 << self.times.min(16)).min(AT_MOST);
        self.times = self.times.saturating_add(1);
        self.until = now + length;
    }

    pub(super) fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }
}

/// Whether a provider accepts one credential.
#[derive(Debug, Default)]
pub struct Quarantine {
    /// A copy of `spell.is_some()` that is read without the lock.
    active: AtomicBool,
    spell: Mutex<Option<Spell>>,
}

impl Quarantine {
    /// Ask to use the credential; else how long it is left alone (nothing: somebody is finding out). `now` is read only in
    /// quarantine.
    pub(super) fn admit(self: &Arc<Self>, now: impl FnOnce() -> Instant) -> Result<Pass, Duration> {
        if !self.active.load(Ordering::Relaxed) {
            return Ok(self.pass(Standing::Free));
        }
        let mut spell = self.lock();
        let Some(active) = spell.as_mut() else {
            return Ok(self.pass(Standing::Free));
        };
        match active.refuses_for(now()) {
            Some(left) => Err(left),
            None => {
                active.try_it();
                Ok(self.pass(Standing::OnTrial))
            }
        }
    }

    /// Use it whatever is known: for the last resort.
    pub(super) fn admit_anyway(self: &Arc<Self>) -> Pass {
        let active = self.active.load(Ordering::Relaxed);
        self.pass(if active { Standing::Anyway } else { Standing::Free })
    }

    fn pass(self: &Arc<Self>, standing: Standing) -> Pass {
        Pass {
            quarantine: Arc::clone(self),
            standing,
        }
    }

    /// Whether nothing is held against the credential.
    pub fn is_free(&self) -> bool {
        !self.active.load(Ordering::Relaxed)
    }

    /// How much longer it is left alone; `Some(0)`: the next request finds out. `None`: nothing is held against it.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.lock().as_ref().map(|spell| spell.left(now))
    }

    /// An operator's word that it is good again.
    pub fn reset(&self) {
        *self.lock() = None;
        self.active.store(false, Ordering::Relaxed);
    }

    /// It was refused. Only news if it was on trial, or if nothing was known yet.
    fn refused(&self, standing: Standing, now: Instant) {
        let mut spell = self.lock();
        match (spell.as_mut(), standing) {
            (None, _) => *spell = Some(Spell::begin(now)),
            (Some(spell), Standing::OnTrial) => spell.lengthen(now),
            (Some(_), _) => {}
        }
        self.active.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Spell>> {
        self.spell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing was held against the credential.
    Free,
    /// The one that finds out.
    OnTrial,
    /// A last resort.
    Anyway,
}

/// Leave to use a credential once. Dropped without a verdict, a trial's place is given back.
#[derive(Debug)]
pub(super) struct Pass {
    quarantine: Arc<Quarantine>,
    standing: Standing,
}

impl Pass {
    /// Whether nothing was held against the credential.
    pub(super) fn is_free(&self) -> bool {
        self.standing == Standing::Free
    }

    /// It was accepted. Whether that lifted a quarantine.
    pub(super) fn accepted(mut self) -> bool {
        let lifts = !self.is_free();
        if lifts {
            self.standing = Standing::Free;
            self.quarantine.reset();
        }
        lifts
    }

    /// It was refused.
    pub(super) fn refused(mut self, now: Instant) {
        self.quarantine.refused(self.standing, now);
        self.standing = Standing::Free;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.standing == Standing::OnTrial
            && let Some(spell) = self.quarantine.lock().as_mut()
        {
            spell.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> impl FnOnce() -> Instant {
        move || start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_minute_first_then_twice_as_long_up_to_a_quarter_of_an_hour() {
        let (quarantine, mut now) = (Arc::new(Quarantine::default()), Instant::now());
        for seconds in [60, 120, 240, 480, 900, 900] {
            quarantine.admit(|| now).unwrap().refused(now);
            assert_eq!(quarantine.left(now), Some(Duration::from_secs(seconds)));
            let left = quarantine.admit(after(now, seconds - 1)).unwrap_err();
            assert_eq!(left, Duration::from_secs(1));
            now += Duration::from_secs(seconds);
        }
        assert!(quarantine.admit(|| now).unwrap().accepted());
        assert_eq!(quarantine.left(now), None);
        quarantine.admit(|| now).unwrap().refused(now);
        assert_eq!(quarantine.left(now), Some(FIRST), "and from the beginning again");
        quarantine.reset();
        assert!(quarantine.is_free() && quarantine.admit(|| now).unwrap().is_free());
    }

    #[test]
    fn a_hundred_refusals_at_once_are_one() {
        let (quarantine, now) = (Arc::new(Quarantine::default()), Instant::now());
        let passes: Vec<_> = (0..100).map(|_| quarantine.admit(|| now).unwrap()).collect();
        for pass in passes {
            pass.refused(now);
        }
        assert_eq!(quarantine.left(now), Some(FIRST));
    }

    #[test]
    fn one_finds_out_and_gives_its_place_back() {
        let (quarantine, start) = (Arc::new(Quarantine::default()), Instant::now());
        let early = quarantine.admit(|| start).unwrap();
        quarantine.admit(|| start).unwrap().refused(start);
        assert!(!early.accepted(), "news from before");
        let trial = quarantine.admit(after(start, 60)).unwrap();
        assert_eq!(quarantine.admit(after(start, 61)).unwrap_err(), Duration::ZERO);
        drop(trial);
        let trial = quarantine.admit(after(start, 62)).unwrap();
        let anyway = quarantine.admit_anyway();
        anyway.refused(start + Duration::from_secs(63));
        assert_eq!(
            quarantine.left(start + Duration::from_secs(63)),
            Some(Duration::ZERO),
            "the trial decides"
        );
        drop(trial);
        assert!(
            quarantine.admit_anyway().accepted(),
            "but a last resort that is answered lifts it"
        );
        assert!(quarantine.is_free());
    }
}
