//! The vocabulary: which piece of a word has which id. Two tables, for pieces that begin a word and for those that go on (`##ing`).
//!
//! Not the cutting itself (`tokens`). The one idea: open addressing over one buffer of text, so that a look-up costs one hash of
//! some bytes and mostly one comparison.

use super::error::ModelError;

/// Ids of the model's marks, as BERT's vocabularies have them.
pub(super) const UNKNOWN: u16 = 100;
/// First of every sequence.
pub(super) const FIRST: u16 = 101;
/// Last of every sequence.
pub(super) const LAST: u16 = 102;
/// How many pieces the vocabulary has.
pub(super) const PIECES: usize = 30_522;

/// Pieces and their ids.
pub(super) struct Vocabulary {
    text: Box<[u8]>,
    beginning: Table,
    going_on: Table,
}

/// Slots of `id + 1`, 0 = empty; where each piece lies in the text, by id.
struct Table {
    slots: Box<[u32]>,
    longest: usize,
    pieces: Box<[(u32, u32)]>,
}

impl Vocabulary {
    /// Read `vocab.txt`: one piece a line, its id is its line.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, ModelError> {
        let lines: Vec<&str> = text
            .strip_suffix('\n')
            .unwrap_or(text)
            .split('\n')
            .map(|line| line.trim_end_matches('\r'))
            .collect();
        let wrong = |what: &str| ModelError::damaged(file, what);
        if lines.len() != PIECES {
            return Err(wrong("it has not as many pieces as the model"));
        }
        for (id, mark) in [(UNKNOWN, "[UNK]"), (FIRST, "[CLS]"), (LAST, "[SEP]")] {
            if lines.get(usize::from(id)) != Some(&mark) {
                return Err(wrong("a mark is not where the model has it"));
            }
        }
        let mut buffer = Vec::with_capacity(text.len());
        let mut places = Vec::with_capacity(PIECES);
        for line in &lines {
            let piece = line.strip_prefix("##").filter(|rest| !rest.is_empty()).unwrap_or(line);
            let from = u32::try_from(buffer.len()).map_err(|_| wrong("it is too long"))?;
            let length = u32::try_from(piece.len()).map_err(|_| wrong("it is too long"))?;
            buffer.extend_from_slice(piece.as_bytes());
            places.push((from, length));
        }
        let going = |line: &str| line.strip_prefix("##").is_some_and(|rest| !rest.is_empty());
        let table = |which: bool| {
            let ids = (0u32..)
                .zip(&lines)
                .filter(|(_, line)| going(line) == which && !line.is_empty())
                .map(|(id, _)| id);
            Table::build(&buffer, &places, ids)
        };
        let (beginning, going_on) = (table(false), table(true));
        Ok(Self {
            text: buffer.into(),
            beginning,
            going_on,
        })
    }

    /// The id of a piece, at the beginning of a word or further on.
    pub(super) fn find(&self, piece: &[u8], beginning: bool) -> Option<u16> {
        self.table(beginning).find(&self.text, piece)
    }

    /// Bytes of the longest piece.
    pub(super) fn longest(&self, beginning: bool) -> usize {
        self.table(beginning).longest
    }

    fn table(&self, beginning: bool) -> &Table {
        if beginning { &self.beginning } else { &self.going_on }
    }
}

impl Table {
    fn build(text: &[u8], places: &[(u32, u32)], ids: impl Iterator<Item = u32> + Clone) -> Self {
        // A third full: a chain is then hardly ever longer than two.
        let size = (ids.clone().count().max(1) * 3).next_power_of_two();
        let mut slots = vec![0u32; size];
        let mut longest = 0;
        for id in ids {
            let Some(piece) = piece(text, places, id) else { continue };
            longest = longest.max(piece.len());
            let mut at = hash(piece);
            loop {
                let index = at & (size - 1);
                match slots.get_mut(index) {
                    Some(slot) if *slot == 0 => {
                        *slot = id + 1;
                        break;
                    }
                    // The same piece twice: the later line counts, as it does in a map.
                    Some(slot) if self::piece(text, places, *slot - 1) == Some(piece) => {
                        *slot = id + 1;
                        break;
                    }
                    _ => at = index + 1,
                }
            }
        }
        Self {
            slots: slots.into(),
            longest,
            pieces: places.into(),
        }
    }

    #[inline]
    fn find(&self, text: &[u8], wanted: &[u8]) -> Option<u16> {
        let mut at = hash(wanted);
        loop {
            let slot = *self.slots.get(at & (self.slots.len() - 1))?;
            let id = slot.checked_sub(1)?;
            if piece(text, &self.pieces, id) == Some(wanted) {
                return u16::try_from(id).ok();
            }
            at = (at & (self.slots.len() - 1)) + 1;
        }
    }
}

#[inline]
fn piece<'t>(text: &'t [u8], places: &[(u32, u32)], id: u32) -> Option<&'t [u8]> {
    let &(from, length) = places.get(id as usize)?;
    text.get(from as usize..(from + length) as usize)
}

/// Not for an adversary: the table is fixed, so what a caller sends can only be looked up in it, never fill it.
#[inline]
fn hash(bytes: &[u8]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        state = (state.rotate_left(5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(MIX);
    }
    let tail = rest.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    state = (state.rotate_left(5) ^ tail).wrapping_mul(MIX);
    (state >> 32) as usize
}
