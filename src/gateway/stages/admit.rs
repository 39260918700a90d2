//! Whether the gateway takes this request on now: by how many are under way and how many bytes of bodies are held, each
//! against the share of the request's priority (`gateway/overload.rs`).
//!
//! Asked twice, because what a request is worth is known late: at first the header has been read and the request is given
//! the best priority it may turn out to have; after the routing rules [`reconsider`] asks again with the one they gave.
//! Costs nothing beyond the counting of requests in flight: the number before comes with it.

use super::super::App;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use super::super::overload::{self, Priority};
use crate::error::GatewayError;
use crate::snapshot::Limits;
use crate::telemetry::InFlight;
use http::header::{CONTENT_LENGTH, EXPECT};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Largest request body that is read only to keep the connection of a refused request.
const SPARED: usize = 64 * 1024;
/// Longest wait for it.
const SPARED_TIME: Duration = Duration::from_secs(1);

/// A request that was let in, for as long as it is under way.
#[derive(Debug)]
pub struct Admission {
    in_flight: InFlight,
    /// The client's own word, if it makes the request less important.
    asked: Option<Priority>,
    priority: Priority,
    refused: bool,
}

impl Admission {
    /// The request's, as far as it is known.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether the answer is 503.
    fn refuse(&mut self, app: &App) -> GatewayError {
        if !self.refused {
            self.refused = true;
            self.in_flight.refuse();
            app.meters.shed(self.priority.get());
        }
        overload::refusal()
    }
}

/// Count the request and see whether there is a place for it; during a graceful stop let it finish, but do not keep its
/// connection.
pub async fn run(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    limits: &Limits,
) -> Result<(), GatewayError> {
    let asked = overload::lowered(&down.request().headers);
    let in_flight = app.meters.enter();
    if app.draining.load(Ordering::Relaxed) {
        down.close_after();
    }
    let position = in_flight.position();
    let known = asked.as_ref().copied().ok().flatten();
    let admission = ctx.admission.insert(Admission {
        in_flight,
        asked: known,
        priority: known.unwrap_or(Priority::DEFAULT),
        refused: false,
    });
    asked?;
    // A rule may yet call it more important, and then it must not have been refused.
    let class = known.unwrap_or(Priority::new(limits.highest_priority));
    if fits(app, limits, class, position) {
        return Ok(());
    }
    let refusal = admission.refuse(app);
    spare_connection(down).await;
    Err(refusal)
}

/// Ask again once the rules have given the request a priority. What the client asked for may still lower it.
pub fn reconsider(
    app: &App,
    ctx: &mut RequestContext,
    limits: &Limits,
    priority: Priority,
) -> Result<(), GatewayError> {
    let Some(admission) = &mut ctx.admission else {
        return Ok(());
    };
    admission.priority = admission.asked.map_or(priority, |asked| asked.min(priority));
    if fits(app, limits, admission.priority, app.meters.admitted()) {
        Ok(())
    } else {
        Err(admission.refuse(app))
    }
}

fn fits(app: &App, limits: &Limits, priority: Priority, in_flight: usize) -> bool {
    in_flight <= priority.share_of(limits.in_flight) && app.buffers.held() <= priority.share_of(limits.buffered_bytes)
}

/// Read a small body that nobody wants, so that an HTTP/1 connection can be kept: a client that must connect anew for each
/// refusal costs more than the refusal. HTTP/2 resets the stream. A body that is large, late or not sent yet is not read,
/// and Pingora closes the connection.
async fn spare_connection(down: &mut Downstream<'_>) {
    let headers = &down.request().headers;
    let announced = headers
        .get(CONTENT_LENGTH)
        .map(|value| value.to_str().ok().and_then(|text| text.parse::<usize>().ok()));
    let large = announced.is_some_and(|length| length.is_none_or(|length| length > SPARED));
    if down.is_http2() || large || headers.contains_key(EXPECT) {
        return;
    }
    let deadline = Instant::now() + SPARED_TIME;
    let mut read = 0;
    while let Ok(Some(piece)) = down.read_body(deadline).await {
        read += piece.len();
        if read > SPARED {
            return;
        }
    }
}
