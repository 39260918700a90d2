//! Following an answer that another request is getting: written anew for this client, as it comes.
//!
//! A stream is followed as a stream event by event; who wants the whole of a stream, or a stream of a whole, gets it when it is
//! complete. An answer that breaks off before this client has got anything of it is asked for anew, by this request alone.

use super::super::super::cached::{self, Sent};
use super::super::super::context::RequestContext;
use super::super::super::downstream::{Downstream, Stop};
use super::super::super::live::{Caps, LiveStream, Source, Translation};
use super::super::super::respond::{self, EVENT_STREAM, JSON};
use super::super::super::tape::{End, Shape, TapeReader};
use super::record::CacheRecord;
use super::{Looking, serve};
use crate::cache::{Asked, form};
use crate::error::{ErrorKind, GatewayError};
use crate::providers::codec::{Expect, Framing};
use crate::wire::Operation;
use bytes::Bytes;
use std::pin::pin;
use std::time::{Duration, Instant};

/// What came of following.
pub enum Followed {
    /// The answer was sent on; the inner error says that the client could not be written to.
    Answered(pingora::Result<()>),
    /// There was none to send, and the client has got nothing.
    Nothing,
}

/// Until when this request is to be answered. `asked`: how long the client waits, if it says so.
pub(super) fn deadline(looking: &Looking<'_>, ctx: &RequestContext, asked: Option<Duration>) -> Instant {
    let deadlines = looking.found.model.deadlines();
    let longest = if looking.call.streamed() {
        deadlines.stream_total
    } else {
        deadlines.total
    };
    ctx.started + asked.map_or(longest, |asked| asked.min(longest))
}

/// Why waiting for another's answer ended without it.
pub(super) fn stopped(stop: Stop) -> GatewayError {
    match stop {
        Stop::ClientLeft => GatewayError::client_left(),
        Stop::Deadline => GatewayError::new(
            ErrorKind::ProviderTimeout,
            "no provider answered within the time that this model has",
        ),
    }
}

/// Send on what another request is getting.
pub(super) async fn run(
    looking: &Looking<'_>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    asked: &mut Asked,
    mut reader: TapeReader,
    until: Instant,
) -> Result<Followed, GatewayError> {
    let shape = reader.tape().shape;
    let live = asked.stream && shape.stream && !shape.json_array && shape.operation == Operation::Chat;
    // Usage that the stream does not tell is known at its end.
    let wants_usage = Shape::of(looking.call, asked.stream_usage).tells_usage;
    if live
        && (shape.tells_usage || !wants_usage)
        && let Ok(codec) = cached::codec(shape.dialect)
        && let Some(writer) = asked.reply.take()
    {
        let limits = &looking.snapshot.limits;
        let caps = Caps {
            event: limits.stream_event,
            depth: limits.json_depth,
        };
        let translation = Translation::new(codec.decoder(Expect::default()), writer);
        let stream = LiveStream::translated(Source::Tape(reader), caps, Framing::Sse, translation);
        let kind = if looking.call.json_array { JSON } else { EVENT_STREAM };
        let before = follows(looking, ctx);
        let followed = pass(down, ctx, stream, kind, until).await;
        if matches!(followed, Ok(Followed::Nothing)) {
            (ctx.record.cache, ctx.record.cost) = (before, None);
        }
        return followed;
    }
    let ended = {
        let wait = pin!(reader.ended());
        down.until(until, wait).await
    };
    if ended.map_err(stopped)? == End::Broken {
        return Ok(Followed::Nothing);
    }
    let pieces = reader.tape().pieces();
    let call = shape.call();
    let whole = pieces.concat();
    let sent = if shape.stream {
        Sent::Stream(&pieces)
    } else {
        Sent::Whole(&whole)
    };
    let answer = if matches!(shape.operation, Operation::Chat | Operation::Completions) {
        let Ok(mut response) = cached::read(&call, sent, looking.snapshot.limits.json_depth) else {
            return Ok(Followed::Nothing);
        };
        response.usage = response.usage.or(reader.tape().usage());
        form::pack(&response, usize::MAX)
    } else {
        form::pack_verbatim(shape.dialect, shape.operation, &whole, usize::MAX)
    };
    drop(reader);
    let before = follows(looking, ctx);
    match serve::run(looking.app, down, ctx, looking.call, &looking.policy, asked, &answer).await {
        Some(sent) => sent.map(Followed::Answered),
        None => {
            (ctx.record.cache, ctx.record.cost) = (before, None);
            Ok(Followed::Nothing)
        }
    }
}

/// It is noted as another's answer, which costs nothing, and says so; what was noted before.
fn follows(looking: &Looking<'_>, ctx: &mut RequestContext) -> Option<Box<CacheRecord>> {
    ctx.record.cost = Some(0);
    let record = CacheRecord::followed(&looking.found.model.cache_meter);
    ctx.record.cache.replace(record)
}

/// A stream, as it comes; nothing if it breaks off before any of it has come.
async fn pass(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    mut stream: LiveStream,
    kind: http::HeaderValue,
    until: Instant,
) -> Result<Followed, GatewayError> {
    let mut batch = Bytes::new();
    let mut headed = false;
    loop {
        let over = stream.broken.is_some() || stream.is_done() || stream.ended;
        if !batch.is_empty() {
            if !headed {
                headed = true;
                ctx.record.ttft = Some(ctx.started.elapsed());
                down.hold(true);
                if let Err(error) = respond::stream_head(down, ctx, kind.clone()).await {
                    return Ok(Followed::Answered(Err(error)));
                }
            }
            ctx.record.bytes_out += batch.len() as u64;
            down.hold(over);
            if let Err(error) = down.write(std::mem::take(&mut batch), false).await {
                return Ok(Followed::Answered(Err(error)));
            }
        }
        if over {
            break;
        }
        let filled = {
            let fill = pin!(stream.fill());
            down.until(until, fill).await
        };
        match filled {
            Ok(()) => batch = stream.take(),
            Err(Stop::ClientLeft) => {
                ctx.record.status = 499;
                ctx.record.error = Some(ErrorKind::ClientLeft);
                return Ok(Followed::Answered(Ok(())));
            }
            Err(Stop::Deadline) if !headed => return Err(stopped(Stop::Deadline)),
            Err(Stop::Deadline) => {
                stream.broken = Some(super::super::super::live::Broken::Unfinished);
            }
        }
    }
    if !headed {
        return Ok(Followed::Nothing);
    }
    Ok(Followed::Answered(end(down, ctx, &mut stream).await))
}

/// The end of a stream that has begun.
async fn end(down: &mut Downstream<'_>, ctx: &mut RequestContext, stream: &mut LiveStream) -> pingora::Result<()> {
    if stream.broken.is_some() {
        let error = GatewayError::new(
            ErrorKind::ProviderError,
            "the provider failed in the middle of the stream",
        );
        ctx.record.error = Some(error.kind);
        let event = stream.failure(&error, ctx.id.as_str());
        ctx.record.bytes_out += event.len() as u64;
        down.hold(true);
        down.write(event, false).await?;
    }
    down.hold(false);
    down.write(Bytes::new(), true).await
}
