//! The process's Prometheus metrics: every name, every label, and the handles through which requests count.
//!
//! Not for logs and not for deciding anything: nothing reads a metric back except the scrape. The one idea: labels are
//! resolved once ([`Meters::route`], [`Meters::attempts`]) and the request path touches atomics only. A series appears
//! with its first observation, so that resolving every model in advance adds nothing to the scrape.
//!
//! Label values come from closed sets or from configured names, never from a client. A request that matched no model
//! counts under [`NONE`]; a wildcard model under its pattern.

use super::accounts::AccountMeters;
use super::cache::CacheMeters;
use super::family::{Family, Shape};
use super::guardrails::GuardrailMeters;
use super::in_flight::{InFlight, InFlightCount};
use super::process::{ProcessMeters, unix_seconds};
use super::route::{AttemptMeter, RouteKey, RouteMeter, Series};
use super::routing::RoutingMeters;
use prometheus::core::Collector;
use prometheus::{Error, Gauge, IntCounter, IntGauge, Registry, TextEncoder};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

/// Label value for "there is none": the model or provider of a request that was refused before one was chosen.
pub const NONE: &str = "none";

/// 5 ms to 10 min: a whole request, or the wait for the first token.
const REQUEST_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];
/// 10 µs to 1 s: the gateway's own share.
const OWN_BUCKETS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0,
];
const ROUTE_LABELS: &[&str] = &["operation", "model", "provider"];

const REQUESTS: Shape = Shape {
    name: "cirque_requests_total",
    help: "Requests answered, by the status the client got (499: the client left first).",
    labels: &["operation", "model", "provider", "status"],
    buckets: &[],
};
const DURATION: Shape = Shape {
    name: "cirque_request_duration_seconds",
    help: "From the request header read to the last byte of the answer written.",
    labels: ROUTE_LABELS,
    buckets: REQUEST_BUCKETS,
};
const FIRST_TOKEN: Shape = Shape {
    name: "cirque_time_to_first_token_seconds",
    help: "From the request header read to the first event of a streamed answer.",
    labels: ROUTE_LABELS,
    buckets: REQUEST_BUCKETS,
};
const OWN: Shape = Shape {
    name: "cirque_gateway_duration_seconds",
    help: "The gateway's own time: the duration less the waits for the upstream and for the client.",
    labels: &["operation"],
    buckets: OWN_BUCKETS,
};
const ATTEMPTS: Shape = Shape {
    name: "cirque_upstream_attempts_total",
    help: "Calls to a target, by how they ended.",
    labels: &["provider", "target", "outcome"],
    buckets: &[],
};
const TOKENS: Shape = Shape {
    name: "cirque_tokens_total",
    help: "Tokens; estimated=\"true\" where the provider gave no figure and the gateway counted. \
           cached, cache_write and audio_input are part of input, reasoning and audio_output of output.",
    labels: &["model", "provider", "kind", "estimated"],
    buckets: &[],
};
const COST: Shape = Shape {
    name: "cirque_upstream_cost_usd_total",
    help: "What calls cost by the price of their target; calls to targets without a price are not in it.",
    labels: &["target", "purpose"],
    buckets: &[],
};
const BREAKER: Shape = Shape {
    name: "cirque_breaker_state",
    help: "Circuit breaker of a target: 0 closed, 1 half-open, 2 open.",
    labels: &["target"],
    buckets: &[],
};
const RELOADS: Shape = Shape {
    name: "cirque_config_reloads_total",
    help: "Attempts to load the configuration again, by result (success, failure).",
    labels: &["result"],
    buckets: &[],
};
const SHED: Shape = Shape {
    name: "cirque_requests_shed_total",
    help: "Requests refused with 503 because the gateway was full, by their priority (0 is shed first).",
    labels: &["priority"],
    buckets: &[],
};
const REFUSED: Shape = Shape {
    name: "cirque_connections_refused_total",
    help: "Client connections closed at once because of a cap (total, per_ip).",
    labels: &["reason"],
    buckets: &[],
};
const BUILD: Shape = Shape {
    name: "cirque_build_info",
    help: "Always 1; the labels say what is running.",
    labels: &["version"],
    buckets: &[],
};

/// What `cirque_breaker_state` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerLevel {
    /// Requests flow.
    Closed = 0,
    /// A probe is under way.
    HalfOpen = 1,
    /// The target is left out.
    Open = 2,
}

type Refresh = Box<dyn Fn(&Meters) + Send + Sync>;

/// Every metric of the process. One per process; shared.
pub struct Meters {
    registry: Registry,
    process: ProcessMeters,
    series: Arc<Series>,
    routes: RwLock<HashMap<RouteKey, RouteMeter>>,
    attempts: RwLock<HashMap<(String, String), AttemptMeter>>,
    breakers: Family<IntGauge>,
    reloads: Family<IntCounter>,
    reload_success: IntGauge,
    reload_time: Gauge,
    in_flight: Arc<InFlightCount>,
    in_flight_shown: IntGauge,
    requests_shed: Family<IntCounter>,
    /// By priority, made on first use.
    shed: [OnceLock<IntCounter>; 10],
    refresh: OnceLock<Refresh>,
    /// What happens between a request and its answer.
    pub routing: RoutingMeters,
    /// Who is let in, what is refused, spent and recorded.
    pub accounts: AccountMeters,
    /// What the cache did and saved.
    pub cache: CacheMeters,
    /// What guardrails found.
    pub guardrails: GuardrailMeters,
    /// Client connections open now.
    pub client_connections: IntGauge,
    /// Client connections closed at once because of `limits.connections`.
    pub refused_total: IntCounter,
    /// Client connections closed at once because of `limits.connections_per_ip`.
    pub refused_per_ip: IntCounter,
    /// 1 while new connections wait because file descriptors are nearly used up.
    pub accept_paused: IntGauge,
    /// Bytes of request and response bodies held now.
    pub buffered_bytes: IntGauge,
    /// Panics caught by the hook in [`super::logging`].
    pub panics: IntCounter,
    /// Access log lines lost because the log could not keep up or could not be written.
    pub access_log_dropped: IntCounter,
}

fn series(registry: &Registry) -> Result<Series, Error> {
    Ok(Series {
        requests: Family::new(registry, REQUESTS)?,
        duration: Family::new(registry, DURATION)?,
        first_token: Family::new(registry, FIRST_TOKEN)?,
        own: Family::new(registry, OWN)?,
        attempts: Family::new(registry, ATTEMPTS)?,
        tokens: Family::new(registry, TOKENS)?,
        cost: Family::new(registry, COST)?,
    })
}

fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: Result<M, Error>) -> Result<M, Error> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Meters {
    /// Register every family. Fails only when a name or bucket list in this file is wrong.
    pub fn new() -> Result<Arc<Self>, Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help));
        let build: Family<IntGauge> = Family::new(&registry, BUILD)?;
        build.get(&[env!("CARGO_PKG_VERSION")]).set(1);
        let reloads: Family<IntCounter> = Family::new(&registry, RELOADS)?;
        // Present from the start, so that a rate() over them sees the first change.
        reloads.get(&["success"]);
        reloads.get(&["failure"]);
        let refused: Family<IntCounter> = Family::new(&registry, REFUSED)?;
        Ok(Arc::new(Self {
            process: ProcessMeters::new(&registry)?,
            series: Arc::new(series(&registry)?),
            routes: RwLock::default(),
            attempts: RwLock::default(),
            breakers: Family::new(&registry, BREAKER)?,
            reloads,
            reload_success: gauge(
                "cirque_config_last_reload_success",
                "1 when the last load of the configuration succeeded, 0 when it failed.",
            )?,
            reload_time: registered(
                &registry,
                Gauge::new(
                    "cirque_config_last_reload_timestamp_seconds",
                    "Unix time of the last load of the configuration, successful or not.",
                ),
            )?,
            in_flight: Arc::default(),
            in_flight_shown: gauge(
                "cirque_in_flight_requests",
                "Requests being answered now, streams included.",
            )?,
            requests_shed: Family::new(&registry, SHED)?,
            shed: std::array::from_fn(|_| OnceLock::new()),
            refresh: OnceLock::new(),
            routing: RoutingMeters::new(&registry)?,
            accounts: AccountMeters::new(&registry)?,
            cache: CacheMeters::new(&registry)?,
            guardrails: GuardrailMeters::new(&registry)?,
            client_connections: gauge("cirque_client_connections", "Client connections open now.")?,
            refused_total: refused.get(&["total"]),
            refused_per_ip: refused.get(&["per_ip"]),
            accept_paused: gauge(
                "cirque_accept_paused",
                "1 while new connections wait because file descriptors are nearly used up.",
            )?,
            buffered_bytes: gauge(
                "cirque_buffered_bytes",
                "Bytes of request and response bodies held in memory now.",
            )?,
            panics: counter("cirque_panics_total", "Panics caught. Each one is a bug.")?,
            access_log_dropped: counter(
                "cirque_access_log_dropped_total",
                "Access log lines lost: the queue was full or the log could not be written.",
            )?,
            registry,
        }))
    }

    /// The handle for one operation, public model and provider. Takes a lock and allocates: resolve it once per snapshot.
    pub fn route(&self, operation: &str, model: &str, provider: &str) -> RouteMeter {
        let key = RouteKey::new(operation, model, provider);
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = known.get(&key) {
            return meter.clone();
        }
        drop(known);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes
            .entry(key)
            .or_insert_with_key(|key| RouteMeter::new(Arc::clone(&self.series), key.clone()))
            .clone()
    }

    /// The handle for calls to one target. Takes a lock and allocates: resolve it once per snapshot.
    pub fn attempts(&self, provider: &str, target: &str) -> AttemptMeter {
        let key = (provider.to_owned(), target.to_owned());
        let mut attempts = self.attempts.write().unwrap_or_else(PoisonError::into_inner);
        attempts
            .entry(key)
            .or_insert_with(|| AttemptMeter::new(Arc::clone(&self.series), provider, target))
            .clone()
    }

    /// Show a breaker's state. Called on changes, not per request.
    pub fn breaker(&self, target: &str, level: BreakerLevel) {
        self.breakers.get(&[target]).set(level as i64);
    }

    /// A load of the configuration ended. The first load counts as the last one but not as a reload.
    pub fn config_loaded(&self, first: bool, success: bool) {
        if !first {
            let result = if success { "success" } else { "failure" };
            self.reloads.get(&[result]).inc();
        }
        self.reload_success.set(i64::from(success));
        self.reload_time.set(unix_seconds(SystemTime::now()));
    }

    /// One more request in flight until the guard is dropped.
    pub fn enter(&self) -> InFlight {
        self.in_flight.enter()
    }

    /// Requests that hold a place now: those in flight less those that are being told they were refused.
    pub fn admitted(&self) -> usize {
        self.in_flight.admitted()
    }

    /// A request of this priority was refused for overload.
    pub fn shed(&self, priority: u8) {
        if let Some(counter) = self.shed.get(usize::from(priority)) {
            counter
                .get_or_init(|| self.requests_shed.get(&[&priority.to_string()]))
                .inc();
        }
    }

    /// Requests in flight now; 0 is what a graceful stop waits for.
    pub fn in_flight(&self) -> i64 {
        i64::try_from(self.in_flight.all()).unwrap_or(i64::MAX)
    }

    /// Drop the series of models and targets that the configuration no longer names, after a reload. [`NONE`] stays.
    /// Handles that requests still hold go on counting, unseen; a model that comes back starts at zero.
    pub fn retain(&self, model: impl Fn(&str) -> bool, target: impl Fn(&str) -> bool) {
        let model = |name: &str| name == NONE || model(name);
        let at = |values: &[String], index: usize, keep: &dyn Fn(&str) -> bool| {
            values.get(index).is_none_or(|value| keep(value))
        };
        self.routes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|key, _| model(&key.model));
        self.attempts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(_, name), _| target(name));
        self.series.requests.retain(|values| at(values, 1, &model));
        self.series.duration.retain(|values| at(values, 1, &model));
        self.series.first_token.retain(|values| at(values, 1, &model));
        self.series.tokens.retain(|values| at(values, 0, &model));
        self.series.attempts.retain(|values| at(values, 1, &target));
        self.series.cost.retain(|values| at(values, 0, &target));
        self.breakers.retain(|values| at(values, 0, &target));
        self.routing.retain(&model, &target);
        self.accounts.retain(&model);
        self.cache.retain(&model);
    }

    /// Have gauges whose figures are kept elsewhere (buffered bytes, breakers) set just before every scrape. Once.
    pub fn before_scrape(&self, refresh: impl Fn(&Self) + Send + Sync + 'static) {
        // A second call is a mistake that must not replace what works.
        let _ = self.refresh.set(Box::new(refresh));
    }

    /// The Prometheus text format, version 0.0.4. Reads `/proc`: call it on a thread that may block.
    pub fn render(&self) -> String {
        if let Some(refresh) = self.refresh.get() {
            refresh(self);
        }
        self.in_flight_shown.set(self.in_flight());
        self.process.refresh();
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail; an inconsistent family would, and the rest is worth having.
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "a metric family could not be rendered");
        }
        text
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
