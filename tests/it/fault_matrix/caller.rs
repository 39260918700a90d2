//! One client connection, HTTP/1.1 or HTTP/2, with the same blocking calls for both.
//!
//! HTTP/2 connections are driven by a runtime of their own, so that a client that does not read still answers pings and
//! window updates as a real one does, and a reset leaves at once.

use super::check::LONG;
use crate::support::client::{Client, post};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// Of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    H1,
    H2,
}

/// An answer, as far as it came.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It ended as its framing says.
    pub complete: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client connection with at most one request at a time.
pub enum Caller {
    H1(Box<Client>),
    H2(Box<Http2>),
}

/// The HTTP/2 side of it.
pub struct Http2 {
    sender: h2::client::SendRequest<Bytes>,
    response: Option<h2::client::ResponseFuture>,
    upload: Option<h2::SendStream<Bytes>>,
    incoming: Option<h2::RecvStream>,
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

fn wait<T>(what: &str, work: impl Future<Output = Result<T, h2::Error>>) -> Result<T, String> {
    match runtime().block_on(async { tokio::time::timeout(LONG, work).await }) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: nothing for {LONG:?}")),
    }
}

impl Caller {
    pub fn connect(protocol: Protocol, address: SocketAddr) -> Result<Self, String> {
        if protocol == Protocol::H1 {
            let client = Client::try_connect(address).map_err(|error| format!("connecting: {error}"))?;
            client.tcp.set_read_timeout(Some(LONG)).unwrap();
            return Ok(Self::H1(Box::new(client)));
        }
        let sender = runtime().block_on(async {
            let tcp = tokio::net::TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let (sender, connection) = h2::client::handshake(tcp).await.map_err(std::io::Error::other)?;
            tokio::spawn(connection);
            Ok::<_, std::io::Error>(sender)
        });
        let sender = sender.map_err(|error| format!("connecting: {error}"))?;
        Ok(Self::H2(Box::new(Http2 {
            sender,
            response: None,
            upload: None,
            incoming: None,
        })))
    }

    /// Send a POST.
    pub fn send(&mut self, path: &str, id: &str, body: &str) -> Result<(), String> {
        match self {
            Self::H1(client) => client
                .try_send(post(path, &format!("x-request-id: {id}\r\n"), body))
                .map_err(|error| format!("sending: {error}")),
            Self::H2(http2) => {
                http2.begin(path, id, body.len())?;
                http2.upload(body, true)
            }
        }
    }

    /// Announce a body of `length` and send no more than `part` of it.
    pub fn send_part(&mut self, path: &str, id: &str, length: usize, part: &str) -> Result<(), String> {
        match self {
            Self::H1(client) => {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: g\r\nx-request-id: {id}\r\ncontent-length: {length}\r\n\r\n{part}"
                );
                client.try_send(head).map_err(|error| format!("sending: {error}"))
            }
            Self::H2(http2) => {
                http2.begin(path, id, length)?;
                http2.upload(part, false)
            }
        }
    }

    /// The head of the answer.
    pub fn head(&mut self) -> Result<Reply, String> {
        match self {
            Self::H1(client) => {
                let head = client.head();
                Ok(Reply {
                    status: head.status,
                    headers: head.headers,
                    ..Reply::default()
                })
            }
            Self::H2(http2) => http2.head(),
        }
    }

    /// Read on until `text` has come.
    pub fn until(&mut self, reply: &mut Reply, text: &str) -> Result<(), String> {
        while !reply.text().contains(text) {
            let piece = match self {
                Self::H1(client) => client.chunk().map(|piece| piece.map_err(|()| "cut off".to_owned())),
                Self::H2(http2) => http2.piece()?.map(|piece| Ok(piece.to_vec())),
            };
            match piece {
                Some(piece) => reply.body.extend_from_slice(&piece?),
                None => return Err(format!("ended before {text:?}: {}", reply.text())),
            }
        }
        Ok(())
    }

    /// Read the rest of the answer.
    pub fn finish(&mut self, mut reply: Reply) -> Result<Reply, String> {
        match self {
            Self::H1(client) => {
                let before = std::mem::take(&mut reply.body);
                let response = client.finish(
                    crate::support::client::Response {
                        line: String::new(),
                        status: reply.status,
                        headers: std::mem::take(&mut reply.headers),
                        body: before,
                        complete: false,
                    },
                    true,
                );
                Ok(Reply {
                    status: response.status,
                    headers: response.headers,
                    body: response.body,
                    complete: response.complete,
                })
            }
            Self::H2(http2) => {
                loop {
                    match http2.piece() {
                        Ok(Some(piece)) => reply.body.extend_from_slice(&piece),
                        Ok(None) => break reply.complete = true,
                        Err(_) => break,
                    }
                }
                Ok(reply)
            }
        }
    }

    /// Ask and read the whole answer.
    pub fn ask(&mut self, path: &str, id: &str, body: &str) -> Result<Reply, String> {
        self.send(path, id, body)?;
        let head = self.head()?;
        self.finish(head)
    }

    /// Go away: HTTP/1.1 closes, HTTP/2 resets the stream and keeps its connection.
    pub fn leave(self) -> Option<Self> {
        match self {
            Self::H1(_) => None,
            Self::H2(mut http2) => {
                (http2.response, http2.upload, http2.incoming) = (None, None, None);
                Some(Self::H2(http2))
            }
        }
    }
}

impl Http2 {
    fn begin(&mut self, path: &str, id: &str, length: usize) -> Result<(), String> {
        let request = http::Request::builder()
            .method("POST")
            .uri(format!("http://gateway{path}"))
            .header("content-type", "application/json")
            .header("content-length", length)
            .header("x-request-id", id)
            .body(())
            .unwrap();
        let sender = self.sender.clone();
        let begun = wait("a request", async {
            sender.ready().await?.send_request(request, false)
        });
        let (response, upload) = begun?;
        (self.response, self.upload, self.incoming) = (Some(response), Some(upload), None);
        Ok(())
    }

    fn upload(&mut self, body: &str, last: bool) -> Result<(), String> {
        let upload = self.upload.as_mut().unwrap();
        upload
            .send_data(Bytes::copy_from_slice(body.as_bytes()), last)
            .map_err(|error| format!("sending: {error}"))
    }

    fn head(&mut self) -> Result<Reply, String> {
        let response = self.response.take().unwrap();
        let (head, incoming) = wait("an answer", response)?.into_parts();
        self.incoming = Some(incoming);
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head
                .headers
                .iter()
                .map(|(n, v)| (n.as_str().to_owned(), text(v)))
                .collect(),
            ..Reply::default()
        })
    }

    fn piece(&mut self) -> Result<Option<Bytes>, String> {
        let incoming = self.incoming.as_mut().unwrap();
        wait("more of an answer", async {
            let Some(piece) = incoming.data().await.transpose()? else {
                return Ok(None);
            };
            incoming.flow_control().release_capacity(piece.len())?;
            Ok(Some(piece))
        })
    }
}
