//! From a call to an answer: pick a target, ask it, judge what came back, go on to the next one while that can help.
//!
//! ```text
//! for each pool of the model's chain (itself, then its fallbacks)
//!   for each member that may be asked: attempt
//!       answer, or first stream event decoded ─► commit
//!       the client is wrong (400, 404, 413, 422 …) ─► passed on, nobody else is asked
//!       anything else ─► next member, next pool
//! ```
//! Nothing has been sent to the client yet, so every failure here can still go elsewhere. One attempt is `attempt.rs`.

mod attempt;
mod count;
mod demo;
mod failure;
mod schema;
mod send;
mod translate;

use self::attempt::Attempt;
use self::failure::Report;
use super::super::App;
use super::super::buffers::Room;
use super::super::context::{RequestContext, Uncounted};
use super::super::downstream::Downstream;
use super::super::live::LiveStream;
use crate::balance::{Ask, KeyHash, Permit, Pick};
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::{Found, PublicModel, Snapshot};
use crate::upstream::Target;
use crate::wire::Call;
use crate::wire::beginning::Beginning;
use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderName;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TIMEOUT: HeaderName = HeaderName::from_static("x-cirque-timeout-ms");
/// Most calls one request may cause.
const MAX_ATTEMPTS: u32 = 16;
/// Answers that do not decode are asked for again once; a second one is the client's answer.
const MAX_BAD_RESPONSES: u32 = 2;

/// An answer, ready to be relayed.
pub enum Reply {
    /// A whole JSON body.
    Whole {
        /// The provider's bytes.
        body: Bytes,
        /// Room its bytes take.
        room: Room,
    },
    /// The provider says that the client is wrong.
    Refused {
        /// Its status.
        status: StatusCode,
        /// An error body that may be shown.
        body: Bytes,
    },
    /// A stream whose first event has decoded.
    Live(Box<Live>),
}

/// A committed stream.
pub struct Live {
    /// The rest of it.
    pub stream: LiveStream,
    /// What to send first.
    pub first: Bytes,
    /// Who sends it.
    pub target: Arc<Target>,
    /// To be reported at its end.
    pub permit: Permit,
    /// When it must be over.
    pub total: Instant,
    /// For counting, should the provider give no usage.
    pub uncounted: Uncounted,
}

/// Get an answer.
pub async fn run(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Snapshot,
    call: &Call,
    found: Found<'_>,
) -> Result<Reply, GatewayError> {
    let deadlines = found.model.deadlines();
    let configured = if call.streamed() {
        deadlines.stream_total
    } else {
        deadlines.total
    };
    let total = ctx.started + asked_timeout(down)?.map_or(configured, |asked| asked.min(configured));
    let mut search = Search {
        last: None,
        cooling: None,
        open: None,
        bad_responses: 0,
        only_limits: true,
        unasked: None,
    };
    for &index in &found.model.chain {
        let Some(model) = snapshot.models.get(index) else {
            continue;
        };
        let mut tried = Vec::new();
        let ask = Ask {
            key: sticks_by(model, down, call, snapshot.limits.json_depth),
            stream: call.streamed(),
        };
        loop {
            let pick = match model.pool.pick(&tried, ask, Instant::now) {
                Ok(pick) => pick,
                Err(why) => {
                    search.nobody(index, why);
                    break;
                }
            };
            tried.push(pick.index);
            if let Some(reply) = try_one(app, down, ctx, snapshot, call, found, model, pick, total, &mut search).await?
            {
                return Ok(reply);
            }
        }
    }
    // Everybody's breaker is open: the last resort is asked all the same, rather than refusing without having tried.
    if let (0, Some((index, member))) = (ctx.record.attempts, search.open)
        && let Some((model, pick)) = snapshot
            .models
            .get(index)
            .and_then(|m| Some((m, m.pool.pick_anyway(member)?)))
        && let Some(reply) = try_one(app, down, ctx, snapshot, call, found, model, pick, total, &mut search).await?
    {
        return Ok(reply);
    }
    Err(search.verdict())
}

/// What a request sticks to a target by: the session it names, else the beginning of its conversation.
fn sticks_by(model: &PublicModel, down: &Downstream<'_>, call: &Call, max_depth: usize) -> Option<u64> {
    if !model.pool.keyed() {
        return None;
    }
    let session = model
        .session_header
        .as_ref()
        .and_then(|name| down.request().headers.get(name));
    if let Some(session) = session.filter(|session| !session.is_empty()) {
        return Some(KeyHash::default().part(session.as_bytes()).finish());
    }
    let beginning = Beginning::of(&call.body, max_depth);
    if beginning.is_empty() {
        return None;
    }
    let parts = [beginning.system, beginning.tools, beginning.turns];
    let hash = parts.into_iter().fold(KeyHash::default(), |hash, span| {
        hash.part(call.body.get(span).unwrap_or_default())
    });
    Some(hash.finish())
}

/// `x-cirque-timeout-ms`: a client may have less time than the configuration gives, never more.
fn asked_timeout(down: &Downstream<'_>) -> Result<Option<Duration>, GatewayError> {
    let Some(value) = down.request().headers.get(TIMEOUT) else {
        return Ok(None);
    };
    let milliseconds = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
    match milliseconds {
        Some(milliseconds @ 1..) => Ok(Some(Duration::from_millis(milliseconds))),
        _ => Err(GatewayError::invalid(
            "invalid_header",
            "x-cirque-timeout-ms must be a whole number of milliseconds greater than 0",
        )
        .param("x-cirque-timeout-ms")),
    }
}

/// What is known while looking for somebody who answers.
struct Search {
    last: Option<GatewayError>,
    cooling: Option<Duration>,
    open: Option<(usize, usize)>,
    bad_responses: u32,
    only_limits: bool,
    /// Why a target could not even be asked: told when nobody was.
    unasked: Option<GatewayError>,
}

impl Search {
    fn nobody(&mut self, model: usize, why: crate::balance::pool::NoPick) {
        self.open = self.open.or(why.open.map(|member| (model, member)));
        self.cools(why.cooling);
    }

    fn cools(&mut self, left: Option<Duration>) {
        self.cooling = match (self.cooling, left) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// What the client is told when nobody answered.
    fn verdict(self) -> GatewayError {
        match (self.last, self.cooling) {
            // All that was heard is "later": say the soonest.
            (last, Some(left)) if self.only_limits => {
                let error = last.unwrap_or_else(|| {
                    GatewayError::new(
                        ErrorKind::RateLimited,
                        "every target of this model is rate limited by its provider",
                    )
                });
                error.retry_after(left)
            }
            (Some(error), _) => error,
            (None, _) => self.unasked.unwrap_or_else(|| {
                GatewayError::new(ErrorKind::NoHealthyTarget, "no target of this model can be asked now")
                    .retry_after(Duration::from_secs(5))
            }),
        }
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "one call site apart from the last resort; a struct would only rename them"
)]
async fn try_one(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Snapshot,
    call: &Call,
    found: Found<'_>,
    model: &PublicModel,
    pick: Pick,
    total: Instant,
    search: &mut Search,
) -> Result<Option<Reply>, GatewayError> {
    let Some(target) = model.targets.get(pick.index) else {
        return Ok(None);
    };
    if ctx.record.attempts >= MAX_ATTEMPTS {
        return Ok(None);
    }
    ctx.record.target = Some(Arc::clone(target));
    ctx.record.meter = model.meter(pick.index, call.operation).cloned();
    let attempt = Attempt {
        app,
        limits: &snapshot.limits,
        call,
        target,
        asked: &call.envelope.model,
        matched: found.matched,
        mixed: snapshot.mixed,
        strict: found.model.strict,
        began: Instant::now(),
        total,
    };
    match attempt.run(down, ctx, pick.permit).await {
        Ok(reply) => Ok(Some(reply)),
        Err(failure) => {
            target.attempts.count(failure.outcome);
            if failure.unasked && failure.elsewhere {
                // What this one cannot take another may: those that were asked, or will be, say more.
                search.unasked.get_or_insert(failure.error);
                return Ok(None);
            }
            if failure.error.kind == ErrorKind::ProviderBadResponse {
                search.bad_responses += 1;
            }
            search.only_limits &= matches!(failure.report, Report::Cool(_));
            if let Report::Cool(left) = failure.report {
                search.cools(Some(left));
            }
            if !failure.elsewhere || search.bad_responses >= MAX_BAD_RESPONSES {
                return Err(failure.error);
            }
            if let Some(detail) = &failure.error.internal {
                tracing::debug!(request_id = %ctx.id, target = %target.id, outcome = failure.outcome.as_str(), detail, "an attempt failed");
            }
            search.last = Some(failure.error);
            Ok(None)
        }
    }
}
