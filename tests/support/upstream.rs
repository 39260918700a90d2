//! A provider that does what a test's script says, byte for byte, and remembers what it got.
//!
//! One thread a connection; the script is a closure over [`Conn`], run once per connection. What was received and when a
//! connection was closed by the gateway is read from outside.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A whole chat answer.
pub const CHAT: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":5}}}"#;
pub const CHUNK: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n";
pub const FINISH: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub const USAGE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";
/// A whole answer of Anthropic's Messages API.
pub const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":12}}"#;
/// The same as a stream: the third event is its text.
pub const MESSAGE_EVENTS: [&str; 6] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"up\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":12}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// Request line and header lines, lower-cased names.
    pub line: String,
    pub headers: Vec<(String, String)>,
    /// Header block as received.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        let value = found.next().map(|(_, v)| v.as_str());
        assert!(found.next().is_none(), "{name} was sent twice");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Log {
    requests: Vec<Recorded>,
    closed: Vec<(usize, Instant)>,
}

/// A running scripted provider.
pub struct Upstream {
    pub address: SocketAddr,
    log: Arc<Mutex<Log>>,
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

impl Upstream {
    /// Run `script` on every connection.
    pub fn script(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            log: Arc::default(),
            accepted: Arc::default(),
            stop: Arc::default(),
        };
        let (log, accepted, stop) = (upstream.log.clone(), upstream.accepted.clone(), upstream.stop.clone());
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let stream = stream.unwrap();
                let index = accepted.fetch_add(1, Ordering::SeqCst);
                let (log, script) = (log.clone(), script.clone());
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut conn = Conn {
                        index,
                        stream: Box::new(stream.try_clone().unwrap()),
                        tcp: stream,
                        buffer: Vec::new(),
                        log,
                    };
                    script(&mut conn);
                });
            }
        });
        upstream
    }

    /// The same bytes to every request, connections kept.
    pub fn always(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::script(move |conn| {
            while conn.request().is_some() {
                conn.send(&answer);
            }
        })
    }

    /// A good chat answer to every request.
    pub fn ok() -> Self {
        Self::always(json_answer(200, CHAT))
    }

    /// A good stream to every request.
    pub fn streaming() -> Self {
        Self::always(stream_answer(&[CHUNK, FINISH, USAGE, DONE]))
    }

    /// The first request on a connection gets these bytes, then the connection is closed.
    pub fn once_then_close(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::script(move |conn| {
            if conn.request().is_some() {
                conn.send(&answer);
            }
        })
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.log.lock().unwrap().requests.clone()
    }

    /// The only request.
    #[track_caller]
    pub fn request(&self) -> Recorded {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "requests");
        all.remove(0)
    }

    pub fn count(&self) -> usize {
        self.log.lock().unwrap().requests.len()
    }

    /// Connections accepted.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Wait until a script saw the gateway close its connection; when that was.
    #[track_caller]
    pub fn closed(&self) -> Instant {
        self.closed_nth(0)
    }

    /// The same for the n-th connection that was closed, from 0.
    #[track_caller]
    pub fn closed_nth(&self, n: usize) -> Instant {
        super::eventually("the gateway closes its upstream connection", || {
            self.log.lock().unwrap().closed.get(n).map(|(_, at)| *at)
        })
    }

    pub fn any_closed(&self) -> bool {
        !self.log.lock().unwrap().closed.is_empty()
    }

    /// Connections that scripts saw the gateway close, and when.
    pub fn closings(&self) -> Vec<(usize, Instant)> {
        self.log.lock().unwrap().closed.clone()
    }

    /// For `base_url:`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One connection, from the script's side.
pub struct Conn {
    /// From 0, in order of acceptance.
    pub index: usize,
    stream: Box<dyn Duplex>,
    tcp: TcpStream,
    buffer: Vec<u8>,
    log: Arc<Mutex<Log>>,
}

impl Conn {
    /// Speak TLS from here on. False when the handshake failed.
    pub fn tls(&mut self, config: &Arc<rustls::ServerConfig>) -> bool {
        let mut session = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
        let mut tcp = self.tcp.try_clone().unwrap();
        if session.complete_io(&mut tcp).is_err() {
            return false;
        }
        self.stream = Box::new(rustls::StreamOwned::new(session, tcp));
        true
    }

    /// The raw socket.
    pub fn socket(&self) -> TcpStream {
        self.tcp.try_clone().unwrap()
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) | Err(_) => {
                self.log.lock().unwrap().closed.push((self.index, Instant::now()));
                false
            }
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                true
            }
        }
    }

    /// Read only the head of a request.
    pub fn head(&mut self) -> Option<Recorded> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill() {
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|l| l.split_once(':').unwrap())
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        Some(Recorded {
            connection: self.index,
            line,
            headers,
            head,
            body: Vec::new(),
        })
    }

    /// Read and record a whole request; `None` when the connection closed.
    pub fn request(&mut self) -> Option<Recorded> {
        let mut request = self.head()?;
        if request.header("transfer-encoding").is_some() {
            request.body = self.chunked()?;
        } else {
            let length = request.header("content-length").map_or(0, |v| v.parse().unwrap());
            while self.buffer.len() < length {
                if !self.fill() {
                    return None;
                }
            }
            request.body = self.buffer.drain(..length).collect();
        }
        self.log.lock().unwrap().requests.push(request.clone());
        Some(request)
    }

    fn chunked(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let at = loop {
                if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                    break at;
                }
                if !self.fill() {
                    return None;
                }
            };
            let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            while self.buffer.len() < size + 2 {
                if !self.fill() {
                    return None;
                }
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// Send; false when the gateway no longer takes it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream
            .write_all(bytes.as_ref())
            .and_then(|()| self.stream.flush())
            .is_ok()
    }

    /// Send one piece of a chunked body.
    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.send(framed)
    }

    /// The head of a chunked event stream.
    pub fn stream_head(&mut self) -> bool {
        self.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    }

    /// Read until the gateway closes, at most for [`super::PATIENCE`]; records when.
    pub fn wait_closed(&mut self) {
        self.tcp.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
                Err(_) => break,
            }
        }
        self.log.lock().unwrap().closed.push((self.index, Instant::now()));
    }

    /// Record that the gateway has closed, which a script saw by a failing [`Self::send`].
    pub fn note_closed(&mut self) {
        self.log.lock().unwrap().closed.push((self.index, Instant::now()));
    }

    /// Read a piece of whatever comes.
    pub fn read_some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() && !self.fill() {
            return Vec::new();
        }
        std::mem::take(&mut self.buffer)
    }

    /// Close with a RST instead of a FIN.
    pub fn reset(&mut self) {
        rustix::net::sockopt::set_socket_linger(&self.tcp, Some(Duration::ZERO)).unwrap();
        // Only the last descriptor's close sends it; the script ends right after.
        self.stream = Box::new(std::io::Cursor::new(Vec::new()));
    }

    /// Send nothing more, but go on reading.
    pub fn finish_sending(&mut self) {
        self.tcp.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// A whole JSON answer.
pub fn json_answer(status: u16, body: &str) -> Vec<u8> {
    answer(status, "content-type: application/json\r\n", body)
}

/// A whole answer with these header lines.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A whole chunked event stream, one chunk an event.
pub fn stream_answer(events: &[&str]) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for event in events {
        out.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// An OpenAI error body.
pub fn error_body(message: &str) -> String {
    format!(r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":"theirs"}}}}"#)
}

/// An address nobody listens on.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
