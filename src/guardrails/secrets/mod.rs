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
use super::scan::Scanner;
use super::{Detector, Finding};
use regex::{RegexBuilder, RegexSet, RegexSetBuilder};
use std::fmt;
use std::ops::Range;

/// Most bytes that the patterns of what is allowed may take, compiled.
const ALLOWED_SIZE: usize = 2 << 20;

/// Finds secrets.
pub struct Secrets {
    scanner: Scanner,
    /// By rule.
    labels: Vec<&'static str>,
    long: Long,
    /// What is none, though it looks like one.
    allowed: Option<RegexSet>,
}

impl Secrets {
    /// Finds these sorts. What `allow` matches as a whole (patterns in the syntax of the `regex` crate) is not a finding.
    ///
    /// # Errors
    /// A pattern that is none, or too large.
    pub fn new(kinds: &[Kind], allow: &[String]) -> Result<Self, String> {
        let wanted = rules::FORMS.iter().flat_map(|forms| forms.iter());
        let wanted = wanted.filter(|form| kinds.contains(&form.kind));
        let rules: Vec<_> = wanted.map(|form| form.rule.clone()).collect();
        for pattern in allow {
            // By itself first: what is wrong is said of what was written.
            let alone = RegexBuilder::new(pattern).size_limit(ALLOWED_SIZE).build();
            alone.map_err(|error| error.to_string())?;
        }
        let whole = allow.iter().map(|pattern| format!(r"\A(?:{pattern})\z"));
        let allowed = match allow {
            [] => None,
            _ => Some(RegexSetBuilder::new(whole).size_limit(ALLOWED_SIZE).build()),
        };
        Ok(Self {
            labels: rules.iter().map(|rule| rule.label).collect(),
            scanner: Scanner::new(rules)?,
            long: Long::new(kinds),
            allowed: allowed.transpose().map_err(|error| error.to_string())?,
        })
    }

    fn is_allowed(&self, value: &str) -> bool {
        self.allowed.as_ref().is_some_and(|allowed| allowed.is_match(value))
    }
}

/// What is allowed stays out of it: it may be somebody's.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = self.allowed.as_ref().map_or(0, RegexSet::len);
        f.debug_struct("Secrets")
            .field("labels", &self.labels)
            .field("allowed", &allowed)
            .finish_non_exhaustive()
    }
}

impl Detector for Secrets {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        let mut long = self.long.scan(text, from).into_iter().peekable();
        let mut at = from;
        let mut take = |span: Range<usize>, label: &'static str| {
            if span.start >= at {
                at = span.end;
                if !text.get(span.clone()).is_some_and(|value| self.is_allowed(value)) {
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
