//! Room in every limit and budget that applies, taken before anybody is asked: all of it, or none and a 429.
//!
//! ```text
//! the most that the request may use ─► room in organisation … key, model, providers ─► Lease, settled in `settle/bill.rs`
//!     refused for its size ─► count the prompt exactly, once ─► ask for that much
//!     a provider's own limit refuses ─► without that provider, if others can answer
//!     a budget is used up and says who is cheaper ─► the same for that model, which this budget does not refuse
//! ```
//! Nothing is done for a request that no limit applies to.

mod refusal;
mod size;

use self::size::Size;
use super::super::App;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use super::authenticate::{Principal, forbidden};
use crate::clock;
use crate::error::{ErrorKind, GatewayError};
use crate::limits::{Attempt, Bound, Demand, Lease, Measure, Refusal};
use crate::snapshot::{Found, Named, Snapshot};
use crate::units::Tokens;
use crate::wire::Call;
use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// Attempts to find room for one request: exact count, providers left out, cheaper models.
const MOST_ROUNDS: usize = 12;

/// A call that looks for room.
struct Seeking<'a, 'b> {
    app: &'a App,
    snapshot: &'a Arc<Snapshot>,
    principal: Principal,
    call: &'b Call,
    found: Found<'a>,
    /// The prompt's tokens, once they were counted.
    exact: Option<Tokens>,
    /// They were, or could not be.
    counted: bool,
    /// Budgets that sent the call here and do not refuse it any more.
    overruled: Vec<Arc<str>>,
}

/// Take room for a call; the model that answers, which is a cheaper one where a budget says so.
pub async fn run<'a>(
    app: &'a App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &'a Arc<Snapshot>,
    call: &Call,
    found: Found<'a>,
) -> Result<Found<'a>, GatewayError> {
    if ctx.principal.known.is_none() && found.model.bounds.is_empty() {
        return Ok(found);
    }
    let mut seeking = Seeking::new(app, ctx, snapshot, call, found);
    seeking.bar_by_access(ctx)?;
    for _ in 0..MOST_ROUNDS {
        if !seeking.is_limited() {
            return Ok(seeking.found);
        }
        let size = seeking.size(ctx);
        let Some(refusal) = seeking.reserve(down, ctx, size).await? else {
            return Ok(seeking.found);
        };
        if !seeking.tries_again(down, ctx, size, &refusal).await? {
            return Err(refusal::error(app, ctx, &refusal));
        }
    }
    Err(GatewayError::internal("no end to finding room"))
}

/// Room for a second call beside the first, which is charged too: a stream that broke is gone on with by another target, which reads
/// the prompt again. Whether there is any; it counts as the same request.
pub async fn again(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    call: &Call,
    found: Found<'_>,
) -> Result<bool, GatewayError> {
    if ctx.lease.as_ref().is_none_or(Lease::is_empty) {
        return Ok(true);
    }
    let seeking = Seeking::new(app, ctx, snapshot, call, found);
    let size = seeking.size(ctx);
    let now_ms = clock::now_ms();
    let nano = seeking.at_most(ctx, size, now_ms).nano;
    let providers: Vec<Arc<str>> = seeking.candidates(ctx).cloned().collect();
    let tenant = seeking.principal.known.as_ref().map(|known| &known.tenant);
    let demand = Demand {
        model: seeking.name(),
        user: tenant.and_then(|tenant| tenant.user.as_deref()),
        key: tenant.and_then(|tenant| tenant.key.as_deref()),
        providers: &providers,
        input: size.input,
        output: size.output,
        nano,
        overruled: &[],
    };
    let is_spent = |bound: &&Arc<Bound>| !matches!(bound.rule().measure, Measure::Requests | Measure::Concurrent);
    let more = take(app, down, seeking.bounds().filter(is_spent), &demand, now_ms).await?;
    Ok(match (more, &mut ctx.lease) {
        (Ok(more), Some(lease)) => {
            lease.add(more);
            true
        }
        (Ok(_), None) => true,
        (Err(_), _) => false,
    })
}

/// Room for a request without a body that is read: it counts as a request, and a budget that is used up refuses it.
pub async fn unread(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Snapshot,
    model: Option<usize>,
) -> Result<(), GatewayError> {
    let model = model.and_then(|index| snapshot.models.get(index));
    let principal = ctx.principal.clone();
    let own = principal.bounds();
    let of_model = model.map(|model| &*model.bounds).unwrap_or_default();
    if own.clone().next().is_none() && of_model.is_empty() {
        return Ok(());
    }
    if model.is_some() && snapshot.tariff.refuses_unpriced() && own.clone().chain(of_model).any(|bound| is_hard(bound))
    {
        // What it costs is never known.
        return Err(unpriced());
    }
    let tenant = principal.known.as_ref().map(|known| &known.tenant);
    let mut providers = model.map(|model| model.providers.to_vec()).unwrap_or_default();
    providers.retain(|provider| !ctx.barred.contains(provider));
    loop {
        let demand = Demand {
            model: model.map_or("", |model| &*model.name),
            user: tenant.and_then(|tenant| tenant.user.as_deref()),
            key: tenant.and_then(|tenant| tenant.key.as_deref()),
            providers: &providers,
            input: 0,
            output: 0,
            // The least there is: no room for it means that there is none at all.
            nano: u64::from(model.is_some()),
            overruled: &[],
        };
        let refusal = match take(app, down, own.clone().chain(of_model), &demand, clock::now_ms()).await? {
            Ok(mut lease) => {
                if model.is_none() {
                    // Answered here, by nobody else: it counts all the same.
                    lease.sent();
                }
                ctx.standings = lease.standings();
                ctx.lease = Some(lease);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        let before = providers.len();
        let barred = &refusal.rule.providers;
        providers.retain(|provider| !barred.contains(provider));
        // Without those whose own limit it is, if that leaves anybody.
        if providers.is_empty() || providers.len() == before {
            return Err(refusal::error(app, ctx, &refusal));
        }
        ctx.barred.extend(barred.iter().cloned());
    }
}

/// Reserve; the outer error is a client that left while Redis was asked.
async fn take<'r>(
    app: &App,
    down: &mut Downstream<'_>,
    bounds: impl Iterator<Item = &'r Arc<Bound>>,
    demand: &Demand<'_>,
    now_ms: u64,
) -> Result<Result<Lease, Refusal>, GatewayError> {
    match app.state.bank.try_reserve(bounds, demand, now_ms) {
        Attempt::Granted(lease) => Ok(Ok(lease)),
        Attempt::Refused(refusal) => Ok(Err(refusal)),
        Attempt::Short(short) => {
            let began = Instant::now();
            let asked = {
                let ask = pin!(short.ask());
                down.or_left(ask).await
            };
            down.waited += began.elapsed();
            asked.map_err(|_| GatewayError::client_left())
        }
    }
}

impl<'a, 'b> Seeking<'a, 'b> {
    fn new(app: &'a App, ctx: &RequestContext, snapshot: &'a Arc<Snapshot>, call: &'b Call, found: Found<'a>) -> Self {
        Self {
            app,
            snapshot,
            principal: ctx.principal.clone(),
            call,
            found,
            exact: None,
            counted: false,
            overruled: Vec::new(),
        }
    }

    /// Providers that the caller may not use are left out; all of them: it may not ask for this.
    fn bar_by_access(&self, ctx: &mut RequestContext) -> Result<(), GatewayError> {
        let Some(known) = self
            .principal
            .known
            .as_ref()
            .filter(|known| !known.access.any_provider())
        else {
            return Ok(());
        };
        let mut denied = None;
        for provider in &self.found.model.providers {
            if let Err(why) = known.access.provider(provider) {
                ctx.barred.push(Arc::clone(provider));
                denied = Some(why);
            }
        }
        match denied {
            Some(why) if self.candidates(ctx).next().is_none() => Err(forbidden(self.app, &why)),
            _ => Ok(()),
        }
    }

    /// Who may answer.
    fn candidates<'c>(&self, ctx: &'c RequestContext) -> impl Iterator<Item = &'a Arc<str>> + use<'a, 'c> {
        self.found
            .model
            .providers
            .iter()
            .filter(|name| !ctx.barred.contains(name))
    }

    fn bounds(&self) -> impl Iterator<Item = &Arc<Bound>> {
        self.principal.bounds().chain(&self.found.model.bounds)
    }

    fn is_limited(&self) -> bool {
        self.bounds().next().is_some()
    }

    fn named(&self) -> Named<'_> {
        Named {
            asked: &self.call.envelope.model,
            matched: self.found.matched,
        }
    }

    /// The model's name as limits know it.
    fn name(&self) -> &str {
        if self.found.matched.is_empty() {
            &self.found.model.name
        } else {
            &self.call.envelope.model
        }
    }

    /// Take room: a refusal, or nothing.
    async fn reserve(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        size: Size,
    ) -> Result<Option<Refusal>, GatewayError> {
        let now_ms = clock::now_ms();
        let most = self.at_most(ctx, size, now_ms);
        if most.unpriced && self.snapshot.tariff.refuses_unpriced() && self.has_hard_budget() {
            return Err(unpriced());
        }
        let tenant = self.principal.known.as_ref().map(|known| &known.tenant);
        let providers = if ctx.barred.is_empty() {
            Cow::Borrowed(&*self.found.model.providers)
        } else {
            Cow::Owned(self.candidates(ctx).cloned().collect::<Vec<_>>())
        };
        let demand = Demand {
            model: self.name(),
            user: tenant.and_then(|tenant| tenant.user.as_deref()),
            key: tenant.and_then(|tenant| tenant.key.as_deref()),
            providers: &providers,
            input: size.input,
            output: size.output,
            // What has no price is refused at least by a budget that is used up.
            nano: most.nano.max(u64::from(most.unpriced)),
            overruled: &self.overruled,
        };
        match take(self.app, down, self.bounds(), &demand, now_ms).await? {
            Ok(lease) => {
                ctx.standings = lease.standings();
                ctx.lease = Some(lease);
                Ok(None)
            }
            Err(refusal) => Ok(Some(refusal)),
        }
    }

    fn has_hard_budget(&self) -> bool {
        let name = self.name();
        self.bounds()
            .any(|bound| is_hard(bound) && bound.rule().models.matches(name))
    }

    /// Whether there is another way, which is taken.
    async fn tries_again(
        &mut self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        size: Size,
        refusal: &Refusal,
    ) -> Result<bool, GatewayError> {
        let rule = &refusal.rule;
        if !self.counted && !refusal.outage && self.may_fit(ctx, size, refusal) {
            self.counted = true;
            self.exact = self.count(down, ctx).await?;
            if self.exact.is_some() {
                return Ok(true);
            }
        }
        if !rule.providers.is_empty() {
            let before = ctx.barred.len();
            ctx.barred.extend(rule.providers.iter().cloned());
            if self.candidates(ctx).next().is_some() {
                return Ok(ctx.barred.len() > before);
            }
            ctx.barred.truncate(before);
        }
        let cheaper = rule.downgrade_to.as_ref().filter(|_| !refusal.outage);
        let cheaper = cheaper.and_then(|to| self.snapshot.model(to));
        // Whoever writes a budget may be bound to a team's models: it leads to no other.
        let may_ask = |model: &&crate::snapshot::PublicModel| {
            let known = self.principal.known.as_ref();
            known.is_none_or(|known| known.access.model(&model.name).is_ok())
        };
        let Some(model) = cheaper.filter(may_ask) else {
            return Ok(false);
        };
        let cheaper = Found { model, matched: "" };
        self.app
            .meters
            .accounts
            .downgraded(&self.found.model.name, &cheaper.model.name);
        self.overruled.push(Arc::clone(&rule.id));
        self.found = cheaper;
        (self.exact, self.counted) = (None, false);
        ctx.barred.clear();
        ctx.record.wild = None;
        ctx.record.model = Some(Arc::clone(&cheaper.model.name));
        self.bar_by_access(ctx)?;
        Ok(true)
    }
}

fn is_hard(bound: &Bound) -> bool {
    bound.rule().measure == Measure::NanoUsd && !bound.rule().soft
}

fn unpriced() -> GatewayError {
    GatewayError::new(
        ErrorKind::Forbidden,
        "this model has no price here, and a budget applies that only takes models with one; its operator has to add it",
    )
    .code("model_without_price")
}
