//! Secrets nobody else has, sent through everything that can go wrong, and then looked for in everything that comes out.

use super::keys::walk;
use super::*;
use crate::jwt::signing::SigningKey;
use crate::support::upstream::{CHUNK, Conn, Recorded, answer, json_answer};

const CHAT: &str = "/v1/chat/completions";
const PROVIDER: &str = "sk-canary7provider-9d1f4a6e2b8c4073";
const FILE: &str = "canary7file-9d1f4a6e2b8c4073-aa";

/// A provider that shows everybody what it was sent, in every way an answer can.
fn indiscreet(conn: &mut Conn, request: &Recorded) -> bool {
    let secret = request.header("authorization").unwrap_or_default().to_owned();
    let told = format!(
        r#"{{"error":{{"message":"no good: {secret}","type":"invalid_request_error","param":null,"code":"{secret}"}}}}"#
    );
    let text = request.text();
    let status = |status: u16, conn: &mut Conn| conn.send(json_answer(status, &told));
    for code in [400_u16, 401, 403, 404, 422, 429, 500, 503] {
        if text.contains(&format!("status {code}.")) {
            return status(code, conn);
        }
    }
    if text.contains("html") {
        return conn.send(answer(500, "content-type: text/html\r\n", &format!("<b>{secret}</b>")));
    }
    if text.contains("broken") {
        return conn.send(json_answer(200, &format!("{{\"{secret}\":")));
    }
    if text.contains("headers") {
        let head = format!(
            "content-type: application/json\r\nx-echo: {secret}\r\nx-request-id: {secret}\r\nset-cookie: k={secret}\r\n"
        );
        return conn.send(answer(200, &head, crate::support::upstream::CHAT));
    }
    if text.contains("\"stream\":true") {
        conn.stream_head();
        conn.chunk(CHUNK);
        conn.chunk(format!("data: {told}\n\n"));
        conn.chunk("");
        return false;
    }
    conn.send(json_answer(200, crate::support::upstream::CHAT))
}

#[test]
fn no_secret_comes_out_anywhere() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            if !indiscreet(conn, &request) {
                return;
            }
        }
    });
    let signer = SigningKey::p256();
    let text = format!(
        "{}passthrough: [ {{ path: /v1/files, pool: m }} ]\nteams: {{ t: {{}} }}\n\
         keys: {{ k: {{ secret: env:FILE_KEY, team: t, limits: [ {{ requests: 1000 }} ], budgets: [ {{ usd: \"1000\" }} ] }} }}\n\
         auth: {{ jwt: {{ login: {{ issuer: \"https://login.example\", jwks_file: JWKS, audiences: [ g ], team: t }} }} }}\n",
        priced(&upstream)
    );
    let mut builder = builder(text).env("UP_KEY", PROVIDER).env("FILE_KEY", FILE);
    let jwks = builder.file("keys.json", &json!({"keys": [signer.jwk("k1")]}).to_string());
    builder.body = builder.body.replace("JWKS", &jwks.display().to_string());
    let gateway = builder.start();
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({"iss": "https://login.example", "aud": "g", "sub": "ann", "iat": now, "exp": now + 600});
    let jwt = signer.token(&json!({"alg": "ES256", "kid": "k1"}), &claims);
    let made = make_key(&gateway, "made", json!({"team": "t"}));
    let rotated = admin(&gateway, "POST", "/admin/v1/keys/made/rotate", &json!({})).ok();
    let rotated = rotated.json()["secret"].as_str().unwrap().to_owned();
    let revoked = make_key(&gateway, "gone", json!({}));
    admin(&gateway, "POST", "/admin/v1/keys/gone/revoke", &Value::Null).ok();
    let mut out: Vec<(String, String)> = Vec::new();
    let mut keep = |what: String, answer: &Response| {
        out.push((what, format!("{:?}\n{}", answer.headers, answer.text())));
        // What the provider does here would have it left alone.
        admin(&gateway, "POST", "/admin/v1/targets/p/up/reset", &Value::Null);
    };
    for key in [FILE, &made, &rotated, &jwt, &revoked] {
        for what in [
            "status 400.",
            "status 401.",
            "status 403.",
            "status 404.",
            "status 422.",
            "status 429.",
            "status 500.",
            "status 503.",
            "html",
            "broken",
            "headers",
            "fine",
        ] {
            for stream in [false, true] {
                let request =
                    json!({"messages": [{"role": "user", "content": what}], "stream": stream, "max_tokens": 5});
                let answer = gateway.post_with(CHAT, &bearer(key), body(request.clone()));
                keep(format!("{what} {stream}"), &answer);
                let answer = gateway.post_with("/v1/messages", &format!("x-api-key: {key}\r\n"), body(request));
                keep(format!("messages {what} {stream}"), &answer);
            }
            // An answer of this lane that is no error is not looked at.
            if what != "broken" {
                let answer = gateway.post_with("/v1/files", &bearer(key), what);
                keep(format!("passed {what}"), &answer);
            }
        }
        keep(
            "query".to_owned(),
            &gateway.post(&format!("{CHAT}?key={key}"), chat("m")),
        );
        keep(
            "no path".to_owned(),
            &gateway.post(&format!("/v1/nothing?key={key}"), "{}"),
        );
        keep(
            "passed".to_owned(),
            &gateway.post(&format!("/v1/files?key={key}"), "{}"),
        );
        keep("bad".to_owned(), &gateway.post_with(CHAT, &bearer(key), "{"));
        keep(
            "cut".to_owned(),
            &gateway.post_with(CHAT, &bearer(&key[..key.len() - 2]), chat("m")),
        );
        let two = format!("{}x-api-key: {OWNER}\r\n", bearer(key));
        keep("two".to_owned(), &gateway.post_with(CHAT, &two, chat("m")));
        keep("models".to_owned(), &get_as(&gateway, key, "/v1/models"));
        // At the wrong door.
        let mut client = Client::connect(gateway.admin);
        client.send(format!(
            "GET /admin/v1/keys HTTP/1.1\r\nhost: {}\r\n{}connection: close\r\n\r\n",
            gateway.admin,
            bearer(key)
        ));
        keep("operator".to_owned(), &client.response());
    }
    keep("operator as client".to_owned(), &chat_as(&gateway, OWNER));
    eventually_or("records are stored", || {
        (gateway.metric("cirque_usage_records_waiting", &[]) == 0.0).then_some(())
    });
    let document = read(&gateway, "/admin/v1/openapi.json");
    let mut read_all = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_none() {
            continue;
        }
        for name in ["made", "k", "t", "ann", "p/up", "m", "openai/gpt-4o"] {
            let path = path
                .split('/')
                .map(|part| if part.starts_with('{') { name } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let answer = admin(&gateway, "GET", &path, &Value::Null);
            read_all += usize::from(answer.status == 200);
            keep(path, &answer);
        }
    }
    assert!(read_all > 60, "{read_all} answers of the operator's API");
    for path in [
        "/admin/v1/usage/export",
        "/admin/v1/usage/records?attempts=true&limit=500",
    ] {
        keep(path.to_owned(), &admin(&gateway, "GET", path, &Value::Null).ok());
    }
    out.push(("metrics".to_owned(), gateway.metrics()));
    gateway.reload();
    let mut gateway = gateway;
    let held = files(&gateway);
    gateway.signal("TERM");
    gateway.wait_exit();
    out.push(("stdout".to_owned(), gateway.stdout.text()));
    out.push(("stderr".to_owned(), gateway.stderr.text()));
    assert!(gateway.stdout.text().lines().count() > 100, "there is an access log");
    out.extend(held);
    out.extend(files(&gateway));
    assert!(
        out.iter().any(|(what, _)| what.ends_with("cirque.db")),
        "the store was looked at"
    );
    let mut leaks = Vec::new();
    for secret in [PROVIDER, FILE, OWNER, &made, &rotated, &revoked, &jwt] {
        // Of a long one a part is as bad; the beginning of a key is shown on purpose.
        let part = &secret[secret.len() - 20..];
        let found = out
            .iter()
            .filter(|(_, text)| text.contains(secret) || text.contains(part));
        leaks.extend(found.map(|(what, text)| {
            let at = text.find(part).unwrap();
            let from = (0..=at.saturating_sub(120))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap();
            format!("{what}: {}", &text[from..at])
        }));
    }
    assert!(
        leaks.is_empty(),
        "{} leaks: {:#?}",
        leaks.len(),
        &leaks[..leaks.len().min(30)]
    );
}

/// Everything the process has on disk, as far as it is text.
fn files(gateway: &Gateway) -> Vec<(String, String)> {
    let read = |path: std::path::PathBuf| {
        let bytes = std::fs::read(&path).unwrap_or_default();
        (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
    };
    walk(&gateway.directory).into_iter().map(read).collect()
}

#[test]
fn a_credential_that_comes_in_pieces_is_no_more_whole() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let secret = request.header("authorization").unwrap().to_owned();
            conn.send("HTTP/1.1 400 X\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n");
            let (first, second) = secret.split_at(20);
            for piece in ["before ", first, second, " between ", &secret, " after"] {
                conn.chunk(piece);
            }
            conn.chunk("");
        }
    });
    let text = format!(
        "{}passthrough: [ {{ path: /v1/files, pool: m }} ]\nkeys: {{ k: {{ secret: env:KEY }} }}\n",
        priced(&upstream)
    );
    let gateway = builder(text).env("UP_KEY", PROVIDER).start();
    let answer = gateway.post_with("/v1/files", &bearer(KEY), "{}");
    let text = answer.text();
    assert_eq!((answer.status, answer.complete), (400, true), "{text}");
    // Of the one that was cut its beginning had gone on.
    assert!(!text.contains(PROVIDER) && !text.contains(&PROVIDER[20..]), "{text}");
    assert!(
        text.starts_with("before Bearer ") && text.ends_with(" after") && text.contains(" between Bearer ***"),
        "{text}"
    );
    assert_eq!(
        text.len(),
        "before  between  after".len() + 2 * ("Bearer ".len() + PROVIDER.len())
    );
}
