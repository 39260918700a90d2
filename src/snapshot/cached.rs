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
use std::time::Duration;

/// Longest wait for looking by likeness where a model elsewhere makes the vectors and nothing is said.
const REMOTE_TIME_LIMIT: Duration = Duration::from_millis(500);

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
    if config
        .cache
        .semantic
        .as_ref()
        .is_some_and(|tier| tier.embedder.is_some())
    {
        // A model elsewhere is not asked in milliseconds.
        policy.time_limit = REMOTE_TIME_LIMIT;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::State;
    use crate::telemetry::Meters;
    use std::time::Duration;

    fn snapshot(cache: &str, model: &str) -> Snapshot {
        let text = format!(
            "listen: 127.0.0.1:0\ninsecure: {{ open_access: true }}\nproviders: {{ d: {{ kind: demo }}, o: {{ kind: openai }} }}\ncache: {cache}\n\
             models: {{ m: {{ targets: [ {{ provider: d }} ], cache: {model} }}, e: {{ targets: [ {{ provider: o }} ] }} }}\n"
        );
        let config = crate::config::parse(&text, "test").unwrap();
        Snapshot::build(&config, &State::new(Meters::new().unwrap())).unwrap()
    }

    fn patch(json: serde_json::Value) -> CachePolicy {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_nobody_turns_on_is_off() {
        let off = snapshot("{ defaults: { ttl: 5m, scope: team } }", "{ threshold: 0.95 }");
        let model = off.model("m").unwrap();
        assert_eq!(off.cache_policy(model, None, None), None);
        assert_eq!(off.cache_policy(model, Some(&CachePolicy::default()), None), None);
        // Whoever turns it on gets what those around it said.
        let key = patch(serde_json::json!({ "mode": "exact" }));
        let policy = off.cache_policy(model, Some(&key), None).unwrap();
        assert_eq!(
            (policy.mode, policy.scope, policy.ttl, policy.threshold),
            (Mode::Exact, Scope::Team, Duration::from_secs(300), 0.95)
        );
        assert!(off.cache_policy(model, None, Some(&key)).is_some());
    }

    #[test]
    fn the_narrower_wins_member_by_member_and_a_rule_before_all() {
        let on = snapshot(
            "{ defaults: { ttl: 5m, tools: true }, semantic: { embedder: e } }",
            "{ mode: exact, ttl: 10m, max_answer: 1KiB, tokens_per_second: 50 }",
        );
        let model = on.model("m").unwrap();
        let own = on.cache_policy(model, None, None).unwrap();
        assert_eq!(
            (own.mode, own.ttl, own.tools),
            (Mode::Exact, Duration::from_secs(600), true)
        );
        assert_eq!((own.max_answer, own.pace), (1024, Pace::Tokens(50.0)));
        let tenant = patch(serde_json::json!({ "mode": "semantic", "ttl": "20m", "tools": false }));
        let rule = patch(serde_json::json!({ "ttl": "30m", "scope": "organisation" }));
        let both = on.cache_policy(model, Some(&tenant), Some(&rule)).unwrap();
        assert_eq!(
            (both.mode, both.ttl, both.tools),
            (Mode::Semantic, Duration::from_secs(1800), false)
        );
        assert_eq!((both.scope, both.max_answer), (Scope::Organisation, 1024));
        let off = patch(serde_json::json!({ "mode": "off" }));
        assert_eq!(on.cache_policy(model, Some(&tenant), Some(&off)), None);
    }

    #[test]
    fn likeness_without_a_semantic_tier_is_the_very_same_question() {
        let plain = snapshot("{}", "{ mode: exact }");
        let tenant = patch(serde_json::json!({ "mode": "shadow" }));
        let policy = plain
            .cache_policy(plain.model("m").unwrap(), Some(&tenant), None)
            .unwrap();
        assert_eq!(policy.mode, Mode::Exact);
    }

    #[test]
    fn every_member_of_a_policy_as_written_arrives() {
        let all = patch(serde_json::json!({
            "mode": "shadow", "scope": "user", "ttl": "2s", "stale_while_revalidate": "3s", "stale_if_error": "4s",
            "max_temperature": 0.25, "tools": true, "tool_calls": true, "length": true, "time_bound": true, "personal": true,
            "by_target": true, "threshold": 0.75, "time_limit": "9ms", "sample": 0.5, "singleflight": false,
            "tokens_per_second": 7.0, "max_request": 11, "max_answer": 13,
        }));
        let mut policy = Policy::default();
        apply(&mut policy, &all);
        let expected = Policy {
            mode: Mode::Shadow,
            scope: Scope::User,
            ttl: Duration::from_secs(2),
            stale_while_revalidate: Duration::from_secs(3),
            stale_if_error: Duration::from_secs(4),
            max_temperature: 0.25,
            tool_calls: true,
            length: true,
            tools: true,
            time_bound: true,
            personal: true,
            by_target: true,
            threshold: 0.75,
            time_limit: Duration::from_millis(9),
            sample: 0.5,
            singleflight: false,
            pace: Pace::Tokens(7.0),
            max_request: 11,
            max_answer: 13,
        };
        assert_eq!(policy, expected);
        // Nothing given changes nothing; and overlaying as written is applying one after the other.
        apply(&mut policy, &CachePolicy::default());
        assert_eq!(policy, expected);
        let mut written = patch(serde_json::json!({ "mode": "exact", "ttl": "1h" }));
        written.overlay(&all);
        assert_eq!(written, all);
    }
}
