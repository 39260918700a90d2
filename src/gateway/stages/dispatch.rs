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
mod doubt;
mod failure;
mod fit;
mod forward;
mod guard;
mod judge;
mod mirror;
pub mod probe;
mod race;
mod resume;
mod schema;
mod search;
mod send;
mod translate;
mod unattended;
mod wait;

use self::attempt::{Common, Notes};
pub(in crate::gateway) use self::judge::settle_broken;
use self::race::{Fallen, Finished};
use self::search::{Chosen, Search, Who};
use self::wait::{Waited, Waiter};
use super::super::App;
use super::super::buffers::Room;
use super::super::context::{RequestContext, Uncounted};
use super::super::downstream::{Downstream, sleep_until};
use super::super::live::LiveStream;
use super::authenticate::Principal;
use crate::balance::{KeyHash, Permit};
use crate::clock;
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
use std::time::{Duration, Instant};

pub(in crate::gateway) use self::forward::Forwarded;
pub(in crate::gateway) use self::resume::{Resumption, Speaker, go_on};
pub(in crate::gateway) use self::unattended::{Answered, Unattended};

const TIMEOUT: HeaderName = HeaderName::from_static("x-cirque-timeout-ms");

/// An answer, ready to be relayed.
pub enum Reply {
    /// A whole JSON body.
    Whole {
        /// The provider's bytes.
        body: Bytes,
        /// Room its bytes take.
        room: Room,
        /// A content filter left nothing of it; only looked at where somebody else would be asked then.
        filtered: bool,
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

impl Reply {
    /// Why another pool might do better.
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => *reason,
            Self::Whole { filtered: true, .. } => Some(Reason::ContentFilter),
            _ => None,
        }
    }
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
        matched: found.matched,
        strict: found.model.strict,
        continuation: found.model.continuation,
        guard: ctx.guard.as_ref().map(|guarding| guarding.policy.clone()),
        filters: !found.model.filter_chain.is_empty(),
        allotted: (total == ctx.started + configured).then_some(configured),
        ..Common::plain(app, snapshot, call, id.as_str(), &headers, total)
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
            && let Some(key) = sticks_by(model, down, &ctx.principal, call, snapshot.limits.json_depth)
        {
            search.stick(index, key);
        }
    }
    fit::run(&common, ctx, &mut search, found.model).await?;
    ctx.record.comparison = mirror::send(app, snapshot, found.model, &common, &ctx.principal);
    let waiter = Waiter {
        priority: ctx.priority,
        caller: found.model.line.as_ref().map_or(0, |_| ctx.principal.caller(down)),
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
    // A request that goes elsewhere from the start (it is too long) does not wait for this model's targets.
    let mut line = model.line.as_ref().filter(|_| !search.is_detoured());
    let mut narrow = line.is_some_and(|line| line.before_fallback);
    // What the first pool said of the request: of more use to the client than how its fallbacks failed.
    let mut refusal: Option<Box<Turned<'_>>> = None;
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
        }
        // Also when there was nothing to wait for: targets that fail are no reason to leave the fallbacks out.
        if next.is_none() && (narrow || behind) {
            narrow = false;
            search.widen(&model.chain, behind);
            next = search.next(common.calls());
        }
        if next.is_none() && search.go_home() {
            next = search.next(common.calls());
        }
        let Some(chosen) = next.or_else(|| search.last_resort(common.calls())) else {
            if rounds < model.retry.same_target && search.is_worth_asking_again() {
                let wake = Instant::now() + model.retry.backoff.wait(rounds);
                if wake >= common.total {
                    return Ok(refusal.map(|turned| accept(common, ctx, *turned)));
                }
                rounds += 1;
                pause(down, wake).await?;
                search.once_more();
                continue;
            }
            return Ok(refusal.map(|turned| accept(common, ctx, *turned)));
        };
        match ask(common, down, ctx, search, model, chosen).await {
            Ok(Asked::Answered(reply)) => return Ok(Some(reply)),
            Ok(Asked::Turned(turned)) => {
                refusal = Some(turned);
                (line, narrow) = (None, false);
            }
            Ok(Asked::Failed) => {}
            Err(error) => {
                let Some(turned) = refusal else { return Err(error) };
                return Ok(Some(accept(common, ctx, *turned)));
            }
        }
    }
}

/// An answer, what was learnt, and whose it is.
type Turned<'a> = (Reply, Notes, Who<'a>);

/// What came of asking.
enum Asked<'a> {
    Answered(Reply),
    /// A refusal; other pools may take what this one does not.
    Turned(Box<Turned<'a>>),
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
) -> Result<Asked<'a>, GatewayError> {
    let Who { model: of, member, .. } = chosen.who;
    ctx.record.target = Some(Arc::clone(chosen.who.target));
    ctx.record.meter = of.meter(member, common.call.operation).cloned();
    let mut fallen = Vec::new();
    let raced = {
        // Pinned here: an argument that is moved into a future takes its room twice.
        let race = pin!(race::run(common, search, chosen, &mut fallen));
        down.or_left(race).await
    };
    // Also of a client that left: its calls were made.
    ctx.record.attempts = common.calls();
    let Finished { who, result, notes } = raced.map_err(|_| {
        // What of it was waiting went with it; nearly all was.
        down.waited = ctx.started.elapsed();
        GatewayError::client_left()
    })?;
    // Two beside each other waited together: as long as the first of them.
    down.waited += match fallen.first() {
        Some(other) => other.who.began.min(who.began).elapsed(),
        None => notes.waited,
    };
    for Fallen { who, outcome, took } in fallen {
        ctx.record.fell(who.target, who.purpose, outcome, took);
    }
    match result {
        Ok(reply) if turns(search, model, reply.reason()) => {
            let outcome = match &reply {
                Reply::Refused { .. } => Outcome::ClientError,
                _ => Outcome::Ok,
            };
            ctx.record.fell(who.target, who.purpose, outcome, who.began.elapsed());
            if let (Some(tried), usage @ Some(_)) = (ctx.record.tries.last_mut(), notes.usage) {
                tried.usage = usage;
            }
            Ok(Asked::Turned(Box::new((reply, notes, who))))
        }
        Ok(reply) => {
            ctx.record.answered = true;
            Ok(Asked::Answered(accept(common, ctx, (reply, notes, who))))
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

/// Take this answer: who gave it and what was learnt become the request's.
fn accept(common: &Common<'_>, ctx: &mut RequestContext, answer: Turned<'_>) -> Reply {
    let (reply, notes, who) = answer;
    let record = &mut ctx.record;
    // The one that was asked first is noted already.
    if !record
        .target
        .as_ref()
        .is_some_and(|known| Arc::ptr_eq(known, who.target))
    {
        record.target = Some(Arc::clone(who.target));
        record.meter = who.model.meter(who.member, common.call.operation).cloned();
    }
    record.purpose = who.purpose;
    record.place = (who.index, who.member);
    record.arm = who.model.arm(who.member).cloned();
    record.dropped = notes.dropped;
    record.upstream_request_id = notes.upstream_request_id;
    record.usage = notes.usage;
    record.uncounted = notes.uncounted;
    record.estimated = notes.estimated;
    if let (Some(usage), false) = (&record.usage, ctx.lease.is_none()) {
        let now = clock::now();
        let price = common.snapshot.tariff.price(who.target, &record.named(), now);
        record.cost = price.map(|price| common.snapshot.tariff.billed(price.of(usage).total()));
    }
    reply
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
    principal: &Principal,
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
pub(in crate::gateway) fn asked_timeout(down: &Downstream<'_>) -> Result<Option<Duration>, GatewayError> {
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
