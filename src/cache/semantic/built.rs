//! The built-in encoder and verifier, as the tier takes them.
//!
//! Nothing is decided here but that a text of more tokens than are read has no place: its end could say the opposite.

use super::encode::{Encode, Unread, Verify};
use super::encoder::Encoder;
use super::vectors::Place;
use super::verify::{self, Lexical, Side};

impl Encode for Encoder {
    fn place(&self, text: &str) -> Result<Box<Place>, Unread> {
        let tokens = self.tokens(text);
        if tokens.cut() {
            return Err(Unread::TooLong);
        }
        let place = Self::place(self, &tokens);
        if place.is_empty() {
            return Err(Unread::Nothing);
        }
        Ok(Box::new(*place.values()))
    }

    fn meaning(&self, text: &str) -> Option<Box<[i8]>> {
        let embedding = self.embed(&self.tokens(text));
        (!embedding.is_empty()).then(|| embedding.values().as_slice().into())
    }
}

/// The verifier of [`super::verify`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Vetted;

impl Verify for Vetted {
    fn gate(&self, asked: &str, kept: &[&str]) -> Vec<Option<&'static str>> {
        let says = Lexical::of(asked);
        let veto = |kept: &&str| {
            if differ_in_case(asked, kept) {
                return Some(verify::Veto::Identifier.name());
            }
            verify::gate(&says, &Lexical::of(kept)).map(|veto| veto.name())
        };
        kept.iter().map(veto).collect()
    }

    fn judge(&self, asked: &str, kept: &str, places: f32, meanings: f32) -> f32 {
        if differ_in_case(asked, kept) {
            return 0.0;
        }
        let (asked_says, kept_says) = (Lexical::of(asked), Lexical::of(kept));
        let side = |text, lexical| Side { text, lexical };
        verify::judge(&side(asked, &asked_says), &side(kept, &kept_says), places, meanings).score
    }
}

/// Shortest word that is taken for an identifier because it is in capitals. `JSON` and `json` are the same.
const SHOUTED: usize = 6;

/// Whether a word stands in capitals in the one text and otherwise in the other: `GETUSER`, `getuser`. A text in capitals throughout
/// says nothing by them.
fn differ_in_case(a: &str, b: &str) -> bool {
    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.len() >= SHOUTED)
    }
    let shouted = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let other = |one: &str, two: &str| {
        let mut in_capitals = words(one).filter(shouted).peekable();
        in_capitals.peek().is_some()
            && one.bytes().any(|byte| byte.is_ascii_lowercase())
            && two.bytes().any(|byte| byte.is_ascii_lowercase())
            && in_capitals.any(|word| words(two).any(|same| same != word && same.eq_ignore_ascii_case(word)))
    };
    other(a, b) || other(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_tell_identifiers_apart() {
        for (a, b, apart) in [
            ("What does GETUSER do?", "what does getuser do", true),
            ("what does getuser do", "What does GETUSER do?", true),
            ("What does GETUSER do?", "Explain what GETUSER does", false),
            ("WHAT DOES GETUSER DO?", "What does getuser do?", false),
            ("Write it as JSON", "write it as json", false),
            ("", "", false),
        ] {
            assert_eq!(differ_in_case(a, b), apart, "{a} | {b}");
        }
        assert_eq!(
            Vetted.gate("What does GETUSER do?", &["What does getuser do?"]),
            [Some("identifier")]
        );
        assert_eq!(
            Vetted.judge("What does GETUSER do?", "What does getuser do?", 1.0, 1.0),
            0.0
        );
    }
}
