//! The tier in this process: answers by key, within a budget of bytes.
//!
//! quick_cache decides who stays: a new entry is on probation until it is asked for a second time, so a flood of questions that
//! are asked once passes through without touching the hot set. Reads take one shard's lock for a few instructions; what goes
//! through all entries ([`Memory::list`], [`Memory::remove`] of anything but ids, [`Memory::sweep`]) locks shard after shard and
//! is for the operator and for upkeep, never for a request's path. Time comes in; nothing here looks at a clock.

use super::{Entry, Key, Selection, State};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an entry is taken to weigh when places are counted: short answers, compressed.
const USUAL: u64 = 2048;

/// A shard is at least so large, in bytes: a longer entry than a shard is not kept.
const SHARD: u64 = 8 << 20;

/// What the map and the lists of the cache take for an entry, and the `Arc`'s own.
const PLACE: usize = 128;

/// Answers in memory.
pub struct Memory {
    cache: Cache<Key, Arc<Entry>, Weight, DefaultHashBuilder, Leaving>,
    /// Answers that left for want of room since [`Memory::crowded_out`] was asked.
    crowded_out: AtomicU64,
}

/// Counts what leaves with one insertion: what is replaced, and what there is no room for.
#[derive(Debug, Clone, Copy)]
struct Leaving;

impl Lifecycle<Key, Arc<Entry>> for Leaving {
    type RequestState = u64;

    fn begin_request(&self) -> u64 {
        0
    }

    fn on_evict(&self, gone: &mut u64, _: Key, _: Arc<Entry>) {
        *gone += 1;
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} entries, {} bytes)", self.len(), self.bytes())
    }
}

/// Bytes of an entry.
#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Entry>> for Weight {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        weight(entry)
    }
}

/// All that an entry holds, in bytes. Names that entries share are counted with each: which of them are shared is not known.
pub fn weight(entry: &Entry) -> u64 {
    let Entry {
        owner,
        model,
        target,
        tags,
        question,
        answer,
        ..
    } = entry;
    let names = [
        &owner.organisation,
        &owner.team,
        &owner.project,
        &owner.user,
        &owner.key,
    ];
    let names: usize = names.into_iter().flatten().map(|name| name.len() + 16).sum();
    let tags: usize = tags.iter().map(|tag| tag.len() + size_of::<Box<str>>()).sum();
    let texts = model.len() + target.len() + question.as_ref().map_or(0, |question| question.len());
    (size_of::<Entry>() + PLACE + names + tags + texts + answer.bytes.len()) as u64
}

impl Memory {
    /// Room for so many bytes. None are taken before there are answers.
    pub fn new(bytes: u64) -> Self {
        let bytes = bytes.max(1);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let most = usize::try_from(bytes / SHARD).unwrap_or(usize::MAX).max(1);
        // Rounded down: the crate rounds up.
        let shards = 1 << threads.min(most).max(1).ilog2();
        let items = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).max(16);
        let options = OptionsBuilder::new()
            .weight_capacity(bytes)
            .estimated_items_capacity(items)
            .shards(shards)
            .build();
        let cache = match options {
            Ok(options) => Cache::with_options(options, Weight, DefaultHashBuilder::default(), Leaving),
            // Only when a required option is missing.
            Err(_) => Cache::with(items, bytes, Weight, DefaultHashBuilder::default(), Leaving),
        };
        Self {
            cache,
            crowded_out: AtomicU64::new(0),
        }
    }

    /// The answer under a key, unless its time is over; then it goes.
    pub fn get(&self, key: Key, now_ms: u64) -> Option<Arc<Entry>> {
        let entry = self.cache.get(&key)?;
        if entry.state(now_ms) != State::Over {
            return Some(entry);
        }
        // Not a fresher one that came meanwhile.
        self.cache.remove_if(&key, |there| Arc::ptr_eq(there, &entry));
        None
    }

    /// Whether there is one, without its counting as asked for.
    pub fn peek(&self, key: Key) -> Option<Arc<Entry>> {
        self.cache.peek(&key)
    }

    /// Keep an answer, in place of an older one under its key. One that is longer than a part of the budget is not kept.
    pub fn put(&self, entry: Arc<Entry>) {
        let newer = self.cache.peek(&entry.key);
        let replaces = u64::from(newer.is_some());
        if newer.is_none_or(|there| there.made_ms <= entry.made_ms) {
            let gone = self.cache.insert_with_lifecycle(entry.key, entry);
            self.crowded_out
                .fetch_add(gone.saturating_sub(replaces), Ordering::Relaxed);
        }
    }

    /// How many answers left for want of room since this was last asked.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out.swap(0, Ordering::Relaxed)
    }

    /// Delete answers; how many there were. By ids it is fast; anything else looks at all of them.
    pub fn remove(&self, selection: &Selection) -> u64 {
        if selection.is_empty() {
            return 0;
        }
        if !selection.ids.is_empty() {
            let gone = |id: &&Key| self.cache.remove_if(*id, |entry| selection.matches(entry)).is_some();
            return selection.ids.iter().filter(gone).count() as u64;
        }
        self.keep_only(|entry| !selection.matches(entry))
    }

    /// Delete what is of no use any more; how many there were. Looks at all of them.
    pub fn sweep(&self, now_ms: u64) -> u64 {
        self.keep_only(|entry| entry.state(now_ms) != State::Over)
    }

    fn keep_only(&self, keep: impl Fn(&Entry) -> bool) -> u64 {
        let gone = Cell::new(0);
        self.cache.retain(|_, entry| {
            let stays = keep(entry);
            gone.set(gone.get() + u64::from(!stays));
            stays
        });
        gone.get()
    }

    /// Answers in the order of their keys, from behind one on. Looks at all of them.
    pub fn list(&self, selection: &Selection, after: Option<Key>, limit: usize) -> Vec<Arc<Entry>> {
        let mut first: BTreeMap<Key, Arc<Entry>> = BTreeMap::new();
        if limit == 0 {
            return Vec::new();
        }
        for (key, entry) in self.cache.iter() {
            if after.is_some_and(|after| key <= after) || !selection.matches(&entry) {
                continue;
            }
            first.insert(key, entry);
            if first.len() > limit {
                first.pop_last();
            }
        }
        first.into_values().collect()
    }

    /// All of them gone; after a gap in the log.
    pub fn clear(&self) {
        self.cache.clear();
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Answers held.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

#[cfg(test)]
mod tests;
