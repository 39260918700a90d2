//! What callers ask of Redis, one call after another, and what is left undone when it does not answer.

use super::super::script::Script;
use super::call::{self, Failure};
use super::{Inner, Session, count, names};
use crate::cache::{Entry, Key, News, Outage, Selection, Wrong};
use redis::Value;
use std::collections::VecDeque;
use std::mem;
use std::sync::{MutexGuard, PoisonError};

/// Ids deleted in one step.
const IDS: usize = 100;

/// Answers looked at in one step of a deletion.
const STEP: &[u8] = b"250";

/// Deletions, and wrongs, that wait for Redis at most.
const WAITING: usize = 256;

fn away() -> Outage {
    Outage("Redis does not answer".to_owned())
}

impl Inner {
    pub(super) fn heard(&self) -> MutexGuard<'_, super::Heard> {
        // What is behind it is whole after every statement; so with the others.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// End a session, if it still is the one.
    pub(super) fn end(&self, number: u64) {
        let current = self.session.load();
        if current.as_ref().is_some_and(|session| session.number == number) {
            self.session.compare_and_swap(&current, None);
            self.wake.notify_one();
        }
    }

    fn outage(&self, why: &str) -> Outage {
        count(&self.counters.outages);
        Outage(why.to_owned())
    }

    async fn ask(&self, script: &Script, arguments: &[&[u8]]) -> Result<Vec<Value>, Outage> {
        let Some(session) = self.session.load_full() else {
            count(&self.counters.outages);
            return Err(away());
        };
        self.ask_of(&session, script, arguments).await
    }

    /// One call within the timeout. A link that is of no use ends the session.
    async fn ask_of(&self, session: &Session, script: &Script, arguments: &[&[u8]]) -> Result<Vec<Value>, Outage> {
        let mut connection = session.connection.clone();
        let all = [&[session.epoch.as_bytes(), self.begin.as_bytes()], arguments].concat();
        let asked = call::call(&mut connection, script, &self.state, &all);
        match tokio::time::timeout(self.settings.redis.timeout, asked).await {
            Ok(Ok(answer)) if call::text(answer.first()) != Some("lost") => Ok(answer),
            Ok(Ok(_)) => {
                self.end(session.number);
                Err(self.outage("Redis has begun anew"))
            }
            Ok(Err(Failure::Call(why))) => {
                tracing::debug!(target: "cirque::redis", why, "a call of the cache failed");
                Err(self.outage("Redis refused"))
            }
            Ok(Err(Failure::Link(why))) => {
                tracing::debug!(target: "cirque::redis", why, "a call of the cache failed");
                self.end(session.number);
                Err(self.outage("Redis does not answer"))
            }
            Err(_) => {
                self.end(session.number);
                Err(self.outage("Redis did not answer in time"))
            }
        }
    }

    /// Another shape than any script of ours answers with.
    fn odd(&self) -> Outage {
        self.outage("Redis holds something else under our names")
    }

    pub(super) async fn get(&self, key: Key, now_ms: u64) -> Result<Option<Entry>, Outage> {
        let (id, largest) = (key.to_string(), self.settings.largest.to_string());
        let answer = self.ask(&call::GET, &[id.as_bytes(), largest.as_bytes()]).await?;
        match call::text(answer.first()) {
            Some("none") => Ok(None),
            Some("foreign") => {
                count(&self.counters.unreadable);
                Ok(None)
            }
            Some("found") => {
                let (Some(number), Some(value)) = (call::bytes(answer.get(1)), call::bytes(answer.get(2))) else {
                    return Err(self.odd());
                };
                if let Some(entry) = self.form.kept(key, value) {
                    return Ok(Some(entry).filter(|entry| entry.ends_ms() > now_ms));
                }
                count(&self.counters.unreadable);
                self.ask(&call::REFUSE, &[id.as_bytes(), number]).await?;
                Ok(None)
            }
            _ => Err(self.odd()),
        }
    }

    pub(super) async fn put(&self, entry: &Entry, begun_ms: u64, now_ms: u64) -> Result<(), Outage> {
        let session = self
            .session
            .load_full()
            .ok_or_else(|| self.outage("Redis does not answer"))?;
        let left = entry.ends_ms().saturating_sub(now_ms);
        if left == 0 {
            return Ok(());
        }
        let (Some(names), Some(value), Some((_, record))) = (
            names::of_entry(entry),
            self.form.entry(entry),
            self.form.record(&News::Stored(Box::new(without_answer(entry)))),
        ) else {
            count(&self.counters.too_large);
            return Ok(());
        };
        if value.len() > self.settings.largest {
            count(&self.counters.too_large);
            return Ok(());
        }
        let known = {
            let heard = self.heard();
            if heard.epoch == session.epoch {
                heard.known(begun_ms)
            } else {
                0
            }
        };
        // A hundred years are for ever, and no number that Redis cannot count with.
        let left = left.min(3_155_760_000_000).to_string();
        let (key, known) = (entry.key.to_string(), known.to_string());
        let (log, room) = (self.settings.log.to_string(), self.settings.room.to_string());
        let arguments: [&[u8]; 9] = [
            key.as_bytes(),
            &value,
            left.as_bytes(),
            names.as_bytes(),
            known.as_bytes(),
            self.instance.as_bytes(),
            &record,
            log.as_bytes(),
            room.as_bytes(),
        ];
        let answer = self.ask_of(&session, &call::PUT, &arguments).await?;
        count(match call::text(answer.first()) {
            Some("kept") => &self.counters.kept,
            Some("refused") => &self.counters.refused,
            Some("full") => &self.counters.too_large,
            _ => return Err(self.odd()),
        });
        Ok(())
    }

    pub(super) async fn delete(&self, selection: &Selection) -> Result<u64, Outage> {
        let session = self
            .session
            .load_full()
            .ok_or_else(|| self.outage("Redis does not answer"))?;
        self.delete_of(&session, selection).await
    }

    async fn delete_of(&self, session: &Session, selection: &Selection) -> Result<u64, Outage> {
        if selection.ids.is_empty() {
            return self.delete_by_properties(session, selection).await;
        }
        let mut gone = 0;
        for ids in selection.ids.chunks(IDS) {
            let some = Selection {
                ids: ids.to_vec(),
                ..selection.clone()
            };
            gone += self.remove(session, &News::Deleted(some.clone()), &some).await?;
        }
        Ok(gone)
    }

    /// By ids, or none: only tell.
    async fn remove(&self, session: &Session, news: &News, some: &Selection) -> Result<u64, Outage> {
        let (kind, record) = self.form.record(news).ok_or_else(|| self.outage("too much to tell"))?;
        let (mark, log) = (names::of_selection(some), self.settings.log.to_string());
        let ids: Vec<String> = some.ids.iter().map(ToString::to_string).collect();
        let mut arguments: Vec<&[u8]> = vec![
            mark.as_bytes(),
            kind.as_bytes(),
            self.instance.as_bytes(),
            &record,
            log.as_bytes(),
        ];
        arguments.extend(ids.iter().map(String::as_bytes));
        let answer = self.ask_of(session, &call::REMOVE, &arguments).await?;
        call::number(answer.get(2)).ok_or_else(|| self.odd())
    }

    async fn delete_by_properties(&self, session: &Session, selection: &Selection) -> Result<u64, Outage> {
        let news = News::Deleted(selection.clone());
        let (_, record) = self.form.record(&news).ok_or_else(|| self.outage("too much to tell"))?;
        let (mark, log) = (names::of_selection(selection), self.settings.log.to_string());
        let arguments: [&[u8]; 4] = [mark.as_bytes(), self.instance.as_bytes(), &record, log.as_bytes()];
        let answer = self.ask_of(session, &call::MARK, &arguments).await?;
        let (Some(number), Some(index)) = (call::number(answer.get(1)), call::text(answer.get(2))) else {
            return Err(self.odd());
        };
        if !names::contain(&mark, index) {
            return Err(self.odd());
        }
        let (number, mut cursor, mut gone) = (number.to_string(), "0".to_owned(), 0);
        loop {
            let arguments: [&[u8]; 5] = [
                mark.as_bytes(),
                number.as_bytes(),
                index.as_bytes(),
                cursor.as_bytes(),
                STEP,
            ];
            let answer = self.ask_of(session, &call::SWEEP, &arguments).await?;
            let (Some(next), Some(some)) = (call::number(answer.get(1)), call::number(answer.get(2))) else {
                return Err(self.odd());
            };
            gone += some;
            if next == 0 {
                return Ok(gone);
            }
            cursor = next.to_string();
        }
    }

    pub(super) async fn disown(&self, wrong: &Wrong) -> Result<(), Outage> {
        let session = self
            .session
            .load_full()
            .ok_or_else(|| self.outage("Redis does not answer"))?;
        self.disown_of(&session, wrong).await
    }

    async fn disown_of(&self, session: &Session, wrong: &Wrong) -> Result<(), Outage> {
        let goes = Selection {
            ids: wrong.question.is_none().then_some(wrong.id).into_iter().collect(),
            ..Selection::default()
        };
        self.remove(session, &News::Disowned(wrong.clone()), &goes)
            .await
            .map(drop)
    }

    /// What waits for Redis is made up for.
    pub(super) async fn make_up(&self, session: &Session) -> Result<(), Outage> {
        let Pending { deletions, wrongs } = mem::take(&mut *self.pending());
        // In order of their weight: what fails, and what was not begun, waits again.
        let mut guards: VecDeque<_> = deletions.into_iter().map(|one| Undone::deletion(self, one)).collect();
        guards.extend(wrongs.into_iter().map(|one| Undone::wrong(self, one)));
        while let Some(undone) = guards.pop_front() {
            match &undone.what {
                Some(What::Deletion(selection)) => drop(self.delete_of(session, selection).await?),
                Some(What::Wrong(wrong)) => self.disown_of(session, wrong).await?,
                None => {}
            }
            undone.done();
        }
        Ok(())
    }
}

fn without_answer(entry: &Entry) -> Entry {
    let mut head = entry.clone();
    head.answer.bytes = bytes::Bytes::new();
    head
}

/// What could not be told to Redis.
#[derive(Debug, Default)]
pub(super) struct Pending {
    deletions: Vec<Selection>,
    wrongs: VecDeque<Wrong>,
}

impl Pending {
    /// Whether there is anything.
    pub(super) fn is_empty(&self) -> bool {
        self.deletions.is_empty() && self.wrongs.is_empty()
    }

    fn delete(&mut self, selection: Selection) {
        if self.deletions.contains(&selection) {
            return;
        }
        let ids: usize = self.deletions.iter().map(|one| one.ids.len()).sum();
        if self.deletions.len() >= WAITING || ids + selection.ids.len() > WAITING * IDS {
            // Too many to remember: everything goes.
            self.deletions.clear();
            self.deletions.push(Selection {
                all: true,
                ..Selection::default()
            });
        } else {
            self.deletions.push(selection);
        }
    }

    fn disown(&mut self, wrong: Wrong) {
        if wrong.question.is_none() {
            self.delete(Selection {
                ids: vec![wrong.id],
                ..Selection::default()
            });
        }
        if self.wrongs.len() >= WAITING {
            self.wrongs.pop_front();
        }
        self.wrongs.push_back(wrong);
    }
}

enum What {
    Deletion(Selection),
    Wrong(Wrong),
}

/// Waits for Redis when it is dropped before it was done.
pub(super) struct Undone<'a> {
    inner: &'a Inner,
    what: Option<What>,
}

impl<'a> Undone<'a> {
    pub(super) fn deletion(inner: &'a Inner, selection: Selection) -> Self {
        let what = Some(What::Deletion(selection));
        Self { inner, what }
    }

    pub(super) fn wrong(inner: &'a Inner, wrong: Wrong) -> Self {
        let what = Some(What::Wrong(wrong));
        Self { inner, what }
    }

    pub(super) fn done(mut self) {
        self.what = None;
    }
}

impl Drop for Undone<'_> {
    fn drop(&mut self) {
        match self.what.take() {
            Some(What::Deletion(selection)) => self.inner.pending().delete(selection),
            Some(What::Wrong(wrong)) => self.inner.pending().disown(wrong),
            None => {}
        }
    }
}
