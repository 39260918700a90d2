//! Caching, renewing, single flight and failing, against a scripted token endpoint on 127.0.0.1.

use super::*;
use crate::secret::Secret;
use crate::upstream::address::AddressKey;
use crate::upstream::credential::Credential;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What the endpoint does with one request.
enum Act {
    Answer(u16, &'static str),
    /// Answer once a permit is given.
    Gated(&'static str),
    Close,
    Flood,
}

struct Endpoint {
    port: u16,
    asked: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
}

async fn endpoint(script: Vec<Act>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint {
        port: listener.local_addr().unwrap().port(),
        asked: Arc::default(),
        requests: Arc::default(),
        gate: Arc::new(Semaphore::new(0)),
    };
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let (asked, requests, gate) = (endpoint.asked.clone(), endpoint.requests.clone(), endpoint.gate.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(
                stream,
                script.clone(),
                asked.clone(),
                requests.clone(),
                gate.clone(),
            ));
        }
    });
    endpoint
}

async fn connection(
    mut stream: TcpStream,
    script: Arc<Mutex<VecDeque<Act>>>,
    asked: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
) {
    while let Some(request) = request(&mut stream).await {
        asked.fetch_add(1, Ordering::SeqCst);
        requests.lock().unwrap().push(request);
        let act = script
            .lock()
            .unwrap()
            .pop_front()
            .expect("asked more often than scripted");
        let (status, text) = match act {
            Act::Answer(status, text) => (status, text.to_owned()),
            Act::Gated(text) => {
                gate.acquire().await.unwrap().forget();
                (200, text.to_owned())
            }
            Act::Flood => (200, " ".repeat(LARGEST_ANSWER + 1)),
            Act::Close => return,
        };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request, head and body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut got = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))?
                .trim()
                .parse()
                .ok()?;
            if body.len() >= length {
                return Some(text);
            }
        }
        if stream.read_buf(&mut got).await.ok()? == 0 {
            return None;
        }
    }
}

fn source(port: u16) -> Arc<TokenSource> {
    let base = BaseUrl {
        tls: false,
        host: "127.0.0.1".to_owned(),
        port,
        path: "/oauth2/token".to_owned(),
    };
    let addresses = AddressBook::new(AddressKey {
        base: base.clone(),
        connect_timeout: Duration::from_secs(5),
        http2: false,
        authorities: Vec::new(),
        probe: None,
        allow_link_local: false,
    });
    let secret = Secret::new("THIS-IS-SECRET".to_owned());
    let grant = Grant::client_credentials("http://t/", "app", secret, "scope");
    Arc::new(TokenSource::new(grant, base, Arc::new(addresses)))
}

/// A source, its transport and the clock.
struct Bench {
    endpoint: Endpoint,
    source: Arc<TokenSource>,
    transport: Arc<Transport>,
}

impl Bench {
    async fn new(script: Vec<Act>) -> Self {
        let endpoint = endpoint(script).await;
        Self {
            source: source(endpoint.port),
            transport: Arc::new(Transport::new(8)),
            endpoint,
        }
    }

    /// The token for a request `seconds` after the first.
    async fn at(&self, seconds: u64) -> Result<String, CredentialFault> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let value = self
            .source
            .authorization(&self.transport, clock(seconds), deadline)
            .await?;
        assert!(value.is_sensitive());
        Ok(value.to_str().unwrap().to_owned())
    }

    fn asked(&self) -> usize {
        self.endpoint.asked.load(Ordering::SeqCst)
    }

    /// Until no fetch is under way.
    async fn settled(&self) {
        loop {
            let flight = self.source.lock().flight.clone();
            let Some(mut flight) = flight else { return };
            let _ = flight.wait_for(Option::is_some).await;
        }
    }
}

fn clock(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

const ONE: &str = r#"{"access_token":"one","expires_in":3600,"token_type":"Bearer"}"#;
const TWO: &str = r#"{"access_token":"two","expires_in":"3600","token_type":"Bearer"}"#;

#[tokio::test]
async fn a_token_is_kept_and_renewed_in_the_background_before_it_ends() {
    let bench = Bench::new(vec![Act::Answer(200, ONE), Act::Gated(TWO)]).await;
    assert_eq!(bench.at(0).await.unwrap(), "Bearer one");
    assert_eq!(bench.at(3299).await.unwrap(), "Bearer one");
    assert_eq!(bench.asked(), 1);
    // Five minutes before the end: still the old one, at once, and one fetch for many requests.
    for second in 3300..3320 {
        assert_eq!(bench.at(second).await.unwrap(), "Bearer one");
    }
    bench.endpoint.gate.add_permits(1);
    bench.settled().await;
    assert_eq!(bench.asked(), 2);
    // Expires as text, counted from when it was asked for.
    assert_eq!(bench.at(3300 + 3299).await.unwrap(), "Bearer two");
    let requests = bench.endpoint.requests.lock().unwrap();
    assert!(
        requests[0].starts_with("POST /oauth2/token HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    let host = format!("host: 127.0.0.1:{}\r\n", bench.endpoint.port);
    assert!(requests[0].to_ascii_lowercase().contains(&host), "{}", requests[0]);
    assert!(
        requests[0].ends_with("grant_type=client_credentials&client_id=app&client_secret=THIS-IS-SECRET&scope=scope")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_wait_for_one_fetch() {
    let bench = Arc::new(Bench::new(vec![Act::Gated(ONE)]).await);
    let waiting = (0..200).map(|_| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.at(0).await })
    });
    let all = futures::future::join_all(waiting.collect::<Vec<_>>());
    let (tokens, ()) = tokio::join!(all, async {
        while bench.asked() == 0 {
            tokio::task::yield_now().await;
        }
        bench.endpoint.gate.add_permits(1);
    });
    assert!(
        tokens
            .iter()
            .flatten()
            .all(|token| token.as_deref() == Ok("Bearer one"))
    );
    assert_eq!((tokens.len(), bench.asked()), (200, 1));
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_fetch() {
    let bench = Bench::new(vec![Act::Gated(ONE)]).await;
    let short = Instant::now() + Duration::from_millis(20);
    let fault = bench
        .source
        .authorization(&bench.transport, clock(0), short)
        .await
        .unwrap_err();
    assert_eq!(fault, CredentialFault::Timeout);
    bench.endpoint.gate.add_permits(1);
    assert_eq!(bench.at(0).await.unwrap(), "Bearer one");
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn an_ended_token_is_not_sent() {
    let bench = Bench::new(vec![Act::Answer(200, ONE), Act::Answer(200, TWO)]).await;
    assert_eq!(bench.at(0).await.unwrap(), "Bearer one");
    assert_eq!(bench.at(3590).await.unwrap(), "Bearer two");
}

#[tokio::test]
async fn a_refusal_is_told_to_all_and_not_repeated_for_a_while() {
    let refusal =
        r#"{"error":"invalid_client","error_description":"AADSTS7000215: tenant 1234","error_codes":[7000215]}"#;
    let script = vec![
        Act::Answer(401, refusal),
        Act::Answer(400, "<html>"),
        Act::Answer(200, ONE),
    ];
    let bench = Bench::new(script).await;
    let fault = bench.at(0).await.unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the token endpoint refused: status 401, invalid_client AADSTS7000215"
    );
    assert!(fault.is_refusal());
    assert_eq!(bench.at(0).await.unwrap_err(), fault);
    assert_eq!(bench.asked(), 1, "within a second nothing is asked again");
    let second = bench.at(2).await.unwrap_err();
    assert_eq!(
        second.to_string(),
        "the token endpoint refused: status 400, no reason given"
    );
    assert_eq!(bench.at(3).await.unwrap_err(), second, "the second wait is two seconds");
    assert_eq!(bench.at(5).await.unwrap(), "Bearer one");
    assert!(bench.source.lock().failure.is_none());
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_valid_token_in_use() {
    let bench = Bench::new(vec![
        Act::Answer(200, ONE),
        Act::Answer(503, "{}"),
        Act::Answer(200, TWO),
    ])
    .await;
    bench.at(0).await.unwrap();
    assert_eq!(bench.at(3300).await.unwrap(), "Bearer one");
    bench.settled().await;
    assert_eq!(bench.at(3300).await.unwrap(), "Bearer one");
    assert_eq!(bench.asked(), 2);
    assert_eq!(bench.at(3305).await.unwrap(), "Bearer one");
    bench.settled().await;
    assert_eq!(bench.at(3306).await.unwrap(), "Bearer two");
}

#[tokio::test]
async fn what_is_no_token_is_a_fault_that_repeats_nothing() {
    for (act, expected) in [
        (Act::Close, "could not be asked"),
        (Act::Flood, "longer than 64 KiB"),
        (Act::Answer(200, "THIS-IS-SECRET"), "not the expected JSON"),
        (
            Act::Answer(200, r#"{"id_token":"THIS-IS-SECRET"}"#),
            "no `access_token`",
        ),
        (Act::Answer(200, r#"{"access_token":""}"#), "no `access_token`"),
        (
            Act::Answer(200, r#"{"access_token":"THIS-IS-SECRET\n"}"#),
            "a character no header has",
        ),
        (
            Act::Answer(200, r#"{"access_token":["THIS-IS-SECRET"]}"#),
            "not the expected JSON",
        ),
        (Act::Answer(302, "{}"), "status 302"),
        (
            Act::Answer(400, r#"{"error":{"message":"THIS-IS-SECRET"}}"#),
            "no reason given",
        ),
        (Act::Answer(400, r#"{"error":"THIS-IS-SECRET"}"#), "no reason given"),
    ] {
        let bench = Bench::new(vec![act]).await;
        let fault = bench.at(0).await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
        assert!(!fault.contains("THIS-IS-SECRET"), "{fault}");
    }
    let gone = source(1);
    let transport = Arc::new(Transport::new(1));
    let fault = gone.authorization(&transport, clock(0), Instant::now() + Duration::from_secs(5));
    assert!(matches!(fault.await, Err(CredentialFault::Unreachable(_))));
    assert!(!format!("{gone:?}").contains("THIS-IS-SECRET"));
}

#[tokio::test]
async fn a_refused_token_is_given_up_unless_it_is_new() {
    let bench = Bench::new(vec![Act::Answer(200, ONE), Act::Answer(200, TWO)]).await;
    let credential = Credential::Token(Arc::clone(&bench.source));
    bench.at(0).await.unwrap();
    credential.refused(clock(59));
    assert_eq!(bench.at(59).await.unwrap(), "Bearer one");
    credential.refused(clock(60));
    assert_eq!(bench.at(60).await.unwrap(), "Bearer two");
}

#[tokio::test]
async fn a_clock_set_back_makes_the_token_too_old_and_ends_no_wait_early() {
    let bench = Bench::new(vec![Act::Answer(200, ONE), Act::Answer(200, TWO)]).await;
    bench.at(7200).await.unwrap();
    assert_eq!(
        bench.at(7190).await.unwrap(),
        "Bearer one",
        "a little back is a request that looked earlier"
    );
    assert_eq!(bench.at(0).await.unwrap(), "Bearer two");
}

#[test]
fn a_fetch_dropped_with_its_runtime_can_be_begun_again() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let serving = runtime();
    let bench = serving.block_on(Bench::new(vec![Act::Gated(ONE), Act::Answer(200, TWO)]));
    let dying = runtime();
    let short = Instant::now() + Duration::from_millis(50);
    let waited = dying.block_on(async { bench.source.authorization(&bench.transport, clock(0), short).await });
    assert_eq!(waited, Err(CredentialFault::Timeout));
    drop(dying);
    assert!(bench.source.lock().flight.is_none());
    // The gated request was read, or was never sent: either way the next one gets an answer.
    bench.endpoint.gate.add_permits(1);
    let token = serving.block_on(bench.at(0)).unwrap();
    assert!(token == "Bearer one" || token == "Bearer two");
}

#[tokio::test]
async fn a_token_goes_on_a_request_in_place_of_what_was_there() {
    let bench = Bench::new(vec![Act::Answer(200, ONE)]).await;
    let credential = Credential::Token(Arc::clone(&bench.source));
    let mut head = RequestHeader::build("POST", b"/x", None).unwrap();
    head.insert_header("authorization", "Bearer old").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let body = Body::default();
    let applied = credential.apply(&bench.transport, &mut head, &body, "h", clock(0), deadline);
    applied.await.unwrap();
    let values: Vec<_> = head.headers.get_all("authorization").iter().collect();
    assert_eq!(values, ["Bearer one"]);
}

#[test]
fn lives_are_bounded_and_short_ones_are_halved() {
    let token = |answer: &str| read(StatusCode::OK, answer.as_bytes(), clock(0)).unwrap();
    assert_eq!(token(r#"{"access_token":"t"}"#).life, UNSAID_LIFE);
    assert_eq!(token(r#"{"access_token":"t","expires_in":-1}"#).life, UNSAID_LIFE);
    assert_eq!(
        token(r#"{"access_token":"t","expires_in":18446744073709551615}"#).life,
        LONGEST_LIFE
    );
    let short = token(r#"{"access_token":"t","expires_in":8}"#);
    assert_eq!(
        (short.renew_at(), short.unusable_at()),
        (Duration::from_secs(4), Duration::from_secs(4))
    );
    let none = token(r#"{"access_token":"t","expires_in":0}"#);
    assert_eq!(none.unusable_at(), Duration::ZERO);
}

/// A TLS endpoint for `localhost` whose certificate nobody vouches for.
async fn untrusted(asked: Arc<AtomicUsize>) -> u16 {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut buffer = [0; 1];
            if stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                asked.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    port
}

#[tokio::test]
async fn a_token_endpoint_nobody_vouches_for_is_told_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let port = untrusted(Arc::clone(&asked)).await;
    let mut key = source(port).addresses().key().clone();
    key.base.tls = true;
    key.base.host = "localhost".to_owned();
    let book = Arc::new(AddressBook::new(key.clone()));
    book.refresh().await.unwrap();
    let grant = Grant::client_credentials("https://t/", "app", Secret::new("s".to_owned()), "scope");
    let source = Arc::new(TokenSource::new(grant, key.base, book));
    let transport = Arc::new(Transport::new(1));
    let deadline = Instant::now() + Duration::from_secs(20);
    let fault = source.authorization(&transport, clock(0), deadline).await.unwrap_err();
    assert!(
        matches!(fault, CredentialFault::Unreachable(Fault::Connect(_))),
        "{fault:?}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_endpoint_that_resolves_to_nothing_usable_is_waited_for_only_so_long() {
    let mut key = source(9).addresses().key().clone();
    key.base.host = "tokens.invalid".to_owned();
    let grant = Grant::client_credentials("https://t/", "app", Secret::new("s".to_owned()), "scope");
    let source = Arc::new(TokenSource::new(
        grant,
        key.base.clone(),
        Arc::new(AddressBook::new(key)),
    ));
    let deadline = Instant::now() + Duration::from_millis(50);
    let fault = source
        .authorization(&Arc::new(Transport::new(1)), clock(0), deadline)
        .await;
    assert_eq!(fault, Err(CredentialFault::Timeout));
}
