//! A metric family whose series are made on first use and dropped when the configuration no longer names them.
//!
//! Not `prometheus::MetricVec`: release 0.14 finds a child by hashing the concatenated label values, so that
//! `{model="ab",provider="c"}` and `{model="a",provider="bc"}` are one series. Here every series is its own registered
//! metric with constant labels, found by comparing the values. A lookup allocates; the request path keeps the handles it
//! gets and does not look up again.

use prometheus::core::Collector;
use prometheus::{Counter, Error, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// What a family is called and how its series are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Metric name, with the `cirque_` prefix and the unit suffix.
    pub name: &'static str,
    /// One sentence for the `# HELP` line.
    pub help: &'static str,
    /// Label names, in the order in which [`Family::get`] takes their values.
    pub labels: &'static [&'static str],
    /// Upper bounds in ascending order; empty for counters and gauges.
    pub buckets: &'static [f64],
}

/// A metric kind that a family can be made of.
pub(super) trait Kind: Collector + Clone + 'static {
    /// One series with these constant labels, not registered yet.
    fn build(shape: &Shape, labels: HashMap<String, String>) -> Result<Self, Error>;
}

impl Kind for IntCounter {
    fn build(shape: &Shape, labels: HashMap<String, String>) -> Result<Self, Error> {
        Self::with_opts(Opts::new(shape.name, shape.help).const_labels(labels))
    }
}

impl Kind for Counter {
    fn build(shape: &Shape, labels: HashMap<String, String>) -> Result<Self, Error> {
        Self::with_opts(Opts::new(shape.name, shape.help).const_labels(labels))
    }
}

impl Kind for IntGauge {
    fn build(shape: &Shape, labels: HashMap<String, String>) -> Result<Self, Error> {
        Self::with_opts(Opts::new(shape.name, shape.help).const_labels(labels))
    }
}

impl Kind for Histogram {
    fn build(shape: &Shape, labels: HashMap<String, String>) -> Result<Self, Error> {
        Self::with_opts(
            HistogramOpts::new(shape.name, shape.help)
                .const_labels(labels)
                .buckets(shape.buckets.to_vec()),
        )
    }
}

/// All series of one metric name.
pub(super) struct Family<M> {
    shape: Shape,
    registry: Registry,
    /// Handed out, unexported, should a series be impossible to build: counting must never fail a request.
    spare: M,
    series: RwLock<HashMap<Vec<String>, M>>,
}

impl<M: Kind> Family<M> {
    /// An empty family. Fails when the shape itself is wrong (bad name, unsorted buckets).
    pub fn new(registry: &Registry, shape: Shape) -> Result<Self, Error> {
        let blank = vec![""; shape.labels.len()];
        let spare = M::build(&shape, pairs(shape.labels, &blank))?;
        Ok(Self {
            shape,
            registry: registry.clone(),
            spare,
            series: RwLock::default(),
        })
    }

    /// The series with these label values, in the order of [`Shape::labels`].
    pub fn get(&self, values: &[&str]) -> M {
        let key: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(metric) = known.get(&key) {
            return metric.clone();
        }
        drop(known);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(metric) = series.get(&key) {
            return metric.clone();
        }
        let Ok(metric) = M::build(&self.shape, pairs(self.shape.labels, values)) else {
            return self.spare.clone();
        };
        if self.registry.register(Box::new(metric.clone())).is_err() {
            return self.spare.clone();
        }
        series.insert(key, metric.clone());
        metric
    }

    /// Drop every series whose label values `keep` refuses. Handles still held go on counting, unseen.
    pub fn retain(&self, keep: impl Fn(&[String]) -> bool) {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.retain(|values, metric| {
            let kept = keep(values);
            if !kept {
                // Fails only for a series that was never registered, which is what is wanted.
                let _ = self.registry.unregister(Box::new(metric.clone()));
            }
            kept
        });
    }
}

fn pairs(names: &[&str], values: &[&str]) -> HashMap<String, String> {
    names
        .iter()
        .zip(values)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        name: "cirque_test_total",
        help: "Test.",
        labels: &["model", "provider"],
        buckets: &[],
    };

    #[test]
    fn values_that_concatenate_to_the_same_text_are_different_series() {
        let registry = Registry::new();
        let family: Family<IntCounter> = Family::new(&registry, SHAPE).unwrap();
        family.get(&["ab", "c"]).inc();
        family.get(&["a", "bc"]).inc_by(5);
        assert_eq!(family.get(&["ab", "c"]).get(), 1);
        assert_eq!(family.get(&["a", "bc"]).get(), 5);
        assert_eq!(registry.gather()[0].get_metric().len(), 2);
    }

    #[test]
    fn a_dropped_series_leaves_the_output_and_may_come_back_at_zero() {
        let registry = Registry::new();
        let family: Family<IntCounter> = Family::new(&registry, SHAPE).unwrap();
        let held = family.get(&["old", "p"]);
        held.inc();
        family.get(&["new", "p"]).inc();
        family.retain(|values| values[0] == "new");
        held.inc();
        assert_eq!(registry.gather()[0].get_metric().len(), 1);
        assert_eq!(family.get(&["old", "p"]).get(), 0);
        assert_eq!(registry.gather()[0].get_metric().len(), 2);
    }

    #[test]
    fn a_wrong_shape_is_refused() {
        let bad = Shape {
            name: "not a name",
            ..SHAPE
        };
        assert!(Family::<IntCounter>::new(&Registry::new(), bad).is_err());
    }
}
