//! Where client connections enter, and the byte stream under each: with a deadline for request headers. Which
//! connections come in is `door.rs`.
//!
//! Pingora's read timeout is per read, so a client that sends one byte a minute would keep a connection for ever; here the
//! clock starts with a request's first byte and stops when the gateway has the header. Writes are [`Gathered`], so that
//! the head of a chunked response, its first chunk and its end can leave as one.

use super::App;
use super::door::Gate;
use super::proxy::Gateway;
use crate::upstream::gather::{Gathered, delegate_identity};
use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Peek, Shutdown, Stream};
use pingora::server::ShutdownWatch;
use pingora_proxy::{HttpProxy, Session};
use pingora_timeout::fast_timeout::fast_sleep;
use pingora_timeout::timeout;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for a request's first bytes: its header block and, for most, its body.
const READ_AHEAD: usize = 4096;

/// How long a connection made just before a stop may take to begin its first request.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// Where client connections enter.
pub struct Door {
    /// Serves their requests.
    pub proxy: Arc<HttpProxy<Gateway>>,
    /// For limits.
    pub app: Arc<App>,
    /// Counts connections, over all listeners.
    pub gate: Arc<Gate>,
    /// Plaintext HTTP/2 is accepted here.
    pub h2c: bool,
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let limits = self.app.snapshot.load().limits;
        // Beyond a cap it is closed without a word: answering would cost what the cap is there to save.
        let _place = self.gate.enter(&stream, &limits)?;
        let by_alpn = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let mut watched = Box::new(Watched::new(stream, limits.header_timeout));
        let http2 = if self.h2c {
            timeout(limits.header_timeout, watched.begins_with_preface())
                .await
                .ok()?
        } else {
            by_alpn
        };
        if http2 {
            // Frames, not headers: the HTTP/2 library has its own limits, and idle connections end by `h2_idle_timeout`.
            watched.http1 = false;
            return ServerApp::process_new(&self.proxy, watched, shutdown).await;
        }
        self.serve_http1(watched, shutdown, limits.keepalive_timeout).await;
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

impl Door {
    /// Pingora's own loop over the requests of a connection, with one difference: between requests nothing but the stream
    /// is kept. The request's future and its buffers (some 30 KiB) exist only while there is a request.
    async fn serve_http1(&self, first: Box<Watched>, shutdown: &ShutdownWatch, idle: Duration) {
        let mut watched = first;
        let mut settings: Option<HttpPersistentSettings> = None;
        loop {
            // A new connection that got in just before a stop has its request on the way.
            let grace = settings.is_none().then_some(FIRST_REQUEST_GRACE);
            // A pipelined request that Pingora has read already would never be announced by another byte.
            let waits = watched.ahead.is_empty() && watched.all_consumed();
            if waits && !watched.wait(shutdown.clone(), idle, grace).await {
                return;
            }
            let mut session = ServerSession::new_http1(watched);
            match settings.take() {
                Some(settings) => settings.apply_to_session(&mut session),
                None if *shutdown.borrow() => session.set_keepalive(None),
                None => session.set_keepalive(Some(idle.as_secs())),
            }
            let Some(reused) = self.proxy.process_new_http(session, shutdown).await else {
                return;
            };
            let (stream, persistent) = reused.consume();
            let Ok(back) = stream.into_any().downcast::<Watched>() else {
                return;
            };
            (watched, settings) = (back, persistent);
        }
    }
}

/// A client's byte stream.
#[derive(Debug)]
pub struct Watched {
    inner: Gathered,
    header_timeout: Duration,
    /// Requests follow one another on it; frames otherwise.
    http1: bool,
    /// The gateway has the header of the request under way.
    have_header: AtomicBool,
    /// A byte of the next request's header has been read.
    header_begun: bool,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The first bytes of a request, read while waiting for it.
    ahead: BytesMut,
    /// Bytes handed to Pingora since the connection was last known to hold no more than its request.
    delivered: usize,
    /// Of these, what the request that just ended was made of; `usize::MAX`: not known.
    consumed: AtomicUsize,
    /// The client does not take what is written.
    given_up: AtomicBool,
}

impl Watched {
    fn new(inner: Stream, header_timeout: Duration) -> Self {
        Self {
            inner: Gathered::new(inner),
            header_timeout,
            http1: true,
            have_header: AtomicBool::new(false),
            header_begun: false,
            deadline: None,
            ahead: BytesMut::new(),
            delivered: 0,
            consumed: AtomicUsize::new(0),
            given_up: AtomicBool::new(false),
        }
    }

    /// Fail every further write: ending the response and closing would wait for the client without a deadline.
    pub fn give_up(session: &Session) {
        if let Some(watched) = Self::of(session) {
            watched.given_up.store(true, Ordering::Relaxed);
        }
    }

    fn check_given_up(&self) -> io::Result<()> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// Whether everything handed to Pingora belonged to requests that are over.
    fn all_consumed(&mut self) -> bool {
        if *self.consumed.get_mut() == self.delivered {
            self.delivered = 0;
            *self.consumed.get_mut() = 0;
            return true;
        }
        // Once apart, the two counts cannot be matched again: this connection keeps Pingora's own way of waiting.
        self.delivered = usize::MAX;
        *self.consumed.get_mut() = 0;
        false
    }

    /// Wait for a request's first byte; `false` when none comes, the client closes or the server stops.
    async fn wait(&mut self, mut shutdown: ShutdownWatch, idle: Duration, grace: Option<Duration>) -> bool {
        let stopped = async {
            let _ = shutdown.wait_for(|stop| *stop).await;
            if let Some(grace) = grace {
                fast_sleep(grace).await;
            }
        };
        tokio::select! {
            biased;
            read = self.read_ahead() => matches!(read, Ok(1..)),
            () = stopped => false,
            () = fast_sleep(idle) => false,
        }
    }

    async fn read_ahead(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            self.ahead.reserve(READ_AHEAD);
            let polled = pin!(self.inner.read_buf(&mut self.ahead)).poll(cx);
            if polled.is_pending() && self.ahead.is_empty() {
                // An idle connection keeps no buffer.
                self.ahead = BytesMut::new();
                self.inner.slim();
            }
            polled
        })
        .await
    }

    /// Whether the client speaks HTTP/2 without having been asked (RFC 9113, 3.4). Bytes looked at are not lost.
    async fn begins_with_preface(&mut self) -> bool {
        while PREFACE.starts_with(&self.ahead) && self.ahead.len() < PREFACE.len() {
            if !matches!(self.read_ahead().await, Ok(1..)) {
                return false;
            }
        }
        self.ahead.starts_with(PREFACE)
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
        if let (Some(watched), Some(http1)) = (Self::of(session), session.as_http1()) {
            watched.have_header.store(false, Ordering::Relaxed);
            // With a plain body every byte is accounted for; how long a chunked one was on the wire is not known here.
            let taken = http1.get_headers_raw_bytes().len() + http1.body_bytes_read();
            let chunked = session
                .req_header()
                .headers
                .contains_key(http::header::TRANSFER_ENCODING);
            watched
                .consumed
                .store(if chunked { usize::MAX } else { taken }, Ordering::Relaxed);
        }
    }

    /// Keep what is written until `hold(false)` and the next write.
    pub fn hold(session: &Session, hold: bool) {
        if let Some(watched) = Self::of(session) {
            watched.inner.hold(hold);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = if this.ahead.is_empty() {
            Pin::new(&mut this.inner).poll_read(cx, buf)
        } else {
            let take = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(take));
            Poll::Ready(Ok(()))
        };
        this.delivered = this.delivered.saturating_add(buf.filled().len() - before);
        if !this.http1 || *this.have_header.get_mut() {
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
        self.check_given_up()?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_given_up()?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_given_up()?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_given_up()?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        if self.check_given_up().is_ok() {
            self.inner.shutdown().await;
        }
    }
}

#[async_trait]
impl Peek for Watched {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        if let Some(known) = self.ahead.get(..buf.len()) {
            buf.copy_from_slice(known);
            return Ok(true);
        }
        self.inner.try_peek(buf).await
    }
}

delegate_identity!(Watched, inner);
