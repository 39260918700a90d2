//! A text that arrives in pieces, judged as its whole would be.
//!
//! Held back is only what could still become a finding, and what stands directly before it, for where words begin. One window a
//! text: one for every part of every choice of an answer.

use super::{CONTEXT, Judge};

/// What of a text is not decided yet.
#[derive(Debug, Default)]
pub struct Window {
    /// Context, then what is held back.
    text: String,
    /// Where what is held back begins.
    from: usize,
    /// Something that passed is not what came.
    changed: bool,
}

impl Window {
    /// Take the next piece; what may pass now is added to `out`. Once [`Judge::blocked`] says so, nothing passes any more.
    pub fn push(&mut self, judge: &mut Judge, piece: &str, out: &mut String) {
        self.text.push_str(piece);
        let decided = judge.open(&self.text, self.from);
        self.pass(judge, decided, out);
    }

    /// The text is complete: what is held back is judged as it is.
    pub fn end(&mut self, judge: &mut Judge, out: &mut String) {
        self.pass(judge, self.text.len(), out);
    }

    /// Bytes held back.
    pub fn held(&self) -> usize {
        self.text.len() - self.from
    }

    /// Whether what has passed differs from what came.
    pub fn changed(&self) -> bool {
        self.changed
    }

    fn pass(&mut self, judge: &mut Judge, to: usize, out: &mut String) {
        if to <= self.from {
            return;
        }
        if judge.span(&self.text, self.from, to, out) {
            self.changed = true;
        } else {
            out.push_str(self.text.get(self.from..to).unwrap_or_default());
        }
        let mut keep = to.saturating_sub(CONTEXT);
        while !self.text.is_char_boundary(keep) {
            keep -= 1;
        }
        self.text.drain(..keep);
        self.from = to - keep;
    }
}
