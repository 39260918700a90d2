//! Taking away at a seam what the next target says twice.
//!
//! The text so far is sent without the blanks at its end (Anthropic refuses them, and elsewhere they spoil the next token), so
//! the answer may begin with them: they are not said again. A model that was only told to go on may also repeat the last
//! words: the longest end of the text so far that its answer begins with is taken away, if it is no chance. The answer's
//! beginning is held back for as long as it could still be such a repetition, which is decided by its first letters nearly
//! always.

use std::borrow::Cow;

/// Letters of the text so far that are compared.
const COMPARED: usize = 512;
/// A repetition of so many letters is no chance.
const SURELY: usize = 12;
/// Nor is one of so many that begins with a word.
const WORD: usize = 3;

/// What is left to be taken away.
#[derive(Debug, Default)]
pub(super) enum Trim {
    /// Nothing.
    #[default]
    Done,
    /// These blanks.
    Blanks(String),
    /// A repetition of the end of this text; held back so far.
    Repeated(String, String),
}

impl Trim {
    /// The blanks at the end of `said`, which was given to a target that goes on from there.
    pub(super) fn blanks(said: &str) -> Self {
        match said.get(said.trim_end().len()..) {
            Some(blanks) if !blanks.is_empty() => Self::Blanks(blanks.to_owned()),
            _ => Self::Done,
        }
    }

    /// A repetition, for a target that was told to go on.
    pub(super) fn repeated(said: &str) -> Self {
        let from = said.char_indices().rev().nth(COMPARED - 1).map_or(0, |(at, _)| at);
        match said.get(from..) {
            Some(end) if !end.is_empty() => Self::Repeated(end.to_owned(), String::new()),
            _ => Self::Done,
        }
    }

    /// More of the answer; what of it may be said now.
    pub(super) fn push<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        match self {
            Self::Done => text.into(),
            Self::Blanks(blanks) => {
                let same = blanks.chars().zip(text.chars()).take_while(|(a, b)| a == b);
                let length: usize = same.map(|(a, _)| a.len_utf8()).sum();
                blanks.drain(..length);
                let rest = text.get(length..).unwrap_or_default();
                if blanks.is_empty() || !rest.is_empty() {
                    *self = Self::Done;
                }
                rest.into()
            }
            Self::Repeated(said, held) => {
                held.push_str(text);
                if goes_on(said, held) {
                    return "".into();
                }
                self.flush().into()
            }
        }
    }

    /// What was held back, when nothing more comes.
    pub(super) fn flush(&mut self) -> String {
        match std::mem::take(self) {
            Self::Repeated(said, mut held) => held.split_off(repetition(&said, &held)),
            _ => String::new(),
        }
    }
}

/// Whether `held` could become a repetition with more letters.
fn goes_on(said: &str, held: &str) -> bool {
    let starts = said.char_indices().filter_map(|(at, _)| said.get(at..));
    let mut longer = starts.take_while(|end| end.len() > held.len());
    longer.any(|end| end.starts_with(held))
}

/// How many bytes of `held` repeat the end of `said`.
fn repetition(said: &str, held: &str) -> usize {
    for (at, _) in said.char_indices() {
        let end = said.get(at..).unwrap_or_default();
        if held.starts_with(end) && is_no_chance(said.get(..at).unwrap_or_default(), end) {
            return end.len();
        }
    }
    0
}

fn is_no_chance(before: &str, repeated: &str) -> bool {
    let letters = repeated.chars().take(SURELY).count();
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let whole = word(repeated.chars().next()) && !word(before.chars().next_back());
    letters >= SURELY || (letters >= WORD && whole) || repeated.chars().all(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spliced(mut trim: Trim, said: &str, pieces: &[&str]) -> String {
        let mut out = said.to_owned();
        for piece in pieces {
            out += &trim.push(piece);
        }
        out + &trim.flush()
    }

    #[test]
    fn blanks_at_the_seam_come_once() {
        for (said, pieces, whole) in [
            ("one ", &[" two"][..], "one two"),
            ("one ", &["two"], "one two"),
            ("one", &[" two"], "one two"),
            ("one\n\n", &["\n", "\ntwo"], "one\n\ntwo"),
            ("one\n", &["\n\ntwo"], "one\n\ntwo"),
            ("one ", &["", " ", " two"], "one  two"),
            (" \u{3000}", &["\u{3000}x"], " \u{3000}\u{3000}x"),
            ("ha", &["ha"], "haha"),
        ] {
            assert_eq!(spliced(Trim::blanks(said), said, pieces), whole, "{said:?} {pieces:?}");
        }
    }

    #[test]
    fn a_repetition_is_taken_away_and_a_chance_is_not() {
        for (said, pieces, whole) in [
            ("The quick brown", &[" fox"][..], "The quick brown fox"),
            ("The quick brown", &["brown", " fox"], "The quick brown fox"),
            ("The quick bro", &["brown fox"], "The quick brown fox"),
            (
                "The quick brown",
                &["The", " quick", " brown fox"],
                "The quick brown fox",
            ),
            ("The quick brown ", &["The slow"], "The quick brown The slow"),
            ("hel", &["lo"], "hello"),
            ("a, b", &["b, c"], "a, bb, c"),
            ("one ", &[" two"], "one two"),
            ("é è", &["è"], "é èè"),
            ("The quick brown", &["brown"], "The quick brown"),
            ("The quick brown", &["bro"], "The quick brownbro"),
            ("", &["x"], "x"),
        ] {
            assert_eq!(
                spliced(Trim::repeated(said), said, pieces),
                whole,
                "{said:?} {pieces:?}"
            );
        }
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let said = "ab ".repeat(10_000);
        let mut trim = Trim::repeated(&said);
        let given: usize = (0..1000).map(|_| trim.push("ab ").len()).sum();
        assert!(given + COMPARED * 3 >= 3000, "{given}");
    }

    proptest::proptest! {
        /// However the answer is cut into pieces, the outcome is the same.
        #[test]
        fn any_split_is_the_same(said in "[ab é\n]{0,20}", answer in "[ab é\n]{0,20}", at in 0..20usize, repeated: bool) {
            let trim = || if repeated { Trim::repeated(&said) } else { Trim::blanks(&said) };
            let at = answer.char_indices().nth(at).map_or(answer.len(), |(at, _)| at);
            let (a, b) = answer.split_at(at);
            proptest::prop_assert_eq!(spliced(trim(), &said, &[a, b]), spliced(trim(), &said, &[&answer]));
        }
    }
}
