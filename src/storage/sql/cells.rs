//! Sums by hour and day, kept while rows are: which tables there are and how a batch is added to them.
//!
//! The one idea: a question is answered from the narrowest table that knows its dimensions ([`ROLLUPS`] is in that order), and
//! what a batch adds is summed up in memory first, so that it writes each cell once, in the order of its key (instances that
//! add at the same time wait for each other and never in a circle).

use super::session::{Bulk, CAP, Dialect, Session, Type, Value};
use super::{DAY_MS, HOUR_MS};
use crate::storage::{Dimension, StoreError};
use std::collections::BTreeMap;

/// Columns of `ledger` that are words and dimensions, in its order.
pub(super) const DIMENSIONS: [Dimension; 11] = [
    Dimension::Organisation,
    Dimension::Team,
    Dimension::Project,
    Dimension::User,
    Dimension::Key,
    Dimension::Model,
    Dimension::Target,
    Dimension::Provider,
    Dimension::Operation,
    Dimension::Outcome,
    Dimension::Cache,
];

/// A dimension's column.
pub(super) fn column(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Organisation => "organisation",
        Dimension::Team => "team",
        Dimension::Project => "project",
        Dimension::User => "user_name",
        Dimension::Key => "key_name",
        Dimension::Model => "model",
        Dimension::Provider => "provider",
        Dimension::Target => "target",
        Dimension::Operation => "operation",
        Dimension::Outcome => "outcome",
        Dimension::Cache => "cache",
        Dimension::Tag => "tag",
    }
}

/// Figures that are summed up, in the order of [`Sums`].
pub(super) const FIGURES: [&str; 16] = [
    "requests",
    "failed",
    "estimated",
    "unpriced",
    "input",
    "output",
    "cached",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "cost",
    "billed",
    "latency_ms",
    "saved",
];
/// Places in [`Sums`] that a corrected price changes.
pub(super) const UNPRICED: usize = 3;
pub(super) const COST: usize = 12;
pub(super) const BILLED: usize = 13;

/// One cell's figures.
pub(super) type Sums = [i64; FIGURES.len()];

/// A table of sums.
#[derive(Debug)]
pub(super) struct Rollup {
    pub table: &'static str,
    /// Length of one cell.
    pub width_ms: i64,
    pub dimensions: &'static [Dimension],
}

const TEAM: &[Dimension] = &[
    Dimension::Organisation,
    Dimension::Team,
    Dimension::Project,
    Dimension::Model,
    Dimension::Provider,
];
const TAG: &[Dimension] = &[
    Dimension::Tag,
    Dimension::Organisation,
    Dimension::Team,
    Dimension::Model,
];

/// Widest cells first, of one width the narrowest key first.
pub(super) static ROLLUPS: [Rollup; 5] = [
    Rollup {
        table: "usage_team_days",
        width_ms: DAY_MS,
        dimensions: TEAM,
    },
    Rollup {
        table: "usage_tag_days",
        width_ms: DAY_MS,
        dimensions: TAG,
    },
    Rollup {
        table: "usage_days",
        width_ms: DAY_MS,
        dimensions: &DIMENSIONS,
    },
    Rollup {
        table: "usage_tag_hours",
        width_ms: HOUR_MS,
        dimensions: TAG,
    },
    Rollup {
        table: "usage_hours",
        width_ms: HOUR_MS,
        dimensions: &DIMENSIONS,
    },
];

/// What one request adds: its time, its words (in the order of [`DIMENSIONS`]), its tags and its figures.
#[derive(Debug)]
pub(super) struct Added {
    pub at_ms: i64,
    pub words: [i64; DIMENSIONS.len()],
    /// None: empty.
    pub tags: Vec<i64>,
    pub sums: Sums,
}

impl Added {
    fn word(&self, dimension: Dimension) -> i64 {
        let known = DIMENSIONS.iter().position(|known| *known == dimension);
        known.and_then(|at| self.words.get(at)).copied().unwrap_or(0)
    }

    /// Its cell, without the tag.
    fn key(&self, rollup: &Rollup, tag: i64) -> Vec<i64> {
        let mut key = Vec::with_capacity(rollup.dimensions.len() + 1);
        key.push(self.at_ms - self.at_ms.rem_euclid(rollup.width_ms));
        key.extend(rollup.dimensions.iter().map(|dimension| match dimension {
            Dimension::Tag => tag,
            other => self.word(*other),
        }));
        key
    }
}

/// Add to all tables.
pub(super) async fn add(session: &mut dyn Session, dialect: &Dialect, added: &[Added]) -> Result<(), StoreError> {
    for rollup in &ROLLUPS {
        let mut cells: BTreeMap<Vec<i64>, Sums> = BTreeMap::new();
        for one in added {
            let tagged = rollup.dimensions.contains(&Dimension::Tag);
            let tags: &[i64] = if tagged && !one.tags.is_empty() {
                &one.tags
            } else {
                &[0]
            };
            for tag in tags {
                let cell = cells.entry(one.key(rollup, *tag)).or_default();
                for (sum, figure) in cell.iter_mut().zip(one.sums) {
                    *sum = sum.saturating_add(figure).clamp(-CAP, CAP);
                }
            }
        }
        let values = cells
            .into_iter()
            .flat_map(|(key, sums)| key.into_iter().chain(sums).map(Value::from));
        write(session, dialect, rollup, values.collect()).await?;
    }
    Ok(())
}

async fn write(
    session: &mut dyn Session,
    dialect: &Dialect,
    rollup: &Rollup,
    values: Vec<Value>,
) -> Result<(), StoreError> {
    let key: Vec<&'static str> = std::iter::once("at_ms")
        .chain(rollup.dimensions.iter().map(|one| column(*one)))
        .collect();
    let all: Vec<&'static str> = key.iter().copied().chain(FIGURES).collect();
    let columns: Vec<_> = all.iter().map(|name| (*name, Type::Int)).collect();
    let read: Vec<_> = all.iter().map(|name| format!("s.{name}")).collect();
    let (least, greatest) = (dialect.least, dialect.greatest);
    let sets = FIGURES.iter().map(|name| {
        let table = rollup.table;
        format!("{name} = {greatest}(0, {least}({CAP}, {table}.{name} + excluded.{name}))")
    });
    let before = format!(
        "INSERT INTO {} ({}) SELECT {} FROM",
        rollup.table,
        all.join(", "),
        read.join(", ")
    );
    let sets = sets.collect::<Vec<_>>().join(", ");
    let after = format!("WHERE TRUE ON CONFLICT ({}) DO UPDATE SET {sets}", key.join(", "));
    let bulk = Bulk {
        before: &before,
        columns: &columns,
        after: &after,
    };
    session.bulk_run(&bulk, values).await.map(drop)
}
