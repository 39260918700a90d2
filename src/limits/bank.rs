//! All counts of an instance, and taking room in several of them at once.
//!
//! Outlives reloads: rules come and go, counts stay under their ids. Not the account of one count (`count`, `book`) nor the
//! exchange with other instances (`fleet`). The idea: the counts of a request are locked together, in one order for all
//! requests, looked at, and taken from only if all have room; so a refused request was never seen by another.

use super::alerts::{Alert, Alerts};
use super::count::{Count, State};
use super::demand::Demand;
use super::exchange::Exchange;
use super::fleet::Fleet;
use super::lease::{Hold, Lease, Refusal};
use super::outage::Reach;
use super::rule::Rule;
use crate::hex::hex;
use dashmap::DashMap;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// Values that one rule is counted apart for, at most; more share one count, which has the same limit.
pub const VALUES: usize = 10_000;
/// Longest value kept as it is; of a longer one, its beginning and a hash.
const LONGEST_VALUE: usize = 128;
/// What values beyond [`VALUES`] are counted as.
const OTHERS: &str = "(others)";
/// How long a refusal of the exchange stands, so that a flood of refused requests does not become one of questions.
pub(super) const DRY_MS: u64 = 100;

/// See the module.
pub struct Bank {
    counts: DashMap<Arc<str>, Arc<Count>>,
    series: DashMap<Arc<str>, Arc<Series>>,
    /// Used before the restart, of counts that are not there yet: window and figure.
    restored: Mutex<HashMap<Arc<str>, (i64, u64)>>,
    serial: AtomicU64,
    pub(super) alerts: Alerts,
    pub(super) fleet: Option<Fleet>,
    pub(super) swept_ms: AtomicU64,
}

impl std::fmt::Debug for Bank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bank").finish_non_exhaustive()
    }
}

/// The counts of one rule that counts apart.
#[derive(Debug)]
struct Series {
    rule: Mutex<Arc<Rule>>,
    counts: RwLock<HashMap<Arc<str>, Arc<Count>>>,
}

/// A rule and its counts, found once.
#[derive(Debug)]
pub struct Bound {
    rule: Arc<Rule>,
    handle: OnceLock<Handle>,
}

#[derive(Debug)]
enum Handle {
    One(Arc<Count>),
    Each(Arc<Series>),
}

/// A count that is looked at: itself, what is taken of it and in which window, and where the lease says so.
type Locked<'h> = (
    MutexGuard<'h, State>,
    &'h Arc<Count>,
    (u64, i64),
    (&'h mut u64, &'h mut i64),
);

/// What came of trying.
#[derive(Debug)]
pub enum Attempt {
    /// Reserved.
    Granted(Lease),
    /// No room.
    Refused(Refusal),
    /// Room has to be asked for at the exchange.
    Short(Short),
}

/// A reservation that lacks room which others may have.
#[derive(Debug)]
pub struct Short(pub(super) Lease);

impl Bound {
    /// The rule.
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    fn count(&self, bank: &Bank, demand: &Demand<'_>, now_ms: u64) -> Arc<Count> {
        match self.handle.get_or_init(|| bank.handle(&self.rule, now_ms)) {
            Handle::One(count) => Arc::clone(count),
            Handle::Each(series) => bank.one_of(series, self.rule.value(demand).unwrap_or_default(), now_ms),
        }
    }
}

impl Bank {
    /// Without an exchange, counts are this instance's own.
    pub fn new(exchange: Option<Arc<dyn Exchange>>) -> Arc<Self> {
        Arc::new(Self {
            counts: DashMap::new(),
            series: DashMap::new(),
            restored: Mutex::default(),
            serial: AtomicU64::new(0),
            alerts: Alerts::new(),
            fleet: exchange.map(Fleet::new),
            swept_ms: AtomicU64::new(0),
        })
    }

    /// Makes a rule usable. Costs nothing until a request meets it; the count of the same id goes on.
    pub fn bind(&self, rule: Arc<Rule>) -> Arc<Bound> {
        Arc::new(Bound {
            rule,
            handle: OnceLock::new(),
        })
    }

    /// Reserve in all that apply, or in none; asks the exchange where it must. Needs a tokio runtime only then. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// The first rule that has no room.
    pub async fn reserve<'r>(
        self: &Arc<Self>,
        rules: impl IntoIterator<Item = &'r Arc<Bound>>,
        demand: &Demand<'_>,
        now_ms: u64,
    ) -> Result<Lease, Refusal> {
        match self.try_reserve(rules, demand, now_ms) {
            Attempt::Granted(lease) => Ok(lease),
            Attempt::Refused(refusal) => Err(refusal),
            Attempt::Short(short) => short.ask().await,
        }
    }

    /// Reserve what can be without waiting. Never [`Attempt::Short`] without an exchange.
    pub fn try_reserve<'r>(
        self: &Arc<Self>,
        rules: impl IntoIterator<Item = &'r Arc<Bound>>,
        demand: &Demand<'_>,
        now_ms: u64,
    ) -> Attempt {
        let mut lease = Lease::new(self, now_ms);
        // More only where there are many limits.
        lease.holds.reserve(8);
        for (order, bound) in rules.into_iter().enumerate() {
            if bound.rule.applies(demand) {
                lease.holds.push(Hold {
                    count: bound.count(self, demand, now_ms),
                    order,
                    need: if bound.rule.soft || demand.overruled.contains(&bound.rule.id) {
                        0
                    } else {
                        bound.rule.needs(demand)
                    },
                    held: 0,
                    mark: 0,
                });
            }
        }
        if lease.holds.is_empty() {
            return Attempt::Granted(lease);
        }
        lease.holds.sort_unstable_by_key(|hold| hold.count.serial);
        // A rule given twice counts once.
        lease.holds.dedup_by_key(|hold| hold.count.serial);
        match self.decide(&mut lease, now_ms) {
            Ok(true) => Attempt::Granted(lease),
            Ok(false) => Attempt::Short(Short(lease)),
            Err(refusal) => {
                // Nothing was taken, nothing is to return.
                lease.holds.clear();
                Attempt::Refused(refusal)
            }
        }
    }

    /// Takes everything, or, where the exchange must be asked, what is at hand (`false`), or nothing.
    fn decide(&self, lease: &mut Lease, now_ms: u64) -> Result<bool, Refusal> {
        let reach = self.fleet.as_ref().map(|fleet| fleet.reach(now_ms));
        let Lease { standings, holds, .. } = lease;
        let mut locked = SmallVec::<[Locked<'_>; 8]>::new();
        let mut refused: Option<(usize, Refusal)> = None;
        let mut short = false;
        for Hold {
            count,
            order,
            need,
            held,
            mark,
        } in holds
        {
            let (count, need) = (&*count, *need);
            let mut state = count.lock();
            state.advance(now_ms);
            let missing = need.saturating_sub(state.room());
            if missing > 0 {
                short = true;
                let refusal = state.refuses(count, need, missing, reach);
                if let Some(refusal) = refusal.filter(|_| refused.as_ref().is_none_or(|(first, _)| *order < *first)) {
                    refused = Some((*order, refusal));
                }
            }
            let at = (need, state.mark());
            locked.push((state, count, at, (held, mark)));
        }
        if let Some((_, refusal)) = refused {
            return Err(refusal);
        }
        let asks = short && matches!(reach, Some(Reach::Up | Reach::Settling(_)));
        for (state, count, (need, at), (held, mark)) in &mut locked {
            let missing = need.saturating_sub(state.room());
            if missing > 0 && !asks {
                state.book.grant_self(missing);
            } else {
                *need -= missing;
            }
            state.take(*need);
            (**held, **mark) = (*need, *at);
            if !asks {
                standings.note(state.rule.measure, || state.standing());
            }
            self.touch(count);
        }
        Ok(!asks)
    }

    fn handle(&self, rule: &Arc<Rule>, now_ms: u64) -> Handle {
        if rule.each.is_some() {
            let make = || {
                Arc::new(Series {
                    rule: Mutex::new(Arc::clone(rule)),
                    counts: RwLock::default(),
                })
            };
            let series = Arc::clone(&self.series.entry(Arc::clone(&rule.id)).or_insert_with(make));
            *series.rule.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(rule);
            for count in series.counts.read().unwrap_or_else(PoisonError::into_inner).values() {
                count.lock().adopt(rule);
            }
            return Handle::Each(series);
        }
        let make = || self.make(rule, Arc::clone(&rule.id), None, now_ms);
        let count = Arc::clone(&self.counts.entry(Arc::clone(&rule.id)).or_insert_with(make));
        count.lock().adopt(rule);
        Handle::One(count)
    }

    fn make(&self, rule: &Arc<Rule>, id: Arc<str>, value: Option<Arc<str>>, now_ms: u64) -> Arc<Count> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let count = Count::new(
            Arc::clone(rule),
            Arc::clone(&id),
            value,
            serial,
            self.fleet.is_some(),
            now_ms,
        );
        let before = self.restored.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some((window, used)) = before {
            let mut state = count.lock();
            if state.book.start == window {
                state.restore(used);
            }
        }
        if let Some(fleet) = &self.fleet {
            count.lock().flow.epoch = fleet.epoch();
        }
        Arc::new(count)
    }

    fn one_of(&self, series: &Series, value: &str, now_ms: u64) -> Arc<Count> {
        let shortened;
        let value = if value.len() > LONGEST_VALUE {
            shortened = shorten(value);
            &*shortened
        } else {
            value
        };
        if let Some(count) = series.counts.read().unwrap_or_else(PoisonError::into_inner).get(value) {
            return Arc::clone(count);
        }
        let mut counts = series.counts.write().unwrap_or_else(PoisonError::into_inner);
        let value = if counts.len() < VALUES || counts.contains_key(value) {
            value
        } else {
            OTHERS
        };
        if let Some(count) = counts.get(value) {
            return Arc::clone(count);
        }
        let rule = Arc::clone(&series.rule.lock().unwrap_or_else(PoisonError::into_inner));
        let value: Arc<str> = value.into();
        let id = format!("{}#{value}", rule.id).into();
        let count = self.make(&rule, id, Some(Arc::clone(&value)), now_ms);
        counts.insert(value, Arc::clone(&count));
        count
    }

    /// What was raised since it was last asked.
    pub fn alerts(&self) -> Vec<Alert> {
        self.alerts.drain()
    }

    /// What counts had used in their windows before a restart: id, start of the window (as in [`super::Charged`]), figure. To be
    /// called before the first request; figures of other windows than the current one are forgotten when the count is used.
    pub fn restore(&self, figures: impl IntoIterator<Item = (Arc<str>, i64, u64)>) {
        for (id, window, used) in figures {
            let count = self.counts.get(&id).map(|entry| Arc::clone(&entry));
            if let Some(count) = count {
                let mut state = count.lock();
                if state.book.start == window {
                    state.restore(used);
                }
                continue;
            }
            let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = restored.get(&id).is_none_or(|(known, _)| *known <= window);
            if newest {
                restored.insert(id, (window, used));
            }
        }
    }

    /// Make the count of a rule that was in use before a restart and is not yet again, so that it is shown.
    pub fn recall(&self, bound: &Bound, now_ms: u64) {
        let rule = &bound.rule;
        let known = || {
            self.restored
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains_key(&rule.id)
        };
        if rule.each.is_none() && known() {
            bound.handle.get_or_init(|| self.handle(rule, now_ms));
        }
    }

    /// Every count there is.
    pub(super) fn all(&self) -> Vec<Arc<Count>> {
        let mut all: Vec<_> = self.counts.iter().map(|entry| Arc::clone(&entry)).collect();
        for series in &self.series {
            all.extend(
                series
                    .counts
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .values()
                    .cloned(),
            );
        }
        all
    }

    /// Forget counts for which this holds, unless somebody uses them (`force`: also then).
    pub(super) fn drop_counts(&self, force: bool, gone: impl Fn(&Count, &mut State) -> bool) {
        let keep = |count: &Arc<Count>| (!force && Arc::strong_count(count) > 1) || !gone(count, &mut count.lock());
        self.counts.retain(|_, count| keep(count));
        for series in &self.series {
            let mut counts = series.counts.write().unwrap_or_else(PoisonError::into_inner);
            counts.retain(|_, count| keep(count));
            if counts.capacity() > 4 * counts.len() + 64 {
                counts.shrink_to_fit();
            }
        }
        self.series.retain(|_, series| {
            Arc::strong_count(series) > 1 || !series.counts.read().unwrap_or_else(PoisonError::into_inner).is_empty()
        });
    }
}

/// Its beginning and a hash, so that long values that begin alike are still apart.
fn shorten(value: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, value.as_bytes());
    let begins = value
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|at| *at <= 64)
        .last()
        .unwrap_or_default();
    let mut short = value.get(..begins).unwrap_or_default().to_owned();
    short.push_str(&hex(digest.as_ref().get(..16).unwrap_or_default()));
    short
}

impl State {
    /// Why there is no room for what is missing; none: there may be, or the rule lets it pass.
    fn refuses(&mut self, count: &Count, need: u64, missing: u64, reach: Option<Reach>) -> Option<Refusal> {
        match reach {
            _ if need > self.rule.amount => {}
            None => {}
            Some(Reach::Settling(outage)) if !self.asks_settling(need, missing, outage) => {
                return Some(self.refusal(count, need, None, true));
            }
            Some(Reach::Up | Reach::Settling(_)) => {
                let (until, left) = self.flow.dry;
                if self.clock_ms >= until || missing <= left {
                    return None;
                }
            }
            Some(Reach::No(outage)) => {
                if self.passes_outage(need, missing, outage) {
                    return None;
                }
                return Some(self.refusal(count, need, None, true));
            }
        }
        Some(self.refusal(count, need, None, false))
    }

    /// A refusal by this count, with what the exchange said.
    pub(super) fn refusal(
        &self,
        count: &Count,
        asked: u64,
        heard: Option<(u64, Option<std::time::Duration>)>,
        outage: bool,
    ) -> Refusal {
        let (remaining, after) = match heard {
            Some((left, after)) => (
                left.saturating_add(self.room()),
                after.or_else(|| self.until_room(asked)),
            ),
            None => (self.standing().remaining, self.until_room(asked)),
        };
        Refusal {
            rule: Arc::clone(&self.rule),
            value: count.value.clone(),
            asked,
            remaining,
            retry_after: after.filter(|_| asked <= self.rule.amount),
            reset: self.until_reset(),
            outage,
        }
    }
}
