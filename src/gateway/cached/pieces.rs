//! Text in pieces about as long as a token.

/// Most pieces of one text; a longer text has longer ones.
const MOST: usize = 2048;

/// Longest piece without a space, in bytes.
const LONGEST: usize = 12;

/// The pieces, in order and never empty: a word with the space before it, or part of a long word, never part of a character.
pub(super) fn of(text: &str) -> Pieces<'_> {
    Pieces {
        rest: text,
        least: text.len() / MOST,
    }
}

/// See [`of`].
pub(super) struct Pieces<'t> {
    rest: &'t str,
    /// Bytes that a piece has at least.
    least: usize,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut end, mut word) = (self.rest.len(), false);
        for (at, letter) in self.rest.char_indices() {
            let space = letter.is_whitespace();
            if at > self.least && ((word && space) || at >= LONGEST.max(self.least)) && begins(letter) {
                end = at;
                break;
            }
            word |= !space;
        }
        let (piece, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(piece)
    }
}

/// Whether a piece may begin with this letter: not with one that changes the one before it, as accents and joiners do.
fn begins(letter: char) -> bool {
    !matches!(letter, '\u{300}'..='\u{36f}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}
