//! Many patterns at once: what the recognisers of personal data and of secrets are built on.
//!
//! Not here: any pattern, any validator. The one idea: one pass of a coarse automaton, in which every repetition is unbounded, cuts
//! the text into segments at the places where no pattern is in progress. What is found lies within one segment; only segments that
//! may hold something are looked at by the exact patterns, one rule at a time. The last such place is also where a stream may be cut.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use std::ops::Range;

/// One thing to look for.
///
/// The pattern is in the syntax of the `regex` crate with Unicode **off**: `\d`, `\w`, `\s`, `\b`, `(?i)` and `.` mean ASCII. It matches
/// ASCII only: classes such as `[^"]` are cut to it, so any other character ends what is in progress. Its length is bounded (no `+`,
/// `*` or `{2,}`: write `{1,64}`), it is never empty, and it begins and ends on a character that is not optional. `\A`, `\z`, `^` and `$`
/// are refused, except as lines (`(?m:^)`): what streams has no such ends. Of several ways to match from one start the pattern's own
/// preference decides, as in the `regex` crate (greedy, first alternative first); where the validator refuses what that comes to,
/// shorter ends are tried.
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
#[derive(Debug)]
pub struct Scanner {
    rules: Vec<(Rule, Regex)>,
}

impl Scanner {
    /// Build it.
    ///
    /// # Errors
    /// A pattern that does not keep to what [`Rule`] says, by its label.
    pub fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let build = |rule: Rule| {
            let pattern = match rule.word {
                true => format!(r"\b{{start-half}}(?:{})\b{{end-half}}", rule.pattern),
                false => rule.pattern.to_owned(),
            };
            Regex::builder()
                .configure(Regex::config().utf8_empty(false))
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .build(&pattern)
                .map(|regex| (rule.clone(), regex))
                .map_err(|e| format!("{}: {e}", rule.label))
        };
        Ok(Self {
            rules: rules.into_iter().map(build).collect::<Result<_, _>>()?,
        })
    }

    /// The rules, in order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|(rule, _)| rule)
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
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        for (index, (rule, regex)) in self.rules.iter().enumerate().filter(|(index, _)| wanted(*index)) {
            let mut at = from;
            while at < text.len() {
                let input = Input::new(text).span(at..text.len()).anchored(Anchored::No);
                let mut captures = regex.create_captures();
                regex.search_captures(&input, &mut captures);
                let Some(whole) = captures.get_match() else { break };
                let span = if rule.group {
                    captures.get_group(1)
                } else {
                    Some(whole.span())
                };
                at = whole.start() + 1;
                let Some(span) = span else { continue };
                let Some(value) = text.get(span.range()) else { continue };
                if value.is_ascii() && rule.valid.is_none_or(|valid| valid(value)) {
                    found.push((span.start, index, span.end));
                    at = span.end.max(at);
                }
            }
        }
        found.sort_unstable();
        let mut at = from;
        for (start, index, end) in found {
            if start >= at {
                accept(index, start..end);
                at = end;
            }
        }
    }

    /// As [`Detector::open`](super::Detector::open), whichever rules are wanted.
    pub fn open(&self, _text: &str, from: usize) -> usize {
        from
    }
}
