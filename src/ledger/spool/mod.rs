//! From worker threads to the store: a bounded queue, files that survive the process, and three that work on them.
//!
//! ```text
//!  workers ─push─► queue ─► Writer (thread) ─► segments ◄─ Syncer (thread, fdatasync)
//!                    │                            │ what is synced (from memory where it is `fresh`)
//!                    └── while it cannot write ─► Sender (task) ─► Sink
//!
//!  dir/<instance>/lock            held (flock) for as long as the instance lives
//!  dir/<instance>/<number>.seg    records (`frame`); deleted once the sink has all of it
//!  dir/<instance>/position        how far the sink has got, with a checksum; written after the insert
//!  dir/rejected/<instance>.seg    rows that the sink refused, as records
//! ```
//! Not what a row is. The one idea: every instance writes a directory of its own and adopts those whose lock is free, at its
//! start and every ten seconds; so that a restart, a crash and an upgrade with two processes at once are the same case.
//!
//! Nothing here waits on a worker thread: [`Ledger::push`] is one slot in an array, or a counted loss.

pub mod frame;
mod fresh;
mod home;
mod ledger;
mod sender;
mod source;
mod tail;
mod writer;

#[cfg(test)]
mod tests;

pub use home::rows_in;
pub use ledger::{Ledger, OnFull, SpoolSettings, Stats, Watch};

use super::Row;
use crossbeam_queue::ArrayQueue;
use fresh::Fresh;
use home::Home;
use source::{Cursor, Segment};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

/// Rows of a batch at most.
const BATCH_ROWS: usize = 1000;

/// Rows in memory, in the boxes they were pushed in: a slot of the queue is a pointer, and they go back and forth.
#[allow(clippy::vec_box, reason = "see above")]
type Waiting = Vec<Box<Row>>;

/// What the parts share.
struct Shared {
    settings: SpoolSettings,
    /// Name of this instance's directory.
    name: String,
    queue: ArrayQueue<Box<Row>>,
    /// Rows that left the queue and could not be written or inserted: the first to be tried again. Two batches at most.
    stranded: Mutex<Waiting>,
    own: Mutex<Own>,
    fresh: Mutex<Fresh>,
    count: Count,
    /// The spool cannot be written.
    blocked: AtomicBool,
    /// The writer holds rows that are neither in the queue nor in a segment.
    writing: AtomicBool,
    /// The same of the sender.
    sending: AtomicBool,
    /// The writer waits to be woken.
    asleep: AtomicBool,
    /// Something is not synced.
    dirty: AtomicBool,
    flushing: AtomicBool,
    stop: AtomicBool,
    writer: OnceLock<Thread>,
    syncer: OnceLock<Thread>,
    /// Wakes the sender.
    synced: tokio::sync::Notify,
    watch: Option<Box<dyn Watch>>,
}

/// This instance's segments, oldest first, and how far the sink has got in them.
#[derive(Default)]
struct Own {
    /// The directory; none: it could not be made yet. Locked until the last part that uses it is gone.
    home: Option<Arc<Home>>,
    segments: VecDeque<Segment>,
    sent: Cursor,
}

impl Own {
    /// Bytes the sink has not got; `synced`: of those that are synced.
    fn unsent(&self, synced: bool) -> u64 {
        let all: u64 = self
            .segments
            .iter()
            .map(|segment| if synced { segment.synced } else { segment.length })
            .sum();
        let first = self.segments.front().map(|segment| segment.number);
        let passed = if first == Some(self.sent.number) {
            self.sent.offset
        } else {
            0
        };
        all.saturating_sub(passed)
    }
}

/// What was counted since the start.
#[derive(Default)]
struct Count {
    /// Bytes of all segments, adopted ones among them.
    bytes: AtomicU64,
    written: AtomicU64,
    inserted: AtomicU64,
    /// Own rows that are done with, inserted or rejected.
    done: AtomicU64,
    retried: AtomicU64,
    lost: AtomicU64,
    rejected: AtomicU64,
    corrupt: AtomicU64,
    torn: AtomicU64,
    adopted: AtomicUsize,
    /// `at_ms` of the oldest row on its way to the sink; 0: none.
    oldest_ms: AtomicU64,
}

impl Shared {
    fn new(settings: SpoolSettings, name: String, watch: Option<Box<dyn Watch>>) -> Self {
        Self {
            queue: ArrayQueue::new(settings.queue.max(16)),
            settings,
            name,
            stranded: Mutex::default(),
            own: Mutex::default(),
            fresh: Mutex::default(),
            count: Count::default(),
            blocked: AtomicBool::new(false),
            writing: AtomicBool::new(false),
            sending: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            flushing: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            writer: OnceLock::new(),
            syncer: OnceLock::new(),
            synced: tokio::sync::Notify::new(),
            watch,
        }
    }

    fn push(&self, row: Box<Row>) {
        if self.queue.push(row).is_err() {
            self.lose(1);
        }
        self.wake();
    }

    /// Wake the writer if it sleeps.
    fn wake(&self) {
        // Pairs with the fence before the writer sleeps: either this sees `asleep`, or the writer sees the row.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::Relaxed)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    fn lose(&self, rows: u64) {
        self.count.lost.fetch_add(rows, Ordering::Relaxed);
        if let Some(watch) = &self.watch {
            watch.lost(rows);
        }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stranded(&self) -> MutexGuard<'_, Waiting> {
        self.stranded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that wait in memory: stranded ones first, then of the queue, at most so many. `busy` is raised before they are taken.
    fn take(&self, most: usize, busy: &AtomicBool) -> Waiting {
        busy.store(true, Ordering::SeqCst);
        let mut stranded = self.stranded();
        let first = stranded.len().min(most);
        let mut rows = Waiting::with_capacity(most.min(stranded.len() + self.queue.len()));
        rows.extend(stranded.drain(..first));
        drop(stranded);
        while rows.len() < most
            && let Some(row) = self.queue.pop()
        {
            rows.push(row);
        }
        if rows.is_empty() {
            busy.store(false, Ordering::SeqCst);
        }
        rows
    }

    /// Say whether the spool can be written; once per change.
    fn set_blocked(&self, why: Option<&str>) {
        if self.blocked.swap(why.is_some(), Ordering::SeqCst) == why.is_some() {
            return;
        }
        let dir = self.settings.dir.display();
        match why {
            Some(why) => {
                tracing::error!(%dir, why, "usage records cannot be spooled: they wait in memory and go to the store directly");
                self.synced.notify_one();
            }
            None => tracing::info!(%dir, "usage records are spooled again"),
        }
        if let Some(watch) = &self.watch {
            watch.blocked(why.is_some());
        }
    }

    /// Nothing waits in memory and nothing is in anybody's hand. In this order: what left the queue is in a hand or on disk.
    fn memory_is_empty(&self) -> bool {
        self.queue.is_empty()
            && self.stranded().is_empty()
            && !self.writing.load(Ordering::SeqCst)
            && !self.sending.load(Ordering::SeqCst)
            && self.stranded().is_empty()
    }
}
