//! A usage row as a record of the table `ledger`, and back.
//!
//! The one idea: what is named again and again is a number (`words.rs`), what is mostly nothing is null, so that a row is some
//! 150 bytes.

use super::cells::{Added, DIMENSIONS, Sums};
use super::session::{CAP, Record, Type, Value};
use super::words::{Numbers, Texts};
use super::{LATEST_MS, kept};
use crate::ledger::{Charge, Row, RowId, Tenant};
use crate::storage::StoreError;
use crate::units::{Cost, ServiceTier, Usage};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Tags of one row that are kept; more than anybody counts by.
const MOST_TAGS: usize = 64;

/// Columns of `ledger`, in the order in which rows are written and read.
pub(super) const COLUMNS: [(&str, Type); 45] = [
    ("at_ms", Type::Int),
    ("id", Type::Blob),
    ("attempt", Type::Int),
    ("organisation", Type::Int),
    ("team", Type::Int),
    ("project", Type::Int),
    ("user_name", Type::Int),
    ("key_name", Type::Int),
    ("model", Type::Int),
    ("target", Type::Int),
    ("provider", Type::Int),
    ("operation", Type::Int),
    ("outcome", Type::Int),
    ("cache", Type::Int),
    ("purpose", Type::Int),
    ("status", Type::Int),
    ("stream", Type::Int),
    ("estimated", Type::Int),
    ("latency_ms", Type::Int),
    ("ttft_ms", Type::Int),
    ("input", Type::Int),
    ("output", Type::Int),
    ("cached", Type::Int),
    ("cache_write", Type::Int),
    ("cache_write_1h", Type::Int),
    ("reasoning", Type::Int),
    ("audio_input", Type::Int),
    ("audio_output", Type::Int),
    ("cost", Type::Int),
    ("cost_input", Type::Int),
    ("cost_cached", Type::Int),
    ("cost_cache_write", Type::Int),
    ("cost_output", Type::Int),
    ("cost_reasoning", Type::Int),
    ("cost_audio", Type::Int),
    ("cost_request", Type::Int),
    ("billed", Type::Int),
    ("request_id", Type::Text),
    ("tags", Type::Text),
    ("metadata", Type::Text),
    ("charges", Type::Text),
    ("unbilled_input", Type::Int),
    ("unbilled_output", Type::Int),
    ("web_searches", Type::Int),
    ("tier", Type::Int),
];
/// First of the columns of what is told of usage beside its sums.
const BESIDE_AT: usize = 41;
pub(super) const WORDS_AT: usize = 3;
pub(super) const COST_AT: usize = 28;
pub(super) const BILLED_AT: usize = 36;

/// A row's place in the ledger. The time belongs to it: it is what the ledger is sorted and parted by, and a row that is sent
/// again is the same row.
pub(super) type Place = (i64, [u8; 16], i64);

pub(super) fn place(row: &Row) -> Place {
    (at(row), row.id.0.to_be_bytes(), i64::from(row.attempt))
}

fn at(row: &Row) -> i64 {
    i64::try_from(row.at_ms).unwrap_or(LATEST_MS).min(LATEST_MS)
}

pub(super) fn place_of(record: &Record) -> Result<Place, StoreError> {
    let id = record
        .blob(1)?
        .try_into()
        .map_err(|_| StoreError::Corrupt("an id of another length".to_owned()))?;
    Ok((record.int(0)?, id, record.int(2)?))
}

pub(super) fn place_values(place: &Place) -> Vec<Value> {
    vec![place.0.into(), Value::Blob(Some(place.1.to_vec())), place.2.into()]
}

/// A figure as it is kept: what is beyond counting stops.
pub(super) fn capped(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(CAP).min(CAP)
}

/// A figure that is mostly 0.
fn rare(figure: u64) -> Value {
    Value::Int(Some(capped(figure)).filter(|figure| *figure != 0))
}

/// The words of a row in the order of its columns, purpose last.
fn words(row: &Row) -> [Option<&str>; 12] {
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

pub(super) fn all_words(row: &Row) -> impl Iterator<Item = &str> {
    let tags = row.tags.iter().take(MOST_TAGS).map(|tag| &**tag);
    let counts = row.charges.iter().map(|charge| &*charge.count);
    words(row).into_iter().flatten().chain(tags).chain(counts)
}

fn tag_numbers(row: &Row, numbers: &Numbers) -> Vec<i64> {
    let tags: BTreeSet<i64> = row
        .tags
        .iter()
        .take(MOST_TAGS)
        .map(|tag| numbers.of(Some(tag)))
        .filter(|tag| *tag != 0)
        .collect();
    tags.into_iter().collect()
}

/// A cost's columns: the sum, then the classes.
pub(super) fn cost_values(row: &Row) -> [Value; 9] {
    let Some(cost) = &row.cost else {
        let none = || Value::Int(None);
        return [
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
            Value::Int(row.billed.map(capped)),
        ];
    };
    [
        capped(cost.total()).into(),
        rare(cost.input),
        rare(cost.cached),
        rare(cost.cache_write),
        rare(cost.output),
        rare(cost.reasoning),
        rare(cost.audio),
        rare(cost.request),
        Value::Int(row.billed.map(capped)),
    ]
}

pub(super) fn values(row: &Row, numbers: &Numbers) -> Vec<Value> {
    let mut values = place_values(&place(row));
    values.reserve(COLUMNS.len());
    values.extend(words(row).map(|word| Value::from(numbers.of(word))));
    let flags = [
        i64::from(row.status),
        i64::from(row.stream),
        i64::from(row.estimated),
        i64::from(row.latency_ms),
    ];
    values.extend(flags.map(Value::from));
    values.push(Value::Int(row.ttft_ms.map(i64::from)));
    let usage = &row.usage;
    values.extend([capped(usage.input), capped(usage.output)].map(Value::from));
    let classes = [
        usage.cached,
        usage.cache_write,
        usage.cache_write_1h,
        usage.reasoning,
        usage.audio_input,
        usage.audio_output,
    ];
    values.extend(classes.map(rare));
    values.extend(cost_values(row));
    values.push(kept(&row.request_id).into());
    let tags = tag_numbers(row, numbers);
    let list = tags.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    values.push(Value::Text((!tags.is_empty()).then(|| format!(",{list},"))));
    values.push(Value::Text(row.metadata.as_deref().map(kept)));
    let charges = row.charges.iter().map(|charge| {
        let count = numbers.of(Some(&charge.count));
        format!("{count} {} {}", charge.window, charge.nano)
    });
    let charges = charges.collect::<Vec<_>>().join(";");
    values.push(Value::Text(Some(charges).filter(|charges| !charges.is_empty())));
    let beside = [
        usage.unbilled_input,
        usage.unbilled_output,
        usage.web_searches,
        usage.tier as u64,
    ];
    values.extend(beside.map(rare));
    values
}

fn sums(row: &Row) -> Sums {
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
    ]
}

pub(super) fn added(row: &Row, numbers: &Numbers) -> Added {
    let mut dimensions = [0; DIMENSIONS.len()];
    for (number, word) in dimensions.iter_mut().zip(words(row)) {
        *number = numbers.of(word);
    }
    Added {
        at_ms: at(row),
        words: dimensions,
        tags: tag_numbers(row, numbers),
        sums: sums(row),
    }
}

/// Words of a closed set, made static again. A store that was tampered with cannot make it grow without end.
fn fixed(word: Option<Arc<str>>) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let (Some(word), Ok(mut known)) = (word, KNOWN.lock()) else {
        return "";
    };
    if let Some(word) = known.get(&*word) {
        return word;
    }
    if known.len() >= 1000 {
        return "other";
    }
    let word: &'static str = Box::leak(Box::from(&*word));
    known.insert(word);
    word
}

/// The numbers of the words that a record refers to.
pub(super) fn numbers_in(record: &Record, into: &mut BTreeSet<i64>) -> Result<(), StoreError> {
    for column in WORDS_AT..WORDS_AT + 12 {
        into.insert(record.int(column)?);
    }
    into.extend(tags_in(record)?);
    into.extend(charges_in(record)?.into_iter().map(|(count, _, _)| count));
    Ok(())
}

pub(super) fn tags_in(record: &Record) -> Result<Vec<i64>, StoreError> {
    let tags = record.maybe_text(38)?.unwrap_or_default();
    Ok(tags.split(',').filter_map(|tag| tag.parse().ok()).collect())
}

fn charges_in(record: &Record) -> Result<Vec<(i64, i64, u64)>, StoreError> {
    let charges = record.maybe_text(40)?.unwrap_or_default();
    let charge = |text: &str| {
        let mut parts = text.split(' ');
        Some((
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        ))
    };
    Ok(charges.split(';').filter_map(charge).collect())
}

/// A record of [`COLUMNS`] as the row it was.
pub(super) fn row(record: &Record, texts: &Texts) -> Result<Row, StoreError> {
    let word = |column: usize| Ok::<_, StoreError>(texts.of(record.int(WORDS_AT + column)?));
    let (at_ms, id, attempt) = place_of(record)?;
    let mut tags: Vec<Arc<str>> = tags_in(record)?.into_iter().filter_map(|tag| texts.of(tag)).collect();
    tags.sort();
    let charges = charges_in(record)?.into_iter().filter_map(|(count, window, nano)| {
        let count = texts.of(count)?;
        Some(Charge { count, window, nano })
    });
    let small = |column| Ok::<_, StoreError>(u32::try_from(record.figure(column)?).unwrap_or(u32::MAX));
    Ok(Row {
        id: RowId(u128::from_be_bytes(id)),
        attempt: u16::try_from(attempt).unwrap_or(u16::MAX),
        at_ms: u64::try_from(at_ms).unwrap_or(0),
        tenant: Arc::new(Tenant {
            organisation: word(0)?,
            team: word(1)?,
            project: word(2)?,
            user: word(3)?,
            key: word(4)?,
        }),
        model: word(5)?,
        target: word(6)?,
        provider: word(7)?,
        operation: fixed(word(8)?),
        outcome: fixed(word(9)?),
        cache: fixed(word(10)?),
        purpose: fixed(word(11)?),
        status: u16::try_from(record.figure(15)?).unwrap_or(0),
        stream: record.int(16)? != 0,
        estimated: record.int(17)? != 0,
        latency_ms: small(18)?,
        ttft_ms: record.maybe_int(19)?.map(|_| small(19)).transpose()?,
        usage: with_beside(usage(record, 20)?, record)?,
        cost: cost(record)?,
        billed: record
            .maybe_int(BILLED_AT)?
            .map(|_| record.figure(BILLED_AT))
            .transpose()?,
        request_id: record.text(37)?.into(),
        tags: tags.into(),
        metadata: record.maybe_text(39)?.map(Box::from),
        charges: charges.collect(),
    })
}

/// Tokens, from a column on.
pub(super) fn usage(record: &Record, from: usize) -> Result<Usage, StoreError> {
    Ok(Usage {
        input: record.figure(from)?,
        output: record.figure(from + 1)?,
        cached: record.figure(from + 2)?,
        cache_write: record.figure(from + 3)?,
        cache_write_1h: record.figure(from + 4)?,
        reasoning: record.figure(from + 5)?,
        audio_input: record.figure(from + 6)?,
        audio_output: record.figure(from + 7)?,
        ..Usage::default()
    })
}

/// The usage of one row: with what is not summed up.
fn with_beside(usage: Usage, record: &Record) -> Result<Usage, StoreError> {
    let tier = usize::try_from(record.figure(BESIDE_AT + 3)?).unwrap_or_default();
    Ok(Usage {
        unbilled_input: record.figure(BESIDE_AT)?,
        unbilled_output: record.figure(BESIDE_AT + 1)?,
        web_searches: record.figure(BESIDE_AT + 2)?,
        tier: ServiceTier::ALL.get(tier).copied().unwrap_or_default(),
        ..usage
    })
}

fn cost(record: &Record) -> Result<Option<Cost>, StoreError> {
    if record.maybe_int(COST_AT)?.is_none() {
        return Ok(None);
    }
    let part = |number| record.figure(COST_AT + number);
    Ok(Some(Cost {
        input: part(1)?,
        cached: part(2)?,
        cache_write: part(3)?,
        output: part(4)?,
        reasoning: part(5)?,
        audio: part(6)?,
        request: part(7)?,
    }))
}

/// The columns' names, each behind a prefix.
pub(super) fn names(prefix: &str) -> String {
    COLUMNS.map(|(name, _)| format!("{prefix}{name}")).join(", ")
}
