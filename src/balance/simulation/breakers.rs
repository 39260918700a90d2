//! A breaker under random sequences of events, against a plain model of its rules written down a second time, without
//! locks, words and epochs.

use super::super::breaker::{Breaker, BreakerState, Permit, Refusal, Settings};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SETTINGS: Settings = Settings {
    failures: 3,
    failure_percent: 100,
    min_requests: 100_000,
    window: Duration::from_secs(10),
    open: Duration::from_secs(10),
    open_at_most: Duration::from_secs(35),
};
const BOUND: u32 = 6;

#[derive(Debug, Clone, Copy)]
enum Event {
    Wait(u64),
    Admit,
    Anyway,
    Success(usize),
    Failure(usize),
    Cool(usize, u64),
    Forbidden(usize),
    Drop(usize),
    CheckGood,
    CheckBad,
    Reset,
    Isolate(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop_oneof![0u64..2_000, 0u64..40_000].prop_map(Event::Wait),
        8 => Just(Event::Admit),
        1 => Just(Event::Anyway),
        2 => any::<usize>().prop_map(Event::Success),
        8 => any::<usize>().prop_map(Event::Failure),
        1 => (any::<usize>(), 0u64..20_000).prop_map(|(which, length)| Event::Cool(which, length)),
        1 => any::<usize>().prop_map(Event::Forbidden),
        2 => any::<usize>().prop_map(Event::Drop),
        1 => prop_oneof![Just(Event::CheckGood), Just(Event::CheckBad), Just(Event::Reset), (0u64..30_000).prop_map(Event::Isolate)],
    ]
}

/// What the model believes of a permit.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Believed {
    /// How often the breaker had changed when it was given.
    change: u32,
    probe: bool,
    trial: bool,
    anyway: bool,
}

#[derive(Debug, Default)]
struct Model {
    changes: u32,
    /// `Some`: not closed. Milliseconds between which its time is up, because of the jitter.
    open: Option<(u64, u64)>,
    probing: bool,
    openings: u64,
    in_a_row: u32,
    cooling: u64,
    held: u64,
    /// Until when, which spell it is, and whether one is on trial.
    forbidden: Option<(u64, u32, bool)>,
}

/// What the model allows.
#[derive(Debug, PartialEq)]
enum May {
    Pass,
    Not(&'static str),
    Either,
}

impl Model {
    fn opens(&mut self, now: u64) {
        self.openings += 1;
        self.changes += 1;
        let length = (10_000 * self.openings).min(35_000);
        self.open = Some((now + length * 9 / 10, now + length * 11 / 10 + 1));
        self.probing = false;
    }

    fn closes(&mut self) {
        *self = Self {
            changes: self.changes + 1,
            cooling: self.cooling,
            held: self.held,
            forbidden: self.forbidden,
            ..Self::default()
        };
    }

    fn may(&self, now: u64, under_way: u32) -> May {
        let full = under_way >= BOUND;
        let forbidden = self.forbidden.is_some_and(|(until, _, trial)| trial || now < until);
        match self.open {
            _ if now < self.held => May::Not("held"),
            _ if forbidden => May::Not("quarantined"),
            _ if now < self.cooling => May::Not("cooling"),
            Some((earliest, _)) if self.probing || now < earliest => May::Not("open"),
            Some((_, latest)) if now <= latest => May::Either,
            _ if full => May::Not("full"),
            _ => May::Pass,
        }
    }

    fn admitted(&mut self, now: u64) -> Believed {
        if let Some(open) = &mut self.open {
            // Its time is up, whatever the jitter was.
            *open = (0, now.min(open.1).saturating_sub(1));
            self.probing = true;
        }
        if let Some(forbidden) = &mut self.forbidden {
            forbidden.2 = true;
        }
        Believed {
            change: self.changes,
            probe: self.open.is_some(),
            trial: self.forbidden.is_some(),
            anyway: false,
        }
    }

    fn succeeded(&mut self, permit: Believed) {
        if permit.trial || permit.anyway {
            self.forbidden = None;
        }
        if permit.change == self.changes {
            match self.open {
                None => self.in_a_row = 0,
                Some(_) if permit.probe || permit.anyway => self.closes(),
                Some(_) => {}
            }
        }
    }

    fn failed(&mut self, permit: Believed, now: u64) {
        self.trial_over(permit);
        if permit.change == self.changes {
            match self.open {
                None => self.failed_closed(now),
                Some(_) if permit.probe => self.opens(now),
                Some(_) => {}
            }
        }
    }

    fn failed_closed(&mut self, now: u64) {
        self.in_a_row += 1;
        if self.in_a_row >= SETTINGS.failures {
            self.opens(now);
        }
    }

    fn trial_over(&mut self, permit: Believed) {
        if let Some(forbidden) = &mut self.forbidden
            && permit.trial
        {
            forbidden.2 = false;
        }
    }

    fn left(&mut self, permit: Believed) {
        self.trial_over(permit);
        if permit.probe && permit.change == self.changes {
            self.probing = false;
        }
    }

    fn forbid(&mut self, permit: Believed, now: u64) {
        match self.forbidden {
            None => self.forbidden = Some((now + 60_000, 1, false)),
            Some((_, times, _)) if permit.trial => {
                self.forbidden = Some((now + (60_000 << times).min(900_000), times + 1, false));
            }
            Some(_) => {}
        }
        if permit.probe && permit.change == self.changes {
            self.probing = false;
        }
    }
}

fn name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Open(_) => "open",
        Refusal::Cooling(_) => "cooling",
        Refusal::Quarantined(_) => "quarantined",
        Refusal::Full => "full",
        Refusal::Held => "held",
    }
}

/// The breaker and its model, side by side.
struct Pair {
    breaker: Arc<Breaker>,
    model: Model,
    held: Vec<(Permit, Believed)>,
    start: Instant,
    now: u64,
}

impl Pair {
    fn at(&self, milliseconds: u64) -> Instant {
        self.start + Duration::from_millis(milliseconds)
    }

    fn take(&mut self, which: usize) -> Option<(Permit, Believed)> {
        let count = self.held.len();
        (count > 0).then(|| self.held.swap_remove(which % count))
    }

    fn admit(&mut self) -> Result<(), TestCaseError> {
        let now = self.at(self.now);
        let expected = self.model.may(self.now, self.held.len() as u32);
        let state = self.breaker.state(now);
        match (self.breaker.admit(|| now), expected) {
            (Ok(permit), May::Pass | May::Either) => {
                prop_assert!(state != BreakerState::Open);
                let was_calm = self.model.in_a_row == 0 && self.model.open.is_none() && self.model.forbidden.is_none();
                let believed = self.model.admitted(self.now);
                prop_assert_eq!(permit.is_calm(), was_calm);
                self.held.push((permit, believed));
            }
            (Err(refusal), May::Not(why)) => prop_assert_eq!(name(refusal), why),
            (Err(Refusal::Open(_) | Refusal::Full), May::Either) => {}
            (got, expected) => prop_assert!(false, "{:?}, but {:?} in {:?}", got.map(drop), expected, self.model),
        }
        Ok(())
    }

    fn step(&mut self, event: Event) -> Result<(), TestCaseError> {
        let now = self.at(self.now);
        match event {
            Event::Wait(milliseconds) => self.now += milliseconds,
            Event::Admit => self.admit()?,
            Event::Anyway => {
                let permit = self.breaker.admit_anyway(now).ok();
                let passes = self.now >= self.model.held && self.held.len() < BOUND as usize;
                prop_assert_eq!(permit.is_some(), passes);
                let change = self.model.changes;
                let believed = Believed {
                    change,
                    probe: false,
                    trial: false,
                    anyway: true,
                };
                self.held.extend(permit.map(|permit| (permit, believed)));
            }
            Event::CheckGood => {
                self.breaker.probe_succeeded();
                if self.model.open.is_some() {
                    self.model.closes();
                }
            }
            Event::CheckBad => self.check_failed()?,
            Event::Reset => {
                self.breaker.reset();
                self.model.closes();
                (self.model.cooling, self.model.held, self.model.forbidden) = (0, 0, None);
            }
            Event::Isolate(milliseconds) => {
                self.breaker.isolate(self.at(self.now + milliseconds));
                self.model.held = self.now + milliseconds;
            }
            Event::Success(which)
            | Event::Failure(which)
            | Event::Cool(which, _)
            | Event::Forbidden(which)
            | Event::Drop(which) => {
                if let Some((permit, believed)) = self.take(which) {
                    self.settle(event, permit, believed);
                }
            }
        }
        prop_assert_eq!(self.breaker.in_flight() as usize, self.held.len());
        prop_assert_eq!(
            self.breaker.state(self.at(self.now)) == BreakerState::Closed,
            self.model.open.is_none()
        );
        Ok(())
    }

    fn check_failed(&mut self) -> Result<(), TestCaseError> {
        let before = self.breaker.times_opened();
        self.breaker.probe_failed(self.at(self.now));
        let opened = self.breaker.times_opened() > before;
        match self.model.open {
            None => self.model.failed_closed(self.now),
            Some((earliest, _)) if opened => {
                prop_assert!(earliest <= self.now && !self.model.probing);
                self.model.opens(self.now);
            }
            Some((_, latest)) => prop_assert!(self.now <= latest || self.model.probing),
        }
        Ok(())
    }

    fn settle(&mut self, event: Event, permit: Permit, believed: Believed) {
        let now = self.at(self.now);
        match event {
            Event::Success(_) => {
                permit.success();
                self.model.succeeded(believed);
            }
            Event::Failure(_) => {
                let before = self.breaker.times_opened();
                permit.failure(now);
                let opened = self.breaker.times_opened() > before;
                match self.model.open {
                    // Like a health check; whether its time is up is the jitter's to say.
                    Some((earliest, latest)) if believed.anyway && believed.change == self.model.changes => {
                        assert!(!opened || (earliest <= self.now && !self.model.probing));
                        assert!(opened || self.now <= latest || self.model.probing);
                        if opened {
                            self.model.opens(self.now);
                        }
                    }
                    _ => self.model.failed(believed, self.now),
                }
            }
            Event::Cool(_, milliseconds) => {
                permit.cool(now, Duration::from_millis(milliseconds));
                self.model.cooling = self.model.cooling.max(self.now + milliseconds);
                self.model.left(believed);
            }
            Event::Forbidden(_) => {
                permit.forbidden(now);
                self.model.forbid(believed, self.now);
            }
            _ => {
                drop(permit);
                self.model.left(believed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: while open, held, cooling, in quarantine or full nothing passes, while half-open one; and it
    /// always recovers.
    #[test]
    fn a_breaker_does_what_its_rules_say_and_always_recovers(events in prop::collection::vec(event(), 1..150)) {
        let breaker = Arc::new(Breaker::default());
        breaker.configure(SETTINGS, Some(BOUND));
        let mut pair = Pair { breaker, model: Model::default(), held: Vec::new(), start: Instant::now(), now: 0 };
        for event in events {
            pair.step(event)?;
        }
        // The target is well again, and whoever waited has gone.
        pair.held.clear();
        let now = pair.at(pair.now + 1_000_000);
        let breaker = pair.breaker;
        breaker.admit(|| now).unwrap().success();
        prop_assert_eq!(breaker.state(now), BreakerState::Closed);
        prop_assert_eq!(breaker.in_flight(), 0);
        prop_assert!(breaker.is_calm(|| now));
        for _ in 0..SETTINGS.failures - 1 {
            breaker.admit(|| now).unwrap().failure(now);
        }
        prop_assert!(breaker.admit(|| now).is_ok(), "it counts from nothing");
    }
}
