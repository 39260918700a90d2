//! One partition: its rows, and which row a key has.
//!
//! Who searches takes the rows' lock for a few microseconds at a time, a slice of 8192 rows or a few hundred products, and who writes
//! for about one; so neither waits long for the other, however large the partition is. Rows that move between two slices are seen
//! twice or not at all, which costs at worst a miss: whatever is found is what stands there when its cosine is computed.
//! (Copy-on-write would keep readers from waiting at all, for 190 kB copied a write.)
//!
//! The table of keys has a lock of its own, which searching never takes: when it grows, it takes its time.

use super::rows::{CHUNK, Rows};
use super::search::{self, Hit};
use super::sketch::{self, HALF};
use crate::cache::semantic::vectors::{Label, Near, Place, Point};
use crate::cache::{Entry, Key, Partition, Selection};
use fearless_simd::Level;
use hashbrown::HashTable;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Chunks that are looked through under one lock.
const SLICE: usize = 32;

/// Up to so many rows all cosines are computed: it takes less than sketches and sorting.
const FEW: usize = 64;

#[derive(Default)]
pub struct Room {
    table: Mutex<Table>,
    rows: RwLock<Rows>,
    len: AtomicUsize,
}

#[derive(Default)]
pub struct Table {
    /// Tag of the key, and its row.
    rows: HashTable<(u32, u32)>,
    /// It is empty and out of the index; what is to be put goes into a new one.
    pub closed: bool,
}

/// Changes of an index's sums.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    pub entries: i64,
    pub bytes: i64,
}

/// For the table: tags are random already.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Table {
    fn bytes(&self) -> usize {
        self.rows.allocation_size()
    }
}

impl Room {
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    pub fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of it on the heap.
    pub fn bytes(&self, table: &Table) -> usize {
        table.bytes() + self.read().bytes()
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a key.
    fn row(&self, table: &Table, tag: u32, key: Key) -> Option<usize> {
        let rows = self.read();
        let same = |at: &(u32, u32)| at.0 == tag && rows.key(at.1 as usize) == Some(key);
        table.rows.find(spread(tag), same).map(|at| at.1 as usize)
    }

    fn change(&self, table: &Table, rows: &Rows, before: (usize, usize)) -> Change {
        self.len.store(rows.len(), Relaxed);
        Change {
            entries: rows.len() as i64 - before.0 as i64,
            bytes: (rows.bytes() + table.bytes()) as i64 - before.1 as i64,
        }
    }

    /// Put a question in place of what has its key.
    pub fn put(&self, table: &mut Table, level: Level, tag: u32, point: Point, tag_of: impl Fn(Key) -> u32) -> Change {
        let old = self.row(table, tag, point.key);
        let mut rows = self.write();
        let before = (rows.len(), rows.bytes() + table.bytes());
        if let Some(old) = old {
            take_out(table, &mut rows, tag, old, tag_of);
        }
        let row = rows.push(level, point);
        table
            .rows
            .insert_unique(spread(tag), (tag, row as u32), |at| spread(at.0));
        self.change(table, &rows, before)
    }

    /// The same question was answered anew, if it is here.
    pub fn renew(&self, tag: u32, entry: &Entry) -> bool {
        let table = self.lock();
        let Some(row) = self.row(&table, tag, entry.key) else {
            return false;
        };
        self.write()
            .renew(row, entry.made_ms, entry.ends_ms(), Label::of(entry));
        true
    }

    /// Take a question out.
    pub fn remove(&self, table: &mut Table, tag: u32, key: Key, tag_of: impl Fn(Key) -> u32) -> Change {
        let Some(row) = self.row(table, tag, key) else {
            return Change::default();
        };
        let mut rows = self.write();
        let before = (rows.len(), rows.bytes() + table.bytes());
        take_out(table, &mut rows, tag, row, tag_of);
        let len = rows.len();
        if len * 4 < table.rows.capacity() {
            table.rows.shrink_to(len * 2, |at| spread(at.0));
        }
        self.change(table, &rows, before)
    }

    /// The question that is to leave has this tag: whether there is one, and whether it was of use lately.
    pub fn leaving(&self, tag: u32) -> Option<(Key, bool)> {
        let table = self.lock();
        let row = table.rows.find(spread(tag), |at| at.0 == tag)?.1 as usize;
        let rows = self.read();
        Some((rows.key(row)?, rows.was_used(row)))
    }

    pub fn set_meaning(&self, tag: u32, key: Key, meaning: &[i8]) -> Change {
        let table = self.lock();
        let Some(row) = self.row(&table, tag, key) else {
            return Change::default();
        };
        let mut rows = self.write();
        let before = (rows.len(), rows.bytes() + table.bytes());
        rows.set_meaning(row, meaning);
        self.change(&table, &rows, before)
    }

    pub fn lacks_meaning(&self, tag: u32, key: Key) -> bool {
        let row = self.row(&self.lock(), tag, key);
        row.is_some_and(|row| !self.read().has_meaning(row))
    }

    /// It was of use. Not worth waiting for.
    pub fn touch(&self, tag: u32, key: Key) {
        if let Ok(table) = self.table.try_lock()
            && let Some(row) = self.row(&table, tag, key)
        {
            self.read().touch(row);
        }
    }

    pub fn get(&self, tag: u32, key: Key, partition: Partition) -> Option<Point> {
        let row = self.row(&self.lock(), tag, key)?;
        self.read().point(row, partition).filter(|point| point.key == key)
    }

    /// The newest few.
    pub fn list(&self, partition: Partition, most: usize) -> Vec<Point> {
        let rows = self.read();
        let newest = (0..rows.len()).rev().take(most);
        newest.filter_map(|row| rows.point(row, partition)).collect()
    }

    /// Keys of those that are selected, or that ended.
    pub fn chosen(&self, chosen: &Chosen<'_>, partition: Partition) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut from = 0;
        loop {
            let rows = self.read();
            let slice = rows.chunks().get(from..).unwrap_or_default();
            if slice.is_empty() {
                return keys;
            }
            for (chunk, number) in slice.iter().zip(from..).take(SLICE) {
                for (at, (key, ends)) in chunk.keys.iter().zip(&chunk.ends).enumerate() {
                    let row = number * CHUNK + at;
                    let is = match chosen {
                        Chosen::EndedBy(now_ms) => ends <= now_ms,
                        Chosen::By(selection) => {
                            let label = rows.label_of(row);
                            label.is_some_and(|label| label.is_in(selection, *key, partition))
                        }
                    };
                    if is {
                        keys.push(*key);
                    }
                }
            }
            from += SLICE;
        }
    }

    /// The `most` rows that lie nearest to a place.
    pub fn near(&self, level: Level, place: &Place, most: usize, floor: f32, now_ms: u64) -> Vec<Near> {
        let scale = sketch::scale(level, place);
        let found = if self.len() <= FEW {
            self.all(level, place, scale, floor, now_ms)
        } else {
            self.sketched(level, place, scale, most, floor, now_ms)
        };
        let rows = self.read();
        let best = search::best(found, most);
        best.into_iter()
            .filter_map(|hit| {
                let point = rows.point(hit.row as usize, Partition([0; 16]))?;
                // Moved meanwhile, or gone.
                let cosine = if point.key == hit.key {
                    hit.cosine
                } else {
                    rows.cosine(level, hit.row as usize, place, scale)?
                };
                (cosine >= floor).then(|| Near {
                    key: point.key,
                    question: point.question.into(),
                    cosine,
                    place: point.place,
                    meaning: point.meaning,
                })
            })
            .collect()
    }

    fn all(&self, level: Level, place: &Place, scale: f32, floor: f32, now_ms: u64) -> Vec<Hit> {
        let rows = self.read();
        let hit = |row: usize| search::hit(&rows, level, row, place, scale, now_ms);
        (0..rows.len())
            .filter_map(hit)
            .filter(|hit| hit.cosine >= floor)
            .collect()
    }

    fn sketched(&self, level: Level, place: &Place, scale: f32, most: usize, floor: f32, now_ms: u64) -> Vec<Hit> {
        let sketch = sketch::sketch(place);
        let apart = |bits| sketch::most_apart(floor, bits, sketch::SURE);
        let mut short = search::Shortlist::new(apart(HALF), apart(2 * HALF));
        let mut from = 0;
        loop {
            let rows = self.read();
            let slice = rows.chunks().get(from..).unwrap_or_default();
            if slice.is_empty() {
                break;
            }
            for (chunk, number) in slice.iter().zip(from..).take(SLICE) {
                short.look(level, chunk, number * CHUNK, &sketch);
            }
            from += SLICE;
        }
        let mut found = search::Ranked::new(most, floor);
        for part in short.into_sorted().chunks(256) {
            let rows = self.read();
            for (apart, row) in part {
                if !found.could_take(*apart) {
                    return found.hits;
                }
                if let Some(hit) = search::hit(&rows, level, *row as usize, place, scale, now_ms) {
                    found.take(hit);
                }
            }
        }
        found.hits
    }
}

/// Which rows.
pub enum Chosen<'a> {
    By(&'a Selection),
    EndedBy(u64),
}

/// Take a row out, and tell the table which one took its place.
fn take_out(table: &mut Table, rows: &mut Rows, tag: u32, row: usize, tag_of: impl Fn(Key) -> u32) {
    let last = rows.len().saturating_sub(1);
    let moved = rows.swap_remove(row);
    if let Ok(at) = table.rows.find_entry(spread(tag), |at| *at == (tag, row as u32)) {
        at.remove();
    }
    if let Some(moved) = moved {
        let tag = tag_of(moved);
        if let Some(at) = table.rows.find_mut(spread(tag), |at| *at == (tag, last as u32)) {
            at.1 = row as u32;
        }
    }
}
