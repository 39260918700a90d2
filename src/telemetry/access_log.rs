//! The access log's queue and the thread that empties it.
//!
//! Not the format of a line (see [`super::access_line`]). A request pushes a boxed record into a lock-free queue and is
//! done: no formatting, no lock, and while traffic flows no system call. One thread drains the queue every few
//! milliseconds and writes each batch at once. When the queue is full, or the output cannot be written, lines are lost and
//! counted; a request never waits for the log.
//!
//! ```text
//!            records came                none for 1 s              a push saw `asleep`
//! draining ─────────────────► nap 20 ms ─────────────► asleep ─────────────────────────► draining
//! ```

use super::access_line::{AccessRecord, LineFormat, LineWriter};
use crossbeam_queue::ArrayQueue;
use prometheus::IntCounter;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Records held at most: half a second of 30 000 requests a second.
const CAPACITY: usize = 16 * 1024;
/// Pause between two drains while traffic flows.
const NAP: Duration = Duration::from_millis(20);
/// Empty naps after which the thread sleeps until it is woken.
const NAPS_BEFORE_SLEEP: u32 = 50;
/// Bytes after which a batch is written though more records wait.
const BATCH: usize = 256 * 1024;

const OFF: u8 = 0;
const TEXT: u8 = 1;
const JSON: u8 = 2;

/// The access log. Dropping the last clone writes what is queued and ends the thread.
#[derive(Clone)]
pub struct AccessLog(Arc<Owner>);

struct Owner {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    queue: ArrayQueue<Box<AccessRecord>>,
    format: AtomicU8,
    /// The thread waits to be woken rather than for a time to pass.
    asleep: AtomicBool,
    stop: AtomicBool,
    dropped: IntCounter,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
}

#[derive(Default)]
struct Flushes {
    wanted: u64,
    done: u64,
}

impl AccessLog {
    /// Start the thread. `None` as the format is off; `dropped` counts lost lines.
    pub fn start(format: Option<LineFormat>, output: Box<dyn Write + Send>, dropped: IntCounter) -> io::Result<Self> {
        Self::with_capacity(format, output, dropped, CAPACITY)
    }

    fn with_capacity(
        format: Option<LineFormat>,
        output: Box<dyn Write + Send>,
        dropped: IntCounter,
        capacity: usize,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: ArrayQueue::new(capacity),
            format: AtomicU8::new(code(format)),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            dropped,
            flushes: Mutex::default(),
            flushed: Condvar::new(),
        });
        let drain = Drain {
            shared: Arc::clone(&shared),
            output,
            line: LineWriter::default(),
            batch: Vec::new(),
            lines: 0,
        };
        let handle = std::thread::Builder::new()
            .name("access-log".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || drain.run())?;
        Ok(Self(Arc::new(Owner {
            shared,
            thread: handle.thread().clone(),
        })))
    }

    /// Whether lines are wanted; when not, do not build a record.
    pub fn enabled(&self) -> bool {
        self.0.shared.format.load(Ordering::Relaxed) != OFF
    }

    /// Change the shape of the lines, or switch them off. Lines already queued get the new shape.
    pub fn set_format(&self, format: Option<LineFormat>) {
        self.0.shared.format.store(code(format), Ordering::Relaxed);
    }

    /// Hand over one request. Never blocks.
    pub fn push(&self, record: Box<AccessRecord>) {
        let shared = &self.0.shared;
        if shared.queue.push(record).is_err() {
            shared.dropped.inc();
        }
        // Pairs with the fence in `Drain::sleep`: either this sees `asleep`, or the thread sees the record.
        std::sync::atomic::fence(Ordering::SeqCst);
        if shared.asleep.load(Ordering::Relaxed) && shared.asleep.swap(false, Ordering::Relaxed) {
            self.0.thread.unpark();
        }
    }

    /// Write everything pushed so far. False when that took longer than `limit` (a reader that stalls).
    pub fn flush(&self, limit: Duration) -> bool {
        let shared = &self.0.shared;
        let deadline = Instant::now() + limit;
        let mut flushes = shared.lock_flushes();
        flushes.wanted += 1;
        let ticket = flushes.wanted;
        self.0.thread.unpark();
        while flushes.done < ticket {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            flushes = shared
                .flushed
                .wait_timeout(flushes, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    fn lock_flushes(&self) -> std::sync::MutexGuard<'_, Flushes> {
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn code(format: Option<LineFormat>) -> u8 {
    match format {
        None => OFF,
        Some(LineFormat::Text) => TEXT,
        Some(LineFormat::Json) => JSON,
    }
}

/// The thread's side.
struct Drain {
    shared: Arc<Shared>,
    output: Box<dyn Write + Send>,
    line: LineWriter,
    batch: Vec<u8>,
    /// Lines in `batch`.
    lines: u64,
}

impl Drain {
    fn run(mut self) {
        let mut empty_naps = 0;
        loop {
            let stopping = self.shared.stop.load(Ordering::Acquire);
            // Read before draining: what was pushed before a flush was asked for is then surely drained.
            let wanted = self.shared.lock_flushes().wanted;
            let drained = self.drain();
            self.report(wanted);
            if stopping {
                return;
            }
            empty_naps = if drained { 0 } else { empty_naps + 1 };
            if empty_naps > NAPS_BEFORE_SLEEP {
                self.sleep();
                empty_naps = 0;
            } else {
                std::thread::park_timeout(NAP);
            }
        }
    }

    /// Write all that is queued; whether there was anything.
    fn drain(&mut self) -> bool {
        let mut any = false;
        while let Some(record) = self.shared.queue.pop() {
            any = true;
            let format = match self.shared.format.load(Ordering::Relaxed) {
                OFF => continue,
                JSON => LineFormat::Json,
                _ => LineFormat::Text,
            };
            self.line.write(&mut self.batch, format, &record);
            self.lines += 1;
            if self.batch.len() >= BATCH {
                self.write();
            }
        }
        self.write();
        any
    }

    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let written = self.output.write_all(&self.batch).and_then(|()| self.output.flush());
        if written.is_err() {
            // Not logged: standard error is often the same closed pipe. The metric says it.
            self.shared.dropped.inc_by(self.lines);
        }
        self.batch.clear();
        self.lines = 0;
    }

    fn report(&self, wanted: u64) {
        let mut flushes = self.shared.lock_flushes();
        if flushes.done < wanted {
            flushes.done = wanted;
            self.shared.flushed.notify_all();
        }
    }

    /// Wait for a push, a flush or the end, without waking up in between.
    fn sleep(&mut self) {
        self.batch.shrink_to_fit();
        self.shared.asleep.store(true, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.shared.queue.is_empty() && !self.shared.stop.load(Ordering::Acquire) {
            // An `unpark` that came before makes this return at once, so none is lost.
            std::thread::park_timeout(Duration::from_secs(60));
        }
        self.shared.asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::access_line::tests::record;
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(10);

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "Test.").unwrap()
    }

    #[derive(Clone, Default)]
    struct Shelf(Arc<Mutex<Vec<u8>>>);

    impl Write for Shelf {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shelf {
        fn lines(&self) -> usize {
            self.0.lock().unwrap().iter().filter(|&&b| b == b'\n').count()
        }
    }

    /// Blocks in `write` until it is told to go on, so that a full queue is certain rather than likely.
    struct Gate {
        entered: mpsc::Sender<()>,
        proceed: mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.entered.send(()).ok();
            self.proceed.recv().ok();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn flush_writes_everything_pushed_before_it() {
        let (shelf, dropped) = (Shelf::default(), counter());
        let log = AccessLog::start(Some(LineFormat::Json), Box::new(shelf.clone()), dropped.clone()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| log.push(Box::new(record()))));
            }
        });
        assert!(log.flush(LONG));
        assert_eq!((shelf.lines(), dropped.get()), (4000, 0));
    }

    #[test]
    fn the_format_changes_and_switches_off_while_running() {
        let shelf = Shelf::default();
        let log = AccessLog::start(None, Box::new(shelf.clone()), counter()).unwrap();
        assert!(!log.enabled());
        log.push(Box::new(record()));
        assert!(log.flush(LONG));
        for format in [LineFormat::Text, LineFormat::Json] {
            log.set_format(Some(format));
            assert!(log.enabled());
            log.push(Box::new(record()));
            assert!(log.flush(LONG));
        }
        let text = String::from_utf8(shelf.0.lock().unwrap().clone()).unwrap();
        let starts: Vec<&str> = text.lines().map(|line| &line[..7]).collect();
        assert_eq!(starts, ["time=20", "{\"time\""]);
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_blocks() {
        let dropped = counter();
        let (entered_tx, entered) = mpsc::channel();
        let (proceed, proceed_rx) = mpsc::channel();
        let gate = Gate {
            entered: entered_tx,
            proceed: proceed_rx,
        };
        let log = AccessLog::with_capacity(Some(LineFormat::Text), Box::new(gate), dropped.clone(), 4).unwrap();
        log.push(Box::new(record()));
        entered.recv_timeout(LONG).unwrap();
        (0..10).for_each(|_| log.push(Box::new(record())));
        assert_eq!(dropped.get(), 6);
        assert!(!log.flush(Duration::from_millis(10)), "the output is stalled");
        drop(proceed);
        assert!(log.flush(LONG));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dropped = counter();
        let log = AccessLog::start(Some(LineFormat::Text), Box::new(Closed), dropped.clone()).unwrap();
        (0..3).for_each(|_| log.push(Box::new(record())));
        assert!(log.flush(LONG));
        assert_eq!(dropped.get(), 3);
    }

    #[test]
    fn a_push_wakes_a_thread_that_sleeps() {
        let (entered_tx, entered) = mpsc::channel();
        let (proceed, proceed_rx) = mpsc::channel();
        let gate = Gate {
            entered: entered_tx,
            proceed: proceed_rx,
        };
        drop(proceed);
        let log = AccessLog::start(Some(LineFormat::Text), Box::new(gate), counter()).unwrap();
        let deadline = Instant::now() + LONG;
        while !log.0.shared.asleep.load(Ordering::Relaxed) {
            assert!(Instant::now() < deadline, "never fell asleep");
            std::thread::yield_now();
        }
        log.push(Box::new(record()));
        entered.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn dropping_the_log_writes_what_is_queued() {
        let (entered_tx, entered) = mpsc::channel();
        let gate = Gate {
            entered: entered_tx,
            proceed: mpsc::channel().1,
        };
        let log = AccessLog::start(Some(LineFormat::Text), Box::new(gate), counter()).unwrap();
        log.push(Box::new(record()));
        drop(log);
        entered.recv_timeout(LONG).unwrap();
    }
}
