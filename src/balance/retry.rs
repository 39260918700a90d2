//! How often and how soon to try again: the budget all requests share, and the wait before the same target is asked again.
//!
//! Not whether a failure may be tried again at all (the provider's blame table says) and not where (the pool does).
//!
//! The budget is a bucket. Every request pays a fifth of a further call in (20 %), every further call takes a whole one
//! out, so they never exceed 20 % of the requests however quickly or slowly these fail; a bound on *concurrent* retries
//! alone would let those that fail within a millisecond through by the thousand. The bucket holds 20 % of the requests
//! active now, at least 3, so that all those of a dying target which the bound is meant to help may move on at once. The
//! first 3 of any second always pass, on credit when the bucket is empty: a quiet gateway would otherwise run out for good.
//!
//! Moving on to a *calm* target, one that has not failed since it last answered, is free: a budget that others have spent
//! must not keep a healthy target from answering. It cannot feed a storm, for the first failure ends the calm.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Default share, in percent of requests.
pub const PERCENT: u32 = 20;
/// Default of the further calls that are always possible, in a second and in the bucket.
pub const AT_LEAST: u32 = 3;
/// What a further call costs; a request pays in as many as the percentage.
const PRICE: i64 = 100;

/// Bounds the further calls of all requests together. Lock-free: a request costs three atomic operations, and no clock.
#[derive(Debug)]
pub struct RetryBudget {
    born: Instant,
    percent: AtomicU32,
    at_least: AtomicU32,
    active: AtomicU32,
    /// What is paid in; below 0: credit, never more than `at_least` calls.
    paid: AtomicI64,
    /// Second since birth (high half), further calls in it (low half).
    second: AtomicU64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            percent: AtomicU32::new(PERCENT),
            at_least: AtomicU32::new(AT_LEAST),
            active: AtomicU32::new(0),
            paid: AtomicI64::new(0),
            second: AtomicU64::new(0),
        }
    }
}

/// A request that looks for an answer; hold it until one is found.
#[derive(Debug)]
pub struct Active<'a>(&'a RetryBudget);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RetryBudget {
    /// At a load or reload; what is paid in stays.
    pub fn configure(&self, percent: u32, at_least: u32) {
        self.percent.store(percent.min(100), Ordering::Relaxed);
        self.at_least.store(at_least, Ordering::Relaxed);
    }

    /// A request begins. Its first call needs no leave.
    pub fn enter(&self) -> Active<'_> {
        let active = self.active.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let percent = i64::from(self.percent.load(Ordering::Relaxed));
        // Room for one at least, or a quiet gateway without any free ones could never save up for it.
        let least = i64::from(self.at_least.load(Ordering::Relaxed)).max(percent.min(1));
        let full = (i64::from(active) * percent).max(least * PRICE);
        let pay = |paid: i64| Some((paid + percent).min(full));
        let _ = self.paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay);
        Active(self)
    }

    /// Requests under way.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Leave to call once more for a request that has had its first call: free if the target is calm
    /// ([`super::Permit::is_calm`]), else as [`RetryBudget::retry`].
    pub fn further(&self, calm: bool, now: impl FnOnce() -> Instant) -> bool {
        calm || self.retry(now())
    }

    /// Leave to call once more that must be paid for. Taken is spent; there is nothing to give back.
    pub fn retry(&self, now: Instant) -> bool {
        let at_least = self.at_least.load(Ordering::Relaxed);
        let free = self.is_free(now, at_least);
        let floor = if free { -i64::from(at_least) * PRICE } else { 0 };
        let take = |paid: i64| match paid - PRICE {
            left if left >= floor => Some(left),
            _ if free => Some(floor),
            _ => None,
        };
        let taken = self.paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.is_ok()
    }

    /// Whether this is among the first of its second.
    fn is_free(&self, now: Instant, at_least: u32) -> bool {
        let second = now.saturating_duration_since(self.born).as_secs() as u32;
        let count = |packed: u64| {
            let (of, count) = ((packed >> 32) as u32, packed as u32);
            let count = if of == second { count } else { 0 };
            (count < at_least).then(|| u64::from(second) << 32 | u64::from(count + 1))
        };
        self.second
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
            .is_ok()
    }
}

/// The wait before the *same* target is asked again: exponential with full jitter, so that those who failed together do
/// not come back together (Brooker, "Exponential Backoff And Jitter", AWS 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait; it doubles with each. Default 250 ms.
    pub first: Duration,
    /// Upper bound of all. Default 8 s.
    pub at_most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            at_most: Duration::from_secs(8),
        }
    }
}

impl Backoff {
    /// The longest that wait number `n` (from 0) can be.
    pub fn bound(&self, n: u32) -> Duration {
        self.first.saturating_mul(1 << n.min(31)).min(self.at_most)
    }

    /// Wait number `n` (from 0): anything from nothing to its bound.
    pub fn wait(&self, n: u32) -> Duration {
        self.bound(n).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// Requests a second of which every call fails after `fails_after`, for `seconds`: calls per request.
    fn storm(rate: u32, fails_after: Duration, seconds: u32) -> f64 {
        let (budget, start) = (RetryBudget::default(), Instant::now());
        let (mut calls, mut under_way) = (0u32, VecDeque::new());
        for n in 0..rate * seconds {
            let now = start + Duration::from_secs(1) * n / rate;
            // Every failure asks for a retry, which fails in turn, until the budget refuses.
            while under_way.front().is_some_and(|(end, _)| *end <= now) {
                let (end, active) = under_way.pop_front().unwrap();
                if budget.retry(end) {
                    calls += 1;
                    under_way.push_back((end + fails_after, active));
                }
            }
            calls += 1;
            under_way.push_back((now + fails_after, budget.enter()));
        }
        f64::from(calls) / f64::from(rate * seconds)
    }

    #[test]
    fn a_storm_of_failures_costs_a_fifth_more_calls_however_fast_it_fails() {
        for milliseconds in [0, 1, 20, 500, 3_000, 30_000] {
            let ratio = storm(1000, Duration::from_millis(milliseconds), 60);
            // 3 retries on credit at the end of 60 000 requests: 0.00005.
            assert!(ratio <= 1.2 + 3.0 / 60_000.0, "{milliseconds} ms: {ratio}");
            let worth_it = if milliseconds > 10_000 { 1.05 } else { 1.18 };
            assert!(ratio >= worth_it, "{milliseconds} ms: {ratio}");
        }
    }

    #[test]
    fn a_quiet_gateway_never_runs_out() {
        let (budget, start) = (RetryBudget::default(), Instant::now());
        for n in 0..1000 {
            let _active = budget.enter();
            assert!(budget.retry(start + Duration::from_secs(n)), "request {n}");
        }
        let last = start + Duration::from_secs(1000);
        let granted = (0..100).filter(|_| budget.retry(last)).count();
        assert_eq!(granted, 3, "and no more than three in a second");
    }

    #[test]
    fn a_fifth_of_those_under_way_may_move_on_at_once() {
        let (budget, now) = (RetryBudget::default(), Instant::now());
        let all: Vec<_> = (0..1000).map(|_| budget.enter()).collect();
        let granted = (0..1000).filter(|_| budget.retry(now)).count();
        assert_eq!(granted, 200);
        drop(all);
        for _ in 0..10_000 {
            budget.enter();
        }
        let later = now + Duration::from_secs(5);
        let granted = (0..1000).filter(|_| budget.retry(later)).count();
        assert_eq!(granted, 3, "what is saved up is bounded by what is active");
        assert_eq!(budget.active(), 0);
    }

    #[test]
    fn threads_do_not_spend_more_than_is_paid_in() {
        let (budget, now) = (RetryBudget::default(), Instant::now());
        let granted: usize = std::thread::scope(|scope| {
            let spend = || {
                let one = |_: &u32| {
                    let _active = budget.enter();
                    budget.retry(now)
                };
                (0..20_000).filter(one).count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(budget.active(), 0);
        assert!((15_900..=16_003).contains(&granted), "{granted} of 80 000");
    }

    #[test]
    fn a_calm_target_is_asked_whatever_was_spent() {
        let (budget, now) = (RetryBudget::default(), Instant::now());
        let _active = budget.enter();
        while budget.further(false, || now) {}
        assert!((0..100).all(|_| budget.further(true, || now)));
        assert!(!budget.further(false, || now));
    }

    #[test]
    fn nothing_at_all_or_only_the_free_ones_can_be_configured() {
        let (budget, now) = (RetryBudget::default(), Instant::now());
        let granted = |at: u64| {
            (0..100).for_each(|_| drop(budget.enter()));
            (0..100).filter(|_| budget.retry(now + Duration::from_secs(at))).count()
        };
        budget.configure(0, 0);
        assert_eq!(granted(1), 0);
        budget.configure(0, 4);
        assert_eq!((granted(2), granted(3)), (4, 4));
        budget.configure(10, 0);
        assert_eq!(
            (granted(4), granted(5)),
            (1, 1),
            "one is saved up; the credit of before is paid back"
        );
    }

    proptest! {
        #[test]
        fn waits_are_jittered_and_bounded(n in 0u32..200) {
            let (backoff, wait) = (Backoff::default(), Backoff::default().wait(n));
            prop_assert!(wait <= backoff.bound(n) && backoff.bound(n) <= Duration::from_secs(8));
            prop_assert_eq!(backoff.bound(n), Duration::from_millis(250 << n.min(5)));
        }

        #[test]
        fn retries_never_exceed_their_share_and_the_free_ones(
            (percent, at_least) in (0u32..=100, 0u32..10),
            steps in prop::collection::vec((0u64..400, 0usize..20, 0usize..20), 1..200),
        ) {
            let (budget, start) = (RetryBudget::default(), Instant::now());
            budget.configure(percent, at_least);
            let (mut at, mut requests, mut retries) = (0, 0, 0);
            for (passed, enters, asks) in steps {
                at += passed;
                for _ in 0..enters { budget.enter(); }
                requests += enters;
                retries += (0..asks).filter(|_| budget.retry(start + Duration::from_millis(at))).count();
                prop_assert!(retries <= requests * percent as usize / 100 + at_least as usize * (at as usize / 1000 + 2));
            }
        }
    }

    #[test]
    fn full_jitter_reaches_both_ends() {
        fastrand::seed(1);
        let waits: Vec<f64> = (0..10_000).map(|_| Backoff::default().wait(2).as_secs_f64()).collect();
        let mean = waits.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.012, "{mean}");
        assert!(waits.iter().any(|w| *w < 0.01) && waits.iter().any(|w| *w > 0.99));
    }
}
