//! Usage rows: how they are written and given another cost.
//!
//! The one idea: only rows that the database did not have are added to sums and counts, in the same transaction. So storing a
//! batch twice, or two that overlap at once, is storing it once. Nearly always all of a batch are new, which their number tells;
//! else the batch is written again from the start and the database says which are (`RETURNING`).

use super::batch::{self, Batch, PLAIN};
use super::cells::{self, Added, BILLED, COST as COST_SUM, DIMENSIONS, FIGURES, Sums, UNPRICED};
use super::codec::{
    self, BILLED_AT, COST_AT, FROM_LEDGER, PLACE, Place, WORDS_AT, capped, names, place, place_of, place_values, rest,
    tags_in,
};
use super::labels;
use super::rest::kept_cost;
use super::session::{Access, Backend, Bulk, CAP, Record, Session, Type, Value};
use super::{SqlStore, month_after, month_of};
use crate::ledger::{Charge, Row};
use crate::storage::StoreError;
use std::collections::{BTreeMap, BTreeSet};

impl<B: Backend> SqlStore<B> {
    pub(super) async fn insert_rows(&self, rows: &[Row]) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let batch = Batch::of(self, rows).await?;
        self.backend.make_room(&months(&batch)).await?;
        let all = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let mut session = self.backend.begin(Access::Write).await?;
        let (plain, full) = batch.values();
        let after = "WHERE TRUE ON CONFLICT (at_ms, id, attempt) DO NOTHING";
        let mut new = 0;
        for (columns, values) in [(&batch::COLUMNS[..PLAIN], plain), (&batch::COLUMNS[..], full)] {
            let before = insert_into(columns);
            let bulk = Bulk {
                before: &before,
                columns,
                after,
            };
            new += session.bulk_run(&bulk, values).await?;
        }
        if new != all {
            drop(session);
            return self.insert_new(&batch).await;
        }
        self.add_up(&mut *session, &batch, |_| true).await?;
        session.commit().await?;
        Ok(new)
    }

    /// The same where some rows are there already.
    async fn insert_new(&self, batch: &Batch<'_>) -> Result<u64, StoreError> {
        let mut session = self.backend.begin(Access::Write).await?;
        let (plain, full) = batch.values();
        let mut new = BTreeSet::<Place>::new();
        for (columns, values) in [(&batch::COLUMNS[..PLAIN], plain), (&batch::COLUMNS[..], full)] {
            let before = insert_into(columns);
            let bulk = Bulk {
                before: &before,
                columns,
                after: "WHERE TRUE ON CONFLICT (at_ms, id, attempt) DO NOTHING RETURNING at_ms, id, attempt",
            };
            for record in session.bulk(&bulk, values).await? {
                new.insert(place_of(&record)?);
            }
        }
        self.add_up(&mut *session, batch, |place| new.contains(place)).await?;
        session.commit().await?;
        Ok(u64::try_from(new.len()).unwrap_or(u64::MAX))
    }

    /// Add new rows to sums and counts.
    async fn add_up(
        &self,
        session: &mut dyn Session,
        batch: &Batch<'_>,
        new: impl Fn(&Place) -> bool,
    ) -> Result<(), StoreError> {
        let (requests, counts) = batch.sums(new);
        let dialect = self.backend.dialect();
        cells::add(session, dialect, &requests).await?;
        let after = format!(
            "WHERE TRUE ON CONFLICT (count, began_at) DO UPDATE SET nano = {}({CAP}, counts.nano + excluded.nano)",
            dialect.least
        );
        let bulk = Bulk {
            before: "INSERT INTO counts (count, began_at, nano) SELECT s.count, s.began_at, s.nano FROM",
            columns: &[("count", Type::Int), ("began_at", Type::Int), ("nano", Type::Int)],
            after: &after,
        };
        let counts = counts
            .into_iter()
            .flat_map(|((count, window), nano)| [count.into(), window.into(), nano.into()]);
        session.bulk_run(&bulk, counts.collect()).await.map(drop)
    }

    pub(super) async fn read_counts(&self, since: i64) -> Result<Vec<Charge>, StoreError> {
        let sql = "SELECT w.text, c.began_at, c.nano FROM counts c JOIN words w ON w.id = c.count WHERE c.began_at >= $1 \
                   ORDER BY c.began_at, w.text";
        let mut session = self.backend.begin(Access::Read).await?;
        let found = session.fetch(sql, vec![since.into()]).await?;
        session.commit().await?;
        let charges = found.iter().map(|record| {
            Ok(Charge {
                count: record.text(0)?.into(),
                window: record.int(1)?,
                nano: record.figure(2)?,
            })
        });
        charges.collect()
    }

    pub(super) async fn reprice_rows(&self, rows: &[Row]) -> Result<u64, StoreError> {
        let rows: BTreeMap<Place, &Row> = rows.iter().map(|row| (place(row), row)).collect();
        let before = format!("SELECT {} FROM", names());
        let lock = self.backend.dialect().for_update.replace("{}", "l");
        let same = "l.at_ms = s.at_ms AND l.id = s.id AND l.attempt = s.attempt";
        let ledger = FROM_LEDGER.replacen(" LEFT", &format!(" ON {same} LEFT"), 1);
        let after = format!("JOIN {ledger} ORDER BY l.at_ms, l.id, l.attempt{lock}");
        let bulk = Bulk {
            before: &before,
            columns: &PLACE,
            after: &after,
        };
        let mut session = self.backend.begin(Access::Write).await?;
        let found = session
            .bulk(&bulk, rows.keys().flat_map(place_values).collect())
            .await?;
        let (mut updates, mut changed, mut differed) = (Vec::new(), Vec::new(), 0_u64);
        for record in &found {
            let place = place_of(record)?;
            let Some(row) = rows.get(&place) else { continue };
            let cost = Value::Int(row.cost.as_ref().map(|cost| capped(cost.total())));
            let billed = Value::Int(row.billed.map(capped));
            let mut rest = rest(record)?;
            let was = std::mem::replace(&mut rest.cost, kept_cost(&row.cost.unwrap_or_default()));
            let before = (record.0.get(COST_AT), record.0.get(BILLED_AT), was);
            if before == (Some(&cost), Some(&billed), rest.cost) {
                continue;
            }
            if place.2 == 0 {
                changed.push(difference(record, row)?);
            }
            updates.extend(place_values(&place));
            updates.extend([cost, billed, Value::Blob(Some(rest.encode()))]);
            differed += 1;
        }
        let columns: Vec<_> = PLACE.iter().chain(&codec::COST).copied().collect();
        let sets = codec::COST.map(|(name, _)| format!("{name} = s.{name}"));
        let before = format!("UPDATE ledger AS l SET {} FROM", sets.join(", "));
        let after = format!("WHERE {same}");
        let bulk = Bulk {
            before: &before,
            columns: &columns,
            after: &after,
        };
        session.bulk_run(&bulk, updates).await?;
        cells::add(&mut *session, self.backend.dialect(), &changed).await?;
        session.commit().await?;
        Ok(differed)
    }
}

/// The months of rows that are sorted by time.
fn months(batch: &Batch<'_>) -> Vec<i64> {
    let mut months = Vec::new();
    let mut end = i64::MIN;
    for (at, ..) in batch.places() {
        if *at >= end {
            months.push(month_of(*at));
            end = month_after(*at);
        }
    }
    months
}

/// What stands before the values of rows. What a label says is not said again: those columns are of before there were labels.
fn insert_into(columns: &[(&str, Type)]) -> String {
    let given: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let read: Vec<_> = given.iter().map(|name| format!("s.{name}")).collect();
    let labelled = labels::COLUMNS.map(|(name, _)| name).join(", ");
    format!(
        "INSERT INTO ledger ({}, {labelled}, request_id) SELECT {}, {}, '' FROM",
        given.join(", "),
        read.join(", "),
        ["0"; labels::COLUMNS.len()].join(", ")
    )
}

/// What another cost adds to the sums of a stored request.
fn difference(record: &Record, row: &Row) -> Result<Added, StoreError> {
    let mut words = [0; DIMENSIONS.len()];
    for (column, word) in words.iter_mut().enumerate() {
        *word = record.int(WORDS_AT + column)?;
    }
    let was = |column: usize| Ok::<_, StoreError>(record.maybe_int(column)?.unwrap_or(0));
    let mut sums: Sums = [0; FIGURES.len()];
    let now = row.cost.map_or(0, |cost| capped(cost.total()));
    sums[UNPRICED] = i64::from(row.cost.is_none()) - i64::from(record.maybe_int(COST_AT)?.is_none());
    sums[COST_SUM] = now - was(COST_AT)?;
    sums[BILLED] = row.billed.map_or(0, capped) - was(BILLED_AT)?;
    Ok(Added {
        at_ms: record.int(0)?,
        words,
        tags: tags_in(record)?,
        sums,
    })
}
