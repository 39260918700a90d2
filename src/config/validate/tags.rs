//! Tags with limits and budgets: names that blocks can carry, and who may carry them.
//!
//! Not what tags blocks carry in general (`tenancy`). The one idea: a count that many share must be loaded only by those to whom
//! somebody with power over all of them gave the tag, so what an operator of a team can write never carries one.

use super::super::model::{Config, Tenant, TenantKind};
use super::super::problem::{Finding, Place, quoted};
use super::{Names, counts, tenancy};
use std::collections::BTreeSet;

/// Tags for which something is counted.
pub(super) fn counted(config: &Config) -> BTreeSet<String> {
    let tags = config.tags.iter().filter(|(_, tag)| tag.counts());
    tags.map(|(name, _)| name.clone()).collect()
}

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    for (name, tag) in &config.tags {
        let place = Place::root().key("tags").key(name);
        if !tenancy::is_tag(name) {
            out.push(Finding {
                at_key: true,
                ..Finding::new(place.clone(), "not a tag", tenancy::TAG_REMEDY)
            });
        }
        tenancy::description(tag.description.as_deref(), &place, out);
        counts::limits(&tag.limits, names, &place.key("limits"), out);
        counts::budgets(&tag.budgets, names, &place.key("budgets"), out);
    }
}

/// Tags that count for nobody in the file: perhaps misspelt.
pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    if config.tags.is_empty() {
        return;
    }
    let all: Vec<(TenantKind, &str, Tenant)> = tenancy::all(config).collect();
    let carried: BTreeSet<&str> = all
        .iter()
        .flat_map(|(_, _, tenant)| tenant.shared().tags)
        .map(String::as_str)
        .collect();
    for (name, _) in config
        .tags
        .iter()
        .filter(|(name, tag)| tag.counts() && !carried.contains(name.as_str()))
    {
        out.push(Finding {
            at_key: true,
            ..Finding::new(
                Place::root().key("tags").key(name),
                "nothing in this file carries the tag: it counts what organisations and teams of the store carry it, if any",
                "write it into the `tags` of those it is meant for",
            )
        });
    }
}

/// Tags of an object of the store that would count for it, and do not: whoever manages a team can have written them.
pub(super) fn unvouched(tenant: &Tenant, names: &Names, out: &mut Vec<Finding>) {
    if names.tags.is_empty() || matches!(tenant.kind(), TenantKind::Organisation | TenantKind::Team) {
        return;
    }
    for (index, tag) in tenant.shared().tags.iter().enumerate() {
        if names.tags.contains(tag) {
            let message = format!(
                "{} is a tag with limits or budgets, which does not count here",
                quoted(tag)
            );
            let remedy = "have it given to the team or the organisation, or declare this in the file";
            out.push(Finding::new(Place::root().key("tags").index(index), message, remedy));
        }
    }
}
