//! What must outlive the walk of one request: its id, the snapshot it pinned, and the record of facts for settling.

use super::stages::admit::Admission;
use super::stages::authenticate::Principal;
use super::stages::cached::{CacheRecord, Keeper};
use super::stages::guard::Guarding;
use crate::config::CachePolicy;
use crate::error::ErrorKind;
use crate::ids::RequestId;
use crate::limits::{Lease, Prompt, Standings};
use crate::snapshot::{Named, Snapshot};
use crate::telemetry::{ArmMeter, Meters, Outcome, Purpose, RouteMeter, Side};
use crate::units::{NanoUsd, Usage};
use crate::upstream::Target;
use crate::wire::needs::Seen;
use crate::wire::{Dialect, Operation};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Priority of a request of which nothing else is said.
pub const DEFAULT_PRIORITY: u8 = 5;

/// Pingora's per-request context.
pub struct RequestContext {
    /// When the request's header had been read.
    pub started: Instant,
    /// Its id.
    pub id: RequestId,
    /// In which dialect errors are told.
    pub dialect: Dialect,
    /// The configuration it runs under.
    pub snapshot: Option<Arc<Snapshot>>,
    /// 0 to 9; 9 is shed last and leaves a line first.
    pub priority: u8,
    /// Targets that cannot take it: model and member.
    pub unfit: Vec<(usize, usize)>,
    /// What was seen in the body, if somebody looked.
    pub seen: Option<Seen>,
    /// Who is calling.
    pub principal: Principal,
    /// It is known who that is, or nobody needs to be anybody. Requests of others are not recorded.
    pub identified: bool,
    /// Providers that may not answer it.
    pub barred: Vec<Arc<str>>,
    /// What it holds of limits and budgets, until it is settled.
    pub lease: Option<Lease>,
    /// The tightest of them, for its headers.
    pub standings: Standings,
    /// What was told of its prompt's size before it went out.
    pub prompt: Option<Prompt>,
    /// What the rules say of the cache.
    pub rule_cache: Option<Arc<CachePolicy>>,
    /// Names of the guardrails of the rules that applied.
    pub rule_guardrails: Vec<Arc<str>>,
    /// The guardrails that hold for it, and what they found; none: nothing is looked at.
    pub guard: Option<Box<Guarding>>,
    /// What the client put into `x-cirque-metadata`, checked: for its usage record.
    pub metadata: Option<Box<str>>,
    /// Facts gathered on the way.
    pub record: Record,
    /// Set when the request is in the passthrough lane.
    pub passthrough: Option<super::passthrough::Passing>,
    /// What the cache does with the answer; none: nothing.
    pub keeper: Option<Box<Keeper>>,
    /// Counted as in flight while this lives; knows its priority.
    pub admission: Option<Admission>,
}

impl RequestContext {
    /// For a request whose header was just read.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            id: RequestId::unset(),
            dialect: Dialect::OpenAi,
            snapshot: None,
            priority: DEFAULT_PRIORITY,
            unfit: Vec::new(),
            seen: None,
            principal: Principal::default(),
            identified: false,
            barred: Vec::new(),
            lease: None,
            standings: Standings::default(),
            prompt: None,
            rule_cache: None,
            rule_guardrails: Vec::new(),
            guard: None,
            metadata: None,
            record: Record::default(),
            passthrough: None,
            keeper: None,
            admission: None,
        }
    }
}

impl Default for RequestContext {
    fn default() -> Self {
        Self::new()
    }
}

/// What the client asked for, for metrics and logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Asked {
    /// An API operation.
    Api(Operation),
    /// The model list.
    Models,
    /// A path forwarded unread.
    Passthrough,
    /// A report on a kept answer.
    CacheFeedback,
    /// Nothing we know.
    #[default]
    Other,
}

impl Asked {
    /// Label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api(operation) => operation.as_str(),
            Self::Models => "models",
            Self::Passthrough => "passthrough",
            Self::CacheFeedback => "cache_feedback",
            Self::Other => "other",
        }
    }
}

/// The facts of one request.
#[derive(Default)]
pub struct Record {
    /// What was asked for.
    pub asked: Asked,
    /// Public model, as configured.
    pub model: Option<Arc<str>>,
    /// How the client named it, where that says which model is asked for: the name, and what of it a `*` matched.
    pub wild: Option<(Box<str>, Box<str>)>,
    /// What the answer cost, where that is known before it is sent.
    pub cost: Option<NanoUsd>,
    /// Target that answered, or was tried last.
    pub target: Option<Arc<Target>>,
    /// Its meter.
    pub meter: Option<RouteMeter>,
    /// Calls made to targets.
    pub attempts: u32,
    /// Those that did not answer, in the order they ended.
    pub tries: Vec<Try>,
    /// One of them answered, whose answer was taken.
    pub answered: bool,
    /// Which member of which of the snapshot's models it is.
    pub place: (usize, usize),
    /// Why the target that answered was asked.
    pub purpose: Purpose,
    /// The arm of a comparison it belongs to.
    pub arm: Option<ArmMeter>,
    /// The rule that sent the request where it went.
    pub rule: Option<Arc<str>>,
    /// What the cache made of it; none: it was not looked at.
    pub cache: Option<Box<CacheRecord>>,
    /// How long it waited for a turn.
    pub queued: Option<Duration>,
    /// Streams that the answer was pieced together from, less one.
    pub seams: u32,
    /// Its copy in another pool.
    pub comparison: Option<Arc<Comparison>>,
    /// What the target could not take, for `x-cirque-dropped`.
    pub dropped: Option<http::HeaderValue>,
    /// The answer is a count made here.
    pub estimated: bool,
    /// Status sent.
    pub status: u16,
    /// The failure, if it was one.
    pub error: Option<ErrorKind>,
    /// Its log text.
    pub internal: Option<String>,
    /// First event sent.
    pub ttft: Option<Duration>,
    /// Time spent waiting for the upstream and the client.
    pub waited: Duration,
    /// Tokens.
    pub usage: Option<Usage>,
    /// In the passthrough lane: the answer tells what was used, and it is charged.
    pub tells: bool,
    /// The model that such an answer names.
    pub told_model: Option<Box<str>>,
    /// The answer was a stream.
    pub stream: bool,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Response body bytes.
    pub bytes_out: u64,
    /// The provider's id of the request.
    pub upstream_request_id: Option<Box<str>>,
    /// What to count when the provider gave no usage.
    pub uncounted: Option<Uncounted>,
}

/// A request and its copy in another pool, until both are over.
pub struct Comparison {
    meters: Arc<Meters>,
    model: Arc<str>,
    to: Arc<str>,
    first: Mutex<Option<(bool, Side)>>,
}

impl Comparison {
    /// Neither is over.
    pub fn new(meters: Arc<Meters>, model: Arc<str>, to: Arc<str>) -> Self {
        Self {
            meters,
            model,
            to,
            first: Mutex::new(None),
        }
    }

    /// The client's own request is over.
    pub fn own(&self, side: Side) {
        self.is_over(false, side);
    }

    /// The copy is over.
    pub fn copy(&self, side: Side) {
        self.is_over(true, side);
    }

    fn is_over(&self, copy: bool, side: Side) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match first.take() {
            None => *first = Some((copy, side)),
            Some((_, other)) => {
                let (own, copied) = if copy { (other, side) } else { (side, other) };
                self.meters.routing.mirrored(&self.model, &self.to, &own, &copied);
            }
        }
    }
}

/// A call that did not answer the request.
#[derive(Debug, Clone)]
pub struct Try {
    /// Who was asked.
    pub target: Arc<Target>,
    /// Why.
    pub purpose: Purpose,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// What it used, where that is known.
    pub usage: Option<Usage>,
    /// The figures are the gateway's own.
    pub estimated: bool,
}

impl Record {
    /// How the client named the model, for prices.
    pub fn named(&self) -> Named<'_> {
        match &self.wild {
            Some((asked, matched)) => Named { asked, matched },
            None => Named::default(),
        }
    }

    /// A call ended without being the answer.
    pub fn fell(&mut self, target: &Arc<Target>, purpose: Purpose, outcome: Outcome, took: Duration) {
        self.tries.push(Try {
            target: Arc::clone(target),
            purpose,
            outcome,
            took,
            usage: None,
            estimated: false,
        });
    }

    /// Count an attempt's outcome.
    pub fn count(&self, outcome: Outcome) {
        if let Some(target) = &self.target {
            target.attempts.count(outcome);
        }
    }
}

/// Request and answer of a call whose provider gave no usage.
pub struct Uncounted {
    /// Model name at the provider.
    pub model: String,
    /// The request body.
    pub request: bytes::Bytes,
    /// Its dialect.
    pub dialect: Dialect,
    /// The answer.
    pub response: crate::telemetry::ResponseText,
    /// Bytes of it that were not kept.
    pub forgotten: usize,
    /// The provider told the input's tokens.
    pub output_only: bool,
}
