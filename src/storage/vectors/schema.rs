//! The schema of the store of vectors, and how a database gets it.
//!
//! Not the schema of what lasts (`storage::migrations`), with which it may share a database. The one idea: what is here can be lost,
//! so whoever serves first makes it, under a lock; nobody has to run `cirque migrate` for it.

use crate::storage::StoreError;
use crate::storage::postgres::failed;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

/// Steps in their order; one that was released is never changed. Expand, then contract, as in `storage/migrations/README.md`.
const STEPS: [&str; 1] = [include_str!("0001_first.sql")];

/// Advisory lock under which it is made: `cirque` and what is locked.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7163384699788099587)";

const MADE: &str = "CREATE TABLE IF NOT EXISTS cirque_vectors_steps (number INT PRIMARY KEY)";

/// Bring it up to date, all or nothing.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<(), StoreError> {
    if steps_done(connection).await? == STEPS.len() {
        return Ok(());
    }
    let mut transaction = connection.begin().await.map_err(failed)?;
    let unhurried = sqlx::raw_sql("SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '60s'");
    unhurried.execute(&mut *transaction).await.map_err(failed)?;
    sqlx::query(LOCK).execute(&mut *transaction).await.map_err(failed)?;
    // Whoever waited for the lock may find it done.
    let done = steps_done(&mut transaction).await?;
    if done > STEPS.len() {
        return Err(StoreError::Corrupt(
            "its table of vectors was made by a newer version of cirque and this one does not know it".to_owned(),
        ));
    }
    let extension = sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS vector");
    extension.execute(&mut *transaction).await.map_err(without_extension)?;
    sqlx::raw_sql(MADE).execute(&mut *transaction).await.map_err(failed)?;
    for (number, step) in (1_i32..).zip(STEPS).skip(done) {
        sqlx::raw_sql(step).execute(&mut *transaction).await.map_err(failed)?;
        let note = sqlx::query("INSERT INTO cirque_vectors_steps (number) VALUES ($1)").bind(number);
        note.execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

async fn steps_done(connection: &mut PgConnection) -> Result<usize, StoreError> {
    let there = sqlx::query("SELECT to_regclass('cirque_vectors_steps') IS NOT NULL");
    let there = there.fetch_one(&mut *connection).await.and_then(|row| row.try_get(0));
    if !there.map_err(failed)? {
        return Ok(0);
    }
    let count = sqlx::query("SELECT COUNT(*) FROM cirque_vectors_steps");
    let count: Result<i64, _> = count.fetch_one(connection).await.and_then(|row| row.try_get(0));
    Ok(usize::try_from(count.map_err(failed)?).unwrap_or(0))
}

/// The extension cannot be made: what to do about it.
fn without_extension(error: sqlx::Error) -> StoreError {
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(|code| code.into_owned()));
    match code.as_deref() {
        Some("0A000" | "58P01" | "42704") => StoreError::Failed(
            "PostgreSQL has no extension `vector`: install pgvector on its machine (Debian: apt-get install \
             postgresql-NN-pgvector, NN its version)"
                .to_owned(),
        ),
        Some("42501") => StoreError::Failed(
            "this user of PostgreSQL may not make the extension `vector`: run `CREATE EXTENSION vector` in this database as a \
             superuser, once"
                .to_owned(),
        ),
        _ => failed(error),
    }
}
