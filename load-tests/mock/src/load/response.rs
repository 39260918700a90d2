//! Reads one HTTP/1.1 answer after another from a connection, and says of each whether it was whole and what it ended with.
//!
//! Payload bytes are looked at in passing and never collected: only the last few are kept, to find `[DONE]`.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::clock::monotonic_ns;

/// How a stream ends: OpenAI's, Anthropic's.
const DONE: [&[u8]; 2] = [b"data: [DONE]\n\n", b"data: {\"type\":\"message_stop\"}\n\n"];
/// Bytes kept to find one of them.
const TAIL: usize = 32;
const STAMP: &[u8] = b"\"mock_sent_ns\":";

pub struct Reader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

pub struct Seen {
    pub status: u16,
    pub event_stream: bool,
    pub done: bool,
    pub keep_alive: bool,
    pub payload_bytes: u64,
}

/// Payload in passing.
struct Passing<'a> {
    tail: Vec<u8>,
    total: u64,
    delays: Option<&'a mut Vec<u64>>,
    now_ns: u64,
}

enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Reader {
    pub fn new() -> Self {
        Self {
            buffer: vec![0; 64 << 10],
            start: 0,
            end: 0,
        }
    }

    /// Delays of stamped events, in ns, are appended to `delays`. `first_byte` is called once the head has arrived.
    pub async fn read(
        &mut self,
        stream: &mut TcpStream,
        delays: Option<&mut Vec<u64>>,
        first_byte: impl FnOnce(),
    ) -> Result<Seen, &'static str> {
        let (mut seen, framing) = loop {
            let available = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some((length, seen, framing)) = parse_head(available)? {
                self.start += length;
                break (seen, framing);
            }
            if self.fill(stream).await? == 0 {
                return Err("closed before the answer");
            }
        };
        first_byte();
        let mut passing = Passing {
            tail: Vec::with_capacity(64),
            total: 0,
            delays,
            now_ns: monotonic_ns(),
        };
        match framing {
            Framing::Length(length) => self.plain(stream, Some(length), &mut passing).await?,
            Framing::UntilClose => self.plain(stream, None, &mut passing).await?,
            Framing::Chunked => self.chunked(stream, &mut passing).await?,
        }
        seen.done = DONE.iter().any(|done| passing.tail.ends_with(done));
        seen.payload_bytes = passing.total;
        Ok(seen)
    }

    async fn fill(&mut self, stream: &mut TcpStream) -> Result<usize, &'static str> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let Some(room) = self.buffer.get_mut(self.end..).filter(|r| !r.is_empty()) else {
            return Err("head or chunk line too long");
        };
        let read = stream.read(room).await.map_err(|_| "read failed")?;
        self.end += read;
        Ok(read)
    }

    async fn plain(
        &mut self,
        stream: &mut TcpStream,
        mut left: Option<u64>,
        passing: &mut Passing<'_>,
    ) -> Result<(), &'static str> {
        while left != Some(0) {
            if self.start == self.end {
                let read = self.fill(stream).await?;
                passing.now_ns = monotonic_ns();
                match (read, left) {
                    (0, None) => return Ok(()),
                    (0, Some(_)) => return Err("closed inside the body"),
                    _ => {}
                }
            }
            let taken = self.pass(left, passing);
            left = left.map(|left| left - taken);
        }
        Ok(())
    }

    /// Shows what is buffered, up to `limit`, and takes it out.
    fn pass(&mut self, limit: Option<u64>, passing: &mut Passing<'_>) -> u64 {
        let here = self.end - self.start;
        let taken = limit.map_or(here, |limit| here.min(usize::try_from(limit).unwrap_or(usize::MAX)));
        let payload = self.buffer.get(self.start..self.start + taken);
        passing.show(payload.unwrap_or_default());
        self.start += taken;
        taken as u64
    }

    async fn chunked(&mut self, stream: &mut TcpStream, passing: &mut Passing<'_>) -> Result<(), &'static str> {
        loop {
            let size = self.line(stream, passing).await?;
            let size = std::str::from_utf8(&size).map_err(|_| "bad chunk size")?;
            let digits = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| "bad chunk size")?;
            if size == 0 {
                while !self.line(stream, passing).await?.is_empty() {}
                return Ok(());
            }
            self.plain(stream, Some(size), passing).await?;
            if !self.line(stream, passing).await?.is_empty() {
                return Err("bad chunk end");
            }
        }
    }

    async fn line(&mut self, stream: &mut TcpStream, passing: &mut Passing<'_>) -> Result<Vec<u8>, &'static str> {
        loop {
            let here = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(at) = memchr::memmem::find(here, b"\r\n") {
                let line = here.get(..at).unwrap_or_default().to_vec();
                self.start += at + 2;
                return Ok(line);
            }
            if self.fill(stream).await? == 0 {
                return Err("closed inside the framing");
            }
            passing.now_ns = monotonic_ns();
        }
    }
}

impl Passing<'_> {
    fn show(&mut self, payload: &[u8]) {
        self.total += payload.len() as u64;
        if let Some(delays) = &mut self.delays {
            for at in memchr::memmem::find_iter(payload, STAMP) {
                let digits = payload.get(at + STAMP.len()..).unwrap_or_default();
                // A number cut off by the end of the piece is left out.
                if let Some(length) = digits.iter().position(|b| !b.is_ascii_digit()) {
                    let sent = digits
                        .get(..length)
                        .and_then(|d| std::str::from_utf8(d).ok())
                        .and_then(|d| d.parse::<u64>().ok());
                    delays.extend(sent.map(|sent| self.now_ns.saturating_sub(sent)));
                }
            }
        }
        if payload.len() >= TAIL {
            self.tail.clear();
        }
        let last = payload.len().saturating_sub(TAIL);
        self.tail.extend_from_slice(payload.get(last..).unwrap_or_default());
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Seen, Framing)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("not an HTTP answer"),
    };
    let mut seen = Seen {
        status: response.code.unwrap_or(0),
        event_stream: false,
        done: false,
        keep_alive: response.version == Some(1),
        payload_bytes: 0,
    };
    let mut framing = Framing::UntilClose;
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let value = std::str::from_utf8(header.value).ok();
            let value = value.and_then(|v| v.trim().parse().ok());
            framing = Framing::Length(value.ok_or("bad content-length")?);
        } else if is("transfer-encoding") {
            framing = Framing::Chunked;
        } else if is("connection") {
            seen.keep_alive &= !header.value.eq_ignore_ascii_case(b"close");
        } else if is("content-type") {
            seen.event_stream = header.value.starts_with(b"text/event-stream");
        }
    }
    if matches!(framing, Framing::UntilClose) {
        seen.keep_alive = false;
    }
    Ok(Some((length, seen, framing)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn read(wire: &'static [u8], step: usize) -> Result<Seen, &'static str> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.set_nodelay(true).unwrap();
        let writer = tokio::spawn(async move {
            for piece in wire.chunks(step) {
                server.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut delays = Vec::new();
        let seen = Reader::new().read(&mut client, Some(&mut delays), || {}).await;
        writer.await.unwrap();
        seen
    }

    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: {}\n\r\n1\r\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

    #[tokio::test]
    async fn a_stream_is_read_at_any_split() {
        for step in [1, 3, 7, 1000] {
            let seen = read(STREAM, step).await.unwrap();
            assert!(seen.done && seen.event_stream && seen.keep_alive);
            assert_eq!((seen.status, seen.payload_bytes), (200, 24));
        }
    }

    #[tokio::test]
    async fn a_cut_answer_is_an_error() {
        assert!(read(&STREAM[..STREAM.len() - 5], 1000).await.is_err());
        let short = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
        assert_eq!(read(short, 1000).await.err(), Some("closed inside the body"));
        assert!(read(b"nonsense\r\n\r\n", 1000).await.is_err());
    }
}
