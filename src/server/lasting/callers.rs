//! Who may call and at what prices, made known to requests: at start, at a reload, and when the store has changed.
//!
//! Not how the store is opened and kept (`lasting`). The one idea: a change in the store is taken up with the file that runs as it
//! was read, so that a file that has gone since keeps no revocation from being known.

use super::{Held, Lasting};
use crate::auth::Networks;
use crate::config::{self, Config};
use crate::directory::{Directory, FileKeys, ScopeBlock, Sources};
use crate::gateway::App;
use crate::gateway::accounts::Accounts;
use crate::limits::{Bank, Bound, ScopeKind};
use crate::server::tenancy::prices;
use crate::snapshot::Snapshot;
use crate::snapshot::issuers::{certificate_keys, issuers};
use crate::storage::{self, Object, StoreError};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// No revision of any store.
const NOTHING: storage::Revision = -1;

/// The file that runs, with what was read for it: a change in the store is taken up without a look at files, which may have
/// gone since, and never with another configuration than the one that runs.
pub(super) struct File {
    config: Config,
    keys: FileKeys,
}

impl Lasting {
    /// Take up what is new in the store. Whether there was anything.
    ///
    /// Dropping the future is safe: what was read and not taken up yet is taken up by the next.
    pub async fn refresh(&self, app: &App) -> Result<bool, StoreError> {
        let _one = self.reading.lock().await;
        let known = self.revision();
        let newest = self.store.revision().await?;
        if newest != known {
            let put_back = newest < known;
            if put_back {
                // What was read since is no more.
                tracing::warn!(
                    known,
                    newest,
                    "the store is older than what was read of it: all of it is read again"
                );
            }
            let changes = self.store.changes(if put_back { 0 } else { known }).await?;
            // After the objects: of a change of secrets no object tells.
            let secrets = self.store.secrets(storage::PROVIDER_SECRET).await?;
            if put_back {
                *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Held::default();
                self.taken_up.store(NOTHING, Ordering::Relaxed);
            }
            self.hold(changes);
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.revision = held.revision.max(newest);
            held.secrets = secrets;
        }
        let revision = self.revision();
        if self.taken_up.load(Ordering::Relaxed) == revision {
            return Ok(false);
        }
        if let Some(file) = self.redo(app).await {
            self.take_secrets(&file.config, app);
            self.reprice(&file.config, app);
        }
        self.taken_up.store(revision, Ordering::Relaxed);
        self.keep_copy().await;
        Ok(true)
    }

    /// While this is held nothing of the store is taken up: for a reload, from reading the file to swapping what runs, so that
    /// neither undoes the other.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// The newest that was read of the store.
    pub(super) fn revision(&self) -> storage::Revision {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).revision
    }

    fn hold(&self, changes: Vec<Object>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.take(changes);
    }

    /// Take up what the store says of secrets, if it says something else than before. What cannot be used leaves the snapshot that
    /// runs: nothing else is built until that is mended.
    fn take_secrets(&self, config: &Config, app: &App) {
        let secrets = self.held().secrets;
        if **app.state.stored_secrets.load() == secrets {
            return;
        }
        app.state.stored_secrets.store(Arc::new(secrets));
        if config::stored_secrets(config).is_empty() {
            return;
        }
        match Snapshot::build(config, &app.state) {
            Ok(snapshot) => {
                let snapshot = Arc::new(snapshot);
                app.snapshot.store(Arc::clone(&snapshot));
                app.state.adopt(&snapshot);
                tracing::info!("stored secrets taken up");
            }
            Err(problems) => {
                for problem in problems {
                    tracing::error!(problem, "stored secrets are not taken up; what runs goes on");
                }
            }
        }
    }

    /// Take up what the store says of prices, if it says something else than before.
    pub(super) fn reprice(&self, config: &Config, app: &App) {
        let overrides = prices::overrides(&self.held().objects);
        if **app.state.price_overrides.load() == overrides {
            return;
        }
        let before = app.state.price_overrides.swap(Arc::new(overrides));
        match Snapshot::build(config, &app.state) {
            Ok(snapshot) => {
                let snapshot = Arc::new(snapshot);
                app.snapshot.store(Arc::clone(&snapshot));
                app.state.adopt(&snapshot);
                tracing::info!("prices of the store taken up");
            }
            Err(problems) => {
                app.state.price_overrides.store(before);
                for problem in problems {
                    tracing::error!(problem, "prices of the store are not taken up");
                }
            }
        }
    }

    /// Make callers known anew, of this configuration and what the store was last read to hold. Reads what the configuration
    /// names.
    pub async fn rebuild(&self, config: &Config, app: &App) -> Result<(), Vec<String>> {
        let mut last = self.rebuilding.lock().await;
        let (keys, problems) = FileKeys::read(config, &self.hasher);
        if !problems.is_empty() {
            return Err(problems.iter().map(ToString::to_string).collect());
        }
        let wrong = |what: &str| vec![format!("auth.trusted_proxies: {what}")];
        let proxies = Networks::compile(config.auth.trusted_proxies.iter().map(String::as_str)).map_err(wrong)?;
        let before = app.accounts.load_full();
        let before = before.as_ref().and_then(|before| before.issuers.as_deref());
        let issuers = issuers(config, &app.transport, before)?;
        let file = Arc::new(File {
            config: config.clone(),
            keys,
        });
        let (directory, bounds) = self.callers(&file, app, None);
        tell(
            app,
            Accounts {
                directory,
                bounds,
                hasher: Arc::clone(&self.hasher),
                trusted_proxies: proxies,
                issuers: issuers.map(Arc::new),
                certificates: certificate_keys(config),
            },
        );
        *last = Some(file);
        Ok(())
    }

    /// Make callers known anew, of the file that runs and what the store was last read to hold. That file; none: there was no
    /// [`Lasting::rebuild`] yet.
    async fn redo(&self, app: &App) -> Option<Arc<File>> {
        let last = self.rebuilding.lock().await;
        let (file, before) = (Arc::clone(last.as_ref()?), app.accounts.load_full()?);
        // Of a store that was put back, what has the revision that was known need not be what was known.
        let known = self.taken_up.load(Ordering::Relaxed) != NOTHING;
        let (directory, bounds) = self.callers(&file, app, known.then_some(&before));
        tell(
            app,
            Accounts {
                directory,
                bounds,
                hasher: Arc::clone(&before.hasher),
                trusted_proxies: before.trusted_proxies.clone(),
                issuers: before.issuers.clone(),
                certificates: before.certificates.clone(),
            },
        );
        Some(file)
    }

    /// Tenants and keys of file and store, and their limits. `before`: those of the same file, of which what did not change is
    /// shared.
    fn callers(&self, file: &File, app: &App, before: Option<&Accounts>) -> (Directory, Vec<Box<[Arc<Bound>]>>) {
        let held = self.held();
        let sources = Sources {
            config: &file.config,
            file_keys: &file.keys,
            objects: &held.objects,
        };
        let directory = match before {
            Some(before) => before.directory.renew(&sources),
            None => Directory::build(&sources),
        };
        for (entry, fault) in directory.faults() {
            tracing::warn!(
                kind = entry.kind.as_str(),
                name = &*entry.name,
                fault,
                "does not run as written"
            );
        }
        let bank = &app.state.bank;
        let bounds = directory
            .scopes()
            .iter()
            .map(|scope| match before.and_then(|before| unchanged(before, scope)) {
                Some(bounds) => bounds.into(),
                None => bound(bank, scope.kind, &scope.name, &scope.limits, &scope.budgets),
            })
            .collect();
        (directory, bounds)
    }
}

fn tell(app: &App, accounts: Accounts) {
    let keys = i64::try_from(accounts.directory.key_count()).unwrap_or(i64::MAX);
    app.meters.accounts.keys.set(keys);
    app.accounts.store(Some(Arc::new(accounts)));
}

/// The bounds of a block that is the very same as before.
fn unchanged<'a>(before: &'a Accounts, scope: &Arc<ScopeBlock>) -> Option<&'a [Arc<Bound>]> {
    let place = scope.index as usize;
    let same = before.directory.scopes().get(place)?;
    Arc::ptr_eq(same, scope).then_some(&**before.bounds.get(place)?)
}

fn bound(
    bank: &Bank,
    kind: ScopeKind,
    name: &str,
    limits: &[config::Limit],
    budgets: &[config::Budget],
) -> Box<[Arc<Bound>]> {
    let rules = config::bounds(kind, name, limits, budgets);
    rules.into_iter().map(|rule| bank.bind(Arc::new(rule))).collect()
}
