//! PostgreSQL: what instances of a fleet share.
//!
//! Batches travel as one array per column (`UNNEST`), so that a batch of any size is one prepared statement. The one idea: the
//! pool is lazy and the schema is looked at when the first connection succeeds, so that a gateway starts while its database is
//! away and works with it once it is there.

use crate::secret::Secret;
use crate::storage::StoreError;
use crate::storage::migrations;
use crate::storage::sql::{Access, Backend, Bulk, Dialect, Look, Record, Session, Type, Value, month_after};
use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{Arguments, AssertSqlSafe, Column as _, Postgres, Row as _, Transaction, TypeInfo, ValueRef};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::OnceCell;

static DIALECT: Dialect = Dialect {
    name: "postgres",
    least: "LEAST",
    greatest: "GREATEST",
    for_update: " FOR UPDATE OF {}",
    month: "(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(({}) / 1000) AT TIME ZONE 'UTC'))::bigint * 1000)",
    sum: "LEAST(SUM({}), 4611686018427387903)::bigint",
    absurd_sum: "LEAST(SUM({}), 4611686018427387903)::bigint",
    tags: "CROSS JOIN LATERAL (SELECT UNNEST(string_to_array(COALESCE(btrim(l.tags, ','), '0'), ',')::bigint[]) AS tag) AS g",
    tag: "g.tag",
};

/// Keys of advisory locks: `cirque` and what is locked.
const PARTITIONS: i64 = 0x6369_7271_7565_0002;

/// A pool of connections to one database.
#[derive(Debug)]
pub(crate) struct PostgresBackend {
    pool: PgPool,
    ready: OnceCell<()>,
    months: Mutex<BTreeSet<i64>>,
}

/// How to connect; the error never repeats the address, which holds a password.
pub(crate) fn options(url: &Secret) -> Result<PgConnectOptions, StoreError> {
    let parsed: Result<PgConnectOptions, _> = url.expose().parse();
    let options =
        parsed.map_err(|_| StoreError::Failed("the address of the PostgreSQL server is not valid".to_owned()))?;
    Ok(options
        .application_name("cirque")
        .statement_cache_capacity(200)
        .options([
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "60s"),
            ("tcp_keepalives_idle", "10"),
        ]))
}

/// Whether another machine is spoken to without knowing that it is the right one, or without encryption.
pub(crate) fn is_exposed(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    !here && !verified
}

impl PostgresBackend {
    /// A pool that connects when it is first used.
    pub(crate) fn new(url: &Secret, connections: u32) -> Result<Self, StoreError> {
        let options = options(url)?;
        if is_exposed(&options) {
            tracing::warn!(
                "the connection to PostgreSQL may be unencrypted, and its server anybody: add `?sslmode=verify-full` to its URL"
            );
        }
        let pool = PgPoolOptions::new()
            .max_connections(connections.max(2))
            .acquire_timeout(Duration::from_secs(2))
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            ready: OnceCell::new(),
            months: Mutex::default(),
        })
    }

    /// Connect and check that the schema is one this version works with.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let check = self.ready.get_or_try_init(|| async {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            migrations::check_postgres(&mut connection).await
        });
        check.await.copied()
    }

    /// Each in a transaction of its own, counted first: the lock on the whole table is held for the dropping only.
    async fn drop_partition(&self, name: &str) -> Result<u64, StoreError> {
        let mut session = self.transaction("BEGIN").await?;
        session.unhurried().await?;
        session
            .run("SELECT pg_advisory_xact_lock($1)", vec![PARTITIONS.into()])
            .await?;
        let there = format!("SELECT COALESCE(to_regclass('{name}')::text, '')");
        let there = session.fetch(&there, Vec::new()).await?;
        if there
            .first()
            .is_none_or(|record| record.text(0).is_ok_and(str::is_empty))
        {
            return Ok(0);
        }
        let count = session
            .fetch(&format!("SELECT COUNT(*) FROM {name}"), Vec::new())
            .await?;
        let rows = count.first().map_or(Ok(0), |record| record.figure(0))?;
        session.run(&format!("DROP TABLE {name}"), Vec::new()).await?;
        Box::new(session).commit().await?;
        Ok(rows)
    }

    async fn transaction(&self, begin: &'static str) -> Result<PgSession, StoreError> {
        self.check().await?;
        Ok(PgSession(self.pool.begin_with(begin).await.map_err(failed)?))
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    async fn begin(&self, access: Access) -> Result<Box<dyn Session>, StoreError> {
        let begin = match access {
            Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        Ok(Box::new(self.transaction(begin).await?))
    }

    async fn make_room(&self, months: &[i64]) -> Result<(), StoreError> {
        let known = |month: &i64| self.months.lock().is_ok_and(|known| known.contains(month));
        let missing: Vec<i64> = months.iter().copied().filter(|month| !known(month)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut session = self.transaction("BEGIN").await?;
        session
            .run("SELECT pg_advisory_xact_lock($1)", vec![PARTITIONS.into()])
            .await?;
        for month in &missing {
            let there = format!("SELECT COALESCE(to_regclass('{}')::text, '')", partition(*month));
            let there = session.fetch(&there, Vec::new()).await?;
            if there
                .first()
                .is_some_and(|record| record.text(0).is_ok_and(|name| !name.is_empty()))
            {
                continue;
            }
            let make = format!(
                "CREATE TABLE {} PARTITION OF ledger FOR VALUES FROM ({month}) TO ({})",
                partition(*month),
                month_after(*month),
            );
            session.run(&make, Vec::new()).await?;
        }
        Box::new(session).commit().await?;
        if let Ok(mut known) = self.months.lock() {
            known.extend(missing);
        }
        Ok(())
    }

    fn forget(&self) {
        if let Ok(mut known) = self.months.lock() {
            known.clear();
        }
    }

    async fn drop_rows(&self, before_ms: i64) -> Result<u64, StoreError> {
        let list = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                    WHERE i.inhparent = 'ledger'::regclass ORDER BY 1";
        let mut session = self.transaction("BEGIN").await?;
        let names = session.fetch(list, Vec::new()).await?;
        Box::new(session).commit().await?;
        let mut rows = 0;
        for record in names {
            let name = record.text(0)?;
            let month = name
                .strip_prefix("ledger_")
                .and_then(|number| number.parse::<i64>().ok());
            let Some(month) = month
                .map(|number| number * 1000)
                .filter(|month| partition(*month) == name)
            else {
                continue;
            };
            if month_after(month) <= before_ms {
                rows += self.drop_partition(name).await?;
                self.forget();
            }
        }
        Ok(rows)
    }

    async fn backup(&self, _: &std::path::Path) -> Result<(), StoreError> {
        Err(StoreError::Failed(
            "PostgreSQL is backed up by its own tools (pg_dump, base backups)".to_owned(),
        ))
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Name of the partition of a month: `ledger_` and its start in seconds since 1970.
fn partition(month: i64) -> String {
    format!("ledger_{}", month / 1000)
}

struct PgSession(Transaction<'static, Postgres>);

#[async_trait]
impl Session for PgSession {
    async fn run(&mut self, sql: &str, args: Vec<Value>) -> Result<u64, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(args)?);
        let done = query.execute(&mut *self.0).await.map_err(failed)?;
        Ok(done.rows_affected())
    }

    async fn fetch(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Record>, StoreError> {
        fetch(&mut self.0, sql.to_owned(), arguments(args)?).await
    }

    async fn each(&mut self, sql: &str, args: Vec<Value>, look: &mut Look<'_>) -> Result<(), StoreError> {
        let mut rows = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(args)?).fetch(&mut *self.0);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            look(&record(&row)?)?;
        }
        Ok(())
    }

    async fn bulk(&mut self, bulk: &Bulk<'_>, values: Vec<Value>) -> Result<Vec<Record>, StoreError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        fetch(&mut self.0, over_arrays(bulk), columns(bulk, values)?).await
    }

    async fn bulk_run(&mut self, bulk: &Bulk<'_>, values: Vec<Value>) -> Result<u64, StoreError> {
        if values.is_empty() {
            return Ok(0);
        }
        let query = sqlx::query_with(AssertSqlSafe(over_arrays(bulk)), columns(bulk, values)?);
        Ok(query.execute(&mut *self.0).await.map_err(failed)?.rows_affected())
    }

    async fn unhurried(&mut self) -> Result<(), StoreError> {
        self.run("SET LOCAL statement_timeout = 0", Vec::new()).await.map(drop)
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.0.commit().await.map_err(failed)
    }
}

async fn fetch(connection: &mut PgConnection, sql: String, args: PgArguments) -> Result<Vec<Record>, StoreError> {
    let rows = sqlx::query_with(AssertSqlSafe(sql), args)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter().map(record).collect()
}

fn arguments(args: Vec<Value>) -> Result<PgArguments, StoreError> {
    let mut bound = PgArguments::default();
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

/// The statement over one array for each column.
fn over_arrays(bulk: &Bulk<'_>) -> String {
    let (mut arrays, mut names) = (Vec::new(), Vec::new());
    for (number, (name, kind)) in bulk.columns.iter().enumerate() {
        let array = match kind {
            Type::Int => "bigint[]",
            Type::Text => "text[]",
            Type::Blob => "bytea[]",
        };
        arrays.push(format!("${}::{array}", number + 1));
        names.push(*name);
    }
    let (arrays, names) = (arrays.join(", "), names.join(", "));
    format!("{} UNNEST({arrays}) AS s({names}) {}", bulk.before, bulk.after)
}

/// Rows of values as one array for each column.
fn columns(bulk: &Bulk<'_>, mut values: Vec<Value>) -> Result<PgArguments, StoreError> {
    let width = bulk.columns.len().max(1);
    let mut bound = PgArguments::default();
    for (number, (_, kind)) in bulk.columns.iter().enumerate() {
        let column = values.iter_mut().skip(number).step_by(width);
        let added = match kind {
            Type::Int => bound.add(
                column
                    .map(|value| if let Value::Int(value) = value { *value } else { None })
                    .collect::<Vec<_>>(),
            ),
            Type::Text => bound.add(
                column
                    .map(|value| {
                        if let Value::Text(value) = value {
                            value.take()
                        } else {
                            None
                        }
                    })
                    .collect::<Vec<_>>(),
            ),
            Type::Blob => bound.add(
                column
                    .map(|value| {
                        if let Value::Blob(value) = value {
                            value.take()
                        } else {
                            None
                        }
                    })
                    .collect::<Vec<_>>(),
            ),
        };
        added.map_err(|error| StoreError::Failed(error.to_string()))?;
    }
    Ok(bound)
}

fn record(row: &PgRow) -> Result<Record, StoreError> {
    let values = row.columns().iter().map(|column| {
        let at = column.ordinal();
        let kind = row.try_get_raw(at).map_err(failed)?.type_info().name().to_owned();
        Ok(match kind.as_str() {
            "INT8" => Value::Int(row.try_get(at).map_err(failed)?),
            "INT4" => Value::Int(row.try_get::<Option<i32>, _>(at).map_err(failed)?.map(i64::from)),
            "INT2" => Value::Int(row.try_get::<Option<i16>, _>(at).map_err(failed)?.map(i64::from)),
            "BYTEA" => Value::Blob(row.try_get(at).map_err(failed)?),
            // What a statement run for its effect answers.
            "VOID" => Value::Text(None),
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
            sqlx::Error::Configuration(_) => StoreError::Failed("the address is not valid".to_owned()),
            other => StoreError::Unavailable(other.to_string()),
        };
    };
    of_code(&database.code().unwrap_or_default(), database.message())
}

fn of_code(code: &str, message: &str) -> StoreError {
    let text = format!("{code}: {message}");
    match code {
        "23505" => StoreError::Conflict("it exists already"),
        "42P01" | "42703" => StoreError::Corrupt(text),
        // Cancelled by a timeout, a lock that was not given, a read-only replica after a failover, a partition that another
        // instance dropped since it was made (it is made again when the rows are sent again).
        "57014" | "55P03" | "25006" | "23514" => StoreError::Unavailable(text),
        // No right to it, a prepared statement that a pooler has not got: a matter of the server, not of what was to be stored.
        "42501" | "42P05" => StoreError::Unavailable(text),
        // What was given does not do: data, a constraint, a statement, a limit of the program.
        code if ["21", "22", "23", "42", "54"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            StoreError::Failed(text)
        }
        // Connections, transactions, resources, operators, internal errors, statements prepared for another schema: later it
        // may do.
        _ => StoreError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_something_of_the_rows_refuses_them() {
        // A statement a pooler or a migration made unknown, no right, a lost transaction, a deadlock, an internal error.
        for code in [
            "26000", "42P05", "0A000", "42501", "25P02", "40P01", "53300", "57P01", "XX000",
        ] {
            assert!(matches!(of_code(code, "x"), StoreError::Unavailable(_)), "{code}");
        }
        for code in ["22003", "22021", "23502", "54000"] {
            assert!(matches!(of_code(code, "x"), StoreError::Failed(_)), "{code}");
        }
    }

    #[test]
    fn another_machine_is_believed_with_its_certificate_only() {
        for (url, exposed) in [
            ("postgres://u:p@db.example/x", true),
            ("postgres://u:p@db.example/x?sslmode=require", true),
            ("postgres://u:p@db.example/x?sslmode=verify-full", false),
            ("postgres://u:p@10.0.0.1/x?sslmode=verify-ca", false),
            ("postgres://u:p@127.0.0.1/x", false),
            ("postgres://u:p@localhost/x", false),
            ("postgres:///x?host=/run/postgresql", false),
        ] {
            let options = options(&Secret::new(url.to_owned())).unwrap();
            assert_eq!(is_exposed(&options), exposed, "{url}");
        }
    }
}
