//! Single rows, newest first, page by page; and what a filter is in SQL.

use super::cells::column;
use super::codec::{FROM_LEDGER, labelled, names, numbers_in, row};
use super::session::{Access, Backend, Value};
use super::words::Numbers;
use super::{LATEST_MS, SqlStore};
use crate::ledger::Row;
use crate::storage::{Dimension, Filter, Page, Records, StoreError};
use std::collections::BTreeSet;

/// Most rows of one page.
pub(super) const MOST: u32 = 10_000;
/// Answer to a cursor that is none.
pub(super) const BAD_CURSOR: StoreError = StoreError::Conflict("the cursor is not one of this question");

/// A filter with numbers for words.
#[derive(Debug)]
pub(super) struct Narrowed {
    pub from_ms: i64,
    pub to_ms: i64,
    only: Vec<(Dimension, Vec<i64>)>,
}

impl Narrowed {
    /// Whether it asks for a value that no row has.
    pub(super) fn is_empty(&self) -> bool {
        self.from_ms >= self.to_ms || self.only.iter().any(|(_, numbers)| numbers.is_empty())
    }

    /// The dimensions it asks about, with how many values of each.
    pub(super) fn dimensions(&self) -> impl Iterator<Item = (Dimension, usize)> {
        self.only.iter().map(|(dimension, numbers)| (*dimension, numbers.len()))
    }

    /// ` AND …`, over a table `l`: single rows with their labels, or sums. Tags are looked for in the row's list unless they are
    /// a column (`tag`) there.
    pub(super) fn conditions(&self, single: bool, tag: Option<&str>) -> String {
        let mut sql = String::new();
        for (dimension, numbers) in &self.only {
            let list = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            if *dimension != Dimension::Tag {
                let column = column(*dimension);
                let column = if single {
                    labelled(column)
                } else {
                    format!("l.{column}")
                };
                sql.push_str(&format!(" AND {column} IN ({list})"));
            } else if let Some(tag) = tag {
                sql.push_str(&format!(" AND {tag} IN ({list})"));
            } else {
                let each = numbers.iter().map(|number| format!("l.tags LIKE '%,{number},%'"));
                sql.push_str(&format!(" AND ({})", each.collect::<Vec<_>>().join(" OR ")));
            }
        }
        sql
    }
}

impl<B: Backend> SqlStore<B> {
    /// Look up what a filter names.
    pub(super) async fn narrow(&self, filter: &Filter) -> Result<Narrowed, StoreError> {
        let words = filter.only.iter().flat_map(|(_, values)| values).map(String::as_str);
        let numbers: Numbers = self.words.numbers(&self.backend, words, false).await?;
        let only = filter.only.iter().map(|(dimension, values)| {
            let known: BTreeSet<i64> = values
                .iter()
                .map(|value| numbers.of(Some(value)))
                .filter(|number| *number != 0)
                .collect();
            (*dimension, known.into_iter().collect())
        });
        Ok(Narrowed {
            from_ms: filter.from_ms.clamp(0, LATEST_MS + 1),
            to_ms: filter.to_ms.clamp(0, LATEST_MS + 1),
            only: only.collect(),
        })
    }

    pub(super) async fn read_records(&self, query: &Records) -> Result<Page<Row>, StoreError> {
        let narrowed = self.narrow(&query.filter).await?;
        let after = query
            .cursor
            .as_deref()
            .map(|text| cursor(text).ok_or(BAD_CURSOR))
            .transpose()?;
        if narrowed.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        let limit = query.limit.clamp(1, MOST);
        let mut sql = format!(
            "SELECT {} FROM {FROM_LEDGER} WHERE l.at_ms >= {} AND l.at_ms < {}{}",
            names(),
            narrowed.from_ms,
            narrowed.to_ms,
            narrowed.conditions(true, None)
        );
        if !query.attempts {
            sql.push_str(" AND l.attempt = 0");
        }
        let mut args = Vec::new();
        if let Some((at, id, attempt)) = after {
            sql.push_str(" AND l.at_ms <= $1 AND (l.at_ms, l.id, l.attempt) < ($1, $2, $3)");
            args.extend([
                Value::from(at),
                Value::Blob(Some(id.to_be_bytes().to_vec())),
                Value::from(attempt),
            ]);
        }
        sql.push_str(&format!(
            " ORDER BY l.at_ms DESC, l.id DESC, l.attempt DESC LIMIT {}",
            u64::from(limit) + 1
        ));
        let mut session = self.backend.begin(Access::Read).await?;
        let found = session.fetch(&sql, args).await?;
        let mut wanted = BTreeSet::new();
        for record in &found {
            numbers_in(record, &mut wanted)?;
        }
        let texts = self.words.texts(&mut *session, &wanted).await?;
        session.commit().await?;
        let mut items: Vec<Row> = found
            .iter()
            .map(|record| row(record, &texts))
            .collect::<Result<_, _>>()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.map(|row| format!("{}.{:032x}.{}", row.at_ms, row.id.0, row.attempt));
        Ok(Page { items, next })
    }
}

fn cursor(text: &str) -> Option<(i64, u128, i64)> {
    let mut parts = text.split('.');
    let at = parts.next()?.parse().ok()?;
    let id = parts.next().filter(|id| id.len() == 32)?;
    let id = u128::from_str_radix(id, 16).ok()?;
    let attempt = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((at, id, attempt))
}
