//! Deciding whether the stored answer to one question also answers another.
//!
//! ```text
//! gate(a, b)   words alone, about a microsecond: a veto, or nothing
//! judge(a, b)  the same, then a score 0..1 from both cosines and the words
//! ```
//! Not where candidates come from, nor where sentences are embedded. The one idea: likeness proposes and words dispose. Where each
//! question says something that the other does not (another number, name, direction, aspect), no cosine is high enough. Symmetric;
//! the same text always scores 1. How it is fitted and what it reaches: `docs/semantic-cache.md`.

mod features;
mod lexical;
mod lexicon;
mod order;
mod reader;
mod scan;
mod stem;
mod veto;
mod weights;

#[cfg(test)]
mod own;
#[cfg(test)]
mod tests;

pub use features::{FEATURES, Features};
pub use lexical::{LONGEST_TEXT, Lexical};
pub use lexicon::warm;
pub use veto::Veto;

/// Languages whose words are known. In others numbers, quotes, code, names and the words themselves decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tongue {
    /// With the largest tables.
    #[default]
    English,
    /// With small tables.
    German,
    /// With small tables.
    French,
    /// With small tables.
    Spanish,
    /// Every word must be the same.
    Other,
}

impl Tongue {
    const fn bit(self) -> u8 {
        match self {
            Self::English => 1,
            Self::German => 2,
            Self::French => 4,
            Self::Spanish => 8,
            Self::Other => 0,
        }
    }
}

/// One of the two questions.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// As the user wrote it.
    pub text: &'a str,
    /// What it says.
    pub lexical: &'a Lexical,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How sure it is that one answer serves both, 0 to 1. Calibrated for a threshold of 0.98; 0 with a veto.
    pub score: f32,
    /// Why it cannot be, whatever the cosines.
    pub veto: Option<Veto>,
}

/// Words alone: why one answer cannot serve both, if they say so. For candidates, before anything is embedded.
#[must_use]
pub fn gate(a: &Lexical, b: &Lexical) -> Option<Veto> {
    if a.whole == b.whole {
        return None;
    }
    veto::veto(a, b, &veto::Difference::of(a, b))
}

/// Whether the answer to one question serves the other. `place_cosine` is that of the static vectors, `embedding_cosine` that of the
/// sentence encoder, both -1 to 1; what is not a number counts as 0.
#[must_use]
pub fn judge(a: &Side<'_>, b: &Side<'_>, place_cosine: f32, embedding_cosine: f32) -> Verdict {
    if a.text.trim() == b.text.trim() {
        return Verdict { score: 1.0, veto: None };
    }
    let difference = veto::Difference::of(a.lexical, b.lexical);
    // Texts of the same digest that are not the same were made so.
    let veto = if a.lexical.whole == b.lexical.whole {
        Some(Veto::Long)
    } else {
        veto::veto(a.lexical, b.lexical, &difference)
    };
    if veto.is_some() {
        return Verdict { score: 0.0, veto };
    }
    let features = Features::of(a.lexical, b.lexical, &difference, place_cosine, embedding_cosine);
    Verdict {
        score: Verifier::score(&features),
        veto: None,
    }
}

/// The fitted model.
#[derive(Debug, Clone, Copy)]
pub struct Verifier;

impl Verifier {
    /// The logistic of a weighted sum; the weights are written by `scripts/semantic/fit.py`.
    #[must_use]
    pub fn score(features: &Features) -> f32 {
        let sum = features
            .0
            .iter()
            .zip(weights::WEIGHTS)
            .map(|(value, weight)| value * weight)
            .sum::<f32>()
            + weights::BIAS;
        1.0 / (1.0 + (-sum).exp())
    }
}

/// What the model sees of a pair, for fitting it: `None` with a veto.
#[must_use]
pub fn measure(a: &Lexical, b: &Lexical, place_cosine: f32, embedding_cosine: f32) -> Option<Features> {
    let difference = veto::Difference::of(a, b);
    veto::veto(a, b, &difference)
        .is_none()
        .then(|| Features::of(a, b, &difference, place_cosine, embedding_cosine))
}
