//! Does the configuration mean something? References that resolve, addresses that can be bound, no contradictions.
//!
//! Pure but for the functions that say otherwise ([`enabled`], [`check_secrets`], [`missing_files`]). One function per block of
//! the file; each speaks in [`Place`]s.

mod auth;
mod cache;
mod counts;
mod credentials;
mod fallbacks;
mod guardrails;
mod limits;
mod listeners;
mod models;
mod names;
mod object;
mod passthrough;
mod providers;
mod resilience;
mod routes;
mod secrets;
mod stored;
mod stores;
mod tags;
mod tenancy;

use super::model::{Config, Listen, ListenItem, Provider};
use super::problem::{Finding, Place, Problem, Step};
use super::scalars::SecretRef;
use crate::secret::Secret;
use std::path::Path;

pub use names::Names;
pub use object::tenant;
pub use providers::enabled;
pub use stored::uses as stored_secrets;

/// Everything that makes the configuration unusable.
pub(super) fn findings(config: &Config, names: &Names) -> Vec<Finding> {
    let mut out = Vec::new();
    listeners::check(config, &mut out);
    providers::check(config, &mut out);
    credentials::check(config, &mut out);
    models::check(config, names, &mut out);
    fallbacks::check(config, names, &mut out);
    resilience::check(config, &mut out);
    routes::check(config, names, &mut out);
    passthrough::check(config, names, &mut out);
    limits::check(config, &mut out);
    auth::check(config, names, &mut out);
    tenancy::check(config, names, &mut out);
    tags::check(config, names, &mut out);
    counts::check(config, names, &mut out);
    stores::check(config, &mut out);
    stored::check(config, &mut out);
    cache::check(config, names, &mut out);
    guardrails::check(config, names, &mut out);
    out
}

/// Things that work and are worth a second look. Reads the clock: something may have expired.
pub fn warnings(config: &Config) -> Vec<Problem> {
    warning_findings(config).into_iter().map(Finding::unplaced).collect()
}

pub(super) fn warning_findings(config: &Config) -> Vec<Finding> {
    let mut out = Vec::new();
    listeners::warn(config, &mut out);
    providers::warn(config, &mut out);
    credentials::warn(config, &mut out);
    resilience::warn(config, &mut out);
    auth::warn(config, &mut out);
    tenancy::warn(config, jiff::Timestamp::now().as_second(), &mut out);
    tags::warn(config, &mut out);
    stores::warn(config, &mut out);
    cache::warn(config, &mut out);
    guardrails::warn(config, &mut out);
    out
}

/// Secrets of `keys`, by name, and the problems of those that cannot be read, are none, or open another key already. Reads the
/// environment and files.
pub fn key_secrets(config: &Config) -> (Vec<(String, Secret)>, Vec<Problem>) {
    let mut out = Vec::new();
    let read = secrets::keys(config, &mut out);
    (read, out.into_iter().map(Finding::unplaced).collect())
}

/// Whether every secret of the providers that are [`enabled`], of keys, operators and stores can be read now and is long enough.
/// Reads the environment and files.
pub fn check_secrets(config: &Config) -> Vec<Problem> {
    secret_findings(config).into_iter().map(Finding::unplaced).collect()
}

pub(super) fn secret_findings(config: &Config) -> Vec<Finding> {
    let mut out = Vec::new();
    for (name, provider) in config.providers.iter().filter(|(_, provider)| enabled(provider)) {
        let place = provider_place(name);
        for (place, secret) in stored::of(provider, &place) {
            // What the store holds is known to who opens it only.
            if secret.stored().is_some() {
                continue;
            }
            // A service account's key is JSON: it has lines.
            let document = place.0.last() == Some(&Step::Key("service_account".to_owned()));
            let read = if document {
                secret.read_document()
            } else {
                secret.read()
            };
            if let Err(message) = read {
                out.push(Finding::new(place, message, unread_remedy(&secret)));
            }
        }
    }
    secrets::keys(config, &mut out);
    secrets::others(config, &mut out);
    out
}

/// What to do about a secret that cannot be read.
fn unread_remedy(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("set {name} in the environment of the process"),
        SecretRef::File(_) => "create the file, readable by the user the process runs as".to_owned(),
        SecretRef::Store(_) => stored::REMEDY.to_owned(),
    }
}

/// Certificates and the like that the file names and that are not there. Touches the file system.
pub(super) fn missing_files(config: &Config) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut check = |place: Place, path: &Path| {
        let message = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => return,
            Ok(_) => format!("{} is not a regular file", path.display()),
            Err(error) => format!("{} cannot be read: {error}", path.display()),
        };
        out.push(Finding::new(place, message, "name a file that the process may read"));
    };
    for (place, listener) in listeners_with_places(config) {
        if let Some(tls) = &listener.tls {
            check(place.key("tls").key("cert"), &tls.cert);
            check(place.key("tls").key("key"), &tls.key);
            if let Some(path) = &tls.client_ca {
                check(place.key("tls").key("client_ca"), path);
            }
        }
    }
    for (name, provider) in &config.providers {
        if let Some(path) = &provider.ca_file {
            check(Place::root().key("providers").key(name).key("ca_file"), path);
        }
    }
    for (name, jwt) in &config.auth.jwt {
        let at = Place::root().key("auth").key("jwt").key(name);
        for (key, path) in [("jwks_file", &jwt.jwks_file), ("ca_file", &jwt.ca_file)] {
            if let Some(path) = path {
                check(at.key(key), path);
            }
        }
    }
    if let Some(path) = config.redis.as_ref().and_then(|redis| redis.ca_file.as_ref()) {
        check(Place::root().key("redis").key("ca_file"), path);
    }
    for (index, path) in config.prices.files.iter().enumerate() {
        check(Place::root().key("prices").key("files").index(index), path);
    }
    cache::missing_models(config, &mut out);
    out
}

/// Every client listener and where it is written.
fn listeners_with_places(config: &Config) -> Vec<(Place, super::model::Listener)> {
    let root = Place::root().key("listen");
    let many = matches!(config.listen, Listen::Many(_));
    let listeners = config.listen.listeners().into_iter().enumerate();
    listeners
        .map(|(index, listener)| (if many { root.index(index) } else { root.clone() }, listener))
        .collect()
}

/// Where the address of a listener is written: in short form it is the listener itself.
fn address_place(config: &Config, place: &Place, index: usize) -> Place {
    let short = match &config.listen {
        Listen::Address(_) => true,
        Listen::One(_) => false,
        Listen::Many(items) => matches!(items.get(index), Some(ListenItem::Address(_))),
    };
    if short { place.clone() } else { place.key("address") }
}

/// `providers.<name>`
fn provider_place(name: &str) -> Place {
    Place::root().key("providers").key(name)
}

/// Whether a provider answers in this process.
fn is_demo(provider: &Provider) -> bool {
    provider.kind == super::model::ProviderKind::Demo
}
