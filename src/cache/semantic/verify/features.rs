//! What the verifier sees of a pair that no veto ended: numbers between 0 and 1.
//!
//! Not what they weigh (`weights`). The one idea: besides the cosines, what is left over of each question when the words that both have
//! are taken away.

use super::lexical::{Form, Kind, Lexical};
use super::veto::Difference;

/// How many there are.
pub const FEATURES: usize = 22;

/// One number for each, in the order of [`Features::NAMES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features(pub [f32; FEATURES]);

impl Features {
    /// What each is.
    pub const NAMES: [&'static str; FEATURES] = [
        "embedding cosine",
        "embedding cosine above .7",
        "embedding cosine above .8",
        "embedding cosine above .9",
        "static cosine",
        "static cosine above .8",
        "any unmatched word",
        "any unmatched word with synonyms",
        "any unmatched aspect",
        "unmatched opposites",
        "unmatched weak words",
        "left over",
        "left over on both sides, weak words too",
        "share of what is said that both say",
        "all that is said is the same",
        "all that is said is the same, times embedding cosine",
        "share of the shorter in the longer",
        "order differs",
        "asked in another form",
        "what must be the same and is",
        "time units differ",
        "little is said",
    ];

    pub(super) fn of(a: &Lexical, b: &Lexical, difference: &Difference, place: f32, embedding: f32) -> Self {
        let clean = |cosine: f32| {
            if cosine.is_finite() {
                cosine.clamp(-1.0, 1.0)
            } else {
                0.0
            }
        };
        let (place, embedding) = (clean(place), clean(embedding));
        let above = |cosine: f32, knot: f32| (cosine - knot).max(0.0) / (1.0 - knot);
        let count = |kinds: &[Kind], most: u32| {
            let (a, b) = difference.only(kinds);
            share((a + b).min(most), most)
        };
        let content = [Kind::Word, Kind::Known, Kind::Aspect, Kind::Polarity, Kind::Modifier];
        let literal = [
            Kind::Number,
            Kind::Unit,
            Kind::Date,
            Kind::Quote,
            Kind::Code,
            Kind::Identifier,
            Kind::Address,
            Kind::Program,
            Kind::Language,
            Kind::Format,
            Kind::Sign,
            Kind::Strict,
        ];
        let (only_a, only_b) = difference.only(&content);
        let (weak_a, weak_b) = difference.only(&[Kind::Weak]);
        let both = difference.both(&content) + difference.both(&literal);
        let same = if only_a + only_b == 0 && both > 0 { 1.0 } else { 0.0 };
        let (short, long) = (a.length.min(b.length), a.length.max(b.length));
        let forms = matches!(
            (a.form, b.form),
            (Form::Decide, Form::How | Form::Plain) | (Form::How | Form::Plain, Form::Decide)
        );
        Self([
            embedding,
            above(embedding, 0.7),
            above(embedding, 0.8),
            above(embedding, 0.9),
            place,
            above(place, 0.8),
            count(&[Kind::Word], 1),
            count(&[Kind::Known], 1),
            count(&[Kind::Aspect], 1),
            count(&[Kind::Polarity, Kind::Modifier], 2),
            count(&[Kind::Weak], 6),
            share((only_a + only_b).min(3), 3),
            share((only_a + weak_a).min(only_b + weak_b).min(4), 4),
            share(both, both + only_a + only_b),
            same,
            same * embedding,
            share(u32::from(short), u32::from(long)),
            inverted(a, b),
            if forms { 1.0 } else { 0.0 },
            share((difference.both(&literal) + u32::from(difference.same_names)).min(3), 3),
            count(&[Kind::Time], 1),
            1.0 / (1.0 + both as f32),
        ])
    }
}

fn share(part: u32, whole: u32) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

/// The share of neighbours among what both say that stand the other way round.
fn inverted(a: &Lexical, b: &Lexical) -> f32 {
    let said = |kind: Kind| kind != Kind::Weak;
    let places = |from: &Lexical, to: &Lexical| {
        let found = from.words.iter().filter(|word| said(word.kind));
        let found = found.filter_map(|x| to.words.iter().position(|y| y.kind == x.kind && y.key == x.key));
        let found: Vec<usize> = found.collect();
        let turned = found.windows(2).filter(|pair| matches!(pair, [x, y] if x > y)).count();
        share(turned as u32, found.len().saturating_sub(1) as u32)
    };
    places(a, b).max(places(b, a))
}
