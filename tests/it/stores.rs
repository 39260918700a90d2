//! One contract for every store: the same suite over SQLite (a file) and PostgreSQL (a private server), and what only one of
//! them can suffer.

mod audit;
mod changes;
mod outages;
mod places;
mod rows;
mod secrets;
mod usage;

use cirque::ledger::{Charge, Row, RowId, Tenant};
use cirque::secret::Secret;
use cirque::storage::{self, Place, Store};
use cirque::units::{Cost, Usage};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;
/// 2026-11-01, UTC.
pub const NOVEMBER: u64 = 1_793_491_200_000;

/// A store and where it is, gone with its files when the test is done.
pub struct Site {
    pub store: Arc<dyn Store>,
    pub place: Place,
    folder: PathBuf,
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Site {
    /// Run SQL behind the store's back.
    pub async fn meddle(&self, sql: &str) {
        use sqlx::Connection as _;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match &self.place {
            Place::Sqlite { path } => {
                let mut file = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                sqlx::query(sql).execute(&mut file).await.unwrap();
            }
            Place::Postgres { url, .. } => {
                let mut server = sqlx::PgConnection::connect(url.expose()).await.unwrap();
                sqlx::query(sql).execute(&mut server).await.unwrap();
            }
        }
    }
}

pub fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "cirque-stores-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    std::env::temp_dir().join(name)
}

pub async fn sqlite() -> Option<Site> {
    let folder = folder();
    let place = Place::Sqlite {
        path: folder.join("cirque.db"),
    };
    let store = storage::open(&place).await.unwrap();
    Some(Site { store, place, folder })
}

pub async fn postgres() -> Option<Site> {
    let server = crate::support::postgres::shared()?;
    Some(postgres_at(server).await)
}

pub async fn postgres_at(server: &str) -> Site {
    let url = crate::support::postgres::fresh_database(server).await;
    let place = Place::Postgres {
        url: Secret::new(url),
        connections: 8,
    };
    assert_eq!(
        storage::migrate(&place).await.unwrap(),
        ["0001 first", "0002 labels", "0003 saved"]
    );
    let store = storage::open(&place).await.unwrap();
    Site {
        store,
        place,
        folder: folder(),
    }
}

/// Run each test of a suite over each store.
macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        mod over_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let site = crate::stores::sqlite().await.unwrap();
                super::$test(&site).await;
            })+
        }
        mod over_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some(site) = crate::stores::postgres().await else { return };
                super::$test(&site).await;
            })+
        }
    };
}
pub(crate) use contract;

/// A row that its number determines.
pub fn row(number: u64) -> Row {
    row_at(number, NOVEMBER + number * 7_000)
}

pub fn row_at(number: u64, at_ms: u64) -> Row {
    let name = |what: &str, of: u64| Some(Arc::from(format!("{what}-{}", number % of)));
    let usage = Usage {
        input: 100 + number,
        output: 10 + number % 7,
        cached: number % 3,
        reasoning: number % 2,
        ..Usage::default()
    };
    let cost = (number % 10 != 9).then(|| Cost {
        input: 1_000 + number,
        output: 500,
        cached: number % 3,
        ..Cost::default()
    });
    let tags: Vec<Arc<str>> = match number % 4 {
        0 => vec!["blue".into(), "red".into()],
        1 => vec!["red".into()],
        _ => Vec::new(),
    };
    Row {
        id: RowId(u128::from(at_ms) << 80 | u128::from(number)),
        attempt: 0,
        at_ms,
        tenant: Arc::new(Tenant {
            organisation: Some("acme".into()),
            team: if number % 5 == 4 { None } else { name("team", 5) },
            project: None,
            user: name("user", 11),
            key: name("key", 13),
        }),
        tags: tags.into(),
        metadata: (number.is_multiple_of(6)).then(|| format!("{{\"n\":{number}}}").into()),
        request_id: format!("request {number} ' \" ; --").into(),
        operation: if number % 8 == 7 { "embeddings" } else { "chat" },
        model: name("model", 3),
        target: name("provider/model", 3),
        provider: Some("provider".into()),
        purpose: "first",
        status: if number % 17 == 16 { 502 } else { 200 },
        outcome: if number % 17 == 16 { "provider_error" } else { "ok" },
        cache: if number % 7 == 6 { "hit" } else { "off" },
        stream: number.is_multiple_of(2),
        latency_ms: 1000 + u32::try_from(number % 100).unwrap(),
        ttft_ms: (number.is_multiple_of(2)).then_some(120),
        usage,
        estimated: number % 19 == 18,
        cost,
        billed: cost.map(|cost| cost.total() * 11 / 10),
        guardrails: None,
        saved: if number % 7 == 6 { 5_000 + number } else { 0 },
        charges: vec![Charge {
            count: "key/ci/month".into(),
            window: 1_793_491_200,
            nano: 10 + number,
        }],
    }
}

/// The first call of a request.
pub fn attempt_of(row: &Row) -> Row {
    Row {
        attempt: 1,
        at_ms: row.at_ms + 3,
        guardrails: None,
        saved: 0,
        charges: Vec::new(),
        ..row.clone()
    }
}

pub fn rows(numbers: std::ops::Range<u64>) -> Vec<Row> {
    numbers.map(row).collect()
}
