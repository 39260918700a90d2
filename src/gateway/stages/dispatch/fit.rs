//! Targets that cannot take a request: left out before anybody is asked.
//!
//! What a target lacks is configured, what a request needs is read from its body, and only for models whose targets differ. How
//! long a prompt is can only be estimated, so length alone never refuses a request: when nobody seems to have room, those for long
//! conversations are asked first; without such, or when they fail, its own targets say.

use super::super::super::aside::{OFFLOAD_FROM, aside};
use super::super::super::context::RequestContext;
use super::attempt::Common;
use super::search::Search;
use crate::config::lacking;
use crate::error::GatewayError;
use crate::snapshot::{PublicModel, Snapshot};
use crate::telemetry::Purpose;
use crate::wire::Call;
use crate::wire::needs::{self, Seen};

/// What a request needs; a large one is not looked through on the worker.
async fn look(call: &Call, depth: usize) -> Result<Seen, GatewayError> {
    if call.body.len() < OFFLOAD_FROM {
        return Ok(needs::look(&call.body, call.dialect, depth));
    }
    let (body, dialect) = (call.body.clone(), call.dialect);
    let looked = aside(move || needs::look(&body, dialect, depth)).await;
    looked.map_err(|error| GatewayError::internal(format!("blocking task: {error}")))
}

/// Those whose provider may not answer this request: the caller may not use it, or its limit is reached.
fn barred<'a>(
    snapshot: &Snapshot,
    ctx: &RequestContext,
    models: impl Iterator<Item = &'a usize>,
) -> Vec<(usize, usize)> {
    if ctx.barred.is_empty() {
        return Vec::new();
    }
    let members = models.filter_map(|&index| Some((index, &snapshot.models.get(index)?.targets)));
    members
        .flat_map(|(index, targets)| {
            targets
                .iter()
                .enumerate()
                .map(move |(member, target)| (index, member, target))
        })
        .filter(|(_, _, target)| ctx.barred.contains(&target.provider))
        .map(|(index, member, _)| (index, member))
        .collect()
}

/// Leave out who does not fit.
pub(super) async fn run<'a>(
    common: &Common<'a>,
    ctx: &mut RequestContext,
    search: &mut Search<'a>,
    model: &'a PublicModel,
) -> Result<(), GatewayError> {
    let snapshot = common.snapshot;
    let models = model
        .chain
        .iter()
        .chain(&model.context_chain)
        .chain(&model.filter_chain);
    let particular = |index: &usize| snapshot.models.get(*index).is_some_and(|model| !model.fits.is_empty());
    let barred = barred(snapshot, ctx, models.clone());
    if !models.clone().any(particular) {
        if !barred.is_empty() {
            ctx.unfit.clone_from(&barred);
            search.leave_out(barred);
        }
        return Ok(());
    }
    let call = common.call;
    let seen = match ctx.seen {
        Some(seen) => seen,
        None => look(call, snapshot.limits.json_depth).await?,
    };
    ctx.seen = Some(seen);
    let tokens = needs::estimate_tokens(call.body.len(), &seen);
    let (mut unable, mut short) = (barred, Vec::new());
    let mut lacked: Vec<&'static str> = Vec::new();
    for &index in models {
        let fits = snapshot.models.get(index).map(|model| model.fits.as_slice());
        for (member, fit) in fits.unwrap_or_default().iter().enumerate() {
            let before = lacked.len();
            lacked.extend(lacking(&fit.lacks, &seen.needs));
            if lacked.len() > before {
                unable.push((index, member));
            } else if fit.context_tokens.is_some_and(|most| tokens > most) {
                short.push((index, member));
            }
        }
    }
    ctx.unfit.clone_from(&unable);
    let all = |out: &[(usize, usize)], chain: &[usize]| {
        chain.iter().all(|index| {
            let targets = snapshot.models.get(*index).map_or(0, |model| model.targets.len());
            (0..targets).all(|member| out.contains(&(*index, member)))
        })
    };
    if all(&unable, &model.chain) {
        lacked.sort_unstable();
        lacked.dedup();
        let text = format!("no target of this model takes requests with: {}", lacked.join(", "));
        return Err(GatewayError::invalid("unsupported_parameter", text));
    }
    let both: Vec<_> = unable.iter().chain(&short).copied().collect();
    if !all(&both, &model.chain) {
        search.leave_out(both);
    } else if !model.context_chain.is_empty() && !all(&both, &model.context_chain) {
        search.leave_out(both);
        search.detour(&model.context_chain, Purpose::ContextFallback);
        search.come_back_to(&model.chain, unable);
    } else {
        search.leave_out(unable);
    }
    Ok(())
}
