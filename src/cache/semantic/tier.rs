//! The semantic tier: an index, an encoder, a verifier and a few threads, put together.
//!
//! Not what may be kept or served (the policy, and the walk that asks this), and no answers: it finds keys. The one idea: finding is
//! bounded, in time and in how many wait, and whatever goes wrong is a miss.
//!
//! ```text
//! find ─ nothing in the partition ──────────────────────────► miss, in less than a microsecond
//!      └ place ─ index ─ gate ─ nothing left ───────────────► miss, on the caller's thread
//!                             └ meaning, judge, own threads ─► hit, or miss: unsure, late, full
//! ```

mod feedback;
mod find;
mod learn;
mod look;

#[cfg(test)]
mod tests;

pub use find::{Asked, Found, Terms, Why};
pub use look::{Listed, Stats};

use super::encode::{Embedder, Encode, Verify};
use super::index::Index;
use super::pool::Pool;
use super::vectors::Vectors;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How large the tier may be, and what it looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Questions in the index of this process, at most; the oldest leave first, those that were of use since get a second round.
    pub entries: usize,
    /// Threads that verify.
    pub threads: usize,
    /// Lookups that wait for one, at most.
    pub waiting: usize,
    /// Questions that wait to be learned, at most.
    pub learning: usize,
    /// Least cosine of places at which a question is looked at, in partitions of more than 32 768 questions. It is 0.1 lower in smaller
    /// ones and 0.2 lower in those of up to 4096 (and where a store of vectors does the search).
    pub floor: f32,
    /// So many of the nearest are looked at.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            entries: 100_000,
            threads: 1,
            waiting: 64,
            learning: 4096,
            floor: 0.8,
            most: 8,
        }
    }
}

/// Who turns text into numbers.
#[derive(Clone)]
pub enum Source {
    /// The built-in encoder.
    Built(Arc<dyn Encode>),
    /// A configured target. Places and meanings are both made of its vectors.
    Remote(Arc<dyn Embedder>),
}

/// The tier. Its threads end when it is dropped.
pub struct Semantic {
    core: Arc<Core>,
    pool: Arc<Pool>,
}

/// What jobs hold: everything but the threads that do them.
struct Core {
    settings: Settings,
    source: Source,
    verify: Arc<dyn Verify>,
    index: Index,
    vectors: Option<Arc<dyn Vectors>>,
    feedback: feedback::Feedback,
    queue: learn::Queue,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    /// Not learned: the queue was full, or the encoder or the store of vectors out of order.
    unlearned: AtomicU64,
    /// Lookups refused because as many waited as may.
    busy: AtomicU64,
    /// Lookups that took too long.
    late: AtomicU64,
}

impl Semantic {
    /// A tier without any questions. With `vectors`, questions are kept and looked for there and not in this process.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(
        settings: Settings,
        source: Source,
        verify: Arc<dyn Verify>,
        vectors: Option<Arc<dyn Vectors>>,
    ) -> io::Result<Self> {
        let pool = Pool::new(settings.threads, settings.waiting, settings.learning)?;
        let core = Core {
            index: Index::new(settings.entries),
            queue: learn::Queue::new(settings.learning),
            settings,
            source,
            verify,
            vectors,
            feedback: feedback::Feedback::default(),
            counts: Counts::default(),
        };
        Ok(Self {
            core: Arc::new(core),
            pool: Arc::new(pool),
        })
    }
}

impl Drop for Semantic {
    fn drop(&mut self) {
        self.core.queue.close();
    }
}
