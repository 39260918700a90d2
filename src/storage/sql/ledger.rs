//! Usage rows: how they are written and given another cost.
//!
//! The one idea: the database says which rows of a batch it did not have (`RETURNING`), and only those are added to sums and
//! counts, in the same transaction. So storing a batch twice, or two that overlap at once, is storing it once.

use super::cells::{self, Added, BILLED, COST, DIMENSIONS, FIGURES, Sums, UNPRICED};
use super::codec::{
    BILLED_AT, COLUMNS, COST_AT, Place, WORDS_AT, added, all_words, capped, cost_values, names, place, place_of,
    place_values, tags_in, values,
};
use super::session::{Access, Backend, Bulk, CAP, Record, Type};
use super::{SqlStore, month_of};
use crate::ledger::{Charge, Row};
use crate::storage::StoreError;
use std::collections::{BTreeMap, BTreeSet};

impl<B: Backend> SqlStore<B> {
    pub(super) async fn insert_rows(&self, rows: &[Row]) -> Result<u64, StoreError> {
        // In the order of their places: for who inserts the same at the same time, and because the table is sorted so.
        let rows: BTreeMap<Place, &Row> = rows.iter().map(|row| (place(row), row)).collect();
        if rows.is_empty() {
            return Ok(0);
        }
        let numbers = self
            .words
            .numbers(&self.backend, rows.values().copied().flat_map(all_words), true)
            .await?;
        let months: BTreeSet<i64> = rows.keys().map(|(at, ..)| month_of(*at)).collect();
        self.backend.make_room(&months.into_iter().collect::<Vec<_>>()).await?;
        let before = format!("INSERT INTO ledger ({}) SELECT {} FROM", names(""), names("s."));
        let bulk = Bulk {
            before: &before,
            columns: &COLUMNS,
            after: "WHERE TRUE ON CONFLICT (at_ms, id, attempt) DO NOTHING RETURNING at_ms, id, attempt",
        };
        let mut session = self.backend.begin(Access::Write).await?;
        let written = session
            .bulk(&bulk, rows.values().map(|row| values(row, &numbers)).collect())
            .await?;
        let (mut requests, mut counts) = (Vec::new(), BTreeMap::<(i64, i64), i64>::new());
        for record in &written {
            let Some(row) = rows.get(&place_of(record)?) else {
                continue;
            };
            if row.attempt == 0 {
                requests.push(added(row, &numbers));
            }
            for charge in &row.charges {
                let count = counts
                    .entry((numbers.of(Some(&charge.count)), charge.window))
                    .or_default();
                *count = count.saturating_add(capped(charge.nano)).min(CAP);
            }
        }
        let dialect = self.backend.dialect();
        cells::add(&mut *session, dialect, &requests).await?;
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
            .map(|((count, window), nano)| vec![count.into(), window.into(), nano.into()]);
        session.bulk(&bulk, counts.collect()).await?;
        session.commit().await?;
        Ok(u64::try_from(written.len()).unwrap_or(u64::MAX))
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
        let key = &COLUMNS[..WORDS_AT];
        let before = format!("SELECT {} FROM", names("l."));
        let lock = self.backend.dialect().for_update.replace("{}", "l");
        let same = "l.at_ms = s.at_ms AND l.id = s.id AND l.attempt = s.attempt";
        let after = format!("JOIN ledger l ON {same} ORDER BY l.at_ms, l.id, l.attempt{lock}");
        let bulk = Bulk {
            before: &before,
            columns: key,
            after: &after,
        };
        let mut session = self.backend.begin(Access::Write).await?;
        let found = session.bulk(&bulk, rows.keys().map(place_values).collect()).await?;
        let (mut updates, mut changed) = (Vec::new(), Vec::new());
        for record in &found {
            let place = place_of(record)?;
            let Some(row) = rows.get(&place) else { continue };
            let update = cost_values(row);
            let was = record.0.get(COST_AT..=BILLED_AT).unwrap_or_default();
            if was == update {
                continue;
            }
            if place.2 == 0 {
                changed.push(difference(record, row)?);
            }
            updates.push(place_values(&place).into_iter().chain(update).collect());
        }
        let columns: Vec<_> = key.iter().chain(&COLUMNS[COST_AT..=BILLED_AT]).copied().collect();
        let sets: Vec<_> = COLUMNS[COST_AT..=BILLED_AT]
            .iter()
            .map(|(name, _)| format!("{name} = s.{name}"))
            .collect();
        let before = format!("UPDATE ledger AS l SET {} FROM", sets.join(", "));
        let after = format!("WHERE {same}");
        let bulk = Bulk {
            before: &before,
            columns: &columns,
            after: &after,
        };
        let differed = updates.len();
        session.bulk(&bulk, updates).await?;
        cells::add(&mut *session, self.backend.dialect(), &changed).await?;
        session.commit().await?;
        Ok(u64::try_from(differed).unwrap_or(u64::MAX))
    }
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
    sums[COST] = now - was(COST_AT)?;
    sums[BILLED] = row.billed.map_or(0, capped) - was(BILLED_AT)?;
    Ok(Added {
        at_ms: record.int(0)?,
        words,
        tags: tags_in(record)?,
        sums,
    })
}
