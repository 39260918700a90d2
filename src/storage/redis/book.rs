//! What this instance knows of every count: what is out with it according to Redis, what it has not reported yet, and the last
//! figure it saw.
//!
//! No input and output, no clock of its own. The one idea: the book holds only what Redis has acknowledged; everything in doubt
//! is settled against it when the next generation begins, so neither a lost command nor a lost answer leaks.

use super::count::Kind;
use crate::limits::Report;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a count that nobody asks about is remembered after its window.
const IDLE: Duration = Duration::from_secs(86_400);

/// One count.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// Used by all, as last seen.
    known: u64,
    /// When that was seen.
    seen: Instant,
    /// Number of the answer it was seen in.
    order: u64,
    /// The epoch in which Redis has been told what is here.
    told: u64,
    /// Out with this instance, by slot, oldest first (not sliding: slot 0).
    out: Vec<(u64, u64)>,
    /// Out, of slots that count no more: nothing is corrected for it, but what comes back belongs to it first.
    faded: u64,
    /// What Redis still has of `faded`.
    clear: Vec<(u64, u64)>,
}

/// Where a line of a report applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The sum of a window, or what is under way.
    Whole,
    /// A slot.
    Slot(u64),
    /// The slot of the moment.
    Now,
    /// Slots that count no more and that Redis keeps nothing of.
    Gone,
    /// A slot that counts no more.
    Faded(u64),
}

impl Field {
    /// As the scripts want it.
    pub(super) fn written(self) -> String {
        match self {
            Self::Whole => "u".to_owned(),
            Self::Slot(slot) | Self::Faded(slot) => slot.to_string(),
            Self::Now => "+".to_owned(),
            Self::Gone => "-".to_owned(),
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub name: Arc<str>,
    pub kind: Kind,
    /// As the caller says.
    pub known: u64,
    pub field: Field,
    pub spent: u64,
    pub back: u64,
    pub beyond: u64,
}

/// What Redis is told when a generation begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tell {
    pub name: Arc<str>,
    pub kind: Kind,
    pub known: u64,
    /// `u`, a slot, or `-` for none.
    pub field: String,
    pub out: u64,
    /// Redis has lost what it knew.
    pub lost: bool,
}

/// A report that was sent and is not answered.
#[derive(Debug)]
struct Doubt {
    number: u64,
    /// As it came; empty: our own.
    reports: Vec<Report>,
    lines: Vec<Line>,
}

/// The book.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The generation whose answers count; 0: none.
    pub generation: u64,
    /// The epoch of the last generation that got so far as to begin.
    epoch: u64,
    entries: HashMap<Arc<str>, Entry>,
    /// Counts with something to clear.
    waiting: HashSet<Arc<str>>,
    doubt: Option<Doubt>,
    /// The report that was executed although its answer never arrived, until it is repeated.
    executed: Option<Vec<Report>>,
    number: u64,
}

impl Book {
    /// A count is about to be asked for. Where Redis cannot be asked (`epoch` 0), what the caller knows is kept for it.
    pub(super) fn note(&mut self, name: &Arc<str>, kind: Kind, known: u64, epoch: u64, now: Instant) {
        let entry = self.entries.entry(Arc::clone(name)).or_insert_with(|| Entry {
            kind,
            known: 0,
            seen: now,
            order: 0,
            told: epoch,
            out: Vec::new(),
            faded: 0,
            clear: Vec::new(),
        });
        if epoch == 0 && matches!(kind, Kind::Window { .. }) && known > entry.known && entry.told == 0 {
            (entry.known, entry.seen) = (known, now);
        }
    }

    /// Room was given.
    pub(super) fn granted(&mut self, name: &str, slot: u64, amount: u64, used: u64, order: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.saw(used, order, now);
        if amount == 0 {
            return;
        }
        match entry.out.iter().position(|(at, _)| *at >= slot) {
            Some(index) => match entry.out.get_mut(index) {
                Some((at, out)) if *at == slot => *out = out.saturating_add(amount),
                _ => entry.out.insert(index, (slot, amount)),
            },
            None => entry.out.push((slot, amount)),
        }
        if entry.kind.stretch().is_some() {
            entry.fade(slot);
            if !entry.clear.is_empty() {
                self.waiting.insert(Arc::from(name));
            }
        }
    }

    /// Counts with something to clear, at most so many.
    pub(super) fn waiting(&self, most: usize) -> Vec<Arc<str>> {
        self.waiting.iter().take(most).cloned().collect()
    }

    /// Whether this very report was executed before: its caller repeats it because the answer never arrived. Asked once.
    pub(super) fn repeated(&mut self, reports: &[Report]) -> bool {
        self.executed.take().is_some_and(|before| {
            let same = |(a, b): (&Report, &Report)| {
                (&a.count, a.shape, a.spent, a.back, a.beyond) == (&b.count, b.shape, b.spent, b.back, b.beyond)
            };
            before.len() == reports.len() && before.iter().zip(reports).all(same)
        })
    }

    /// The figure last seen of a count.
    pub(super) fn known(&self, name: &str) -> u64 {
        self.entries.get(name).map_or(0, |entry| entry.known)
    }

    /// The next report: its number and lines, at least one for each name. In doubt until [`Self::reported`].
    pub(super) fn batch(&mut self, names: &[(Arc<str>, Kind)], reports: &[Report]) -> (u64, Vec<Line>) {
        let mut lines = Vec::with_capacity(names.len());
        for ((name, _), report) in names.iter().zip(reports) {
            if let Some(entry) = self.entries.get_mut(name) {
                let first = lines.len();
                entry.lines(name, report, &mut lines);
                if let Some(line) = lines.get_mut(first) {
                    line.known = report.known;
                }
            }
        }
        self.doubted(reports.to_vec(), lines)
    }

    /// A report of our own: slots that count no more.
    pub(super) fn clearing(&mut self, names: &[Arc<str>]) -> (u64, Vec<Line>) {
        let mut lines = Vec::with_capacity(names.len());
        for name in names {
            self.waiting.remove(name);
            let Some(entry) = self.entries.get_mut(name) else {
                continue;
            };
            for (slot, amount) in std::mem::take(&mut entry.clear) {
                lines.push(entry.line(name, Field::Faded(slot), amount, 0, 0));
            }
        }
        self.doubted(Vec::new(), lines)
    }

    fn doubted(&mut self, reports: Vec<Report>, lines: Vec<Line>) -> (u64, Vec<Line>) {
        self.number += 1;
        self.doubt = Some(Doubt {
            number: self.number,
            reports,
            lines: lines.clone(),
        });
        (self.number, lines)
    }

    /// The report in doubt was executed; figures by line, if they came back (none: that count cannot be used).
    pub(super) fn reported(&mut self, figures: &[Option<u64>], order: u64, now: Instant) -> Vec<Report> {
        let Some(Doubt { reports, lines, .. }) = self.doubt.take() else {
            return Vec::new();
        };
        for (index, line) in lines.iter().enumerate() {
            let Some(entry) = self.entries.get_mut(&line.name) else {
                continue;
            };
            entry.take_out(line);
            if let Some(Some(used)) = figures.get(index) {
                entry.saw(*used, order, now);
            }
        }
        reports
    }

    /// A generation begins: Redis says which report of ours it executed last. An epoch that differs means that it forgot; then
    /// nothing is out with us, what was is used for good as far as Redis can know (it is contained in what will be told), and
    /// whoever reported reports anew.
    pub(super) fn settle(&mut self, last: u64, epoch: u64, now: Instant) {
        let executed = self.doubt.as_ref().is_some_and(|doubt| last >= doubt.number);
        if executed && self.epoch == epoch {
            self.executed = Some(self.reported(&[], 0, now)).filter(|reports| !reports.is_empty());
        } else if let Some(doubt) = self.doubt.take() {
            for line in doubt.lines {
                if let (Field::Faded(slot), Some(entry)) = (line.field, self.entries.get_mut(&line.name)) {
                    entry.clear.push((slot, line.spent));
                    self.waiting.insert(line.name);
                }
            }
        }
        self.number = self.number.max(last);
        if self.epoch != epoch {
            self.executed = None;
        }
        let Self { entries, waiting, .. } = self;
        for (name, entry) in entries.iter_mut().filter(|(_, entry)| entry.told != epoch) {
            (entry.faded, entry.out, entry.clear) = (0, Vec::new(), Vec::new());
            waiting.remove(name);
        }
    }

    /// What Redis has to be told, given what it believes to be out with this instance (by `field@name`).
    pub(super) fn differences(&self, believed: &HashMap<String, u64>, epoch: u64, now: Instant) -> Vec<Tell> {
        let mut tells = Vec::new();
        let mut stated: HashSet<String> = HashSet::new();
        for (name, entry) in &self.entries {
            if entry.told != epoch {
                tells.extend(entry.lost(name, now));
                continue;
            }
            for (slot, out) in entry.out.iter().chain(&entry.clear) {
                let field = entry.field(*slot);
                let cell = format!("{field}@{name}");
                if believed.get(&cell).copied().unwrap_or(0) != *out {
                    tells.push(entry.tell(name, field, *out));
                }
                stated.insert(cell);
            }
        }
        // Room that was given without our hearing of it.
        for cell in believed.keys().filter(|cell| !stated.contains(*cell)) {
            let Some((field, name)) = cell.split_once('@') else {
                continue;
            };
            if let Some((name, entry)) = self.entries.get_key_value(name)
                && entry.told == epoch
            {
                tells.push(entry.tell(name, field.to_owned(), 0));
            }
        }
        tells
    }

    /// Redis has been told of these counts, in this epoch.
    pub(super) fn told(&mut self, tells: &[Tell], epoch: u64) {
        for tell in tells {
            if let Some(entry) = self.entries.get_mut(&tell.name) {
                (entry.told, entry.order) = (epoch, if entry.told == epoch { entry.order } else { 0 });
            }
        }
    }

    /// Nothing more has to be told: what had nothing to tell is of this epoch, too.
    pub(super) fn begin(&mut self, generation: u64, epoch: u64) {
        (self.generation, self.epoch) = (generation, epoch);
        for entry in self.entries.values_mut().filter(|entry| entry.told != epoch) {
            (entry.told, entry.order) = (epoch, 0);
        }
    }

    /// Forget counts that cannot matter any more. `now_unix` in seconds since 1970.
    pub(super) fn prune(&mut self, now: Instant, now_unix: i64) {
        let Self { entries, waiting, .. } = self;
        entries.retain(|name, entry| {
            if waiting.contains(name) {
                return true;
            }
            let silent = now.saturating_duration_since(entry.seen);
            let empty = entry.out.is_empty() && entry.faded == 0;
            match entry.kind {
                Kind::Sliding { .. } => {
                    let stretch = entry.kind.stretch().unwrap_or_default();
                    silent < stretch || (!empty && silent < stretch + IDLE)
                }
                Kind::Window { until } => until.is_none_or(|until| now_unix < until - if empty { 86_100 } else { 0 }),
                Kind::Concurrent => !empty || silent < Duration::from_secs(60),
            }
        });
    }

    /// Counts in it.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Entry {
    fn saw(&mut self, used: u64, order: u64, now: Instant) {
        if order > self.order {
            (self.known, self.order, self.seen) = (used, order, now);
        }
    }

    /// Slots before the stretch that ends in this one count no more.
    fn fade(&mut self, slot: u64) {
        let count = self
            .out
            .iter()
            .take_while(|(at, _)| *at + super::count::SLOTS < slot)
            .count();
        for (at, amount) in self.out.drain(..count) {
            self.faded = self.faded.saturating_add(amount);
            self.clear.push((at, amount));
        }
    }

    /// The lines of a report, at least one.
    ///
    /// Of a sliding count what comes back is taken from the oldest slots and what was spent stays in the newest: over any stretch
    /// at least as much is counted as was used in it, whichever grant it was.
    fn lines(&mut self, name: &Arc<str>, report: &Report, lines: &mut Vec<Line>) {
        let (mut spent, mut back) = (report.spent, report.back);
        if self.kind.stretch().is_none() {
            lines.push(self.line(name, Field::Whole, spent, back, report.beyond));
            return;
        }
        lines.push(self.line(name, Field::Now, 0, 0, report.beyond));
        let faded = back.min(self.faded);
        back -= faded;
        let mut cells: Vec<(u64, u64, u64, u64)> = self.out.iter().map(|(slot, out)| (*slot, *out, 0, 0)).collect();
        for (_, out, _, returned) in &mut cells {
            *returned = back.min(*out);
            back -= *returned;
        }
        for (_, out, used, returned) in cells.iter_mut().rev() {
            *used = spent.min(*out - *returned);
            spent -= *used;
        }
        // Of the slots that count no more Redis keeps nothing: only our own figure changes, when the report arrived.
        let faded = faded.saturating_add(spent).min(self.faded);
        lines.push(self.line(name, Field::Gone, faded, 0, 0));
        for (slot, _, used, returned) in cells {
            if used + returned > 0 {
                lines.push(self.line(name, Field::Slot(slot), used, returned, 0));
            }
        }
    }

    fn line(&self, name: &Arc<str>, field: Field, spent: u64, back: u64, beyond: u64) -> Line {
        Line {
            name: Arc::clone(name),
            kind: self.kind,
            known: 0,
            field,
            spent,
            back,
            beyond,
        }
    }

    /// A line was executed.
    fn take_out(&mut self, line: &Line) {
        let gone = line.spent.saturating_add(line.back);
        let at = match line.field {
            Field::Whole => 0,
            Field::Slot(slot) => slot,
            Field::Gone => {
                self.faded = self.faded.saturating_sub(gone);
                return;
            }
            Field::Now | Field::Faded(_) => return,
        };
        if let Some(index) = self.out.iter().position(|(slot, _)| *slot == at) {
            if let Some((_, out)) = self.out.get_mut(index) {
                *out = out.saturating_sub(gone);
                if *out == 0 && (self.kind != Kind::Concurrent || line.beyond == 0) {
                    self.out.remove(index);
                }
            }
        } else if self.kind.stretch().is_some() {
            // It faded while its report was under way.
            self.faded = self.faded.saturating_sub(gone);
        }
        if self.kind == Kind::Concurrent && line.beyond > 0 {
            match self.out.first_mut() {
                Some((_, out)) => *out = out.saturating_add(line.beyond),
                None => self.out.push((0, line.beyond)),
            }
        }
    }

    fn lost(&self, name: &Arc<str>, now: Instant) -> Option<Tell> {
        let stretch = self.kind.stretch();
        let over = stretch.is_some_and(|stretch| now.saturating_duration_since(self.seen) > stretch);
        let mut tell = self.tell(name, "-".to_owned(), 0);
        tell.lost = true;
        (self.kind != Kind::Concurrent && !over && self.known > 0).then_some(tell)
    }

    fn field(&self, slot: u64) -> String {
        match self.kind {
            Kind::Sliding { .. } => slot.to_string(),
            _ => "u".to_owned(),
        }
    }

    fn tell(&self, name: &Arc<str>, field: String, out: u64) -> Tell {
        Tell {
            name: Arc::clone(name),
            kind: self.kind,
            known: self.known,
            field,
            out,
            lost: false,
        }
    }
}
