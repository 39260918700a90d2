//! Secrets of keys, operators, the store and Redis, read to see whether they can be used. Reads the environment and files; no
//! finding contains any of a value.

use super::super::model::{Config, Store};
use super::super::problem::{Finding, Place, quoted};
use super::super::scalars::{SecretRef, is_reference};
use crate::auth::token;
use crate::hex::hex;
use crate::secret::Secret;
use std::collections::HashMap;

/// Shortest token of an operator, in characters.
const SHORTEST_TOKEN: usize = 32;
/// Longest.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Secrets of `keys`, by name, and what is wrong with those that open nothing.
pub(super) fn keys(config: &Config, out: &mut Vec<Finding>) -> Vec<(String, Secret)> {
    let mut read: Vec<(String, Secret)> = Vec::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    for (name, key) in &config.keys {
        let Some(reference) = &key.secret else { continue };
        let at = Place::root().key("keys").key(name).key("secret");
        let Some(secret) = fetch(reference, &at, out) else {
            continue;
        };
        if let Err(malformed) = token::check(secret.expose()) {
            let (message, remedy) = match malformed {
                token::Malformed::Mistyped => (
                    format!("{reference} begins with `cq-`, and its checksum does not fit"),
                    "copy the key again in full, or make a new one: `cirque key new`",
                ),
                token::Malformed::NoKey => (
                    format!("{reference} is not a key: too short, or with characters that none has"),
                    "make one with `cirque key new`, or use any 20 to 512 visible ASCII characters",
                ),
            };
            out.push(Finding::new(at, message, remedy));
            continue;
        }
        // A digest without a secret of its own: only to compare, and gone at the end of this function.
        let digest = ring::digest::digest(&ring::digest::SHA256, secret.expose().as_bytes());
        let print = hex(digest.as_ref());
        if let Some(owner) = owners.get(&print) {
            let message = format!("the same secret as that of the key {}", quoted(owner));
            out.push(Finding::new(at, message, "give each key a secret of its own"));
            continue;
        }
        owners.insert(print, name.clone());
        read.push((name.clone(), secret));
    }
    read
}

/// The other secrets.
pub(super) fn others(config: &Config, out: &mut Vec<Finding>) {
    let root = Place::root();
    if let Some(reference) = &config.auth.key_secret {
        let at = root.key("auth").key("key_secret");
        at_least(reference, token::SHORTEST_HASH_SECRET, at, out);
    }
    if let Some(webhook) = &config.alerts.webhook {
        let at = root.key("alerts").key("webhook");
        fetch(&webhook.url, &at.key("url"), out);
        at_least(&webhook.secret, token::SHORTEST_HASH_SECRET, at.key("secret"), out);
    }
    operators(config, out);
    for (index, key) in config.secrets.keys.iter().enumerate() {
        let at = root.key("secrets").key("keys").index(index);
        if let Some(secret) = fetch(key, &at, out)
            && secret.bytes_32().is_none()
        {
            let message = format!("{key} is not 32 bytes in hexadecimal or base64");
            out.push(Finding::new(at, message, "make one with `openssl rand -hex 32`"));
        }
    }
    let store = match &config.store {
        Some(Store::Postgres { url, .. }) => Some((root.key("store").key("url"), url.clone())),
        _ => None,
    };
    for (at, url) in store.into_iter().chain(super::cache::vectors_url(config)) {
        let schemes = ["postgres://", "postgresql://"];
        if let Some(secret) = fetch(&url, &at, out)
            && !schemes.iter().any(|scheme| secret.expose().starts_with(scheme))
        {
            let remedy = "write `postgres://USER:PASSWORD@HOST/DATABASE`";
            out.push(Finding::new(
                at,
                format!("{url} is not the URL of a PostgreSQL server"),
                remedy,
            ));
        }
    }
    let urls = config.redis.iter().flat_map(|redis| redis.urls.iter().enumerate());
    for (index, text) in urls.filter(|(_, text)| is_reference(text)) {
        let at = root.key("redis").key("urls").index(index);
        let Ok(reference) = SecretRef::parse(text) else {
            continue;
        };
        let Some(secret) = fetch(&reference, &at, out) else {
            continue;
        };
        if let Some((message, remedy)) = super::stores::bad_redis_url(secret.expose(), true) {
            out.push(Finding::new(at, format!("{reference}: {message}"), remedy));
        }
    }
}

/// Tokens of operators, each its own: of two with the same nobody could say who is asking.
fn operators(config: &Config, out: &mut Vec<Finding>) {
    let mut owners: Vec<(Secret, &str)> = Vec::new();
    for (name, operator) in &config.admin.operators {
        let at = Place::root().key("admin").key("operators").key(name).key("token");
        let Some(token) = at_least(&operator.token, SHORTEST_TOKEN, at.clone(), out) else {
            continue;
        };
        if token.expose().len() > LONGEST_TOKEN {
            let message = format!("{} has more than {LONGEST_TOKEN} characters", operator.token);
            out.push(Finding::new(at, message, "`openssl rand -hex 32` prints 64"));
        } else if let Some((_, owner)) = owners.iter().find(|(known, _)| known.expose() == token.expose()) {
            let message = format!("the same as that of the operator {}", quoted(owner));
            out.push(Finding::new(at, message, "give each operator a token of its own"));
        } else {
            owners.push((token, name));
        }
    }
}

/// The secret, if it is long enough.
fn at_least(reference: &SecretRef, length: usize, at: Place, out: &mut Vec<Finding>) -> Option<Secret> {
    let secret = fetch(reference, &at, out)?;
    if secret.expose().len() < length {
        let remedy = format!("use at least {length} characters: `openssl rand -hex 32` prints 64");
        out.push(Finding::new(
            at,
            format!("{reference} has fewer than {length} characters"),
            remedy,
        ));
        return None;
    }
    Some(secret)
}

fn fetch(reference: &SecretRef, at: &Place, out: &mut Vec<Finding>) -> Option<Secret> {
    let read = reference.read();
    read.map_err(|message| out.push(Finding::new(at.clone(), message, super::unread_remedy(reference))))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_has_a_token_of_its_own_of_a_sane_length() {
        let folder = std::env::temp_dir().join(format!("cirque-tokens-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut text = "listen: 127.0.0.1:8080\nproviders: { p: { kind: demo } }\nmodels: { m: { targets: [ { provider: p } ] } }\n\
                        admin:\n  operators:\n"
            .to_owned();
        let token = "0123456789abcdef0123456789abcdef";
        for (name, token) in [
            ("ann", token),
            ("bob", token),
            ("cid", "short"),
            ("dan", &token.repeat(300)),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, token).unwrap();
            text += &format!("    {name}: {{ role: owner, token: \"file:{}\" }}\n", path.display());
        }
        let config = crate::config::parse(&text, "test").unwrap();
        let mut found = Vec::new();
        others(&config, &mut found);
        std::fs::remove_dir_all(&folder).unwrap();
        let told: Vec<String> = found
            .into_iter()
            .map(|finding| finding.unplaced().to_string())
            .collect();
        for (told, (place, message)) in told.iter().zip([
            ("admin.operators.bob.token", "the same as that of the operator"),
            ("admin.operators.cid.token", "has fewer than 32 characters"),
            ("admin.operators.dan.token", "has more than 8192 characters"),
        ]) {
            assert!(told.contains(place) && told.contains(message), "{told}");
            assert!(!told.contains("0123"), "{told}");
        }
        assert_eq!(told.len(), 3);
    }
}
