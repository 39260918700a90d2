//! Pools under load, on a clock that is moved by hand: arrivals and answers are events in order of time, nothing sleeps,
//! random numbers are seeded. Here: strategies; below: breakers against a model, and storms of failures.

mod breakers;
mod storms;

use super::breaker::{Breaker, Permit};
use super::choose::ALWAYS_ROOM;
use super::key::mix;
use super::pool::{Ask, Member, Pick, Pool, Strategy};
use crate::ids::TargetId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn named(names: impl IntoIterator<Item = usize>, weight: impl Fn(usize) -> u32, strategy: Strategy) -> Pool {
    let member = |name: usize| Member {
        id: TargetId::new(format!("provider/{name}")),
        weight: weight(name),
        tier: 0,
        cost: 0,
        breaker: Arc::new(Breaker::default()),
        quarantine: None,
    };
    Pool::new(names.into_iter().map(member).collect(), strategy, false)
}

fn pool(strategy: Strategy, weights: &[u32]) -> Pool {
    named(0..weights.len(), |i| weights[i], strategy)
}

const STICKY: Strategy = Strategy::Sticky { load_factor: 1.25 };

/// How a target answers a request: after how many seconds, and whether it fails.
type Answer = (f64, bool);

/// What a run showed.
#[derive(Default)]
struct Seen {
    /// Seconds to the answer, of each request in order of arrival.
    latencies: Vec<f64>,
    /// When each arrived, and who was picked.
    picks: Vec<(f64, usize)>,
    /// Σ over arrivals of each member's requests in flight.
    in_flight: Vec<f64>,
}

impl Seen {
    fn p99(&self) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() * 99 / 100]
    }

    fn share(&self, member: usize, from: f64, to: f64) -> f64 {
        let during: Vec<_> = self.picks.iter().filter(|p| (from..to).contains(&p.0)).collect();
        during.iter().filter(|p| p.1 == member).count() as f64 / during.len() as f64
    }
}

/// Poisson arrivals at `rate` a second for `seconds`.
fn run(
    pool: &Pool,
    (rate, seconds): (f64, f64),
    pick: impl Fn(&Pool, Instant) -> Pick,
    mut answer: impl FnMut(usize, f64) -> Answer,
) -> Seen {
    let (start, mut at) = (Instant::now(), 0.0);
    let mut seen = Seen::default();
    seen.in_flight.resize(pool.members().len(), 0.0);
    let mut ends: BinaryHeap<Reverse<(Duration, usize, bool)>> = BinaryHeap::new();
    let mut permits: Vec<Option<Permit>> = Vec::new();
    while at < seconds {
        at -= (1.0 - fastrand::f64()).ln() / rate;
        let now = Duration::from_secs_f64(at);
        while let Some(Reverse((end, request, failed))) = ends.peek().copied().filter(|Reverse(e)| e.0 <= now) {
            ends.pop();
            let mut permit = permits[request].take().unwrap();
            if failed {
                permit.failure(start + end);
            } else {
                permit.heard(|| start + end);
                permit.success();
            }
        }
        for (sum, member) in seen.in_flight.iter_mut().zip(pool.members()) {
            *sum += f64::from(member.breaker.in_flight());
        }
        let pick = pick(pool, start + now);
        let (takes, fails) = answer(pick.index, at);
        ends.push(Reverse((now + Duration::from_secs_f64(takes), permits.len(), fails)));
        permits.push(Some(pick.permit));
        seen.latencies.push(takes);
        seen.picks.push((at, pick.index));
    }
    seen
}

fn by_strategy(pool: &Pool, now: Instant) -> Pick {
    let ask = Ask {
        key: None,
        stream: true,
    };
    pool.pick(&[], ask, || now).unwrap()
}

fn at_random(pool: &Pool, _: Instant) -> Pick {
    pool.pick_anyway(fastrand::usize(..pool.members().len()), Instant::now)
        .unwrap()
}

/// Exponential with this mean, and a floor: answers are never immediate.
fn about(mean: f64) -> f64 {
    mean * (0.3 - 0.7 * (1.0 - fastrand::f64()).ln())
}

#[test]
fn two_choices_by_latency_beat_random_at_the_99th_percentile_with_one_slow_of_ten() {
    let answer = |member: usize, _: f64| (about(if member == 0 { 5.0 } else { 0.5 }), false);
    for rate in [5.0, 50.0, 500.0] {
        fastrand::seed(4);
        let random = run(&pool(Strategy::Weighted, &[1; 10]), (rate, 300.0), at_random, answer);
        let chosen = run(&pool(Strategy::PeakEwma, &[1; 10]), (rate, 300.0), by_strategy, answer);
        println!(
            "{rate}/s: p99 random {:.2} s, peak-ewma {:.2} s, share of the slow one {:.4}",
            random.p99(),
            chosen.p99(),
            chosen.share(0, 0.0, 300.0)
        );
        assert!(chosen.p99() * 2.0 < random.p99(), "{rate}/s");
        assert!(
            chosen.share(0, 0.0, 300.0) > 0.0,
            "asked now and then, or its recovery is never seen"
        );
    }
}

#[test]
fn a_target_that_turns_slow_is_left_and_found_again() {
    fastrand::seed(5);
    let answer = |member: usize, at: f64| {
        let slow = member == 3 && (100.0..200.0).contains(&at);
        (about(if slow { 6.0 } else { 0.3 }), false)
    };
    let seen = run(&pool(Strategy::PeakEwma, &[1; 5]), (100.0, 400.0), by_strategy, answer);
    let shares = [(10.0, 100.0), (110.0, 200.0), (240.0, 400.0)].map(|(from, to)| seen.share(3, from, to));
    println!("shares before, while slow, after: {shares:.3?}");
    assert!(
        (0.15..0.25).contains(&shares[0]) && shares[1] < 0.04 && (0.15..0.25).contains(&shares[2]),
        "{shares:?}"
    );
}

#[test]
fn a_target_that_fails_at_once_does_not_draw_traffic() {
    // One of four fails, too seldom for its breaker, and within a millisecond.
    let answer = |member: usize, _: f64| {
        let fails = member == 0 && fastrand::f64() < 0.10;
        (if fails { 0.001 } else { about(0.5) }, fails)
    };
    let share = |strategy| {
        fastrand::seed(6);
        run(&pool(strategy, &[1; 4]), (100.0, 200.0), by_strategy, answer).share(0, 0.0, 200.0)
    };
    let (busy, quick) = (share(Strategy::LeastBusy), share(Strategy::PeakEwma));
    println!("share of the failing one: least-busy {busy:.3}, peak-ewma {quick:.3}");
    assert!(busy > 0.25 && quick < 0.05, "{busy} {quick}");
}

#[test]
fn peak_ewma_keeps_weights_among_equals() {
    fastrand::seed(7);
    let answer = |_: usize, _: f64| (about(0.5), false);
    let seen = run(
        &pool(Strategy::PeakEwma, &[4, 2, 1, 1]),
        (400.0, 100.0),
        by_strategy,
        answer,
    );
    let shares = [0, 1, 2, 3].map(|i| seen.share(i, 0.0, 100.0));
    for (share, due) in shares.iter().zip([0.5, 0.25, 0.125, 0.125]) {
        assert!((share / due - 1.0).abs() < 0.2, "{shares:?}");
    }
}

#[test]
fn least_busy_evens_out_what_is_in_flight() {
    let answer = |member: usize, _: f64| (about([0.5, 1.0, 2.0, 2.0][member]), false);
    let mean_loads = |strategy, weights: &[u32]| {
        fastrand::seed(8);
        let seen = run(&pool(strategy, weights), (200.0, 100.0), by_strategy, answer);
        let loads = seen.in_flight.iter().zip(weights);
        loads
            .map(|(sum, weight)| sum / seen.picks.len() as f64 / f64::from(*weight))
            .collect::<Vec<_>>()
    };
    let spread =
        |loads: &[f64]| loads.iter().copied().fold(0.0, f64::max) / loads.iter().copied().fold(f64::MAX, f64::min);
    for weights in [[1, 1, 1, 1], [4, 1, 2, 1]] {
        let (even, turns) = (
            mean_loads(Strategy::LeastBusy, &weights),
            mean_loads(Strategy::Weighted, &weights),
        );
        println!("in flight per weight: least-busy {even:.1?}, weighted {turns:.1?}");
        assert!(spread(&even) < 1.1, "{even:?}");
        assert!(spread(&turns) > 2.0, "{turns:?}");
    }
}

fn home(pool: &Pool, key: u64) -> usize {
    let ask = Ask {
        key: Some(key),
        stream: true,
    };
    pool.pick(&[], ask, Instant::now).unwrap().index
}

#[test]
fn weighted_shares_of_keys_are_within_three_sigma() {
    const KEYS: u32 = 100_000;
    for strategy in [Strategy::Split, STICKY] {
        for weights in [vec![1; 10], vec![50, 30, 15, 5], vec![99, 1], vec![10_000, 1, 1]] {
            let (pool, total) = (pool(strategy, &weights), f64::from(weights.iter().sum::<u32>()));
            let mut counts = vec![0u32; weights.len()];
            (0..KEYS).for_each(|n| counts[home(&pool, u64::from(n))] += 1);
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(*weight) / total;
                let sigma = (f64::from(KEYS) * share * (1.0 - share)).sqrt();
                let off = (f64::from(*count) - f64::from(KEYS) * share).abs();
                assert!(off <= 3.0 * sigma, "{weights:?}: {counts:?}");
            }
        }
    }
}

#[test]
fn keys_stay_and_only_those_of_a_leaver_move() {
    const KEYS: u64 = 20_000;
    for strategy in [Strategy::Split, STICKY] {
        let all = named(0..10, |i| 1 + i as u32 % 3, strategy);
        let homes: Vec<usize> = (0..KEYS).map(|key| home(&all, key)).collect();
        assert!(
            (0..KEYS).all(|key| home(&all, key) == homes[key as usize]),
            "the same while healthy"
        );

        // Member 4 is taken out of the configuration; then its breaker opens instead.
        let without = named((0..10).filter(|&i| i != 4), |i| 1 + i as u32 % 3, strategy);
        let back = |index: usize| if index < 4 { index } else { index + 1 };
        let now = Instant::now();
        let mut moved = 0;
        (0..5).for_each(|_| all.members()[4].breaker.admit_anyway(now).unwrap().failure(now));
        for key in 0..KEYS {
            let (before, after) = (homes[key as usize], back(home(&without, key)));
            assert!(before == 4 || before == after);
            assert_eq!(home(&all, key), after, "an open breaker moves them to the same places");
            moved += u32::from(before != after);
        }
        let due = KEYS as f64 * 2.0 / 19.0;
        assert!(f64::from(moved) < due * 1.1, "{moved} moved, its share is {due}");
        all.members()[4].breaker.admit_anyway(now).unwrap().success();
        assert!(
            (0..KEYS).all(|key| home(&all, key) == homes[key as usize]),
            "and back when it is well"
        );

        // A canary that grows takes keys only from the others to itself.
        let (small, large) = (pool(strategy, &[95, 5]), pool(strategy, &[80, 20]));
        assert!((0..KEYS).all(|key| home(&small, key) == 0 || home(&large, key) == 1));
    }
}

#[test]
fn the_load_bound_holds_under_a_skewed_key_distribution() {
    // With the share of one hot key beside the others.
    for (weights, hot) in [
        (vec![1; 10], 0.0),
        (vec![1; 10], 0.5),
        (vec![5, 3, 1, 1], 0.5),
        (vec![1, 1], 1.0),
    ] {
        fastrand::seed(9);
        let pool = pool(STICKY, &weights);
        let total = f64::from(weights.iter().sum::<u32>());
        let (mut at_home, mut worst) = (0u32, 0.0f64);
        let homes: Vec<usize> = (0..1000).map(|n| home(&pool, mix(n))).collect();
        let mut held: Vec<Permit> = Vec::new();
        for step in 0..50_000 {
            // Zipf: key n with a chance of about 1/n; up to 500 in flight.
            let zipf = (1000f64.powf(fastrand::f64()) as u64).min(999);
            let n = if fastrand::f64() < hot { 0 } else { zipf };
            let before: u32 = pool.members().iter().map(|m| m.breaker.in_flight()).sum();
            let ask = Ask {
                key: Some(mix(n)),
                stream: true,
            };
            let pick = pool.pick(&[], ask, Instant::now).unwrap();
            let member = &pool.members()[pick.index];
            let fair = f64::from(before + 1) * f64::from(member.weight) / total;
            let now = member.breaker.in_flight();
            assert!(
                now <= ALWAYS_ROOM || f64::from(now) <= (1.25 * fair).ceil(),
                "{now} of {fair}"
            );
            at_home += u32::from(pick.index == homes[n as usize]);
            worst = worst.max(if now > 20 { f64::from(now) / fair } else { 0.0 });
            held.push(pick.permit);
            if held.len() > 500 || (step % 7 == 0 && fastrand::f64() < 0.3) {
                held.swap_remove(fastrand::usize(..held.len())).success();
            }
        }
        println!(
            "{weights:?}, hot key {hot}: {:.1} % met their own member, worst load {worst:.2} x fair",
            f64::from(at_home) / 500.0
        );
        assert!(at_home > 10_000 && worst <= 1.35);
    }
}

#[test]
fn two_of_one_key_on_an_idle_pool_meet_the_same_member() {
    let pool = pool(STICKY, &[1; 10]);
    let ask = Ask {
        key: Some(42),
        stream: true,
    };
    let held: Vec<Pick> = (0..5).map(|_| pool.pick(&[], ask, Instant::now).unwrap()).collect();
    assert!(held[..4].iter().all(|pick| pick.index == held[0].index));
    assert_ne!(held[4].index, held[0].index, "a fifth at once is more than its share");
}
