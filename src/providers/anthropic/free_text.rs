//! Free-text tools, which this API has not: the model fills `{"input":"…"}`, the client gets what is between the quotes.
//!
//! Streams bring the object in pieces cut anywhere, also within an escape; [`FreeText`] reads it letter by letter and gives
//! on what is complete. What does not begin like that object is given on as it came.

use std::borrow::Cow;

/// The text of a whole input.
pub fn whole(input: &str) -> Cow<'_, str> {
    let mut text = String::with_capacity(input.len());
    let mut reader = FreeText::default();
    reader.take(input, &mut text);
    reader.end(&mut text);
    text.into()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the text; `held` has what came so far.
    #[default]
    Before,
    /// In the text.
    Inside,
    /// In an escape; `held` has it.
    Escape,
    /// Behind the text.
    Behind,
    /// It is something else.
    Foreign,
}

/// Reads one input.
#[derive(Debug, Default)]
pub struct FreeText {
    state: State,
    held: String,
}

/// Longest beginning that is waited for.
const LONGEST_BEGINNING: usize = 64;

impl FreeText {
    /// Take a piece in; append the text it completes.
    pub fn take(&mut self, piece: &str, text: &mut String) {
        for letter in piece.chars() {
            self.step(letter, text);
        }
    }

    fn step(&mut self, letter: char, text: &mut String) {
        match self.state {
            State::Before => self.begin(letter, text),
            State::Inside => match letter {
                '"' => self.state = State::Behind,
                '\\' => {
                    self.state = State::Escape;
                    self.held.push(letter);
                }
                plain => text.push(plain),
            },
            State::Escape => self.escape(letter, text),
            State::Behind => {}
            State::Foreign => text.push(letter),
        }
    }

    /// Nothing more comes: what was held back is given on.
    pub fn end(&mut self, text: &mut String) {
        if self.state == State::Before {
            // `{}` is an input without text.
            if self.held.trim() != "{}" {
                text.push_str(&self.held);
            }
            self.held.clear();
            self.state = State::Foreign;
        } else if self.state == State::Escape {
            text.push('\u{fffd}');
            self.held.clear();
            self.state = State::Behind;
        }
    }

    fn begin(&mut self, letter: char, text: &mut String) {
        self.held.push(letter);
        let mut bare = self.held.chars().filter(|c| !c.is_whitespace());
        let mut wanted = "{\"input\":\"".chars();
        let fits = bare.by_ref().zip(wanted.by_ref()).all(|(is, wanted)| is == wanted);
        if !fits || self.held.len() > LONGEST_BEGINNING {
            if self.held.trim() == "{}" {
                return;
            }
            text.push_str(&self.held);
            self.held.clear();
            self.state = State::Foreign;
        } else if wanted.next().is_none() {
            self.held.clear();
            self.state = State::Inside;
        }
    }

    fn escape(&mut self, letter: char, text: &mut String) {
        // The first half of a pair must be followed by the other half; if it is not, it stands for nothing.
        let at = self.held.len();
        if (at == 6 && letter != '\\') || (at == 7 && letter != 'u') {
            let half = std::mem::take(&mut self.held);
            text.push('\u{fffd}');
            self.state = State::Inside;
            let rest = half.get(6..).unwrap_or_default();
            rest.chars().chain([letter]).for_each(|letter| self.step(letter, text));
            return;
        }
        self.held.push(letter);
        let simple = at == 1 && letter != 'u';
        let first = self.held.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let paired = first.is_some_and(|first| (0xd800..0xdc00).contains(&first));
        if !(simple || (self.held.len() >= 6 && !paired) || self.held.len() >= 12) {
            return;
        }
        match serde_json::from_str::<String>(&format!("\"{}\"", self.held)) {
            Ok(plain) => text.push_str(&plain),
            Err(_) => text.push('\u{fffd}'),
        }
        self.held.clear();
        self.state = State::Inside;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_through_any_split(text in ".{0,40}", cut in 0..60usize) {
            let input = serde_json::json!({"input": text}).to_string();
            prop_assert_eq!(whole(&input), text.as_str());
            let cut = (0..=cut.min(input.len())).rev().find(|at| input.is_char_boundary(*at)).unwrap();
            let (mut got, mut reader) = (String::new(), FreeText::default());
            reader.take(&input[..cut], &mut got);
            reader.take(&input[cut..], &mut got);
            reader.end(&mut got);
            prop_assert_eq!(got, text);
        }

        #[test]
        fn nothing_panics(input in ".{0,40}", escapes in "(\\\\u[0-9a-fd]{0,5}|\\\\.|x){0,6}") {
            let _ = whole(&input);
            let _ = whole(&format!("{{\"input\":\"{escapes}"));
        }
    }

    #[test]
    fn escapes_and_strangers() {
        assert_eq!(whole(r#" { "input" : "a\n\u00e9\ud83d\ude00\"b" } "#), "a\né😀\"b");
        assert_eq!(whole(r#"{"patch":"x"}"#), r#"{"patch":"x"}"#);
        assert_eq!(whole("{}"), "");
        assert_eq!(whole(r#"{"input":"\ud83dx"}"#), "\u{fffd}x");
        assert_eq!(whole(r#"{"input":"\ud83d\n"}"#), "\u{fffd}\n");
        assert_eq!(whole(r#"{"input":"\ud83d\\u"}"#), "\u{fffd}\\u");
        assert_eq!(whole(r#"{"input":"\ud83d"}"#), "\u{fffd}");
        assert_eq!(whole(r#"{"input":"a\"#), "a\u{fffd}");
    }
}
