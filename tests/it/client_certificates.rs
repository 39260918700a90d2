//! Client certificates: which clients a listener lets in, and that a reload changes it.
//!
//! What the certificate then means is in `src/server/tls/tests.rs` (hung on the connection) and `src/auth/certificate.rs`.

use crate::support::client::{Client, chat, post};
use crate::support::gateway::{self, Builder};
use crate::support::tls::{Certificate, certificate};
use crate::support::upstream::CHAT;
use crate::support::{Gateway, Upstream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client with a certificate of this authority, or without one.
fn client(server: &Certificate, by: Option<&Authority>) -> Arc<rustls::ClientConfig> {
    let plain = server.client(&["http/1.1"]);
    let Some(by) = by else { return plain };
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["search.acme.example".to_owned()])
        .unwrap()
        .signed_by(&key, by)
        .unwrap();
    let key: PrivateKeyDer<'static> = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let signer = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![own.der().clone()], signer);
    let mut config = (*plain).clone();
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    Arc::new(config)
}

fn listening(upstream: &Upstream, server: &Certificate, clients: &Authority, required: bool) -> Gateway {
    let builder = Builder::new(gateway::one(upstream));
    let cert = builder.file("cert.pem", &server.cert);
    let key = builder.file("key.pem", &server.key);
    let ca = builder.file("clients.pem", &clients.pem());
    let listen = format!(
        "{{ address: ADDRESS, tls: {{ cert: {}, key: {}, client_ca: {}, client_certificate_required: {required} }} }}",
        cert.display(),
        key.display(),
        ca.display()
    );
    builder.listen(&listen).start()
}

/// Whether a client's request is answered. With TLS 1.3 a refusal comes after what the client takes for the handshake.
fn served(gateway: &Gateway, config: &Arc<rustls::ClientConfig>) -> bool {
    let Ok((mut client, ..)) = Client::tls(gateway.address, Arc::clone(config)) else {
        return false;
    };
    if client
        .try_send(post("/v1/chat/completions", "connection: close\r\n", chat("m")))
        .is_err()
    {
        return false;
    }
    let answer = client.rest();
    assert!(answer.is_empty() || answer.contains(CHAT), "{answer}");
    !answer.is_empty()
}

#[test]
fn a_listener_that_requires_certificates_serves_those_of_its_authority_only() {
    let (upstream, server) = (Upstream::ok(), certificate());
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let gateway = listening(&upstream, &server, &ours, true);
    assert!(served(&gateway, &client(&server, Some(&ours))));
    assert!(!served(&gateway, &client(&server, Some(&theirs))));
    assert!(!served(&gateway, &client(&server, None)));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_listener_that_asks_for_certificates_serves_clients_without_and_refuses_foreign_ones() {
    let (upstream, server) = (Upstream::ok(), certificate());
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let gateway = listening(&upstream, &server, &ours, false);
    assert!(served(&gateway, &client(&server, Some(&ours))));
    assert!(served(&gateway, &client(&server, None)));
    assert!(!served(&gateway, &client(&server, Some(&theirs))));
    assert_eq!(upstream.count(), 2);
}

#[test]
fn another_authority_counts_after_sighup_and_a_broken_one_does_not() {
    let (upstream, server) = (Upstream::ok(), certificate());
    let (old, new) = (authority("old"), authority("new"));
    let gateway = listening(&upstream, &server, &old, true);
    let serves = || [&old, &new].map(|by| served(&gateway, &client(&server, Some(by))));
    assert_eq!(serves(), [true, false]);
    let file = gateway.directory.join("clients.pem");
    std::fs::write(&file, new.pem()).unwrap();
    gateway.reload();
    assert_eq!(serves(), [false, true]);
    std::fs::write(&file, "nothing").unwrap();
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 0.0);
    assert_eq!(serves(), [false, true]);
    std::fs::write(&file, format!("{}{}", old.pem(), new.pem())).unwrap();
    gateway.reload();
    assert_eq!(serves(), [true, true]);
}
