//! What a question says, word by word, in a form that is compared by numbers: [`Lexical`].
//!
//! Not the comparison (`veto`, `order`, `features`). The one idea: everything said is a fact of some kind with a key; questions that
//! say the same have the same facts, in an order and in roles (`from`, `to`) that do not contradict each other.

use super::Tongue;
use super::lexicon::{self, Spelling};
use super::reader::{Asks, Reader, lowered};
use super::scan::{self, Piece, Shape};

/// Longest text that is read, in bytes; what is longer only ever equals itself.
pub const LONGEST_TEXT: usize = 2_000;
/// Most pieces that are read.
const MOST_PIECES: usize = 320;
/// Most words that say something: about what 128 tokens hold.
const MOST_WORDS: usize = 112;

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Kind {
    Number,
    /// `one`, which may be an article.
    One,
    Unit,
    Time,
    Date,
    Quote,
    Code,
    Identifier,
    Address,
    Program,
    Language,
    Format,
    Sign,
    /// One of a set that must be the same.
    Strict,
    /// One of a set that exclude each other, of the sets called polarity.
    Polarity,
    /// The same of the others.
    Modifier,
    Aspect,
    /// Words of no table, names among them.
    Word,
    /// Words that have synonyms.
    Known,
    Weak,
}

/// Something said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fact {
    pub key: u64,
    pub kind: Kind,
    /// Written as a name is.
    pub proper: bool,
    /// Where it is written, in bytes.
    pub at: u16,
    pub length: u16,
}

/// Something said, in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub key: u64,
    pub kind: Kind,
    /// What the preposition before it makes of it; see [`lexicon::FROM`].
    pub role: u8,
    pub proper: bool,
}

/// What a question says. About 32 bytes a word that says something; made in some microseconds, so it need not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexical {
    /// Over the whole text: the same text, the same number.
    pub(super) whole: u64,
    /// Sorted by kind and key, each once.
    pub(super) facts: Box<[Fact]>,
    /// In their order.
    pub(super) words: Box<[Word]>,
    pub(super) tongue: Tongue,
    /// The language was not only guessed.
    pub(super) sure: bool,
    /// There is more than was read.
    pub(super) cut: bool,
    /// Negations.
    pub(super) negations: u8,
    /// What is named may be named in any order.
    pub(super) symmetric: bool,
    /// Compares by `than`.
    pub(super) than: bool,
    /// Words of any kind, the empty ones too.
    pub(super) length: u16,
    /// How the question is asked.
    pub(super) form: Form,
    /// Who does what to whom, as far as the small words say.
    pub(super) asks: Asks,
    /// What is negated, by its key.
    pub(super) denied: Box<[u64]>,
}

/// How a question is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    /// Told by nothing.
    #[default]
    Plain,
    /// `is it`, `can`, `should`.
    Decide,
    /// `how to`, `steps`.
    How,
}

impl Lexical {
    /// Reads a question. Any text is read; of one that is longer than [`LONGEST_TEXT`], only its beginning.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        let mut end = text.len().min(LONGEST_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let read = text.get(..end).unwrap_or("");
        let mut pieces: Vec<Piece> = Vec::with_capacity(24);
        let complete = scan::pieces(read, MOST_PIECES, |piece| pieces.push(piece));
        let (tongue, sure) = tongue_of(&pieces);
        let mut reader = Reader::new(read, tongue, &pieces);
        reader.read();
        let cut = !complete || end < text.len() || reader.words.len() > MOST_WORDS;
        reader.words.truncate(MOST_WORDS);
        let mut facts = reader.facts;
        facts.sort_unstable_by_key(|fact| (fact.kind, fact.key, !fact.proper));
        facts.dedup_by_key(|fact| (fact.kind, fact.key));
        facts.truncate(2 * MOST_WORDS);
        Self {
            whole: whole(text),
            facts: facts.into_boxed_slice(),
            words: reader.words.into_boxed_slice(),
            tongue,
            sure,
            cut,
            negations: reader.negations,
            symmetric: reader.symmetric,
            than: reader.than,
            length: reader.length,
            form: reader.form,
            asks: reader.asks,
            denied: reader.denied.into_boxed_slice(),
        }
    }
}

/// Eight bytes at a time: long texts are only told apart by it.
fn whole(text: &str) -> u64 {
    let mut key = 0x9e37_79b9_7f4a_7c15 ^ text.len() as u64;
    let mut parts = text.as_bytes().chunks_exact(8);
    for part in parts.by_ref() {
        let part = <[u8; 8]>::try_from(part).map_or(0, u64::from_le_bytes);
        key = (key ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        key ^= key >> 32;
    }
    Spelling::NONE.with(&key.to_le_bytes()).with(parts.remainder()).key()
}

/// The language by its frequent words, and whether that is sure.
fn tongue_of(pieces: &[Piece]) -> (Tongue, bool) {
    let (mut counts, mut hinted) = ([0_usize; 4], [0_usize; 4]);
    let (mut words, mut foreign) = (0, 0);
    let mut lower = String::new();
    for piece in pieces.iter().filter(|piece| piece.shape == Shape::Word) {
        words += 1;
        if piece
            .text
            .chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() && u32::from(c) >= 0x0370)
        {
            foreign += 1;
            continue;
        }
        lowered(piece.text, &mut lower);
        let word = lower
            .split_once('\'')
            .map_or(lower.as_str(), |(word, rest)| if rest.len() > 2 { rest } else { word });
        let marks = lexicon::marks(Spelling::NONE.with(word.as_bytes()));
        let hints = lexicon::hints(Spelling::NONE.with(word.as_bytes()));
        for (at, (count, hinted)) in counts.iter_mut().zip(&mut hinted).enumerate() {
            *count += usize::from(marks >> at & 1);
            *hinted += usize::from(hints >> at & 1);
        }
    }
    if foreign * 2 > words {
        return (Tongue::Other, true);
    }
    let [english, german, french, spanish] = counts;
    let most = english.max(german).max(french).max(spanish);
    let tongue = match most {
        // Keywords without small words: English where only English has any of them.
        _ if most * 5 < words && words >= 4 && most == english && keywords(hinted, words) => {
            return (Tongue::English, false);
        }
        _ if most * 5 < words && words >= 4 => Tongue::Other,
        _ if most == english => Tongue::English,
        _ if most == german => Tongue::German,
        _ if most == spanish => Tongue::Spanish,
        _ => Tongue::French,
    };
    let next = counts.iter().filter(|count| **count < most).max().copied().unwrap_or(0);
    let alone = counts.iter().filter(|count| **count == most).count() == 1;
    (tongue, tongue != Tongue::Other && alone && most >= 2 && most > next)
}

/// Whether a third of the words are in the English tables, and fewer in any other.
fn keywords(hinted: [usize; 4], words: usize) -> bool {
    let [english, others @ ..] = hinted;
    english * 3 >= words && others.iter().all(|other| *other * 2 < english)
}
