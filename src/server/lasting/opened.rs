//! Opening the store and reading what it holds, before there is anything that could use it.
//!
//! A store that is another machine's and does not answer is read from the copy on disk.

use super::{Held, KEY_SECRET, copy};
use crate::auth::token;
use crate::config::{self, Config};
use crate::secret::Secret;
use crate::snapshot::Stored;
use crate::storage::{self, Place, Store, StoreError};
use anyhow::Context;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// The store, opened and read: what a first snapshot needs of it.
pub(in crate::server) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) held: Held,
    pub(super) key_secret: Secret,
    pub(super) state_dir: PathBuf,
    pub(super) runtime: Runtime,
}

impl Opened {
    /// Open what the configuration says is to be kept.
    pub fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        if !config.keeps() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lasting")
            .enable_all()
            .build()
            .context("a runtime for the store")?;
        let state_dir = storage::state_dir(config.server.state_dir.as_deref());
        let place = place(config, &state_dir)?;
        let store = runtime
            .block_on(storage::open(&place))
            .map_err(|error| opening(&place, &error))?;
        let reading = Arc::clone(&store);
        let kept = on_its_own(&runtime, async move { read(&*reading).await })
            .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())));
        let (key_secret, held) = match kept {
            Ok(kept) => kept,
            Err(error) => from_copy(&state_dir, &error)?,
        };
        Ok(Some(Self {
            store,
            held,
            key_secret,
            state_dir,
            runtime,
        }))
    }

    /// Secrets of providers, sealed.
    pub fn secrets(&self) -> Stored {
        self.held.secrets.clone()
    }
}

/// Do something on the runtime's own thread: what is made there and replaced there later leaves its memory to what replaces it,
/// which an allocator that keeps a heap for each thread does not do for a thread that only waits from then on.
pub(super) fn on_its_own<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    runtime.block_on(runtime.spawn(work))
}

/// Where the store is.
fn place(config: &Config, state_dir: &std::path::Path) -> anyhow::Result<Place> {
    Ok(match &config.store {
        None | Some(config::Store::Sqlite { path: None }) => Place::Sqlite {
            path: state_dir.join("cirque.db"),
        },
        Some(config::Store::Sqlite { path: Some(path) }) => Place::Sqlite { path: path.clone() },
        Some(config::Store::Postgres { url, connections }) => Place::Postgres {
            url: url.read().map_err(anyhow::Error::msg).context("store.url")?,
            connections: connections.unwrap_or(storage::CONNECTIONS),
        },
    })
}

fn opening(place: &Place, error: &StoreError) -> anyhow::Error {
    let what = match place {
        Place::Sqlite { path } => format!(
            "the store {} cannot be opened; give the process a directory it may write (server.state_dir)",
            path.display()
        ),
        Place::Postgres { .. } => {
            "the store in PostgreSQL cannot be used; `cirque migrate` brings its schema up to date".to_owned()
        }
    };
    anyhow::anyhow!("{what}: {error}")
}

/// What keys are hashed with, and what the store holds.
async fn read(store: &dyn Store) -> Result<(Secret, Held), StoreError> {
    let proposed = token::generate_hash_secret().map_err(|error| StoreError::Failed(error.to_string()))?;
    let secret = store.setting(KEY_SECRET, proposed.expose()).await?;
    let objects = store.changes(0).await?;
    let secrets = store.secrets(storage::PROVIDER_SECRET).await?;
    let mut held = Held {
        secrets,
        ..Held::default()
    };
    // Its revision is the newest of these: what was changed in between is read again.
    held.take(objects);
    Ok((Secret::new(secret), held))
}

/// The store is gone: keys work from the copy of what it held.
fn from_copy(state_dir: &std::path::Path, error: &StoreError) -> anyhow::Result<(Secret, Held)> {
    if !matches!(error, StoreError::Unavailable(_)) {
        anyhow::bail!("the store cannot be read: {error}");
    }
    match copy::read(state_dir) {
        Ok(copy) => {
            tracing::error!(%error, objects = copy.1.objects.len(), "the store does not answer; keys work as it last held them");
            Ok(copy)
        }
        Err(why) => anyhow::bail!("the store does not answer ({error}), and there is no copy of what it held: {why}"),
    }
}
