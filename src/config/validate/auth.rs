//! How callers prove who they are: identity providers, client certificates, trusted proxies.

use super::super::base_url::BaseUrl;
use super::super::model::{ClaimNames, ClaimRule, Config, Jwt};
use super::super::problem::{Finding, Place, nearest, quoted};
use super::resilience::{LABEL_REMEDY, bad_label};
use super::{Names, listeners_with_places, stores, tenancy};
use crate::auth::glob;
use crate::auth::jwt::{ClaimPath, MOST_KEPT};
use std::collections::HashMap;
use std::time::Duration;

/// Signatures with public keys. None with a shared secret: whoever checks those could make them.
const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];
const ROLES: [&str; 5] = ["owner", "admin", "team-admin", "auditor", "read-only"];
const LONGEST_LEEWAY: Duration = Duration::from_secs(5 * 60);
/// Longest `iss`, in bytes.
const LONGEST_ISSUER: usize = 1024;
/// Longest name or value of a claim, in bytes.
const LONGEST_CLAIM: usize = 256;
/// Most elements of one list.
const MOST: usize = 256;

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    let place = Place::root().key("auth");
    let auth = &config.auth;
    tenancy::network_list(&auth.trusted_proxies, &place.key("trusted_proxies"), out);
    let mut issuers: HashMap<&str, &str> = HashMap::new();
    for (name, jwt) in &auth.jwt {
        let at = place.key("jwt").key(name);
        if let Some(message) = bad_label(name, "an identity provider") {
            out.push(Finding {
                at_key: true,
                ..Finding::new(at.clone(), message, LABEL_REMEDY)
            });
        }
        if let Some(first) = issuers.insert(&jwt.issuer, name) {
            let message = format!("the issuer of {} already", quoted(first));
            out.push(Finding::new(
                at.key("issuer"),
                message,
                "join the two: `audiences` is a list",
            ));
        }
        provider(config, jwt, names, &at, out);
        prefixes(config, name, jwt, &at, out);
    }
    certificates(config, &place.key("client_certificates"), out);
    listeners(config, out);
}

fn provider(config: &Config, jwt: &Jwt, names: &Names, at: &Place, out: &mut Vec<Finding>) {
    // With keys from elsewhere it is only compared, and may be any text.
    if jwt.jwks_url.is_none() && jwt.jwks_file.is_none() {
        url(&jwt.issuer, at.key("issuer"), out);
    } else if jwt.issuer.is_empty() || jwt.issuer.len() > LONGEST_ISSUER || jwt.issuer.contains(char::is_control) {
        let message = "empty, longer than 1024 bytes, or with a control character";
        out.push(Finding::new(
            at.key("issuer"),
            message,
            "write `iss` as its tokens have it",
        ));
    }
    if let Some(text) = &jwt.jwks_url {
        url(text, at.key("jwks_url"), out);
        if jwt.jwks_file.is_some() {
            let message = "`jwks_url` says already where the keys are";
            out.push(Finding::new(at.key("jwks_file"), message, "remove one of the two"));
        }
    }
    audiences(&jwt.audiences, &at.key("audiences"), out);
    for (index, algorithm) in jwt.algorithms.iter().enumerate() {
        if !ALGORITHMS.contains(&algorithm.as_str()) {
            let message = if algorithm.starts_with("HS") {
                format!("{}: whoever can check such a signature can make one", quoted(algorithm))
            } else {
                format!("{} is not taken", quoted(algorithm))
            };
            let remedy = match nearest(algorithm, ALGORITHMS) {
                Some(near) if !algorithm.starts_with("HS") => format!("did you mean `{near}`?"),
                _ => format!("write some of {}", ALGORITHMS.join(", ")),
            };
            out.push(Finding::new(at.key("algorithms").index(index), message, remedy));
        }
    }
    if jwt.leeway.is_some_and(|leeway| leeway.as_duration() > LONGEST_LEEWAY) {
        let message = "longer than 5m: an expired token would go on working";
        out.push(Finding::new(
            at.key("leeway"),
            message,
            "set the clocks, and write at most `5m`",
        ));
    }
    if jwt
        .keys_valid
        .is_some_and(|valid| valid.as_duration() < Duration::from_secs(60))
    {
        let message = "shorter than 60s: keys would be gone before they are fetched again";
        out.push(Finding::new(at.key("keys_valid"), message, "write hours"));
    }
    for (claim, value) in &jwt.require {
        let at = at.key("require").key(claim);
        claim_name(claim, at.clone(), out);
        if value.is_empty() || value.len() > LONGEST_CLAIM {
            out.push(Finding::new(
                at,
                "empty, or longer than 256 bytes",
                "write the value it must have",
            ));
        }
    }
    claims(&jwt.claims, &at.key("claims"), out);
    if jwt.map.len() > MOST {
        let message = format!("{} rules, at most {MOST} are allowed", jwt.map.len());
        return out.push(Finding::new(at.key("map"), message, "write patterns with `*`"));
    }
    for (index, rule) in jwt.map.iter().enumerate() {
        map_rule(config, rule, names, &at.key("map").index(index), out);
    }
}

/// Whose names are whose.
fn prefixes(config: &Config, name: &str, jwt: &Jwt, at: &Place, out: &mut Vec<Finding>) {
    if config.auth.jwt.len() > 1 && jwt.prefix.is_none() {
        let message = "there are several issuers, and a user of one could have the name of another's";
        let remedy = format!("write `prefix: \"{name}:\"`, or `prefix: \"\"` if they share names on purpose");
        out.push(Finding::new(at.clone(), message, remedy));
    }
    for (key, prefix) in [("prefix", &jwt.prefix), ("tenant_prefix", &jwt.tenant_prefix)] {
        let good = |character: char| character.is_ascii_alphanumeric() || "._-@+:~".contains(character);
        let fits = |prefix: &String| {
            let begins = prefix.is_empty() || prefix.starts_with(|first: char| first.is_ascii_alphanumeric());
            begins && prefix.len() <= 64 && prefix.chars().all(good)
        };
        if !prefix.as_ref().is_none_or(fits) {
            let message = "not what a name can begin with: at most 64 ASCII letters, digits and ._-@+:~, beginning with a letter or digit";
            out.push(Finding::new(at.key(key), message, format!("write `{name}:`")));
        }
    }
}

/// Where keys to believe in come from: nobody on the way may exchange them.
fn url(text: &str, at: Place, out: &mut Vec<Finding>) {
    match BaseUrl::parse(text) {
        Err((message, remedy)) => out.push(Finding::new(at, message, remedy)),
        Ok(url) if !url.https && !url.is_loopback() => {
            let message = "whoever is on the way could exchange the keys that tokens are checked with";
            out.push(Finding::new(at, message, "begin with `https://`"));
        }
        Ok(_) => {}
    }
}

fn audiences(list: &[String], at: &Place, out: &mut Vec<Finding>) {
    let remedy = "write the `aud` that the identity provider puts into tokens for this gateway";
    if list.is_empty() || list.len() > MOST {
        let message = "none, or more than 256: tokens for other applications would be taken";
        out.push(Finding::new(at.clone(), message, remedy));
    }
    for (index, audience) in list.iter().take(MOST).enumerate() {
        if audience.is_empty() || audience.len() > LONGEST_CLAIM || audience.contains('*') {
            let message = "empty, longer than 256 bytes, or a pattern";
            out.push(Finding::new(at.index(index), message, remedy));
        }
    }
}

fn claims(claims: &ClaimNames, at: &Place, out: &mut Vec<Finding>) {
    let single = [
        ("user", &claims.user),
        ("organisation", &claims.organisation),
        ("team", &claims.team),
        ("project", &claims.project),
        ("roles", &claims.roles),
    ];
    for (key, name) in single {
        if let Some(name) = name {
            claim_name(name, at.key(key), out);
        }
    }
    if claims.keep.len() > MOST_KEPT {
        let message = format!("{} claims, at most {MOST_KEPT} are kept", claims.keep.len());
        out.push(Finding::new(
            at.key("keep"),
            message,
            "keep what rules and reports need",
        ));
    }
    for (index, name) in claims.keep.iter().enumerate().take(MOST_KEPT) {
        claim_name(name, at.key("keep").index(index), out);
    }
}

fn claim_name(name: &str, at: Place, out: &mut Vec<Finding>) {
    let plain = name.len() <= LONGEST_CLAIM && !name.contains(char::is_control);
    if !plain || ClaimPath::parse(name).is_err() {
        let remedy =
            "write `team`, `realm_access.roles`, or `'\"https://acme.example/team\"'` for one with dots in its name";
        out.push(Finding::new(at, "not the name of a claim", remedy));
    }
}

fn map_rule(config: &Config, rule: &ClaimRule, names: &Names, at: &Place, out: &mut Vec<Finding>) {
    claim_name(&rule.claim, at.key("claim"), out);
    if let Some(message) = glob::wrong_with(&rule.value) {
        out.push(Finding::new(
            at.key("value"),
            message,
            "write a value, or a pattern such as `eng-*`",
        ));
    }
    if rule.team.is_none() && rule.organisation.is_none() && rule.project.is_none() && rule.role.is_none() {
        let remedy = "add one of `team`, `organisation`, `project`, `role`";
        out.push(Finding::new(at.clone(), "the rule means nothing", remedy));
    }
    if let Some(role) = &rule.role
        && !ROLES.contains(&role.as_str())
    {
        let remedy = match nearest(role, ROLES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}", ROLES.join(", ")),
        };
        out.push(Finding::new(
            at.key("role"),
            format!("no role {}", quoted(role)),
            remedy,
        ));
    }
    if rule.role.as_deref() == Some("team-admin") && rule.team.is_none() && !any_team(config, names) {
        let message = "a team-admin of no team";
        out.push(Finding::new(at.key("role"), message, "add `team: NAME-OF-THE-TEAM`"));
    }
}

/// Whether a token could name its team otherwise.
fn any_team(config: &Config, names: &Names) -> bool {
    !names.teams.is_empty()
        || config
            .auth
            .jwt
            .values()
            .any(|jwt| jwt.claims.team.is_some() || jwt.team.is_some())
}

fn certificates(config: &Config, at: &Place, out: &mut Vec<Finding>) {
    let Some(certificates) = &config.auth.client_certificates else {
        return;
    };
    let taken = listeners_with_places(config)
        .iter()
        .any(|(_, listener)| listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()));
    if !taken {
        let message = "no listener takes client certificates";
        let remedy = "add `tls: { cert: FILE, key: FILE, client_ca: FILE }` to a listener, or remove this";
        out.push(Finding::new(at.clone(), message, remedy));
    }
    for (identity, key) in &certificates.keys {
        let place = at.key("keys").key(identity);
        if let Some(message) = glob::wrong_with(identity) {
            let remedy = "write an identity, or a pattern such as `spiffe://acme/*`";
            out.push(Finding {
                at_key: true,
                ..Finding::new(place.clone(), message, remedy)
            });
        }
        if !config.keys.contains_key(key) {
            let remedy = match nearest(key, config.keys.keys().map(String::as_str)) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => "add it under `keys:`, or name an existing one".to_owned(),
            };
            out.push(Finding::new(place, format!("no key {}", quoted(key)), remedy));
        }
    }
}

fn listeners(config: &Config, out: &mut Vec<Finding>) {
    for (place, listener) in listeners_with_places(config) {
        let Some(tls) = &listener.tls else { continue };
        if tls.client_certificate_required && tls.client_ca.is_none() {
            let message = "no certificate could be checked";
            let remedy = "add `client_ca: FILE`, the authorities that issue them";
            let at = place.key("tls").key("client_certificate_required");
            out.push(Finding::new(at, message, remedy));
        }
    }
}

pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    let root = Place::root();
    for (name, jwt) in &config.auth.jwt {
        let at = root.key("auth").key("jwt").key(name);
        stores::unknown_team(config, jwt.team.as_deref(), at.key("team"), out);
        for (index, rule) in jwt.map.iter().enumerate() {
            let at = at.key("map").index(index).key("team");
            stores::unknown_team(config, rule.team.as_deref(), at, out);
        }
    }
    let everybody = ["0.0.0.0/0", "::/0"];
    for (index, network) in config.auth.trusted_proxies.iter().enumerate() {
        if everybody.contains(&network.as_str()) {
            let at = root.key("auth").key("trusted_proxies").index(index);
            let message = "everybody may then say which address they come from";
            out.push(Finding::new(at, message, "write the networks of your proxies"));
        }
    }
    let nobody = config.keys.is_empty() && config.auth.jwt.is_empty() && config.admin.operators.is_empty();
    if nobody && !config.insecure.open_access {
        let message = "nobody could be let in: there are no keys, no identity providers, and no operators to make keys";
        let remedy = "add `keys`, `auth: { jwt: … }` or `admin: { operators: … }`; \
                      `insecure: { open_access: true }` lets everybody in";
        out.push(Finding::new(root.key("insecure"), message, remedy));
    }
}
