//! Where a provider lives and what is sent to it every time: base URL, headers, credential.

use super::address::AddressBook;
use super::credential::Credential;
use crate::balance::Quarantine;
use crate::providers::Provider;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use std::sync::Arc;

/// Paths worth preparing: those without a model in them.
const PREPARED: [&str; 7] = [
    "/chat/completions",
    "/responses",
    "/messages",
    "/completions",
    "/embeddings",
    "/moderations",
    "/messages/count_tokens",
];

/// A provider's base URL, checked at load: `http[s]://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// TLS.
    pub tls: bool,
    /// Host name or IP literal, without brackets.
    pub host: String,
    /// Port, the scheme's default when none is written.
    pub port: u16,
    /// Path without a trailing slash; empty for the root.
    pub path: String,
}

impl BaseUrl {
    /// For the `Host` header: the port is named only when it is not the scheme's default.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == if self.tls { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// What is shorter is found in any text.
const SHORTEST_SECRET: usize = 6;

/// One provider as the configuration describes it, ready to be asked.
pub struct Site {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its dialect.
    pub provider: Arc<dyn Provider>,
    /// Where.
    pub base: BaseUrl,
    /// Addresses behind the host name.
    pub addresses: Arc<AddressBook>,
    /// Ask for usage on streams.
    pub stream_usage: bool,
    /// Speak HTTP/2.
    pub http2: bool,
    /// Whether its credential was refused; nothing for providers that take none.
    pub quarantine: Option<Arc<Quarantine>>,
    /// What proves who is asking, when the headers do not: apply it to the finished head of every attempt.
    pub credential: Credential,
    /// Host, fixed credential and configured headers, as every request starts.
    headers: HeaderMap,
    /// Prepared requests for the paths that are the same for every model, to be cloned and sent.
    prepared: Vec<(&'static str, RequestHeader)>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("name", &self.name)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// What a site is made of.
pub struct SiteParts {
    /// Its name.
    pub name: Arc<str>,
    /// Its dialect.
    pub provider: Arc<dyn Provider>,
    /// Where.
    pub base: BaseUrl,
    /// Addresses.
    pub addresses: Arc<AddressBook>,
    /// Ask for usage on streams.
    pub stream_usage: bool,
    /// Speak HTTP/2.
    pub http2: bool,
    /// Configured headers, and the credential if it is one.
    pub headers: HeaderMap,
    /// Whether it was refused.
    pub quarantine: Option<Arc<Quarantine>>,
    /// The credential, if it is more than a header.
    pub credential: Credential,
}

impl Site {
    /// Prepare everything that is the same for every request.
    pub fn new(parts: SiteParts) -> Result<Self, String> {
        let host = HeaderValue::from_str(&parts.base.authority()).map_err(|_| "host is not a valid header value")?;
        let mut headers = HeaderMap::with_capacity(parts.headers.len() + 4);
        headers.insert(header::HOST, host);
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("cirque/", env!("CARGO_PKG_VERSION"))),
        );
        parts.provider.headers(&mut headers);
        headers.extend(parts.headers);
        let mut site = Self {
            name: parts.name,
            provider: parts.provider,
            base: parts.base,
            addresses: parts.addresses,
            stream_usage: parts.stream_usage,
            http2: parts.http2,
            quarantine: parts.quarantine,
            credential: parts.credential,
            headers,
            prepared: Vec::new(),
        };
        let mut prepared = Vec::with_capacity(PREPARED.len());
        for path in PREPARED {
            prepared.push((path, site.prepare(path)?));
        }
        site.prepared = prepared;
        Ok(site)
    }

    fn prepare(&self, path: &str) -> Result<RequestHeader, String> {
        let path = format!("{}{path}", self.base.path);
        let mut request = RequestHeader::build_no_case(Method::POST, path.as_bytes(), Some(self.headers.len() + 4))
            .map_err(|e| format!("path {path:?} cannot be requested: {e}"))?;
        for (name, value) in &self.headers {
            insert(&mut request, name.clone(), value.clone())?;
        }
        insert(
            &mut request,
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )?;
        Ok(request)
    }

    /// The request head for a path below the API root, without `content-length`.
    pub fn request(&self, path: &str) -> Result<Box<RequestHeader>, String> {
        if let Some((_, prepared)) = self.prepared.iter().find(|(known, _)| *known == path) {
            return Ok(Box::new(prepared.clone()));
        }
        self.prepare(path).map(Box::new)
    }

    /// Whether a text holds the credential of this site: some servers repeat a request's headers in their errors.
    pub fn is_betrayed_by(&self, text: &[u8]) -> bool {
        let shows = |value: &HeaderValue| {
            let secret = secret(value);
            secret.len() >= SHORTEST_SECRET && memchr::memmem::find(text, secret).is_some()
        };
        let fixed = self.headers.values().filter(|value| value.is_sensitive());
        fixed.chain(&self.credential.current()).any(shows)
    }

    /// Write asterisks over it.
    pub fn conceal(&self, text: &mut [u8]) {
        let fixed = self.headers.values().filter(|value| value.is_sensitive());
        for value in fixed.chain(&self.credential.current()) {
            let secret = secret(value);
            // One of asterisks alone would be found again for ever.
            if secret.len() < SHORTEST_SECRET || secret.iter().all(|byte| *byte == b'*') {
                continue;
            }
            while let Some(at) = memchr::memmem::find(text, secret) {
                text.iter_mut()
                    .skip(at)
                    .take(secret.len())
                    .for_each(|byte| *byte = b'*');
            }
        }
    }

    /// Headers every request to this site carries: host, user agent, credential, configured ones.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// The part of a header's value that is the credential.
fn secret(value: &HeaderValue) -> &[u8] {
    let all = value.as_bytes();
    all.strip_prefix(b"Bearer ").unwrap_or(all)
}

fn insert(request: &mut RequestHeader, name: HeaderName, value: HeaderValue) -> Result<(), String> {
    request
        .insert_header(name, value)
        .map_err(|e| format!("header cannot be set: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_named_only_when_it_is_not_the_schemes_own() {
        for (tls, host, port, expected) in [
            (true, "api.example.com", 443, "api.example.com"),
            (true, "api.example.com", 8443, "api.example.com:8443"),
            (false, "::1", 9100, "[::1]:9100"),
            (false, "10.0.0.1", 80, "10.0.0.1"),
        ] {
            let base = BaseUrl {
                tls,
                host: host.to_owned(),
                port,
                path: String::new(),
            };
            assert_eq!(base.authority(), expected);
        }
    }
}
