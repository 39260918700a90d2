//! Flights that land, crash, lose their leader and their followers; one at a time and under threads.

use super::*;
use proptest::prelude::*;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

type Key = u128;
type Wait = Pin<Box<dyn Future<Output = Landed<Key, u32>>>>;

fn flights(max_flights: usize, max_followers: usize) -> Arc<Flights<Key, u32>> {
    Arc::new(Flights::new(max_flights, max_followers))
}

fn lead(flights: &Arc<Flights<Key, u32>>, key: Key) -> Leader<Key, u32> {
    match flights.join(key) {
        Flight::Lead(leader) => leader,
        other => panic!("{other:?}"),
    }
}

fn follow(flights: &Arc<Flights<Key, u32>>, key: Key) -> Follower<Key, u32> {
    match flights.join(key) {
        Flight::Follow(follower) => follower,
        other => panic!("{other:?}"),
    }
}

fn now(wait: impl Future<Output = Landed<Key, u32>>) -> Option<Landed<Key, u32>> {
    match pin!(wait).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(landed) => Some(landed),
        Poll::Pending => None,
    }
}

#[test]
fn followers_get_the_leaders_answer_and_the_flight_is_forgotten() {
    let flights = flights(10, 10);
    let leader = lead(&flights, 1);
    let (a, b) = (follow(&flights, 1), follow(&flights, 1));
    let other = lead(&flights, 2);
    assert_eq!((leader.followers(), other.followers(), flights.len()), (2, 0, 2));
    assert_eq!(leader.finish(7), 2);
    assert!(matches!(now(a.wait()), Some(Landed::Value(7))));
    // A new flight of the same key is none of the old follower's business.
    let again = lead(&flights, 1);
    let c = follow(&flights, 1);
    assert!(matches!(now(b.wait()), Some(Landed::Value(7))));
    assert_eq!(again.finish(8), 1);
    assert!(matches!(now(c.wait()), Some(Landed::Value(8))));
    drop(other);
    assert!(flights.is_empty());
}

#[test]
fn a_leader_that_goes_leaves_the_flight_to_one_follower() {
    let flights = flights(10, 10);
    let leader = lead(&flights, 1);
    let (a, b, c) = (follow(&flights, 1), follow(&flights, 1), follow(&flights, 1));
    drop(leader);
    let Some(Landed::Lead(second)) = now(a.wait()) else {
        panic!("the first follower leads")
    };
    assert_eq!(second.followers(), 2);
    let d = follow(&flights, 1);
    assert_eq!(second.finish(5), 3);
    for follower in [b, c, d] {
        assert!(matches!(now(follower.wait()), Some(Landed::Value(5))));
    }
    assert!(flights.is_empty());
    drop(lead(&flights, 1));
    assert!(flights.is_empty());
}

#[test]
fn a_leader_that_panics_leaves_it_too() {
    let flights = flights(10, 10);
    let leader = lead(&flights, 1);
    let a = follow(&flights, 1);
    let crash = std::thread::spawn(move || {
        let _leader = leader;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(crash.join().is_err());
    assert!(matches!(now(a.wait()), Some(Landed::Lead(_))));
    assert!(flights.is_empty(), "nobody took over from the second");
}

#[test]
fn followers_that_go_are_passed_over_wherever_they_were() {
    let flights = flights(10, 10);
    let leader = lead(&flights, 1);
    let (a, b, c) = (follow(&flights, 1), follow(&flights, 1), follow(&flights, 1));
    let mut b: Wait = Box::pin(b.wait());
    assert!(b.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(a);
    assert_eq!(leader.followers(), 2);
    drop(leader);
    // B was made the leader and goes before it hears of it.
    drop(b);
    let Some(Landed::Lead(leader)) = now(c.wait()) else {
        panic!("C leads")
    };
    assert_eq!(leader.finish(1), 0);
    assert!(flights.is_empty());
}

/// Followers that leave between being chosen as the leader and hearing of it: taken out of the list here by hand.
#[test]
fn an_heir_that_has_just_left_is_passed_over() {
    let flights = flights(10, 10);
    let leader = lead(&flights, 1);
    let (_, gone) = (follow(&flights, 1), follow(&flights, 1));
    let last = follow(&flights, 1);
    for _ in 0..2 {
        let (tell, _) = oneshot::channel();
        flights
            .lock()
            .flights
            .get_mut(&1)
            .unwrap()
            .push_front(Seat { id: 0, tell });
    }
    drop(gone);
    drop(leader);
    let Some(Landed::Lead(leader)) = now(last.wait()) else {
        panic!("the one that is there leads")
    };
    assert_eq!((flights.len(), leader.followers()), (1, 0));
    drop(leader);
    assert!(flights.is_empty());
}

#[test]
fn an_answer_not_for_sharing_disbands() {
    let flights = flights(10, 10);
    let leader = lead(&flights, 1);
    let (a, b) = (follow(&flights, 1), follow(&flights, 1));
    leader.disband();
    assert!(matches!(
        (now(a.wait()), now(b.wait())),
        (Some(Landed::Alone), Some(Landed::Alone))
    ));
    assert!(flights.is_empty());
}

#[test]
fn bounds_are_kept() {
    let flights = flights(2, 1);
    let (one, two) = (lead(&flights, 1), lead(&flights, 2));
    assert!(matches!(flights.join(3), Flight::Alone));
    let follower = follow(&flights, 1);
    assert!(matches!(flights.join(1), Flight::Alone));
    drop(follower);
    drop(follow(&flights, 1));
    drop(two);
    drop((lead(&flights, 3), one));
    assert!(matches!(super::tests::flights(0, 5).join(1), Flight::Alone));
}

#[test]
fn an_answer_that_cannot_be_copied_strands_nobody() {
    #[derive(Debug)]
    struct Uncopied;
    impl Clone for Uncopied {
        fn clone(&self) -> Self {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
    let flights: Arc<Flights<Key, Uncopied>> = Arc::new(Flights::new(5, 5));
    let (Flight::Lead(leader), Flight::Follow(a)) = (flights.join(1), flights.join(1)) else {
        panic!("lead, then follow")
    };
    assert!(std::thread::spawn(move || leader.finish(Uncopied)).join().is_err());
    let wait = pin!(a.wait());
    assert!(matches!(
        wait.poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Landed::Alone)
    ));
    assert!(flights.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes and goes: a key has one leader while it has followers, everybody is told, nothing is left.
    #[test]
    fn one_leader_and_nobody_stranded(ops in prop::collection::vec((0u8..6, 0usize..8, 0u128..3), 1..120)) {
        let flights = flights(3, 4);
        let mut leaders: Vec<Leader<Key, u32>> = Vec::new();
        let mut followers: Vec<Wait> = Vec::new();
        for (op, at, key) in ops {
            match op {
                0..=2 => match flights.join(key) {
                    Flight::Lead(leader) => leaders.push(leader),
                    Flight::Follow(follower) => followers.push(Box::pin(follower.wait())),
                    Flight::Alone => {}
                },
                3 if at < leaders.len() => _ = leaders.swap_remove(at).finish(1),
                4 if at < leaders.len() => drop(leaders.swap_remove(at)),
                5 if at < followers.len() => drop(followers.swap_remove(at)),
                _ => {}
            }
            followers.retain_mut(|f| match f.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => true,
                Poll::Ready(Landed::Lead(leader)) => {
                    leaders.push(leader);
                    false
                }
                Poll::Ready(_) => false,
            });
            let mut keys: Vec<Key> = leaders.iter().map(|l| l.key).collect();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), leaders.len(), "one leader for a key");
            prop_assert_eq!(flights.len(), leaders.len());
            prop_assert_eq!(leaders.iter().map(Leader::followers).sum::<usize>(), followers.len());
        }
        leaders.into_iter().for_each(|l| _ = l.finish(2));
        for f in followers {
            prop_assert!(matches!(now(f), Some(Landed::Value(2))));
        }
        prop_assert!(flights.is_empty());
    }
}

#[test]
fn under_threads_everybody_gets_an_answer_or_leads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let (flights, flying) = (flights(4, 1000), Arc::new([const { AtomicUsize::new(0) }; 3]));
    let work = async {
        let task = |seed| {
            let (flights, flying) = (Arc::clone(&flights), Arc::clone(&flying));
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..500 {
                    let key = random.u128(..3);
                    let leader = match flights.join(key) {
                        Flight::Lead(leader) => leader,
                        Flight::Alone => panic!("within bounds"),
                        Flight::Follow(follower) if random.u8(..4) == 0 => tokio::select! {
                            biased;
                            () = tokio::task::yield_now() => continue,
                            landed = follower.wait() => match landed { Landed::Lead(leader) => leader, _ => continue },
                        },
                        Flight::Follow(follower) => match follower.wait().await {
                            Landed::Lead(leader) => leader,
                            Landed::Value(value) => {
                                assert_eq!(u128::from(value), key);
                                continue;
                            }
                            Landed::Alone => panic!("nobody disbands"),
                        },
                    };
                    let flying = &flying[key as usize];
                    assert_eq!(flying.fetch_add(1, Ordering::SeqCst), 0, "one call at a time");
                    tokio::task::yield_now().await;
                    flying.fetch_sub(1, Ordering::SeqCst);
                    if random.bool() {
                        leader.finish(key as u32);
                    }
                }
            })
        };
        for task in (0..32).map(task).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    };
    let bound = std::time::Duration::from_secs(120);
    runtime
        .block_on(async { tokio::time::timeout(bound, work).await })
        .expect("somebody is stranded");
    assert!(flights.is_empty());
}
