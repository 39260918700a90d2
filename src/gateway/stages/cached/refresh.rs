//! A fresher answer, fetched beside the stale one that the client has got.
//!
//! The request that was served the stale answer pays for it: its room in limits and budgets goes over to the call. One call for a key
//! at a time; whoever comes meanwhile is served the stale answer.

use super::super::super::context::RequestContext;
use super::super::super::downstream::Downstream;
use super::super::super::tape::Shape;
use super::super::dispatch::{Answered, Forwarded, Unattended};
use super::super::settle;
use super::keep::{Kept, begun, store};
use super::{Looking, scope};
use crate::balance::singleflight::Flight;
use crate::cache::{Asked, Entry, Key, Partition, Policy};
use crate::clock;
use crate::directory::Principal;
use crate::limits::Lease;
use crate::telemetry::{Purpose, Side};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// A call for a fresher answer.
struct Refresh {
    request: Unattended,
    caching: Arc<super::Caching>,
    key: Key,
    partition: Partition,
    question: Option<Box<str>>,
    candidates: u32,
    policy: Policy,
    payer: Option<Arc<Principal>>,
    lease: Option<Lease>,
}

/// Fetch a fresher answer, unless somebody does already.
pub(super) fn send(
    looking: &Looking<'_>,
    down: &Downstream<'_>,
    ctx: &mut RequestContext,
    asked: &Asked,
    stale: &Entry,
) {
    let caching = &looking.caching;
    let Flight::Lead(lead) = caching.flights.join(asked.key) else {
        return;
    };
    let barred = |provider| ctx.barred.contains(provider);
    if !looking.wish.store || looking.found.model.providers.iter().any(barred) {
        // A call without a client knows nothing of who may not be asked.
        return;
    }
    let models = &looking.snapshot.models;
    let Some(to) = models.iter().position(|model| std::ptr::eq(model, looking.found.model)) else {
        return;
    };
    let refresh = Refresh {
        request: Unattended {
            app: Arc::clone(looking.app),
            snapshot: Arc::clone(looking.snapshot),
            call: looking.call.clone(),
            headers: Forwarded::of(&down.request().headers).for_a_copy(),
            id: format!("{}-refresh", ctx.id),
            to,
            matched: looking.found.matched.to_owned(),
            purpose: Purpose::Refresh,
            guard: ctx.guard.as_ref().map(|guard| guard.policy.clone()),
        },
        caching: Arc::clone(caching),
        key: asked.key,
        partition: asked.partition,
        question: stale.question.clone(),
        candidates: asked.candidates,
        policy: looking.policy.clone(),
        payer: ctx.principal.known.clone(),
        lease: ctx.lease.take(),
    };
    tokio::spawn(async move {
        refresh.run().await;
        // Until here nobody else fetched it. Whoever began to follow meanwhile finds the answer kept, or asks.
        lead.disband();
    });
}

impl Refresh {
    async fn run(self) {
        let began = Instant::now();
        let mut pieces: Vec<Bytes> = Vec::new();
        let (mut bytes, most) = (0usize, self.policy.max_answer);
        let answered = self
            .request
            .ask(&mut |piece: Bytes| {
                bytes = bytes.saturating_add(piece.len());
                if bytes <= most {
                    pieces.push(piece);
                } else {
                    pieces = Vec::new();
                }
            })
            .await;
        let Self {
            request,
            caching,
            policy,
            payer,
            mut lease,
            ..
        } = self;
        let Some(answered) = answered else {
            // The stale answer was served: a request all the same.
            if let Some(lease) = &mut lease {
                lease.sent();
            }
            return;
        };
        let Answered {
            target,
            usage,
            estimated,
            ok,
            own,
            ttft,
            ..
        } = &answered;
        let Some(model) = request.snapshot.models.get(request.to) else {
            return;
        };
        let side = Side {
            ok: *ok,
            duration: began.elapsed(),
            ttft: *ttft,
            output: usage.map(|usage| usage.output),
        };
        settle::copy(
            &request.app,
            &request.snapshot,
            settle::Copied {
                request_id: &request.id,
                operation: request.call.operation,
                stream: request.call.streamed(),
                model,
                named: request.named(),
                target,
                usage: *usage,
                estimated: *estimated,
                side: &side,
                purpose: Purpose::Refresh,
                payer: payer.as_deref(),
                lease,
            },
        );
        if !ok || bytes > policy.max_answer {
            return;
        }
        if !own {
            // Good while the model is out, and no longer: the stale answer stays its own.
            return model.cache_meter.stored("fallback");
        }
        let price = request.snapshot.tariff.price(target, &request.named(), clock::now());
        // What is served from here shows a provider's figures or none.
        let usage = usage.filter(|_| !estimated);
        let cost = price.zip(usage).map(|(price, usage)| price.of(&usage).total());
        store(Kept {
            meter: model.cache_meter.clone(),
            caching,
            shape: Shape::of(&request.call, false),
            pieces,
            key: self.key,
            partition: self.partition,
            question: self.question,
            candidates: self.candidates,
            ttl: policy.ttl,
            policy,
            owner: scope::owner_of(payer.as_deref()),
            tags: scope::tags(payer.as_deref()),
            model: scope::public_name(model, &request.call, &request.matched),
            target: target.id.shared(),
            usage,
            cost: cost.map(|cost| request.snapshot.tariff.billed(cost)),
            shadow: None,
            begun_ms: begun(began),
            max_depth: request.snapshot.limits.json_depth,
        })
        .await;
    }
}
