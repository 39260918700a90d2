//! Limits and budgets as written, made into the rules that `limits` counts by.
//!
//! The one idea is the id of a rule: made of where it stands, what it counts and for whom, never of how much, so that a count
//! goes on when its limit is changed, and is the same count on every instance of a fleet.

use super::model as config;
use super::model::{Budget, Limit};
use crate::limits::{Each, Measure, OnOutage, Patterns, Period, Rule, Scope, ScopeKind, Window};
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Time of a limit that does not say.
const DEFAULT_PER: Duration = Duration::from_secs(60);
/// Shares at which a budget alerts that does not say.
const DEFAULT_ALERTS: [u32; 2] = [80, 100];

/// The rules of one block, in the order written.
pub fn bounds(kind: ScopeKind, name: &str, limits: &[Limit], budgets: &[Budget]) -> Vec<Rule> {
    let scope = Scope {
        kind,
        name: name.into(),
    };
    let mut seen = HashMap::new();
    let limits = limits.iter().filter_map(|limit| of_limit(&scope, limit));
    let budgets = budgets.iter().map(|budget| of_budget(&scope, budget));
    limits
        .chain(budgets)
        .map(|mut rule| {
            // Two that count the same (a soft budget and a hard one, say) are two counts.
            let times = seen.entry(Arc::clone(&rule.id)).or_insert(0u32);
            *times += 1;
            if *times > 1 {
                rule.id = format!("{}~{times}", rule.id).into();
            }
            rule
        })
        .collect()
}

fn of_limit(scope: &Scope, limit: &Limit) -> Option<Rule> {
    let (measure, amount) = [
        (Measure::Requests, limit.requests),
        (Measure::Tokens, limit.tokens),
        (Measure::InputTokens, limit.input_tokens),
        (Measure::OutputTokens, limit.output_tokens),
        (Measure::Concurrent, limit.concurrent),
    ]
    .into_iter()
    .find_map(|(measure, amount)| Some((measure, amount?)))?;
    let per = limit.per.map_or(DEFAULT_PER, |per| per.as_duration());
    let (window, length) = match measure {
        Measure::Concurrent => (Window::Now, String::new()),
        _ => (Window::Sliding(per), format!("/{}ms", per.as_millis())),
    };
    let shown = match &limit.name {
        Some(name) => name.clone(),
        None if measure == Measure::Concurrent => measure.as_str().to_owned(),
        None => format!("{} per {}", measure.as_str(), shown_interval(per)),
    };
    Some(Rule {
        id: id(
            scope,
            &format!("{}{length}", measure.as_str()),
            &limit.models,
            &[],
            limit.each,
        ),
        scope: scope.clone(),
        name: shown.into(),
        measure,
        amount,
        window,
        models: Patterns::new(&limit.models),
        providers: own_provider(scope),
        each: limit.each.map(each),
        soft: false,
        alerts: Vec::new(),
        downgrade_to: None,
        on_outage: outage(limit.on_outage.unwrap_or(config::OnOutage::RATES)),
    })
}

fn of_budget(scope: &Scope, budget: &Budget) -> Rule {
    let period = match budget.period {
        config::Period::Minute => Period::Minute,
        config::Period::Hour => Period::Hour,
        config::Period::Day => Period::Day,
        config::Period::Week => Period::Week,
        config::Period::Month => Period::Month,
        config::Period::Total => Period::Total,
    };
    let written = budget.time_zone.as_deref().unwrap_or("UTC");
    // Validation knows the zone; were it gone since, UTC is the next best calendar.
    let zone = TimeZone::get(written).unwrap_or(TimeZone::UTC);
    let what = format!("usd/{}/{written}", period_name(budget.period));
    Rule {
        id: id(scope, &what, &budget.models, &budget.providers, budget.each),
        scope: scope.clone(),
        name: budget.name.as_deref().unwrap_or(period_name(budget.period)).into(),
        measure: Measure::NanoUsd,
        amount: budget.usd.nano(),
        window: Window::Calendar { period, zone },
        models: Patterns::new(&budget.models),
        providers: own_provider(scope)
            .into_iter()
            .chain(budget.providers.iter().map(|name| name.as_str().into()))
            .collect(),
        each: budget.each.map(each),
        soft: budget.soft,
        alerts: budget.alert_percent.clone().unwrap_or_else(|| DEFAULT_ALERTS.to_vec()),
        downgrade_to: budget.downgrade_to.as_deref().map(Into::into),
        on_outage: outage(budget.on_outage.unwrap_or(config::OnOutage::MONEY)),
    }
}

/// What stands under a provider counts what this one answers.
fn own_provider(scope: &Scope) -> Vec<Arc<str>> {
    let own = (scope.kind == ScopeKind::Provider).then(|| Arc::clone(&scope.name));
    own.into_iter().collect()
}

/// Readable, and with every filter in it.
fn id(scope: &Scope, what: &str, models: &[String], providers: &[String], each: Option<config::Each>) -> Arc<str> {
    let mut id = format!("{}:{}/{what}", scope.kind.as_str(), scope.name);
    let list = |id: &mut String, mark: &str, names: &[String]| {
        if !names.is_empty() {
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            names.sort_unstable();
            // Writing to a String cannot fail.
            let _ = write!(id, "/{mark}={}", names.join(","));
        }
    };
    list(&mut id, "models", models);
    list(&mut id, "providers", providers);
    if let Some(each) = each {
        let _ = write!(
            id,
            "/each={}",
            match each {
                config::Each::Model => "model",
                config::Each::User => "user",
                config::Each::Key => "key",
            }
        );
    }
    id.into()
}

fn each(each: config::Each) -> Each {
    match each {
        config::Each::Model => Each::Model,
        config::Each::User => Each::User,
        config::Each::Key => Each::Key,
    }
}

fn outage(outage: config::OnOutage) -> OnOutage {
    match outage {
        config::OnOutage::Share => OnOutage::Share,
        config::OnOutage::FailClosed => OnOutage::FailClosed,
        config::OnOutage::FailOpen => OnOutage::FailOpen,
    }
}

fn period_name(period: config::Period) -> &'static str {
    match period {
        config::Period::Minute => "minute",
        config::Period::Hour => "hour",
        config::Period::Day => "day",
        config::Period::Week => "week",
        config::Period::Month => "month",
        config::Period::Total => "total",
    }
}

/// `minute`, `hour`, `10s`
fn shown_interval(per: Duration) -> String {
    match per.as_millis() {
        1_000 => "second".to_owned(),
        60_000 => "minute".to_owned(),
        3_600_000 => "hour".to_owned(),
        86_400_000 => "day".to_owned(),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Names of tags and models, made of what looks like the rest of an id.
    fn name() -> impl Strategy<Value = String> {
        let parts = prop::sample::select(vec![
            "a", "requests", "60000ms", "usd", "month", "UTC", "models", "each", ":", "-",
        ]);
        prop::collection::vec(parts, 1..4).prop_map(|parts| parts.join("/"))
    }

    fn written() -> (Vec<Limit>, Vec<Budget>) {
        let limits = r#"[{"requests":1},{"requests":1},{"requests":1,"per":"1h"},{"tokens":1,"each":"key"},{"concurrent":1},
            {"requests":1,"models":["a/requests/60000ms"]}]"#;
        let budgets = r#"[{"usd":"1"},{"usd":"1","models":["a"],"providers":["usd/month/UTC"]},{"usd":"1","time_zone":"Europe/Berlin"}]"#;
        (
            serde_json::from_str(limits).unwrap(),
            serde_json::from_str(budgets).unwrap(),
        )
    }

    proptest! {
        /// No count of one scope is that of another, in memory or in Redis.
        #[test]
        fn scopes_never_share_a_count(names in prop::collection::hash_set(name(), 1..5)) {
            let (limits, budgets) = written();
            let kinds = [ScopeKind::Team, ScopeKind::Tag, ScopeKind::Model];
            let mut ids = HashSet::new();
            let mut rules = 0;
            for (kind, name) in kinds.iter().flat_map(|kind| names.iter().map(move |name| (*kind, name))) {
                for rule in bounds(kind, name, &limits, &budgets) {
                    rules += 1;
                    prop_assert!(ids.insert(Arc::clone(&rule.id)), "{} twice", rule.id);
                }
            }
            prop_assert_eq!(ids.len(), rules);
        }
    }
}
