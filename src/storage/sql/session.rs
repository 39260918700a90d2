//! What the two SQL backends look like to the code that is the same for both: values, records, a session (one transaction),
//! and the few phrases in which their SQL differs.
//!
//! Not an ORM and no query builder: statements are text with `$1`, `$2`, …, which both backends read. Values from outside only
//! ever travel as arguments; what is put into the text is numbers and names of columns written here. The one idea is
//! [`Session::bulk`]: a table of values that a statement may read from, so that a batch is one statement and not one each.

use crate::storage::StoreError;
use async_trait::async_trait;
use std::time::Duration;

/// Largest figure that is kept; two of them add up without leaving what the databases can count with. Sums stop here.
pub(crate) const CAP: i64 = (1 << 62) - 1;

/// What goes into or comes out of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Of integer columns.
    Int(Option<i64>),
    /// Of text columns.
    Text(Option<String>),
    /// Of columns of bytes.
    Blob(Option<Vec<u8>>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

/// Type of a column of [`Bulk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Integers.
    Int,
    /// Text.
    Text,
    /// Bytes.
    Blob,
}

/// One record of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Record(pub Vec<Value>);

impl Record {
    fn at(&self, column: usize) -> Result<&Value, StoreError> {
        self.0.get(column).ok_or_else(|| wrong("a column is missing"))
    }

    /// An integer that may be null.
    pub(crate) fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.at(column)? {
            Value::Int(value) => Ok(*value),
            Value::Text(None) | Value::Blob(None) => Ok(None),
            Value::Text(_) | Value::Blob(_) => Err(wrong("a column should be an integer")),
        }
    }

    /// An integer.
    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| wrong("a column is null"))
    }

    /// A figure that is never negative; null counts as 0.
    pub(crate) fn figure(&self, column: usize) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.maybe_int(column)?.unwrap_or(0)).unwrap_or(0))
    }

    /// Text that may be null.
    pub(crate) fn maybe_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.at(column)? {
            Value::Text(value) => Ok(value.as_deref()),
            Value::Int(None) | Value::Blob(None) => Ok(None),
            Value::Int(_) | Value::Blob(_) => Err(wrong("a column should be text")),
        }
    }

    /// Text.
    pub(crate) fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| wrong("a column is null"))
    }

    /// Bytes that may be null.
    pub(crate) fn maybe_blob(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        match self.at(column)? {
            Value::Blob(value) => Ok(value.as_deref()),
            Value::Int(None) | Value::Text(None) => Ok(None),
            Value::Int(_) | Value::Text(_) => Err(wrong("a column should be bytes")),
        }
    }

    /// Bytes.
    pub(crate) fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        match self.at(column)? {
            Value::Blob(Some(value)) => Ok(value),
            _ => Err(wrong("a column should be bytes")),
        }
    }
}

fn wrong(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

/// A statement that reads from a table of values: `before` ‖ source ‖ `after`, where the source is called `s` and has `columns`.
#[derive(Debug)]
pub(crate) struct Bulk<'a> {
    /// What stands before the source, up to `FROM `.
    pub before: &'a str,
    /// The columns of the source.
    pub columns: &'a [(&'static str, Type)],
    /// What stands after it.
    pub after: &'a str,
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads one state of everything.
    Read,
    /// Reads and writes.
    Write,
}

/// What looks at records.
pub(crate) type Look<'a> = dyn FnMut(&Record) -> Result<(), StoreError> + Send + 'a;

/// One transaction; what was not committed when it is dropped did not happen.
#[async_trait]
pub(crate) trait Session: Send {
    /// Run a statement. How many rows it changed.
    async fn run(&mut self, sql: &str, args: Vec<Value>) -> Result<u64, StoreError>;
    /// Run a statement that answers.
    async fn fetch(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Record>, StoreError>;
    /// Run a statement that answers, and look at one record after the other: what is many is never there as a whole. A refusal
    /// ends it.
    async fn each(&mut self, sql: &str, args: Vec<Value>, look: &mut Look<'_>) -> Result<(), StoreError>;
    /// Run a statement that answers over values: those of one row after those of the other, in the order of the bulk's columns.
    /// In pieces where the backend needs it; rows are taken in their order.
    async fn bulk(&mut self, bulk: &Bulk<'_>, values: Vec<Value>) -> Result<Vec<Record>, StoreError>;
    /// The same for a statement that answers nothing. How many rows it changed.
    async fn bulk_run(&mut self, bulk: &Bulk<'_>, values: Vec<Value>) -> Result<u64, StoreError>;
    /// Let statements take as long as they take (upkeep).
    async fn unhurried(&mut self) -> Result<(), StoreError>;
    /// Make it last.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// A database.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Its phrases.
    fn dialect(&self) -> &'static Dialect;
    /// Begin a transaction.
    async fn begin(&self, access: Access) -> Result<Box<dyn Session>, StoreError>;
    /// Have a place for rows of these months (their starts, in milliseconds since 1970).
    async fn make_room(&self, months: &[i64]) -> Result<(), StoreError>;
    /// Forget what is remembered of the database: it may have become another.
    fn forget(&self);
    /// Drop usage rows older than a moment, or those of the months that ended before it. How many.
    async fn drop_rows(&self, before_ms: i64) -> Result<u64, StoreError>;
    /// Write a copy of everything to a file.
    async fn backup(&self, to: &std::path::Path) -> Result<(), StoreError>;
    /// Tidy up after maintenance.
    async fn tidy(&self) -> Result<(), StoreError>;
}

/// Where the SQL of the backends differs.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// `sqlite`, `postgres`
    pub name: &'static str,
    /// Function: smaller of two.
    pub least: &'static str,
    /// Function: larger of two.
    pub greatest: &'static str,
    /// Appended to a `SELECT` whose records are about to be changed; `{}` is the table's name there.
    pub for_update: &'static str,
    /// Start of the month of a time in milliseconds, `{}`.
    pub month: &'static str,
    /// Sum of a column, `{}`, as an integer.
    pub sum: &'static str,
    /// The same where it fails by overflow.
    pub absurd_sum: &'static str,
    /// Joins the tags of `ledger l`, 0 where it has none.
    pub tags: &'static str,
    /// One of them.
    pub tag: &'static str,
}

/// Longest wait for something small: a key, a setting.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// For a batch of rows or a question about usage.
pub(crate) const LATER: Duration = Duration::from_secs(60);
/// For upkeep.
pub(crate) const AT_LENGTH: Duration = Duration::from_secs(3600);

/// Give up waiting; a transaction that was going on is rolled back.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {limit:?}"))),
    }
}
