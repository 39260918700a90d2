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
        let asked = Lexical::of(asked);
        let veto = |kept: &&str| verify::gate(&asked, &Lexical::of(kept)).map(|veto| veto.name());
        kept.iter().map(veto).collect()
    }

    fn judge(&self, asked: &str, kept: &str, places: f32, meanings: f32) -> f32 {
        let (asked_says, kept_says) = (Lexical::of(asked), Lexical::of(kept));
        let side = |text, lexical| Side { text, lexical };
        verify::judge(&side(asked, &asked_says), &side(kept, &kept_says), places, meanings).score
    }
}
