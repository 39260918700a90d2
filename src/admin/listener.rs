//! Binding the admin address and serving connections on it, within bounds.
//!
//! Not the routes. hyper is driven directly rather than through `axum::serve`, which has no limit on the header block, on
//! the time a header may take or on the number of connections.

use super::api::Connection;
use super::{AdminState, router};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

/// Connections served at one time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// Largest header block, request line included.
const MAX_HEAD: usize = 16 * 1024;
/// Longest wait for a request header, which is also how long an idle connection is kept. Longer than a usual scrape
/// interval (15 s), so that scrapers reuse theirs.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest life of a connection, so that readers that stall cannot hold every place for ever.
const MAX_AGE: Duration = Duration::from_secs(300);
/// The same of one that carries an export.
const MAX_AGE_LONG: Duration = Duration::from_secs(2 * 60 * 60);
/// Time for answers under way when the process stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept: out of descriptors is the usual reason, and retrying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bind with SO_REUSEPORT, so that the next binary can bind beside this one during an upgrade. While both live, the kernel
/// spreads connections over them. The price: a second instance started by mistake does not fail here; it does at the
/// client listener, which is bound without. Port 0 binds a free port.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, 128)?;
    Ok(TcpListener::from(socket))
}

/// Serve until `shutdown` resolves, then finish the answers under way, for at most five seconds.
pub async fn serve(listener: tokio::net::TcpListener, state: AdminState, shutdown: impl Future<Output = ()>) {
    let api = Arc::clone(&state.api);
    let service = TowerToHyperService::new(router(state));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            // Never closed while this loop runs; were it, no connection would be taken.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next => next,
        };
        match accepted {
            // Who may not connect is not told why.
            Ok((_, peer)) if !api.access.admits(peer.ip()) => {}
            Ok((stream, peer)) => {
                let service = service.clone();
                let mut stopped = stopped.clone();
                tokio::spawn(async move {
                    connection(stream, peer, service, &mut stopped).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drop(stop);
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(STOP_TIMEOUT, places.acquire_many(all)).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: TowerToHyperService<axum::Router>,
    stopped: &mut watch::Receiver<()>,
) {
    let long = Arc::new(AtomicBool::new(false));
    let known = Connection {
        address: peer.ip(),
        long: Arc::clone(&long),
    };
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(known.clone());
        service.call(request)
    });
    // Only a delay is lost when this fails.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What goes wrong on one connection concerns the other end only.
    tokio::select! {
        _ = connection.as_mut() => {}
        // Resolves with an error when the sender is dropped, which is the signal.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(STOP_TIMEOUT, connection.as_mut()).await;
        }
        () = async {
            tokio::time::sleep(MAX_AGE).await;
            if long.load(Ordering::Relaxed) {
                tokio::time::sleep(MAX_AGE_LONG.saturating_sub(MAX_AGE)).await;
            }
        } => {}
    }
}
