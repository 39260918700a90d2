//! A text that arrives in pieces, judged as its whole would be.
//!
//! Held back is only what could still become a finding, and what stands directly before it, for where words begin. One window a
//! text: one for every part of every choice of an answer. The one idea: each guardrail judges as far as it can, whatever the others
//! still wait for; what passes is what all have judged. (There need be no place where none of them waits.)

use super::judge::{ALL, Found};
use super::{CONTEXT, Judge};

/// What of a text is not decided yet.
#[derive(Debug, Default)]
pub struct Window {
    /// Context, then what is held back.
    text: String,
    /// By guardrail: where what it did not judge yet begins.
    judged: Vec<usize>,
    /// In what is held back.
    found: Vec<Found>,
    /// What stands before it passed, or was replaced: it may lie beyond what all have judged.
    passed: usize,
    /// Something that passed is not what came.
    changed: bool,
}

impl Window {
    /// Take the next piece; what may pass now is added to `out`. Once [`Judge::blocked`] says so, nothing passes any more.
    pub fn push(&mut self, judge: &mut Judge, piece: &str, out: &mut String) {
        self.text.push_str(piece);
        self.pass(judge, false, out);
    }

    /// The text is complete: what is held back is judged as it is.
    pub fn end(&mut self, judge: &mut Judge, out: &mut String) {
        self.pass(judge, true, out);
    }

    /// Bytes held back.
    pub fn held(&self) -> usize {
        self.text.len().saturating_sub(self.passed)
    }

    /// Whether what has passed differs from what came.
    pub fn changed(&self) -> bool {
        self.changed
    }

    fn pass(&mut self, judge: &mut Judge, complete: bool, out: &mut String) {
        if judge.blocked().is_some() {
            *self = Self {
                passed: ALL,
                changed: true,
                ..Self::default()
            };
            return;
        }
        let to = judge.find(&self.text, complete, &mut self.judged, &mut self.found);
        self.changed |= judge.settle(&self.text, to, &mut self.passed, &mut self.found, out);
        if self.passed < to {
            out.push_str(self.text.get(self.passed..to).unwrap_or_default());
            self.passed = to;
        }
        self.forget(to);
    }

    /// Drop what is judged but for its context.
    fn forget(&mut self, to: usize) {
        let mut keep = to.saturating_sub(CONTEXT);
        while !self.text.is_char_boundary(keep) {
            keep -= 1;
        }
        if keep == 0 {
            return;
        }
        self.text.drain(..keep);
        let back = |at: &mut usize| *at = if *at == ALL { ALL } else { at.saturating_sub(keep) };
        self.judged.iter_mut().for_each(back);
        back(&mut self.passed);
        for Found { finding, .. } in &mut self.found {
            back(&mut finding.span.start);
            back(&mut finding.span.end);
        }
    }
}
