//! Waiters of one priority: callers take turns, and within a caller who came first goes first.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996) with every request costing one: its virtual time is a count of
//! *rounds*, and a caller has one turn in a round. A caller with nothing waiting saves up to [`SAVED`] rounds it took no
//! turn in, so a caller that asks for less than its share is before those who ask for more, also when its requests come
//! two at a time; with nothing saved a burst would wait a round for each. Only the first waiter of a caller has a round;
//! one that leaves hands it to the next, so giving up costs a caller nothing.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// Callers without waiters of which it is remembered what they have saved; one more ends the round. Bounds memory, and how
/// long callers that come once each can keep others from their next turn: this many turns for each round saved.
pub(super) const REMEMBERED: usize = 256;

/// Rounds that a caller can save up.
pub(super) const SAVED: u64 = 16;

/// What an empty class keeps of its tables.
const KEEP: usize = 64;

#[derive(Debug)]
pub(super) struct Class<T> {
    callers: HashMap<u64, Caller<T>>,
    /// (round, sequence number, caller) of each caller's first waiter: who is next.
    heads: BTreeSet<(u64, u64, u64)>,
    /// (waiters, sequence number of the last, caller): who is first to lose one.
    crowds: BTreeSet<(usize, u64, u64)>,
    /// The round under way.
    round: u64,
    /// Callers without waiters that have not saved all they can.
    served: HashSet<u64>,
    len: usize,
}

#[derive(Debug)]
struct Caller<T> {
    /// The round of its first waiter.
    round: u64,
    /// By sequence number.
    waiting: VecDeque<(u64, T)>,
}

/// A waiter that was taken out for its turn.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub caller: u64,
    pub seq: u64,
    pub round: u64,
    pub item: T,
}

impl<T> Default for Class<T> {
    fn default() -> Self {
        Self {
            callers: HashMap::new(),
            heads: BTreeSet::new(),
            crowds: BTreeSet::new(),
            round: SAVED,
            served: HashSet::new(),
            len: 0,
        }
    }
}

impl<T> Class<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many of this caller's wait.
    pub(super) fn of(&self, caller: u64) -> usize {
        self.callers.get(&caller).map_or(0, |c| c.waiting.len())
    }

    /// A newcomer; `seq` is above all before it.
    pub(super) fn push(&mut self, caller: u64, seq: u64, item: T) {
        let round = self.round.saturating_sub(SAVED);
        self.change(caller, round, |c| {
            if c.waiting.is_empty() {
                c.round = c.round.max(round);
            }
            c.waiting.push_back((seq, item));
        });
    }

    /// Who is next.
    pub(super) fn pop(&mut self) -> Option<Taken<T>> {
        let &(round, seq, caller) = self.heads.first()?;
        let item = self.change(caller, round, |c| {
            c.round = round + 1;
            c.waiting.pop_front()
        });
        self.advance(round);
        self.tidy();
        let (_, item) = item?;
        Some(Taken {
            caller,
            seq,
            round,
            item,
        })
    }

    /// Undo a `pop`: the caller has its turn back, the waiter its place.
    pub(super) fn put_back(&mut self, taken: Taken<T>) {
        let Taken {
            caller,
            seq,
            round,
            item,
        } = taken;
        self.change(caller, round + 1, |c| {
            let at = c.waiting.partition_point(|(other, _)| *other < seq);
            c.round = c.round.saturating_sub(1).max(round.saturating_sub(at as u64));
            c.waiting.insert(at, (seq, item));
        });
    }

    /// A waiter that goes.
    pub(super) fn remove(&mut self, caller: u64, seq: u64) -> Option<T> {
        let waiting = &self.callers.get(&caller)?.waiting;
        let at = waiting.binary_search_by_key(&seq, |(other, _)| *other).ok()?;
        let item = self.change(caller, 0, |c| c.waiting.remove(at));
        self.tidy();
        item.map(|(_, item)| item)
    }

    /// The caller with most waiting (of equal ones that whose last came last), and how many.
    pub(super) fn crowd(&self) -> Option<(u64, usize)> {
        self.crowds.last().map(|&(len, _, caller)| (caller, len))
    }

    /// The last waiter of the caller with most waiting, taken out.
    pub(super) fn shed(&mut self) -> Option<T> {
        let &(_, seq, caller) = self.crowds.last()?;
        self.remove(caller, seq)
    }

    /// How many of this class go before this waiter if nobody else comes.
    pub(super) fn position(&self, caller: u64, seq: u64) -> Option<usize> {
        let own = self.callers.get(&caller)?;
        let before = own.waiting.binary_search_by_key(&seq, |(other, _)| *other).ok()?;
        let round = own.round + before as u64;
        let others = self.callers.iter().filter(|(other, _)| **other != caller);
        let ahead = others.map(|(_, c)| {
            let Some(rounds) = round.checked_sub(c.round) else {
                return 0;
            };
            let rounds = usize::try_from(rounds).unwrap_or(usize::MAX);
            // In the same round the older one is first.
            match c.waiting.get(rounds) {
                Some((other, _)) if *other < seq => rounds + 1,
                Some(_) => rounds,
                None => c.waiting.len(),
            }
        });
        Some(before + ahead.sum::<usize>())
    }

    /// Every change of a caller goes through here, so that the indices follow. `round`: of a caller that is not known.
    fn change<R>(&mut self, caller: u64, round: u64, edit: impl FnOnce(&mut Caller<T>) -> R) -> R {
        let c = self.callers.entry(caller).or_insert_with(|| Caller {
            round,
            waiting: VecDeque::new(),
        });
        if let (Some((first, _)), Some((last, _))) = (c.waiting.front(), c.waiting.back()) {
            self.heads.remove(&(c.round, *first, caller));
            self.crowds.remove(&(c.waiting.len(), *last, caller));
        }
        let before = c.waiting.len();
        let done = edit(c);
        self.len = (self.len + c.waiting.len()).saturating_sub(before);
        if let (Some((first, _)), Some((last, _))) = (c.waiting.front(), c.waiting.back()) {
            self.heads.insert((c.round, *first, caller));
            self.crowds.insert((c.waiting.len(), *last, caller));
            self.served.remove(&caller);
        } else if c.round > self.round.saturating_sub(SAVED) {
            c.waiting.shrink_to(KEEP);
            self.served.insert(caller);
        } else {
            self.callers.remove(&caller);
        }
        done
    }

    /// The round that is under way at least.
    fn advance(&mut self, round: u64) {
        if round > self.round {
            self.round = round;
            let (callers, served) = (&mut self.callers, &mut self.served);
            served.retain(|caller| {
                let later = callers
                    .get(caller)
                    .is_some_and(|c| c.round > round.saturating_sub(SAVED));
                if !later {
                    callers.remove(caller);
                }
                later
            });
        }
    }

    /// Forget callers that nothing is to be remembered of.
    fn tidy(&mut self) {
        if self.len == 0 {
            // Whoever comes next competes with nobody who waited meanwhile.
            self.callers.clear();
            self.served.clear();
            self.callers.shrink_to(KEEP);
            self.served.shrink_to(KEEP);
        } else if self.served.len() > REMEMBERED {
            self.advance(self.round + 1);
        }
    }

    /// Callers known, for tests of what is left behind.
    #[cfg(test)]
    pub(super) fn callers(&self) -> usize {
        self.callers.len()
    }

    #[cfg(test)]
    pub(super) fn assert_whole(&self) {
        let mut len = 0;
        for (caller, c) in &self.callers {
            len += c.waiting.len();
            assert!(c.waiting.iter().is_sorted_by(|a, b| a.0 < b.0), "by sequence number");
            match (c.waiting.front(), c.waiting.back()) {
                (Some((first, _)), Some((last, _))) => {
                    assert!(self.heads.contains(&(c.round, *first, *caller)));
                    assert!(self.crowds.contains(&(c.waiting.len(), *last, *caller)));
                    assert!(!self.served.contains(caller));
                }
                _ => assert!(
                    self.served.contains(caller),
                    "an idle caller is remembered or forgotten"
                ),
            }
        }
        let busy = self.callers.values().filter(|c| !c.waiting.is_empty()).count();
        assert_eq!((len, busy, busy), (self.len, self.heads.len(), self.crowds.len()));
        assert_eq!(self.served.len() + busy, self.callers.len());
        assert!(self.served.len() <= REMEMBERED);
    }
}
