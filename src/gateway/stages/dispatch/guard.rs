//! The stream of an attempt, and what judges it where guardrails hold for answers. Each attempt has its own: of two that race, what the
//! slower one said was found in nobody's answer.

use super::super::super::aside::{OFFLOAD_FROM, aside};
use super::super::super::live::{Caps, Guard, LiveStream, Source, Trail, Translation};
use super::super::super::plan::{self, Answer, Terms};
use super::attempt::Attempt;
use super::failure::{self, Failure};
use crate::providers::codec::{Framing, StreamDecoder};
use crate::upstream::Site;
use std::sync::Arc;

/// A guard, and what it needs where its stream is native.
pub(super) struct Guarded {
    guard: Guard,
    decoder: Option<Box<dyn StreamDecoder>>,
    /// A native stream must go this way, for its bytes may not pass as they are.
    through: Option<Translation>,
}

impl Guarded {
    /// Whether the stream's own bytes pass.
    pub(super) fn lets_pass(&self) -> bool {
        self.through.is_none()
    }

    /// Judge this stream, of which nothing has passed.
    fn attach(self, stream: &mut LiveStream) {
        stream.guard(self.guard, self.decoder);
    }
}

impl Attempt<'_> {
    /// The stream of an answer.
    pub(super) fn live(
        &self,
        source: Source,
        answer: Answer,
        mut guarded: Option<Guarded>,
        trail: Option<Trail>,
    ) -> LiveStream {
        let (limits, call) = (self.common.limits(), self.common.call);
        let caps = Caps {
            event: limits.stream_event,
            depth: limits.json_depth,
        };
        let through = guarded.as_mut().and_then(|guarded| guarded.through.take());
        let mut stream = match (answer, through) {
            (Answer::Native { .. }, Some(translation)) => {
                LiveStream::translated(source, caps, Framing::Sse, translation)
            }
            (Answer::Translated(translated), _) => {
                let framing = translated.framing();
                match translated.stream() {
                    Some(translation) => LiveStream::translated(source, caps, framing, translation),
                    None => LiveStream::native(source, caps, call.dialect, false, false),
                }
            }
            (Answer::Native { withhold_usage }, None) => {
                LiveStream::native(source, caps, call.dialect, withhold_usage, call.json_array)
            }
        };
        if let Some(trail) = trail {
            stream.follow(trail);
        }
        if let Some(guarded) = guarded {
            guarded.attach(&mut stream);
        }
        stream
    }

    /// What judges the stream to come. `native`: it speaks the client's API. An error: it cannot be judged.
    pub(super) async fn guarded(&self, site: Option<&Arc<Site>>, native: bool) -> Result<Option<Guarded>, Failure> {
        let client = self.common.call.dialect;
        let guard = self.common.guard.as_ref().and_then(|policy| Guard::new(policy, client));
        let Some(guard) = guard else { return Ok(None) };
        let mut guarded = Guarded {
            guard,
            decoder: None,
            through: None,
        };
        if !native {
            return Ok(Some(guarded));
        }
        let call = self.common.call;
        let model = self.target.model.resolve(&call.envelope.model, self.common.matched);
        if !guarded.guard.acts() {
            guarded.decoder = plan::guarded::decoder(call, site.map(|site| &**site), self.terms(&model));
            return Ok(Some(guarded));
        }
        guarded.through = if call.body.len() < OFFLOAD_FROM {
            plan::guarded::through(call, site.map(|site| &**site), self.terms(&model))
        } else {
            let (call, site, model) = (call.clone(), site.cloned(), model.into_owned());
            let (max_depth, mixed, strict) = self.settings();
            let work = move || {
                let terms = Terms {
                    model: &model,
                    max_depth,
                    mixed,
                    strict,
                };
                plan::guarded::through(&call, site.as_deref(), terms)
            };
            let made = aside(work).await;
            made.map_err(|error| failure::defect(format!("blocking task: {error}")))?
        };
        match guarded.through {
            Some(_) => Ok(Some(guarded)),
            None => Err(failure::defect("a stream that guardrails cannot read".to_owned())),
        }
    }
}
