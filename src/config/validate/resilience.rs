//! Breakers, retries, hedging, prices, arms: bounds that contradict each other and settings that nothing could ever use.
//!
//! Ranges of single keys are the schema's. Where a pair of keys is compared, what is not written counts with its default,
//! because `open: 10m` alone contradicts a longest time of 300 s as much as a written one.

use super::super::model::{Breaker, Config, Hedge, Model, Retry, Strategy};
use super::super::problem::{Finding, Place};
use super::super::scalars::Interval;
use super::provider_place;
use std::collections::BTreeSet;

/// Longest name that becomes a label of metrics.
const LONGEST_LABEL: usize = 64;
/// Most arms of one comparison: each is a label of its own.
const MOST_ARMS: usize = 16;

pub(super) fn check(config: &Config, out: &mut Vec<Finding>) {
    let root = Place::root();
    let top = &config.breaker;
    breaker(top, None, &root.key("breaker"), out);
    for (name, provider) in &config.providers {
        breaker(&provider.breaker, Some(top), &provider_place(name).key("breaker"), out);
    }
    for (name, model) in &config.models {
        let place = root.key("models").key(name);
        retry(&model.retry, &place.key("retry"), out);
        if let Some(settings) = &model.hedge {
            hedge(settings, model, &place.key("hedge"), out);
        }
        prices(model, &place, out);
        arms(model, &place.key("targets"), out);
    }
}

/// What works and was hardly meant.
pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    for (name, model) in &config.models {
        let targets = Place::root().key("models").key(name).key("targets");
        for (index, target) in model.targets.iter().enumerate() {
            let price = target.price.as_ref();
            if price.is_some_and(|price| price.cached.is_some_and(|cached| cached > price.input)) {
                let at = targets.index(index).key("price").key("cached");
                let message = "tokens read from the cache cost more than those that are not";
                out.push(Finding::new(at, message, "look whether the two are exchanged"));
            }
        }
    }
}

/// A bound as written or, where it is not, its default.
struct Bound {
    key: &'static str,
    written: Option<Interval>,
    default: Interval,
}

impl Bound {
    fn new(key: &'static str, written: Option<Interval>, default: Interval) -> Self {
        Self { key, written, default }
    }

    fn value(&self) -> Interval {
        self.written.unwrap_or(self.default)
    }

    fn shown(&self) -> String {
        match self.written {
            Some(written) => format!("{} ({written})", self.key),
            None => format!("the default of {} ({})", self.key, self.default),
        }
    }
}

/// A finding when the lower bound is above the upper one, at the one that is written here. `here` says whether either is.
fn order(lower: &Bound, upper: &Bound, at_lower: bool, place: &Place, out: &mut Vec<Finding>) {
    if lower.value() > upper.value() {
        let key = if at_lower { lower.key } else { upper.key };
        let message = format!("{} is longer than {}", lower.shown(), upper.shown());
        let remedy = format!("lower `{}`, or raise `{}`", lower.key, upper.key);
        out.push(Finding::new(place.key(key), message, remedy));
    }
}

fn breaker(block: &Breaker, wider: Option<&Breaker>, place: &Place, out: &mut Vec<Finding>) {
    if block.open.is_none() && block.open_at_most.is_none() {
        return; // what it inherits is judged where it is written
    }
    let open = block.open.or(wider.and_then(|wider| wider.open));
    let at_most = block.open_at_most.or(wider.and_then(|wider| wider.open_at_most));
    let lower = Bound::new("open", open, Interval::from_millis(30_000));
    let upper = Bound::new("open_at_most", at_most, Interval::from_millis(300_000));
    order(&lower, &upper, block.open.is_some(), place, out);
}

fn retry(block: &Retry, place: &Place, out: &mut Vec<Finding>) {
    let lower = Bound::new("backoff", block.backoff, Interval::from_millis(250));
    let upper = Bound::new("backoff_at_most", block.backoff_at_most, Interval::from_millis(8_000));
    order(&lower, &upper, block.backoff.is_some(), place, out);
}

fn hedge(block: &Hedge, model: &Model, place: &Place, out: &mut Vec<Finding>) {
    if model.targets.len() == 1 && model.fallback.is_empty() {
        let message = "there is nobody to ask beside the one target";
        let remedy = "add a target or a `fallback`, or remove `hedge`";
        out.push(Finding {
            at_key: true,
            ..Finding::new(place.clone(), message, remedy)
        });
    }
    let lower = Bound::new("at_least", block.at_least, Interval::from_millis(50));
    let upper = Bound::new("at_most", block.at_most, Interval::from_millis(30_000));
    order(&lower, &upper, block.at_least.is_some(), place, out);
}

fn prices(model: &Model, place: &Place, out: &mut Vec<Finding>) {
    let priced = model.targets.iter().any(|target| target.price.is_some());
    if model.strategy == Strategy::Cheapest && !priced && !model.targets.is_empty() {
        let message = "no target has a price, so that none is known to be cheapest";
        let remedy = "add `price: { input: \"2.50\", output: \"10.00\" }` to the targets, or choose another strategy";
        out.push(Finding::new(place.key("strategy"), message, remedy));
    }
}

fn arms(model: &Model, targets: &Place, out: &mut Vec<Finding>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut without = Vec::new();
    for (index, target) in model.targets.iter().enumerate() {
        let Some(arm) = &target.arm else {
            without.push(index);
            continue;
        };
        if let Some(message) = bad_label(arm, "an arm") {
            let at = targets.index(index).key("arm");
            out.push(Finding::new(at, message, LABEL_REMEDY));
        }
        seen.insert(arm);
    }
    if seen.len() > MOST_ARMS {
        let message = format!("{} arms, at most {MOST_ARMS} are allowed", seen.len());
        let remedy = "give several targets the same arm: each is a label in metrics";
        out.push(Finding::new(targets.clone(), message, remedy));
    }
    if let (Some(first), false) = (without.first(), seen.is_empty()) {
        let message = "other targets belong to an arm and this one does not, so that the arms do not add up";
        let remedy = "add `arm: NAME`, or take the arms out";
        out.push(Finding::new(targets.index(*first), message, remedy));
    }
}

/// What to do about a name that [`bad_label`] refuses.
pub(super) const LABEL_REMEDY: &str = "use at most 64 letters, digits, `-`, `_` and `.`";

/// What is wrong with a name that becomes a label in metrics.
pub(super) fn bad_label(name: &str, what: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        "" => Some(format!("an empty name of {what}")),
        _ if name.len() > LONGEST_LABEL => {
            Some(format!("the name of {what} is longer than {LONGEST_LABEL} characters"))
        }
        _ if !name.chars().all(allowed) => Some(format!("the name of {what} has a character it must not have")),
        _ => None,
    }
}
