//! Whose guardrails hold for a request, what is done where one is gone or cannot look, and what is told and written down of them.

use crate::accounts::{self, KEY, admin, bearer, chat_as, make_key, priced, records};
use crate::support::client::{Client, Response, post};
use crate::support::upstream::{CHAT, json_answer};
use crate::support::{Gateway, Upstream};
use serde_json::{Value, json};
use std::path::Path;

const CHATS: &str = "/v1/chat/completions";
const OTHER: &str = "other-key-0123456789-0123456789";

/// A guardrail for every word, of that name, and more members.
fn words(words: &[&str]) -> String {
    let mut text = "guardrails:\n".to_owned();
    for word in words {
        let always = if *word == "everywhere" { ", always: true" } else { "" };
        text += &format!("  {word}: {{ kind: keywords, words: [{word}], action: block, on: [input]{always} }}\n");
    }
    text
}

fn ask(model: &str, text: &str) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": text}]}).to_string()
}

/// What a key is answered with that says this.
#[track_caller]
fn say(gateway: &Gateway, key: &str, headers: &str, model: &str, text: &str) -> Response {
    gateway.post_with(CHATS, &format!("{}{headers}", bearer(key)), ask(model, text))
}

#[track_caller]
fn refused(response: &Response, guardrail: &str) {
    let said = response.expect_error(400, "invalid_request_error", "content_filter");
    assert!(said.contains(&format!("`{guardrail}`")), "{said}");
}

#[test]
fn everybody_around_a_request_adds_guardrails() {
    let upstream = Upstream::ok();
    let everybody = [
        "everywhere",
        "of_organisation",
        "of_team",
        "of_project",
        "of_key",
        "of_rule",
        "of_model",
    ];
    let gateway = accounts::builder(format!(
        "{}  plain: {{ targets: [ {{ provider: p, model: up }} ] }}\n\
         organisations: {{ acme: {{ guardrails: [of_organisation] }} }}\n\
         teams: {{ blue: {{ organisation: acme, guardrails: [of_team] }} }}\n\
         projects: {{ ranking: {{ team: blue, guardrails: [of_project] }} }}\n\
         keys:\n  k: {{ secret: env:KEY, project: ranking, guardrails: [of_key] }}\n  other: {{ secret: env:OTHER }}\n\
         routes:\n  - {{ name: r, when: 'metadata.job == \"export\"', guardrails: [of_rule] }}\n{}",
        priced(&upstream).replace("  m: {", "  m: { guardrails: [of_model],"),
        words(&everybody)
    ))
    .env("OTHER", OTHER)
    .start();
    let export = "x-cirque-metadata: {\"job\":\"export\"}\r\n";
    for word in everybody {
        let text = format!("so {} it is", word.to_uppercase());
        refused(&say(&gateway, KEY, export, "m", &text), word);
    }
    assert_eq!(upstream.count(), 0);
    // Each only there.
    let passes = |key: &str, headers: &str, model: &str, passing: &[&str]| {
        for word in everybody {
            let response = say(&gateway, key, headers, model, word);
            match passing.contains(&word) {
                true => assert_eq!(response.status, 200, "{word}: {}", response.text()),
                false => refused(&response, word),
            }
        }
    };
    passes(KEY, "", "m", &["of_rule"]);
    passes(KEY, export, "plain", &["of_model"]);
    passes(
        OTHER,
        "",
        "plain",
        &[
            "of_organisation",
            "of_team",
            "of_project",
            "of_key",
            "of_rule",
            "of_model",
        ],
    );
    // No header takes one away.
    let headers = "x-cirque-guardrails: none\r\nx-cirque-metadata: {\"guardrails\":\"none\"}\r\n";
    refused(&say(&gateway, KEY, headers, "plain", "everywhere"), "everywhere");
    let told = gateway.access(say(&gateway, KEY, "", "m", "of_key").header("x-request-id").unwrap());
    assert_eq!(told["guardrails"], "of_key:input:block:KEYWORD=1", "{told}");
    assert_eq!(told["status"], 400);
}

#[test]
fn the_guardrails_of_who_may_answer_instead_hold_from_the_first() {
    let (upstream, backup) = (Upstream::ok(), Upstream::ok());
    let gateway = Gateway::with(format!(
        "{}{}",
        crate::support::gateway::two(&upstream.url(), &backup.url())
            .replace("backup: {", "backup: { guardrails: [elsewhere],")
            .replace("models:\n", "models:\n  alone: { targets: [ { provider: a } ] }\n"),
        words(&["elsewhere"])
    ));
    for model in ["m", "backup"] {
        refused(&gateway.post(CHATS, ask(model, "go elsewhere")), "elsewhere");
    }
    assert_eq!((upstream.count(), backup.count()), (0, 0));
    gateway.post(CHATS, ask("alone", "go elsewhere")).ok();
    gateway.post(CHATS, ask("m", "stay")).ok();
    assert_eq!((upstream.count(), backup.count()), (2, 0));
}

#[test]
fn keys_made_at_run_time_have_guardrails_and_are_refused_when_one_is_gone() {
    let upstream = Upstream::ok();
    let gateway = accounts::gateway(&upstream, &words(&["secretly", "rarely"]));
    let unknown = json!({"name": "bad", "settings": {"guardrails": ["nothing"]}});
    let answer = admin(&gateway, "POST", "/admin/v1/keys", &unknown);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.text().contains("nothing") && answer.text().contains("guardrail"),
        "{}",
        answer.text()
    );
    let key = make_key(&gateway, "good", json!({"guardrails": ["secretly"]}));
    let plain = make_key(&gateway, "plain", json!({}));
    refused(&say(&gateway, &key, "", "m", "do it Secretly"), "secretly");
    say(&gateway, &key, "", "m", "do it").ok();
    say(&gateway, &plain, "", "m", "do it secretly").ok();
    // The file no longer has it.
    let before = std::fs::read_to_string(&gateway.config).unwrap();
    gateway.edit(|text| text.replace("  secretly: ", "  openly: "));
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 1.0);
    let asked = upstream.count();
    let missing = say(&gateway, &key, "", "m", "do it");
    let said = missing.expect_error(503, "upstream_error", "guardrail_missing");
    assert!(said.contains("`secretly`"), "{said}");
    assert_eq!(upstream.count(), asked);
    chat_as(&gateway, &plain).ok();
    // None of them at all.
    gateway.edit(|text| text.split("guardrails:\n").next().unwrap().to_owned());
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 1.0);
    chat_as(&gateway, &key).expect_error(503, "upstream_error", "guardrail_missing");
    gateway.edit(|_| before);
    gateway.reload();
    chat_as(&gateway, &key).ok();
    refused(&say(&gateway, &key, "", "m", "do it secretly"), "secretly");
}

#[test]
fn what_is_forwarded_unread_passes_no_guardrail_that_does_not_say_so() {
    let upstream = Upstream::always(json_answer(200, "{\"id\":\"file-1\"}"));
    let gateway = Gateway::with(format!(
        "{}passthrough:\n  - {{ path: /v1/files, pool: m }}\nguardrails:\n  watch: {{ kind: pii, action: redact, always: true }}\n",
        crate::support::gateway::one(&upstream)
    ));
    let said =
        gateway
            .post("/v1/files", "zelda.quux@parcel.org")
            .expect_error(403, "permission_error", "guardrail_unread");
    assert!(said.contains("`watch`"), "{said}");
    assert_eq!(upstream.count(), 0);
    gateway.edit(|text| text.replace("action: redact", "action: redact, passthrough: true"));
    gateway.reload();
    gateway.post("/v1/files", "zelda.quux@parcel.org").ok();
    assert_eq!(upstream.request().text(), "zelda.quux@parcel.org");
    // One of several that does not is enough.
    gateway.edit(|text| text + "  words: { kind: keywords, words: [x], action: block, always: true }\n");
    gateway.reload();
    let mut client: Client = gateway.client();
    client.send(post("/v1/files", "", "x"));
    let said = client
        .response()
        .expect_error(403, "permission_error", "guardrail_unread");
    assert!(said.contains("`words`"), "{said}");
}

/// Whether a file under this directory holds one of these.
fn held(directory: &Path, parts: &[&str], out: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            held(&path, parts, out);
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let found = parts.iter().filter(|part| text.contains(**part));
        out.extend(found.map(|part| format!("{}: {part}", path.display())));
    }
}

#[test]
fn what_was_found_is_told_by_kind_and_nowhere_by_value() {
    let upstream = Upstream::always(json_answer(
        200,
        &CHAT.replace("\"Hi\"", "\"Ask wilma.blott@lantern.org\""),
    ));
    let mut gateway = accounts::gateway(
        &upstream,
        "keys: { k: { secret: env:KEY } }\nguardrails:\n  personal: { kind: pii, action: redact, always: true }\n  \
         seen: { kind: pii, detect: [email], on: [input], always: true }\n  \
         stop: { kind: keywords, words: [zebrafish], action: block, always: true }",
    );
    let response = say(
        &gateway,
        KEY,
        "",
        "m",
        "I am zelda.quux@parcel.org, she zelma@parcel.org",
    )
    .ok();
    assert_eq!(response.json()["choices"][0]["message"]["content"], "Ask [EMAIL]");
    assert_eq!(
        response.header("x-cirque-guardrails"),
        Some("personal=redact, seen=flag, personal=redact")
    );
    let sent = upstream.request();
    assert!(sent.text().contains("I am [EMAIL], she [EMAIL]"), "{}", sent.text());
    let told = "personal:input:redact:EMAIL=2;seen:input:flag:EMAIL=2;personal:output:redact:EMAIL=1";
    assert_eq!(
        gateway.access(response.header("x-request-id").unwrap())["guardrails"],
        told
    );
    // Refused, with an address beside what it is refused for.
    let response = say(&gateway, KEY, "", "m", "zebrafish of zelda.quux@parcel.org");
    refused(&response, "stop");
    let refusal: Value = gateway.access(response.header("x-request-id").unwrap());
    let verdicts = refusal["guardrails"].as_str().unwrap();
    assert!(verdicts.contains("stop:input:block:KEYWORD=1"), "{verdicts}");
    // Nothing found, nothing said.
    upstream_answers_plainly(&gateway);
    let all = records(&gateway, 3, "");
    assert!(all.iter().any(|record| record["guardrails"] == told), "{all:#?}");
    assert!(all.iter().any(|record| record["guardrails"] == verdicts), "{all:#?}");
    let export = admin(&gateway, "GET", "/admin/v1/usage/export", &Value::Null)
        .ok()
        .text();
    assert!(export.lines().next().unwrap().contains("guardrails"), "{export}");
    assert!(export.contains(told), "{export}");
    let metric = |labels: &[&str]| gateway.metric("cirque_guardrail_verdicts_total", labels);
    assert_eq!(metric(&["\"personal\"", "\"output\"", "\"redact\""]), 2.0);
    assert_eq!(metric(&["\"stop\"", "\"input\"", "\"block\""]), 1.0);
    let metrics = gateway.metrics();
    gateway.signal("TERM");
    gateway.wait_exit();
    let parts = ["zelda", "zelma", "parcel", "wilma", "blott", "lantern"];
    let mut leaks = Vec::new();
    held(&gateway.directory, &parts, &mut leaks);
    for (what, text) in [
        ("metrics", metrics),
        ("access log", gateway.stdout.text()),
        ("log", gateway.stderr.text()),
        ("export", export),
        ("refusal", response.text()),
    ] {
        leaks.extend(
            parts
                .iter()
                .filter(|part| text.contains(**part))
                .map(|part| format!("{what}: {part}")),
        );
    }
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[track_caller]
fn upstream_answers_plainly(gateway: &Gateway) {
    let response = say(gateway, KEY, "", "m", "Hello").ok();
    assert_eq!(response.header("x-cirque-guardrails"), Some("personal=redact"));
}
