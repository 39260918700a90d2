//! Where a store is and how one gets there: opening it, and bringing its schema up to date.

use super::postgres::{PostgresBackend, options};
use super::sql::SqlStore;
use super::sqlite::SqliteBackend;
use super::{Store, StoreError, migrations};
use crate::secret::Secret;
use sqlx::ConnectOptions as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use super::migrations::Status;

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file of this machine.
    Sqlite {
        /// Its path; made with its folder when it is missing.
        path: PathBuf,
    },
    /// A PostgreSQL server.
    Postgres {
        /// `postgres://user:password@host/database`
        url: Secret,
        /// Connections, at most.
        connections: u32,
    },
}

/// Connections to PostgreSQL unless configured.
pub const CONNECTIONS: u32 = 8;

/// Open a store. A PostgreSQL server that does not answer is no error: calls fail with [`StoreError::Unavailable`] until it
/// does. One that answers must have the schema of this version ([`migrate`]); a file gets it here.
pub async fn open(place: &Place) -> Result<Arc<dyn Store>, StoreError> {
    match place {
        Place::Sqlite { path } => Ok(Arc::new(SqlStore::new(SqliteBackend::open(path).await?))),
        Place::Postgres { url, connections } => {
            let backend = PostgresBackend::new(url, *connections)?;
            match backend.check().await {
                Ok(()) | Err(StoreError::Unavailable(_)) => Ok(Arc::new(SqlStore::new(backend))),
                Err(error) => Err(error),
            }
        }
    }
}

/// Bring a schema up to date. What was applied; of a file, nothing is told: opening does it.
pub async fn migrate(place: &Place) -> Result<Vec<String>, StoreError> {
    match place {
        Place::Sqlite { path } => SqliteBackend::open(path).await.map(|_| Vec::new()),
        Place::Postgres { url, .. } => {
            let mut connection = options(url)?.connect().await.map_err(super::postgres::failed)?;
            migrations::migrate_postgres(&mut connection).await
        }
    }
}

/// How a schema stands to this version. A file that is there is opened, and so brought up to date.
pub async fn status(place: &Place) -> Result<Status, StoreError> {
    match place {
        Place::Sqlite { path } => {
            let mut status = Status::default();
            if path.exists() {
                SqliteBackend::open(path).await?;
                status.applied = migrations::titles();
            } else {
                status.pending = migrations::titles();
            }
            Ok(status)
        }
        Place::Postgres { url, .. } => {
            let mut connection = options(url)?.connect().await.map_err(super::postgres::failed)?;
            migrations::status_postgres(&mut connection).await
        }
    }
}

/// Where what lasts is kept: as configured, else `$STATE_DIRECTORY` (the first of several), else `/var/lib/cirque` if that is
/// writable, else `.cirque` in the working directory.
pub fn state_dir(configured: Option<&Path>) -> PathBuf {
    if let Some(folder) = configured {
        return folder.to_owned();
    }
    let given = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    if let Some(first) = given.split(':').next().filter(|first| !first.is_empty()) {
        return PathBuf::from(first);
    }
    let usual = Path::new("/var/lib/cirque");
    let probe = usual.join(format!(".probe-{}", std::process::id()));
    if std::fs::File::create_new(&probe).is_ok() {
        drop(std::fs::remove_file(&probe));
        return usual.to_owned();
    }
    PathBuf::from(".cirque")
}
