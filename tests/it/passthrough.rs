//! The passthrough lane: bodies stream unread, credentials are replaced, failures are told in our form.

use crate::support::client::post;
use crate::support::gateway::{self, Builder};
use crate::support::upstream::{answer, error_body, json_answer, nobody};
use crate::support::{Gate, Gateway, Upstream, eventually};

fn through(body: String) -> Gateway {
    Builder::new(format!(
        "{body}passthrough:\n  - {{ path: /v1/files, pool: m }}\n  - {{ path: /v1/realtime, pool: m }}\n"
    ))
    .start()
}

fn lane(upstream: &Upstream) -> Gateway {
    through(gateway::one(upstream))
}

#[test]
fn an_upload_of_five_megabytes_arrives_byte_for_byte_unbuffered() {
    let begun = Gate::default();
    let upstream = Upstream::script({
        let begun = begun.clone();
        move |conn| {
            // Body bytes are here before the client has sent the last.
            let head = conn.head().unwrap();
            let length: usize = head.header("content-length").unwrap().parse().unwrap();
            let mut body = conn.read_some();
            begun.open();
            while body.len() < length {
                let more = conn.read_some();
                if more.is_empty() {
                    return;
                }
                body.extend(more);
            }
            let sum: u64 = body.iter().map(|&b| u64::from(b)).sum();
            conn.send(json_answer(200, &format!(r#"{{"bytes":{},"sum":{sum}}}"#, body.len())));
        }
    });
    let gateway = lane(&upstream);
    let mut body = b"--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n".to_vec();
    body.extend((0..5_000_000u32).map(|i| (i * 7 % 251) as u8));
    body.extend_from_slice(b"\r\n--b--\r\n");
    let mut client = gateway.client();
    client.send(format!(
        "POST /v1/files HTTP/1.1\r\nhost: g\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    let (first, rest) = body.split_at(body.len() / 2);
    client.send(first);
    begun.wait();
    client.send(rest);
    let response = client.response().ok();
    let sum: u64 = body.iter().map(|&b| u64::from(b)).sum();
    assert_eq!(response.text(), format!(r#"{{"bytes":{},"sum":{sum}}}"#, body.len()));
    assert!(gateway.metric("cirque_buffered_bytes", &[]) == 0.0);
}

#[test]
fn a_download_streams_while_it_is_sent() {
    let gate = Gate::default();
    let upstream = Upstream::script({
        let gate = gate.clone();
        move |conn| {
            conn.request();
            conn.send(
                "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            );
            conn.chunk("first half");
            gate.wait();
            conn.chunk(vec![b'z'; 5_000_000]);
            conn.send("0\r\n\r\n");
        }
    });
    let gateway = lane(&upstream);
    let mut client = gateway.client();
    client.send("GET /v1/files/f1/content HTTP/1.1\r\nhost: g\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 200);
    assert_eq!(client.until("first half"), "first half");
    gate.open();
    let rest = client.finish(head, true).ok();
    assert_eq!(rest.body.len(), 5_000_000);
    assert_eq!(upstream.request().line, "GET /v1/files/f1/content HTTP/1.1");
}

#[test]
fn credentials_are_replaced_and_the_key_leaves_the_query() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = lane(&upstream);
    let headers = "authorization: Bearer CLIENTSECRET\r\nx-api-key: CLIENTSECRET\r\ncookie: CLIENTSECRET=1\r\n\
                   x-forwarded-for: 10.1.2.3\r\nvia: 10.1.2.3\r\nproxy-authorization: CLIENTSECRET\r\nx-mine: kept\r\n";
    let mut client = gateway.client();
    client.send(format!(
        "GET /v1/files?limit=2&key=CLIENTSECRET&order=a HTTP/1.1\r\nhost: g\r\n{headers}\r\n"
    ));
    client.response().ok();
    let got = upstream.request();
    let head = String::from_utf8_lossy(&got.head).into_owned();
    assert!(!head.contains("CLIENTSECRET") && !head.contains("10.1.2.3"), "{head}");
    assert_eq!(got.line, "GET /v1/files?limit=2&order=a HTTP/1.1");
    assert_eq!(got.header("authorization"), Some("Bearer sk-ours"));
    assert_eq!(got.header("host"), Some(upstream.address.to_string().as_str()));
}

#[test]
fn only_listed_response_headers_come_back() {
    let upstream = Upstream::always(answer(
        200,
        "content-type: application/json\r\nset-cookie: a=b\r\nserver: nginx\r\nx-internal: y\r\nopenai-organization: org\r\netag: \"e\"\r\n",
        "{}",
    ));
    let gateway = lane(&upstream);
    let response = gateway.get("/v1/files").ok();
    for name in ["set-cookie", "server", "x-internal", "openai-organization"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("etag"), Some("\"e\""));
    assert_eq!(response.header("x-cirque-target"), Some("p/up"));
    assert_eq!(response.header("x-cirque-model"), Some("m"));
    assert!(response.header("x-request-id").is_some());
}

#[test]
fn errors_of_the_provider_pass_but_its_refusal_of_our_key_does_not() {
    let missing = Upstream::always(json_answer(404, &error_body("no such file")));
    let gateway = lane(&missing);
    let response = gateway.get("/v1/files/x");
    assert_eq!((response.status, response.text()), (404, error_body("no such file")));
    for status in [401, 403] {
        let refusing = Upstream::always(json_answer(status, &error_body("Incorrect API key provided: sk-ours")));
        let gateway = lane(&refusing);
        let response = gateway.get("/v1/files");
        response.expect_error(502, "upstream_error", "provider_auth_failed");
        assert!(!response.text().contains("sk-ours"));
        gateway.wait_attempts("p", "auth_failed", 1);
    }
}

#[test]
fn a_target_that_cannot_be_connected_to_is_replaced_by_the_next() {
    let good = Upstream::always(json_answer(200, "{}"));
    let body = format!(
        "{}providers:\n  a: {{ kind: openai, base_url: \"http://{}/v1\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: a, weight: 100 }}, {{ provider: b, weight: 1 }} ] }}\n",
        gateway::TIMEOUTS,
        nobody(),
        good.url()
    );
    let gateway = through(body);
    let mut client = gateway.client();
    client.send(post("/v1/files", "", "a body"));
    let response = client.response().ok();
    assert_eq!(response.header("x-cirque-target"), Some("b/m"));
    assert_eq!(response.header("x-cirque-attempts"), Some("2"));
    assert_eq!(good.request().text(), "a body");
    gateway.wait_attempts("a", "connect_error", 1);
}

#[test]
fn nobody_to_connect_to_is_502() {
    let upstream = nobody();
    let body = format!(
        "{}providers:\n  p: {{ kind: openai, base_url: \"http://{upstream}/v1\" }}\nmodels:\n  m: {{ targets: [ {{ provider: p }} ] }}\n",
        gateway::TIMEOUTS
    );
    let gateway = through(body);
    let response = gateway.get("/v1/files");
    response.expect_error(502, "upstream_error", "provider_error");
}

#[test]
fn an_upstream_that_hangs_is_504_and_one_that_breaks_off_is_502() {
    let hanging = Upstream::script(|conn| {
        conn.request();
        conn.wait_closed();
    });
    let gateway = lane(&hanging);
    gateway
        .get("/v1/files")
        .expect_error(504, "upstream_error", "provider_timeout");
    let broken = Upstream::script(|conn| drop(conn.request()));
    let gateway = lane(&broken);
    gateway
        .get("/v1/files")
        .expect_error(502, "upstream_error", "provider_error");
    let garbage = Upstream::once_then_close("not http\r\n\r\n");
    let gateway = lane(&garbage);
    let response = gateway.get("/v1/files");
    assert_eq!(response.status, 502, "{}", response.text());
    assert!(!response.text().contains("not http"));
}

#[test]
fn a_websocket_is_upgraded_and_echoes() {
    let upstream = Upstream::script(|conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
            loop {
                let bytes = conn.read_some();
                if bytes.is_empty() || !conn.send(&bytes) {
                    return;
                }
            }
        }
    });
    let gateway = lane(&upstream);
    let mut client = gateway.client();
    client.send(
        "GET /v1/realtime?model=x HTTP/1.1\r\nhost: g\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\nauthorization: Bearer CLIENTSECRET\r\n\r\n",
    );
    let head = client.head();
    assert_eq!(head.status, 101, "{head:?}");
    assert_eq!(
        head.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    for frame in [&b"\x81\x85\x01\x02\x03\x04abcde"[..], b"\x82\x01\x00\xff\x00"] {
        client.send(frame);
        let mut echoed = Vec::new();
        while echoed.len() < frame.len() {
            let mut piece = [0; 64];
            let n = std::io::Read::read(&mut client.tcp, &mut piece).unwrap();
            assert!(n > 0);
            echoed.extend_from_slice(&piece[..n]);
        }
        assert_eq!(echoed, frame);
    }
    let got = upstream.request();
    assert_eq!(got.header("authorization"), Some("Bearer sk-ours"));
    assert_eq!(
        got.header("upgrade").map(str::to_ascii_lowercase).as_deref(),
        Some("websocket")
    );
    assert_eq!(got.line, "GET /v1/realtime?model=x HTTP/1.1");
    drop(client);
    upstream.closed();
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
}

#[test]
fn it_is_settled_like_any_other_request() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = lane(&upstream);
    let mut client = gateway.client();
    client.send("GET /v1/files?secret=x HTTP/1.1\r\nhost: g\r\nx-request-id: pass-1\r\n\r\n");
    assert_eq!(client.response().ok().header("x-request-id"), Some("pass-1"));
    let line = gateway.access("pass-1");
    assert_eq!(
        (line["operation"].as_str(), line["status"].as_u64()),
        (Some("passthrough"), Some(200))
    );
    assert_eq!(
        (line["target"].as_str(), line["path"].as_str()),
        (Some("p/up"), Some("/v1/files"))
    );
    gateway.wait_attempts("p", "ok", 1);
    gateway.wait_metric("cirque_requests_total", &["status=\"200\""], 1.0);
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
}

#[test]
fn a_client_that_leaves_closes_the_upstream() {
    let upstream = Upstream::script(|conn| {
        conn.request();
        conn.wait_closed();
    });
    let gateway = lane(&upstream);
    let mut client = gateway.client();
    client.send("GET /v1/files HTTP/1.1\r\nhost: g\r\nx-request-id: pass-left\r\n\r\n");
    eventually("the request arrives", || (upstream.count() == 1).then_some(()));
    drop(client);
    let left = std::time::Instant::now();
    assert!(upstream.closed().saturating_duration_since(left) <= std::time::Duration::from_secs(1));
    assert_eq!(gateway.access("pass-left")["status"], 499);
}

#[test]
fn paths_cannot_climb_out_of_the_api_root() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = lane(&upstream);
    for path in [
        "/v1/files/../../admin",
        "/v1/files/%2e%2e/%2e%2e/admin",
        "/v1/files/x/%2E./%2fadmin",
        "/v1/files/..\\admin",
        "/v1/filesystem",
    ] {
        let response = gateway.get(path);
        assert!(
            matches!(response.status, 400 | 404),
            "{path}: {} {}",
            response.status,
            response.text()
        );
    }
    assert_eq!(upstream.count(), 0);
}
