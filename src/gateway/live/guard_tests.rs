//! Streams under guardrails: however they are cut, the client gets what judging the whole would give.
//!
//! `split` has written answers in random pieces, `recorded` the recordings, `behind` what is no text, `rules` what is dropped, held back and how refusals end.

mod behind;
mod recorded;
mod rules;
mod split;

use super::continuation_tests::clients::{self, Side};
use super::continuation_tests::streams::Stream;
use super::*;
use crate::guardrails::{Action, Check, Detector, Direction, Finding, Guardrail, Judge, Policy, Verdict};
use crate::units::Usage;
use crate::wire::canonical::{Candidate, Finish, Fold, Part, Request, Response};
use crate::wire::client::Reply;
use crate::wire::prose;
use std::sync::Arc;

const CAPS: Caps = Caps {
    event: 8 << 20,
    depth: 64,
};

/// Finds a word.
#[derive(Debug)]
struct Word(String);

impl Word {
    /// Where the search stands after the last finding.
    fn found(&self, text: &str, from: usize, mut each: impl FnMut(std::ops::Range<usize>)) -> usize {
        let mut at = from;
        while let Some(start) = text[at..].find(&self.0) {
            each(at + start..at + start + self.0.len());
            at += start + self.0.len();
        }
        at
    }
}

impl Detector for Word {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        self.found(text, from, |span| found.push(Finding { span, label: "WORD" }));
    }

    fn open(&self, text: &str, from: usize) -> usize {
        let at = self.found(text, from, |_| ());
        let mut ends = text[at..].char_indices().map(|(start, _)| at + start);
        ends.find(|start| self.0.starts_with(&text[*start..]))
            .unwrap_or(text.len())
    }
}

fn policy(words: &[(&str, Action)]) -> Policy {
    let guardrail = |(word, action): &(&str, Action)| {
        Arc::new(Guardrail {
            name: Arc::from(*word),
            kind: "keywords",
            input: false,
            output: true,
            action: *action,
            replacement: None,
            check: Check::Finds(Box::new(Word((*word).to_owned()))),
            passthrough: false,
            digest: [0; 32],
        })
    };
    Policy::new(words.iter().map(guardrail).collect())
}

fn asked() -> Request<'static> {
    Request {
        stream: true,
        stream_usage: true,
        ..Request::default()
    }
}

fn reply() -> Reply {
    Reply {
        id: "abc123".to_owned(),
        created: 1_700_000_000,
        model: "asked-for".to_owned(),
        json_array: false,
    }
}

fn paced(bytes: &Bytes, step: usize) -> Source {
    let events = (0..bytes.len()).step_by(step);
    Source::Paced {
        events: events.map(|at| bytes.slice(at..bytes.len().min(at + step))).collect(),
        pace: Duration::ZERO,
    }
}

/// A stream on its way to a client, as the gateway sends it.
fn begin(side: &Side, native: bool, stream: &Stream, step: usize, policy: Option<&Policy>) -> LiveStream {
    let source = paced(&stream.bytes, step);
    let guard = policy.and_then(|policy| Guard::new(policy, side.dialect));
    let acts = guard.as_ref().is_some_and(Guard::acts);
    let mut live = if native && !acts {
        LiveStream::native(source, CAPS, side.dialect, false, false)
    } else {
        let translation = Translation::new((stream.decoder)(), side.speak.writer(&asked(), reply()));
        LiveStream::translated(source, CAPS, stream.framing, translation)
    };
    if let Some(guard) = guard {
        live.guard(guard, native.then(|| (stream.decoder)()));
    }
    live
}

/// What came of it.
struct Sent {
    out: Vec<u8>,
    refused: bool,
    broken: Option<Broken>,
    verdicts: Vec<Verdict>,
}

fn drive(mut live: LiveStream) -> Sent {
    let mut out = Vec::new();
    while !live.ended && live.broken.is_none() && !live.is_done() && !live.is_refused() {
        futures::FutureExt::now_or_never(live.fill()).unwrap();
        out.extend_from_slice(&live.take());
    }
    let refused = live.is_refused();
    if refused {
        let told = Usage {
            input: 3,
            output: live.tokens(),
            ..Usage::default()
        };
        assert!(live.take().is_empty());
        out.extend_from_slice(&live.refuse(told));
    } else if live.broken.is_some() {
        out.extend_from_slice(&live.give_up());
    }
    Sent {
        out,
        refused,
        broken: live.broken.clone(),
        verdicts: live.take_verdicts(),
    }
}

fn send(side: &Side, native: bool, stream: &Stream, step: usize, policy: Option<&Policy>) -> Sent {
    drive(begin(side, native, stream, step, policy))
}

/// What a client makes of it.
fn told(side: &Side, out: &[u8]) -> Response<'static> {
    let fold = fold(side, out);
    let shown = || String::from_utf8_lossy(out).into_owned();
    assert!(
        fold.ended() && fold.disorder.is_none() && fold.error.is_none(),
        "{}: {:?} {:?} {}",
        side.name,
        fold.disorder,
        fold.error,
        shown()
    );
    fold.into_response()
}

fn fold(side: &Side, out: &[u8]) -> Fold {
    let mut fold = Fold::new();
    let mut decoder = (side.decoder)();
    for event in sse::events(out) {
        let Some(data) = &event.data else { continue };
        let raw = crate::providers::codec::RawEvent {
            name: "",
            exception: false,
            data,
            max_depth: 64,
        };
        decoder.event(raw, &mut |event| fold.event(&event)).unwrap();
    }
    let _ = decoder.finish(&mut |event| fold.event(&event));
    fold
}

/// What of an answer guardrails may not change without a finding.
#[derive(Debug, Clone, Default, PartialEq)]
struct Gist {
    texts: String,
    refusals: String,
    thoughts: String,
    /// Names and what they are called with.
    calls: Vec<(String, String)>,
    finish: Option<Finish<'static>>,
}

/// Of every choice. `judge`: what judging the whole makes of it, text by text.
fn gist(response: &Response<'_>, mut judge: Option<&mut Judge>) -> Vec<Gist> {
    let mut judged = |text: &str| {
        judge
            .as_mut()
            .and_then(|judge| judge.text(text))
            .unwrap_or_else(|| text.to_owned())
    };
    let mut candidates: Vec<&Candidate<'_>> = response.candidates.iter().collect();
    candidates.sort_by_key(|candidate| candidate.index);
    let mut all = Vec::new();
    for candidate in candidates {
        let mut gist = Gist::default();
        for part in &candidate.parts {
            match part {
                Part::Text { text, .. } => gist.texts += &judged(text),
                Part::Refusal(text) => gist.refusals += &judged(text),
                Part::Thinking(thinking) => gist.thoughts += &judged(&thinking.text),
                Part::ToolCall(call) => {
                    let new = prose::arguments(&call.arguments, 64, &mut |_, text| {
                        Some(judged(text)).filter(|new| new != text)
                    });
                    gist.calls
                        .push((call.name.to_string(), new.unwrap_or_else(|| call.arguments.to_string())));
                }
                _ => {}
            }
        }
        gist.finish = candidate.finish.as_ref().map(Finish::to_owned_finish);
        all.push(gist);
    }
    all
}
