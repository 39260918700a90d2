//! Turns per second of late: events that fade with their age (τ = 10 s), on a clock that is handed in.

use std::time::{Duration, Instant};

/// An event counts 1/e after this time.
const FADE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Σ exp(−age ÷ τ) at `last`.
    sum: f64,
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Rate {
    pub(super) fn note(&mut self, now: Instant) {
        self.sum = self.faded(now) + 1.0;
        self.since.get_or_insert(now);
        // A clock read before another's is no step back.
        self.last = self.last.max(Some(now));
    }

    /// Per second; `None` before the first event.
    pub(super) fn per_second(&self, now: Instant) -> Option<f64> {
        let age = now.saturating_duration_since(self.since?).as_secs_f64();
        let fade = FADE.as_secs_f64();
        // What the sum had time to collect; at least a second's worth, so that the first events are no flood.
        let span = fade * (1.0 - (-age.max(1.0) / fade).exp());
        Some(self.faded(now) / span)
    }

    fn faded(&self, now: Instant) -> f64 {
        let age = self
            .last
            .map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.sum * (-age.as_secs_f64() / FADE.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rate_and_fades() {
        let start = Instant::now();
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(start), None);
        let at = |ms| start + Duration::from_millis(ms);
        (0..1000).for_each(|i| rate.note(at(i * 50)));
        let now = rate.per_second(at(50_000)).unwrap();
        assert!((19.0..21.0).contains(&now), "{now}");
        (0..100).for_each(|i| rate.note(at(50_000 + i * 500)));
        let now = rate.per_second(at(100_000)).unwrap();
        assert!((1.8..2.4).contains(&now), "{now}");
        assert!(rate.per_second(at(400_000)).unwrap() < 1e-9);
        // Not monotonic readings do no harm.
        rate.note(start);
        assert!(rate.per_second(start).unwrap().is_finite());
    }
}
