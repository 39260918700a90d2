//! What is counted for all requests of a model: its own limits and budgets, and those of the providers that may answer.

use super::PublicModel;
use crate::clock;
use crate::config::{self, Config};
use crate::limits::{Bank, Bound, ScopeKind};
use crate::upstream::Target;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Give every model its limits; `kept` are the blocks they were built from, in their order.
pub(super) fn bind(config: &Config, bank: &Bank, models: &mut [PublicModel], kept: &[&config::Model]) {
    let bound = |kind, name: &str, limits: &[config::Limit], budgets: &[config::Budget]| -> Vec<Arc<Bound>> {
        let rules = config::bounds(kind, name, limits, budgets).into_iter();
        rules.map(|rule| bank.bind(Arc::new(rule))).collect()
    };
    let providers: BTreeMap<&str, Vec<Arc<Bound>>> = config
        .providers
        .iter()
        .map(|(name, provider)| {
            let bounds = bound(ScopeKind::Provider, name, &provider.limits, &provider.budgets);
            (name.as_str(), bounds)
        })
        .collect();
    let candidates: Vec<Vec<Arc<str>>> = models.iter().map(|model| candidates(model, models)).collect();
    for ((model, configured), candidates) in models.iter_mut().zip(kept).zip(candidates) {
        let own = bound(ScopeKind::Model, &model.name, &configured.limits, &configured.budgets);
        let theirs = candidates
            .iter()
            .filter_map(|name| providers.get(&**name))
            .flatten()
            .cloned();
        model.bounds = own.into_iter().chain(theirs).collect();
        model.providers = candidates.into();
    }
}

/// Providers that may answer for a model, those of its fallbacks among them.
fn candidates(model: &PublicModel, models: &[PublicModel]) -> Vec<Arc<str>> {
    let chains = model
        .chain
        .iter()
        .chain(&model.context_chain)
        .chain(&model.filter_chain);
    let mut names: Vec<Arc<str>> = chains
        .filter_map(|&index| models.get(index))
        .flat_map(|model| model.targets.iter().map(|target| Arc::clone(&target.provider)))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// One figure to compare targets by; what has no price comes last.
pub(super) fn compared(target: &Target) -> u64 {
    let listed = || Some(target.listed.as_ref()?.at(clock::now())?.price.compared());
    let own = target.price.as_ref().map(|price| price.compared());
    own.or_else(listed).unwrap_or(u64::MAX)
}

/// The most that any of these writes, where that is known of all.
pub(super) fn output_cap(targets: &[Arc<Target>]) -> Option<u64> {
    let of = |target: &Arc<Target>| target.listed.as_ref()?.at(clock::now())?.facts.max_output;
    let most = targets.iter().map(of).try_fold(0, |most, cap| Some(most.max(cap?)));
    most.filter(|cap| *cap > 0)
}
