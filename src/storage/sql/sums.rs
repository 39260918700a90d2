//! Usage summed up by dimensions and time.
//!
//! The one idea: time is cut into stretches ([`cover`]), whole days from the tables of days, whole hours beside them from those
//! of hours, and what is left at the edges from single rows; each stretch is one arm of a `UNION ALL`.

use super::cells::{FIGURES, ROLLUPS, Rollup, column};
use super::codec::{FROM_LEDGER, labelled, usage};
use super::records::{BAD_CURSOR, MOST, Narrowed};
use super::session::{Access, Backend, Dialect, Record, Value};
use super::words::Texts;
use super::{DAY_MS, HOUR_MS, SqlStore};
use crate::storage::{Bucket, Dimension, Grouped, Page, StoreError, UsageQuery};
use std::collections::BTreeSet;

/// A stretch of time and where it is read; none: single rows.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    table: Option<&'static str>,
    from: i64,
    to: i64,
}

/// Dimensions told apart, at most.
const MOST_DIMENSIONS: usize = 4;

fn rollup(width_ms: i64, needed: &BTreeSet<Dimension>) -> Option<&'static Rollup> {
    let fits = |rollup: &&Rollup| {
        let tagged = rollup.dimensions.contains(&Dimension::Tag) == needed.contains(&Dimension::Tag);
        rollup.width_ms == width_ms && tagged && needed.iter().all(|one| rollup.dimensions.contains(one))
    };
    ROLLUPS.iter().find(fits)
}

/// Cut a time into stretches.
fn cover(from: i64, to: i64, bucket: Bucket, needed: Option<&BTreeSet<Dimension>>) -> Vec<Stretch> {
    let mut stretches = vec![Stretch { table: None, from, to }];
    let widths = [HOUR_MS, DAY_MS];
    let widths = if bucket == Bucket::Hour {
        widths.get(..1)
    } else {
        widths.get(..)
    };
    for width in widths.unwrap_or_default() {
        let Some(rollup) = needed.and_then(|needed| rollup(*width, needed)) else {
            continue;
        };
        let first = from.saturating_add(width - 1).div_euclid(*width) * width;
        let last = to.div_euclid(*width) * width;
        if first >= last {
            continue;
        }
        // What lies in the middle of the stretch that holds it is read from here; before and after stay as they are.
        let mut cut = Vec::new();
        for old in stretches {
            let (before, after) = (old.to.min(first), old.from.max(last));
            if old.from < before {
                cut.push(Stretch { to: before, ..old });
            }
            if after < old.to {
                cut.push(Stretch { from: after, ..old });
            }
        }
        cut.push(Stretch {
            table: Some(rollup.table),
            from: first,
            to: last,
        });
        stretches = cut;
    }
    stretches.retain(|stretch| stretch.from < stretch.to);
    stretches
}

/// Start of the bucket of a time, as SQL.
fn bucket_of(bucket: Bucket, at: &str, dialect: &Dialect) -> String {
    match bucket {
        Bucket::All => "0".to_owned(),
        Bucket::Hour => format!("({at} / {HOUR_MS} * {HOUR_MS})"),
        Bucket::Day => format!("({at} / {DAY_MS} * {DAY_MS})"),
        Bucket::Month => dialect.month.replace("{}", at),
    }
}

/// What a row adds to each figure.
fn of_row(figure: &str, outcome_ok: i64) -> String {
    match figure {
        "requests" => "1".to_owned(),
        "failed" => {
            let (status, outcome) = (labelled("status"), labelled("outcome"));
            format!("CASE WHEN {status} >= 400 OR {outcome} <> {outcome_ok} THEN 1 ELSE 0 END")
        }
        "unpriced" => "CASE WHEN l.cost IS NULL THEN 1 ELSE 0 END".to_owned(),
        "estimated" => labelled("estimated"),
        other => format!("COALESCE(l.{other}, 0)"),
    }
}

/// One stretch as a `SELECT` of bucket, dimensions and figures.
fn arm(stretch: &Stretch, query: &UsageQuery, narrowed: &Narrowed, dialect: &Dialect, ok: i64) -> String {
    let at = bucket_of(query.bucket, "l.at_ms", dialect);
    let tagged = query.by.contains(&Dimension::Tag);
    let single = stretch.table.is_none();
    let mut selected = vec![format!("{at} AS bucket")];
    for (number, dimension) in query.by.iter().enumerate() {
        let from = match dimension {
            Dimension::Tag if single => dialect.tag.to_owned(),
            other if single => labelled(column(*other)),
            other => format!("l.{}", column(*other)),
        };
        selected.push(format!("{from} AS d{number}"));
    }
    selected.extend(FIGURES.iter().map(|figure| {
        let from = if single {
            of_row(figure, ok)
        } else {
            format!("l.{figure}")
        };
        format!("{from} AS {figure}")
    }));
    let table = stretch
        .table
        .map_or(FROM_LEDGER.to_owned(), |table| format!("{table} l"));
    let join = if single && tagged { dialect.tags } else { "" };
    let tag = if single {
        tagged.then_some(dialect.tag)
    } else {
        Some("l.tag")
    };
    let mut sql = format!(
        "SELECT {} FROM {table} {join} WHERE l.at_ms >= {} AND l.at_ms < {}{}",
        selected.join(", "),
        stretch.from,
        stretch.to,
        narrowed.conditions(single, tag)
    );
    if single {
        sql.push_str(" AND l.attempt = 0");
    }
    sql
}

/// The whole question. Numbers only; nothing of it came as text from outside.
fn question(query: &UsageQuery, arms: &[String], after: Option<&[i64]>, sum: &str) -> String {
    let keys: Vec<String> = std::iter::once("bucket".to_owned())
        .chain((0..query.by.len()).map(|n| format!("d{n}")))
        .collect();
    let keys = keys.join(", ");
    let sums = FIGURES.map(|figure| sum.replace("{}", figure)).join(", ");
    let mut sql = format!("SELECT {keys}, {sums} FROM ({}) AS u", arms.join(" UNION ALL "));
    if let Some(after) = after {
        let after = after.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        sql.push_str(&format!(" WHERE ({keys}) > ({after})"));
    }
    let limit = u64::from(query.limit.clamp(1, MOST)) + 1;
    sql.push_str(&format!(" GROUP BY {keys} ORDER BY {keys} LIMIT {limit}"));
    sql
}

fn grouped(record: &Record, query: &UsageQuery, texts: &Texts) -> Result<Grouped, StoreError> {
    let width = query.by.len();
    let mut values = Vec::with_capacity(width);
    for column in 1..=width {
        values.push(texts.of(record.int(column)?).map(|text| text.to_string()));
    }
    let figure = |number: usize| record.figure(1 + width + number);
    Ok(Grouped {
        at_ms: if query.bucket == Bucket::All {
            query.filter.from_ms
        } else {
            record.int(0)?
        },
        values,
        requests: figure(0)?,
        failed: figure(1)?,
        estimated: figure(2)?,
        unpriced: figure(3)?,
        usage: usage(record, 1 + width + 4)?,
        cost: figure(12)?,
        billed: figure(13)?,
        latency_ms: figure(14)?,
        saved: figure(15)?,
    })
}

/// What a page ended with: the numbers of its last group.
fn cursor(text: &str, width: usize) -> Option<Vec<i64>> {
    let numbers: Vec<i64> = text
        .split('.')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    (numbers.len() == width + 1).then_some(numbers)
}

impl<B: Backend> SqlStore<B> {
    pub(super) async fn sum_up(&self, query: &UsageQuery) -> Result<Page<Grouped>, StoreError> {
        let mut query = query.clone();
        query.by.truncate(MOST_DIMENSIONS);
        let query = &query;
        let narrowed = self.narrow(&query.filter).await?;
        let after = query
            .cursor
            .as_deref()
            .map(|text| cursor(text, query.by.len()).ok_or(BAD_CURSOR))
            .transpose()?;
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        if narrowed.is_empty() {
            return Ok(page);
        }
        let needed: BTreeSet<Dimension> = query
            .by
            .iter()
            .copied()
            .chain(narrowed.dimensions().map(|(one, _)| one))
            .collect();
        // With several tags wanted and not told apart, a request that has two would count twice in sums by tag.
        let twice = narrowed
            .dimensions()
            .any(|(one, values)| one == Dimension::Tag && values > 1)
            && !query.by.contains(&Dimension::Tag);
        let stretches = cover(
            narrowed.from_ms,
            narrowed.to_ms,
            query.bucket,
            (!twice).then_some(&needed),
        );
        let ok = self
            .words
            .numbers(&self.backend, std::iter::once("ok"), false)
            .await?
            .of(Some("ok"));
        let dialect = self.backend.dialect();
        let arms: Vec<_> = stretches
            .iter()
            .map(|stretch| arm(stretch, query, &narrowed, dialect, ok))
            .collect();
        if arms.is_empty() {
            return Ok(page);
        }
        let mut session = self.backend.begin(Access::Read).await?;
        let mut found = session
            .fetch(&question(query, &arms, after.as_deref(), dialect.sum), Vec::new())
            .await;
        if matches!(&found, Err(StoreError::Failed(text)) if text.contains("integer overflow")) {
            found = session
                .fetch(
                    &question(query, &arms, after.as_deref(), dialect.absurd_sum),
                    Vec::new(),
                )
                .await;
        }
        let mut found = found?;
        let limit = usize::try_from(query.limit.clamp(1, MOST)).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let mut wanted = BTreeSet::new();
        for record in &found {
            for column in 1..=query.by.len() {
                wanted.insert(record.int(column)?);
            }
        }
        let texts = self.words.texts(&mut *session, &wanted).await?;
        session.commit().await?;
        page.items = found
            .iter()
            .map(|record| grouped(record, query, &texts))
            .collect::<Result<_, _>>()?;
        let key = found
            .last()
            .filter(|_| more)
            .and_then(|record| record.0.get(..=query.by.len()));
        page.next = key.map(|key| {
            let numbers = key.iter().map(|value| {
                if let Value::Int(Some(number)) = value {
                    *number
                } else {
                    0
                }
            });
            numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(".")
        });
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(dimensions: &[Dimension]) -> BTreeSet<Dimension> {
        dimensions.iter().copied().collect()
    }

    #[test]
    fn whole_days_whole_hours_and_the_edges() {
        let team = needed(&[Dimension::Team]);
        let (from, to) = (DAY_MS - 2 * HOUR_MS - 5, 3 * DAY_MS + HOUR_MS + 7);
        let mut found = cover(from, to, Bucket::Day, Some(&team));
        found.sort_by_key(|stretch| stretch.from);
        let at = |table, from, to| Stretch { table, from, to };
        let hours = Some("usage_hours");
        let expected = [
            at(None, from, DAY_MS - 2 * HOUR_MS),
            at(hours, DAY_MS - 2 * HOUR_MS, DAY_MS),
            at(Some("usage_team_days"), DAY_MS, 3 * DAY_MS),
            at(hours, 3 * DAY_MS, 3 * DAY_MS + HOUR_MS),
            at(None, 3 * DAY_MS + HOUR_MS, to),
        ];
        assert_eq!(found, expected);
        assert_eq!(cover(5, 6, Bucket::All, Some(&team)), [at(None, 5, 6)]);
        assert_eq!(cover(0, DAY_MS, Bucket::Hour, Some(&team)), [at(hours, 0, DAY_MS)]);
        let wide = needed(&[Dimension::Tag, Dimension::User]);
        assert_eq!(cover(0, DAY_MS, Bucket::Day, Some(&wide)), [at(None, 0, DAY_MS)]);
    }

    proptest::proptest! {
        /// Whatever is asked, the stretches cover it exactly once.
        #[test]
        fn nothing_is_left_out_or_read_twice(from in 0..10 * DAY_MS, length in 0..10 * DAY_MS, hours: bool, narrow: bool) {
            let bucket = if hours { Bucket::Hour } else { Bucket::Month };
            let dimensions = needed(&[if narrow { Dimension::Team } else { Dimension::Key }]);
            let mut found = cover(from, from + length, bucket, Some(&dimensions));
            found.sort_by_key(|stretch| stretch.from);
            let mut at = from;
            for stretch in found {
                proptest::prop_assert!(stretch.from == at && stretch.to > at);
                at = stretch.to;
            }
            proptest::prop_assert_eq!(at, from + length);
        }
    }
}
