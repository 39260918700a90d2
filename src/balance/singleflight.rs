//! Identical requests under way at one time share one call: the first leads, the others follow and get its answer.
//!
//! Not a cache: a flight is forgotten when it lands. A leader that goes without an answer (client left, panic, error not
//! worth sharing) makes one follower the leader, and the rest go on following it.
//!
//! ```text
//!   join ─► Lead ── finish(value) ──► every follower: Value
//!        │       ├─ dropped ────────► the first follower still there: Lead, of the same flight
//!        │       └─ disband ────────► every follower: Alone
//!        ├► Follow ── wait ─► Value | Lead | Alone
//!        └► Alone: too many flights, or too many followers on this one; call without sharing
//! ```
//! Who may share is decided by the key alone: a 128-bit hash (not one that callers can forge collisions of) over the
//! tenant and everything else that may change the answer. Nothing here could tell a key without its tenant from one with.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The flights of one cache. `K`: see the module's text; `V` is cloned for each follower, so best an `Arc`.
#[derive(Debug)]
pub struct Flights<K: Hash + Eq + Clone, V: Clone> {
    max_flights: usize,
    max_followers: usize,
    inner: Mutex<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K: Hash + Eq + Clone, V: Clone> {
    flights: HashMap<K, VecDeque<Seat<K, V>>>,
    next_follower: u64,
}

/// A follower as its flight knows it.
#[derive(Debug)]
struct Seat<K: Hash + Eq + Clone, V: Clone> {
    id: u64,
    tell: oneshot::Sender<Landed<K, V>>,
}

/// What a request does about its key.
#[derive(Debug)]
pub enum Flight<K: Hash + Eq + Clone, V: Clone> {
    /// Make the call.
    Lead(Leader<K, V>),
    /// Somebody makes it already.
    Follow(Follower<K, V>),
    /// The bounds are reached: make the call, share nothing.
    Alone,
}

/// What a follower gets.
#[derive(Debug)]
pub enum Landed<K: Hash + Eq + Clone, V: Clone> {
    /// The leader's answer.
    Value(V),
    /// The leader went without one: make the call.
    Lead(Leader<K, V>),
    /// The answer is not for sharing: make the call, share nothing.
    Alone,
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// With at most so many flights, and followers on each. A bound of 0 turns sharing off.
    pub fn new(max_flights: usize, max_followers: usize) -> Self {
        Self {
            max_flights,
            max_followers,
            inner: Mutex::new(Inner {
                flights: HashMap::new(),
                next_follower: 0,
            }),
        }
    }

    /// Lead or follow.
    pub fn join(self: &Arc<Self>, key: K) -> Flight<K, V> {
        let mut inner = self.lock();
        let Inner { flights, next_follower } = &mut *inner;
        let full = flights.len() >= self.max_flights;
        match flights.entry(key) {
            Entry::Vacant(_) if full => Flight::Alone,
            Entry::Vacant(free) => {
                let key = free.key().clone();
                free.insert(VecDeque::new());
                Flight::Lead(self.leader(key))
            }
            Entry::Occupied(flight) if flight.get().len() >= self.max_followers => Flight::Alone,
            Entry::Occupied(mut flight) => {
                let (tell, told) = oneshot::channel();
                let id = *next_follower;
                *next_follower += 1;
                flight.get_mut().push_back(Seat { id, tell });
                Flight::Follow(Follower {
                    flights: Arc::clone(self),
                    key: flight.key().clone(),
                    id,
                    told: Some(told),
                })
            }
        }
    }

    /// Flights under way.
    pub fn len(&self) -> usize {
        self.lock().flights.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn leader(self: &Arc<Self>, key: K) -> Leader<K, V> {
        Leader {
            flights: Arc::clone(self),
            key,
            flying: true,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        // Only tables are touched while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn land(&self, key: &K) -> VecDeque<Seat<K, V>> {
        let mut inner = self.lock();
        let followers = inner.flights.remove(key).unwrap_or_default();
        if inner.flights.is_empty() {
            inner.flights.shrink_to(64);
        }
        followers
    }
}

/// Makes the call for all of its flight. There is one leader while a flight is under way.
#[derive(Debug)]
pub struct Leader<K: Hash + Eq + Clone, V: Clone> {
    flights: Arc<Flights<K, V>>,
    key: K,
    /// Cleared when it has landed or somebody else leads.
    flying: bool,
}

impl<K: Hash + Eq + Clone, V: Clone> Leader<K, V> {
    /// Followers at present.
    pub fn followers(&self) -> usize {
        self.flights.lock().flights.get(&self.key).map_or(0, VecDeque::len)
    }

    /// The answer, for everybody. Says how many got it.
    pub fn finish(mut self, value: V) -> usize {
        self.flying = false;
        let followers = self.flights.land(&self.key);
        let told = followers
            .into_iter()
            .map(|seat| seat.tell.send(Landed::Value(value.clone())));
        told.filter(Result::is_ok).count()
    }

    /// The answer cannot be shared (nor would another's): everybody calls for itself, at once and not one after another.
    pub fn disband(mut self) {
        self.flying = false;
        for seat in self.flights.land(&self.key) {
            // One that has gone needs no telling.
            let _ = seat.tell.send(Landed::Alone);
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Drop for Leader<K, V> {
    fn drop(&mut self) {
        while self.flying {
            let first = {
                let mut inner = self.flights.lock();
                let first = inner.flights.get_mut(&self.key).and_then(VecDeque::pop_front);
                if first.is_none() {
                    inner.flights.remove(&self.key);
                }
                first
            };
            self.flying = false;
            let Some(seat) = first else { return };
            let heir = self.flights.leader(self.key.clone());
            if let Err(Landed::Lead(mut unborn)) = seat.tell.send(Landed::Lead(heir)) {
                // That one has just left. It must not look for an heir itself: this loop does.
                unborn.flying = false;
                self.flying = true;
            }
        }
    }
}

/// Waits for the leader's answer. Dropping it leaves the flight.
#[derive(Debug)]
pub struct Follower<K: Hash + Eq + Clone, V: Clone> {
    flights: Arc<Flights<K, V>>,
    key: K,
    id: u64,
    told: Option<oneshot::Receiver<Landed<K, V>>>,
}

impl<K: Hash + Eq + Clone, V: Clone> Follower<K, V> {
    /// What came of the flight. Dropping the future is dropping the follower; if it was to lead, the next one does.
    pub async fn wait(mut self) -> Landed<K, V> {
        match &mut self.told {
            // An error: the leader panicked while it handed out its answer.
            Some(told) => told.await.unwrap_or(Landed::Alone),
            None => Landed::Alone,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Drop for Follower<K, V> {
    fn drop(&mut self) {
        let seat = {
            let mut inner = self.flights.lock();
            inner.flights.get_mut(&self.key).and_then(|followers| {
                let at = followers.binary_search_by_key(&self.id, |seat| seat.id).ok()?;
                followers.remove(at)
            })
        };
        // Not under the lock, and the seat first: what was sent to it may be a leader, whose drop takes the lock.
        drop(seat);
        self.told = None;
    }
}

#[cfg(test)]
mod tests;
