//! What hedging may cost: a bucket counted in requests, so that hedges never exceed their percentage of them.
//!
//! Not when to hedge (the target's 95th percentile, or a fixed time) and not whom to ask (the pool). It starts empty, and
//! holds only a few: an hour without hedges does not buy a storm of them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Hedges that can be saved up.
pub const BURST: u64 = 10;
/// What a hedge costs; a request pays in as many as the percentage.
const PRICE: u64 = 100;

/// Bounds a pool's hedged requests. Lock-free; exact under concurrency.
#[derive(Debug)]
pub struct HedgeBudget {
    percent: AtomicU32,
    saved: AtomicU64,
}

impl HedgeBudget {
    /// At most this many of a hundred requests are hedged.
    pub fn new(percent: u32) -> Self {
        Self {
            percent: AtomicU32::new(percent),
            saved: AtomicU64::new(0),
        }
    }

    /// At a reload; what is saved up stays.
    pub fn configure(&self, percent: u32) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// A request begins that could be hedged.
    pub fn pay(&self) {
        self.add(u64::from(self.percent.load(Ordering::Relaxed)));
    }

    /// Leave to send one request a second time.
    pub fn take(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(PRICE);
        self.saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Nobody could be asked, or nobody had to be any more: the leave was not used.
    pub fn give_back(&self) {
        self.add(PRICE);
    }

    fn add(&self, paid: u64) {
        let full = BURST * PRICE;
        // Nothing is written while it is full, which it is while targets answer in time.
        let add = |saved: u64| (saved < full).then(|| (saved + paid).min(full));
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hedges_never_exceed_the_percentage(percent in 0u32..=100, steps in prop::collection::vec((0u32..50, 0u32..50), 1..200)) {
            let budget = HedgeBudget::new(percent);
            let (mut requests, mut hedges, mut saved) = (0, 0, 0u64);
            for (arrive, ask) in steps {
                for _ in 0..arrive { budget.pay(); }
                requests += arrive;
                saved = (saved + u64::from(arrive * percent)).min(BURST * PRICE);
                let granted = (0..ask).filter(|_| budget.take()).count() as u32;
                prop_assert_eq!(u64::from(granted), u64::from(ask).min(saved / PRICE));
                saved -= u64::from(granted) * PRICE;
                hedges += granted;
                prop_assert!(hedges * 100 <= requests * percent);
            }
        }
    }

    #[test]
    fn an_hour_of_saving_buys_a_few_and_what_is_not_used_comes_back() {
        let budget = HedgeBudget::new(5);
        (0..100_000).for_each(|_| budget.pay());
        let granted = || (0..1000).filter(|_| budget.take()).count() as u64;
        assert_eq!(granted(), BURST);
        budget.give_back();
        assert_eq!(granted(), 1);
        budget.configure(100);
        budget.pay();
        assert_eq!(granted(), 1);
    }

    #[test]
    fn threads_spend_no_more_than_is_paid_in() {
        let budget = HedgeBudget::new(7);
        let spend = || {
            let one = |_: &u32| {
                budget.pay();
                budget.take()
            };
            (0..50_000).filter(one).count()
        };
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!((13_980..=14_000).contains(&granted), "{granted} of 200 000");
    }
}
