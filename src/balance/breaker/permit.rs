//! The leave to ask a target once, and what may be reported of it. What a report means is the machine's to say.

use super::super::quarantine::Pass;
use super::{Breaker, Entry};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Leave to ask a target once. What came of it must be reported; dropped unreported (the client left), it says nothing
/// about the target, and the place of a probe or trial is given back.
#[derive(Debug)]
pub struct Permit {
    breaker: Arc<Breaker>,
    entry: Entry,
    pass: Option<Pass>,
    reported: bool,
    /// The places of a probe and a trial are given back already.
    begun: bool,
    /// The report lets others pass.
    news: bool,
    /// Only from pools that measure; elsewhere nothing reads a clock.
    measured: Option<Measured>,
}

#[derive(Debug)]
struct Measured {
    began: Instant,
    stream: bool,
    heard: bool,
}

impl Permit {
    /// `pass`: the leave to use the target's credential, where that is watched.
    #[inline]
    pub(in super::super) fn new(breaker: Arc<Breaker>, entry: Entry, pass: Option<Pass>) -> Self {
        Self {
            breaker,
            entry,
            pass,
            reported: false,
            begun: false,
            news: false,
            measured: None,
        }
    }

    /// Measure how long it takes from now to the first token of a stream or to the end of a whole answer.
    pub(in super::super) fn measured(mut self, began: Instant, stream: bool) -> Self {
        self.measured = Some(Measured {
            began,
            stream,
            heard: false,
        });
        self
    }

    /// Whether nothing was held against the target or its credential when it was given: closed, no failure since the last
    /// success, no probe. Moving on to such a target costs no retry budget.
    pub fn is_calm(&self) -> bool {
        self.entry.calm && self.pass.as_ref().is_none_or(Pass::is_free)
    }

    /// The first token of a stream, or all of a whole answer, is here. Not for refusals: they are quick and say nothing
    /// about answers. The clock is read only if the pool measures, and only the first time.
    pub fn heard(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(measured) = &mut self.measured
            && !measured.heard
        {
            measured.heard = true;
            let now = now();
            let took = now.saturating_duration_since(measured.began);
            self.breaker.latency.answered(measured.stream, took, now);
        }
    }

    /// A stream has begun to come: its credential is good, and the next probe may pass, however long this one takes from here
    /// (its client may read slowly). How it ends still decides about the breaker.
    pub fn begun(&mut self) {
        let mut news = self.pass.take_if(|pass| !pass.is_free()).is_some_and(Pass::accepted);
        if !self.begun && (self.entry.probe || self.entry.trial || self.entry.anyway) {
            self.begun = true;
            news |= self.breaker.lock_and(|machine| machine.begun(self.entry));
        }
        if news {
            self.breaker.tell(true);
        }
    }

    /// The target answered.
    pub fn success(mut self) {
        self.reported = true;
        self.news = self.breaker.succeeded(self.entry);
        if let Some(pass) = self.pass.take() {
            self.news |= pass.accepted();
        }
    }

    /// The target failed.
    pub fn failure(mut self, now: Instant) {
        self.reported = true;
        if let Some(measured) = &self.measured {
            let after = now.saturating_duration_since(measured.began);
            self.breaker.latency.failed(measured.stream, after, now);
        }
        self.breaker.failed(self.entry, now);
    }

    /// The target failed on a request that another had failed on: the request may be the reason. Nothing retries here for free
    /// any more, but it is a failure only if somebody answers after all ([`Doubt::failed`]). That of a probe counts at once.
    pub fn doubt(mut self, now: Instant) -> Option<Doubt> {
        if self.entry.probe || self.entry.trial || self.entry.anyway {
            self.failure(now);
            return None;
        }
        self.reported = true;
        if let Some(measured) = &self.measured {
            let after = now.saturating_duration_since(measured.began);
            self.breaker.latency.failed(measured.stream, after, now);
        }
        let (breaker, entry) = (Arc::clone(&self.breaker), self.entry);
        breaker.lock_and(|machine| machine.doubt(entry));
        Some(Doubt { breaker, entry })
    }

    /// The target asked to be left alone.
    pub fn cool(mut self, now: Instant, length: Duration) {
        self.reported = true;
        self.breaker.lock_and(|machine| machine.cool(self.entry, now, length));
    }

    /// The provider refused the credential itself (401, 402, quota used up): all targets that use it are left alone. No
    /// failure of the target's. Without a credential that is watched, as [`Permit::forbidden`].
    pub fn refused_credential(mut self, now: Instant) {
        match self.pass.take() {
            Some(pass) => pass.refused(now),
            None => self.forbidden(now),
        }
    }

    /// The provider refused the credential for this target only (403): it alone is left alone. No failure.
    pub fn forbidden(mut self, now: Instant) {
        self.reported = true;
        self.breaker.lock_and(|machine| machine.forbid(self.entry, now));
    }

    /// The client left, our own time was up, or a hedge was quicker: no verdict, but it was no faster than this. Dropping
    /// does the same without the latter.
    pub fn unanswered(self, now: impl FnOnce() -> Instant) {
        if let Some(measured) = &self.measured
            && !measured.heard
        {
            let now = now();
            let waited = now.saturating_duration_since(measured.began);
            self.breaker.latency.not_within(measured.stream, waited, now);
        }
    }
}

/// A failure that may be the request's. Dropped, it was.
#[derive(Debug)]
pub struct Doubt {
    breaker: Arc<Breaker>,
    entry: Entry,
}

impl Doubt {
    /// It was the target's.
    pub fn failed(self, now: Instant) {
        self.breaker.failed(self.entry, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.reported && !self.begun && (self.entry.probe || self.entry.trial) {
            self.news |= self.breaker.lock_and(|machine| machine.abandoned(self.entry));
        }
        // Before anybody is told that there is room.
        if let Some(pass) = self.pass.take() {
            self.news |= !pass.is_free();
        }
        self.breaker.leave(self.news);
    }
}
