//! Reads numbers, in digits and in words, and the signs around them.
//!
//! The one idea: `1,000`, `1000` and `one thousand` are one number; `1` and the article `one` are not quite.

use super::super::lexical::Kind;
use super::super::lexicon::{Class, Spelling, key_of};
use super::super::scan::Piece;
use super::Reader;

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self, piece: Piece<'a>) {
        let mut spelling = Spelling::NONE;
        let bytes = piece.text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            // A comma before three digits groups, any other is kept.
            let groups = *byte == b','
                && bytes
                    .get(at + 1..at + 4)
                    .is_some_and(|three| three.iter().all(u8::is_ascii_digit))
                && !bytes.get(at + 4).is_some_and(u8::is_ascii_digit);
            if !groups {
                spelling = spelling.with(&[*byte]);
            }
        }
        self.say(Kind::Number, spelling.key(), piece, false);
    }

    /// A number in words, which may go on the one before.
    pub(super) fn speak(&mut self, value: u64, piece: Piece<'a>) {
        let joined = match (self.spoken, value) {
            (Some(tens), 1..=9) if tens % 10 == 0 && tens % 100 >= 20 => Some(tens + value),
            (Some(count), 100 | 1000) if count > 0 && count < value => count.checked_mul(value),
            (Some(many), _) if many >= 100 && value < 100 && many % 100 == 0 => many.checked_add(value),
            _ => None,
        };
        if joined.is_none() {
            self.flush();
        }
        let value = joined.unwrap_or(value);
        // Its place is kept by a word that `flush` fills in.
        self.spoken = Some(value);
        if joined.is_none() {
            self.say(Kind::Number, 0, piece, false);
        }
    }

    /// Fills in the number in words that has ended.
    pub(super) fn flush(&mut self) {
        let Some(value) = self.spoken.take() else { return };
        let kind = if value == 1 { Kind::One } else { Kind::Number };
        let key = key_of(&value.to_string());
        if let Some(word) = self.words.last_mut() {
            (word.kind, word.key) = (kind, key);
        }
        if let Some(fact) = self.facts.last_mut() {
            (fact.kind, fact.key) = (kind, key);
        }
    }

    pub(super) fn sign(&mut self, at: usize, piece: Piece<'a>) {
        self.flush();
        let numbers = at.checked_sub(1).is_some_and(|before| self.counts(before)) || self.counts(at + 1);
        let named = match piece.text {
            "%" => "percent",
            "$" => "dollar",
            "€" => "eur",
            "£" => "gbp",
            "¥" => "jpy",
            "+" => "plus",
            "-" | "−" if numbers => "minus",
            "*" | "×" if numbers => "times",
            "/" | "÷" if numbers => "divided_by",
            "°" | "*" | "–" | "—" | "-" | "/" => return,
            _ => "",
        };
        match self
            .lexicon
            .get(Spelling::NONE.with(named.as_bytes()))
            .filter(|sense| sense.known)
        {
            Some(sense) if sense.class == Class::Unit => self.say(Kind::Unit, u64::from(sense.group), piece, false),
            Some(sense) => self.say(Kind::Sign, u64::from(sense.group), piece, false),
            None => self.say(Kind::Sign, key_of(piece.text), piece, false),
        }
    }
}
