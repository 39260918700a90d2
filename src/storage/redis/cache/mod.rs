//! Answers that instances share: [`cache::Shared`](crate::cache::Shared) over Redis, Valkey or a node of Redis Cluster.
//!
//! Not what is worth keeping, and no memory of its own. The one idea: **the log decides.** Every storing and deletion is a numbered
//! record; an answer is shown, or kept, only if no deletion with a greater number covers it. Machines' clocks decide nothing.
//!
//! Names begin with `{prefix}:cache:`, one hash tag, so that one script sees all of it also in a cluster (whose other nodes hold
//! nothing of the cache; give it a `prefix` of its own to place it elsewhere than the limits):
//!
//! | name | what |
//! |---|---|
//! | `state` | hash: `id` of the epoch, `run` (of the server process), `n` (last record), `floor`, `bytes` (of all answers) |
//! | `e:<key>` | hash: `v` (the entry, perhaps sealed: `record`), `x` (its indexes), `n` (its record); until the entry ends |
//! | `x:<property>` | sorted set of keys by their ends: those of one tenant, tag, model, partition (`names`) |
//! | `all`, `sizes` | the same of all keys; what each takes |
//! | `log` | stream, ids `<n>-0`: `k` (kind), `i` (instance), `b` (body); about [`Settings::log`] records |
//! | `marks`, `ends` | deletions by property: the properties by `n`; until when each must be remembered |
//! | `d:<key>` | `n` of a deletion by id; 15 minutes |
//!
//! # Deletion
//! 1. *By properties* a mark is written, in one step with the record. From then on nothing older that has all of them is shown, and
//!    nothing that was begun before is kept. Only then it is taken out, some hundreds at a time, along the shortest of its indexes,
//!    never by walking all of Redis. Should the one who deletes die, the mark stays until the last of them has ended by itself.
//! 2. *By id* it is one step, and `d:<key>` is the mark.
//! 3. *What is under way.* An answer is begun knowing the log up to some record (`heard`). It is refused when a mark with a greater
//!    number covers it: whether it is on its way to Redis, waits in a queue, or is still being written by a model
//!    ([`Shared::put_since`]). Refusing too much is harmless and happens: in the moments before this instance has read its own
//!    deletion, and to what was begun before it connected.
//! 4. *Too many marks* (256) make the oldest the `floor`: everything older is hidden. *Where memory is used up* deletions work.
//! 5. *While Redis is away* a deletion answers [`Outage`], since others have not heard of it, and is made up for first thing on
//!    return (256 are remembered; beyond them: everything).
//!
//! # Loss
//! The epoch is bound to the server process. Another process (a restart with or without a snapshot, a failover) may have forgotten
//! deletions: what it holds of before is not shown. [`News::Gap`] is told when records were missed: the epoch is another, or the log
//! was trimmed beyond what was read, or a record that may be a deletion cannot be read. After an outage in which Redis kept its
//! log there is no gap: what was missed is read. During an outage each instance serves what it has, and does not learn of what
//! others delete; they cannot tell Redis either, unless only this instance is cut off. After a gap, and at the start, the tail of
//! the log is read again ([`Settings::replay`]), so that an instance knows of the answers there are.
//!
//! # Outage
//! A call that takes longer than `timeout` or finds the connection broken ends the session: calls answer [`Outage`] at once until a
//! thread of its own has made a new one, tried at once and then about once a second.
//!
//! # Bounds
//! Of one answer ([`Settings::largest`]), of all ([`Settings::room`]: those that end soonest leave), of the log, of properties
//! (64), of a record (64 KiB). Lengths are looked at before anything is fetched; what the connection itself reads is bounded by
//! `proto-max-bulk-len` of the server only. Besides what limits need: `EXISTS`, strings with expiry, `H*`, `Z*`, `XADD`, `XRANGE`,
//! `XREAD`, `UNLINK`.

mod call;
mod heard;
mod keeper;
mod names;
mod record;
mod work;

use super::link::Link;
use crate::cache::{Entry, Key, News, Outage, Selection, Shared, Wrong};
use crate::clock;
use crate::storage::sealed::Keyring;
use async_trait::async_trait;
use heard::Heard;
use redis::aio::MultiplexedConnection;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use work::{Pending, Undone};

/// What is needed to share answers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The same Redis as for limits; `instance_expiry` and `seeding` are not used.
    pub redis: super::Settings,
    /// Seals answers and records; none: they are plain.
    pub keyring: Option<Arc<Keyring>>,
    /// Largest answer, in bytes as written.
    pub largest: usize,
    /// Bytes for all answers; beyond it those that end soonest leave.
    pub room: u64,
    /// Records that the log keeps, about.
    pub log: u64,
    /// Records that an instance reads when it starts.
    pub replay: u64,
}

impl Settings {
    /// The defaults: not sealed, 4 MiB, 1 GiB, 50 000 and as many.
    pub fn new(redis: super::Settings) -> Self {
        Self {
            redis,
            keyring: None,
            largest: 4 << 20,
            room: 1 << 30,
            log: 50_000,
            replay: 50_000,
        }
    }
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Answers found.
    pub hits: u64,
    /// Answers not found.
    pub misses: u64,
    /// Answers kept.
    pub kept: u64,
    /// Answers not kept, because a deletion covers them.
    pub refused: u64,
    /// Answers not kept, because they are too large or there is no room.
    pub too_large: u64,
    /// What was found and could not be read.
    pub unreadable: u64,
    /// Calls without an answer.
    pub outages: u64,
    /// Records of others that were read.
    pub heard: u64,
    /// Times that records were missed.
    pub gaps: u64,
    /// Number of the last record that was read, of anybody.
    pub last: u64,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    kept: AtomicU64,
    refused: AtomicU64,
    too_large: AtomicU64,
    unreadable: AtomicU64,
    outages: AtomicU64,
    heard: AtomicU64,
    gaps: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A connection that works, and the epoch that was found.
struct Session {
    connection: MultiplexedConnection,
    number: u64,
    epoch: String,
}

/// What callers and the keeper share.
struct Inner {
    settings: Settings,
    form: record::Form,
    link: Link,
    /// Of this process, 128 random bits.
    instance: String,
    /// `{prefix}:cache:`.
    begin: String,
    /// Name of the state.
    state: String,
    session: arc_swap::ArcSwapOption<Session>,
    heard: Mutex<Heard>,
    pending: Mutex<Pending>,
    /// The session has ended, or all has.
    wake: Notify,
    closed: AtomicBool,
    counters: Counters,
}

/// Answers shared through Redis.
pub struct SharedCache {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedCache")
            .field("begin", &self.inner.begin)
            .finish_non_exhaustive()
    }
}

impl SharedCache {
    /// Nothing is connected before [`Self::follow`]: until then every call is an outage.
    ///
    /// Fails if a URL or the certificates cannot be read; the text quotes no URL.
    pub fn open(settings: Settings) -> Result<Arc<Self>, String> {
        let redis = &settings.redis;
        let link = Link::new(&redis.urls, redis.cluster, redis.ca.clone())?;
        let tag: String = redis
            .prefix
            .chars()
            .filter(|letter| !matches!(letter, '{' | '}'))
            .collect();
        let begin = format!("{{{}}}:cache:", if tag.is_empty() { "cirque" } else { &tag });
        let inner = Inner {
            form: record::Form(settings.keyring.clone()),
            link,
            instance: super::random_name()?,
            state: format!("{begin}state"),
            begin,
            session: arc_swap::ArcSwapOption::empty(),
            heard: Mutex::default(),
            pending: Mutex::default(),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
            settings,
        };
        Ok(Arc::new(Self { inner: Arc::new(inner) }))
    }

    /// Connect and follow the log, in threads of its own, until this is dropped. `sink` is told what others did, one at a time, in
    /// the log's order, at the start and after a gap also of what they did before; it may take its time (calls go on meanwhile), but
    /// what it has not been told of yet is not deleted here. To be called once.
    pub fn follow(&self, sink: impl Fn(News) + Send + Sync + 'static) -> std::io::Result<()> {
        keeper::start(Arc::clone(&self.inner), Box::new(sink))
    }

    /// Whether Redis can be asked.
    pub fn available(&self) -> bool {
        self.inner.session.load().is_some()
    }

    /// What happened since the start.
    pub fn figures(&self) -> Figures {
        let counters = &self.inner.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            hits: read(&counters.hits),
            misses: read(&counters.misses),
            kept: read(&counters.kept),
            refused: read(&counters.refused),
            too_large: read(&counters.too_large),
            unreadable: read(&counters.unreadable),
            outages: read(&counters.outages),
            heard: read(&counters.heard),
            gaps: read(&counters.gaps),
            last: self.inner.heard().last,
        }
    }
}

impl Drop for SharedCache {
    fn drop(&mut self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.wake.notify_one();
    }
}

#[async_trait]
impl Shared for SharedCache {
    async fn get(&self, key: Key) -> Result<Option<Entry>, Outage> {
        let found = self.inner.get(key, clock::now_ms()).await?;
        let counters = &self.inner.counters;
        count(if found.is_some() {
            &counters.hits
        } else {
            &counters.misses
        });
        Ok(found)
    }

    async fn put(&self, entry: &Entry) -> Result<(), Outage> {
        self.put_since(entry, entry.made_ms).await
    }

    async fn put_since(&self, entry: &Entry, begun_ms: u64) -> Result<(), Outage> {
        self.inner.put(entry, begun_ms, clock::now_ms()).await
    }

    /// Each step is bounded by the timeout; there is one for some hundred answers. If it fails or is dropped half way it is done
    /// again on return.
    async fn delete(&self, selection: &Selection) -> Result<u64, Outage> {
        if selection.is_empty() {
            return Ok(0);
        }
        let undone = Undone::deletion(&self.inner, selection.clone());
        let gone = self.inner.delete(selection).await?;
        undone.done();
        Ok(gone)
    }

    async fn disown(&self, wrong: &Wrong) -> Result<(), Outage> {
        let undone = Undone::wrong(&self.inner, wrong.clone());
        self.inner.disown(wrong).await?;
        undone.done();
        Ok(())
    }
}
