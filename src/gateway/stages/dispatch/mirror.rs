//! Copies of requests to another pool: asked beside the client's own, compared in metrics, and dropped.
//!
//! A copy is a search of its own, without hedging, waiting or a mirror of its own; it has no client, so nobody can leave. It is
//! bounded by its pool's slots, and what it holds of the client's body is paid for like any other body. Nothing of it is
//! charged to whoever pays for the client's request: it has a record of its own in the ledger, of no tenant, and counts in limits
//! and budgets of the model it goes to and of providers, without room in which it is not sent.

use super::super::super::App;
use super::super::super::buffers::Room;
use super::super::super::context::Comparison;
use super::super::authenticate::Principal;
use super::super::settle;
use super::attempt::Common;
use super::unattended::{Answered, Unattended};
use crate::clock;
use crate::limits::{Demand, Lease, Refusal};
use crate::snapshot::{MirrorTerms, PublicModel, Snapshot};
use crate::telemetry::{Purpose, Side};
use crate::wire::Operation;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// A copy that may be sent.
struct Copy {
    /// The model whose request it is one of.
    model: Arc<str>,
    request: Unattended,
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
        request: Unattended {
            app: Arc::clone(app),
            snapshot: Arc::clone(snapshot),
            call: common.call.clone(),
            headers: common.headers.for_a_copy(),
            id: format!("{}-mirror", common.id),
            to: terms.to,
            matched: common.matched.to_owned(),
            purpose: Purpose::Mirror,
            // Nobody gets its answer.
            guard: None,
        },
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
        let Unattended { app, snapshot, to, .. } = &self.request;
        let Some(model) = snapshot.models.get(*to) else {
            return;
        };
        let Ok(lease) = self.reserve(model).await else {
            app.meters.routing.not_mirrored(&self.model, &model.name);
            return;
        };
        let answered = self.request.ask(&mut |_| ()).await;
        let side = answered.as_ref().map_or_else(Side::default, |answered| Side {
            ok: answered.ok,
            ttft: answered.ttft,
            output: answered.usage.map(|usage| usage.output),
            ..Side::default()
        });
        let side = Side {
            duration: began.elapsed(),
            ..side
        };
        if let Some(answered) = &answered {
            self.record(model, &side, answered, lease);
        }
        // Who sees the comparison may send the next copy.
        let comparison = Arc::clone(&self.comparison);
        drop(self);
        comparison.copy(side);
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
        self.request
            .app
            .state
            .bank
            .reserve(&model.bounds, &demand, now_ms)
            .await
            .map(Some)
    }

    /// Its record in the ledger, and what it took of limits.
    fn record(&self, model: &PublicModel, side: &Side, answered: &Answered, lease: Option<Lease>) {
        let request = &self.request;
        settle::copy(
            &request.app,
            &request.snapshot,
            settle::Copied {
                request_id: &request.id,
                operation: request.call.operation,
                stream: request.call.streamed(),
                model,
                named: request.named(),
                target: &answered.target,
                usage: answered.usage,
                estimated: answered.estimated,
                side,
                purpose: Purpose::Mirror,
                payer: None,
                lease,
            },
        );
    }
}
