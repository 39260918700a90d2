//! One pattern, exactly: what it finds in a segment that the coarse pass pointed at.
//!
//! Not here: where segments are. Built when first needed: of hundreds of rules, a process meets a dozen.

use super::Rule;
use super::coarse::is_local;
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};
use std::ops::Range;
use std::sync::OnceLock;

/// How many shorter ends are tried where a validator refuses.
const SHORTER: usize = 8;
/// How many such ends are tried in one segment: where everything looks like something and nothing is, each byte of a hostile text
/// would else be read hundreds of times.
const MOST_SHORTER: usize = 256;
/// The longest that one match may be, in bytes: what a stream may have to hold back.
const LONGEST: usize = 512;
/// What one compiled pattern may take, in bytes.
const COMPILED: usize = 2 << 20;

/// One pattern.
pub(crate) struct Exact {
    /// What it matches.
    pub hir: Hir,
    /// It begins and ends only where a word (ASCII) may.
    pub word: bool,
    /// Its longest match, in bytes.
    pub longest: usize,
    group: bool,
    valid: Option<fn(&str) -> bool>,
    /// All its matches are of one length.
    fixed: bool,
    regex: OnceLock<Option<Regex>>,
}

/// What it found.
#[derive(Debug)]
pub(crate) struct Match {
    /// The finding.
    pub span: Range<usize>,
    /// With its context.
    pub whole: Range<usize>,
    pub rule: usize,
}

impl Exact {
    /// Of a rule, cut to ASCII.
    pub(crate) fn of_rule(rule: &Rule) -> Result<Self, String> {
        let mut parser = regex_syntax::ParserBuilder::new();
        let hir = parser
            .unicode(false)
            .utf8(false)
            .build()
            .parse(rule.pattern)
            .map_err(|e| e.to_string())?;
        if rule.group && hir.properties().explicit_captures_len() == 0 {
            return Err("it has no group 1".to_owned());
        }
        let hir = ascii(&hir)?;
        Self::new(hir, rule.word, rule.group, rule.valid)
    }

    /// Of a pattern.
    ///
    /// # Errors
    /// It may be empty, or longer than [`LONGEST`], or asks for an end of the text.
    pub(crate) fn new(hir: Hir, word: bool, group: bool, valid: Option<fn(&str) -> bool>) -> Result<Self, String> {
        let properties = hir.properties();
        if properties.minimum_len().is_none_or(|least| least == 0) {
            return Err("it matches nothing, or the empty text".to_owned());
        }
        if !properties.look_set().iter().all(is_local) {
            return Err("`^`, `$`, `\\A` and `\\z` mean ends that a stream does not have: `(?m:^)` and `(?m:$)` are those of lines".to_owned());
        }
        let (least, longest) = (properties.minimum_len(), properties.maximum_len());
        let Some(longest) = longest.filter(|longest| *longest <= LONGEST) else {
            return Err(format!(
                "what it matches must have a greatest length, of {LONGEST} bytes at most: write `{{0,100}}` instead of `*`, `{{1,100}}` instead of `+`"
            ));
        };
        Ok(Self {
            word,
            group,
            valid,
            fixed: least == Some(longest),
            longest,
            regex: OnceLock::new(),
            hir,
        })
    }

    fn regex(&self) -> Option<&Regex> {
        let build = || {
            let captures = if self.group {
                WhichCaptures::All
            } else {
                WhichCaptures::Implicit
            };
            let config = Regex::config()
                .which_captures(captures)
                .nfa_size_limit(Some(COMPILED))
                .hybrid_cache_capacity(128 << 10)
                .auto_prefilter(false)
                .utf8_empty(false)
                .onepass(false)
                .dfa(false);
            let hir = if self.word {
                let [start, end] = [Look::WordStartHalfAscii, Look::WordEndHalfAscii].map(Hir::look);
                &Hir::concat(vec![start, self.hir.clone(), end])
            } else {
                &self.hir
            };
            Regex::builder().configure(config).build_from_hir(hir).ok()
        };
        self.regex.get_or_init(build).as_ref()
    }

    /// Add what it finds in `text[from..]`, leftmost first, none overlapping.
    pub(crate) fn find(&self, rule: usize, text: &str, from: usize, found: &mut Vec<Match>) {
        let Some(regex) = self.regex() else { return };
        let (mut at, mut left) = (from, MOST_SHORTER);
        while let Some((whole, span)) = self.search(regex, text, at..text.len(), Anchored::No) {
            at = whole.start + 1;
            let one = match self.accepts(text, span.clone()) {
                true => Some((whole, span)),
                false if self.fixed => None,
                false => self.shorter(regex, text, whole, &mut left),
            };
            if let Some((whole, span)) = one {
                at = at.max(span.end);
                found.push(Match { span, whole, rule });
            }
        }
    }

    /// The longest of the next shorter matches of the same start that is valid.
    fn shorter(
        &self,
        regex: &Regex,
        text: &str,
        whole: Range<usize>,
        left: &mut usize,
    ) -> Option<(Range<usize>, Range<usize>)> {
        let mut end = whole.end;
        for _ in 0..SHORTER {
            *left = left.checked_sub(1)?;
            let (shorter, span) = self.search(regex, text, whole.start..end.checked_sub(1)?, Anchored::Yes)?;
            if self.accepts(text, span.clone()) {
                return Some((shorter, span));
            }
            end = shorter.end;
        }
        None
    }

    fn accepts(&self, text: &str, span: Range<usize>) -> bool {
        let value = text.get(span).unwrap_or_default();
        !value.is_empty() && self.valid.is_none_or(|valid| valid(value))
    }

    /// The match, and the finding in it: empty where its group did not take part.
    fn search(
        &self,
        regex: &Regex,
        text: &str,
        span: Range<usize>,
        anchored: Anchored,
    ) -> Option<(Range<usize>, Range<usize>)> {
        if span.start >= span.end {
            return None;
        }
        let input = Input::new(text).span(span).anchored(anchored);
        if !self.group {
            let whole = regex.search(&input)?.range();
            return Some((whole.clone(), whole));
        }
        let mut slots: [Option<NonMaxUsize>; 4] = [None; 4];
        regex.search_slots(&input, &mut slots)?;
        let [start, end, from, to] = slots.map(|slot| slot.map(NonMaxUsize::get));
        let whole = start?..end?;
        let finding = match (from, to) {
            (Some(from), Some(to)) => from..to,
            _ => whole.start..whole.start,
        };
        Some((whole, finding))
    }
}

/// The same, of ASCII only.
fn ascii(hir: &Hir) -> Result<Hir, String> {
    let all = |all: &[Hir]| all.iter().map(ascii).collect::<Result<Vec<_>, _>>();
    Ok(match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Literal(literal) if literal.0.is_ascii() => Hir::literal(literal.0.clone()),
        HirKind::Literal(_) => return Err("it holds a character that is not ASCII".to_owned()),
        HirKind::Class(class) => {
            let ranges: Vec<(u32, u32)> = match class {
                Class::Bytes(class) => class
                    .ranges()
                    .iter()
                    .map(|one| (one.start().into(), one.end().into()))
                    .collect(),
                Class::Unicode(class) => class
                    .ranges()
                    .iter()
                    .map(|one| (one.start().into(), one.end().into()))
                    .collect(),
            };
            let ranges = ranges.into_iter().filter(|(low, _)| *low < 0x80);
            let ranges = ranges.map(|(low, high)| ClassBytesRange::new(low as u8, high.min(0x7F) as u8));
            Hir::class(Class::Bytes(ClassBytes::new(ranges)))
        }
        HirKind::Repetition(one) => Hir::repetition(Repetition {
            min: one.min,
            max: one.max,
            greedy: one.greedy,
            sub: Box::new(ascii(&one.sub)?),
        }),
        HirKind::Capture(capture) => {
            let mut capture = capture.clone();
            capture.sub = Box::new(ascii(&capture.sub)?);
            Hir::capture(capture)
        }
        HirKind::Concat(parts) => Hir::concat(all(parts)?),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)?),
    })
}
