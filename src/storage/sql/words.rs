//! Names as numbers: tenants, models, tags and the like are kept once and referred to by a small number; 0 is "none".
//!
//! Not for text that differs with every request. The one idea: a word's number never changes, so it is remembered in memory and
//! made in a transaction of its own before the rows that use it (one that is never used does no harm).

use super::session::{Access, Backend, Bulk, Session, Type, Value};
use crate::storage::StoreError;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

/// Longest word, in bytes; more is cut.
const LONGEST: usize = 512;
/// Words remembered, at most.
const MOST: usize = 200_000;

const COLUMNS: &[(&str, Type)] = &[("text", Type::Text)];
const MAKE: Bulk<'_> = Bulk {
    before: "INSERT INTO words (text) SELECT s.text FROM",
    columns: COLUMNS,
    after: "WHERE NOT EXISTS (SELECT 1 FROM words w WHERE w.text = s.text) ON CONFLICT (text) DO NOTHING",
};
const FIND: Bulk<'_> = Bulk {
    before: "SELECT w.id, w.text FROM",
    columns: COLUMNS,
    after: "JOIN words w ON w.text = s.text",
};
const READ: Bulk<'_> = Bulk {
    before: "SELECT w.id, w.text FROM",
    columns: &[("id", Type::Int)],
    after: "JOIN words w ON w.id = s.id",
};

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Words(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<Arc<str>, i64>,
    texts: HashMap<i64, Arc<str>>,
}

/// A word as it is kept: without NUL, not too long.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Numbers of the words of one batch.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<Arc<str>, i64>);

impl Numbers {
    /// Of a word; 0 where there is none.
    pub(super) fn of(&self, text: Option<&str>) -> i64 {
        text.and_then(|text| self.0.get(&*clean(text))).copied().unwrap_or(0)
    }
}

/// Words of one answer.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<i64, Arc<str>>);

impl Texts {
    /// By number; none for 0.
    pub(super) fn of(&self, number: i64) -> Option<Arc<str>> {
        self.0.get(&number).cloned()
    }
}

impl Words {
    /// Forget everything: the database may have become another.
    pub(super) fn forget(&self) {
        if let Ok(mut known) = self.0.write() {
            *known = Known::default();
        }
    }

    fn remember(&self, found: &[(i64, Arc<str>)]) {
        let Ok(mut known) = self.0.write() else { return };
        if known.numbers.len() + found.len() > MOST {
            *known = Known::default();
        }
        for (number, text) in found {
            known.numbers.insert(Arc::clone(text), *number);
            known.texts.insert(*number, Arc::clone(text));
        }
    }

    /// Split into what is remembered and what is not, sorted.
    fn recall<'a>(&self, texts: impl Iterator<Item = Cow<'a, str>>) -> (Numbers, BTreeSet<String>) {
        let (mut numbers, mut missing) = (Numbers::default(), BTreeSet::new());
        let Ok(known) = self.0.read() else {
            return (numbers, texts.map(Cow::into_owned).collect());
        };
        for text in texts {
            match known.numbers.get_key_value(&*text) {
                Some((text, number)) => drop(numbers.0.insert(Arc::clone(text), *number)),
                None => drop(missing.insert(text.into_owned())),
            }
        }
        (numbers, missing)
    }

    /// Numbers of words, made where they are missing when `make` says so; others stay without.
    pub(super) async fn numbers<'a, B: Backend>(
        &self,
        backend: &B,
        texts: impl Iterator<Item = &'a str>,
        make: bool,
    ) -> Result<Numbers, StoreError> {
        let (mut numbers, missing) = self.recall(texts.map(clean));
        if missing.is_empty() {
            return Ok(numbers);
        }
        // Sorted, so that instances that make the same words wait for each other in one order.
        let values = || missing.iter().map(|text| Value::from(text.as_str())).collect();
        let mut session = backend.begin(if make { Access::Write } else { Access::Read }).await?;
        if make {
            session.bulk_run(&MAKE, values()).await?;
        }
        let mut found = Vec::new();
        for record in session.bulk(&FIND, values()).await? {
            found.push((record.int(0)?, Arc::from(record.text(1)?)));
        }
        session.commit().await?;
        self.remember(&found);
        numbers.0.extend(found.into_iter().map(|(number, text)| (text, number)));
        Ok(numbers)
    }

    /// Words of numbers.
    pub(super) async fn texts(&self, session: &mut dyn Session, wanted: &BTreeSet<i64>) -> Result<Texts, StoreError> {
        let (mut texts, mut missing) = (Texts::default(), Vec::new());
        if let Ok(known) = self.0.read() {
            for number in wanted.iter().filter(|number| **number != 0) {
                match known.texts.get(number) {
                    Some(text) => drop(texts.0.insert(*number, Arc::clone(text))),
                    None => missing.push(Value::from(*number)),
                }
            }
        }
        let mut found = Vec::new();
        for record in session.bulk(&READ, missing).await? {
            found.push((record.int(0)?, Arc::from(record.text(1)?)));
        }
        self.remember(&found);
        texts.0.extend(found);
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_characters_and_lose_nul() {
        assert_eq!(clean("a\0b"), "a\u{fffd}b");
        assert_eq!(clean(&"é".repeat(400)).len(), 512);
        assert_eq!(clean(&format!("a{}", "é".repeat(400))).len(), 511);
        assert_eq!(clean("plain"), "plain");
    }
}
