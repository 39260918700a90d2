//! Client certificates as identities: the names in one, and whose requests they are.
//!
//! Not for whether a certificate is good (authority, dates, revocation): that is checked in the handshake
//! (`crate::server`), and only what passed it arrives here, parsed once for its connection and hung on it ([`Presented`]).

use super::pattern::Pattern;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest name that is taken as an identity, in bytes.
const LONGEST_NAME: usize = 512;
/// Names of one kind read from a certificate.
const MOST_NAMES: usize = 8;

/// A kind of name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A URI among the alternative names, such as SPIFFE's `spiffe://acme/search`.
    Uri,
    /// A DNS name among them.
    Dns,
    /// The subject's common name.
    CommonName,
}

/// The names of a client's certificate, which was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// URIs among its alternative names, in its order.
    pub uris: Vec<String>,
    /// DNS names among them.
    pub dns: Vec<String>,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// When it ends, in seconds since 1970. A connection may outlive that.
    pub expires: i64,
}

/// What a connection's handshake said of the client. On the connection's `ssl_digest`, as its extension:
/// `digest.ssl_digest.as_ref()?.extension.get::<Presented>()`; nothing there: the listener asks for no certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Its certificate, if it has a good one.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The listener wants one and the client has none: no request of this connection may be served. The handshake already
    /// refuses such clients, except those that resume a session begun under other rules.
    pub lacking: bool,
}

impl ClientCertificate {
    /// Read the names of a certificate in DER. Nothing for what cannot be read.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let alternative = certificate.subject_alternative_name().ok()?;
        let alternative = alternative.map_or(&[][..], |extension| extension.value.general_names.as_slice());
        let names = |kind: fn(&GeneralName<'_>) -> Option<String>| -> Vec<String> {
            alternative
                .iter()
                .filter_map(kind)
                .filter(|name| fits(name))
                .take(MOST_NAMES)
                .collect()
        };
        let uris = names(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        let dns = names(|name| match name {
            GeneralName::DNSName(dns) => Some(dns.to_ascii_lowercase()),
            _ => None,
        });
        // With several, nobody could say which counts.
        let mut common_names = certificate.subject().iter_common_name();
        let common_name = match (common_names.next(), common_names.next()) {
            (Some(name), None) => name.as_str().ok().map(str::to_owned).filter(|name| fits(name)),
            _ => None,
        };
        Some(Self {
            uris,
            dns,
            common_name,
            expires: certificate.validity().not_after.timestamp(),
        })
    }

    /// The first name of this kind.
    fn name(&self, kind: NameKind) -> Option<&str> {
        match kind {
            NameKind::Uri => self.uris.first(),
            NameKind::Dns => self.dns.first(),
            NameKind::CommonName => self.common_name.as_ref(),
        }
        .map(String::as_str)
    }
}

/// A name that can be shown, compared and logged.
fn fits(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

/// Whose requests the identities in certificates are.
#[derive(Debug, Clone)]
pub struct CertificateKeys {
    name_from: Vec<NameKind>,
    /// The most exact first.
    keys: Vec<(Pattern, Arc<str>)>,
}

impl CertificateKeys {
    /// Which name is the identity (none given: URI, DNS name, common name, the first that there is), and for identities, which
    /// may be patterns with `*`, the name of a declared key.
    ///
    /// A whole text wins over a pattern, and of patterns the one with more characters that have to be just so.
    pub fn new<'a>(name_from: Vec<NameKind>, keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let read = |(identity, key): (&str, &str)| (Pattern::new(identity), Arc::from(key));
        let mut keys: Vec<_> = keys.into_iter().map(read).collect();
        keys.sort_by_key(|(pattern, _): &(Pattern, _)| (pattern.is_open(), std::cmp::Reverse(pattern.exactness())));
        let all = vec![NameKind::Uri, NameKind::Dns, NameKind::CommonName];
        Self {
            name_from: if name_from.is_empty() { all } else { name_from },
            keys,
        }
    }

    /// Who a certificate says is calling.
    pub fn identity<'a>(&self, certificate: &'a ClientCertificate) -> Option<&'a str> {
        self.name_from.iter().find_map(|kind| certificate.name(*kind))
    }

    /// The name of the key that this identity's requests are made with.
    pub fn key(&self, identity: &str) -> Option<&Arc<str>> {
        self.keys
            .iter()
            .find(|(pattern, _)| pattern.fits(identity))
            .map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn made(common_names: &[&str], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2031, 5, 6);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn names_are_read_in_their_order() {
        let names = vec![
            dns("B.example"),
            uri("spiffe://acme/a"),
            dns("a.example"),
            uri("spiffe://acme/b"),
        ];
        let read = ClientCertificate::read(&made(&["search"], names)).unwrap();
        assert_eq!(read.uris, ["spiffe://acme/a", "spiffe://acme/b"]);
        assert_eq!(read.dns, ["b.example", "a.example"]);
        assert_eq!(read.common_name.as_deref(), Some("search"));
        assert_eq!(read.expires, 1_935_792_000);
        let keys = |from: &[NameKind]| {
            CertificateKeys::new(from.to_vec(), [])
                .identity(&read)
                .map(str::to_owned)
        };
        assert_eq!(keys(&[]).as_deref(), Some("spiffe://acme/a"));
        assert_eq!(keys(&[NameKind::CommonName]).as_deref(), Some("search"));
        assert_eq!(keys(&[NameKind::Dns, NameKind::Uri]).as_deref(), Some("b.example"));
    }

    #[test]
    fn a_name_that_is_not_there_or_not_fit_is_nobodys() {
        let read = ClientCertificate::read(&made(&["a"], vec![uri(&"x".repeat(513)), uri("a\u{7f}b")])).unwrap();
        assert!(read.uris.is_empty());
        let only = CertificateKeys::new(vec![NameKind::Uri], []);
        assert_eq!(only.identity(&read), None);
        let read = ClientCertificate::read(&made(&["a\nb"], Vec::new())).unwrap();
        assert_eq!(CertificateKeys::new(Vec::new(), []).identity(&read), None);
        let good = made(&["a"], Vec::new());
        for wrong in [
            &[][..],
            &[0x30, 0x80],
            &good[..good.len() - 1],
            &[&good[..], &[0]].concat(),
        ] {
            assert_eq!(ClientCertificate::read(wrong), None);
        }
    }

    #[test]
    fn the_most_exact_key_is_taken() {
        let keys = CertificateKeys::new(
            Vec::new(),
            [
                ("*", "any"),
                ("spiffe://acme/*", "acme"),
                ("spiffe://acme/search", "search"),
                ("spiffe://acme/s*", "s"),
            ],
        );
        let key = |identity: &str| keys.key(identity).map(|key| key.to_string());
        assert_eq!(key("spiffe://acme/search").as_deref(), Some("search"));
        assert_eq!(key("spiffe://acme/sales").as_deref(), Some("s"));
        assert_eq!(key("spiffe://acme/ads").as_deref(), Some("acme"));
        assert_eq!(key("spiffe://else").as_deref(), Some("any"));
        assert_eq!(CertificateKeys::new(Vec::new(), [("a", "k")]).key("b"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_certificate_or_not(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), at in 0..600_usize, byte: u8) {
            let _ = ClientCertificate::read(&bytes);
            let mut changed = made(&["search"], vec![uri("spiffe://acme/a")]);
            if let Some(place) = changed.get_mut(at) {
                *place = byte;
            }
            let _ = ClientCertificate::read(&changed);
        }
    }
}
