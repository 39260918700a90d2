//! A part of an answer that is under way: what is held back of it.

use super::super::seam::Out;
use crate::guardrails::{Judge, Window};
use crate::wire::Dialect;
use crate::wire::canonical::{Citation, Delta, Event, PartStart};
use std::collections::VecDeque;

/// What a thing that waits costs besides its text, roughly.
const ITEM: usize = 64;

/// An open part.
#[derive(Debug)]
pub(super) struct Open {
    /// Of which answer, and its number there for the client.
    pub(super) name: (u32, u32),
    /// Its number where it comes from; none: that has ended, and a text that follows goes on with this one.
    pub(super) number: Option<u32>,
    pub(super) sort: Sort,
    pub(super) window: Window,
    /// It is reasoning.
    thinks: bool,
    /// Letters of the texts that it goes on with.
    before: u64,
    letters: u64,
    /// Bytes that came, and those of them that were decided when something was last written.
    came: usize,
    passed: usize,
    /// What waits for the text before it, and how much text that is.
    waiting: VecDeque<(usize, Delta<'static>)>,
}

/// What it is.
#[derive(Debug)]
pub(super) enum Sort {
    Prose(Prose),
    Call(Box<Held>),
    Whole,
}

/// Sorts of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prose {
    Text,
    Refusal,
    Thinking,
}

/// A call of which nothing was written yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) start: PartStart<'static>,
    pub(super) arguments: String,
}

impl Open {
    pub(super) fn new(name: (u32, u32), sort: Sort) -> Self {
        Self {
            name,
            number: Some(name.1),
            sort,
            window: Window::default(),
            thinks: false,
            before: 0,
            letters: 0,
            came: 0,
            passed: 0,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn is_prose(&self) -> bool {
        matches!(self.sort, Sort::Prose(_))
    }

    /// Another text goes on with this one.
    pub(super) fn join(&mut self, number: u32) {
        self.number = Some(number);
        self.before = self.letters;
    }

    /// Something in it was replaced.
    pub(super) fn has_changed(&self) -> bool {
        self.window.changed()
    }

    /// More text.
    pub(super) fn take(&mut self, thinks: bool, text: &str, judge: &mut Judge, decided: &mut String) {
        self.thinks = thinks;
        self.came += text.len();
        self.letters += text.chars().count() as u64;
        self.window.push(judge, text, decided);
    }

    /// To be written behind the text that came so far.
    pub(super) fn wait(&mut self, mut delta: Delta<'static>) {
        if let Delta::Citation(citation) = &mut delta
            && let Some((start, end)) = &mut citation.span
        {
            *start = start.saturating_add(self.before);
            *end = end.saturating_add(self.before);
        }
        self.waiting.push_back((self.came, delta));
    }

    /// Write the text that was decided, and what waited for it; how much that held, in bytes. `spelt`: likelihoods may pass.
    pub(super) fn release(&mut self, decided: &mut String, spelt: bool, blocked: bool, out: &mut Out<'_>) -> usize {
        let changed = self.has_changed();
        let (before, passed) = (self.passed, self.came - self.window.held());
        self.passed = passed;
        let (mut text, mut from) = (decided.as_str(), before);
        let mut freed = 0;
        while let Some((at, delta)) = self.waiting.pop_front_if(|(at, _)| !blocked && *at <= passed) {
            freed += size(&delta);
            // Text that passes as it came is cut where the thing stood.
            match text.split_at_checked(at.saturating_sub(from)).filter(|_| !changed) {
                Some((head, tail)) => {
                    self.say(head, out);
                    (text, from) = (tail, from.max(at));
                }
                None => self.say(std::mem::take(&mut text), out),
            }
            if let Some(delta) = fit(delta, changed, spelt) {
                self.write(delta, out);
            }
        }
        self.say(text, out);
        decided.clear();
        freed
    }

    fn say(&self, text: &str, out: &mut Out<'_>) {
        if !text.is_empty() {
            let delta = if self.thinks {
                Delta::Thinking(text.into())
            } else {
                Delta::Text(text.into())
            };
            self.write(delta, out);
        }
    }

    fn write(&self, delta: Delta<'_>, out: &mut Out<'_>) {
        let (candidate, part) = self.name;
        out(&Event::Delta { candidate, part, delta });
    }
}

/// What may still be said of a text; `changed`: of which something was replaced.
fn fit(delta: Delta<'static>, changed: bool, spelt: bool) -> Option<Delta<'static>> {
    match delta {
        Delta::Logprobs(_) if !spelt => None,
        Delta::Signature(_) if changed => None,
        Delta::Citation(citation) if changed => Some(Delta::Citation(Box::new(placeless(*citation)))),
        delta => Some(delta),
    }
}

/// A citation that does not say where in the answer it belongs. Anthropic's own form says only where in the document.
fn placeless(citation: Citation<'static>) -> Citation<'static> {
    Citation {
        span: None,
        raw: citation.raw.filter(|(dialect, _)| *dialect == Dialect::Anthropic),
        ..citation
    }
}

/// Bytes that something takes while it waits, roughly.
pub(super) fn size(delta: &Delta<'_>) -> usize {
    ITEM + match delta {
        Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) => text.len(),
        Delta::Signature(signature) => signature.data.len(),
        Delta::Citation(citation) => {
            let texts = [&citation.url, &citation.title, &citation.cited_text];
            let raw = citation.raw.as_ref().map_or(0, |(_, raw)| raw.len());
            raw + texts.into_iter().flatten().map(|text| text.len()).sum::<usize>()
        }
        Delta::Logprobs(all) => all
            .iter()
            .map(|one| ITEM + one.token.len() + one.top.iter().map(|(token, _)| ITEM + token.len()).sum::<usize>())
            .sum(),
    }
}
