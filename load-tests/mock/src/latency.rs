//! When to answer: latency distributions and rate-limit windows, as written on the command line.
//!
//! Both are sampled per request; neither knows about sockets.

use std::str::FromStr;
use std::time::Duration;

use rand::Rng;

/// Time to first byte. All figures in milliseconds, σ of the lognormal without unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    Fixed(f64),
    Uniform { from: f64, to: f64 },
    Lognormal { median: f64, sigma: f64 },
    Bimodal { fast: f64, slow: f64, share: f64 },
}

impl Latency {
    pub fn sample(&self) -> Duration {
        let mut rng = rand::rng();
        let ms = match *self {
            Self::Fixed(ms) => ms,
            Self::Uniform { from, to } => from + (to - from) * rng.random::<f64>(),
            Self::Lognormal { median, sigma } => {
                // Box-Muller; 1 - u keeps the logarithm away from zero.
                let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
                median * (sigma * normal).exp()
            }
            Self::Bimodal { fast, slow, share } => {
                if rng.random::<f64>() < share {
                    slow
                } else {
                    fast
                }
            }
        };
        // One minute bounds the tail of the lognormal.
        Duration::from_secs_f64(ms.clamp(0.0, 60_000.0) / 1000.0)
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let figures = parts
            .map(|part| part.parse::<f64>().map_err(|e| format!("{part}: {e}")))
            .collect::<Result<Vec<_>, _>>()?;
        match (kind, figures.as_slice()) {
            ("fixed", &[ms]) => Ok(Self::Fixed(ms)),
            ("uniform", &[from, to]) if from <= to => Ok(Self::Uniform { from, to }),
            ("lognormal", &[median, sigma]) => Ok(Self::Lognormal { median, sigma }),
            ("bimodal", &[fast, slow, share]) => Ok(Self::Bimodal { fast, slow, share }),
            _ => {
                Err("expected fixed:MS, uniform:FROM:TO, lognormal:MEDIAN:SIGMA or bimodal:FAST:SLOW:SHARE".to_owned())
            }
        }
    }
}

/// In every `period` the last `limited` are answered 429.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    period: Duration,
    limited: Duration,
}

impl Window {
    /// What is left of the limited part at `elapsed` since the start, or `None` when requests are let through.
    pub fn remaining(&self, elapsed: Duration) -> Option<Duration> {
        let into =
            Duration::from_millis(u64::try_from(elapsed.as_millis() % self.period.as_millis().max(1)).unwrap_or(0));
        (into >= self.period.saturating_sub(self.limited)).then(|| self.period.saturating_sub(into))
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected PERIOD:LIMITED in ms, LIMITED below PERIOD".to_owned();
        let (period, limited) = text.split_once(':').ok_or_else(wrong)?;
        let ms = |part: &str| part.parse().map(Duration::from_millis).map_err(|_| wrong());
        let window = Self {
            period: ms(period)?,
            limited: ms(limited)?,
        };
        if window.limited < window.period {
            Ok(window)
        } else {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_parse_and_stay_in_range() {
        let uniform: Latency = "uniform:10:20".parse().unwrap();
        for _ in 0..1000 {
            let ms = uniform.sample().as_secs_f64() * 1000.0;
            assert!((10.0..=20.0).contains(&ms));
        }
        assert_eq!("fixed:5".parse(), Ok(Latency::Fixed(5.0)));
        assert!("fixed".parse::<Latency>().is_err());
        assert!("uniform:3:1".parse::<Latency>().is_err());
        assert!("lognormal:a:b".parse::<Latency>().is_err());
    }

    #[test]
    fn the_median_of_a_lognormal_is_its_median() {
        let latency: Latency = "lognormal:100:0.5".parse().unwrap();
        let mut all: Vec<_> = (0..4001).map(|_| latency.sample()).collect();
        all.sort();
        let median = all[2000].as_secs_f64() * 1000.0;
        assert!((90.0..110.0).contains(&median), "{median}");
    }

    #[test]
    fn a_window_limits_the_end_of_each_period() {
        let window: Window = "1000:300".parse().unwrap();
        let at = |ms| window.remaining(Duration::from_millis(ms));
        assert_eq!(at(0), None);
        assert_eq!(at(699), None);
        assert_eq!(at(700), Some(Duration::from_millis(300)));
        assert_eq!(at(1900), Some(Duration::from_millis(100)));
        assert!("100:100".parse::<Window>().is_err());
    }
}
