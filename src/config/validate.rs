//! Does the configuration mean something? References that resolve, addresses that can be bound, no contradictions.
//!
//! Pure but for the functions that say otherwise ([`enabled`], [`check_secrets`], [`missing_files`]). One function per block of
//! the file; each speaks in [`Place`]s.

mod credentials;
mod fallbacks;
mod limits;
mod listeners;
mod models;
mod passthrough;
mod providers;
mod resilience;
mod routes;

use super::model::{Config, Listen, ListenItem, Provider};
use super::problem::{Finding, Place, Problem, Step};
use super::scalars::{SecretRef, is_reference};
use std::path::Path;

pub use providers::enabled;

/// Names the file declares, also those whose blocks were too broken to read: a reference to one of them is not a mistake.
pub(super) struct Names {
    pub(super) providers: Vec<String>,
    pub(super) models: Vec<String>,
}

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
    if !config.insecure.open_access {
        let message = "no client could be admitted: there are no keys, and open access is off";
        let remedy = "write `insecure: { open_access: true }` until virtual keys exist";
        out.push(Finding::new(Place::root().key("insecure"), message, remedy));
    }
    out
}

/// Things that work and are worth a second look.
pub fn warnings(config: &Config) -> Vec<Problem> {
    warning_findings(config).into_iter().map(Finding::unplaced).collect()
}

pub(super) fn warning_findings(config: &Config) -> Vec<Finding> {
    let mut out = Vec::new();
    listeners::warn(config, &mut out);
    providers::warn(config, &mut out);
    credentials::warn(config, &mut out);
    resilience::warn(config, &mut out);
    out
}

/// Whether every secret of the providers that are [`enabled`] can be read now. Reads the environment and files.
pub fn check_secrets(config: &Config) -> Vec<Problem> {
    secret_findings(config).into_iter().map(Finding::unplaced).collect()
}

pub(super) fn secret_findings(config: &Config) -> Vec<Finding> {
    let mut out = Vec::new();
    for (name, provider) in config.providers.iter().filter(|(_, provider)| enabled(provider)) {
        let place = provider_place(name);
        let keys = credentials::secrets(provider, &place);
        let headers = provider.headers.iter().filter(|(_, value)| is_reference(value));
        let headers = headers
            .filter_map(|(header, value)| Some((place.key("headers").key(header), SecretRef::parse(value).ok()?)));
        for (place, secret) in keys.into_iter().chain(headers) {
            // A service account's key is JSON: it has lines.
            let document = place.0.last() == Some(&Step::Key("service_account".to_owned()));
            let read = if document {
                secret.read_document()
            } else {
                secret.read()
            };
            if let Err(message) = read {
                let remedy = match secret {
                    SecretRef::Env(name) => format!("set {name} in the environment of the process"),
                    SecretRef::File(_) => "create the file, readable by the user the process runs as".to_owned(),
                };
                out.push(Finding::new(place, message, remedy));
            }
        }
    }
    out
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
        }
    }
    for (name, provider) in &config.providers {
        if let Some(path) = &provider.ca_file {
            check(Place::root().key("providers").key(name).key("ca_file"), path);
        }
    }
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
