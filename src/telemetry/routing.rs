//! Metrics of what happens between a request and its answer: calls beyond the first, what each cost, comparisons, waiting.
//!
//! None of it is touched by a request that its first target answers, in a pool that is told to do nothing more. Series are looked
//! up by label here, which allocates, except for the handles ([`ArmMeter`]) that every request of a compared pool uses.

use super::family::{Family, Shape};
use super::route::Purpose;
use crate::units::Usage;
use prometheus::{Error, Histogram, IntCounter, IntGauge, Registry};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// 1 ms to 2 min: a wait for a turn, or for a first token.
const WAIT_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];
const REQUEST_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

const CALLS: Shape = Shape {
    name: "cirque_upstream_extra_calls_total",
    help: "Calls beyond the first of a request, and first ones that did not answer, by why the target was asked.",
    labels: &["target", "purpose"],
    buckets: &[],
};
const TOKENS: Shape = Shape {
    name: "cirque_upstream_extra_tokens_total",
    help: "Tokens of calls that were not a request's only one; of a call that was overtaken, its prompt.",
    labels: &["target", "purpose", "kind"],
    buckets: &[],
};
const ARM_REQUESTS: Shape = Shape {
    name: "cirque_arm_requests_total",
    help: "Requests by the arm of the comparison that answered them.",
    labels: &["model", "arm", "status"],
    buckets: &[],
};
const ARM_DURATION: Shape = Shape {
    name: "cirque_arm_duration_seconds",
    help: "Duration of requests by arm.",
    labels: &["model", "arm"],
    buckets: REQUEST_BUCKETS,
};
const ARM_FIRST: Shape = Shape {
    name: "cirque_arm_time_to_first_token_seconds",
    help: "Time to the first event of streams by arm.",
    labels: &["model", "arm"],
    buckets: REQUEST_BUCKETS,
};
const ARM_TOKENS: Shape = Shape {
    name: "cirque_arm_tokens_total",
    help: "Tokens by arm, as the provider gave them.",
    labels: &["model", "arm", "kind"],
    buckets: &[],
};
const MIRRORED: Shape = Shape {
    name: "cirque_mirror_requests_total",
    help: "Copies of requests: answered on both sides, on one, on neither, or not sent (all slots taken).",
    labels: &["model", "to", "result"],
    buckets: &[],
};
const MIRROR_DURATION: Shape = Shape {
    name: "cirque_mirror_duration_seconds",
    help: "Duration of requests that were mirrored and of their copies, where both were answered.",
    labels: &["model", "to", "side"],
    buckets: REQUEST_BUCKETS,
};
const MIRROR_FIRST: Shape = Shape {
    name: "cirque_mirror_time_to_first_token_seconds",
    help: "The same for the first event of streams.",
    labels: &["model", "to", "side"],
    buckets: REQUEST_BUCKETS,
};
const MIRROR_TOKENS: Shape = Shape {
    name: "cirque_mirror_output_tokens_total",
    help: "Answer tokens of requests that were mirrored and of their copies, where both were answered.",
    labels: &["model", "to", "side"],
    buckets: &[],
};
const HEDGES: Shape = Shape {
    name: "cirque_hedges_total",
    help: "Second calls to slow requests: won (it answered first), lost, failed.",
    labels: &["model", "result"],
    buckets: &[],
};
const SEAMS: Shape = Shape {
    name: "cirque_continuations_total",
    help: "Streams that broke in a pool that continues them, by what became of it: continued, or why not.",
    labels: &["model", "result"],
    buckets: &[],
};
const RULES: Shape = Shape {
    name: "cirque_route_rules_total",
    help: "Requests to which a rule applied.",
    labels: &["rule"],
    buckets: &[],
};
const QUEUED: Shape = Shape {
    name: "cirque_queue_requests_total",
    help: "Requests that had to wait for a target: served, timed_out, refused (line full), shed (displaced), left, vain (no target may be asked any more).",
    labels: &["model", "result"],
    buckets: &[],
};
const QUEUE_WAIT: Shape = Shape {
    name: "cirque_queue_wait_seconds",
    help: "How long requests waited that had to.",
    labels: &["model"],
    buckets: WAIT_BUCKETS,
};
const QUEUE_DEPTH: Shape = Shape {
    name: "cirque_queue_depth",
    help: "Requests waiting now.",
    labels: &["model", "priority"],
    buckets: &[],
};
const QUEUE_POSITION: Shape = Shape {
    name: "cirque_queue_position",
    help: "Place in the line at which requests joined it; 1 is next.",
    labels: &["model"],
    buckets: &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0],
};
const ALONE: Shape = Shape {
    name: "cirque_target_left_alone",
    help: "1 while a target is not asked, whatever its breaker: cooling, quarantined (its provider refuses it this model), isolated.",
    labels: &["target", "reason"],
    buckets: &[],
};
const QUARANTINED: Shape = Shape {
    name: "cirque_credential_quarantined",
    help: "1 while a provider's credential is left alone because the provider refused it.",
    labels: &["provider"],
    buckets: &[],
};

/// Every family of this file.
pub struct RoutingMeters {
    calls: Family<IntCounter>,
    tokens: Family<IntCounter>,
    arms: Arc<Arms>,
    mirrored: Family<IntCounter>,
    mirror_duration: Family<Histogram>,
    mirror_first: Family<Histogram>,
    mirror_tokens: Family<IntCounter>,
    hedges: Family<IntCounter>,
    seams: Family<IntCounter>,
    rules: Family<IntCounter>,
    queued: Family<IntCounter>,
    queue_wait: Family<Histogram>,
    queue_depth: Family<IntGauge>,
    queue_position: Family<Histogram>,
    quarantined: Family<IntGauge>,
    alone: Family<IntGauge>,
}

struct Arms {
    requests: Family<IntCounter>,
    duration: Family<Histogram>,
    first: Family<Histogram>,
    tokens: Family<IntCounter>,
}

/// One side of a mirrored request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Side {
    /// It was answered.
    pub ok: bool,
    /// From its beginning to its end.
    pub duration: Duration,
    /// To the first event, of streams.
    pub ttft: Option<Duration>,
    /// Answer tokens, where known.
    pub output: Option<u64>,
}

impl RoutingMeters {
    /// Register them.
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            calls: Family::new(registry, CALLS)?,
            tokens: Family::new(registry, TOKENS)?,
            arms: Arc::new(Arms {
                requests: Family::new(registry, ARM_REQUESTS)?,
                duration: Family::new(registry, ARM_DURATION)?,
                first: Family::new(registry, ARM_FIRST)?,
                tokens: Family::new(registry, ARM_TOKENS)?,
            }),
            mirrored: Family::new(registry, MIRRORED)?,
            mirror_duration: Family::new(registry, MIRROR_DURATION)?,
            mirror_first: Family::new(registry, MIRROR_FIRST)?,
            mirror_tokens: Family::new(registry, MIRROR_TOKENS)?,
            hedges: Family::new(registry, HEDGES)?,
            seams: Family::new(registry, SEAMS)?,
            rules: Family::new(registry, RULES)?,
            queued: Family::new(registry, QUEUED)?,
            queue_wait: Family::new(registry, QUEUE_WAIT)?,
            queue_depth: Family::new(registry, QUEUE_DEPTH)?,
            queue_position: Family::new(registry, QUEUE_POSITION)?,
            quarantined: Family::new(registry, QUARANTINED)?,
            alone: Family::new(registry, ALONE)?,
        })
    }

    /// A call that was not a request's first and only one, with what it used.
    pub fn call(&self, target: &str, purpose: Purpose, usage: Option<&Usage>) {
        let purpose = purpose.as_str();
        self.calls.get(&[target, purpose]).inc();
        let Some(usage) = usage else { return };
        for (kind, amount) in [("input", usage.input), ("output", usage.output)] {
            if amount > 0 {
                self.tokens.get(&[target, purpose, kind]).inc_by(amount);
            }
        }
    }

    /// The handle of one arm. Resolve it once per snapshot.
    pub fn arm(&self, model: &str, arm: &str) -> ArmMeter {
        ArmMeter(Arc::new(Arm {
            arms: Arc::clone(&self.arms),
            model: model.to_owned(),
            name: arm.into(),
            ok: self.arms.requests.get(&[model, arm, "200"]),
            duration: self.arms.duration.get(&[model, arm]),
            first: self.arms.first.get(&[model, arm]),
            input: self.arms.tokens.get(&[model, arm, "input"]),
            output: self.arms.tokens.get(&[model, arm, "output"]),
        }))
    }

    /// A request was not mirrored.
    pub fn not_mirrored(&self, model: &str, to: &str) {
        self.mirrored.get(&[model, to, "not_sent"]).inc();
    }

    /// Both sides of a mirrored request are over.
    pub fn mirrored(&self, model: &str, to: &str, own: &Side, copy: &Side) {
        let result = match (own.ok, copy.ok) {
            (true, true) => "both",
            (true, false) => "only_own",
            (false, true) => "only_copy",
            (false, false) => "neither",
        };
        self.mirrored.get(&[model, to, result]).inc();
        if result != "both" {
            return;
        }
        for (side, name) in [(own, "own"), (copy, "copy")] {
            let labels = [model, to, name];
            self.mirror_duration.get(&labels).observe(side.duration.as_secs_f64());
            if let Some(ttft) = side.ttft {
                self.mirror_first.get(&labels).observe(ttft.as_secs_f64());
            }
            if let Some(output) = side.output {
                self.mirror_tokens.get(&labels).inc_by(output);
            }
        }
    }

    /// A hedge is over.
    pub fn hedge(&self, model: &str, result: &str) {
        self.hedges.get(&[model, result]).inc();
    }

    /// A stream broke in a pool that continues them.
    pub fn seam(&self, model: &str, result: &str) {
        let short = result
            .trim_start_matches("a ")
            .trim_start_matches("an ")
            .replace(' ', "_");
        self.seams.get(&[model, &short]).inc();
    }

    /// The handle of a rule. Resolve it once per snapshot.
    pub fn rule(&self, rule: &str) -> RuleMeter {
        RuleMeter(self.rules.get(&[rule]))
    }

    /// A request joined a line at this place.
    pub fn joined(&self, model: &str, position: usize) {
        // 0 is its turn at once.
        self.queue_position.get(&[model]).observe(position.max(1) as f64);
    }

    /// A wait is over.
    pub fn waited(&self, model: &str, result: &str, wait: Duration) {
        self.queued.get(&[model, result]).inc();
        if result == "refused" {
            return;
        }
        self.queue_wait.get(&[model]).observe(wait.as_secs_f64());
    }

    /// How many wait now.
    pub fn depth(&self, model: &str, priority: u8, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.queue_depth.get(&[model, &priority.to_string()]).set(waiting);
    }

    /// Whether a target is left alone, and why.
    pub fn alone(&self, target: &str, reason: &str, is: bool) {
        self.alone.get(&[target, reason]).set(i64::from(is));
    }

    /// Whether a provider's credential is left alone.
    pub fn quarantined(&self, provider: &str, is: bool) {
        self.quarantined.get(&[provider]).set(i64::from(is));
    }

    /// Drop the series of providers and rules that the configuration no longer names.
    pub fn retain_named(&self, provider: impl Fn(&str) -> bool, rule: impl Fn(&str) -> bool) {
        let first = |values: &[String], keep: &dyn Fn(&str) -> bool| values.first().is_none_or(|value| keep(value));
        self.quarantined.retain(|values| first(values, &provider));
        self.rules.retain(|values| first(values, &rule));
    }

    /// Drop the series of what the configuration no longer names.
    pub(super) fn retain(&self, model: &dyn Fn(&str) -> bool, target: &dyn Fn(&str) -> bool) {
        let first = |values: &[String], keep: &dyn Fn(&str) -> bool| values.first().is_none_or(|value| keep(value));
        self.calls.retain(|values| first(values, target));
        self.tokens.retain(|values| first(values, target));
        self.arms.requests.retain(|values| first(values, model));
        self.arms.duration.retain(|values| first(values, model));
        self.arms.first.retain(|values| first(values, model));
        self.arms.tokens.retain(|values| first(values, model));
        self.mirrored.retain(|values| first(values, model));
        self.mirror_duration.retain(|values| first(values, model));
        self.mirror_first.retain(|values| first(values, model));
        self.mirror_tokens.retain(|values| first(values, model));
        self.hedges.retain(|values| first(values, model));
        self.seams.retain(|values| first(values, model));
        self.queued.retain(|values| first(values, model));
        self.queue_wait.retain(|values| first(values, model));
        self.queue_depth.retain(|values| first(values, model));
        self.queue_position.retain(|values| first(values, model));
        self.alone.retain(|values| first(values, target));
    }
}

/// Counts the requests that one rule applies to.
#[derive(Debug, Clone)]
pub struct RuleMeter(IntCounter);

impl RuleMeter {
    /// It applied.
    pub fn count(&self) {
        self.0.inc();
    }
}

/// Counts the requests of one arm of a comparison. Cheap to clone.
#[derive(Clone)]
pub struct ArmMeter(Arc<Arm>);

struct Arm {
    arms: Arc<Arms>,
    model: String,
    name: Arc<str>,
    ok: IntCounter,
    duration: Histogram,
    first: Histogram,
    input: IntCounter,
    output: IntCounter,
}

impl fmt::Debug for ArmMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArmMeter({})", self.0.name)
    }
}

impl ArmMeter {
    /// The arm's name.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// A request it answered, or failed to, is over.
    pub fn finish(&self, status: u16, duration: Duration, ttft: Option<Duration>, usage: Option<&Usage>) {
        let arm = &*self.0;
        if status == 200 {
            arm.ok.inc();
        } else {
            let status = if (100..=599).contains(&status) {
                status.to_string()
            } else {
                "other".to_owned()
            };
            arm.arms.requests.get(&[&arm.model, &arm.name, &status]).inc();
        }
        arm.duration.observe(duration.as_secs_f64());
        if let Some(ttft) = ttft {
            arm.first.observe(ttft.as_secs_f64());
        }
        if let Some(usage) = usage {
            arm.input.inc_by(usage.input);
            arm.output.inc_by(usage.output);
        }
    }
}
