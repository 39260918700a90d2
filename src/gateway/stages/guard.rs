//! Guardrails at their place in the walk: behind authentication, access, rules and limits, before the cache and before anybody is asked.
//!
//! Not what they find (`guardrails`). The one idea: which of them hold is settled once, before the body is looked at; what answers then
//! (a provider, whoever it is) is judged by the same.

mod look;
mod refusal;
#[cfg(test)]
mod tests;

pub use self::look::{Judged, request as judge_request, whole};

use super::super::App;
use super::super::aside::aside;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use super::dispatch::Reply;
use crate::error::{ErrorKind, GatewayError};
use crate::guardrails::{Direction, Policy, Verdict};
use crate::snapshot::{PublicModel, Snapshot};
use crate::wire::{Call, Dialect, errors};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use std::fmt::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// The guardrails of a request, and what they found so far.
#[derive(Debug)]
pub struct Guarding {
    /// They.
    pub policy: Policy,
    /// What they found.
    pub verdicts: Vec<Verdict>,
}

/// Which guardrails found something, and what followed: `personal-data=redact, keys=flag`.
const GUARDRAILS: HeaderName = HeaderName::from_static("x-cirque-guardrails");
/// Bodies from this size on are judged off the worker: what prose takes a hundred microseconds for, hostile text takes a hundred milliseconds.
const ASIDE_FROM: usize = 32 * 1024;
/// Longest account of what they found, in bytes.
const LONGEST: usize = 1000;

impl Guarding {
    /// What was found, for records: `name:direction:action:KIND=count,…`, several with `;` between them.
    pub fn told(&self) -> Option<Box<str>> {
        let mut told = String::new();
        for verdict in &self.verdicts {
            if told.len() > LONGEST {
                break;
            }
            let between = if told.is_empty() { "" } else { ";" };
            let (direction, action) = (verdict.direction.as_str(), verdict.action.as_str());
            let _ = write!(told, "{between}{}:{direction}:{action}:", verdict.guardrail);
            for (index, (kind, count)) in verdict.found.iter().enumerate() {
                let between = if index == 0 { "" } else { "," };
                let _ = write!(told, "{between}{kind}={count}");
            }
        }
        (!told.is_empty()).then(|| told.into())
    }

    /// Tell the client, as far as it is known when the head is sent: of a stream what was found in the request.
    pub fn tell(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        if self.verdicts.is_empty() {
            return Ok(());
        }
        let said = self
            .verdicts
            .iter()
            .map(|verdict| format!("{}={}", verdict.guardrail, verdict.action.as_str()));
        let mut said: Vec<String> = said.collect();
        said.dedup();
        if let Ok(value) = HeaderValue::from_str(&said.join(", ")) {
            head.insert_header(GUARDRAILS, value)?;
        }
        Ok(())
    }
}

/// Count what they found. Once, when the request is over.
pub fn count(app: &App, guarding: &Guarding) {
    for verdict in &guarding.verdicts {
        let found = verdict.found.iter().map(|(kind, count)| (*kind, *count));
        let (direction, action) = (verdict.direction.as_str(), verdict.action.as_str());
        app.meters
            .guardrails
            .verdict(&verdict.guardrail, direction, action, found);
    }
}

/// Settle which guardrails hold.
pub fn settle(ctx: &mut RequestContext, snapshot: &Snapshot, model: &PublicModel) -> Result<(), GatewayError> {
    let tenant = ctx
        .principal
        .known
        .as_ref()
        .map(|known| &*known.guardrails)
        .unwrap_or_default();
    if model.guardrails.is_empty() && tenant.is_empty() && ctx.rule_guardrails.is_empty() {
        return Ok(());
    }
    let policy = snapshot.guardrail_policy(model, tenant.iter().chain(&ctx.rule_guardrails));
    let policy = policy.map_err(|name| missing(&name))?;
    ctx.guard = policy.map(|policy| {
        Box::new(Guarding {
            policy,
            verdicts: Vec::new(),
        })
    });
    Ok(())
}

/// Whether a body may be forwarded that is not read.
pub fn unread(ctx: &RequestContext) -> Result<(), GatewayError> {
    let Some(guardrail) = ctx.guard.as_ref().and_then(|guard| guard.policy.stops_unread()) else {
        return Ok(());
    };
    let text = format!(
        "the guardrail `{}` must read what is sent, and this path is forwarded unread; use a path that the gateway serves itself, or ask for \
         `passthrough: true` on the guardrail",
        guardrail.name
    );
    Err(GatewayError::new(ErrorKind::Forbidden, text).code("guardrail_unread"))
}

/// What of the guardrails decides an answer, for the cache: answers that passed other guardrails are not found. Those of requests change
/// what is asked, which is in the key already.
pub fn decides(ctx: &RequestContext) -> Option<String> {
    let guard = ctx.guard.as_ref()?;
    digest_of(&guard.policy)
}

/// The same of a policy.
pub fn digest_of(policy: &Policy) -> Option<String> {
    let held = policy
        .guardrails()
        .iter()
        .filter(|guardrail| guardrail.holds(Direction::Output));
    let digests: Vec<String> = held.map(|guardrail| crate::hex::hex(&guardrail.digest)).collect();
    (!digests.is_empty()).then(|| format!("guardrails:{}\n", digests.join(",")))
}

fn missing(name: &str) -> GatewayError {
    // Failing closed: whoever named it counts on it.
    tracing::error!(
        guardrail = name,
        "a guardrail that a tenant names is not in the configuration: its requests are refused"
    );
    GatewayError::new(
        ErrorKind::NoHealthyTarget,
        format!("the guardrail `{name}` that holds for this request is not configured; tell who runs this gateway"),
    )
    .code("guardrail_missing")
}

/// Judge a request: refused, changed (the call as it is now), or left as it is.
pub async fn request(
    _app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    call: &Call,
) -> Result<Option<Call>, GatewayError> {
    let Some(guard) = ctx.guard.as_mut().filter(|guard| guard.policy.holds(Direction::Input)) else {
        return Ok(None);
    };
    let depth = snapshot.limits.json_depth;
    let judged = if call.body.len() < ASIDE_FROM {
        look::request(&guard.policy, call, depth)
    } else {
        let (policy, call) = (guard.policy.clone(), call.clone());
        apart(down, move || look::request(&policy, &call, depth)).await?
    };
    guard.verdicts.extend(judged.verdicts);
    let edited = judged.outcome?;
    if edited.is_some() {
        // What was seen is of the body as it came.
        ctx.seen = None;
    }
    Ok(edited)
}

/// Judge an answer that is whole, before it is sent or kept: as it may be sent. Streams are judged as they pass (`live`).
pub async fn answer(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    call: &Call,
    reply: Reply,
) -> Result<Reply, GatewayError> {
    let guard = ctx.guard.as_mut().filter(|guard| guard.policy.holds(Direction::Output));
    let Some(guard) = guard else { return Ok(reply) };
    let (body, room, filtered) = match reply {
        Reply::Whole { body, room, filtered } => (body, room, filtered),
        Reply::Refused { status, body, reason } => {
            let depth = snapshot.limits.json_depth;
            let judged = if body.len() < ASIDE_FROM {
                look::error(&guard.policy, call, body, depth)
            } else {
                let (policy, call) = (guard.policy.clone(), call.clone());
                apart(down, move || look::error(&policy, &call, body, depth)).await?
            };
            guard.verdicts.extend(judged.verdicts);
            let body = judged.outcome?.unwrap_or_else(|| unsaid(call.dialect, ctx.id.as_str()));
            return Ok(Reply::Refused { status, body, reason });
        }
        Reply::Live(_) => return Ok(reply),
    };
    let (depth, usage) = (snapshot.limits.json_depth, ctx.record.usage);
    let judged = if body.len() < ASIDE_FROM {
        whole(&guard.policy, call, body, usage, depth)
    } else {
        let (policy, call) = (guard.policy.clone(), call.clone());
        apart(down, move || whole(&policy, &call, body, usage, depth)).await?
    };
    guard.verdicts.extend(judged.verdicts);
    Ok(match judged.outcome? {
        Judged::Pass(body) => Reply::Whole { body, room, filtered },
        Judged::Blocked(body) => Reply::Whole {
            body,
            room,
            filtered: true,
        },
    })
}

/// In the place of an error that may not be shown.
fn unsaid(dialect: Dialect, request_id: &str) -> Bytes {
    let text = "the provider refused the request, and a guardrail does not let its reason pass";
    errors::body(dialect, &GatewayError::invalid("provider_refused", text), request_id)
}

/// Off the worker, for as long as the client waits.
async fn apart<T: Send + 'static>(
    down: &mut Downstream<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, GatewayError> {
    let began = Instant::now();
    let done = down.or_left(pin!(aside(work))).await;
    down.waited += began.elapsed();
    let done = done.map_err(|_| GatewayError::client_left())?;
    done.map_err(|error| GatewayError::internal(format!("blocking task: {error}")))
}
