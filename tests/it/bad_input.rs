//! Bad input from clients: each case names its status and its error; nothing hangs, and nothing of it goes upstream.

use crate::support::client::{chat, post};
use crate::support::gateway::{self, Builder};
use crate::support::{Gate, Gateway, Upstream, eventually};
use std::io::Write;
use std::time::{Duration, Instant};

const CHAT_PATH: &str = "/v1/chat/completions";
const INVALID: &str = "invalid_request_error";

fn limited(limits: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::ok();
    let gateway = Builder::new(format!("limits: {{ {limits} }}\n{}", gateway::one(&upstream))).start();
    (gateway, upstream)
}

/// Pingora answers these itself, before the gateway sees them: 400 without a body, and the connection is closed.
#[track_caller]
fn refused_by_the_parser(gateway: &Gateway, bytes: &[u8]) {
    let mut client = gateway.client();
    client.send(bytes);
    let _ = client.tcp.shutdown(std::net::Shutdown::Write);
    let said = client.rest();
    let shown = String::from_utf8_lossy(bytes);
    assert!(
        said.starts_with("HTTP/1.1 400 ") || said.is_empty(),
        "{shown:?}: {said:?}"
    );
    assert!(
        said.is_empty() || said.ends_with("\r\n\r\n"),
        "one answer, no body: {said:?}"
    );
    assert!(said.matches("HTTP/1.1").count() <= 1, "{said:?}");
}

#[test]
fn malformed_http_is_400_with_an_empty_body() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for bytes in [
        &b"nonsense\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /v1/models HTTP/9.9\r\nhost: a\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: a\r\nbad name: x\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        refused_by_the_parser(&gateway, bytes);
    }
    let mut client = gateway.client();
    client.send("GET /v1/models HTTP/1.1\r\nno colon here\r\n\r\n");
    assert_eq!(client.response().status, 400, "a header without a colon is answered");
    gateway.get("/v1/models").ok();
    assert_eq!(upstream.count(), 0);
}

#[test]
fn content_length_with_transfer_encoding_is_refused() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    let body = chat("m");
    client.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n",
        body.len()
    ));
    let said = client.rest();
    // Refused, or read as chunked and then closed (RFC 9112 6.3): either way, what follows is never a second request.
    assert!(said.matches("HTTP/1.1 ").count() == 1, "{said}");
    assert!(said.starts_with("HTTP/1.1 400 ") || upstream.count() == 1, "{said}");
}

#[test]
fn two_content_lengths_are_refused() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for lengths in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: -1\r\n",
        "content-length: +5\r\n",
        "content-length: abc\r\n",
    ] {
        let mut client = gateway.client();
        client.send(format!("POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\n{lengths}\r\nhello!"));
        let _ = client.tcp.shutdown(std::net::Shutdown::Write);
        let said = client.rest();
        assert!(said.starts_with("HTTP/1.1 400 "), "{lengths:?}: {said:?}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn unknown_transfer_codings_are_refused() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for coding in ["gzip", "chunked, gzip", "xchunked", "chunked, chunked"] {
        let mut client = gateway.client();
        client.send(format!(
            "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n"
        ));
        let _ = client.tcp.shutdown(std::net::Shutdown::Write);
        let said = client.rest();
        assert!(
            said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 501"),
            "{coding}: {said:?}"
        );
    }
}

#[test]
fn broken_chunk_framing_is_400() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for body in [
        "ZZ\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nx",
    ] {
        let mut client = gateway.client();
        client.send(format!(
            "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        ));
        client.response().expect_error(400, INVALID, "invalid_framing");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn too_many_header_fields_are_431() {
    let (gateway, upstream) = limited("request_header_count: 20");
    let mut client = gateway.client();
    client.post(CHAT_PATH, &"x-many: y\r\n".repeat(30), chat("m"));
    let message = client.response().expect_error(431, INVALID, "headers_too_large");
    assert!(message.contains("at most 20"), "{message}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_header_block_over_the_limit_is_431() {
    let (gateway, upstream) = limited("request_headers: 8KiB");
    let mut client = gateway.client();
    client.post(CHAT_PATH, &format!("x-big: {}\r\n", "y".repeat(10_000)), chat("m"));
    let message = client.response().expect_error(431, INVALID, "headers_too_large");
    assert!(message.contains("at most 8192"), "{message}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_endless_header_block_is_cut_off() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.send("GET /v1/models HTTP/1.1\r\n");
    let mut sent = 0;
    while client
        .try_send("x-bomb: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100))
        .is_ok()
    {
        sent += 6_000;
        assert!(sent < 16_000_000, "it takes any number of header bytes");
    }
    gateway.get("/v1/models").ok();
}

#[test]
fn the_header_deadline_holds_for_the_second_request_too_and_not_for_idling() {
    let (gateway, _upstream) = limited("header_timeout: 400ms");
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n");
        client.response().ok();
        // Longer than the deadline, idle: allowed.
        std::thread::sleep(Duration::from_millis(600));
    }
    let began = Instant::now();
    client.send("GET /v1/mod");
    assert!(client.closes() || began.elapsed() < Duration::from_secs(3));
    assert!(
        (0.3..3.0).contains(&began.elapsed().as_secs_f64()),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_slow_body_is_408() {
    let (gateway, upstream) = limited("body_timeout: 500ms");
    let mut client = gateway.client();
    client.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 100\r\n\r\n{{"
    ));
    let mut dripping = client.tcp.try_clone().unwrap();
    let done = Gate::default();
    std::thread::spawn(move || {
        for _ in 0..60 {
            if dripping.write_all(b" ").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        done.open();
    });
    let began = Instant::now();
    client.response().expect_error(408, INVALID, "request_timeout");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn wrong_json_is_told_with_its_position() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for (body, position) in [
        ("{\n  \"model\": \"m\",\n  \"x\": tru\n}", "line 3, column"),
        ("{\"model\":\"m\",}", "line 1, column 14"),
        ("{\"model\":\"m\"} extra", "line 1, column 15"),
        ("[1,2]", "line 1, column 1"),
        ("", "line 1, column 1"),
        ("{\"model\":\"m", "line 1, column"),
        ("{\"model\":'m'}", "line 1, column 10"),
        ("{\"model\":\"m\",\"n\":01}", "line 1, column"),
        ("{\"model\":\"m\",\"s\":\"a\nb\"}", "line 1, column"),
        ("\u{feff}{\"model\":\"m\"}", "line 1, column 1"),
    ] {
        let message = gateway.post(CHAT_PATH, body).expect_error(400, INVALID, "invalid_json");
        assert!(message.contains(position), "{body:?}: {message}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_missing_or_wrong_typed_field_is_named() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for (body, code, param) in [
        (r#"{"messages":[]}"#, "missing_required_parameter", "model"),
        (r#"{"model":7}"#, "invalid_type", "model"),
        (r#"{"model":null}"#, "invalid_type", "model"),
        (r#"{"model":["m"]}"#, "invalid_type", "model"),
        (r#"{"model":""}"#, "invalid_value", "model"),
        (r#"{"model":"\ud800"}"#, "invalid_value", "model"),
        (r#"{"model":"m","stream":"yes"}"#, "invalid_type", "stream"),
        (r#"{"model":"m","stream":1}"#, "invalid_type", "stream"),
        (
            r#"{"model":"m","stream":true,"stream_options":3}"#,
            "invalid_type",
            "stream_options",
        ),
        (r#"{"model":"m","model":"n"}"#, "duplicate_field", "model"),
        (r#"{"model":"m","mod\u0065l":"n"}"#, "duplicate_field", "model"),
    ] {
        let response = gateway.post(CHAT_PATH, body);
        response.expect_error(400, INVALID, code);
        assert_eq!(response.json()["error"]["param"], param, "{body}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn deep_nesting_is_400() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let deep = |n: usize| format!(r#"{{"model":"m","x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    gateway.post(CHAT_PATH, deep(100)).ok();
    for n in [200, 1_000_000] {
        let message = gateway
            .post(CHAT_PATH, deep(n))
            .expect_error(400, INVALID, "invalid_json");
        assert!(message.contains("deep"), "{message}");
    }
}

#[test]
fn invalid_utf8_is_400_with_its_offset() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let message = gateway
        .post(CHAT_PATH, b"{\"model\":\"m\",\"x\":\"\xff\"}")
        .expect_error(400, INVALID, "invalid_utf8");
    assert!(message.contains("offset 18"), "{message}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn no_body_at_all_is_400() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.send(format!("POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\n\r\n"));
    client.response().expect_error(400, INVALID, "invalid_json");
}

#[test]
fn an_unknown_model_is_404_and_near_names_are_offered() {
    let upstream = Upstream::ok();
    let body = gateway::one(&upstream).replace("  m: {", "  gpt-4o-mini: {");
    let gateway = Gateway::with(body);
    let response = gateway.post(CHAT_PATH, chat("gpt-4o-mimi"));
    let message = response.expect_error(404, INVALID, "model_not_found");
    assert!(message.contains("gpt-4o-mini"), "{message}");
    assert_eq!(response.json()["error"]["param"], "model");
    let message = gateway
        .post(CHAT_PATH, chat("zzzzzzzzzzzzzzzz"))
        .expect_error(404, INVALID, "model_not_found");
    assert!(message.contains("/v1/models"), "{message}");
    // A hostile name does not become a novel.
    let long = "z".repeat(100_000);
    let message = gateway
        .post(CHAT_PATH, chat(&long))
        .expect_error(404, INVALID, "model_not_found");
    assert!(message.len() < 400, "{}", message.len());
}

#[test]
fn an_unknown_path_is_404() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for path in [
        "/",
        "/v2/chat/completions",
        "/v1/files",
        "/v1/chat",
        "/v1/chat/completions/x",
        "/V1/models",
        "//v1/models",
    ] {
        gateway.get(path).expect_error(404, INVALID, "unknown_path");
    }
    for path in ["/v1/../v1/models", "/%2e%2e/etc"] {
        gateway.get(path).expect_error(400, INVALID, "invalid_path");
    }
}

#[test]
fn a_wrong_method_is_405_with_allow() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let response = gateway.get(CHAT_PATH);
    response.expect_error(405, INVALID, "method_not_allowed");
    assert_eq!(response.header("allow"), Some("POST"));
    for (method, path) in [
        ("DELETE", "/v1/models"),
        ("POST", "/v1/models"),
        ("PUT", "/v1/models/m"),
    ] {
        let mut client = gateway.client();
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: g\r\ncontent-length: 0\r\n\r\n"
        ));
        let response = client.response();
        response.expect_error(405, INVALID, "method_not_allowed");
        assert!(response.header("allow").unwrap().contains("GET"));
    }
}

#[test]
fn a_body_over_the_limit_is_413_before_it_is_read() {
    let (gateway, upstream) = limited("request_body: 100KiB");
    let mut client = gateway.client();
    // Only the head is sent: the answer cannot have waited for the body.
    client.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 200000\r\n\r\n"
    ));
    let response = client.response();
    let message = response.expect_error(413, INVALID, "payload_too_large");
    assert!(message.contains("102400"), "{message}");
    assert!(client.closes());
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_chunked_body_over_the_limit_is_413() {
    let (gateway, upstream) = limited("request_body: 100KiB");
    let mut client = gateway.client();
    client.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n"
    ));
    let piece = format!("2000\r\n{}\r\n", " ".repeat(0x2000));
    for _ in 0..13 {
        client.send(&piece);
    }
    client.response().expect_error(413, INVALID, "payload_too_large");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_body_just_at_the_limit_passes() {
    let (gateway, upstream) = limited("request_body: 100KiB");
    let mut body = chat("m");
    body.push_str(&" ".repeat(102_400 - body.len()));
    gateway.post(CHAT_PATH, &body).ok();
    assert_eq!(upstream.request().body.len(), 102_401);
    body.push(' ');
    gateway
        .post(CHAT_PATH, &body)
        .expect_error(413, INVALID, "payload_too_large");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_gzip_bomb_is_413() {
    let (gateway, upstream) = limited("request_body: 1MiB");
    let bomb = gzip(&vec![b' '; 100_000_000]);
    assert!(bomb.len() < 200_000);
    let before = gateway.metric("cirque_process_resident_memory_bytes", &[]);
    gateway
        .post_with(CHAT_PATH, "content-encoding: gzip\r\n", &bomb)
        .expect_error(413, INVALID, "payload_too_large");
    let after = gateway.metric("cirque_process_resident_memory_bytes", &[]);
    assert!(after < before + 30e6, "{before} {after}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn broken_gzip_is_400() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let whole = gzip(chat("m").as_bytes());
    for bytes in [&b"not gzip at all"[..], &whole[..whole.len() - 6]] {
        gateway
            .post_with(CHAT_PATH, "content-encoding: gzip\r\n", bytes)
            .expect_error(400, INVALID, "invalid_gzip");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_unknown_content_encoding_is_415() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for encoding in ["br", "zstd", "gzip, gzip", "deflate"] {
        let headers = format!("content-encoding: {encoding}\r\n");
        gateway
            .post_with(CHAT_PATH, &headers, chat("m"))
            .expect_error(415, INVALID, "unsupported_content_encoding");
    }
    gateway
        .post_with(CHAT_PATH, "content-encoding: identity\r\n", chat("m"))
        .ok();
}

#[test]
fn a_truncated_upload_reaches_nobody_and_is_logged() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\nx-request-id: truncated-1\r\ncontent-length: 500\r\n\r\n{}",
        chat("m")
    ));
    drop(client);
    let line = gateway.access("truncated-1");
    assert_eq!(
        (line["status"].as_u64(), line["error"].as_str()),
        (Some(499), Some("client_left"))
    );
    assert_eq!(upstream.count(), 0);
}

#[test]
fn beyond_the_buffered_bytes_it_is_503_until_there_is_room() {
    let gate = Gate::default();
    let upstream = Upstream::script({
        let gate = gate.clone();
        move |conn| {
            while conn.request().is_some() {
                gate.wait();
                conn.send(crate::support::upstream::json_answer(
                    200,
                    crate::support::upstream::CHAT,
                ));
            }
        }
    });
    let body = gateway::one(&upstream).replace("first_byte: 600ms", "first_byte: 3s");
    let limits = "limits: { buffered_bytes: 1MiB, request_body: 1MiB, response_body: 1MiB }\n";
    let gateway = Builder::new(format!("{limits}{body}")).start();
    let big = format!(r#"{{"model":"m","x":"{}"}}"#, "y".repeat(700_000));
    let mut first = gateway.client();
    first.send(post(CHAT_PATH, "", &big));
    eventually("the first is in flight", || (upstream.count() == 1).then_some(()));
    let second = gateway.post(CHAT_PATH, &big);
    second.expect_error(503, "upstream_error", "overloaded");
    assert_eq!(second.header("retry-after"), Some("1"));
    gate.open();
    first.response().ok();
    // The room is given back just after the answer was written.
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    gateway.post(CHAT_PATH, &big).ok();
    gateway.wait_metric("cirque_buffered_bytes", &[], 0.0);
}
