//! Regular expressions of the operator's, found in texts.
//!
//! Not here: the patterns that we bring ([`super::scan`] has their rules; these are of whole Unicode). The one idea: patterns that match
//! a bounded length can be sought in streams, by the same engine; those that do not only in whole texts.

use super::scan::{Engine, Exact};
use super::{Detector, Finding};
use regex_automata::Input;
use regex_automata::meta::Regex;
use std::fmt;

/// The longest that a pattern may be, in bytes.
const WRITTEN: usize = 1 << 10;
/// What one compiled pattern may take, in bytes.
const COMPILED: usize = 2 << 20;

/// Finds what patterns match: leftmost, of those with one start the first pattern, none overlapping. Its findings are `PATTERN`.
pub struct Pattern {
    count: usize,
    engine: Sought,
}

enum Sought {
    /// In pieces too.
    Bounded(Box<Engine>),
    /// In whole texts.
    Whole(Box<Regex>),
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.count)
    }
}

impl Pattern {
    /// Of these patterns, in the syntax of the `regex` crate: time linear in the text. With `streams` each must match at most 512 bytes
    /// and know nothing of the ends of a text.
    ///
    /// # Errors
    /// Which pattern is wrong, in what, and how to mend it.
    pub fn new(patterns: &[String], streams: bool) -> Result<Self, String> {
        let mut bounded = Vec::with_capacity(patterns.len());
        let mut whole = false;
        for (index, pattern) in patterns.iter().enumerate() {
            let named = |e: String| format!("pattern {}: {e}", index + 1);
            match read(pattern).map_err(named)? {
                Ok(exact) => bounded.push(exact),
                Err(e) if streams => return Err(named(e)),
                Err(_) => whole = true,
            }
        }
        let engine = if whole {
            let config = Regex::config().nfa_size_limit(Some(COMPILED.saturating_mul(patterns.len())));
            let regex = Regex::builder()
                .configure(config)
                .build_many(patterns)
                .map_err(|e| e.to_string())?;
            Sought::Whole(Box::new(regex))
        } else {
            Sought::Bounded(Box::new(Engine::new(bounded)?))
        };
        Ok(Self {
            count: patterns.len(),
            engine,
        })
    }
}

/// A pattern, or why it cannot be sought in streams.
fn read(pattern: &str) -> Result<Result<Exact, String>, String> {
    if pattern.len() > WRITTEN {
        return Err(format!("it is longer than {WRITTEN} bytes"));
    }
    let hir = regex_syntax::Parser::new().parse(pattern).map_err(|e| e.to_string())?;
    match hir.properties().minimum_len() {
        None => return Err("it matches nothing".to_owned()),
        Some(0) => {
            return Err("it matches the empty text: write `+` instead of `*`, or let nothing be optional".to_owned());
        }
        Some(_) => {}
    }
    let config = Regex::config().nfa_size_limit(Some(COMPILED));
    let size = Regex::builder().configure(config).build_from_hir(&hir);
    size.map_err(|_| format!("compiled it takes more than {COMPILED} bytes: write smaller repetitions"))?;
    Ok(Exact::new(hir, false, false, None))
}

impl Detector for Pattern {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        let finding = |span| Finding { span, label: "PATTERN" };
        match &self.engine {
            Sought::Bounded(engine) => engine.scan(text, from, &|_| true, &mut |_, span| found.push(finding(span))),
            Sought::Whole(regex) if from < text.len() => {
                let all = regex.find_iter(Input::new(text).span(from..text.len()));
                found.extend(all.map(|one| finding(one.range())));
            }
            Sought::Whole(_) => {}
        }
    }

    /// All of it, where patterns are not for streams.
    fn open(&self, text: &str, from: usize) -> usize {
        match &self.engine {
            Sought::Bounded(engine) => engine.open(text, from),
            Sought::Whole(_) => from,
        }
    }
}
