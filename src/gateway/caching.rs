//! What the process keeps of answers, as the walk uses it: tiers, flights, recordings under way.
//!
//! Outlives reloads. Costs nothing while no policy turns the cache on: nothing is allocated before something is kept.

use super::tape::Tape;
use crate::balance::singleflight::Flights;
use crate::cache::semantic::Semantic;
use crate::cache::{Entry, Key, Memory, News, Selection, Shared, State, Wrong};
use crate::clock;
use dashmap::DashMap;
use std::sync::Arc;

/// Calls that others may follow, at most.
const MOST_FLIGHTS: usize = 10_000;
/// Followers of one call, at most.
const MOST_FOLLOWERS: usize = 10_000;

/// Kept answers, and those on their way.
pub struct Caching {
    /// In this process.
    pub memory: Memory,
    /// In Redis, for all instances; none: each for itself.
    pub shared: Option<Arc<dyn Shared>>,
    /// By likeness; none: not configured, or its model files are not there.
    pub semantic: Option<Arc<Semantic>>,
    /// Calls whose answer has not begun, and who waits for it.
    pub flights: Arc<Flights<Key, Arc<Tape>>>,
    /// Answers under way, to be followed.
    pub tapes: DashMap<Key, Arc<Tape>>,
    /// Answers longer than this are compressed, in bytes.
    pub compress_above: usize,
}

impl Caching {
    /// Nothing kept. `memory`: bytes.
    pub fn new(
        memory: u64,
        compress_above: usize,
        shared: Option<Arc<dyn Shared>>,
        semantic: Option<Arc<Semantic>>,
    ) -> Self {
        Self {
            memory: Memory::new(memory),
            shared,
            semantic,
            flights: Arc::new(Flights::new(MOST_FLIGHTS, MOST_FOLLOWERS)),
            tapes: DashMap::new(),
            compress_above,
        }
    }

    /// The answer under a key, from here or from Redis, if it is good for anything.
    pub async fn find(&self, key: Key) -> Option<Arc<Entry>> {
        let now_ms = clock::now_ms();
        if let Some(entry) = self.memory.get(key, now_ms) {
            return Some(entry);
        }
        // An outage is a miss; whoever implements it says so and counts it.
        let entry = Arc::new(self.shared.as_ref()?.get(key).await.ok()??);
        if entry.key != key || entry.state(now_ms) == State::Over {
            return None;
        }
        self.memory.put(Arc::clone(&entry));
        Some(entry)
    }

    /// Keep an answer, here and for the others.
    pub async fn keep(&self, entry: Entry) {
        let entry = Arc::new(entry);
        self.memory.put(Arc::clone(&entry));
        self.learn(&entry);
        if let Some(shared) = &self.shared {
            let _ = shared.put(&entry).await;
        }
    }

    fn learn(&self, entry: &Arc<Entry>) {
        if let Some(semantic) = self.semantic.as_ref().filter(|_| entry.semantic) {
            semantic.learn(entry);
        }
    }

    /// Delete answers, here and everywhere. How many were kept: where it is shared, in Redis.
    pub async fn delete(&self, selection: &Selection) -> u64 {
        let here = self.forget(selection);
        let Some(shared) = &self.shared else { return here };
        shared.delete(selection).await.unwrap_or_default().max(here)
    }

    fn forget(&self, selection: &Selection) -> u64 {
        if let Some(semantic) = &self.semantic {
            semantic.forget(selection);
        }
        self.memory.remove(selection)
    }

    /// An answer served a question wrongly.
    pub async fn disown(&self, wrong: &Wrong) {
        self.disowned(wrong);
        if let Some(shared) = &self.shared {
            let _ = shared.disown(wrong).await;
        }
    }

    fn disowned(&self, wrong: &Wrong) {
        if let Some(semantic) = &self.semantic {
            semantic.disown(wrong);
        }
        if wrong.question.is_none() {
            self.forget(&Selection {
                ids: vec![wrong.id],
                ..Selection::default()
            });
        }
    }

    /// Take up what another instance did.
    pub fn heard(&self, news: News) {
        match news {
            News::Stored(head) => {
                // What was kept here under that name is older.
                self.memory.remove(&Selection {
                    ids: vec![head.key],
                    ..Selection::default()
                });
                self.learn(&Arc::new(*head));
            }
            News::Deleted(selection) => {
                self.forget(&selection);
            }
            News::Disowned(wrong) => self.disowned(&wrong),
            News::Gap => {
                self.forget(&Selection {
                    all: true,
                    ..Selection::default()
                });
            }
        }
    }
}
