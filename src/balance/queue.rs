//! The waiting line of one pool: who waits while all its targets are full (max in-flight) or cooling, and whose turn it is.
//!
//! It hands out *turns*, not slots: a turn is leave to pick now, ahead of all that come later. Knows no target and reads no
//! clock; deadlines are the waiter's to race against. Who is next: `line.rs` (priorities) and `class.rs` (callers).
//!
//! ```text
//!             full: Refused, or the newcomer displaces somebody
//!   join ──┬───────────────────────────────────────────────► waiting ── displaced ──► Shed
//!          │ nobody waits or tries: its turn at once       ▲    │ wake / open, in order
//!          └──────────────────────────────────► its turn ◄─┼────┘
//!                       the pick failed: back ──────┤──────┘
//!                          the pick worked: served ─┴─► gone        (dropped anywhere: gone, its turn passes on)
//! ```
//! The request: `if queue.is_waiting() || pick fails { join; loop { turn().await; pick: served, or back } }`.
//! The slot: freed first, `wake()` after.
//!
//! **No wakeup is lost.** Joining publishes "somebody is here" and then tries once more; releasing frees the slot and then
//! looks whether somebody is here; a sequentially consistent fence between the two steps on each side means that at least
//! one of the two sees the other. So a release before that try is found by it. A release after it goes to the next that
//! waits; if all that are here are trying just then (their pick may have looked too early), it is noted, and the first try
//! to end passes it on. Capacity that no count of releases stands for (releases before anybody was here, noted ones, the end
//! of a cool-down) is handed out as a *chain*: each turn that is used gives the next one, until a pick fails.

mod class;
#[cfg(test)]
mod interleavings;
mod line;
mod rate;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stress;
#[cfg(test)]
mod tests;

pub use line::PRIORITIES;

use line::{Line, Place};
use rate::Rate;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Least that [`Queue::estimate`] says.
pub const ESTIMATE_AT_LEAST: Duration = Duration::from_secs(1);
/// Most that [`Queue::estimate`] says.
pub const ESTIMATE_AT_MOST: Duration = Duration::from_secs(60);

/// Requests of one pool that wait. Outlives reloads as the targets' breakers do ([`Queue::resize`]).
#[derive(Debug)]
pub struct Queue {
    /// Tickets that wait or try; written under the lock.
    here: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    size: usize,
    line: Line<Arc<Seat>>,
    /// Tickets that have a turn, by number.
    trying: HashMap<u64, Try>,
    /// A slot was released while nobody waited and somebody tried. Only while somebody tries.
    missed: bool,
    rate: Rate,
    counts: Counts,
}

#[derive(Debug)]
struct Try {
    place: Place<Arc<Seat>>,
    /// Whether success gives the next one a turn.
    chain: bool,
}

/// Where a ticket and the queue meet.
#[derive(Debug, Default)]
struct Seat {
    /// One of the constants below; written under the lock.
    state: AtomicU8,
    news: Notify,
}

const WAITING: u8 = 0;
const TURN: u8 = 1;
const SHED: u8 = 2;

/// What happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tickets given.
    pub joined: u64,
    /// Those that got a slot.
    pub served: u64,
    /// Those displaced by somebody who ranks better.
    pub shed: u64,
    /// Those whose time to wait was up.
    pub timed_out: u64,
    /// Those dropped for another reason: the client left, the request's own deadline.
    pub left: u64,
    /// Requests that found the queue full.
    pub refused: u64,
}

/// What metrics show of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Waiters by priority.
    pub depth: [usize; PRIORITIES],
    /// Tickets that have a turn and neither used it nor gave it back.
    pub trying: usize,
    /// Since the start; joined = served + shed + timed out + left + those here.
    pub counts: Counts,
}

/// The queue is full of requests that rank no lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// What became of the waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Pick now; then [`Ticket::served`] or [`Ticket::back`].
    Try,
    /// Displaced: answer the client.
    Shed,
}

impl Queue {
    /// For at most `size` requests, those with a turn counted; at least one.
    pub fn new(size: usize) -> Self {
        Self {
            here: AtomicUsize::new(0),
            inner: Mutex::new(Inner {
                size: size.max(1),
                line: Line::default(),
                trying: HashMap::new(),
                missed: false,
                rate: Rate::default(),
                counts: Counts::default(),
            }),
        }
    }

    /// Another size, after a reload. Who waits beyond it stays.
    pub fn resize(&self, size: usize) {
        self.lock().size = size.max(1);
    }

    /// Whether a newcomer must join before it picks. One load; false costs the request nothing else.
    pub fn is_waiting(&self) -> bool {
        self.here.load(Ordering::Relaxed) > 0
    }

    /// Wait from now on. `priority`: 9 is first, 0 last. `caller`: a hash of whoever turns are shared between.
    ///
    /// With nobody before it the ticket has its turn at once: a slot may have been released since the pick that failed.
    pub fn join(self: &Arc<Self>, priority: u8, caller: u64, now: Instant) -> Result<Ticket, Refused> {
        let seat = Arc::new(Seat::default());
        let mut displaced = None;
        let mut inner = self.lock();
        if inner.line.len() + inner.trying.len() >= inner.size {
            displaced = inner.line.displace(priority, caller);
            if displaced.is_none() {
                inner.counts.refused += 1;
                return Err(Refused);
            }
            inner.counts.shed += 1;
        }
        let alone = inner.line.is_empty() && inner.trying.is_empty() && displaced.is_none();
        let seq = inner.line.push(priority, caller, Arc::clone(&seat));
        inner.counts.joined += 1;
        if alone {
            // Its seat needs no notice: nobody looks at it yet.
            inner.next(true);
        }
        self.publish(inner);
        fence(Ordering::SeqCst);
        if let Some(other) = displaced {
            other.tell(SHED);
        }
        Ok(Ticket {
            queue: Arc::clone(self),
            seat,
            priority,
            caller,
            seq,
            joined: now,
            end: End::Left,
        })
    }

    /// A slot was released: one ticket gets a turn. To be called after the slot is free, from wherever that is; does not
    /// block beyond a short lock, and without anybody here only looks.
    pub fn wake(&self) {
        // See the module's text: the slot is free before this looks.
        fence(Ordering::SeqCst);
        if self.is_waiting() {
            self.give(false);
        }
    }

    /// As many slots were released.
    pub fn wake_all_up_to(&self, n: usize) {
        fence(Ordering::SeqCst);
        if !self.is_waiting() {
            return;
        }
        // More turns than waiters would only repeat the note that one was missed.
        let waiting = self.lock().line.len();
        for _ in 0..n.min(waiting.max(1)) {
            self.give(false);
        }
    }

    /// It is unknown how many slots there are now (a cool-down ended, a breaker closed, a limit was raised): one ticket gets
    /// a turn, each that uses it gives the next one, and the first failed pick ends it.
    pub fn open(&self) {
        fence(Ordering::SeqCst);
        if self.is_waiting() {
            self.give(true);
        }
    }

    /// When somebody who comes back may hope for a turn, for `retry-after`: those before it ÷ turns per second of late.
    /// Whole seconds, [`ESTIMATE_AT_LEAST`] to [`ESTIMATE_AT_MOST`].
    pub fn estimate(&self, priority: u8, now: Instant) -> Duration {
        let inner = self.lock();
        let ahead = inner.line.at_least(priority) + 1;
        let seconds = match inner.rate.per_second(now) {
            None => 0.0,
            Some(rate) => (ahead as f64 / rate.max(1e-9)).ceil(),
        };
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(ESTIMATE_AT_MOST)
            .clamp(ESTIMATE_AT_LEAST, ESTIMATE_AT_MOST)
    }

    /// For metrics.
    pub fn facts(&self) -> Facts {
        let inner = self.lock();
        Facts {
            depth: inner.line.depth(),
            trying: inner.trying.len(),
            counts: inner.counts,
        }
    }

    /// Waiters by priority.
    pub fn depth(&self) -> [usize; PRIORITIES] {
        self.lock().line.depth()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; if it did, the line is still better than none.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, chain: bool) {
        let next = self.lock().next(chain);
        Seat::notify(next);
    }

    /// End a change of who is here.
    fn publish(&self, inner: MutexGuard<'_, Inner>) {
        self.here
            .store(inner.line.len() + inner.trying.len(), Ordering::Relaxed);
    }

    /// A ticket goes, however it ended.
    fn leave(&self, ticket: &Ticket) {
        let mut inner = self.lock();
        let was_trying = inner.trying.remove(&ticket.seq);
        let waited = was_trying.is_none() && inner.line.remove(ticket.priority, ticket.caller, ticket.seq).is_some();
        if was_trying.is_none() && !waited {
            // Displaced, and counted then.
            return;
        }
        match ticket.end {
            End::Served(now) => {
                inner.counts.served += 1;
                inner.rate.note(now);
            }
            End::TimedOut => inner.counts.timed_out += 1,
            End::Left => inner.counts.left += 1,
        }
        let next = match was_trying {
            // What it did not use is the next one's.
            Some(Try { chain, .. }) if chain || !matches!(ticket.end, End::Served(_)) => inner.next(chain),
            Some(_) => inner.settle(),
            None => None,
        };
        if inner.trying.is_empty() {
            inner.missed = false;
        }
        self.publish(inner);
        Seat::notify(next);
    }
}

impl super::Released for Queue {
    fn released(&self, many: bool) {
        if many { self.open() } else { self.wake() }
    }
}

impl Inner {
    /// The next that waits gets a turn; it is to be notified when the lock is released.
    fn next(&mut self, chain: bool) -> Option<Arc<Seat>> {
        let Some(place) = self.line.pop() else {
            self.missed = !self.trying.is_empty();
            return None;
        };
        // A missed release is in good hands with any chain.
        let missed = std::mem::take(&mut self.missed);
        let chain = chain || missed;
        let seat = Arc::clone(place.item());
        seat.state.store(TURN, Ordering::Release);
        self.trying.insert(place.seq(), Try { place, chain });
        Some(seat)
    }

    /// A try has ended: what was missed meanwhile is passed on.
    fn settle(&mut self) -> Option<Arc<Seat>> {
        if self.missed { self.next(true) } else { None }
    }
}

impl Seat {
    fn tell(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.news.notify_one();
    }

    /// Outside the lock: a waker is not ours.
    fn notify(seat: Option<Arc<Self>>) {
        if let Some(seat) = seat {
            seat.news.notify_one();
        }
    }
}

/// Why a ticket goes.
#[derive(Debug, Clone, Copy)]
enum End {
    Left,
    TimedOut,
    Served(Instant),
}

/// A place in the queue. Dropping it leaves the queue; a turn it had passes on.
#[derive(Debug)]
pub struct Ticket {
    queue: Arc<Queue>,
    seat: Arc<Seat>,
    priority: u8,
    caller: u64,
    seq: u64,
    joined: Instant,
    end: End,
}

impl Ticket {
    /// Resolves when it is this ticket's turn or it was displaced. May be dropped and called again at any time.
    pub async fn turn(&mut self) -> Turn {
        loop {
            match self.seat.state.load(Ordering::Acquire) {
                TURN => return Turn::Try,
                SHED => return Turn::Shed,
                // Told between the load and this: the notice is kept. An old notice: looks again.
                _ => self.seat.news.notified().await,
            }
        }
    }

    /// The pick failed, somebody was quicker: wait again, at the old place.
    pub fn back(&mut self) {
        let mut inner = self.queue.lock();
        let Some(Try { place, .. }) = inner.trying.remove(&self.seq) else {
            return;
        };
        self.seat.state.store(WAITING, Ordering::Release);
        inner.line.put_back(place);
        let next = inner.settle();
        // The number here is as before.
        drop(inner);
        Seat::notify(next);
    }

    /// The pick worked.
    pub fn served(mut self, now: Instant) {
        self.end = End::Served(now);
    }

    /// The longest wait is over. (Dropping the ticket instead counts it as having left.)
    pub fn timed_out(mut self) {
        self.end = End::TimedOut;
    }

    /// How many get their turn before this one if nobody else comes; 0 if it has its turn, `None` once displaced. Looks at
    /// every caller that waits: for the record of a request, not for polling.
    pub fn position(&self) -> Option<usize> {
        let inner = self.queue.lock();
        if inner.trying.contains_key(&self.seq) {
            return Some(0);
        }
        inner.line.position(self.priority, self.caller, self.seq)
    }

    /// Since it joined, for the histogram of waits.
    pub fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.joined)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.leave(self);
    }
}
