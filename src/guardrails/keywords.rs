//! Words of the operator's, found in texts.
//!
//! Not here: patterns, stemming, spellings (a decomposed `é` is two characters). The one idea: words and texts are folded character by
//! character, one to one, so that a place in what is folded is a place in the text, however many bytes either takes.

use super::{Detector, Finding};
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;

/// The longest word, in characters: what a stream may have to hold back.
const LONGEST: usize = 256;

/// Finds words: leftmost, of those with one start the longest, none overlapping. Its findings are `KEYWORD`.
pub struct Keywords {
    automaton: NFA,
    start: StateID,
    /// Bytes that one of the words, folded, begins with.
    first: Box<[bool; 256]>,
    /// Of each word, in characters.
    lengths: Vec<usize>,
    longest: usize,
    case_sensitive: bool,
    whole_words: bool,
}

impl fmt::Debug for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keywords({})", self.lengths.len())
    }
}

impl Keywords {
    /// Of these words. Unless `case_sensitive`, `É` is `é` and `ẞ` is `ß`, but `ss` is not. With `whole_words` no letter or digit that
    /// a word begins or ends with has another beside it: `class` is not in `classic`, but `C++` is in `C++11`.
    ///
    /// # Errors
    /// A word is empty or longer than 256 characters, or there are too many.
    pub fn new(words: &[String], case_sensitive: bool, whole_words: bool) -> Result<Self, String> {
        let fold = |word: &String| match case_sensitive {
            true => word.clone(),
            false => word.chars().map(folded).collect(),
        };
        let mut folded: Vec<String> = words.iter().map(fold).collect();
        folded.sort_unstable();
        folded.dedup();
        let lengths: Vec<usize> = folded.iter().map(|word| word.chars().count()).collect();
        if lengths.contains(&0) {
            return Err("a keyword is empty".to_owned());
        }
        let longest = lengths.iter().copied().max().unwrap_or_default();
        if longest > LONGEST {
            return Err(format!("a keyword is longer than {LONGEST} characters"));
        }
        let mut first = Box::new([false; 256]);
        for byte in folded.iter().filter_map(|word| word.bytes().next()) {
            first[usize::from(byte)] = true;
        }
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(&folded)
            .map_err(|e| e.to_string())?;
        let start = automaton.start_state(Anchored::No).map_err(|e| e.to_string())?;
        Ok(Self {
            automaton,
            start,
            first,
            lengths,
            longest,
            case_sensitive,
            whole_words,
        })
    }

    fn fold(&self, c: char) -> char {
        if self.case_sensitive { c } else { folded(c) }
    }

    fn next(&self, anchored: Anchored, mut state: StateID, c: char) -> StateID {
        let mut bytes = [0; 4];
        for byte in self.fold(c).encode_utf8(&mut bytes).bytes() {
            state = self.automaton.next_state(anchored, state, byte);
        }
        state
    }

    /// The words in `text[from..]`, none overlapping, and whether the end may be the beginning of another.
    fn words(&self, text: &str, from: usize) -> (Vec<Range<usize>>, bool) {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut state = self.start;
        let bytes = text.as_bytes();
        let mut at = from;
        while let Some(byte) = bytes.get(at) {
            if byte.is_ascii() {
                let byte = if self.case_sensitive {
                    *byte
                } else {
                    byte.to_ascii_lowercase()
                };
                at += 1;
                if state == self.start && !self.first[usize::from(byte)] {
                    continue;
                }
                state = self.automaton.next_state(Anchored::No, state, byte);
            } else {
                let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                    break;
                };
                at += c.len_utf8();
                state = self.next(Anchored::No, state, c);
            }
            if self.automaton.is_match(state) {
                for index in 0..self.automaton.match_len(state) {
                    let word = self.automaton.match_pattern(state, index);
                    let length = self.lengths.get(word.as_usize()).copied().unwrap_or(1);
                    let start = back(text, at, length);
                    if self.begins(text, start) && self.ends(text, at) {
                        found.push(start..at);
                    }
                }
            }
        }
        found.sort_unstable_by_key(|one| (one.start, Reverse(one.end)));
        let mut free = from;
        found.retain(|one| {
            let kept = one.start >= free;
            free = if kept { one.end } else { free };
            kept
        });
        (found, state != self.start)
    }

    /// Whether a word may begin here.
    fn begins(&self, text: &str, at: usize) -> bool {
        !self.whole_words || !(before(text, at).is_some_and(is_word) && after(text, at).is_some_and(is_word))
    }

    /// Whether a word may end here: it is the same question.
    fn ends(&self, text: &str, at: usize) -> bool {
        self.begins(text, at)
    }

    /// Whether the text from here to its end may be the beginning of a word, or a whole one.
    fn pends(&self, text: &str, at: usize) -> bool {
        let Ok(mut state) = self.automaton.start_state(Anchored::Yes) else {
            return true;
        };
        self.begins(text, at)
            && text.get(at..).unwrap_or_default().chars().all(|c| {
                state = self.next(Anchored::Yes, state, c);
                !self.automaton.is_dead(state)
            })
    }
}

impl Detector for Keywords {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        let (words, _) = self.words(text, from);
        found.extend(words.into_iter().map(|span| Finding { span, label: "KEYWORD" }));
    }

    /// The first place that may be the beginning of a word and is not in one that is found: it is not beside a letter or digit where
    /// that matters, so a text that ends there has no more words than one that goes on.
    fn open(&self, text: &str, from: usize) -> usize {
        let (words, pending) = self.words(text, from);
        if !pending {
            return text.len();
        }
        let first = back(text, text.len(), self.longest).max(from);
        let mut words = words.iter().peekable();
        for (at, _) in text.get(first..).unwrap_or_default().char_indices() {
            let at = first + at;
            while words.next_if(|word| word.end <= at).is_some() {}
            let within = words.peek().is_some_and(|word| word.start < at);
            if !within && self.pends(text, at) {
                return at;
            }
        }
        text.len()
    }
}

/// So many characters before a place.
fn back(text: &str, at: usize, characters: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before
        .char_indices()
        .rev()
        .nth(characters.saturating_sub(1))
        .map_or(0, |(at, _)| at)
}

fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

fn after(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A character without its case: what simple case folding makes of it, for characters of which either case is one character.
fn folded(c: char) -> char {
    match c {
        _ if c.is_ascii() => c.to_ascii_lowercase(),
        // Without case, and most of the text where there is any: the tables need not be asked. The dotless i is no i.
        '\u{2E80}'..='\u{A63F}' | '\u{AC00}'..='\u{D7A3}' | 'ı' => c,
        _ => {
            let upper = one(c.to_uppercase()).unwrap_or(c);
            one(upper.to_lowercase()).unwrap_or(upper)
        }
    }
}

fn one(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    first.filter(|_| characters.next().is_none())
}
