//! From a text to the model's tokens: BERT's uncased WordPiece, as Hugging Face `tokenizers` does it with special tokens as text.
//!
//! ```text
//! text ─drop controls, marks; decompose; lower─► words and lone characters ─longest piece first─► ids, at most 128 with both marks
//! ```
//! Reads no further than the 126th piece, so a long text costs no more than its beginning. The one idea: ASCII goes through a table
//! byte by byte; only what is not ASCII is decomposed.

use super::classes::{ALONE, DROPPED, IDEOGRAPHS};
use super::vocabulary::{FIRST, LAST, UNKNOWN, Vocabulary};

/// Most tokens of a text, with the two marks.
pub const MOST_TOKENS: usize = 128;
/// Characters beyond which a word is not looked at: the model knows it as unknown.
const LONGEST_WORD: usize = 100;

/// The tokens of one text. Its `Debug` shows how many, never which: they are the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<u16>,
    cut: bool,
    unknown: usize,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("len", &self.ids.len())
            .field("cut", &self.cut)
            .field("unknown", &self.unknown)
            .finish()
    }
}

impl Tokens {
    /// Ids with the marks around them: 2 to 128, the first is 101, the last 102.
    pub fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// Ids without the marks.
    pub fn words(&self) -> &[u16] {
        self.ids.get(1..self.ids.len().saturating_sub(1)).unwrap_or_default()
    }

    /// Whether the text went on: what came after the 126th piece is not in here, so that two texts may differ where their tokens
    /// do not.
    pub fn cut(&self) -> bool {
        self.cut
    }

    /// How many words the vocabulary does not know. They are all the same token, so two texts of unknown words (another script,
    /// mostly) look alike to the model whatever they say: trust no likeness where this is more than 0.
    pub fn unknown(&self) -> usize {
        self.unknown
    }
}

/// Cut a text.
pub(super) fn tokens(vocabulary: &Vocabulary, text: &str) -> Tokens {
    let mut cutter = Cutter {
        vocabulary,
        ids: Vec::with_capacity(32),
        word: Word::default(),
        unknown: 0,
        full: false,
    };
    cutter.ids.push(FIRST);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if cutter.full {
            break;
        }
        if byte < 0x80 {
            cutter.ascii(byte);
            at += 1;
        } else {
            let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                break;
            };
            cutter.beyond_ascii(character);
            at += character.len_utf8();
        }
    }
    cutter.end_of_word();
    let Cutter {
        mut ids, unknown, full, ..
    } = cutter;
    ids.push(LAST);
    Tokens {
        ids,
        cut: full,
        unknown,
    }
}

/// The word being read: its bytes, of which no more are kept than can matter.
struct Word {
    bytes: [u8; LONGEST_WORD * 4],
    length: usize,
    characters: usize,
}

impl Default for Word {
    fn default() -> Self {
        Self {
            bytes: [0; LONGEST_WORD * 4],
            length: 0,
            characters: 0,
        }
    }
}

struct Cutter<'v> {
    vocabulary: &'v Vocabulary,
    ids: Vec<u16>,
    word: Word,
    unknown: usize,
    full: bool,
}

impl Cutter<'_> {
    #[inline]
    fn ascii(&mut self, byte: u8) {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => self.letter(byte),
            b'A'..=b'Z' => self.letter(byte | 0x20),
            b' ' | b'\t' | b'\n' | b'\r' => self.end_of_word(),
            // What is left of ASCII below the space, and DEL, is a control.
            0..=0x1f | 0x7f => {}
            _ => {
                self.end_of_word();
                self.letter(byte);
                self.end_of_word();
            }
        }
    }

    #[inline]
    fn letter(&mut self, byte: u8) {
        if let Some(free) = self.word.bytes.get_mut(self.word.length) {
            *free = byte;
            self.word.length += 1;
        }
        self.word.characters += 1;
    }

    #[cold]
    fn beyond_ascii(&mut self, character: char) {
        if within(IDEOGRAPHS, character) {
            self.end_of_word();
            // Some ideographs decompose into others.
            unicode_normalization::char::decompose_canonical(character, |part| self.lowered(part));
            self.end_of_word();
        } else if !within(DROPPED, character) {
            unicode_normalization::char::decompose_canonical(character, |part| self.part(part));
        }
    }

    /// One character of a decomposition.
    fn part(&mut self, part: char) {
        if within(DROPPED, part) {
            return;
        }
        for lower in part.to_lowercase() {
            if lower.is_whitespace() {
                self.end_of_word();
            } else if lower.is_ascii_punctuation() || within(ALONE, lower) {
                self.end_of_word();
                self.character(lower);
                self.end_of_word();
            } else {
                self.character(lower);
            }
        }
    }

    fn lowered(&mut self, part: char) {
        part.to_lowercase().for_each(|lower| self.character(lower));
    }

    fn character(&mut self, character: char) {
        let mut buffer = [0; 4];
        let encoded = character.encode_utf8(&mut buffer).as_bytes();
        if let Some(free) = self
            .word
            .bytes
            .get_mut(self.word.length..self.word.length + encoded.len())
        {
            free.copy_from_slice(encoded);
            self.word.length += encoded.len();
        }
        self.word.characters += 1;
    }

    #[inline]
    fn end_of_word(&mut self) {
        if self.word.characters > 0 && !self.full {
            self.cut_word();
        }
        self.word.length = 0;
        self.word.characters = 0;
    }

    /// Longest piece first, from the left; a word with a part that no piece is, is unknown as a whole.
    fn cut_word(&mut self) {
        let start = self.ids.len();
        let word = self.word.bytes.get(..self.word.length).unwrap_or_default();
        let mut from = 0;
        let whole = self.word.characters <= LONGEST_WORD
            && loop {
                let rest = word.get(from..).unwrap_or_default();
                if rest.is_empty() {
                    break true;
                }
                let beginning = from == 0;
                let most = rest.len().min(self.vocabulary.longest(beginning));
                let found = (1..=most).rev().find_map(|length| {
                    // A piece ends where a character does; the vocabulary is UTF-8, so half a character finds nothing.
                    Some((self.vocabulary.find(rest.get(..length)?, beginning)?, length))
                });
                match found {
                    Some((id, length)) => {
                        self.ids.push(id);
                        from += length;
                    }
                    None => break false,
                }
            };
        if !whole {
            self.ids.truncate(start);
            self.ids.push(UNKNOWN);
        }
        if self.ids.len() > MOST_TOKENS - 1 {
            self.ids.truncate(MOST_TOKENS - 1);
            self.full = true;
        }
        // After the cut: what fell off is not in the tokens.
        self.unknown += usize::from(!whole && self.ids.len() > start);
    }
}

fn within(ranges: &[(u32, u32)], character: char) -> bool {
    let point = u32::from(character);
    let after = ranges.partition_point(|&(first, _)| first <= point);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|&(_, last)| point <= last)
}
