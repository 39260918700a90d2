//! Issuers asked over real connections.

use super::signing::SigningKey;
use super::{Issuer, at, claims, header, terms};
use crate::support::Upstream;
use crate::support::tls::{certificate, certificate_for};
use crate::support::upstream::{Recorded, json_answer};
use cirque::auth::jwt::{Issuers, JwtError};
use cirque::upstream::{SideCalls, Transport};
use serde_json::{Value, json};
use std::sync::Arc;

/// A server with both documents; `answer` may say something else to a host and path.
fn server(keys: &Value, answer: impl Fn(&str, &str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Upstream {
    let keys = keys.to_string();
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let (path, host) = (path(&request), request.header("host").unwrap());
            let discovery = json!({"issuer": format!("http://{host}"), "jwks_uri": format!("http://{host}/keys?v=1")});
            conn.send(match (answer(host, path), path) {
                (Some(answer), _) => answer,
                (None, "/.well-known/openid-configuration") => json_answer(200, &discovery.to_string()),
                (None, "/keys?v=1") => json_answer(200, &keys),
                (None, _) => json_answer(404, "{}"),
            });
        }
    })
}

fn path(request: &Recorded) -> &str {
    request.line.split(' ').nth(1).unwrap()
}

fn issuers(issuer: &str, authorities: Vec<Vec<u8>>) -> Issuers {
    let mut terms = terms(&Arc::new(Issuer::default()));
    terms.issuer = issuer.to_owned();
    terms.fetch = Arc::new(SideCalls::new(Arc::new(Transport::new(4)), authorities, false));
    Issuers::new(vec![terms], None).unwrap()
}

fn token(key: &SigningKey, issuer: &str) -> String {
    let mut claims = claims();
    claims["iss"] = issuer.into();
    key.token(&header("RS256", "k"), &claims)
}

#[tokio::test]
async fn an_issuer_is_discovered_and_its_keys_fetched() {
    let key = SigningKey::rsa();
    let server = server(&json!({"keys": [key.jwk("k")]}), |_, _| None);
    let url = format!("http://{}", server.address);
    let issuers = issuers(&url, Vec::new());
    let who = issuers.verify(&token(&key, &url), at(0)).await.unwrap();
    assert_eq!(who.user, "ada");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_redirect_or_an_error_is_no_document() {
    let key = SigningKey::rsa();
    for answer in [
        b"HTTP/1.1 302 Found\r\nlocation: /keys?v=1\r\ncontent-length: 0\r\n\r\n".to_vec(),
        json_answer(500, "{}"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n{".to_vec(),
    ] {
        let server = server(&json!({"keys": [key.jwk("k")]}), move |_, path| {
            path.starts_with("/.well-known").then(|| answer.clone())
        });
        let url = format!("http://{}", server.address);
        let issuers = issuers(&url, Vec::new());
        let refused = issuers.verify(&token(&key, &url), at(0)).await.unwrap_err();
        assert_eq!(refused, JwtError::KeysUnavailable);
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn keys_at_a_metadata_address_or_over_plain_http_elsewhere_are_not_asked_for() {
    let key = SigningKey::rsa();
    for place in [
        "http://169.254.169.254/keys",
        "https://169.254.169.254/keys",
        "http://login.example/keys",
        "file:///etc/passwd",
    ] {
        let server = server(&Value::Null, move |host, _| {
            let document = json!({"issuer": format!("http://{host}"), "jwks_uri": place});
            Some(json_answer(200, &document.to_string()))
        });
        let url = format!("http://{}", server.address);
        let issuers = issuers(&url, Vec::new());
        let refused = issuers.verify(&token(&key, &url), at(0)).await.unwrap_err();
        assert_eq!(refused, JwtError::KeysUnavailable, "{place}");
        let failure = issuers.report(at(0))[0].failure.clone().unwrap();
        assert!(failure.contains("URL"), "{failure}");
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn an_issuer_whose_certificate_nobody_vouches_for_is_not_believed() {
    let certificate = certificate();
    let key = SigningKey::rsa();
    let keys = json!({"keys": [key.jwk("k")]}).to_string();
    let config = certificate.server(&["http/1.1"]);
    let server = Upstream::script(move |conn| {
        if conn.tls(&config) {
            while let Some(request) = conn.request() {
                let url = format!("https://{}", request.header("host").unwrap_or_default());
                let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string();
                let is_keys = path(&request) == "/keys";
                conn.send(json_answer(200, if is_keys { &keys } else { &discovery }));
            }
        }
    });
    let url = format!("https://localhost:{}", server.address.port());
    let authority = |pem: &str| {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    };
    let trusting = issuers(&url, vec![authority(&certificate.authority)]);
    assert!(trusting.verify(&token(&key, &url), at(0)).await.is_ok());
    for authorities in [Vec::new(), vec![authority(&certificate_for("localhost").authority)]] {
        let issuers = issuers(&url, authorities);
        let refused = issuers.verify(&token(&key, &url), at(0)).await.unwrap_err();
        assert_eq!(refused, JwtError::KeysUnavailable);
        let failure = issuers.report(at(0))[0].failure.clone().unwrap();
        assert!(failure.contains("could not connect"), "{failure}");
    }
}
