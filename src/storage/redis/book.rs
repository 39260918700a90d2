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

/// Sums to be reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    spent: u64,
    back: u64,
    beyond: u64,
}

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
    unsent: Sums,
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
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub name: Arc<str>,
    pub kind: Kind,
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

/// The book.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The generation whose answers count; 0: none.
    pub generation: u64,
    /// The epoch of the last generation that got so far as to begin.
    epoch: u64,
    entries: HashMap<Arc<str>, Entry>,
    /// Counts with something to report.
    waiting: HashSet<Arc<str>>,
    /// The report that was sent and not answered.
    doubt: Option<(u64, Vec<Line>)>,
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
            unsent: Sums::default(),
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

    /// Something is to be reported.
    pub(super) fn add(&mut self, name: &Arc<str>, kind: Kind, report: &Report, epoch: u64, now: Instant) {
        self.note(name, kind, report.known, epoch, now);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.unsent.spent = entry.unsent.spent.saturating_add(report.spent);
            entry.unsent.back = entry.unsent.back.saturating_add(report.back);
            entry.unsent.beyond = entry.unsent.beyond.saturating_add(report.beyond);
            self.waiting.insert(Arc::clone(name));
        }
    }

    /// Counts with something to report, at most so many.
    pub(super) fn waiting(&self, most: usize) -> Vec<Arc<str>> {
        self.waiting.iter().take(most).cloned().collect()
    }

    /// The next report: its number and lines, at least one for each name that is known. In doubt until [`Self::reported`].
    pub(super) fn batch(&mut self, names: &[Arc<str>]) -> (u64, Vec<Line>) {
        let mut lines = Vec::with_capacity(names.len());
        for name in names {
            self.waiting.remove(name);
            if let Some(entry) = self.entries.get_mut(name) {
                entry.lines(name, &mut lines);
            }
        }
        self.number += 1;
        self.doubt = Some((self.number, lines.clone()));
        (self.number, lines)
    }

    /// The report in doubt was executed; figures by line, if they came back (none: that count cannot be used).
    pub(super) fn reported(&mut self, figures: &[Option<u64>], order: u64, now: Instant) {
        let Some((_, lines)) = self.doubt.take() else { return };
        for (index, line) in lines.iter().enumerate() {
            let Some(entry) = self.entries.get_mut(&line.name) else {
                continue;
            };
            entry.take_out(line);
            if let Some(Some(used)) = figures.get(index) {
                entry.saw(*used, order, now);
            }
        }
    }

    /// A generation begins: Redis says which report of ours it executed last. Epochs that differ mean that it forgot.
    pub(super) fn settle(&mut self, last: u64, epoch: u64, now: Instant) {
        match &self.doubt {
            Some((number, _)) if last >= *number && self.epoch == epoch => {
                self.reported(&[], 0, now);
            }
            _ => self.take_back(),
        }
        self.number = self.number.max(last);
        let Self { entries, waiting, .. } = self;
        for (name, entry) in entries.iter_mut().filter(|(_, entry)| entry.told != epoch) {
            entry.forgotten();
            if entry.unsent == Sums::default() {
                waiting.remove(name);
            }
        }
    }

    fn take_back(&mut self) {
        let Some((_, lines)) = self.doubt.take() else { return };
        for line in lines {
            let Some(entry) = self.entries.get_mut(&line.name) else {
                continue;
            };
            if let Field::Faded(slot) = line.field {
                entry.clear.push((slot, line.spent));
            } else {
                entry.unsent.spent = entry.unsent.spent.saturating_add(line.spent);
                entry.unsent.back = entry.unsent.back.saturating_add(line.back);
                entry.unsent.beyond = entry.unsent.beyond.saturating_add(line.beyond);
            }
            self.waiting.insert(line.name);
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

    /// The lines that report what is unsent, at least one.
    ///
    /// Of a sliding count what comes back is taken from the oldest slots and what was spent stays in the newest: over any stretch
    /// at least as much is counted as was used in it, whichever grant it was.
    fn lines(&mut self, name: &Arc<str>, lines: &mut Vec<Line>) {
        let Sums {
            mut spent,
            mut back,
            beyond,
        } = std::mem::take(&mut self.unsent);
        let line = |field, spent, back, beyond| Line {
            name: Arc::clone(name),
            kind: self.kind,
            known: self.known,
            field,
            spent,
            back,
            beyond,
        };
        if self.kind.stretch().is_none() {
            lines.push(line(Field::Whole, spent, back, beyond));
            return;
        }
        lines.push(line(Field::Now, 0, 0, beyond));
        for (slot, amount) in self.clear.drain(..) {
            lines.push(line(Field::Faded(slot), amount, 0, 0));
        }
        let faded = back.min(self.faded);
        back -= faded;
        self.faded -= faded;
        let mut cells: Vec<(u64, u64, u64, u64)> = self.out.iter().map(|(slot, out)| (*slot, *out, 0, 0)).collect();
        for (_, out, _, returned) in &mut cells {
            *returned = back.min(*out);
            back -= *returned;
        }
        for (_, out, used, returned) in cells.iter_mut().rev() {
            *used = spent.min(*out - *returned);
            spent -= *used;
        }
        self.faded = self.faded.saturating_sub(spent);
        for (slot, _, used, returned) in cells {
            if used + returned > 0 {
                lines.push(line(Field::Slot(slot), used, returned, 0));
            }
        }
    }

    /// A line was executed.
    fn take_out(&mut self, line: &Line) {
        let at = match line.field {
            Field::Whole => 0,
            Field::Slot(slot) => slot,
            Field::Now | Field::Faded(_) => return,
        };
        if let Some(index) = self.out.iter().position(|(slot, _)| *slot == at)
            && let Some((_, out)) = self.out.get_mut(index)
        {
            *out = out.saturating_sub(line.spent.saturating_add(line.back));
            if *out == 0 {
                self.out.remove(index);
            }
        } else {
            // It faded while its report was under way.
            self.faded = self.faded.saturating_sub(line.spent.saturating_add(line.back));
        }
    }

    /// Redis forgot: what is unsent is taken from what is out here; what is given back is forgone, since the figure that will be
    /// told may lack it already; what was used beyond stays to be reported.
    fn forgotten(&mut self) {
        let gone = self.unsent.spent.saturating_add(self.unsent.back);
        self.clear.clear();
        if self.kind.stretch().is_some() {
            let out: u64 = self.out.drain(..).fold(0, |sum, (_, out)| sum.saturating_add(out));
            self.faded = self.faded.saturating_add(out).saturating_sub(gone);
        } else {
            let held = self.out.first().map_or(0, |(_, out)| *out);
            self.out.clear();
            if held > gone {
                self.out.push((0, held - gone));
            }
        }
        let beyond = if self.kind == Kind::Concurrent {
            0
        } else {
            self.unsent.beyond
        };
        self.unsent = Sums {
            beyond,
            ..Sums::default()
        };
    }

    fn lost(&self, name: &Arc<str>, now: Instant) -> Option<Tell> {
        let out = self.out.first().map_or(0, |(_, out)| *out);
        let mut tell = match self.kind {
            Kind::Sliding { .. } => self.tell(name, "-".to_owned(), 0),
            _ => self.tell(name, "u".to_owned(), out),
        };
        let over = self
            .kind
            .stretch()
            .is_some_and(|stretch| now.saturating_duration_since(self.seen) > stretch);
        if self.kind == Kind::Concurrent || over {
            tell.known = 0;
        }
        tell.lost = true;
        (tell.known > 0 || tell.out > 0).then_some(tell)
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
