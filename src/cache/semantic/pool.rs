//! The tier's own threads: a few, for work of milliseconds that no async worker may do.
//!
//! Not for anything that waits. Two queues, both bounded: what somebody waits for, and what can be done later, which is taken up only
//! when nobody waits. The one idea: full is an answer, and at once; a job is told nothing, so it looks itself whether anybody
//! still wants what it makes.
//!
//! The threads end when the pool is dropped: each at the end of the job it has; what is queued is dropped undone.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Something to do.
pub type Job = Box<dyn FnOnce() + Send>;

/// The threads.
pub struct Pool {
    shared: Arc<Desk>,
    waiting: usize,
    later: usize,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

struct Desk {
    queues: Mutex<Queues>,
    work: Condvar,
}

#[derive(Default)]
struct Queues {
    /// Somebody waits for these.
    now: VecDeque<Job>,
    /// Nobody does.
    later: VecDeque<Job>,
    /// Threads without a job.
    idle: usize,
    /// The pool was dropped.
    over: bool,
}

impl Pool {
    /// So many threads, at most `waiting` jobs queued that somebody waits for, and `later` that nobody does.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(threads: usize, waiting: usize, later: usize) -> io::Result<Self> {
        let shared = Arc::new(Desk {
            queues: Mutex::default(),
            work: Condvar::new(),
        });
        // Made first, so that the threads there are end if there is not another one.
        let pool = Self {
            shared: shared.clone(),
            waiting,
            later,
        };
        for number in 0..threads.max(1) {
            let desk = shared.clone();
            std::thread::Builder::new()
                .name(format!("semantic-{number}"))
                .spawn(move || desk.serve())?;
        }
        Ok(pool)
    }

    /// Do this as soon as a thread is free.
    ///
    /// # Errors
    /// As many as may wait do already, and no thread is free.
    pub fn now(&self, job: Job) -> Result<(), Full> {
        let mut queues = self.shared.lock();
        // What a free thread is about to take up does not wait.
        if queues.now.len() >= self.waiting + queues.idle {
            return Err(Full);
        }
        queues.now.push_back(job);
        drop(queues);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Do this when there is nothing else to do.
    ///
    /// # Errors
    /// As many as may be queued are.
    pub fn later(&self, job: Job) -> Result<(), Full> {
        let mut queues = self.shared.lock();
        if queues.later.len() >= self.later {
            return Err(Full);
        }
        queues.later.push_back(job);
        drop(queues);
        self.shared.work.notify_one();
        Ok(())
    }

    /// How many jobs are queued: those that somebody waits for, and the others.
    pub fn queued(&self) -> (usize, usize) {
        let queues = self.shared.lock();
        (queues.now.len(), queues.later.len())
    }

    /// Tells when the threads have ended: none is left when it cannot be upgraded.
    #[cfg(test)]
    pub(super) fn alive(&self) -> std::sync::Weak<dyn Send + Sync> {
        let desk: Arc<dyn Send + Sync> = self.shared.clone();
        Arc::downgrade(&desk)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let undone = {
            let mut queues = self.shared.lock();
            queues.over = true;
            (std::mem::take(&mut queues.now), std::mem::take(&mut queues.later))
        };
        self.shared.work.notify_all();
        // Outside of the lock: what jobs hold may be large.
        drop(undone);
    }
}

impl Desk {
    // No job runs under the lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut queues = self.lock();
        loop {
            if queues.over {
                return None;
            }
            let queues_of = &mut *queues;
            if let Some(job) = queues_of.now.pop_front().or_else(|| queues_of.later.pop_front()) {
                return Some(job);
            }
            queues.idle += 1;
            queues = self.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
            queues.idle -= 1;
        }
    }

    fn serve(&self) {
        while let Some(job) = self.next() {
            // A job that panics is a bug of ours; it costs its own result, not the thread.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A job that says it began and waits to be let go.
    fn blocker() -> (Job, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (began, begins) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let job = Box::new(move || {
            began.send(()).unwrap();
            let _ = gone.recv();
        });
        (job, begins, go)
    }

    #[test]
    fn full_is_said_at_once_and_who_waits_comes_first() {
        let pool = Pool::new(1, 2, 1).unwrap();
        let (job, begins, go) = blocker();
        pool.now(job).unwrap();
        begins.recv().unwrap();
        let (done, order) = mpsc::channel();
        let say = |what: &'static str| -> Job {
            let done = done.clone();
            Box::new(move || done.send(what).unwrap())
        };
        pool.later(say("later")).unwrap();
        assert_eq!(pool.later(say("never")), Err(Full));
        pool.now(Box::new(|| panic!("of a job's own"))).unwrap();
        pool.now(say("now")).unwrap();
        assert_eq!(pool.now(say("never")), Err(Full));
        assert_eq!(pool.queued(), (2, 1));
        go.send(()).unwrap();
        assert_eq!([order.recv().unwrap(), order.recv().unwrap()], ["now", "later"]);
    }

    #[test]
    fn ends_with_its_owner() {
        let pool = Pool::new(1, 2, 2).unwrap();
        let alive = pool.alive();
        let (job, begins, go) = blocker();
        pool.now(job).unwrap();
        begins.recv().unwrap();
        let held = Arc::new(());
        let (copy, weak) = (held.clone(), Arc::downgrade(&held));
        pool.later(Box::new(move || drop(copy))).unwrap();
        drop((pool, held));
        go.send(()).unwrap();
        while alive.upgrade().is_some() {
            std::thread::yield_now();
        }
        assert!(weak.upgrade().is_none(), "what was queued is dropped");
    }
}
