//! The ledger as it is on disk: read with nothing of the gateway's own.

use sqlx::{Connection, Row as _};
use std::path::Path;

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub request_id: String,
    pub attempt: i64,
    pub status: i64,
    /// Nano-dollars.
    pub billed: u64,
    pub at_ms: i64,
}

const ROWS: &str = "SELECT request_id, CAST(attempt AS BIGINT), CAST(status AS BIGINT), CAST(COALESCE(billed, 0) AS BIGINT), at_ms FROM ledger";

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

macro_rules! kept {
    ($connection:expr) => {{
        let rows = sqlx::query(ROWS).fetch_all(&mut $connection).await.unwrap();
        rows.iter()
            .map(|row| Kept {
                request_id: row.get(0),
                attempt: row.get(1),
                status: row.get(2),
                billed: row.get::<i64, _>(3).try_into().unwrap(),
                at_ms: row.get(4),
            })
            .collect()
    }};
}

/// Of a SQLite file.
pub fn of_file(path: &Path) -> Vec<Kept> {
    runtime().block_on(async {
        let mut connection = sqlx::SqliteConnection::connect_with(&options(path)).await.unwrap();
        kept!(connection)
    })
}

/// Of a PostgreSQL database.
pub fn of_server(url: &str) -> Vec<Kept> {
    runtime().block_on(async {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        kept!(connection)
    })
}

fn options(path: &Path) -> sqlx::sqlite::SqliteConnectOptions {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    options.busy_timeout(std::time::Duration::from_secs(10))
}

/// What SQLite itself says of a file: `ok`.
pub fn integrity(path: &Path) -> String {
    runtime().block_on(async {
        let mut connection = sqlx::SqliteConnection::connect_with(&options(path)).await.unwrap();
        let told = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await;
        told.unwrap().get(0)
    })
}

/// An empty database on a server; its address.
pub fn fresh(server: &str) -> String {
    runtime().block_on(crate::support::postgres::fresh_database(server))
}

/// Requests, one row each.
pub fn requests(rows: &[Kept]) -> Vec<&Kept> {
    let mut requests: Vec<_> = rows.iter().filter(|row| row.attempt == 0).collect();
    requests.sort_by_key(|row| number(row));
    requests
}

/// Its number.
pub fn number(row: &Kept) -> usize {
    row.request_id.trim_start_matches("r-").parse().unwrap_or(usize::MAX)
}

/// Nano-dollars.
pub fn billed(rows: &[Kept]) -> u64 {
    requests(rows).iter().map(|row| row.billed).sum()
}

/// No request has two rows.
#[track_caller]
pub fn none_twice(rows: &[Kept]) {
    let mut seen = std::collections::HashSet::new();
    for row in rows {
        assert!(
            seen.insert((row.request_id.clone(), row.attempt)),
            "twice: {} attempt {}",
            row.request_id,
            row.attempt
        );
    }
}
