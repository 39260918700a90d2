//! TLS and HTTP/2 on both sides.

use crate::support::client::{Client, chat, chat_stream, post};
use crate::support::gateway::{self, Builder};
use crate::support::tls::{Certificate, certificate, certificate_for};
use crate::support::upstream::{CHAT, CHUNK, DONE, FINISH, USAGE, json_answer};
use crate::support::{Gateway, Upstream, http2};

fn secured(upstream: &Upstream, certificate: &Certificate) -> Gateway {
    let builder = Builder::new(gateway::one(upstream));
    let cert = builder.file("cert.pem", &certificate.cert);
    let key = builder.file("key.pem", &certificate.key);
    let listen = format!(
        "{{ address: ADDRESS, tls: {{ cert: {}, key: {} }} }}",
        cert.display(),
        key.display()
    );
    builder.listen(&listen).start()
}

#[test]
fn a_tls_listener_serves_http_1_1_by_alpn() {
    let (upstream, certificate) = (Upstream::ok(), certificate());
    let gateway = secured(&upstream, &certificate);
    let (mut client, alpn, shown) = Client::tls(gateway.address, certificate.client(&["http/1.1"])).unwrap();
    assert_eq!(alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(shown, certificate.der);
    client.send(post("/v1/chat/completions", "", chat("m")));
    assert_eq!(client.response().ok().text(), CHAT);
    // And one without ALPN.
    let (mut client, alpn, _) = Client::tls(gateway.address, certificate.client(&[])).unwrap();
    assert_eq!(alpn, None);
    client.send(post("/v1/chat/completions", "", chat("m")));
    client.response().ok();
}

#[test]
fn a_tls_listener_serves_http_2_by_alpn() {
    let certificate = certificate();
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"stream\":true") {
                conn.send(crate::support::upstream::stream_answer(&[CHUNK, FINISH, USAGE, DONE]));
            } else {
                conn.send(json_answer(200, CHAT));
            }
        }
    });
    let gateway = secured(&upstream, &certificate);
    http2::block_on(async {
        let mut sender = http2::secure(gateway.address, &certificate).await;
        let (status, headers, body) = http2::exchange(&mut sender, "POST", "/v1/chat/completions", &chat("m")).await;
        assert_eq!((status, body.as_str()), (200, CHAT));
        assert_eq!(headers["x-cirque-target"], "p/up");
        let (status, headers, body) =
            http2::exchange(&mut sender, "POST", "/v1/chat/completions", &chat_stream("m")).await;
        assert_eq!((status, body), (200, [CHUNK, FINISH, DONE].concat()));
        assert!(!headers.contains_key("transfer-encoding"));
        let (status, _, body) = http2::exchange(&mut sender, "POST", "/v1/chat/completions", "{").await;
        assert_eq!(status, 400, "{body}");
        assert!(body.contains("invalid_json"));
        let (status, _, _) = http2::exchange(&mut sender, "GET", "/v1/models", "").await;
        assert_eq!(status, 200);
    });
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_new_certificate_is_used_after_sighup() {
    let upstream = Upstream::ok();
    let (old, new) = (certificate(), certificate());
    let gateway = secured(&upstream, &old);
    let (mut before, _, shown) = Client::tls(gateway.address, old.client(&[])).unwrap();
    assert_eq!(shown, old.der);
    std::fs::write(gateway.directory.join("cert.pem"), &new.cert).unwrap();
    std::fs::write(gateway.directory.join("key.pem"), &new.key).unwrap();
    gateway.reload();
    let (mut after, _, shown) = Client::tls(gateway.address, new.client(&[])).unwrap();
    assert_eq!(shown, new.der);
    for client in [&mut before, &mut after] {
        client.send(post("/v1/chat/completions", "", chat("m")));
        client.response().ok();
    }
    // A pair that does not go together changes nothing.
    std::fs::write(gateway.directory.join("key.pem"), &old.key).unwrap();
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 0.0);
    let (_, _, shown) = Client::tls(gateway.address, new.client(&[])).unwrap();
    assert_eq!(shown, new.der);
}

#[test]
fn plain_http_on_a_tls_port_gets_nowhere() {
    let (upstream, certificate) = (Upstream::ok(), certificate());
    let gateway = secured(&upstream, &certificate);
    let mut client = gateway.client();
    client.send(post("/v1/chat/completions", "", chat("m")));
    assert!(!client.rest().contains("200"));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn plaintext_http_2_and_http_1_on_one_h2c_listener() {
    let upstream = Upstream::ok();
    let gateway = Builder::new(gateway::one(&upstream))
        .listen("{ address: ADDRESS, h2c: true }")
        .start();
    http2::block_on(async {
        let mut sender = http2::plain(gateway.address).await;
        let (status, _, body) = http2::exchange(&mut sender, "POST", "/v1/chat/completions", &chat("m")).await;
        assert_eq!((status, body.as_str()), (200, CHAT));
    });
    gateway.chat().ok();
}

#[test]
fn an_http_2_client_that_leaves_closes_the_upstream() {
    let upstream = Upstream::script(|conn| {
        conn.request();
        conn.stream_head();
        conn.chunk(CHUNK);
        conn.wait_closed();
    });
    let body = gateway::one(&upstream).replace("idle: 400ms", "idle: 4s");
    let gateway = Builder::new(body).listen("{ address: ADDRESS, h2c: true }").start();
    http2::block_on(async {
        let sender = http2::plain(gateway.address).await;
        let request = http::Request::post("http://localhost/v1/chat/completions")
            .body(())
            .unwrap();
        let (response, mut out) = sender.ready().await.unwrap().send_request(request, false).unwrap();
        out.send_data(chat_stream("m").into(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        body.data().await.unwrap().unwrap();
        out.send_reset(h2::Reason::CANCEL);
        let left = std::time::Instant::now();
        drop((body, out));
        while !upstream.any_closed() {
            assert!(
                left.elapsed() < std::time::Duration::from_secs(1),
                "upstream still open"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    gateway.wait_metric("cirque_requests_total", &["status=\"499\""], 1.0);
}

/// An upstream that speaks TLS with this certificate.
fn secure_upstream(certificate: &Certificate) -> Upstream {
    let config = certificate.server(&["http/1.1"]);
    Upstream::script(move |conn| {
        if conn.tls(&config) {
            while conn.request().is_some() {
                conn.send(json_answer(200, CHAT));
            }
        }
    })
}

fn trusting(address: std::net::SocketAddr, authority: Option<&Certificate>, more: &str) -> Gateway {
    let builder = Builder::new("");
    let ca = authority.map_or(String::new(), |authority| {
        format!(", ca_file: {}", builder.file("ca.pem", &authority.authority).display())
    });
    let mut builder = builder;
    builder.body = format!(
        "{}providers:\n  p: {{ kind: openai, base_url: \"https://localhost:{}/v1\", api_key: env:UP_KEY{ca}{more} }}\n\
         models:\n  m: {{ targets: [ {{ provider: p, model: up }} ] }}\n",
        gateway::TIMEOUTS,
        address.port()
    );
    builder.start()
}

#[test]
fn an_upstream_with_the_right_certificate_is_asked() {
    let certificate = certificate();
    let upstream = secure_upstream(&certificate);
    let gateway = trusting(upstream.address, Some(&certificate), "");
    assert_eq!(gateway.chat().ok().text(), CHAT);
    assert_eq!(upstream.request().text(), chat("up"));
}

#[test]
fn an_upstream_with_a_wrong_certificate_gets_no_request() {
    let certificate = certificate();
    let cases = [
        ("another authority", certificate_for("localhost"), Some(&certificate)),
        ("not the system's", certificate_for("localhost"), None),
    ];
    for (case, shown, trusted) in cases {
        let upstream = secure_upstream(&shown);
        let gateway = trusting(upstream.address, trusted, "");
        gateway.chat().expect_error(502, "upstream_error", "provider_error");
        assert_eq!(upstream.count(), 0, "{case}");
        gateway.wait_attempts("p", "connect_error", 1);
    }
    // The right authority, another name.
    let other = certificate_for("other.example");
    let upstream = secure_upstream(&other);
    let gateway = trusting(upstream.address, Some(&other), "");
    gateway.chat().expect_error(502, "upstream_error", "provider_error");
    assert_eq!(upstream.count(), 0, "another name");
}

#[test]
fn an_upstream_that_is_not_tls_is_502() {
    let upstream = Upstream::ok();
    let gateway = trusting(upstream.address, Some(&certificate()), "");
    let response = gateway.chat();
    assert!(matches!(response.status, 502 | 504), "{}", response.text());
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_http_2_upstream_is_asked_over_one_connection() {
    let certificate = certificate();
    let (address, got) = http2::upstream(&certificate, "application/json", &[CHAT]);
    let gateway = trusting(address, Some(&certificate), ", http2: true");
    for _ in 0..3 {
        assert_eq!(gateway.chat().ok().text(), CHAT);
    }
    let got = got.lock().unwrap();
    let (head, body) = &got[0];
    assert_eq!(head.version, http::Version::HTTP_2);
    assert_eq!(head.uri.path(), "/v1/chat/completions");
    assert_eq!(head.headers["authorization"], "Bearer sk-ours");
    assert_eq!(head.headers["content-length"], body.len().to_string());
    assert_eq!(body, chat("up").as_bytes());
}

#[test]
fn an_http_2_upstream_streams() {
    let certificate = certificate();
    let (address, _) = http2::upstream(&certificate, "text/event-stream", &[CHUNK, FINISH, USAGE, DONE]);
    let gateway = trusting(address, Some(&certificate), ", http2: true");
    assert_eq!(gateway.stream().ok().text(), [CHUNK, FINISH, DONE].concat());
    gateway.wait_attempts("p", "ok", 1);
}
