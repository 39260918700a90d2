//! The queue by itself: order, bounds, turns that pass on.

use super::class::{REMEMBERED, SAVED};
use super::*;
use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What `turn` gives without waiting.
pub(super) fn look(ticket: &mut Ticket) -> Option<Turn> {
    let turn = pin!(ticket.turn());
    match turn.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(turn) => Some(turn),
        Poll::Pending => None,
    }
}

impl Queue {
    pub(super) fn assert_whole(&self) {
        let inner = self.lock();
        inner.line.assert_whole();
        let here = inner.line.len() + inner.trying.len();
        assert_eq!(here, self.here.load(Ordering::Relaxed));
        assert!(
            !inner.missed || !inner.trying.is_empty(),
            "a missed release has somebody who passes it on"
        );
        let c = inner.counts;
        assert_eq!(c.joined, c.served + c.shed + c.timed_out + c.left + here as u64);
    }

    /// Nobody here, and nothing left of anybody.
    pub(super) fn assert_empty(&self) {
        self.assert_whole();
        let inner = self.lock();
        assert_eq!((inner.line.len(), inner.trying.len(), inner.line.callers()), (0, 0, 0));
        assert!(!inner.missed && !self.is_waiting());
    }
}

/// A queue behind a ticket that tries, so that nobody who joins has a turn at once.
pub(super) fn busy(size: usize) -> (Arc<Queue>, Ticket, Instant) {
    let queue = Arc::new(Queue::new(size + 1));
    let now = Instant::now();
    let mut first = queue.join(9, u64::MAX, now).unwrap();
    assert_eq!(look(&mut first), Some(Turn::Try));
    (queue, first, now)
}

/// The tickets' indices in the order of their turns.
fn order(queue: &Arc<Queue>, tickets: &mut [Ticket]) -> Vec<usize> {
    let mut order = Vec::new();
    for _ in 0..tickets.len() {
        queue.wake();
        let next = (0..tickets.len()).find(|&i| look(&mut tickets[i]) == Some(Turn::Try) && !order.contains(&i));
        order.extend(next);
    }
    order
}

#[test]
fn who_finds_nobody_tries_at_once_and_the_next_waits() {
    let queue = Arc::new(Queue::new(10));
    let now = Instant::now();
    assert!(!queue.is_waiting());
    queue.wake();
    let mut a = queue.join(5, 1, now).unwrap();
    let mut b = queue.join(5, 2, now).unwrap();
    assert!(queue.is_waiting());
    assert_eq!((look(&mut a), look(&mut b)), (Some(Turn::Try), None));
    a.back();
    assert_eq!((look(&mut a), look(&mut b)), (None, None));
    assert_eq!((a.position(), b.position()), (Some(0), Some(1)));
    queue.wake();
    assert_eq!((look(&mut a), look(&mut b)), (Some(Turn::Try), None));
    a.served(now);
    assert_eq!(look(&mut b), None, "one release is one turn");
    drop(b);
    queue.assert_empty();
}

#[test]
fn slots_released_before_anybody_was_here_are_all_found() {
    let queue = Arc::new(Queue::new(10));
    let now = Instant::now();
    let mut tickets: Vec<_> = (0..3).map(|caller| queue.join(5, caller, now).unwrap()).collect();
    // Each success lets the next one look, until one fails.
    let mut c = tickets.pop().unwrap();
    let mut b = tickets.pop().unwrap();
    let a = tickets.pop().unwrap();
    a.served(now);
    assert_eq!((look(&mut b), look(&mut c)), (Some(Turn::Try), None));
    b.back();
    assert_eq!((look(&mut b), look(&mut c)), (None, None));
}

#[test]
fn a_release_while_the_only_one_tries_is_kept_for_it() {
    let queue = Arc::new(Queue::new(10));
    let now = Instant::now();
    let mut a = queue.join(5, 1, now).unwrap();
    // Its pick has failed, then two slots come free, then it says so; meanwhile another one came.
    queue.wake_all_up_to(2);
    let mut b = queue.join(5, 2, now).unwrap();
    assert_eq!(look(&mut b), None, "no overtaking");
    a.back();
    assert_eq!((look(&mut a), look(&mut b)), (Some(Turn::Try), None));
    a.served(now);
    assert_eq!(look(&mut b), Some(Turn::Try), "the second slot");
    b.back();
    assert_eq!(look(&mut b), None);
}

#[test]
fn a_turn_not_used_passes_on() {
    let (queue, first, now) = busy(10);
    let mut a = queue.join(5, 1, now).unwrap();
    let mut b = queue.join(5, 2, now).unwrap();
    let mut c = queue.join(5, 3, now).unwrap();
    queue.wake();
    // Given and not even looked at.
    drop(a);
    assert_eq!((look(&mut b), look(&mut c)), (Some(Turn::Try), None));
    b.timed_out();
    assert_eq!(look(&mut c), Some(Turn::Try));
    drop((first, c));
    queue.assert_empty();
    let counts = queue.facts().counts;
    assert_eq!((counts.left, counts.timed_out, counts.served), (3, 1, 0));
    a = queue.join(5, 1, now).unwrap();
    assert_eq!(look(&mut a), Some(Turn::Try));
}

#[test]
fn callers_take_turns_and_a_caller_is_served_in_order() {
    let (queue, _first, now) = busy(20);
    let callers = [1, 1, 1, 1, 2, 2, 3];
    let mut tickets: Vec<_> = callers.iter().map(|&c| queue.join(5, c, now).unwrap()).collect();
    let positions: Vec<_> = tickets.iter().map(|t| t.position().unwrap()).collect();
    assert_eq!(order(&queue, &mut tickets), [0, 4, 6, 1, 5, 2, 3]);
    assert_eq!(positions, [0, 3, 5, 6, 1, 4, 2]);
}

#[test]
fn a_newcomer_is_before_those_who_took_every_turn_until_it_has_what_it_saved() {
    let (queue, _first, now) = busy(200);
    let mut heavy: Vec<_> = (0..50).map(|_| queue.join(5, 1, now).unwrap()).collect();
    (0..20).for_each(|_| queue.wake());
    heavy.drain(..20).for_each(|ticket| ticket.served(now));
    let mut before = 0;
    loop {
        let light = queue.join(5, 2, now).unwrap();
        if light.position() != Some(0) {
            break;
        }
        queue.wake();
        assert_eq!(look(&mut heavy[0]), None);
        light.served(now);
        before += 1;
    }
    // Those saved and that of the round under way. In the next both are due, and the older one is first.
    assert_eq!(before, SAVED + 1);
}

#[test]
fn giving_up_costs_a_caller_nothing() {
    let (queue, _first, now) = busy(200);
    let many: Vec<_> = (0..50).map(|_| queue.join(5, 1, now).unwrap()).collect();
    let other: Vec<_> = (0..50).map(|_| queue.join(5, 2, now).unwrap()).collect();
    drop(many);
    let again = queue.join(5, 1, now).unwrap();
    assert!(again.position().unwrap() <= 1, "{:?}", again.position());
    drop(other);
}

#[test]
fn callers_that_come_once_each_end_the_round_at_last() {
    let mut line = Line::default();
    (0..2).for_each(|_| _ = line.push(5, 0, 0u64));
    assert_eq!(line.pop().map(|p| *p.item()), Some(0));
    let mut turns = 0;
    loop {
        turns += 1;
        line.push(5, turns, turns);
        let next = line.pop().map(|p| *p.item());
        line.assert_whole();
        if next == Some(0) {
            break;
        }
        assert!(turns <= (REMEMBERED as u64 + 1) * (SAVED + 1), "starved");
    }
}

#[test]
fn classes_share_by_powers_of_two() {
    let mut line = Line::default();
    for _ in 0..2000 {
        [9, 8, 6, 0].into_iter().for_each(|p| _ = line.push(p, 1, p));
    }
    let mut turns = BTreeMap::new();
    let mut first = BTreeMap::new();
    for turn in 0..1024 {
        let priority = *line.pop().unwrap().item();
        *turns.entry(priority).or_insert(0) += 1;
        first.entry(priority).or_insert(turn);
    }
    // 512 : 256 : 64 : 1 of 833.
    assert!((628..=632).contains(&turns[&9]), "{turns:?}");
    assert!((313..=317).contains(&turns[&8]), "{turns:?}");
    assert!((77..=81).contains(&turns[&6]), "{turns:?}");
    assert!((1..=2).contains(&turns[&0]), "{turns:?}");
    assert_eq!(first, BTreeMap::from([(9, 0), (8, 1), (6, 2), (0, 3)]));
}

#[test]
fn a_higher_class_that_comes_now_and_then_is_always_next() {
    let mut line = Line::default();
    (0..1000).for_each(|_| _ = line.push(2, 1, 2));
    for _ in 0..100 {
        (0..3).for_each(|_| assert_eq!(*line.pop().unwrap().item(), 2));
        line.push(7, 2, 7);
        assert_eq!(*line.pop().unwrap().item(), 7);
    }
}

#[test]
fn a_class_saves_nothing_up() {
    let mut line = Line::default();
    (0..3000).for_each(|_| _ = line.push(9, 1, 9));
    (0..2000).for_each(|_| _ = line.pop());
    (0..10).for_each(|_| _ = line.push(0, 2, 0));
    let next: Vec<_> = (0..20).map(|_| *line.pop().unwrap().item()).collect();
    assert!(next.iter().filter(|&&p| p == 0).count() <= 1, "{next:?}");
}

#[test]
fn the_longest_crowd_of_the_lowest_class_loses_its_last() {
    let (queue, first, now) = busy(4);
    let join = |priority, caller| queue.join(priority, caller, now);
    let mut a: Vec<_> = (0..3).map(|_| join(3, 1).unwrap()).collect();
    let mut b = join(3, 2).unwrap();
    // Of its own crowd: no. Lower: no. In the crowd's class with fewer: yes.
    assert_eq!(join(3, 1).err(), Some(Refused));
    assert_eq!(join(2, 3).err(), Some(Refused));
    let mut c = join(3, 3).unwrap();
    assert_eq!(
        a.iter_mut().map(look).collect::<Vec<_>>(),
        [None, None, Some(Turn::Shed)]
    );
    // 2 of a, 1 each of b and c: another one of b's would only trade places.
    assert_eq!(join(3, 2).err(), Some(Refused));
    let mut high = join(4, 1).unwrap();
    assert_eq!((look(&mut a[1]), a[1].position()), (Some(Turn::Shed), None));
    assert_eq!(join(3, 4).err(), Some(Refused), "nobody has two");
    let higher: Vec<_> = (0..3).map(|_| join(4, 1).unwrap()).collect();
    assert_eq!(
        (look(&mut a[0]), look(&mut b), look(&mut c)),
        (Some(Turn::Shed), Some(Turn::Shed), Some(Turn::Shed))
    );
    assert_eq!(look(&mut high), None);
    let facts = queue.facts();
    assert_eq!((facts.depth[4], facts.depth[3], facts.trying), (4, 0, 1));
    assert_eq!((facts.counts.shed, facts.counts.refused), (5, 4));
    drop((a, b, c, high, higher, first));
    queue.assert_empty();
}

#[test]
fn those_with_a_turn_cannot_be_displaced() {
    let queue = Arc::new(Queue::new(1));
    let now = Instant::now();
    let mut low = queue.join(0, 1, now).unwrap();
    assert_eq!(queue.join(9, 2, now).err(), Some(Refused));
    low.back();
    let mut high = queue.join(200, 2, now).unwrap();
    assert_eq!((look(&mut low), look(&mut high)), (Some(Turn::Shed), None));
    assert_eq!(queue.depth()[9], 1, "above 9 is 9");
}

#[test]
fn the_end_of_a_cool_down_is_passed_on_while_picks_work() {
    let (queue, _first, now) = busy(10);
    let mut tickets: Vec<_> = (0..4).map(|caller| queue.join(5, caller, now).unwrap()).collect();
    queue.open();
    for _ in 0..2 {
        let mut next = tickets.remove(0);
        assert_eq!(look(&mut next), Some(Turn::Try));
        assert_eq!(look(&mut tickets[0]), None, "one at a time");
        next.served(now);
    }
    assert_eq!(look(&mut tickets[0]), Some(Turn::Try));
    tickets[0].back();
    assert_eq!(tickets.iter_mut().map(look).collect::<Vec<_>>(), [None, None]);
}

#[test]
fn the_estimate_is_those_before_over_turns_per_second() {
    let (queue, first, start) = busy(1000);
    assert_eq!(queue.estimate(5, start), ESTIMATE_AT_LEAST, "nothing known yet");
    first.served(start);
    let mut now = start;
    for i in 0..400 {
        now = start + Duration::from_millis(250 * i);
        queue.join(5, i, now).unwrap().served(now);
    }
    assert_eq!(queue.estimate(5, now), ESTIMATE_AT_LEAST);
    let waiting: Vec<_> = (0..40)
        .map(|i| queue.join(if i < 20 { 5 } else { 7 }, i, now).unwrap())
        .collect();
    let (five, seven) = (queue.estimate(5, now).as_secs(), queue.estimate(7, now).as_secs());
    assert!((9..=11).contains(&five) && (5..=6).contains(&seven), "{five} {seven}");
    assert_eq!(queue.estimate(5, now + Duration::from_secs(3600)), ESTIMATE_AT_MOST);
    assert_eq!(waiting[0].waited(now + Duration::from_secs(3)), Duration::from_secs(3));
}

#[test]
fn a_smaller_size_sends_nobody_away() {
    let (queue, _first, now) = busy(5);
    let mut waiting: Vec<_> = (0..5).map(|c| queue.join(5, c, now).unwrap()).collect();
    queue.resize(2);
    assert_eq!(queue.join(5, 9, now).err(), Some(Refused));
    assert!(waiting.iter_mut().all(|t| look(t).is_none()));
}

#[tokio::test]
async fn a_waiting_task_is_woken() {
    let (queue, first, now) = busy(5);
    let mut a = queue.join(1, 1, now).unwrap();
    let mut b = queue.join(5, 1, now).unwrap();
    let turns = async { (b.turn().await, a.turn().await) };
    let releases = async {
        tokio::task::yield_now().await;
        queue.wake();
        tokio::task::yield_now().await;
        queue.wake();
    };
    let (turns, ()) = tokio::join!(turns, releases);
    assert_eq!(turns, (Turn::Try, Turn::Try));
    drop(first);
}

#[test]
fn one_released_place_is_one_turn_and_many_are_as_many_as_are_used() {
    use crate::balance::Released;
    let (queue, first, now) = busy(10);
    let mut tickets: Vec<_> = (0..3).map(|caller| queue.join(5, caller, now).unwrap()).collect();
    drop(first);
    let has_turn = |tickets: &mut Vec<Ticket>| tickets.iter_mut().filter_map(look).count();
    // The turn of the one that left is passed on; its pick fails.
    assert_eq!(has_turn(&mut tickets), 1);
    tickets.iter_mut().for_each(Ticket::back);
    assert_eq!(has_turn(&mut tickets), 0);
    queue.released(false);
    tickets.remove(0).served(now);
    assert_eq!(has_turn(&mut tickets), 0);
    queue.released(true);
    tickets.remove(0).served(now);
    assert_eq!(has_turn(&mut tickets), 1, "the first of many passes the turn on");
    drop(tickets);
    queue.assert_empty();
}
