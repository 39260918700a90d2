//! Sharing counts with other instances: asking for room that is not at hand, and every moment telling what was used.
//!
//! ```text
//! request ─ room at hand ─► taken, nobody is asked           (the rule)
//!         └ not enough   ─► take need + ahead at the exchange (the first request of a count, or near its limit)
//! tick    ─ report what was spent and is not needed ─ take ahead for counts that are running low
//! ```
//! Not the account (`book`). Two rules keep the sum over the fleet under the limit whatever fails: a report is sent unchanged
//! until it arrived, and after the exchange lost its memory nobody asks for room until all had time to tell what they know.

use super::bank::{Bank, DRY_MS, Short};
use super::book::Book;
use super::count::{Count, State};
use super::exchange::{Ask, Exchange, Given, Report, Shape, Taken};
use super::lease::{Lease, Refusal};
use super::outage::{Absence, Away, Reach};
use super::rule::{Measure, Window};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// After the exchange lost its memory, how long nothing is asked of it, so that every instance can tell what it knows.
const TELL_FIRST_MS: u64 = 2_000;
/// The epoch of an exchange that was never reached.
const NO_EPOCH: u64 = 0;
/// Room that nobody used for so long is given back.
const IDLE_MS: u64 = 5_000;
/// Counts in one report, and in one question.
const TOGETHER: usize = 128;
/// How far ahead room is taken, at the pace of the moment.
const AHEAD_MS: u64 = 2_000;
/// How often counts that say nothing are let go.
const SWEEP_MS: u64 = 60_000;

/// What a bank has with an exchange.
pub(super) struct Fleet {
    exchange: Arc<dyn Exchange>,
    /// The memory of the exchange that all counts are in.
    epoch: AtomicU64,
    tell_until_ms: AtomicU64,
    away: Away,
    /// Counts that were touched since the last tick.
    queue: Mutex<Vec<Arc<Count>>>,
    /// The report that did not arrive yet. One tick at a time.
    unsent: tokio::sync::Mutex<Option<Batch>>,
}

/// A count that is running low.
struct Low {
    count: Arc<Count>,
    ask: Ask,
    mark: i64,
}

struct Batch {
    reports: Vec<Report>,
    of: Vec<(Arc<Count>, i64)>,
}

impl Fleet {
    pub(super) fn new(exchange: Arc<dyn Exchange>) -> Self {
        Self {
            epoch: AtomicU64::new(exchange.epoch()),
            exchange,
            tell_until_ms: AtomicU64::new(0),
            away: Away::default(),
            queue: Mutex::default(),
            unsent: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether instances are still telling an exchange that lost its memory what they know.
    fn is_telling(&self, now_ms: u64) -> bool {
        let wait = self.tell_until_ms.load(Ordering::Acquire).saturating_sub(now_ms);
        wait > 0 && wait <= TELL_FIRST_MS
    }

    pub(super) fn reach(&self, now_ms: u64) -> Reach {
        if self.exchange.available() && self.exchange.epoch() == self.epoch() && !self.is_telling(now_ms) {
            let settling = self.away.settling(now_ms).map(|since_ms| self.named(since_ms));
            return settling.map_or(Reach::Up, Reach::Settling);
        }
        Reach::No(self.outage(now_ms))
    }

    pub(super) fn outage(&self, now_ms: u64) -> Absence {
        // Whoever never had anything from it knows of no others, and nothing has to settle.
        let known = self.epoch() != NO_EPOCH;
        self.named(if known { self.away.note(now_ms) } else { 0 })
    }

    fn named(&self, since_ms: u64) -> Absence {
        Absence {
            since_ms,
            instances: self.exchange.instances(),
        }
    }
}

impl Bank {
    /// The next tick looks at it.
    pub(super) fn touch(&self, count: &Arc<Count>) {
        if let Some(fleet) = &self.fleet
            && !count.queued.swap(true, Ordering::AcqRel)
        {
            fleet
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Arc::clone(count));
        }
    }

    /// To be called every 200 ms or so: tells the exchange what was used, takes room ahead for what is busy, gives back what is
    /// idle, forgets what says nothing. Returns at once if another call is still under way. Does not fail: what did not
    /// arrive is sent again by the next.
    pub async fn tick(&self, now_ms: u64) {
        let swept = self.swept_ms.load(Ordering::Relaxed);
        if now_ms.abs_diff(swept) >= SWEEP_MS {
            self.swept_ms.store(now_ms, Ordering::Relaxed);
            self.drop_counts(false, |_, state| state.is_idle(now_ms));
        }
        if let Some(fleet) = &self.fleet
            && let Ok(mut unsent) = fleet.unsent.try_lock()
        {
            self.exchange(fleet, &mut unsent, now_ms, false).await;
        }
    }

    /// At the end: gives everything back that no request holds. Leases settled later are told by the next call.
    pub async fn close(&self, now_ms: u64) {
        if let Some(fleet) = &self.fleet {
            let mut unsent = fleet.unsent.lock().await;
            self.exchange(fleet, &mut unsent, now_ms, true).await;
        }
    }

    async fn exchange(&self, fleet: &Fleet, unsent: &mut Option<Batch>, now_ms: u64, closing: bool) {
        self.heed(fleet, unsent, now_ms);
        // Noticed also where no request comes.
        let reach = fleet.reach(now_ms);
        if !fleet.exchange.available() {
            return;
        }
        if unsent.is_some() && !self.send(fleet, unsent, now_ms).await {
            return;
        }
        let queue = std::mem::take(&mut *fleet.queue.lock().unwrap_or_else(PoisonError::into_inner));
        let (telling, asks_too) = (fleet.is_telling(now_ms), reach == Reach::Up && !closing);
        let mut low: Vec<Low> = Vec::new();
        let mut batch = Batch::new();
        let mut queue = queue.into_iter();
        for count in queue.by_ref() {
            count.queued.store(false, Ordering::Release);
            let (ask, again) = batch.look(&count, now_ms, (closing, telling, asks_too));
            if again {
                self.touch(&count);
            }
            low.extend(ask.map(|(ask, mark)| Low { count, ask, mark }));
            if batch.reports.len() >= TOGETHER {
                *unsent = Some(std::mem::replace(&mut batch, Batch::new()));
                if !self.send(fleet, unsent, now_ms).await {
                    break;
                }
            }
        }
        // What was not looked at is so in the next tick.
        fleet.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(queue);
        if unsent.is_none() && !batch.reports.is_empty() {
            *unsent = Some(batch);
            self.send(fleet, unsent, now_ms).await;
        }
        if unsent.is_none() {
            self.fetch(fleet, &low, now_ms).await;
        }
    }

    /// Whether the report arrived; it is forgotten then.
    async fn send(&self, fleet: &Fleet, unsent: &mut Option<Batch>, now_ms: u64) -> bool {
        let Some(batch) = unsent.as_ref() else {
            return true;
        };
        let Ok(used) = fleet.exchange.report(&batch.reports).await else {
            return false;
        };
        if fleet.exchange.epoch() != fleet.epoch() {
            // Perhaps it arrived before the memory was lost, perhaps after: it is told again as owed.
            self.heed(fleet, unsent, now_ms);
            return true;
        }
        for ((count, mark), used) in batch
            .of
            .iter()
            .zip(used.into_iter().map(Some).chain(std::iter::repeat(None)))
        {
            let mut state = count.lock();
            let (clock_ms, returns) = (state.clock_ms, state.rule.measure == Measure::Concurrent);
            if let Some(book) = state.book_of(*mark) {
                book.told(used.unwrap_or(book.fleet), clock_ms, returns);
            }
            state.past.retain(|book| !book.done());
            state.alert(count, &self.alerts);
        }
        *unsent = None;
        true
    }

    /// Notices that the exchange lost its memory: everything known is told again.
    fn heed(&self, fleet: &Fleet, unsent: &mut Option<Batch>, now_ms: u64) {
        let epoch = fleet.exchange.epoch();
        if epoch == fleet.epoch() {
            return;
        }
        *unsent = None;
        // An instance that has just started has had nothing from the exchange: there is nothing of it that others could lack, and
        // an exchange that is new itself makes everybody wait.
        if fleet.epoch() != NO_EPOCH {
            fleet
                .tell_until_ms
                .store(now_ms.saturating_add(TELL_FIRST_MS), Ordering::Release);
        }
        fleet.epoch.store(epoch, Ordering::Release);
        for count in self.all() {
            count.lock().heed(epoch);
            self.touch(&count);
        }
        // Also of those that nobody can find any more.
        for count in fleet.queue.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            count.lock().heed(epoch);
        }
    }

    /// Takes room ahead.
    async fn fetch(&self, fleet: &Fleet, low: &[Low], now_ms: u64) {
        for some in low.chunks(TOGETHER) {
            let asks: Vec<Ask> = some.iter().map(|low| low.ask.clone()).collect();
            let epoch = fleet.epoch();
            let Ok(Taken::Granted(given)) = fleet.exchange.take(&asks).await else {
                return;
            };
            let told_since = fleet.exchange.epoch();
            for (low, given) in some.iter().zip(given) {
                let mut state = low.count.lock();
                state.advance(now_ms);
                state.given(low.mark, given, 0, (epoch, told_since));
                drop(state);
                self.touch(&low.count);
            }
        }
    }
}

impl Batch {
    fn new() -> Self {
        Self {
            reports: Vec::new(),
            of: Vec::new(),
        }
    }

    /// Takes down what there is to tell of a count. Room it should have ahead, and whether the next tick has to look again.
    fn look(
        &mut self,
        count: &Arc<Count>,
        now_ms: u64,
        (closing, telling, asks): (bool, bool, bool),
    ) -> (Option<(Ask, i64)>, bool) {
        let mut state = count.lock();
        state.advance(now_ms);
        state.review(closing);
        for (mark, report) in state.reports(count, telling) {
            self.reports.push(report);
            self.of.push((Arc::clone(count), mark));
        }
        let ask = if asks { state.ahead(count) } else { None };
        (ask, state.is_busy())
    }
}

impl Short {
    /// Ask the exchange for what is missing. Runs as a task of its own: if the caller goes away meanwhile, what was taken
    /// returns as from any dropped lease.
    ///
    /// # Errors
    /// The first rule that has no room.
    pub async fn ask(self) -> Result<Lease, Refusal> {
        let Some((count, need)) = self.0.holds.first().map(|hold| (Arc::clone(&hold.count), hold.need)) else {
            return Ok(self.0);
        };
        match tokio::spawn(self.0.ask()).await {
            Ok(answer) => answer,
            // The process is ending.
            Err(_) => Err(count.lock().refusal(&count, need, None, true)),
        }
    }
}

impl Lease {
    async fn ask(mut self) -> Result<Self, Refusal> {
        let bank = Arc::clone(&self.bank);
        let Some(fleet) = &bank.fleet else {
            return Ok(self);
        };
        let reach = fleet.reach(self.now_ms);
        let mut asks = Vec::new();
        let mut of = Vec::new();
        for (at, hold) in self.holds.iter().enumerate().filter(|(_, hold)| hold.held < hold.need) {
            let need = (hold.need - hold.held, reach == Reach::Up);
            asks.extend(hold.count.lock().ask(&hold.count, hold.mark, need));
            of.push(at);
        }
        let epoch = fleet.epoch();
        let answer = fleet.exchange.take(&asks).await;
        let told_since = fleet.exchange.epoch();
        match answer {
            Ok(Taken::Granted(given)) => {
                for (at, given) in of.iter().zip(given) {
                    if let Some(hold) = self.holds.get_mut(*at) {
                        let mut state = hold.count.lock();
                        state.advance(self.now_ms);
                        hold.held += state.given(hold.mark, given, hold.need - hold.held, (epoch, told_since));
                    }
                }
            }
            Ok(Taken::Refused {
                index,
                remaining,
                after,
            }) => {
                if let Some(hold) = of.get(index).and_then(|at| self.holds.get(*at)) {
                    let mut state = hold.count.lock();
                    state.flow.dry = (state.clock_ms.saturating_add(DRY_MS), remaining);
                    // What is held of it for this request returns with the lease.
                    let left = remaining.saturating_add(hold.held);
                    return Err(state.refusal(&hold.count, hold.need, Some((left, after)), false));
                }
            }
            Err(_) => {}
        }
        self.cover(fleet)?;
        for hold in &self.holds {
            let state = hold.count.lock();
            self.standings.note(state.rule.measure, || state.standing());
        }
        Ok(self)
    }
}

impl State {
    fn shape(&self, book: &Book) -> Shape {
        match self.rule.window {
            Window::Now => Shape::Concurrent,
            Window::Sliding(stretch) => Shape::Sliding(stretch),
            Window::Calendar { .. } => Shape::Window {
                start: book.start,
                end: book.end,
            },
        }
    }

    /// A question for room in the window of a mark.
    fn ask(&mut self, count: &Count, mark: i64, (need, ahead): (u64, bool)) -> Option<Ask> {
        let ahead = if ahead && mark == self.mark() {
            self.wanted(1_000)
        } else {
            0
        };
        let book = self.book_of(mark)?.clone();
        Some(Ask {
            count: Arc::clone(&count.id),
            shape: self.shape(&book),
            limit: self.rule.amount,
            need,
            ahead,
            known: self.known(&book),
        })
    }

    /// A question for room ahead of need, if it is running low.
    fn ahead(&mut self, count: &Count) -> Option<(Ask, i64)> {
        let (free, wanted) = (self.book.free(), self.wanted(AHEAD_MS));
        if self.rule.soft || self.clock_ms < self.flow.dry.0 || free >= wanted / 2 {
            return None;
        }
        let mark = self.mark();
        let ask = self.ask(count, mark, (0, false))?;
        let ahead = wanted - free;
        Some((Ask { ahead, ..ask }, mark))
    }

    /// What the pace of the moment takes in this time, or in what is left of a slot.
    fn wanted(&self, in_ms: u64) -> u64 {
        self.flow.pace.saturating_mul(self.usable_ms(in_ms)) / 1_000
    }

    /// Room that the exchange gave; how much of what was needed is held now. Room from a memory that was lost in between may
    /// be room that others have too: it is returned.
    fn given(&mut self, mark: i64, given: Given, needed: u64, epochs: (u64, u64)) -> u64 {
        self.heed(epochs.1);
        let clock_ms = self.clock_ms;
        let stale = self.slides() && u64::try_from(mark).unwrap_or_default() != self.flow.slot;
        let Some(book) = self.book_of(mark) else {
            return 0;
        };
        if epochs.0 != epochs.1 {
            book.given_in_vain(given.amount);
            return 0;
        }
        book.given(given, clock_ms);
        let held = needed.min(given.amount);
        self.flow.drawn = self.flow.drawn.saturating_add(held);
        self.flow.used_ms = clock_ms;
        self.granted_alone(held);
        self.hold(Some(mark), held);
        if stale {
            self.book.expire();
        }
        held
    }

    /// The exchange lost its memory.
    fn heed(&mut self, epoch: u64) {
        if self.flow.epoch == epoch {
            return;
        }
        self.flow.epoch = epoch;
        self.flow.retell = true;
        self.flow.dry = (0, 0);
        // What was under way as owed is owed again.
        let again = self.book.telling.map_or(0, |told| told.owed);
        self.forgo_alone(again);
        let returns = self.rule.measure == Measure::Concurrent;
        self.book.forgotten(returns);
        for book in &mut self.past {
            book.forgotten(returns);
        }
    }

    /// How fast it is used, and what of it is not.
    fn review(&mut self, closing: bool) {
        let passed = self.clock_ms.saturating_sub(self.flow.paced_ms);
        if passed > 0 {
            let now = self.flow.drawn.saturating_mul(1_000) / passed.max(200);
            // Up at once, down by halves.
            self.flow.pace = now.max(self.flow.pace / 2);
            (self.flow.drawn, self.flow.paced_ms) = (0, self.clock_ms);
        }
        let idle = self.clock_ms.saturating_sub(self.flow.used_ms) >= IDLE_MS;
        let scarce = self.rule.amount.saturating_sub(self.book.fleet) < self.rule.amount / 10;
        if idle || closing {
            self.book.give_back(u64::MAX);
        } else if scarce {
            let keep = self.wanted(1_000);
            self.book.give_back(self.book.free().saturating_sub(keep));
        }
    }

    /// What is to be told, by window.
    fn reports(&mut self, count: &Count, telling: bool) -> Vec<(i64, Report)> {
        let anyway = std::mem::take(&mut self.flow.retell);
        let known_first = telling && self.rule.measure != Measure::Concurrent;
        let mut reports = Vec::new();
        let starts: Vec<i64> = self
            .past
            .iter()
            .map(|book| book.start)
            .chain([self.book.start])
            .collect();
        for start in starts {
            let Some(book) = self.book_of(start) else { continue };
            let Some(told) = book.tell(anyway, known_first) else {
                continue;
            };
            let book = book.clone();
            self.granted_alone(told.owed);
            reports.push((
                start,
                Report {
                    count: Arc::clone(&count.id),
                    shape: self.shape(&book),
                    limit: self.rule.amount,
                    spent: told.spent,
                    back: told.back,
                    beyond: told.owed,
                    known: self.known(&book),
                },
            ));
        }
        reports
    }

    /// Whether the next tick has something to do with it.
    fn is_busy(&self) -> bool {
        let told = self.book.telling.is_none() && self.book.back == 0 && self.book.owed == 0 && self.book.spent == 0;
        !told || self.flow.pace > 0 || self.book.out > 0 || !self.past.is_empty()
    }
}
