//! The ledger as the rest of the process sees it: push, ask, flush.
//!
//! Not how rows travel. The one idea: a request hands its rows over and is done with them; whether it may be served at all when
//! they could not be kept is one question, asked before ([`Ledger::accepting`]).

use super::sender::Sender;
use super::writer::{Disk, Medium, Writer, keep_syncing};
use super::{Count, Shared};
use crate::clock;
use crate::ledger::{Row, RowId, Sink};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How the spool is kept.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// Its directory; made when it is missing. Instances may share one.
    pub dir: PathBuf,
    /// Bytes of all segments this instance has, its own and those it took over. Beyond it nothing is written.
    pub size_limit: u64,
    /// What happens when rows can neither be spooled nor stored.
    pub on_full: OnFull,
    /// Rows held in memory at most: some 700 bytes each.
    pub queue: usize,
    /// An insert that takes longer has failed.
    pub insert_timeout: Duration,
}

impl SpoolSettings {
    /// A spool of 1 GiB that loses rows rather than requests, with 16 384 rows in memory and half a minute for an insert.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            size_limit: 1 << 30,
            on_full: OnFull::Serve,
            queue: 16 * 1024,
            insert_timeout: Duration::from_secs(30),
        }
    }
}

/// What happens when rows can neither be spooled nor stored and the queue fills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFull {
    /// They are lost and counted.
    #[default]
    Serve,
    /// [`Ledger::accepting`] turns false while the queue is three quarters full; the rest is for requests that are under way.
    Refuse,
}

/// Is told what an operator must know at once; for metrics. Called on worker threads: must be quick.
pub trait Watch: Send + Sync {
    /// So many rows are lost for good.
    fn lost(&self, rows: u64);
    /// The spool can no longer be written, or can again.
    fn blocked(&self, blocked: bool);
}

/// How things stand. Counts are since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows in memory.
    pub queued: u64,
    /// Rows in this instance's segments that the sink has not got. Those in directories taken over are not counted.
    pub spooled_rows: u64,
    /// Bytes of all segments, sent parts among them: what the size limit is held against.
    pub spooled_bytes: u64,
    /// Directories of other instances that are being sent.
    pub adopted: u64,
    /// Since the start of the oldest request in the batch on its way, in milliseconds; 0: none is.
    pub oldest_unsent_ms: u64,
    /// Rows written to the spool.
    pub written: u64,
    /// Rows that the sink took, again after a restart among them.
    pub inserted: u64,
    /// Inserts that failed and were repeated.
    pub retried: u64,
    /// Rows lost for good.
    pub lost: u64,
    /// Rows set aside.
    pub rejected: u64,
    /// Damaged places found in segments.
    pub corrupt: u64,
    /// Segments whose last record was not written to its end: one after a crash is normal.
    pub torn: u64,
    /// The spool cannot be written.
    pub blocked: bool,
}

/// The ledger. Dropping it spools what is queued and ends its threads; rows not sent by then are sent by the next process.
pub struct Ledger {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Ledger {
    /// Start its threads, and its task on a runtime. A directory that cannot be written is no error: rows wait, it is tried again.
    pub fn start(
        settings: SpoolSettings,
        sink: Arc<dyn Sink>,
        watch: Option<Box<dyn Watch>>,
        runtime: &tokio::runtime::Handle,
    ) -> io::Result<Self> {
        Self::with_medium(settings, sink, watch, runtime, Arc::new(Disk))
    }

    pub(super) fn with_medium(
        settings: SpoolSettings,
        sink: Arc<dyn Sink>,
        watch: Option<Box<dyn Watch>>,
        runtime: &tokio::runtime::Handle,
        medium: Arc<dyn Medium>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(settings, name(), watch));
        let thread = |name: &str| Builder::new().name(name.to_owned()).stack_size(256 * 1024);
        let (own, disk) = (Arc::clone(&shared), Arc::clone(&medium));
        let syncer = thread("ledger-sync").spawn(move || keep_syncing(&own, &*disk))?;
        let _ = shared.syncer.set(syncer.thread().clone());
        let writing = Writer::new(Arc::clone(&shared), medium);
        let writer = thread("ledger-write").spawn(move || writing.run())?;
        let _ = shared.writer.set(writer.thread().clone());
        runtime.spawn(Sender::new(Arc::clone(&shared), sink).run());
        Ok(Self {
            shared,
            writer: Some(writer),
        })
    }

    /// Hand over a row. Never blocks; when the queue is full the row is lost and counted.
    pub fn push(&self, row: Box<Row>) {
        self.shared.push(row);
    }

    /// Whether requests may be served: false only with [`OnFull::Refuse`], while rows can hardly be kept any more.
    pub fn accepting(&self) -> bool {
        self.shared.accepting()
    }

    /// How things stand at a moment, in milliseconds since 1970.
    pub fn stats(&self, now_ms: u64) -> Stats {
        self.shared.stats(now_ms)
    }

    /// Spool and sync what is queued and offer it to the sink, for so long at most. True: the sink has all of it.
    pub async fn flush(&self, at_most: Duration) -> bool {
        let shared = &self.shared;
        let deadline = Instant::now() + at_most;
        shared.flushing.store(true, Ordering::SeqCst);
        let all = loop {
            shared.hurry();
            // In this order: what leaves memory is unsent by then.
            if shared.memory_is_empty() && shared.own().unsent(false) == 0 {
                break true;
            }
            if Instant::now() >= deadline {
                break false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        shared.flushing.store(false, Ordering::SeqCst);
        all
    }
}

impl Shared {
    pub(super) fn accepting(&self) -> bool {
        self.settings.on_full == OnFull::Serve || self.queue.len() < self.queue.capacity() / 4 * 3
    }

    /// Wake everybody.
    fn hurry(&self) {
        for thread in [&self.writer, &self.syncer]
            .into_iter()
            .filter_map(|thread| thread.get())
        {
            thread.unpark();
        }
        self.synced.notify_one();
    }

    pub(super) fn stats(&self, now_ms: u64) -> Stats {
        let Count {
            bytes,
            written,
            inserted,
            done,
            retried,
            lost,
            rejected,
            corrupt,
            torn,
            adopted,
            oldest_ms,
        } = &self.count;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let oldest = read(oldest_ms);
        Stats {
            queued: (self.queue.len() + self.stranded().len()) as u64,
            spooled_rows: read(written).saturating_sub(read(done)),
            spooled_bytes: read(bytes),
            adopted: adopted.load(Ordering::Relaxed) as u64,
            oldest_unsent_ms: if oldest == 0 { 0 } else { now_ms.saturating_sub(oldest) },
            written: read(written),
            inserted: read(inserted),
            retried: read(retried),
            lost: read(lost),
            rejected: read(rejected),
            corrupt: read(corrupt),
            torn: read(torn),
            blocked: self.blocked.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(2);
        self.shared.hurry();
        let Some(writer) = self.writer.take() else { return };
        // A disk that hangs is not waited for longer than this.
        while !writer.is_finished() && Instant::now() < deadline {
            self.shared.hurry();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A name for an instance's directory: sorts by time.
pub(super) fn name() -> String {
    format!("{}-{}", RowId::new(clock::now_ms()), std::process::id())
}
