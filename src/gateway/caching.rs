//! What the process keeps of answers, as the walk uses it: tiers, flights, recordings under way.
//!
//! Outlives reloads. Costs nothing while no policy turns the cache on: nothing is allocated before something is kept.
//!
//! A deletion holds for what was asked before it, too: an answer whose call began earlier is not kept, here by `Deletions`, in
//! Redis by its own marks.

use super::tape::{Tape, TapeReader};
use crate::balance::singleflight::Flights;
use crate::cache::semantic::Semantic;
use crate::cache::{Entry, Key, Memory, News, Outage, Selection, Shared, State, Wrong};
use crate::clock;
use crate::telemetry::Meters;
use dashmap::DashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Calls that others may follow, at most.
const MOST_FLIGHTS: usize = 10_000;
/// Followers of one call, at most.
const MOST_FOLLOWERS: usize = 10_000;
/// Deletions remembered. When there are more, the oldest are taken for one of everything.
const MOST_DELETIONS: usize = 256;
/// How long, in milliseconds: longer than any call lasts.
const REMEMBERED_MS: u64 = 2 * 3600 * 1000;

/// Kept answers, and those on their way.
pub struct Caching {
    /// In this process.
    pub memory: Memory,
    /// In Redis, for all instances; none: each for itself.
    pub shared: Option<Arc<dyn Shared>>,
    /// By likeness; none: not configured, or its model files are not there.
    pub semantic: Option<Arc<Semantic>>,
    /// Calls whose answer has not begun, and who waits for it.
    pub flights: Arc<Flights<Key, TapeReader>>,
    /// Answers under way, to be followed.
    pub tapes: DashMap<Key, Arc<Tape>>,
    /// Answers longer than this are compressed, in bytes.
    pub compress_above: usize,
    meters: Arc<Meters>,
    /// Questions are kept outside of this process: what another instance stored is there already.
    questions_are_shared: bool,
    deletions: Mutex<Deletions>,
    /// Counts deletions.
    deleted: AtomicU64,
}

/// What was deleted lately.
#[derive(Debug, Default)]
struct Deletions {
    /// Everything that was asked before this is deleted: milliseconds since 1970.
    all_before_ms: u64,
    some: VecDeque<(u64, Selection)>,
}

impl Deletions {
    fn note(&mut self, selection: &Selection, now_ms: u64) {
        if selection.all {
            self.all_before_ms = self.all_before_ms.max(now_ms);
            self.some.clear();
            return;
        }
        while self
            .some
            .front()
            .is_some_and(|(at, _)| at.saturating_add(REMEMBERED_MS) < now_ms)
        {
            self.some.pop_front();
        }
        if self.some.len() >= MOST_DELETIONS
            && let Some((at, _)) = self.some.pop_front()
        {
            self.all_before_ms = self.all_before_ms.max(at);
        }
        self.some.push_back((now_ms, selection.clone()));
    }

    fn covers(&self, entry: &Entry, begun_ms: u64) -> bool {
        begun_ms <= self.all_before_ms
            || self
                .some
                .iter()
                .any(|(at, selection)| begun_ms <= *at && selection.matches(entry))
    }
}

/// What deleting did.
#[derive(Debug, Clone)]
pub struct Gone {
    /// Answers that are gone here.
    pub here: u64,
    /// Where answers are shared: those gone there, or why it could not be told.
    pub shared: Option<Result<u64, Outage>>,
}

impl Caching {
    /// Nothing kept. `memory`: bytes.
    pub fn new(
        meters: &Arc<Meters>,
        memory: u64,
        compress_above: usize,
        shared: Option<Arc<dyn Shared>>,
        semantic: Option<Arc<Semantic>>,
        questions_are_shared: bool,
    ) -> Self {
        Self {
            memory: Memory::new(memory),
            shared,
            semantic,
            flights: Arc::new(Flights::new(MOST_FLIGHTS, MOST_FOLLOWERS)),
            tapes: DashMap::new(),
            compress_above,
            meters: Arc::clone(meters),
            questions_are_shared,
            deletions: Mutex::default(),
            deleted: AtomicU64::new(0),
        }
    }

    fn away<T>(&self, call: &'static str, asked: Result<T, Outage>) -> Result<T, Outage> {
        asked.inspect_err(|outage| {
            self.meters.cache.outage("redis", call);
            tracing::debug!(call, %outage, "the shared cache did not answer");
        })
    }

    /// The answer under a key, from here or from Redis, if it is good for anything. An outage is a miss.
    pub async fn find(&self, key: Key) -> Option<Arc<Entry>> {
        let now_ms = clock::now_ms();
        if let Some(entry) = self.memory.get(key, now_ms) {
            return Some(entry);
        }
        let before = self.deleted.load(Ordering::Acquire);
        let asked = self.shared.as_ref()?.get(key).await;
        let entry = Arc::new(self.away("get", asked).ok()??);
        if entry.key != key || entry.state(now_ms) == State::Over {
            return None;
        }
        self.memory.put(Arc::clone(&entry));
        // Something was deleted while it was on its way here: perhaps this.
        if self.deleted.load(Ordering::Acquire) != before {
            self.memory.remove(&one(key));
            return None;
        }
        Some(entry)
    }

    fn is_deleted(&self, entry: &Entry, begun_ms: u64) -> bool {
        let deletions = self.deletions.lock().unwrap_or_else(PoisonError::into_inner);
        deletions.covers(entry, begun_ms)
    }

    /// An answer that was found by likeness has left memory: its question is to hide no other's. Where answers are shared it may only
    /// be out of reach.
    pub async fn lost(&self, key: Key) {
        if let (None, Some(semantic)) = (&self.shared, &self.semantic) {
            semantic.forget(&one(key)).await;
        }
    }

    /// Whether an answer that somebody still holds was deleted since it was made.
    pub fn was_deleted(&self, entry: &Entry) -> bool {
        self.is_deleted(entry, entry.made_ms)
    }

    /// Keep an answer, here and for the others. `begun_ms`: when it was asked for. False: it was deleted meanwhile.
    pub async fn keep(&self, entry: Entry, begun_ms: u64) -> bool {
        let entry = Arc::new(entry);
        self.memory.put(Arc::clone(&entry));
        // After it is there: a deletion either finds it or is found here.
        if self.is_deleted(&entry, begun_ms) {
            self.memory.remove(&one(entry.key));
            return false;
        }
        self.learn(&entry);
        if let Some(shared) = &self.shared {
            let _ = self.away("put", shared.put_since(&entry, begun_ms).await);
        }
        true
    }

    fn learn(&self, entry: &Entry) {
        if let Some(semantic) = self.semantic.as_ref().filter(|_| entry.semantic) {
            semantic.learn(entry);
        }
    }

    /// Delete answers, here and everywhere.
    pub async fn delete(&self, selection: &Selection) -> Gone {
        let here = self.forget(selection).await;
        let shared = match &self.shared {
            Some(shared) => Some(self.away("delete", shared.delete(selection).await)),
            None => None,
        };
        Gone { here, shared }
    }

    async fn forget(&self, selection: &Selection) -> u64 {
        self.deleted.fetch_add(1, Ordering::AcqRel);
        self.deletions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(selection, clock::now_ms());
        let here = self.memory.remove(selection);
        self.meters.cache.evicted("memory", "deleted", here);
        let index = match &self.semantic {
            Some(semantic) => semantic.forget(selection).await,
            None => 0,
        };
        self.meters.cache.evicted("index", "deleted", index);
        here.max(index)
    }

    /// An answer served a question wrongly. Whether it is known here, and whether the others could be told.
    pub async fn disown(&self, wrong: &Wrong) -> (bool, Result<(), Outage>) {
        let known = self.disowned(wrong).await;
        let told = match &self.shared {
            Some(shared) => self.away("disown", shared.disown(wrong).await),
            None => Ok(()),
        };
        (known, told)
    }

    async fn disowned(&self, wrong: &Wrong) -> bool {
        let known = match &self.semantic {
            Some(semantic) => semantic.disown(wrong).await,
            None => false,
        };
        // To the very question that it was made for, or to none in particular: it is wrong in itself.
        let itself = wrong.question.is_none_or(|question| question == wrong.id);
        let kept = self.memory.peek(wrong.id).is_some();
        if itself {
            return self.forget(&one(wrong.id)).await > 0 || known || kept;
        }
        known || kept
    }

    /// Take up what another instance did.
    pub async fn heard(&self, news: News) {
        match news {
            News::Stored(head) => {
                // What was kept here under that name is older.
                if self
                    .memory
                    .peek(head.key)
                    .is_some_and(|kept| kept.made_ms < head.made_ms)
                {
                    self.memory.remove(&one(head.key));
                }
                if !self.questions_are_shared {
                    self.learn(&head);
                }
            }
            News::Deleted(selection) => {
                self.forget(&selection).await;
            }
            News::Disowned(wrong) => {
                self.disowned(&wrong).await;
            }
            News::Gap => {
                self.forget(&Selection {
                    all: true,
                    ..Selection::default()
                })
                .await;
            }
        }
    }

    /// Let go of what is over, and say how much there is.
    pub async fn sweep(&self, now_ms: u64) {
        let cache = &self.meters.cache;
        cache.evicted("memory", "size", self.memory.crowded_out());
        cache.evicted("memory", "expired", self.memory.sweep(now_ms));
        cache.holds("memory", self.memory.len() as u64, self.memory.bytes());
        if let Some(semantic) = &self.semantic {
            cache.evicted("index", "expired", semantic.expire(now_ms).await);
            let stats = semantic.stats();
            cache.holds("index", stats.entries, stats.bytes);
        }
    }
}

/// This answer only.
fn one(key: Key) -> Selection {
    Selection {
        ids: vec![key],
        ..Selection::default()
    }
}
