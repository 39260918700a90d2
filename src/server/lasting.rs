//! What outlasts a request and often the process: the store, Redis, the ledger, and the callers they make known.
//!
//! ```text
//! file ─┐                                    ┌─► App::accounts (who may call)         at start, at a reload, within seconds of
//!       ├─► Lasting::rebuild ─► Directory ───┤                                        a change in the store
//! store ┘   (and a copy on disk, should      └─► limits bound to the bank
//!            the store be gone at a start)
//! ledger ─► store          Redis ◄─► bank          each on a runtime of its own: nothing here runs on a client's worker
//! ```
//! Opened at start, before the first snapshot is built, and only if something is to be kept ([`Config::keeps`]); what a reload
//! changes of it is said to need a restart.

pub(super) use self::keeping::{join, keep_limits};
pub(super) use self::opened::Opened;

mod callers;
mod copy;
mod keeping;
mod opened;
mod sink;

use super::tenancy::prices;
use crate::auth::KeyHasher;
use crate::clock;
use crate::config::{self, Config};
use crate::gateway::App;
use crate::ledger::{Ledger, OnFull, SpoolSettings};
use crate::prices::Table;
use crate::secret::Secret;
use crate::snapshot::Stored;
use crate::storage::redis::{RedisExchange, Settings};
use crate::storage::{self, Object, Store};
use anyhow::Context;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Name of the setting that holds what keys are hashed with.
const KEY_SECRET: &str = "key_secret";

/// Longest wait at the end for the store to take what waits.
const FLUSH: Duration = Duration::from_secs(5);
/// Longest wait at a start for records that an earlier process left.
const LEFTOVERS: Duration = Duration::from_secs(3);

/// Everything that lasts.
pub(super) struct Lasting {
    pub store: Arc<dyn Store>,
    pub exchange: Option<Arc<RedisExchange>>,
    pub ledger: Option<Arc<Ledger>>,
    hasher: Arc<KeyHasher>,
    state_dir: PathBuf,
    /// As the store keeps it, for the copy.
    key_secret: Secret,
    /// What the store holds, as last read.
    held: Mutex<Held>,
    /// Budgets go on from what they had used before this start.
    restored: AtomicBool,
    /// Until then the process that this one takes over from may charge budgets, which only the store tells.
    shares_until: Option<Instant>,
    /// Revision of the store that was taken up as a whole: callers, prices.
    taken_up: AtomicI64,
    /// One reading of the store at a time, so that what was read earlier never replaces what was read later.
    reading: tokio::sync::Mutex<()>,
    /// One rebuild at a time, so that an older one never replaces a newer one; and the file that the last one was of.
    rebuilding: tokio::sync::Mutex<Option<Arc<callers::File>>>,
    runtime: Runtime,
}

/// What the store holds.
#[derive(Debug, Default, Clone)]
struct Held {
    revision: storage::Revision,
    /// Shared with whoever reads them: thousands of keys are megabytes.
    objects: Arc<Vec<Object>>,
    secrets: Stored,
}

impl Held {
    /// Take up what was read: what is new, changed, or deleted.
    fn take(&mut self, read: Vec<Object>) {
        let newest = read.iter().map(|object| object.revision).max();
        self.revision = self.revision.max(newest.unwrap_or_default());
        let objects = Arc::make_mut(&mut self.objects);
        if objects.is_empty() {
            // In place: at a start, what is allocated for a moment stays with the allocator for long.
            *objects = read;
            objects.sort_unstable_by(|a, b| (place(a), a.revision).cmp(&(place(b), b.revision)));
        } else {
            objects.reserve_exact(read.len());
            objects.extend(read);
            // Stable, and quick where nearly all are in order: what was read last stands last.
            objects.sort_by(|a, b| place(a).cmp(&place(b)));
        }
        objects.dedup_by(|later, earlier| {
            let same = place(later) == place(earlier);
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        objects.retain(|object| !object.deleted);
        if objects.capacity() / 2 > objects.len() {
            objects.shrink_to_fit();
        }
    }
}

/// What objects are in order of.
fn place(object: &Object) -> (storage::Kind, &str) {
    (object.kind, &object.name)
}

/// Redis, if it is configured: needed before there are counts.
pub(super) fn exchange(config: &Config) -> anyhow::Result<Option<Arc<RedisExchange>>> {
    let Some(settings) = redis(config)? else {
        return Ok(None);
    };
    RedisExchange::connect(settings)
        .map(Some)
        .map_err(anyhow::Error::msg)
        .context("redis")
}

/// How Redis is reached.
pub(super) fn redis(config: &Config) -> anyhow::Result<Option<Settings>> {
    let Some(redis) = &config.redis else {
        return Ok(None);
    };
    let mut urls = Vec::new();
    for url in &redis.urls {
        urls.push(
            config::read_header_value(url)
                .map_err(anyhow::Error::msg)
                .context("redis.urls")?,
        );
    }
    let authorities = redis.ca_file.as_ref().map(|path| {
        let read = std::fs::read(path);
        read.with_context(|| format!("redis.ca_file {}", path.display()))
    });
    let defaults = Settings::new(urls);
    let settings = Settings {
        ca: authorities.transpose()?,
        cluster: redis.cluster,
        prefix: redis.prefix.clone().unwrap_or_else(|| defaults.prefix.clone()),
        timeout: redis.timeout.map_or(defaults.timeout, config::Interval::as_duration),
        instance_expiry: redis
            .instance_expiry
            .map_or(defaults.instance_expiry, config::Interval::as_duration),
        ..defaults
    };
    Ok(Some(settings))
}

impl Lasting {
    /// Make the callers known of what was opened. `upgrade`: a running process is taken over from.
    pub fn begin(
        opened: Opened,
        config: &Config,
        app: &Arc<App>,
        exchange: Option<Arc<RedisExchange>>,
        upgrade: bool,
    ) -> anyhow::Result<Arc<Self>> {
        let Opened {
            store,
            held,
            key_secret: secret,
            state_dir,
            runtime,
        } = opened;
        let hashed_with = match &config.auth.key_secret {
            Some(reference) => reference
                .read()
                .map_err(anyhow::Error::msg)
                .context("auth.key_secret")?,
            None => secret.clone(),
        };
        let hasher = Arc::new(
            KeyHasher::new(&hashed_with)
                .map_err(anyhow::Error::msg)
                .context("auth.key_secret")?,
        );
        let leftover = has_leftovers(&spool_dir(config, &state_dir));
        let ledger = ledger(config, app, &state_dir, &store, runtime.handle())?;
        app.ledger.store(ledger.clone());
        // In a fleet Redis tells it.
        let shares = upgrade && exchange.is_none();
        let shares_until = shares.then(|| Instant::now() + keeping::takes_over(config));
        let lasting = Arc::new(Self {
            store,
            exchange,
            ledger,
            hasher,
            state_dir,
            key_secret: secret,
            taken_up: AtomicI64::new(held.revision),
            held: Mutex::new(held),
            restored: AtomicBool::new(false),
            shares_until,
            reading: tokio::sync::Mutex::default(),
            rebuilding: tokio::sync::Mutex::default(),
            runtime,
        });
        if let Some(ledger) = lasting.ledger.as_ref().filter(|_| leftover) {
            wait_for_leftovers(ledger);
        }
        lasting.reprice(config, app);
        lasting.runtime.block_on(lasting.restore_counts(&app.state.bank));
        let (making, file, of) = (Arc::clone(&lasting), config.clone(), Arc::clone(app));
        opened::on_its_own(&lasting.runtime, async move { making.rebuild(&file, &of).await })
            .context("callers")?
            .map_err(|problems| anyhow::anyhow!(problems.join("\n")))?;
        lasting.runtime.block_on(lasting.keep_copy());
        Ok(lasting)
    }

    /// The process ends: what waits in memory goes to the spool, and to the store if that is quick; what is leased returns.
    pub async fn close(self: Arc<Self>, app: Arc<App>) {
        let until = Instant::now() + FLUSH;
        // What is still being counted is not billed yet.
        while app.counter.pending() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(ledger) = &self.ledger {
            let all = ledger.flush(until.saturating_duration_since(Instant::now())).await;
            if !all {
                tracing::info!("usage records are left in the spool; the next start sends them");
            }
        }
        if let Some(exchange) = &self.exchange {
            // Not `tick`, which does nothing while another is under way: what was spent has to be told before it returns.
            app.state.bank.close(clock::now_ms()).await;
            exchange.leave().await;
        }
    }

    /// Where its work runs.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }

    /// The hasher of keys.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// What the store was last read to hold.
    pub fn objects(&self) -> Arc<Vec<Object>> {
        self.held().objects
    }

    /// Tell other instances that the store has changed; who does not hear it finds out by asking.
    pub async fn announce(&self) {
        if let Some(exchange) = &self.exchange {
            // Its outage is told by its gauge.
            let _ = exchange.announce(self.revision()).await;
        }
    }

    /// All prices that hold.
    pub fn price_table(&self, config: &Config) -> Table {
        prices::table(config, &prices::overrides(&self.held().objects))
    }

    fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn ledger(
    config: &Config,
    app: &Arc<App>,
    state_dir: &std::path::Path,
    store: &Arc<dyn Store>,
    runtime: &tokio::runtime::Handle,
) -> anyhow::Result<Option<Arc<Ledger>>> {
    let written = &config.ledger;
    if written.enabled == Some(false) {
        return Ok(None);
    }
    let dir = spool_dir(config, state_dir);
    let settings = SpoolSettings {
        size_limit: written.spool_size.map_or(1 << 30, |size| size.as_bytes() as u64),
        on_full: match written.on_full {
            config::OnFull::Serve => OnFull::Serve,
            config::OnFull::Refuse => OnFull::Refuse,
        },
        ..SpoolSettings::new(dir)
    };
    let sink = Arc::new(sink::StoreSink(Arc::clone(store)));
    let watch = Box::new(sink::Meter(Arc::clone(&app.meters)));
    let ledger = Ledger::start(settings, sink, Some(watch), runtime).context("ledger")?;
    app.meters.accounts.records_kept.set(1);
    Ok(Some(Arc::new(ledger)))
}

fn spool_dir(config: &Config, state_dir: &std::path::Path) -> PathBuf {
    let written = config.ledger.spool_dir.clone();
    written.unwrap_or_else(|| state_dir.join("spool"))
}

/// Whether an earlier process left records that the store has not got.
fn has_leftovers(spool: &std::path::Path) -> bool {
    std::fs::read_dir(spool).is_ok_and(|mut entries| entries.next().is_some())
}

/// They are sent first, so that what budgets had used is known to the last request; a store that is gone is not waited for.
fn wait_for_leftovers(ledger: &Ledger) {
    let until = Instant::now() + LEFTOVERS;
    // Taking them over begins with the ledger's task.
    std::thread::sleep(Duration::from_millis(100));
    while Instant::now() < until && ledger.stats(0).adopted > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Kind;
    use serde_json::json;

    #[test]
    fn what_is_held_is_in_order_and_as_it_was_read_last() {
        let object = |kind, name: &str, revision, deleted| Object {
            kind,
            name: name.to_owned(),
            document: json!(revision).into(),
            hashes: Vec::new(),
            revision,
            created_at: 0,
            updated_at: 0,
            deleted,
        };
        let mut held = Held::default();
        held.take(vec![
            object(Kind::Key, "b", 1, false),
            object(Kind::Key, "a", 2, false),
            object(Kind::Team, "z", 3, false),
        ]);
        let reader = Arc::clone(&held.objects);
        held.take(vec![
            object(Kind::Key, "b", 4, false),
            object(Kind::Key, "new", 5, false),
            object(Kind::Key, "new", 6, false),
            object(Kind::Team, "z", 7, true),
            object(Kind::Team, "unheard-of", 8, true),
        ]);
        let seen = |objects: &[Object]| {
            let all = objects
                .iter()
                .map(|object| format!("{} {}", object.name, object.document.text()));
            all.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(seen(&held.objects), "a 2, b 4, new 6");
        assert_eq!(seen(&reader), "z 3, a 2, b 1");
        assert_eq!(held.revision, 8);
    }
}
