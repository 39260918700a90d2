//! Documents that the gateway itself needs now and then: keys of identity providers, what their discovery says.
//!
//! Over the same connections, names and TLS as providers are asked with, but strict: `https` only (plain `http` on this
//! machine), no link-local address, no redirect, one answer `200` of bounded size in bounded time. Part of the addresses
//! comes from documents of others (`jwks_uri`), so every address is checked here, each time, and not where it is configured.
//! Not for anything a client waits for often, and not for access tokens ([`super::credential`]).

use super::address::{AddressBook, AddressKey};
use super::exchange::{Fault, Transport};
use super::site::BaseUrl;
use crate::auth::jwt::{Fetch, LARGEST_DOCUMENT};
use crate::link_local::{is_link_local, plain};
use crate::providers::Body;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use pingora::http::RequestHeader;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The whole of one call, look-up and connecting included.
const TIME: Duration = Duration::from_secs(10);
/// Of which for connecting.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Hosts remembered. An issuer has two; more are of documents that change where they point.
const MOST_HOSTS: usize = 32;

/// Fetches documents.
pub struct SideCalls {
    transport: Arc<Transport>,
    /// DER certificates to trust instead of the system's.
    authorities: Vec<Vec<u8>>,
    allow_link_local: bool,
    books: Mutex<Vec<Arc<AddressBook>>>,
}

impl std::fmt::Debug for SideCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SideCalls")
            .field("own_authorities", &self.authorities.len())
            .finish_non_exhaustive()
    }
}

impl SideCalls {
    /// Trusting these certificates (DER) or, without any, the system's.
    pub fn new(transport: Arc<Transport>, authorities: Vec<Vec<u8>>, allow_link_local: bool) -> Self {
        Self {
            transport,
            authorities,
            allow_link_local,
            books: Mutex::default(),
        }
    }

    /// Why documents are not fetched from there, if they are not. For saying so at load.
    pub fn check(&self, url: &str) -> Result<(), String> {
        self.place(url).map(|_| ())
    }

    /// Where a URL points, if it may point there, and what to ask for.
    fn place(&self, url: &str) -> Result<(BaseUrl, String), String> {
        let uri: Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
        let authority = uri.authority().ok_or("the URL has no host")?;
        if authority.as_str().contains('@') {
            return Err("the URL has credentials in it".to_owned());
        }
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("the URL is not https".to_owned()),
        };
        let host = uri.host().unwrap_or_default();
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = inner.unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
        let ip: Option<IpAddr> = host.parse().ok();
        let is_here = match ip {
            Some(ip) => plain(ip).is_loopback(),
            None => host == "localhost" || host.ends_with(".localhost"),
        };
        if host.is_empty() {
            return Err("the URL has no host".to_owned());
        }
        if !tls && !is_here {
            return Err("the URL is not https, so anybody on the way could change the answer".to_owned());
        }
        if ip.is_some_and(is_link_local) && !self.allow_link_local {
            return Err("the URL points to a link-local or cloud metadata address".to_owned());
        }
        let port = match authority.port() {
            None if tls => 443,
            None => 80,
            Some(port) => port.as_u16(),
        };
        let base = BaseUrl {
            tls,
            host,
            port,
            path: String::new(),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok((base, path.to_owned()))
    }

    /// The addresses of a host, looked up just now if that worked.
    async fn book(&self, base: &BaseUrl) -> Arc<AddressBook> {
        let book = {
            let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(book) = books.iter().find(|book| book.key().base == *base) {
                Arc::clone(book)
            } else {
                if books.len() >= MOST_HOSTS {
                    books.remove(0);
                }
                let book = Arc::new(AddressBook::new(AddressKey {
                    base: base.clone(),
                    connect_timeout: CONNECT_TIME,
                    http2: false,
                    authorities: self.authorities.clone(),
                    probe: None,
                    allow_link_local: self.allow_link_local,
                }));
                books.push(Arc::clone(&book));
                book
            }
        };
        // A look-up that fails leaves the last good addresses; without any the call says so.
        let _ = book.refresh().await;
        book
    }

    async fn ask(&self, url: &str) -> Result<Bytes, String> {
        let (base, path) = self.place(url)?;
        let book = self.book(&base).await;
        if book.known_peer().is_none() {
            return Err("the host name could not be resolved to a usable address".to_owned());
        }
        let head = || head(Method::GET, &base, &path);
        let deadline = Instant::now() + TIME;
        let sent = self.transport.send_to(&book, &head, &Body::default(), deadline).await;
        let mut exchange = sent.map_err(|fault| fault.to_string())?;
        let status = exchange.status();
        if status != StatusCode::OK {
            exchange.drain().await;
            let hint = if status.is_redirection() {
                "; redirects are not followed"
            } else {
                ""
            };
            return Err(format!("status {}{hint}", status.as_u16()));
        }
        let body = exchange
            .read_all(LARGEST_DOCUMENT)
            .await
            .map_err(|fault| fault.to_string())?;
        let body = body.map_err(|_| "the answer is larger than 256 KiB".to_owned())?;
        exchange.release().await;
        Ok(body)
    }
}

impl SideCalls {
    /// Send JSON, as strictly as documents are fetched; the status of the answer, whose body is not read.
    pub async fn post(&self, url: &str, headers: &[(HeaderName, HeaderValue)], body: Bytes) -> Result<u16, String> {
        let sent = tokio::time::timeout(TIME, self.send(url, headers, body)).await;
        sent.unwrap_or_else(|_| Err("no answer within 10s".to_owned()))
    }

    async fn send(&self, url: &str, headers: &[(HeaderName, HeaderValue)], body: Bytes) -> Result<u16, String> {
        let (base, path) = self.place(url)?;
        let book = self.book(&base).await;
        if book.known_peer().is_none() {
            return Err("the host name could not be resolved to a usable address".to_owned());
        }
        let wrong = |e: Box<pingora::Error>| Fault::Malformed(e.etype.as_str().to_owned());
        let head = || {
            let mut head = head(Method::POST, &base, &path)?;
            let json = HeaderValue::from_static("application/json");
            head.insert_header(header::CONTENT_TYPE, json).map_err(wrong)?;
            for (name, value) in headers {
                head.insert_header(name.clone(), value.clone()).map_err(wrong)?;
            }
            Ok(head)
        };
        let deadline = Instant::now() + TIME;
        let sent = self.transport.send_to(&book, &head, &Body::whole(body), deadline).await;
        let exchange = sent.map_err(|fault| fault.to_string())?;
        let status = exchange.status();
        exchange.drain().await;
        Ok(status.as_u16())
    }
}

#[async_trait]
impl Fetch for SideCalls {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        let asked = tokio::time::timeout(TIME, self.ask(url)).await;
        asked.unwrap_or_else(|_| Err("no answer within 10s".to_owned()))
    }
}

fn head(method: Method, base: &BaseUrl, path: &str) -> Result<Box<RequestHeader>, Fault> {
    let wrong = |e: Box<pingora::Error>| Fault::Malformed(e.etype.as_str().to_owned());
    let mut head = RequestHeader::build_no_case(method, path.as_bytes(), Some(6)).map_err(wrong)?;
    head.insert_header(header::HOST, base.authority()).map_err(wrong)?;
    let json = HeaderValue::from_static("application/json");
    head.insert_header(header::ACCEPT, json).map_err(wrong)?;
    let agent = HeaderValue::from_static(concat!("cirque/", env!("CARGO_PKG_VERSION")));
    head.insert_header(header::USER_AGENT, agent).map_err(wrong)?;
    Ok(Box::new(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn calls() -> SideCalls {
        SideCalls::new(Arc::new(Transport::new(2)), Vec::new(), false)
    }

    #[test]
    fn only_https_and_this_machine_are_asked() {
        let calls = calls();
        for url in [
            "https://login.example/keys?appid=1",
            "https://10.0.0.1:8443/keys",
            "http://127.0.0.1:1/keys",
            "http://[::1]:1/keys",
            "http://localhost/keys",
        ] {
            assert_eq!(calls.check(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "/keys",
            "login.example/keys",
            "http://login.example/keys",
            "http://10.0.0.1/keys",
            "ftp://login.example/keys",
            "file:///etc/passwd",
            "https://u:p@login.example/keys",
            "https:///keys",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/keys",
            "https://[::ffff:169.254.169.254]/keys",
            "https://100.100.100.200/keys",
            "https://h/a b",
            "https://h/\r\nx: y",
        ] {
            assert!(calls.check(url).is_err(), "{url}");
        }
        let (base, path) = calls.place("https://Login.Example:8443/a/keys?x=1#f").unwrap();
        assert_eq!(
            (base.authority().as_str(), path.as_str()),
            ("login.example:8443", "/a/keys?x=1")
        );
    }

    /// Answers every connection with these bytes; the first request it got.
    async fn server(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys?x=1", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            // A client that refuses the answer may close before it has it all.
            let _ = stream.write_all(&answer).await;
            String::from_utf8(request).unwrap()
        });
        (url, asked)
    }

    fn answer(head: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn a_document_is_fetched() {
        let (url, asked) = server(answer("200 OK", "{}")).await;
        assert_eq!(calls().get(&url).await.as_deref(), Ok(&b"{}"[..]));
        let asked = asked.await.unwrap().to_ascii_lowercase();
        assert!(asked.starts_with("get /keys?x=1 http/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nhost: 127.0.0.1:"), "{asked}");
    }

    #[tokio::test]
    async fn what_is_no_plain_answer_is_an_error() {
        let long = "x".repeat(LARGEST_DOCUMENT + 1);
        let unsized_answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{long}").into_bytes();
        for (answer, wrong) in [
            (
                answer("302 Found\r\nlocation: http://127.0.0.1/", ""),
                "status 302; redirects",
            ),
            (answer("404 Not Found", "nothing"), "status 404"),
            (answer("200 OK", &long), "larger than 256 KiB"),
            (unsized_answer, "larger than 256 KiB"),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".to_vec(),
                "broke inside",
            ),
            (b"nonsense\r\n\r\n".to_vec(), ""),
            (Vec::new(), "broke before"),
        ] {
            let (url, _asked) = server(answer).await;
            let said = calls().get(&url).await.unwrap_err();
            assert!(said.contains(wrong), "{said}");
        }
    }

    #[tokio::test]
    async fn hosts_are_remembered_and_forgotten() {
        let calls = calls();
        for port in 1..=2 * MOST_HOSTS as u16 {
            let (base, _) = calls.place(&format!("http://127.0.0.1:{port}/")).unwrap();
            calls.book(&base).await;
            calls.book(&base).await;
        }
        assert_eq!(calls.books.lock().unwrap().len(), MOST_HOSTS);
    }
}
