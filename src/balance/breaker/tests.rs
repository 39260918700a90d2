//! A breaker's rules one at a time; random sequences against a model are in the simulations.

use super::*;
use std::sync::atomic::AtomicUsize;

const SECOND: Duration = Duration::from_secs(1);

fn fail(breaker: &Arc<Breaker>, now: Instant, times: u32) {
    for _ in 0..times {
        breaker.admit(|| now).unwrap().failure(now);
    }
}

fn opened() -> (Arc<Breaker>, Instant) {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    fail(&breaker, start, 5);
    (breaker, start)
}

fn is_open(refusal: Result<Permit, Refusal>) -> bool {
    matches!(refusal, Err(Refusal::Open(_)))
}

/// Counts how often those who wait would be told.
#[derive(Default)]
pub(in super::super) struct Counter(AtomicUsize);

impl Released for Counter {
    fn released(&self, _: bool) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    pub(in super::super) fn on(breaker: &Breaker) -> Arc<Self> {
        let counter = Arc::new(Self::default());
        let listener: Weak<dyn Released> = Arc::downgrade(&(Arc::clone(&counter) as Arc<dyn Released>));
        breaker.on_release(listener.clone());
        breaker.on_release(listener);
        counter
    }

    pub(in super::super) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

#[test]
fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    fail(&breaker, start, 4);
    breaker.admit(|| start).unwrap().success();
    fail(&breaker, start, 5);
    assert_eq!(breaker.state(start), BreakerState::Open);
    assert!(is_open(breaker.admit(|| start + 26 * SECOND)));
    let later = start + 34 * SECOND;
    let probe = breaker.admit(|| later).unwrap();
    assert_eq!(breaker.admit(|| later).unwrap_err(), Refusal::Open(Duration::ZERO));
    probe.success();
    assert_eq!(breaker.state(later), BreakerState::Closed);
    assert!(breaker.admit(|| later).unwrap().is_calm());
}

#[test]
fn a_probe_that_streams_lets_the_next_one_pass_and_still_decides_at_its_end() {
    for ends_well in [true, false] {
        let (breaker, start) = opened();
        let counter = Counter::on(&breaker);
        let later = start + 34 * SECOND;
        let mut probe = breaker.admit(|| later).unwrap();
        assert!(is_open(breaker.admit(|| later)));
        probe.begun();
        probe.begun();
        assert_eq!(counter.take(), 1);
        let next = breaker.admit(|| later).unwrap();
        assert!(is_open(breaker.admit(|| later)), "one at a time until it has begun");
        if ends_well {
            probe.success();
            assert_eq!(breaker.state(later), BreakerState::Closed);
        } else {
            probe.failure(later);
            assert_eq!(breaker.state(later), BreakerState::Open);
        }
        drop(next);
        assert_eq!(breaker.in_flight(), 0);
    }
    // One that has begun and is dropped does not give away the place of the next.
    let (breaker, start) = opened();
    let later = start + 34 * SECOND;
    let mut probe = breaker.admit(|| later).unwrap();
    probe.begun();
    let next = breaker.admit(|| later).unwrap();
    drop(probe);
    assert!(is_open(breaker.admit(|| later)));
    drop(next);
    assert!(breaker.admit(|| later).is_ok());
}

#[test]
fn a_failed_probe_opens_it_for_longer_and_an_abandoned_one_gives_its_place_back() {
    let (breaker, start) = opened();
    let second = start + 34 * SECOND;
    drop(breaker.admit(|| second).unwrap());
    let probe = breaker.admit(|| second).unwrap();
    assert!(!probe.is_calm());
    probe.failure(second);
    assert!(breaker.admit(|| second + 53 * SECOND).is_err());
    assert!(breaker.admit(|| second + 67 * SECOND).is_ok());
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
    assert_eq!(breaker.report(start).window, Some((18, 9)));
    breaker.admit(|| start).unwrap().success();
    fail(&breaker, start, 1);
    assert_eq!(breaker.state(start), BreakerState::Open);
}

#[test]
fn thresholds_change_at_a_reload_and_nothing_is_forgotten() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    let settings = Settings {
        failures: 8,
        open: 2 * SECOND,
        open_at_most: 3 * SECOND,
        failure_percent: 100,
        ..Settings::default()
    };
    fail(&breaker, start, 4);
    breaker.configure(settings, None);
    fail(&breaker, start, 3);
    assert_eq!(breaker.report(start).failures_in_a_row, 7);
    fail(&breaker, start, 1);
    let open_for = breaker.report(start).open_for.unwrap();
    assert!(
        (1_800..=2_200).contains(&open_for.as_millis()),
        "two seconds, give or take a tenth"
    );
    let mut now = start;
    for _ in 0..3 {
        now += 4 * SECOND;
        breaker.admit(|| now).unwrap().failure(now);
    }
    assert!(breaker.report(now).open_for.unwrap() <= Duration::from_millis(3_300));

    // Nonsense opens nothing that answers and overflows no clock.
    let nonsense = Settings {
        failures: 0,
        failure_percent: 0,
        min_requests: 0,
        window: Duration::MAX,
        open: Duration::MAX,
        open_at_most: Duration::MAX,
    };
    let breaker = Arc::new(Breaker::default());
    breaker.configure(nonsense, Some(0));
    assert_eq!(breaker.admit(|| start).unwrap_err(), Refusal::Full);
    breaker.configure(nonsense, None);
    breaker.admit(|| start).unwrap().success();
    fail(&breaker, start, 1);
    assert!(is_open(breaker.admit(|| start)));
}

#[test]
fn a_cool_down_is_no_failure_and_ends_by_itself() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    breaker.admit(|| start).unwrap().cool(start, 7 * SECOND);
    assert_eq!(
        breaker.admit(|| start + 2 * SECOND).unwrap_err(),
        Refusal::Cooling(5 * SECOND)
    );
    assert!(!breaker.is_calm(|| start + 2 * SECOND));
    let later = breaker.admit(|| start + 7 * SECOND).unwrap();
    assert!(later.is_calm(), "it never failed");
    later.success();
    assert_eq!(breaker.in_flight(), 0);
    assert_eq!(
        breaker.word.load(Ordering::Relaxed) & CALM,
        CALM,
        "back on the lock-free path"
    );
}

#[test]
fn a_target_that_just_failed_is_not_calm_until_it_answers() {
    let (breaker, now) = (Arc::new(Breaker::default()), Instant::now());
    assert!(breaker.admit(|| now).unwrap().is_calm());
    fail(&breaker, now, 1);
    let next = breaker.admit(|| now).unwrap();
    assert!(!next.is_calm() && !breaker.is_calm(|| now));
    next.success();
    assert!(breaker.admit(|| now).unwrap().is_calm() && breaker.is_calm(|| now));
}

#[test]
fn what_hung_when_it_opened_neither_closes_nor_opens_it_again() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    let mut hung: Vec<_> = (0..40).map(|_| breaker.admit(|| start).unwrap()).collect();
    fail(&breaker, start, 5);
    hung.pop().unwrap().success();
    assert_eq!(breaker.state(start), BreakerState::Open, "late news");
    let later = start + 34 * SECOND;
    let probe = breaker.admit(|| later).unwrap();
    hung.pop().unwrap().failure(later);
    assert_eq!(breaker.state(later), BreakerState::HalfOpen, "the probe decides");
    probe.success();
    for late in hung {
        late.failure(later);
    }
    assert_eq!(
        breaker.state(later),
        BreakerState::Closed,
        "38 of them time out at last"
    );
    assert_eq!(breaker.report(later).failures_in_a_row, 0);
}

#[test]
fn a_last_resort_passes_and_closes_it_but_takes_no_probes_place() {
    let (breaker, start) = opened();
    breaker.admit_anyway(start).unwrap().failure(start);
    assert_eq!(breaker.times_opened(), 1);
    let later = start + 34 * SECOND;
    let probe = breaker.admit(|| later).unwrap();
    drop(breaker.admit_anyway(later).unwrap());
    breaker.admit_anyway(later).unwrap().failure(later);
    assert!(is_open(breaker.admit(|| later)), "the probe is still under way");
    breaker.admit_anyway(later).unwrap().success();
    assert_eq!(breaker.state(later), BreakerState::Closed);
    probe.failure(later);
    assert_eq!(breaker.state(later), BreakerState::Closed);

    let (breaker, start) = opened();
    breaker.admit_anyway(start).unwrap().failure(start + 34 * SECOND);
    assert!(
        is_open(breaker.admit(|| start + 34 * SECOND)),
        "no request has to find out"
    );
}

#[test]
fn a_probe_of_long_ago_does_not_give_anothers_place_back() {
    let (breaker, start) = opened();
    let old = breaker.admit(|| start + 34 * SECOND).unwrap();
    breaker.admit_anyway(start).unwrap().success();
    fail(&breaker, start + 35 * SECOND, 5);
    let later = start + 70 * SECOND;
    let probe = breaker.admit(|| later).unwrap();
    drop(old);
    assert!(is_open(breaker.admit(|| later)), "a second probe");
    drop(probe);
    assert!(breaker.admit(|| later).is_ok());
}

#[test]
fn a_health_check_closes_it_early_and_spares_requests_the_probe() {
    let (breaker, start) = opened();
    let counter = Counter::on(&breaker);
    let late = start + 34 * SECOND;
    breaker.probe_failed(start);
    assert_eq!(breaker.times_opened(), 1, "it is open already");
    breaker.probe_failed(late);
    assert_eq!(
        breaker.times_opened(),
        2,
        "half-open without a probe: open again, longer"
    );
    assert!(breaker.report(late).open_for.unwrap() > 50 * SECOND);
    assert_eq!(counter.take(), 0);
    breaker.probe_succeeded();
    assert_eq!((breaker.state(late), counter.take()), (BreakerState::Closed, 1));

    for _ in 0..4 {
        breaker.probe_failed(late);
    }
    breaker.probe_succeeded();
    fail(&breaker, late, 1);
    assert_eq!(
        breaker.state(late),
        BreakerState::Open,
        "checks count as failures; a good one does not excuse what requests saw"
    );
}

#[test]
fn a_403_leaves_this_target_alone_for_a_minute_then_longer() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    let both = [0, 1].map(|_| breaker.admit(|| start).unwrap());
    for permit in both {
        permit.forbidden(start);
    }
    let refusal = |at: Instant| breaker.admit(|| at).unwrap_err();
    assert_eq!(refusal(start + 50 * SECOND), Refusal::Quarantined(10 * SECOND));
    assert_eq!(breaker.report(start).failures_in_a_row, 0, "no failure");
    let later = start + 60 * SECOND;
    let trial = breaker.admit(|| later).unwrap();
    assert!(!trial.is_calm());
    assert_eq!(refusal(later), Refusal::Quarantined(Duration::ZERO), "one at a time");
    drop(trial);
    breaker.admit(|| later).unwrap().forbidden(later);
    assert_eq!(breaker.report(later).quarantined_for, Some(120 * SECOND));
    let much_later = later + 120 * SECOND;
    // A failure is no verdict on the credential.
    breaker.admit(|| much_later).unwrap().failure(much_later);
    breaker.admit(|| much_later).unwrap().success();
    assert_eq!(breaker.report(much_later).quarantined_for, None);
    assert!(breaker.admit(|| much_later).unwrap().is_calm());

    breaker.admit(|| start).unwrap().refused_credential(start);
    assert!(
        matches!(refusal(start), Refusal::Quarantined(_)),
        "without a credential that is watched, it falls back on the target"
    );
}

#[test]
fn what_an_operator_takes_out_stays_out() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    breaker.hold_open();
    assert_eq!(breaker.admit(|| start + 9999 * SECOND).unwrap_err(), Refusal::Held);
    assert_eq!(breaker.admit_anyway(start).unwrap_err(), Refusal::Held);
    breaker.probe_succeeded();
    let shown = breaker.report(start);
    assert!(shown.held && shown.held_for.is_none());
    breaker.reset();
    assert!(breaker.admit(|| start).unwrap().is_calm());

    breaker.isolate(start + 5 * SECOND);
    assert_eq!(breaker.report(start).held_for, Some(5 * SECOND));
    assert_eq!(breaker.admit(|| start + 4 * SECOND).unwrap_err(), Refusal::Held);
    assert!(breaker.admit(|| start + 5 * SECOND).is_ok());
}

#[test]
fn a_reset_forgets_what_was_held_against_it() {
    let (breaker, start) = opened();
    let counter = Counter::on(&breaker);
    let at = start + 34 * SECOND;
    let probe = breaker.admit(|| at).unwrap();
    breaker.admit_anyway(at).unwrap().cool(at, 60 * SECOND);
    breaker.admit_anyway(at).unwrap().forbidden(at);
    breaker.reset();
    assert_eq!(counter.take(), 1);
    assert!(breaker.admit(|| at).unwrap().is_calm());
    probe.failure(at);
    let shown = breaker.report(at);
    assert_eq!(
        (shown.state, shown.cooling_for, shown.quarantined_for),
        (BreakerState::Closed, None, None)
    );
    assert_eq!((shown.failures_in_a_row, shown.opened), (0, 1));
}

#[test]
fn the_bound_is_exact_among_threads() {
    let (breaker, now) = (Arc::new(Breaker::default()), Instant::now());
    breaker.configure(Settings::default(), Some(7));
    let most = AtomicUsize::new(0);
    let under_way = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let held: Vec<_> = (0..3).filter_map(|_| breaker.admit(|| now).ok()).collect();
                    let total = under_way.fetch_add(held.len(), Ordering::SeqCst) + held.len();
                    most.fetch_max(total, Ordering::SeqCst);
                    under_way.fetch_sub(held.len(), Ordering::SeqCst);
                    drop(held);
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 7);
    assert_eq!(breaker.in_flight(), 0);
    let held: Vec<_> = std::iter::from_fn(|| breaker.admit(|| now).ok()).collect();
    assert_eq!(held.len(), 7);
    assert_eq!(
        breaker.admit_anyway(now).unwrap_err(),
        Refusal::Full,
        "a last resort too"
    );
    breaker.configure(Settings::default(), Some(3));
    drop(held.into_iter().take(4).collect::<Vec<_>>());
    assert!(breaker.admit(|| now).is_ok());
}

#[test]
fn a_full_target_keeps_its_probes_place() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    breaker.configure(Settings::default(), Some(1));
    let hung = breaker.admit(|| start).unwrap();
    for _ in 0..5 {
        breaker.probe_failed(start);
    }
    let later = start + 34 * SECOND;
    assert_eq!(breaker.admit(|| later).unwrap_err(), Refusal::Full);
    drop(hung);
    breaker.admit(|| later).unwrap().success();
    assert_eq!(breaker.state(later), BreakerState::Closed);
}

#[test]
fn those_who_wait_are_told_and_nobody_else() {
    let (breaker, now) = (Arc::new(Breaker::default()), Instant::now());
    let counter = Counter::on(&breaker);
    breaker.admit(|| now).unwrap().success();
    assert_eq!(counter.take(), 0, "no bound, nobody can have been refused");
    breaker.configure(Settings::default(), Some(1));
    breaker.admit(|| now).unwrap().success();
    drop(breaker.admit(|| now).unwrap());
    assert_eq!(counter.take(), 2, "a place is free");
    breaker.configure(Settings::default(), Some(2));
    assert_eq!(counter.take(), 1, "more places");
    breaker.configure(Settings::default(), None);
    assert_eq!(counter.take(), 1);

    fail(&breaker, now, 5);
    let later = now + 34 * SECOND;
    assert_eq!(counter.take(), 0);
    drop(breaker.admit(|| later).unwrap());
    assert_eq!(counter.take(), 1, "the probe's place");
    breaker.admit(|| later).unwrap().success();
    assert_eq!(counter.take(), 1, "closed");

    drop(counter);
    breaker.reset();
    let other = Counter::on(&breaker);
    assert_eq!(breaker.listeners.lock().unwrap().len(), 1, "who has gone is forgotten");
    drop(other);
}

#[test]
fn a_doubt_takes_the_calm_and_opens_nothing_until_it_is_known_to_be_a_failure() {
    let (breaker, start) = (Arc::new(Breaker::default()), Instant::now());
    let doubts: Vec<_> = (0..50)
        .filter_map(|_| breaker.admit(|| start).unwrap().doubt(start))
        .collect();
    assert_eq!(doubts.len(), 50);
    assert!(!breaker.admit(|| start).unwrap().is_calm());
    drop(doubts);
    breaker.admit(|| start).unwrap().success();
    assert!(breaker.admit(|| start).unwrap().is_calm());
    for doubt in (0..5)
        .filter_map(|_| breaker.admit(|| start).unwrap().doubt(start))
        .collect::<Vec<_>>()
    {
        doubt.failed(start);
    }
    assert!(is_open(breaker.admit(|| start)));
    // That of a probe opens it again.
    let later = start + 40 * SECOND;
    assert!(breaker.admit(|| later).unwrap().doubt(later).is_none());
    assert!(is_open(breaker.admit(|| later)));
}
