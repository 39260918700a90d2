//! What the attempts of one request share, and what each learns besides its answer.

use super::super::super::App;
use super::super::super::context::Uncounted;
use super::super::super::downstream::sleep_until;
use super::doubt::Doubts;
use super::forward::Forwarded;
use crate::guardrails::Policy;
use crate::snapshot::{ContinuationTerms, Limits, Snapshot};
use crate::units::Usage;
use crate::wire::Call;
use http::header::HeaderValue;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What all attempts of one request share.
pub(in crate::gateway) struct Common<'a> {
    pub app: &'a App,
    pub snapshot: &'a Snapshot,
    pub call: &'a Call,
    /// The request's id.
    pub id: &'a str,
    /// Of the client's headers those that may go on.
    pub headers: &'a Forwarded,
    /// What the `*` of the public name matched.
    pub matched: &'a str,
    /// Refuse what a target cannot take.
    pub strict: bool,
    /// Streams that break may be gone on with.
    pub continuation: Option<ContinuationTerms>,
    /// Guardrails of streams.
    pub guard: Option<Policy>,
    /// Others are asked when a content filter leaves nothing of an answer.
    pub filters: bool,
    /// When all of it must be over.
    pub total: Instant,
    /// How long that was to be from the beginning; nothing when the client gave itself less than the configuration does.
    pub allotted: Option<Duration>,
    /// Calls made so far.
    pub calls: AtomicU32,
    /// Failures that may be the request's.
    pub doubts: Doubts,
}

impl<'a> Common<'a> {
    /// A request of which nothing particular is wanted.
    pub fn plain(
        app: &'a App,
        snapshot: &'a Snapshot,
        call: &'a Call,
        id: &'a str,
        headers: &'a Forwarded,
        total: Instant,
    ) -> Self {
        Self {
            app,
            snapshot,
            call,
            id,
            headers,
            matched: "",
            strict: false,
            continuation: None,
            guard: None,
            filters: false,
            total,
            allotted: None,
            calls: AtomicU32::new(0),
            doubts: Doubts::default(),
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.snapshot.limits
    }

    /// A call is made: here and not where a target was picked, since what cannot be planned is not asked.
    pub fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// What an attempt learnt besides its answer.
#[derive(Default)]
pub(in crate::gateway) struct Notes {
    /// For `x-cirque-dropped`.
    pub dropped: Option<HeaderValue>,
    /// The provider's id of the request.
    pub upstream_request_id: Option<Box<str>>,
    /// Tokens of a whole answer.
    pub usage: Option<Usage>,
    /// What to count when the provider gave no usage.
    pub uncounted: Option<Uncounted>,
    /// The answer is a count made here.
    pub estimated: bool,
    /// Time spent waiting for the provider.
    pub waited: Duration,
}

/// A deadline passed.
pub(super) struct Late;

impl Notes {
    /// Wait for `work`, but not past `deadline`.
    pub async fn within<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Result<T, Late> {
        let began = Instant::now();
        let outcome = tokio::select! {
            biased;
            output = work => Ok(output),
            () = sleep_until(deadline) => Err(Late),
        };
        self.waited += began.elapsed();
        outcome
    }
}
