//! Many patterns at once: what the recognisers of personal data and of secrets are built on.
//!
//! Not here: any pattern, any validator. The one idea: one pass of a `coarse` automaton cuts the text into segments at the
//! places where no pattern is in progress. What is found lies within one segment; only segments that may hold something are looked at
//! by the exact patterns, one rule at a time. The last such place is also where a stream may be cut.

mod coarse;
mod exact;
#[cfg(test)]
mod tests;

use self::coarse::{Cache, Coarse, Walk};
pub(super) use self::exact::Exact;
use self::exact::Match;
use std::fmt;
use std::ops::Range;

/// One thing to look for.
///
/// The pattern is in the syntax of the `regex` crate with Unicode **off**: `\d`, `\w`, `\s`, `\b`, `(?i)` and `.` mean ASCII. It matches
/// ASCII only: classes such as `[^"]` are cut to it, so any other character ends what is in progress. Its length is bounded (no `+`,
/// `*` or `{2,}`: write `{1,64}`), it is never empty, and it begins and ends on a character that is not optional. `\A`, `\z`, `^` and `$`
/// are refused, except as lines (`(?m:^)`): what streams has no such ends. Of several ways to match from one start the pattern's own
/// preference decides, as in the `regex` crate (greedy, first alternative first); where the validator refuses what that comes to,
/// shorter ends are tried, a few.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Of its findings.
    pub label: &'static str,
    /// What it looks for.
    pub pattern: &'static str,
    /// The finding is capture group 1 instead of the whole match; the rest of the match is context.
    pub group: bool,
    /// Neither neighbour of the *whole match* is `[0-9A-Za-z_]`. Letters that are not ASCII are boundaries.
    pub word: bool,
    /// Decides from the finding's text. What it refuses is not consumed: the rule goes on at the next possible start, and other rules
    /// may match inside.
    pub valid: Option<fn(&str) -> bool>,
    /// Literals of which every match holds one (ASCII case-insensitive), context included. A hint: the engine may use it or not, so it
    /// must be true of the pattern.
    pub prefilter: Option<&'static [&'static str]>,
}

/// Rules, as run.
///
/// Each rule finds its leftmost valid findings, none overlapping another of its own. Of the findings of different rules that overlap,
/// the one that *starts* first counts (the finding, not its context); of those with one start, the first rule in order.
///
/// Where patterns are in progress on end for three times the longest match (pages of numbers, say), the text is cut all the same, at
/// white space and beside what is found if it can be: a text comes to the same findings whole or in pieces, and what is held is bounded
/// (by five times the longest match; in prose it is part of a word).
pub struct Scanner {
    rules: Vec<Rule>,
    engine: Engine,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.rules.iter().map(|rule| rule.label);
        f.write_str("Scanner ")?;
        f.debug_list().entries(labels).finish()
    }
}

impl Scanner {
    /// Build it.
    ///
    /// # Errors
    /// A pattern that does not keep to what [`Rule`] says, by its label.
    pub fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let mut exact = Vec::with_capacity(rules.len());
        for rule in &rules {
            exact.push(Exact::of_rule(rule).map_err(|e| format!("{}: {e}", rule.label))?);
        }
        Ok(Self {
            rules,
            engine: Engine::new(exact)?,
        })
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Find in `text[from..]`, as [`Detector::scan`](super::Detector::scan). `wanted` says which rules (by index) take part: it is a pure
    /// function. `accept` gets rule and span of every finding, in order, none overlapping.
    pub fn scan(
        &self,
        text: &str,
        from: usize,
        wanted: &dyn Fn(usize) -> bool,
        accept: &mut dyn FnMut(usize, Range<usize>),
    ) {
        self.engine.scan(text, from, wanted, accept);
    }

    /// As [`Detector::open`](super::Detector::open), whichever rules are wanted.
    pub fn open(&self, text: &str, from: usize) -> usize {
        self.engine.open(text, from)
    }
}

/// Exact patterns behind a coarse automaton.
pub(super) struct Engine {
    coarse: Coarse,
    exact: Vec<Exact>,
    /// The longest that a match can be, in bytes.
    longest: usize,
}

impl Engine {
    pub(super) fn new(exact: Vec<Exact>) -> Result<Self, String> {
        let coarse = Coarse::new(&exact.iter().map(|one| (one.hir.clone(), one.word)).collect::<Vec<_>>())?;
        let longest = exact.iter().map(|one| one.longest).max().unwrap_or_default().max(32);
        Ok(Self { coarse, exact, longest })
    }

    /// How long a segment may become: then it is cut, after half of it at the least. So a cut lies beyond all that decided the cut
    /// before the last, and a text that ends at a cut has the same cuts before; and no match reaches from a cut beyond what decided it.
    const fn reach(&self) -> usize {
        3 * self.longest
    }

    pub(super) fn scan(
        &self,
        text: &str,
        from: usize,
        wanted: &dyn Fn(usize) -> bool,
        accept: &mut dyn FnMut(usize, Range<usize>),
    ) {
        if from >= text.len() {
            return;
        }
        let mut cache = self.coarse.take();
        let mut walk = Walk::nowhere();
        walk.begin(text.as_bytes(), from, &self.coarse);
        let mut found: Vec<Match> = Vec::new();
        loop {
            let (span, last) = self.segment(&mut cache, text, &mut walk, wanted);
            if !walk.hits.is_empty() {
                self.matches(text, span.clone(), &walk.hits, &mut found);
                walk.hits.clear();
                found.sort_unstable_by_key(|one| (one.span.start, one.rule, one.span.end));
                let mut at = 0;
                for one in found.drain(..) {
                    if one.span.start >= at {
                        at = one.span.end;
                        accept(one.rule, one.span);
                    }
                }
            }
            match last {
                Last::Text => break,
                Last::Free => {}
                Last::Cut => walk.begin(text.as_bytes(), span.end, &self.coarse),
            }
        }
        self.coarse.give(cache);
    }

    pub(super) fn open(&self, text: &str, from: usize) -> usize {
        if from >= text.len() {
            return from;
        }
        let mut cache = self.coarse.take();
        let mut walk = Walk::nowhere();
        walk.begin(text.as_bytes(), from, &self.coarse);
        let mut sure = from;
        // A cut was decided by what lies up to here: a text that ends before would not be cut there.
        let mut seen = 0;
        loop {
            let (span, last) = self.segment(&mut cache, text, &mut walk, &|_| false);
            if span.start >= seen {
                sure = span.start;
            }
            match last {
                Last::Text => break,
                Last::Free => {}
                Last::Cut => {
                    if span.end >= seen {
                        sure = span.end;
                    }
                    seen = span.start + self.reach();
                    walk.begin(text.as_bytes(), span.end, &self.coarse);
                }
            }
        }
        self.coarse.give(cache);
        sure
    }

    /// The next segment that may hold something wanted, or is the last, or is cut; what lies before it holds nothing.
    fn segment(
        &self,
        cache: &mut Cache,
        text: &str,
        walk: &mut Walk,
        wanted: &dyn Fn(usize) -> bool,
    ) -> (Range<usize>, Last) {
        loop {
            let start = walk.start;
            let limit = start + self.reach();
            let stop = limit.min(text.len());
            if let Some(start) = self.coarse.advance(cache, text.as_bytes(), walk, stop, wanted) {
                return (start..walk.at, Last::Free);
            }
            if walk.start == start && walk.at == limit {
                return (start..self.cut(cache, text, start), Last::Cut);
            }
            if walk.at >= text.len() {
                return (walk.start..text.len(), Last::Text);
            }
        }
    }

    /// Where to cut what is in progress from `start` for too long: decided by nothing but the bytes within reach.
    fn cut(&self, cache: &mut Cache, text: &str, start: usize) -> usize {
        let bytes = text.as_bytes();
        let mut walk = Walk::nowhere();
        walk.begin(bytes, start, &self.coarse);
        self.coarse
            .advance(cache, bytes, &mut walk, start + self.reach(), &|_| true);
        let mut found = Vec::new();
        self.matches(text, start..start + self.reach(), &walk.hits, &mut found);
        let spaces = |at: usize| {
            at.checked_sub(1)
                .and_then(|at| bytes.get(at))
                .is_some_and(u8::is_ascii_whitespace)
        };
        let whole = |at: usize| !found.iter().any(|one| one.whole.start < at && at < one.whole.end);
        let range = start + self.reach().div_ceil(2)..=start + 2 * self.longest;
        let places = || range.clone().rev().filter(|at| text.is_char_boundary(*at));
        let space = places().filter(|at| spaces(*at)).find(|at| whole(*at));
        let place = space.or_else(|| places().find(|at| whole(*at)));
        place.or_else(|| places().next()).unwrap_or(start + self.reach())
    }

    /// What the rules `hits` find in a segment.
    fn matches(&self, text: &str, span: Range<usize>, hits: &[u32], found: &mut Vec<Match>) {
        let mut end = span.end;
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let text = text.get(..end).unwrap_or(text);
        for rule in hits {
            if let Some(exact) = self.exact.get(*rule as usize) {
                exact.find(*rule as usize, text, span.start, found);
            }
        }
    }
}

/// What ends a segment.
enum Last {
    /// The text does.
    Text,
    /// Nothing is in progress.
    Free,
    /// It is too long.
    Cut,
}
