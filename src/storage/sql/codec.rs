//! A record of the table `ledger` as the usage row it was. How rows are written: `batch.rs`.
//!
//! The one idea: a record is read the same whether it was written before migration 2, with a column for everything, or after it,
//! with a label (`labels.rs`) for what rows have in common and bytes (`rest.rs`) for what is neither searched nor summed.

use super::rest::{Charged, Rest};
use super::session::{CAP, Record, Type, Value};
use super::words::Texts;
use super::{LATEST_MS, labels};
use crate::ledger::{Charge, Row, RowId, Tenant};
use crate::storage::StoreError;
use crate::units::{Cost, ServiceTier, Usage};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Columns as they are read, in this order; what came with later migrations last.
const READ: [&str; 47] = [
    "at_ms",
    "id",
    "attempt",
    "organisation",
    "team",
    "project",
    "user_name",
    "key_name",
    "model",
    "target",
    "provider",
    "operation",
    "outcome",
    "cache",
    "purpose",
    "status",
    "stream",
    "estimated",
    "latency_ms",
    "ttft_ms",
    "input",
    "output",
    "cached",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "cost",
    "cost_input",
    "cost_cached",
    "cost_cache_write",
    "cost_output",
    "cost_reasoning",
    "cost_audio",
    "cost_request",
    "billed",
    "request_id",
    "tags",
    "metadata",
    "charges",
    "unbilled_input",
    "unbilled_output",
    "web_searches",
    "tier",
    "rest",
    "saved",
];
/// A row's place.
pub(super) const PLACE: [(&str, Type); 3] = [("at_ms", Type::Int), ("id", Type::Blob), ("attempt", Type::Int)];
/// What another cost changes.
pub(super) const COST: [(&str, Type); 3] = [("cost", Type::Int), ("billed", Type::Int), ("rest", Type::Blob)];
/// First of the columns of what is told of usage beside its sums.
const BESIDE_AT: usize = 41;
const REST_AT: usize = 45;
const SAVED_AT: usize = 46;
pub(super) const WORDS_AT: usize = 3;
pub(super) const COST_AT: usize = 28;
pub(super) const BILLED_AT: usize = 36;

/// A row's place in the ledger. The time belongs to it: it is what the ledger is sorted and parted by, and a row that is sent
/// again is the same row.
pub(super) type Place = (i64, [u8; 16], i64);

pub(super) fn place(row: &Row) -> Place {
    (at(row), row.id.0.to_be_bytes(), i64::from(row.attempt))
}

pub(super) fn at(row: &Row) -> i64 {
    i64::try_from(row.at_ms).unwrap_or(LATEST_MS).min(LATEST_MS)
}

pub(super) fn place_of(record: &Record) -> Result<Place, StoreError> {
    let id = record
        .blob(1)?
        .try_into()
        .map_err(|_| StoreError::Corrupt("an id of another length".to_owned()))?;
    Ok((record.int(0)?, id, record.int(2)?))
}

pub(super) fn place_values(place: &Place) -> [Value; 3] {
    [place.0.into(), Value::Blob(Some(place.1.to_vec())), place.2.into()]
}

/// A figure as it is kept: what is beyond counting stops.
pub(super) fn capped(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(CAP).min(CAP)
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
    into.extend(rest(record)?.charges.into_iter().map(|(count, _, _)| count));
    Ok(())
}

pub(super) fn tags_in(record: &Record) -> Result<Vec<i64>, StoreError> {
    let tags = record.maybe_text(38)?.unwrap_or_default();
    Ok(tags.split(',').filter_map(|tag| tag.parse().ok()).collect())
}

fn listed_charges(record: &Record) -> Result<Vec<Charged>, StoreError> {
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

/// What is not in columns of its own, of either form.
pub(super) fn rest(record: &Record) -> Result<Rest, StoreError> {
    if let Some(bytes) = record.maybe_blob(REST_AT)? {
        return Rest::decode(bytes);
    }
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let mut beside = [0; 4];
    for (column, value) in beside.iter_mut().enumerate() {
        *value = record.figure(BESIDE_AT + column)?;
    }
    let part = |number: usize| record.figure(COST_AT + number);
    Ok(Rest {
        ttft_ms: record
            .maybe_int(19)?
            .map(|_| record.figure(19).map(small))
            .transpose()?,
        cost: Cost {
            input: part(1)?,
            cached: part(2)?,
            cache_write: part(3)?,
            output: part(4)?,
            reasoning: part(5)?,
            audio: part(6)?,
            request: part(7)?,
        },
        beside,
        charges: listed_charges(record)?,
        request_id: record.text(37)?.into(),
        metadata: record.maybe_text(39)?.map(Box::from),
        guardrails: None,
    })
}

/// A record of [`names`] as the row it was.
pub(super) fn row(record: &Record, texts: &Texts) -> Result<Row, StoreError> {
    let word = |column: usize| Ok::<_, StoreError>(texts.of(record.int(WORDS_AT + column)?));
    let (at_ms, id, attempt) = place_of(record)?;
    let mut tags: Vec<Arc<str>> = tags_in(record)?.into_iter().filter_map(|tag| texts.of(tag)).collect();
    tags.sort();
    let rest = rest(record)?;
    let charges = rest.charges.into_iter().filter_map(|(count, window, nano)| {
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
        ttft_ms: rest.ttft_ms,
        usage: with_beside(usage(record, 20)?, rest.beside),
        cost: record.maybe_int(COST_AT)?.map(|_| rest.cost),
        billed: record
            .maybe_int(BILLED_AT)?
            .map(|_| record.figure(BILLED_AT))
            .transpose()?,
        saved: record.figure(SAVED_AT)?,
        request_id: rest.request_id,
        tags: tags.into(),
        metadata: rest.metadata,
        guardrails: rest.guardrails,
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
fn with_beside(usage: Usage, [unbilled_input, unbilled_output, web_searches, tier]: [u64; 4]) -> Usage {
    let tier = ServiceTier::ALL.get(usize::try_from(tier).unwrap_or_default());
    Usage {
        unbilled_input,
        unbilled_output,
        web_searches,
        tier: tier.copied().unwrap_or_default(),
        ..usage
    }
}

/// What is read of `ledger l` with its labels beside it ([`FROM_LEDGER`]).
pub(super) fn names() -> String {
    READ.map(labelled).join(", ")
}

/// A column of a row, wherever it is.
pub(super) fn labelled(name: &str) -> String {
    if labels::COLUMNS.iter().any(|(labelled, _)| *labelled == name) {
        format!("COALESCE(k.{name}, l.{name})")
    } else {
        format!("l.{name}")
    }
}

/// Rows and their labels.
pub(super) const FROM_LEDGER: &str = "ledger l LEFT JOIN labels k ON k.id = l.label";
