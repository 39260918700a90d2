//! What the guardrails of one request make of its texts, or of those of its answer.
//!
//! Not where the texts are. The one idea: every guardrail looks at the text as it came, so what one redacts hides nothing from
//! another; what is redacted is replaced afterwards, once.

use super::{Action, Check, Direction, Finding, Guardrail};
use std::collections::BTreeMap;
use std::sync::Arc;

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
#[derive(Debug)]
pub struct Judge {
    direction: Direction,
    rails: Vec<Rail>,
    blocked: Option<usize>,
    scratch: Vec<Finding>,
}

#[derive(Debug)]
struct Rail {
    guardrail: Arc<Guardrail>,
    found: BTreeMap<&'static str, u32>,
    /// Characters so far.
    length: usize,
}

/// A finding that is to be replaced.
#[derive(Debug)]
struct Redaction {
    finding: Finding,
    rail: usize,
}

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
            scratch: Vec::new(),
        }
    }

    /// The guardrail that refuses; nothing more is judged then.
    pub fn blocked(&self) -> Option<&Guardrail> {
        Some(&self.rails.get(self.blocked?)?.guardrail)
    }

    /// Whether something would be held back or changed: otherwise texts may pass before they were judged.
    pub fn acts(&self) -> bool {
        self.rails.iter().any(|rail| rail.guardrail.action > Action::Flag)
    }

    /// Judge a whole text; what is to stand in its place, if it must change.
    pub fn text(&mut self, text: &str) -> Option<String> {
        let mut out = String::new();
        self.span(text, 0, text.len(), &mut out).then_some(out)
    }

    /// Where the end of `text` begins that is still undecided for one of the guardrails.
    pub(super) fn open(&self, text: &str, from: usize) -> usize {
        let detectors = self.rails.iter().filter_map(|rail| match &rail.guardrail.check {
            Check::Finds(detector) => Some(detector),
            Check::Length(_) => None,
        });
        detectors
            .map(|detector| detector.open(text, from))
            .min()
            .unwrap_or(text.len())
    }

    /// Judge `text[from..to]`, a part that is decided, and write what may pass of it. False, and nothing written: it may pass as
    /// it is. Once something blocks, what stands before it is written.
    pub(super) fn span(&mut self, text: &str, from: usize, to: usize, out: &mut String) -> bool {
        if self.blocked.is_some() {
            return true;
        }
        let decided = text.get(..to).unwrap_or(text);
        let mut redactions: Vec<Redaction> = Vec::new();
        let mut end: Option<usize> = None;
        let mut blocked = None;
        for (index, rail) in self.rails.iter_mut().enumerate() {
            self.scratch.clear();
            match &rail.guardrail.check {
                Check::Finds(detector) => detector.scan(decided, from, &mut self.scratch),
                Check::Length(most) => self.scratch.extend(rail.too_long(*most, decided, from)),
            }
            for finding in self.scratch.drain(..) {
                *rail.found.entry(finding.label).or_default() += 1;
                match rail.guardrail.action {
                    Action::Flag => {}
                    Action::Redact => redactions.push(Redaction { finding, rail: index }),
                    Action::Block if end.is_none_or(|end| finding.span.start < end) => {
                        end = Some(finding.span.start);
                        blocked = Some(index);
                    }
                    Action::Block => {}
                }
            }
        }
        self.blocked = blocked;
        if end.is_none() && redactions.is_empty() {
            return false;
        }
        self.write(decided, from, end.unwrap_or(to), redactions, out);
        true
    }

    /// Write `text[from..to]` with what is redacted replaced. Of findings that overlap the first counts, and of those the longest;
    /// what another covers beyond it goes too.
    fn write(&self, text: &str, from: usize, to: usize, mut redactions: Vec<Redaction>, out: &mut String) {
        let key = |one: &Redaction| (one.finding.span.start, usize::MAX - one.finding.span.end);
        redactions.sort_by_key(key);
        let mut at = from;
        for Redaction { finding, rail } in redactions {
            if finding.span.start >= to {
                break;
            }
            if finding.span.start >= at {
                out.push_str(text.get(at..finding.span.start).unwrap_or_default());
                match self
                    .rails
                    .get(rail)
                    .and_then(|rail| rail.guardrail.replacement.as_deref())
                {
                    Some(replacement) => out.push_str(replacement),
                    None => {
                        out.push('[');
                        out.push_str(finding.label);
                        out.push(']');
                    }
                }
            }
            at = at.max(finding.span.end);
        }
        out.push_str(text.get(at..to).unwrap_or_default());
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
    /// The first character beyond the length, the first time.
    fn too_long(&mut self, most: usize, text: &str, from: usize) -> Option<Finding> {
        let new = text.get(from..).unwrap_or_default();
        let before = self.length;
        // Bytes are at least as many as characters: most texts need not be counted.
        let count = new.chars().count();
        self.length = before.saturating_add(count);
        if before > most || self.length <= most {
            return None;
        }
        let start = new.char_indices().nth(most - before).map_or(new.len(), |(at, _)| at);
        Some(Finding {
            span: from + start..text.len(),
            label: "TOO_LONG",
        })
    }
}
