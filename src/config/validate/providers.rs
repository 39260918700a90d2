//! Providers: addresses, credentials, headers, conditions.

use super::super::base_url::BaseUrl;
use super::super::listen::socket_address;
use super::super::model::{Config, HealthCheck, Provider, ProviderKind};
use super::super::problem::{Finding, Place};
use super::super::scalars::{SecretRef, is_reference};
use super::{is_demo, provider_place};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long `enabled_if: tcp:…` waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);

/// Headers that belong to one connection or to the message's framing; a fixed value would corrupt the request.
const FRAMING: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers whose value is a credential.
const CREDENTIALS: [&str; 6] = [
    "api-key",
    "authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
    "x-goog-api-key",
];

pub(super) fn check(config: &Config, out: &mut Vec<Finding>) {
    if config.providers.is_empty() {
        let remedy = "add `NAME: { kind: openai, api_key: env:OPENAI_API_KEY }` below `providers:`";
        out.push(Finding::new(
            Place::root().key("providers"),
            "there are no providers",
            remedy,
        ));
    }
    for (name, provider) in &config.providers {
        let place = provider_place(name);
        if let Some(message) = bad_name(name) {
            out.push(Finding::new(
                place.clone(),
                message,
                "use letters, digits, `-`, `_` and `.`",
            ));
        }
        if is_demo(provider) {
            demo(provider, &place, out);
        } else {
            base_url(config, provider, &place, out);
            health_check(provider, &place, out);
        }
        headers(provider, &place, out);
        if let Some(condition) = &provider.enabled_if
            && let Err(message) = Condition::parse(condition)
        {
            let remedy = "write `env:NAME` or `tcp:HOST:PORT`";
            out.push(Finding::new(place.key("enabled_if"), message, remedy));
        }
    }
}

/// A provider's name ends up in metric labels and in the `x-cirque-target` header.
fn bad_name(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        "" => Some("a provider without a name"),
        _ if name.len() > 64 => Some("a provider's name is longer than 64 characters"),
        _ if !name.chars().all(allowed) => Some("a provider's name has a character it must not have"),
        _ => None,
    }
}

fn demo(provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    let set = [
        ("base_url", provider.base_url.is_some()),
        ("api_key", provider.api_key.is_some()),
        ("headers", !provider.headers.is_empty()),
        ("http2", provider.http2),
        ("ca_file", provider.ca_file.is_some()),
        ("health_check", provider.health_check.is_some()),
        ("api", provider.api.is_some()),
        ("api_version", provider.api_version.is_some()),
        ("region", provider.region.is_some()),
        ("aws", provider.aws.is_some()),
        ("project", provider.project.is_some()),
        ("location", provider.location.is_some()),
        ("service_account", provider.service_account.is_some()),
        ("entra", provider.entra.is_some()),
    ];
    for (key, _) in set.into_iter().filter(|(_, set)| *set) {
        let message = "the demo provider answers in this process and has no use for this";
        out.push(Finding::new(
            place.key(key),
            message,
            "remove it, or write `kind: openai`",
        ));
    }
}

fn base_url(config: &Config, provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    let Some(text) = &provider.base_url else {
        return;
    };
    let at = place.key("base_url");
    match BaseUrl::parse(text) {
        Err((message, remedy)) => out.push(Finding::new(at, message, remedy)),
        Ok(url) => {
            if let (false, Some(message)) = (config.insecure.allow_link_local_providers, url.forbidden()) {
                let remedy = "write the provider's own address; `insecure: { allow_link_local_providers: true }` lifts this check";
                out.push(Finding::new(at, message, remedy));
            }
        }
    }
}

fn health_check(provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    let Some(HealthCheck::Http { path, .. }) = &provider.health_check else {
        return;
    };
    let clean = path.chars().all(|c| c.is_ascii_graphic() && c != '#');
    if !path.starts_with('/') || !clean {
        let at = place.key("health_check").key("path");
        out.push(Finding::new(
            at,
            "not an absolute path",
            "begin with `/`, without spaces: `/health`",
        ));
    }
}

fn headers(provider: &Provider, place: &Place, out: &mut Vec<Finding>) {
    for (name, value) in &provider.headers {
        let at = place.key("headers").key(name);
        let lower = name.to_ascii_lowercase();
        let lower = lower.as_str();
        if !is_token(name) {
            out.push(Finding {
                at_key: true,
                ..Finding::new(at, "not the name of an HTTP header", "use letters, digits and `-`")
            });
        } else if FRAMING.contains(&lower) {
            let message = "the gateway sets this header itself";
            out.push(Finding {
                at_key: true,
                ..Finding::new(at, message, "remove it")
            });
        } else if let Some(key) = set_by(provider, lower) {
            let message = format!("`{key}` already sets this header");
            out.push(Finding {
                at_key: true,
                ..Finding::new(at, message, "remove one of the two")
            });
        } else if is_reference(value) {
            if let Err(message) = SecretRef::parse(value) {
                out.push(Finding::new(at, message, "write `env:NAME` or `file:PATH`"));
            }
        } else if CREDENTIALS.contains(&lower) {
            let message = "a credential must not be written into this file (its text is not repeated here)";
            let remedy = "put it into the environment or a file and write `env:NAME` or `file:PATH`";
            out.push(Finding::new(at, message, remedy));
        } else if !is_header_value(value) {
            let message = "the value contains a line break or another character a header must not have";
            out.push(Finding::new(at, message, "keep to printable ASCII"));
        }
    }
}

/// The credential that sets this header (its name in lower case), if one does.
fn set_by(provider: &Provider, header: &str) -> Option<&'static str> {
    let written = |key, written: bool| written.then_some(key);
    let key = provider.api_key.is_some();
    let token = written("service_account", provider.service_account.is_some())
        .or_else(|| written("entra", provider.entra.is_some()));
    match header {
        "authorization" => written("api_key", key)
            .or(token)
            .or_else(|| written("aws", provider.aws.is_some())),
        "x-amz-date" | "x-amz-security-token" => written("aws", provider.aws.is_some()),
        "x-api-key" => written("api_key", key && provider.kind == ProviderKind::Anthropic),
        "api-key" => written("api_key", key && provider.kind == ProviderKind::Azure),
        "x-goog-api-key" => {
            let google = matches!(provider.kind, ProviderKind::Gemini | ProviderKind::Vertex);
            written("api_key", key && google)
        }
        _ => None,
    }
}

/// RFC 9110 `token`.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) && value.trim() == value
}

/// When a provider takes part.
enum Condition<'a> {
    /// The variable is set and not empty.
    Env(&'a str),
    /// Something accepts connections there.
    Tcp(&'a str),
}

impl<'a> Condition<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("env:") {
            return match SecretRef::parse(text) {
                Ok(_) => Ok(Self::Env(name)),
                Err(_) => Err("what follows `env:` is not the name of an environment variable".to_owned()),
            };
        }
        let Some(address) = text.strip_prefix("tcp:") else {
            return Err("not a condition".to_owned());
        };
        if socket_address(address).is_ok_and(|socket| socket.port() > 0) {
            return Ok(Self::Tcp(address));
        }
        // Unlike a listener this may be a name: `tcp:ollama:11434`.
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let name = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        match port.parse::<u16>() {
            Ok(1..) if name => Ok(Self::Tcp(address)),
            _ => Err("what follows `tcp:` is not HOST:PORT".to_owned()),
        }
    }
}

/// Whether a provider takes part: its `enabled_if` holds now, or it has none. Reads the environment, or tries to connect and
/// blocks up to 200 ms for each address of the host; call it where configurations are loaded, not where requests are served.
pub fn enabled(provider: &Provider) -> bool {
    match provider.enabled_if.as_deref().map(Condition::parse) {
        None => true,
        Some(Err(_)) => false,
        Some(Ok(Condition::Env(name))) => std::env::var_os(name).is_some_and(|value| !value.is_empty()),
        Some(Ok(Condition::Tcp(address))) => {
            let addresses = address
                .to_socket_addrs()
                .map(Iterator::collect::<Vec<_>>)
                .unwrap_or_default();
            addresses
                .iter()
                .take(4)
                .any(|address| TcpStream::connect_timeout(address, PROBE_TIMEOUT).is_ok())
        }
    }
}

pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    for (name, provider) in &config.providers {
        let url = provider.base_url.as_deref().map(BaseUrl::parse);
        if let Some(Ok(url)) = url
            && !url.https
            && !url.is_loopback()
        {
            let token = provider.service_account.is_some() || provider.entra.is_some();
            let message = if provider.api_key.is_some() {
                "the API key and every prompt travel unencrypted"
            } else if token {
                "the access token and every prompt travel unencrypted"
            } else {
                "every prompt travels unencrypted"
            };
            out.push(Finding::new(
                provider_place(name).key("base_url"),
                message,
                "use https:// where the server offers it",
            ));
        }
    }
}
