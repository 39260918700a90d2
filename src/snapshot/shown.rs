//! What the operator may see of a snapshot: models, targets and the state of each. No secrets.

use super::{PublicModel, Snapshot};
use crate::balance::Member;
use crate::balance::breaker::Shown;
use crate::balance::latency::Quantiles;
use crate::upstream::Target;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

impl Snapshot {
    /// What the operator may see of it.
    pub fn facts(&self) -> Value {
        let now = Instant::now();
        let model = |model: &PublicModel| {
            let members = model.targets.iter().zip(model.pool.members());
            let targets: Vec<Value> = members.map(|(target, member)| shown(target, member, now)).collect();
            let names = |chain: &[usize]| -> Vec<&str> {
                chain
                    .iter()
                    .filter_map(|&index| Some(&*self.models.get(index)?.name))
                    .collect()
            };
            let fallback = names(model.chain.get(1..).unwrap_or_default());
            let waiting = model.line.as_ref().map(|line| line.queue.depth().iter().sum::<usize>());
            json!({
                "name": &*model.name, "pattern": model.is_pattern(), "targets": targets, "fallback": fallback,
                "waiting": waiting,
            })
        };
        let models: Vec<Value> = self.models.iter().map(model).collect();
        json!({"loaded_at": self.loaded_at, "models": models})
    }
}

fn shown(target: &Target, member: &Member, now: Instant) -> Value {
    let Shown {
        state,
        failures_in_a_row,
        window,
        opened,
        open_for,
        cooling_for,
        quarantined_for,
        held,
        held_for,
        in_flight,
        max_in_flight,
        first_token,
        whole,
    } = target.breaker.report(now);
    let credential = target.site().and_then(|site| site.quarantine.as_ref()?.left(now));
    json!({
        "id": target.id.as_str(), "provider": target.provider_name(), "weight": member.weight, "tier": member.tier,
        "breaker": state.as_str(), "in_flight": in_flight, "max_in_flight": max_in_flight, "times_opened": opened,
        "failures_in_a_row": failures_in_a_row,
        "window": window.map(|(requests, failures)| json!({"requests": requests, "failures": failures})),
        "open_for_ms": ms(open_for), "cooling_for_ms": ms(cooling_for), "quarantined_for_ms": ms(quarantined_for),
        "credential_quarantined_for_ms": ms(credential),
        "isolated": held, "isolated_for_ms": ms(held_for),
        "first_token_ms": quantiles(&first_token), "answer_ms": quantiles(&whole),
    })
}

fn ms(time: Option<Duration>) -> Option<u64> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn quantiles(known: &Quantiles) -> Value {
    json!({"p50": ms(known.p50), "p95": ms(known.p95)})
}
