//! Routing rules at their place in the walk: before the model is looked up, since a rule may name another, or one that the client
//! asked for by a name that is none.

use super::super::App;
use super::super::aside::{OFFLOAD_FROM, aside};
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use super::super::overload::Priority;
use super::admit;
use super::authenticate::Principal;
use crate::config::CachePolicy;
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::routes::{Asked, Caller, Routes};
use crate::snapshot::{Found, Snapshot};
use crate::wire::Call;
use crate::wire::needs::Seen;
use http::HeaderMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What the rules make of a request.
struct Ruled {
    model: Option<usize>,
    rule: Option<Arc<str>>,
    applied: Vec<usize>,
    refuse: Option<Arc<str>>,
    priority: Option<u8>,
    seen: Option<Seen>,
    cache: Option<Arc<CachePolicy>>,
    guardrails: Vec<Arc<str>>,
    /// The call as they change it.
    call: Option<Call>,
}

/// Apply the rules: the model that one of them names, and the call as they change it.
pub async fn run<'a>(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &'a Arc<Snapshot>,
    call: &mut Call,
) -> Result<Option<Found<'a>>, GatewayError> {
    let Some(routes) = &snapshot.routes else {
        return Ok(None);
    };
    let ip = down.client_ip();
    let principal = ctx.principal.clone();
    let ruled = if call.body.len() < OFFLOAD_FROM || !routes.read_bodies() {
        judge(
            routes,
            call,
            &principal,
            &down.request().headers,
            ip,
            snapshot.limits.json_depth,
        )?
    } else {
        let (snapshot, call) = (Arc::clone(snapshot), call.clone());
        let headers = down.request().headers.clone();
        let work = move || {
            let routes = snapshot.routes.as_ref()?;
            Some(judge(
                routes,
                &call,
                &principal,
                &headers,
                ip,
                snapshot.limits.json_depth,
            ))
        };
        let began = Instant::now();
        let judged = down.or_left(pin!(aside(work))).await;
        down.waited += began.elapsed();
        let judged = judged.map_err(|_| GatewayError::client_left())?;
        let judged = judged.map_err(|error| GatewayError::internal(format!("blocking task: {error}")))?;
        match judged {
            Some(judged) => judged?,
            None => return Ok(None),
        }
    };
    routes.count(&ruled.applied, &app.meters.routing);
    ctx.record.rule = ruled.rule;
    ctx.rule_cache = ruled.cache;
    ctx.rule_guardrails = ruled.guardrails;
    // What was seen is of the body as it came.
    ctx.seen = ruled.seen.filter(|_| ruled.call.is_none());
    if let Some(text) = ruled.refuse {
        return Err(GatewayError::new(ErrorKind::Forbidden, text.to_string()).code("route_refused"));
    }
    let priority = ruled.priority.map_or(Priority::DEFAULT, Priority::new);
    admit::reconsider(app, ctx, &snapshot.limits, priority)?;
    if let Some(edited) = ruled.call {
        *call = edited;
    }
    let model = ruled.model.and_then(|index| snapshot.models.get(index));
    Ok(model.map(|model| {
        ctx.record.model = Some(Arc::clone(&model.name));
        Found { model, matched: "" }
    }))
}

/// What rules may ask of who is calling.
fn caller(principal: &Principal) -> Caller<'_> {
    let Some(known) = &principal.known else {
        return Caller::default();
    };
    Caller {
        key: known.tenant.key.as_deref().unwrap_or_default(),
        team: known.tenant.team.as_deref().unwrap_or_default(),
        tags: &known.vouched_tags,
        metadata: Some(&known.metadata),
        team_metadata: Some(&known.team_metadata),
        claims: principal.identity.as_ref().map(|identity| &identity.claims),
    }
}

/// Decide, and make the edits.
fn judge(
    routes: &Routes,
    call: &Call,
    principal: &Principal,
    headers: &HeaderMap,
    ip: Option<IpAddr>,
    depth: usize,
) -> Result<Ruled, GatewayError> {
    let decision = routes.decide(Asked {
        caller: caller(principal),
        call,
        headers,
        ip,
        now: SystemTime::now(),
        max_depth: depth,
    });
    let mut edited = None;
    let edits = decision.edits.into_iter().filter(|_| decision.refuse.is_none());
    for edits in edits {
        let body = edited.as_ref().unwrap_or(&call.body);
        let next = edits
            .apply(body, call.operation, call.dialect, depth)
            .map_err(|error| GatewayError::invalid("invalid_json", format!("the body cannot be read: {error}")))?;
        edited = Some(next);
    }
    Ok(Ruled {
        model: decision.model,
        rule: decision.rule.cloned(),
        applied: decision.applied,
        refuse: decision.refuse.cloned(),
        priority: decision.priority,
        seen: decision.seen,
        cache: decision.cache,
        guardrails: decision.guardrails.into_iter().cloned().collect(),
        // It is read anew once, however many rules changed it.
        call: edited.map(|body| call.edited(body, depth)).transpose()?,
    })
}
