//! A client of raw bytes: sends what a test says, reads responses with their framing checked.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One connection.
pub struct Client {
    stream: Box<dyn Duplex>,
    pub tcp: TcpStream,
    buffer: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    pub line: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body ended as its framing says.
    pub complete: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    /// Check that this is the gateway's error with this status, type and code; its message.
    #[track_caller]
    pub fn expect_error(&self, status: u16, r#type: &str, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some(), "x-request-id");
        assert!(self.complete);
        let json = self.json();
        error_is(&json, r#type, code)
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(self.complete, "cut off: {}", self.text());
        self
    }
}

/// Check an error object's four keys; its message.
#[track_caller]
pub fn error_is(json: &Value, r#type: &str, code: &str) -> String {
    let error = json["error"]
        .as_object()
        .unwrap_or_else(|| panic!("no error object: {json}"));
    let mut keys: Vec<_> = error.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "message", "param", "type"], "{json}");
    assert_eq!(
        (error["type"].as_str(), error["code"].as_str()),
        (Some(r#type), Some(code)),
        "{json}"
    );
    error["message"].as_str().unwrap().to_owned()
}

/// The error event that ends a broken stream: there is one, it is last, no `[DONE]` follows or precedes. Its message.
#[track_caller]
pub fn ends_in_error(response: &Response, r#type: &str, code: &str) -> String {
    assert_eq!(response.status, 200);
    assert!(response.complete, "the response must end cleanly");
    let text = response.text();
    assert!(!text.contains("[DONE]"), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let data = last
        .strip_prefix("data: ")
        .unwrap_or_else(|| panic!("no error event: {text}"));
    assert_eq!(text.matches("\"error\"").count(), 1, "{text}");
    error_is(&serde_json::from_str(data).unwrap(), r#type, code)
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(super::PATIENCE))?;
        Ok(Self {
            stream: Box::new(tcp.try_clone()?),
            tcp,
            buffer: Vec::new(),
        })
    }

    /// TLS, checked against this configuration; also gives the protocol and the server's certificate.
    pub fn tls(
        address: SocketAddr,
        config: Arc<rustls::ClientConfig>,
    ) -> std::io::Result<(Self, Option<Vec<u8>>, Vec<u8>)> {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(super::PATIENCE))?;
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(config, name).map_err(std::io::Error::other)?;
        session.complete_io(&mut tcp)?;
        let alpn = session.alpn_protocol().map(<[u8]>::to_vec);
        let certificate = session.peer_certificates().unwrap()[0].to_vec();
        let stream = Box::new(rustls::StreamOwned::new(session, tcp.try_clone()?));
        Ok((
            Self {
                stream,
                tcp,
                buffer: Vec::new(),
            },
            alpn,
            certificate,
        ))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    pub fn post(&mut self, path: &str, headers: &str, body: impl AsRef<[u8]>) {
        self.send(post(path, headers, body));
    }

    /// 0 at the end; an error is an end too.
    fn fill(&mut self) -> usize {
        let mut piece = vec![0; 65536];
        match self.stream.read(&mut piece) {
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                n
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!(
                "the gateway said nothing for {:?}; before: {:?}",
                super::PATIENCE,
                String::from_utf8_lossy(&self.buffer)
            ),
            Err(_) => 0,
        }
    }

    /// Whether the gateway closes the connection without another byte.
    pub fn closes(&mut self) -> bool {
        self.buffer.is_empty() && self.fill() == 0
    }

    /// Everything until the connection ends.
    pub fn rest(&mut self) -> String {
        while self.fill() > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// A response head; the body is left.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.fill() > 0,
                "the connection ended before a response: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        Response {
            status: line.split(' ').nth(1).unwrap().parse().unwrap(),
            line,
            headers: lines
                .map(|l| l.split_once(':').unwrap())
                .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
                .collect(),
            body: Vec::new(),
            complete: false,
        }
    }

    /// The next piece of a chunked body: `None` at its clean end, `Some(Err)` when cut off.
    pub fn chunk(&mut self) -> Option<Result<Vec<u8>, ()>> {
        let at = loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                break at;
            }
            if self.fill() == 0 {
                return Some(Err(()));
            }
        };
        let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).expect("chunk size");
        while self.buffer.len() < size + 2 {
            if self.fill() == 0 {
                return Some(Err(()));
            }
        }
        let piece: Vec<u8> = self.buffer.drain(..size).collect();
        assert_eq!(self.buffer.drain(..2).collect::<Vec<_>>(), b"\r\n");
        (size > 0).then_some(Ok(piece))
    }

    /// Read chunks until the body so far contains `text`.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let piece = self.chunk().unwrap_or_else(|| panic!("ended before {text:?}: {seen}"));
            seen += std::str::from_utf8(&piece.expect("cut off")).unwrap();
        }
        seen
    }

    /// The body that belongs to a head.
    pub fn finish(&mut self, mut response: Response, has_body: bool) -> Response {
        if response.header("transfer-encoding").is_some() {
            loop {
                match self.chunk() {
                    None => break response.complete = true,
                    Some(Ok(piece)) => response.body.extend_from_slice(&piece),
                    Some(Err(())) => break,
                }
            }
        } else if let Some(length) = response.header("content-length").filter(|_| has_body) {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length && self.fill() > 0 {}
            let take = length.min(self.buffer.len());
            response.body = self.buffer.drain(..take).collect();
            response.complete = take == length;
        } else if has_body && response.status != 204 && response.status != 304 {
            while self.fill() > 0 {}
            response.body = std::mem::take(&mut self.buffer);
            response.complete = true;
        } else {
            response.complete = true;
        }
        response
    }

    #[track_caller]
    pub fn response(&mut self) -> Response {
        let head = self.head();
        self.finish(head, true)
    }
}

/// A POST with content-length.
pub fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

/// A chat request for this model.
pub fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello there"}}]}}"#)
}

/// A streamed one.
pub fn chat_stream(model: &str) -> String {
    format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hello there"}}]}}"#)
}
