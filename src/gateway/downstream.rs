//! The client's side of a request: reading its body, noticing that it left, writing to it.
//!
//! The one idea: every wait of the gateway is raced against the client leaving and against a deadline, in
//! [`Downstream::until`], so that a client that went away closes its upstream call in every phase.

use super::wire::Watched;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use pingora_timeout::fast_timeout::fast_sleep;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether anybody still waits for an answer whose first client has left.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why a wait was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The client closed its connection or reset its stream.
    ClientLeft,
    /// The deadline passed.
    Deadline,
}

/// One client waiting for one answer.
pub struct Downstream<'a> {
    session: &'a mut Session,
    /// Behind trusted proxies.
    client: Option<IpAddr>,
    /// Time spent in waits: not the gateway's own.
    pub waited: Duration,
    /// Others that wait for the same answer.
    others: Option<Arc<dyn Followed>>,
    /// The client has left, and the others have the answer made.
    left: bool,
}

/// Whether others wait for the answer to a request.
pub trait Followed: Send + Sync {
    /// Whether anybody does now.
    fn is_followed(&self) -> bool;
}

impl<'a> Downstream<'a> {
    /// Around Pingora's session.
    pub fn new(session: &'a mut Session) -> Self {
        Self {
            session,
            client: None,
            waited: Duration::ZERO,
            others: None,
            left: false,
        }
    }

    /// Others wait for the same answer: from now on a client that leaves does not end the work while they do. What is written
    /// then goes nowhere.
    pub fn share(&mut self, others: Arc<dyn Followed>) {
        self.others = Some(others);
    }

    /// Nobody else waits any more, or what they wait for has come.
    pub fn share_no_more(&mut self) {
        self.others = None;
    }

    /// The client left while others waited.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Resolves when nobody waits for the answer.
    async fn gone(&mut self) {
        if !self.left {
            gone(self.session).await;
            self.left = self.others.is_some();
        }
        while self.others.as_ref().is_some_and(|others| others.is_followed()) {
            fast_sleep(LOOK_AGAIN).await;
        }
    }

    /// The request's header.
    pub fn request(&self) -> &RequestHeader {
        self.session.req_header()
    }

    /// The session, for what only Pingora knows.
    pub fn session(&mut self) -> &mut Session {
        self.session
    }

    /// A trusted proxy says who the client is.
    pub fn is_for(&mut self, client: IpAddr) {
        self.client = Some(client);
    }

    /// Where the client connects from, or whom a trusted proxy passes on.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client
            .or_else(|| Some(self.session.client_addr()?.as_inet()?.ip().to_canonical()))
    }

    /// Whether the client speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.session.is_http2()
    }

    /// Size of the header block in bytes.
    pub fn header_bytes(&self) -> usize {
        match self.session.as_http1() {
            Some(http1) => http1.get_headers_raw_bytes().len(),
            None => self
                .request()
                .headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 32)
                .sum(),
        }
    }

    /// The next piece of the request body, `None` at its end.
    pub async fn read_body(&mut self, deadline: Instant) -> Result<Option<Bytes>, ReadFault> {
        let began = Instant::now();
        let read = tokio::time::timeout_at(deadline.into(), self.session.downstream_session.read_request_body()).await;
        self.waited += began.elapsed();
        match read {
            Err(_) => Err(ReadFault::TooSlow),
            Ok(Err(error)) => match error.etype {
                pingora::ErrorType::ReadTimedout => Err(ReadFault::TooSlow),
                pingora::ErrorType::InvalidHTTPHeader
                | pingora::ErrorType::InternalError
                | pingora::ErrorType::Custom("InvalidChunk" | "InvalidTrailerEnd") => Err(ReadFault::Malformed),
                _ => Err(ReadFault::Broken),
            },
            Ok(Ok(piece)) => Ok(piece),
        }
    }

    /// Answer `Expect: 100-continue`.
    pub async fn invite_body(&mut self) -> pingora::Result<()> {
        self.session.downstream_session.write_continue_response().await
    }

    /// Wait for `work`, but not past `deadline` and not for a client that has left.
    pub async fn until<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Result<T, Stop> {
        let began = Instant::now();
        let outcome = tokio::select! {
            biased;
            output = work => Ok(output),
            () = self.gone() => Err(Stop::ClientLeft),
            () = sleep_until(deadline) => Err(Stop::Deadline),
        };
        self.waited += began.elapsed();
        outcome
    }

    /// Wait for `work`, but not for a client that has left. Does not count as waiting: `work` has its own deadlines, and knows
    /// what of its time was spent on waiting.
    pub async fn or_left<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            output = work => Ok(output),
            () = self.gone() => Err(Stop::ClientLeft),
        }
    }

    /// Send the response header.
    pub async fn write_head(&mut self, head: Box<ResponseHeader>) -> pingora::Result<()> {
        if self.left {
            return Ok(());
        }
        let written = self.session.downstream_session.write_response_header(head).await;
        self.or_for_others(written)
    }

    /// What could not be written to a client matters no more when others wait for the rest.
    fn or_for_others(&mut self, written: pingora::Result<()>) -> pingora::Result<()> {
        if written.is_err() && self.others.as_ref().is_some_and(|others| others.is_followed()) {
            self.left = true;
            return Ok(());
        }
        written
    }

    /// Send a piece of the response body; `last` ends it.
    pub async fn write(&mut self, piece: Bytes, last: bool) -> pingora::Result<()> {
        if self.left {
            return Ok(());
        }
        let began = Instant::now();
        let written = self.session.downstream_session.write_response_body(piece, last).await;
        self.waited += began.elapsed();
        self.or_for_others(written)
    }

    /// Hold back what is written until `hold(false)` and the next write, so that parts that belong together leave together.
    /// HTTP/1 only; HTTP/2 frames are gathered by Pingora.
    pub fn hold(&mut self, hold: bool) {
        if !self.left {
            Watched::hold(self.session, hold);
        }
    }

    /// Write nothing more to a client that left or does not take it, and close.
    pub fn give_up(&mut self) {
        self.close_after();
        Watched::give_up(self.session);
    }

    /// Close the connection after this response instead of keeping it.
    pub fn close_after(&mut self) {
        self.session.downstream_session.set_keepalive(None);
    }
}

/// Pingora's coarse timer (10 ms) rather than tokio's: registering one there wakes the event loop, a system call for each
/// wait of each request, for a precision no deadline needs. It counts whole milliseconds and may end within the last one:
/// who then asks which deadline has passed would find none.
pub(super) async fn sleep_until(deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    fast_sleep(left + Duration::from_millis(1)).await;
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// Not sent in time.
    TooSlow,
    /// The framing is wrong.
    Malformed,
    /// The connection broke.
    Broken,
}

/// Resolves when the client has left. A client that pipelines its next request has not.
async fn gone(session: &mut Session) {
    loop {
        match session.downstream_session.read_body_or_idle(true).await {
            Err(_) => return,
            Ok(Some(_)) => {}
            // HTTP/2: an ended request stream without a reset; nothing more can be learnt.
            Ok(None) => std::future::pending().await,
        }
    }
}
