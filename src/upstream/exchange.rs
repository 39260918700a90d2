//! One HTTP exchange with a provider, on Pingora's pooled connections.
//!
//! Reading is cancel-safe: a future dropped between two reads loses nothing, and dropping an [`Exchange`] closes its
//! connection (HTTP/1.1) or resets its stream (HTTP/2), which is how a client that left, a deadline or an abandoned
//! attempt reach the provider. Only a response read to its end goes back to the pool.
//!
//! Not for deciding anything: whose fault a failure is, and what to do about it, is the dispatch stage's.

use super::address::AddressBook;
use super::gather::Gathered;
use super::site::Site;
use crate::providers::Body;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora::connectors::http::Connector;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v1::client::HttpSession as Http1;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long an answer is waited for after the request could not be sent whole: a server may refuse a large body with
/// 413 or 401 and stop reading.
const EARLY_ANSWER_WAIT: Duration = Duration::from_millis(200);
/// How much of an unwanted body is read to keep its connection, and for how long.
const DRAIN_LIMIT: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(200);
/// Pooled connections that may turn out stale before it counts as a failure.
const STALE_TRIES: usize = 4;
/// Informational responses accepted before the real one.
const MAX_INFORMATIONAL: usize = 8;

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No address is known for the host.
    #[error("the provider's host name could not be resolved")]
    Unresolved,
    /// Connecting failed.
    #[error("could not connect: {0}")]
    Connect(String),
    /// Connecting took too long.
    #[error("connecting timed out")]
    ConnectTimeout,
    /// The connection broke before a response header.
    #[error("the connection broke before an answer: {0}")]
    Disconnected(String),
    /// The connection broke inside the response body.
    #[error("the connection broke inside the answer: {0}")]
    Truncated(String),
    /// The answer is not HTTP.
    #[error("the answer is not valid HTTP: {0}")]
    Malformed(String),
}

/// The connection pools, shared by all targets.
pub struct Transport {
    /// HTTP/1.1 connections. Pingora's pool of streams rather than of sessions, so that each can be [`Gathered`].
    http1: TransportConnector,
    /// HTTP/2 connections. Made when first needed: it loads the system's certificates again, and few ask for it.
    http2: OnceLock<Connector>,
    keepalive: usize,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// Pools that keep at most `keepalive` idle connections.
    pub fn new(keepalive: usize) -> Self {
        Self {
            http1: TransportConnector::new(Some(ConnectorOptions::new(keepalive))),
            http2: OnceLock::new(),
            keepalive,
        }
    }

    /// Send a request and read the response header. `head` makes the request's head, once per connection tried.
    pub async fn send(
        self: &Arc<Self>,
        site: &Site,
        head: &(dyn Fn() -> Result<Box<RequestHeader>, Fault> + Sync),
        body: &Body,
        deadline: Instant,
    ) -> Result<Exchange, Fault> {
        self.send_to(&site.addresses, head, body, deadline).await
    }

    /// As [`Transport::send`], to a host that is no provider's: where access tokens are issued.
    pub async fn send_to(
        self: &Arc<Self>,
        addresses: &AddressBook,
        head: &(dyn Fn() -> Result<Box<RequestHeader>, Fault> + Sync),
        body: &Body,
        deadline: Instant,
    ) -> Result<Exchange, Fault> {
        let peer = addresses.peer(deadline).await.ok_or(Fault::Unresolved)?;
        // A pooled connection that the other side has closed did not take the request, so asking again on another one is
        // no second attempt. Idle connections to one server tend to die together, hence a few tries; never on a fresh one.
        for _ in 0..STALE_TRIES {
            let (session, reused) = self.connect(&peer).await?;
            // An HTTP/2 connection is shared: its breaking says nothing about whether this stream's request was taken.
            let may_be_stale = reused && matches!(session, HttpSession::H1(_));
            let mut head = head()?;
            head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))
                .map_err(|e| Fault::Malformed(e.to_string()))?;
            match exchange(session, head, body).await {
                Ok(session) => {
                    return Ok(Exchange {
                        transport: Arc::clone(self),
                        peer,
                        session,
                        ended: false,
                    });
                }
                Err(Fault::Disconnected(_)) if may_be_stale => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Disconnected("every pooled connection was stale".to_owned()))
    }

    async fn connect(&self, peer: &Arc<HttpPeer>) -> Result<(HttpSession, bool), Fault> {
        let connected = if peer.options.alpn.get_max_http_version() > 1 {
            self.http2().get_http_session(peer.as_ref()).await
        } else {
            self.connect_http1(peer).await
        };
        connected.map_err(|error| match error.etype {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Fault::ConnectTimeout,
            _ => Fault::Connect(describe(&error)),
        })
    }

    fn http2(&self) -> &Connector {
        self.http2
            .get_or_init(|| Connector::new(Some(ConnectorOptions::new(self.keepalive))))
    }

    async fn connect_http1(&self, peer: &HttpPeer) -> pingora::Result<(HttpSession, bool)> {
        let (stream, reused) = match self.http1.reused_stream(peer).await {
            Some(stream) => (stream, true),
            None => {
                let stream: Stream = Box::new(Gathered::new(self.http1.new_stream(peer).await?));
                (stream, false)
            }
        };
        Ok((HttpSession::H1(Http1::new_with_options(stream, peer)), reused))
    }

    async fn release(&self, session: HttpSession, peer: &HttpPeer) {
        let idle = peer.options.idle_timeout;
        match session {
            HttpSession::H1(mut http1) => {
                http1.respect_keepalive();
                if let Some(stream) = http1.reuse().await {
                    self.http1.release_stream(stream, peer.reuse_hash(), idle);
                }
            }
            other => self.http2().release_http_session(other, peer, idle).await,
        }
    }
}

/// Let the request's header wait for its body.
fn hold(session: &HttpSession, hold: bool) {
    if let HttpSession::H1(http1) = session
        && let Some(gathered) = (**http1.stream()).as_any().downcast_ref::<Gathered>()
    {
        gathered.hold(hold);
    }
}

async fn exchange(mut session: HttpSession, head: Box<RequestHeader>, body: &Body) -> Result<HttpSession, Fault> {
    if let Err(error) = write(&mut session, head, body).await {
        let answer = tokio::time::timeout(EARLY_ANSWER_WAIT, read_header(&mut session)).await;
        return match answer {
            Ok(Ok(())) => Ok(session),
            _ => Err(Fault::Disconnected(describe(&error))),
        };
    }
    read_header(&mut session).await.map_err(|error| match error.etype {
        ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 => Fault::Malformed(describe(&error)),
        _ => Fault::Disconnected(describe(&error)),
    })?;
    Ok(session)
}

async fn write(session: &mut HttpSession, head: Box<RequestHeader>, body: &Body) -> pingora::Result<()> {
    hold(session, !body.is_empty());
    session.write_request_header(head).await?;
    let last = body.pieces().len().saturating_sub(1);
    for (index, piece) in body.pieces().iter().enumerate() {
        // Small pieces before the last (the spliced model name) wait for it too.
        hold(session, index != last);
        session.write_request_body(piece.clone(), index == last).await?;
    }
    session.finish_request_body().await
}

async fn read_header(session: &mut HttpSession) -> pingora::Result<()> {
    for _ in 0..MAX_INFORMATIONAL {
        session.read_response_header().await?;
        let informational = session
            .response_header()
            .is_some_and(|header| header.status.is_informational());
        if !informational {
            return Ok(());
        }
    }
    Error::e_explain(ErrorType::InvalidHTTPHeader, "too many informational responses")
}

/// Pingora's error, short: its kind and cause without addresses or buffers.
fn describe(error: &Error) -> String {
    error.etype.as_str().to_owned()
}

/// A response being read.
pub struct Exchange {
    transport: Arc<Transport>,
    peer: Arc<HttpPeer>,
    session: HttpSession,
    ended: bool,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("status", &self.status())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// Status of the response.
    pub fn status(&self) -> StatusCode {
        self.session
            .response_header()
            .map_or(StatusCode::BAD_GATEWAY, |header| header.status)
    }

    /// Headers of the response.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.session.response_header().map(|header| &header.headers)
    }

    /// Length of the body, when the provider named it.
    pub fn content_length(&self) -> Option<usize> {
        self.headers()?.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Append the next bytes of the body to `into`; `false` at its end. Cancel-safe.
    pub async fn read(&mut self, into: &mut BytesMut) -> Result<bool, Fault> {
        if self.ended {
            return Ok(false);
        }
        let more = match &mut self.session {
            HttpSession::H1(h1) => match h1.read_body_ref().await {
                Ok(Some(bytes)) => {
                    into.extend_from_slice(bytes);
                    true
                }
                Ok(None) => false,
                Err(error) => return Err(Fault::Truncated(describe(&error))),
            },
            other => match other.read_response_body().await {
                Ok(Some(bytes)) => {
                    into.extend_from_slice(&bytes);
                    true
                }
                Ok(None) => false,
                Err(error) => return Err(Fault::Truncated(describe(&error))),
            },
        };
        self.ended = !more;
        Ok(more)
    }

    /// What is readable now, without waiting: `None` when nothing is.
    pub fn read_ready(&mut self, into: &mut BytesMut) -> Option<Result<bool, Fault>> {
        self.read(into).now_or_never()
    }

    /// The rest of the body as one piece; an error when it is longer than `limit`.
    pub async fn read_all(&mut self, limit: usize) -> Result<Result<Bytes, BodyTooLarge>, Fault> {
        let expected = self.content_length().unwrap_or(0);
        if expected > limit {
            return Ok(Err(BodyTooLarge));
        }
        let mut body = BytesMut::with_capacity(expected);
        while self.read(&mut body).await? {
            if body.len() > limit {
                return Ok(Err(BodyTooLarge));
            }
        }
        Ok(Ok(body.freeze()))
    }

    /// Give the connection back to the pool if the response was read to its end, else close it.
    pub async fn release(mut self) {
        if self.ended || self.session.response_done() {
            self.transport.release(self.session, &self.peer).await;
        }
    }

    /// Read away a small unwanted rest so that the connection can be kept, then release.
    pub async fn drain(mut self) {
        let mut sink = BytesMut::new();
        let drained = tokio::time::timeout(DRAIN_TIME, async {
            while self.read(&mut sink).await.unwrap_or(false) {
                if sink.len() > DRAIN_LIMIT {
                    return false;
                }
            }
            self.ended
        })
        .await;
        if drained == Ok(true) {
            self.release().await;
        }
    }
}

/// The answer is longer than the configured cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyTooLarge;
