//! Copies of requests to another pool: asked beside the client's own, compared in metrics, and dropped.
//!
//! A copy is a search of its own, without hedging, waiting or a mirror of its own; it has no client, so nobody can leave. It is
//! bounded by its pool's slots, and what it holds of the client's body is paid for like any other body. Nothing of it is
//! charged to whoever pays for the client's request: it has a record of its own in the ledger, of no tenant, and counts in limits
//! and budgets of the model it goes to and of providers, without room in which it is not sent.

use super::super::super::App;
use super::super::super::buffers::Room;
use super::super::super::context::Comparison;
use super::super::super::downstream::sleep_until;
use super::super::super::live::Broken;
use super::super::authenticate::Principal;
use super::super::settle;
use super::attempt::Common;
use super::forward::Forwarded;
use super::race::{self, Finished};
use super::search::Search;
use super::{Live, Reply};
use crate::balance::RetryBudget;
use crate::clock;
use crate::limits::{Demand, Lease, Refusal};
use crate::snapshot::{MirrorTerms, Named, PublicModel, Snapshot};
use crate::telemetry::{Outcome, Purpose, Side};
use crate::units::Usage;
use crate::upstream::Target;
use crate::wire::{Call, Operation};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// Who answered it, and what that used.
type Used = (Arc<Target>, Option<Usage>);

/// A copy that may be sent.
struct Copy {
    /// The model whose request it is one of.
    model: Arc<str>,
    app: Arc<App>,
    snapshot: Arc<Snapshot>,
    call: Call,
    headers: Forwarded,
    id: String,
    to: usize,
    strict: bool,
    matched: String,
    comparison: Arc<Comparison>,
    _slot: OwnedSemaphorePermit,
    _room: Room,
}

/// Send a copy of this request, if it is one of those that are mirrored and there is room for it.
pub(super) fn send(
    app: &Arc<App>,
    snapshot: &Arc<Snapshot>,
    model: &PublicModel,
    common: &Common<'_>,
    principal: &Principal,
) -> Option<Arc<Comparison>> {
    let terms = model.mirror.as_ref()?;
    if common.call.operation == Operation::CountTokens {
        return None;
    }
    if fastrand::f64() * 100.0 >= terms.percent {
        return None;
    }
    let to = snapshot.models.get(terms.to)?;
    // What a caller says goes to nobody whom it may not use, neither as a copy.
    let barred = |provider| {
        let known = principal.known.as_ref();
        known.is_some_and(|known| known.access.provider(provider).is_err())
    };
    if to.providers.iter().any(|provider| barred(provider)) {
        app.meters.routing.not_mirrored(&model.name, &to.name);
        return None;
    }
    let Some((slot, room)) = admitted(app, snapshot, terms, common.call.body.len()) else {
        app.meters.routing.not_mirrored(&model.name, &to.name);
        return None;
    };
    let comparison = Arc::new(Comparison::new(
        Arc::clone(&app.meters),
        Arc::clone(&model.name),
        Arc::clone(&to.name),
    ));
    let copy = Copy {
        model: Arc::clone(&model.name),
        app: Arc::clone(app),
        snapshot: Arc::clone(snapshot),
        call: common.call.clone(),
        headers: common.headers.for_a_copy(),
        id: format!("{}-mirror", common.id),
        to: terms.to,
        strict: to.strict,
        matched: common.matched.to_owned(),
        comparison: Arc::clone(&comparison),
        _slot: slot,
        _room: room,
    };
    tokio::spawn(copy.run());
    Some(comparison)
}

fn admitted(
    app: &Arc<App>,
    snapshot: &Snapshot,
    terms: &MirrorTerms,
    body: usize,
) -> Option<(OwnedSemaphorePermit, Room)> {
    let slot = Arc::clone(&terms.slots).try_acquire_owned().ok()?;
    let mut room = Room::none(&app.buffers);
    room.grow_to(body, snapshot.limits.buffered_bytes).ok()?;
    Some((slot, room))
}

impl Copy {
    async fn run(self) {
        let began = Instant::now();
        let Some(model) = self.snapshot.models.get(self.to) else {
            return;
        };
        let Ok(lease) = self.reserve(model).await else {
            self.app.meters.routing.not_mirrored(&self.model, &model.name);
            return;
        };
        let mut spent = None;
        let side = self.ask(began, &mut spent).await.unwrap_or(Side {
            duration: began.elapsed(),
            ..Side::default()
        });
        self.record(model, &side, spent, lease);
        // Who sees the comparison may send the next copy.
        let comparison = Arc::clone(&self.comparison);
        drop(self);
        comparison.copy(side);
    }

    /// Ask until somebody answers.
    async fn ask(&self, began: Instant, spent: &mut Option<Used>) -> Option<Side> {
        let model = self.snapshot.models.get(self.to)?;
        let deadlines = model.deadlines();
        let longest = if self.call.streamed() {
            deadlines.stream_total
        } else {
            deadlines.total
        };
        let common = Common {
            matched: &self.matched,
            strict: self.strict,
            allotted: Some(longest),
            ..Common::plain(
                &self.app,
                &self.snapshot,
                &self.call,
                &self.id,
                &self.headers,
                began + longest,
            )
        };
        // Not a call that a client's request could have had: a copy moves on to calm targets only.
        let unpaid = RetryBudget::default();
        unpaid.configure(0, 0);
        let mut search = Search::new(&self.snapshot, &unpaid, &model.chain, self.call.streamed());
        loop {
            let mut chosen = search.next(common.calls())?;
            chosen.who.purpose = Purpose::Mirror;
            let Finished { who, result, notes } = race::single(&common, chosen).await;
            match result {
                Ok(Reply::Live(live)) => return Some(self.listen(*live, began, spent).await),
                Ok(Reply::Whole { .. }) => {
                    self.account(who.target, notes.usage.as_ref());
                    *spent = Some((Arc::clone(who.target), notes.usage));
                    return Some(Side {
                        ok: true,
                        duration: began.elapsed(),
                        ttft: None,
                        output: notes.usage.map(|usage| usage.output),
                    });
                }
                Ok(Reply::Refused { .. }) => return None,
                Err(failure) => search.failed(who.index, who.member, failure).ok()?,
            }
        }
    }

    /// Take a stream to its end.
    async fn listen(&self, live: Live, began: Instant, spent: &mut Option<Used>) -> Side {
        let Live {
            mut stream,
            target,
            permit,
            total,
            ..
        } = live;
        let ttft = Some(began.elapsed());
        let mut in_time = true;
        while in_time && !(stream.broken.is_some() || stream.is_done() || stream.ended) {
            let deadline = (stream.last_event + target.deadlines.idle).min(total);
            in_time = tokio::select! {
                () = stream.fill() => true,
                () = sleep_until(deadline) => false,
            };
            drop(stream.take());
        }
        let ok = in_time && stream.broken.is_none();
        target.attempts.count(match &stream.broken {
            _ if !in_time => Outcome::IdleTimeout,
            None => Outcome::Ok,
            Some(Broken::Connection(_)) => Outcome::Disconnected,
            Some(Broken::Reported(_) | Broken::Said(_)) => Outcome::ServerError,
            Some(_) => Outcome::BadResponse,
        });
        if let Some(permit) = permit {
            match &stream.reported {
                _ if ok => permit.success(),
                // What it fails on may be the request: then it would not have to be left alone.
                Some(reported) => {
                    super::settle_broken(&target, permit, reported);
                }
                None => permit.failure(Instant::now()),
            }
        }
        self.account(&target, stream.usage.as_ref());
        *spent = Some((Arc::clone(&target), stream.usage));
        let output = stream.usage.map(|usage| usage.output);
        stream.release().await;
        Side {
            ok,
            duration: began.elapsed(),
            ttft,
            output,
        }
    }

    /// Room in the limits of the model and its providers, as little as there is: copies are few, and settled in full.
    async fn reserve(&self, model: &PublicModel) -> Result<Option<Lease>, Refusal> {
        if model.bounds.is_empty() {
            return Ok(None);
        }
        let demand = Demand {
            model: &model.name,
            user: None,
            key: None,
            providers: &model.providers,
            input: 0,
            output: 0,
            nano: 1,
            overruled: &[],
        };
        let now_ms = clock::now_ms();
        self.app
            .state
            .bank
            .reserve(&model.bounds, &demand, now_ms)
            .await
            .map(Some)
    }

    /// Its record in the ledger, and what it took of limits.
    fn record(&self, model: &PublicModel, side: &Side, spent: Option<Used>, lease: Option<Lease>) {
        let Some((target, usage)) = spent else { return };
        settle::copy(
            &self.app,
            &self.snapshot,
            settle::Copied {
                request_id: &self.id,
                operation: self.call.operation,
                stream: self.call.streamed(),
                model,
                named: self.named(),
                target: &target,
                usage,
                side,
                lease,
            },
        );
    }

    fn named(&self) -> Named<'_> {
        Named {
            asked: &self.call.envelope.model,
            matched: &self.matched,
        }
    }

    /// What the copy used, and cost.
    fn account(&self, target: &Target, usage: Option<&Usage>) {
        let routing = &self.app.meters.routing;
        routing.call(target.id.as_str(), Purpose::Mirror, usage);
        let price = self.snapshot.tariff.price(target, &self.named(), clock::now());
        if let (Some(price), Some(usage)) = (price, usage) {
            routing.cost(target.id.as_str(), Purpose::Mirror, &price, usage);
        }
    }
}
