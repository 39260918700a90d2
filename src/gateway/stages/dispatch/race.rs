//! One target after the other, or two beside each other: hedging.
//!
//! A request whose first target has not produced an event within the target's own usual time is sent to a second one as well. The
//! first to produce a decoded event (a whole answer, if it is no stream) wins; the other is dropped, which closes its connection,
//! and recorded with what it cost. A failure of one leaves the other running.

use super::Reply;
use super::attempt::{Attempt, Common, Notes};
use super::failure::Failure;
use super::search::{Chosen, Search, Who};
use crate::snapshot::HedgeTerms;
use crate::telemetry::{Outcome, Purpose};
use crate::wire::Operation;
use futures::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// An attempt that is over.
pub(super) struct Finished<'a> {
    pub who: Who<'a>,
    pub result: Result<Reply, Failure>,
    pub notes: Notes,
}

/// What became of attempts that did not answer.
pub(super) struct Fallen<'a> {
    pub who: Who<'a>,
    pub outcome: Outcome,
    pub took: Duration,
}

/// Ask the chosen one and nobody else.
pub(super) async fn single<'a>(common: &Common<'_>, chosen: Chosen<'a>) -> Finished<'a> {
    let Chosen { who, permit } = chosen;
    let mut notes = Notes::default();
    let attempt = Attempt {
        common,
        target: who.target,
        began: who.began,
    };
    let result = attempt.run(permit, &mut notes).await;
    Finished { who, result, notes }
}

/// Ask the chosen one, and a second one when that takes long. Attempts that fell by the way are added to `fallen`; a hedge's
/// failure is learnt by the search.
pub(super) async fn run<'a>(
    common: &Common<'_>,
    search: &mut Search<'a>,
    chosen: Chosen<'a>,
    fallen: &mut Vec<Fallen<'a>>,
) -> Finished<'a> {
    match patience(common, &chosen.who) {
        None => single(common, chosen).await,
        // Boxed: it has room for two attempts, which every request would carry with it otherwise.
        Some((terms, patience)) => Box::pin(hedged(common, search, chosen, terms, patience, fallen)).await,
    }
}

async fn hedged<'a>(
    common: &Common<'_>,
    search: &mut Search<'a>,
    chosen: Chosen<'a>,
    terms: &HedgeTerms,
    patience: Duration,
    fallen: &mut Vec<Fallen<'a>>,
) -> Finished<'a> {
    let first = chosen.who;
    let mut leading = pin!(single(common, chosen));
    tokio::select! {
        biased;
        finished = &mut leading => return finished,
        // Tokio's timer, not the coarse one: tens of milliseconds are what this is about.
        () = tokio::time::sleep(patience) => {}
    }
    if !terms.budget.take() {
        return leading.await;
    }
    let Some(mut second) = search.next(common.calls()) else {
        terms.budget.give_back();
        return leading.await;
    };
    second.who.purpose = Purpose::Hedge;
    let hedge = second.who;
    let hedging = pin!(single(common, second));
    // Whoever is not done when the other has answered is dropped here, and with it its connection.
    let (done, other) = match select(leading, hedging).await {
        Either::Left((done, rest)) => (done, Either::Left((rest, hedge))),
        Either::Right((done, rest)) => (done, Either::Right((rest, first))),
    };
    let failure = match &done.result {
        Ok(_) => {
            let lost = match &other {
                Either::Left((_, who)) | Either::Right((_, who)) => *who,
            };
            common.app.meters.routing.hedge(
                &lost.model.name,
                if lost.purpose == Purpose::Hedge { "lost" } else { "won" },
            );
            fallen.push(Fallen {
                who: lost,
                outcome: Outcome::Overtaken,
                took: lost.began.elapsed(),
            });
            return done;
        }
        Err(failure) => (!failure.unasked).then_some(failure.outcome),
    };
    let failed_first = done.who;
    if let Some(outcome) = failure {
        fallen.push(Fallen {
            who: done.who,
            outcome,
            took: done.who.began.elapsed(),
        });
    }
    let learnt = match done.result {
        Err(failure) => search.failed(done.who.index, done.who.member, failure),
        Ok(_) => Ok(()),
    };
    let mut rest = match other {
        Either::Left((rest, _)) => rest.await,
        Either::Right((rest, _)) => rest.await,
    };
    let result = match (failed_first.purpose, &rest.result) {
        (Purpose::Hedge, _) | (_, Err(_)) => "failed",
        _ => "won",
    };
    common.app.meters.routing.hedge(&failed_first.model.name, result);
    // What the failed one says goes to the client only if the other fails as well.
    if let (Err(error), Err(failure)) = (learnt, &mut rest.result) {
        failure.error = error;
        failure.elsewhere = false;
    }
    rest
}

/// A target's own patience, in medians of its times.
const LEAST_PATIENCE: f64 = 1.5;
const MOST_PATIENCE: f64 = 3.0;

/// How long to wait for the first target before a second is asked; nothing when none will be.
fn patience<'a>(common: &Common<'_>, first: &Who<'a>) -> Option<(&'a HedgeTerms, Duration)> {
    let terms = first.model.hedge.as_ref()?;
    let call = common.call;
    if !matches!(
        call.operation,
        Operation::Chat | Operation::Completions | Operation::Embeddings
    ) || common.calls() > 0
    {
        return None;
    }
    terms.budget.pay();
    let own = match terms.after {
        Some(fixed) => fixed,
        None => {
            let latency = first.target.breaker.latency();
            let (usual, slow) = (
                latency.quantile(call.streamed(), 0.5)?,
                latency.quantile(call.streamed(), 0.95)?,
            );
            // Where one in twenty is slow, the 95th percentile is as likely to be a slow answer's time as a quick one's: the first
            // hedges too late to help, the second spends the budget on answers that were about to come.
            slow.clamp(usual.mul_f64(LEAST_PATIENCE), usual.mul_f64(MOST_PATIENCE))
        }
    };
    Some((terms, own.clamp(terms.at_least, terms.at_most.max(terms.at_least))))
}
