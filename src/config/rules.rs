//! `routes:` as the room of rules takes it: one place, so that what the loader checks is what runs.

use super::model::{Config, Rule};
use crate::rules::{Fault, Known, Rules, Source, Switch};
use crate::wire::{Dialect, Operation};

/// Check and compile the rules of a configuration; every fault of every rule.
pub fn compile_routes(config: &Config) -> Result<Rules, Vec<Fault>> {
    compile_rules(&config.routes)
}

/// Check and compile rules.
pub fn compile_rules(rules: &[Rule]) -> Result<Rules, Vec<Fault>> {
    let operations: Vec<&str> = Operation::ALL.iter().map(|operation| operation.as_str()).collect();
    let dialects: Vec<&str> = Dialect::ALL.iter().map(|dialect| dialect.as_str()).collect();
    let known = Known {
        operations: &operations,
        dialects: &dialects,
    };
    let sources: Vec<Source<'_>> = rules.iter().map(source).collect();
    Rules::compile(&sources, &known)
}

fn source(rule: &Rule) -> Source<'_> {
    Source {
        name: &rule.name,
        when: rule.when.as_deref(),
        ends: rule.to.is_some() || rule.refuse.is_some(),
        switch: rule.switch.as_ref().map(|switch| Switch {
            on: &switch.on,
            cases: switch.cases.keys().map(String::as_str).collect(),
            otherwise: switch.otherwise.is_some(),
        }),
    }
}
