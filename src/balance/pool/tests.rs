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
        quarantine: None,
    }
}

fn pool_of(strategy: Strategy, weights: &[u32]) -> Pool {
    let members = weights.iter().enumerate().map(|(i, &weight)| member(i, weight, 0, 0));
    Pool::new(members.collect(), strategy, false)
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
        pool.members[index].breaker.admit_anyway(now).unwrap().failure(now);
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
            ..NoPick::default()
        };
        assert_eq!(pool.pick(&[], ask, || now).unwrap_err(), why, "{strategy:?}");
        assert_eq!(pool.pick_anyway(0, || now).unwrap().index, 0);
    }
}

#[test]
fn the_last_resort_is_the_open_member_to_be_probed_soonest() {
    for order in [[0u64, 20, 40], [40, 20, 0], [20, 0, 40]] {
        let (pool, start) = (pool(&[1, 1, 1]), Instant::now());
        // 200 s each, so that a jitter of 10 % does not change the order.
        for (index, seconds) in order.into_iter().enumerate() {
            let breaker = &pool.members[index].breaker;
            let long = Duration::from_secs(100 * (seconds / 20 + 1));
            let settings = crate::balance::breaker::Settings {
                open: long,
                ..Default::default()
            };
            breaker.configure(settings, None);
            open(&pool, index, start);
        }
        let first = order.iter().position(|&seconds| seconds == 0);
        let why = pool.pick(&[], ASK, || start).unwrap_err();
        assert_eq!((why.open, why.last_resort()), (first, first));
        let tried = [first.unwrap()];
        assert_eq!(
            pool.pick(&tried, ASK, || start).unwrap_err().open,
            order.iter().position(|&seconds| seconds == 20),
            "who was tried is no resort"
        );
    }
}

#[test]
fn a_refused_credential_takes_all_its_targets_out_and_one_success_brings_them_back() {
    for (strategy, ask) in ALL.into_iter().flat_map(|s| asks().map(|ask| (s, ask))) {
        let (shared, own) = (Arc::new(Quarantine::default()), Arc::new(Quarantine::default()));
        let mut members: Vec<Member> = (0..3).map(|i| member(i, 1, 0, 0)).collect();
        for (member, quarantine) in members.iter_mut().zip([&shared, &own, &shared]) {
            member.quarantine = Some(Arc::clone(quarantine));
        }
        let (pool, now) = (Pool::new(members, strategy, false), Instant::now());
        let refuse = |index: usize| {
            let others: Vec<usize> = (0..3).filter(|&i| i != index).collect();
            let pick = pool.pick(&others, ask, || now).unwrap();
            assert!(pick.permit.is_calm());
            pick.permit.refused_credential(now);
        };
        refuse(2);
        assert!(
            (0..20).all(|_| pool.pick(&[], ask, || now).unwrap().index == 1),
            "{strategy:?}"
        );
        let why = pool.pick(&[1], ask, || now).unwrap_err();
        assert!(matches!(why.quarantined, Some(0 | 2)), "who was asked first");
        assert_eq!((why.open, why.last_resort()), (None, why.quarantined));
        refuse(1);
        assert!(
            pool.members
                .iter()
                .all(|m| m.breaker.report(now).failures_in_a_row == 0)
        );
        // A last resort that is answered lifts it at once; a probe does when the minute is up.
        pool.pick_anyway(0, || now).unwrap().permit.success();
        assert!(shared.is_free() && !own.is_free());
        let later = now + Duration::from_secs(60);
        let probe = pool.pick(&[0, 2], ask, || later).unwrap();
        assert!(!probe.permit.is_calm());
        assert!(pool.pick(&[0, 2], ask, || later).is_err(), "one finds out");
        probe.permit.success();
        assert!(own.is_free());
    }
}

#[test]
fn an_open_breaker_gives_a_trials_place_back() {
    let (quarantine, now) = (Arc::new(Quarantine::default()), Instant::now());
    let mut one = member(0, 1, 0, 0);
    one.quarantine = Some(Arc::clone(&quarantine));
    let pool = Pool::new(vec![one], Strategy::Weighted, false);
    pool.pick(&[], ASK, || now).unwrap().permit.refused_credential(now);
    let later = now + Duration::from_secs(61);
    let counter = crate::balance::breaker::tests::Counter::on(&pool.members[0].breaker);
    drop(pool.pick(&[], ASK, || later).unwrap());
    assert_eq!(counter.take(), 1, "those who wait are told of the trial's place");
    open(&pool, 0, later);
    assert!(pool.pick(&[], ASK, || later).unwrap_err().open.is_some());
    let probe = pool.pick(&[], ASK, || later + Duration::from_secs(40)).unwrap();
    probe.permit.refused_credential(later);
    assert_eq!(
        pool.members[0].breaker.state(later + Duration::from_secs(40)),
        crate::balance::BreakerState::HalfOpen
    );
    assert!(!quarantine.is_free());
}

#[test]
fn full_members_are_passed_over_and_held_ones_are_nobodys_resort() {
    for (strategy, ask) in ALL.into_iter().flat_map(|s| asks().map(|ask| (s, ask))) {
        let (pool, now) = (pool_of(strategy, &[1, 1, 1]), Instant::now());
        for member in &pool.members {
            member.breaker.configure(Default::default(), Some(2));
        }
        pool.members[2].breaker.hold_open();
        let held: Vec<_> = std::iter::from_fn(|| pool.pick(&[], ask, || now).ok()).collect();
        assert_eq!(held.len(), 4, "{strategy:?}");
        let why = pool.pick(&[], ask, || now).unwrap_err();
        assert_eq!(
            why,
            NoPick {
                full: true,
                ..NoPick::default()
            }
        );
        let pick_anyway = |index| pool.pick_anyway(index, || now).is_some();
        assert_eq!([0, 2, 3].map(pick_anyway), [false; 3]);
        drop(held);
        assert!([0, 1].map(pick_anyway).iter().all(|&picked| picked));
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
            false,
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
        assert!(pick(now).unwrap_err().open.is_some());
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
    let members = [(3, 500), (1, 500), (9, 700), (1, u64::MAX), (0, 1), (2, u64::MAX)];
    let members = members.iter().enumerate();
    let pool = Pool::new(
        members.map(|(i, &(weight, cost))| member(i, weight, 0, cost)).collect(),
        Strategy::Cheapest,
        false,
    );
    assert_eq!(counts(&pool, 400, &[]), [300, 100, 0, 0, 0, 0]);
    assert_eq!(counts(&pool, 10, &[0, 1]), [0, 0, 10, 0, 0, 0]);
    assert_eq!(counts(&pool, 30, &[0, 1, 2]), [0, 0, 0, 10, 0, 20]);
    assert_eq!(
        counts(&pool, 10, &[0, 1, 2, 3, 5]),
        [0, 0, 0, 0, 10, 0],
        "a standby is one at any price"
    );
}

#[test]
fn idle_members_take_turns_by_weight_under_least_busy() {
    assert_eq!(counts(&pool_of(Strategy::LeastBusy, &[3, 1]), 400, &[]), [300, 100]);
    // A turn of somebody busier is not taken.
    let pool = pool_of(Strategy::LeastBusy, &[9, 1, 1]);
    let busy = [0, 0, 0, 0].map(|index| pool.pick_anyway(index, Instant::now));
    assert_eq!(counts(&pool, 22, &[]), [0, 11, 11]);
    drop(busy);
    let pool = pool_of(Strategy::LeastBusy, &[2, 1, 1]);
    let held: Vec<_> = (0..400).map(|_| pool.pick(&[], ASK, Instant::now).unwrap()).collect();
    let loads: Vec<u32> = pool.members.iter().map(|m| m.breaker.in_flight()).collect();
    assert_eq!(loads, [200, 100, 100]);
    drop(held);
}

#[test]
fn only_pools_that_measure_read_the_clock() {
    for (strategy, measures) in ALL
        .into_iter()
        .flat_map(|s| [false, true].map(|measures| (s, measures)))
    {
        let reads = std::cell::Cell::new(0);
        let pool = Pool::new(vec![member(0, 1, 0, 0)], strategy, measures);
        let start = Instant::now();
        let measures = measures || strategy == Strategy::PeakEwma;
        let at = |after| {
            reads.set(reads.get() + 1);
            start + Duration::from_secs(after)
        };
        for _ in 0..20 {
            let mut pick = pool.pick(&[], ASK, || at(0)).unwrap();
            pick.permit.heard(|| at(2));
            pick.permit.heard(|| at(3));
            pick.permit.success();
        }
        let latency = pool.members[0].breaker.latency();
        let seconds = latency.seconds(true, start + Duration::from_secs(2));
        let known = (seconds.is_some(), latency.quantile(true, 0.95).is_some());
        assert_eq!(
            (reads.get(), known),
            (if measures { 40 } else { 0 }, (measures, measures)),
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
            Pool::new(Vec::new(), strategy, true)
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
        let pool = Pool::new(members.iter().enumerate().map(|(i, m)| member(i, m.0, m.1, m.2)).collect(), strategy, false);
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
