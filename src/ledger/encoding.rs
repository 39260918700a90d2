//! Rows as bytes, for the spool.
//!
//! ```text
//! 1 · id (16, big endian) · attempt · at_ms · 5 × name · tags (n, text…) · metadata? · request_id · operation · model? · target?
//!   · provider? · purpose · status · outcome · cache · flags · latency_ms · ttft_ms? · usage (n, number…) · cost? (n, number…)
//!   · billed? · charges (n, (length, count, window, nano)…) · what later versions add
//! ```
//! Numbers are LEB128. What may be missing (`?`) is 0 or, of numbers, 1 and the number, of texts, the length plus one and the
//! text; a text is its length and its bytes. Not for the stores.
//! The one idea: what a later version appends, to the row, to usage, cost, tenant or a charge, an earlier one skips; the first
//! byte changes only when that is not enough, and such rows are set aside rather than misread.

use super::words::word;
use super::{Charge, Row, RowId, Tenant};
use crate::units::{Cost, ServiceTier, Usage};
use std::sync::Arc;

const VERSION: u8 = 1;
/// Bits of `flags`.
const STREAM: u64 = 1;
const ESTIMATED: u64 = 2;

/// Bytes that are no row of a version this one can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a row that this version can read")]
pub struct Unreadable;

/// Append a row.
pub fn encode(row: &Row, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend_from_slice(&row.id.0.to_be_bytes());
    number(out, row.attempt.into());
    number(out, row.at_ms);
    let tenant = &*row.tenant;
    let names = [
        &tenant.organisation,
        &tenant.team,
        &tenant.project,
        &tenant.user,
        &tenant.key,
    ];
    number(out, names.len() as u64);
    for name in names {
        maybe_text(out, name.as_deref());
    }
    number(out, row.tags.len() as u64);
    for tag in row.tags.iter() {
        text(out, tag);
    }
    maybe_text(out, row.metadata.as_deref());
    text(out, &row.request_id);
    text(out, row.operation);
    maybe_text(out, row.model.as_deref());
    maybe_text(out, row.target.as_deref());
    maybe_text(out, row.provider.as_deref());
    text(out, row.purpose);
    number(out, row.status.into());
    text(out, row.outcome);
    text(out, row.cache);
    let flag = |set: bool, bit: u64| if set { bit } else { 0 };
    number(out, flag(row.stream, STREAM) | flag(row.estimated, ESTIMATED));
    number(out, row.latency_ms.into());
    maybe_number(out, row.ttft_ms.map(u64::from));
    numbers(out, &usage_numbers(&row.usage));
    match &row.cost {
        None => number(out, 0),
        Some(cost) => numbers(out, &cost_numbers(cost)),
    }
    maybe_number(out, row.billed);
    number(out, row.charges.len() as u64);
    let mut each = Vec::new();
    for charge in &row.charges {
        each.clear();
        text(&mut each, &charge.count);
        number(&mut each, zigzag(charge.window));
        number(&mut each, charge.nano);
        number(out, each.len() as u64);
        out.extend_from_slice(&each);
    }
}

/// Read a row.
pub fn decode(bytes: &[u8]) -> Result<Row, Unreadable> {
    let mut from = Reader(bytes);
    if from.take(1)? != [VERSION] {
        return Err(Unreadable);
    }
    let id = RowId(u128::from_be_bytes(from.take(16)?.try_into().map_err(|_| Unreadable)?));
    let attempt = from.small()?;
    let at_ms = from.number()?;
    let tenant = Arc::new(from.tenant()?);
    let tags = from.count()?;
    let tags = (0..tags)
        .map(|_| from.text().map(Arc::from))
        .collect::<Result<Arc<[Arc<str>]>, _>>()?;
    let metadata = from.maybe_text()?.map(Box::from);
    let request_id = from.text()?.into();
    let operation = word(from.text()?);
    let model = from.maybe_text()?.map(Arc::from);
    let target = from.maybe_text()?.map(Arc::from);
    let provider = from.maybe_text()?.map(Arc::from);
    let purpose = word(from.text()?);
    let status = from.small()?;
    let outcome = word(from.text()?);
    let cache = word(from.text()?);
    let flags = from.number()?;
    let latency_ms = from.small()?;
    let ttft_ms = from
        .maybe_number()?
        .map(u32::try_from)
        .transpose()
        .map_err(|_| Unreadable)?;
    let usage = usage_of(from.numbers()?.unwrap_or_default());
    let cost = from.numbers()?.map(cost_of);
    let billed = from.maybe_number()?;
    let charges = from.count()?;
    let charges = (0..charges).map(|_| from.charge()).collect::<Result<Vec<_>, _>>()?;
    Ok(Row {
        id,
        attempt,
        at_ms,
        tenant,
        tags,
        metadata,
        request_id,
        operation,
        model,
        target,
        provider,
        purpose,
        status,
        outcome,
        cache,
        stream: flags & STREAM != 0,
        latency_ms,
        ttft_ms,
        usage,
        estimated: flags & ESTIMATED != 0,
        cost,
        billed,
        charges,
    })
}

/// Read no more classes of tokens or cost than this.
const CLASSES: usize = 16;

fn usage_numbers(usage: &Usage) -> [u64; 12] {
    let Usage {
        input,
        output,
        cached,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        unbilled_input,
        unbilled_output,
        web_searches,
        tier,
    } = *usage;
    [
        input,
        output,
        cached,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        unbilled_input,
        unbilled_output,
        web_searches,
        tier as u64,
    ]
}

fn usage_of(numbers: [u64; CLASSES]) -> Usage {
    let [
        input,
        output,
        cached,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        unbilled_input,
        unbilled_output,
        web_searches,
        tier,
        ..,
    ] = numbers;
    let tier = ServiceTier::ALL.get(usize::try_from(tier).unwrap_or_default());
    Usage {
        input,
        output,
        cached,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        unbilled_input,
        unbilled_output,
        web_searches,
        tier: tier.copied().unwrap_or_default(),
    }
}

fn cost_numbers(cost: &Cost) -> [u64; 7] {
    let Cost {
        input,
        cached,
        cache_write,
        output,
        reasoning,
        audio,
        request,
    } = *cost;
    [input, cached, cache_write, output, reasoning, audio, request]
}

fn cost_of(numbers: [u64; CLASSES]) -> Cost {
    let [input, cached, cache_write, output, reasoning, audio, request, ..] = numbers;
    Cost {
        input,
        cached,
        cache_write,
        output,
        reasoning,
        audio,
        request,
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn maybe_number(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        number(out, value);
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    number(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

fn maybe_text(out: &mut Vec<u8>, value: Option<&str>) {
    number(out, value.map_or(0, |value| value.len() as u64 + 1));
    out.extend_from_slice(value.unwrap_or_default().as_bytes());
}

fn numbers(out: &mut Vec<u8>, values: &[u64]) {
    number(out, values.len() as u64);
    for value in values {
        number(out, *value);
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            let part = u64::from(byte & 0x7F);
            if index == 9 && part > 1 {
                return Err(Unreadable);
            }
            value |= part << (7 * index);
            if byte & 0x80 == 0 {
                self.take(index + 1)?;
                return Ok(value);
            }
        }
        Err(Unreadable)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Unreadable> {
        T::try_from(self.number()?).map_err(|_| Unreadable)
    }

    fn maybe_number(&mut self) -> Result<Option<u64>, Unreadable> {
        match self.take(1)? {
            [0] => Ok(None),
            _ => self.number().map(Some),
        }
    }

    /// A number of things that take a byte each at least: never more than there are bytes.
    fn count(&mut self) -> Result<usize, Unreadable> {
        let count: usize = self.small()?;
        if count > self.0.len() {
            Err(Unreadable)
        } else {
            Ok(count)
        }
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = self.small()?;
        simdutf8::basic::from_utf8(self.take(length)?).map_err(|_| Unreadable)
    }

    fn maybe_text(&mut self) -> Result<Option<&'a str>, Unreadable> {
        let Some(length) = self.number()?.checked_sub(1) else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| Unreadable)?;
        let bytes = self.take(length)?;
        simdutf8::basic::from_utf8(bytes).map(Some).map_err(|_| Unreadable)
    }

    /// None of them is nothing at all: how a missing cost is written.
    fn numbers(&mut self) -> Result<Option<[u64; CLASSES]>, Unreadable> {
        let count = self.count()?;
        let mut values = [0; CLASSES];
        let mut slots = values.iter_mut();
        for _ in 0..count {
            let value = self.number()?;
            if let Some(slot) = slots.next() {
                *slot = value;
            }
        }
        Ok((count > 0).then_some(values))
    }

    fn tenant(&mut self) -> Result<Tenant, Unreadable> {
        let count = self.count()?;
        let mut tenant = Tenant::default();
        for index in 0..count {
            let name = self.maybe_text()?.map(Arc::from);
            match index {
                0 => tenant.organisation = name,
                1 => tenant.team = name,
                2 => tenant.project = name,
                3 => tenant.user = name,
                4 => tenant.key = name,
                _ => {}
            }
        }
        Ok(tenant)
    }

    fn charge(&mut self) -> Result<Charge, Unreadable> {
        let length = self.small()?;
        let mut own = Reader(self.take(length)?);
        Ok(Charge {
            count: own.text()?.into(),
            window: unzigzag(own.number()?),
            nano: own.number()?,
        })
    }
}
