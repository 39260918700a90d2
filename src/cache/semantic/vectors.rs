//! Where questions are looked for by nearness when there are more of them than fit this process: a trait, and what is kept of a
//! question.
//!
//! Not an implementation (`storage::vectors` has one), and not the index of this process ([`super::index`]). The one idea: whoever
//! keeps a question keeps all that looking for it needs, its text, its vectors, whose it is and when it ends; answers are elsewhere.
//!
//! Every call is bounded in time by the one who implements it; a lookup is besides that bounded by its caller's time limit and may
//! be dropped at any await. An outage is a miss.

use crate::cache::{Entry, Key, Outage, Owner, Partition, Selection};
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;

/// How many numbers a place has.
pub const PLACE: usize = 256;

/// Where a question lies: 256 whole numbers of which only the direction counts (each -127 to 127).
pub type Place = [i8; PLACE];

/// What an answer's header says of it, shared by the many that say the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Label {
    /// Whose it is.
    pub owner: Owner,
    /// The public model that was asked.
    pub model: Arc<str>,
    /// Tags of the caller, sorted.
    pub tags: Box<[Box<str>]>,
}

/// A question as it is kept.
#[derive(Clone)]
pub struct Point {
    /// Its name, and that of its answer.
    pub key: Key,
    /// What it may never be found outside of.
    pub partition: Partition,
    /// Whose it is, and of which model.
    pub label: Arc<Label>,
    /// When its answer was complete: milliseconds since 1970.
    pub made_ms: u64,
    /// From when on it is not to be found: milliseconds since 1970.
    pub ends_ms: u64,
    /// Its text.
    pub question: Box<str>,
    /// Where it lies: what it is found by.
    pub place: Box<Place>,
    /// What the verifier compares, as the encoder wrote it (384 numbers with the built-in one); none: not known yet.
    pub meaning: Option<Box<[i8]>>,
}

/// A question that lies near.
#[derive(Clone)]
pub struct Near {
    /// Its name, and that of its answer.
    pub key: Key,
    /// Its text.
    pub question: Arc<str>,
    /// Cosine between its place and the one asked for.
    pub cosine: f32,
    /// Where it lies.
    pub place: Box<Place>,
    /// What the verifier compares; none: not known yet.
    pub meaning: Option<Box<[i8]>>,
}

impl Point {
    /// What is kept of an answer's question; none if it has none, or may not be found by likeness.
    pub fn of(entry: &Entry, place: Box<Place>, meaning: Option<Box<[i8]>>) -> Option<Self> {
        if !entry.semantic {
            return None;
        }
        Some(Self {
            key: entry.key,
            partition: entry.partition,
            label: Arc::new(Label::of(entry)),
            made_ms: entry.made_ms,
            ends_ms: entry.ends_ms(),
            question: entry.question.clone()?,
            place,
            meaning,
        })
    }

    /// Whether it is among those selected.
    pub fn is_in(&self, selection: &Selection) -> bool {
        self.label.is_in(selection, self.key, self.partition)
    }
}

impl Label {
    /// That of an answer.
    pub fn of(entry: &Entry) -> Self {
        Self {
            owner: entry.owner.clone(),
            model: entry.model.clone(),
            tags: entry.tags.clone(),
        }
    }

    /// Whether the answer of this name with this label is among those selected.
    pub fn is_in(&self, selection: &Selection, key: Key, partition: Partition) -> bool {
        selection.chooses(key, partition, &self.owner, &self.tags, &self.model)
    }
}

/// A store of questions.
#[async_trait]
pub trait Vectors: Send + Sync {
    /// Keep a question, in place of what has its key.
    async fn put(&self, point: &Point) -> Result<(), Outage>;

    /// The `most` questions of a partition that lie nearest, of those with a cosine of at least `floor` and an end after `now_ms`;
    /// nearest first.
    async fn near(
        &self,
        partition: Partition,
        place: &Place,
        most: usize,
        floor: f32,
        now_ms: u64,
    ) -> Result<Vec<Near>, Outage>;

    /// The question of this key.
    async fn get(&self, key: Key) -> Result<Option<Point>, Outage>;

    /// Up to `most` questions of a partition, newest first.
    async fn list(&self, partition: Partition, most: usize) -> Result<Vec<Point>, Outage>;

    /// Delete questions. How many there were.
    async fn delete(&self, selection: &Selection) -> Result<u64, Outage>;

    /// Delete what ended by `now_ms`. How many there were.
    async fn expire(&self, now_ms: u64) -> Result<u64, Outage>;

    /// How many there are, about.
    async fn count(&self) -> Result<u64, Outage>;
}

// What callers asked is in no log: neither the text nor what could be turned back into it.
impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Point")
            .field("key", &self.key)
            .field("partition", &self.partition)
            .field("ends_ms", &self.ends_ms)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near")
            .field("key", &self.key)
            .field("cosine", &self.cosine)
            .finish_non_exhaustive()
    }
}
