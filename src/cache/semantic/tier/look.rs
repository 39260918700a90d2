//! What operators see of the tier, what they report, and how alike two answers are.

use super::feedback::REPORTS;
use super::learn::only;
use super::{Semantic, Source};
use crate::cache::semantic::encode::{cosine, place_of, quantise};
use crate::cache::semantic::vectors::{Place, Point};
use crate::cache::{Key, Partition, Wrong};
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::oneshot;

/// Of each answer that is compared, so many bytes are.
const COMPARED: usize = 16 * 1024;

/// A piece of an answer that is encoded at once, in bytes: about what an encoder of 128 tokens reads of it. And how many.
const PIECE: usize = 400;
const PIECES: usize = 8;

/// A question of the tier.
#[derive(Clone, PartialEq)]
pub struct Listed {
    /// Its key, and that of its answer.
    pub key: Key,
    /// Its text.
    pub question: Box<str>,
    /// When its answer was complete: milliseconds since 1970.
    pub made_ms: u64,
    /// From when on it is not found.
    pub ends_ms: u64,
    /// Cosine between its place and that of the text it was compared with.
    pub nearness: Option<f32>,
    /// Cosine between the meanings, where its own is known.
    pub similarity: Option<f32>,
}

/// Where a text lies, and what it means if that could be told.
type Read = (Box<Place>, Option<Box<[i8]>>);

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Questions in the index of this process.
    pub entries: u64,
    /// Partitions that have some.
    pub partitions: u64,
    /// Memory of the index, in bytes, texts of questions included.
    pub bytes: u64,
    /// Questions that left because there were too many.
    pub evicted: u64,
    /// Lookups that wait for a thread.
    pub waiting: u64,
    /// Questions, or their meanings, that wait to be learned.
    pub learning: u64,
    /// Questions that were not learned.
    pub unlearned: u64,
    /// Lookups that were refused because too many waited.
    pub busy: u64,
    /// Lookups that took too long.
    pub late: u64,
    /// Pairs that were reported and never match.
    pub parted: u64,
    /// Reported questions that are remembered.
    pub doubted: u64,
}

impl Semantic {
    /// Questions of a partition, at most so many: those nearest to a text if one is given, else the newest.
    pub async fn inspect(&self, partition: Partition, text: Option<&str>, most: usize) -> Vec<Listed> {
        let core = &self.core;
        let read = match text {
            Some(text) => self.read(text).await,
            None => None,
        };
        let points = match (&core.vectors, &read) {
            (Some(vectors), _) => vectors.list(partition, most).await.unwrap_or_default(),
            (None, Some((place, _))) => {
                let near = core.index.near(partition, place, most, -1.0, 0);
                near.iter()
                    .filter_map(|near| core.index.get_in(partition, near.key))
                    .collect()
            }
            (None, None) => core.index.list(partition, most),
        };
        let mut listed: Vec<Listed> = points.into_iter().map(|point| listed(point, read.as_ref())).collect();
        if read.is_some() {
            listed.sort_by(|a, b| b.nearness.unwrap_or(-1.0).total_cmp(&a.nearness.unwrap_or(-1.0)));
        }
        listed.truncate(most);
        listed
    }

    /// An answer served a question wrongly, or is wrong in itself. Whether its question is known here.
    pub async fn disown(&self, wrong: &Wrong) -> bool {
        let id = wrong.id;
        if let Some(asked) = wrong.question {
            self.core.feedback.part(id, asked);
        }
        let point = match &self.core.vectors {
            Some(vectors) => vectors.get(id).await.ok().flatten(),
            None => self.aside(move |core| core.index.get(id)).await,
        };
        let Some(point) = point else { return false };
        let reports = match wrong.question {
            Some(_) => self.core.feedback.doubt(point.partition, id, point.place),
            None => REPORTS,
        };
        if reports >= REPORTS {
            self.core.index.remove(point.partition, id);
            if let Some(vectors) = &self.core.vectors {
                let _ = vectors.delete(&only(id)).await;
            }
        }
        true
    }

    /// How alike two answers are, 0 to 1: the mean of how many words they share (Dice's coefficient over the words' lower-case
    /// letters and digits) and of how near their meanings are. Takes milliseconds, behind everything that anybody waits for; none if
    /// there is too much of that, or no encoder.
    pub async fn agreement(&self, a: &str, b: &str) -> Option<f32> {
        let (a, b) = (head(a, COMPARED), head(b, COMPARED));
        let words = shared_words(a, b);
        if a == b {
            return Some(1.0);
        }
        let near = match &self.core.source {
            Source::Remote(embedder) => {
                let vectors = embedder.embed(&[a, b]).await.ok()?;
                let [a, b] = vectors.as_slice() else { return None };
                cosine(&quantise(a)?, &quantise(b)?)
            }
            Source::Built(encode) => {
                let (done, result) = oneshot::channel();
                let (encode, a, b) = (encode.clone(), a.to_owned(), b.to_owned());
                let job = move || {
                    let mean = |text: &str| mean(pieces(text).filter_map(|piece| encode.meaning(piece)));
                    let near = mean(&a).zip(mean(&b)).map(|(a, b)| cosine(&a, &b));
                    let _ = done.send(near);
                };
                self.pool.later(Box::new(job)).ok()?;
                result.await.ok().flatten()?
            }
        };
        Some((words + near.clamp(0.0, 1.0)) / 2.0)
    }

    /// How much there is.
    pub fn stats(&self) -> Stats {
        let (core, (waiting, later)) = (&self.core, self.pool.queued());
        let (parted, doubted) = core.feedback.told();
        Stats {
            entries: core.index.entries(),
            partitions: core.index.partitions(),
            bytes: core.index.bytes(),
            evicted: core.index.evicted(),
            waiting: waiting as u64,
            learning: (later + core.queue.len()) as u64,
            unlearned: core.counts.unlearned.load(Relaxed),
            busy: core.counts.busy.load(Relaxed),
            late: core.counts.late.load(Relaxed),
            parted: parted as u64,
            doubted: doubted as u64,
        }
    }

    async fn read(&self, text: &str) -> Option<Read> {
        match &self.core.source {
            Source::Built(encode) => {
                let place = encode.place(text).ok()?;
                let (done, result) = oneshot::channel();
                let (encode, text) = (encode.clone(), text.to_owned());
                let queued = self.pool.now(Box::new(move || _ = done.send(encode.meaning(&text))));
                let meaning = if queued.is_ok() {
                    result.await.ok().flatten()
                } else {
                    None
                };
                Some((place, meaning))
            }
            Source::Remote(embedder) => {
                let vectors = embedder.embed(&[text]).await.ok()?;
                let vector = vectors.first()?;
                Some((place_of(vector)?, quantise(vector)))
            }
        }
    }
}

fn listed(point: Point, read: Option<&Read>) -> Listed {
    let nearness = read.map(|(place, _)| cosine(&**place, &*point.place));
    let similarity = read.and_then(|(_, meaning)| Some(cosine(meaning.as_deref()?, point.meaning.as_deref()?)));
    Listed {
        key: point.key,
        question: point.question,
        made_ms: point.made_ms,
        ends_ms: point.ends_ms,
        nearness,
        similarity,
    }
}

/// The beginning of a text, at most so many bytes.
fn head(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The first few pieces of a text, parted at white space where there is some.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let piece = head(rest, PIECE);
        let end = if piece.len() == rest.len() {
            None
        } else {
            piece.rfind(char::is_whitespace)
        };
        let (piece, after) = rest.split_at_checked(end.filter(|end| *end > 0).unwrap_or(piece.len()))?;
        rest = after.trim_start();
        Some(piece)
    })
    .take(PIECES)
}

/// The middle of several meanings.
fn mean(meanings: impl Iterator<Item = Box<[i8]>>) -> Option<Box<[i8]>> {
    let mut sum: Vec<f32> = Vec::new();
    for meaning in meanings {
        sum.resize(meaning.len().max(sum.len()), 0.0);
        sum.iter_mut()
            .zip(meaning.iter())
            .for_each(|(sum, x)| *sum += f32::from(*x));
    }
    quantise(&sum)
}

fn shared_words(a: &str, b: &str) -> f32 {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let (a, b) = (words(a), words(b));
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    a.iter().for_each(|word| *counts.entry(word).or_default() += 1);
    let mut shared = 0;
    for word in &b {
        if let Some(count) = counts.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    2.0 * shared as f32 / (a.len() + b.len()) as f32
}
