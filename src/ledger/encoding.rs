//! Rows as bytes, for the spool.
//!
//! ```text
//! 1 · id (16, big endian) · attempt · at_ms · 5 × name · tags (n, text…) · metadata? · request_id · operation · model? · target?
//!   · provider? · purpose · status · outcome · cache · flags · latency_ms · ttft_ms? · usage and saved (n, number…) · cost? (n, number…)
//!   · billed? · charges (n, (length, count, window, nano)…)
//!   · guardrails? · what later versions add
//! ```
//! Numbers are LEB128. What may be missing (`?`) is 0 or, of numbers, 1 and the number, of texts, the length plus one and the
//! text; a text is its length and its bytes. Not for the stores.
//! The one idea: what a later version appends, to the row, to usage, cost, tenant or a charge, an earlier one skips; the first
//! byte changes only when that is not enough, and such rows are set aside rather than misread.

pub use super::varint::Unreadable;
use super::varint::{CLASSES, Reader, maybe_number, maybe_text, number, numbers, text, unzigzag, width, zigzag};
use super::words::word;
use super::{Charge, Row, RowId, Tenant};
use crate::units::{Cost, ServiceTier, Usage};
use std::sync::Arc;

const VERSION: u8 = 1;
/// Bits of `flags`.
const STREAM: u64 = 1;
const ESTIMATED: u64 = 2;

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
    numbers(out, &figures(row));
    match &row.cost {
        None => number(out, 0),
        Some(cost) => numbers(out, &cost_numbers(cost)),
    }
    maybe_number(out, row.billed);
    number(out, row.charges.len() as u64);
    for charge in &row.charges {
        let (count, window) = (charge.count.len() as u64, zigzag(charge.window));
        number(out, width(count) + count + width(window) + width(charge.nano));
        text(out, &charge.count);
        number(out, window);
        number(out, charge.nano);
    }
    maybe_text(out, row.guardrails.as_deref());
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
    let tenant = Arc::new(tenant_of(&mut from)?);
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
    let told = from.numbers()?.unwrap_or_default();
    let usage = usage_of(told);
    let saved = told.get(SAVED_AT).copied().unwrap_or(0);
    let cost = from.numbers()?.map(cost_of);
    let billed = from.maybe_number()?;
    let charges = from.count()?;
    let charges = (0..charges)
        .map(|_| charge_of(&mut from))
        .collect::<Result<Vec<_>, _>>()?;
    let guardrails = from.added_text()?.map(Box::from);
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
        guardrails,
        stream: flags & STREAM != 0,
        latency_ms,
        ttft_ms,
        usage,
        estimated: flags & ESTIMATED != 0,
        cost,
        billed,
        saved,
        charges,
    })
}

/// Where, behind those of usage, the number of what the cache saved stands.
const SAVED_AT: usize = 12;

fn figures(row: &Row) -> [u64; SAVED_AT + 1] {
    let mut all = [row.saved; SAVED_AT + 1];
    for (place, number) in all.iter_mut().zip(usage_numbers(&row.usage)) {
        *place = number;
    }
    all
}

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

fn tenant_of(from: &mut Reader<'_>) -> Result<Tenant, Unreadable> {
    let count = from.count()?;
    let mut tenant = Tenant::default();
    for index in 0..count {
        let name = from.maybe_text()?.map(Arc::from);
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

fn charge_of(from: &mut Reader<'_>) -> Result<Charge, Unreadable> {
    let length = from.small()?;
    let mut own = Reader(from.take(length)?);
    Ok(Charge {
        count: own.text()?.into(),
        window: unzigzag(own.number()?),
        nano: own.number()?,
    })
}
