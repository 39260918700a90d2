//! The guardrails of a stream: what is decided passes, what could still become a finding is held back.
//!
//! ```text
//! decoder ─► seam ─► Guard ─► writer ─► client, the cache's tape, those that follow
//! ```
//! A policy that only flags holds nothing back: events pass first and are judged beside it, those of a native stream too
//! ([`super::beside`]). One that acts has every event pass through here:
//!
//! * Text and reasoning go through a [`Window`] for each part of each choice. What else is said of a text (citations,
//!   likelihoods, signatures) waits behind what is held back of it, so that nothing overtakes. Once something of a choice was
//!   replaced its likelihoods are dropped, for they spell its tokens; a part's signature, which would no longer prove it; and
//!   the places of its citations, which count letters. Clients of OpenAI's chat API get all texts of an answer as one, and
//!   Gemini's those with nothing between them, so there they are judged as one.
//! * Calls are held back until they are complete, then judged as documents ([`document`]): a call that is refused was never begun,
//!   and nobody runs half of one. Likelihoods of calls are dropped.
//! * Parts that come whole are judged whole: texts, the strings of opaque blocks. The transcripts of sounds, which come in pieces,
//!   are one text. Pictures and sounds are not judged.
//!
//! A refusal ends the open parts and nothing more passes; how the answer ends is the relay's to say ([`Guard::close`]). The one
//! idea: a continuation is sewn before this, the cache records behind it, so across a seam a text is one text, and what is kept
//! or followed has been judged.

mod document;
mod part;
mod whole;

use self::part::{Held, Open, Prose, Sort};
use super::seam::Out;
use super::trail::tokens;
use crate::guardrails::{Direction, Guardrail, Judge, Policy, Verdict, Window};
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{Delta, Event, Finish, Media, PartStart, Signature};

/// Most bytes held back at a time of calls, and of what waits behind texts. A call beyond it is refused by a policy that acts,
/// and judged up to there by one that flags.
const MOST_HELD: usize = 1024 * 1024;

/// Judges what a stream says.
#[derive(Debug)]
pub struct Guard {
    judge: Judge,
    acts: bool,
    joins: Joins,
    parts: Vec<Open>,
    choices: Vec<Choice>,
    /// Bytes of calls and of what waits.
    held: usize,
    refused: bool,
    /// About how many tokens came.
    tokens: u64,
    scratch: String,
}

/// Which texts of an answer are one text to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    None,
    /// Those with nothing between them.
    Neighbours,
    All,
}

/// One of the answers.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    finished: bool,
    /// Something of it was replaced.
    changed: bool,
    /// What is said in its sounds, and one of them.
    spoken: Option<Box<(Window, Media<'static>)>>,
}

impl Guard {
    /// Nothing has passed. None where no guardrail holds for answers.
    pub fn new(policy: &Policy, client: Dialect) -> Option<Self> {
        if !policy.holds(Direction::Output) {
            return None;
        }
        let judge = Judge::new(policy, Direction::Output);
        Some(Self {
            acts: judge.acts(),
            judge,
            joins: match client {
                Dialect::OpenAi => Joins::All,
                Dialect::Gemini => Joins::Neighbours,
                _ => Joins::None,
            },
            parts: Vec::new(),
            choices: Vec::new(),
            held: 0,
            refused: false,
            tokens: 0,
            scratch: String::new(),
        })
    }

    /// Whether something may be held back or changed: such a stream cannot pass as its bytes.
    pub fn acts(&self) -> bool {
        self.acts
    }

    /// Nothing more passes.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// The guardrail that refused; none: it was a call too long to be judged.
    pub fn blocked(&self) -> Option<&Guardrail> {
        self.judge.blocked()
    }

    /// About how many tokens of the answer have come.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// What was found, what is held back included.
    pub fn verdicts(mut self) -> Vec<Verdict> {
        self.flush(None, &mut |_| ());
        self.judge.verdicts()
    }

    /// The next event; what may pass of it goes to `out`.
    pub(super) fn event(&mut self, event: &Event<'_>, out: &mut Out<'_>) {
        if self.acts {
            self.pass(event, out);
        } else {
            out(event);
            self.pass(event, &mut |_| ());
        }
    }

    fn pass(&mut self, event: &Event<'_>, out: &mut Out<'_>) {
        if self.refused {
            return;
        }
        match event {
            Event::PartStart { candidate, part, start } => self.begin((*candidate, *part), start, event, out),
            Event::Delta { candidate, part, delta } => self.delta((*candidate, *part), delta, event, out),
            Event::PartEnd { candidate, part } => match self.find((*candidate, *part)) {
                Some(at) if self.joins != Joins::None => self.pause(at, out),
                Some(at) => self.end(at, out),
                None => out(event),
            },
            Event::Finish { candidate, .. } => {
                self.flush(Some(*candidate), out);
                if !self.refused {
                    self.choice(*candidate).finished = true;
                    out(event);
                }
            }
            Event::End => {
                self.flush(None, out);
                if !self.refused {
                    out(event);
                }
            }
            Event::Start { .. } | Event::Safety { .. } | Event::Usage(_) | Event::Ping | Event::Error { .. } => {
                out(event)
            }
        }
    }

    /// Let pass what is held back of texts, as what it is: nothing more comes of them. Calls that never ended are dropped.
    pub(super) fn give_up(&mut self, out: &mut Out<'_>) {
        for at in 0..self.parts.len() {
            if !self.refused && matches!(self.parts.get(at), Some(open) if open.is_prose()) {
                self.rest(at, out);
            }
        }
        self.parts.clear();
    }

    /// End an answer that was refused: every choice that is not finished is, as one that a filter stopped.
    pub(super) fn close(&mut self, usage: Usage, out: &mut Out<'_>) {
        if self.choices.is_empty() {
            self.choice(0);
        }
        for choice in self.choices.iter().filter(|choice| !choice.finished) {
            out(&Event::Finish {
                candidate: choice.index,
                finish: Finish::ContentFilter,
                stop_sequence: None,
            });
        }
        out(&Event::Usage(usage));
        out(&Event::End);
    }

    fn find(&self, name: (u32, u32)) -> Option<usize> {
        let is_it = |open: &Open| (open.name.0, open.number) == (name.0, Some(name.1));
        self.parts.iter().position(is_it)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = self.choice_at(index);
        #[allow(clippy::indexing_slicing, reason = "found or just pushed")]
        &mut self.choices[at]
    }

    fn choice_at(&mut self, index: u32) -> usize {
        match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(Choice {
                    index,
                    ..Choice::default()
                });
                self.choices.len() - 1
            }
        }
    }

    fn begin(&mut self, name: (u32, u32), start: &PartStart<'_>, event: &Event<'_>, out: &mut Out<'_>) {
        self.choice(name.0);
        let sort = match start {
            PartStart::Text => Sort::Prose(Prose::Text),
            PartStart::Refusal => Sort::Prose(Prose::Refusal),
            PartStart::Thinking { .. } => Sort::Prose(Prose::Thinking),
            PartStart::ToolCall {
                id,
                name,
                kind,
                signature,
            } => Sort::Call(Box::new(Held {
                start: PartStart::ToolCall {
                    id: id.to_string().into(),
                    name: name.to_string().into(),
                    kind: *kind,
                    signature: signature.as_ref().map(Signature::to_static),
                },
                arguments: String::new(),
            })),
            PartStart::Whole(part) => {
                self.resume(name.0, out);
                if self.refused {
                    return;
                }
                let judged = self.whole(name.0, part);
                if self.judge.blocked().is_some() {
                    return self.refuse(out);
                }
                self.parts.push(Open::new(name, Sort::Whole));
                let Some(judged) = judged else { return out(event) };
                self.choice(name.0).changed = true;
                let (candidate, part) = name;
                return out(&Event::PartStart {
                    candidate,
                    part,
                    start: PartStart::Whole(Box::new(judged)),
                });
            }
        };
        let goes_on = |open: &&mut Open| {
            let same = matches!((&open.sort, &sort), (Sort::Prose(one), Sort::Prose(other)) if one == other);
            same && open.name.0 == name.0 && open.number.is_none()
        };
        if let Some(open) = self.parts.iter_mut().find(goes_on) {
            return open.join(name.1);
        }
        self.resume(name.0, out);
        if self.refused {
            return;
        }
        if matches!(sort, Sort::Prose(_)) {
            out(event);
        }
        self.parts.push(Open::new(name, sort));
    }

    fn delta(&mut self, name: (u32, u32), delta: &Delta<'_>, event: &Event<'_>, out: &mut Out<'_>) {
        if let Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) = delta {
            self.tokens = self.tokens.saturating_add(tokens(text));
        }
        let Some(at) = self.find(name) else { return };
        let Some(open) = self.parts.get_mut(at) else { return };
        match (&mut open.sort, delta) {
            (Sort::Prose(_), Delta::Text(text) | Delta::Thinking(text)) => {
                open.take(
                    matches!(delta, Delta::Thinking(_)),
                    text,
                    &mut self.judge,
                    &mut self.scratch,
                );
                self.release(at, out);
            }
            (Sort::Prose(_), delta) => self.aside(at, delta, out),
            (Sort::Call(call), Delta::Arguments(more)) => {
                let room = MOST_HELD.saturating_sub(self.held);
                if more.len() > room && self.acts {
                    return self.refuse(out);
                }
                let mut end = room.min(more.len());
                while !more.is_char_boundary(end) {
                    end -= 1;
                }
                self.held += end;
                call.arguments.push_str(more.get(..end).unwrap_or_default());
            }
            // They would spell what is held back.
            (Sort::Call(_), _) => {}
            // It came whole: more of it is none, and nobody would judge it.
            (Sort::Whole, Delta::Text(_) | Delta::Thinking(_) | Delta::Arguments(_)) => {}
            (Sort::Whole, _) => out(event),
        }
    }

    /// What is said of a text besides it: passes when the text before it has.
    fn aside(&mut self, at: usize, delta: &Delta<'_>, out: &mut Out<'_>) {
        if !self.acts {
            if let Delta::Citation(citation) = delta {
                self.citation(citation);
            }
            return;
        }
        let judged = match delta {
            Delta::Citation(citation) => {
                let kept = self.citation(citation);
                if self.judge.blocked().is_some() {
                    return self.refuse(out);
                }
                if !kept {
                    return;
                }
                Delta::Citation(Box::new(citation.to_static()))
            }
            Delta::Signature(signature) => {
                // One that does not look like one is a text, as in whole answers.
                let encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
                if !signature.data.bytes().all(encoded) && self.judge.text(&signature.data).is_some() {
                    if self.judge.blocked().is_some() {
                        self.refuse(out);
                    }
                    return;
                }
                Delta::Signature(signature.to_static())
            }
            Delta::Logprobs(all) => Delta::Logprobs(all.iter().map(|one| one.to_static()).collect()),
            Delta::Text(_) | Delta::Thinking(_) | Delta::Arguments(_) => return,
        };
        let size = part::size(&judged);
        // Nothing that is needed to understand an answer waits here: what there is no room for is dropped.
        if size > MOST_HELD.saturating_sub(self.held) {
            return;
        }
        self.held += size;
        if let Some(open) = self.parts.get_mut(at) {
            open.wait(judged);
        }
        self.release(at, out);
    }

    /// Write what was decided of a text, with what waited for it.
    fn release(&mut self, at: usize, out: &mut Out<'_>) {
        let blocked = self.judge.blocked().is_some();
        let Some(open) = self.parts.get_mut(at) else { return };
        let index = open.name.0;
        if open.has_changed()
            && let Some(choice) = self.choices.iter_mut().find(|choice| choice.index == index)
        {
            choice.changed = true;
        }
        let spelt = !self
            .choices
            .iter()
            .any(|choice| choice.index == index && choice.changed);
        let freed = open.release(&mut self.scratch, spelt, blocked, out);
        self.held = self.held.saturating_sub(freed);
        if blocked {
            self.refuse(out);
        }
    }

    /// The rest of a text, and of what waited for it.
    fn rest(&mut self, at: usize, out: &mut Out<'_>) {
        if let Some(open) = self.parts.get_mut(at) {
            open.window.end(&mut self.judge, &mut self.scratch);
        }
        self.release(at, out);
    }

    /// A part is complete, and a text that follows it would go on with it.
    fn pause(&mut self, at: usize, out: &mut Out<'_>) {
        match self.parts.get_mut(at) {
            Some(open) if matches!(open.sort, Sort::Prose(Prose::Text | Prose::Refusal)) => open.number = None,
            _ => self.end(at, out),
        }
    }

    /// Something else begins: texts that were to go on end, where its place among them matters.
    fn resume(&mut self, choice: u32, out: &mut Out<'_>) {
        while self.joins == Joins::Neighbours && !self.refused {
            let is_its = |open: &Open| open.name.0 == choice && open.number.is_none();
            let Some(at) = self.parts.iter().position(is_its) else {
                break;
            };
            self.end(at, out);
        }
    }

    /// A part is complete.
    fn end(&mut self, at: usize, out: &mut Out<'_>) {
        if self.parts.get(at).is_some_and(Open::is_prose) {
            self.rest(at, out);
        }
        if self.refused || at >= self.parts.len() {
            return;
        }
        let open = self.parts.remove(at);
        let (candidate, part) = open.name;
        if let Sort::Call(call) = open.sort {
            let Held { start, arguments } = *call;
            self.held = self.held.saturating_sub(arguments.len());
            let judged = document::arguments(&mut self.judge, &arguments);
            if self.judge.blocked().is_some() {
                return self.refuse(out);
            }
            self.choice(candidate).changed |= judged.is_some();
            let arguments = judged.unwrap_or(arguments);
            out(&Event::PartStart { candidate, part, start });
            if !arguments.is_empty() {
                let delta = Delta::Arguments(arguments.into());
                out(&Event::Delta { candidate, part, delta });
            }
        }
        out(&Event::PartEnd { candidate, part });
    }

    /// End all parts of a choice, or of all: their decoder should have.
    fn flush(&mut self, choice: Option<u32>, out: &mut Out<'_>) {
        while !self.refused {
            let is_its = |open: &Open| choice.is_none_or(|index| open.name.0 == index);
            let Some(at) = self.parts.iter().position(is_its) else {
                break;
            };
            self.end(at, out);
        }
        let mut of: Vec<u32> = self.choices.iter().map(|choice| choice.index).collect();
        of.retain(|index| choice.is_none_or(|choice| choice == *index));
        for index in of {
            if !self.refused {
                self.last_words(index, out);
            }
        }
    }

    fn refuse(&mut self, out: &mut Out<'_>) {
        for open in std::mem::take(&mut self.parts) {
            if !matches!(open.sort, Sort::Call(_)) {
                let (candidate, part) = open.name;
                out(&Event::PartEnd { candidate, part });
            }
        }
        (self.refused, self.held) = (true, 0);
    }
}
