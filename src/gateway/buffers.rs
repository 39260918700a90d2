//! The global cap on bytes of bodies held in memory at one time.
//!
//! Whoever buffers takes room first and gives it back by dropping what it took; beyond the cap the answer is 503, so that
//! many large bodies at once cost some clients a retry instead of costing every client the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes held now.
#[derive(Debug, Default)]
pub struct Buffers {
    held: AtomicUsize,
}

/// No room under the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Buffers {
    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// Room taken; given back when dropped.
#[derive(Debug)]
pub struct Room {
    buffers: Arc<Buffers>,
    bytes: usize,
}

impl Room {
    /// None yet.
    pub fn none(buffers: &Arc<Buffers>) -> Self {
        Self {
            buffers: Arc::clone(buffers),
            bytes: 0,
        }
    }

    /// Make it at least `bytes`, staying under `cap` over all requests.
    pub fn grow_to(&mut self, bytes: usize, cap: usize) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let before = self.buffers.held.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > cap {
            self.buffers.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Full);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.buffers.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_given_back() {
        let buffers = Arc::new(Buffers::default());
        let mut first = Room::none(&buffers);
        first.grow_to(60, 100).unwrap();
        first.grow_to(50, 100).unwrap();
        let mut second = Room::none(&buffers);
        assert_eq!(second.grow_to(41, 100), Err(Full));
        second.grow_to(40, 100).unwrap();
        assert_eq!(buffers.held(), 100);
        drop((first, second));
        assert_eq!(buffers.held(), 0);
    }
}
