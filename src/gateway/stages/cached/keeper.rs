//! What becomes of an answer beside being sent: those that asked the same follow it, and the cache keeps it.
//!
//! ```text
//!            dispatch              relay                                    settle
//! Keeper ─────────────► began ─► push … push ─► complete / broken ─────► keep (off the workers)
//!   └ lead: followers wait ──► they read the tape
//! ```
//! The one idea: it records what is sent to the client, whatever target, fallback, hedge or continuation it came from, so what is
//! kept is what was said.

use super::super::super::caching::Caching;
use super::super::super::downstream::Followed;
use super::super::super::tape::{End, Shape, Tape, TapeReader};
use crate::balance::singleflight::Leader;
use crate::cache::{Asked, Entry, Key, Policy};
use crate::units::Usage;
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Leads those that asked the same.
pub type Lead = Leader<Key, TapeReader>;

/// What the cache may do with the answer to come.
pub struct Keeper {
    /// Where it goes.
    pub caching: Arc<Caching>,
    /// What was asked.
    pub asked: Asked,
    /// What may be kept.
    pub policy: Policy,
    /// It is to be kept.
    pub keeps: bool,
    /// Served if nobody answers.
    pub spare: Option<Arc<Entry>>,
    /// What would have been served in its place (shadow).
    pub shadow: Option<Shadow>,
    others: Arc<Others>,
    caps: Caps,
    /// Others may still come to follow: all of it is recorded, so that none of them misses the beginning.
    open: bool,
    complete: bool,
    /// It would have been kept, were it shorter.
    outgrown: bool,
}

/// An answer that was found by likeness and not served.
pub struct Shadow {
    /// It.
    pub entry: Arc<Entry>,
    /// How sure the verifier was.
    pub score: f32,
}

/// Most bytes.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Of an answer that is kept.
    pub kept: usize,
    /// Of any answer.
    pub answer: usize,
    /// Of all bodies in memory.
    pub buffered: usize,
}

/// Those that follow.
struct Others {
    lead: Mutex<Option<Lead>>,
    tape: Arc<Tape>,
}

impl Others {
    fn lead(&self) -> MutexGuard<'_, Option<Lead>> {
        self.lead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed for Others {
    fn is_followed(&self) -> bool {
        self.tape.is_followed() || self.lead().as_ref().is_some_and(|lead| lead.followers() > 0)
    }
}

impl Keeper {
    /// For the answer to a call; `lead`: others may follow.
    pub fn new(
        caching: Arc<Caching>,
        asked: Asked,
        policy: Policy,
        keeps: bool,
        caps: Caps,
        tape: Tape,
        lead: Option<Lead>,
    ) -> Self {
        Self {
            caching,
            asked,
            policy,
            keeps,
            spare: None,
            shadow: None,
            others: Arc::new(Others {
                lead: Mutex::new(lead),
                tape: Arc::new(tape),
            }),
            caps,
            open: false,
            complete: false,
            outgrown: false,
        }
    }

    /// Who must be asked before the work is given up.
    pub fn others(&self) -> Option<Arc<dyn Followed>> {
        let leads = self.others.lead().is_some();
        leads.then(|| Arc::clone(&self.others) as Arc<dyn Followed>)
    }

    /// The answer begins: those that wait read it from here on, and so do those that come while it lasts.
    pub fn began(&mut self) {
        let lead = self.others.lead().take();
        if let Some(lead) = lead {
            self.open = true;
            self.caching.tapes.insert(self.asked.key, Arc::clone(&self.others.tape));
            // Readers, not the tape: each counts as following from here on, before it has been woken.
            lead.finish(self.others.tape.reader());
        }
    }

    /// A piece of it is sent.
    pub fn push(&mut self, piece: &Bytes) {
        let tape = &self.others.tape;
        let followed = tape.is_followed();
        if !self.keeps && !self.open && !followed {
            return;
        }
        let at_most = if followed { self.caps.answer } else { self.caps.kept };
        let fits = tape.push(piece, at_most, self.caps.buffered);
        if !fits || tape.len() > self.caps.kept {
            self.outgrown |= self.keeps;
            self.keeps = false;
            self.open = false;
            self.retire();
        }
    }

    /// All of it was sent. `usage`: what it took, if that is known.
    pub fn complete(&mut self, usage: Option<Usage>) {
        self.complete = true;
        self.others.tape.complete(usage);
        self.retire();
    }

    /// It is not for sharing (an error, a refusal): those that wait ask for themselves.
    pub fn disband(&mut self) {
        let lead = self.others.lead().take();
        if let Some(lead) = lead {
            lead.disband();
        }
        self.end(End::Broken);
    }

    fn end(&self, end: End) {
        self.others.tape.end(end);
        self.retire();
    }

    /// Nobody new may follow.
    fn retire(&self) {
        let tape = &self.others.tape;
        self.caching
            .tapes
            .remove_if(&self.asked.key, |_, known| Arc::ptr_eq(known, tape));
    }

    /// Whether it was complete, and longer than what is kept.
    pub fn outgrown(&self) -> bool {
        self.complete && self.outgrown
    }

    /// How the answer is framed and what of it was sent, if all of it was and it is to be kept.
    pub fn recorded(&self) -> Option<(Shape, Vec<Bytes>)> {
        let tape = &self.others.tape;
        (self.complete && self.keeps).then(|| (tape.shape, tape.pieces()))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A leader that is dropped makes one of its followers lead. Past the beginning they learn that it broke off.
        let lead = self.others.lead().take();
        drop(lead);
        self.end(End::Broken);
    }
}
