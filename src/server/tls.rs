//! Certificates of TLS listeners, replaceable while connections are served.

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
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
