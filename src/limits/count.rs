//! One count: a rule, or one value of what it is counted apart for, and what is used of it now.
//!
//! Not who counts (`bank`) and not when the exchange is told (`fleet`). All of it is behind one lock, held for a few
//! nanoseconds and never across a wait.

use super::alerts::{Alert, AlertKind, Alerts};
use super::book::Book;
use super::calendar;
use super::lease::Standing;
use super::outage::Alone;
use super::rule::{Measure, Rule, Window};
use super::slots::Slots;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A clock that goes back by less than this is taken to stand still.
const BACKWARDS_MS: u64 = 60_000;
/// Bit of [`State::raised`] for the forecast; those below are for percentages.
const FORECAST: u32 = 63;
/// No moment is later, so that arithmetic on moments cannot overflow.
const LATEST_MS: u64 = 1 << 50;

/// A count.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) id: Arc<str>,
    /// What it is counted apart for.
    pub(super) value: Option<Arc<str>>,
    /// Counts are locked in this order.
    pub(super) serial: u64,
    /// It is in the queue of what the next tick looks at.
    pub(super) queued: AtomicBool,
    state: Mutex<State>,
}

/// What is used of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) rule: Arc<Rule>,
    /// Shared through an exchange.
    pub(super) shared: bool,
    pub(super) clock_ms: u64,
    pub(super) book: Book,
    /// Windows that are over and in which requests are still under way or figures not reported.
    pub(super) past: Vec<Book>,
    slots: Option<Box<Slots>>,
    raised: u64,
    pub(super) flow: Flow,
}

/// How fast it is used, in a fleet.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Slot in which free room was taken: in a later one it may no longer be used.
    pub(super) slot: u64,
    /// Taken by requests and not given back, since `paced_ms`.
    pub(super) drawn: u64,
    pub(super) paced_ms: u64,
    /// Units per second.
    pub(super) pace: u64,
    pub(super) used_ms: u64,
    /// Until when the exchange need not be asked again, and what was left then.
    pub(super) dry: (u64, u64),
    /// Of the exchange's memory that `out` is in.
    pub(super) epoch: u64,
    /// Tell what is known, though nothing changed.
    pub(super) retell: bool,
    /// What was granted in the outage that is or was last.
    pub(super) alone: Option<Alone>,
}

impl Count {
    pub(super) fn new(
        rule: Arc<Rule>,
        id: Arc<str>,
        value: Option<Arc<str>>,
        serial: u64,
        shared: bool,
        now_ms: u64,
    ) -> Self {
        let mut state = State {
            shared,
            clock_ms: now_ms.min(LATEST_MS),
            book: Book::default(),
            past: Vec::new(),
            slots: None,
            raised: 0,
            flow: Flow {
                paced_ms: now_ms.min(LATEST_MS),
                ..Flow::default()
            },
            rule,
        };
        state.fit();
        Self {
            id,
            value,
            serial,
            queued: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The rule as it is from now on.
    pub(super) fn adopt(&mut self, rule: &Arc<Rule>) {
        if !Arc::ptr_eq(&self.rule, rule) {
            if self.rule.alerts != rule.alerts {
                self.raised = 0;
            }
            self.rule = Arc::clone(rule);
            self.fit();
        }
    }

    /// What the rule's window needs.
    fn fit(&mut self) {
        let stretch = self.rule.stretch();
        if let Some(stretch) = stretch.filter(|stretch| !self.slots.as_ref().is_some_and(|slots| slots.keeps(*stretch)))
        {
            self.slots = Some(Box::new(Slots::new(stretch, self.clock_ms)));
        }
        (self.book.start, self.book.end) = match self.rule.window {
            Window::Calendar { period, ref zone } => calendar::window(period, zone, self.now_s()),
            _ => (0, i64::MAX),
        };
    }

    fn now_s(&self) -> i64 {
        i64::try_from(self.clock_ms / 1000).unwrap_or(i64::MAX)
    }

    /// Brings it to the moment: windows that are over are closed, slots that no longer count let go.
    pub(super) fn advance(&mut self, now_ms: u64) {
        let now_ms = now_ms.min(LATEST_MS);
        if now_ms > self.clock_ms || now_ms + BACKWARDS_MS < self.clock_ms {
            self.clock_ms = now_ms;
        }
        if let Some(slots) = &mut self.slots {
            let slot = slots.advance(self.clock_ms);
            if self.shared && slot != self.flow.slot {
                // The exchange counts room from when it was taken; used in a later slot it would be counted for too short.
                self.book.expire();
                self.flow.slot = slot;
            }
        } else if self.now_s() >= self.book.end || self.now_s() < self.book.start {
            self.turn();
        }
    }

    /// The next window.
    fn turn(&mut self) {
        let Window::Calendar { period, ref zone } = self.rule.window else {
            return;
        };
        let (start, end) = calendar::window(period, zone, self.now_s());
        if start == self.book.start {
            return;
        }
        let known = self.past.iter().position(|book| book.start == start);
        let mut next = known.map(|at| self.past.swap_remove(at)).unwrap_or_default();
        (next.start, next.end) = (start, end);
        if start < self.book.start && !self.shared {
            // The clock was wrong before, or is now: what was used counts on.
            next.base = next.base.max(self.book.base);
        }
        let over = std::mem::replace(&mut self.book, next);
        if !over.done() {
            self.past.push(over);
        }
        self.raised = 0;
        (self.flow.dry, self.flow.alone) = ((0, 0), None);
    }

    /// Where a reservation of this moment belongs.
    pub(super) fn mark(&mut self) -> i64 {
        match &mut self.slots {
            Some(slots) => i64::try_from(slots.advance(self.clock_ms)).unwrap_or(i64::MAX),
            None => self.book.start,
        }
    }

    /// The account of a reservation.
    pub(super) fn book_of(&mut self, mark: i64) -> Option<&mut Book> {
        if self.slots.is_some() || self.book.start == mark {
            return Some(&mut self.book);
        }
        self.past.iter_mut().find(|book| book.start == mark)
    }

    /// What can be taken without asking anybody.
    pub(super) fn room(&self) -> u64 {
        match (&self.slots, self.shared) {
            (_, true) => self.book.free(),
            (Some(slots), false) => self.rule.amount.saturating_sub(slots.total()),
            (None, false) => self
                .rule
                .amount
                .saturating_sub(self.book.base)
                .saturating_sub(self.book.held),
        }
    }

    /// Reserve what there is room for.
    pub(super) fn take(&mut self, amount: u64) {
        self.hold(None, amount);
        self.flow.drawn = self.flow.drawn.saturating_add(amount);
        self.flow.used_ms = self.clock_ms;
    }

    /// Count it as held, in the window of a mark or in this one.
    pub(super) fn hold(&mut self, mark: Option<i64>, amount: u64) {
        let start = self.book.start;
        if let Some(book) = self.book_of(mark.unwrap_or(start)) {
            book.held = book.held.saturating_add(amount);
        }
        if let Some(slots) = &mut self.slots {
            slots.add(amount);
        }
    }

    /// A reservation ends, with so much used.
    pub(super) fn release(&mut self, mark: i64, held: u64, used: u64) {
        let (shared, concurrent) = (self.shared, self.rule.measure == Measure::Concurrent);
        let used = if concurrent { 0 } else { used };
        if let Some(slots) = &mut self.slots {
            slots.sub(u64::try_from(mark).unwrap_or_default(), held.saturating_sub(used));
            slots.add(used.saturating_sub(held));
        }
        self.flow.drawn = self.flow.drawn.saturating_sub(held.saturating_sub(used));
        let sliding = self.slots.is_some();
        if let Some(book) = self.book_of(mark) {
            if shared {
                book.settle(held, used);
            } else {
                book.held = book.held.saturating_sub(held);
                if !sliding {
                    book.base = book.base.saturating_add(used);
                }
            }
        }
        if sliding && shared && u64::try_from(mark).unwrap_or_default() != self.flow.slot {
            self.book.expire();
        }
        if !shared {
            self.past.retain(|book| !book.done());
        }
    }

    /// What is known to be used by all, for an exchange that has forgotten; 0 once it has answered, for figures get old and may
    /// be larger than what is true by then.
    pub(super) fn known(&self, book: &Book) -> u64 {
        let says = book.unconfirmed && self.rule.measure != Measure::Concurrent && self.is_recent();
        if says { book.fleet } else { 0 }
    }

    /// Used and reserved, as far as known here.
    pub(super) fn figures(&self) -> (u64, u64) {
        let held = self.book.held;
        match &self.slots {
            Some(slots) => {
                let all = if self.shared && self.is_recent() {
                    self.book.used()
                } else {
                    0
                };
                (slots.total().saturating_sub(held).max(all), held)
            }
            None if self.rule.measure == Measure::Concurrent => {
                let others = if self.shared { self.book.base } else { 0 };
                (others, held)
            }
            None => (self.book.used(), held),
        }
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        let (used, held) = self.figures();
        Standing {
            limit: self.rule.amount,
            remaining: self.rule.amount.saturating_sub(used).saturating_sub(held),
            reset: self.until_reset().unwrap_or_default(),
        }
    }

    /// Until all of it can be used again, if nothing more is.
    pub(super) fn until_reset(&self) -> Option<Duration> {
        match (&self.slots, self.book.end) {
            (Some(slots), _) => Some(slots.until_empty(self.clock_ms)),
            (None, i64::MAX) => None,
            (None, end) => {
                let end_ms = u64::try_from(end).unwrap_or_default().saturating_mul(1000);
                Some(Duration::from_millis(end_ms.saturating_sub(self.clock_ms)))
            }
        }
    }

    /// Until so much could be had; none: time alone does not bring it.
    pub(super) fn until_room(&self, amount: u64) -> Option<Duration> {
        match &self.slots {
            _ if amount > self.rule.amount => None,
            Some(slots) => slots.until_room(amount, self.rule.amount, self.clock_ms),
            None => self.until_reset(),
        }
    }

    /// Milliseconds in which room taken now may be used, at most `at_most`.
    pub(super) fn usable_ms(&self, at_most: u64) -> u64 {
        self.slots
            .as_ref()
            .map_or(at_most, |slots| slots.left_ms(self.clock_ms).min(at_most))
    }

    /// What its slots hold, if it slides.
    pub(super) fn slots_total(&self) -> Option<u64> {
        self.slots.as_ref().map(|slots| slots.total())
    }

    /// Whether it slides.
    pub(super) fn slides(&self) -> bool {
        self.slots.is_some()
    }

    /// What was used of this window before; what it would have alerted of has been alerted of.
    pub(super) fn restore(&mut self, used: u64) {
        self.book.base = self.book.base.max(used);
        self.book.fleet = self.book.fleet.max(used);
        self.book.unconfirmed = true;
        let (percents, _) = self.due();
        self.raised |= percents;
    }

    /// What the window comes to if it goes on as it went; none: too early to say, or it never ends.
    pub(super) fn forecast(&self) -> Option<u64> {
        let Book { start, end, .. } = self.book;
        if !matches!(self.rule.window, Window::Calendar { .. }) || end == i64::MAX {
            return None;
        }
        let gone = u128::try_from(self.now_s().checked_sub(start)?).ok()?;
        let length = u128::try_from(end.checked_sub(start)?).ok()?;
        if gone == 0 || gone * 20 < length {
            return None;
        }
        Some(u64::try_from(u128::from(self.book.used()) * length / gone).unwrap_or(u64::MAX))
    }

    /// Percentages reached, as bits; and the forecast if it is above the limit.
    fn due(&self) -> (u64, Option<u64>) {
        let used = u128::from(self.book.used());
        let reached = |percent: u32| used > 0 && used * 100 >= u128::from(self.rule.amount) * u128::from(percent);
        let all = self.rule.alerts.iter().take(FORECAST as usize).enumerate();
        let bits = all
            .filter(|(_, percent)| reached(**percent))
            .fold(0, |bits, (at, _)| bits | 1 << at);
        (bits, self.forecast().filter(|sum| *sum > self.rule.amount))
    }

    /// Raise what is due and was not raised in this window.
    pub(super) fn alert(&mut self, count: &Count, alerts: &Alerts) {
        if self.rule.alerts.is_empty() || !matches!(self.rule.window, Window::Calendar { .. }) {
            return;
        }
        let (bits, forecast) = self.due();
        let mut raise = |bit: u32, kind: AlertKind| {
            if self.raised & 1 << bit == 0 {
                let alert = Alert {
                    count: Arc::clone(&count.id),
                    rule: Arc::clone(&self.rule),
                    value: count.value.clone(),
                    kind,
                    limit: self.rule.amount,
                    used: self.book.used(),
                    start: self.book.start,
                    end: self.book.end,
                };
                // Where it did not fit into the queue, it is raised with the next request.
                self.raised |= u64::from(alerts.push(alert)) << bit;
            }
        };
        for (at, percent) in (0..FORECAST).zip(&self.rule.alerts) {
            if bits & 1 << at != 0 {
                raise(at, AlertKind::Percent(*percent));
            }
        }
        if let Some(sum) = forecast {
            raise(FORECAST, AlertKind::Forecast(sum));
        }
    }

    /// Nothing to remember: as if it had never been used.
    pub(super) fn is_idle(&mut self, now_ms: u64) -> bool {
        self.advance(now_ms);
        let nothing_slides = self.slots.as_ref().is_none_or(|slots| slots.total() == 0);
        let passing = self.rule.measure == Measure::Concurrent || (self.slots.is_some() && !self.is_recent());
        let told = !self.shared || (self.book.have == 0 && self.book.out == 0);
        nothing_slides && (self.book.base == 0 || passing) && told && self.past.is_empty() && self.book.done()
    }
}
