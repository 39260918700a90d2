//! An explanation is what then happens: asked of the admin API and of the command, compared with the gateway's own answer.

use super::ask;
use crate::support::client::Response;
use crate::support::upstream::{CHAT, json_answer};
use crate::support::{Gateway, Upstream};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CHATS: &str = "/v1/chat/completions";

/// One target a tier, so that who is asked is certain.
fn config(upstream: &Upstream) -> String {
    format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{url}\", api_key: env:UP_KEY }}\n  b: {{ kind: openai, base_url: \"{url}\" }}\n  \
         off: {{ kind: openai, base_url: \"{url}\", enabled_if: env:CIRQUE_TEST_NOWHERE }}\nmodels:\n  \
         base: {{ aliases: [ usual ], targets: [ {{ provider: a, model: one, lacks: [ tools ] }}, {{ provider: b, model: two, tier: 1 }} ] }}\n  \
         short: {{ targets: [ {{ provider: a, model: s, context_tokens: 200 }}, {{ provider: b, model: l, tier: 3 }} ] }}\n  \
         other: {{ targets: [ {{ provider: off, model: x }}, {{ provider: b, model: y, tier: 1 }} ] }}\n  \
         gpt-*: {{ targets: [ {{ provider: a }} ] }}\n  gpt-4*: {{ targets: [ {{ provider: b, model: four }} ] }}\n  \"*-x\": {{ targets: [ {{ provider: b, model: star }} ] }}\n  \
         nobody: {{ targets: [ {{ provider: off }}, {{ provider: b, model: z, tier: 1 }} ] }}\n\
         routes:\n  - {{ name: cold, when: 'needs.tools', set: {{ temperature: 0 }}, priority: 7 }}\n  \
         - {{ name: closed, when: 'metadata.job == \"forbidden\"', refuse: not today }}\n  \
         - {{ name: region, switch: {{ on: metadata.region, cases: {{ eu: short, us: other }} }} }}\n  \
         - {{ name: long, when: 'tokens > 400 && !stream', to: short, remove: [ user ] }}\n  \
         - {{ name: tier, when: 'headers[\"x-tier\"] in [\"gold\", \"tin\"]', to: gpt-4* }}\n  \
         - {{ name: embeds, when: 'operation == \"embeddings\"', to: other }}\n  \
         - {{ name: theirs, when: 'dialect == \"anthropic\" && max_tokens > 50', to: short }}\n  \
         - {{ name: near, when: 'headers[\"x-tier\"] == \"silver\" && ip == \"127.0.0.1\"', to: other }}\n  \
         - {{ name: mine, when: 'model == \"mine\"', to: base }}\n  \
         - {{ name: never, when: '!within(\"00:00-24:00\")', refuse: never }}\n",
        url = upstream.url()
    )
}

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// A request: path, headers, body.
fn request(draw: &mut Draw) -> (String, Vec<(&'static str, String)>, Value) {
    let model = draw.of(&[
        "base",
        "usual",
        "short",
        "other",
        "nobody",
        "mine",
        "gpt-4o",
        "gpt-3",
        "gpt-",
        "gpt-4-x",
        "a-x",
        "Base",
        "unheard-of",
    ]);
    let mut headers = Vec::new();
    if draw.below(3) == 0 {
        headers.push(("x-tier", draw.of(&["gold", "tin", "silver"]).to_owned()));
    }
    if draw.below(2) == 0 {
        let metadata = draw.of(&[
            r#"{"region":"eu"}"#,
            r#"{"region":"us"}"#,
            r#"{"region":5}"#,
            r#"{"job":"forbidden"}"#,
            r#"{"region":["eu"]}"#,
            "{",
            r#"{"region":"eu","job":"forbidden"}"#,
        ]);
        headers.push(("x-cirque-metadata", metadata.to_owned()));
    }
    let text = "word ".repeat(draw.of(&[1, 200, 900]));
    let shape = draw.below(5);
    let (path, mut body) = match shape {
        0 => (
            "/v1/messages".to_owned(),
            json!({"model": model, "max_tokens": draw.of(&[10, 100]), "messages": [{"role": "user", "content": text}]}),
        ),
        1 => (
            format!("/v1beta/models/{model}:generateContent"),
            json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        ),
        2 => ("/v1/embeddings".to_owned(), json!({"model": model, "input": text})),
        3 => ("/v1/responses".to_owned(), json!({"model": model, "input": text})),
        _ => (
            CHATS.to_owned(),
            json!({"model": model, "user": "u", "messages": [{"role": "user", "content": text}]}),
        ),
    };
    if shape == 4 && draw.below(3) == 0 {
        body["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    }
    (path, headers, body)
}

fn question(path: &str, headers: &[(&str, String)], body: &Value) -> Value {
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    json!({"path": path, "headers": headers, "body": body, "ip": "127.0.0.1"})
}

fn answering() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let embedding = r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#;
            conn.send(json_answer(
                200,
                if request.line.contains("embeddings") {
                    embedding
                } else {
                    CHAT
                },
            ));
        }
    })
}

/// Of the targets in an explanation the one that is asked first.
fn first(explanation: &Value) -> Option<String> {
    let targets = explanation["targets"].as_array()?;
    let able = || {
        targets
            .iter()
            .filter(|target| target["lacks"].as_array().is_some_and(Vec::is_empty))
    };
    let fitting = able().find(|target| target["fits"] != json!(false));
    Some(fitting.or_else(|| able().next())?["id"].as_str()?.to_owned())
}

#[track_caller]
fn same(explanation: &Value, real: &Response, what: &str) {
    if explanation["refused"].is_string() {
        assert!(explanation["model"].is_null() || real.status == 403, "{what}");
        assert!(
            matches!(real.status, 403 | 404),
            "{what}: explained as refused: {explanation}; really {}",
            real.status
        );
        if real.status == 403 {
            assert!(real.text().contains(explanation["refused"].as_str().unwrap()), "{what}");
        }
        return;
    }
    assert_eq!(real.status, 200, "{what}: {} after {explanation}", real.text());
    assert_eq!(real.header("x-cirque-model"), explanation["model"].as_str(), "{what}");
    assert_eq!(
        real.header("x-cirque-target").map(str::to_owned),
        first(explanation),
        "{what} {explanation}"
    );
}

#[test]
fn what_is_explained_is_what_happens() {
    let upstream = answering();
    let gateway = Gateway::with(config(&upstream));
    let mut draw = Draw(7);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for number in 0..150 {
        let (path, headers, body) = request(&mut draw);
        let what = format!(
            "{number}: {path} {headers:?} {}",
            &body.to_string()[..body.to_string().len().min(120)]
        );
        let asked = question(&path, &headers, &body).to_string();
        let explanation = ask(&gateway, "POST", "/admin/v1/route/explain", &asked).ok().json();
        let before = upstream.count();
        let id = format!("explained-{number}-");
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let real = gateway.post_with(&path, &format!("x-request-id: {id}\r\n{lines}"), body.to_string());
        same(&explanation, &real, &what);
        let line = gateway.access(&id);
        let rules = explanation["rules"].as_array().unwrap();
        let held: Vec<&str> = rules
            .iter()
            .filter(|rule| rule["held"] == true)
            .map(|rule| rule["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            line.get("rule").and_then(Value::as_str),
            held.last().copied(),
            "{what} {explanation}"
        );
        if real.status == 200 {
            let sent: Value = serde_json::from_str(upstream.requests().pop().unwrap().text()).unwrap();
            let cold = explanation["edits"]
                .as_array()
                .unwrap()
                .iter()
                .any(|edit| edit["parameter"] == "temperature");
            assert_eq!(sent["temperature"] == json!(0), cold, "{what}");
            assert_eq!(explanation["priority"], if cold { 7 } else { 5 });
        } else {
            assert_eq!(upstream.count(), before, "{what}");
        }
        *seen.entry(held.last().unwrap_or(&"none").to_string()).or_default() += 1;
        *seen.entry(real.status.to_string()).or_default() += 1;
    }
    for part in [
        "none", "near", "cold", "closed", "region", "long", "tier", "embeds", "theirs", "mine", "200", "403", "404",
    ] {
        assert!(seen.contains_key(part), "nothing was drawn for {part}: {seen:?}");
    }
}

#[test]
fn an_explanation_follows_a_reload_and_asks_nobody() {
    let upstream = answering();
    let gateway = Gateway::with(config(&upstream));
    let asked = question(CHATS, &[], &json!({"model": "mine"})).to_string();
    let explain = || ask(&gateway, "POST", "/admin/v1/route/explain", &asked).ok().json();
    assert_eq!(explain()["model"], "base");
    gateway.edit(|text| text.replace("to: base }", "to: short }"));
    assert_eq!(explain()["model"], "base", "not before it is loaded");
    gateway.reload();
    assert_eq!(explain()["model"], "short");
    let why = explain()["rules"].to_string();
    assert!(why.contains("mine") && !why.contains("never"), "{why}");
    assert_eq!(upstream.count(), 0);
    assert_eq!(
        gateway.metric("cirque_route_rules_total", &[]),
        0.0,
        "an explanation is no request"
    );
}

#[test]
fn questions_that_cannot_be_answered_are_400() {
    let upstream = answering();
    let gateway = Gateway::with(config(&upstream));
    let deep = format!(
        "{{\"body\":{{\"model\":\"m\",\"x\":{}{}}}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let large = format!("{{\"body\":{{\"model\":\"{}\"}}}}", "x".repeat(2 << 20));
    for (question, status) in [
        ("", 400),
        ("[]", 400),
        ("{}", 400),
        ("{\"body\":[]}", 400),
        ("{\"body\":{}}", 400),
        ("{\"body\":{\"model\":5}}", 400),
        ("{\"body\":{\"model\":\"m\"},\"path\":\"/v1/nowhere\"}", 400),
        ("{\"body\":{\"model\":\"m\"},\"path\":\"v1\"}", 400),
        ("{\"body\":{\"model\":\"m\"},\"now\":\"yesterday\"}", 400),
        ("{\"body\":{\"model\":\"m\"},\"headers\":{\"a b\":\"c\"}}", 400),
        ("{\"body\":{\"model\":\"m\"},\"headers\":{\"a\":\"c\\r\\nd\"}}", 400),
        ("{\"body\":{\"model\":\"m\"},\"headers\":{\"a\":1}}", 400),
        ("{\"body\":{\"model\":\"m\"},\"ip\":\"nowhere\"}", 400),
        (deep.as_str(), 400),
        (large.as_str(), 413),
    ] {
        let response = ask(&gateway, "POST", "/admin/v1/route/explain", question);
        let shown = &question[..question.len().min(80)];
        assert_eq!(response.status, status, "{shown}: {}", response.text());
        assert!(
            response.json()["error"]["message"]
                .as_str()
                .is_some_and(|said| !said.is_empty()),
            "{shown}"
        );
    }
    assert_eq!(ask(&gateway, "GET", "/admin/v1/route/explain", "").status, 405);
}

/// `cirque route explain` with this question.
fn command(config: &Path, question: &Path, more: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cirque"))
        .args(["route", "explain", "--config"])
        .arg(config)
        .arg("--request")
        .arg(question)
        .args(more)
        .env("UP_KEY", "sk-ours")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn the_command_says_the_same_and_its_status_says_how_it_went() {
    let upstream = answering();
    let gateway = Gateway::with(config(&upstream));
    let file = |name: &str, text: &str| {
        let path = gateway.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let eu = [("x-cirque-metadata", r#"{"region":"eu"}"#.to_owned())];
    let closed = [("x-cirque-metadata", r#"{"job":"forbidden"}"#.to_owned())];
    let model = |name: &str| json!({"model": name, "messages": []});
    for (mut asked, status) in [
        (question(CHATS, &[], &model("base")), 0),
        (question(CHATS, &eu, &model("base")), 0),
        (question(CHATS, &closed, &model("base")), 1),
        (question(CHATS, &[], &model("unheard-of")), 1),
        (
            question(
                "/v1beta/models/gpt-4o:streamGenerateContent",
                &[],
                &json!({"contents": []}),
            ),
            0,
        ),
    ] {
        // Asked twice: at one time, or a second may pass in between.
        asked["now"] = json!("2026-01-31T22:00:00Z");
        let path = file("question.json", &asked.to_string());
        let said = command(&gateway.config, &path, &["--json"], "");
        assert_eq!(
            said.status.code(),
            Some(status),
            "{asked}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        let explanation: Value = serde_json::from_slice(&said.stdout).unwrap();
        let told = ask(&gateway, "POST", "/admin/v1/route/explain", &asked.to_string())
            .ok()
            .json();
        assert_eq!(explanation, told, "{asked}");
        let table = command(&gateway.config, Path::new("-"), &[], &asked.to_string());
        assert_eq!(table.status.code(), Some(status));
        let text = String::from_utf8(table.stdout).unwrap();
        let shown = explanation["model"]
            .as_str()
            .or_else(|| explanation["refused"].as_str())
            .unwrap();
        assert!(text.contains(shown), "{text}");
    }
    let good = file("question.json", &question(CHATS, &[], &model("base")).to_string());
    let broken = file(
        "broken.yaml",
        &std::fs::read_to_string(&gateway.config)
            .unwrap()
            .replace("to: other }", "to: nowhere }"),
    );
    for (config, question, part) in [
        (gateway.config.as_path(), file("bad.json", "{"), "not JSON"),
        (gateway.config.as_path(), file("odd.json", "{\"body\":{}}"), "model"),
        (
            gateway.config.as_path(),
            gateway.directory.join("nowhere.json"),
            "nowhere.json",
        ),
        (broken.as_path(), good.clone(), "routes[5].to"),
        (Path::new("/nowhere/cirque.yaml"), good, "/nowhere"),
    ] {
        let said = command(config, &question, &[], "");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(2), "{part}: {text}");
        assert!(text.contains(part), "{part}: {text}");
        assert!(said.stdout.is_empty());
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_name_means_the_same_model_to_an_explanation() {
    let upstream = answering();
    let names = ["gpt-*", "gpt-4*", "*-4o", "a*", "*z", "*", "exact"];
    let models = names.map(|name| format!("  \"{name}\": {{ targets: [ {{ provider: p, model: up }} ] }}\n"));
    let gateway = Gateway::with(format!(
        "providers:\n  p: {{ kind: openai, base_url: \"{url}\" }}\n  off: {{ kind: openai, base_url: \"{url}\", enabled_if: env:CIRQUE_TEST_NOWHERE }}\nmodels:\n{}  \
         gone: {{ targets: [ {{ provider: off }} ], aliases: [ went ] }}\n  gpt-4o-*: {{ targets: [ {{ provider: off }} ] }}\n",
        models.concat(),
        url = upstream.url(),
    ));
    for name in [
        "gpt-4o",
        "gpt-5",
        "x-4o",
        "gpt-",
        "abcz",
        "az",
        "a",
        "z",
        "exact",
        "exacter",
        "gpt-*",
        "*",
        "a*",
        "*z",
        "gone",
        "went",
        "gpt-4o-mini",
    ] {
        let body = json!({"model": name, "messages": []});
        let asked = question(CHATS, &[], &body).to_string();
        let explanation = ask(&gateway, "POST", "/admin/v1/route/explain", &asked).ok().json();
        same(&explanation, &gateway.post(CHATS, body.to_string()), name);
    }
}
