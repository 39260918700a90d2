//! SIGHUP: read the file again, build a snapshot, swap it in. All or nothing: a file with any problem changes nothing.
//!
//! Requests under way keep the snapshot they pinned; breakers, counters and address books carry over by id. What is read
//! at start only (listeners, threads) is compared and named when it changed.

use super::lasting::Lasting;
use super::pages;
use super::{Secured, apply_log, load, tls, written};
use crate::config::{CachePolicy, CacheStore, Config};
use crate::gateway::App;
use crate::snapshot::Snapshot;
use crate::telemetry::LogHandle;
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::Arc;

/// The configuration that runs, as written.
pub(super) type Running = Arc<ArcSwap<Config>>;

/// A listener, its new certificate and its clients' new authorities.
type Certificates<'a> = (&'a Secured, Arc<rustls::sign::CertifiedKey>, Option<Arc<tls::Trusted>>);

/// What a reload needs.
pub(super) struct Reloader {
    path: Option<PathBuf>,
    started_with: Config,
    /// As it runs now.
    pub running: Running,
    app: Arc<App>,
    secured: Vec<Secured>,
    log: LogHandle,
    lasting: Option<Arc<Lasting>>,
    /// The file that runs, for operators.
    pub written: Arc<ArcSwap<serde_json::Value>>,
}

impl Reloader {
    pub fn new(
        path: Option<PathBuf>,
        started_with: Config,
        app: Arc<App>,
        secured: Vec<Secured>,
        log: LogHandle,
        lasting: Option<Arc<Lasting>>,
    ) -> Self {
        let written = Arc::new(ArcSwap::from_pointee(written(path.as_deref())));
        Self {
            path,
            running: Arc::new(ArcSwap::from_pointee(started_with.clone())),
            started_with,
            app,
            secured,
            log,
            lasting,
            written,
        }
    }

    /// Reload, and say what came of it in the log and the metrics.
    pub async fn reload(&mut self) {
        let result = self.try_reload().await;
        pages::give_back_code();
        self.app.meters.config_loaded(false, result.is_ok());
        match result {
            Ok(models) => tracing::info!(models, "configuration reloaded"),
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(problem, "configuration problem");
                }
                tracing::error!(
                    problems = problems.len(),
                    "the configuration was not reloaded; the running one stays"
                );
            }
        }
    }

    async fn try_reload(&self) -> Result<usize, Vec<String>> {
        let _alone = match &self.lasting {
            Some(lasting) => Some(lasting.alone().await),
            None => None,
        };
        let path = self.path.clone();
        let app = Arc::clone(&self.app);
        // Files, environment and `enabled_if` probes block.
        let built = tokio::task::spawn_blocking(move || {
            let config = load(path.as_deref())
                .map_err(|problems| problems.0.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            let snapshot = Snapshot::build(&config, &app.state)?;
            Ok::<_, Vec<String>>((config, snapshot))
        });
        let (config, snapshot) = built.await.map_err(|e| vec![format!("the reload failed: {e}")])??;
        let certificates = self.certificates(&config)?;
        if let Some(lasting) = &self.lasting {
            lasting.rebuild(&config, &self.app).await?;
        }
        // Nothing can fail any more.
        for (secured, certificate, authorities) in certificates {
            secured.certificate.replace(certificate);
            secured.authorities.replace(authorities);
        }
        self.warn_of_fixed(&config);
        apply_log(&config, &self.app, &self.log);
        let snapshot = Arc::new(snapshot);
        self.app.snapshot.store(Arc::clone(&snapshot));
        self.app.state.adopt(&snapshot);
        self.running.store(Arc::new(config));
        self.written.store(Arc::new(written(self.path.as_deref())));
        Ok(snapshot.models.len())
    }

    fn certificates(&self, config: &Config) -> Result<Vec<Certificates<'_>>, Vec<String>> {
        let mut read = Vec::new();
        let mut problems = Vec::new();
        for listener in config.listen.listeners() {
            let (Some(files), Ok(address)) = (&listener.tls, listener.socket()) else {
                continue;
            };
            let Some(secured) = self
                .secured
                .iter()
                .find(|secured| secured.address == address.to_string())
            else {
                continue;
            };
            let pair = tls::read(&files.cert, &files.key);
            match pair.and_then(|pair| Ok((pair, tls::authorities(files)?))) {
                Ok((certificate, authorities)) => read.push((secured, certificate, authorities)),
                Err(error) => problems.push(format!("listen {address}: {error:#}")),
            }
        }
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }

    fn warn_of_fixed(&self, config: &Config) {
        let before = &self.started_with;
        let addresses = |config: &Config| {
            let mut all: Vec<_> = config
                .listen
                .listeners()
                .into_iter()
                .map(|l| (l.address, l.tls.is_some(), l.h2c))
                .collect();
            all.sort();
            all
        };
        for (block, changed) in [
            ("listen", addresses(before) != addresses(config)),
            ("admin", before.admin.listen != config.admin.listen),
            ("server", before.server != config.server),
            (
                "store",
                before.keeps() != config.keeps() || before.store != config.store,
            ),
            ("redis", before.redis != config.redis),
            ("auth.key_secret", before.auth.key_secret != config.auth.key_secret),
            ("ledger", before.ledger != config.ledger),
            ("cache", tiers(&before.cache) != tiers(&config.cache)),
        ] {
            if changed {
                tracing::warn!(
                    block,
                    "this block is read at start only; restart (or upgrade) to apply its change"
                );
            }
        }
        if before.admin.operators != config.admin.operators || before.admin.allowed_ips != config.admin.allowed_ips {
            tracing::error!(
                block = "admin",
                "operators and allowed_ips are read at start only: who was taken out STILL HAS ACCESS until a restart (or upgrade)"
            );
        }
    }
}

/// What is opened at start of the cache; policies follow a reload.
fn tiers(cache: &CacheStore) -> CacheStore {
    CacheStore {
        defaults: CachePolicy::default(),
        ..cache.clone()
    }
}
