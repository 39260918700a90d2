//! Reads what its spelling decides: letters that are units, months that are words too, and what is kept as it is written.
//!
//! Not what tables say of words. The one idea: letter case and what stands beside a word tell which of two things it is.

use super::super::Tongue;
use super::super::lexical::Kind;
use super::super::lexicon::{Class, Spelling, key_of};
use super::super::scan::{Piece, Shape};
use super::Reader;

impl<'a> Reader<'a> {
    /// What letter case decides: `US`, `WHO`, vitamin `A`, the language `Go`; letters that are units after a number.
    pub(super) fn lettered(&mut self, at: usize, piece: Piece<'a>, proper: bool, capitals: bool) -> Option<usize> {
        let after_number = at
            .checked_sub(1)
            .and_then(|before| self.tokens.get(before))
            .is_some_and(|token| token.piece.shape == Shape::Number || token.piece.text == "°");
        if after_number {
            let unit = match piece.text {
                "m" => "meter",
                "g" => "gram",
                "l" | "L" => "liter",
                "s" => "seconds",
                "h" => "hour",
                "d" if piece.glued => "day",
                "C" => "celsius",
                "F" => "fahrenheit",
                "in" if piece.glued => "inch",
                "k" | "K" if piece.glued => "thousands",
                "x" if piece.glued => "times",
                "st" | "nd" | "rd" | "th" if piece.glued => return Some(1),
                _ => "",
            };
            let halves = matches!(self.lower_of(at), "am" | "pm");
            if halves || !unit.is_empty() {
                self.flush();
                let sense = self
                    .lexicon
                    .get(Spelling::NONE.with(unit.as_bytes()))
                    .filter(|sense| sense.known);
                let (kind, key) = match sense {
                    Some(sense) if sense.class == Class::Time => (Kind::Time, u64::from(sense.group)),
                    Some(sense) if sense.class == Class::Unit => (Kind::Unit, u64::from(sense.group)),
                    _ if halves => (Kind::Date, key_of(self.lower_of(at))),
                    _ => (Kind::Unit, key_of(unit)),
                };
                self.say(kind, key, piece, false);
                return Some(1);
            }
        }
        let key = match piece.text {
            "US" | "USA" => u64::from(self.lexicon.get(Spelling::NONE.with(b"usa"))?.group),
            "A" if !piece.first => key_of("A"),
            "IT" | "WHO" | "OR" | "IN" | "ME" | "OF" | "AM" | "IS" | "AS" | "AT" | "HE" if capitals => {
                key_of(piece.text)
            }
            "Go" if proper => key_of("golang"),
            _ => return None,
        };
        self.flush();
        let kind = match piece.text {
            "Go" => Kind::Program,
            "US" | "USA" => Kind::Known,
            _ => Kind::Word,
        };
        let key = match (kind, self.lexicon.get(Spelling::NONE.with(b"golang"))) {
            (Kind::Program, Some(sense)) => u64::from(sense.group),
            _ => key,
        };
        self.say(kind, key, piece, kind != Kind::Program);
        Some(1)
    }

    /// `may`, `march`, `sun`, `second` and their like are dates only where a capital or a number says so.
    pub(super) fn dated(&self, at: usize, capital: bool) -> bool {
        if self.tongue != Tongue::English
            || !matches!(
                self.lower_of(at),
                "may" | "march" | "mar" | "sat" | "sun" | "mon" | "wed" | "am" | "dec" | "jan" | "now"
            )
        {
            return true;
        }
        let before = at.checked_sub(1).map_or("", |before| self.lower_of(before));
        let within = matches!(
            before,
            "in" | "of"
                | "since"
                | "until"
                | "till"
                | "during"
                | "next"
                | "last"
                | "this"
                | "early"
                | "late"
                | "mid"
                | "by"
        );
        let months = matches!(self.lower_of(at), "may" | "march" | "mar" | "dec" | "jan");
        capital
            || within && months
            || at.checked_sub(1).is_some_and(|before| self.counts(before))
            || self.counts(at + 1)
    }

    /// Stands after what a unit does not stand after.
    pub(super) fn ranks(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map_or("", |before| self.lower_of(before));
        let last = at + 1 >= self.tokens.len();
        !last
            && matches!(
                before,
                "the"
                    | "s"
                    | "whats"
                    | "whos"
                    | "his"
                    | "her"
                    | "my"
                    | "your"
                    | "their"
                    | "its"
                    | "what's"
                    | "who's"
                    | "what"
                    | "who"
                    | "of"
                    | "is"
                    | "was"
            )
    }

    /// Is a number in digits.
    pub(super) fn counts(&self, at: usize) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| token.piece.shape == Shape::Number)
    }

    /// What is kept as it is written.
    pub(super) fn literal(&mut self, shape: Shape, piece: Piece<'a>, at: usize) {
        let exact = piece.text.trim_end_matches("()");
        match shape {
            Shape::Quote => {
                let inner = piece.text.trim_end_matches(['.', ',', '!', '?', ';', ':']);
                self.say(Kind::Quote, key_of(inner), piece, false);
            }
            Shape::Code if exact.contains(char::is_whitespace) => self.say(Kind::Code, key_of(exact), piece, false),
            Shape::Code | Shape::Identifier => self.say(Kind::Identifier, key_of(exact), piece, false),
            Shape::Address => self.say(Kind::Address, key_of(exact.trim_end_matches('/')), piece, false),
            _ => {
                let key = key_of(self.lower_of(at));
                self.say(Kind::Identifier, key, piece, false);
            }
        }
    }
}
