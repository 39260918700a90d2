//! Certificates of TLS listeners and of their clients, replaceable while connections are served.
//!
//! What a client's certificate says is [`crate::auth::certificate`]'s; here is whether it is good.

use crate::auth::certificate::{ClientCertificate, Presented};
use crate::config::ListenerTls;
use anyhow::Context;
use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::tls::TlsRef;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use std::any::Any;
use std::path::Path;
use std::sync::Arc;

/// Gives every handshake the certificate of the moment.
#[derive(Debug)]
pub struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    /// Read from PEM files.
    pub fn load(cert: &Path, key: &Path) -> anyhow::Result<Self> {
        Ok(Self(ArcSwap::from(read(cert, key)?)))
    }

    /// Use this one from the next handshake on.
    pub fn replace(&self, with: Arc<CertifiedKey>) {
        self.0.store(with);
    }
}

/// Read a certificate chain and its key, and check that they belong together.
pub fn read(cert: &Path, key: &Path) -> anyhow::Result<Arc<CertifiedKey>> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("certificate {}", cert.display()))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "certificate {}: holds no certificate",
        cert.display()
    );
    let key_der = PrivateKeyDer::from_pem_file(key).with_context(|| format!("private key {}", key.display()))?;
    let certified = CertifiedKey::from_der(chain, key_der, &ring::default_provider()).with_context(|| {
        format!(
            "certificate {} and key {} do not go together",
            cert.display(),
            key.display()
        )
    })?;
    Ok(Arc::new(certified))
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Whose client certificates a listener takes, replaceable while connections are served.
///
/// Three parts, because a session that is resumed is not verified again and Pingora's settings cannot turn resumption off:
/// the verifier refuses in the handshake, the callback after it checks a resumed session's certificate once more and hangs
/// what it found on the connection ([`Presented`]), and the gateway refuses requests of connections that lack one.
#[derive(Debug, Default)]
pub struct Authorities(ArcSwapOption<Trusted>);

/// Authorities of the moment.
#[derive(Debug)]
pub struct Trusted {
    verifier: Arc<dyn ClientCertVerifier>,
    required: bool,
}

impl Authorities {
    /// Use these from the next handshake on; none: ask for no certificates.
    pub fn replace(&self, with: Option<Arc<Trusted>>) {
        self.0.store(with);
    }

    /// What a connection is told to be, from the certificates that its session has.
    fn presented(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<Presented> {
        let trusted = self.0.load();
        let trusted = trusted.as_ref()?;
        let good = chain.split_first().filter(|(leaf, between)| {
            let verified = trusted.verifier.verify_client_cert(leaf, between, now);
            verified.is_ok()
        });
        let certificate = good.and_then(|(leaf, _)| ClientCertificate::read(leaf)).map(Arc::new);
        Some(Presented {
            lacking: trusted.required && certificate.is_none(),
            certificate,
        })
    }
}

/// Read the authorities, and the revocation lists, of a PEM file. A list is believed past its next update: stale news of a
/// stolen key is still news.
pub fn authorities(files: &ListenerTls) -> anyhow::Result<Option<Arc<Trusted>>> {
    let Some(path) = &files.client_ca else {
        anyhow::ensure!(
            !files.client_certificate_required,
            "client_certificate_required: without `client_ca` no certificate could be taken"
        );
        return Ok(None);
    };
    let pem = std::fs::read(path).with_context(|| format!("client_ca {}", path.display()))?;
    let wrong = || format!("client_ca {}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.with_context(wrong)?;
        roots.add(certificate).with_context(wrong)?;
    }
    let revoked: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .with_crls(revoked.with_context(wrong)?)
        // There need not be a list of every authority.
        .allow_unknown_revocation_status();
    let required = files.client_certificate_required;
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let verifier = builder.build().with_context(wrong)?;
    Ok(Some(Arc::new(Trusted { verifier, required })))
}

/// The settings of a listener with this certificate and these authorities.
pub fn settings(certificate: &Arc<Certificate>, authorities: &Arc<Authorities>) -> anyhow::Result<TlsSettings> {
    let callbacks = Box::new(Recorder(Arc::clone(authorities)));
    let mut settings = TlsSettings::with_callbacks(callbacks).map_err(|e| anyhow::anyhow!("TLS: {e}"))?;
    settings.set_cert_resolver(Arc::clone(certificate) as _);
    settings.set_client_cert_verifier(Arc::clone(authorities) as _);
    settings.enable_h2();
    Ok(settings)
}

impl ClientCertVerifier for Authorities {
    fn offer_client_auth(&self) -> bool {
        self.0.load().is_some()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.load().as_ref().is_some_and(|trusted| trusted.required)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // None: they would have to outlive a reload. Clients then offer what they have.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.0.load().as_ref() {
            Some(trusted) => trusted.verifier.verify_client_cert(leaf, between, now),
            None => Err(rustls::Error::General("no client certificates are taken".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = ring::default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &supported)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Hangs what a handshake found out on the connection.
struct Recorder(Arc<Authorities>);

#[async_trait]
impl TlsAccept for Recorder {
    async fn handshake_complete_callback(&self, session: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        let chain = session.peer_cert_chain_der().unwrap_or_default();
        let presented = self.0.presented(chain, UnixTime::now())?;
        Some(Arc::new(presented))
    }
}

#[cfg(test)]
mod tests;
