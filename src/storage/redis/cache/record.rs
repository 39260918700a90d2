//! What is written to Redis, as bytes: answers, and the records of the log; sealed when there are keys.
//!
//! What is read is hostile: it is bounded before it is decoded, and whatever does not decode to the last byte is nothing.
//!
//! ```text
//! value, body of a record: 1 │ plain bytes      or      2 │ sealed bytes (`sealed::blob`), bound to the answer's key or the log
//! record: k = s (stored: an entry without its answer), d (deleted: a selection), w (disowned: a wrong)
//! ```
//! Kinds stay readable when bodies do not: a deletion that cannot be read is a gap, a storing that cannot be read is nothing.

use crate::cache::{Entry, Key, News, Selection, Wrong};
use crate::storage::sealed::Keyring;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Longest body of a record. A question long enough to exceed it is not found by likeness.
pub(super) const LONGEST: usize = 64 * 1024;

/// Longest question that is told to the others: a sentence encoder reads far less.
const QUESTION: usize = 4 * 1024;

const PLAIN: u8 = 1;
const SEALED: u8 = 2;

/// How bytes are written.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(pub(super) Option<Arc<Keyring>>);

impl Form {
    /// Bytes for a place; none: the system gives no random numbers.
    pub(super) fn write(&self, kind: &str, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            None => Some([&[PLAIN], bytes].concat()),
            Some(ring) => Some([&[SEALED], ring.seal_bytes(kind, name, bytes).ok()?.as_slice()].concat()),
        }
    }

    /// Bytes of a place; none: they are not ours, were changed or moved, or sealed with a key that is not on the ring. What is not
    /// sealed is not read where there are keys: whoever can write to Redis could have put it there.
    pub(super) fn read(&self, kind: &str, name: &str, written: &[u8]) -> Option<Vec<u8>> {
        match (&self.0, written.split_first()?) {
            (None, (&PLAIN, bytes)) => Some(bytes.to_vec()),
            (Some(ring), (&SEALED, sealed)) => ring.open_bytes(kind, name, sealed).ok(),
            _ => None,
        }
    }

    /// An answer.
    pub(super) fn entry(&self, entry: &Entry) -> Option<Vec<u8>> {
        self.write("cache", &entry.key.to_string(), &entry.to_bytes())
    }

    /// The answer that is kept under a key.
    pub(super) fn kept(&self, key: Key, written: &[u8]) -> Option<Entry> {
        let bytes = self.read("cache", &key.to_string(), written)?;
        Entry::from_bytes(&bytes).ok().filter(|entry| entry.key == key)
    }

    /// A record: its kind and its body.
    pub(super) fn record(&self, news: &News) -> Option<(&'static str, Vec<u8>)> {
        let (kind, body) = match news {
            News::Stored(entry) => ("s", head(entry)),
            News::Deleted(selection) => ("d", serde_json::to_vec(&Written::from(selection)).ok()?),
            News::Disowned(wrong) => {
                let text = (wrong.id.to_string(), wrong.question.map(|key| key.to_string()));
                ("w", serde_json::to_vec(&text).ok()?)
            }
            News::Gap => return None,
        };
        let body = self.write("cache log", kind, &body)?;
        (body.len() <= LONGEST).then_some((kind, body))
    }

    /// What a record says; none: nothing that can be read. What might have been a deletion then is a gap.
    pub(super) fn news(&self, kind: &[u8], body: &[u8]) -> Option<News> {
        let news = || {
            let kind = std::str::from_utf8(kind).ok()?;
            if body.len() > LONGEST {
                return None;
            }
            let body = self.read("cache log", kind, body)?;
            match kind {
                "s" => {
                    let mut entry = Entry::from_bytes(&body).ok()?;
                    entry.answer.bytes = bytes::Bytes::new();
                    Some(News::Stored(Box::new(entry)))
                }
                "d" => Some(News::Deleted(serde_json::from_slice::<Written>(&body).ok()?.read()?)),
                "w" => {
                    let (id, question) = serde_json::from_slice::<(String, Option<String>)>(&body).ok()?;
                    let question = question.map(|key| key.parse()).transpose().ok()?;
                    Some(News::Disowned(Wrong {
                        id: id.parse().ok()?,
                        question,
                    }))
                }
                _ => None,
            }
        };
        news().or((kind != b"s").then_some(News::Gap))
    }
}

/// An entry without what others do not need: the answer, and a question that nobody looks for by likeness.
fn head(entry: &Entry) -> Vec<u8> {
    let long = entry
        .question
        .as_ref()
        .is_some_and(|question| question.len() > QUESTION);
    if entry.semantic && !long || entry.question.is_none() {
        return entry.to_head_bytes();
    }
    let mut head = Entry {
        question: None,
        semantic: false,
        ..entry.clone()
    };
    head.answer.bytes = bytes::Bytes::new();
    head.to_head_bytes()
}

/// [`Selection`], as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    all: bool,
    ids: Vec<String>,
    partition: Option<String>,
    organisation: Option<String>,
    team: Option<String>,
    project: Option<String>,
    user: Option<String>,
    key: Option<String>,
    tag: Option<String>,
    model: Option<String>,
}

impl From<&Selection> for Written {
    fn from(selection: &Selection) -> Self {
        let Selection {
            all,
            ids,
            partition,
            organisation,
            team,
            project,
            user,
            key,
            tag,
            model,
        } = selection.clone();
        Self {
            all,
            ids: ids.iter().map(ToString::to_string).collect(),
            partition: partition.map(|partition| partition.to_string()),
            organisation,
            team,
            project,
            user,
            key,
            tag,
            model,
        }
    }
}

impl Written {
    fn read(self) -> Option<Selection> {
        let ids = self.ids.iter().map(|id| id.parse()).collect::<Result<_, _>>().ok()?;
        let selection = Selection {
            all: self.all,
            ids,
            partition: self.partition.map(|text| text.parse()).transpose().ok()?,
            organisation: self.organisation,
            team: self.team,
            project: self.project,
            user: self.user,
            key: self.key,
            tag: self.tag,
            model: self.model,
        };
        (!selection.is_empty()).then_some(selection)
    }
}
