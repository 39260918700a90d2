//! `routes` as run: rules compiled, their destinations resolved, and the facts of a request that they ask about.
//!
//! ```text
//! headers, envelope ─► Asked ─ only what some rule reads ─► rules::Facts ─► steps ─► Decision { model, edits, priority, refusal }
//! ```
//! Used by the gateway for every request when there are rules, and by whoever explains a request that is not sent.

use crate::config;
use crate::rules::{Case, Explained, Facts, Lookup, Rules, Uses, Value};
use crate::telemetry::{RoutingMeters, RuleMeter};
use crate::wire::Call;
use crate::wire::edit::Edits;
use crate::wire::needs::{self, Seen};
use http::HeaderMap;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Largest `x-cirque-metadata` that is read, in bytes.
const LARGEST_METADATA: usize = 8 * 1024;

/// Rules, ready to decide.
#[derive(Debug)]
pub struct Routes {
    rules: Rules,
    effects: Vec<Effect>,
}

/// What a rule does when it holds.
#[derive(Debug)]
struct Effect {
    name: Arc<str>,
    /// Counts the requests it applies to; made with the first.
    counter: OnceLock<RuleMeter>,
    to: Option<usize>,
    /// By place of the switch's case.
    cases: Vec<usize>,
    otherwise: Option<usize>,
    refuse: Option<Arc<str>>,
    edits: Edits,
    priority: Option<u8>,
    cache: Option<Arc<config::CachePolicy>>,
    guardrails: Vec<Arc<str>>,
}

/// A request, as far as rules may ask about it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Who sends it.
    pub caller: Caller<'a>,
    /// Where it comes from.
    pub ip: Option<IpAddr>,
    /// When.
    pub now: SystemTime,
    /// Deepest nesting of JSON.
    pub max_depth: usize,
}

/// Who sends a request, as far as rules may ask about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// Name of the key.
    pub key: &'a str,
    /// Its team.
    pub team: &'a str,
    /// Its tags, and those of its team and organisation.
    pub tags: &'a [Arc<str>],
    /// What its tenants are configured with; counts before what the request says of itself.
    pub metadata: Option<&'a BTreeMap<String, String>>,
    /// The same, as operators of a team may have written it; counts after what others configured.
    pub team_metadata: Option<&'a BTreeMap<String, String>>,
    /// Claims of its token.
    pub claims: Option<&'a BTreeMap<String, Json>>,
}

/// What the rules say of a request.
#[derive(Debug, Default)]
pub struct Decision<'a> {
    /// Index of the model that answers, if a rule says so.
    pub model: Option<usize>,
    /// The rule that decided, else the last one that changed something.
    pub rule: Option<&'a Arc<str>>,
    /// Every rule that applied, for [`Routes::count`].
    pub applied: Vec<usize>,
    /// The text to refuse with.
    pub refuse: Option<&'a Arc<str>>,
    /// What changes in the body, in order.
    pub edits: Vec<&'a Edits>,
    /// The request's priority.
    pub priority: Option<u8>,
    /// What they say of the cache; of several the later goes before the earlier.
    pub cache: Option<Arc<config::CachePolicy>>,
    /// Names of the guardrails of all that apply.
    pub guardrails: Vec<&'a Arc<str>>,
    /// What was found in the body on the way; worth keeping.
    pub seen: Option<Seen>,
}

impl Routes {
    /// Of a configuration; nothing when it has no rules. `index`: the models by name. A rule to a model without a target that is
    /// enabled (`enabled_if`) is left out, as the model is; so is a case of a switch.
    pub fn build(config: &config::Config, index: impl Fn(&str) -> Option<usize>) -> Result<Option<Self>, Vec<String>> {
        if config.routes.is_empty() {
            return Ok(None);
        }
        let kept: Vec<config::Rule> = config
            .routes
            .iter()
            .filter_map(|rule| reachable(rule, &index))
            .collect();
        let rules = config::compile_rules(&kept).map_err(|faults| {
            let lines = faults.into_iter().map(|fault| format!("routes: {}", fault.message));
            lines.collect::<Vec<_>>()
        })?;
        let effects = kept.iter().map(|rule| effect(rule, &index)).collect();
        Ok(Some(Self { rules, effects }))
    }

    /// Count the rules that applied to a request.
    pub fn count(&self, applied: &[usize], meters: &RoutingMeters) {
        for effect in applied.iter().filter_map(|&rule| self.effects.get(rule)) {
            effect.counter.get_or_init(|| meters.rule(&effect.name)).count();
        }
    }

    /// Whether any of them looks into bodies, or changes them.
    pub fn read_bodies(&self) -> bool {
        let uses = self.rules.uses();
        uses.tokens || uses.needs || uses.max_tokens || self.effects.iter().any(|effect| !effect.edits.is_empty())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.effects.iter().map(|effect| &*effect.name)
    }

    /// What they say of a request.
    pub fn decide<'a>(&'a self, asked: Asked<'_>) -> Decision<'a> {
        let mut decision = Decision::default();
        let uses = self.rules.uses();
        with_facts(asked, uses, &mut decision.seen, |facts| {
            self.rules.decide(facts, |step| {
                let Some(effect) = self.effects.get(step.rule) else {
                    return;
                };
                decision.rule = Some(&effect.name);
                decision.applied.push(step.rule);
                decision.priority = effect.priority.or(decision.priority);
                decision.refuse = effect.refuse.as_ref();
                overlay(&mut decision.cache, effect.cache.as_ref());
                decision.guardrails.extend(&effect.guardrails);
                if !effect.edits.is_empty() {
                    decision.edits.push(&effect.edits);
                }
                decision.model = match step.case {
                    Case::None => effect.to,
                    Case::At(place) => effect.cases.get(place).copied(),
                    Case::Otherwise => effect.otherwise,
                };
            });
        });
        decision
    }

    /// The same for people: what every rule made of it.
    pub fn explain(&self, asked: Asked<'_>) -> Vec<Explained> {
        let all = Uses {
            tokens: true,
            max_tokens: true,
            needs: true,
            headers: true,
            metadata: true,
            claims: true,
            tags: true,
            now: true,
            ip: true,
        };
        with_facts(asked, all, &mut None, |facts| self.rules.explain(facts))
    }
}

/// The rule, as far as the models it leads to are there.
fn reachable(rule: &config::Rule, index: &impl Fn(&str) -> Option<usize>) -> Option<config::Rule> {
    let is_there = |to: &String| {
        let there = index(to).is_some();
        if !there {
            tracing::warn!(
                rule = rule.name,
                model = to,
                "a rule leads to a model without an enabled target: left out"
            );
        }
        there
    };
    let mut rule = rule.clone();
    if rule.to.as_ref().is_some_and(|to| !is_there(to)) {
        return None;
    }
    if let Some(switch) = &mut rule.switch {
        switch.cases.retain(|_, to| is_there(to));
        switch.otherwise = switch.otherwise.take().filter(|to| is_there(to));
        if switch.cases.is_empty() && switch.otherwise.is_none() {
            return None;
        }
    }
    Some(rule)
}

fn effect(rule: &config::Rule, index: &impl Fn(&str) -> Option<usize>) -> Effect {
    let find = |name: &String| index(name);
    let to = rule.to.as_ref().and_then(find);
    let (cases, otherwise) = match &rule.switch {
        None => (Vec::new(), None),
        Some(switch) => (
            switch.cases.values().filter_map(find).collect(),
            switch.otherwise.as_ref().and_then(find),
        ),
    };
    Effect {
        name: rule.name.as_str().into(),
        counter: OnceLock::new(),
        to,
        cases,
        otherwise,
        refuse: rule.refuse.as_deref().map(Into::into),
        edits: edits(rule),
        priority: rule.priority,
        cache: rule.cache.clone().map(Arc::new),
        guardrails: rule.guardrails.iter().map(|name| name.as_str().into()).collect(),
    }
}

/// Put what a rule says of the cache over what those before it said.
fn overlay(policy: &mut Option<Arc<config::CachePolicy>>, later: Option<&Arc<config::CachePolicy>>) {
    match (policy.as_mut(), later) {
        (Some(earlier), Some(later)) => Arc::make_mut(earlier).overlay(later),
        (None, Some(later)) => *policy = Some(Arc::clone(later)),
        (_, None) => {}
    }
}

/// What a rule changes in the body.
pub fn edits(rule: &config::Rule) -> Edits {
    Edits {
        set: rule.set.clone(),
        default: rule.default.clone(),
        remove: rule.remove.clone(),
    }
}

/// Build the facts that are read, and no others.
fn with_facts<T>(asked: Asked<'_>, uses: Uses, kept: &mut Option<Seen>, work: impl FnOnce(&Facts<'_>) -> T) -> T {
    let Asked { call, headers, .. } = asked;
    let seen = if uses.tokens || uses.needs {
        needs::look(&call.body, call.dialect, asked.max_depth)
    } else {
        Seen::default()
    };
    if uses.tokens || uses.needs {
        *kept = Some(seen);
    }
    let metadata = if uses.metadata {
        Metadata::of(headers)
    } else {
        Json::Null
    };
    let metadata = Metadata {
        tenant: [asked.caller.metadata, asked.caller.team_metadata],
        request: metadata,
    };
    let claims = Claims::of(asked.caller.claims.filter(|_| uses.claims));
    let ip = asked
        .ip
        .filter(|_| uses.ip)
        .map(|ip| ip.to_string())
        .unwrap_or_default();
    let facts = Facts {
        model: &call.envelope.model,
        operation: call.operation.as_str(),
        dialect: call.dialect.as_str(),
        stream: call.streamed(),
        headers: &Headers(headers),
        metadata: &metadata,
        key: asked.caller.key,
        team: asked.caller.team,
        tags: &asked.caller.tags,
        claims: &claims,
        tokens: needs::estimate_tokens(call.body.len(), &seen),
        max_tokens: call.output_cap(),
        needs: seen.needs,
        now: if uses.now { seconds(asked.now) } else { 0 },
        ip: &ip,
    };
    work(&facts)
}

fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// Request headers: names in lower case; what is not text is not there.
struct Headers<'a>(&'a HeaderMap);

impl Lookup for Headers<'_> {
    fn value(&self, name: &str) -> Option<Value<'_>> {
        self.0.get(name)?.to_str().ok().map(Value::Str)
    }
}

/// What the tenants are configured with, and `x-cirque-metadata`: a flat JSON object. What is nested is not there.
struct Metadata<'a> {
    /// Those that count first before the others.
    tenant: [Option<&'a BTreeMap<String, String>>; 2],
    request: Json,
}

impl Metadata<'_> {
    fn of(headers: &HeaderMap) -> Json {
        let text = headers.get("x-cirque-metadata").map(http::HeaderValue::as_bytes);
        let text = text.filter(|text| text.len() <= LARGEST_METADATA);
        text.and_then(|text| serde_json::from_slice(text).ok())
            .unwrap_or_default()
    }
}

impl Lookup for Metadata<'_> {
    fn value(&self, name: &str) -> Option<Value<'_>> {
        let mut tenant = self.tenant.iter().flatten();
        if let Some(text) = tenant.find_map(|tenant| tenant.get(name)) {
            return Some(Value::Str(text));
        }
        scalar(self.request.get(name)?)
    }
}

/// A JSON value that is neither a list nor an object.
fn scalar(value: &Json) -> Option<Value<'_>> {
    Some(match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::Str(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(double)) => Value::Double(double),
            (None, None) => return None,
        },
        Json::Array(_) | Json::Object(_) => return None,
    })
}

/// Claims of a token: texts, numbers, truth values, and lists of texts.
struct Claims<'a>(Vec<(&'a str, Claim<'a>)>);

enum Claim<'a> {
    One(&'a Json),
    List(Vec<&'a str>),
}

impl<'a> Claims<'a> {
    fn of(claims: Option<&'a BTreeMap<String, Json>>) -> Self {
        let read = |(name, value): (&'a String, &'a Json)| {
            let claim = match value {
                Json::Array(items) => Claim::List(items.iter().filter_map(Json::as_str).collect()),
                one => Claim::One(one),
            };
            (name.as_str(), claim)
        };
        Self(claims.into_iter().flatten().map(read).collect())
    }
}

impl Lookup for Claims<'_> {
    fn value(&self, name: &str) -> Option<Value<'_>> {
        match &self.0.iter().find(|(known, _)| *known == name)?.1 {
            Claim::One(value) => scalar(value),
            Claim::List(items) => Some(Value::List(items)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_rule_goes_before_an_earlier_one_and_changes_none() {
        let policy = |json| Arc::new(serde_json::from_value::<config::CachePolicy>(json).unwrap_or_default());
        let first = policy(serde_json::json!({ "mode": "exact", "ttl": "1h" }));
        let second = policy(serde_json::json!({ "ttl": "2h" }));
        let mut both = None;
        for rule in [None, Some(&first), None, Some(&second)] {
            overlay(&mut both, rule);
        }
        assert_eq!(both, Some(policy(serde_json::json!({ "mode": "exact", "ttl": "2h" }))));
        assert_eq!(first, policy(serde_json::json!({ "mode": "exact", "ttl": "1h" })));
    }
}
