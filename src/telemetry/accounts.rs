//! Metrics of who is let in, what limits refuse, what is spent, and how usage records fare on their way to the store.
//!
//! Labels are closed sets and configured models; never a tenant: what a tenant used is asked of the ledger, with permission.
//! Refusals look their series up, which allocates; a request that is let in touches nothing here.

use super::family::{Family, Shape};
use prometheus::{Error, IntCounter, IntGauge, Registry};

const REFUSED_CREDENTIALS: Shape = Shape {
    name: "cirque_auth_failures_total",
    help: "Requests whose credential was refused, by why: missing, malformed, unknown (or revoked), ambiguous, token.",
    labels: &["reason"],
    buckets: &[],
};
const DENIED: Shape = Shape {
    name: "cirque_access_denied_total",
    help: "Requests of known callers that may not do this, by the kind of the block that forbids it.",
    labels: &["scope"],
    buckets: &[],
};
const LIMITED: Shape = Shape {
    name: "cirque_limit_refusals_total",
    help: "Requests refused with 429, by the kind of the scope and what its limit counts.",
    labels: &["scope", "measure"],
    buckets: &[],
};
const DOWNGRADED: Shape = Shape {
    name: "cirque_budget_downgrades_total",
    help: "Requests sent to a cheaper model because a budget was used up.",
    labels: &["from", "to"],
    buckets: &[],
};
const ALERTS: Shape = Shape {
    name: "cirque_budget_alerts_total",
    help: "Budgets that reached a share they alert at, or will by forecast, by the kind of the scope; once in each window.",
    labels: &["scope", "kind"],
    buckets: &[],
};
const SENT: Shape = Shape {
    name: "cirque_alerts_total",
    help: "Alerts for the webhook: sent, failed (given up), lost (too many waited), repeated (said already).",
    labels: &["kind", "result"],
    buckets: &[],
};
const UNPRICED: Shape = Shape {
    name: "cirque_unpriced_requests_total",
    help: "Answered requests whose cost is not known because their model has no price.",
    labels: &["model"],
    buckets: &[],
};
const RECORDS: Shape = Shape {
    name: "cirque_usage_records_total",
    help: "Usage records by what became of them: stored, lost (nowhere to keep them), rejected (the store refuses them), corrupt (damaged on disk).",
    labels: &["result"],
    buckets: &[],
};

/// Every family of this file.
pub struct AccountMeters {
    credentials: Family<IntCounter>,
    denied: Family<IntCounter>,
    limited: Family<IntCounter>,
    downgraded: Family<IntCounter>,
    alerts: Family<IntCounter>,
    sent: Family<IntCounter>,
    unpriced: Family<IntCounter>,
    records: Family<IntCounter>,
    /// Usage records that wait for the store.
    pub records_waiting: IntGauge,
    /// Bytes of the spool.
    pub spool_bytes: IntGauge,
    /// Age in seconds of the oldest record that waits.
    pub spool_age: IntGauge,
    /// 1 while records can be kept, 0 while they are lost or requests refused because of it.
    pub records_kept: IntGauge,
    /// 1 while the store answers.
    pub store_up: IntGauge,
    /// 1 while Redis answers.
    pub exchange_up: IntGauge,
    /// Instances that share limits.
    pub instances: IntGauge,
    /// Virtual keys that are known.
    pub keys: IntGauge,
}

impl AccountMeters {
    /// Register them. Gauges appear when they are set first.
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, Error>(gauge)
        };
        Ok(Self {
            credentials: Family::new(registry, REFUSED_CREDENTIALS)?,
            denied: Family::new(registry, DENIED)?,
            limited: Family::new(registry, LIMITED)?,
            downgraded: Family::new(registry, DOWNGRADED)?,
            alerts: Family::new(registry, ALERTS)?,
            sent: Family::new(registry, SENT)?,
            unpriced: Family::new(registry, UNPRICED)?,
            records: Family::new(registry, RECORDS)?,
            records_waiting: gauge("cirque_usage_records_waiting", "Usage records that wait for the store.")?,
            spool_bytes: gauge(
                "cirque_usage_spool_bytes",
                "Bytes of usage records on disk that wait for the store.",
            )?,
            spool_age: gauge(
                "cirque_usage_spool_age_seconds",
                "Age of the oldest usage record that waits for the store.",
            )?,
            records_kept: gauge(
                "cirque_usage_records_kept",
                "1 while usage records can be kept; 0: they are lost, or requests refused (ledger.on_full).",
            )?,
            store_up: gauge(
                "cirque_store_up",
                "1 while the store answers; 0 too when there is none.",
            )?,
            exchange_up: gauge("cirque_redis_up", "1 while Redis answers; 0 too when there is none.")?,
            instances: gauge(
                "cirque_instances",
                "Instances that share limits through Redis; 0 when there is none.",
            )?,
            keys: gauge("cirque_virtual_keys", "Virtual keys that are known.")?,
        })
    }

    /// A credential was refused.
    pub fn credential_refused(&self, reason: &'static str) {
        self.credentials.get(&[reason]).inc();
    }

    /// A caller may not do this.
    pub fn denied(&self, scope: &'static str) {
        self.denied.get(&[scope]).inc();
    }

    /// A limit or budget refused.
    pub fn limited(&self, scope: &'static str, measure: &'static str) {
        self.limited.get(&[scope, measure]).inc();
    }

    /// A request goes to a cheaper model.
    pub fn downgraded(&self, from: &str, to: &str) {
        self.downgraded.get(&[from, to]).inc();
    }

    /// A budget alerts: `share` or `forecast`.
    pub fn alerted(&self, scope: &'static str, kind: &'static str) {
        self.alerts.get(&[scope, kind]).inc();
    }

    /// What became of an alert for the webhook.
    pub fn alert_sent(&self, kind: &'static str, result: &'static str) {
        self.sent.get(&[kind, result]).inc();
    }

    /// An answer whose cost is not known.
    pub fn unpriced(&self, model: &str) {
        self.unpriced.get(&[model]).inc();
    }

    /// So many more records met this fate.
    pub fn records(&self, result: &'static str, more: u64) {
        if more > 0 {
            self.records.get(&[result]).inc_by(more);
        }
    }

    /// Drop the series of models that the configuration no longer names.
    pub(super) fn retain(&self, model: &dyn Fn(&str) -> bool) {
        let first = |values: &[String]| values.first().is_none_or(|value| model(value));
        self.unpriced.retain(first);
        self.downgraded.retain(first);
    }
}
