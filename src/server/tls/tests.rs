//! Handshakes with Pingora's own acceptor, as the listeners have them.

use super::*;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Ssl;
use pingora::protocols::l4::stream::Stream as L4Stream;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::HandshakeKind;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(by: &Authority, serial: u64, until: i32) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params
        .subject_alt_names
        .push(SanType::URI("spiffe://acme/search".try_into().unwrap()));
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, by).unwrap();
    (
        certificate.der().clone(),
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    )
}

fn revoking(by: &Authority, serial: u64) -> String {
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2024, 1, 1),
        next_update: rcgen::date_time_ymd(2024, 2, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(by).unwrap().pem().unwrap()
}

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn with(content: &str) -> Self {
        let name = format!("cirque-tls-{}-{}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn trusted(pem: &str, required: bool) -> anyhow::Result<Option<Arc<Trusted>>> {
    let file = File::with(pem);
    authorities(&ListenerTls {
        cert: PathBuf::new(),
        key: PathBuf::new(),
        client_ca: Some(file.0.clone()),
        client_certificate_required: required,
    })
}

/// A listener, and an authority its clients know it by.
struct Listening {
    acceptor: Acceptor,
    authorities: Arc<Authorities>,
    known_by: RootCertStore,
}

fn listening(clients: Option<Arc<Trusted>>) -> Listening {
    let by = authority("server");
    let (own, key) = issued(&by, 1, 2100);
    let pair = CertifiedKey::from_der(vec![own], key, &ring::default_provider()).unwrap();
    let certificate = Arc::new(Certificate(ArcSwap::from(Arc::new(pair))));
    let authorities = Arc::new(Authorities::default());
    authorities.replace(clients);
    let mut known_by = RootCertStore::empty();
    known_by.add(by.der().clone()).unwrap();
    Listening {
        acceptor: settings(&certificate, &authorities).unwrap().build(),
        authorities,
        known_by,
    }
}

type Own = Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>;

impl Listening {
    fn client(&self, own: Own, version: &'static rustls::SupportedProtocolVersion) -> Arc<rustls::ClientConfig> {
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.known_by.clone());
        Arc::new(match own {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        })
    }

    /// One connection: what is hung on it, if it comes about, and how it came about.
    async fn connect(&self, config: &Arc<rustls::ClientConfig>) -> Option<(Option<Presented>, HandshakeKind)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let client = async {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.ok()?;
            // Tickets for resuming come after the handshake, and so does a refusal.
            stream.read_u8().await.ok()?;
            stream.get_ref().1.handshake_kind()
        };
        let server = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = self.acceptor.tls_handshake(L4Stream::from(tcp)).await.ok()?;
            let digest = stream.get_ssl_digest().unwrap();
            stream.write_u8(1).await.unwrap();
            stream.flush().await.unwrap();
            Some(digest.extension.get::<Presented>().cloned())
        };
        let (kind, presented) = tokio::join!(client, server);
        assert_eq!(kind.is_some(), presented.is_some());
        Some((presented?, kind?))
    }

    async fn takes(&self, own: Own) -> Option<Option<Presented>> {
        let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
        let again = own
            .as_ref()
            .map(|(certificate, key)| (certificate.clone(), key.clone_key()));
        let before = self.connect(&self.client(again, tls12)).await;
        let now = self.connect(&self.client(own, tls13)).await;
        assert_eq!(before, now);
        now.map(|(presented, _)| presented)
    }
}

fn nobody(lacking: bool) -> Presented {
    Presented {
        certificate: None,
        lacking,
    }
}

fn is_search(presented: Option<Option<Presented>>) -> bool {
    let presented = presented.flatten().unwrap();
    assert!(!presented.lacking);
    presented.certificate.unwrap().uris == ["spiffe://acme/search"]
}

#[tokio::test]
async fn a_certificate_of_the_authority_becomes_the_connections_and_others_are_refused() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    for required in [true, false] {
        let listening = listening(trusted(&ours.pem(), required).unwrap());
        assert!(is_search(listening.takes(Some(issued(&ours, 7, 2100))).await));
        assert_eq!(listening.takes(Some(issued(&ours, 7, 2020))).await, None, "expired");
        assert_eq!(listening.takes(Some(issued(&theirs, 7, 2100))).await, None, "foreign");
        let without = listening.takes(None).await;
        assert_eq!(without, if required { None } else { Some(Some(nobody(false))) });
    }
    let listening = listening(None);
    assert_eq!(
        listening.takes(Some(issued(&ours, 7, 2100))).await,
        Some(None),
        "not asked for"
    );
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_also_by_an_old_list() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let pem = format!("{}{}{}", ours.pem(), theirs.pem(), revoking(&ours, 7));
    let listening = listening(trusted(&pem, false).unwrap());
    assert_eq!(listening.takes(Some(issued(&ours, 7, 2100))).await, None);
    assert!(is_search(listening.takes(Some(issued(&ours, 8, 2100))).await));
    assert!(
        is_search(listening.takes(Some(issued(&theirs, 7, 2100))).await),
        "without a list of its own"
    );
}

#[tokio::test]
async fn a_resumed_session_is_checked_by_the_rules_of_now() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let listening = listening(trusted(&ours.pem(), false).unwrap());
        let known = listening.client(Some(issued(&ours, 7, 2100)), version);
        let unknown = listening.client(None, version);
        let (_, first) = listening.connect(&known).await.unwrap();
        listening.connect(&unknown).await.unwrap();
        assert_eq!(first, HandshakeKind::Full);
        let (presented, again) = listening.connect(&known).await.unwrap();
        assert_eq!(again, HandshakeKind::Resumed);
        assert!(is_search(Some(presented)));
        listening.authorities.replace(trusted(&theirs.pem(), true).unwrap());
        for client in [&known, &unknown] {
            let (presented, kind) = listening.connect(client).await.unwrap();
            assert_eq!((presented, kind), (Some(nobody(true)), HandshakeKind::Resumed));
        }
        let anew = listening.client(Some(issued(&ours, 7, 2100)), version);
        assert_eq!(listening.connect(&anew).await, None);
    }
}

#[test]
fn what_is_no_authority_is_an_error_that_names_the_file() {
    let ours = authority("ours").pem();
    for (pem, fine) in [
        (ours.as_str(), true),
        ("", false),
        ("nonsense", false),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", false),
        (
            &format!("{ours}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
            false,
        ),
    ] {
        match trusted(pem, true) {
            Ok(_) => assert!(fine, "{pem}"),
            Err(wrong) => assert!(!fine && wrong.to_string().contains("client_ca"), "{wrong:#}"),
        }
    }
    let files = ListenerTls {
        cert: PathBuf::new(),
        key: PathBuf::new(),
        client_ca: None,
        client_certificate_required: true,
    };
    assert!(authorities(&files).is_err());
}
