//! Rules of `routes`: what each names, that it does something, and that it can be reached.
//!
//! Not whether its expressions are well-formed and typed, nor rules that a condition hides: that needs the expression
//! language, see [`expressions`].

use super::super::model::{Config, Rule, Switch};
use super::super::problem::{Finding, Place, quoted};
use super::Names;
use super::fallbacks::{NO_MATCH_REMEDY, needs_match, unknown};
use super::resilience::{LABEL_REMEDY, bad_label};
use crate::config::rules::compile_routes;
use crate::rules::Part;
use crate::wire::edit::Edits;
use std::collections::HashMap;

/// Most rules: they are tried one after the other, for every request.
const MOST: usize = 1000;
/// Longest text a client is refused with, in bytes.
const LONGEST_REFUSAL: usize = 1000;
/// Longest name of a parameter, in bytes.
const LONGEST_PARAMETER: usize = 64;

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    let routes = Place::root().key("routes");
    if config.routes.len() > MOST {
        let message = format!("{} rules, at most {MOST} are allowed", config.routes.len());
        let remedy = "join those that differ in one value into one with `switch`";
        out.push(Finding::new(routes.clone(), message, remedy));
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, rule) in config.routes.iter().enumerate() {
        let place = routes.index(index);
        if let Some(message) = bad_label(&rule.name, "a rule") {
            out.push(Finding::new(place.key("name"), message, LABEL_REMEDY));
        } else if let Some(first) = seen.insert(&rule.name, index) {
            let message = format!("{} is the name of routes[{first}] already", quoted(&rule.name));
            out.push(Finding::new(place.key("name"), message, "rename one of the two"));
        }
        does_one_thing(rule, &place, out);
        texts(rule, &place, out);
        edits(rule, &place, out);
        destinations(config, names, rule, &place, out);
    }
    expressions(config, out);
}

/// Expressions: `when` and `switch.on` that do not parse, have the wrong type, never hold, or are never reached.
fn expressions(config: &Config, out: &mut Vec<Finding>) {
    let Err(faults) = compile_routes(config) else { return };
    let routes = Place::root().key("routes");
    for fault in faults {
        let rule = routes.index(fault.rule);
        let place = match fault.part {
            Part::When if config.routes.get(fault.rule).is_some_and(|rule| rule.when.is_some()) => rule.key("when"),
            Part::When => rule,
            Part::On => rule.key("switch").key("on"),
        };
        // What is empty is said by `texts` already.
        let rule = config.routes.get(fault.rule);
        let text = match fault.part {
            Part::When => rule.and_then(|rule| rule.when.as_deref()),
            Part::On => rule.and_then(|rule| Some(rule.switch.as_ref()?.on.as_str())),
        };
        if !text.is_some_and(|text| text.trim().is_empty()) {
            out.push(Finding::new(place, fault.message, fault.remedy));
        }
    }
}

fn does_one_thing(rule: &Rule, place: &Place, out: &mut Vec<Finding>) {
    let ends = [
        ("to", rule.to.is_some()),
        ("switch", rule.switch.is_some()),
        ("refuse", rule.refuse.is_some()),
    ];
    let ends: Vec<&str> = ends.iter().filter(|(_, there)| *there).map(|(key, _)| *key).collect();
    let changes = changes(rule);
    match (ends.as_slice(), changes.first()) {
        ([], None) => {
            let message = "the rule does nothing";
            let remedy = "add one of `to`, `switch`, `refuse`, or of `set`, `default`, `remove`, `priority`, `cache`, `guardrails`";
            out.push(Finding::new(place.clone(), message, remedy));
        }
        (["refuse"], Some(key)) => {
            let message = "a request that is refused is not changed";
            out.push(Finding::new(place.key(key), message, "remove it, or `refuse`"));
        }
        ([first, second, ..], _) => {
            let message = format!("`{first}` says already where the request goes");
            out.push(Finding {
                at_key: true,
                ..Finding::new(place.key(second), message, "keep one of `to`, `switch` and `refuse`")
            });
        }
        _ => {}
    }
}

/// The keys of a rule that change something.
fn changes(rule: &Rule) -> Vec<&'static str> {
    let keys = [
        ("set", !rule.set.is_empty()),
        ("default", !rule.default.is_empty()),
        ("remove", !rule.remove.is_empty()),
        ("priority", rule.priority.is_some()),
        ("cache", rule.cache.is_some()),
        ("guardrails", !rule.guardrails.is_empty()),
    ];
    keys.into_iter()
        .filter(|(_, there)| *there)
        .map(|(key, _)| key)
        .collect()
}

fn texts(rule: &Rule, place: &Place, out: &mut Vec<Finding>) {
    let blank = |text: &str| text.trim().is_empty();
    if rule.when.as_deref().is_some_and(blank) {
        let remedy = "write an expression, or remove the key: a rule without it always holds";
        out.push(Finding::new(place.key("when"), "an empty condition", remedy));
    }
    if rule.switch.as_ref().is_some_and(|switch| blank(&switch.on)) {
        let at = place.key("switch").key("on");
        out.push(Finding::new(
            at,
            "an empty expression",
            "write one that gives a string, for example `metadata.region`",
        ));
    }
    let Some(text) = &rule.refuse else { return };
    let message = match text.as_str() {
        text if blank(text) => "an empty text, which tells the client nothing",
        text if text.len() > LONGEST_REFUSAL => "longer than 1000 bytes",
        text if text.contains(char::is_control) => "a line break or another control character",
        _ => return,
    };
    let remedy = "write one sentence that says what the client may do instead";
    out.push(Finding::new(place.key("refuse"), message, remedy));
}

/// What a rule changes: names that are none, parameters that are not for rules, named twice, or of an impossible value.
fn edits(rule: &Rule, place: &Place, out: &mut Vec<Finding>) {
    let all = rule.set.keys().chain(rule.default.keys()).chain(&rule.remove);
    let names: Vec<&String> = all.filter(|name| bad_parameter(name)).collect();
    let edits = Edits {
        set: rule.set.clone(),
        default: rule.default.clone(),
        remove: rule.remove.clone(),
    };
    let at = |list: &str, name: &str| match list {
        "remove" => {
            let index = rule.remove.iter().position(|known| known == name).unwrap_or_default();
            (place.key("remove").index(index), false)
        }
        list => (place.key(list).key(name), true),
    };
    for name in &names {
        let list = if rule.set.contains_key(*name) {
            "set"
        } else if rule.default.contains_key(*name) {
            "default"
        } else {
            "remove"
        };
        let (place, at_key) = at(list, name);
        let message = format!("{} is not the name of a parameter", quoted(name));
        let remedy = "write the name of a parameter of OpenAI's chat API, such as `temperature`";
        out.push(Finding {
            at_key,
            ..Finding::new(place, message, remedy)
        });
    }
    for problem in edits.check() {
        if names.contains(&&problem.name) {
            continue;
        }
        let (place, at_key) = at(problem.list, &problem.name);
        out.push(Finding {
            at_key,
            ..Finding::new(place, problem.message, problem.remedy)
        });
    }
}

pub(super) fn bad_parameter(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.is_empty() || name.len() > LONGEST_PARAMETER || !name.chars().all(allowed)
}

fn destinations(config: &Config, names: &Names, rule: &Rule, place: &Place, out: &mut Vec<Finding>) {
    let mut check = |at: Place, to: &str| {
        let found = unknown(config, names, to, "the destination of a rule").or_else(|| {
            needs_match(config, to).then(|| {
                let message = format!(
                    "{} uses what its `*` matched, and by a rule it matched nothing",
                    quoted(to)
                );
                (message, NO_MATCH_REMEDY.to_owned())
            })
        });
        if let Some((message, remedy)) = found {
            out.push(Finding::new(at, message, remedy));
        }
    };
    if let Some(to) = &rule.to {
        check(place.key("to"), to);
    }
    let Some(Switch { cases, otherwise, .. }) = &rule.switch else {
        return;
    };
    let place = place.key("switch");
    for (value, to) in cases {
        check(place.key("cases").key(value), to);
    }
    if let Some(to) = otherwise {
        check(place.key("otherwise"), to);
    }
    if cases.is_empty() {
        let remedy = "add `VALUE: NAME-OF-A-MODEL` below it, or write `to`";
        out.push(Finding::new(place.key("cases"), "there are no cases", remedy));
    }
}
