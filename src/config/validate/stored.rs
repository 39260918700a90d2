//! Secrets that the store keeps: where `store:NAME` may stand, and that there is a key to seal with.
//!
//! Reads nothing: whether a secret is there, and opens, is known to who has the store.

use super::super::model::{Config, Provider, Store};
use super::super::problem::{Finding, Place};
use super::super::scalars::{NOT_STORED, SecretRef, named_secret};
use super::{credentials, provider_place};
use std::collections::BTreeMap;

/// What to do about `store:` where it must not stand.
pub(super) const REMEDY: &str = "put it into the environment or a file and write `env:NAME` or `file:PATH`";

pub(super) fn check(config: &Config, out: &mut Vec<Finding>) {
    let root = Place::root();
    for (place, reference) in elsewhere(config, &root) {
        if reference.stored().is_some() {
            out.push(Finding::new(place, NOT_STORED, REMEDY));
        }
    }
    if !config.secrets.keys.is_empty() {
        return;
    }
    for (name, provider) in &config.providers {
        let secrets = of(provider, &provider_place(name));
        for (place, _) in secrets.into_iter().filter(|(_, secret)| secret.stored().is_some()) {
            let message = "a secret of the store, and no key that it is sealed with";
            let remedy = "add `secrets: { keys: [env:CIRQUE_SECRETS_KEY] }`; `openssl rand -hex 32` makes one";
            out.push(Finding::new(place, message, remedy));
        }
    }
}

/// Where each secret of a provider is written.
pub(super) fn of(provider: &Provider, place: &Place) -> Vec<(Place, SecretRef)> {
    let mut all = credentials::secrets(provider, place);
    let headers = provider.headers.iter();
    all.extend(headers.filter_map(|(header, value)| {
        let reference = named_secret(value).ok()??;
        Some((place.key("headers").key(header), reference))
    }));
    all
}

/// Which providers use which secrets of the store: names of providers by the secret's.
pub fn uses(config: &Config) -> BTreeMap<String, Vec<String>> {
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, provider) in &config.providers {
        for (_, secret) in of(provider, &provider_place(name)) {
            let Some(stored) = secret.stored() else { continue };
            let users = uses.entry(stored.to_owned()).or_default();
            if users.last() != Some(name) {
                users.push(name.clone());
            }
        }
    }
    uses
}

/// Every secret that is no provider's.
fn elsewhere(config: &Config, root: &Place) -> Vec<(Place, SecretRef)> {
    let mut all = Vec::new();
    for (index, key) in config.secrets.keys.iter().enumerate() {
        all.push((root.key("secrets").key("keys").index(index), key.clone()));
    }
    for (name, key) in &config.keys {
        let at = root.key("keys").key(name).key("secret");
        all.extend(key.secret.iter().map(|secret| (at.clone(), secret.clone())));
    }
    let at = root.key("auth").key("key_secret");
    all.extend(config.auth.key_secret.iter().map(|secret| (at.clone(), secret.clone())));
    if let Some(webhook) = &config.alerts.webhook {
        let at = root.key("alerts").key("webhook");
        all.push((at.key("url"), webhook.url.clone()));
        all.push((at.key("secret"), webhook.secret.clone()));
    }
    for (name, operator) in &config.admin.operators {
        let at = root.key("admin").key("operators").key(name).key("token");
        all.push((at, operator.token.clone()));
    }
    if let Some(Store::Postgres { url, .. }) = &config.store {
        all.push((root.key("store").key("url"), url.clone()));
    }
    all.extend(super::cache::vectors_url(config));
    let urls = config.redis.iter().flat_map(|redis| redis.urls.iter().enumerate());
    all.extend(urls.filter_map(|(index, url)| {
        let reference = named_secret(url).ok()??;
        Some((root.key("redis").key("urls").index(index), reference))
    }));
    all
}
