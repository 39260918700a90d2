//! Which client connections come in, and when: the caps on connections (all, and of one address), and the pause near the
//! end of the process's file descriptors.
//!
//! Not what happens on a connection (`wire.rs`). Every descriptor that is missing hurts a request that is already under
//! way (it cannot reach its provider, and the provider's breaker takes the blame), so new clients must wait while few are
//! left. What Pingora 0.9.1 does by itself: `accept` fails with EMFILE, it logs, sleeps a second and tries again, all
//! descriptors taken meanwhile. It cannot be told to stop accepting, but its accept loop awaits a [`ConnectionFilter`]
//! before it accepts again: a filter that does not answer is a pause. So each listener holds *one* connection that was
//! accepted and is not served yet, and all others wait in the kernel's queue. When the process is told to stop during a
//! pause, that one connection is dropped unserved.
//!
//! How many descriptors are held is the kernel's figure, read once a second outside the request threads ([`Gate::look`]),
//! plus the client connections that came and less those that went since. What else is opened within that second (calls
//! upstream) is what the reserve is for.
//!
//! Connections in their TLS handshake (at most 60 s, Pingora's limit) count as descriptors, failed ones until the next
//! look, but not for the caps: those begin when the connection can be used. The caps are looked at before the handshake
//! too, so that it is not done in vain.

use super::App;
use crate::snapshot::Limits;
use async_trait::async_trait;
use dashmap::DashMap;
use pingora::listeners::ConnectionFilter;
use pingora::protocols::Stream;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Shared by all client listeners.
pub struct Gate {
    app: Arc<App>,
    /// Connections open now.
    open: AtomicUsize,
    /// Those of each address; kept only while there is a cap on them.
    by_origin: DashMap<Origin, usize>,
    descriptors: Descriptors,
}

/// Whose a connection is. An IPv6 client has a /64 to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// How many are held, and how many may be.
#[derive(Debug)]
struct Descriptors {
    /// Beyond it new connections wait.
    most: i64,
    /// Estimate; set right by every look.
    held: AtomicI64,
    /// Listeners that hold a connection back.
    waiting: AtomicUsize,
    /// One was held back since the last look.
    waited: AtomicBool,
    /// The operator knows.
    told: AtomicBool,
    freed: Notify,
}

impl Descriptors {
    fn new(limit: u64) -> Self {
        Self {
            most: i64::try_from(limit - reserve(limit)).unwrap_or(i64::MAX),
            held: AtomicI64::new(0),
            waiting: AtomicUsize::new(0),
            waited: AtomicBool::new(false),
            told: AtomicBool::new(false),
            freed: Notify::new(),
        }
    }

    fn has_room(&self) -> bool {
        self.held.load(Ordering::SeqCst) <= self.most
    }

    fn give_back(&self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

/// Descriptors that client connections may not have: 5 %, at least 64, of a very low limit half.
fn reserve(limit: u64) -> u64 {
    (limit / 20).max(64).min(limit / 2)
}

impl Gate {
    /// For a process that may have `descriptors` of them open.
    pub fn new(app: &Arc<App>, descriptors: u64) -> Self {
        Self {
            app: Arc::clone(app),
            open: AtomicUsize::new(0),
            by_origin: DashMap::new(),
            descriptors: Descriptors::new(descriptors),
        }
    }

    /// A connection that may be used from now on: its place, or nothing when a cap is reached.
    pub(super) fn enter(self: &Arc<Self>, stream: &Stream, limits: &Limits) -> Option<Place> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        self.app.meters.client_connections.inc();
        let mut place = Place {
            gate: Arc::clone(self),
            origin: None,
        };
        if before >= limits.connections {
            self.app.meters.refused_total.inc();
            return None;
        }
        if let Some(cap) = limits.connections_per_ip
            && let Some(origin) = origin(stream)
        {
            if !take(&self.by_origin, origin, cap) {
                self.app.meters.refused_per_ip.inc();
                return None;
            }
            place.origin = Some(origin);
        }
        Some(place)
    }

    /// Whether a cap is reached already, for a connection of which only the address is known.
    fn is_full(&self, address: Option<&SocketAddr>) -> bool {
        let limits = self.app.snapshot.load().limits;
        if self.open.load(Ordering::Relaxed) >= limits.connections {
            self.app.meters.refused_total.inc();
            return true;
        }
        let (Some(cap), Some(address)) = (limits.connections_per_ip, address) else {
            return false;
        };
        let count = self
            .by_origin
            .get(&Origin::from(address.ip()))
            .map_or(0, |count| *count);
        if count >= cap {
            self.app.meters.refused_per_ip.inc();
        }
        count >= cap
    }

    /// Without any client there is nobody to wait for: however low the limit is, one is served.
    fn may_go_on(&self) -> bool {
        self.descriptors.has_room() || self.open.load(Ordering::Relaxed) == 0
    }

    /// Return once descriptors are free. Cheap when they are.
    async fn wait_for_room(&self) {
        let descriptors = &self.descriptors;
        if self.may_go_on() {
            return;
        }
        let _waiting = Waiting::begin(descriptors);
        if !descriptors.told.swap(true, Ordering::Relaxed) {
            self.app.meters.accept_paused.set(1);
            let (held, most) = (descriptors.held.load(Ordering::Relaxed), descriptors.most);
            tracing::warn!(
                held,
                most,
                "file descriptors are nearly used up: new connections wait until some are free; raise LimitNOFILE, or lower limits.connections"
            );
        }
        loop {
            // Made before looking, so that what is freed in between is not missed.
            let freed = descriptors.freed.notified();
            if self.may_go_on() {
                return;
            }
            freed.await;
        }
    }

    /// Compare with what the kernel says is open. Once a second, not on a thread that serves requests.
    pub fn look(&self) {
        let descriptors = &self.descriptors;
        if let Some(open) = open_descriptors() {
            descriptors.held.store(open, Ordering::SeqCst);
        }
        let waited = descriptors.waited.swap(false, Ordering::SeqCst);
        if descriptors.waiting.load(Ordering::SeqCst) > 0 {
            descriptors.freed.notify_waiters();
        } else if !waited && descriptors.told.swap(false, Ordering::Relaxed) {
            self.app.meters.accept_paused.set(0);
            let held = descriptors.held.load(Ordering::Relaxed);
            tracing::info!(held, "file descriptors are free again: new connections are accepted");
        }
    }
}

#[async_trait]
impl ConnectionFilter for Gate {
    async fn should_accept(&self, address: Option<&SocketAddr>) -> bool {
        if self.is_full(address) {
            // Closed without a word: answering, or a TLS handshake, would cost what the cap is there to save.
            return false;
        }
        self.descriptors.held.fetch_add(1, Ordering::SeqCst);
        self.wait_for_room().await;
        true
    }
}

/// A listener is waiting; also when it is told to stop meanwhile.
struct Waiting<'a>(&'a Descriptors);

impl<'a> Waiting<'a> {
    fn begin(descriptors: &'a Descriptors) -> Self {
        descriptors.waited.store(true, Ordering::SeqCst);
        descriptors.waiting.fetch_add(1, Ordering::SeqCst);
        Self(descriptors)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("open", &self.open)
            .field("descriptors", &self.descriptors)
            .finish_non_exhaustive()
    }
}

/// A connection's place, free again when dropped.
pub(super) struct Place {
    gate: Arc<Gate>,
    origin: Option<Origin>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        self.gate.app.meters.client_connections.dec();
        if let Some(origin) = self.origin {
            leave(&self.gate.by_origin, origin);
        }
        self.gate.descriptors.give_back();
    }
}

fn origin(stream: &Stream) -> Option<Origin> {
    let digest = stream.get_socket_digest()?;
    Some(Origin::from(digest.peer_addr()?.as_inet()?.ip()))
}

fn take(counts: &DashMap<Origin, usize>, origin: Origin, cap: usize) -> bool {
    let mut count = counts.entry(origin).or_insert(0);
    let free = *count < cap;
    *count += usize::from(free);
    free
}

/// An address without connections has no entry: the map is never larger than the number of connections.
fn leave(counts: &DashMap<Origin, usize>, origin: Origin) {
    counts.remove_if_mut(&origin, |_, count| {
        *count = count.saturating_sub(1);
        *count == 0
    });
}

/// Since Linux 6.2 the directory's size is their number; before, they have to be walked through.
fn open_descriptors() -> Option<i64> {
    const FOLDER: &str = "/proc/self/fd";
    let size = std::fs::metadata(FOLDER).ok()?.len();
    if size > 0 {
        return i64::try_from(size).ok();
    }
    // One of them is the directory being read.
    i64::try_from(std::fs::read_dir(FOLDER).ok()?.count().saturating_sub(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Origin {
        Origin::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_address_is_counted_to_its_cap_and_forgotten_at_zero() {
        let counts = DashMap::new();
        let one = address("192.0.2.1");
        assert!(take(&counts, one, 2) && take(&counts, one, 2) && !take(&counts, one, 2));
        assert!(take(&counts, address("192.0.2.2"), 2));
        leave(&counts, one);
        assert!(take(&counts, one, 2));
        for _ in 0..2 {
            leave(&counts, one);
        }
        assert_eq!(counts.len(), 1);
        leave(&counts, one);
        assert!(!counts.contains_key(&one));
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_a_mapped_address_is_ipv4() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn the_reserve_leaves_something_for_clients() {
        let reserves = [1_000_000, 20_000, 1024, 200, 64, 1, 0].map(reserve);
        assert_eq!(reserves, [50_000, 1_000, 64, 64, 32, 0, 0]);
    }

    #[test]
    fn the_kernel_tells_how_many_are_open() {
        let before = open_descriptors().unwrap();
        let held: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let now = open_descriptors().unwrap();
        // Other tests of this process open and close some meanwhile.
        assert!(now > before + 25, "{before} then {now}");
        drop(held);
    }
}
