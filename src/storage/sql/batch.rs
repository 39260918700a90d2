//! A batch of usage rows as what is written: records of `ledger`, sums and charges.
//!
//! ```text
//! rows ─► [`Batch::of`]: sorted, none twice; words and labels looked up once for all rows that share them
//!           ├─► plain records (11 values) and full ones (18: with classes of tokens that are mostly 0, and what the cache saved)
//!           └─► sums and counts, added up in memory
//! ```
//! Not the statements (`ledger.rs`). The one idea: names come from the configuration and are shared, so that two rows with the same
//! pointers have the same label; text is looked at once for each. Rows read back from a file share none and only take longer.

use super::cells::{Added, DIMENSIONS, Sums};
use super::codec::{Place, capped, place};
use super::labels::{self, Label};
use super::rest::{Charged, Parts, beside};
use super::session::{Backend, CAP, Type, Value};
use super::words::Numbers;
use super::{HOUR_MS, SqlStore, kept};
use crate::ledger::Row;
use crate::storage::StoreError;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Tags of one row that are kept; more than anybody counts by.
const MOST_TAGS: usize = 64;

/// What is written of a full row, in this order; of a plain one all but the last seven.
pub(super) const COLUMNS: [(&str, Type); 18] = [
    ("at_ms", Type::Int),
    ("id", Type::Blob),
    ("attempt", Type::Int),
    ("label", Type::Int),
    ("latency_ms", Type::Int),
    ("input", Type::Int),
    ("output", Type::Int),
    ("cost", Type::Int),
    ("billed", Type::Int),
    ("tags", Type::Text),
    ("rest", Type::Blob),
    ("cached", Type::Int),
    ("cache_write", Type::Int),
    ("cache_write_1h", Type::Int),
    ("reasoning", Type::Int),
    ("audio_input", Type::Int),
    ("audio_output", Type::Int),
    ("saved", Type::Int),
];
const RARE: usize = 7;
/// Columns of a plain row.
pub(super) const PLAIN: usize = COLUMNS.len() - RARE;

/// Rows, sorted by their places: for who inserts the same at the same time, and because the table is sorted so.
pub(super) struct Batch<'a> {
    rows: Vec<(Place, &'a Row)>,
    /// Of each row: which of `labels`, of `tags`.
    shared: Vec<(usize, usize)>,
    labels: Vec<(Label, i64)>,
    tags: Vec<Tags>,
    words: Seen,
}

/// Tags of some rows.
#[derive(Default)]
struct Tags {
    numbers: Vec<i64>,
    /// As a row has them: `,3,7,`.
    list: Option<String>,
}

/// Words of charges by where they are in memory.
type Seen = HashMap<usize, i64>;

/// Where the names of a row are in memory, and what else makes its label.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Source([usize; 9], u16, bool, bool);

fn address(text: Option<&str>) -> usize {
    text.map_or(0, |text| text.as_ptr() as usize)
}

fn source(row: &Row) -> Source {
    let shared = [
        std::sync::Arc::as_ptr(&row.tenant) as usize,
        address(row.model.as_deref()),
        address(row.target.as_deref()),
        address(row.provider.as_deref()),
        address(Some(row.operation)),
        address(Some(row.outcome)),
        address(Some(row.cache)),
        address(Some(row.purpose)),
        // Of two static texts one may be the beginning of the other.
        row.operation.len() | row.outcome.len() << 16 | row.cache.len() << 32 | row.purpose.len() << 48,
    ];
    Source(shared, row.status, row.stream, row.estimated)
}

/// The words of a row in the order of its columns, purpose last.
fn words_of(row: &Row) -> [Option<&str>; 12] {
    let tenant = &row.tenant;
    [
        tenant.organisation.as_deref(),
        tenant.team.as_deref(),
        tenant.project.as_deref(),
        tenant.user.as_deref(),
        tenant.key.as_deref(),
        row.model.as_deref(),
        row.target.as_deref(),
        row.provider.as_deref(),
        Some(row.operation),
        Some(row.outcome),
        Some(row.cache),
        Some(row.purpose),
    ]
}

fn label_of(row: &Row, numbers: &Numbers) -> Label {
    let mut label = [0; labels::COLUMNS.len()];
    let flags = [i64::from(row.status), i64::from(row.stream), i64::from(row.estimated)];
    let values = words_of(row).map(|word| numbers.of(word)).into_iter().chain(flags);
    for (place, value) in label.iter_mut().zip(values) {
        *place = value;
    }
    label
}

fn tags_of(row: &Row, numbers: &Numbers) -> Tags {
    let kept = row.tags.iter().take(MOST_TAGS).map(|tag| numbers.of(Some(tag)));
    let numbers: Vec<i64> = kept
        .filter(|tag| *tag != 0)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let list = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let list = (!numbers.is_empty()).then(|| format!(",{list},"));
    Tags { numbers, list }
}

/// The places in which things that are the same get one number: 0, 1, …
struct Distinct<K> {
    known: HashMap<K, usize>,
    last: Option<(K, usize)>,
}

impl<K: Copy + Eq + std::hash::Hash> Distinct<K> {
    fn new() -> Self {
        Self {
            known: HashMap::new(),
            last: None,
        }
    }

    /// Its number, and whether it is new.
    fn number(&mut self, key: K) -> (usize, bool) {
        if let Some((last, number)) = self.last
            && last == key
        {
            return (number, false);
        }
        let (next, mut new) = (self.known.len(), false);
        let number = *self.known.entry(key).or_insert_with(|| {
            new = true;
            next
        });
        self.last = Some((key, number));
        (number, new)
    }
}

impl<'a> Batch<'a> {
    /// Of rows: with all words and labels that they need, which are made in the database where they are missing.
    pub(super) async fn of<B: Backend>(store: &SqlStore<B>, rows: &'a [Row]) -> Result<Self, StoreError> {
        let mut rows: Vec<(Place, &Row)> = rows.iter().map(|row| (place(row), row)).collect();
        // Of rows with one place the last counts, as if they had come one after the other.
        rows.reverse();
        rows.sort_by_key(|(place, _)| *place);
        rows.dedup_by(|one, other| one.0 == other.0);
        let (mut sources, mut lists) = (Distinct::new(), Distinct::new());
        let mut counts = Distinct::new();
        let (mut labelled, mut tagged, mut charged) = (Vec::<&Row>::new(), Vec::<&Row>::new(), Vec::<&str>::new());
        let mut shared = Vec::with_capacity(rows.len());
        for (_, row) in &rows {
            let (label, new) = sources.number(source(row));
            if new {
                labelled.push(row);
            }
            let list = if row.tags.is_empty() {
                0
            } else {
                row.tags.as_ptr() as usize
            };
            let (tags, new) = lists.number((list, row.tags.len()));
            if new {
                tagged.push(row);
            }
            for charge in &row.charges {
                if counts.number(charge.count.as_ptr() as usize).1 {
                    charged.push(&charge.count);
                }
            }
            shared.push((label, tags));
        }
        let tags = tagged
            .iter()
            .flat_map(|row| row.tags.iter().take(MOST_TAGS))
            .map(|tag| &**tag);
        let named = labelled.iter().flat_map(|row| words_of(row).into_iter().flatten());
        let texts = named.chain(tags).chain(charged.iter().copied());
        let numbers = store.words.numbers(&store.backend, texts, true).await?;
        let found: Vec<Label> = labelled.iter().map(|row| label_of(row, &numbers)).collect();
        let known = store.labels.numbers(&store.backend, &found).await?;
        let labels = found.into_iter().map(|label| match known.get(&label) {
            Some(number) => Ok((label, *number)),
            None => Err(StoreError::Corrupt("a label vanished".to_owned())),
        });
        let words = charged
            .iter()
            .map(|count| (count.as_ptr() as usize, numbers.of(Some(count))));
        Ok(Self {
            labels: labels.collect::<Result<_, _>>()?,
            tags: tagged.iter().map(|row| tags_of(row, &numbers)).collect(),
            words: words.collect(),
            rows,
            shared,
        })
    }

    /// Places of all rows.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.rows.iter().map(|(place, _)| place)
    }

    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Values of plain rows and of full ones.
    pub(super) fn values(&self) -> (Vec<Value>, Vec<Value>) {
        let (mut plain, mut full) = (Vec::with_capacity(self.rows.len() * PLAIN), Vec::new());
        let mut charges = Vec::new();
        for ((place, row), shared) in self.rows.iter().zip(&self.shared) {
            let rare = rare_classes(row);
            if rare.iter().all(|class| *class == 0) {
                self.plain_values(place, row, *shared, &mut charges, &mut plain);
            } else {
                self.plain_values(place, row, *shared, &mut charges, &mut full);
                full.extend(rare.map(|class| Value::Int(Some(capped(class)).filter(|class| *class != 0))));
            }
        }
        (plain, full)
    }

    fn plain_values(
        &self,
        place: &Place,
        row: &Row,
        (label, tags): (usize, usize),
        charges: &mut Vec<Charged>,
        into: &mut Vec<Value>,
    ) {
        let label = self.labels.get(label).map_or(0, |(_, number)| *number);
        charges.clear();
        charges.extend(row.charges.iter().map(|charge| {
            let count = self.words.get(&(charge.count.as_ptr() as usize)).copied();
            (count.unwrap_or(0), charge.window, charge.nano)
        }));
        let metadata = row.metadata.as_deref().map(kept);
        let guardrails = row.guardrails.as_deref().map(kept);
        let parts = Parts {
            ttft_ms: row.ttft_ms,
            cost: row.cost.unwrap_or_default(),
            beside: beside(&row.usage),
            charges,
            request_id: &kept(&row.request_id),
            metadata: metadata.as_deref(),
            guardrails: guardrails.as_deref(),
        };
        let rest = parts.encode();
        into.extend([
            place.0.into(),
            Value::Blob(Some(place.1.to_vec())),
            place.2.into(),
            label.into(),
            i64::from(row.latency_ms).into(),
            capped(row.usage.input).into(),
            capped(row.usage.output).into(),
            Value::Int(row.cost.as_ref().map(|cost| capped(cost.total()))),
            Value::Int(row.billed.map(capped)),
            Value::Text(self.tags.get(tags).and_then(|tags| tags.list.clone())),
            Value::Blob(Some(rest)),
        ]);
    }

    /// What rows add to sums and to counts; all rows, or those that `new` says.
    pub(super) fn sums(&self, new: impl Fn(&Place) -> bool) -> (Vec<Added>, BTreeMap<(i64, i64), i64>) {
        let mut groups: HashMap<(usize, usize, i64), Sums> = HashMap::new();
        let mut counts = BTreeMap::<(i64, i64), i64>::new();
        for ((place, row), (label, tags)) in self.rows.iter().zip(&self.shared).filter(|((place, _), _)| new(place)) {
            if row.attempt == 0 {
                let hour = place.0 - place.0.rem_euclid(HOUR_MS);
                let group = groups.entry((*label, *tags, hour)).or_default();
                for (sum, figure) in group.iter_mut().zip(figures(row)) {
                    *sum = sum.saturating_add(figure).min(CAP);
                }
            }
            for charge in &row.charges {
                let count = self.words.get(&(charge.count.as_ptr() as usize)).copied().unwrap_or(0);
                let count = counts.entry((count, charge.window)).or_default();
                *count = count.saturating_add(capped(charge.nano)).min(CAP);
            }
        }
        let added = groups.into_iter().map(|((label, tags, hour), sums)| {
            let mut words = [0; DIMENSIONS.len()];
            if let Some((label, _)) = self.labels.get(label) {
                for (word, of_label) in words.iter_mut().zip(label) {
                    *word = *of_label;
                }
            }
            Added {
                at_ms: hour,
                words,
                tags: self.tags.get(tags).map(|tags| tags.numbers.clone()).unwrap_or_default(),
                sums,
            }
        });
        (added.collect(), counts)
    }
}

/// Classes of tokens, and of money, that most rows have none of.
fn rare_classes(row: &Row) -> [u64; RARE] {
    let usage = &row.usage;
    [
        usage.cached,
        usage.cache_write,
        usage.cache_write_1h,
        usage.reasoning,
        usage.audio_input,
        usage.audio_output,
        row.saved,
    ]
}

/// What a request adds to each sum.
fn figures(row: &Row) -> Sums {
    let failed = row.status >= 400 || row.outcome != "ok";
    let usage = &row.usage;
    [
        1,
        i64::from(failed),
        i64::from(row.estimated),
        i64::from(row.cost.is_none()),
        capped(usage.input),
        capped(usage.output),
        capped(usage.cached),
        capped(usage.cache_write),
        capped(usage.cache_write_1h),
        capped(usage.reasoning),
        capped(usage.audio_input),
        capped(usage.audio_output),
        row.cost.map_or(0, |cost| capped(cost.total())),
        row.billed.map_or(0, capped),
        i64::from(row.latency_ms),
        capped(row.saved),
    ]
}
