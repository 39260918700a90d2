//! Rows from the queue to segments, and segments to the disk.
//!
//! Not the way to the sink. The one idea: what cannot be written stays in memory, where the queue bounds it, and is tried
//! again; a row is dropped only by whoever finds the queue full. Both halves are steps that a test can take one by one; the
//! threads around them only say when.

use super::home::{Home, create, sync_dir};
use super::source::Segment;
use super::{Shared, frame};
use crate::ledger::{Row, encoding};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

/// Rows written at once at most.
const ROWS: usize = 512;
/// Bytes of a segment at most; a small spool has smaller ones.
const SEGMENT: u64 = 8 * 1024 * 1024;
/// Milliseconds between two attempts to write what could not be written.
const RETRY_MS: u64 = 250;
/// Milliseconds between two looks at whether the directory is still there.
const LOOK_MS: u64 = 1000;
/// Pause between two drains while rows come.
const NAP: Duration = Duration::from_millis(10);
/// Empty naps after which the thread sleeps until it is woken.
const NAPS_BEFORE_SLEEP: u32 = 100;
/// What is written is synced after this long at most.
pub const SYNC_AFTER: Duration = Duration::from_millis(50);

/// What the disk does; tests have worse ones.
pub trait Medium: Send + Sync {
    /// Make a new segment.
    fn create(&self, path: &Path) -> io::Result<File> {
        create(path)
    }
    /// Append all or fail.
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }
    /// Make it last.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// The file system.
pub struct Disk;

impl Medium for Disk {}

/// The writing half.
pub struct Writer {
    shared: Arc<Shared>,
    medium: Arc<dyn Medium>,
    home: Option<Arc<Home>>,
    /// Number of the segment made last.
    number: u64,
    buffer: Vec<u8>,
    retry_ms: u64,
    looked_ms: u64,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, medium: Arc<dyn Medium>) -> Self {
        Self {
            shared,
            medium,
            home: None,
            number: 0,
            buffer: Vec::new(),
            retry_ms: 0,
            looked_ms: 0,
        }
    }

    /// Write what waits, at most so many rows. How many were written. `now_ms`: of any clock that does not go back.
    pub fn step(&mut self, now_ms: u64) -> usize {
        let last = self.shared.stop.load(Ordering::Relaxed);
        if self.shared.blocked.load(Ordering::Relaxed) && now_ms < self.retry_ms && !last {
            return 0;
        }
        if let Err(why) = self.prepare(now_ms) {
            self.block(&why, now_ms);
            return 0;
        }
        let shared = Arc::clone(&self.shared);
        let rows = shared.take(ROWS, &shared.writing);
        if rows.is_empty() {
            // Whether the disk works again is known when something was written.
            return 0;
        }
        let count = self.encode(&rows);
        let written = match self.append(count) {
            Ok(appended) => {
                shared.set_blocked(None);
                let written = rows.len();
                if let Some((number, from, to)) = appended.filter(|_| count == written as u64) {
                    shared.fresh().keep(number, from, to, rows);
                }
                written
            }
            Err(problem) => {
                shared.stranded().extend(rows);
                self.block(&problem.to_string(), now_ms);
                0
            }
        };
        shared.writing.store(false, Ordering::SeqCst);
        written
    }

    fn block(&mut self, why: &str, now_ms: u64) {
        self.retry_ms = now_ms + RETRY_MS;
        self.shared.set_blocked(Some(why));
    }

    /// A directory to write to, and room in it.
    fn prepare(&mut self, now_ms: u64) -> Result<(), String> {
        if self.home.is_some() && now_ms >= self.looked_ms + LOOK_MS {
            self.looked_ms = now_ms;
            if self.home.as_ref().is_some_and(|home| !home.stands()) {
                tracing::error!(dir = %self.shared.settings.dir.display(), "the spool's directory is gone: a new one is made");
                self.home = None;
                self.seal();
            }
        }
        if self.home.is_none() {
            self.move_in().map_err(|problem| problem.to_string())?;
            self.looked_ms = now_ms;
        }
        if self.shared.count.bytes.load(Ordering::Relaxed) >= self.shared.settings.size_limit {
            // Only finished segments are deleted.
            self.seal();
            return Err("the spool has reached its size limit".to_owned());
        }
        Ok(())
    }

    fn move_in(&mut self) -> io::Result<()> {
        let root = &self.shared.settings.dir;
        super::home::make_dir(root)?;
        let home = match Home::make(root, &self.shared.name) {
            Err(problem) if problem.kind() != io::ErrorKind::StorageFull => {
                // The name may be taken, by what is left of a directory that lost its lock.
                Home::make(root, &super::ledger::name())?
            }
            made => made?,
        };
        let home = Arc::new(home);
        self.shared.own().home = Some(Arc::clone(&home));
        self.home = Some(home);
        Ok(())
    }

    /// Rows as records, into the buffer. How many fitted their limit.
    fn encode(&mut self, rows: &[Box<Row>]) -> u64 {
        self.buffer.clear();
        self.buffer.shrink_to(frame::LONGEST);
        let mut count = 0;
        for row in rows {
            if frame::append(&mut self.buffer, |out| encoding::encode(row, out)) {
                count += 1;
            } else {
                tracing::error!(id = %row.id, attempt = row.attempt, "a usage record is too long to be kept");
                self.shared.lose(1);
            }
        }
        count
    }

    /// The buffer, to the end of the open segment: which one, from where, to where.
    fn append(&mut self, rows: u64) -> io::Result<Option<(u64, u64, u64)>> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let (file, length) = self.open()?;
        if let Err(problem) = self.medium.append(&file, &self.buffer) {
            // Half a batch may be there. Cut it off; or leave it, where readers pass over it, and write elsewhere.
            if file.set_len(length).is_err() {
                self.seal();
            }
            return Err(problem);
        }
        let added = self.buffer.len() as u64;
        let shared = &self.shared;
        shared.count.bytes.fetch_add(added, Ordering::Relaxed);
        shared.count.written.fetch_add(rows, Ordering::Relaxed);
        let most = (shared.settings.size_limit / 8).clamp(64 * 1024, SEGMENT);
        if let Some(segment) = shared.own().segments.back_mut() {
            segment.length += added;
            segment.sealed = segment.length >= most;
        }
        if !shared.dirty.swap(true, Ordering::SeqCst)
            && let Some(syncer) = shared.syncer.get()
        {
            syncer.unpark();
        }
        Ok(Some((self.number, length, length + added)))
    }

    /// The segment to append to, and its length.
    fn open(&mut self) -> io::Result<(Arc<File>, u64)> {
        let mut own = self.shared.own();
        if let Some(segment) = own.segments.back().filter(|segment| !segment.sealed)
            && let Some(file) = &segment.file
        {
            return Ok((Arc::clone(file), segment.length));
        }
        let Some(home) = &self.home else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let number = self.number + 1;
        let path = home.path.join(format!("{number:012}.seg"));
        let file = Arc::new(self.medium.create(&path)?);
        let _ = sync_dir(&home.path);
        self.number = number;
        own.segments.push_back(Segment {
            file: Some(Arc::clone(&file)),
            sealed: false,
            ..Segment::finished(number, path, 0)
        });
        Ok((file, 0))
    }

    fn seal(&self) {
        let mut own = self.shared.own();
        if let Some(segment) = own.segments.back_mut().filter(|segment| segment.length > 0) {
            segment.sealed = true;
        } else {
            // Nothing is in it: it is not missed.
            if let Some(empty) = own.segments.pop_back() {
                let _ = std::fs::remove_file(empty.path);
            }
        }
    }

    /// The thread: until told to stop, and then until nothing can be written any more.
    pub fn run(mut self) {
        let (clock, mut idle) = (Instant::now(), 0);
        let mut report = LossReport::default();
        loop {
            let now_ms = clock.elapsed().as_millis() as u64;
            let written = self.step(now_ms);
            report.tell(&self.shared, now_ms);
            if written >= ROWS / 2 {
                idle = 0;
                continue;
            }
            if self.shared.stop.load(Ordering::SeqCst) && written == 0 {
                break;
            }
            idle = if written > 0 { 0 } else { idle + 1 };
            if idle < NAPS_BEFORE_SLEEP || self.shared.blocked.load(Ordering::Relaxed) {
                std::thread::park_timeout(NAP);
            } else {
                self.sleep();
            }
        }
        sync(&self.shared, &*self.medium);
        let rows = self.shared.take(usize::MAX, &self.shared.writing).len();
        if rows > 0 {
            self.shared.lose(rows as u64);
            tracing::error!(
                rows,
                "usage records are lost: the process ends and they cannot be spooled"
            );
        }
        if self.shared.own().unsent(false) == 0
            && let Some(home) = &self.home
        {
            for segment in self.shared.own().segments.drain(..) {
                segment.delete(&self.shared);
            }
            home.remove();
        }
    }

    fn sleep(&self) {
        let shared = &self.shared;
        shared.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence in `Shared::wake`.
        fence(Ordering::SeqCst);
        if shared.queue.is_empty() && !shared.stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_secs(60));
        }
        shared.asleep.store(false, Ordering::Relaxed);
    }
}

/// Says in the log what was lost, every ten seconds while something is.
#[derive(Default)]
struct LossReport {
    told: u64,
    told_ms: Option<u64>,
}

impl LossReport {
    fn tell(&mut self, shared: &Shared, now_ms: u64) {
        let lost = shared.count.lost.load(Ordering::Relaxed);
        let soon = self.told_ms.is_some_and(|told| now_ms < told + 10_000);
        if lost == self.told || soon {
            return;
        }
        tracing::error!(
            rows = lost - self.told,
            "usage records were lost: they could neither be spooled nor stored in time"
        );
        (self.told, self.told_ms) = (lost, Some(now_ms));
    }
}

/// Make what is written last. The other half; steps of it are taken by a thread of their own, since an fsync may take seconds
/// and rows are not to wait in the queue meanwhile, where `kill -9` would lose them.
pub fn sync(shared: &Shared, medium: &dyn Medium) {
    shared.dirty.store(false, Ordering::SeqCst);
    let unsynced: Vec<Segment> = {
        let own = shared.own();
        let unsynced = own.segments.iter().filter(|segment| segment.synced < segment.length);
        unsynced.cloned().collect()
    };
    for segment in unsynced {
        // What cannot be synced goes to the sink all the same: that is better than to wait.
        if let Some(Err(problem)) = segment.file.as_ref().map(|file| medium.sync(file)) {
            tracing::error!(path = %segment.path.display(), %problem, "usage records would not outlast a loss of power");
        }
        if let Some(now) = shared
            .own()
            .segments
            .iter_mut()
            .find(|now| now.number == segment.number)
        {
            now.synced = segment.length;
        }
        shared.synced.notify_one();
    }
}

/// The thread that syncs.
pub fn keep_syncing(shared: &Shared, medium: &dyn Medium) {
    while !shared.stop.load(Ordering::SeqCst) {
        if !shared.dirty.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_secs(60));
            continue;
        }
        // A flush or a stop wakes it early.
        if !shared.flushing.load(Ordering::SeqCst) {
            std::thread::park_timeout(SYNC_AFTER);
        }
        sync(shared, medium);
    }
}
