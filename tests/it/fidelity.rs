//! Bytes: what goes upstream is what the client sent with `model` spliced, what comes back is what the provider sent.

use crate::support::client::{Client, chat, chat_stream, post};
use crate::support::gateway::{self, Builder};
use crate::support::upstream::{CHAT, CHUNK, DONE, FINISH, USAGE, json_answer};
use crate::support::{Gateway, Upstream};
use std::io::Write;

#[test]
fn only_the_model_is_spliced_into_an_odd_body() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let sent = "{ \"z_unknown\" : [1.0e2, 1E+2, -0.0, 10000000000000000000001],\r\n\t\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\\/\\\"model\\\" é\"}] ,\"model\" :\"n\", \"temperature\":0.10 ,\"a\":{\"model\":\"n\"} }\n";
    let response = gateway.post("/v1/chat/completions", sent).ok();
    assert_eq!(response.text(), CHAT, "response bytes are unchanged");
    let got = upstream.request();
    assert_eq!(got.text(), sent.replace("\"model\" :\"n\"", "\"model\" :\"up\""));
    assert_eq!(got.header("content-length"), Some(got.body.len().to_string().as_str()));
    assert_eq!(got.header("transfer-encoding"), None);
    assert_eq!(got.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(got.header("host"), Some(upstream.address.to_string().as_str()));
}

#[test]
fn the_same_model_name_leaves_the_body_identical() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let sent = "\n {\"model\":\"\\u0075p\",\"messages\":[]}  ";
    gateway.post("/v1/chat/completions", sent).ok();
    assert_eq!(upstream.request().text(), sent);
}

#[test]
fn a_large_body_is_spliced_too() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let text = "x".repeat(3_000_000);
    let sent = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    gateway.post("/v1/chat/completions", &sent).ok();
    assert!(upstream.request().text() == sent.replacen("\"m\"", "\"up\"", 1));
}

#[test]
fn no_credential_cookie_or_trail_of_the_client_goes_upstream_but_our_key_does() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let headers = "authorization: Bearer CLIENTSECRET\r\nx-api-key: CLIENTSECRET\r\napi-key: CLIENTSECRET\r\n\
                   cookie: CLIENTSECRET=1\r\nx-forwarded-for: 10.1.2.3\r\nforwarded: for=10.1.2.3\r\nx-real-ip: 10.1.2.3\r\n\
                   openai-organization: CLIENTSECRET\r\nx-custom: CLIENTSECRET\r\nopenai-beta: assistants=v2\r\n";
    gateway.post_with("/v1/chat/completions", headers, chat("m")).ok();
    let got = upstream.request();
    let head = String::from_utf8_lossy(&got.head).into_owned();
    assert!(!head.contains("CLIENTSECRET") && !head.contains("10.1.2.3"), "{head}");
    assert_eq!(got.header("authorization"), Some("Bearer sk-ours"));
    assert_eq!(got.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(got.header("content-type"), Some("application/json"));
}

#[test]
fn response_headers_of_the_provider_stay_with_us() {
    let upstream = Upstream::always(crate::support::upstream::answer(
        200,
        "content-type: application/json\r\nset-cookie: a=b\r\nopenai-organization: org-secret\r\n",
        CHAT,
    ));
    let gateway = Gateway::before(&upstream);
    let response = gateway.chat().ok();
    assert_eq!(response.header("set-cookie"), None);
    assert_eq!(response.header("openai-organization"), None);
    assert_eq!(response.header("x-cirque-model"), Some("m"));
    assert_eq!(response.header("x-cirque-target"), Some("p/up"));
    assert_eq!(response.header("x-cirque-attempts"), Some("1"));
}

#[test]
fn a_vendor_by_name_is_asked_as_its_row_says() {
    let upstream = Upstream::streaming();
    let gateway = Gateway::with(format!(
        "providers:\n  g: {{ kind: groq, base_url: \"{url}\" }}\n  p: {{ kind: perplexity, base_url: \"{url}\" }}\n\
         models:\n  groq: {{ targets: [ {{ provider: g }} ] }}\n  sonar: {{ targets: [ {{ provider: p }} ] }}\n",
        url = upstream.url()
    ));
    for (model, asked) in [("groq", true), ("sonar", false)] {
        gateway
            .post(
                "/v1/chat/completions",
                format!(r#"{{"model":"{model}","stream":true}}"#),
            )
            .ok();
        let body = upstream.requests().pop().unwrap();
        assert_eq!(body.text().contains("include_usage"), asked, "{model}");
    }
}

#[test]
fn usage_is_asked_for_on_streams_and_the_extra_chunk_withheld() {
    let upstream = Upstream::streaming();
    let gateway = Gateway::before(&upstream);
    let response = gateway.stream().ok();
    assert_eq!(response.text(), [CHUNK, FINISH, DONE].concat());
    let sent = chat_stream("up");
    assert_eq!(
        upstream.request().text(),
        sent.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1)
    );
}

#[test]
fn a_client_that_asked_for_usage_gets_every_byte() {
    let upstream = Upstream::streaming();
    let gateway = Gateway::before(&upstream);
    let sent = r#"{"model":"up","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let response = gateway.post("/v1/chat/completions", sent).ok();
    assert_eq!(response.text(), [CHUNK, FINISH, USAGE, DONE].concat());
    assert_eq!(upstream.request().text(), sent);
    assert!(
        response
            .header("content-type")
            .unwrap()
            .starts_with("text/event-stream")
    );
}

#[test]
fn odd_but_legal_event_framing_passes_byte_for_byte() {
    let odd = [
        ": ping\r\n\r\n",
        "event: x\ndata:{\"choices\":[{\"delta\":{}}]}\r\r",
        CHUNK,
        "id: 7\nretry: 1\n\n",
        FINISH,
        DONE,
    ]
    .concat();
    let upstream = Upstream::script({
        let odd = odd.clone();
        move |conn| {
            while conn.request().is_some() {
                conn.stream_head();
                for byte in odd.as_bytes().chunks(3) {
                    conn.chunk(byte);
                }
                conn.send("0\r\n\r\n");
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.stream().ok().text(), odd);
}

#[test]
fn the_other_operations_have_their_paths() {
    let embedding = r#"{"object":"list","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let upstream = Upstream::always(json_answer(200, embedding));
    let gateway = Gateway::before(&upstream);
    for path in ["/v1/embeddings", "/v1/completions", "/v1/moderations"] {
        let response = gateway.post(path, r#"{"input":"x","prompt":"x","model":"m"}"#).ok();
        assert_eq!(response.text(), embedding);
    }
    let got: Vec<_> = upstream.requests().iter().map(|r| r.line.clone()).collect();
    let want = ["embeddings", "completions", "moderations"].map(|p| format!("POST /v1/{p} HTTP/1.1"));
    assert_eq!(got, want);
    assert!(
        upstream
            .requests()
            .iter()
            .all(|r| r.text() == r#"{"input":"x","prompt":"x","model":"up"}"#)
    );
}

#[test]
fn legacy_completions_stream() {
    let upstream = Upstream::streaming();
    let gateway = Gateway::before(&upstream);
    let response = gateway
        .post("/v1/completions", r#"{"model":"m","prompt":"x","stream":true}"#)
        .ok();
    assert_eq!(response.text(), [CHUNK, FINISH, DONE].concat());
}

#[test]
fn a_gzip_body_is_inflated() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(chat("m").as_bytes()).unwrap();
    let response = gateway.post_with(
        "/v1/chat/completions",
        "content-encoding: gzip\r\n",
        packer.finish().unwrap(),
    );
    response.ok();
    let got = upstream.request();
    assert_eq!(got.text(), chat("up"));
    assert_eq!(got.header("content-encoding"), None);
}

#[test]
fn a_chunked_body_goes_upstream_with_its_length() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in chat("m").as_bytes().chunks(7) {
        client.send(format!("{:X};ext=1\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    client.response().ok();
    let got = upstream.request();
    assert_eq!(got.text(), chat("up"));
    assert_eq!(got.header("content-length"), Some(got.body.len().to_string().as_str()));
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    let request = post("/v1/chat/completions", "expect: 100-continue\r\n", chat("m"));
    let (head, body) = request.split_at(request.len() - chat("m").len());
    client.send(head);
    assert_eq!(client.head().status, 100);
    client.send(body);
    client.response().ok();
    assert_eq!(upstream.request().header("expect"), None);
}

#[test]
fn expect_100_continue_with_a_body_over_the_limit_is_refused_before_it_is_sent() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n",
    );
    client
        .response()
        .expect_error(413, "invalid_request_error", "payload_too_large");
}

#[test]
fn an_http_1_0_client_is_answered_and_closed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.send(
        String::from_utf8(post("/v1/chat/completions", "", chat("m")))
            .unwrap()
            .replace("HTTP/1.1", "HTTP/1.0"),
    );
    let response = client.response().ok();
    assert_eq!(response.text(), CHAT);
    assert_eq!(response.header("transfer-encoding"), None);
    assert!(client.closes());
}

#[test]
fn an_http_1_0_client_gets_its_stream_unchunked() {
    let upstream = Upstream::streaming();
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.client();
    client.send(
        String::from_utf8(post("/v1/chat/completions", "", chat_stream("m")))
            .unwrap()
            .replace("HTTP/1.1", "HTTP/1.0"),
    );
    let head = client.head();
    assert_eq!((head.status, head.header("transfer-encoding")), (200, None));
    assert_eq!(client.rest(), [CHUNK, FINISH, DONE].concat());
}

#[test]
fn models_are_listed_shown_and_headed() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let list = gateway.get("/v1/models").ok().json();
    assert_eq!(list["object"], "list");
    let names: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"m".to_owned()), "{names:?}");
    let one = gateway.get("/v1/models/m").ok().json();
    assert_eq!((one["id"].as_str(), one["object"].as_str()), (Some("m"), Some("model")));
    gateway
        .get("/v1/models/none")
        .expect_error(404, "invalid_request_error", "model_not_found");

    let mut client = gateway.client();
    client.send("HEAD /v1/models HTTP/1.1\r\nhost: g\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 200);
    assert!(head.header("content-length").is_some());
    // No body followed, and the connection goes on.
    client.send("GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n");
    client.response().ok();
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_wildcard_model_is_expanded() {
    let upstream = Upstream::ok();
    let body = format!(
        "{}providers:\n  p: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  'local/*': {{ targets: [ {{ provider: p, model: '*' }} ] }}\n",
        gateway::TIMEOUTS,
        upstream.url()
    );
    let gateway = Gateway::with(body);
    gateway.post("/v1/chat/completions", chat("local/llama3")).ok();
    let got = upstream.request();
    assert_eq!(got.text(), chat("llama3"));
    assert_eq!(got.header("authorization"), None, "no key is configured");
}

#[test]
fn configured_headers_and_path_go_upstream() {
    let upstream = Upstream::ok();
    let body = format!(
        "{}providers:\n  p: {{ kind: openai, base_url: \"http://{}/deep/api/\", headers: {{ x-extra: env:EXTRA }} }}\nmodels:\n  m: {{ targets: [ {{ provider: p }} ] }}\n",
        gateway::TIMEOUTS,
        upstream.address
    );
    let gateway = Builder::new(body).env("EXTRA", "extra-value").start();
    gateway.chat().ok();
    let got = upstream.request();
    assert_eq!(got.line, "POST /deep/api/chat/completions HTTP/1.1");
    assert_eq!(got.header("x-extra"), Some("extra-value"));
    assert_eq!(got.text(), chat("m"));
}

#[test]
fn a_reused_client_connection_serves_one_request_after_another() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let mut client: Client = gateway.client();
    for _ in 0..5 {
        client.post("/v1/chat/completions", "", chat("m"));
        assert_eq!(client.response().ok().text(), CHAT);
        client.post("/v1/chat/completions", "", "{");
        client
            .response()
            .expect_error(400, "invalid_request_error", "invalid_json");
    }
    assert_eq!(upstream.count(), 5);
}

#[test]
fn a_stream_without_length_or_chunks_ends_with_its_connection() {
    let upstream = Upstream::once_then_close(
        [
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".as_slice(),
            CHUNK.as_bytes(),
            FINISH.as_bytes(),
            DONE.as_bytes(),
        ]
        .concat(),
    );
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.stream().ok().text(), [CHUNK, FINISH, DONE].concat());
}
