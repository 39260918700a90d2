//! The embedded demo as a target.

use super::super::super::buffers::Room;
use super::super::super::context::RequestContext;
use super::super::super::downstream::Downstream;
use super::super::super::live::Source;
use super::super::super::plan::{Answer, Translated};
use super::attempt::Attempt;
use super::failure::{Failure, bad_response, unplannable, unsupported};
use super::{Live, Reply, count};
use crate::balance::Permit;
use crate::providers::Speaks;
use crate::providers::chat::ChatCodec;
use crate::providers::demo::{self, DemoAnswer, TOKEN_PACE};
use crate::telemetry::{Outcome, ResponseText};
use crate::wire::{Dialect, Operation, usage};
use std::sync::Arc;
use std::time::SystemTime;

/// What reads the demo's answers for clients of other dialects.
const DEMO_CODEC: ChatCodec = ChatCodec {
    quirks: &crate::providers::chat::PLAIN,
};

impl Attempt<'_> {
    /// Let the demo answer.
    pub(super) async fn demo(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        permit: Permit,
    ) -> Result<Reply, Failure> {
        if self.call.operation == Operation::CountTokens {
            drop(permit);
            return count::estimate(self, ctx, "demo").await;
        }
        if !demo::supports(self.call.operation) {
            drop(permit);
            return Err(unsupported(self.call));
        }
        // The demo speaks OpenAI's dialect; its answers are translated like any other target's.
        let answer = if self.call.dialect == Dialect::OpenAi && self.call.operation == Operation::Chat {
            Answer::Native { withhold_usage: false }
        } else {
            let translated =
                Translated::of(self.call, Speaks::Chat(DEMO_CODEC), self.limits.json_depth).map_err(unplannable)?;
            Answer::Translated(translated)
        };
        ctx.record.attempts += 1;
        let created = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let foreign = matches!(answer, Answer::Translated(_));
        match demo::answer(self.call, ctx.id.as_str(), created, foreign) {
            DemoAnswer::Whole(body) => {
                permit.success();
                self.target.attempts.count(Outcome::Ok);
                ctx.record.usage = usage::read(&body, self.limits.json_depth)
                    .ok()
                    .and_then(|facts| facts.usage);
                let body = match answer {
                    Answer::Native { .. } => body,
                    Answer::Translated(translated) => {
                        let whole = translated.whole(self.call, &body, self.limits.json_depth);
                        whole.map_err(|error| bad_response(error.to_string()))?.body
                    }
                };
                Ok(Reply::Whole {
                    body,
                    room: Room::none(&self.app.buffers),
                })
            }
            DemoAnswer::Events(events) => {
                let source = Source::Paced {
                    events: events.into(),
                    pace: TOKEN_PACE,
                };
                let mut stream = self.live(source, answer);
                down.until(self.total, stream.fill())
                    .await
                    .map_err(|stop| self.stopped(stop, Outcome::Cancelled))?;
                let first = stream.take();
                let uncounted = self.uncounted(ResponseText::Events(Vec::new()));
                Ok(Reply::Live(Box::new(Live {
                    stream,
                    first,
                    target: Arc::clone(self.target),
                    permit,
                    total: self.total,
                    uncounted,
                })))
            }
        }
    }
}
