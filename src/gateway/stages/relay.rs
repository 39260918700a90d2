//! From an answer to the client: whole bodies at once, streams event by event as they come.
//!
//! Past the commit point a failure becomes one in-band error and a clean end of the response; never a made-up `stop` or
//! `[DONE]`.

mod cost;
mod refused;

use self::cost::Telling;
use super::super::App;
use super::super::context::{RequestContext, Try};
use super::super::downstream::{Downstream, Stop};
use super::super::live::{Broken, LiveStream, Resumable, tokens};
use super::super::respond::{self, EVENT_STREAM, JSON};
use super::dispatch::{self, Live, Reply, Resumption, Speaker};
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::{Found, Snapshot};
use crate::telemetry::Outcome;
use crate::upstream::{Backend, Target};
use crate::wire::{Call, needs};
use bytes::Bytes;
use http::StatusCode;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// Send an answer. An error means that the client could not be written to: nothing more can be said to it.
pub async fn run(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    call: &Call,
    found: Found<'_>,
    reply: Reply,
) -> pingora::Result<()> {
    match reply {
        Reply::Whole { body, room, filtered } => {
            if let Some(keeper) = &mut ctx.keeper {
                keeper.began();
                keeper.push(&body);
                keeper.keeps &= !filtered;
                keeper.complete(ctx.record.usage);
            }
            let sent = respond::whole(down, ctx, StatusCode::OK, JSON, body).await;
            drop(room);
            sent
        }
        Reply::Refused { status, body, .. } => {
            if let Some(keeper) = &mut ctx.keeper {
                keeper.disband();
            }
            ctx.record.error = Some(ErrorKind::InvalidRequest);
            respond::whole(down, ctx, status, JSON, body).await
        }
        Reply::Live(live) => {
            let what = Resumption {
                app,
                snapshot,
                call,
                found,
                total: live.total,
            };
            stream(what, down, ctx, *live).await
        }
    }
}

/// How a stream ended.
#[derive(Clone)]
enum End {
    /// As it should.
    Complete,
    /// A guardrail stopped it.
    Refused,
    /// The provider broke it off.
    Broken(Broken),
    /// A deadline passed.
    TimedOut(Outcome),
    /// The client left.
    ClientLeft,
}

impl End {
    /// Whether another target may go on.
    fn may_be_mended(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::TimedOut(Outcome::IdleTimeout))
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Complete | Self::Refused => Outcome::Ok,
            Self::Broken(Broken::Connection(_)) => Outcome::Disconnected,
            Self::Broken(Broken::Reported(_) | Broken::Said(_)) => Outcome::ServerError,
            Self::Broken(Broken::NoContinuation(_)) => Outcome::Abandoned,
            Self::Broken(_) => Outcome::BadResponse,
            Self::TimedOut(outcome) => *outcome,
            Self::ClientLeft => Outcome::Cancelled,
        }
    }
}

/// Pass on what one target says, until it is done or cannot go on.
async fn pump(
    what: &Resumption<'_>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    live: &mut LiveStream,
    (speaker, telling): (&mut Speaker, &mut Telling),
    written: &mut pingora::Result<()>,
    mut batch: Bytes,
) -> End {
    loop {
        // When the end is known before the batch is written, both leave together.
        let over = live.broken.is_some() || live.is_done() || live.ended || live.is_refused();
        down.hold(over);
        batch = telling.put(batch, (live, over), &speaker.target, ctx, what.snapshot);
        if written.is_ok() && !batch.is_empty() {
            ctx.record.bytes_out += batch.len() as u64;
            if let Some(keeper) = &mut ctx.keeper {
                keeper.push(&batch);
            }
            *written = down.write(std::mem::take(&mut batch), false).await;
        }
        if written.is_err() {
            return End::ClientLeft;
        }
        if live.is_refused() {
            return End::Refused;
        }
        if over {
            return live.broken.take().map_or(End::Complete, End::Broken);
        }
        let idle = live.last_event + speaker.target.deadlines.idle;
        let filled = {
            let fill = pin!(live.fill());
            down.until(idle.min(what.total), fill).await
        };
        match filled {
            Ok(()) => {
                batch = live.take();
                if live.begun {
                    speaker.begun();
                }
            }
            Err(Stop::ClientLeft) => return End::ClientLeft,
            Err(Stop::Deadline) => {
                return End::TimedOut(if Instant::now() >= what.total {
                    Outcome::TotalTimeout
                } else {
                    Outcome::IdleTimeout
                });
            }
        }
    }
}

/// Tell the breaker and the metrics how a target did. False: the request itself is what it failed on.
fn report(speaker: &mut Speaker, end: &End, live: &LiveStream) -> bool {
    speaker.target.attempts.count(end.outcome());
    match (speaker.permit.take(), end) {
        // What it said was an answer, only none that goes on with another's, or none that may be told.
        (Some(permit), End::Complete | End::Refused | End::Broken(Broken::NoContinuation(_))) => permit.success(),
        // It was speaking: that it had not finished may be the client's doing, who gives itself little time or reads slowly.
        (Some(permit), End::TimedOut(Outcome::TotalTimeout)) => drop(permit),
        (Some(permit), End::Broken(_) | End::TimedOut(_)) => match &live.reported {
            Some(reported) => return dispatch::settle_broken(&speaker.target, permit, reported),
            None => permit.failure(Instant::now()),
        },
        _ => {}
    }
    true
}

/// A target that broke off, with what it had read and made: as it told, else by the request and the text that passed.
fn fallen(what: &Resumption<'_>, live: &LiveStream, speaker: &Speaker, end: &End) -> Try {
    let mut usage = live.usage.unwrap_or_default();
    if usage.input == 0 {
        let body = &what.call.body;
        let seen = needs::look(body, what.call.dialect, what.snapshot.limits.json_depth);
        usage.input = needs::estimate_tokens(body.len(), &seen).saturating_add(speaker.given);
    }
    if !live.usage_is_whole
        && let Resumable::Text(said) = live.resumable()
    {
        usage.output = usage.output.max(tokens(said).saturating_sub(speaker.given));
    }
    Try {
        target: Arc::clone(&speaker.target),
        purpose: speaker.purpose,
        outcome: end.outcome(),
        took: speaker.began.elapsed(),
        usage: Some(usage),
        estimated: !live.usage_is_whole,
    }
}

async fn stream(
    what: Resumption<'_>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    live: Live,
) -> pingora::Result<()> {
    let Live {
        stream: mut live,
        first,
        target,
        permit,
        total: _,
        uncounted,
    } = live;
    let mut speaker = Speaker {
        place: ctx.record.place,
        target,
        permit,
        uncounted,
        purpose: ctx.record.purpose,
        began: ctx.started,
        begun: true,
        given: 0,
    };
    ctx.record.ttft = Some(ctx.started.elapsed());
    // The head leaves with the first batch, not before it.
    down.hold(!first.is_empty());
    if let Some(keeper) = &mut ctx.keeper {
        keeper.began();
    }
    let kind = if what.call.json_array { JSON } else { EVENT_STREAM };
    let mut written = respond::stream_head(down, ctx, kind).await;
    let mut batch = first;
    let mut telling = Telling::new(&down.request().headers, what.call);
    let mut broken = Vec::new();
    let end = loop {
        let end = pump(
            &what,
            down,
            ctx,
            &mut live,
            (&mut speaker, &mut telling),
            &mut written,
            batch,
        )
        .await;
        let another_may_do = report(&mut speaker, &end, &live);
        if !another_may_do || !end.may_be_mended() || what.found.model.continuation.is_none() {
            break end;
        }
        broken.push(speaker.place);
        let fell = fallen(&what, &live, &speaker, &end);
        telling.broke(fell.usage.as_ref(), &fell.target, ctx, what.snapshot);
        let (before, meter) = (ctx.record.tries.len(), ctx.record.meter.clone());
        match dispatch::go_on(what, down, ctx, &mut live, &broken).await {
            Ok(Some(next)) => {
                if let (Some(meter), Some(usage)) = (meter, &fell.usage) {
                    meter.tokens(usage, fell.estimated);
                }
                ctx.record.tries.insert(before, fell);
                speaker = next;
                batch = Bytes::new();
            }
            Ok(None) => break end,
            Err(_) => break End::ClientLeft,
        }
    };
    ctx.record.seams = live.seams();
    let last = refused::last(&mut live, &end, &what, ctx);
    let Speaker {
        target, mut uncounted, ..
    } = speaker;
    ctx.record.usage = live.usage;
    if let (Some(usage), false) = (&mut ctx.record.usage, live.usage_is_whole) {
        // Broken off before the provider said what it had made: its input counts as said, the output is counted here.
        usage.output = 0;
        uncounted.output_only = true;
    }
    if live.usage.is_none() || uncounted.output_only {
        uncounted.forgotten = live.forgotten();
        uncounted.response = live.remembered();
        ctx.record.uncounted = Some(uncounted);
    }
    if let (Some(keeper), End::Broken(_) | End::TimedOut(_)) = (&mut ctx.keeper, &end) {
        // Those that follow need not wait for this client to take the error.
        keeper.disband();
    }
    match end {
        End::Complete => {
            if let Some(keeper) = &mut ctx.keeper {
                keeper.complete(ctx.record.usage);
            }
            down.hold(false);
            written = down.write(Bytes::new(), true).await;
            if live.ended {
                live.release().await;
            } else {
                // The end marker has passed and the provider has not ended its response: the client need not wait for it.
                tokio::spawn(live.release());
            }
        }
        // Dropping the stream tells the provider.
        End::Refused => written = refused::end(down, ctx, last).await,
        End::ClientLeft => {
            ctx.record.status = 499;
            ctx.record.error = Some(ErrorKind::ClientLeft);
        }
        End::Broken(broken) => {
            let error = in_band(refused::sayable(presentable(broken, &target), ctx));
            written = fail(down, ctx, &mut live, last, error).await;
        }
        End::TimedOut(outcome) => {
            let error = GatewayError::new(
                ErrorKind::ProviderTimeout,
                "the provider stopped answering in the middle of the stream",
            )
            .because(outcome.as_str());
            written = fail(down, ctx, &mut live, last, Ok(error)).await;
        }
    }
    written
}

/// What the provider said of its failure, unless it says the gateway's credential.
fn presentable(broken: Broken, target: &Target) -> Broken {
    let said = match &broken {
        Broken::Said(text) => text.as_bytes(),
        Broken::Reported(Some(event)) => event,
        _ => return broken,
    };
    match &target.backend {
        Backend::Http(site) if site.is_betrayed_by(said) => Broken::Reported(None),
        _ => broken,
    }
}

/// The error to end with: the provider's own event when it may be shown, else ours.
fn in_band(broken: Broken) -> Result<GatewayError, Bytes> {
    let (kind, text, detail) = match broken {
        Broken::Reported(Some(event)) => return Err(event),
        Broken::Said(message) => return Ok(GatewayError::new(ErrorKind::ProviderError, message)),
        Broken::Reported(None) => (
            ErrorKind::ProviderError,
            "the provider failed in the middle of the stream",
            String::new(),
        ),
        Broken::Connection(fault) => (
            ErrorKind::ProviderError,
            "the provider closed the connection in the middle of the stream",
            fault.to_string(),
        ),
        Broken::Garbage(what) => (
            ErrorKind::ProviderBadResponse,
            "the provider's stream could not be understood",
            what,
        ),
        Broken::NoContinuation(why) => (
            ErrorKind::ProviderBadResponse,
            "the answer broke off, and the model that was asked to go on with it did something else",
            why.to_owned(),
        ),
        Broken::Unfinished => (
            ErrorKind::ProviderBadResponse,
            "the provider's stream ended before it was finished",
            String::new(),
        ),
    };
    Ok(GatewayError::new(kind, text).because(detail))
}

async fn fail(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    live: &mut LiveStream,
    held: Bytes,
    error: Result<GatewayError, Bytes>,
) -> pingora::Result<()> {
    let event = match error {
        Ok(error) => {
            ctx.record.error = Some(error.kind);
            ctx.record.internal = error.internal.clone();
            live.failure(&error, ctx.id.as_str())
        }
        Err(event) => {
            ctx.record.error = Some(ErrorKind::ProviderError);
            event
        }
    };
    ctx.record.bytes_out += (held.len() + event.len()) as u64;
    down.hold(true);
    if !held.is_empty() {
        down.write(held, false).await?;
    }
    down.write(event, false).await?;
    down.hold(false);
    down.write(Bytes::new(), true).await
}
