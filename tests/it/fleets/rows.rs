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

const ROWS: &str = "SELECT l.rest, CAST(l.attempt AS BIGINT), CAST(k.status AS BIGINT), CAST(COALESCE(l.billed, 0) AS BIGINT), l.at_ms \
                    FROM ledger l JOIN labels k ON k.id = l.label";

/// The request's id in a row's bytes: version, time to first token, cost, what is told beside, charges of three numbers, the id.
fn request_id(rest: &[u8]) -> String {
    let mut bytes = rest.iter().copied();
    assert_eq!(bytes.next(), Some(1));
    let mut number = || {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes.next().unwrap();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    if number() == 1 {
        number();
    }
    for width in [1, 1, 3] {
        for _ in 0..number() * width {
            number();
        }
    }
    let length = usize::try_from(number()).unwrap();
    String::from_utf8(bytes.take(length).collect()).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

macro_rules! kept {
    ($connection:expr) => {{
        let rows = sqlx::query(ROWS).fetch_all(&mut $connection).await.unwrap();
        rows.iter()
            .map(|row| Kept {
                request_id: request_id(&row.get::<Vec<u8>, _>(0)),
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
