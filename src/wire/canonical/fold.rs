//! From a stream's events to the whole answer they spell: for tests (a call streamed or not must be the same), for counting
//! and for whoever needs the whole of a stream. Also checks the order that [`Event`] promises.

use super::{Candidate, Delta, Event, Media, Part, PartStart, Response, Thinking, ToolCall};
use std::borrow::Cow;

/// An answer being put together.
#[derive(Debug, Default)]
pub struct Fold {
    response: Response<'static>,
    started: bool,
    ended: bool,
    open: Vec<(u32, u32)>,
    /// What was out of order, first of all.
    pub disorder: Option<&'static str>,
    /// The provider's own report of a failure.
    pub error: Option<String>,
}

fn own(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

impl Fold {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The answer so far.
    pub fn response(&self) -> &Response<'static> {
        &self.response
    }

    /// The answer, as far as it came.
    pub fn into_response(self) -> Response<'static> {
        self.response
    }

    /// Whether the end marker has come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    fn wrong(&mut self, what: &'static str) {
        self.disorder.get_or_insert(what);
    }

    fn candidate(&mut self, index: u32) -> &mut Candidate<'static> {
        let candidates = &mut self.response.candidates;
        let at = match candidates.iter().position(|c| c.index == index) {
            Some(at) => at,
            None => {
                candidates.push(Candidate {
                    index,
                    ..Candidate::default()
                });
                candidates.len() - 1
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or just pushed")]
        &mut candidates[at]
    }

    /// Take the next event in.
    pub fn event(&mut self, event: &Event<'_>) {
        if self.ended {
            self.wrong("an event after the end");
        }
        if !self.started && !matches!(event, Event::Start { .. } | Event::Ping | Event::Error { .. }) {
            self.wrong("an event before the start");
        }
        match event {
            Event::Start {
                id,
                model,
                created,
                usage,
                service_tier,
                fingerprint,
            } => {
                if std::mem::replace(&mut self.started, true) {
                    self.wrong("a second start");
                }
                self.response.id = own(id);
                self.response.model = own(model);
                self.response.created = *created;
                self.response.usage = *usage;
                self.response.service_tier = service_tier.as_deref().map(own);
                self.response.fingerprint = fingerprint.as_deref().map(own);
            }
            Event::PartStart { candidate, part, start } => self.begin(*candidate, *part, start),
            Event::Delta { candidate, part, delta } => self.delta(*candidate, *part, delta),
            Event::PartEnd { candidate, part } => {
                let before = self.open.len();
                self.open.retain(|open| open != &(*candidate, *part));
                if self.open.len() == before {
                    self.wrong("the end of a part that is not open");
                }
            }
            Event::Finish {
                candidate,
                finish,
                stop_sequence,
            } => {
                if self.open.iter().any(|(of, _)| of == candidate) {
                    self.wrong("a finish with a part still open");
                }
                let finish = finish.to_owned_finish();
                let stop = stop_sequence.as_deref().map(own);
                let candidate = self.candidate(*candidate);
                candidate.finish = Some(finish);
                candidate.stop_sequence = stop;
            }
            Event::Safety {
                candidate,
                dialect,
                raw,
            } => {
                self.candidate(*candidate).safety = Some((*dialect, own(raw)));
            }
            Event::Usage(usage) => self.response.usage.get_or_insert_default().merge(usage),
            Event::Ping => {}
            Event::End => self.ended = true,
            Event::Error { message, .. } => self.error = Some(message.to_string()),
        }
    }

    fn begin(&mut self, candidate: u32, part: u32, start: &PartStart<'_>) {
        if self.candidate(candidate).parts.len() != part as usize {
            self.wrong("a part number out of turn");
        }
        self.open.push((candidate, part));
        let new = match start {
            PartStart::Text => Part::text(""),
            PartStart::Refusal => Part::Refusal(Cow::Borrowed("")),
            PartStart::Thinking { id } => Part::Thinking(Thinking {
                id: id.as_deref().map(own),
                ..Thinking::default()
            }),
            PartStart::ToolCall {
                id,
                name,
                kind,
                signature,
            } => Part::ToolCall(ToolCall {
                id: own(id),
                name: own(name),
                arguments: Cow::Borrowed(""),
                kind: *kind,
                signature: signature.as_ref().map(super::Signature::to_static),
                cache: None,
            }),
            PartStart::Whole(part) => part.to_static(),
        };
        self.candidate(candidate).parts.push(new);
    }

    fn delta(&mut self, candidate: u32, part: u32, delta: &Delta<'_>) {
        if !self.open.contains(&(candidate, part)) {
            self.wrong("a delta of a part that is not open");
        }
        if let Delta::Logprobs(logprobs) = delta {
            let logprobs: Vec<_> = logprobs.iter().map(super::Logprob::to_static).collect();
            self.candidate(candidate).logprobs.extend(logprobs);
            return;
        }
        let fits = match (self.candidate(candidate).parts.get_mut(part as usize), delta) {
            (Some(Part::Text { text, .. } | Part::Refusal(text)), Delta::Text(more)) => {
                text.to_mut().push_str(more);
                true
            }
            (Some(Part::Text { citations, .. }), Delta::Citation(citation)) => {
                citations.push(citation.to_static());
                true
            }
            (Some(Part::Text { signature, .. }), Delta::Signature(given)) => {
                *signature = Some(given.to_static());
                true
            }
            (Some(Part::Thinking(thinking)), Delta::Thinking(more)) => {
                thinking.text.to_mut().push_str(more);
                true
            }
            (Some(Part::Thinking(thinking)), Delta::Signature(given)) => {
                thinking.signature = Some(given.to_static());
                true
            }
            (Some(Part::ToolCall(call)), Delta::Arguments(more)) => {
                call.arguments.to_mut().push_str(more);
                true
            }
            _ => false,
        };
        if !fits {
            self.wrong("a delta that does not fit its part");
        }
    }
}

impl Response<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> Response<'static> {
        Response {
            id: own(&self.id),
            model: own(&self.model),
            created: self.created,
            candidates: self.candidates.iter().map(Candidate::to_static).collect(),
            usage: self.usage,
            service_tier: self.service_tier.as_deref().map(own),
            fingerprint: self.fingerprint.as_deref().map(own),
        }
    }
}

impl Candidate<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> Candidate<'static> {
        Candidate {
            index: self.index,
            parts: self.parts.iter().map(Part::to_static).collect(),
            finish: self.finish.as_ref().map(super::Finish::to_owned_finish),
            stop_sequence: self.stop_sequence.as_deref().map(own),
            logprobs: self.logprobs.iter().map(super::Logprob::to_static).collect(),
            safety: self.safety.as_ref().map(|(dialect, raw)| (*dialect, own(raw))),
        }
    }
}

impl super::Finish<'_> {
    /// A copy that borrows nothing.
    pub fn to_owned_finish(&self) -> super::Finish<'static> {
        use super::Finish as F;
        match self {
            F::Stop => F::Stop,
            F::StopSequence => F::StopSequence,
            F::Length => F::Length,
            F::ContextWindow => F::ContextWindow,
            F::ToolCalls => F::ToolCalls,
            F::ContentFilter => F::ContentFilter,
            F::Refusal => F::Refusal,
            F::Pause => F::Pause,
            F::MalformedCall => F::MalformedCall,
            F::Error => F::Error,
            F::Other(word) => F::Other(own(word)),
        }
    }
}

impl super::Signature<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> super::Signature<'static> {
        super::Signature {
            origin: self.origin,
            data: own(&self.data),
        }
    }
}

impl super::Logprob<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> super::Logprob<'static> {
        super::Logprob {
            token: own(&self.token),
            logprob: self.logprob,
            top: self.top.iter().map(|(token, logprob)| (own(token), *logprob)).collect(),
        }
    }
}

impl super::Citation<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> super::Citation<'static> {
        super::Citation {
            url: self.url.as_deref().map(own),
            title: self.title.as_deref().map(own),
            cited_text: self.cited_text.as_deref().map(own),
            span: self.span,
            document: self.document,
            raw: self.raw.as_ref().map(|(dialect, raw)| (*dialect, own(raw))),
        }
    }
}

impl Part<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> Part<'static> {
        match self {
            Part::Text {
                text,
                cache,
                citations,
                signature,
            } => Part::Text {
                text: own(text),
                cache: *cache,
                citations: citations.iter().map(super::Citation::to_static).collect(),
                signature: signature.as_ref().map(super::Signature::to_static),
            },
            Part::Refusal(text) => Part::Refusal(own(text)),
            Part::Media(media) => Part::Media(media.to_static()),
            Part::Thinking(thinking) => Part::Thinking(Thinking {
                text: own(&thinking.text),
                signature: thinking.signature.as_ref().map(super::Signature::to_static),
                redacted: thinking.redacted,
                id: thinking.id.as_deref().map(own),
            }),
            Part::ToolCall(call) => Part::ToolCall(ToolCall {
                id: own(&call.id),
                name: own(&call.name),
                arguments: own(&call.arguments),
                kind: call.kind,
                signature: call.signature.as_ref().map(super::Signature::to_static),
                cache: call.cache,
            }),
            Part::ToolResult(result) => Part::ToolResult(super::ToolResult {
                call_id: own(&result.call_id),
                name: result.name.as_deref().map(own),
                parts: result.parts.iter().map(Part::to_static).collect(),
                is_error: result.is_error,
                kind: result.kind,
                cache: result.cache,
            }),
            Part::Opaque { dialect, kind, raw } => Part::Opaque {
                dialect: *dialect,
                kind: own(kind),
                raw: own(raw),
            },
        }
    }
}

impl Media<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> Media<'static> {
        use super::Source;
        let source = match &self.source {
            Source::Url(url) => Source::Url(own(url)),
            Source::Base64(data) => Source::Base64(own(data)),
            Source::File { dialect, id } => Source::File {
                dialect: *dialect,
                id: own(id),
            },
            Source::Text(text) => Source::Text(own(text)),
            Source::Parts(parts) => Source::Parts(parts.iter().map(Part::to_static).collect()),
        };
        Media {
            kind: self.kind,
            source,
            media_type: self.media_type.as_deref().map(own),
            detail: self.detail.as_deref().map(own),
            title: self.title.as_deref().map(own),
            context: self.context.as_deref().map(own),
            citations: self.citations,
            transcript: self.transcript.as_deref().map(own),
            cache: self.cache,
            signature: self.signature.as_ref().map(super::Signature::to_static),
        }
    }
}
