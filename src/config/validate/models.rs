//! Models: names, aliases, targets, what requests stick by. Where models name each other: `fallbacks`.

use super::super::model::{Config, Model, StickyBy, Strategy, Target};
use super::super::problem::{Finding, Place, nearest, quoted};
use super::Names;
use std::collections::{BTreeMap, HashMap};

/// Longest public model name, in bytes.
const LONGEST: usize = 256;

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    let models = Place::root().key("models");
    if config.models.is_empty() {
        let remedy = "add `NAME: { targets: [ { provider: NAME-OF-A-PROVIDER } ] }` below `models:`";
        out.push(Finding::new(models.clone(), "there are no models", remedy));
    }
    for (name, model) in &config.models {
        let place = models.key(name);
        if let Some((message, remedy)) = bad_name(name) {
            out.push(Finding {
                at_key: true,
                ..Finding::new(place.clone(), message, remedy)
            });
        }
        targets(names, name, model, &place, out);
        sticky(model, &place, out);
    }
    aliases(config, names, &models, out);
}

fn sticky(model: &Model, place: &Place, out: &mut Vec<Finding>) {
    let Some(sticky) = &model.sticky else { return };
    let at = place.key("sticky");
    if !matches!(model.strategy, Strategy::Sticky | Strategy::Split) {
        let message = "only the strategies `sticky` and `split` have this";
        out.push(Finding::new(at, message, "set `strategy: sticky`, or remove it"));
        return;
    }
    let Some(header) = &sticky.header else { return };
    if sticky.by != StickyBy::SessionHeader {
        let message = "a header is only for `by: session-header`";
        out.push(Finding::new(
            at.key("header"),
            message,
            "set `by: session-header`, or remove it",
        ));
    } else if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
        let message = "not a header name";
        out.push(Finding::new(
            at.key("header"),
            message,
            "write a name such as `x-session-id`",
        ));
    }
}

fn bad_name(name: &str) -> Option<(String, &'static str)> {
    let stars = name.matches('*').count();
    if name.is_empty() {
        return Some(("a model without a name".to_owned(), "write the name clients ask for"));
    }
    if name.len() > LONGEST {
        return Some((
            format!("a name of {} bytes, at most {LONGEST} are allowed", name.len()),
            "shorten it",
        ));
    }
    if name.contains(char::is_control) {
        return Some(("the name contains a control character".to_owned(), "remove it"));
    }
    if name.trim() != name {
        return Some(("the name begins or ends with a space".to_owned(), "remove it"));
    }
    (stars > 1).then(|| {
        (
            "more than one `*` in a pattern".to_owned(),
            "keep one `*`; it matches any text",
        )
    })
}

fn targets(names: &Names, name: &str, model: &Model, place: &Place, out: &mut Vec<Finding>) {
    let place = place.key("targets");
    for (index, target) in model.targets.iter().enumerate() {
        let at = place.index(index);
        if !names.providers.contains(&target.provider) {
            let remedy = unknown_remedy(&target.provider, &names.providers, "provider", "providers");
            out.push(Finding::new(
                at.key("provider"),
                format!("no provider {}", quoted(&target.provider)),
                remedy,
            ));
        }
        target_model(name, target, &at, out);
    }
    weights(model, &place, out);
}

/// Within a tier someone must be chosen: a tier of zeros is never asked, and what stands behind it neither.
fn weights(model: &Model, place: &Place, out: &mut Vec<Finding>) {
    let mut tiers: BTreeMap<u32, u64> = BTreeMap::new();
    for target in &model.targets {
        *tiers.entry(target.tier).or_default() += u64::from(target.weight);
    }
    let several = tiers.len() > 1;
    for (tier, _) in tiers.iter().filter(|(_, sum)| **sum == 0) {
        let (message, remedy) = if several {
            (
                format!("every weight of tier {tier} is 0, so that nothing of it is ever chosen"),
                "give one target of the tier a weight of 1",
            )
        } else {
            (
                "every weight is 0, so that nothing is ever chosen".to_owned(),
                "give one target a weight of 1",
            )
        };
        out.push(Finding::new(place.clone(), message, remedy));
    }
}

fn target_model(name: &str, target: &Target, at: &Place, out: &mut Vec<Finding>) {
    let Some(text) = &target.model else { return };
    let at = at.key("model");
    match text.matches('*').count() {
        _ if text.is_empty() => out.push(Finding::new(
            at,
            "an empty model name",
            "remove the key, or write the provider's name of the model",
        )),
        _ if text.len() > LONGEST || text.contains(char::is_control) => {
            let message = format!("longer than {LONGEST} bytes, or with a control character");
            out.push(Finding::new(at, message, "write the provider's name of the model"));
        }
        0 => {}
        1 if name.contains('*') => {}
        1 => {
            let message = format!(
                "`*` stands for what the `*` of the public name matched, and {} has none",
                quoted(name)
            );
            out.push(Finding::new(
                at,
                message,
                "write the provider's name of the model in full",
            ));
        }
        _ => out.push(Finding::new(at, "more than one `*`", "keep one `*`")),
    }
}

fn aliases(config: &Config, names: &Names, models: &Place, out: &mut Vec<Finding>) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (name, model) in &config.models {
        for (index, alias) in model.aliases.iter().enumerate() {
            let at = models.key(name).key("aliases").index(index);
            if let Some((message, remedy)) = bad_name(alias) {
                out.push(Finding::new(at, message, remedy));
            } else if alias.contains('*') {
                let message = "an alias is one exact name, without `*`";
                out.push(Finding::new(at, message, "make the pattern a model of its own"));
            } else if names.models.contains(alias) {
                out.push(Finding::new(
                    at,
                    format!("{} is a model already", quoted(alias)),
                    "remove the alias, or rename one of the two",
                ));
            } else if let Some(owner) = owners.insert(alias, name) {
                let message = format!("{} is an alias of {} already", quoted(alias), quoted(owner));
                out.push(Finding::new(at, message, "remove one of the two"));
            }
        }
    }
}

/// What to do about a name that nothing has.
pub(super) fn unknown_remedy(name: &str, known: &[String], kind: &str, block: &str) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => format!("add a {kind} of that name under `{block}:`, or name an existing one"),
    }
}
