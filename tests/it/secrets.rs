//! Credentials of providers that the store keeps sealed, through the real binary: which one arrives at the provider before and
//! after a change, rotation of the key that seals, a wrong key, a store that is gone, and that no value is anywhere it should not.

use crate::support::gateway::{Builder, TIMEOUTS};
use crate::support::postgres::Postgres;
use crate::support::{Gateway, Upstream, eventually};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const TOKEN: &str = "TOKEN-0123456789abcdef0123456789abcdef";

/// A gateway with an operator, a store in its folder and the first of two keys, whose provider's key is written as given.
fn gateway(upstream: &Upstream, store: &str, api_key: &str) -> Gateway {
    let body = format!(
        "{TIMEOUTS}providers:\n  p: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n\
         models:\n  m: {{ targets: [ {{ provider: p, model: up }} ] }}\n",
        upstream.url()
    );
    let builder = Builder::new(body).env("CIRQUE_ADMIN_TOKEN", TOKEN);
    builder.file("one.key", &"11".repeat(32));
    let two = builder.file("two.key", &"22".repeat(32));
    let folder = two.parent().unwrap().display().to_string();
    let mut gateway = builder.start();
    gateway.edit(|text| {
        let operators = "operators: { ann: { token: env:CIRQUE_ADMIN_TOKEN, role: owner } }";
        let text = text.replace(
            "insecure:",
            &format!("{store}secrets: {{ keys: [ \"file:{folder}/one.key\" ] }}\ninsecure:"),
        );
        let (before, after) = text.split_once("admin: {").unwrap();
        format!("{before}admin: {{ {operators},{after}").replace("api_key: env:UP_KEY", &format!("api_key: {api_key}"))
    });
    if api_key == "env:UP_KEY" {
        gateway.kill_and_restart();
    }
    gateway
}

/// `cirque …` against a gateway, with this on standard input.
fn cirque(gateway: &Gateway, arguments: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cirque"))
        .args(arguments)
        .env("CIRQUE_ADMIN_TOKEN", TOKEN)
        .env("CIRQUE_ADMIN_URL", format!("http://{}", gateway.admin))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses its arguments reads nothing.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    assert!(!text.contains("CANARY"), "{text}");
    (status.code().unwrap(), text)
}

#[track_caller]
fn set(gateway: &Gateway, name: &str, value: &str) {
    let (status, text) = cirque(gateway, &["secret", "set", name], value);
    assert_eq!(status, 0, "{text}");
}

/// Which credential the provider gets.
#[track_caller]
fn used(gateway: &Gateway, upstream: &Upstream) -> String {
    gateway.chat().ok();
    let requests = upstream.requests();
    let last = requests.last().unwrap().header("authorization").unwrap();
    last.strip_prefix("Bearer ").unwrap().to_owned()
}

/// A reload; whether the file was taken up.
fn reloads(gateway: &Gateway, edit: impl FnOnce(String) -> String) -> bool {
    // By the metric: what is logged of it may be read later.
    let failed = |gateway: &Gateway| gateway.metric("cirque_config_reloads_total", &["failure"]);
    gateway.edit(edit);
    let before = failed(gateway);
    gateway.reload();
    failed(gateway) == before
}

/// Everything in a folder, files of the database and its journal too.
fn everything(folder: &Path, out: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            everything(&path, out);
        } else {
            out.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
}

/// No value that was ever set is in a log, a file, or an answer.
fn nowhere(gateway: &Gateway) {
    let mut bytes = Vec::new();
    everything(&gateway.directory, &mut bytes);
    assert!(bytes.len() > 1000, "the store or its copy is among them");
    assert!(!bytes.windows(6).any(|part| part == b"CANARY"), "a value is in a file");
    for log in [&gateway.stdout, &gateway.stderr] {
        assert!(!log.text().contains("CANARY"), "a value is in a log");
    }
    for command in [&["secret", "list", "--json"][..], &["audit", "list", "--json"]] {
        let (status, text) = cirque(gateway, command, "");
        assert!(status == 0 && text.contains("openai"), "{text}");
    }
}

#[test]
fn a_stored_secret_is_used_and_changed_without_a_restart() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, "", "env:UP_KEY");
    assert_eq!(used(&gateway, &upstream), "sk-ours");
    assert!(!reloads(&gateway, |text| text.replace("env:UP_KEY", "store:openai")));
    assert!(
        gateway.log_has("cirque secret set openai"),
        "what is missing, and what to do"
    );
    assert_eq!(used(&gateway, &upstream), "sk-ours", "what runs goes on");
    set(&gateway, "openai", "sk-CANARY-one\n");
    assert!(reloads(&gateway, |text| text));
    assert_eq!(used(&gateway, &upstream), "sk-CANARY-one");
    set(&gateway, "openai", "sk-CANARY-two");
    assert_eq!(used(&gateway, &upstream), "sk-CANARY-two", "from the answer on");
    // A document, which no header can carry, is not taken up.
    set(&gateway, "openai", "{\n\"sk-CANARY\": 1\n}");
    assert_eq!(used(&gateway, &upstream), "sk-CANARY-two");
    eventually("it is said", || {
        gateway.log_has("stored secrets are not taken up").then_some(())
    });
    set(&gateway, "openai", "sk-CANARY-three");
    assert_eq!(used(&gateway, &upstream), "sk-CANARY-three");
    let (status, text) = cirque(&gateway, &["secret", "delete", "openai"], "");
    assert!(status == 1 && text.contains("used by the provider p"), "{text}");
    let (status, text) = cirque(&gateway, &["secret", "delete", "openai", "--force"], "");
    assert_eq!(status, 0, "{text}");
    assert_eq!(used(&gateway, &upstream), "sk-CANARY-three", "what runs goes on");
    set(&gateway, "openai", "sk-CANARY-four");
    assert_eq!(used(&gateway, &upstream), "sk-CANARY-four");
    for (arguments, value) in [
        (&["secret", "set", "openai"][..], "CANARY\nCANARY"),
        (&["secret", "set", "-x/y"], "CANARY"),
        (&["secret", "set", "openai", "CANARY-on-the-command-line"], ""),
    ] {
        let child = Command::new(env!("CARGO_BIN_EXE_cirque"))
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        assert!(!child.unwrap().status.success(), "{value}");
    }
    nowhere(&gateway);
}

#[test]
fn the_key_that_seals_is_rotated_and_a_wrong_one_stops_nothing() {
    let upstream = Upstream::ok();
    let mut gateway = gateway(&upstream, "", "env:UP_KEY");
    set(&gateway, "openai", "sk-CANARY");
    assert!(reloads(&gateway, |text| text.replace("env:UP_KEY", "store:openai")));
    let keys = |from: &str, to: &str, gateway: &Gateway| {
        let folder = gateway.directory.display().to_string();
        let written = |names: &str| {
            let all: Vec<String> = names
                .split(' ')
                .map(|name| format!("\"file:{folder}/{name}.key\""))
                .collect();
            all.join(", ")
        };
        reloads(gateway, |text| {
            assert!(text.contains(&written(from)), "{text}");
            text.replace(&written(from), &written(to))
        })
    };
    assert!(!keys("one", "two", &gateway), "it was sealed with the other");
    eventually("it is said which key is missing", || {
        gateway.log_has("was sealed with key").then_some(())
    });
    assert_eq!(used(&gateway, &upstream), "sk-CANARY", "what runs goes on");
    assert!(keys("two", "two one", &gateway));
    let (_, listed) = cirque(&gateway, &["secret", "list", "--json"], "");
    assert!(
        listed.contains("\"outdated\": true") && listed.contains("\"p\""),
        "{listed}"
    );
    let (status, text) = cirque(&gateway, &["secret", "reseal"], "");
    assert!(status == 0 && text.contains("openai"), "{text}");
    assert!(keys("two one", "two", &gateway));
    gateway.kill_and_restart();
    assert_eq!(used(&gateway, &upstream), "sk-CANARY");
    nowhere(&gateway);
}

#[test]
fn a_first_start_finds_what_was_set_without_a_gateway() {
    let upstream = Upstream::ok();
    let mut gateway = gateway(&upstream, "", "store:openai");
    let config = gateway.config.display().to_string();
    gateway.child.kill().unwrap();
    gateway.child.wait().unwrap();
    let start = Command::new(env!("CARGO_BIN_EXE_cirque"))
        .args(["serve", "--config", &config])
        .env("CIRQUE_ADMIN_TOKEN", TOKEN)
        .env("UP_KEY", "unused")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&start.stderr).into_owned();
    assert!(!start.status.success());
    assert!(
        said.contains("providers.p") && said.contains("cirque secret set openai"),
        "{said}"
    );
    let (status, text) = cirque(
        &gateway,
        &["secret", "set", "openai", "--config", &config],
        "sk-CANARY\n",
    );
    assert_eq!(status, 0, "{text}");
    gateway.kill_and_restart();
    assert_eq!(used(&gateway, &upstream), "sk-CANARY");
    nowhere(&gateway);
}

#[test]
fn instances_hear_of_a_change_and_start_while_the_store_is_gone() {
    let Some(mut server) = Postgres::start() else { return };
    let upstream = Upstream::ok();
    let store = "store: { kind: postgres, url: \"file:FOLDER/url\" }\n";
    let place = std::env::temp_dir().join(format!("cirque-it-secrets-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("url"), server.url()).unwrap();
    let store = store.replace("FOLDER", &place.display().to_string());
    // Its first start is that of a gateway without a store; then the schema is made for what it is edited to.
    let start = || gateway(&upstream, &store, "store:openai");
    let mut first = start();
    let config = first.config.display().to_string();
    let (status, text) = cirque(&first, &["migrate", "--config", &config], "");
    assert_eq!(status, 0, "{text}");
    let (status, text) = cirque(
        &first,
        &["secret", "set", "openai", "--config", &config],
        "sk-CANARY-one",
    );
    assert_eq!(status, 0, "{text}");
    first.kill_and_restart();
    let mut second = start();
    second.kill_and_restart();
    assert_eq!(used(&second, &upstream), "sk-CANARY-one");
    let copy = second.directory.join("state/directory.copy");
    let before = std::fs::read(&copy).unwrap();
    set(&first, "openai", "sk-CANARY-two");
    assert_eq!(used(&first, &upstream), "sk-CANARY-two");
    eventually("the other instance has it", || {
        (used(&second, &upstream) == "sk-CANARY-two").then_some(())
    });
    eventually("a copy has it", || {
        std::fs::read(&copy).is_ok_and(|now| now != before).then_some(())
    });
    server.kill();
    second.kill_and_restart();
    assert_eq!(
        used(&second, &upstream),
        "sk-CANARY-two",
        "out of the copy, sealed as it is"
    );
    server.up();
    set_when_up(&second);
    assert_eq!(used(&second, &upstream), "sk-CANARY-three");
    nowhere(&second);
    std::fs::remove_dir_all(place).unwrap();
}

/// As [`set`], once the store answers again.
fn set_when_up(gateway: &Gateway) {
    eventually("the store answers", || {
        let (status, _) = cirque(gateway, &["secret", "set", "openai"], "sk-CANARY-three");
        (status == 0).then_some(())
    });
}
