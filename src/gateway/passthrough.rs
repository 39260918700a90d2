//! The passthrough lane: paths whose bodies need not be read (files, audio, images, batches, realtime websockets).
//!
//! Pingora's native phases stream both ways without buffering; this file fills them in. Admission and authentication
//! have happened (in [`super::pipeline`]); the pick comes from the same pools as the API lane's, and settling is the
//! same code. Until the first byte of a body went out, a target that cannot be connected to is replaced by the next.
//! What it says of a target is in `passthrough/blame.rs`.

mod blame;
mod discretion;
mod strip;
mod told;

pub use self::discretion::conceal;
pub use self::told::hear;

use self::blame::{Ending, ending, report, speaks};
use super::App;
use super::context::RequestContext;
use super::downstream::Downstream;
use super::respond;
use super::stages::settle;
use crate::balance::{Ask, NoPick, Permit};
use crate::error::{ErrorKind, GatewayError};
use crate::providers::{Blame, Body, Verdict};
use crate::telemetry::Outcome;
use crate::upstream::{Backend, Credential, Site, Target};
use crate::wire::told::Listener;
use http::header::{HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, Session};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Longest silence of a websocket before it is taken for dead.
const UPGRADED_IDLE: Duration = Duration::from_secs(600);

/// Longest wait for an access token.
const TOKEN_WAIT: Duration = Duration::from_secs(10);

/// Cool-down after a 429 that names no time.
const DEFAULT_COOL: Duration = Duration::from_secs(5);

/// A request in this lane.
pub struct Passing {
    model: usize,
    tried: Vec<usize>,
    permit: Option<Permit>,
    target: Option<Arc<Target>>,
    /// Set when the provider refused the gateway's own credential.
    auth_failed: bool,
    /// What an error of the provider says of it.
    verdict: Option<Verdict>,
    /// Why nobody could be asked.
    nobody: Option<NoPick>,
    /// The answer is an error.
    failed: bool,
    /// The end of what of it was passed on.
    tail: Vec<u8>,
    /// What it used is told by its answer.
    tells: bool,
    /// Listens to that.
    listener: Option<Box<Listener>>,
}

impl Passing {
    /// To the pool of this model. `tells`: the answer tells what was used, and that is charged.
    pub fn new(model: usize, tells: bool) -> Self {
        Self {
            model,
            tried: Vec::new(),
            permit: None,
            target: None,
            auth_failed: false,
            verdict: None,
            nobody: None,
            failed: false,
            tail: Vec::new(),
            tells,
            listener: None,
        }
    }

    fn site(&self) -> Option<&Arc<Site>> {
        match &self.target.as_ref()?.backend {
            Backend::Http(site) => Some(site),
            Backend::Demo => None,
        }
    }
}

/// Response headers that reach the client.
const RETURNED: [&str; 22] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "content-disposition",
    "content-range",
    "content-language",
    "accept-ranges",
    "etag",
    "last-modified",
    "cache-control",
    "retry-after",
    "date",
    "connection",
    "upgrade",
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "openai-processing-ms",
    "openai-version",
    "allow",
    "trailer",
];

/// Pick a target and a peer of it.
pub async fn peer(session: &mut Session, ctx: &mut RequestContext) -> pingora::Result<Box<HttpPeer>> {
    let upgrade = session.is_upgrade_req();
    let (Some(snapshot), Some(passing)) = (ctx.snapshot.clone(), ctx.passthrough.as_mut()) else {
        return Error::e_explain(ErrorType::InternalError, "no passthrough state");
    };
    let Some(model) = snapshot.models.get(passing.model) else {
        return Error::e_explain(ErrorType::InternalError, "no such pool");
    };
    ctx.record.model = Some(Arc::clone(&model.name));
    let (target, site) = loop {
        let pick = model
            .pool
            .pick(&passing.tried, Ask::default(), Instant::now)
            .or_else(|why| match why.last_resort() {
                Some(member) if passing.tried.is_empty() => model.pool.pick_anyway(member, Instant::now).ok_or(why),
                _ => Err(why),
            });
        let Ok(pick) = pick.map_err(|why| passing.nobody = Some(why)) else {
            if ctx.record.attempts > 0 {
                // Everybody was tried: what failed was connecting.
                let mut error = Error::explain(ErrorType::ConnectError, "no target of the pool can be connected to");
                error.as_up();
                return Err(error);
            }
            return Error::e_explain(ErrorType::HTTPStatus(503), "no target of the pool can be asked");
        };
        passing.tried.push(pick.index);
        let Some(target) = model.targets.get(pick.index) else {
            continue;
        };
        if ctx.barred.contains(&target.provider) {
            continue;
        }
        if let Backend::Http(site) = &target.backend {
            passing.permit = Some(pick.permit);
            break (target, site);
        }
    };
    passing.target = Some(Arc::clone(target));
    ctx.record.target = Some(Arc::clone(target));
    ctx.record.meter = passing
        .tried
        .last()
        .and_then(|&index| model.passing_meter(index))
        .cloned();
    ctx.record.attempts += 1;
    let Some(known) = site.addresses.peer(Instant::now() + target.deadlines.connect).await else {
        let mut error = Error::explain(ErrorType::ConnectError, "the host name could not be resolved");
        error.as_up();
        error.set_retry(true);
        return Err(error);
    };
    let mut peer = Box::new(HttpPeer::clone(&known));
    peer.options.read_timeout = Some(if upgrade {
        UPGRADED_IDLE
    } else {
        target.deadlines.first_byte.max(target.deadlines.idle)
    });
    peer.options.write_timeout = Some(target.deadlines.idle);
    if upgrade {
        peer.options.alpn = ALPN::H1;
    }
    Ok(peer)
}

/// Our credential, host and path instead of the client's.
pub async fn request(
    app: &App,
    session: &Session,
    request: &mut RequestHeader,
    ctx: &RequestContext,
) -> pingora::Result<()> {
    let Some(site) = ctx.passthrough.as_ref().and_then(Passing::site) else {
        return Ok(());
    };
    strip::headers(request);
    for (name, value) in site.headers() {
        request.insert_header(name.clone(), value.clone())?;
    }
    strip::protocols(request)?;
    told::ask_plain(ctx, request)?;
    let uri = &session.req_header().uri;
    let below = uri.path().strip_prefix("/v1").unwrap_or_default();
    let mut path = format!("{}{below}", site.base.path);
    if let Some(query) = uri.query().map(strip::query).filter(|query| !query.is_empty()) {
        path.push('?');
        path.push_str(&query);
    }
    let uri = path
        .parse()
        .map_err(|_| Error::explain(ErrorType::HTTPStatus(400), "the path cannot be forwarded"))?;
    request.set_uri(uri);
    match &site.credential {
        Credential::Fixed => Ok(()),
        // A signature covers the body, which is not read in this lane.
        Credential::Aws(_) => Error::e_explain(ErrorType::HTTPStatus(400), "signed providers take no unread bodies"),
        token @ Credential::Token(_) => {
            let (host, now) = (site.base.authority(), SystemTime::now());
            let deadline = Instant::now() + TOKEN_WAIT;
            token
                .apply(&app.transport, request, &Body::default(), &host, now, deadline)
                .await
                .map_err(|fault| Error::explain(ErrorType::HTTPStatus(502), fault.to_string()))
        }
    }
}

/// Only what the allow-list names, and our own headers.
pub fn response(response: &mut ResponseHeader, ctx: &mut RequestContext) -> pingora::Result<()> {
    let Some(passing) = ctx.passthrough.as_mut() else {
        return Ok(());
    };
    let status = response.status;
    passing.failed = status.is_client_error() || status.is_server_error();
    if passing.failed {
        let now = SystemTime::now();
        if let (401, Some(site)) = (status.as_u16(), passing.site()) {
            site.credential.refused(now);
        }
        passing.verdict = passing
            .site()
            .map(|site| site.provider.classify(status, &response.headers, &[], now))
            .filter(|_| speaks(status.as_u16(), &response.headers));
        let at_once = |verdict: Verdict| matches!(verdict.blame, Blame::RateLimit | Blame::Credential);
        if passing.verdict.is_some_and(at_once)
            && let (Some(permit), Some(target)) = (passing.permit.take(), &passing.target)
        {
            // Before the client hears of it, who may ask again at once.
            report(target, permit, passing, Ending::Answered(status.as_u16()));
        }
    } else if let Some(permit) = &mut passing.permit {
        permit.begun();
    }
    told::listen(passing, response);
    if matches!(status.as_u16(), 401 | 403) {
        passing.auth_failed = true;
        return Error::e_explain(ErrorType::HTTPStatus(502), "the provider refused our credential");
    }
    let dropped: Vec<HeaderName> = response
        .headers
        .keys()
        .filter(|name| !RETURNED.contains(&name.as_str()))
        .cloned()
        .collect();
    for name in dropped {
        response.remove_header(&name);
    }
    response.insert_header("x-request-id", ctx.id.header().clone())?;
    respond::limits(response, ctx)?;
    if let Some(model) = ctx
        .record
        .model
        .as_ref()
        .and_then(|model| HeaderValue::from_str(model).ok())
    {
        response.insert_header("x-cirque-model", model)?;
    }
    if let Some(target) = &ctx.record.target {
        response.insert_header("x-cirque-target", target.id_header.clone())?;
        response.insert_header("x-cirque-attempts", HeaderValue::from(ctx.record.attempts))?;
    }
    Ok(())
}

/// Nothing was sent yet: another target may do.
pub fn connect_failed(ctx: &mut RequestContext, mut error: Box<Error>) -> Box<Error> {
    if let Some(passing) = ctx.passthrough.as_mut() {
        if let Some(permit) = passing.permit.take() {
            permit.failure(Instant::now());
        }
        if let Some(target) = &passing.target {
            let timed_out = matches!(
                error.etype,
                ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout
            );
            target.attempts.count(if timed_out {
                Outcome::ConnectTimeout
            } else {
                Outcome::ConnectError
            });
        }
        error.set_retry(true);
    }
    error
}

/// Pingora's own rule, for a connection that broke after it was made: only what is safe to repeat, on a stale connection.
pub fn proxy_failed(
    _peer: &HttpPeer,
    session: &mut Session,
    mut error: Box<Error>,
    ctx: &mut RequestContext,
    reused: bool,
) -> Box<Error> {
    if session.req_header().method.is_idempotent() && !session.as_ref().retry_buffer_truncated() {
        error.retry.decide_reuse(reused);
    } else {
        error.set_retry(false);
    }
    if error.retry() {
        // The same pool is asked again; the stale connection said nothing about the target.
        if let Some(passing) = ctx.passthrough.as_mut() {
            passing.permit = None;
            passing.tried.pop();
        }
    }
    error
}

/// Tell the client, in its dialect.
pub async fn answer_failure(session: &mut Session, error: &Error, ctx: &mut RequestContext) -> FailToProxy {
    let auth_failed = ctx.passthrough.as_ref().is_some_and(|passing| passing.auth_failed);
    let ours = match (&error.etype, error.esource()) {
        _ if auth_failed => GatewayError::new(
            ErrorKind::ProviderAuthFailed,
            "the provider refused the gateway's credential; its operator has to mend it",
        ),
        (_, ErrorSource::Downstream) => GatewayError::client_left(),
        (ErrorType::HTTPStatus(503), _) => refused(ctx.passthrough.as_ref().and_then(|passing| passing.nobody)),
        (ErrorType::HTTPStatus(400), _) => GatewayError::invalid("invalid_path", "this path cannot be forwarded"),
        (
            ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout,
            _,
        ) => GatewayError::new(ErrorKind::ProviderTimeout, "the provider did not answer in time"),
        (_, ErrorSource::Upstream) => GatewayError::new(
            ErrorKind::ProviderError,
            "the provider could not be reached or broke off",
        ),
        _ => GatewayError::internal(error.etype.as_str()),
    };
    ctx.record.error = Some(ours.kind);
    ctx.record.internal = Some(error.etype.as_str().to_owned());
    let started = session.response_written().is_some();
    let mut down = Downstream::new(session);
    down.close_after();
    if started || respond::error(&mut down, ctx, &ours, None).await.is_err() {
        ctx.record.status = ctx
            .record
            .status
            .max(if ours.kind == ErrorKind::ClientLeft { 499 } else { 502 });
    }
    FailToProxy {
        error_code: ctx.record.status,
        can_reuse_downstream: false,
    }
}

/// Nobody could be asked: as the API lane says it.
fn refused(why: Option<NoPick>) -> GatewayError {
    let why = why.unwrap_or_default();
    match why.cooling {
        Some(left) => GatewayError::new(
            ErrorKind::RateLimited,
            "every target of this pool is rate limited by its provider",
        )
        .retry_after(left),
        None if why.full => GatewayError::new(
            ErrorKind::Overloaded,
            "every target of this pool has as many requests as it may have",
        )
        .retry_after(Duration::from_secs(1)),
        None => GatewayError::new(ErrorKind::NoHealthyTarget, "no target of this pool can be asked now")
            .retry_after(Duration::from_secs(5)),
    }
}

/// The end of a request in this lane.
pub fn settle(app: &App, session: &mut Session, error: Option<&Error>, ctx: &mut RequestContext) {
    let Some(mut passing) = ctx.passthrough.take() else {
        return;
    };
    if ctx.record.status == 0 {
        ctx.record.status = session.response_written().map_or(499, |head| head.status.as_u16());
    }
    let ending = ending(session, error, ctx.record.status);
    if let Ending::ClientLeft = ending {
        ctx.record.status = 499;
    }
    if let (Some(permit), Some(target)) = (passing.permit.take(), &passing.target) {
        report(target, permit, &passing, ending);
    }
    told::note(&mut passing, &mut ctx.record);
    ctx.record.bytes_out = session.body_bytes_sent() as u64;
    ctx.record.bytes_in = session.body_bytes_read() as u64;
    // Every byte passed through; what is not the provider's or the client's time cannot be told apart here.
    ctx.record.waited = ctx.started.elapsed();
    let request = session.req_header();
    let (method, path) = (request.method.clone(), request.uri.path().to_owned());
    settle::run(app, ctx, &method, &path);
}
