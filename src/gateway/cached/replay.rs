//! From a kept answer to what a client is sent: a body, or a stream in pieces as a model would have sent it.
//!
//! The client's own writer does both, as it does for translated answers, so id, time and the model's name are those of this
//! request. Pieces of text are about a token each, split between words where there are any, and longer where an answer is so
//! long that its stream would be thousands of events.

use super::pieces;
use crate::cache::form::{self, Damaged};
use crate::cache::{Answer, Form};
use crate::units::Usage;
use crate::wire::canonical::{Candidate, Delta, Event, Logprob, Part, PartStart, Response};
use crate::wire::client::ReplyWriter;
use crate::wire::json::{self, Kind, Span};
use crate::wire::{Call, Operation};
use bytes::Bytes;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// A body.
    Whole(Bytes),
    /// A stream, the end marker included.
    Stream(Pieces),
}

/// A stream in one buffer, and where its pieces end: each is one event or a few, complete, as they would leave at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    all: Bytes,
    ends: Vec<usize>,
}

impl Pieces {
    /// All of them as they follow each other.
    pub fn whole(self) -> Bytes {
        self.all
    }

    /// One after the other.
    pub fn each(&self) -> Vec<Bytes> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .map(|(from, to)| self.all.slice(from..*to))
            .collect()
    }
}

impl Replay {
    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Stream(pieces) => pieces.all.len(),
        }
    }
}

/// What to send for this call. `writer`: [`crate::cache::ask::Asked::reply`]. Nothing of it is sent before all of it is made, so
/// an answer that is damaged is a miss.
pub fn replay(
    call: &Call,
    writer: Option<Box<dyn ReplyWriter>>,
    answer: &Answer,
    now_ms: u64,
    max_depth: usize,
) -> Result<Replay, Damaged> {
    let bytes = form::plain(answer)?;
    match (answer.form, writer) {
        (Form::Canonical, Some(mut writer)) => {
            let response = form::unpack(&bytes)?;
            if call.streamed() {
                return Ok(Replay::Stream(stream(&response, writer.as_mut())));
            }
            let mut out = Vec::with_capacity(bytes.len() * 2 + 512);
            writer.whole(&response, &mut out);
            Ok(Replay::Whole(out.into()))
        }
        (Form::Verbatim(dialect, operation), _) if (dialect, operation) == (call.dialect, call.operation) => {
            Ok(Replay::Whole(renewed(bytes, operation, now_ms, max_depth)))
        }
        _ => Err(Damaged("of another operation")),
    }
}

/// The stream of an answer.
fn stream(response: &Response<'_>, writer: &mut dyn ReplyWriter) -> Pieces {
    let mut out = Vec::with_capacity(4096);
    let mut ends = Vec::new();
    events(response, &mut |event| {
        let before = out.len();
        writer.event(&event, &mut out);
        if out.len() > before {
            ends.push(out.len());
        }
    });
    Pieces { all: out.into(), ends }
}

/// The events that would have spelled an answer.
fn events(response: &Response<'_>, each: &mut dyn FnMut(Event<'_>)) {
    each(Event::Start {
        id: response.id.as_ref().into(),
        model: response.model.as_ref().into(),
        created: response.created,
        // What is known when an answer begins: its input.
        usage: response.usage.map(|usage| Usage {
            output: 0,
            reasoning: 0,
            audio_output: 0,
            unbilled_output: 0,
            web_searches: 0,
            ..usage
        }),
        service_tier: response.service_tier.as_deref().map(Into::into),
        fingerprint: response.fingerprint.as_deref().map(Into::into),
    });
    for candidate in &response.candidates {
        of_candidate(candidate, each);
    }
    if let Some(usage) = response.usage {
        each(Event::Usage(usage));
    }
    each(Event::End);
}

fn of_candidate(said: &Candidate<'_>, each: &mut dyn FnMut(Event<'_>)) {
    let candidate = said.index;
    // Likelihoods belong to the first text, which is the only one where a vendor gives them.
    let mut logprobs = &said.logprobs[..];
    for (at, part) in said.parts.iter().enumerate() {
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        let whole;
        let start = match part {
            Part::Text { .. } => PartStart::Text,
            Part::Refusal(_) => PartStart::Refusal,
            Part::Thinking(thinking) if !thinking.redacted => PartStart::Thinking {
                id: thinking.id.as_deref().map(Into::into),
            },
            Part::ToolCall(call) => PartStart::ToolCall {
                id: call.id.as_ref().into(),
                name: call.name.as_ref().into(),
                kind: call.kind,
                signature: call.signature.clone(),
            },
            part => {
                whole = part.clone();
                PartStart::Whole(Box::new(whole))
            }
        };
        each(Event::PartStart {
            candidate,
            part: number,
            start,
        });
        deltas(part, std::mem::take(&mut logprobs), &mut |delta| {
            each(Event::Delta {
                candidate,
                part: number,
                delta,
            });
        });
        each(Event::PartEnd {
            candidate,
            part: number,
        });
    }
    if let Some((dialect, raw)) = &said.safety {
        each(Event::Safety {
            candidate,
            dialect: *dialect,
            raw: raw.as_ref().into(),
        });
    }
    if let Some(finish) = &said.finish {
        each(Event::Finish {
            candidate,
            finish: finish.clone(),
            stop_sequence: said.stop_sequence.as_deref().map(Into::into),
        });
    }
}

/// What follows the start of a part; nothing of one that comes whole.
fn deltas(part: &Part<'_>, logprobs: &[Logprob<'_>], each: &mut dyn FnMut(Delta<'_>)) {
    match part {
        Part::Text {
            text,
            citations,
            signature,
            ..
        } => {
            prose(text, logprobs, each);
            for citation in citations {
                each(Delta::Citation(Box::new(citation.clone())));
            }
            if let Some(signature) = signature {
                each(Delta::Signature(signature.clone()));
            }
        }
        Part::Refusal(text) => prose(text, logprobs, each),
        Part::Thinking(thinking) if !thinking.redacted => {
            pieces::of(&thinking.text).for_each(|piece| each(Delta::Thinking(piece.into())));
            if let Some(signature) = &thinking.signature {
                each(Delta::Signature(signature.clone()));
            }
        }
        Part::ToolCall(call) => pieces::of(&call.arguments).for_each(|piece| each(Delta::Arguments(piece.into()))),
        Part::Thinking(_) | Part::Media(_) | Part::ToolResult(_) | Part::Opaque { .. } => {}
    }
}

/// Text; by its very tokens where they are known.
fn prose(text: &str, logprobs: &[Logprob<'_>], each: &mut dyn FnMut(Delta<'_>)) {
    let length: usize = logprobs.iter().map(|one| one.token.len()).sum();
    let spelled = length == text.len() && text_of(logprobs).eq(text.bytes());
    if spelled && !logprobs.is_empty() {
        for one in logprobs {
            each(Delta::Text(one.token.as_ref().into()));
            each(Delta::Logprobs(vec![one.clone()]));
        }
        return;
    }
    pieces::of(text).for_each(|piece| each(Delta::Text(piece.into())));
    if !logprobs.is_empty() {
        each(Delta::Logprobs(logprobs.to_vec()));
    }
}

fn text_of<'l>(logprobs: &'l [Logprob<'_>]) -> impl Iterator<Item = u8> + 'l {
    logprobs.iter().flat_map(|one| one.token.bytes())
}

/// A body as it was sent, under another id and of now, where it has such members.
fn renewed(body: Bytes, operation: Operation, now_ms: u64, max_depth: usize) -> Bytes {
    if matches!(operation, Operation::CountTokens) {
        return body;
    }
    let (mut id, mut created): (Option<Span>, Option<Span>) = (None, None);
    let scanned = json::scan_object(&body, max_depth, |member| match member.kind {
        Kind::String if member.is("id") => id = Some(member.value),
        Kind::Number if member.is("created") => created = Some(member.value),
        _ => {}
    });
    let mut edits = Vec::with_capacity(2);
    if let Some(at) = id {
        edits.extend(body.get(at.clone()).map(|old| (at, fresh(old))));
    }
    edits.extend(created.map(|at| (at, (now_ms / 1000).to_string().into_bytes())));
    edits.sort_by_key(|(at, _)| at.start);
    if scanned.is_err() || edits.is_empty() {
        return body;
    }
    let mut out = Vec::with_capacity(body.len() + 32);
    let mut from = 0;
    for (at, new) in edits {
        out.extend_from_slice(body.get(from..at.start).unwrap_or_default());
        out.extend_from_slice(&new);
        from = at.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out.into()
}

/// An id of the same make (`modr-…`, a UUID), quotes included: letters and digits behind its prefix are other ones.
fn fresh(old: &[u8]) -> Vec<u8> {
    let word = |byte: &u8| byte.is_ascii_alphabetic();
    let prefix = old.iter().position(|byte| matches!(byte, b'-' | b'_')).filter(|end| {
        let word_before = old.get(1..*end).unwrap_or_default();
        word_before.iter().all(word) && word_before.iter().any(|byte| !byte.is_ascii_hexdigit())
    });
    let kept = prefix.map_or(1, |end| end + 1);
    let renew = |(at, byte): (usize, &u8)| match byte {
        byte if at < kept => *byte,
        b'0'..=b'9' | b'a'..=b'z' => fastrand::choice(*b"0123456789abcdef").unwrap_or(b'0'),
        b'A'..=b'Z' => fastrand::choice(*b"ABCDEFGHJKLMNPQRSTUVWXYZ").unwrap_or(b'A'),
        byte => *byte,
    };
    // An escape in an id is somebody else's idea: it stays.
    match old.contains(&b'\\') {
        true => old.to_vec(),
        false => old.iter().enumerate().map(renew).collect(),
    }
}
