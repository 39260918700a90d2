//! The handles a request counts through: one per (operation, model, provider), one per target.
//!
//! Not for making metrics (see [`super::metrics`]). The idea: a handle is an `Arc` around lazily resolved series; after
//! the first observation a count is a load and an atomic add, no label is hashed and nothing is allocated.

use super::family::Family;
use crate::units::{NanoUsd, Usage};
use prometheus::{Counter, Histogram, IntCounter};
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

/// The families that handles resolve their series from.
pub(super) struct Series {
    pub requests: Family<IntCounter>,
    pub duration: Family<Histogram>,
    pub first_token: Family<Histogram>,
    pub own: Family<Histogram>,
    pub attempts: Family<IntCounter>,
    pub tokens: Family<IntCounter>,
    pub cost: Family<Counter>,
}

/// What is known when a request has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Status the client got; 499 when it left before the answer was complete.
    pub status: u16,
    /// From the request header read to the end of the answer.
    pub duration: Duration,
    /// From the request header read to the first event, for streams.
    pub ttft: Option<Duration>,
    /// `duration` less the waits for the upstream and for the client.
    pub own: Duration,
    /// Token counts, when known by now. Later ones go to [`RouteMeter::tokens`].
    pub usage: Option<Usage>,
    /// The counts are the gateway's, not the provider's.
    pub estimated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RouteKey {
    pub operation: String,
    pub model: String,
    pub provider: String,
}

impl RouteKey {
    pub fn new(operation: &str, model: &str, provider: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            model: model.to_owned(),
            provider: provider.to_owned(),
        }
    }
}

/// `cached`, `cache_write` and `audio_input` are part of `input`, `reasoning` and `audio_output` part of `output`.
const TOKEN_KINDS: [&str; 7] = [
    "input",
    "output",
    "cached",
    "cache_write",
    "reasoning",
    "audio_input",
    "audio_output",
];

/// Counts the requests of one operation, model and provider. Cheap to clone.
#[derive(Clone)]
pub struct RouteMeter(Arc<RouteInner>);

impl fmt::Debug for RouteMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteMeter")
    }
}

struct RouteInner {
    series: Arc<Series>,
    key: RouteKey,
    usual: OnceLock<Usual>,
    first_token: OnceLock<Histogram>,
    /// Statuses other than 200 seen so far: a handful, so a scan is the fastest lookup.
    others: RwLock<Vec<(u16, IntCounter)>>,
    /// By kind, the provider's figures first, then the estimated ones.
    tokens: [[OnceLock<IntCounter>; TOKEN_KINDS.len()]; 2],
}

/// What every request needs.
struct Usual {
    ok: IntCounter,
    duration: Histogram,
    own: Histogram,
}

impl RouteMeter {
    pub(super) fn new(series: Arc<Series>, key: RouteKey) -> Self {
        Self(Arc::new(RouteInner {
            series,
            key,
            usual: OnceLock::new(),
            first_token: OnceLock::new(),
            others: RwLock::default(),
            tokens: Default::default(),
        }))
    }

    /// Count a request that has ended.
    pub fn finish(&self, finished: &Finished) {
        let inner = &*self.0;
        let usual = inner.usual.get_or_init(|| inner.resolve());
        if finished.status == 200 {
            usual.ok.inc();
        } else {
            inner.count_status(finished.status);
        }
        usual.duration.observe(finished.duration.as_secs_f64());
        usual.own.observe(finished.own.as_secs_f64());
        if let Some(ttft) = finished.ttft {
            let histogram = inner
                .first_token
                .get_or_init(|| inner.series.first_token.get(&inner.route_labels()));
            histogram.observe(ttft.as_secs_f64());
        }
        if let Some(figures) = &finished.usage {
            self.tokens(figures, finished.estimated);
        }
    }

    /// Count tokens that became known after [`finish`](Self::finish).
    pub fn tokens(&self, figures: &Usage, estimated: bool) {
        let amounts = [
            figures.input,
            figures.output,
            figures.cached,
            figures.cache_write,
            figures.reasoning,
            figures.audio_input,
            figures.audio_output,
        ];
        let [exact, counted] = &self.0.tokens;
        let slots = if estimated { counted } else { exact };
        for ((slot, kind), amount) in slots.iter().zip(TOKEN_KINDS).zip(amounts) {
            if amount > 0 {
                slot.get_or_init(|| self.0.token_counter(kind, estimated))
                    .inc_by(amount);
            }
        }
    }
}

impl RouteInner {
    fn route_labels(&self) -> [&str; 3] {
        [&self.key.operation, &self.key.model, &self.key.provider]
    }

    fn resolve(&self) -> Usual {
        let labels = self.route_labels();
        Usual {
            ok: self.request_counter("200"),
            duration: self.series.duration.get(&labels),
            own: self.series.own.get(&[&self.key.operation]),
        }
    }

    fn request_counter(&self, status: &str) -> IntCounter {
        let [operation, model, provider] = self.route_labels();
        self.series.requests.get(&[operation, model, provider, status])
    }

    fn count_status(&self, status: u16) {
        let known = self.others.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(code, _)| *code == status) {
            counter.inc();
            return;
        }
        drop(known);
        // An upstream's made-up status is passed on to the client, but must not make up a label value.
        let counter = if (100..=599).contains(&status) {
            self.request_counter(&status.to_string())
        } else {
            self.request_counter("other")
        };
        counter.inc();
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.len() < 64 && !others.iter().any(|(code, _)| *code == status) {
            others.push((status, counter));
        }
    }

    fn token_counter(&self, kind: &str, estimated: bool) -> IntCounter {
        let [_, model, provider] = self.route_labels();
        let estimated = if estimated { "true" } else { "false" };
        self.series.tokens.get(&[model, provider, kind, estimated])
    }
}

/// How one call to a target ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A complete, usable answer.
    Ok,
    /// No connection: refused, unreachable, TLS failed, name unknown.
    ConnectError,
    /// No connection in time.
    ConnectTimeout,
    /// No response header in time.
    FirstByteTimeout,
    /// No first event in time.
    FirstEventTimeout,
    /// A pause in the answer that was too long.
    IdleTimeout,
    /// The whole took too long.
    TotalTimeout,
    /// 4xx that blames the client's request.
    ClientError,
    /// 429.
    RateLimited,
    /// The provider refused our credential.
    AuthFailed,
    /// 5xx.
    ServerError,
    /// An answer that does not decode.
    BadResponse,
    /// The connection broke before the answer was complete.
    Disconnected,
    /// The client left.
    Cancelled,
    /// Another target was quicker.
    Overtaken,
    /// Given up without a verdict.
    Abandoned,
}

/// Why a target was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Its turn.
    #[default]
    First,
    /// Another of the pool failed.
    Retry,
    /// It failed itself, a moment ago.
    Again,
    /// The model's own pool failed.
    Fallback,
    /// The conversation was too long for the model.
    ContextFallback,
    /// A content filter refused.
    FilterFallback,
    /// Nobody else was left, whatever its breaker says.
    LastResort,
    /// Another was slow.
    Hedge,
    /// Another's stream broke.
    Continuation,
    /// To compare.
    Mirror,
    /// To have a fresher answer in the cache.
    Refresh,
    /// To have a question's vector, for looking by likeness.
    Embedding,
}

/// How many there are.
const PURPOSES: usize = Purpose::Embedding as usize + 1;

impl Purpose {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Again => "again",
            Self::Fallback => "fallback",
            Self::ContextFallback => "context_fallback",
            Self::FilterFallback => "filter_fallback",
            Self::LastResort => "last_resort",
            Self::Hedge => "hedge",
            Self::Continuation => "continuation",
            Self::Mirror => "mirror",
            Self::Refresh => "refresh",
            Self::Embedding => "embedding",
        }
    }
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Self; 16] = [
        Self::Ok,
        Self::ConnectError,
        Self::ConnectTimeout,
        Self::FirstByteTimeout,
        Self::FirstEventTimeout,
        Self::IdleTimeout,
        Self::TotalTimeout,
        Self::ClientError,
        Self::RateLimited,
        Self::AuthFailed,
        Self::ServerError,
        Self::BadResponse,
        Self::Disconnected,
        Self::Cancelled,
        Self::Overtaken,
        Self::Abandoned,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ConnectError => "connect_error",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::FirstEventTimeout => "first_event_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::ClientError => "client_error",
            Self::RateLimited => "rate_limited",
            Self::AuthFailed => "auth_failed",
            Self::ServerError => "server_error",
            Self::BadResponse => "bad_response",
            Self::Disconnected => "disconnected",
            Self::Cancelled => "cancelled",
            Self::Overtaken => "overtaken",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counts the calls to one target. Cheap to clone.
#[derive(Clone)]
pub struct AttemptMeter(Arc<AttemptInner>);

impl fmt::Debug for AttemptMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptMeter")
    }
}

struct AttemptInner {
    series: Arc<Series>,
    provider: String,
    target: String,
    outcomes: [OnceLock<IntCounter>; Outcome::ALL.len()],
    /// By purpose.
    costs: [OnceLock<Counter>; PURPOSES],
}

impl AttemptMeter {
    pub(super) fn new(series: Arc<Series>, provider: &str, target: &str) -> Self {
        Self(Arc::new(AttemptInner {
            series,
            provider: provider.to_owned(),
            target: target.to_owned(),
            outcomes: Default::default(),
            costs: Default::default(),
        }))
    }

    /// Count one call.
    pub fn count(&self, outcome: Outcome) {
        let inner = &*self.0;
        if let Some(slot) = inner.outcomes.get(outcome as usize) {
            slot.get_or_init(|| {
                inner
                    .series
                    .attempts
                    .get(&[&inner.provider, &inner.target, outcome.as_str()])
            })
            .inc();
        }
    }

    /// Count what one call cost.
    pub fn spent(&self, purpose: Purpose, nano: NanoUsd) {
        let inner = &*self.0;
        if let Some(slot) = inner.costs.get(purpose as usize) {
            slot.get_or_init(|| inner.series.cost.get(&[&inner.target, purpose.as_str()]))
                .inc_by(nano as f64 / 1e9);
        }
    }
}
