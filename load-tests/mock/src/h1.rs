//! HTTP/1.1 on the raw socket: keep-alive, Content-Length and chunked requests, `Expect: 100-continue`, and the faults
//! that need the socket itself (RST, FIN in the middle, bytes that are no HTTP).
//!
//! Not a general server: what it cannot parse it closes. While it waits it watches the socket, so that a client that
//! leaves is counted as aborted at once.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answers::{self, Body, stamped};
use crate::clock::monotonic_ns;
use crate::decide::{Decision, Provider, Request};
use crate::fault::{Cut, DRIP_BYTES, DRIP_PAUSE, Fault, GARBAGE, HANG_LIMIT};

const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 64 << 20;

/// The connection is over, for whatever reason.
struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

struct Connection {
    stream: TcpStream,
    input: BytesMut,
}

struct Head {
    method: String,
    path: String,
    content_type: Option<String>,
    fault: Option<String>,
    length: Length,
    expects_continue: bool,
    keep_alive: bool,
}

enum Length {
    Known(usize),
    Chunked,
}

pub async fn serve(stream: TcpStream, provider: &Provider) {
    let mut connection = Connection {
        stream,
        input: BytesMut::with_capacity(16 << 10),
    };
    while let Ok(true) = connection.exchange(provider).await {}
}

impl Connection {
    /// One request and its answer; true when the connection may carry another.
    async fn exchange(&mut self, provider: &Provider) -> Result<bool, Gone> {
        let head = self.read_head().await?;
        if head.expects_continue {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = match head.length {
            Length::Known(length) => self.take(length).await?,
            Length::Chunked => self.read_chunked().await?,
        };
        let decision = provider.decide(&Request {
            method: &head.method,
            path: &head.path,
            content_type: head.content_type.as_deref(),
            fault: head.fault.as_deref(),
            body: &body,
        });
        match self.answer(&decision).await {
            Ok(reusable) => Ok(reusable && head.keep_alive),
            Err(Gone) => {
                provider.count_aborted();
                Err(Gone)
            }
        }
    }

    async fn read_head(&mut self) -> Result<Head, Gone> {
        let mut scanned = 0usize;
        loop {
            let unseen = self.input.get(scanned..).unwrap_or_default();
            if let Some(at) = memchr::memmem::find(unseen, b"\r\n\r\n") {
                let raw = self.input.split_to(scanned + at + 4);
                return parse_head(&raw).ok_or(Gone);
            }
            scanned = self.input.len().saturating_sub(3);
            if self.input.len() > MAX_HEAD {
                return Err(Gone);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Gone> {
        self.input.reserve(8 << 10);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(Gone),
            _ => Ok(()),
        }
    }

    async fn take(&mut self, length: usize) -> Result<Bytes, Gone> {
        if length > MAX_BODY {
            return Err(Gone);
        }
        let missing = length.saturating_sub(self.input.len());
        self.input.reserve(missing);
        while self.input.len() < length {
            self.fill().await?;
        }
        Ok(self.input.split_to(length).freeze())
    }

    async fn read_chunked(&mut self) -> Result<Bytes, Gone> {
        let mut body = BytesMut::new();
        loop {
            let line = self.read_line().await?;
            let digits = line.split(|b| *b == b';').next().unwrap_or_default();
            let text = std::str::from_utf8(digits).map_err(|_| Gone)?;
            let size = usize::from_str_radix(text.trim(), 16).map_err(|_| Gone)?;
            if size == 0 {
                // Trailers end with an empty line, like a head.
                while !self.read_line().await?.is_empty() {}
                return Ok(body.freeze());
            }
            if size > MAX_BODY || body.len() + size > MAX_BODY {
                return Err(Gone);
            }
            body.extend_from_slice(&self.take(size).await?);
            self.take(2).await?;
        }
    }

    async fn read_line(&mut self) -> Result<Bytes, Gone> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.input, b"\r\n") {
                let line = self.input.split_to(at).freeze();
                self.take(2).await?;
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    /// Waits, unless the client leaves first. What it sends meanwhile is kept for the next request.
    async fn pause(&mut self, duration: Duration) -> Result<(), Gone> {
        if duration.is_zero() {
            return Ok(());
        }
        let sleep = tokio::time::sleep(duration);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return Ok(()),
                filled = self.fill() => filled?,
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// `Err` only when the client left before its answer was complete; true when the connection can go on.
    async fn answer(&mut self, decision: &Decision) -> Result<bool, Gone> {
        self.pause(decision.latency).await?;
        if let Some(fault) = decision.fault {
            return self.misbehave(decision, fault).await;
        }
        match &decision.answer.body {
            Body::Events(events) if decision.stamp || !decision.pace.is_zero() => {
                self.some(decision, events.len()).await?;
                self.send(b"0\r\n\r\n").await?;
            }
            _ => self.send(decision.answer.wire()).await?,
        }
        Ok(true)
    }

    /// Head and the first of the events, at their pace; of a body that has none, a half.
    async fn some(&mut self, decision: &Decision, count: usize) -> Result<(), Gone> {
        let Body::Events(events) = &decision.answer.body else {
            return self.half(decision).await;
        };
        self.send(&decision.answer.head(None)).await?;
        for (nth, event) in events.iter().take(count).enumerate() {
            if nth > 0 {
                self.pause(decision.pace).await?;
            }
            let chunk = if decision.stamp {
                answers::chunk(&stamped(event, monotonic_ns()))
            } else {
                answers::chunk(event)
            };
            self.send(&chunk).await?;
        }
        Ok(())
    }

    async fn misbehave(&mut self, decision: &Decision, fault: Fault) -> Result<bool, Gone> {
        let answer = &decision.answer;
        match fault {
            Fault::Hang => self.hang().await?,
            Fault::Reset => self.reset(),
            Fault::Garbage => self.send(GARBAGE).await?,
            Fault::HangMidStream => {
                self.half(decision).await?;
                self.hang().await?;
            }
            Fault::ResetMidStream => {
                self.half(decision).await?;
                // What was sent should arrive: an RST at once would discard it in the receiver's queue.
                self.pause(Duration::from_millis(20)).await?;
                self.reset();
            }
            Fault::EofMidStream => self.half(decision).await?,
            Fault::After { events, cut } => {
                self.some(decision, events).await?;
                if cut == Cut::Reset {
                    self.pause(Duration::from_millis(20)).await?;
                    self.reset();
                }
            }
            Fault::ShortLength => {
                let body = answer.pieces().concat();
                self.send(&answer.head(Some(body.len() + 100))).await?;
                let short = body.len().saturating_sub(if is_whole(&answer.body) { 0 } else { 5 });
                self.send(body.get(..short).unwrap_or_default()).await?;
            }
            Fault::SlowDrip => {
                self.send(&answer.head(None)).await?;
                self.drip(&answer.pieces().concat(), DRIP_BYTES).await?;
                return Ok(true);
            }
            Fault::SlowHead => {
                self.drip(&answer.head(None), 1).await?;
                self.send(&answer.pieces().concat()).await?;
                return Ok(true);
            }
            Fault::CloseAfter => self.send(answer.wire()).await?,
            // These are other answers and were put in place by `decide`.
            Fault::Status { .. } | Fault::NoDone | Fault::ErrorInStream | Fault::GarbageBody | Fault::Html => {
                self.send(answer.wire()).await?
            }
        }
        Ok(false)
    }

    /// Head and half of the body, in good framing so far.
    async fn half(&mut self, decision: &Decision) -> Result<(), Gone> {
        let pieces = decision.answer.pieces();
        let body = match &decision.answer.body {
            Body::Whole(body) => body.slice(..body.len() / 2),
            Body::Events(_) => {
                let some = pieces.get(..pieces.len() / 2).unwrap_or_default();
                Bytes::from(some.concat())
            }
        };
        self.send(&decision.answer.head(None)).await?;
        self.send(&body).await
    }

    async fn hang(&mut self) -> Result<(), Gone> {
        self.pause(HANG_LIMIT).await
    }

    async fn drip(&mut self, bytes: &[u8], step: usize) -> Result<(), Gone> {
        for piece in bytes.chunks(step) {
            self.send(piece).await?;
            self.pause(DRIP_PAUSE).await?;
        }
        Ok(())
    }

    /// With a linger time of zero the close that follows sends RST.
    fn reset(&mut self) {
        let _ = self.stream.set_zero_linger();
    }
}

fn is_whole(body: &Body) -> bool {
    matches!(body, Body::Whole(_))
}

fn parse_head(raw: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(raw).ok()?;
    let mut head = Head {
        method: request.method?.to_owned(),
        path: request.path?.to_owned(),
        content_type: None,
        fault: None,
        length: Length::Known(0),
        expects_continue: false,
        keep_alive: request.version == Some(1),
    };
    for header in request.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        let name = header.name;
        if name.eq_ignore_ascii_case("content-length") {
            head.length = Length::Known(value.parse().ok()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.length = Length::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            head.keep_alive &= !value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("content-type") {
            head.content_type = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("x-mock-fault") {
            head.fault = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("expect") {
            head.expects_continue = true;
        }
    }
    Some(head)
}
