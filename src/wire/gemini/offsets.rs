//! Positions in a text that arrives in pieces: Google counts bytes, the canonical model counts characters.
//!
//! While the text is ASCII both are the same and nothing is kept; from the first other character on the text itself is
//! kept, up to a bound. Beyond it positions are not given rather than given wrong.

/// Most bytes kept for one text.
const MOST: usize = 256 << 10;

/// A text's beginning, as far as positions need it.
#[derive(Debug, Default)]
pub struct Offsets {
    ascii: usize,
    tail: String,
    full: bool,
}

impl Offsets {
    /// Forget all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// More of the text.
    pub fn push(&mut self, text: &str) {
        if self.full {
            return;
        }
        let mut rest = text;
        if self.tail.is_empty() {
            let ascii = text.bytes().position(|byte| !byte.is_ascii()).unwrap_or(text.len());
            self.ascii += ascii;
            rest = text.get(ascii..).unwrap_or_default();
        }
        if self.tail.len() + rest.len() > MOST {
            self.full = true;
            return;
        }
        self.tail.push_str(rest);
    }

    /// How many characters stand before this byte; nothing inside a character or beyond what is known.
    pub fn chars(&self, byte: u64) -> Option<u64> {
        let byte = usize::try_from(byte).ok()?;
        let Some(beyond) = byte.checked_sub(self.ascii) else {
            return Some(byte as u64);
        };
        let before = self.tail.get(..beyond)?;
        Some((self.ascii + before.chars().count()) as u64)
    }

    /// How many bytes stand before this character.
    pub fn bytes(&self, char: u64) -> Option<u64> {
        let char = usize::try_from(char).ok()?;
        let Some(beyond) = char.checked_sub(self.ascii) else {
            return Some(char as u64);
        };
        let ends = self.tail.char_indices().map(|(at, _)| at).chain([self.tail.len()]);
        ends.into_iter().nth(beyond).map(|at| (self.ascii + at) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn agrees_with_the_whole_text(pieces in proptest::collection::vec("[a-c]{0,3}[é€😀]{0,2}", 0..8)) {
            let text = pieces.concat();
            let mut offsets = Offsets::default();
            for piece in &pieces {
                offsets.push(piece);
            }
            for at in 0..=text.len() + 2 {
                let known = text.get(..at).map(|before| before.chars().count() as u64);
                proptest::prop_assert_eq!(offsets.chars(at as u64), known);
                if let Some(chars) = known {
                    proptest::prop_assert_eq!(offsets.bytes(chars), Some(at as u64));
                }
            }
        }
    }

    #[test]
    fn a_text_beyond_the_bound_has_no_positions_there() {
        let mut offsets = Offsets::default();
        offsets.push("ab€");
        offsets.push(&"x".repeat(MOST));
        assert_eq!(offsets.chars(5), Some(3));
        assert_eq!(offsets.chars(100), None);
    }
}
