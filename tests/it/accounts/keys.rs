//! Virtual keys: where they are carried, made, changed and withdrawn; what those read who have none.

use super::*;
use crate::support::client::post;
use crate::support::eventually;
use crate::support::gateway::one;

const FILE: &str = "keys: { k: { secret: env:KEY } }";
const CHAT: &str = "/v1/chat/completions";
/// Well-formed foreign secret that is nobody's.
const NOBODY: &str = "nobodys-0123456789-0123456789";

#[test]
fn a_key_is_found_wherever_an_sdk_puts_it() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, FILE);
    let made = make_key(&gateway, "run-time", json!({}));
    assert!(made.starts_with("cq-") && made.len() == 52, "the form of keys");
    for key in [KEY, &made] {
        for headers in [
            bearer(key),
            format!("authorization: bearer {key}\r\n"),
            format!("x-api-key: {key}\r\n"),
            format!("api-key: {key}\r\n"),
            format!("x-goog-api-key: {key}\r\n"),
            // The same in two places is one.
            format!("authorization: Bearer {key}\r\nx-api-key: {key}\r\n"),
            // A proxy's own.
            format!("authorization: Basic dXNlcjpwYXNz\r\nx-api-key: {key}\r\n"),
        ] {
            gateway.post_with(CHAT, &headers, chat("m")).ok();
        }
        gateway.post(&format!("{CHAT}?key={key}"), chat("m")).ok();
    }
    for request in upstream.requests() {
        let head = String::from_utf8_lossy(&request.head).into_owned();
        assert!(!head.contains(KEY) && !head.contains(&made), "{head}");
        assert_eq!(request.header("authorization"), Some("Bearer sk-ours"));
    }
}

#[test]
fn who_is_not_known_reads_the_same_whoever_it_was() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, FILE);
    let revoked = make_key(&gateway, "r", json!({}));
    chat_as(&gateway, &revoked).ok();
    admin(&gateway, "POST", "/admin/v1/keys/r/revoke", &Value::Null).ok();
    let deleted = make_key(&gateway, "d", json!({}));
    admin(&gateway, "DELETE", "/admin/v1/keys/d", &Value::Null).ok();
    let never = cirque::auth::token::generate().unwrap();
    let mut told = Vec::new();
    for key in [&*revoked, &*deleted, never.expose(), NOBODY] {
        let answer = chat_as(&gateway, key);
        told.push(answer.expect_error(401, "authentication_error", "invalid_api_key"));
    }
    told.dedup();
    assert_eq!(told, ["the key is not known here, or it was revoked"]);
    let text = chat_as(&gateway, &format!("{}x", &made_up(&revoked))).expect_error(
        401,
        "authentication_error",
        "invalid_api_key",
    );
    assert!(text.contains("checksum") && !text.contains(&revoked[3..20]), "{text}");
    for wrong in [
        "short",
        "with spaces in it, and long",
        "ünreadable-0123456789-0123456789",
    ] {
        let text = chat_as(&gateway, wrong).expect_error(401, "authentication_error", "invalid_api_key");
        assert!(!text.contains(wrong), "{text}");
    }
    let text = gateway
        .post_with(CHAT, "authorization: Basic dXNlcjpwYXNz\r\n", chat("m"))
        .expect_error(401, "authentication_error", "invalid_api_key");
    assert!(text.contains("Bearer"), "{text}");
    let several = format!("{}x-api-key: {NOBODY}\r\n", bearer(KEY));
    gateway
        .post_with(CHAT, &several, chat("m"))
        .expect_error(400, "invalid_request_error", "ambiguous_credentials");
    // Of who is nobody there are no records, and nobody was asked.
    assert_eq!(upstream.count(), 1);
    chat_as(&gateway, KEY).ok();
    records(&gateway, 2, "");
    assert!(gateway.metric("cirque_auth_failures_total", &["reason=\"unknown\""]) >= 4.0);
}

/// Another last character but one.
fn made_up(key: &str) -> String {
    key[..key.len() - 1].to_owned()
}

#[test]
fn every_dialect_hears_of_it_in_its_own_words() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, FILE);
    let ask = |path: &str| gateway.post_with(path, &bearer(NOBODY), chat("m"));
    let answer = ask("/v1/responses");
    answer.expect_error(401, "authentication_error", "invalid_api_key");
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let answer = ask(path);
        assert_eq!(answer.status, 401);
        let json = answer.json();
        assert_eq!(
            (&json["type"], &json["error"]["type"]),
            (&json!("error"), &json!("authentication_error"))
        );
    }
    let answer = ask("/v1beta/models/m:generateContent");
    assert_eq!(
        (answer.status, &answer.json()["error"]["status"]),
        (401, &json!("UNAUTHENTICATED"))
    );
    let answer = ask("/v2/rerank");
    assert_eq!(answer.status, 401);
    assert!(answer.json()["message"].is_string());
}

#[test]
fn keys_are_rotated_disabled_and_revoked_while_they_are_used() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, FILE);
    let act = |action: &str, body: Value| admin(&gateway, "POST", &format!("/admin/v1/keys/r/{action}"), &body).ok();
    let first = make_key(&gateway, "r", json!({}));
    let second = act("rotate", json!({"overlap": "1h"})).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    chat_as(&gateway, &first).ok();
    chat_as(&gateway, &second).ok();
    let third = act("rotate", json!({"overlap": "1s"})).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    chat_as(&gateway, &third).ok();
    eventually("the overlap is over", || {
        let dead = [&first, &second].map(|key| chat_as(&gateway, key).status);
        (dead == [401, 401]).then_some(())
    });
    let fourth = act("rotate", json!({"overlap": "0s"})).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(chat_as(&gateway, &third).status, 401);
    act("disable", Value::Null);
    chat_as(&gateway, &fourth).expect_error(401, "authentication_error", "disabled");
    act("enable", Value::Null);
    chat_as(&gateway, &fourth).ok();
    act("revoke", Value::Null);
    chat_as(&gateway, &fourth).expect_error(401, "authentication_error", "invalid_api_key");
    // What is over stays over, also for the next process.
    let mut gateway = gateway;
    gateway.kill_and_restart();
    for key in [&first, &second, &third, &fourth] {
        assert_eq!(chat_as(&gateway, key).status, 401);
    }
    chat_as(&gateway, KEY).ok();
}

#[test]
fn keys_of_the_store_outlive_the_process_and_are_held_as_hashes() {
    let upstream = Upstream::ok();
    let mut gateway = gateway(&upstream, FILE);
    let made = make_key(&gateway, "r", json!({}));
    gateway.kill_and_restart();
    chat_as(&gateway, &made).ok();
    gateway.signal("TERM");
    gateway.wait_exit();
    for file in walk(&gateway.directory) {
        let bytes = std::fs::read(&file).unwrap();
        let holds = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
        assert!(!holds(&made) && !holds(&made[4..40]), "{}", file.display());
    }
}

/// All files below.
pub fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

#[test]
fn with_open_access_a_key_still_says_who_it_is() {
    let upstream = Upstream::ok();
    let text = format!("{}{FILE}\n", one(&upstream));
    let gateway = Builder::new(text).env("KEY", KEY).env("OWNER", OWNER);
    let gateway = gateway
        .admin("operators: { root: { role: owner, token: env:OWNER } }")
        .start();
    gateway.chat().ok();
    // What clients without a key of ours send besides.
    for headers in [
        bearer("sk-something-of-theirs-0123456789"),
        bearer("none"),
        "authorization: Basic eDp5\r\n".into(),
    ] {
        gateway.post_with(CHAT, &headers, chat("m")).ok();
    }
    chat_as(&gateway, KEY).ok();
    let revoked = make_key(&gateway, "r", json!({}));
    admin(&gateway, "POST", "/admin/v1/keys/r/revoke", &Value::Null).ok();
    assert_eq!(
        chat_as(&gateway, &revoked).status,
        401,
        "one of ours that opens nothing"
    );
    let rows = records(&gateway, 5, "");
    let mut keys: Vec<_> = rows.iter().map(|row| row["tenant"]["key"].as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, [None, None, None, None, Some("k")]);
}

#[test]
fn the_file_is_read_anew_at_sighup_and_owns_its_names() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, FILE);
    let made = make_key(&gateway, "late", json!({"tags": ["of-the-store"]}));
    chat_as(&gateway, &made).ok();
    // The file declares the name: the store's is shadowed.
    gateway.edit(|text| text.replace(FILE, "keys: { late: { secret: env:KEY, tags: [ of-the-file ] } }"));
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 1.0);
    chat_as(&gateway, KEY).ok();
    assert_eq!(chat_as(&gateway, &made).status, 401, "shadowed");
    let shown = read(&gateway, "/admin/v1/keys/late");
    assert_eq!(
        (&shown["origin"], &shown["shadows_store"]),
        (&json!("file"), &json!(true))
    );
    let refused = admin(&gateway, "POST", "/admin/v1/keys/late/revoke", &Value::Null);
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (409, &json!("declared_in_file"))
    );
    let refused = admin(&gateway, "POST", "/admin/v1/keys", &json!({"name": "late"}));
    assert_eq!(refused.status, 409);
    // A file that does not hold changes nothing.
    let good = std::fs::read_to_string(&gateway.config).unwrap();
    gateway.edit(|text| text.replace("env:KEY", "env:NOT_THERE"));
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 0.0);
    chat_as(&gateway, KEY).ok();
    // Without the declaration the store's is back.
    gateway.edit(|_| good.replace("keys: { late: { secret: env:KEY, tags: [ of-the-file ] } }", ""));
    gateway.reload();
    assert_eq!(chat_as(&gateway, KEY).status, 401);
    chat_as(&gateway, &made).ok();
    let tags: Vec<Value> = records(&gateway, 4, "").iter().map(|row| row["tags"].clone()).collect();
    assert_eq!(
        tags,
        [
            json!(["of-the-store"]),
            json!(["of-the-file"]),
            json!(["of-the-file"]),
            json!(["of-the-store"])
        ]
    );
}

#[test]
fn an_unknown_key_is_refused_before_its_body_is_read() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, FILE);
    let mut client = gateway.client();
    let whole = post(CHAT, &bearer(NOBODY), vec![b'x'; 1 << 20]);
    client.send(&whole[..whole.len() - (1 << 20)]);
    assert_eq!(client.response().status, 401);
}
