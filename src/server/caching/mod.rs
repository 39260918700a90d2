//! The cache, opened at start: tiers in this process and in Redis, the semantic tier, and what other instances tell.
//!
//! What a reload changes of it is said to need a restart; policies take effect at once. The one idea: a tier that cannot be opened is
//! left out, and said to be, unless the file asks for what was never there (`make models` was not run).

mod desk;

pub(super) use self::desk::Desk;

use crate::cache::Shared;
use crate::cache::semantic::encoder::{Encoder, MANIFEST};
use crate::cache::semantic::{Semantic, Settings, Source, Vectors, Vetted};
use crate::config::{ByteSize, Config, SemanticStore, Store, VectorStore};
use crate::gateway::App;
use crate::gateway::caching::Caching;
use crate::gateway::stages::cached::embedder::PoolEmbedder;
use crate::snapshot;
use crate::storage::StoreError;
use crate::storage::redis::cache::{self as shared, SharedCache};
use crate::storage::sealed::Keyring;
use crate::storage::vectors::{self, PgVectors};
use anyhow::Context;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Memory for answers, where the file says nothing.
const MEMORY: u64 = 256 << 20;
/// Answers longer than this are compressed.
const COMPRESS_ABOVE: usize = 2 << 10;
/// How often what is over is let go.
const SWEEP: Duration = Duration::from_secs(10);

/// What was opened, for operators.
#[derive(Default)]
pub(super) struct Opened {
    /// Answers in Redis.
    pub shared: Option<Arc<SharedCache>>,
    /// What verifies, or why nothing does.
    pub semantic: Option<String>,
    /// Capacities: bytes of memory, questions of the index.
    pub capacity: (u64, u64),
}

/// Open the tiers.
pub(super) fn open(config: &Config, app: &Arc<App>) -> anyhow::Result<Opened> {
    let written = &config.cache;
    let memory = written.memory.map_or(MEMORY, |size| size.as_bytes() as u64);
    let above = written.compress_above.map_or(COMPRESS_ABOVE, ByteSize::as_bytes);
    let shared = open_shared(config)?;
    let mut opened = Opened {
        capacity: (memory, Settings::default().entries as u64),
        shared: shared.clone(),
        semantic: None,
    };
    let semantic = match &written.semantic {
        None => None,
        Some(tier) => open_semantic(config, tier, app, &mut opened)?,
    };
    let elsewhere = written.semantic.as_ref().is_some_and(|tier| tier.vectors.is_some());
    let tier = shared.clone().map(|shared| shared as Arc<dyn Shared>);
    let caching = Arc::new(Caching::new(&app.meters, memory, above, tier, semantic, elsewhere));
    app.cache.store(Some(Arc::clone(&caching)));
    if let Some(shared) = shared {
        follow(&shared, caching)?;
    }
    Ok(opened)
}

fn open_shared(config: &Config) -> anyhow::Result<Option<Arc<SharedCache>>> {
    let Some(redis) = super::lasting::redis(config)?.filter(|_| config.cache.shared != Some(false)) else {
        return Ok(None);
    };
    let settings = shared::Settings {
        keyring: keyring(config)?,
        ..shared::Settings::new(redis)
    };
    let opened = SharedCache::open(settings).map_err(anyhow::Error::msg);
    opened.map(Some).context("cache shared through Redis")
}

/// Hear what others do, on the shared cache's own thread.
fn follow(shared: &SharedCache, caching: Arc<Caching>) -> anyhow::Result<()> {
    let runtime = runtime("cache news")?;
    shared
        .follow(move |news| runtime.block_on(caching.heard(news)))
        .context("the log of the shared cache")
}

fn open_semantic(
    config: &Config,
    tier: &SemanticStore,
    app: &Arc<App>,
    opened: &mut Opened,
) -> anyhow::Result<Option<Arc<Semantic>>> {
    let defaults = Settings::default();
    let settings = Settings {
        entries: tier.entries.unwrap_or(defaults.entries),
        threads: tier.threads.unwrap_or(defaults.threads),
        waiting: tier.waiting.unwrap_or(defaults.waiting),
        ..defaults
    };
    opened.capacity.1 = settings.entries as u64;
    let source = match &tier.embedder {
        Some(model) => {
            opened.semantic = Some(format!("vectors of {model}"));
            Source::Remote(Arc::new(PoolEmbedder::new(app, model.clone())))
        }
        None => {
            let dir = tier.models.clone().unwrap_or_else(|| PathBuf::from("models"));
            let encoder = match Encoder::open(&dir) {
                Ok(encoder) => encoder,
                // Never made: what the file asks for has never been there.
                Err(error) if !dir.join(MANIFEST).exists() => {
                    anyhow::bail!(
                        "cache.semantic needs the model files: {error}; `make models` makes them, or set `embedder`"
                    )
                }
                Err(error) => {
                    tracing::error!(%error, "the semantic cache is off: its model files cannot be used; exact answers are served");
                    opened.semantic = Some(format!("off: {error}"));
                    return Ok(None);
                }
            };
            opened.semantic = Some("all-MiniLM-L6-v2".to_owned());
            Source::Built(Arc::new(encoder))
        }
    };
    let semantic = Semantic::new(settings, source, Arc::new(Vetted), open_vectors(config, tier)?);
    Ok(Some(Arc::new(semantic.context("cache.semantic: threads")?)))
}

/// Questions in PostgreSQL, for all instances; none: each has its own index. A server that cannot be reached yet is asked again with the
/// first lookup.
fn open_vectors(config: &Config, tier: &SemanticStore) -> anyhow::Result<Option<Arc<dyn Vectors>>> {
    let Some(VectorStore::Pgvector { url, connections }) = &tier.vectors else {
        return Ok(None);
    };
    let url = match (url, &config.store) {
        (Some(url), _) | (None, Some(Store::Postgres { url, .. })) => url,
        _ => anyhow::bail!("cache.semantic.vectors: no PostgreSQL to keep vectors in; set `url`"),
    };
    let url = url
        .read()
        .map_err(anyhow::Error::msg)
        .context("cache.semantic.vectors.url")?;
    let mut settings = vectors::Settings::new(url);
    settings.connections = connections.unwrap_or(settings.connections);
    settings.keyring = keyring(config)?;
    // What keeps its connections runs here; calls run where they are made.
    let runtime = runtime("cache vectors")?;
    let opened = {
        let _inside = runtime.enter();
        PgVectors::open(settings).context("cache.semantic.vectors")?
    };
    match runtime.block_on(opened.prepare()) {
        Ok(()) => {}
        Err(StoreError::Unavailable(why)) => {
            tracing::warn!(
                why,
                "the vectors of the semantic cache cannot be reached; lookups by likeness are misses until they can"
            );
        }
        Err(error) => return Err(error).context("cache.semantic.vectors"),
    }
    // As long as the process.
    std::mem::forget(runtime);
    Ok(Some(opened))
}

fn runtime(name: &str) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .context("cache")
}

/// What seals answers and questions outside of this process; none: they are plain.
fn keyring(config: &Config) -> anyhow::Result<Option<Arc<Keyring>>> {
    if config.cache.sealed == Some(false) {
        return Ok(None);
    }
    let keyring = snapshot::keyring(config).map_err(anyhow::Error::msg)?;
    Ok(keyring.map(Arc::new))
}

/// Let go of what is over, now and then, and show how much there is.
pub(super) async fn keep(app: Arc<App>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Some(caching) = app.cache.load_full() {
            caching.sweep(crate::clock::now_ms()).await;
        }
    }
}
