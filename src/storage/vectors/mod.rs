//! Questions of the semantic cache in PostgreSQL with the extension `vector` (pgvector 0.5 or newer): for more of them than fit a
//! process, and for a fleet that looks in one place.
//!
//! Not on a worker's way longer than a caller allows, and no place for answers. The one idea: a search reads one partition, found by
//! a plain index, and compares every place in it: exact, and never a question of somebody else. There is no index over the vectors
//! themselves: those that pgvector has are searched first and filtered after, so that a small partition among large ones finds
//! nothing. A search thereby takes about a microsecond for each question of its partition, however many others there are.
//!
//! Sealed when there are keys: the text, and what the verifier compares. Not the place, by which PostgreSQL searches, nor the names
//! of tenants and tags. Whoever reads the places learns what questions are about.
//!
//! A failure is an [`Outage`]; for a second after one that says that the server is away nobody asks it again.

mod rows;
mod schema;

use super::StoreError;
use super::postgres::{failed, is_exposed, options};
use super::sealed::Keyring;
use crate::cache::semantic::vectors::{Near, Place, Point, Vectors};
use crate::cache::{Key, Outage, Partition, Selection};
use crate::secret::Secret;
use async_trait::async_trait;
use rows::{COLUMNS, MEANING, QUESTION, Read};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// How long nobody asks a server that is away.
const REST: Duration = Duration::from_secs(1);

/// Rows in one statement.
const BATCH: usize = 500;

/// Rows deleted in one statement.
const STEP: i64 = 5_000;

/// Most that a search gives, and that a list has.
const MOST: usize = 10_000;

/// Up to so many are counted; beyond it, what PostgreSQL believes.
const COUNTED: i64 = 100_000;

/// What is needed to keep vectors.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `postgres://user:password@host/database`.
    pub url: Secret,
    /// Connections, at most.
    pub connections: u32,
    /// Seals texts; none: they are plain.
    pub keyring: Option<Arc<Keyring>>,
    /// Longest wait for a connection, and longest statement; of deletions for each step.
    pub patience: Duration,
}

impl Settings {
    /// The defaults: 4 connections, not sealed, a second.
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            connections: 4,
            keyring: None,
            patience: Duration::from_secs(1),
        }
    }
}

/// Questions in PostgreSQL.
#[derive(Debug)]
pub struct PgVectors {
    pool: PgPool,
    keyring: Option<Arc<Keyring>>,
    ready: OnceCell<()>,
    away_until: Mutex<Option<Instant>>,
    unreadable: AtomicU64,
}

impl PgVectors {
    /// Nothing is connected before the first call. The error never repeats the address.
    pub fn open(settings: Settings) -> Result<Arc<Self>, StoreError> {
        let options = options(&settings.url)?;
        if is_exposed(&options) {
            tracing::warn!(
                "the connection to PostgreSQL for vectors may be unencrypted, and its server anybody: add `?sslmode=verify-full` to its URL"
            );
        }
        let longest = settings.patience.as_millis().max(1).to_string();
        let options = options.options([("statement_timeout", longest.as_str()), ("lock_timeout", &longest)]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections.max(1))
            .acquire_timeout(settings.patience)
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(options);
        Ok(Arc::new(Self {
            pool,
            keyring: settings.keyring,
            ready: OnceCell::new(),
            away_until: Mutex::new(None),
            unreadable: AtomicU64::new(0),
        }))
    }

    /// Connect, and make the extension and the table if they are missing. Whoever starts may call it to hear of what is wrong; the
    /// first call of anything does it, too.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let made = self.ready.get_or_try_init(|| async {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            schema::prepare(&mut connection).await
        });
        made.await.copied()
    }

    /// Rows that could not be read since the start; they were deleted.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Keep many questions, each in place of what has its key, unless that is younger.
    pub async fn put_many(&self, points: &[Point]) -> Result<(), Outage> {
        // One statement cannot change a row twice.
        let last: HashMap<Key, &Point> = points.iter().map(|point| (point.key, point)).collect();
        let points: Vec<&Point> = last.into_values().collect();
        self.working(async {
            let mut connection = self.pool.acquire().await?;
            for batch in points.chunks(BATCH) {
                self.insert(&mut connection, batch).await?;
            }
            Ok(())
        })
        .await
    }

    async fn insert(&self, connection: &mut PgConnection, points: &[&Point]) -> Result<(), sqlx::Error> {
        let ring = self.keyring.as_deref();
        let mut written = Vec::with_capacity(points.len());
        for point in points {
            let question = rows::write(ring, QUESTION, point.key, point.question.as_bytes());
            let meaning = point.meaning.as_ref();
            let meaning =
                meaning.map(|meaning| rows::write(ring, MEANING, point.key, &rows::bytes_of(meaning)).ok_or(()));
            // Without random numbers nothing is kept.
            let (Some(question), Ok(meaning)) = (question, meaning.transpose()) else {
                continue;
            };
            written.push((point, question, meaning));
        }
        if written.is_empty() {
            return Ok(());
        }
        let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
            "INSERT INTO cirque_vectors (key, partition, made_ms, ends_ms, names, question, meaning, place) ",
        );
        query.push_values(written, |mut row, (point, question, meaning)| {
            row.push_bind(point.key.0.to_vec())
                .push_bind(point.partition.0.to_vec())
                .push_bind(signed(point.made_ms))
                .push_bind(signed(point.ends_ms))
                .push_bind(rows::names(&point.label))
                .push_bind(question)
                .push_bind(meaning)
                .push_bind(rows::written(&point.place))
                .push_unseparated("::vector");
        });
        query.push(
            " ON CONFLICT (key) DO UPDATE SET partition = EXCLUDED.partition, made_ms = EXCLUDED.made_ms, \
             ends_ms = EXCLUDED.ends_ms, names = EXCLUDED.names, question = EXCLUDED.question, \
             meaning = EXCLUDED.meaning, place = EXCLUDED.place WHERE cirque_vectors.made_ms <= EXCLUDED.made_ms",
        );
        query.build().execute(connection).await.map(drop)
    }

    /// Do something with the database; what says that it is away is remembered for a moment.
    async fn working<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Outage> {
        let away = || self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        if away().is_some_and(|until| Instant::now() < until) {
            return Err(Outage("PostgreSQL is away".to_owned()));
        }
        let done = async {
            self.prepare().await?;
            work.await.map_err(failed)
        };
        done.await.map_err(|error| {
            if matches!(error, StoreError::Unavailable(_)) {
                *away() = Some(Instant::now() + REST);
            } else if let StoreError::Corrupt(_) = error {
                // The table may have been dropped: the next process makes it, this one goes on without.
                tracing::debug!(target: "cirque::vectors", %error, "the table of vectors is not as it should be");
            }
            Outage(error.to_string())
        })
    }

    /// What cannot be read goes.
    async fn drop_unreadable(&self, keys: Vec<Vec<u8>>) -> Result<(), sqlx::Error> {
        if keys.is_empty() {
            return Ok(());
        }
        self.unreadable.fetch_add(keys.len() as u64, Ordering::Relaxed);
        let gone = sqlx::query("DELETE FROM cirque_vectors WHERE key = ANY($1)").bind(keys);
        gone.execute(&self.pool).await.map(drop)
    }

    async fn points(&self, rows: Vec<Read>) -> Result<Vec<Point>, sqlx::Error> {
        let (mut points, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match row.point(self.keyring.as_deref()) {
                Some(point) => points.push(point),
                None => unreadable.push(row.key),
            }
        }
        self.drop_unreadable(unreadable).await?;
        Ok(points)
    }
}

fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn limit(most: usize) -> i64 {
    i64::try_from(most.min(MOST)).unwrap_or(i64::MAX)
}

#[async_trait]
impl Vectors for PgVectors {
    async fn put(&self, point: &Point) -> Result<(), Outage> {
        self.put_many(std::slice::from_ref(point)).await
    }

    async fn near(
        &self,
        partition: Partition,
        place: &Place,
        most: usize,
        floor: f32,
        now_ms: u64,
    ) -> Result<Vec<Near>, Outage> {
        // A distance is one less the cosine. The place asked for is a query of its own, so that it is read once and not once a row.
        let sql = format!(
            "SELECT {COLUMNS}, 1 - distance AS cosine FROM \
             (SELECT *, place <=> (SELECT $2::vector) AS distance FROM cirque_vectors WHERE partition = $1 AND ends_ms > $3) AS one \
             WHERE distance <= $4 ORDER BY distance, key LIMIT $5"
        );
        self.working(async {
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(partition.0.to_vec())
                .bind(rows::written(place))
                .bind(signed(now_ms))
                // What is exactly at the floor is rounded either way.
                .bind(1.0 - f64::from(floor) + 1e-6)
                .bind(limit(most));
            let (mut near, mut unreadable) = (Vec::new(), Vec::new());
            for row in query.fetch_all(&self.pool).await? {
                match rows::found(&row, self.keyring.as_deref())? {
                    Ok(one) => near.push(one),
                    Err(key) => unreadable.push(key),
                }
            }
            self.drop_unreadable(unreadable).await?;
            Ok(near)
        })
        .await
    }

    async fn get(&self, key: Key) -> Result<Option<Point>, Outage> {
        let sql = format!("SELECT {COLUMNS} FROM cirque_vectors WHERE key = $1");
        self.working(async {
            let query = sqlx::query_as::<_, Read>(AssertSqlSafe(sql)).bind(key.0.to_vec());
            let rows = query.fetch_all(&self.pool).await?;
            Ok(self.points(rows).await?.pop())
        })
        .await
    }

    async fn list(&self, partition: Partition, most: usize) -> Result<Vec<Point>, Outage> {
        let sql =
            format!("SELECT {COLUMNS} FROM cirque_vectors WHERE partition = $1 ORDER BY made_ms DESC, key LIMIT $2");
        self.working(async {
            let query = sqlx::query_as::<_, Read>(AssertSqlSafe(sql));
            let query = query.bind(partition.0.to_vec()).bind(limit(most));
            let rows = query.fetch_all(&self.pool).await?;
            self.points(rows).await
        })
        .await
    }

    async fn delete(&self, selection: &Selection) -> Result<u64, Outage> {
        if selection.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Vec<u8>> = selection.ids.iter().map(|key| key.0.to_vec()).collect();
        let names = rows::chosen(selection);
        let partition = selection.partition.map(|partition| partition.0.to_vec());
        // Conditions that are not there are left out, so that each is planned with the index it has.
        let mut conditions =
            vec!["($1::bytea[] IS NULL OR TRUE) AND ($2::bytea IS NULL OR TRUE) AND ($3::bytea[] IS NULL OR TRUE)"];
        conditions.extend((!ids.is_empty()).then_some("key = ANY($1)"));
        conditions.extend(partition.is_some().then_some("partition = $2"));
        conditions.extend((!names.is_empty()).then_some("names @> $3"));
        let sql = format!(
            "DELETE FROM cirque_vectors WHERE key IN (SELECT key FROM cirque_vectors WHERE {} LIMIT {STEP})",
            conditions.join(" AND ")
        );
        self.working(async {
            let mut gone = 0;
            loop {
                let query = sqlx::query(AssertSqlSafe(sql.clone()));
                let query = query.bind(&ids).bind(&partition).bind(&names);
                let some = query.execute(&self.pool).await?.rows_affected();
                gone += some;
                if some == 0 {
                    return Ok(gone);
                }
            }
        })
        .await
    }

    async fn expire(&self, now_ms: u64) -> Result<u64, Outage> {
        // Several instances do so at once: each takes what no other has.
        let sql = format!(
            "DELETE FROM cirque_vectors WHERE key IN \
             (SELECT key FROM cirque_vectors WHERE ends_ms <= $1 LIMIT {STEP} FOR UPDATE SKIP LOCKED)"
        );
        self.working(async {
            let mut gone = 0;
            loop {
                let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(signed(now_ms));
                let some = query.execute(&self.pool).await?.rows_affected();
                gone += some;
                if some == 0 {
                    return Ok(gone);
                }
            }
        })
        .await
    }

    async fn count(&self) -> Result<u64, Outage> {
        let sql = format!(
            "SELECT CASE WHEN counted < {COUNTED} THEN counted \
             ELSE (SELECT GREATEST(reltuples::bigint, {COUNTED}) FROM pg_class WHERE oid = 'cirque_vectors'::regclass) END \
             FROM (SELECT COUNT(*) AS counted FROM (SELECT 1 FROM cirque_vectors LIMIT {COUNTED}) AS sample) AS few"
        );
        self.working(async {
            let counted: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await?;
            Ok(u64::try_from(counted).unwrap_or(0))
        })
        .await
    }
}
