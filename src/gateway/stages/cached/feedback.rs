//! Reports of applications: an answer from the cache that did not answer its question (`cache::feedback`).

use super::super::super::App;
use super::super::super::buffers::Room;
use super::super::super::context::RequestContext;
use super::super::super::downstream::Downstream;
use super::super::super::respond::{self, JSON};
use super::super::{authenticate, receive, reserve};
use super::scope;
use crate::cache::Scope;
use crate::cache::feedback::{LONGEST_REPORT, may_report, read_report};
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::{Limits, Snapshot};
use http::StatusCode;
use std::sync::Arc;

/// What the operation is called where keys may be bound to some.
const OPERATION: &str = "cache_feedback";

/// Take a report. It counts as a request.
pub async fn run(
    app: &Arc<App>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Snapshot,
) -> Result<pingora::Result<()>, GatewayError> {
    authenticate::run(app, snapshot, down, ctx, OPERATION).await?;
    reserve::unread(app, down, ctx, snapshot, None).await?;
    let limits = Limits {
        request_body: LONGEST_REPORT,
        ..snapshot.limits
    };
    let mut room = Room::none(&app.buffers);
    let body = receive::read_body(down, &limits, &mut room, |_| ()).await?;
    let id = read_report(&body)?;
    let unknown = || {
        GatewayError::new(
            ErrorKind::NotFound,
            "no answer of yours with this id is kept; it may be over, or deleted already",
        )
        .code("unknown_answer")
    };
    let caching = app.cache.load_full().ok_or_else(unknown)?;
    let entry = caching.find(id.answer).await.ok_or_else(unknown)?;
    let found = snapshot.find(&entry.model).ok_or_else(unknown)?;
    // Rules, which read the request, may have turned the cache on, or wider: what is sure is the caller's own.
    let shared = super::policy(snapshot, ctx, found).map_or(Scope::Key, |policy| policy.scope);
    let known = ctx.principal.known.as_deref();
    if !may_report(&entry.owner, &scope::owner_of(known), shared) {
        return Err(unknown());
    }
    // Others hear of it when they can be reached; their outage is counted where it is noticed.
    let _ = caching.disown(&id.into()).await;
    app.meters.cache.wrong(&found.model.name, "client");
    let said = serde_json::json!({"id": id.to_string(), "noted": true});
    Ok(respond::whole(down, ctx, StatusCode::OK, JSON, said.to_string().into()).await)
}
