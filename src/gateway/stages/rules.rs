//! Routing rules at their place in the walk: before the model is looked up, since a rule may name another, or one that the client
//! asked for by a name that is none.

use super::super::App;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use super::super::overload::Priority;
use super::admit;
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::routes::{Asked, Routes};
use crate::snapshot::{Found, Snapshot};
use crate::wire::Call;
use std::sync::Arc;
use std::time::SystemTime;

/// Apply the rules: the model that one of them names, and the call as they change it.
pub fn run<'a>(
    app: &App,
    down: &Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &'a Snapshot,
    routes: &Routes,
    call: &mut Call,
) -> Result<Option<Found<'a>>, GatewayError> {
    let depth = snapshot.limits.json_depth;
    let decision = routes.decide(Asked {
        call,
        headers: &down.request().headers,
        ip: down.client_ip(),
        now: SystemTime::now(),
        max_depth: depth,
    });
    for rule in &decision.applied {
        app.meters.routing.rule(rule);
    }
    ctx.record.rule = decision.rule.cloned();
    // What was seen is of the body as it came.
    ctx.seen = decision.seen.filter(|_| decision.edits.is_empty());
    if let Some(text) = decision.refuse {
        return Err(GatewayError::new(ErrorKind::Forbidden, text.to_string()).code("route_refused"));
    }
    let priority = decision.priority.map_or(Priority::DEFAULT, Priority::new);
    admit::reconsider(app, ctx, &snapshot.limits, priority)?;
    let mut edited = None;
    for edits in decision.edits {
        let body = edited.as_ref().unwrap_or(&call.body);
        let next = edits
            .apply(body, call.operation, call.dialect, depth)
            .map_err(|error| GatewayError::invalid("invalid_json", format!("the body cannot be read: {error}")))?;
        edited = Some(next);
    }
    // A large body takes its time: it is read anew once.
    if let Some(body) = edited {
        *call = call.edited(body, depth)?;
    }
    let model = decision.model.and_then(|index| snapshot.models.get(index));
    Ok(model.map(|model| {
        ctx.record.model = Some(Arc::clone(&model.name));
        Found { model, matched: "" }
    }))
}
