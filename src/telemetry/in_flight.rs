//! How many requests are under way: the one figure of this room that something is decided by (`gateway/stages/admit.rs`),
//! because counting twice would cost every request another atomic.
//!
//! A request that was refused for overload is under way until it has been told so, but takes no place: else a storm of
//! refused ones would keep out those that could be served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests now, by whether they hold a place.
#[derive(Debug, Default)]
pub(super) struct InFlightCount {
    admitted: AtomicUsize,
    refused: AtomicUsize,
}

impl InFlightCount {
    /// One more with a place, until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        InFlight {
            position: self.admitted.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            count: Arc::clone(self),
            refused: false,
        }
    }

    /// Those with a place.
    pub fn admitted(&self) -> usize {
        self.admitted.load(Ordering::Relaxed)
    }

    /// All.
    pub fn all(&self) -> usize {
        self.admitted().saturating_add(self.refused.load(Ordering::Relaxed))
    }
}

/// Counts as one request in flight while it lives.
#[derive(Debug)]
#[must_use = "dropping it at once counts nothing"]
pub struct InFlight {
    count: Arc<InFlightCount>,
    position: usize,
    refused: bool,
}

impl InFlight {
    /// Requests that held a place when this one came, itself among them.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Give the place up; what is left is to tell the client.
    pub fn refuse(&mut self) {
        if !self.refused {
            self.refused = true;
            self.count.refused.fetch_add(1, Ordering::Relaxed);
            self.count.admitted.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let counted = if self.refused {
            &self.count.refused
        } else {
            &self.count.admitted
        };
        counted.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_is_under_way_without_a_place() {
        let count = Arc::new(InFlightCount::default());
        let first = count.enter();
        let mut second = count.enter();
        assert_eq!((first.position(), second.position()), (1, 2));
        second.refuse();
        second.refuse();
        assert_eq!((count.admitted(), count.all()), (1, 2));
        drop(second);
        drop(first);
        assert_eq!((count.admitted(), count.all()), (0, 0));
    }
}
