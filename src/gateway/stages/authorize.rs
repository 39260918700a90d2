//! What the caller may ask for, once that is known, and what its tenants add to a request.

use super::super::App;
use super::super::context::RequestContext;
use super::authenticate::{Principal, forbidden};
use crate::error::GatewayError;
use crate::snapshot::{Found, Snapshot};
use crate::wire::Call;
use crate::wire::edit::Edits;

/// Parameters that its tenants give a request that does not set them.
pub fn defaults(ctx: &RequestContext, snapshot: &Snapshot, call: &mut Call) -> Result<(), GatewayError> {
    let Some(known) = ctx.principal.known.as_ref().filter(|known| !known.defaults.is_empty()) else {
        return Ok(());
    };
    let edits = Edits {
        default: (*known.defaults).clone(),
        ..Edits::default()
    };
    let depth = snapshot.limits.json_depth;
    let body = edits
        .apply(&call.body, call.operation, call.dialect, depth)
        .map_err(|error| GatewayError::invalid("invalid_json", format!("the body cannot be read: {error}")))?;
    *call = call.edited(body, depth)?;
    Ok(())
}

/// Whether the caller may have its request answered by this model. Where a routing rule chose it, what counts is what the
/// client asked for: the operator sent it there.
pub fn model(
    app: &App,
    ctx: &mut RequestContext,
    snapshot: &Snapshot,
    call: &Call,
    found: Found<'_>,
) -> Result<(), GatewayError> {
    let asked = &call.envelope.model;
    if !found.matched.is_empty() {
        ctx.record.wild = Some((asked.as_str().into(), found.matched.into()));
    }
    let Some(known) = &ctx.principal.known else {
        return Ok(());
    };
    let own = if ctx.record.rule.is_some() {
        snapshot.find(asked)
    } else {
        Some(found)
    };
    let name = match own {
        Some(own) if own.matched.is_empty() => &*own.model.name,
        _ => asked,
    };
    known.access.model(name).map_err(|denied| forbidden(app, &denied))
}

/// Whether the caller may use the pool behind a path that is forwarded unread.
pub fn passthrough(app: &App, ctx: &mut RequestContext, snapshot: &Snapshot, model: usize) -> Result<(), GatewayError> {
    let (Some(known), Some(model)) = (&ctx.principal.known, snapshot.models.get(model)) else {
        return Ok(());
    };
    known
        .access
        .model(&model.name)
        .map_err(|denied| forbidden(app, &denied))?;
    let mut denied = None;
    for provider in &model.providers {
        if let Err(why) = known.access.provider(provider) {
            ctx.barred.push(provider.clone());
            denied = Some(why);
        }
    }
    match denied {
        Some(why) if model.targets.iter().all(|target| ctx.barred.contains(&target.provider)) => {
            Err(forbidden(app, &why))
        }
        _ => Ok(()),
    }
}

/// Whether a name may be shown to the caller: one that it may ask for.
pub fn may_ask(principal: &Principal, snapshot: &Snapshot, name: &str) -> bool {
    let Some(known) = &principal.known else {
        return true;
    };
    let found = snapshot.find(name).filter(|found| found.matched.is_empty());
    let name = found.map_or(name, |found| &found.model.name);
    known.access.model(name).is_ok()
}
