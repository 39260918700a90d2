//! Limits and budgets, wherever they stand: under tenants, keys, tags, models and providers.

use super::super::model::{Budget, Config, Limit, Period};
use super::super::problem::{Finding, Place, quoted};
use super::Names;
use super::resilience::{LABEL_REMEDY, bad_label};
use super::tenancy;
use crate::auth::hours;
use std::time::Duration;

/// Most limits, and most budgets, of one block: each is counted for every request.
const MOST: usize = 32;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Most alerts of one budget.
const MOST_ALERTS: usize = 16;

/// Those of models and providers.
pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    let root = Place::root();
    let models = config.models.iter();
    let models = models.map(|(name, it)| (root.key("models").key(name), &it.limits, &it.budgets));
    let providers = config.providers.iter();
    let providers = providers.map(|(name, it)| (root.key("providers").key(name), &it.limits, &it.budgets));
    for (place, of_limits, of_budgets) in models.chain(providers) {
        limits(of_limits, names, &place.key("limits"), out);
        budgets(of_budgets, names, &place.key("budgets"), out);
    }
}

/// The limits of one block.
pub(super) fn limits(list: &[Limit], names: &Names, place: &Place, out: &mut Vec<Finding>) {
    if too_many(list.len(), place, out) {
        return;
    }
    for (index, limit) in list.iter().enumerate() {
        let at = place.index(index);
        let earlier = list.iter().take(index).map(|limit| limit.name.as_deref());
        name(limit.name.as_deref(), earlier, "a limit", &at.key("name"), out);
        measures(limit, &at, out);
        tenancy::models(&limit.models, names, &at.key("models"), out);
    }
}

fn measures(limit: &Limit, at: &Place, out: &mut Vec<Finding>) {
    let all = [
        ("requests", limit.requests),
        ("tokens", limit.tokens),
        ("input_tokens", limit.input_tokens),
        ("output_tokens", limit.output_tokens),
        ("concurrent", limit.concurrent),
    ];
    let mut written = all.iter().filter(|(_, amount)| amount.is_some()).map(|(key, _)| *key);
    match (written.next(), written.next()) {
        (None, _) => {
            let remedy = "add one of `requests`, `tokens`, `input_tokens`, `output_tokens`, `concurrent`";
            out.push(Finding::new(at.clone(), "the limit limits nothing", remedy));
        }
        (Some(first), Some(second)) => {
            let message = format!("`{first}` is limited here already");
            out.push(Finding::new(at.key(second), message, "make it a limit of its own"));
        }
        _ => {}
    }
    let Some(per) = limit.per else { return };
    let time = per.as_duration();
    if limit.concurrent.is_some() {
        let message = "what is under way at one time is not counted per time";
        out.push(Finding::new(at.key("per"), message, "remove it, or write `requests`"));
    } else if time < SHORTEST || time > LONGEST {
        let message = format!("{per} is not between 1s and 24h");
        let remedy = "write `1s` to `24h`; for longer times there are budgets";
        out.push(Finding::new(at.key("per"), message, remedy));
    }
}

/// The budgets of one block.
pub(super) fn budgets(list: &[Budget], names: &Names, place: &Place, out: &mut Vec<Finding>) {
    if too_many(list.len(), place, out) {
        return;
    }
    for (index, budget) in list.iter().enumerate() {
        let at = place.index(index);
        let earlier = list.iter().take(index).map(|budget| Some(effective_name(budget)));
        // What it is called by its period is said of the budget: there is no name to point at.
        let named = if budget.name.is_some() {
            at.key("name")
        } else {
            at.clone()
        };
        name(Some(effective_name(budget)), earlier, "a budget", &named, out);
        if hours::time_zone(budget.time_zone.as_deref()).is_none() {
            let bad = hours::BAD_ZONE;
            out.push(Finding::new(at.key(bad.part), bad.message, bad.remedy));
        }
        alerts(budget, &at.key("alert_percent"), out);
        tenancy::models(&budget.models, names, &at.key("models"), out);
        tenancy::providers(&budget.providers, names, &at.key("providers"), out);
        downgrade(budget, names, &at, out);
    }
}

fn effective_name(budget: &Budget) -> &str {
    budget.name.as_deref().unwrap_or(match budget.period {
        Period::Minute => "minute",
        Period::Hour => "hour",
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
        Period::Total => "total",
    })
}

fn alerts(budget: &Budget, at: &Place, out: &mut Vec<Finding>) {
    let Some(list) = &budget.alert_percent else { return };
    let remedy = "write ascending percentages from 1 to 1000, such as `[50, 80, 100]`";
    let ascending = list.iter().zip(list.iter().skip(1)).all(|(one, next)| one < next);
    let message = match list.as_slice() {
        [] => "an empty list",
        list if list.len() > MOST_ALERTS => "more than 16 alerts",
        list if list.iter().any(|percent| !(1..=1000).contains(percent)) => "not between 1 and 1000",
        _ if !ascending => "not in ascending order",
        _ => return,
    };
    out.push(Finding::new(at.clone(), message, remedy));
}

fn downgrade(budget: &Budget, names: &Names, at: &Place, out: &mut Vec<Finding>) {
    let Some(to) = &budget.downgrade_to else { return };
    let at = at.key("downgrade_to");
    if budget.soft {
        let message = "a soft budget never sends anything elsewhere";
        out.push(Finding::new(at, message, "remove it, or `soft`"));
    } else if to.contains('*') || !names.models.contains(to) {
        let remedy = match names.aliases.get(to) {
            Some(owner) => format!("it is an alias; write {}", quoted(owner)),
            None => super::models::unknown_remedy(to, &names.models, "model", "models"),
        };
        out.push(Finding::new(at, format!("no model {}", quoted(to)), remedy));
    }
}

/// A name, which becomes a label in metrics and must be the only one of its block.
fn name<'a>(
    name: Option<&str>,
    mut earlier: impl Iterator<Item = Option<&'a str>>,
    what: &str,
    at: &Place,
    out: &mut Vec<Finding>,
) {
    let Some(name) = name else { return };
    if let Some(message) = bad_label(name, what) {
        out.push(Finding::new(at.clone(), message, LABEL_REMEDY));
    } else if let Some(first) = earlier.position(|other| other == Some(name)) {
        let message = format!("{} is the name of the one at [{first}] already", quoted(name));
        out.push(Finding::new(at.clone(), message, "give each a `name` of its own"));
    }
}

fn too_many(length: usize, at: &Place, out: &mut Vec<Finding>) -> bool {
    let many = length > MOST;
    if many {
        let message = format!("{length} of them, at most {MOST} are allowed");
        out.push(Finding::new(
            at.clone(),
            message,
            "join or remove some: each is counted for every request",
        ));
    }
    many
}
