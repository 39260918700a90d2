//! Waiting for a turn: when all targets of a pool that has a line are full or cooling down.
//!
//! A request joins the line of the model it asked for, and picks when it is its turn (`balance/queue.rs` says whose). Turns come
//! when a target's call ends, when a breaker closes, and when the soonest cool-down is over, which the waiting requests watch
//! themselves.

use super::super::super::context::RequestContext;
use super::super::super::downstream::{Downstream, sleep_until};
use super::attempt::Common;
use super::search::{Chosen, Search};
use crate::balance::queue::{Ticket, Turn};
use crate::error::GatewayError;
use crate::snapshot::{LineTerms, PublicModel};
use futures::future::{Either, select};
use std::pin::pin;
use std::time::{Duration, Instant};

/// Who waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// Turns are shared between callers.
    pub caller: u64,
}

/// What came of waiting.
pub(super) enum Waited<'a> {
    /// Somebody can be asked.
    Turn(Chosen<'a>),
    /// Nobody can, and waiting on would not help.
    Vain,
    /// The line was full, somebody who ranks better took the place, or the time was up. When to come back.
    Over(Duration),
}

/// Wait for a turn.
pub(super) async fn run<'a>(
    common: &Common<'_>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    search: &mut Search<'a>,
    model: &PublicModel,
    line: &LineTerms,
    waiter: Waiter,
) -> Result<Waited<'a>, GatewayError> {
    let routing = &common.app.meters.routing;
    let began = Instant::now();
    let Ok(ticket) = line.queue.join(waiter.priority, waiter.caller, began) else {
        routing.waited(&model.name, "refused", Duration::ZERO);
        return Ok(Waited::Over(line.queue.estimate(waiter.priority, began)));
    };
    routing.joined(&model.name, ticket.position().unwrap_or(0));
    let deadline = (began + line.wait).min(common.total);
    let over = stand(common, down, search, line, ticket, deadline).await;
    let waited = began.elapsed();
    down.waited += waited;
    ctx.record.queued = Some(ctx.record.queued.unwrap_or_default() + waited);
    let (over, result) = match over {
        Ok(Stood::Turn(chosen)) => (Ok(Waited::Turn(chosen)), "served"),
        Ok(Stood::Vain) => (Ok(Waited::Vain), "vain"),
        Ok(Stood::Shed) => (Ok(Waited::Over(soonest(line, waiter))), "shed"),
        Ok(Stood::TimedOut) => (Ok(Waited::Over(soonest(line, waiter))), "timed_out"),
        Err(error) => (Err(error), "left"),
    };
    routing.waited(&model.name, result, waited);
    over
}

fn soonest(line: &LineTerms, waiter: Waiter) -> Duration {
    line.queue.estimate(waiter.priority, Instant::now())
}

enum Stood<'a> {
    Turn(Chosen<'a>),
    Vain,
    Shed,
    TimedOut,
}

/// Whoever knows when a cool-down ends tells the line then. One that goes before that has the next look for itself: else nobody
/// would notice the end, and the line stand still for as long as anybody joins it.
struct Watch<'a> {
    line: &'a LineTerms,
    knows: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.knows {
            self.line.queue.open();
        }
    }
}

async fn stand<'a>(
    common: &Common<'_>,
    down: &mut Downstream<'_>,
    search: &mut Search<'a>,
    line: &LineTerms,
    mut ticket: Ticket,
    deadline: Instant,
) -> Result<Stood<'a>, GatewayError> {
    let mut watch = Watch { line, knows: false };
    loop {
        let cooled = search.cooling().map(|left| Instant::now() + left);
        watch.knows = cooled.is_some();
        let until = cooled.map_or(deadline, |cooled| cooled.min(deadline));
        let told = {
            let (turn, sleep) = (pin!(ticket.turn()), pin!(sleep_until(until)));
            let told = down.or_left(select(turn, sleep)).await;
            match told.map_err(|_| GatewayError::client_left())? {
                Either::Left((turn, _)) => Some(turn),
                Either::Right(_) => None,
            }
        };
        match told {
            Some(Turn::Shed) => return Ok(Stood::Shed),
            Some(Turn::Try) => {
                search.again(None);
                if let Some(chosen) = search.next(common.calls()) {
                    ticket.served(Instant::now());
                    return Ok(Stood::Turn(chosen));
                }
                if !search.is_worth_waiting() {
                    return Ok(Stood::Vain);
                }
                ticket.back();
            }
            None if Instant::now() >= deadline => {
                ticket.timed_out();
                return Ok(Stood::TimedOut);
            }
            // A cool-down is over: whoever is first may look.
            None => {
                search.forget_cooling();
                line.queue.open();
            }
        }
    }
}
