//! The questions of one partition, in columns, a chunk of up to 256 at a time.
//!
//! No locks here. The one idea: a row is a number, rows are without gaps (the last one takes the place of one that goes), and what a
//! search walks through lies together.

use super::sketch::{self, Half};
use crate::cache::semantic::vectors::{Label, Place, Point};
use crate::cache::{Key, Partition};
use fearless_simd::Level;
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Rows of a chunk. Growing one copies it, so it is bounded what a reader may have to wait for: 190 kB.
pub const CHUNK: usize = 256;

/// Labels that a new row is compared with, so that equal ones are kept once.
const LABELS: usize = 4;

#[derive(Default)]
pub struct Chunk {
    /// First halves of sketches.
    pub first: Vec<Half>,
    /// Second halves.
    pub second: Vec<Half>,
    pub places: Vec<Place>,
    /// One over the length of each place.
    pub scales: Vec<f32>,
    pub keys: Vec<Key>,
    pub ends: Vec<u64>,
    rest: Vec<Rest>,
    /// `Rows::meaning` numbers a row, once a row of the chunk has its meaning.
    meanings: Vec<i8>,
}

struct Rest {
    made_ms: u64,
    question: Box<str>,
    label: Arc<Label>,
    /// Bytes of the label, if it came with this row.
    brought: u32,
    /// It has its meaning.
    meant: bool,
    /// It was of use since it was last thought of to leave.
    used: AtomicBool,
}

/// All rows of a partition.
#[derive(Default)]
pub struct Rows {
    chunks: Vec<Chunk>,
    /// How many numbers a meaning has: as many as the first.
    meaning: usize,
    labels: Vec<Arc<Label>>,
    /// Bytes on the heap, but the chunks' columns.
    texts: usize,
    /// Bytes of the columns.
    columns: usize,
}

impl Rest {
    fn text(&self) -> usize {
        self.question.len() + self.brought as usize
    }
}

impl Chunk {
    /// Room for one more: a quarter more than there are, so that small partitions stay small.
    fn grow(&mut self, meaning: usize) {
        let len = self.keys.len();
        if len < self.keys.capacity() {
            return;
        }
        let more = (len / 4).clamp(1, CHUNK.saturating_sub(len).max(1));
        self.first.reserve_exact(more);
        self.second.reserve_exact(more);
        self.places.reserve_exact(more);
        self.scales.reserve_exact(more);
        self.keys.reserve_exact(more);
        self.ends.reserve_exact(more);
        self.rest.reserve_exact(more);
        if !self.meanings.is_empty() {
            self.meanings.reserve_exact(more * meaning);
        }
    }

    fn shrink(&mut self) {
        let len = self.keys.len();
        if len * 2 >= self.keys.capacity() {
            return;
        }
        self.first.shrink_to(len);
        self.second.shrink_to(len);
        self.places.shrink_to(len);
        self.scales.shrink_to(len);
        self.keys.shrink_to(len);
        self.ends.shrink_to(len);
        self.rest.shrink_to(len);
        self.meanings.shrink_to(self.meanings.len());
    }

    fn bytes(&self) -> usize {
        self.first.capacity() * size_of::<Half>()
            + self.second.capacity() * size_of::<Half>()
            + self.places.capacity() * size_of::<Place>()
            + self.scales.capacity() * size_of::<f32>()
            + self.keys.capacity() * size_of::<Key>()
            + self.ends.capacity() * size_of::<u64>()
            + self.rest.capacity() * size_of::<Rest>()
            + self.meanings.capacity()
    }

    fn meaning(&self, at: usize, meaning: usize) -> Option<&[i8]> {
        let row = self.rest.get(at).filter(|row| row.meant).map(|_| at * meaning)?;
        self.meanings.get(row..row + meaning)
    }
}

impl Rows {
    pub fn len(&self) -> usize {
        match self.chunks.as_slice() {
            [] => 0,
            [full @ .., last] => full.len() * CHUNK + last.keys.len(),
        }
    }

    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Bytes of it on the heap.
    pub fn bytes(&self) -> usize {
        self.texts
            + self.columns
            + self.chunks.capacity() * size_of::<Chunk>()
            + self.labels.capacity() * size_of::<usize>()
    }

    fn chunk(&self, row: usize) -> Option<(&Chunk, usize)> {
        Some((self.chunks.get(row / CHUNK)?, row % CHUNK))
    }

    pub fn key(&self, row: usize) -> Option<Key> {
        let (chunk, at) = self.chunk(row)?;
        chunk.keys.get(at).copied()
    }

    /// Cosine between a row's place and one of this length.
    pub fn cosine(&self, level: Level, row: usize, place: &Place, scale: f32) -> Option<f32> {
        let (chunk, at) = self.chunk(row)?;
        let product = sketch::product(level, chunk.places.get(at)?, place);
        Some(product as f32 * chunk.scales.get(at)? * scale)
    }

    /// One row more, at the end.
    pub fn push(&mut self, level: Level, point: Point) -> usize {
        let row = self.len();
        let (label, brought) = self.label(point.label);
        if self.chunks.last().is_none_or(|last| last.keys.len() >= CHUNK) {
            // As in the chunk: a partition of one question has room for one chunk.
            let more = (self.chunks.len() / 4).max(1);
            if self.chunks.len() == self.chunks.capacity() {
                self.chunks.reserve_exact(more);
            }
            self.chunks.push(Chunk::default());
        }
        let Some(chunk) = self.chunks.last_mut() else {
            return row;
        };
        let before = chunk.bytes();
        chunk.grow(self.meaning);
        let [first, second] = sketch::sketch(&point.place);
        chunk.first.push(first);
        chunk.second.push(second);
        chunk.scales.push(sketch::scale(level, &point.place));
        chunk.places.push(*point.place);
        chunk.keys.push(point.key);
        chunk.ends.push(point.ends_ms);
        self.texts += point.question.len() + brought;
        chunk.rest.push(Rest {
            made_ms: point.made_ms,
            question: point.question,
            label,
            brought: brought as u32,
            meant: false,
            used: AtomicBool::new(false),
        });
        if !chunk.meanings.is_empty() {
            chunk.meanings.resize(chunk.keys.len() * self.meaning, 0);
        }
        self.columns += chunk.bytes() - before;
        if let Some(meaning) = point.meaning {
            self.set_meaning(row, &meaning);
        }
        row
    }

    /// Equal labels are kept once, if they come close to each other. And what a new one takes.
    fn label(&mut self, label: Arc<Label>) -> (Arc<Label>, usize) {
        if let Some(known) = self.labels.iter().find(|known| ***known == *label) {
            return (known.clone(), 0);
        }
        if self.labels.len() == LABELS {
            self.labels.remove(0);
        }
        self.labels.push(label.clone());
        // Names of owners and models are shared with the configuration.
        let tags: usize = label.tags.iter().map(|tag| size_of::<Box<str>>() + tag.len()).sum();
        (label, 16 + size_of::<Label>() + tags)
    }

    /// A row goes, and the last one takes its place. The key of that, if there is one that moved.
    pub fn swap_remove(&mut self, row: usize) -> Option<Key> {
        let last = self.len().checked_sub(1).filter(|last| row <= *last)?;
        let meaning = self.meaning;
        // Taken off the end, column by column, and put where the gap is.
        let end = self.chunks.last_mut()?;
        let before = end.bytes();
        let at = end.keys.len().checked_sub(1)?;
        let moved_meaning: Option<Box<[i8]>> = end.meaning(at, meaning).map(Into::into);
        end.meanings.truncate(at * meaning);
        let (first, second, place, scale) = (
            end.first.pop()?,
            end.second.pop()?,
            end.places.pop()?,
            end.scales.pop()?,
        );
        let (key, ends, mut rest) = (end.keys.pop()?, end.ends.pop()?, end.rest.pop()?);
        end.shrink();
        self.columns = (self.columns + end.bytes()).saturating_sub(before);
        if end.keys.is_empty() {
            self.columns = self.columns.saturating_sub(end.bytes());
            self.chunks.pop();
        }
        if row == last {
            self.texts = self.texts.saturating_sub(rest.text());
            return None;
        }
        rest.meant = false;
        let (chunk, at) = (self.chunks.get_mut(row / CHUNK)?, row % CHUNK);
        *chunk.first.get_mut(at)? = first;
        *chunk.second.get_mut(at)? = second;
        *chunk.places.get_mut(at)? = place;
        *chunk.scales.get_mut(at)? = scale;
        *chunk.keys.get_mut(at)? = key;
        *chunk.ends.get_mut(at)? = ends;
        let gone = std::mem::replace(chunk.rest.get_mut(at)?, rest);
        self.texts = self.texts.saturating_sub(gone.text());
        if let Some(moved) = moved_meaning {
            self.set_meaning(row, &moved);
        }
        Some(key)
    }

    /// The same question was answered anew.
    pub fn renew(&mut self, row: usize, made_ms: u64, ends_ms: u64, label: Label) {
        let (label, brought) = self.label(Arc::new(label));
        let Some(chunk) = self.chunks.get_mut(row / CHUNK) else {
            return;
        };
        if let (Some(ends), Some(rest)) = (chunk.ends.get_mut(row % CHUNK), chunk.rest.get_mut(row % CHUNK)) {
            *ends = ends_ms;
            rest.made_ms = made_ms;
            // Unchanged in nearly all cases.
            if *rest.label != *label {
                self.texts = (self.texts + brought).saturating_sub(rest.brought as usize);
                (rest.label, rest.brought) = (label, brought as u32);
            }
            *rest.used.get_mut() = true;
        }
    }

    /// A row's meaning is known now. One that is not as long as the others' is not taken.
    pub fn set_meaning(&mut self, row: usize, meaning: &[i8]) -> bool {
        if self.meaning == 0 {
            self.meaning = meaning.len();
        }
        let Some(chunk) = self.chunks.get_mut(row / CHUNK) else {
            return false;
        };
        if meaning.len() != self.meaning || meaning.is_empty() {
            return false;
        }
        let (at, before) = (row % CHUNK, chunk.bytes());
        if chunk.meanings.is_empty() {
            chunk.meanings.reserve_exact(chunk.keys.capacity() * meaning.len());
            chunk.meanings.resize(chunk.keys.len() * meaning.len(), 0);
        }
        let from = at * meaning.len();
        if let (Some(to), Some(rest)) = (
            chunk.meanings.get_mut(from..from + meaning.len()),
            chunk.rest.get_mut(at),
        ) {
            to.copy_from_slice(meaning);
            rest.meant = true;
        }
        self.columns = (self.columns + chunk.bytes()).saturating_sub(before);
        true
    }

    pub fn has_meaning(&self, row: usize) -> bool {
        let rest = self.chunk(row).and_then(|(chunk, at)| chunk.rest.get(at));
        rest.is_some_and(|rest| rest.meant)
    }

    /// It was of use.
    pub fn touch(&self, row: usize) {
        if let Some(rest) = self.chunk(row).and_then(|(chunk, at)| chunk.rest.get(at)) {
            rest.used.store(true, Relaxed);
        }
    }

    /// Whether it was of use since this was last asked.
    pub fn was_used(&self, row: usize) -> bool {
        let rest = self.chunk(row).and_then(|(chunk, at)| chunk.rest.get(at));
        rest.is_some_and(|rest| rest.used.swap(false, Relaxed))
    }

    pub fn label_of(&self, row: usize) -> Option<&Label> {
        let (chunk, at) = self.chunk(row)?;
        Some(&chunk.rest.get(at)?.label)
    }

    /// A copy of a row.
    pub fn point(&self, row: usize, partition: Partition) -> Option<Point> {
        let (chunk, at) = self.chunk(row)?;
        let rest = chunk.rest.get(at)?;
        Some(Point {
            key: *chunk.keys.get(at)?,
            partition,
            label: rest.label.clone(),
            made_ms: rest.made_ms,
            ends_ms: *chunk.ends.get(at)?,
            question: rest.question.clone(),
            place: Box::new(*chunk.places.get(at)?),
            meaning: chunk.meaning(at, self.meaning).map(Into::into),
        })
    }
}
