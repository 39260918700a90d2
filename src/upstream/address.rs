//! The addresses behind a provider's host name, resolved in the background, kept when resolving fails, chosen in turn.
//!
//! Pingora's own peers resolve with a blocking call; here a request never waits for DNS, except the very first ones of a
//! new provider. pingora-load-balancing does the work (discovery, active health checks, round robin over the healthy);
//! this file adds the asynchronous look-up and the ready-made peers. SNI is always set: with rustls an empty one would
//! switch certificate verification off.

use super::site::BaseUrl;
use crate::link_local::is_link_local;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::{HealthCheck as PingoraCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, Backends, LoadBalancer};
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr as AnyAddr;
use pingora::upstreams::peer::HttpPeer;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often names are looked up again.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(20);
/// Longest wait for one look-up.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that decides a connection; books are shared and kept over reloads by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressKey {
    /// Host, port, TLS.
    pub base: BaseUrl,
    /// Time for TCP and TLS set-up.
    pub connect_timeout: Duration,
    /// HTTP/2 instead of HTTP/1.1.
    pub http2: bool,
    /// DER certificates to trust instead of the system's.
    pub authorities: Vec<Vec<u8>>,
    /// Active probing.
    pub probe: Option<Probe>,
    /// Addresses in link-local ranges may be dialled.
    pub allow_link_local: bool,
}

/// An active health check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// `GET` this path and want 200; `None`: a TCP (and TLS) connection is enough.
    pub path: Option<String>,
    /// Time between two probes.
    pub interval: Duration,
}

/// The peers of one host.
pub struct AddressBook {
    key: AddressKey,
    balancer: LoadBalancer<RoundRobin>,
    peers: ArcSwap<Peers>,
    changed: Notify,
}

#[derive(Default)]
struct Peers {
    by_address: HashMap<SocketAddr, Arc<HttpPeer>>,
    /// Set when there is exactly one and it is not probed: nothing to choose.
    only: Option<Arc<HttpPeer>>,
}

impl std::fmt::Debug for AddressBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressBook")
            .field("base", &self.key.base)
            .finish_non_exhaustive()
    }
}

impl AddressBook {
    /// A book for this host; empty until resolved, except for an IP literal.
    pub fn new(key: AddressKey) -> Self {
        let lookup = Lookup {
            host: key.base.host.clone(),
            port: key.base.port,
            allow_link_local: key.allow_link_local,
        };
        Self::with_discovery(key, Box::new(lookup))
    }

    fn with_discovery(key: AddressKey, discovery: Box<dyn ServiceDiscovery + Send + Sync>) -> Self {
        let mut balancer = LoadBalancer::<RoundRobin>::from_backends(Backends::new(discovery));
        if let Some(probe) = &key.probe {
            balancer.set_health_check(health_check(&key, probe));
            balancer.health_check_frequency = Some(probe.interval);
            balancer.parallel_health_check = true;
        }
        let book = Self {
            balancer,
            peers: ArcSwap::default(),
            changed: Notify::new(),
            key,
        };
        if let Ok(ip) = book.key.base.host.parse::<IpAddr>() {
            book.store(&[SocketAddr::new(ip, book.key.base.port)]);
        }
        book
    }

    /// What it was made for.
    pub fn key(&self) -> &AddressKey {
        &self.key
    }

    /// A peer to connect to, waiting at most until `deadline` for the first look-up.
    pub async fn peer(&self, deadline: Instant) -> Option<Arc<HttpPeer>> {
        if let Some(peer) = self.known_peer() {
            return Some(peer);
        }
        loop {
            let changed = self.changed.notified();
            if let Some(peer) = self.known_peer() {
                return Some(peer);
            }
            tokio::time::timeout_at(deadline.into(), changed).await.ok()?;
        }
    }

    /// A peer, if the name was ever resolved.
    pub fn known_peer(&self) -> Option<Arc<HttpPeer>> {
        let peers = self.peers.load();
        if let Some(only) = &peers.only {
            return Some(Arc::clone(only));
        }
        let chosen = self.balancer.select(b"", 64).and_then(|backend| match backend.addr {
            AnyAddr::Inet(address) => peers.by_address.get(&address).cloned(),
            AnyAddr::Unix(_) => None,
        });
        // All unhealthy: probes can be wrong about an address, refusing to try any is certainly wrong.
        chosen.or_else(|| peers.by_address.values().next().cloned())
    }

    /// Look the name up again. On failure the last good addresses stay.
    pub async fn refresh(&self) -> Result<(), String> {
        if self.key.probe.is_none() && self.key.base.host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let update = tokio::time::timeout(RESOLVE_TIMEOUT, self.balancer.update()).await;
        update
            .map_err(|_| "DNS look-up timed out".to_owned())?
            .map_err(|e| format!("DNS look-up failed: {e}"))?;
        let addresses: Vec<SocketAddr> = self
            .balancer
            .backends()
            .get_backend()
            .iter()
            .filter_map(|backend| match &backend.addr {
                AnyAddr::Inet(address) => Some(*address),
                AnyAddr::Unix(_) => None,
            })
            .collect();
        if addresses.is_empty() {
            return Err("DNS look-up gave no usable address".to_owned());
        }
        self.store(&addresses);
        Ok(())
    }

    /// Probe every address once, when probing is configured.
    pub async fn probe(&self) {
        if self.key.probe.is_some() {
            self.balancer.backends().run_health_check(true).await;
        }
    }

    fn store(&self, addresses: &[SocketAddr]) {
        let before = self.peers.load();
        let by_address: HashMap<_, _> = addresses
            .iter()
            .map(|&address| {
                // The old peer, if there is one, so that its identity in the connection pool stays.
                let peer = before.by_address.get(&address).cloned();
                (address, peer.unwrap_or_else(|| Arc::new(self.make_peer(address))))
            })
            .collect();
        let only = match (by_address.len(), &self.key.probe) {
            (1, None) => by_address.values().next().cloned(),
            _ => None,
        };
        self.peers.store(Arc::new(Peers { by_address, only }));
        self.changed.notify_waiters();
    }

    fn make_peer(&self, address: SocketAddr) -> HttpPeer {
        let key = &self.key;
        let mut peer = HttpPeer::new(address, key.base.tls, key.base.host.clone());
        peer.options.connection_timeout = Some(key.connect_timeout);
        peer.options.total_connection_timeout = Some(key.connect_timeout);
        peer.options.idle_timeout = Some(Duration::from_secs(90));
        if key.http2 {
            peer.options.alpn = if key.base.tls { ALPN::H2H1 } else { ALPN::H2 };
            peer.options.h2_ping_interval = Some(Duration::from_secs(15));
            peer.options.max_h2_streams = 100;
        }
        if !key.authorities.is_empty() {
            let trusted: Vec<_> = key.authorities.iter().map(|der| wrapped(der.clone())).collect();
            peer.options.ca = Some(trusted.into());
        }
        peer
    }
}

fn wrapped(der: Vec<u8>) -> pingora::utils::tls::WrappedX509 {
    pingora::utils::tls::WrappedX509::new(der, pingora::utils::tls::parse_x509)
}

fn health_check(key: &AddressKey, probe: &Probe) -> Box<dyn PingoraCheck + Send + Sync> {
    match &probe.path {
        None if key.base.tls => TcpHealthCheck::new_tls(&key.base.host),
        None => TcpHealthCheck::new(),
        Some(path) => {
            let mut check = HttpHealthCheck::new(&key.base.authority(), key.base.tls);
            check.peer_template.sni = key.base.host.clone();
            check.peer_template.options.connection_timeout = Some(key.connect_timeout);
            check.peer_template.options.read_timeout = Some(Duration::from_secs(5));
            if let Ok(uri) = path.parse() {
                check.req.set_uri(uri);
            }
            Box::new(check)
        }
    }
}

/// Asynchronous DNS as a pingora-load-balancing discovery.
struct Lookup {
    host: String,
    port: u16,
    allow_link_local: bool,
}

#[async_trait]
impl ServiceDiscovery for Lookup {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        use pingora::{ErrorType, OrErr};
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .or_err(ErrorType::InternalError, "DNS look-up")?;
        let mut backends = BTreeSet::new();
        for address in found {
            // A public name that resolves to a metadata address is the classic way round a check on the URL.
            if !self.allow_link_local && is_link_local(address.ip()) {
                tracing::warn!(host = %self.host, "a link-local address was left out of the provider's addresses");
                continue;
            }
            backends.insert(Backend {
                addr: AnyAddr::Inet(address),
                weight: 1,
                ext: Default::default(),
            });
        }
        if backends.is_empty() {
            return pingora::Error::e_explain(ErrorType::InternalError, "DNS look-up gave no usable address");
        }
        Ok((backends, HashMap::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(host: &str) -> AddressBook {
        AddressBook::new(AddressKey {
            base: BaseUrl {
                tls: false,
                host: host.to_owned(),
                port: 9,
                path: String::new(),
            },
            connect_timeout: Duration::from_secs(1),
            http2: false,
            authorities: vec![],
            probe: None,
            allow_link_local: false,
        })
    }

    #[tokio::test]
    async fn an_ip_is_known_at_once_and_a_name_after_the_look_up() {
        assert!(book("127.0.0.1").known_peer().is_some());
        let named = Arc::new(book("localhost"));
        assert!(named.known_peer().is_none());
        let waiting = tokio::spawn({
            let named = Arc::clone(&named);
            async move { named.peer(Instant::now() + Duration::from_secs(10)).await }
        });
        named.refresh().await.unwrap();
        let peer = waiting.await.unwrap().unwrap();
        assert_eq!(peer.sni, "localhost");
    }

    #[tokio::test]
    async fn a_failed_look_up_keeps_the_last_good_addresses() {
        let book = book("no-such-host.invalid");
        book.store(&["127.0.0.1:9".parse().unwrap()]);
        assert!(book.refresh().await.is_err());
        assert!(book.known_peer().is_some());
    }

    struct Several(Vec<SocketAddr>);

    #[async_trait]
    impl ServiceDiscovery for Several {
        async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
            let backends = self.0.iter().map(|address| Backend {
                addr: AnyAddr::Inet(*address),
                weight: 1,
                ext: Default::default(),
            });
            Ok((backends.collect(), HashMap::new()))
        }
    }

    #[tokio::test]
    async fn several_addresses_take_turns_and_one_that_fails_its_probe_is_left_out() {
        let first = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        let addresses = vec![first.local_addr().unwrap(), second.local_addr().unwrap()];
        let mut key = book("llm.internal").key().clone();
        key.probe = Some(Probe {
            path: None,
            interval: Duration::from_secs(1),
        });
        let book = AddressBook::with_discovery(key, Box::new(Several(addresses.clone())));
        book.refresh().await.unwrap();
        let turns = |book: &AddressBook| -> BTreeSet<SocketAddr> {
            let peers = (0..8).filter_map(|_| book.known_peer());
            peers.filter_map(|peer| peer._address.as_inet().copied()).collect()
        };
        book.probe().await;
        assert_eq!(turns(&book), addresses.iter().copied().collect());
        drop(second);
        book.probe().await;
        assert_eq!(turns(&book), [addresses[0]].into());
        drop(first);
        book.probe().await;
        assert!(
            !turns(&book).is_empty(),
            "with nothing healthy, any is better than none"
        );
    }
}
