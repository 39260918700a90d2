//! `guardrails`: whether each can be made, and whether what others name is there.

use super::super::guardrails::compile_guardrail;
use super::super::model::Config;
use super::super::problem::{Finding, Place};
use super::Names;
use super::models::unknown_remedy;
use crate::config::problem::quoted;

/// Longest text that stands in the place of what is redacted, in bytes.
const LONGEST_REPLACEMENT: usize = 100;

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    let root = Place::root();
    for (name, guardrail) in &config.guardrails {
        let place = root.key("guardrails").key(name);
        if let Err(fault) = compile_guardrail(guardrail) {
            out.push(Finding::new(place.key(fault.key), fault.message, fault.remedy));
        }
        // Names go into headers and records.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let message = "a name that cannot stand in a header";
            out.push(Finding::new(
                place.clone(),
                message,
                "write at most 64 letters, digits, `-`, `_` and `.`",
            ));
        }
        let replacement = guardrail.terms().replacement.unwrap_or_default();
        if replacement.len() > LONGEST_REPLACEMENT || replacement.chars().any(char::is_control) {
            let message = "more than 100 bytes, or with control characters";
            out.push(Finding::new(
                place.key("replacement"),
                message,
                "write something short, such as `[removed]`",
            ));
        }
    }
    for (name, model) in &config.models {
        named(
            &model.guardrails,
            names,
            &root.key("models").key(name).key("guardrails"),
            out,
        );
    }
    for (index, rule) in config.routes.iter().enumerate() {
        named(
            &rule.guardrails,
            names,
            &root.key("routes").index(index).key("guardrails"),
            out,
        );
    }
}

/// Names of guardrails, wherever they stand.
pub(super) fn named(written: &[String], names: &Names, place: &Place, out: &mut Vec<Finding>) {
    for (index, name) in written.iter().enumerate() {
        if !names.guardrails.contains(name) {
            let known: Vec<String> = names.guardrails.iter().cloned().collect();
            let remedy = unknown_remedy(name, &known, "guardrail", "guardrails");
            out.push(Finding::new(
                place.index(index),
                format!("no guardrail {}", quoted(name)),
                remedy,
            ));
        }
    }
}

pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    for (name, guardrail) in &config.guardrails {
        let in_file = || {
            let models = config.models.values().map(|it| &it.guardrails);
            let rules = config.routes.iter().map(|it| &it.guardrails);
            let tenants = config.organisations.values().map(|it| &it.guardrails);
            let tenants = tenants.chain(config.teams.values().map(|it| &it.guardrails));
            let tenants = tenants.chain(config.projects.values().map(|it| &it.guardrails));
            let tenants = tenants.chain(config.users.values().map(|it| &it.guardrails));
            let tenants = tenants.chain(config.keys.values().map(|it| &it.guardrails));
            models.chain(rules).chain(tenants).any(|named| named.contains(name))
        };
        // Where there is a store, a tenant there may name it.
        if !guardrail.terms().always && !config.keeps() && !in_file() {
            let place = Place::root().key("guardrails").key(name);
            let message = "nothing of this file names it: it looks at nothing";
            let remedy = "name it under `guardrails` of a model, a tenant or a rule, or write `always: true`";
            out.push(Finding::new(place, message, remedy));
        }
    }
}
