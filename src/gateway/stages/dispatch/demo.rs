//! The embedded demo as a target.

use super::super::super::buffers::Room;
use super::super::super::live::Source;
use super::super::super::plan::{Answer, Translated};
use super::attempt::{Asking, Attempt, Notes};
use super::failure::{Failure, bad_response, unplannable, unsupported};
use super::{Reply, count};
use crate::providers::Speaks;
use crate::providers::chat::ChatCodec;
use crate::providers::demo::{self, DemoAnswer, TOKEN_PACE};
use crate::telemetry::Outcome;
use crate::wire::{Dialect, Operation, usage};
use std::time::SystemTime;

/// What reads the demo's answers for clients of other dialects.
const DEMO_CODEC: ChatCodec = ChatCodec {
    quirks: &crate::providers::chat::PLAIN,
};

impl Attempt<'_> {
    /// Let the demo answer.
    pub(super) async fn demo(&self, notes: &mut Notes, mut asking: Asking) -> Result<Reply, Failure> {
        let call = self.common.call;
        let depth = self.common.limits().json_depth;
        if call.operation == Operation::CountTokens {
            return count::estimate(self, notes, "demo").await;
        }
        if !demo::supports(call.operation) {
            return Err(unsupported(call));
        }
        // The demo speaks OpenAI's dialect; its answers are translated like any other target's.
        let answer = if call.dialect == Dialect::OpenAi && call.operation == Operation::Chat {
            Answer::Native { withhold_usage: false }
        } else {
            let translated = Translated::of(call, Speaks::Chat(DEMO_CODEC), depth).map_err(unplannable)?;
            Answer::Translated(translated)
        };
        self.common.count_call();
        asking.asked = true;
        let created = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let foreign = matches!(answer, Answer::Translated(_));
        match demo::answer(call, self.common.id, created, foreign) {
            DemoAnswer::Whole(body) => {
                notes.usage = usage::read(&body, depth).ok().and_then(|facts| facts.usage);
                let body = match answer {
                    Answer::Native { .. } => body,
                    Answer::Translated(translated) => {
                        let whole = translated.whole(call, &body, depth);
                        whole.map_err(|error| bad_response(error.to_string()))?.body
                    }
                };
                asking.answered();
                Ok(Reply::Whole {
                    body,
                    room: Room::none(&self.common.app.buffers),
                    filtered: false,
                })
            }
            DemoAnswer::Events(events) => {
                let source = Source::Paced {
                    events: events.into(),
                    pace: TOKEN_PACE,
                };
                let guarded = self.guarded(None, !foreign).await?;
                let mut stream = self.live(source, answer, guarded, None);
                notes
                    .within(self.common.total, stream.fill())
                    .await
                    .map_err(|_| self.late(Outcome::TotalTimeout))?;
                let first = stream.take();
                Ok(self.commit(asking, stream, first))
            }
        }
    }
}
