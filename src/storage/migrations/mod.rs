//! The schema's versions and how a database gets from one to the next. Discipline: `README.md` in this folder.
//!
//! A runner of our own because sqlx's has no notion of "an older program may go on with this". The one idea: each migration
//! says the lowest version a program must know (`needs`), so that old and new programs share a database during an upgrade.

use crate::hex::hex;
use crate::storage::StoreError;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

/// One step.
#[derive(Debug)]
struct Migration {
    number: i64,
    name: &'static str,
    /// A program must know at least this one to work with a database that has this step.
    needs: i64,
    sqlite: &'static str,
    postgres: &'static str,
}

static MIGRATIONS: [Migration; 3] = [
    Migration {
        number: 1,
        name: "first",
        needs: 1,
        sqlite: include_str!("sqlite/0001_first.sql"),
        postgres: include_str!("postgres/0001_first.sql"),
    },
    // An older program would read rows without what is in their labels and bytes. No release had only 0001.
    Migration {
        number: 2,
        name: "labels",
        needs: 2,
        sqlite: include_str!("sqlite/0002_labels.sql"),
        postgres: include_str!("postgres/0002_labels.sql"),
    },
    // An older program writes and sums up everything else.
    Migration {
        number: 3,
        name: "saved",
        needs: 2,
        sqlite: include_str!("sqlite/0003_saved.sql"),
        postgres: include_str!("postgres/0003_saved.sql"),
    },
];

/// `cirq`, in the header of our SQLite files.
const APPLICATION: i64 = 0x6369_7271;
/// Advisory lock under which PostgreSQL is migrated.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7163384699788099585)";

const MADE_BY_US: &str = "CREATE TABLE IF NOT EXISTS cirque_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, \
                          needs BIGINT NOT NULL, checksum TEXT NOT NULL)";
const APPLIED: &str = "SELECT number, name, needs, checksum FROM cirque_migrations ORDER BY number";
const APPLY: &str = "INSERT INTO cirque_migrations (number, name, needs, checksum) VALUES ($1, $2, $3, $4)";

/// What a database has.
#[derive(Debug, Clone)]
struct Applied {
    number: i64,
    name: String,
    needs: i64,
    checksum: String,
}

/// How a database stands to this program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Applied, as `0001 first`.
    pub applied: Vec<String>,
    /// Known to this program and not applied.
    pub pending: Vec<String>,
    /// Applied by a newer version that this one can work with.
    pub newer: Vec<String>,
}

/// Titles of all this program knows.
pub(crate) fn titles() -> Vec<String> {
    MIGRATIONS
        .iter()
        .map(|migration| format!("{:04} {}", migration.number, migration.name))
        .collect()
}

fn checksum(sql: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, sql.as_bytes()).as_ref())
}

/// Compare; an error where this program must not touch the database.
fn compare(applied: &[Applied], sql: impl Fn(&Migration) -> &'static str) -> Result<Status, StoreError> {
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.number);
    if let Some(beyond) = applied.iter().find(|step| step.needs > newest) {
        return Err(StoreError::Corrupt(format!(
            "its schema ({:04} {}) was made by a newer version of cirque and this one does not know it",
            beyond.number, beyond.name
        )));
    }
    let mut status = Status::default();
    for migration in &MIGRATIONS {
        let title = format!("{:04} {}", migration.number, migration.name);
        match applied.iter().find(|step| step.number == migration.number) {
            None => status.pending.push(title),
            Some(step) if step.checksum != checksum(sql(migration)) => {
                return Err(StoreError::Corrupt(format!(
                    "its migration {title} is not the one this version knows"
                )));
            }
            Some(_) => status.applied.push(title),
        }
    }
    let newer = applied.iter().filter(|step| step.number > newest);
    status.newer = newer.map(|step| format!("{:04} {}", step.number, step.name)).collect();
    Ok(status)
}

/// Refuse a file that is not ours, before anything in it is changed.
pub(crate) async fn recognise_sqlite(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    use crate::storage::sqlite::failed;
    let asked = sqlx::query("SELECT (SELECT * FROM pragma_application_id), (SELECT COUNT(*) FROM sqlite_schema)");
    let row = asked.fetch_one(connection).await.map_err(failed)?;
    let (application, tables): (i64, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    if application == APPLICATION || (application == 0 && tables == 0) {
        return Ok(());
    }
    Err(StoreError::Corrupt(
        "this SQLite file was not made by cirque".to_owned(),
    ))
}

/// Bring a file up to date; several processes may do so at once.
pub(crate) async fn migrate_sqlite(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    use crate::storage::sqlite::failed;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    sqlx::query(MADE_BY_US)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let rows = sqlx::query(APPLIED)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    let mut applied = Vec::new();
    for row in &rows {
        applied.push(Applied {
            number: row.try_get(0).map_err(failed)?,
            name: row.try_get(1).map_err(failed)?,
            needs: row.try_get(2).map_err(failed)?,
            checksum: row.try_get(3).map_err(failed)?,
        });
    }
    compare(&applied, |migration| migration.sqlite)?;
    let missing = |migration: &&Migration| !applied.iter().any(|step| step.number == migration.number);
    for migration in MIGRATIONS.iter().filter(missing) {
        sqlx::raw_sql(migration.sqlite)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let note = sqlx::query(APPLY)
            .bind(migration.number)
            .bind(migration.name)
            .bind(migration.needs);
        let note = note.bind(checksum(migration.sqlite));
        note.execute(&mut *transaction).await.map_err(failed)?;
    }
    let mark = format!("PRAGMA application_id = {APPLICATION}");
    sqlx::query(AssertSqlSafe(mark))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Refuse a database that this version cannot serve from.
pub(crate) async fn check_postgres(connection: &mut PgConnection) -> Result<(), StoreError> {
    let status = status_postgres(connection).await?;
    if let Some(first) = status.pending.first() {
        return Err(StoreError::Corrupt(format!(
            "the database lacks migration {first}; run `cirque migrate`"
        )));
    }
    Ok(())
}

/// What is applied and what is not; changes nothing.
pub(crate) async fn status_postgres(connection: &mut PgConnection) -> Result<Status, StoreError> {
    use crate::storage::postgres::failed;
    let there = sqlx::query("SELECT to_regclass('cirque_migrations') IS NOT NULL");
    let there: bool = there
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    let mut applied = Vec::new();
    if there {
        for row in &sqlx::query(APPLIED).fetch_all(connection).await.map_err(failed)? {
            applied.push(Applied {
                number: row.try_get(0).map_err(failed)?,
                name: row.try_get(1).map_err(failed)?,
                needs: row.try_get(2).map_err(failed)?,
                checksum: row.try_get(3).map_err(failed)?,
            });
        }
    }
    compare(&applied, |migration| migration.postgres)
}

/// Apply what is pending, all or nothing, one program at a time. What was applied.
pub(crate) async fn migrate_postgres(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    use crate::storage::postgres::failed;
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::raw_sql("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    sqlx::query(LOCK).execute(&mut *transaction).await.map_err(failed)?;
    sqlx::raw_sql("SET LOCAL lock_timeout = '10s'")
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    sqlx::query(MADE_BY_US)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let status = status_postgres(&mut transaction).await?;
    let mut done = Vec::new();
    for migration in &MIGRATIONS {
        let title = format!("{:04} {}", migration.number, migration.name);
        if !status.pending.contains(&title) {
            continue;
        }
        sqlx::raw_sql(migration.postgres)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let note = sqlx::query(APPLY)
            .bind(migration.number)
            .bind(migration.name)
            .bind(migration.needs);
        let note = note.bind(checksum(migration.postgres));
        note.execute(&mut *transaction).await.map_err(failed)?;
        done.push(title);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(number: i64, needs: i64) -> Applied {
        let known = MIGRATIONS.iter().find(|migration| migration.number == number);
        Applied {
            number,
            name: known.map_or("later", |migration| migration.name).to_owned(),
            needs,
            checksum: known.map_or(String::new(), |migration| checksum(migration.sqlite)),
        }
    }

    #[test]
    fn numbers_ascend_and_what_is_needed_exists() {
        for pair in MIGRATIONS.windows(2) {
            assert!(pair[0].number < pair[1].number && pair[0].needs <= pair[1].needs);
        }
        assert!(MIGRATIONS.iter().all(|migration| migration.needs <= migration.number));
    }

    #[test]
    fn a_database_that_was_only_expanded_is_served_and_one_that_was_contracted_is_not() {
        let newest = MIGRATIONS.last().unwrap().number;
        let known: Vec<_> = MIGRATIONS
            .iter()
            .map(|migration| applied(migration.number, migration.needs))
            .collect();
        let with = |needs| [known.clone(), vec![applied(newest + 1, needs)]].concat();
        let sql = |migration: &Migration| migration.sqlite;
        assert_eq!(
            compare(&with(newest), sql).unwrap().newer,
            [format!("{:04} later", newest + 1)]
        );
        assert!(
            compare(&with(newest + 1), sql)
                .unwrap_err()
                .to_string()
                .contains("newer version")
        );
        assert_eq!(compare(&known[1..], sql).unwrap().pending, ["0001 first"]);
        assert_eq!(
            compare(&known[..1], sql).unwrap().pending,
            ["0002 labels", "0003 saved"]
        );
    }

    #[test]
    fn a_migration_that_was_edited_is_noticed() {
        let mut known = applied(1, 1);
        known.checksum = "0".repeat(64);
        assert!(compare(&[known], |migration| migration.sqlite).is_err());
    }
}
