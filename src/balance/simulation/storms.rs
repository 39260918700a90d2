//! Failures of many requests at once, decided as the dispatcher decides: the pool picks, calm targets are asked for
//! nothing, others cost the budget, and when nobody may be asked the last resort is. One attempt a target, no waiting.

use super::super::breaker::Permit;
use super::super::hedge::{BURST, HedgeBudget};
use super::super::latency::Latency;
use super::super::pool::{Ask, Member, Pick, Pool, Strategy};
use super::super::quarantine::Quarantine;
use super::super::retry::RetryBudget;
use super::{about, pool};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request that has been sent to somebody.
struct Trip<'a> {
    tried: Vec<usize>,
    permit: Option<Permit>,
    active: Option<super::super::retry::Active<'a>>,
    answered: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Toll {
    requests: u32,
    calls: u32,
    lost: u32,
}

impl Toll {
    fn ratio(&self) -> f64 {
        f64::from(self.calls) / f64::from(self.requests)
    }
}

/// Whom to ask next, as the dispatcher does it.
fn next(pool: &Pool, budget: &RetryBudget, trip: &mut Trip<'_>, now: Instant) -> Option<Pick> {
    let first = trip.tried.is_empty();
    loop {
        match pool.pick(&trip.tried, Ask::default(), || now) {
            Ok(pick) => {
                trip.tried.push(pick.index);
                if first || budget.further(pick.permit.is_calm(), || now) {
                    return Some(pick);
                }
            }
            Err(why) if first => {
                let index = why.last_resort()?;
                trip.tried.push(index);
                return pool.pick_anyway(index, || now);
            }
            Err(_) => return None,
        }
    }
}

/// 1000 requests a second for a minute. `fails`: whether member so-and-so fails at second so-and-so, and after how long it
/// says so; who does not fail answers after 50 ms.
fn minute(pool: &Pool, fails: impl Fn(usize, f64) -> Option<Duration>) -> Toll {
    let (budget, start) = (RetryBudget::default(), Instant::now());
    let mut toll = Toll::default();
    let mut trips: Vec<Trip<'_>> = Vec::new();
    let mut ends: BinaryHeap<Reverse<(Duration, usize, bool)>> = BinaryHeap::new();
    let send = |trip: &mut Trip<'_>, index: usize, at: Duration, ends: &mut BinaryHeap<_>| {
        let Some(pick) = next(pool, &budget, trip, start + at) else {
            trip.active = None;
            return 0;
        };
        let failure = fails(pick.index, at.as_secs_f64());
        let takes = failure.unwrap_or(Duration::from_millis(50));
        trip.permit = Some(pick.permit);
        ends.push(Reverse((at + takes, index, failure.is_some())));
        1
    };
    for n in 0..60_000u32 {
        let now = Duration::from_millis(u64::from(n));
        while let Some(Reverse((end, index, failed))) = ends.peek().copied().filter(|Reverse(e)| e.0 <= now) {
            ends.pop();
            let trip = &mut trips[index];
            let permit = trip.permit.take().unwrap();
            if failed {
                permit.failure(start + end);
                toll.calls += send(trip, index, end, &mut ends);
            } else {
                permit.success();
                trip.answered = true;
                trip.active = None;
            }
        }
        trips.push(Trip {
            tried: Vec::new(),
            permit: None,
            active: Some(budget.enter()),
            answered: false,
        });
        let index = trips.len() - 1;
        toll.calls += send(&mut trips[index], index, now, &mut ends);
    }
    toll.requests = trips.len() as u32;
    toll.lost = trips
        .iter()
        .filter(|trip| !trip.answered && trip.permit.is_none())
        .count() as u32;
    toll
}

fn tiers() -> Pool {
    let mut members: Vec<Member> = pool(Strategy::Weighted, &[1, 1, 1]).members().to_vec();
    for (tier, member) in (0..).zip(&mut members) {
        member.tier = tier;
    }
    Pool::new(members, Strategy::Weighted, false)
}

/// Pools of three: side by side, by two strategies, and behind one another.
fn pools() -> [Pool; 3] {
    [
        pool(Strategy::Weighted, &[1, 1, 1]),
        pool(Strategy::PeakEwma, &[1, 1, 1]),
        tiers(),
    ]
}

const FAST_AND_SLOW: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(100),
    Duration::from_millis(2_000),
];

#[test]
fn a_storm_of_nothing_but_failures_costs_at_most_a_fifth_more_calls() {
    fastrand::seed(11);
    for after in FAST_AND_SLOW {
        for (which, pool) in pools().iter().enumerate() {
            let toll = minute(pool, |_, _| Some(after));
            println!(
                "all fail after {after:?}, pool {which}: {:.4} calls a request",
                toll.ratio()
            );
            assert!(toll.ratio() <= 1.2, "{after:?}, pool {which}: {toll:?}");
            assert!(toll.ratio() >= 1.0, "a last resort is always asked: {toll:?}");
        }
    }
}

#[test]
fn failures_too_seldom_for_the_breakers_are_bounded_all_the_same() {
    // Breakers that never open: the budget alone has to hold.
    let never = crate::balance::breaker::Settings {
        failures: u32::MAX,
        min_requests: u32::MAX,
        ..Default::default()
    };
    for after in FAST_AND_SLOW {
        for (which, pool) in pools().iter().enumerate() {
            pool.members()
                .iter()
                .for_each(|member| member.breaker.configure(never, None));
            let toll = minute(pool, |_, _| Some(after));
            println!(
                "all fail after {after:?}, no breaker, pool {which}: {:.4} calls a request",
                toll.ratio()
            );
            // Behind one another, those under way at the first one when it dies move on for nothing: 2 × 2 s.
            assert!(
                toll.ratio()
                    <= if which == 2 && after.as_secs() > 1 {
                        1.3
                    } else {
                        1.2 + 0.005
                    },
                "{toll:?}"
            );
        }
    }
}

#[test]
fn nobody_notices_one_of_three_that_fails_every_call() {
    fastrand::seed(12);
    for after in FAST_AND_SLOW {
        for bad in 0..3 {
            for (which, pool) in pools().iter().enumerate() {
                let toll = minute(pool, |member, _| (member == bad).then_some(after));
                assert_eq!(toll.lost, 0, "{after:?}, pool {which}");
                println!(
                    "{bad} of pool {which} fails after {after:?}: {:.4} calls a request",
                    toll.ratio()
                );
                assert!(toll.ratio() < 1.05, "{after:?}, pool {which}: {toll:?}");
            }
        }
    }
}

#[test]
fn nobody_notices_two_of_three_either() {
    fastrand::seed(13);
    for after in FAST_AND_SLOW {
        for (which, pool) in pools().iter().enumerate() {
            let toll = minute(pool, |member, _| (member != 2).then_some(after));
            assert_eq!(toll.lost, 0, "{after:?}, pool {which}");
            assert!(toll.ratio() < 1.15, "{after:?}, pool {which}: {toll:?}");
        }
    }
}

#[test]
fn a_flapping_target_costs_little() {
    fastrand::seed(14);
    // Ten seconds well, ten seconds dead, and so on.
    let toll = minute(&pool(Strategy::Weighted, &[1, 1, 1]), |member, at| {
        (member == 1 && (at / 10.0) as u32 % 2 == 1).then_some(Duration::from_millis(20))
    });
    println!("flapping: {toll:?}");
    assert!(toll.lost == 0 && toll.ratio() < 1.01, "{toll:?}");
}

#[test]
fn a_quarantine_lifts_soon_after_the_credential_is_mended() {
    let (quarantine, start) = (Arc::new(Quarantine::default()), Instant::now());
    let mut members: Vec<Member> = pool(Strategy::Weighted, &[1, 1]).members().to_vec();
    members[0].quarantine = Some(Arc::clone(&quarantine));
    let pool = Pool::new(members, Strategy::Weighted, false);
    let mended = 1_000;
    let (mut refusals, mut lifted) = (0, None);
    for second in 0..3_000u64 {
        let now = start + Duration::from_secs(second);
        // Ten a second, all under way together.
        for pick in (0..10)
            .map(|_| pool.pick(&[], Ask::default(), || now).unwrap())
            .collect::<Vec<_>>()
        {
            if pick.index == 1 || second >= mended {
                lifted = lifted.or((pick.index == 0).then_some(second));
                pick.permit.success();
            } else {
                refusals += 1;
                pick.permit.refused_credential(now);
            }
        }
    }
    // Five at once, then one each at 60, 180, 420 and 900 s; the next asks 900 s later.
    assert_eq!((refusals, lifted), (5 + 4, Some(1_800)));
    assert!(quarantine.is_free());
    let shares = (0..100)
        .map(|_| pool.pick(&[], Ask::default(), || start).unwrap().index)
        .sum::<usize>();
    assert_eq!(shares, 50, "and it has its turns again");
}

/// One of twenty answers takes ten times as long. Asked when the 95th percentile has passed, a second target mends it.
#[test]
fn hedging_a_bimodal_target_cuts_the_tail_within_its_budget() {
    fastrand::seed(15);
    const REQUESTS: usize = 20_000;
    let (budget, latency, now) = (HedgeBudget::new(5), Latency::default(), Instant::now());
    let draw = || about(if fastrand::f64() < 0.05 { 2.0 } else { 0.2 });
    let (mut alone, mut hedged, mut hedges) = (Vec::new(), Vec::new(), 0);
    for _ in 0..REQUESTS {
        budget.pay();
        let first = draw();
        alone.push(first);
        let patience = latency.quantile(true, 0.95).map_or(f64::MAX, |p95| p95.as_secs_f64());
        if first <= patience || !budget.take() {
            latency.answered(true, Duration::from_secs_f64(first), now);
            hedged.push(first);
            continue;
        }
        hedges += 1;
        let took = first.min(patience + draw());
        // The loser is cancelled when the winner is there.
        if took < first {
            latency.not_within(true, Duration::from_secs_f64(took), now);
        } else {
            latency.answered(true, Duration::from_secs_f64(first), now);
        }
        hedged.push(took);
    }
    let p99 = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[REQUESTS * 99 / 100]
    };
    let (before, after) = (p99(alone), p99(hedged));
    println!("hedging: p99 {before:.2} s -> {after:.2} s, {hedges} of {REQUESTS} hedged");
    assert!(hedges as u64 <= REQUESTS as u64 / 20 + BURST);
    assert!(after < 0.5 * before, "{before} -> {after}");
}
