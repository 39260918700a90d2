//! The admin listener over real sockets.

mod operate_tests;

use super::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    meters: Arc<Meters>,
    readiness: Arc<Readiness>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

fn start() -> Running {
    let meters = Meters::new().unwrap();
    let readiness = Arc::new(Readiness::new());
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let state = AdminState {
        meters: Arc::clone(&meters),
        readiness: Arc::clone(&readiness),
        facts: Arc::new(|| json!({"config": "/etc/cirque/cirque.yaml", "models": ["demo"]})),
        control: Arc::new(operate_tests::Fake::default()),
        api: Arc::new(Api::closed()),
        started: Instant::now(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let served = tokio::spawn(serve(listener, state, async move {
        stopped.await.ok();
    }));
    Running {
        address,
        meters,
        readiness,
        stop,
        served,
    }
}

/// Send raw bytes, read to the end: status, header block, body.
async fn exchange(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses early may reset after it answered.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn call(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    exchange(address, &request).await
}

#[tokio::test]
async fn metrics_and_health() {
    let admin = start();
    let _guard = admin.meters.enter();
    let (status, head, body) = call(admin.address, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(body.contains("cirque_in_flight_requests 1\n"), "{body}");
    let (status, _, body) = call(admin.address, "GET", "/healthz").await;
    assert_eq!((status, body.as_str()), (200, "ok"));
    let (status, _, body) = call(admin.address, "HEAD", "/healthz").await;
    assert_eq!((status, body.as_str()), (200, ""));
}

#[tokio::test]
async fn readiness_follows_the_phase_and_never_goes_back() {
    let admin = start();
    let expect = async |code: u16, body: &str| {
        let (status, head, found) = call(admin.address, "GET", "/readyz").await;
        assert_eq!((status, found.as_str()), (code, body));
        assert!(head.contains("content-type: application/json"));
    };
    expect(503, r#"{"ready":false,"reasons":["starting"]}"#).await;
    admin.readiness.advance(Phase::Ready);
    expect(200, r#"{"ready":true,"reasons":[]}"#).await;
    admin.readiness.advance(Phase::Draining);
    admin.readiness.advance(Phase::Ready);
    expect(503, r#"{"ready":false,"reasons":["draining"]}"#).await;
    assert_eq!(call(admin.address, "GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn status_joins_the_process_and_the_snapshot() {
    let admin = start();
    let (status, _, body) = call(admin.address, "GET", "/admin/v1/status").await;
    assert_eq!(status, 200);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(body["config"], "/etc/cirque/cirque.yaml");
    assert_eq!(body["models"], json!(["demo"]));
    assert_eq!(body["ready"], false);
    assert!(body["uptime_seconds"].is_u64());
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_json() {
    let admin = start();
    for (method, path, code, name) in [
        ("GET", "/", 404, "not_found"),
        ("GET", "/metrics/../etc/passwd", 404, "not_found"),
        ("POST", "/metrics", 405, "method_not_allowed"),
        ("DELETE", "/admin/v1/status", 405, "method_not_allowed"),
    ] {
        let (status, _, body) = call(admin.address, method, path).await;
        assert_eq!(status, code, "{method} {path}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["code"], name);
    }
}

#[tokio::test]
async fn malformed_and_oversized_requests_are_refused() {
    let admin = start();
    let (status, ..) = exchange(admin.address, "NONSENSE\r\n\r\n").await;
    assert_eq!(status, 400);
    let big = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "a".repeat(64 * 1024)
    );
    let (status, ..) = exchange(admin.address, &big).await;
    assert_eq!(status, 431);
    // The listener is none the worse for it.
    assert_eq!(call(admin.address, "GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn facts_that_panic_are_a_500_and_no_more() {
    let state = AdminState {
        meters: Meters::new().unwrap(),
        readiness: Arc::default(),
        facts: Arc::new(|| panic!("test")),
        control: Arc::new(operate_tests::Fake::default()),
        api: Arc::new(Api::closed()),
        started: Instant::now(),
    };
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(serve(listener, state, std::future::pending()));
    let (status, _, body) = call(address, "GET", "/admin/v1/status").await;
    assert_eq!(status, 500);
    assert!(body.contains("internal_error"));
    assert_eq!(call(address, "GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn two_processes_can_hold_the_address_and_one_can_leave() {
    let old = start();
    let new = bind(old.address).unwrap();
    let (stop, served) = (old.stop, old.served);
    stop.send(()).unwrap();
    served.await.unwrap();
    let listener = tokio::net::TcpListener::from_std(new).unwrap();
    let state = AdminState {
        meters: Meters::new().unwrap(),
        readiness: Arc::default(),
        facts: Arc::new(|| json!({})),
        control: Arc::new(operate_tests::Fake::default()),
        api: Arc::new(Api::closed()),
        started: Instant::now(),
    };
    tokio::spawn(serve(listener, state, std::future::pending()));
    assert_eq!(call(old.address, "GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_returns() {
    let admin = start();
    let mut idle = TcpStream::connect(admin.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    admin.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(4), admin.served)
        .await
        .expect("stops before its own limit")
        .unwrap();
    assert_eq!(idle.read(&mut buffer).await.unwrap(), 0);
}

#[tokio::test]
async fn who_is_not_admitted_is_not_answered() {
    let admin = crate::config::Admin {
        allowed_ips: vec!["192.0.2.0/24".to_owned()],
        ..crate::config::Admin::default()
    };
    let (access, _) = Access::new(&admin, false);
    let state = AdminState {
        meters: Meters::new().unwrap(),
        readiness: Arc::default(),
        facts: Arc::new(|| json!({})),
        control: Arc::new(operate_tests::Fake::default()),
        api: Arc::new(Api::new(access, None, Arc::new(NoTenancy))),
        started: Instant::now(),
    };
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(serve(listener, state, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // Closed or reset: not a byte of an answer either way.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{answer:?}");
}
