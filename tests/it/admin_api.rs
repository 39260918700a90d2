//! The tenancy API of the real process, and the commands that speak to it, while no operators are configured.

use crate::admin::{ask, ask_with};
use crate::support::Gateway;
use crate::support::client::{Response, chat};
use crate::support::gateway::Builder;
use serde_json::Value;
use std::process::{Command, Output};

const OWNER: &str = "0123456789abcdef0123456789abcdef";
const DEMO: &str = "providers: { d: { kind: demo } }\nmodels: { demo: { targets: [ { provider: d } ] } }\n";

/// `cirque …` against an admin listener.
fn cirque(admin: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cirque"))
        .args(arguments)
        .env_remove("CIRQUE_ADMIN_TOKEN")
        .env("CIRQUE_ADMIN_URL", admin)
        .output()
        .unwrap()
}

fn told(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), text)
}

#[test]
fn without_operators_tenants_are_nobodys_and_the_way_in_is_told() {
    let gateway = Gateway::with(DEMO.to_owned());
    for (method, path) in [
        ("GET", "/admin/v1/keys"),
        ("POST", "/admin/v1/keys"),
        ("GET", "/admin/v1/usage"),
        ("GET", "/admin/v1/audit"),
        ("GET", "/admin/v1/config"),
    ] {
        let answer = ask(&gateway, method, path, "{}");
        assert_eq!(answer.status, 403, "{method} {path} {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "no_operators", "{method} {path}");
    }
    let document: Value = ask(&gateway, "GET", "/admin/v1/openapi.json", "").ok().json();
    assert_eq!(document["openapi"], "3.1.0");
    let (status, text) = told(&cirque(&format!("http://{}", gateway.admin), &["key", "list"]));
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("no operators are configured") && text.contains("admin.operators"),
        "{text}"
    );
}

#[test]
fn commands_say_why_they_could_not() {
    // A port that nobody listens on: it was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nowhere = format!("http://{free}");
    let (status, text) = told(&cirque(&nowhere, &["budget", "list", "--json"]));
    assert_eq!(status, 3, "{text}");
    assert!(
        text.contains("no gateway answers") && text.contains("CIRQUE_ADMIN_URL"),
        "{text}"
    );
    for (arguments, part) in [
        (
            &["key", "list", "--token", "hunter2-hunter2"][..],
            "never the token itself",
        ),
        (&["team", "create", "t", "--limit", "wishes=3"], "requests=100/1m"),
        (&["team", "update", "t"], "nothing to change"),
        (&["usage", "--only", "nonsense"], "DIMENSION=VALUE"),
        (
            &["key", "create", "k", "--settings", "/nonexistent/file"],
            "/nonexistent/file",
        ),
    ] {
        let (status, text) = told(&cirque(&nowhere, arguments));
        assert_eq!(status, 2, "{arguments:?}: {text}");
        assert!(
            text.contains(part) && !text.contains("hunter2"),
            "{arguments:?}: {text}"
        );
    }
    let (status, text) = told(&cirque("gopher://x", &["audit", "verify"]));
    assert_eq!(status, 2, "{text}");
}

#[test]
fn an_export_that_fails_leaves_no_file() {
    let gateway = Gateway::with(DEMO.to_owned());
    let folder = std::env::temp_dir().join(format!("cirque-export-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let out = folder.join("usage.csv");
    let arguments = ["usage", "export", "--out", out.to_str().unwrap()];
    let (status, text) = told(&cirque(&format!("http://{}", gateway.admin), &arguments));
    assert_eq!(status, 1, "{text}");
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// A gateway with a store, an owner, and a key whose secret is in a file.
fn with_an_owner() -> Gateway {
    let builder = Builder::new("");
    let key = builder.file("key", "a-key-of-another-making-1");
    let token = builder.file("token", OWNER);
    let folder = key.parent().unwrap().to_owned();
    let mut builder = builder.env("STATE_DIRECTORY", folder.to_str().unwrap());
    builder.body = format!("{DEMO}keys: {{ written: {{ secret: \"file:{}\" }} }}\n", key.display());
    let mut gateway = builder.start();
    let owner = format!(
        "operators: {{ ann: {{ role: owner, token: \"file:{}\" }} }}",
        token.display()
    );
    gateway.edit(|text| text.replace("admin: {", &format!("admin: {{ {owner},")));
    gateway.kill_and_restart();
    gateway
}

fn as_owner(gateway: &Gateway, method: &str, path: &str, body: &str) -> Response {
    let headers = format!("content-type: application/json\r\nauthorization: Bearer {OWNER}\r\n");
    ask_with(gateway, method, path, &headers, body)
}

fn chat_as(gateway: &Gateway, key: &str) -> u16 {
    let headers = format!("authorization: Bearer {key}\r\n");
    gateway.post_with("/v1/chat/completions", &headers, chat("demo")).status
}

#[test]
fn a_revocation_is_known_at_once_though_a_file_of_the_configuration_has_gone() {
    let gateway = with_an_owner();
    let made = as_owner(&gateway, "POST", "/admin/v1/keys", r#"{"name":"ci"}"#);
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(chat_as(&gateway, &secret), 200);
    std::fs::remove_file(gateway.directory.join("key")).unwrap();
    as_owner(&gateway, "POST", "/admin/v1/keys/ci/revoke", "").ok();
    assert_eq!(chat_as(&gateway, &secret), 401);
    assert_eq!(chat_as(&gateway, "a-key-of-another-making-1"), 200, "as it was read");
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_reloads_total", &["failure"]), 1.0);
    assert_eq!(chat_as(&gateway, &secret), 401);
}

#[test]
fn an_operator_who_is_taken_out_is_said_to_have_access_until_a_restart() {
    let gateway = with_an_owner();
    gateway.edit(|text| text.replace("ann:", "bob:"));
    gateway.reload();
    assert!(gateway.log_has("STILL HAS ACCESS"));
}
