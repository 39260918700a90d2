//! Metrics of guardrails: how often each found something, which way it went and what followed.
//!
//! Labels are configured names and closed sets; what was found, and whose it was, is in no metric. Requests in which nothing was found
//! count nothing.

use super::family::{Family, Shape};
use prometheus::{Error, IntCounter, Registry};

const VERDICTS: Shape = Shape {
    name: "cirque_guardrail_verdicts_total",
    help: "Requests (direction input) and answers (output) in which a guardrail found something, by what followed: flag, redact, block.",
    labels: &["guardrail", "direction", "action"],
    buckets: &[],
};
const FINDINGS: Shape = Shape {
    name: "cirque_guardrail_findings_total",
    help: "What guardrails found, by kind (EMAIL, AWS_ACCESS_KEY, KEYWORD, …).",
    labels: &["guardrail", "kind"],
    buckets: &[],
};

/// Metrics of guardrails.
pub struct GuardrailMeters {
    verdicts: Family<IntCounter>,
    findings: Family<IntCounter>,
}

impl GuardrailMeters {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            verdicts: Family::new(registry, VERDICTS)?,
            findings: Family::new(registry, FINDINGS)?,
        })
    }

    /// A guardrail found something in a request or an answer: so many of each kind.
    pub fn verdict(
        &self,
        guardrail: &str,
        direction: &'static str,
        action: &'static str,
        found: impl Iterator<Item = (&'static str, u32)>,
    ) {
        self.verdicts.get(&[guardrail, direction, action]).inc();
        for (kind, count) in found {
            self.findings.get(&[guardrail, kind]).inc_by(count.into());
        }
    }

    /// Drop the series of guardrails that the configuration no longer names.
    pub fn retain(&self, guardrail: &dyn Fn(&str) -> bool) {
        let named = |values: &[String]| values.first().is_none_or(|value| guardrail(value));
        self.verdicts.retain(named);
        self.findings.retain(named);
    }
}
