//! HTTP/2 from both sides: a client (plaintext or TLS) and an upstream, on the `h2` crate.

use super::tls::Certificate;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Run a future to its end on a runtime of its own.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(super::PATIENCE, work)
            .await
            .expect("HTTP/2 exchange hangs")
    })
}

/// Status, headers and body of one answer; the headers of a request are `(name, value)` pairs.
pub async fn exchange(
    sender: &mut h2::client::SendRequest<Bytes>,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, http::HeaderMap, String) {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    let mut ready = sender.clone().ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    }
    let (head, mut incoming) = response.await.unwrap().into_parts();
    let mut text = Vec::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece.unwrap();
        incoming.flow_control().release_capacity(piece.len()).unwrap();
        text.extend_from_slice(&piece);
    }
    (head.status.as_u16(), head.headers, String::from_utf8(text).unwrap())
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> h2::client::SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Prior knowledge on a plaintext port.
pub async fn plain(address: SocketAddr) -> h2::client::SendRequest<Bytes> {
    handshake(TcpStream::connect(address).await.unwrap()).await
}

/// By ALPN.
pub async fn secure(address: SocketAddr, trust: &Certificate) -> h2::client::SendRequest<Bytes> {
    let connector = tokio_rustls::TlsConnector::from(trust.client(&["h2", "http/1.1"]));
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    handshake(stream).await
}

/// What an HTTP/2 upstream got: header lines and body.
pub type Got = Arc<Mutex<Vec<(http::request::Parts, Vec<u8>)>>>;

/// An HTTP/2 provider over TLS that gives every request this answer; streams when `pieces` are several.
pub fn upstream(certificate: &Certificate, content_type: &'static str, pieces: &[&str]) -> (SocketAddr, Got) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(certificate.server(&["h2"]));
    let pieces: Vec<Bytes> = pieces.iter().map(|p| Bytes::copy_from_slice(p.as_bytes())).collect();
    let got = Got::default();
    let log = Arc::clone(&got);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, pieces, log) = (acceptor.clone(), pieces.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let Ok(mut connection) = h2::server::handshake(stream).await else {
                        return;
                    };
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let (pieces, log) = (pieces.clone(), Arc::clone(&log));
                        tokio::spawn(async move {
                            let (parts, mut incoming) = request.into_parts();
                            let mut body = Vec::new();
                            while let Some(Ok(piece)) = incoming.data().await {
                                let _ = incoming.flow_control().release_capacity(piece.len());
                                body.extend_from_slice(&piece);
                            }
                            log.lock().unwrap().push((parts, body));
                            let head = http::Response::builder()
                                .header("content-type", content_type)
                                .body(())
                                .unwrap();
                            let Ok(mut out) = respond.send_response(head, false) else {
                                return;
                            };
                            for piece in pieces {
                                let _ = out.send_data(piece, false);
                            }
                            let _ = out.send_data(Bytes::new(), true);
                        });
                    }
                });
            }
        });
    });
    (address, got)
}
