//! What models cost: the table, how a model's entry is found in it, margins, and what past usage would cost.
//!
//! Not the arithmetic of one call ([`crate::units::Price::of`]) and not the file: `config::prices` reads YAML into the
//! [`Layer`]s of a [`Table`]. The one idea: a model's name leads to [`Periods`], and a moment picks one [`Entry`] of them, so
//! that yesterday's call costs what it cost yesterday. A model that is not found has no cost: [`None`], never zero.

mod name;
mod table;

pub use name::{Pattern, Selector, undated};
pub use table::{Confidence, Entry, Facts, Layer, Named, Periods, Prices, Table, Vendor};

use crate::units::{Cost, NanoUsd, Usage};

/// What a past call costs by the entry that held when it was made. `at` in seconds since 1970. Pure: the ledger's rows are
/// repriced with it.
pub fn recompute(table: &Table, vendor: &str, model: &str, usage: &Usage, at: i64) -> Option<Cost> {
    table.find(vendor, model, at).map(|entry| entry.price.of(usage))
}

/// What a cost is billed at: with a margin in hundredths of a percent, rounded up to a nano-dollar, so that a margin never
/// turns into a loss.
pub fn billed(cost: NanoUsd, margin: u32) -> NanoUsd {
    let nano = (u128::from(cost) * (10_000 + u128::from(margin))).div_ceil(10_000);
    u64::try_from(nano).unwrap_or(u64::MAX)
}
