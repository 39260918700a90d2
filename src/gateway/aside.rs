//! Work on large bodies, done off the worker, which has other streams to serve.

use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Bodies from this size on are read and written off the worker.
pub const OFFLOAD_FROM: usize = 256 * 1024;

/// Turns for a large body. One takes a core, and while it lasts many times its body's size, so more at a time would
/// end no sooner and could take all memory.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    Arc::new(Semaphore::new(cores.max(2)))
});

/// Do it off the worker, in turn.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // Never closed. Kept by the work itself, which goes on when nobody waits for it any more.
    let turn = Arc::clone(&TURNS).acquire_owned().await.ok();
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await
}
