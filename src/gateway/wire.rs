//! The byte stream of a client connection, watched: a deadline for request headers, and writes that can be held together.
//!
//! Two things Pingora's own streams do not offer. *Header deadline*: its timeout is per read, so a client that sends one
//! byte a minute would keep a connection for ever; here the clock starts with a request's first byte and stops when the
//! gateway has the header. *Holding*: the head of a chunked response, its first chunk and its end are flushed one by one,
//! each costing a system call and a wake-up at the client; held, they leave as one write.
//!
//! [`Door`] is where connections enter: it wraps their stream, counts them, and turns them away beyond the cap.

use super::App;
use super::proxy::Gateway;
use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use pingora::server::ShutdownWatch;
use pingora_proxy::{HttpProxy, Session};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Held bytes beyond this are written although more is to come.
const HOLD_UP_TO: usize = 64 * 1024;

/// Where client connections enter.
pub struct Door {
    /// Serves their requests.
    pub proxy: Arc<HttpProxy<Gateway>>,
    /// For limits and gauges.
    pub app: Arc<App>,
    /// Connections open now, over all listeners.
    pub open: Arc<AtomicUsize>,
}

struct Place(Arc<Door>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.app.meters.client_connections.dec();
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let limits = self.app.snapshot.load().limits;
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        self.app.meters.client_connections.inc();
        let _place = Place(Arc::clone(self));
        if before >= limits.connections {
            // Closed without a word: answering would cost what the cap is there to save.
            return None;
        }
        let stream: Stream = Box::new(Watched::new(stream, limits.header_timeout));
        ServerApp::process_new(&self.proxy, stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// A client's byte stream.
#[derive(Debug)]
pub struct Watched {
    inner: Stream,
    header_timeout: Duration,
    /// The gateway has the header of the request under way.
    have_header: AtomicBool,
    /// A byte of the next request's header has been read.
    header_begun: bool,
    deadline: Option<Pin<Box<Sleep>>>,
    hold: AtomicBool,
    held: BytesMut,
}

impl Watched {
    fn new(inner: Stream, header_timeout: Duration) -> Self {
        Self {
            inner,
            header_timeout,
            have_header: AtomicBool::new(false),
            header_begun: false,
            deadline: None,
            hold: AtomicBool::new(false),
            held: BytesMut::new(),
        }
    }

    /// The stream under an HTTP/1 session.
    fn of(session: &Session) -> Option<&Self> {
        session
            .as_http1()
            .and_then(|http1| (**http1.stream()).as_any().downcast_ref())
    }

    /// The header of a request has arrived: its deadline is met.
    pub fn header_arrived(session: &Session) {
        if let Some(watched) = Self::of(session) {
            watched.have_header.store(true, Ordering::Relaxed);
        }
    }

    /// The request is over: what is read next is another header.
    pub fn request_over(session: &Session) {
        if let Some(watched) = Self::of(session) {
            watched.have_header.store(false, Ordering::Relaxed);
        }
    }

    /// Keep what is written until `hold(false)` and the next write.
    pub fn hold(session: &Session, hold: bool) {
        if let Some(watched) = Self::of(session) {
            watched.hold.store(hold, Ordering::Relaxed);
        }
    }

    fn holding(&self) -> bool {
        self.hold.load(Ordering::Relaxed) && self.held.len() < HOLD_UP_TO
    }

    /// Write what is held.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Write what is held and `bufs` together; how much of `bufs` was taken.
    fn poll_write_with_held(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let held = self.held.len();
            if held == 0 {
                return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
            }
            let mut slices = [IoSlice::new(&[]); 8];
            for (slot, slice) in slices
                .iter_mut()
                .zip(std::iter::once(IoSlice::new(&self.held)).chain(bufs.iter().copied()))
            {
                *slot = slice;
            }
            let written = std::task::ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written.min(held));
            if written > held {
                return Poll::Ready(Ok(written - held));
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if *this.have_header.get_mut() {
            this.header_begun = false;
            this.deadline = None;
            return polled;
        }
        if polled.is_ready() {
            this.header_begun |= buf.filled().len() > before;
            return polled;
        }
        if !this.header_begun {
            return Poll::Pending;
        }
        let timeout = this.header_timeout;
        let deadline = this
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + timeout)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "request header deadline"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.holding() {
            self.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        if self.held.is_empty() {
            return Pin::new(&mut self.inner).poll_write(cx, buf);
        }
        self.poll_write_with_held(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.holding() {
            for buf in bufs {
                self.held.extend_from_slice(buf);
            }
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        self.poll_write_with_held(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.holding() {
            return Poll::Ready(Ok(()));
        }
        std::task::ready!(self.poll_release(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_release(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

#[async_trait]
impl Peek for Watched {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buf).await
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Watched {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}
