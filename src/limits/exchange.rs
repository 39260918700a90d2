//! What instances share counts through: the contract between the local bank and Redis.
//!
//! An instance takes room in slices ahead of need and spends from them without asking; it reports what it spent and gives back
//! what it does not need. What is out with an instance counts as used, so the sum over the fleet never exceeds a limit. When an
//! instance dies, what was out with it returns after its expiry.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// How a count behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// In any stretch of this time. Kept in slots of a twentieth of it; what is taken counts in the slot of the moment (of the
    /// exchange's own clock) until that slot is older than the stretch.
    Sliding(Duration),
    /// In a window from one moment to another, in seconds since 1970, by the instance's calendar. An exchange keeps the count of
    /// one window until `end` and a day.
    Window {
        /// When it began.
        start: i64,
        /// When it ends; `i64::MAX`: never.
        end: i64,
    },
    /// Under way at one time.
    Concurrent,
}

/// Room wanted in one count.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Stable id of the count, the same on all instances.
    pub count: Arc<str>,
    /// How it behaves.
    pub shape: Shape,
    /// Its limit.
    pub limit: u64,
    /// Without this much, nothing is taken from any of the counts asked together.
    pub need: u64,
    /// More than needed, so that the next requests need not ask: given as far as a hundredth of what remains (and of a sliding
    /// count five seconds of its rate) allows.
    pub ahead: u64,
    /// What this instance knows to have been used in this window by all: an exchange that has lost its memory begins with the
    /// largest figure it is told. 0 once the exchange has answered for this count (what was known then may be more than what is
    /// true later), so whenever it is larger than what the exchange has, the exchange's figure is raised to it.
    pub known: u64,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// By ask, in order: how much was given (at least `need`), and what remains for others.
    Granted(Vec<Given>),
    /// This one had no room; nothing was taken.
    Refused {
        /// Index into the asks.
        index: usize,
        /// What it has left, less than `need`.
        remaining: u64,
        /// When there could be room, if time alone makes some.
        after: Option<Duration>,
    },
}

/// Room given in one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// How much, `need` among it.
    pub amount: u64,
    /// Used and out with instances, this grant among it.
    pub used: u64,
}

/// A change to one count: what was out with this instance and is now spent or given back.
#[derive(Debug, Clone)]
pub struct Report {
    /// The count.
    pub count: Arc<str>,
    /// How it behaves: the window that the figures belong to.
    pub shape: Shape,
    /// Its limit.
    pub limit: u64,
    /// Spent of what was out: used for good.
    pub spent: u64,
    /// Of what was out, not needed any more.
    pub back: u64,
    /// Spent beyond what was out (a call that took more than its worst case, an outage with `fail_open`): used for good. Of
    /// [`Shape::Concurrent`]: out with this instance from now on, for it comes back.
    pub beyond: u64,
    /// Known to have been used, as in [`Ask`].
    pub known: u64,
}

/// The exchange cannot be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage;

/// What instances share counts through.
#[async_trait]
pub trait Exchange: Send + Sync {
    /// Take room in several counts, all or nothing.
    async fn take(&self, asks: &[Ask]) -> Result<Taken, Outage>;

    /// Report and give back. The figures used afterwards, by report. Repeating a report after an outage must not happen: an
    /// implementation numbers them and the other side skips numbers it has seen. After an [`Outage`], or when the future was
    /// dropped, the bank's next call has the same reports, unchanged (unless the epoch changed), and so the same number.
    async fn report(&self, reports: &[Report]) -> Result<Vec<u64>, Outage>;

    /// How many instances are alive, as last known; at least 1.
    fn instances(&self) -> usize;

    /// Whether it can be asked now; without waiting.
    fn available(&self) -> bool;

    /// Changes when the other side lost its memory (a restart without persistence): what was out must then be told again, as
    /// `known`, and what was owed as `beyond`. The call that finds it out changes this and fails with [`Outage`], without
    /// effect: its figures were about the memory that is lost.
    fn epoch(&self) -> u64;
}
