//! Learning questions, and forgetting them.
//!
//! With the built-in encoder a question is in the index when `learn` returns; its meaning is made later, and by a lookup if that
//! comes first. With a remote embedder or a store of vectors it goes through a bounded queue, which a task empties that lives only
//! while there is something in it. The one idea: what is forgotten while it is on its way does not arrive.

use super::{Core, Semantic, Source};
use crate::cache::semantic::encode::{Embedder, Encode, place_of, quantise};
use crate::cache::semantic::pool::Pool;
use crate::cache::semantic::vectors::{Label, Place, Point};
use crate::cache::{Entry, Key, Partition, Selection};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Questions that are embedded in one call.
const BATCH: usize = 32;

/// An index smaller than this is walked through where one is; a larger one on the tier's own threads.
const SMALL: u64 = 5_000;

/// A question on its way.
pub(super) struct Lesson {
    key: Key,
    partition: Partition,
    label: Arc<Label>,
    made_ms: u64,
    ends_ms: u64,
    question: Box<str>,
}

/// Questions on their way.
pub(super) struct Queue {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Lesson>,
    /// Taken by the task. What is forgotten meanwhile is taken out of here.
    taken: Vec<Arc<Lesson>>,
    /// There is a task.
    served: bool,
    /// The tier was dropped.
    over: bool,
}

impl Lesson {
    fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            key: entry.key,
            partition: entry.partition,
            label: Arc::new(Label::of(entry)),
            made_ms: entry.made_ms,
            ends_ms: entry.ends_ms(),
            question: entry.question.clone().filter(|_| entry.semantic)?,
        })
    }

    fn point(&self, place: Box<Place>, meaning: Option<Box<[i8]>>) -> Point {
        Point {
            key: self.key,
            partition: self.partition,
            label: self.label.clone(),
            made_ms: self.made_ms,
            ends_ms: self.ends_ms,
            question: self.question.clone(),
            place,
            meaning,
        }
    }
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room, and whether it needs a task.
    fn push(&self, lesson: Lesson) -> (bool, bool) {
        let mut state = self.lock();
        if state.over || state.waiting.len() >= self.most {
            return (false, false);
        }
        state.waiting.push_back(lesson);
        (true, !std::mem::replace(&mut state.served, true))
    }

    /// The next few; none: the task ends.
    fn take(&self) -> Vec<Arc<Lesson>> {
        let mut state = self.lock();
        let few = state.waiting.len().min(BATCH);
        let taken: Vec<_> = state.waiting.drain(..few).map(Arc::new).collect();
        state.taken.clone_from(&taken);
        state.served = !taken.is_empty();
        taken
    }

    /// Whether it is still to be learned.
    fn wanted(&self, lesson: &Arc<Lesson>) -> bool {
        self.lock().taken.iter().any(|taken| Arc::ptr_eq(taken, lesson))
    }

    fn forget(&self, selection: &Selection) -> u64 {
        let mut state = self.lock();
        let before = state.waiting.len() + state.taken.len();
        let keep = |lesson: &Lesson| !lesson.label.is_in(selection, lesson.key, lesson.partition);
        state.waiting.retain(keep);
        state.taken.retain(|lesson| keep(lesson));
        (before - state.waiting.len() - state.taken.len()) as u64
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.over = true;
        state.waiting.clear();
        state.taken.clear();
    }

    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.taken.len()
    }
}

impl Semantic {
    /// Learn an answer's question, or that it was answered anew. Never waits: microseconds of the caller's thread with the built-in
    /// encoder, less otherwise. What cannot be learned (queue full, too long to read) is counted.
    pub fn learn(&self, entry: &Entry) {
        let Some(question) = entry.question.as_deref().filter(|_| entry.semantic) else {
            return;
        };
        let core = &self.core;
        match (&core.source, &core.vectors) {
            (Source::Built(_), None) if core.index.renew(entry) => {}
            (Source::Built(encode), None) => match encode.place(question) {
                Ok(place) => {
                    if let Some(point) = Point::of(entry, place, None) {
                        core.index.put(point);
                        self.mean(encode, entry.partition, entry.key, question);
                    }
                }
                Err(_) => _ = core.counts.unlearned.fetch_add(1, Relaxed),
            },
            (Source::Remote(_), None) if core.index.renew(entry) => {}
            _ => self.enqueue(entry),
        }
    }

    /// Forget questions. How many there were.
    pub async fn forget(&self, selection: &Selection) -> u64 {
        let on_their_way = self.core.queue.forget(selection);
        let chosen = selection.clone();
        let here = self.aside(move |core| core.index.forget(&chosen)).await;
        let there = match &self.core.vectors {
            Some(vectors) => vectors.delete(selection).await.unwrap_or(0),
            None => 0,
        };
        on_their_way + here + there
    }

    /// Forget what ended by `now_ms`. How many there were. Lookups never find it, forgotten or not.
    pub async fn expire(&self, now_ms: u64) -> u64 {
        let here = self.aside(move |core| core.index.expire(now_ms)).await;
        let there = match &self.core.vectors {
            Some(vectors) => vectors.expire(now_ms).await.unwrap_or(0),
            None => 0,
        };
        here + there
    }

    /// Have the meaning made later. If there is no room, the first lookup that needs it makes it.
    fn mean(&self, encode: &Arc<dyn Encode>, partition: Partition, key: Key, question: &str) {
        let (core, encode, question) = (Arc::downgrade(&self.core), encode.clone(), Box::<str>::from(question));
        let job = move || {
            if let Some(core) = core.upgrade()
                && core.index.lacks_meaning(partition, key)
                && let Some(meaning) = encode.meaning(&question)
            {
                core.index.set_meaning(partition, key, &meaning);
            }
        };
        let _ = self.pool.later(Box::new(job));
    }

    fn enqueue(&self, entry: &Entry) {
        let Some(lesson) = Lesson::of(entry) else { return };
        let Ok(runtime) = Handle::try_current() else {
            self.core.counts.unlearned.fetch_add(1, Relaxed);
            return;
        };
        let (room, unserved) = self.core.queue.push(lesson);
        if !room {
            self.core.counts.unlearned.fetch_add(1, Relaxed);
        }
        if unserved {
            runtime.spawn(serve(self.core.clone(), Arc::downgrade(&self.pool)));
        }
    }

    /// Walk through the index: here if it is small, else on the tier's own threads, or here after all if those are busy.
    pub(super) async fn aside<T: Send + 'static>(&self, work: impl Fn(&Core) -> T + Send + Sync + 'static) -> T {
        if self.core.index.entries() < SMALL {
            return work(&self.core);
        }
        let (done, result) = oneshot::channel();
        let (core, work) = (self.core.clone(), Arc::new(work));
        let same = work.clone();
        let queued = self.pool.now(Box::new(move || _ = done.send(same(&core))));
        match (queued, result.await) {
            (Ok(()), Ok(made)) => made,
            _ => work(&self.core),
        }
    }
}

/// Empties the queue, and ends.
async fn serve(core: Arc<Core>, pool: Weak<Pool>) {
    loop {
        let lessons = core.queue.take();
        if lessons.is_empty() {
            return;
        }
        let read = match &core.source {
            Source::Built(encode) => read_here(encode, &lessons, &pool).await,
            Source::Remote(embedder) => read_there(&**embedder, &lessons).await,
        };
        for (index, lesson) in lessons.iter().enumerate() {
            let Some(Some((place, meaning))) = read.get(index).cloned() else {
                core.counts.unlearned.fetch_add(1, Relaxed);
                continue;
            };
            keep(&core, lesson, lesson.point(place, meaning)).await;
        }
    }
}

type Read = Option<(Box<Place>, Option<Box<[i8]>>)>;

async fn read_there(embedder: &dyn Embedder, lessons: &[Arc<Lesson>]) -> Vec<Read> {
    let texts: Vec<&str> = lessons.iter().map(|lesson| &*lesson.question).collect();
    let Ok(vectors) = embedder.embed(&texts).await else {
        return Vec::new();
    };
    vectors
        .iter()
        .map(|vector| Some((place_of(vector)?, quantise(vector))))
        .collect()
}

async fn read_here(encode: &Arc<dyn Encode>, lessons: &[Arc<Lesson>], pool: &Weak<Pool>) -> Vec<Read> {
    let mut read = Vec::with_capacity(lessons.len());
    for lesson in lessons {
        let (done, result) = oneshot::channel();
        let (encode, lesson) = (encode.clone(), lesson.clone());
        let job = move || {
            let place = encode.place(&lesson.question).ok();
            let _ = done.send(place.map(|place| (place, encode.meaning(&lesson.question))));
        };
        // The tier is gone, or has too much to do.
        let queued = pool.upgrade().is_some_and(|pool| pool.later(Box::new(job)).is_ok());
        read.push(if queued { result.await.ok().flatten() } else { None });
    }
    read
}

async fn keep(core: &Core, lesson: &Arc<Lesson>, point: Point) {
    if !core.queue.wanted(lesson) {
        return;
    }
    let Some(vectors) = &core.vectors else {
        core.index.put(point);
        if !core.queue.wanted(lesson) {
            core.index.remove(lesson.partition, lesson.key);
        }
        return;
    };
    if vectors.put(&point).await.is_err() {
        core.counts.unlearned.fetch_add(1, Relaxed);
    }
    // Forgotten while it was being put: the deletion may have come first.
    if !core.queue.wanted(lesson) {
        let _ = vectors.delete(&only(lesson.key)).await;
    }
}

/// The one with this key.
pub(super) fn only(key: Key) -> Selection {
    Selection {
        ids: vec![key],
        ..Selection::default()
    }
}
