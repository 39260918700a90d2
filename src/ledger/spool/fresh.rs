//! Rows that were just written, still in memory: the sender takes them from here instead of reading and decoding them again.
//!
//! Not what keeps them: that is the segment, and the sender moves on in it as if it had read them there. The one idea: a piece
//! is used only if it begins exactly where the sender stands and all of it is synced; anything else is dropped and read from
//! the file, so this may forget whatever it likes.

use super::Waiting;
use super::source::Cursor;
use std::collections::VecDeque;

/// Rows held at most, some 700 bytes each: what a busy gateway writes while the sender waits for a batch and the disk.
const MOST: usize = 4096;

/// Rows of one append.
struct Piece {
    /// Of the segment.
    number: u64,
    from: u64,
    to: u64,
    rows: Waiting,
}

/// Pieces in the order in which they were written.
#[derive(Default)]
pub struct Fresh {
    pieces: VecDeque<Piece>,
    rows: usize,
}

impl Fresh {
    /// Keep the rows of an append, if there is room.
    pub fn keep(&mut self, number: u64, from: u64, to: u64, rows: Waiting) {
        if self.rows + rows.len() <= MOST {
            self.rows += rows.len();
            self.pieces.push_back(Piece { number, from, to, rows });
        }
    }

    /// Rows from a place on, at most so many and only up to `synced`, and where they end; none: read the file.
    pub fn take(&mut self, at: Cursor, synced: u64, most: usize) -> Option<(Waiting, Cursor)> {
        let mut taken = Waiting::new();
        let mut end = at;
        while let Some(piece) = self.pieces.front() {
            let passed = piece.number < end.number || (piece.number == end.number && piece.from < end.offset);
            if passed {
                self.drop_first();
                continue;
            }
            let next = piece.number == end.number && piece.from == end.offset && piece.to <= synced;
            if !next || (!taken.is_empty() && taken.len() + piece.rows.len() > most) {
                break;
            }
            end.offset = piece.to;
            if let Some(piece) = self.drop_first() {
                taken.extend(piece.rows);
            }
        }
        (!taken.is_empty()).then_some((taken, end))
    }

    fn drop_first(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.rows -= piece.rows.len();
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::spool::tests::row;

    fn rows(count: u64) -> Waiting {
        (0..count).map(row).collect()
    }

    fn at(number: u64, offset: u64) -> Cursor {
        Cursor { number, offset }
    }

    #[test]
    fn only_what_follows_is_taken_and_only_when_synced() {
        let mut fresh = Fresh::default();
        fresh.keep(1, 0, 10, rows(2));
        fresh.keep(1, 10, 30, rows(3));
        fresh.keep(2, 0, 10, rows(1));
        assert!(fresh.take(at(1, 0), 9, 100).is_none(), "not synced");
        let (taken, end) = fresh.take(at(1, 0), 29, 100).unwrap();
        assert_eq!((taken.len(), end), (2, at(1, 10)));
        let (taken, end) = fresh.take(at(1, 10), 30, 100).unwrap();
        assert_eq!((taken.len(), end), (3, at(1, 30)), "another segment waits");
        assert_eq!(fresh.take(at(2, 0), 10, 100).unwrap().1, at(2, 10));
        assert_eq!(fresh.rows, 0);
    }

    #[test]
    fn what_was_read_from_the_file_is_dropped() {
        let mut fresh = Fresh::default();
        fresh.keep(1, 0, 10, rows(1));
        fresh.keep(1, 10, 30, rows(2));
        fresh.keep(1, 30, 40, rows(1));
        // The file was read to the middle of the second.
        assert!(fresh.take(at(1, 20), 40, 100).is_none());
        assert_eq!(fresh.take(at(1, 30), 40, 100).unwrap().1, at(1, 40));
        assert_eq!(fresh.rows, 0);
    }

    #[test]
    fn a_batch_and_memory_have_limits() {
        let mut fresh = Fresh::default();
        fresh.keep(1, 0, 10, rows(3));
        fresh.keep(1, 10, 20, rows(3));
        assert_eq!(fresh.take(at(1, 0), 20, 4).unwrap().0.len(), 3);
        fresh.keep(1, 20, 30, rows(MOST as u64));
        assert_eq!(
            fresh.take(at(1, 10), 30, 4000).unwrap().1,
            at(1, 20),
            "that was too much"
        );
    }
}
