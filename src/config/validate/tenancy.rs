//! Tenants and keys: names that exist, lists that mean something, one secret each. For a whole file, and for one object of the
//! admin API (`object`), by the same functions.
//!
//! Not limits and budgets, which stand under models and providers too (`counts`). The one idea: every kind is checked through
//! [`Shared`], what all kinds have.

use super::super::model::{Config, Key, Shared, Tenant, TenantKind};
use super::super::problem::{Finding, Place, nearest, quoted};
use super::routes::bad_parameter;
use super::{Names, counts};
use crate::auth::hours::Hours;
use crate::auth::{Digest, glob, network};
use crate::wire::Operation;
use crate::wire::edit::Edits;
use std::collections::{BTreeMap, HashMap};

/// Longest name of a tenant or key, in bytes.
const LONGEST_NAME: usize = 128;
/// Longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 1000;
/// Most entries of metadata.
const MOST_METADATA: usize = 64;
/// Longest name of one, in bytes.
const LONGEST_METADATA_NAME: usize = 64;
/// Longest value of one, in bytes.
const LONGEST_METADATA: usize = 512;
/// Most tags of one block.
const MOST_TAGS: usize = 32;
/// Longest tag, in bytes.
const LONGEST_TAG: usize = 64;
pub(super) const TAG_REMEDY: &str = "use 1 to 64 letters, digits, `.`, `_`, `:`, `/` and `-`";
/// Most elements of one list of names or networks.
const MOST_LISTED: usize = 1000;
/// Most parameters with defaults.
const MOST_DEFAULTS: usize = 64;
/// What else can be allowed beside [`Operation`]s.
const OTHER_OPERATIONS: [&str; 2] = ["passthrough", "models"];

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    for (kind, name, tenant) in all(config) {
        let place = Place::root().key(kind.block()).key(name);
        if let Some(message) = bad_name(name) {
            let remedy = "write 1 to 128 visible characters without `/`";
            out.push(Finding {
                at_key: true,
                ..Finding::new(place.clone(), message, remedy)
            });
        }
        one(&tenant, names, &place, out);
        if let Tenant::Key(key) = &tenant {
            secret(config, key, &place, out);
        }
    }
    same_hashes(config, out);
}

/// Every tenant and key of a file.
pub(super) fn all(config: &Config) -> impl Iterator<Item = (TenantKind, &str, Tenant)> {
    fn each<T: Clone>(
        block: &BTreeMap<String, T>,
        kind: TenantKind,
        wrap: fn(Box<T>) -> Tenant,
    ) -> impl Iterator<Item = (TenantKind, &str, Tenant)> {
        block
            .iter()
            .map(move |(name, it)| (kind, name.as_str(), wrap(Box::new(it.clone()))))
    }
    each(&config.organisations, TenantKind::Organisation, Tenant::Organisation)
        .chain(each(&config.teams, TenantKind::Team, Tenant::Team))
        .chain(each(&config.projects, TenantKind::Project, Tenant::Project))
        .chain(each(&config.users, TenantKind::User, Tenant::User))
        .chain(each(&config.keys, TenantKind::Key, Tenant::Key))
}

/// One tenant or key, but for its name and secrets.
pub(super) fn one(tenant: &Tenant, names: &Names, place: &Place, out: &mut Vec<Finding>) {
    for (kind, name) in tenant.names() {
        if !names.has_tenant(kind, name) {
            let known = names.tenants(kind).map(String::as_str);
            let remedy = match nearest(name, known) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => format!("add it under `{}:`, or name an existing one", kind.block()),
            };
            let message = format!("no {} {}", kind.as_str(), quoted(name));
            out.push(Finding::new(place.key(kind.as_str()), message, remedy));
        }
    }
    let shared = tenant.shared();
    texts(&shared, place, out);
    lists(&shared, names, place, out);
    networks(&shared, place, out);
    hours(&shared, place, out);
    defaults(&shared, place, out);
    if let Some(policy) = shared.cache {
        super::cache::policy(policy, names, &place.key("cache"), out);
    }
    super::guardrails::named(shared.guardrails, names, &place.key("guardrails"), out);
    counts::limits(shared.limits, names, &place.key("limits"), out);
    counts::budgets(shared.budgets, names, &place.key("budgets"), out);
}

/// What is wrong with the name of a tenant or key.
pub(super) fn bad_name(name: &str) -> Option<String> {
    // Not what turns text around or cannot be seen: two names that look alike would be two tenants.
    let hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let visible = |c: char| !c.is_control() && !hidden(c) && (c == ' ' || !c.is_whitespace());
    match name {
        "" => Some("an empty name".to_owned()),
        _ if name.len() > LONGEST_NAME => Some(format!("a name of {} bytes, at most 128 are allowed", name.len())),
        _ if name.contains('/') => Some("the name contains a `/`".to_owned()),
        _ if name.trim() != name => Some("the name begins or ends with a space".to_owned()),
        _ if !name.chars().all(visible) => Some("the name contains a character that cannot be seen".to_owned()),
        _ => None,
    }
}

fn texts(shared: &Shared<'_>, place: &Place, out: &mut Vec<Finding>) {
    let unseen = |text: &str| text.contains(char::is_control);
    description(shared.description, place, out);
    let at = place.key("metadata");
    if shared.metadata.len() > MOST_METADATA {
        let message = format!("{} entries, at most {MOST_METADATA} are allowed", shared.metadata.len());
        out.push(Finding::new(at.clone(), message, "keep what rules and reports need"));
    }
    for (name, value) in shared.metadata.iter().take(MOST_METADATA) {
        if name.is_empty() || name.len() > LONGEST_METADATA_NAME || unseen(name) {
            let message = "a name that is empty, longer than 64 bytes, or with a control character";
            out.push(Finding {
                at_key: true,
                ..Finding::new(at.key(name), message, "write a short name")
            });
        }
        if value.len() > LONGEST_METADATA || unseen(value) {
            let message = "a value longer than 512 bytes, or with a control character";
            out.push(Finding::new(at.key(name), message, "write one short line"));
        }
    }
    tags(shared.tags, &place.key("tags"), out);
}

/// What something is for, in words.
pub(super) fn description(text: Option<&str>, place: &Place, out: &mut Vec<Finding>) {
    if let Some(text) = text
        && (text.len() > LONGEST_DESCRIPTION || text.contains(|c: char| c.is_control() && c != '\n'))
    {
        let message = "longer than 1000 bytes, or with a control character";
        out.push(Finding::new(place.key("description"), message, "shorten it"));
    }
}

/// Whether a text can be a tag. None has a character that tells the parts of a count's id apart.
pub(super) fn is_tag(tag: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '-');
    !tag.is_empty() && tag.len() <= LONGEST_TAG && tag.chars().all(allowed)
}

fn tags(tags: &[String], at: &Place, out: &mut Vec<Finding>) {
    if tags.len() > MOST_TAGS {
        let message = format!("{} tags, at most {MOST_TAGS} are allowed", tags.len());
        out.push(Finding::new(at.clone(), message, "keep what usage is grouped by"));
    }
    for (index, tag) in tags.iter().take(MOST_TAGS).enumerate() {
        if !is_tag(tag) {
            out.push(Finding::new(at.index(index), "not a tag", TAG_REMEDY));
        } else if tags.iter().take(index).any(|earlier| earlier == tag) {
            out.push(Finding::new(
                at.index(index),
                "the same tag twice",
                "remove one of the two",
            ));
        }
    }
}

fn lists(shared: &Shared<'_>, names: &Names, place: &Place, out: &mut Vec<Finding>) {
    models(shared.models.unwrap_or_default(), names, &place.key("models"), out);
    models(shared.denied_models, names, &place.key("denied_models"), out);
    providers(
        shared.providers.unwrap_or_default(),
        names,
        &place.key("providers"),
        out,
    );
    let known: Vec<&str> = Operation::ALL
        .iter()
        .map(|it| it.as_str())
        .chain(OTHER_OPERATIONS)
        .collect();
    patterns(
        shared.operations.unwrap_or_default(),
        &place.key("operations"),
        out,
        |name| {
            if known.contains(&name) {
                return None;
            }
            let remedy = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", known.join(", ")),
            };
            Some((format!("no operation {}", quoted(name)), remedy))
        },
    );
}

/// A list of public models: names or patterns.
pub(super) fn models(list: &[String], names: &Names, at: &Place, out: &mut Vec<Finding>) {
    patterns(list, at, out, |name| {
        if names.serves(name) {
            return None;
        }
        let remedy = match names.aliases.get(name) {
            Some(owner) => format!("it is an alias; write {}", quoted(owner)),
            None => super::models::unknown_remedy(name, &names.models, "model", "models"),
        };
        Some((format!("no model {}", quoted(name)), remedy))
    });
}

/// A list of providers: names or patterns.
pub(super) fn providers(list: &[String], names: &Names, at: &Place, out: &mut Vec<Finding>) {
    patterns(list, at, out, |name| {
        let known = names.providers.iter().any(|known| known == name);
        let remedy = || super::models::unknown_remedy(name, &names.providers, "provider", "providers");
        (!known).then(|| (format!("no provider {}", quoted(name)), remedy()))
    });
}

/// A list of names and patterns; what is no pattern must be known.
fn patterns(list: &[String], at: &Place, out: &mut Vec<Finding>, unknown: impl Fn(&str) -> Option<(String, String)>) {
    if too_long(list.len(), at, out) {
        return;
    }
    for (index, text) in list.iter().enumerate() {
        if let Some(message) = glob::wrong_with(text) {
            let remedy = "write a name, or a pattern such as `gpt-*`";
            out.push(Finding::new(at.index(index), message, remedy));
        } else if !text.contains('*')
            && let Some((message, remedy)) = unknown(text)
        {
            out.push(Finding::new(at.index(index), message, remedy));
        }
    }
}

fn too_long(length: usize, at: &Place, out: &mut Vec<Finding>) -> bool {
    let long = length > MOST_LISTED;
    if long {
        let message = format!("{length} elements, at most {MOST_LISTED} are allowed");
        out.push(Finding::new(
            at.clone(),
            message,
            "write patterns with `*`, or larger networks",
        ));
    }
    long
}

fn networks(shared: &Shared<'_>, place: &Place, out: &mut Vec<Finding>) {
    network_list(shared.allowed_ips.unwrap_or_default(), &place.key("allowed_ips"), out);
    network_list(shared.denied_ips, &place.key("denied_ips"), out);
}

/// A list of networks.
pub(super) fn network_list(list: &[String], at: &Place, out: &mut Vec<Finding>) {
    if too_long(list.len(), at, out) {
        return;
    }
    for (index, text) in list.iter().enumerate() {
        if let Err(wrong) = network::parse(text) {
            let message = format!("{}: {wrong}", quoted(text));
            let remedy = "write a network such as `10.0.0.0/8` or `2001:db8::/32`, or one address";
            out.push(Finding::new(at.index(index), message, remedy));
        }
    }
}

fn hours(shared: &Shared<'_>, place: &Place, out: &mut Vec<Finding>) {
    let at = place.key("hours");
    if too_long(shared.hours.len(), &at, out) {
        return;
    }
    for (index, hours) in shared.hours.iter().enumerate() {
        let parsed = Hours::parse(hours.days.as_deref(), hours.time.as_deref(), hours.time_zone.as_deref());
        for bad in parsed.err().unwrap_or_default() {
            out.push(Finding::new(at.index(index).key(bad.part), bad.message, bad.remedy));
        }
    }
}

fn defaults(shared: &Shared<'_>, place: &Place, out: &mut Vec<Finding>) {
    let at = place.key("defaults");
    if shared.defaults.len() > MOST_DEFAULTS {
        let message = format!(
            "{} parameters, at most {MOST_DEFAULTS} are allowed",
            shared.defaults.len()
        );
        return out.push(Finding::new(at, message, "keep what clients of this tenant need"));
    }
    let bad: Vec<&String> = shared.defaults.keys().filter(|name| bad_parameter(name)).collect();
    for name in &bad {
        let message = format!("{} is not the name of a parameter", quoted(name));
        out.push(Finding {
            at_key: true,
            ..Finding::new(at.key(name), message, "write a name such as `temperature`")
        });
    }
    let edits = Edits {
        default: shared.defaults.clone(),
        ..Edits::default()
    };
    for problem in edits.check() {
        if !bad.contains(&&problem.name) {
            out.push(Finding::new(at.key(&problem.name), problem.message, problem.remedy));
        }
    }
}

fn secret(config: &Config, key: &Key, place: &Place, out: &mut Vec<Finding>) {
    match (&key.secret, &key.hash) {
        (None, None) => {
            let remedy = "add `secret: env:NAME` (a new one: `cirque key new`), or `hash`";
            out.push(Finding::new(place.clone(), "there is no secret", remedy));
        }
        (Some(_), Some(_)) => {
            let message = "`secret` and `hash`: which of the two opens it is not clear";
            out.push(Finding::new(place.key("hash"), message, "remove one of the two"));
        }
        (None, Some(hash)) if Digest::from_hex(hash).is_none() => {
            let message = "not a hash of a key (its text is not repeated here)";
            let remedy =
                "write the 64 hexadecimal digits that `cirque key hash` prints; the key itself belongs into `secret`";
            out.push(Finding::new(place.key("hash"), message, remedy));
        }
        (None, Some(_)) if config.auth.key_secret.is_none() => {
            let message = "a hash depends on the secret it was made with, and none is configured";
            let remedy = "add `auth: { key_secret: env:NAME }`, the one that `cirque key hash` was given";
            out.push(Finding::new(place.key("hash"), message, remedy));
        }
        _ => {}
    }
}

fn same_hashes(config: &Config, out: &mut Vec<Finding>) {
    let mut owners: HashMap<Digest, &str> = HashMap::new();
    for (name, key) in &config.keys {
        let Some(digest) = key.hash.as_deref().and_then(Digest::from_hex) else {
            continue;
        };
        if let Some(owner) = owners.insert(digest, name) {
            let at = Place::root().key("keys").key(name).key("hash");
            let message = format!("the same as that of the key {}", quoted(owner));
            out.push(Finding::new(at, message, "give each key a secret of its own"));
        }
    }
}

/// Blocks that refuse everything already.
pub(super) fn warn(config: &Config, now: i64, out: &mut Vec<Finding>) {
    for (kind, name, tenant) in all(config) {
        if let Some(expires) = tenant.shared().expires.filter(|expires| expires.unix() <= now) {
            let at = Place::root().key(kind.block()).key(name).key("expires");
            let message = format!("it has expired: {expires} is over");
            out.push(Finding::new(at, message, "write a later moment, or remove it"));
        }
    }
}
