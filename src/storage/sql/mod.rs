//! The store over SQL, once for both backends: a file for each of its subjects.
//!
//! Nothing here names a database; where their SQL differs it asks [`Dialect`]. The one idea: every call is one transaction that
//! either happened or did not, and gives up after a while.

mod audit;
mod batch;
mod cells;
mod codec;
mod labels;
mod ledger;
mod objects;
mod records;
mod rest;
mod secrets;
mod session;
mod sums;
mod upkeep;
mod words;

pub(crate) use session::{Access, Backend, Bulk, Dialect, Look, Record, Session, Type, Value};

use self::labels::Labels;
use self::session::{AT_LENGTH, LATER, SOON, within};
use self::words::Words;
use super::sealed::Sealed;
use super::{
    AuditEntry, AuditNote, Change, Grouped, Kind, Maintained, Object, Page, Records, Revision, SecretName, Store,
    StoreError, UsageQuery, Verified,
};
use crate::ledger::{Charge, Row};
use async_trait::async_trait;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// An hour in milliseconds.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// The latest moment that is kept as it is: the end of the year 9998.
pub(crate) const LATEST_MS: i64 = 253_370_764_800_000;

/// A store over a database.
pub(crate) struct SqlStore<B> {
    backend: B,
    words: Words,
    labels: Labels,
}

impl<B: Backend> SqlStore<B> {
    /// Over an open database.
    pub(crate) fn new(backend: B) -> Self {
        Self {
            backend,
            words: Words::default(),
            labels: Labels::default(),
        }
    }

    /// Wait for an answer so long; what was remembered of a database that went away is forgotten: it may come back as another.
    async fn asked<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answer = within(limit, work).await;
        if let Err(StoreError::Unavailable(_)) = answer {
            self.words.forget();
            self.labels.forget();
            self.backend.forget();
        }
        answer
    }
}

#[async_trait]
impl<B: Backend> Store for SqlStore<B> {
    fn name(&self) -> &'static str {
        self.backend.dialect().name
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.asked(SOON, self.read_revision()).await.map(drop)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.asked(SOON, self.read_revision()).await
    }

    async fn changes(&self, after: Revision) -> Result<Vec<Object>, StoreError> {
        self.asked(LATER, self.read_changes(after)).await
    }

    async fn object(&self, kind: Kind, name: &str) -> Result<Option<Object>, StoreError> {
        self.asked(SOON, self.read_object(kind, name)).await
    }

    async fn change(&self, changes: &[Change]) -> Result<Revision, StoreError> {
        self.asked(LATER, self.write_changes(changes)).await
    }

    async fn setting(&self, name: &str, propose: &str) -> Result<String, StoreError> {
        self.asked(SOON, self.settle_setting(name, propose)).await
    }

    async fn insert(&self, rows: &[Row]) -> Result<u64, StoreError> {
        self.asked(LATER, self.insert_rows(rows)).await
    }

    async fn counts(&self, since: i64) -> Result<Vec<Charge>, StoreError> {
        self.asked(LATER, self.read_counts(since)).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Page<Grouped>, StoreError> {
        self.asked(LATER, self.sum_up(query)).await
    }

    async fn records(&self, query: &Records) -> Result<Page<Row>, StoreError> {
        self.asked(LATER, self.read_records(query)).await
    }

    async fn reprice(&self, rows: &[Row]) -> Result<u64, StoreError> {
        self.asked(LATER, self.reprice_rows(rows)).await
    }

    async fn audit(&self, note: &AuditNote) -> Result<i64, StoreError> {
        self.asked(SOON, self.append_audit(note)).await
    }

    async fn audit_log(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.asked(LATER, self.read_audit(after, limit)).await
    }

    async fn verify_audit(&self) -> Result<Verified, StoreError> {
        self.asked(AT_LENGTH, self.check_audit()).await
    }

    async fn maintain(&self, now_ms: i64, keep_days: u32, keep_audit_days: u32) -> Result<Maintained, StoreError> {
        self.asked(AT_LENGTH, self.keep_up(now_ms, keep_days, keep_audit_days))
            .await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.asked(AT_LENGTH, self.backend.backup(to)).await
    }

    async fn put_secret(&self, kind: &str, name: &str, sealed: &Sealed) -> Result<(), StoreError> {
        self.asked(SOON, self.write_secret(kind, name, sealed)).await
    }

    async fn secret(&self, kind: &str, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.asked(SOON, self.read_secret(kind, name)).await
    }

    async fn secret_names(&self) -> Result<Vec<SecretName>, StoreError> {
        self.asked(SOON, self.list_secrets()).await
    }

    async fn secrets(&self, kind: &str) -> Result<BTreeMap<String, Sealed>, StoreError> {
        self.asked(SOON, self.read_secrets(kind)).await
    }

    async fn delete_secret(&self, kind: &str, name: &str) -> Result<bool, StoreError> {
        self.asked(SOON, self.remove_secret(kind, name)).await
    }
}

/// Start of the month (UTC) of a moment, in milliseconds.
pub(crate) fn month_of(at_ms: i64) -> i64 {
    month(at_ms, false)
}

/// Start of the month after.
pub(crate) fn month_after(at_ms: i64) -> i64 {
    month(at_ms, true)
}

fn month(at_ms: i64, next: bool) -> i64 {
    let start = || {
        let at = jiff::Timestamp::from_millisecond(at_ms.clamp(0, LATEST_MS)).ok()?;
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let day = if next {
            date.last_of_month().tomorrow().ok()?
        } else {
            date.first_of_month()
        };
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
    };
    start().unwrap_or(0)
}

/// Text as both databases keep it: PostgreSQL knows no NUL.
pub(crate) fn kept(text: &str) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A name or a value that must be kept exactly.
pub(crate) fn exact(text: &str) -> Result<Value, StoreError> {
    if text.contains('\0') {
        return Err(StoreError::Failed("a name or value holds a NUL character".to_owned()));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_calendar_months() {
        let november = 1_793_491_200_000; // 2026-11-01
        assert_eq!(month_of(november), november);
        assert_eq!(month_of(november - 1), november - 31 * DAY_MS);
        assert_eq!(month_after(november + 5 * DAY_MS), november + 30 * DAY_MS);
        assert_eq!(month_of(i64::MIN), 0);
        assert!(month_after(i64::MAX) > LATEST_MS - 32 * DAY_MS);
    }
}
