//! Ten million rows in each store: how long a question about usage takes, how many rows go in a second, how large they are.
//!
//! Not part of `cargo bench` (it takes minutes and gigabytes): `CIRQUE_BENCH_STORES=10000000 cargo bench --bench stores`. SQLite
//! in `$CIRQUE_BENCH_DIR` (default the temporary folder); PostgreSQL at `$CIRQUE_TEST_POSTGRES`, if set: an EMPTY database (alone with
//! `CIRQUE_BENCH_POSTGRES_ONLY=1`). The
//! first rows go in through `Store::insert` (that is the rate), the rest by SQL, and sums are made from rows by SQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may fail by panicking"
)]

use cirque::ledger::{Charge, Row, RowId, Tenant};
use cirque::secret::Secret;
use cirque::storage::{self, Bucket, Dimension, Filter, Place, Records, Store, UsageQuery};
use cirque::units::{Cost, Usage};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-08-01, UTC; 90 days from it.
const START: u64 = 1_785_542_400_000;
const SPAN: u64 = 90 * 86_400_000;
const TEAMS: u64 = 1000;
const KEYS: u64 = 10;
const MODELS: u64 = 5;
/// Rows that go in through the store.
const INSERTED: u64 = 200_000;
const BATCH: u64 = 1000;
/// Rows loaded by one statement.
const PIECE: u64 = 500_000;

fn row(number: u64) -> Row {
    let at_ms = START + SPAN + number;
    // Five in a row belong together, as calls of one agent do.
    let session = number / 5;
    let team = session * 7919 % TEAMS;
    let key = team * KEYS + session / TEAMS % KEYS;
    let named = |what: &str, number: u64| Some(Arc::from(format!("{what}-{number}")));
    Row {
        id: RowId::new(at_ms),
        attempt: 0,
        at_ms,
        tenant: Arc::new(Tenant {
            organisation: named("organisation", team / 100),
            team: named("team", team),
            project: None,
            user: None,
            key: named("key", key),
        }),
        tags: Arc::from(vec![Arc::from("production")]),
        metadata: None,
        request_id: format!("req-{number:020}").into(),
        operation: "chat",
        model: named("model", session / 7 % MODELS),
        target: named("provider/model", session / 7 % MODELS),
        provider: named("provider", session / 7 % MODELS % 3),
        purpose: "first",
        status: 200,
        outcome: "ok",
        cache: "off",
        stream: true,
        latency_ms: 1500,
        ttft_ms: Some(300),
        guardrails: None,
        saved: 0,
        usage: Usage {
            input: 1200,
            output: 350,
            cached: 400,
            ..Usage::default()
        },
        estimated: false,
        cost: Some(Cost {
            input: 800_000,
            cached: 100_000,
            output: 3_500_000,
            ..Cost::default()
        }),
        billed: Some(4_400_000),
        charges: vec![
            Charge {
                count: format!("key/{key}/month").into(),
                window: 1_785_542_400,
                nano: 4_400_000,
            },
            Charge {
                count: format!("team/{team}/month").into(),
                window: 1_785_542_400,
                nano: 4_400_000,
            },
        ],
    }
}

/// A connection beside the store.
enum Beside {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Beside {
    async fn to(place: &Place) -> Self {
        match place {
            Place::Sqlite { path } => {
                Self::Sqlite(sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap())
            }
            Place::Postgres { url, .. } => Self::Postgres(sqlx::PgConnection::connect(url.expose()).await.unwrap()),
        }
    }

    async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(file) => {
                sqlx::raw_sql(sql).execute(file).await.unwrap();
            }
            Self::Postgres(server) => {
                sqlx::raw_sql(sql).execute(server).await.unwrap();
            }
        }
    }

    /// Keep the log small.
    async fn checkpoint(&mut self) {
        if let Self::Sqlite(file) = self {
            sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(file)
                .await
                .unwrap();
        }
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(file) => sqlx::query(sql).fetch_one(file).await.unwrap().get(0),
            Self::Postgres(server) => sqlx::query(sql).fetch_one(server).await.unwrap().get(0),
        }
    }
}

/// Fill up to so many rows by SQL, and make the sums anew.
async fn load(beside: &mut Beside, count: u64) {
    let (id, words) = match beside {
        Beside::Sqlite(_) => (
            "randomblob(16)",
            "INSERT INTO words (id, text) SELECT i + 1000000, 'word-' || i FROM n",
        ),
        Beside::Postgres(_) => (
            "decode(md5(i::text), 'hex')",
            "INSERT INTO words (id, text) OVERRIDING SYSTEM VALUE SELECT i + 1000000, 'word-' || i FROM n",
        ),
    };
    let numbers = |count: u64| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {})",
            count - 1
        )
    };
    beside.run(&format!("{} {words}", numbers(20_000))).await;
    // Words 1000000…: teams, then models, keys from 1005000 on.
    let step = SPAN / count;
    let team = format!("(i / 5 * 7919 % {TEAMS} + 1000000)");
    let key = format!("(i / 5 * 7919 % {TEAMS} * {KEYS} + i / 5 / {TEAMS} % {KEYS} + 1005000)");
    let model = format!("(i / 5 / 7 % {MODELS} + 1002000)");
    let provider = format!("(i / 5 / 7 % {MODELS} % 3 + 1003000)");
    let organisation = format!("(i / 5 * 7919 % {TEAMS} / 100 + 1004000)");
    for first in (0..count).step_by(PIECE as usize) {
        let sql = format!(
            "{} INSERT INTO ledger (at_ms, id, attempt, organisation, team, project, user_name, key_name, model, target, provider, \
         operation, outcome, cache, purpose, status, stream, estimated, latency_ms, ttft_ms, input, output, cached, cost, \
         cost_input, cost_cached, cost_output, billed, request_id, tags, charges) \
         SELECT {START} + CAST(i AS BIGINT) * {step}, {id}, 0, {organisation}, {team}, 0, 0, {key}, {model}, {model}, {provider}, \
         1004100, (SELECT id FROM words WHERE text = 'ok'), 1004102, 1004103, 200, 1, 0, 1500, 300, 1200, 350, 400, 4400000, 800000, 100000, 3500000, 4400000, \
         'req-00000000000' || (i + 100000000), ',1004104,', '1004200 1785542400 4400000;1004201 1785542400 4400000' FROM (SELECT i + {first} AS i FROM n) AS m",
            numbers(PIECE.min(count))
        );
        beside.run(&sql).await;
        beside.checkpoint().await;
    }
    let sums = "COUNT(*), SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END), SUM(estimated), SUM(CASE WHEN cost IS NULL THEN 1 ELSE 0 END), \
                SUM(input), SUM(output), COALESCE(SUM(cached), 0), 0, 0, 0, 0, 0, COALESCE(SUM(cost), 0), COALESCE(SUM(billed), 0), SUM(latency_ms)";
    let all = "organisation, team, project, user_name, key_name, model, target, provider, operation, outcome, cache";
    for (table, width, dimensions) in [
        ("usage_hours", 3_600_000, all),
        ("usage_days", 86_400_000, all),
        (
            "usage_team_days",
            86_400_000,
            "organisation, team, project, model, provider",
        ),
    ] {
        let at = format!("at_ms / {width} * {width}");
        beside.run(&format!("DELETE FROM {table}")).await;
        let sql = format!(
            "INSERT INTO {table} (at_ms, {dimensions}, requests, failed, estimated, unpriced, input, output, cached, cache_write, \
             cache_write_1h, reasoning, audio_input, audio_output, cost, billed, latency_ms) \
             SELECT {at}, {dimensions}, {sums} FROM ledger WHERE attempt = 0 GROUP BY {at}, {dimensions}"
        );
        beside.run(&sql).await;
        beside.checkpoint().await;
    }
    beside.run("ANALYZE").await;
}

async fn ask(store: &dyn Store, what: &str, query: UsageQuery) {
    for round in 0..3 {
        let begun = Instant::now();
        let page = store.usage(&query).await.unwrap();
        let requests: u64 = page.items.iter().map(|group| group.requests).sum();
        println!(
            "  {what}, round {round}: {:?}, {} groups, {requests} requests",
            begun.elapsed(),
            page.items.len()
        );
    }
}

async fn questions(store: &dyn Store) {
    let filter = |from_ms: u64, to_ms: u64| Filter {
        from_ms: from_ms as i64,
        to_ms: to_ms as i64,
        only: Vec::new(),
    };
    let query = |filter, by: Vec<Dimension>, bucket| UsageQuery {
        filter,
        by,
        bucket,
        limit: 10_000,
        cursor: None,
    };
    let all = || filter(0, i64::MAX as u64);
    ask(
        store,
        "by team and day, everything, first 10 000 groups",
        query(all(), vec![Dimension::Team], Bucket::Day),
    )
    .await;
    ask(
        store,
        "by team and month, everything",
        query(all(), vec![Dimension::Team], Bucket::Month),
    )
    .await;
    let uneven = filter(START + 1_234_567, START + SPAN - 7_654_321);
    ask(
        store,
        "by team and day, uneven times",
        query(uneven, vec![Dimension::Team], Bucket::Day),
    )
    .await;
    let last = filter(START + SPAN - 30 * 86_400_000, START + SPAN);
    ask(
        store,
        "by key, last 30 days",
        query(last, vec![Dimension::Key], Bucket::All),
    )
    .await;
    let mut one = all();
    one.only = vec![(Dimension::Team, vec!["word-7".to_owned()])];
    ask(
        store,
        "one team by day",
        query(one.clone(), vec![Dimension::Team], Bucket::Day),
    )
    .await;
    for filter in [all(), one] {
        let begun = Instant::now();
        let records = Records {
            filter,
            attempts: false,
            limit: 100,
            cursor: None,
        };
        let page = store.records(&records).await.unwrap();
        println!("  newest {} records: {:?}", page.items.len(), begun.elapsed());
    }
}

/// 10 000 keys and 1 000 teams, made and read.
async fn objects(store: &dyn Store) {
    let hashes = |n: u64| {
        vec![storage::KeyHashRow {
            hash: format!("{n:064x}"),
            shown: format!("cq-{n}"),
            until: None,
        }]
    };
    let named = |kind, what: &str, n: u64, hashes| storage::Change {
        kind,
        name: format!("{what}-{n}"),
        document: Some(
            serde_json::json!({"team": format!("team-{}", n % 1000), "limits": [{"requests": "100/min"}], "budgets": [{"usd": "100", "per": "month"}]}),
        ),
        hashes,
        expected: None,
    };
    let keys = (0..10_000).map(|n| named(storage::Kind::Key, "key", n, hashes(n)));
    let teams = (0..1000).map(|n| named(storage::Kind::Team, "team", n, Vec::new()));
    let begun = Instant::now();
    store.change(&keys.chain(teams).collect::<Vec<_>>()).await.unwrap();
    println!("  11 000 objects made: {:?}", begun.elapsed());
    for _ in 0..3 {
        let begun = Instant::now();
        let count = store.changes(0).await.unwrap().len();
        println!("  {count} objects read: {:?}", begun.elapsed());
    }
}

async fn bench(place: &Place, count: u64) {
    drop(storage::migrate(place).await.unwrap());
    let store = storage::open(place).await.unwrap();
    println!("{}", store.name());
    objects(&*store).await;
    let mut beside = Beside::to(place).await;
    let rows: Vec<Row> = (0..INSERTED).map(row).collect();
    for (what, part) in [
        ("into an empty store", &rows[..rows.len() / 2]),
        ("into a full one", &rows[rows.len() / 2..]),
    ] {
        if what == "into a full one" {
            // Partitions of the months that are filled.
            let ages: Vec<Row> = (0..4)
                .map(|n| Row {
                    at_ms: START + n * 30 * 86_400_000,
                    ..row(0)
                })
                .collect();
            store.insert(&ages).await.unwrap();
            let begun = Instant::now();
            load(&mut beside, count).await;
            println!("  {count} rows and their sums by SQL: {:?}", begun.elapsed());
            for table in ["usage_hours", "usage_days", "usage_team_days"] {
                println!(
                    "  {table}: {} cells",
                    beside.number(&format!("SELECT COUNT(*) FROM {table}")).await
                );
            }
        }
        let begun = Instant::now();
        for batch in part.chunks(BATCH as usize) {
            store.insert(batch).await.unwrap();
        }
        let rate = part.len() as f64 / begun.elapsed().as_secs_f64();
        println!("  {} rows {what}, {BATCH} at a time: {rate:.0} rows/s", part.len());
    }
    questions(&*store).await;
    let size = match place {
        Place::Sqlite { path } => std::fs::metadata(path).unwrap().len() as i64,
        Place::Postgres { .. } => beside.number("SELECT pg_database_size(current_database())").await,
    };
    println!("  size: {:.2} GB", size as f64 / 1e9);
}

fn main() {
    let Some(count) = std::env::var("CIRQUE_BENCH_STORES")
        .ok()
        .and_then(|count| count.parse().ok())
    else {
        println!("CIRQUE_BENCH_STORES is not set: nothing to do");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        if std::env::var_os("CIRQUE_BENCH_POSTGRES_ONLY").is_none() {
            let folder = std::env::var_os("CIRQUE_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
            let folder = folder.join(format!("cirque-bench-{}", std::process::id()));
            bench(
                &Place::Sqlite {
                    path: folder.join("cirque.db"),
                },
                count,
            )
            .await;
            std::fs::remove_dir_all(folder).unwrap();
        }
        if let Ok(url) = std::env::var("CIRQUE_TEST_POSTGRES") {
            bench(
                &Place::Postgres {
                    url: Secret::new(url),
                    connections: 4,
                },
                count,
            )
            .await;
        }
    });
}
