//! A kept answer, and how answers are chosen for deletion.

use super::{Key, Partition};
use crate::units::{NanoUsd, Usage};
use crate::wire::{Dialect, Operation};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// A kept answer. Immutable; a fresher one replaces it under the same key.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// Its question.
    pub key: Key,
    /// Where it is looked for by likeness, and what it may never leave.
    pub partition: Partition,
    /// When the answer was complete: milliseconds since 1970.
    pub made_ms: u64,
    /// How long it is served: milliseconds after `made_ms`.
    pub fresh_ms: u64,
    /// How much longer it is served while somebody fetches a fresher one.
    pub stale_ms: u64,
    /// How much longer than fresh it is served when every target fails.
    pub spare_ms: u64,
    /// Whose it is.
    pub owner: Owner,
    /// The public model that was asked, as asked.
    pub model: Arc<str>,
    /// The target that answered.
    pub target: Arc<str>,
    /// Tags of the caller when it was stored, sorted.
    pub tags: Box<[Box<str>]>,
    /// The last user turn, if it is text only: what likeness is judged by, and what an operator sees of it.
    pub question: Option<Box<str>>,
    /// It may be found by likeness.
    pub semantic: bool,
    /// What the answer took.
    pub usage: Option<Usage>,
    /// What that cost, as billed; none: no price.
    pub cost: Option<NanoUsd>,
    /// The answer.
    pub answer: Answer,
}

// What was asked and answered is in no log.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("partition", &self.partition)
            .field("made_ms", &self.made_ms)
            .field("model", &self.model)
            .field("target", &self.target)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// From when on it is of no use: milliseconds since 1970.
    pub fn ends_ms(&self) -> u64 {
        let longest = self.stale_ms.max(self.spare_ms);
        self.made_ms.saturating_add(self.fresh_ms).saturating_add(longest)
    }

    /// How old it is; a clock that went back makes nothing younger than new.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.made_ms)
    }

    /// What it is good for.
    pub fn state(&self, now_ms: u64) -> State {
        // Made in the future: this clock or its maker's is wrong. Within what clocks of a fleet differ by, it is new.
        if self.made_ms > now_ms.saturating_add(60_000) {
            return State::Over;
        }
        let age = self.age_ms(now_ms);
        if age < self.fresh_ms {
            State::Fresh
        } else if age < self.fresh_ms.saturating_add(self.stale_ms) {
            State::Stale
        } else if age < self.fresh_ms.saturating_add(self.spare_ms) {
            State::Spare
        } else {
            State::Over
        }
    }
}

/// What a kept answer is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be served.
    Fresh,
    /// To be served, and fetched anew beside that.
    Stale,
    /// To be served only if nobody can answer.
    Spare,
    /// Nothing.
    Over,
}

/// Whose answer it is: the caller that paid for it. Empty parts are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Organisation.
    pub organisation: Option<Arc<str>>,
    /// Team.
    pub team: Option<Arc<str>>,
    /// Project.
    pub project: Option<Arc<str>>,
    /// User.
    pub user: Option<Arc<str>>,
    /// Virtual key, by name.
    pub key: Option<Arc<str>>,
}

/// A kept answer's bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// How to read them.
    pub form: Form,
    /// They are compressed with zstd.
    pub zstd: bool,
    /// Their length when not compressed.
    pub length: u32,
    /// They.
    pub bytes: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("form", &self.form)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// How a kept answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The canonical answer of a model, in the cache's own form: served whole and as a stream, in every dialect.
    Canonical,
    /// JSON as it was sent, of operations that are answered in one dialect only (embeddings, rerank, moderations, counts).
    Verbatim(Dialect, Operation),
}

/// Which kept answers: those for which everything that is given holds. Nothing given selects nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Every answer there is.
    pub all: bool,
    /// One of these.
    pub ids: Vec<Key>,
    /// In this partition.
    pub partition: Option<Partition>,
    /// Of this organisation.
    pub organisation: Option<String>,
    /// Of this team.
    pub team: Option<String>,
    /// Of this project.
    pub project: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// Of this virtual key.
    pub key: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Of this public model.
    pub model: Option<String>,
}

impl Selection {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an answer is among them.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.chooses(entry.key, entry.partition, &entry.owner, &entry.tags, &entry.model)
    }

    /// Whether an answer of which only this is known is among them.
    pub fn chooses(&self, key: Key, partition: Partition, owner: &Owner, tags: &[Box<str>], model: &str) -> bool {
        let of = |asked: &Option<String>, have: &Option<Arc<str>>| {
            asked.as_deref().is_none_or(|asked| have.as_deref() == Some(asked))
        };
        !self.is_empty()
            && (self.ids.is_empty() || self.ids.contains(&key))
            && self.partition.is_none_or(|asked| asked == partition)
            && of(&self.organisation, &owner.organisation)
            && of(&self.team, &owner.team)
            && of(&self.project, &owner.project)
            && of(&self.user, &owner.user)
            && of(&self.key, &owner.key)
            && self
                .tag
                .as_deref()
                .is_none_or(|tag| tags.iter().any(|have| **have == *tag))
            && self.model.as_deref().is_none_or(|asked| *model == *asked)
    }
}
