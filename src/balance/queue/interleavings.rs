//! The queue under every order of steps that proptest finds: requests that pick, join, leave and release, cut where other
//! threads may come between; and the line under any sequence of changes.

use super::tests::{busy, look};
use super::*;
use proptest::prelude::*;

/// One request on its way, in steps between which others take theirs.
#[derive(Default)]
enum Actor {
    #[default]
    Idle,
    PickFailed,
    Waiting(Ticket),
    TryFailed(Ticket),
    Holding,
    /// The slot is free, the queue not told yet.
    Released,
}

struct World {
    queue: Arc<Queue>,
    free: usize,
    now: Instant,
    actors: Vec<Actor>,
}

impl World {
    fn pick(&mut self) -> bool {
        let got = self.free > 0;
        self.free -= usize::from(got);
        got
    }

    fn join(&self, who: usize) -> Actor {
        match self.queue.join((who % 3) as u8, (who % 5) as u64, self.now) {
            Ok(ticket) => Actor::Waiting(ticket),
            Err(Refused) => Actor::Idle,
        }
    }

    /// One step; whether there was one to take. `settle`: only what happens by itself.
    fn step(&mut self, who: usize, leave: bool, settle: bool) -> bool {
        let before = std::mem::take(&mut self.actors[who]);
        let mut moved = true;
        self.actors[who] = match before {
            Actor::Idle | Actor::Holding if settle => {
                moved = false;
                before
            }
            Actor::Idle if self.queue.is_waiting() => self.join(who),
            Actor::Idle if self.pick() => Actor::Holding,
            Actor::Idle => Actor::PickFailed,
            Actor::PickFailed => self.join(who),
            Actor::Waiting(_) if leave => Actor::Idle,
            Actor::Waiting(mut ticket) => match look(&mut ticket) {
                None => {
                    moved = false;
                    Actor::Waiting(ticket)
                }
                Some(Turn::Shed) => Actor::Idle,
                Some(Turn::Try) if self.pick() => {
                    ticket.served(self.now);
                    Actor::Holding
                }
                Some(Turn::Try) => Actor::TryFailed(ticket),
            },
            Actor::TryFailed(mut ticket) => {
                ticket.back();
                Actor::Waiting(ticket)
            }
            Actor::Holding => {
                self.free += 1;
                Actor::Released
            }
            Actor::Released => {
                self.queue.wake();
                Actor::Idle
            }
        };
        moved
    }

    /// Nobody comes, nobody goes, what is under way ends.
    fn settle(&mut self) {
        let mut rounds = 0;
        while (0..self.actors.len())
            .filter(|&who| self.step(who, false, true))
            .count()
            > 0
        {
            rounds += 1;
            assert!(rounds < 10 * self.actors.len() + 10, "turns go round for ever");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// No interleaving leaves a slot idle while somebody waits, gives one release to two, or leaves anything behind.
    #[test]
    fn no_wakeup_is_lost(
        slots in 1usize..4,
        size in 1usize..12,
        steps in prop::collection::vec((0usize..14, prop::bool::weighted(0.15), prop::bool::weighted(0.05)), 0..250),
    ) {
        let queue = Arc::new(Queue::new(size));
        let actors = (0..14).map(|_| Actor::Idle).collect();
        let mut world = World { queue, free: slots, now: Instant::now(), actors };
        for (who, leave, settle) in steps {
            world.step(who, leave, false);
            world.queue.assert_whole();
            let facts = world.queue.facts();
            let waiting = facts.depth.iter().sum::<usize>();
            prop_assert!(waiting + facts.trying <= size);
            if settle {
                world.settle();
                let facts = world.queue.facts();
                prop_assert_eq!(facts.trying, 0);
                prop_assert!(facts.depth.iter().sum::<usize>() == 0 || world.free == 0, "an idle slot beside a waiter");
            }
        }
        // Everybody still waiting is served as slots come free.
        for _ in 0..40 {
            world.settle();
            for who in 0..world.actors.len() {
                if matches!(world.actors[who], Actor::Holding) {
                    world.step(who, false, false);
                }
            }
        }
        prop_assert!(world.actors.iter().all(|a| matches!(a, Actor::Idle)), "somebody waits for ever");
        prop_assert_eq!(world.free, slots);
        world.queue.assert_empty();
    }

    /// While nobody has to give a turn back, a release is exactly one turn if anybody waits, whoever leaves.
    #[test]
    fn a_release_is_one_turn(ops in prop::collection::vec((0u8..4, 0u64..4, 0u8..10), 1..200)) {
        let (queue, mut first, now) = busy(1000);
        first.back();
        let mut waiting: Vec<Ticket> = vec![first];
        for (op, caller, priority) in ops {
            match op {
                0 | 1 => waiting.push(queue.join(priority, caller, now).unwrap()),
                2 if waiting.len() > 1 => drop(waiting.swap_remove(caller as usize % waiting.len())),
                3 if waiting.len() > 1 => {
                    queue.wake();
                    let turns: Vec<_> = (0..waiting.len()).filter(|&i| look(&mut waiting[i]).is_some()).collect();
                    prop_assert_eq!(turns.len(), 1);
                    waiting.swap_remove(turns[0]).served(now);
                }
                _ => {}
            }
            prop_assert!(waiting.iter_mut().all(|t| look(t).is_none()));
            queue.assert_whole();
        }
        drop(waiting);
        queue.assert_empty();
    }

    /// Positions are the order in which turns come; a caller's come in the order of joining; `put_back` undoes `pop`.
    #[test]
    fn positions_tell_the_order(ops in prop::collection::vec((0u8..6, 0u8..10, 0u64..5), 1..150)) {
        let mut line = Line::default();
        let mut here: Vec<(u8, u64, u64)> = Vec::new();
        for (op, priority, caller) in ops {
            match op {
                0..=2 => here.push((priority, caller, line.push(priority, caller, ()))),
                3 if !here.is_empty() => {
                    let (priority, caller, seq) = here.swap_remove((priority as usize * 5 + caller as usize) % here.len());
                    prop_assert!(line.remove(priority, caller, seq).is_some());
                    prop_assert!(line.remove(priority, caller, seq).is_none());
                }
                4 => {
                    let at = |line: &Line<()>| here.iter().map(|&(p, c, s)| line.position(p, c, s)).collect::<Vec<_>>();
                    let before = at(&line);
                    let turns: Vec<_> = (0..caller).map_while(|_| line.pop()).collect();
                    line.assert_whole();
                    // In any order.
                    let (one, two): (Vec<_>, Vec<_>) = turns.into_iter().partition(|p| (p.seq() + u64::from(priority)) % 2 == 0);
                    two.into_iter().chain(one).for_each(|place| line.put_back(place));
                    prop_assert_eq!(at(&line), before);
                }
                5 => {
                    let first = here.iter().position(|&(p, c, s)| line.position(p, c, s) == Some(0));
                    let place = line.pop();
                    prop_assert_eq!(place.as_ref().map(Place::seq), first.map(|i| here[i].2));
                    if let Some(i) = first {
                        let (priority, caller, seq) = here.swap_remove(i);
                        prop_assert!(here.iter().all(|&(p, c, s)| (p, c) != (priority, caller) || s > seq));
                    }
                }
                _ => {}
            }
            line.assert_whole();
            let mut positions: Vec<_> = here.iter().filter_map(|&(p, c, s)| line.position(p, c, s)).collect();
            positions.sort_unstable();
            prop_assert_eq!(positions, (0..here.len()).collect::<Vec<_>>());
        }
        here.sort_by_key(|&(p, c, s)| line.position(p, c, s));
        let drained: Vec<_> = std::iter::from_fn(|| line.pop()).map(|place| place.seq()).collect();
        prop_assert_eq!(drained, here.iter().map(|h| h.2).collect::<Vec<_>>());
        prop_assert_eq!(line.callers(), 0);
    }
}
