//! Who is next of all that wait: a class by its share, in it a caller by its round (`class.rs`).
//!
//! Classes share turns as callers share rounds (start-time fair queueing), at prices that double from one to the next
//! lower: a turn of class 9 costs 1, of class 0 costs 512. Weighted and not strict with ageing, because this needs no
//! clock and has a bound that holds however long waits become: ageing turns into first come, first served as soon as
//! everybody waits long, which is when priorities matter; and waits are bounded by deadlines anyway. The bounds:
//! * Of two classes `d` apart that both have waiters all the time the higher gets 2^d turns for one of the lower.
//! * The first waiter of class p is passed by at most 2^(q − p) + 1 turns of a class q above, and by one turn of each class
//!   below (turns given back aside).
//! * A class without waiters saves nothing up.

use super::class::{Class, Taken};

/// Priorities are 0 (last) to 9 (first).
pub const PRIORITIES: usize = 10;

#[derive(Debug)]
pub(super) struct Line<T> {
    /// By priority.
    classes: [Lane<T>; PRIORITIES],
    /// Virtual time: the largest start of a turn so far.
    clock: u64,
    len: usize,
    next_seq: u64,
}

#[derive(Debug)]
struct Lane<T> {
    class: Class<T>,
    /// Virtual time at which its next turn starts.
    start: u64,
    /// What a turn of it costs.
    price: u64,
}

/// A waiter that has its turn, and the place it would have again.
#[derive(Debug)]
pub(super) struct Place<T> {
    priority: usize,
    taken: Taken<T>,
}

impl<T> Place<T> {
    pub(super) fn item(&self) -> &T {
        &self.taken.item
    }

    pub(super) fn seq(&self) -> u64 {
        self.taken.seq
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            classes: std::array::from_fn(|priority| Lane {
                class: Class::default(),
                start: 0,
                price: 1 << (PRIORITIES - 1 - priority),
            }),
            clock: 0,
            len: 0,
            next_seq: 0,
        }
    }
}

impl<T> Line<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Waiters by priority.
    pub(super) fn depth(&self) -> [usize; PRIORITIES] {
        std::array::from_fn(|priority| self.classes.get(priority).map_or(0, |lane| lane.class.len()))
    }

    /// Gives the newcomer's number. A priority above 9 is 9.
    pub(super) fn push(&mut self, priority: u8, caller: u64, item: T) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        if let Some(lane) = self.classes.get_mut(lane_of(priority)) {
            if lane.class.len() == 0 {
                lane.start = lane.start.max(self.clock);
            }
            lane.class.push(caller, seq, item);
            self.len += 1;
        }
        seq
    }

    /// Who is next.
    pub(super) fn pop(&mut self) -> Option<Place<T>> {
        let lanes = self.classes.iter_mut().enumerate().rev();
        // The first of equal ones: the highest.
        let (priority, lane) = lanes
            .filter(|(_, lane)| lane.class.len() > 0)
            .min_by_key(|(_, lane)| lane.start)?;
        let start = lane.start;
        let taken = lane.class.pop()?;
        lane.start += lane.price;
        self.clock = self.clock.max(start);
        self.len = self.len.saturating_sub(1);
        Some(Place { priority, taken })
    }

    /// Undo a `pop`: waiter, caller and class stand where they stood.
    pub(super) fn put_back(&mut self, place: Place<T>) {
        let Place { priority, taken } = place;
        if let Some(lane) = self.classes.get_mut(priority) {
            lane.start = lane.start.saturating_sub(lane.price);
            lane.class.put_back(taken);
            self.len += 1;
        }
    }

    /// A waiter that goes.
    pub(super) fn remove(&mut self, priority: u8, caller: u64, seq: u64) -> Option<T> {
        let item = self.classes.get_mut(lane_of(priority))?.class.remove(caller, seq)?;
        self.len = self.len.saturating_sub(1);
        Some(item)
    }

    /// Make room for a newcomer: who has to go, if anybody ranks below it. That is the last waiter of the caller with most
    /// waiting in the lowest class; in the newcomer's own class only if the newcomer's caller, with it, has fewer.
    pub(super) fn displace(&mut self, priority: u8, caller: u64) -> Option<T> {
        let lanes = self.classes.iter_mut().enumerate();
        let (lowest, lane) = lanes.into_iter().find(|(_, lane)| lane.class.len() > 0)?;
        let (_, most) = lane.class.crowd()?;
        let own = lane_of(priority);
        // Counting the newcomer: a swap that only trades places with the crowd would shed a waiter for nothing.
        let better = lowest < own || (lowest == own && lane.class.of(caller) + 1 < most);
        let item = if better { lane.class.shed()? } else { return None };
        self.len = self.len.saturating_sub(1);
        Some(item)
    }

    /// How many go before this waiter if nobody else comes.
    pub(super) fn position(&self, priority: u8, caller: u64, seq: u64) -> Option<usize> {
        let own = lane_of(priority);
        let lane = self.classes.get(own)?;
        let within = lane.class.position(caller, seq)?;
        let start = lane.start.saturating_add(lane.price.saturating_mul(within as u64));
        let others = self.classes.iter().enumerate().filter(|(other, _)| *other != own);
        let ahead = others.map(|(other, lane)| {
            let Some(until) = start.checked_sub(lane.start) else {
                return 0;
            };
            // Turns that start before, and the one that starts at the same time if its class is higher.
            let turns = if other > own {
                until / lane.price + 1
            } else {
                until.div_ceil(lane.price)
            };
            lane.class.len().min(usize::try_from(turns).unwrap_or(usize::MAX))
        });
        Some(within + ahead.sum::<usize>())
    }

    /// Waiters whose class is this one or above.
    pub(super) fn at_least(&self, priority: u8) -> usize {
        self.classes
            .iter()
            .skip(lane_of(priority))
            .map(|lane| lane.class.len())
            .sum()
    }

    #[cfg(test)]
    pub(super) fn callers(&self) -> usize {
        self.classes.iter().map(|lane| lane.class.callers()).sum()
    }

    #[cfg(test)]
    pub(super) fn assert_whole(&self) {
        self.classes.iter().for_each(|lane| lane.class.assert_whole());
        assert_eq!(self.len, self.depth().iter().sum::<usize>());
    }
}

fn lane_of(priority: u8) -> usize {
    usize::from(priority).min(PRIORITIES - 1)
}
