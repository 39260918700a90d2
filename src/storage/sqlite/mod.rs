//! SQLite: a file of this machine, nothing to set up.
//!
//! One connection writes, a few read. Write-ahead log with `synchronous = NORMAL`: a crash of the process loses nothing that
//! was committed; a crash of the machine may lose the last commits, never more than back to the last checkpoint, and leaves the
//! file whole. Usage lost that way is replayed by the spool, which trims only what is surely kept. The one idea: file and folder
//! are ours alone (0600, 0700) and a file that something else wrote is left as it is.

use crate::storage::StoreError;
use crate::storage::migrations;
use crate::storage::sql::{Access, Backend, Bulk, Dialect, HOUR_MS, Look, Record, Session, Value};
use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    Arguments, AssertSqlSafe, Column as _, ConnectOptions as _, Row as _, Sqlite, Transaction, TypeInfo, ValueRef,
};
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

static DIALECT: Dialect = Dialect {
    name: "sqlite",
    least: "MIN",
    greatest: "MAX",
    for_update: "",
    month: "(CAST(strftime('%s', ({}) / 1000, 'unixepoch', 'start of month') AS INTEGER) * 1000)",
    sum: "MIN(4611686018427387903, SUM({}))",
    absurd_sum: "MIN(4611686018427387903, CAST(TOTAL({}) AS INTEGER))",
    tags: "CROSS JOIN json_each('[' || COALESCE(trim(l.tags, ','), '0') || ']') AS g",
    tag: "g.value",
};

/// Values in one statement; SQLite takes 32 766.
const MOST_VALUES: usize = 8_000;
/// Readers.
const READERS: u32 = 4;
/// Pages that a connection keeps: 16 MB at most.
const CACHE: &str = "-16000";

/// An open file.
#[derive(Debug)]
pub(crate) struct SqliteBackend {
    writer: SqlitePool,
    readers: SqlitePool,
    options: SqliteConnectOptions,
}

impl SqliteBackend {
    /// Open or make the file and bring its schema up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(200)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("trusted_schema", "OFF")
            .pragma("temp_store", "MEMORY")
            .pragma("cache_size", CACHE);
        let pool = |most| {
            let pool = SqlitePoolOptions::new()
                .max_connections(most)
                .acquire_timeout(Duration::from_secs(5));
            pool.idle_timeout(Duration::from_secs(60)).max_lifetime(None)
        };
        let writer = pool(1).connect_lazy_with(options.clone());
        {
            let mut connection = writer.acquire().await.map_err(|error| opening(path, error))?;
            let ours = migrations::recognise_sqlite(&mut connection).await;
            ours.map_err(|error| named(path, error))?;
            let wal = sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await;
            wal.map_err(|error| opening(path, error))?;
            let migrated = migrations::migrate_sqlite(&mut connection).await;
            migrated.map_err(|error| named(path, error))?;
        }
        let readers = pool(READERS).connect_lazy_with(options.clone().pragma("query_only", "ON"));
        Ok(Self {
            writer,
            readers,
            options,
        })
    }
}

/// Make folder and file where they are missing, readable for nobody else.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let told = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(told)?;
    }
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = opened.map_err(told)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(told)
}

fn opening(path: &Path, error: sqlx::Error) -> StoreError {
    named(path, failed(error))
}

fn named(path: &Path, error: StoreError) -> StoreError {
    let path = path.display();
    match error {
        StoreError::Unavailable(text) => StoreError::Unavailable(format!("{path}: {text}")),
        StoreError::Corrupt(text) => StoreError::Corrupt(format!("{path}: {text}")),
        StoreError::Failed(text) => StoreError::Failed(format!("{path}: {text}")),
        StoreError::Conflict(text) => StoreError::Conflict(text),
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    async fn begin(&self, access: Access) -> Result<Box<dyn Session>, StoreError> {
        let (pool, begin) = match access {
            Access::Read => (&self.readers, "BEGIN DEFERRED"),
            Access::Write => (&self.writer, "BEGIN IMMEDIATE"),
        };
        for _ in 0..=READERS {
            match pool.begin_with(begin).await {
                // SQLite itself ended the transaction before (it does when the disk is full), which the connection does not
                // notice: it begins no other ever again.
                Err(sqlx::Error::InvalidSavePointStatement | sqlx::Error::BeginFailed) => {
                    drop(pool.acquire().await.map_err(failed)?.close().await);
                }
                begun => return Ok(Box::new(SqliteSession(begun.map_err(failed)?))),
            }
        }
        Err(StoreError::Unavailable("no connection begins a transaction".to_owned()))
    }

    async fn make_room(&self, _: &[i64]) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget(&self) {}

    async fn drop_rows(&self, before_ms: i64) -> Result<u64, StoreError> {
        let mut rows = 0;
        // A few hours at a time, so that other writers wait for a part only.
        loop {
            let mut session = self.begin(Access::Write).await?;
            let oldest = session.fetch("SELECT MIN(at_ms) FROM ledger", Vec::new()).await?;
            let Some(oldest) = oldest.first().map_or(Ok(None), |record| record.maybe_int(0))? else {
                return Ok(rows);
            };
            if oldest >= before_ms {
                return Ok(rows);
            }
            let until = oldest.saturating_add(HOUR_MS).min(before_ms);
            rows += session
                .run("DELETE FROM ledger WHERE at_ms < $1", vec![until.into()])
                .await?;
            session.commit().await?;
        }
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let Some(name) = to.to_str() else {
            return Err(StoreError::Failed("the name of the backup is not UTF-8".to_owned()));
        };
        // The file is made first, so that it never has another mode; SQLite writes into an empty file.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        made.map_err(|error| StoreError::Failed(format!("{}: {error}", to.display())))?;
        // A connection of its own: readers and the writer go on meanwhile.
        let mut reader = self.options.connect().await.map_err(failed)?;
        let done = sqlx::query("VACUUM INTO $1").bind(name).execute(&mut reader).await;
        if let Err(error) = done {
            drop(std::fs::remove_file(to));
            return Err(failed(error));
        }
        let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::Failed(format!("{}: {error}", to.display())))
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.acquire().await.map_err(failed)?;
        for step in ["PRAGMA optimize", "PRAGMA wal_checkpoint(PASSIVE)"] {
            sqlx::query(step).execute(&mut *writer).await.map_err(failed)?;
        }
        Ok(())
    }
}

struct SqliteSession(Transaction<'static, Sqlite>);

#[async_trait]
impl Session for SqliteSession {
    async fn run(&mut self, sql: &str, args: Vec<Value>) -> Result<u64, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(args)?);
        let done = query.execute(&mut *self.0).await.map_err(failed)?;
        Ok(done.rows_affected())
    }

    async fn fetch(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Record>, StoreError> {
        fetch(&mut self.0, sql.to_owned(), arguments(args)?).await
    }

    async fn each(&mut self, sql: &str, args: Vec<Value>, look: &mut Look<'_>) -> Result<(), StoreError> {
        // What is read once from end to end would stay among the pages that are kept, for good.
        self.run("PRAGMA cache_size = -1000", Vec::new()).await?;
        {
            let mut rows = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(args)?).fetch(&mut *self.0);
            while let Some(row) = rows.try_next().await.map_err(failed)? {
                look(&record(&row)?)?;
            }
        }
        self.run(&format!("PRAGMA cache_size = {CACHE}"), Vec::new())
            .await
            .map(drop)
    }

    async fn bulk(&mut self, bulk: &Bulk<'_>, values: Vec<Value>) -> Result<Vec<Record>, StoreError> {
        let mut answer = Vec::new();
        let mut left = values.into_iter();
        while let Some((sql, piece)) = next_piece(bulk, &mut left) {
            answer.extend(fetch(&mut self.0, sql, piece?).await?);
        }
        Ok(answer)
    }

    async fn bulk_run(&mut self, bulk: &Bulk<'_>, values: Vec<Value>) -> Result<u64, StoreError> {
        let mut changed = 0;
        let mut left = values.into_iter();
        while let Some((sql, piece)) = next_piece(bulk, &mut left) {
            let query = sqlx::query_with(AssertSqlSafe(sql), piece?);
            changed += query.execute(&mut *self.0).await.map_err(failed)?.rows_affected();
        }
        Ok(changed)
    }

    async fn unhurried(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.0.commit().await.map_err(failed)
    }
}

/// The next statement over some of the values, and those; none: none are left. Powers of two, so that few are prepared.
fn next_piece(
    bulk: &Bulk<'_>,
    left: &mut std::vec::IntoIter<Value>,
) -> Option<(String, Result<SqliteArguments, StoreError>)> {
    let width = bulk.columns.len().max(1);
    let rows = (left.len() / width).min(MOST_VALUES / width);
    let rows = 1 << rows.checked_ilog2()?;
    Some((over_values(bulk, rows), arguments(left.by_ref().take(rows * width))))
}

/// The statement over so many rows of values.
fn over_values(bulk: &Bulk<'_>, rows: usize) -> String {
    let width = bulk.columns.len();
    let names = bulk.columns.iter().enumerate();
    let names: Vec<_> = names
        .map(|(number, (name, _))| format!("column{} AS {name}", number + 1))
        .collect();
    let row = format!("({})", vec!["?"; width].join(","));
    let values = vec![row.as_str(); rows].join(",");
    format!(
        "{} (SELECT {} FROM (VALUES {values})) AS s {}",
        bulk.before,
        names.join(", "),
        bulk.after
    )
}

async fn fetch(
    connection: &mut SqliteConnection,
    sql: String,
    args: SqliteArguments,
) -> Result<Vec<Record>, StoreError> {
    let rows = sqlx::query_with(AssertSqlSafe(sql), args)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter().map(record).collect()
}

fn arguments(args: impl IntoIterator<Item = Value>) -> Result<SqliteArguments, StoreError> {
    let args = args.into_iter();
    let mut bound = SqliteArguments::default();
    bound.reserve(args.size_hint().0, 0);
    for value in args {
        let added = match value {
            Value::Int(value) => bound.add(value),
            Value::Text(value) => bound.add(value),
            Value::Blob(value) => bound.add(value),
        };
        added.map_err(|error| StoreError::Failed(error.to_string()))?;
    }
    Ok(bound)
}

fn record(row: &SqliteRow) -> Result<Record, StoreError> {
    let values = row.columns().iter().map(|column| {
        let at = column.ordinal();
        let raw = row.try_get_raw(at).map_err(failed)?;
        if raw.is_null() {
            return Ok(Value::Int(None));
        }
        let kind = raw.type_info();
        Ok(match kind.name() {
            "INTEGER" => Value::Int(row.try_get(at).map_err(failed)?),
            "BLOB" => Value::Blob(row.try_get(at).map_err(failed)?),
            _ => Value::Text(row.try_get(at).map_err(failed)?),
        })
    });
    values.collect::<Result<_, _>>().map(Record)
}

/// Why something failed, as told to whoever asked the store.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else {
        return match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                StoreError::Corrupt(error.to_string())
            }
            other => StoreError::Unavailable(other.to_string()),
        };
    };
    let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0);
    of_code(code, database.message())
}

fn of_code(code: u32, message: &str) -> StoreError {
    let text = format!("{code}: {message}");
    match code {
        // Primary key, unique, row id.
        1555 | 2067 | 2579 => StoreError::Conflict("it exists already"),
        _ => match code & 0xff {
            // Corrupt; not a database.
            11 | 26 => StoreError::Corrupt(text),
            // Not permitted, aborted, busy, locked, out of memory, read-only, interrupted, I/O, full, cannot open, locks in
            // disorder, another schema, file too large for its system: none of it says anything of what was to be stored.
            3..=10 | 13..=15 | 17 | 22 => StoreError::Unavailable(text),
            1 if message.starts_with("no such") => StoreError::Corrupt(text),
            _ => StoreError::Failed(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_something_of_the_rows_refuses_them() {
        // Busy, out of memory, interrupted, full, locks in disorder, another schema.
        for code in [5, 7, 9, 13, 15, 17, 517] {
            assert!(matches!(of_code(code, "x"), StoreError::Unavailable(_)), "{code}");
        }
        // Too large, not null, another type.
        for code in [18, 1299, 20] {
            assert!(matches!(of_code(code, "x"), StoreError::Failed(_)), "{code}");
        }
    }
}
