//! The built-in encoder and the verifier, as the tier uses them.
//!
//! The one idea: a text that the encoder does not read to its end, or of which it knows nothing, has no place; so it is never found,
//! rather than found by half of it.

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
        // Unknown words are all the same to it.
        if tokens.unknown() > 0 {
            return Err(Unread::Nothing);
        }
        let place = Self::place(self, &tokens);
        if place.is_empty() {
            return Err(Unread::Nothing);
        }
        Ok(Box::new(*place.values()))
    }

    fn meaning(&self, text: &str) -> Option<Box<[i8]>> {
        let embedding = self.embed(&self.tokens(text));
        (!embedding.is_empty()).then(|| Box::from(&embedding.values()[..]))
    }
}

/// The verifier: lexical facts, vetoes, and a small fitted model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lexicon;

impl Verify for Lexicon {
    fn gate(&self, asked: &str, kept: &[&str]) -> Vec<Option<&'static str>> {
        let asked = Lexical::of(asked);
        kept.iter()
            .map(|kept| verify::gate(&asked, &Lexical::of(kept)).map(verify::Veto::name))
            .collect()
    }

    fn judge(&self, asked: &str, kept: &str, places: f32, meanings: f32) -> f32 {
        let (a, b) = (Lexical::of(asked), Lexical::of(kept));
        let side = |text, lexical| Side { text, lexical };
        verify::judge(&side(asked, &a), &side(kept, &b), places, meanings).score
    }
}
