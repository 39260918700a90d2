//! The cache, opened at start: tiers in this process and in Redis, the semantic tier, and what other instances tell.
//!
//! What a reload changes of it is said to need a restart; policies take effect at once. The one idea: a tier that cannot be opened is
//! left out, and said to be, unless the file asks for what was never there (`make models` was not run).

mod desk;

pub(super) use self::desk::Desk;

use crate::cache::Shared;
use crate::cache::semantic::encoder::{Encoder, MANIFEST};
use crate::cache::semantic::{Semantic, Settings, Source, Vetted};
use crate::config::{ByteSize, Config, SemanticStore};
use crate::gateway::App;
use crate::gateway::caching::Caching;
use crate::gateway::stages::cached::embedder::PoolEmbedder;
use crate::snapshot;
use crate::storage::redis::cache::{self as shared, SharedCache};
use anyhow::Context;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
        Some(tier) => open_semantic(tier, app, &mut opened)?,
    };
    let tier = shared.clone().map(|shared| shared as Arc<dyn Shared>);
    let caching = Arc::new(Caching::new(&app.meters, memory, above, tier, semantic));
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
    let keyring = match config.cache.sealed {
        Some(false) => None,
        _ => snapshot::keyring(config).map_err(anyhow::Error::msg)?,
    };
    let settings = shared::Settings {
        keyring: keyring.map(Arc::new),
        ..shared::Settings::new(redis)
    };
    let opened = SharedCache::open(settings).map_err(anyhow::Error::msg);
    opened.map(Some).context("cache shared through Redis")
}

/// Hear what others do, on the shared cache's own thread.
fn follow(shared: &SharedCache, caching: Arc<Caching>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("cache news")
        .enable_all()
        .build()
        .context("cache")?;
    shared
        // It calls from within a runtime of its own, whose thread may wait for another only if told.
        .follow(move |news| tokio::task::block_in_place(|| runtime.block_on(caching.heard(news))))
        .context("the log of the shared cache")
}

fn open_semantic(tier: &SemanticStore, app: &Arc<App>, opened: &mut Opened) -> anyhow::Result<Option<Arc<Semantic>>> {
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
    let semantic = Semantic::new(settings, source, Arc::new(Vetted), None).context("cache.semantic: threads")?;
    Ok(Some(Arc::new(semantic)))
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
