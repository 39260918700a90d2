//! How long a target takes to answer: a moving average that jumps up at once and comes down slowly, to choose by; and
//! quantiles of recent answers (`quantile.rs`), to hedge by. Neither is kept where no pool measures.
//!
//! Peak EWMA: a sample above the average becomes the average; one below pulls it down with the weight `1 - e^(-Δt/τ)`,
//! τ being [`DECAY`]. So a target that turns slow is avoided after one answer, and one that recovered is trusted
//! gradually. Between samples the average fades by the same factor: a slow target is asked again now and then, and so
//! its recovery is noticed; after [`FORGOTTEN`] it counts as unknown. Time to the first token of streams and time
//! to the end of whole answers are two averages: they differ by an order of magnitude.
//!
//! Source: Twitter Finagle, `com.twitter.finagle.loadbalancer.PeakEwma`; tower `load/peak_ewma.rs`; both read 2026-11.
//! Unlike there, failures count as slow answers (else a target that refuses within a millisecond draws all traffic).
//!
//! An average and its time are packed in one atomic: reading is a load, a sample one compare-and-swap.

pub use super::quantile::Quantiles;

use super::quantile::Histogram;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time constant τ: an average without new samples falls to 37 % in this time. Finagle's and linkerd's default.
pub const DECAY: Duration = Duration::from_secs(10);
/// An average this old says nothing any more.
pub const FORGOTTEN: Duration = Duration::from_secs(60);
/// A failure counts as an answer that took at least this long, and at least twice the average,
pub const FAILURE: Duration = Duration::from_secs(5);
/// but not longer than this, unless it really took longer.
pub const FAILURE_AT_MOST: Duration = Duration::from_secs(60);

/// The clock's step. In 32 bits it wraps after 497 days; then an average that old would seem new for a minute.
const TICK_MILLISECONDS: u128 = 10;

/// The averages and quantiles of one target.
#[derive(Debug)]
pub struct Latency {
    born: Instant,
    first: Kind,
    whole: Kind,
}

#[derive(Debug, Default)]
struct Kind {
    average: Average,
    /// Made by the first answer: most targets are never measured, or answer in one of the two ways only.
    recent: OnceLock<Box<Histogram>>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            first: Kind::default(),
            whole: Kind::default(),
        }
    }
}

impl Latency {
    /// Seconds to the first token (`stream`) or the whole answer; `None` when unknown. Always above 0.
    pub fn seconds(&self, stream: bool, now: Instant) -> Option<f32> {
        self.of(stream).average.read(self.tick(now))
    }

    /// The time within which this share of the last few hundred answers came, to within 5 %; `None` below 20 answers. 0.5
    /// and 0.95 are one load, and up to 16 answers old; others add up all buckets.
    pub fn quantile(&self, stream: bool, share: f64) -> Option<Duration> {
        let recent = self.of(stream).recent.get()?;
        if share == 0.95 {
            recent.quantiles().p95
        } else if share == 0.5 {
            recent.quantiles().p50
        } else {
            recent.quantile(share)
        }
    }

    /// For showing.
    pub fn quantiles(&self, stream: bool) -> Quantiles {
        self.of(stream)
            .recent
            .get()
            .map_or_else(Quantiles::default, |recent| recent.quantiles())
    }

    /// An answer took so long.
    pub fn answered(&self, stream: bool, took: Duration, now: Instant) {
        let kind = self.of(stream);
        kind.average.add(took.as_secs_f32(), self.tick(now));
        kind.recent.get_or_init(Box::default).add(took.as_secs_f32());
    }

    /// It failed, after so long.
    pub fn failed(&self, stream: bool, after: Duration, now: Instant) {
        let (average, tick) = (&self.of(stream).average, self.tick(now));
        let twice = average.read(tick).unwrap_or(0.0) * 2.0;
        let penalty = twice.clamp(FAILURE.as_secs_f32(), FAILURE_AT_MOST.as_secs_f32());
        average.add(after.as_secs_f32().max(penalty), tick);
    }

    /// Nobody waited any longer: it would have taken at least so long. Counts only if that is more than was thought. Among
    /// the quantiles it counts beyond the 95th percentile: were the hedged answers that lost left out, the percentile
    /// would fall with every hedge, and more and more be hedged.
    pub fn not_within(&self, stream: bool, waited: Duration, now: Instant) {
        let (kind, tick) = (self.of(stream), self.tick(now));
        if let Some(recent) = kind.recent.get() {
            recent.add_unfinished(waited.as_secs_f32());
        }
        let average = &kind.average;
        let waited = waited.as_secs_f32();
        if average.read(tick).is_some_and(|seconds| waited > seconds) {
            average.add(waited, tick);
        }
    }

    fn of(&self, stream: bool) -> &Kind {
        if stream { &self.first } else { &self.whole }
    }

    fn tick(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.born).as_millis() / TICK_MILLISECONDS) as u32
    }
}

/// High half: seconds as an `f32`, 0 = no sample yet. Low half: the tick of the last sample.
#[derive(Debug, Default)]
struct Average(AtomicU64);

impl Average {
    fn read(&self, tick: u32) -> Option<f32> {
        let (seconds, at) = unpack(self.0.load(Ordering::Relaxed));
        let kept = kept(at, tick).filter(|_| seconds > 0.0)?;
        Some(seconds * kept)
    }

    fn add(&self, sample: f32, tick: u32) {
        // 0 means no sample, and a product with 0 would hide the load.
        let sample = sample.max(1e-6);
        let next = |packed| {
            let (seconds, at) = unpack(packed);
            let next = match kept(at, tick) {
                Some(kept) if sample < seconds => seconds * kept + sample * (1.0 - kept),
                _ => sample,
            };
            // A late sample must not set the clock back.
            let late = seconds > 0.0 && kept(at, tick).is_some() && (tick.wrapping_sub(at) as i32) < 0;
            let tick = if late { at } else { tick };
            Some(u64::from(next.to_bits()) << 32 | u64::from(tick))
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}

/// The share of an average of tick `at` that is left at `tick`; `None` when it is forgotten.
fn kept(at: u32, tick: u32) -> Option<f32> {
    let age = tick.wrapping_sub(at) as i32 as f32 * (TICK_MILLISECONDS as f32 / 1000.0);
    // Threads read the clock in one order and come here in another: a little before is now. Long before: it wrapped.
    (age.abs() < FORGOTTEN.as_secs_f32()).then(|| (-age.max(0.0) / DECAY.as_secs_f32()).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(latency: &Latency, now: Instant) -> f32 {
        latency.seconds(true, now).unwrap()
    }

    #[test]
    fn it_jumps_up_and_comes_down_slowly() {
        let (latency, start) = (Latency::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(latency.seconds(true, start), None);
        latency.answered(true, Duration::from_millis(100), at(0));
        latency.answered(true, Duration::from_secs(4), at(0));
        assert!((seconds(&latency, at(0)) - 4.0).abs() < 0.01);
        latency.answered(true, Duration::from_millis(100), at(10));
        // 4 × 0.368 + 0.1 × 0.632
        assert!((seconds(&latency, at(10)) - 1.535).abs() < 0.01);
        assert!((seconds(&latency, at(20)) - 0.565).abs() < 0.01, "fades unasked");
        assert_eq!(latency.seconds(true, at(71)), None, "forgotten");
        assert_eq!(
            latency.seconds(false, at(10)),
            None,
            "whole answers are another average"
        );
    }

    #[test]
    fn failures_count_as_slow_and_ever_slower_answers() {
        let (latency, start) = (Latency::default(), Instant::now());
        latency.answered(true, Duration::from_millis(300), start);
        let mut seen = Vec::new();
        for _ in 0..6 {
            latency.failed(true, Duration::from_millis(1), start);
            seen.push(seconds(&latency, start).round());
        }
        assert_eq!(seen, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]);
        latency.failed(true, Duration::from_secs(90), start);
        assert!(
            (seconds(&latency, start) - 90.0).abs() < 0.01,
            "a timeout counts in full"
        );
    }

    #[test]
    fn giving_up_is_a_lower_bound() {
        let (latency, start) = (Latency::default(), Instant::now());
        latency.not_within(true, Duration::from_secs(3), start);
        assert_eq!(latency.seconds(true, start), None, "no answer was ever seen");
        latency.answered(true, Duration::from_secs(2), start);
        latency.not_within(true, Duration::from_secs(1), start);
        assert!((seconds(&latency, start) - 2.0).abs() < 0.01);
        latency.not_within(true, Duration::from_secs(3), start);
        assert!((seconds(&latency, start) - 3.0).abs() < 0.01);
    }

    #[test]
    fn lost_hedges_do_not_pull_the_percentile_down() {
        let (latency, start) = (Latency::default(), Instant::now());
        let answered = |milliseconds| latency.answered(true, Duration::from_millis(milliseconds), start);
        (0..200).for_each(|n| answered(if n % 10 == 0 { 2_000 } else { 100 }));
        let before = latency.quantile(true, 0.95).unwrap();
        for n in 0..5_000 {
            if n % 10 == 0 {
                latency.not_within(true, before + Duration::from_millis(150), start);
            } else {
                answered(100);
            }
        }
        let after = latency.quantile(true, 0.95).unwrap();
        assert!(after >= before, "{after:?}, was {before:?}");
        latency.not_within(true, Duration::from_millis(1), start);
        assert_eq!(latency.quantile(false, 0.5), None, "whole answers are told apart");
    }

    #[test]
    fn clocks_out_of_order_change_nothing() {
        let (latency, start) = (Latency::default(), Instant::now());
        let later = start + Duration::from_secs(5);
        latency.answered(true, Duration::from_secs(2), later);
        latency.answered(true, Duration::from_secs(1), start);
        assert!((seconds(&latency, later) - 2.0).abs() < 0.01);
        assert!((seconds(&latency, start) - 2.0).abs() < 0.01);
    }
}
