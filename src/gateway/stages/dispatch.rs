//! From a call to an answer: pick a target, ask it, judge what came back, go on to the next one while that can help.
//!
//! ```text
//! for each pool of the model's chain (itself, then its fallbacks)          search.rs
//!   for each member that may be asked: attempt, hedged if it is slow      race.rs, attempt.rs
//!       answer, or first stream event decoded ─► commit
//!       the client is wrong (400, 404, 413, 422 …) ─► passed on, nobody else is asked
//!                   … too long, or filtered ─► the fallbacks for that, if there are
//!       anything else ─► next member, next pool
//! nobody left ─► the last resort; ask again after a pause; wait for a turn (wait.rs)
//! ```
//! Nothing has been sent to the client yet, so every failure here can still go elsewhere.

mod attempt;
mod common;
mod count;
mod demo;
mod failure;
mod fit;
mod forward;
mod judge;
mod mirror;
pub mod probe;
mod race;
mod resume;
mod schema;
mod search;
mod send;
mod translate;
mod wait;

use self::attempt::{Common, Notes};
use self::forward::Forwarded;
use self::race::{Fallen, Finished};
use self::search::{Chosen, Search};
use self::wait::{Waited, Waiter};
use super::super::App;
use super::super::buffers::Room;
use super::super::context::{RequestContext, Uncounted};
use super::super::downstream::{Downstream, sleep_until};
use super::super::live::LiveStream;
use super::authenticate::Principal;
use crate::balance::{KeyHash, Permit};
use crate::error::GatewayError;
use crate::providers::Reason;
use crate::snapshot::{Found, PublicModel, Snapshot, Sticks};
use crate::telemetry::{Outcome, Purpose};
use crate::upstream::Target;
use crate::wire::Call;
use crate::wire::beginning::Beginning;
use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderName;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

pub(in crate::gateway) use self::resume::{Resumption, Speaker, go_on};

const TIMEOUT: HeaderName = HeaderName::from_static("x-cirque-timeout-ms");

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
        /// Why, where that may be mended by another target.
        reason: Option<Reason>,
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
    pub permit: Option<Permit>,
    /// When it must be over.
    pub total: Instant,
    /// For counting, should the provider give no usage.
    pub uncounted: Uncounted,
}

/// Get an answer.
pub async fn run(
    app: &Arc<App>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    principal: Principal,
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
    let headers = Forwarded::of(&down.request().headers);
    let id = ctx.id.clone();
    let common = Common {
        app,
        snapshot,
        call,
        id: id.as_str(),
        headers: &headers,
        matched: found.matched,
        strict: found.model.strict,
        continuation: found.model.continuation,
        total,
        calls: AtomicU32::new(0),
    };
    let _active = app.state.retries.enter();
    // Waiting before the fallbacks are asked: they are looked at when waiting was in vain.
    let chain = match &found.model.line {
        Some(line) if line.before_fallback => found.model.chain.get(..1).unwrap_or_default(),
        _ => &found.model.chain,
    };
    let mut search = Search::new(snapshot, &app.state.retries, chain, call.streamed());
    for &index in &found.model.chain {
        if let Some(model) = snapshot.models.get(index)
            && let Some(key) = sticks_by(model, down, principal, call, snapshot.limits.json_depth)
        {
            search.stick(index, key);
        }
    }
    fit::run(&common, ctx, &mut search, found.model)?;
    ctx.record.comparison = mirror::send(app, snapshot, found.model, &common);
    let waiter = Waiter {
        priority: ctx.priority,
        caller: found.model.line.as_ref().map_or(0, |_| principal.caller(down)),
    };
    let mut soonest = None;
    let outcome = look(&common, down, ctx, &mut search, found.model, waiter, &mut soonest).await;
    ctx.record.attempts = common.calls();
    match outcome {
        Ok(Some(reply)) => Ok(reply),
        Ok(None) => Err(search.verdict(soonest)),
        Err(error) => Err(error),
    }
}

/// Ask until somebody answers; nothing when nobody does.
async fn look<'a>(
    common: &Common<'_>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    search: &mut Search<'a>,
    model: &'a PublicModel,
    waiter: Waiter,
    soonest: &mut Option<Duration>,
) -> Result<Option<Reply>, GatewayError> {
    let mut rounds = 0;
    let mut line = model.line.as_ref();
    // What the first pool said of the request: of more use to the client than how its fallbacks failed.
    let mut refusal = None;
    loop {
        // Who waits already is not overtaken.
        let behind = line.is_some_and(|line| line.queue.is_waiting()) && common.calls() == 0;
        let mut next = if behind { None } else { search.next(common.calls()) };
        if next.is_none()
            && let Some(terms) = line
            && (behind || search.is_worth_waiting())
        {
            match wait::run(common, down, ctx, search, model, terms, waiter).await? {
                Waited::Turn(chosen) => next = Some(chosen),
                Waited::Vain => line = None,
                Waited::Over(left) => {
                    line = None;
                    *soonest = Some(left);
                }
            }
            if next.is_none() && (behind || terms.before_fallback) {
                search.widen(&model.chain);
                next = search.next(common.calls());
            }
        }
        let Some(chosen) = next.or_else(|| search.last_resort(common.calls())) else {
            if rounds < model.retry.same_target && search.is_worth_asking_again() {
                let wake = Instant::now() + model.retry.backoff.wait(rounds);
                if wake >= common.total {
                    return Ok(refusal);
                }
                rounds += 1;
                pause(down, wake).await?;
                search.once_more();
                continue;
            }
            return Ok(refusal);
        };
        match ask(common, down, ctx, search, model, chosen).await {
            Ok(Asked::Answered(reply)) => return Ok(Some(reply)),
            Ok(Asked::Turned(reply)) => refusal = Some(reply),
            Ok(Asked::Failed) => {}
            Err(error) => return refusal.map(Some).ok_or(error),
        }
    }
}

/// What came of asking.
enum Asked {
    Answered(Reply),
    /// A refusal; other pools may take what this one does not.
    Turned(Reply),
    Failed,
}

/// Ask one (or two).
async fn ask<'a>(
    common: &Common<'_>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    search: &mut Search<'a>,
    model: &'a PublicModel,
    chosen: Chosen<'a>,
) -> Result<Asked, GatewayError> {
    ctx.record.target = Some(Arc::clone(chosen.target));
    ctx.record.meter = chosen.model.meter(chosen.member, common.call.operation).cloned();
    let mut fallen = Vec::new();
    let raced = {
        // Pinned here: an argument that is moved into a future takes its room twice.
        let race = pin!(race::run(common, search, chosen, &mut fallen));
        down.or_left(race).await
    };
    // Also of a client that left: its calls were made.
    ctx.record.attempts = common.calls();
    let Finished { who, result, notes } = raced.map_err(|_| GatewayError::client_left())?;
    down.waited += notes.waited;
    for Fallen { who, outcome, took } in fallen {
        ctx.record.fell(who.target, who.purpose, outcome, took);
    }
    match result {
        Ok(Reply::Refused { status, body, reason }) if turns(search, model, reason) => {
            let took = who.began.elapsed();
            ctx.record.fell(who.target, who.purpose, Outcome::ClientError, took);
            Ok(Asked::Turned(Reply::Refused { status, body, reason }))
        }
        Ok(reply) => {
            ctx.record.target = Some(Arc::clone(who.target));
            ctx.record.meter = who.model.meter(who.member, common.call.operation).cloned();
            ctx.record.purpose = who.purpose;
            ctx.record.place = (who.index, who.member);
            ctx.record.arm = who.model.arm(who.member).cloned();
            note(ctx, notes);
            Ok(Asked::Answered(reply))
        }
        Err(failure) => {
            let outcome = failure.outcome;
            if !failure.unasked {
                ctx.record.fell(who.target, who.purpose, outcome, who.began.elapsed());
            }
            if let Some(detail) = &failure.error.internal {
                tracing::debug!(request_id = %ctx.id, target = %who.target.id, outcome = outcome.as_str(), detail, "an attempt failed");
            }
            // What the provider called this request is of use to whoever looks for it there.
            ctx.record.upstream_request_id = notes.upstream_request_id;
            search.failed(who.index, who.member, failure)?;
            Ok(Asked::Failed)
        }
    }
}

/// What the answering attempt learnt becomes the request's.
fn note(ctx: &mut RequestContext, notes: Notes) {
    let record = &mut ctx.record;
    record.dropped = notes.dropped;
    record.upstream_request_id = notes.upstream_request_id;
    record.usage = notes.usage;
    record.uncounted = notes.uncounted;
    record.estimated = notes.estimated;
}

/// Whether a refusal sends the search to other pools: those for what is too long, or for what a filter refused.
fn turns<'a>(search: &mut Search<'a>, model: &'a PublicModel, reason: Option<Reason>) -> bool {
    match reason {
        Some(Reason::ContextLength) => search.detour(&model.context_chain, Purpose::ContextFallback),
        Some(Reason::ContentFilter) => search.detour(&model.filter_chain, Purpose::FilterFallback),
        _ => false,
    }
}

async fn pause(down: &mut Downstream<'_>, until: Instant) -> Result<(), GatewayError> {
    let began = Instant::now();
    let slept = down.or_left(sleep_until(until)).await;
    down.waited += began.elapsed();
    slept.map_err(|_| GatewayError::client_left())
}

/// What a request sticks to a target by: the session it names, who calls, or the beginning of its conversation.
fn sticks_by(
    model: &PublicModel,
    down: &Downstream<'_>,
    principal: Principal,
    call: &Call,
    max_depth: usize,
) -> Option<u64> {
    if !model.pool.keyed() {
        return None;
    }
    match &model.sticks {
        Sticks::Prefix => {}
        Sticks::Caller => return Some(principal.caller(down)),
        Sticks::Header(name) => {
            let session = down.request().headers.get(name);
            if let Some(session) = session.filter(|session| !session.is_empty()) {
                return Some(KeyHash::default().part(session.as_bytes()).finish());
            }
        }
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
