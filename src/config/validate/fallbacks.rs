//! Where models name other models: the three lists of fallbacks, mirrors, and the rules of `routes`.
//!
//! The one idea: a name either is a model under `models:`, or the finding says which one was meant. Fallbacks of all three
//! kinds form one graph, because a request that moved on along one list may move on along another, and that graph must end.

use super::super::model::{Config, Model};
use super::super::problem::{Finding, Place, quoted};
use super::Names;
use super::models::unknown_remedy;
use std::collections::{BTreeMap, HashMap, HashSet};

type List = fn(&Model) -> &[String];

/// The lists in which a model names others to ask instead.
const LISTS: [(&str, List); 3] = [
    ("fallback", |model| &model.fallback),
    ("context_fallback", |model| &model.context_fallback),
    ("content_filter_fallback", |model| &model.content_filter_fallback),
];

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    let models = Place::root().key("models");
    for (name, model) in &config.models {
        let place = models.key(name);
        for (key, list) in LISTS {
            fallbacks(config, names, (name, list(model)), &place.key(key), out);
        }
        mirror(config, names, name, model, &place.key("mirror").key("to"), out);
    }
    cycles(&config.models, &models, out);
}

fn fallbacks(config: &Config, names: &Names, (name, list): (&str, &[String]), place: &Place, out: &mut Vec<Finding>) {
    for (index, to) in list.iter().enumerate() {
        let at = place.index(index);
        if to == name {
            out.push(Finding::new(at, "a model cannot be its own fallback", "remove it"));
        } else if list.iter().take(index).any(|earlier| earlier == to) {
            out.push(Finding::new(
                at,
                format!("{} is listed twice", quoted(to)),
                "remove one",
            ));
        } else if let Some((message, remedy)) = unknown(config, names, to, "a fallback") {
            out.push(Finding::new(at, message, remedy));
        } else if !name.contains('*') && needs_match(config, to) {
            let message = format!(
                "{} uses what its `*` matched, and as a fallback of {} it matched nothing",
                quoted(to),
                quoted(name)
            );
            out.push(Finding::new(at, message, NO_MATCH_REMEDY));
        }
    }
}

fn mirror(config: &Config, names: &Names, name: &str, model: &Model, at: &Place, out: &mut Vec<Finding>) {
    let Some(mirror) = &model.mirror else { return };
    let to = &mirror.to;
    let (message, remedy) = if to == name {
        let message = "a model cannot be its own mirror: every request would be asked twice of one pool";
        (message.to_owned(), "name another model, or remove `mirror`".to_owned())
    } else if let Some(found) = unknown(config, names, to, "a mirror") {
        found
    } else if config.models.get(to).is_some_and(|other| other.mirror.is_some()) {
        let message = format!("{} has a mirror itself, and copies are not copied again", quoted(to));
        (
            message,
            format!("name a model without a mirror, or remove that of {}", quoted(to)),
        )
    } else if !name.contains('*') && needs_match(config, to) {
        let message = format!(
            "{} uses what its `*` matched, and as the mirror of {} it matched nothing",
            quoted(to),
            quoted(name)
        );
        (message, NO_MATCH_REMEDY.to_owned())
    } else {
        return;
    };
    out.push(Finding::new(at.clone(), message, remedy));
}

/// What to do where a pattern is named by what has no match for its `*`.
pub(super) const NO_MATCH_REMEDY: &str = "name a model without `*`, or give its targets models without `*`";

/// What is wrong with naming `to`, and the remedy; `None` when it is a model. `role` says what it was to be.
pub(super) fn unknown(config: &Config, names: &Names, to: &str, role: &str) -> Option<(String, String)> {
    if names.models.iter().any(|name| name == to) {
        return None;
    }
    let alias = |(_, model): &(&String, &Model)| model.aliases.iter().any(|alias| alias == to);
    let remedy = match config.models.iter().find(alias) {
        Some((owner, _)) => format!("an alias cannot be {role}; write {}", quoted(owner)),
        None => unknown_remedy(to, &names.models, "model", "models"),
    };
    Some((format!("no model {}", quoted(to)), remedy))
}

/// Whether it is a pattern whose targets are named after what the pattern matched.
pub(super) fn needs_match(config: &Config, pattern: &str) -> bool {
    let model = config.models.get(pattern).filter(|_| pattern.contains('*'));
    let mut named = model
        .into_iter()
        .flat_map(|model| &model.targets)
        .filter_map(|target| target.model.as_deref());
    named.any(|name| name.contains('*'))
}

/// Which list of a model a fallback is in, its position there and its name: the lists one after the other.
fn nth(model: &Model, mut index: usize) -> Option<(&'static str, usize, &String)> {
    for (key, list) in LISTS {
        let list = list(model);
        match list.get(index) {
            Some(to) => return Some((key, index, to)),
            None => index -= list.len(),
        }
    }
    None
}

/// Fallbacks that lead back to where they began. Each cycle is reported once, at the reference that closes it.
///
/// Depth-first with an explicit stack, since a file may chain thousands of models.
fn cycles(all: &BTreeMap<String, Model>, models: &Place, out: &mut Vec<Finding>) {
    let mut done: HashMap<&str, bool> = HashMap::new();
    // Two lists may close the same circle with the same step.
    let mut closed: HashSet<(&str, &str)> = HashSet::new();
    for start in all.keys() {
        let mut path: Vec<(&str, usize)> = Vec::new();
        if !done.contains_key(start.as_str()) {
            path.push((start, 0));
            done.insert(start, false);
        }
        while let Some((name, next)) = path.last_mut() {
            let (name, index) = (*name, *next);
            *next += 1;
            let Some((key, position, to)) = all.get(name).and_then(|model| nth(model, index)) else {
                done.insert(name, true);
                path.pop();
                continue;
            };
            match done.get(to.as_str()) {
                Some(true) => {}
                Some(false) if to == name || closed.contains(&(name, to.as_str())) => {} // said already
                Some(false) => {
                    closed.insert((name, to));
                    let from = path.iter().position(|(on_path, _)| on_path == to).unwrap_or(0);
                    let round = path.iter().skip(from).map(|(on_path, _)| *on_path).chain([to.as_str()]);
                    let shown = show_cycle(&round.collect::<Vec<_>>());
                    let at = models.key(name).key(key).index(position);
                    out.push(Finding::new(
                        at,
                        format!("the fallbacks go in a circle: {shown}"),
                        "remove one of them",
                    ));
                }
                None => {
                    if all.contains_key(to) {
                        done.insert(to, false);
                        path.push((to, 0));
                    }
                }
            }
        }
    }
}

fn show_cycle(round: &[&str]) -> String {
    const MOST: usize = 8;
    let names: Vec<String> = round.iter().map(|name| quoted(name)).collect();
    match (names.get(..MOST), names.last()) {
        (Some(head), Some(last)) if names.len() > MOST + 1 => {
            format!("{} → … → {last}", head.join(" → "))
        }
        _ => names.join(" → "),
    }
}
