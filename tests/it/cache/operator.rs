//! The operator's side of the running gateway: `cirque cache …` and the admin API, and what clients then get.

use super::{ask, cached, content, counting, until_hit};
use crate::accounts::{KEY, OWNER, admin, bearer, builder, read};
use crate::support::client::{Client, Response};
use crate::support::upstream::DONE;
use crate::support::{Gateway, Upstream, eventually};
use serde_json::{Value, json};
use std::process::Command;

const CHAT: &str = "/v1/chat/completions";
const HEAD: &str = "head-0123456789-0123456789-0123456789";
const OTHER: &str = "other-key-0123456789-0123456789";

/// Key `site` of team `blue` and key `desk` of team `red`, a head of team blue.
fn start(upstream: &Upstream, more: &str) -> Gateway {
    let body = format!(
        "{}teams: {{ blue: {{}}, red: {{}} }}\nkeys:\n  site: {{ secret: env:KEY, team: blue, tags: [ nightly ] }}\n  \
         desk: {{ secret: env:OTHER_KEY, team: red }}\n{more}",
        cached(upstream, "{ mode: exact, scope: team }")
    );
    builder(body)
        .admin("operators: { root: { role: owner, token: env:OWNER }, head: { role: team-admin, team: blue, token: env:HEAD } }")
        .env("HEAD", HEAD)
        .env("OTHER_KEY", OTHER)
        .start()
}

/// `cirque cache …` as this operator: its status, what it printed, what it complained of.
fn cli(gateway: &Gateway, token: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cirque"))
        .arg("cache")
        .args(arguments)
        .env("CIRQUE_ADMIN_URL", format!("http://{}", gateway.admin))
        .env("CIRQUE_ADMIN_TOKEN", token)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// As the owner, and it succeeds.
#[track_caller]
fn cirque(gateway: &Gateway, arguments: &[&str]) -> String {
    let (status, out, err) = cli(gateway, OWNER, arguments);
    assert_eq!(status, 0, "{arguments:?}: {out}{err}");
    out
}

fn result(response: &Response) -> &str {
    response.header("x-cirque-cache").unwrap_or("none")
}

#[track_caller]
fn get(gateway: &Gateway, key: &str, body: &Value) -> Response {
    gateway.post_with(CHAT, &bearer(key), body.to_string()).ok()
}

/// Kept for a key; the answer's id.
#[track_caller]
fn kept(gateway: &Gateway, key: &str, text: &str) -> String {
    let hit = eventually("it is kept", || {
        let response = get(gateway, key, &ask(text));
        (result(&response) == "hit").then_some(response)
    });
    hit.header("x-cirque-cache-id").unwrap().to_owned()
}

fn is_kept(gateway: &Gateway, key: &str, text: &str) -> bool {
    let headers = format!("{}x-cirque-cache: no-store\r\n", bearer(key));
    let response = gateway.post_with(CHAT, &headers, ask(text).to_string()).ok();
    result(&response) == "hit"
}

#[test]
fn what_is_kept_is_shown_listed_and_deleted() {
    let upstream = counting();
    let gateway = start(&upstream, "");
    let texts = [
        "What is in the blue box?",
        "What is in the green box?",
        "What is in the grey box?",
    ];
    let ids = texts.map(|text| kept(&gateway, KEY, text));
    let red = kept(&gateway, OTHER, texts[0]);
    let stats = cirque(&gateway, &["stats", "--by", "team"]);
    assert!(stats.starts_with("TIER") && stats.contains("memory  4"), "{stats}");
    // Records are written behind the requests.
    eventually("what it saved is told", || {
        let stats = cirque(&gateway, &["stats", "--by", "team"]);
        (stats.contains("blue") && stats.contains("red") && stats.contains("% answered from the cache")).then_some(())
    });
    let totals: Value = serde_json::from_str(&cirque(&gateway, &["stats", "--json"])).unwrap();
    assert_eq!(totals["holds"]["memory"]["entries"], 4, "{totals}");
    let listed = cirque(&gateway, &["list"]);
    assert!(
        texts.iter().all(|text| listed.contains(text)) && listed.lines().count() == 5,
        "{listed}"
    );
    let of_blue: Value = serde_json::from_str(&cirque(&gateway, &["list", "--team", "blue", "--json"])).unwrap();
    assert_eq!(of_blue.as_array().unwrap().len(), 3, "{of_blue}");
    assert!(
        of_blue
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["owner"]["team"] == "blue" && one["answer"].is_null())
    );
    for (filter, value, count) in [
        ("--tag", "nightly", 3),
        ("--key", "desk", 1),
        ("--model", "m", 4),
        ("--model", "n", 0),
        ("--partition", of_blue[0]["partition"].as_str().unwrap(), 3),
    ] {
        let found: Value = serde_json::from_str(&cirque(&gateway, &["list", filter, value, "--json"])).unwrap();
        assert_eq!(found.as_array().unwrap().len(), count, "{filter} {value}");
    }
    let one: Value = serde_json::from_str(&cirque(&gateway, &["show", &ids[0]])).unwrap();
    assert_eq!(one["question"], texts[0]);
    let said = one["answer"]["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(said, content(&get(&gateway, KEY, &ask(texts[0]))));
    // Reading an answer is noted.
    let audit = read(&gateway, "/admin/v1/audit");
    assert!(
        audit["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["action"] == "cache.read"),
        "{audit}"
    );

    // A bad hit is got rid of: by its id as the client saw it, on the spot.
    assert!(cirque(&gateway, &["delete", &ids[0]]).starts_with("1 deleted"));
    assert!(!is_kept(&gateway, KEY, texts[0]) && is_kept(&gateway, OTHER, texts[0]));
    let (status, ..) = cli(&gateway, OWNER, &["delete", &ids[0]]);
    assert_eq!(status, 1, "there is none any more");
    assert!(cirque(&gateway, &["delete", "--tag", "nightly"]).starts_with("2 deleted"));
    assert!(!is_kept(&gateway, KEY, texts[1]));
    // A report by the operator.
    cirque(&gateway, &["wrong", &red]);
    assert!(!is_kept(&gateway, OTHER, texts[0]));
    assert!(gateway.metric("cirque_cache_wrong_hits_total", &["operator"]) == 1.0);
    for text in texts {
        kept(&gateway, KEY, text);
    }
    let (status, _, err) = cli(&gateway, OWNER, &["purge"]);
    assert!(status == 2 && err.contains("--yes"), "{err}");
    let (status, _, err) = cli(&gateway, OWNER, &["delete"]);
    assert!(status == 2 && err.contains("cirque cache purge"), "{err}");
    assert!(cirque(&gateway, &["purge", "--yes"]).starts_with("3 deleted"));
    assert!(texts.iter().all(|text| !is_kept(&gateway, KEY, text)));
    let (status, _, err) = cli(&gateway, OWNER, &["list", "--like", "box"]);
    assert!(status == 1 && err.contains("semantic tier"), "{err}");
}

#[test]
fn the_head_of_a_team_sees_and_deletes_what_is_its_teams() {
    let upstream = counting();
    let gateway = start(&upstream, "");
    let (blue, red) = (
        kept(&gateway, KEY, "What is in the box?"),
        kept(&gateway, OTHER, "What is in the box?"),
    );
    let (status, out, _) = cli(&gateway, HEAD, &["list", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, listed.as_array().unwrap().len()), (0, 1), "{listed}");
    for arguments in [
        &["show", &red][..],
        &["delete", &red],
        &["wrong", &red],
        &["purge", "--yes"],
    ] {
        assert_ne!(cli(&gateway, HEAD, arguments).0, 0, "{arguments:?}");
    }
    let _ = cli(&gateway, HEAD, &["delete", "--model", "m"]);
    assert!(is_kept(&gateway, OTHER, "What is in the box?"), "another team's stays");
    assert!(!is_kept(&gateway, KEY, "What is in the box?"));
    assert_eq!(cli(&gateway, HEAD, &["show", &blue]).0, 1);
}

#[test]
fn a_warmed_answer_is_served_whole_and_streamed_to_who_it_was_warmed_for() {
    let upstream = counting();
    let gateway = start(&upstream, "");
    let whole = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "y", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "By the second door."}, "finish_reason": "stop"}]});
    let lines = [
        json!({"request": ask("Where do I leave?"), "answer": "By the door."}),
        json!({"key": "site", "request": ask("Where else do I leave?"), "answer": whole}),
        json!({"path": "/v1/messages", "request": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Whence?"}]},
            "answer": {"id": "m", "type": "message", "role": "assistant", "model": "y", "content": [{"type": "text", "text": "From home."}],
                "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"request": ask("What is the latest news today?"), "answer": "None."}),
        json!({"key": "nobody", "request": ask("Where?"), "answer": "There."}),
        json!({"request": {"model": "another", "messages": []}, "answer": "There."}),
    ];
    let file = gateway.directory.join("answers.jsonl");
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&file, text.join("\n")).unwrap();
    let (status, out, err) = cli(&gateway, OWNER, &["warm", file.to_str().unwrap(), "--key", "site"]);
    assert_eq!(status, 1, "not all are kept: {out}{err}");
    assert_eq!(out, "3 answers are kept, 3 are not\n", "{err}");
    assert!(err.contains("line 4: ") && err.contains("time_bound"), "{err}");
    assert!(
        err.contains("line 5: ") && err.contains("nobody") && err.contains("line 6: "),
        "{err}"
    );
    for (text, answer) in [
        ("Where do I leave?", "By the door."),
        ("Where else do I leave?", "By the second door."),
    ] {
        let hit = get(&gateway, KEY, &ask(text));
        assert_eq!((result(&hit), content(&hit)), ("hit", answer.to_owned()));
        assert_eq!(
            (&hit.json()["model"], &hit.json()["object"]),
            (&json!("m"), &json!("chat.completion"))
        );
        let mut streamed = ask(text);
        streamed["stream"] = json!(true);
        let hit = get(&gateway, KEY, &streamed);
        assert!(result(&hit) == "hit" && hit.text().ends_with(DONE), "{}", hit.text());
        let pieces: String = hit
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}")))
            .filter_map(|data| {
                serde_json::from_str::<Value>(&data).unwrap()["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(pieces, answer);
    }
    assert_eq!(upstream.count(), 0);
    let message = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Whence?"}]});
    let headers = format!("{}anthropic-version: 2023-06-01\r\n", bearer(KEY));
    let hit = gateway.post_with("/v1/messages", &headers, message.to_string()).ok();
    assert_eq!(
        (result(&hit), &hit.json()["content"][0]["text"]),
        ("hit", &json!("From home."))
    );
    // Nobody else's.
    assert_eq!(result(&get(&gateway, OTHER, &ask("Where do I leave?"))), "miss");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_semantic_hit_that_is_wrong_is_deleted_or_disowned() {
    let Some(models) = super::alike::models() else { return };
    let upstream = counting();
    let body = format!(
        "{}cache: {{ semantic: {{ models: \"{}\" }} }}\n",
        cached(&upstream, "{ mode: semantic, time_limit: 1s }"),
        models.display()
    );
    let gateway = crate::support::gateway::Builder::new(body)
        .admin("operators: { root: { role: owner, token: env:OWNER } }")
        .env("OWNER", OWNER)
        .start();
    let (text, other) = ("What is the capital of France?", "Tell me the capital of France");
    let no_store = |text: &str| {
        gateway
            .post_with(CHAT, "x-cirque-cache: no-store\r\n", ask(text).to_string())
            .ok()
    };
    let learned = || {
        until_hit(&gateway, CHAT, &ask(text));
        eventually("it is found", || {
            Some(no_store(other)).filter(|found| result(found) == "semantic")
        })
    };
    let found = learned();
    let listed = cirque(&gateway, &["list", "--like", other]);
    assert!(listed.contains(text), "{listed}");
    let totals: Value = read(&gateway, "/admin/v1/cache");
    assert!(
        totals["semantic"] == "all-MiniLM-L6-v2" && totals["index"]["entries"] == 1,
        "{totals}"
    );
    // Deleted: nobody gets it, until it is asked for anew.
    let id = found.header("x-cirque-cache-id").unwrap();
    cirque(&gateway, &["delete", id]);
    assert_eq!(result(&no_store(other)), "miss");
    assert_eq!(result(&no_store(text)), "miss");
    assert_eq!(read(&gateway, "/admin/v1/cache")["index"]["entries"], 0);
    let found = learned();
    // Disowned: the answer stays, for its own question; this one gets it no more.
    let id = found.header("x-cirque-cache-id").unwrap();
    cirque(&gateway, &["wrong", id]);
    assert_eq!(result(&no_store(other)), "miss");
    assert_eq!(result(&no_store(text)), "hit");
    assert_eq!(gateway.metric("cirque_cache_wrong_hits_total", &["operator"]), 1.0);
    cirque(&gateway, &["purge", "--yes"]);
    until_hit(&gateway, CHAT, &ask(text));
    assert_eq!(result(&no_store(other)), "miss", "nor when it is answered anew");
}

#[test]
fn the_admin_api_refuses_who_is_not_known() {
    let upstream = counting();
    let gateway = start(&upstream, "");
    let id = kept(&gateway, KEY, "What is in the box?");
    for (method, path) in [
        ("GET", "/admin/v1/cache".to_owned()),
        ("GET", "/admin/v1/cache/entries".to_owned()),
        (
            "GET",
            format!("/admin/v1/cache/entries/{}", id.split('.').next().unwrap()),
        ),
        (
            "DELETE",
            format!("/admin/v1/cache/entries/{}", id.split('.').next().unwrap()),
        ),
        ("POST", "/admin/v1/cache/purge".to_owned()),
    ] {
        for token in [KEY, "nobodys-0123456789-0123456789-0123456789"] {
            let mut client = Client::connect(gateway.admin);
            client.send(format!(
                "{method} {path} HTTP/1.1\r\nhost: {}\r\n{}content-length: 2\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{{}}",
                gateway.admin,
                bearer(token)
            ));
            assert_eq!(client.response().status, 401, "{method} {path}");
        }
    }
    assert!(is_kept(&gateway, KEY, "What is in the box?"));
    assert_eq!(
        admin(&gateway, "GET", "/admin/v1/cache/entries/nonsense", &Value::Null).status,
        404
    );
}
