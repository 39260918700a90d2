//! What the guardrails of one request make of its texts, or of those of its answer.
//!
//! Not where the texts are. The one idea: every guardrail looks at the text as it came, so what one redacts hides nothing from
//! another; what is redacted is replaced afterwards, once.

use super::{Action, Check, Direction, Finding, Guardrail};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The guardrails that hold for a request and its answer, in the order of the file, none twice.
#[derive(Debug, Clone, Default)]
pub struct Policy(Vec<Arc<Guardrail>>);

impl Policy {
    /// These.
    pub fn new(guardrails: Vec<Arc<Guardrail>>) -> Self {
        Self(guardrails)
    }

    /// They.
    pub fn guardrails(&self) -> &[Arc<Guardrail>] {
        &self.0
    }

    /// Whether one of them holds in a direction.
    pub fn holds(&self, direction: Direction) -> bool {
        self.0.iter().any(|guardrail| guardrail.holds(direction))
    }

    /// The first that does not let pass what is not read.
    pub fn stops_unread(&self) -> Option<&Guardrail> {
        self.0
            .iter()
            .map(|guardrail| &**guardrail)
            .find(|guardrail| !guardrail.passthrough)
    }
}

/// What a guardrail found in one direction of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub guardrail: Arc<str>,
    /// Its `kind`.
    pub kind: &'static str,
    /// Which way.
    pub direction: Direction,
    /// What followed.
    pub action: Action,
    /// How many of what.
    pub found: BTreeMap<&'static str, u32>,
}

/// Judges the texts of one request, or of one answer.
///
/// Of what is found, what starts first counts; of that the sternest, then the longest, then the first guardrail in order. Where something
/// blocks, the text ends, and what starts there or later is neither replaced nor counted: so pieces come to what the whole does.
#[derive(Debug)]
pub struct Judge {
    direction: Direction,
    rails: Vec<Rail>,
    blocked: Option<usize>,
    until: Option<Instant>,
    late: bool,
    /// Bytes judged since the clock was asked.
    unclocked: usize,
    scratch: Vec<Finding>,
    /// Those of [`Judge::text`], empty.
    judged: Vec<usize>,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Rail {
    guardrail: Arc<Guardrail>,
    found: BTreeMap<&'static str, u32>,
    /// Characters so far.
    length: usize,
}

/// What a guardrail found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) finding: Finding,
    rail: usize,
}

/// How much of a text is judged at once, in bytes.
pub(super) const PART: usize = 64 << 10;

/// The next place between characters, from here on.
pub(super) fn character(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// Of a span: it lies before all that is still to come of the text.
pub(super) const ALL: usize = usize::MAX;

impl Judge {
    /// Nothing judged yet.
    pub fn new(policy: &Policy, direction: Direction) -> Self {
        let rails = policy.0.iter().filter(|guardrail| guardrail.holds(direction));
        Self {
            direction,
            rails: rails
                .map(|guardrail| Rail {
                    guardrail: Arc::clone(guardrail),
                    found: BTreeMap::new(),
                    length: 0,
                })
                .collect(),
            blocked: None,
            until: None,
            late: false,
            unclocked: 0,
            scratch: Vec::new(),
            judged: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Stop judging then: hostile texts cost thousands of times what others do. Asked of the clock once for so many bytes.
    #[must_use]
    pub fn until(self, until: Instant) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// Time was up before all was judged: what came of the rest is not known.
    pub fn is_late(&self) -> bool {
        self.late
    }

    /// Whether time is up, with so many bytes more to judge.
    fn runs_late(&mut self, bytes: usize) -> bool {
        let Some(until) = self.until else { return false };
        self.unclocked = self.unclocked.saturating_add(bytes);
        if self.unclocked > PART && !self.late {
            self.unclocked = 0;
            self.late = Instant::now() > until;
        }
        self.late
    }

    /// The guardrail that refuses; nothing more is judged then.
    pub fn blocked(&self) -> Option<&Guardrail> {
        Some(&self.rails.get(self.blocked?)?.guardrail)
    }

    /// Whether something would be held back or changed: otherwise texts may pass before they were judged.
    pub fn acts(&self) -> bool {
        self.rails.iter().any(|rail| rail.guardrail.action > Action::Flag)
    }

    /// Judge a whole text; what is to stand in its place, if it must change. Once something blocks that is what stands before it, and
    /// of the texts that follow nothing.
    pub fn text(&mut self, text: &str) -> Option<String> {
        if self.blocked.is_some() {
            return Some(String::new());
        }
        self.text_in_parts(text, PART)
    }

    /// So many bytes at a time: what is found at once is bounded, and parts come to what the whole does.
    pub(super) fn text_in_parts(&mut self, text: &str, part: usize) -> Option<String> {
        let mut judged = std::mem::take(&mut self.judged);
        let mut found = std::mem::take(&mut self.found);
        let (mut out, mut at, mut changed, mut end) = (String::new(), 0, false, 0);
        while end < text.len() && self.blocked.is_none() && !self.runs_late(part.min(text.len() - end)) {
            end = character(text, end.saturating_add(part));
            let seen = text.get(..end).unwrap_or(text);
            let to = self.find(seen, end == text.len(), &mut judged, &mut found);
            changed |= self.settle(seen, to, &mut at, &mut found, &mut out);
        }
        if changed {
            out.push_str(text.get(at..).unwrap_or_default());
        }
        judged.clear();
        found.clear();
        (self.judged, self.found) = (judged, found);
        changed.then_some(out)
    }

    /// Add what each guardrail finds in what is decided for it, from where it `judged` to; up to where all have then judged.
    /// `complete`: nothing follows.
    pub(super) fn find(
        &mut self,
        text: &str,
        complete: bool,
        judged: &mut Vec<usize>,
        found: &mut Vec<Found>,
    ) -> usize {
        judged.resize(self.rails.len(), 0);
        let mut all = text.len();
        for (index, (rail, judged)) in self.rails.iter_mut().zip(judged).enumerate() {
            let from = *judged;
            if from < text.len() {
                match &rail.guardrail.check {
                    Check::Finds(detector) => {
                        let to = if complete {
                            text.len()
                        } else {
                            detector.open(text, from)
                        };
                        if to > from {
                            detector.scan(text.get(..to).unwrap_or(text), from, &mut self.scratch);
                            *judged = to;
                        }
                    }
                    Check::Length(most) => {
                        let long = rail.too_long(*most, text, from);
                        *judged = if long.is_some() { ALL } else { text.len() };
                        self.scratch.extend(long);
                    }
                }
            }
            all = all.min(*judged);
            found.extend(self.scratch.drain(..).map(|finding| Found { finding, rail: index }));
        }
        all
    }

    /// Count what was found before `to`, and write what comes of `text[at..to]` as far as something is replaced, which is returned.
    /// `at` is then where to go on, [`ALL`] once something blocks.
    pub(super) fn settle(
        &mut self,
        text: &str,
        to: usize,
        at: &mut usize,
        found: &mut Vec<Found>,
        out: &mut String,
    ) -> bool {
        let action = |rail: &Rail| rail.guardrail.action;
        let key = |one: &Found| {
            let action = self.rails.get(one.rail).map(action);
            (
                one.finding.span.start,
                Reverse(action),
                Reverse(one.finding.span.end),
                one.rail,
            )
        };
        found.sort_by_key(key);
        let mut changed = false;
        let decided = found.partition_point(|one| one.finding.span.start < to);
        for Found { finding, rail: index } in found.drain(..decided) {
            let Some(rail) = self.rails.get_mut(index) else {
                continue;
            };
            let count = rail.found.entry(finding.label).or_default();
            *count = count.saturating_add(1);
            let before = text.get(*at..finding.span.start);
            match rail.guardrail.action {
                Action::Flag => {}
                Action::Redact => {
                    // Within what is replaced already, only what it covers beyond that goes too.
                    if let Some(before) = before {
                        out.push_str(before);
                        rail.replace(finding.label, out);
                    }
                    *at = finding.span.end.max(*at);
                    changed = true;
                }
                Action::Block => {
                    out.push_str(before.unwrap_or_default());
                    *at = ALL;
                    self.blocked = Some(index);
                    return true;
                }
            }
        }
        changed
    }

    /// What was found, guardrail by guardrail.
    pub fn verdicts(self) -> Vec<Verdict> {
        let direction = self.direction;
        let rails = self.rails.into_iter().filter(|rail| !rail.found.is_empty());
        let verdict = |rail: Rail| Verdict {
            guardrail: Arc::clone(&rail.guardrail.name),
            kind: rail.guardrail.kind,
            direction,
            action: rail.guardrail.action,
            found: rail.found,
        };
        rails.map(verdict).collect()
    }
}

impl Rail {
    /// What a text has beyond the length: from its first such character on.
    fn too_long(&mut self, most: usize, text: &str, from: usize) -> Option<Finding> {
        let new = text.get(from..).unwrap_or_default();
        let left = most.saturating_sub(self.length);
        self.length = self.length.saturating_add(new.chars().count());
        if self.length <= most {
            return None;
        }
        let (start, _) = new.char_indices().nth(left)?;
        Some(Finding {
            span: from + start..ALL,
            label: "TOO_LONG",
        })
    }

    fn replace(&self, label: &str, out: &mut String) {
        if let Some(replacement) = &self.guardrail.replacement {
            out.push_str(replacement);
        } else {
            out.push('[');
            out.push_str(label);
            out.push(']');
        }
    }
}
