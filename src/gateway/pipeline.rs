//! The walk: what happens to a request, in order. Reads as the table of contents of [`super::stages`].

use super::App;
use super::context::{Asked, RequestContext};
use super::downstream::Downstream;
use super::respond::{self, JSON};
use super::stages::cached::{self, Looked};
use super::stages::receive::{self, Route};
use super::stages::{admit, authenticate, authorize, dispatch, guard, relay, reserve, rules, settle};
use crate::error::{ErrorKind, GatewayError};
use crate::ids::RequestId;
use crate::snapshot::Snapshot;
use crate::wire::{Dialect, Endpoint, endpoint, models};
use http::StatusCode;
use std::sync::Arc;

/// Where a request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// It has been answered here.
    Answered,
    /// Pingora's native phases take it on.
    Passthrough,
}

/// Take a request whose header has been read.
pub async fn serve(app: &Arc<App>, down: &mut Downstream<'_>, ctx: &mut RequestContext) -> Lane {
    let snapshot = app.snapshot.load_full();
    ctx.snapshot = Some(Arc::clone(&snapshot));
    ctx.id = RequestId::accept(down.request().headers.get("x-request-id"));
    let admitted = admit::run(app, down, ctx, &snapshot.limits).await;
    let route = match receive::check_headers(&snapshot.limits, down) {
        Ok(()) => receive::route(&snapshot, &down.request().method, down.request().uri.path()),
        Err(error) => {
            down.close_after();
            Err(receive::NoRoute {
                error: Box::new(error),
                allow: None,
            })
        }
    };
    ctx.dialect = match &route {
        Ok(Route::Api(endpoint)) => endpoint.dialect,
        _ => endpoint::dialect_of(trimmed(down.request().uri.path()), &down.request().headers),
    };
    ctx.record.asked = asked(route.as_ref().ok());
    let route = match admitted {
        Ok(()) => route,
        Err(error) => Err(receive::NoRoute {
            error: Box::new(error),
            allow: None,
        }),
    };
    let outcome = match route {
        Ok(Route::Passthrough(model)) => match pass(app, down, ctx, &snapshot, model).await {
            Ok(()) => {
                ctx.passthrough = Some(super::passthrough::Passing::new(model));
                return Lane::Passthrough;
            }
            Err(error) => Err((error, None)),
        },
        Ok(Route::Api(endpoint)) => call(app, down, ctx, &snapshot, endpoint)
            .await
            .map_err(|error| (error, None)),
        Ok(Route::Models) => list(app, down, ctx, &snapshot, None)
            .await
            .map_err(|error| (error, None)),
        Ok(Route::Model(from)) => list(app, down, ctx, &snapshot, Some(from))
            .await
            .map_err(|error| (error, None)),
        Ok(Route::CacheFeedback) => cached::feedback::run(app, down, ctx, &snapshot)
            .await
            .map_err(|error| (error, None)),
        Err(no_route) => Err((*no_route.error, no_route.allow)),
    };
    let sent = match outcome {
        Ok(sent) => sent,
        Err((error, allow)) => {
            ctx.record.error = Some(error.kind);
            ctx.record.internal = error.internal.clone();
            respond::error(down, ctx, &error, allow).await
        }
    };
    if down.has_left() {
        ctx.record.error.get_or_insert(ErrorKind::ClientLeft);
    }
    if sent.is_err() || down.has_left() {
        // The answer did not get through: the client is gone, whatever status was meant for it.
        ctx.record.status = 499;
        ctx.record.error.get_or_insert(ErrorKind::ClientLeft);
    }
    if ctx.record.status == 499 {
        down.give_up();
    }
    ctx.record.waited = down.waited;
    let request = down.request();
    settle::run(app, ctx, &request.method, request.uri.path());
    Lane::Answered
}

fn asked(route: Option<&Route>) -> Asked {
    match route {
        Some(Route::Api(endpoint)) => Asked::Api(endpoint.operation),
        Some(Route::Models | Route::Model(_)) => Asked::Models,
        Some(Route::Passthrough(_)) => Asked::Passthrough,
        Some(Route::CacheFeedback) => Asked::CacheFeedback,
        None => Asked::Other,
    }
}

/// The outer error is for the client; the inner one says that the client could not be written to.
type Answered = Result<pingora::Result<()>, GatewayError>;

async fn call(
    app: &Arc<App>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    endpoint: Endpoint,
) -> Answered {
    authenticate::run(app, snapshot, down, ctx, endpoint.operation.as_str()).await?;
    let received = receive::run(app, down, ctx, endpoint, &snapshot.limits).await?;
    let mut call = received.call;
    authorize::defaults(ctx, snapshot, &mut call)?;
    let ruled = match &snapshot.routes {
        None => None,
        Some(_) => rules::run(app, down, ctx, snapshot, &mut call).await?,
    };
    let found = match ruled {
        Some(found) => found,
        None => snapshot
            .find(&call.envelope.model)
            .ok_or_else(|| unknown_model(ctx, snapshot, &call.envelope.model))?,
    };
    ctx.record.model = Some(Arc::clone(&found.model.name));
    authorize::model(app, ctx, snapshot, &call, found)?;
    let found = reserve::run(app, down, ctx, snapshot, &call, found).await?;
    guard::settle(ctx, snapshot, found.model)?;
    let guarded = match &ctx.guard {
        None => None,
        Some(_) => guard::request(app, down, ctx, snapshot, &call).await?,
    };
    let call = guarded.as_ref().unwrap_or(&call);
    let looked = match cached::policy(snapshot, ctx, found) {
        None => Looked::Ask,
        Some(policy) => cached::run(app, down, ctx, snapshot, call, found, policy).await?,
    };
    if let Looked::Answered(sent) = looked {
        return Ok(sent);
    }
    let asked = dispatch::run(app, down, ctx, snapshot, call, found).await;
    let judged = match asked {
        Ok(reply) if ctx.guard.is_some() => guard::answer(down, ctx, snapshot, call, reply).await,
        asked => asked,
    };
    let reply = match judged {
        Ok(reply) => reply,
        Err(error) => return cached::in_need(app, down, ctx, call, error).await,
    };
    let sent = relay::run(app, down, ctx, snapshot, call, found, reply).await;
    drop(received.room);
    Ok(sent)
}

/// What a request must pass whose body is forwarded unread.
async fn pass(
    app: &Arc<App>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    model: usize,
) -> Result<(), GatewayError> {
    authenticate::run(app, snapshot, down, ctx, "passthrough").await?;
    ctx.record.model = snapshot.models.get(model).map(|model| Arc::clone(&model.name));
    authorize::passthrough(app, ctx, snapshot, model)?;
    if let Some(model) = snapshot.models.get(model) {
        guard::settle(ctx, snapshot, model)?;
        guard::unread(ctx)?;
    }
    reserve::unread(app, down, ctx, snapshot, Some(model)).await
}

async fn list(
    app: &Arc<App>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Snapshot,
    from: Option<usize>,
) -> Answered {
    authenticate::run(app, snapshot, down, ctx, "models").await?;
    reserve::unread(app, down, ctx, snapshot, None).await?;
    let may_ask = |name: &str| authorize::may_ask(&ctx.principal, snapshot, name);
    let body = match from {
        None => models::list(
            ctx.dialect,
            snapshot.listed().filter(|name| may_ask(name)),
            snapshot.loaded_at,
        ),
        Some(from) => {
            let raw = down
                .request()
                .uri
                .path()
                .get(from..)
                .unwrap_or_default()
                .trim_end_matches('/');
            let mut name = percent_decode(raw);
            // Gemini's names are resources.
            if let (Dialect::Gemini, Some(plain)) = (ctx.dialect, name.strip_prefix("models/")) {
                name = plain.to_owned();
            }
            let known = snapshot.find(&name).filter(|_| may_ask(&name));
            known.ok_or_else(|| unknown_model(ctx, snapshot, &name))?;
            models::entry(ctx.dialect, &name, snapshot.loaded_at)
        }
    };
    Ok(respond::whole(down, ctx, StatusCode::OK, JSON, body).await)
}

/// As [`receive::route`] sees it.
fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)
}

fn percent_decode(raw: &str) -> String {
    percent_encoding::percent_decode_str(raw)
        .decode_utf8_lossy()
        .into_owned()
}

fn unknown_model(ctx: &RequestContext, snapshot: &Snapshot, asked: &str) -> GatewayError {
    // What the client sent goes back to it only, clipped and without control characters.
    let shown: String = asked.chars().filter(|c| !c.is_control()).take(100).collect();
    // Measuring a distance takes time and memory of the product of both lengths: not for a name of megabytes.
    let near = if asked.len() <= 256 {
        let mut near = snapshot.near(asked);
        near.retain(|name| authorize::may_ask(&ctx.principal, snapshot, name));
        near
    } else {
        Vec::new()
    };
    let hint = match near.as_slice() {
        [] => "GET /v1/models lists what there is".to_owned(),
        names => format!("did you mean {}?", names.join(", ")),
    };
    GatewayError::new(
        ErrorKind::NotFound,
        format!("the model `{shown}` does not exist here; {hint}"),
    )
    .code("model_not_found")
    .param("model")
}
