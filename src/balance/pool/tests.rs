//! One pick at a time: turns, tiers, standbys, refusals, and what strategies do at their edges.

use super::*;
// Named, because the prelude below has one too.
use super::Strategy;
use proptest::prelude::*;

const ASK: Ask = Ask {
    key: None,
    stream: true,
};

fn member(name: usize, weight: u32, tier: u32, cost: u64) -> Member {
    Member {
        id: TargetId::new(format!("t{name}")),
        weight,
        tier,
        cost,
        breaker: Arc::new(Breaker::default()),
    }
}

fn pool_of(strategy: Strategy, weights: &[u32]) -> Pool {
    let members = weights.iter().enumerate().map(|(i, &weight)| member(i, weight, 0, 0));
    Pool::new(members.collect(), strategy)
}

fn pool(weights: &[u32]) -> Pool {
    pool_of(Strategy::Weighted, weights)
}

const ALL: [Strategy; 6] = [
    Strategy::Weighted,
    Strategy::LeastBusy,
    Strategy::PeakEwma,
    Strategy::Sticky { load_factor: 1.25 },
    Strategy::Split,
    Strategy::Cheapest,
];

fn asks() -> [Ask; 2] {
    [
        ASK,
        Ask {
            key: Some(7),
            stream: false,
        },
    ]
}

fn counts(pool: &Pool, requests: usize, tried: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; pool.members.len()];
    for _ in 0..requests {
        let pick = pool.pick(tried, ASK, Instant::now).unwrap();
        counts[pick.index] += 1;
        pick.permit.success();
    }
    counts
}

fn open(pool: &Pool, index: usize, now: Instant) {
    for _ in 0..5 {
        pool.members[index].breaker.admit_anyway().failure(now);
    }
}

#[test]
fn a_tried_member_leaves_its_turns_to_the_others_in_proportion() {
    assert_eq!(counts(&pool(&[1, 1, 1]), 600, &[1]), [300, 0, 300]);
    let split = counts(&pool(&[2, 5, 1]), 3000, &[1]);
    assert!((1900..=2100).contains(&split[0]), "{split:?}");
}

#[test]
fn a_standby_is_asked_only_when_nobody_else_can_be() {
    for strategy in ALL {
        let pool = pool_of(strategy, &[1, 0]);
        assert_eq!(counts(&pool, 10, &[]), [10, 0]);
        for ask in asks() {
            assert_eq!(pool.pick(&[0], ask, Instant::now).unwrap().index, 1);
        }
    }
}

#[test]
fn open_and_cooling_members_are_passed_over_and_named() {
    for (strategy, ask) in ALL.into_iter().flat_map(|s| asks().map(|ask| (s, ask))) {
        let (pool, now) = (pool_of(strategy, &[1, 1]), Instant::now());
        open(&pool, 0, now);
        for _ in 0..10 {
            assert_eq!(pool.pick(&[], ask, || now).unwrap().index, 1);
        }
        let nine = Duration::from_secs(9);
        pool.members[1].breaker.admit(|| now).unwrap().cool(now, nine);
        let why = NoPick {
            cooling: Some(nine),
            open: Some(0),
        };
        assert_eq!(pool.pick(&[], ask, || now).unwrap_err(), why, "{strategy:?}");
        assert_eq!(pool.pick_anyway(0).unwrap().index, 0);
    }
}

#[test]
fn the_shortest_cool_down_is_named() {
    for lengths in [[9, 4], [4, 9]] {
        let (pool, now) = (pool(&[1, 1]), Instant::now());
        for (member, length) in pool.members.iter().zip(lengths) {
            let permit = member.breaker.admit(|| now).unwrap();
            permit.cool(now, Duration::from_secs(length));
        }
        let why = pool.pick(&[], ASK, || now).unwrap_err();
        assert_eq!(why.cooling, Some(Duration::from_secs(4)));
    }
}

#[test]
fn a_lower_tier_serves_only_while_the_higher_one_cannot() {
    for (strategy, ask) in ALL.into_iter().flat_map(|s| asks().map(|ask| (s, ask))) {
        // In the file in another order than their tiers; each tier has its own standby.
        let members = [(1, 2), (1, 0), (0, 2), (1, 1), (0, 1), (0, 0)];
        let members = members.iter().enumerate();
        let pool = Pool::new(
            members.map(|(i, &(weight, tier))| member(i, weight, tier, 0)).collect(),
            strategy,
        );
        let now = Instant::now();
        let pick = |at: Instant| pool.pick(&[], ask, || at).map(|pick| pick.index);
        let mut order = Vec::new();
        for _ in 0..6 {
            let index = pick(now).unwrap();
            order.push(index);
            open(&pool, index, now);
        }
        assert_eq!(order, [1, 5, 3, 4, 0, 2], "{strategy:?}");
        assert_eq!(pick(now).unwrap_err().open, Some(1));
        // All may be probed again: the first is.
        let later = now + Duration::from_secs(40);
        let probe = pool.pick(&[], ask, || later).unwrap();
        assert_eq!(probe.index, 1);
        assert_eq!(
            pick(later).unwrap(),
            5,
            "one probe at a time, the next in line meanwhile"
        );
        probe.permit.success();
        assert_eq!(pick(later).unwrap(), 1, "preempts at once");
    }
}

#[test]
fn the_cheapest_serve_by_weight_and_the_dear_ones_follow() {
    let members = [(3, 500), (1, 500), (9, 700), (1, u64::MAX), (0, 1)];
    let members = members.iter().enumerate();
    let pool = Pool::new(
        members.map(|(i, &(weight, cost))| member(i, weight, 0, cost)).collect(),
        Strategy::Cheapest,
    );
    assert_eq!(counts(&pool, 400, &[]), [300, 100, 0, 0, 0]);
    assert_eq!(counts(&pool, 10, &[0, 1]), [0, 0, 10, 0, 0]);
    assert_eq!(counts(&pool, 10, &[0, 1, 2]), [0, 0, 0, 10, 0]);
    assert_eq!(
        counts(&pool, 10, &[0, 1, 2, 3]),
        [0, 0, 0, 0, 10],
        "a standby is one at any price"
    );
}

#[test]
fn idle_members_take_turns_by_weight_under_least_busy() {
    assert_eq!(counts(&pool_of(Strategy::LeastBusy, &[3, 1]), 400, &[]), [300, 100]);
    // A turn of somebody busier is not taken.
    let pool = pool_of(Strategy::LeastBusy, &[9, 1, 1]);
    let busy = [0, 0, 0, 0].map(|index| pool.pick_anyway(index));
    assert_eq!(counts(&pool, 22, &[]), [0, 11, 11]);
    drop(busy);
    let pool = pool_of(Strategy::LeastBusy, &[2, 1, 1]);
    let held: Vec<_> = (0..400).map(|_| pool.pick(&[], ASK, Instant::now).unwrap()).collect();
    let loads: Vec<u32> = pool.members.iter().map(|m| m.breaker.in_flight()).collect();
    assert_eq!(loads, [200, 100, 100]);
    drop(held);
}

#[test]
fn only_peak_ewma_reads_the_clock_and_measures() {
    for strategy in ALL {
        let (pool, reads) = (pool_of(strategy, &[1]), std::cell::Cell::new(0));
        let start = Instant::now();
        let clock = || {
            reads.set(reads.get() + 1);
            start + Duration::from_secs(2)
        };
        let mut pick = pool.pick(&[], ASK, || start).unwrap();
        pick.permit.heard(clock);
        pick.permit.heard(clock);
        pick.permit.success();
        let latency = pool.members[0].breaker.latency();
        let seconds = latency.seconds(true, start + Duration::from_secs(2));
        let measures = strategy == Strategy::PeakEwma;
        assert_eq!(
            (reads.get(), seconds.is_some()),
            (i32::from(measures), measures),
            "{strategy:?}"
        );
        assert_eq!(latency.seconds(false, start), None);
    }
}

#[test]
fn a_member_of_unknown_speed_gets_its_share_and_no_flood() {
    let (pool, now) = (pool_of(Strategy::PeakEwma, &[1, 1]), Instant::now());
    for _ in 0..20 {
        pool.members[0]
            .breaker
            .latency()
            .answered(true, Duration::from_secs(1), now);
    }
    let held: Vec<_> = (0..101).map(|_| pool.pick(&[], ASK, || now).unwrap()).collect();
    let fresh = pool.members[1].breaker.in_flight();
    assert!((50..=51).contains(&fresh), "{fresh}");
    drop(held);
}

#[test]
fn empty_pools_and_odd_factors_are_harmless() {
    for strategy in ALL {
        assert_eq!(
            Pool::new(Vec::new(), strategy)
                .pick(&[], ASK, Instant::now)
                .unwrap_err(),
            NoPick::default()
        );
        assert_eq!(
            pool_of(strategy, &[0, 0]).pick(&[], ASK, Instant::now).unwrap().index,
            0
        );
    }
    for (given, used) in [
        (f64::NAN, 1.25),
        (0.0, 1.0),
        (-1.0, 1.0),
        (f64::INFINITY, f64::INFINITY),
    ] {
        let pool = pool_of(Strategy::Sticky { load_factor: given }, &[1, 1]);
        assert_eq!(pool.strategy(), Strategy::Sticky { load_factor: used });
        assert!(pool.pick(&[], asks()[1], Instant::now).is_ok());
    }
}

proptest! {
    #[test]
    fn shares_are_exact_over_a_period(weights in prop::collection::vec(0u32..40, 1..6)) {
        prop_assume!(weights.iter().any(|&w| w > 0));
        let pool = pool(&weights);
        let total: u32 = weights.iter().sum();
        let counts = counts(&pool, total as usize, &[]);
        prop_assert_eq!(counts, weights.iter().map(|&w| w as usize).collect::<Vec<_>>());
    }

    /// Whatever is tried and open: somebody is picked exactly when somebody is left, and from the best tier there is.
    #[test]
    fn whoever_may_be_asked_is_found(
        members in prop::collection::vec((0u32..4, 0u32..3, 0u64..3, any::<bool>(), any::<bool>()), 1..9),
        strategy in prop::sample::select(ALL.to_vec()),
        key in prop::option::of(any::<u64>()),
    ) {
        let now = Instant::now();
        let pool = Pool::new(members.iter().enumerate().map(|(i, m)| member(i, m.0, m.1, m.2)).collect(), strategy);
        let indices = |out: bool| members.iter().enumerate().filter(move |(_, m)| (m.3 || m.4) == out).map(|(i, _)| i);
        let tried: Vec<usize> = (0..members.len()).filter(|&i| members[i].3).collect();
        (0..members.len()).filter(|&i| members[i].4).for_each(|i| open(&pool, i, now));
        let best = indices(false).map(|i| (members[i].1, members[i].0 == 0)).min();
        match pool.pick(&tried, Ask { key, stream: false }, || now) {
            Ok(pick) => {
                let m = members[pick.index];
                prop_assert!(!m.3 && !m.4);
                prop_assert_eq!(Some((m.1, m.0 == 0)), best);
            }
            Err(_) => prop_assert_eq!(best, None),
        }
    }
}
