//! The tenancy API of the real process, and the commands that speak to it, while no operators are configured.

use crate::admin::ask;
use crate::support::Gateway;
use serde_json::Value;
use std::process::{Command, Output};

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
