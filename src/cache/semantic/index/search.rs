//! A search of one partition: a short list by sketches, put in order, and cosines from its top until no other can be nearer.

use super::rows::{CHUNK, Chunk, Rows};
use super::sketch::{self, HALF, Half};
use crate::cache::Key;
use crate::cache::semantic::vectors::Place;
use fearless_simd::Level;
use std::collections::HashSet;

/// Rows whose cosine is computed, at most. Only a partition of thousands that all lie within the floor has more; of those the
/// nearest by sketch are taken, which are the nearest indeed but for a few in a thousand.
const LONGEST: usize = 2048;

/// A row, and how near it is.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    pub row: u32,
    pub key: Key,
    pub cosine: f32,
}

/// The cosine of a row that has not ended.
pub fn hit(rows: &Rows, level: Level, row: usize, place: &Place, scale: f32, now_ms: u64) -> Option<Hit> {
    let chunk = rows.chunks().get(row / CHUNK)?;
    let at = row % CHUNK;
    if *chunk.ends.get(at)? <= now_ms {
        return None;
    }
    Some(Hit {
        row: row as u32,
        key: *chunk.keys.get(at)?,
        cosine: rows.cosine(level, row, place, scale)?,
    })
}

/// Rows that may be near: in how many bits their sketches differ, and which rows they are.
pub struct Shortlist {
    /// Bits that may differ in the first half, and in both.
    first: u8,
    both: u32,
    rows: Vec<(u32, u32)>,
}

impl Shortlist {
    pub fn new(first: u32, both: u32) -> Self {
        Self {
            first: first.min(HALF) as u8,
            both,
            rows: Vec::new(),
        }
    }

    /// Look through a chunk whose first row has this number.
    pub fn look(&mut self, level: Level, chunk: &Chunk, number: usize, [first, second]: &[Half; 2]) {
        let mut apart = [u8::MAX; CHUNK];
        sketch::all_apart(level, &chunk.first, first, &mut apart);
        for (group, number) in apart.chunks_exact(32).zip((number..).step_by(32)) {
            // Most groups have none, and that is known without a branch for each.
            if group.iter().fold(u8::MAX, |least, x| least.min(*x)) > self.first {
                continue;
            }
            for (at, row) in group.iter().zip(number..).filter(|(apart, _)| **apart <= self.first) {
                let Some(other) = chunk.second.get(row % CHUNK) else {
                    continue;
                };
                let both = u32::from(*at) + sketch::apart(other, second);
                if both <= self.both {
                    self.rows.push((both, row as u32));
                }
            }
        }
        if self.rows.len() >= 2 * LONGEST {
            self.cut();
        }
    }

    /// Keep the nearest, and take nothing farther from now on.
    fn cut(&mut self) {
        if self.rows.len() > LONGEST {
            let (_, (farthest, _), _) = self.rows.select_nth_unstable(LONGEST);
            self.both = *farthest;
            self.rows.truncate(LONGEST);
        }
    }

    /// All of it, nearest first.
    pub fn into_sorted(mut self) -> Vec<(u32, u32)> {
        self.cut();
        self.rows.sort_unstable();
        self.rows
    }
}

/// The nearest few so far.
pub struct Ranked {
    most: usize,
    floor: f32,
    /// The least cosine that still makes it nearer than one of `hits`, and the bits that may differ for it.
    bar: f32,
    apart: u32,
    pub hits: Vec<Hit>,
}

impl Ranked {
    pub fn new(most: usize, floor: f32) -> Self {
        Self {
            most,
            floor,
            bar: floor,
            apart: u32::MAX,
            hits: Vec::new(),
        }
    }

    /// Whether a row with so many bits apart can still be among them.
    pub fn could_take(&self, apart: u32) -> bool {
        apart <= self.apart
    }

    pub fn take(&mut self, hit: Hit) {
        if hit.cosine < self.bar {
            return;
        }
        self.hits.push(hit);
        // Every so often the nearest are picked out and the bar raised to the last of them.
        if self.hits.len() >= self.most.saturating_mul(2).max(4) {
            self.hits = best(std::mem::take(&mut self.hits), self.most);
            if let Some(last) = self.hits.last().filter(|_| self.hits.len() == self.most) {
                self.bar = last.cosine.max(self.floor);
                self.apart = sketch::most_apart(self.bar, 2 * HALF, sketch::LIKELY);
            }
        }
    }
}

/// The nearest few, each once, nearest first.
pub fn best(mut hits: Vec<Hit>, most: usize) -> Vec<Hit> {
    hits.sort_unstable_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.key.cmp(&b.key)));
    let mut seen = HashSet::new();
    hits.retain(|hit| seen.len() < most && seen.insert(hit.key));
    hits
}
