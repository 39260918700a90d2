//! The index of this process: questions by partition, found by nearness, flat.
//!
//! Not a graph: below some 200 000 questions of one partition a walk through sketches is faster than the libraries for that, it
//! misses nothing, and what is deleted is gone. The one idea: a partition is a `room::Room` of its own, so no search can leave it.
//!
//! ```text
//! Index ─ 64 shards by partition ─ Room ─ rows in columns: half sketches │ half sketches │ places │ ends │ texts │ meanings
//!       └ order of arrival: the oldest leaves when there are too many
//! ```
//! Memory of a question beside its text, in bytes: place 256, meaning 384, sketch 32, the rest 68, table of keys 10 to 20, order 20:
//! 770 to 780, and for each partition about 600.

mod room;
mod rows;
mod search;
mod sketch;

#[cfg(test)]
mod tests;

use super::vectors::{Near, Place, Point};
use crate::cache::{Entry, Key, Partition, Selection};
use fearless_simd::Level;
use room::{Change, Chosen, Room};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::mem::size_of;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

const SHARDS: usize = 64;

/// Turns of a block of the order of arrival, so that it never doubles.
const BLOCK: usize = 1024;

/// Memory of a partition beside its rows: its room, and its place in the shard's map at the usual load.
const ROOM: usize = size_of::<Room>() + 16 + (size_of::<(Partition, Arc<Room>)>() + 1) * 3 / 2;

type Shard = RwLock<HashMap<Partition, Arc<Room>>>;

/// Questions by partition.
pub struct Index {
    shards: Box<[Shard]>,
    order: Mutex<Order>,
    tags: RandomState,
    level: Level,
    most: u64,
    entries: AtomicI64,
    partitions: AtomicI64,
    bytes: AtomicI64,
    evicted: AtomicU64,
}

/// Who came when.
#[derive(Default)]
struct Order {
    blocks: VecDeque<VecDeque<Turn>>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Turn {
    partition: Partition,
    tag: u32,
}

impl Order {
    fn push(&mut self, turn: Turn) {
        match self.blocks.back_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => block.push_back(turn),
            None => self.blocks.push_back(VecDeque::from([turn])),
        }
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Turn> {
        let front = self.blocks.front_mut()?;
        let turn = front.pop_front();
        if front.is_empty() {
            self.blocks.pop_front();
        }
        self.len -= usize::from(turn.is_some());
        turn
    }
}

impl Index {
    /// An empty index of at most so many questions.
    pub fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            order: Mutex::default(),
            tags: RandomState::new(),
            level: Level::new(),
            most: most.max(1) as u64,
            entries: AtomicI64::new(0),
            partitions: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    fn shard(&self, partition: Partition) -> Option<&Shard> {
        // SHA-256: the first byte is as good as any.
        let [first, ..] = partition.0;
        self.shards.get(usize::from(first) % SHARDS)
    }

    fn room(&self, partition: Partition) -> Option<Arc<Room>> {
        let rooms = self.shard(partition)?.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(&partition).cloned()
    }

    fn tag(&self, key: Key) -> u32 {
        self.tags.hash_one(key) as u32
    }

    fn note(&self, change: Change) {
        self.entries.fetch_add(change.entries, Relaxed);
        self.bytes.fetch_add(change.bytes, Relaxed);
    }

    /// How many questions a partition has.
    pub fn size_of(&self, partition: Partition) -> usize {
        self.room(partition).map_or(0, |room| room.len())
    }

    /// Put a question in place of what has its key. The oldest leave if there are too many.
    pub fn put(&self, point: Point) {
        let (partition, tag) = (point.partition, self.tag(point.key));
        let mut point = Some(point);
        // A room that is closed between being found and being locked is out of the map by then.
        while let Some(waiting) = point.take() {
            let Some(room) = self.room_for(partition) else { return };
            let mut table = room.lock();
            if table.closed {
                point = Some(waiting);
                drop(table);
                std::thread::yield_now();
                continue;
            }
            let change = room.put(&mut table, self.level, tag, waiting, |key| self.tag(key));
            drop(table);
            self.note(change);
            if change.entries > 0 {
                self.arrived(Turn { partition, tag });
            }
        }
        while self.entries() > self.most && self.evict() {}
    }

    fn room_for(&self, partition: Partition) -> Option<Arc<Room>> {
        if let Some(room) = self.room(partition) {
            return Some(room);
        }
        let mut rooms = self.shard(partition)?.write().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(partition).or_insert_with(|| {
            self.partitions.fetch_add(1, Relaxed);
            self.bytes.fetch_add(ROOM as i64, Relaxed);
            Arc::default()
        });
        Some(room.clone())
    }

    fn arrived(&self, turn: Turn) {
        let mut stale = Vec::new();
        {
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.push(turn);
            // Whoever was deleted has still its turn: where these are many, two are looked at for each that is added.
            if order.len as u64 > 2 * self.entries() + 4096 {
                stale.extend(order.pop());
                stale.extend(order.pop());
            }
        }
        for turn in stale {
            let here = self.room(turn.partition).and_then(|room| room.leaving(turn.tag));
            if here.is_some() {
                self.order.lock().unwrap_or_else(PoisonError::into_inner).push(turn);
            }
        }
    }

    /// The oldest leaves, or one of the oldest if that was of use since it was last its turn. Whether there was one.
    fn evict(&self) -> bool {
        for round in 0..64 {
            let turn = self.order.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(turn) = turn else { return false };
            let Some((key, used)) = self.room(turn.partition).and_then(|room| room.leaving(turn.tag)) else {
                // Long gone: one entry less in the order is progress too.
                return true;
            };
            if used && round < 63 {
                self.order.lock().unwrap_or_else(PoisonError::into_inner).push(turn);
            } else {
                if self.remove(turn.partition, key) {
                    self.evicted.fetch_add(1, Relaxed);
                }
                return true;
            }
        }
        true
    }

    /// The same question was answered anew: whether it is here.
    pub fn renew(&self, entry: &Entry) -> bool {
        self.room(entry.partition)
            .is_some_and(|room| room.renew(self.tag(entry.key), entry))
    }

    /// Take a question out. Whether it was there.
    pub fn remove(&self, partition: Partition, key: Key) -> bool {
        let Some(room) = self.room(partition) else { return false };
        let change = room.remove(&mut room.lock(), self.tag(key), key, |key| self.tag(key));
        self.note(change);
        if room.len() == 0 {
            self.close(partition);
        }
        change.entries < 0
    }

    /// Take an empty room out of the map.
    fn close(&self, partition: Partition) {
        let Some(shard) = self.shard(partition) else { return };
        let mut rooms = shard.write().unwrap_or_else(PoisonError::into_inner);
        let Some(room) = rooms.get(&partition).cloned() else {
            return;
        };
        let mut table = room.lock();
        if room.len() == 0 && !table.closed {
            table.closed = true;
            rooms.remove(&partition);
            self.partitions.fetch_sub(1, Relaxed);
            self.bytes.fetch_sub((ROOM + room.bytes(&table)) as i64, Relaxed);
        }
    }

    /// Its meaning is known now.
    pub fn set_meaning(&self, partition: Partition, key: Key, meaning: &[i8]) {
        if let Some(room) = self.room(partition) {
            self.note(room.set_meaning(self.tag(key), key, meaning));
        }
    }

    /// Whether it is here and its meaning is not known.
    pub fn lacks_meaning(&self, partition: Partition, key: Key) -> bool {
        self.room(partition)
            .is_some_and(|room| room.lacks_meaning(self.tag(key), key))
    }

    /// It was of use.
    pub fn touch(&self, partition: Partition, key: Key) {
        if let Some(room) = self.room(partition) {
            room.touch(self.tag(key), key);
        }
    }

    /// The `most` questions of a partition that lie nearest, of those with a cosine of at least `floor` and an end after `now_ms`;
    /// nearest first.
    pub fn near(&self, partition: Partition, place: &Place, most: usize, floor: f32, now_ms: u64) -> Vec<Near> {
        match self.room(partition) {
            Some(room) => room.near(self.level, place, most, floor, now_ms),
            None => Vec::new(),
        }
    }

    /// The question of a key, wherever it is. Looks into every partition.
    pub fn get(&self, key: Key) -> Option<Point> {
        let tag = self.tag(key);
        self.rooms().find_map(|(partition, room)| room.get(tag, key, partition))
    }

    /// The question of a key in a partition.
    pub fn get_in(&self, partition: Partition, key: Key) -> Option<Point> {
        self.room(partition)?.get(self.tag(key), key, partition)
    }

    /// Up to `most` questions of a partition, newest first.
    pub fn list(&self, partition: Partition, most: usize) -> Vec<Point> {
        self.room(partition)
            .map_or_else(Vec::new, |room| room.list(partition, most))
    }

    /// Forget questions. How many there were.
    pub fn forget(&self, selection: &Selection) -> u64 {
        match (selection.partition, selection.ids.as_slice()) {
            _ if selection.is_empty() => 0,
            (Some(partition), _) => self.take_out(partition, &Chosen::By(selection)),
            // By key only: looked up, not compared one by one.
            (None, [_, ..]) => self.forget_keys(selection),
            (None, []) => {
                let taken = |(partition, _)| self.take_out(partition, &Chosen::By(selection));
                self.rooms().map(taken).sum()
            }
        }
    }

    fn forget_keys(&self, selection: &Selection) -> u64 {
        let keys: Vec<(Key, u32)> = selection.ids.iter().map(|key| (*key, self.tag(*key))).collect();
        let mut taken = 0;
        for (partition, room) in self.rooms() {
            for (key, tag) in &keys {
                let point = room.get(*tag, *key, partition);
                if point.is_some_and(|point| point.is_in(selection)) {
                    taken += u64::from(self.remove(partition, *key));
                }
            }
        }
        taken
    }

    /// Forget what ended by `now_ms`. How many there were.
    pub fn expire(&self, now_ms: u64) -> u64 {
        let taken = |(partition, _)| self.take_out(partition, &Chosen::EndedBy(now_ms));
        self.rooms().map(taken).sum()
    }

    fn take_out(&self, partition: Partition, chosen: &Chosen<'_>) -> u64 {
        let keys = self
            .room(partition)
            .map(|room| room.chosen(chosen, partition))
            .unwrap_or_default();
        keys.into_iter().map(|key| u64::from(self.remove(partition, key))).sum()
    }

    /// All partitions, a shard at a time.
    fn rooms(&self) -> impl Iterator<Item = (Partition, Arc<Room>)> + '_ {
        self.shards.iter().flat_map(|shard| {
            let rooms = shard.read().unwrap_or_else(PoisonError::into_inner);
            let copy: Vec<_> = rooms
                .iter()
                .map(|(partition, room)| (*partition, room.clone()))
                .collect();
            copy
        })
    }

    /// How many questions there are.
    pub fn entries(&self) -> u64 {
        self.entries.load(Relaxed).max(0) as u64
    }

    /// How many partitions have some.
    pub fn partitions(&self) -> u64 {
        self.partitions.load(Relaxed).max(0) as u64
    }

    /// Memory of it all, texts included, in bytes.
    pub fn bytes(&self) -> u64 {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner).len;
        self.bytes.load(Relaxed).max(0) as u64 + (order * size_of::<Turn>()) as u64
    }

    /// How many left because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }
}
