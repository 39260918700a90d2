//! What a client's request says that is not for the provider: its credential, in every place that is looked at for one
//! ([`crate::auth::credential`]), trails of proxies, what is said to this gateway.

use crate::auth::credential;
use http::header::HeaderName;
use pingora::http::RequestHeader;

pub(super) const PROTOCOLS: HeaderName = HeaderName::from_static("sec-websocket-protocol");

/// Other credentials and proxy trails of clients, which never go upstream, beside [`credential::HEADERS`].
const NEVER_FORWARDED: [&str; 10] = [
    "proxy-authorization",
    "cookie",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "cf-connecting-ip",
    "via",
    "openai-organization",
    "openai-project",
    "true-client-ip",
];

/// Beginnings of others: what is said to this gateway, and more trails.
const NEVER_FORWARDED_BEGINNINGS: [&str; 2] = ["x-cirque-", "x-forwarded-"];

/// Take out what is not for the provider.
pub(super) fn headers(request: &mut RequestHeader) {
    for name in credential::HEADERS.iter().chain(&NEVER_FORWARDED) {
        request.remove_header(*name);
    }
    let private = |name: &&HeaderName| {
        let mut beginnings = NEVER_FORWARDED_BEGINNINGS.iter();
        beginnings.any(|beginning| name.as_str().starts_with(beginning))
    };
    let names: Vec<HeaderName> = request.headers.keys().filter(private).cloned().collect();
    for name in names {
        request.remove_header(&name);
    }
}

/// Browsers cannot set headers on a websocket, so OpenAI's realtime clients put credentials among the subprotocols.
pub(super) fn protocols(request: &mut RequestHeader) -> pingora::Result<()> {
    if !request.headers.contains_key(PROTOCOLS) {
        return Ok(());
    }
    let secret = ["openai-insecure-api-key.", "openai-organization.", "openai-project."];
    // What is no text is no protocol that anybody speaks.
    let offered = request.headers.get_all(PROTOCOLS).iter();
    let kept: Vec<&str> = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| !secret.iter().any(|prefix| protocol.starts_with(prefix)))
        .collect();
    let kept = kept.join(", ");
    request.remove_header(&PROTOCOLS);
    if kept.is_empty() {
        return Ok(());
    }
    request.insert_header(PROTOCOLS, kept)
}

/// The query without `key=`, where Gemini's SDKs put a credential, however that is written.
pub(super) fn query(query: &str) -> String {
    let kept = query.split('&').filter(|pair| {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        !credential::is_in_query(name)
    });
    let kept: Vec<&str> = kept.collect();
    kept.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    #[test]
    fn credentials_among_websocket_protocols_are_removed() {
        for (offered, sent) in [
            (
                "realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1",
                Some("realtime, openai-beta.realtime-v1"),
            ),
            ("openai-insecure-api-key.sk-1", None),
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request.insert_header(PROTOCOLS, offered).unwrap();
            protocols(&mut request).unwrap();
            assert_eq!(
                request.headers.get(PROTOCOLS).map(|value| value.to_str().unwrap()),
                sent
            );
        }
    }

    #[test]
    fn a_protocol_that_is_no_text_hides_no_credential() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        let odd = HeaderValue::from_bytes(b"\xff, openai-insecure-api-key.sk-1").unwrap();
        request.append_header(PROTOCOLS, odd).unwrap();
        request
            .append_header(PROTOCOLS, "realtime, openai-insecure-api-key.sk-2")
            .unwrap();
        protocols(&mut request).unwrap();
        let sent: Vec<_> = request.headers.get_all(PROTOCOLS).iter().collect();
        assert_eq!(sent, ["realtime"]);
    }

    #[test]
    fn what_is_said_to_the_gateway_stays_here() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for name in [
            "authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "x-cirque-metadata",
            "x-cirque-timeout-ms",
            "x-forwarded-client-cert",
            "cf-connecting-ip",
        ] {
            request.insert_header(name, "secret").unwrap();
        }
        request.insert_header("x-mine", "kept").unwrap();
        headers(&mut request);
        let left: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-mine"]);
    }

    #[test]
    fn a_key_in_the_query_is_removed() {
        assert_eq!(query("a=1&key=SECRET&b=2&keys=3"), "a=1&b=2&keys=3");
        assert_eq!(query("key=SECRET"), "");
        assert_eq!(query("a=1&k%65y=SECRET&%6b%65%79=SECRET&key&k%65"), "a=1&k%65");
    }
}
