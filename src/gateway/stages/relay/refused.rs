//! The end of a stream that guardrails judge: what is held back of one that broke, and how one that they stopped ends.
//!
//! A stopped stream is no failure: it ends as an answer that a filter stopped, with usage and end marker, and those that follow it
//! get the same end. Nobody goes on with it, and it is not kept. What it cost is counted as for a client that left; what the client
//! is told of it is the provider's figures, where they were whole, else an estimate by the text that came.

use super::super::super::context::RequestContext;
use super::super::super::downstream::Downstream;
use super::super::super::live::{Broken, LiveStream};
use super::super::dispatch::Resumption;
use super::End;
use crate::guardrails::{Direction, Judge};
use crate::units::Usage;
use crate::wire::needs;
use bytes::Bytes;

/// What is still to be written of a stream that is over, before anything else; its verdicts are noted.
pub(super) fn last(live: &mut LiveStream, end: &End, what: &Resumption<'_>, ctx: &mut RequestContext) -> Bytes {
    let Some(guarding) = &mut ctx.guard else {
        return Bytes::new();
    };
    let last = match end {
        End::Refused => live.refuse(told(live, what)),
        End::Broken(_) | End::TimedOut(_) => live.give_up(),
        End::Complete | End::ClientLeft => Bytes::new(),
    };
    guarding.verdicts.extend(live.take_verdicts());
    last
}

fn told(live: &LiveStream, what: &Resumption<'_>) -> Usage {
    let mut usage = live.usage.unwrap_or_default();
    if live.usage_is_whole {
        return usage;
    }
    if usage.input == 0 {
        let body = &what.call.body;
        let seen = needs::look(body, what.call.dialect, what.snapshot.limits.json_depth);
        usage.input = needs::estimate_tokens(body.len(), &seen);
    }
    usage.output = usage.output.max(live.tokens());
    usage
}

/// What a provider said of its failure, unless guardrails would not let an answer say it.
pub(super) fn sayable(broken: Broken, ctx: &mut RequestContext) -> Broken {
    let (Broken::Said(text), Some(guarding)) = (&broken, &mut ctx.guard) else {
        return broken;
    };
    let mut judge = Judge::new(&guarding.policy, Direction::Output);
    let changed = judge.text(text).is_some();
    guarding.verdicts.extend(judge.verdicts());
    if changed { Broken::Reported(None) } else { broken }
}

/// End a stream that was stopped.
pub(super) async fn end(down: &mut Downstream<'_>, ctx: &mut RequestContext, last: Bytes) -> pingora::Result<()> {
    ctx.record.bytes_out += last.len() as u64;
    if let Some(keeper) = &mut ctx.keeper {
        keeper.push(&last);
        keeper.keeps = false;
        keeper.complete(ctx.record.usage);
    }
    down.write(last, false).await?;
    down.hold(false);
    down.write(Bytes::new(), true).await
}
