//! Looking for an answer whose question is like this one.

use super::{Core, Semantic, Source};
use crate::cache::semantic::encode::{Unread, cosine, place_of, quantise};
use crate::cache::semantic::vectors::{Near, Place};
use crate::cache::{Key, Partition};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::oneshot;

/// Of those that the gate leaves, so many are judged: the nearest.
const JUDGED: usize = 3;

/// Partitions larger than this are searched on the tier's own threads: beyond it, a search takes more than about 0.1 ms.
const INLINE: usize = 250_000;

/// A question.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// What is not looked outside of.
    pub partition: Partition,
    /// Its own key.
    pub key: Key,
    /// Its text.
    pub question: &'a str,
}

/// On what terms one is looked for. Of the policy; a caller's headers never lower it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// How sure the verifier must be, 0 to 1.
    pub threshold: f32,
    /// Longest wait, all in all.
    pub time_limit: Duration,
}

/// What was found.
#[derive(Clone, PartialEq)]
pub enum Found {
    /// The answer of another question serves this one.
    Hit {
        /// That other question's, and so the answer's.
        key: Key,
        /// How sure the verifier is.
        score: f32,
        /// Cosine between the two meanings.
        similarity: f32,
        /// The other question.
        question: Arc<str>,
    },
    /// None does, as far as is known.
    Miss(Why),
}

/// Why there was no hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// The partition has no questions.
    Empty,
    /// None lies near.
    NoCandidate,
    /// What lies near cannot serve, going by words alone; why not, of the nearest.
    Veto(&'static str),
    /// The verifier was not sure enough.
    BelowThreshold {
        /// How sure it was of the best, or would have been at best if it was refused before its meaning was compared.
        score: f32,
        /// Which that was.
        key: Key,
    },
    /// As many lookups wait as may.
    Busy,
    /// It took longer than the terms allow.
    TooSlow,
    /// The question is longer than what the encoder reads.
    TooLong,
    /// The encoder can make nothing of the question.
    Unreadable,
    /// The embedder, or the store of vectors, is out of order.
    Unavailable,
}

// What was asked is in no log.
impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit {
                key, score, similarity, ..
            } => write!(f, "Hit({key}, score {score}, similarity {similarity})"),
            Self::Miss(why) => write!(f, "Miss({why:?})"),
        }
    }
}

impl Why {
    /// One word for it, of a closed set: for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoCandidate => "no_candidate",
            Self::Veto(_) => "veto",
            Self::BelowThreshold { .. } => "below_threshold",
            Self::Busy => "busy",
            Self::TooSlow => "too_slow",
            Self::TooLong => "too_long",
            Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What a question is when it is looked for: where it lies, and, if that is known already, what it means.
struct Looked {
    place: Box<Place>,
    meaning: Option<Box<[i8]>>,
}

impl Semantic {
    /// Look for an answer whose question is like this one. Never waits longer than the terms allow; dropping the future takes back
    /// what has not begun.
    pub async fn find(&self, asked: &Asked<'_>, terms: &Terms, now_ms: u64) -> Found {
        if self.core.vectors.is_none() && self.core.index.size_of(asked.partition) == 0 {
            return Found::Miss(Why::Empty);
        }
        let found = match tokio::time::timeout(terms.time_limit, self.look(asked, terms, now_ms)).await {
            Ok(Ok(found)) => found,
            Ok(Err(why)) => Found::Miss(why),
            Err(_) => Found::Miss(Why::TooSlow),
        };
        match &found {
            Found::Hit { key, .. } => self.core.index.touch(asked.partition, *key),
            Found::Miss(Why::Busy) => _ = self.core.counts.busy.fetch_add(1, Relaxed),
            Found::Miss(Why::TooSlow) => _ = self.core.counts.late.fetch_add(1, Relaxed),
            Found::Miss(_) => {}
        }
        found
    }

    async fn look(&self, asked: &Asked<'_>, terms: &Terms, now_ms: u64) -> Result<Found, Why> {
        let looked = self.core.read(asked.question).await?;
        let near = self.near(asked.partition, &looked.place, now_ms).await?;
        let left = self.core.gate(asked, near)?;
        let left = self.core.hopeful(asked, terms.threshold, left)?;
        let (core, partition, threshold) = (self.core.clone(), asked.partition, terms.threshold);
        let question: Box<str> = asked.question.into();
        match (&self.core.source, looked.meaning) {
            // All meanings are known: what is left is a microsecond.
            (_, Some(meaning)) => core.judge(&question, &meaning, partition, left, threshold, &|_| None),
            (Source::Built(encode), None) => {
                let encode = encode.clone();
                self.on_pool(move |wanted| {
                    let meaning = encode.meaning(&question).ok_or(Why::Unreadable)?;
                    let missing = |near: &Near| {
                        let meaning = wanted().then(|| encode.meaning(&near.question)).flatten()?;
                        core.index.set_meaning(partition, near.key, &meaning);
                        Some(meaning)
                    };
                    core.judge(&question, &meaning, partition, left, threshold, &missing)
                })
                .await?
            }
            (Source::Remote(_), None) => Err(Why::Unavailable),
        }
    }

    async fn near(&self, partition: Partition, place: &Place, now_ms: u64) -> Result<Vec<Near>, Why> {
        let core = &self.core;
        let size = core.index.size_of(partition);
        let (most, floor) = (core.settings.most, core.settings.floor - lower(size));
        let near = match &core.vectors {
            Some(vectors) => vectors
                .near(partition, place, most, floor, now_ms)
                .await
                .map_err(|_| Why::Unavailable)?,
            None if size <= INLINE => core.index.near(partition, place, most, floor, now_ms),
            None => {
                let (core, place) = (core.clone(), Box::new(*place));
                self.on_pool(move |_| core.index.near(partition, &place, most, floor, now_ms))
                    .await?
            }
        };
        if near.is_empty() {
            Err(Why::NoCandidate)
        } else {
            Ok(near)
        }
    }

    /// Have this done by the tier's own threads, if anybody still waits for it when its turn comes. The work can ask whether anybody
    /// does.
    async fn on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
    ) -> Result<T, Why> {
        let (done, result) = oneshot::channel();
        let job = move || {
            if !done.is_closed() {
                let made = work(&|| !done.is_closed());
                let _ = done.send(made);
            }
        };
        self.pool.now(Box::new(job)).map_err(|_| Why::Busy)?;
        result.await.map_err(|_| Why::Unavailable)
    }
}

/// How much lower the floor is in a partition of this size. Every second paraphrase lies below .8 and every tenth below .6, but the
/// lower the floor, the more of a large partition has to be looked at.
fn lower(size: usize) -> f32 {
    match size {
        0..=4096 => 0.2,
        4097..=32_768 => 0.1,
        _ => 0.0,
    }
}

impl Core {
    async fn read(&self, question: &str) -> Result<Looked, Why> {
        match &self.source {
            Source::Built(encode) => match encode.place(question) {
                Ok(place) => Ok(Looked { place, meaning: None }),
                Err(Unread::TooLong) => Err(Why::TooLong),
                Err(Unread::Nothing) => Err(Why::Unreadable),
            },
            Source::Remote(embedder) => {
                let vectors = embedder.embed(&[question]).await.map_err(|_| Why::Unavailable)?;
                let vector = vectors.first().ok_or(Why::Unavailable)?;
                let place = place_of(vector).ok_or(Why::Unreadable)?;
                Ok(Looked {
                    place,
                    meaning: quantise(vector),
                })
            }
        }
    }

    /// Those whose answer may serve, going by words alone and by what was reported.
    fn gate(&self, asked: &Asked<'_>, mut near: Vec<Near>) -> Result<Vec<Near>, Why> {
        near.retain(|near| near.key != asked.key && !self.feedback.parted(near.key, asked.key));
        let kept: Vec<&str> = near.iter().map(|near| &*near.question).collect();
        let mut why = Why::NoCandidate;
        let vetoes = match kept.is_empty() {
            // Everything near was reported for this question, or is this question.
            true => return Err(Why::Veto("reported")),
            false => self.verify.gate(asked.question, &kept),
        };
        if let Some(veto) = vetoes.iter().flatten().next() {
            why = Why::Veto(veto);
        }
        let mut vetoes = vetoes.into_iter();
        // A verdict that is missing is a veto.
        near.retain(|_| vetoes.next() == Some(None));
        near.truncate(JUDGED);
        if near.is_empty() { Err(why) } else { Ok(near) }
    }

    /// Those that would be sure enough if they meant the very same: what is not needs no encoder to be refused.
    fn hopeful(&self, asked: &Asked<'_>, threshold: f32, mut near: Vec<Near>) -> Result<Vec<Near>, Why> {
        let mut refused: Option<(f32, Key)> = None;
        near.retain(|near| {
            let score = self.verify.judge(asked.question, &near.question, near.cosine, 1.0);
            let hope = score >= self.feedback.needed(threshold, asked.partition, near.key, &near.place);
            if !hope && refused.is_none_or(|(best, _)| score > best) {
                refused = Some((score, near.key));
            }
            hope
        });
        match refused {
            Some((score, key)) if near.is_empty() => Err(Why::BelowThreshold { score, key }),
            _ => Ok(near),
        }
    }

    /// The best of those that are sure enough. `missing` makes the meaning of one that has none yet.
    fn judge(
        &self,
        question: &str,
        meaning: &[i8],
        partition: Partition,
        near: Vec<Near>,
        threshold: f32,
        missing: &dyn Fn(&Near) -> Option<Box<[i8]>>,
    ) -> Result<Found, Why> {
        let mut best: Option<(f32, f32, Near)> = None;
        let mut refused: Option<(f32, Key)> = None;
        for mut near in near {
            let Some(other) = near.meaning.take().or_else(|| missing(&near)) else {
                continue;
            };
            let similarity = cosine(meaning, &other);
            let score = self.verify.judge(question, &near.question, near.cosine, similarity);
            let needed = self.feedback.needed(threshold, partition, near.key, &near.place);
            // Also false where one of them is not a number.
            if score >= needed {
                if best.as_ref().is_none_or(|(best, ..)| score > *best) {
                    best = Some((score, similarity, near));
                }
            } else if refused.is_none_or(|(best, _)| score > best) {
                refused = Some((score, near.key));
            }
        }
        match (best, refused) {
            (Some((score, similarity, near)), _) => Ok(Found::Hit {
                key: near.key,
                score,
                similarity,
                question: near.question,
            }),
            (None, Some((score, key))) => Err(Why::BelowThreshold { score, key }),
            (None, None) => Err(Why::Unavailable),
        }
    }
}
