//! What share of a target's recent answers came within which time: a histogram that forgets.
//!
//! Buckets are log-spaced, eight to an octave, and a value is told as the middle of its bucket: within 4.5 %. When
//! [`FULL`] answers are counted all counts are halved, so that the last few hundred decide. Counts are 16-bit atomics: an
//! answer is two adds, and every [`EVERY`]th recomputes what is asked for per request. Threads that meet while halving may
//! miscount by the odd answer; no count can run below zero.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

/// The end of the lowest bucket, in seconds.
const LEAST: f32 = 0.0001;
const PER_OCTAVE: f32 = 8.0;
/// 23 octaves: up to 838 s; the last bucket takes what is longer.
const BUCKETS: usize = 23 * 8 + 1;
/// Answers at which all are halved.
const FULL: u32 = 400;
/// Fewer say nothing about a share of 5 %.
const ENOUGH: u32 = 20;
const EVERY: u32 = 16;

/// Half of the answers, and all but a twentieth, came within these times; `None` below 20 answers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quantiles {
    /// The median.
    pub p50: Option<Duration>,
    /// The 95th percentile.
    pub p95: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Histogram {
    counts: [AtomicU16; BUCKETS],
    total: AtomicU32,
    halving: AtomicBool,
    /// Seconds as `f32`; 0: unknown.
    p50: AtomicU32,
    p95: AtomicU32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU16::new(0) }; BUCKETS],
            total: AtomicU32::new(0),
            halving: AtomicBool::new(false),
            p50: AtomicU32::new(0),
            p95: AtomicU32::new(0),
        }
    }
}

impl Histogram {
    pub(super) fn add(&self, seconds: f32) {
        let Some(count) = self.counts.get(bucket(seconds)) else {
            return;
        };
        // Cannot overflow: a count is at most the total, which is halved long before.
        count.fetch_add(1, Ordering::Relaxed);
        let total = self.total.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if total >= FULL {
            self.halve();
        }
        if total >= ENOUGH && (total.is_multiple_of(EVERY) || total == ENOUGH) {
            self.p50.store(self.seconds(0.50).to_bits(), Ordering::Relaxed);
            self.p95.store(self.seconds(0.95).to_bits(), Ordering::Relaxed);
        }
    }

    /// An answer that nobody waited for any longer. Only what passed the 95th percentile says something, namely that it
    /// belongs above it; short of it by a bucket counts too, for the percentile has moved meanwhile.
    pub(super) fn add_unfinished(&self, waited: f32) {
        let p95 = f32::from_bits(self.p95.load(Ordering::Relaxed));
        if p95 > 0.0 && bucket(waited) + 1 >= bucket(p95) {
            self.add(waited.max(p95));
        }
    }

    /// As of the last few answers: no walk.
    pub(super) fn quantiles(&self) -> Quantiles {
        let read = |cached: &AtomicU32| known(f32::from_bits(cached.load(Ordering::Relaxed)));
        Quantiles {
            p50: read(&self.p50),
            p95: read(&self.p95),
        }
    }

    /// Any share, up to date; walks all buckets.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let enough = self.total.load(Ordering::Relaxed) >= ENOUGH;
        enough.then(|| self.seconds(share)).and_then(known)
    }

    fn seconds(&self, share: f64) -> f32 {
        let counts = || self.counts.iter().map(|count| u32::from(count.load(Ordering::Relaxed)));
        let total: u32 = counts().sum();
        let rank = (f64::from(total) * share.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut below = 0;
        let found = counts().position(|count| {
            below += count;
            f64::from(below) >= rank
        });
        found.map_or(0.0, middle)
    }

    /// Half of everything, rounded so that the *sums* from below are halved: shares stay right where single answers are
    /// spread over many buckets, as in a tail. The first remainder is drawn, else a lone longest answer stayed for ever.
    fn halve(&self) {
        if self.halving.swap(true, Ordering::Acquire) {
            return;
        }
        let (mut carried, mut kept) = (u16::from(fastrand::bool()), 0u32);
        for count in &self.counts {
            let before = count.load(Ordering::Relaxed);
            let keep = (before + carried) / 2;
            carried = (before + carried) % 2;
            // What others add meanwhile stays.
            count.fetch_sub(before - keep, Ordering::Relaxed);
            kept += u32::from(keep);
        }
        self.total.store(kept, Ordering::Relaxed);
        self.halving.store(false, Ordering::Release);
    }
}

fn known(seconds: f32) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::from_secs_f32(seconds))
}

fn bucket(seconds: f32) -> usize {
    let octaves = (seconds / LEAST).log2() * PER_OCTAVE;
    // Not a number and below the least: 0, by the cast.
    ((octaves + 1.0) as usize).min(BUCKETS - 1)
}

/// Of a bucket's bounds in logarithm.
fn middle(bucket: usize) -> f32 {
    LEAST * ((bucket as f32 - 0.5) / PER_OCTAVE).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(histogram: &Histogram, share: f64) -> f64 {
        histogram.quantile(share).unwrap().as_secs_f64()
    }

    #[test]
    fn every_time_is_told_within_a_twentieth() {
        let mut time = 0.000_1f32;
        while time < 800.0 {
            let told = middle(bucket(time));
            assert!((told / time - 1.0).abs() < 0.05, "{time} as {told}");
            time *= 1.003;
        }
        for odd in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e30] {
            assert!(bucket(odd) < BUCKETS);
            Histogram::default().add(odd);
        }
    }

    #[test]
    fn quantiles_of_known_distributions_are_within_a_tenth() {
        // Evenly spread times, in an order that mixes them; far more than are remembered.
        for (least, most) in [(0.1, 0.2), (0.05, 5.0), (1.0, 100.0)] {
            let histogram = Histogram::default();
            for n in 0..20_000u32 {
                let place = f64::from(n) * 0.618_033_988_749_895 % 1.0;
                histogram.add((least + (most - least) * place) as f32);
            }
            for share in [0.5, 0.9, 0.95] {
                let due = least + (most - least) * share;
                let told = seconds(&histogram, share);
                assert!(
                    (told / due - 1.0).abs() < 0.1,
                    "{least}..{most} at {share}: {told} for {due}"
                );
            }
            let cached = histogram.quantiles().p95.unwrap().as_secs_f64();
            assert!((cached / (least + (most - least) * 0.95) - 1.0).abs() < 0.1);
        }
    }

    #[test]
    fn the_last_few_hundred_decide_in_both_directions() {
        let histogram = Histogram::default();
        let add = |seconds: f32, times: u32| (0..times).for_each(|_| histogram.add(seconds));
        add(0.2, 1000);
        add(3.0, 40);
        assert!(
            histogram.quantiles().p95.unwrap() > Duration::from_secs(2),
            "slow is seen at once"
        );
        add(3.0, 1000);
        add(0.2, 1000);
        assert!(
            histogram.quantiles().p95.unwrap() < Duration::from_millis(250),
            "and forgotten in time"
        );
    }

    #[test]
    fn a_thin_tail_over_many_buckets_survives_the_halvings() {
        fastrand::seed(3);
        let histogram = Histogram::default();
        for n in 0..10_000u32 {
            // A tenth between 1 and 100 s, hardly two in one bucket.
            let tail = n % 10 == 0;
            histogram.add(if tail { 10f32.powf(2.0 * fastrand::f32()) } else { 0.1 });
        }
        assert!(histogram.quantile(0.86).unwrap() < Duration::from_millis(110));
        // Sum kept, not rounded away: the tail begins at 90 %.
        assert!(histogram.quantile(0.94).unwrap() > Duration::from_secs(1));
    }

    #[test]
    fn few_answers_say_nothing() {
        let histogram = Histogram::default();
        for _ in 0..19 {
            histogram.add(1.0);
        }
        assert_eq!((histogram.quantiles().p95, histogram.quantile(0.5)), (None, None));
        histogram.add(1.0);
        assert!(histogram.quantiles().p95.is_some() && histogram.quantiles().p50.is_some());
    }

    #[test]
    fn threads_leave_it_bounded() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50_000).for_each(|_| histogram.add(0.5)));
            }
        });
        let counted: u32 = histogram
            .counts
            .iter()
            .map(|count| u32::from(count.load(Ordering::Relaxed)))
            .sum();
        assert!(counted < 2 * FULL, "{counted}");
        assert!((seconds(&histogram, 0.95) - 0.5).abs() < 0.03);
    }
}
