//! What many rows have in common, as one number: who, which model and target, how it ended.
//!
//! Not for anything that differs with every request. The one idea: as with words (`words.rs`), a label never changes and is
//! never deleted, so its number is remembered in memory and made in a transaction of its own before the rows that use it. Rows
//! of before there were labels have these values in columns of their own.

use super::session::{Access, Backend, Bulk, Record, Type, Value};
use crate::storage::StoreError;
use std::collections::{BTreeSet, HashMap};
use std::sync::RwLock;

/// Columns of `labels` beside its number; those of words first, in the order of `ledger`.
pub(super) const COLUMNS: [(&str, Type); 15] = [
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
];

/// Labels remembered, at most.
const MOST: usize = 100_000;

/// A label: numbers of words, status, stream, estimated.
pub(super) type Label = [i64; COLUMNS.len()];

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Labels(RwLock<HashMap<Label, i64>>);

/// `before` ‖ each column behind a prefix ‖ …
fn each(form: impl Fn(&str) -> String, between: &str) -> String {
    COLUMNS.map(|(name, _)| form(name)).join(between)
}

fn label(record: &Record) -> Result<Label, StoreError> {
    let mut label = [0; COLUMNS.len()];
    for (column, value) in label.iter_mut().enumerate() {
        *value = record.int(1 + column)?;
    }
    Ok(label)
}

impl Labels {
    /// Forget everything: the database may have become another.
    pub(super) fn forget(&self) {
        if let Ok(mut known) = self.0.write() {
            *known = HashMap::new();
        }
    }

    /// Numbers of labels, made where they are missing.
    pub(super) async fn numbers<B: Backend>(
        &self,
        backend: &B,
        labels: &[Label],
    ) -> Result<HashMap<Label, i64>, StoreError> {
        let (mut numbers, mut missing) = (HashMap::new(), BTreeSet::new());
        if let Ok(known) = self.0.read() {
            for label in labels {
                match known.get(label) {
                    Some(number) => drop(numbers.insert(*label, *number)),
                    None => drop(missing.insert(*label)),
                }
            }
        }
        if missing.is_empty() {
            return Ok(numbers);
        }
        let found = make(backend, &missing).await?;
        if let Ok(mut known) = self.0.write() {
            if known.len() + found.len() > MOST {
                *known = HashMap::new();
            }
            known.extend(found.iter().copied());
        }
        numbers.extend(found);
        Ok(numbers)
    }
}

/// Make what is missing and read the numbers. In their order, so that instances that make the same ones wait for each other in it.
async fn make<B: Backend>(backend: &B, missing: &BTreeSet<Label>) -> Result<Vec<(Label, i64)>, StoreError> {
    let values = || missing.iter().flatten().map(|value| Value::from(*value)).collect();
    let names = each(str::to_owned, ", ");
    let same = each(|name| format!("k.{name} = s.{name}"), " AND ");
    let before = format!(
        "INSERT INTO labels ({names}) SELECT {} FROM",
        each(|name| format!("s.{name}"), ", ")
    );
    let after = format!("WHERE NOT EXISTS (SELECT 1 FROM labels k WHERE {same}) ON CONFLICT ({names}) DO NOTHING");
    let insert = Bulk {
        before: &before,
        columns: &COLUMNS,
        after: &after,
    };
    let before = format!("SELECT k.id, {} FROM", each(|name| format!("k.{name}"), ", "));
    let after = format!("JOIN labels k ON {same}");
    let find = Bulk {
        before: &before,
        columns: &COLUMNS,
        after: &after,
    };
    let mut session = backend.begin(Access::Write).await?;
    session.bulk_run(&insert, values()).await?;
    let found = session.bulk(&find, values()).await?;
    session.commit().await?;
    found
        .iter()
        .map(|record| Ok((label(record)?, record.int(0)?)))
        .collect()
}
