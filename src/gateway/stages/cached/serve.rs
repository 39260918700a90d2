//! A kept answer, sent: whole, or as a stream at once or at a model's pace.

use super::super::super::App;
use super::super::super::buffers::Room;
use super::super::super::cached::{self, Pieces, Replay};
use super::super::super::context::RequestContext;
use super::super::super::downstream::{Downstream, Stop, sleep_until};
use super::super::super::respond::{self, EVENT_STREAM, JSON};
use super::super::receive;
use crate::cache::{Answer, Asked, Pace, Policy};
use crate::clock;
use crate::error::{ErrorKind, GatewayError};
use crate::wire::Call;
use bytes::Bytes;
use http::StatusCode;
use std::pin::pin;
use std::time::{Duration, Instant};

/// How much of a stream is written at a time when no pace is set, in bytes.
const BATCH: usize = 32 * 1024;

/// Send a kept answer; nothing when it cannot be read, and then nothing was sent. An error: there is no memory for it, since a body
/// that a client takes slowly is held as any other is.
pub(super) async fn run(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    call: &Call,
    policy: &Policy,
    asked: &mut Asked,
    answer: &Answer,
) -> Option<Result<pingora::Result<()>, GatewayError>> {
    let limits = ctx.snapshot.as_ref()?.limits;
    let made = cached::replay(call, asked.reply.take(), answer, clock::now_ms(), limits.json_depth).ok()?;
    let mut room = Room::none(&app.buffers);
    if room.grow_to(made.bytes(), limits.buffered_bytes).is_err() {
        return Some(Err(receive::overloaded()));
    }
    ctx.record.attempts = 0;
    // It costs nothing, and says so.
    ctx.record.cost = Some(0);
    Some(Ok(match made {
        Replay::Whole(body) => respond::whole(down, ctx, StatusCode::OK, JSON, body).await,
        Replay::Stream(pieces) => {
            let kind = if call.json_array { JSON } else { EVENT_STREAM };
            paced(down, ctx, pieces, kind, policy.pace).await
        }
    }))
}

async fn paced(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    pieces: Pieces,
    kind: http::HeaderValue,
    pace: Pace,
) -> pingora::Result<()> {
    ctx.record.ttft = Some(ctx.started.elapsed());
    down.hold(true);
    respond::stream_head(down, ctx, kind).await?;
    match pace {
        Pace::AtOnce => {
            let mut left = pieces.whole();
            ctx.record.bytes_out += left.len() as u64;
            while !left.is_empty() {
                let batch = left.split_to(left.len().min(BATCH));
                down.write(batch, false).await?;
            }
        }
        Pace::Tokens(a_second) => {
            let began = Instant::now();
            for (index, piece) in (0u32..).zip(pieces.each()) {
                down.hold(false);
                ctx.record.bytes_out += piece.len() as u64;
                down.write(piece, false).await?;
                // By the clock, not by the pause: timers are coarse, and the rate is to be true.
                let due = began + Duration::from_secs_f32((index + 1) as f32 / a_second.max(0.1));
                if due <= Instant::now() {
                    continue;
                }
                let pause = pin!(sleep_until(due));
                let slept = down.or_left(pause).await;
                if matches!(slept, Err(Stop::ClientLeft)) {
                    ctx.record.status = 499;
                    ctx.record.error = Some(ErrorKind::ClientLeft);
                    return Ok(());
                }
            }
        }
    }
    down.hold(false);
    down.write(Bytes::new(), true).await
}
