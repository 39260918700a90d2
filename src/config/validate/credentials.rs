//! Which keys belong to which kind of provider, and whether its credential is complete and unambiguous.
//!
//! Regions, locations, projects and tenants go into host names and paths, so they are held to the characters that cannot
//! mean anything else there.

use super::super::base_url::BaseUrl;
use super::super::endpoints;
use super::super::model::{Config, Entra, Provider, ProviderKind};
use super::super::problem::{Finding, Place, quoted};
use super::super::scalars::SecretRef;
use super::{is_demo, provider_place};

/// Keys that only some kinds have: name, whether it is written, whether this kind has it, who has it.
type Special = (
    &'static str,
    fn(&Provider) -> bool,
    fn(ProviderKind) -> bool,
    &'static str,
);

const SPECIAL: [Special; 9] = [
    (
        "api",
        |p| p.api.is_some(),
        speaks_openai,
        "openai, azure and OpenAI-compatible vendors",
    ),
    (
        "api_version",
        |p| p.api_version.is_some(),
        |kind| kind == ProviderKind::Azure,
        "azure",
    ),
    (
        "region",
        |p| p.region.is_some(),
        |kind| kind == ProviderKind::Bedrock,
        "bedrock",
    ),
    (
        "aws",
        |p| p.aws.is_some(),
        |kind| kind == ProviderKind::Bedrock,
        "bedrock",
    ),
    (
        "project",
        |p| p.project.is_some(),
        |kind| kind == ProviderKind::Vertex,
        "vertex",
    ),
    (
        "location",
        |p| p.location.is_some(),
        |kind| kind == ProviderKind::Vertex,
        "vertex",
    ),
    (
        "service_account",
        |p| p.service_account.is_some(),
        |kind| kind == ProviderKind::Vertex,
        "vertex",
    ),
    (
        "entra",
        |p| p.entra.is_some(),
        |kind| kind == ProviderKind::Azure,
        "azure",
    ),
    (
        "stream_usage",
        |p| p.stream_usage.is_some(),
        |kind| speaks_openai(kind) || kind == ProviderKind::Mistral,
        "openai, azure, mistral and OpenAI-compatible vendors",
    ),
];

fn speaks_openai(kind: ProviderKind) -> bool {
    matches!(
        kind,
        ProviderKind::Openai | ProviderKind::Azure | ProviderKind::Compatible(_)
    )
}

pub(super) fn check(config: &Config, out: &mut Vec<Finding>) {
    for (name, provider) in &config.providers {
        if is_demo(provider) {
            continue; // `providers` says that it takes none of this
        }
        let place = provider_place(name);
        special_keys(provider, &place, out);
        one_credential(provider, &place, out);
        match provider.kind {
            ProviderKind::Azure => azure(config, provider, &place, out),
            ProviderKind::Bedrock => bedrock(provider, &place, out),
            ProviderKind::Vertex => vertex(provider, &place, out),
            _ => {}
        }
    }
    unread_bodies(config, out);
}

fn special_keys(provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    for (key, written, has, who) in SPECIAL {
        if written(provider) && !has(provider.kind) {
            let message = format!(
                "kind {} does not have this key; it belongs to {who}",
                provider.kind.name()
            );
            out.push(Finding::new(place.key(key), message, "remove it, or mend `kind`"));
        }
    }
}

/// The ways in which a provider can prove who it is, and which of them are written.
fn credentials(provider: &Provider) -> impl Iterator<Item = &'static str> {
    let all = [
        ("api_key", provider.api_key.is_some()),
        ("aws", provider.aws.is_some()),
        ("service_account", provider.service_account.is_some()),
        ("entra", provider.entra.is_some()),
    ];
    all.into_iter().filter(|(_, written)| *written).map(|(key, _)| key)
}

fn one_credential(provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    let mut written = credentials(provider);
    if let (Some(first), Some(second)) = (written.next(), written.next()) {
        let message = format!("`{first}` and `{second}`: which of the two to send is not clear");
        out.push(Finding::new(place.key(second), message, "remove one of the two"));
    }
}

/// Where nothing but the vendor itself can be behind the default host, going there without a credential cannot work.
fn needs_credential(provider: &Provider, place: &Place, key: &str, remedy: &str, out: &mut Vec<Finding>) {
    let none = credentials(provider).next().is_none() && provider.headers.is_empty();
    if none && provider.base_url.is_none() {
        out.push(Finding::new(place.key(key), "there is no credential", remedy));
    }
}

fn bedrock(provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    match &provider.region {
        Some(region) => name(region, place.key("region"), "write an AWS region: `us-east-1`", out),
        None if provider.aws.is_some() || provider.base_url.is_none() => {
            let message = "the region is missing: the host and the signatures depend on it";
            out.push(Finding::new(place.key("region"), message, "add `region: us-east-1`"));
        }
        None => {}
    }
    let remedy = "add `aws: { access_key_id: env:AWS_ACCESS_KEY_ID, secret_access_key: env:AWS_SECRET_ACCESS_KEY }`, \
                  or `api_key: env:AWS_BEARER_TOKEN_BEDROCK`";
    needs_credential(provider, place, "aws", remedy, out);
}

fn vertex(provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    match &provider.project {
        Some(project) => name(
            project,
            place.key("project"),
            "write the id of the project: `my-project-123`",
            out,
        ),
        None => {
            let message = "the project is missing: every path names it";
            out.push(Finding::new(
                place.key("project"),
                message,
                "add `project: ID-OF-THE-PROJECT`",
            ));
        }
    }
    if let Some(location) = &provider.location {
        name(
            location,
            place.key("location"),
            "write a location: `global`, `europe-west4`",
            out,
        );
    }
    let remedy = "add `service_account: file:/etc/cirque/vertex.json`, the JSON key of a service account";
    needs_credential(provider, place, "service_account", remedy, out);
}

fn azure(config: &Config, provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    if provider.base_url.is_none() {
        let message = "the address of the resource is missing: every Azure resource has its own";
        let remedy = "add `base_url: https://NAME-OF-THE-RESOURCE.openai.azure.com`";
        out.push(Finding::new(place.key("base_url"), message, remedy));
    }
    if let Some(version) = &provider.api_version
        && !is_api_version(version)
    {
        let message = format!("{} is not a version of the API", quoted(version));
        let remedy = "write `v1`, or a date: `2024-10-21`, `2025-04-01-preview`";
        out.push(Finding::new(place.key("api_version"), message, remedy));
    }
    if let Some(entra) = &provider.entra {
        application(config, entra, &place.key("entra"), out);
    }
}

/// `v1`, `YYYY-MM-DD` or `YYYY-MM-DD-preview`.
fn is_api_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = date.split('-');
    let dated = [4, 2, 2]
        .into_iter()
        .all(|count| parts.next().is_some_and(|part| digits(part, count)));
    text == "v1" || (dated && parts.next().is_none())
}

fn application(config: &Config, entra: &Entra, place: &Place, out: &mut Vec<Finding>) {
    let tenant = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    match &entra.tenant_id {
        Some(text) if text.is_empty() || text.len() > 253 || !text.chars().all(tenant) || text.contains("..") => {
            let remedy = "write the tenant's id, 01234567-89ab-cdef-0123-456789abcdef, or its domain";
            out.push(Finding::new(place.key("tenant_id"), "not the id of a tenant", remedy));
        }
        None if entra.token_url.is_none() => {
            let message = "the tenant is missing: tokens are issued by it";
            out.push(Finding::new(
                place.key("tenant_id"),
                message,
                "add `tenant_id: ID-OF-THE-TENANT`",
            ));
        }
        _ => {}
    }
    let printable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !printable(&entra.client_id) {
        let remedy = "write the id of the application: 01234567-89ab-cdef-0123-456789abcdef";
        out.push(Finding::new(
            place.key("client_id"),
            "not the id of an application",
            remedy,
        ));
    }
    if let Some(scope) = &entra.scope
        && !scope.split(' ').all(printable)
    {
        let remedy = format!("write a scope: `{}`", endpoints::DEFAULT_SCOPE);
        out.push(Finding::new(place.key("scope"), "not a scope", remedy));
    }
    if let Some(url) = &entra.token_url {
        token_url(config, url, place.key("token_url"), out);
    }
}

/// Where a secret is sent to: encrypted, and not to a metadata service.
fn token_url(config: &Config, text: &str, at: Place, out: &mut Vec<Finding>) {
    let url = match BaseUrl::parse(text) {
        Err((message, remedy)) => return out.push(Finding::new(at, message, remedy)),
        Ok(url) => url,
    };
    if !url.https && !url.is_loopback() {
        out.push(Finding::new(
            at.clone(),
            "the client secret would travel unencrypted",
            "begin with `https://`",
        ));
    }
    if let (false, Some(message)) = (config.insecure.allow_link_local_providers, url.forbidden()) {
        let remedy = "write where tokens are issued; `insecure: { allow_link_local_providers: true }` lifts this check";
        out.push(Finding::new(at, message, remedy));
    }
}

/// What becomes part of a host name or a path.
fn name(text: &str, at: Place, remedy: &str, out: &mut Vec<Finding>) {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = text.starts_with('-') || text.ends_with('-');
    // 63: what one label of a host name may have.
    if text.is_empty() || text.len() > 63 || edge || !text.chars().all(allowed) {
        let message = format!(
            "{} is not made of lower-case letters, digits and inner hyphens",
            quoted(text)
        );
        out.push(Finding::new(at, message, remedy));
    }
}

/// A signature covers the whole body, and passthrough never has it.
fn unread_bodies(config: &Config, out: &mut Vec<Finding>) {
    for (index, route) in config.passthrough.iter().enumerate() {
        let targets = config.models.get(&route.pool).map(|model| model.targets.as_slice());
        let mut providers = targets
            .unwrap_or_default()
            .iter()
            .map(|target| target.provider.as_str());
        let signed = |name: &str| {
            config
                .providers
                .get(name)
                .is_some_and(|provider| provider.aws.is_some())
        };
        if let Some(signed) = providers.find(|name| signed(name)) {
            let at = Place::root().key("passthrough").index(index).key("pool");
            let message = format!(
                "provider {} signs whole bodies, and these are forwarded unread",
                quoted(signed)
            );
            out.push(Finding::new(
                at,
                message,
                "name a model whose providers have an `api_key`",
            ));
        }
    }
}

/// Where each secret of a provider is written, but for those in its headers.
pub(super) fn secrets(provider: &Provider, place: &Place) -> Vec<(Place, SecretRef)> {
    let mut found = Vec::new();
    let mut add = |place: Place, secret: Option<&SecretRef>| found.extend(secret.map(|secret| (place, secret.clone())));
    add(place.key("api_key"), provider.api_key.as_ref());
    add(place.key("service_account"), provider.service_account.as_ref());
    if let Some(aws) = &provider.aws {
        let place = place.key("aws");
        add(place.key("access_key_id"), Some(&aws.access_key_id));
        add(place.key("secret_access_key"), Some(&aws.secret_access_key));
        add(place.key("session_token"), aws.session_token.as_ref());
    }
    if let Some(entra) = &provider.entra {
        add(place.key("entra").key("client_secret"), Some(&entra.client_secret));
    }
    found
}

pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    for (name, provider) in &config.providers {
        let none = credentials(provider).next().is_none() && provider.headers.is_empty();
        if none && provider.kind == ProviderKind::Azure {
            let message = "there is no credential";
            let remedy = "add `api_key: env:AZURE_OPENAI_API_KEY`, or `entra` with an application's client secret";
            out.push(Finding::new(provider_place(name), message, remedy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_are_v1_or_a_date() {
        for good in ["v1", "2024-10-21", "2025-04-01-preview"] {
            assert!(is_api_version(good), "{good}");
        }
        for bad in [
            "",
            "v2",
            "2024-10",
            "2024-10-21-beta",
            "2024-10-21-",
            "20241021",
            "2024-1-21",
            "-preview",
            "v1?x=1",
        ] {
            assert!(!is_api_version(bad), "{bad}");
        }
    }
}
