//! What may be kept and served of a request: policies as written put over each other, as run.
//!
//! ```text
//! cache.defaults ← model        once, when the snapshot is built: PublicModel::cache
//!   ← organisation ← team ← project ← user ← key      once, when the directory is built: Principal::cache
//!   ← rules                     with each request, where there is something to put over
//! ```
//! Not what a caller's headers ask for (`cache::Wish`). The one idea: a policy is a few plain values, so that merging is copying and
//! a request of whose tenants and rules nothing is written pays one comparison.

use super::{PublicModel, Snapshot};
use crate::cache::{Mode, Pace, Policy, Scope};
use crate::config::{ByteSize, CacheMode, CachePolicy, CacheScope, Config, Interval, Model};

impl Snapshot {
    /// What may be kept and served of a request to `model` (the one that answers for the name that was asked, before fallbacks); nothing:
    /// the cache is not to be looked at. `tenant` is that of the principal, `rule` that of the rules that applied.
    pub fn cache_policy(
        &self,
        model: &PublicModel,
        tenant: Option<&CachePolicy>,
        rule: Option<&CachePolicy>,
    ) -> Option<Policy> {
        if tenant.is_none() && rule.is_none() {
            return (model.cache.mode != Mode::Off).then(|| model.cache.clone());
        }
        let mut policy = model.cache.clone();
        for patch in [tenant, rule].into_iter().flatten() {
            apply(&mut policy, patch);
        }
        // A tenant of the store may ask for what the file no longer has.
        if !self.semantic_cache {
            policy.mode = policy.mode.min(Mode::Exact);
        }
        (policy.mode != Mode::Off).then_some(policy)
    }
}

/// What a model is asked under when neither tenants nor rules say anything.
pub(super) fn of_model(config: &Config, model: &Model) -> Policy {
    let mut policy = Policy::default();
    apply(&mut policy, &config.cache.defaults);
    if let Some(own) = &model.cache {
        apply(&mut policy, own);
    }
    policy
}

/// Put a policy as written over one as run: what it gives counts, what it leaves out stays.
pub fn apply(policy: &mut Policy, patch: &CachePolicy) {
    // Taken apart, so that a new member is not forgotten.
    let CachePolicy {
        mode,
        scope,
        ttl,
        stale_while_revalidate,
        stale_if_error,
        max_temperature,
        tools,
        tool_calls,
        length,
        time_bound,
        personal,
        by_target,
        threshold,
        time_limit,
        sample,
        singleflight,
        tokens_per_second,
        max_request,
        max_answer,
    } = *patch;
    put(&mut policy.mode, mode.map(mode_as_run));
    put(&mut policy.scope, scope.map(scope_as_run));
    let time = |written: Option<Interval>| written.map(Interval::as_duration);
    put(&mut policy.ttl, time(ttl));
    put(&mut policy.stale_while_revalidate, time(stale_while_revalidate));
    put(&mut policy.stale_if_error, time(stale_if_error));
    put(&mut policy.time_limit, time(time_limit));
    put(&mut policy.max_temperature, max_temperature);
    put(&mut policy.tools, tools);
    put(&mut policy.tool_calls, tool_calls);
    put(&mut policy.length, length);
    put(&mut policy.time_bound, time_bound);
    put(&mut policy.personal, personal);
    put(&mut policy.by_target, by_target);
    put(&mut policy.threshold, threshold);
    put(&mut policy.sample, sample);
    put(&mut policy.singleflight, singleflight);
    put(&mut policy.pace, tokens_per_second.map(Pace::Tokens));
    let size = |written: Option<ByteSize>| written.map(ByteSize::as_bytes);
    put(&mut policy.max_request, size(max_request));
    put(&mut policy.max_answer, size(max_answer));
}

fn put<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

fn mode_as_run(mode: CacheMode) -> Mode {
    match mode {
        CacheMode::Off => Mode::Off,
        CacheMode::Exact => Mode::Exact,
        CacheMode::Shadow => Mode::Shadow,
        CacheMode::Semantic => Mode::Semantic,
    }
}

fn scope_as_run(scope: CacheScope) -> Scope {
    match scope {
        CacheScope::Key => Scope::Key,
        CacheScope::User => Scope::User,
        CacheScope::Project => Scope::Project,
        CacheScope::Team => Scope::Team,
        CacheScope::Organisation => Scope::Organisation,
    }
}
