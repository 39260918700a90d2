//! Batches to the sink, until it takes them.
//!
//! ```text
//!           ≥ 1000 rows, or 200 ms since the last            taken
//! waiting ────────────────────────────────────► offering ─────────► done (position written) ─► waiting
//!                                                │   ▲
//!                        unavailable, hung, dead │   │ 100 ms … 5 s, with jitter; the same rows
//!                                                ▼   │
//!                                              backing off
//! ```
//! A batch that is refused is halved until the row that spoils it is alone; that one is set aside. Not what is read from where
//! (`tail`). The one idea: one step of work at a time, told what time it is; the task around it only waits.

use super::Shared;
use super::tail::{Batch, Origin, Tail};
use crate::ledger::{Sink, SinkError};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Milliseconds between two batches of own rows that are not full.
const PACE_MS: u64 = 200;
/// Bytes of own rows that are worth a batch at once: about a thousand.
const FULL: u64 = 192 * 1024;
/// Milliseconds of the first wait after a failure, and of the longest.
const BACKOFF_MS: (u64, u64) = (100, 5_000);
/// Milliseconds between two looks at memory while the spool cannot be written.
const DIRECT_MS: u64 = 50;

/// Sends.
pub struct Sender {
    shared: Arc<Shared>,
    sink: Arc<dyn Sink>,
    /// Away while it works.
    tail: Option<Tail>,
    batch: Option<Batch>,
    failures: u32,
    not_before_ms: u64,
    sent_ms: u64,
}

impl Sender {
    pub fn new(shared: Arc<Shared>, sink: Arc<dyn Sink>) -> Self {
        Self {
            tail: Some(Tail::new(Arc::clone(&shared))),
            shared,
            sink,
            batch: None,
            failures: 0,
            not_before_ms: 0,
            sent_ms: 0,
        }
    }

    /// Do what can be done now. When to come again, in milliseconds, unless something is synced before.
    pub async fn step(&mut self, now_ms: u64) -> u64 {
        if now_ms < self.not_before_ms {
            return self.not_before_ms - now_ms;
        }
        if self.batch.is_none() && !self.fetch(now_ms).await {
            return self.idle(now_ms);
        }
        if self.offer().await {
            if std::mem::take(&mut self.failures) > 0 {
                tracing::info!("the store takes usage records again");
            }
            self.sent_ms = now_ms;
            self.settle().await;
            return 0;
        }
        self.shared.count.retried.fetch_add(1, Ordering::Relaxed);
        let (first, longest) = BACKOFF_MS;
        let most = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures += 1;
        // Half of it is chance: instances that lost the same store do not return to it as one.
        let wait = most / 2 + fastrand::u64(0..=most / 2);
        self.not_before_ms = now_ms + wait;
        self.give_back().await;
        wait
    }

    fn idle(&self, now_ms: u64) -> u64 {
        let search = self.tail.as_ref().map_or(0, |tail| tail.search_in(now_ms)).max(1);
        if self.shared.blocked.load(Ordering::SeqCst) {
            return search.min(DIRECT_MS);
        }
        if self.shared.own().unsent(true) > 0 {
            return search.min((self.sent_ms + PACE_MS).saturating_sub(now_ms).max(1));
        }
        search
    }

    /// Fetch a batch, if one is due.
    async fn fetch(&mut self, now_ms: u64) -> bool {
        let waiting = self.shared.own().unsent(true);
        let hurry = self.shared.flushing.load(Ordering::SeqCst) || now_ms >= self.sent_ms + PACE_MS;
        let own = waiting >= FULL || (waiting > 0 && hurry);
        let blocked = self.shared.blocked.load(Ordering::SeqCst);
        let tail = self.tail.get_or_insert_with(|| Tail::new(Arc::clone(&self.shared)));
        if !own && !blocked && !tail.backlog() && tail.search_in(now_ms) > 0 {
            return false;
        }
        let fetched = self.away(move |tail| {
            tail.search(now_ms);
            tail.next(own || blocked)
        });
        self.batch = fetched.await.flatten();
        if let Some(row) = self.batch.as_ref().and_then(|batch| batch.rows.first()) {
            self.shared.count.oldest_ms.store(row.at_ms, Ordering::Relaxed);
        }
        self.batch.is_some()
    }

    /// Offer what the batch still holds. False: not now.
    async fn offer(&mut self) -> bool {
        let Some(batch) = &mut self.batch else {
            return true;
        };
        while let Some(range) = batch.todo.pop() {
            let rows = batch.rows.get(range.clone()).unwrap_or_default();
            let insert = AssertUnwindSafe(self.sink.insert(rows)).catch_unwind();
            match tokio::time::timeout(self.shared.settings.insert_timeout, insert).await {
                Ok(Ok(Ok(_new))) => {
                    self.shared
                        .count
                        .inserted
                        .fetch_add(rows.len() as u64, Ordering::Relaxed);
                }
                Ok(Ok(Err(SinkError::Refused(why)))) => {
                    if rows.len() <= 1 {
                        batch.refused.push((range.start, why));
                    } else {
                        let middle = range.start + rows.len() / 2;
                        batch.todo.push(middle..range.end);
                        batch.todo.push(range.start..middle);
                    }
                }
                failed => {
                    if self.failures == 0 {
                        let how = match failed {
                            Err(_) => "it does not answer",
                            Ok(Err(_)) => "it panicked",
                            Ok(Ok(_)) => "it is unavailable",
                        };
                        tracing::warn!(how, "usage records wait for the store");
                    }
                    batch.todo.push(range);
                    return false;
                }
            }
        }
        true
    }

    async fn settle(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.away(move |tail| tail.done(&batch)).await;
        }
    }

    /// What came from memory goes back there while the sink is away: it is written when the disk has room before that.
    async fn give_back(&mut self) {
        if let Some(batch) = self.batch.take_if(|batch| batch.origin == Origin::Memory) {
            self.away(move |tail| tail.give_back(batch)).await;
        }
    }

    /// Let the tail do something on a thread that may block.
    async fn away<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Tail) -> T + Send + 'static) -> Option<T> {
        let mut tail = self.tail.take().unwrap_or_else(|| Tail::new(Arc::clone(&self.shared)));
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut tail);
            (tail, result)
        });
        match done.await {
            Ok((tail, result)) => {
                self.tail = Some(tail);
                Some(result)
            }
            Err(problem) => {
                tracing::error!(%problem, "reading the spool failed");
                None
            }
        }
    }

    /// The task: until told to stop.
    pub async fn run(mut self) {
        let clock = Instant::now();
        while !self.shared.stop.load(Ordering::SeqCst) {
            let shared = Arc::clone(&self.shared);
            let wait = self.step(clock.elapsed().as_millis() as u64).await;
            if wait > 0 {
                let _ = tokio::time::timeout(Duration::from_millis(wait), shared.synced.notified()).await;
            }
        }
    }
}
