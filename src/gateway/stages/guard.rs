//! Guardrails at their place in the walk: behind authentication, access, rules and limits, before the cache and before anybody is asked.
//!
//! Not what they find (`guardrails`). The one idea: which of them hold is settled once, before the body is looked at; what answers then
//! (a provider, whoever it is) is judged by the same.

use super::super::context::RequestContext;
use crate::error::{ErrorKind, GatewayError};
use crate::guardrails::{Direction, Policy, Verdict};
use crate::snapshot::{PublicModel, Snapshot};

/// The guardrails of a request, and what they found so far.
#[derive(Debug)]
pub struct Guarding {
    /// They.
    pub policy: Policy,
    /// What they found.
    pub verdicts: Vec<Verdict>,
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

/// Judge a request: refused, changed, or left as it is.
pub async fn request(
    _app: &super::super::App,
    _down: &mut super::super::downstream::Downstream<'_>,
    _ctx: &mut RequestContext,
    _snapshot: &std::sync::Arc<Snapshot>,
    _call: &crate::wire::Call,
) -> Result<Option<crate::wire::Call>, GatewayError> {
    Ok(None)
}
