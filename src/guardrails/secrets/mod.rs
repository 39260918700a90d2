//! Secrets in texts: keys, tokens, passwords.
//!
//! ```text
//! rules.rs   their forms ──► Scanner ──► checks.rs: is it one? ──┐
//!                                                                 ├─► the first of what overlaps ──► allowed? ──► finding
//! long.rs    private keys, tokens: read by hand ──────────────────┘
//! ```
//! Not what is done about them. The one idea: what is found is the secret itself and no more, so that what it was for stays readable
//! when it is replaced.

mod checks;
mod entropy;
mod kind;
mod long;
mod rules;

#[cfg(test)]
mod tests;

pub use self::kind::Kind;

use self::long::Long;
use super::allowed::Allowed;
use super::scan::Scanner;
use super::{Detector, Finding};
use std::ops::Range;

/// Finds secrets.
#[derive(Debug)]
pub struct Secrets {
    scanner: Scanner,
    /// By rule.
    labels: Vec<&'static str>,
    long: Long,
    /// What is none, though it looks like one.
    allowed: Allowed,
}

impl Secrets {
    /// Finds these sorts. What is one of `allow` as a whole ([`crate::glob`] patterns) is not a finding.
    ///
    /// # Errors
    /// A value that is empty, allows everything or is longer than 1 KiB.
    pub fn new(kinds: &[Kind], allow: &[String]) -> Result<Self, String> {
        let wanted = rules::FORMS.iter().flat_map(|forms| forms.iter());
        let wanted = wanted.filter(|form| kinds.contains(&form.kind));
        let rules: Vec<_> = wanted.map(|form| form.rule.clone()).collect();
        Ok(Self {
            labels: rules.iter().map(|rule| rule.label).collect(),
            scanner: Scanner::new(rules)?,
            long: Long::new(kinds),
            allowed: Allowed::new(allow, false)?,
        })
    }
}

impl Detector for Secrets {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        let mut long = self.long.scan(text, from).into_iter().peekable();
        let mut at = from;
        let mut take = |span: Range<usize>, label: &'static str| {
            if span.start >= at {
                at = span.end;
                if !text.get(span.clone()).is_some_and(|value| self.allowed.has(value)) {
                    found.push(Finding { span, label });
                }
            }
        };
        // Those that are read by hand are the surer: they go first where both begin.
        self.scanner.scan(text, from, &|_| true, &mut |rule, span| {
            while let Some((span, kind)) = long.next_if(|(long, _)| long.start <= span.start) {
                take(span, kind.label());
            }
            if let Some(label) = self.labels.get(rule) {
                take(span, label);
            }
        });
        for (span, kind) in long {
            take(span, kind.label());
        }
    }

    /// A place where both may end: one that the scanner names, and where what is read by hand is not in the middle of something.
    fn open(&self, text: &str, from: usize) -> usize {
        let (mut open, found) = self.long.open(text, from);
        loop {
            open = self.scanner.open(text.get(..open).unwrap_or(text), from);
            match self.long.differs(text, from, open, &found) {
                Some(start) => open = start,
                None => return open,
            }
        }
    }
}
