//! The keys of one issuer while it runs: fetched, kept, fetched again, and lived with while the issuer is down.
//!
//! ```text
//! housekeeping ── every 10 min, after a failure every 30 s ──┐
//! a token names a key that is not there ── at most every 30 s ┴─► one flight ─► same keys: younger now
//!                                                                            ├► other keys: a new generation
//!                                                                            └► failure: what there is stays, for `keys_valid`
//! ```
//! Whatever clients send, an issuer is asked once in 30 s, by one flight that all who need it wait for. A flight is a task of
//! its own, so that a client that leaves does not end it for the others. How a document is fetched is [`Fetch`]'s.

use super::json;
use super::keys::{KeySet, LARGEST_DOCUMENT};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Seconds between two fetches while all is well.
const EVERY: i64 = 10 * 60;
/// Seconds from one attempt to the next, at least.
const APART: i64 = 30;
/// Seconds after which the discovery document is asked for again.
const REDISCOVER: i64 = 60 * 60;
/// Seconds by which a clock may be behind a note of the past before it is believed to have been set back.
const SLACK: i64 = 60;
/// The whole of one flight.
const FLIGHT_TIME: Duration = Duration::from_secs(15);
/// Longest address of keys that a discovery document may name.
const LONGEST_URL: usize = 2048;

/// Gets documents of issuers. Implemented where connections are made ([`crate::auth`] makes none).
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The body of a `200` answer to a `GET`, at most [`LARGEST_DOCUMENT`] long, in bounded time and without following
    /// redirects. The error says why not, for the log.
    async fn get(&self, url: &str) -> Result<Bytes, String>;
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Where `ISSUER/.well-known/openid-configuration` says.
    Discovery,
    /// Here.
    Url(String),
    /// In this document, which never changes.
    Document(Vec<u8>),
}

/// Keys, and how old they are.
pub(super) struct Held {
    pub keys: KeySet,
    /// Another number for other keys.
    pub generation: u64,
    /// When they were last found to be the issuer's, in seconds since 1970; far in the future for a document.
    fetched: AtomicI64,
}

impl Held {
    /// In seconds since 1970.
    pub fn fetched(&self) -> i64 {
        self.fetched.load(Ordering::Relaxed)
    }
}

/// The keys of one issuer.
pub(super) struct Source {
    name: Arc<str>,
    issuer: String,
    from: KeySource,
    fetch: Arc<dyn Fetch>,
    held: ArcSwap<Held>,
    state: Mutex<State>,
}

#[derive(Default, Clone)]
struct State {
    attempted: Option<i64>,
    /// Why the last attempt failed.
    failure: Option<String>,
    /// Where discovery said the keys are, and when.
    discovered: Option<(String, i64)>,
    flight: Option<watch::Receiver<()>>,
}

/// How an issuer's keys are, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// Name of the issuer in the configuration.
    pub name: Arc<str>,
    /// Usable keys at hand.
    pub keys: usize,
    /// Seconds since they were last fetched; nothing for a file, or if they never were.
    pub age: Option<i64>,
    /// Why the last attempt to fetch them failed, if it did.
    pub failure: Option<String>,
}

impl Source {
    /// No keys yet, but those of a document, which must be good, or those that `before` had.
    pub fn new(
        name: &Arc<str>,
        issuer: &str,
        from: KeySource,
        fetch: Arc<dyn Fetch>,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, String> {
        let same = |before: &&Self| before.issuer == issuer && before.from == from;
        let (held, state) = match (&from, before.filter(same)) {
            (KeySource::Document(document), _) => {
                let keys = KeySet::parse(document).map_err(|wrong| format!("jwks_file: {wrong}"))?;
                (Arc::new(Held::new(keys, 0, i64::MAX)), State::default())
            }
            (_, Some(before)) => {
                let state = State {
                    flight: None,
                    ..before.lock().clone()
                };
                (before.held.load_full(), state)
            }
            (_, None) => (Arc::new(Held::new(KeySet::default(), 0, i64::MIN)), State::default()),
        };
        Ok(Arc::new(Self {
            name: Arc::clone(name),
            issuer: issuer.to_owned(),
            from,
            fetch,
            held: ArcSwap::new(held),
            state: Mutex::new(state),
        }))
    }

    /// The keys at hand.
    pub fn held(&self) -> arc_swap::Guard<Arc<Held>> {
        self.held.load()
    }

    /// Have the keys fetched, if it is time for that, and wait for the end of it.
    pub async fn refresh(self: &Arc<Self>, now: i64) {
        let wanted = {
            let state = self.lock();
            let age = now.saturating_sub(self.held().fetched());
            state.failure.is_some() || !(-SLACK..EVERY).contains(&age)
        };
        if wanted && !matches!(self.from, KeySource::Document(_)) {
            self.fetch_now(now).await;
        }
    }

    /// Have the keys fetched, unless it is too early for that, and wait for the end of it.
    pub async fn fetch_now(self: &Arc<Self>, now: i64) {
        if let Some(mut landing) = self.begin(now) {
            // Ends when the flight does: nothing is ever sent, its sender goes with it.
            let _ = landing.changed().await;
        }
    }

    /// The flight under way, or a new one if the last attempt is long enough ago.
    fn begin(self: &Arc<Self>, now: i64) -> Option<watch::Receiver<()>> {
        if matches!(self.from, KeySource::Document(_)) {
            return None;
        }
        let flight = {
            let mut state = self.lock();
            if let Some(flight) = &state.flight {
                return Some(flight.clone());
            }
            let since = state.attempted.map(|at| now.saturating_sub(at));
            if since.is_some_and(|since| (-SLACK..APART).contains(&since)) {
                return None;
            }
            let (landed, landing) = watch::channel(());
            state.attempted = Some(now);
            state.flight = Some(landing);
            Flight {
                source: Arc::clone(self),
                landed,
            }
        };
        let landing = flight.landed.subscribe();
        // Not under the lock: on a runtime that is shutting down a task is dropped at once, and that takes the lock.
        tokio::spawn(flight.run(now));
        Some(landing)
    }

    async fn load(&self, now: i64) -> Result<KeySet, String> {
        let url = match &self.from {
            KeySource::Url(url) => url.clone(),
            KeySource::Discovery => self.discover(now).await?,
            KeySource::Document(_) => return Err("the keys are in a file".to_owned()),
        };
        let document = self.fetch.get(&url).await.map_err(|wrong| format!("keys: {wrong}"))?;
        KeySet::parse(&document).map_err(|wrong| format!("keys: {wrong}"))
    }

    /// Where the keys are. One that was found stays in use while discovery fails.
    async fn discover(&self, now: i64) -> Result<String, String> {
        let known = self.lock().discovered.clone();
        if let Some((url, at)) = &known
            && (-SLACK..REDISCOVER).contains(&now.saturating_sub(*at))
        {
            return Ok(url.clone());
        }
        let document = self.fetch.get(&discovery_url(&self.issuer)).await;
        let found = document
            .map_err(|wrong| format!("discovery: {wrong}"))
            .and_then(|document| keys_url(&document, &self.issuer).map_err(str::to_owned));
        match (found, known) {
            (Ok(url), _) => {
                self.lock().discovered = Some((url.clone(), now));
                Ok(url)
            }
            (Err(_), Some((url, _))) => Ok(url),
            (Err(wrong), None) => Err(wrong),
        }
    }

    /// Take the outcome of a flight.
    fn settle(&self, loaded: Result<KeySet, String>, now: i64) {
        let mut state = self.lock();
        match loaded {
            Ok(keys) => {
                let held = self.held.load();
                if held.keys == keys {
                    held.fetched.store(now, Ordering::Relaxed);
                } else {
                    let held = Held::new(keys, held.generation.wrapping_add(1), now);
                    tracing::info!(issuer = %self.name, keys = held.keys.count(), "keys of an issuer fetched");
                    self.held.store(Arc::new(held));
                }
                state.failure = None;
            }
            Err(wrong) => {
                // Once for as long as it fails in this way.
                if state.failure.as_ref() != Some(&wrong) {
                    tracing::warn!(issuer = %self.name, "the issuer's keys could not be fetched: {wrong}");
                }
                state.failure = Some(wrong);
                // What discovery said may be what is wrong; what it said last is still better than nothing.
                if let Some((_, at)) = &mut state.discovered {
                    *at = i64::MIN;
                }
            }
        }
    }

    /// How they are.
    pub fn report(&self, now: i64) -> KeyReport {
        let held = self.held();
        let fetched = held.fetched();
        let was_fetched = fetched != i64::MIN && fetched != i64::MAX;
        KeyReport {
            name: Arc::clone(&self.name),
            keys: held.keys.count(),
            age: was_fetched.then(|| now.saturating_sub(fetched)),
            failure: self.lock().failure.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn new(keys: KeySet, generation: u64, fetched: i64) -> Self {
        Self {
            keys,
            generation,
            fetched: AtomicI64::new(fetched),
        }
    }
}

/// A fetch under way. However it ends, also when its task is dropped, another may begin.
struct Flight {
    source: Arc<Source>,
    landed: watch::Sender<()>,
}

impl Flight {
    async fn run(self, now: i64) {
        let loaded = tokio::time::timeout(FLIGHT_TIME, self.source.load(now)).await;
        let loaded = loaded.unwrap_or_else(|_| Err("it took longer than 15s".to_owned()));
        self.source.settle(loaded, now);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.source.lock().flight = None;
    }
}

/// `ISSUER/.well-known/openid-configuration`
fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// `jwks_uri` of a discovery document that is this issuer's own.
fn keys_url(document: &[u8], issuer: &str) -> Result<String, &'static str> {
    if document.len() > LARGEST_DOCUMENT {
        return Err("discovery: larger than 256 KiB");
    }
    let document = json::object(document).ok_or("discovery: not an unambiguous JSON object")?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return Err("discovery: the document's `issuer` is not the configured one, to the letter");
    }
    text("jwks_uri")
        .filter(|url| url.len() <= LONGEST_URL)
        .map(str::to_owned)
        .ok_or("discovery: there is no `jwks_uri` in it")
}
