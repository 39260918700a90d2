//! Routing rules as clients notice them: who answers, what is refused, what is counted. What they ask is in
//! `rules/conditions.rs`, what they change in a request in `rules/edits.rs`; the language itself is tested where it is (`src/rules/tests`).

mod conditions;
mod edits;

use crate::support::client::{chat, chat_stream, post};
use crate::support::upstream::{CHAT, CHUNK, DONE, FINISH, json_answer, stream_answer};
use crate::support::{Gate, Gateway, Upstream, eventually};
use std::sync::Arc;

const EMBEDDINGS: &str = r#"{"object":"list","model":"up","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#;

/// Answers whatever it is asked in OpenAI's dialect.
fn answering() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            if request.line.contains("/embeddings") {
                conn.send(json_answer(200, EMBEDDINGS));
            } else if request.text().contains("\"stream\":true") {
                conn.send(stream_answer(&[CHUNK, FINISH, DONE]));
            } else {
                conn.send(json_answer(200, CHAT));
            }
        }
    })
}

/// Models `base`, `other`, `third`, called there what they are called here, and these rules, one a line.
fn config(upstream: &Upstream, rules: &[String]) -> String {
    let mut text = format!(
        "providers:\n  p: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n",
        upstream.url()
    );
    for model in ["base", "other", "third"] {
        text += &format!("  {model}: {{ targets: [ {{ provider: p }} ] }}\n");
    }
    text += "routes:\n";
    for rule in rules {
        text += &format!("  - {{ {rule} }}\n");
    }
    text
}

fn ruled(upstream: &Upstream, rules: &[&str]) -> Gateway {
    let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
    Gateway::with(config(upstream, &rules))
}

/// Which model answers this chat request.
#[track_caller]
fn answers(gateway: &Gateway, headers: &str, body: impl AsRef<[u8]>) -> String {
    let response = gateway.post_with("/v1/chat/completions", headers, body).ok();
    response.header("x-cirque-model").unwrap().to_owned()
}

const CHATS: &str = "/v1/chat/completions";
const MESSAGE: &str = r#"{"model":"base","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}"#;
const EMBED: &str = r#"{"model":"base","input":"Hello"}"#;
#[test]
fn a_switch_goes_by_value_and_without_one_the_next_rule_is_tried() {
    let upstream = answering();
    let gateway = ruled(
        &upstream,
        &[
            "name: region, switch: { on: metadata.region, cases: { eu: other, us: base } }",
            r#"name: tier, switch: { on: 'headers["x-tier"]', cases: { gold: other }, otherwise: base }"#,
            "name: rest, to: third",
        ],
    );
    for (headers, model) in [
        ("x-cirque-metadata: {\"region\":\"eu\"}\r\nx-tier: x\r\n", "other"),
        ("x-cirque-metadata: {\"region\":\"us\"}\r\nx-tier: gold\r\n", "base"),
        // No case, no otherwise: not this rule.
        ("x-cirque-metadata: {\"region\":\"cn\"}\r\nx-tier: gold\r\n", "other"),
        ("x-cirque-metadata: {\"region\":\"cn\"}\r\nx-tier: tin\r\n", "base"),
        // Not there, or not a string: not even the otherwise.
        ("x-cirque-metadata: {\"region\":5}\r\n", "third"),
        ("", "third"),
    ] {
        assert_eq!(answers(&gateway, headers, chat("base")), model, "{headers}");
    }
    for (rule, count) in [("region", 2.0), ("tier", 2.0), ("rest", 2.0)] {
        let label = format!("rule=\"{rule}\"");
        assert_eq!(gateway.metric("cirque_route_rules_total", &[&label]), count, "{rule}");
    }
}

#[test]
fn a_refusal_is_a_403_with_its_text_in_every_dialect() {
    let upstream = answering();
    let gateway = ruled(&upstream, &["name: closed, refuse: 'ask \"base\" of <tomorrow>'"]);
    let text = "ask \"base\" of <tomorrow>";
    for (path, body) in [(CHATS, chat("base")), ("/v1/embeddings", EMBED.to_owned())] {
        let said = gateway
            .post(path, body)
            .expect_error(403, "permission_error", "route_refused");
        assert_eq!(said, text);
    }
    let stream = gateway.post(CHATS, chat_stream("base"));
    assert_eq!(stream.expect_error(403, "permission_error", "route_refused"), text);
    let responses = gateway.post("/v1/responses", r#"{"model":"base","input":"x"}"#);
    assert_eq!(responses.expect_error(403, "permission_error", "route_refused"), text);
    let message = gateway.post("/v1/messages", MESSAGE);
    assert_eq!(message.status, 403);
    assert_eq!(message.json()["type"], "error");
    assert_eq!(message.json()["error"]["type"], "permission_error");
    assert_eq!(message.json()["error"]["message"], text);
    let gemini = gateway.post("/v1beta/models/base:generateContent", r#"{"contents":[]}"#);
    assert_eq!(gemini.status, 403);
    assert_eq!(gemini.json()["error"]["code"], 403);
    assert_eq!(gemini.json()["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(gemini.json()["error"]["message"], text);
    assert_eq!(upstream.count(), 0);
    gateway.wait_metric("cirque_route_rules_total", &["rule=\"closed\""], 6.0);
    let id = message.header("x-request-id").unwrap();
    let line = gateway.access(id);
    assert_eq!((&line["rule"], &line["status"]), (&"closed".into(), &403.into()));
}

#[test]
fn a_model_may_exist_only_through_a_rule() {
    let upstream = answering();
    let gateway = ruled(
        &upstream,
        &[
            r#"name: small, when: 'model == "small"', to: other"#,
            r#"name: old, when: 'model.startsWith("gpt-3")', refuse: use gpt-4o"#,
        ],
    );
    assert_eq!(answers(&gateway, "", chat("small")), "other");
    assert!(upstream.request().text().contains("\"model\":\"other\""));
    let said = gateway
        .post(CHATS, chat("gpt-3.5"))
        .expect_error(403, "permission_error", "route_refused");
    assert_eq!(said, "use gpt-4o");
    // In a path too.
    let response = gateway.post(
        "/v1beta/models/small:generateContent",
        r#"{"contents":[{"parts":[{"text":"x"}]}]}"#,
    );
    assert_eq!(response.ok().header("x-cirque-model"), Some("other"));
    gateway
        .post(CHATS, chat("smaller"))
        .expect_error(404, "invalid_request_error", "model_not_found");
}

#[test]
fn the_first_that_ends_decides_and_those_before_it_add_up() {
    let upstream = answering();
    let gateway = ruled(
        &upstream,
        &[
            "name: cool, when: 'stream == false', set: { temperature: 0.25 }",
            "name: never, when: stream, set: { temperature: 1 }",
            "name: short, default: { max_tokens: 12 }, priority: 3",
            "name: seeded, set: { temperature: 0.5, seed: 7 }",
            r#"name: to-other, when: 'model == "base"', to: other, set: { user: ours }"#,
            "name: later, set: { top_p: 0.5 }",
            "name: last, to: third",
        ],
    );
    let id = "adds-up-1";
    let body = r#"{"model":"base","messages":[]}"#;
    assert_eq!(answers(&gateway, &format!("x-request-id: {id}\r\n"), body), "other");
    let sent: serde_json::Value = serde_json::from_str(upstream.request().text()).unwrap();
    let wanted = serde_json::json!({
        "model": "other", "messages": [], "temperature": 0.5, "max_tokens": 12, "seed": 7, "user": "ours",
    });
    assert_eq!(sent, wanted, "the later of two wins; nothing after the end");
    assert_eq!(gateway.access(id)["rule"], "to-other");
    for (rule, count) in [
        ("cool", 1.0),
        ("never", 0.0),
        ("short", 1.0),
        ("seeded", 1.0),
        ("to-other", 1.0),
        ("later", 0.0),
    ] {
        let label = format!("rule=\"{rule}\"");
        assert_eq!(gateway.metric("cirque_route_rules_total", &[&label]), count, "{rule}");
    }
    // The same model by name goes on to the last.
    assert_eq!(answers(&gateway, "", chat("other")), "third");
}

#[test]
fn a_rules_model_brings_its_own_fallback() {
    let (bad, good) = (Upstream::always(json_answer(500, "{}")), answering());
    let gateway = Gateway::with(format!(
        "providers:\n  bad: {{ kind: openai, base_url: \"{}\" }}\n  good: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
         base: {{ targets: [ {{ provider: bad }} ] }}\n  \
         first: {{ targets: [ {{ provider: bad, model: one }} ], fallback: [ second ] }}\n  \
         second: {{ targets: [ {{ provider: good, model: two }} ] }}\n\
         routes:\n  - {{ name: r, when: 'model == \"base\"', to: first }}\n",
        bad.url(),
        good.url()
    ));
    let response = gateway.post(CHATS, chat("base")).ok();
    assert_eq!(response.header("x-cirque-target"), Some("good/two"));
    assert_eq!(response.header("x-cirque-attempts"), Some("2"));
    assert!(bad.request().text().contains("\"one\"") && good.request().text().contains("\"two\""));
    // Asked by name it is no business of the rule's.
    let response = gateway.post(CHATS, chat("second")).ok();
    assert_eq!(response.header("x-cirque-attempts"), Some("1"));
}

#[test]
fn a_rule_says_who_goes_first() {
    let gate = Arc::new(Gate::default());
    let upstream = {
        let gate = Arc::clone(&gate);
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                gate.wait();
                conn.send(json_answer(200, CHAT));
            }
        })
    };
    let rules = [
        r#"name: low, when: 'headers["x-class"] == "low"', priority: 1"#.to_owned(),
        r#"name: high, when: 'headers["x-class"] == "high"', priority: 8"#.to_owned(),
    ];
    let config = config(&upstream, &rules).replace(
        "base: { targets: [ { provider: p } ]",
        "base: { queue: { wait: 20s }, targets: [ { provider: p, max_in_flight: 1 } ]",
    );
    let gateway = Gateway::with(config);
    let ask = |class: &str, asked: &str| {
        let body = format!(r#"{{"model":"base","user":"{class}{asked}","messages":[]}}"#);
        let lowered = match asked {
            "" => String::new(),
            asked => format!("x-cirque-priority: {asked}\r\n"),
        };
        gateway
            .post_with(CHATS, &format!("x-class: {class}\r\n{lowered}"), body)
            .ok();
    };
    // In each class one, since turns are shared among classes: its first is as early as it can be. A client may lower what the
    // rule says, and not raise it.
    let waiting = [("high", "0", 0), ("low", "9", 1), ("usual", "", 5), ("high", "", 8)];
    std::thread::scope(|scope| {
        scope.spawn(|| ask("first", ""));
        eventually("one asks", || (upstream.count() == 1).then_some(()));
        for (number, (class, asked, _)) in waiting.into_iter().enumerate() {
            scope.spawn(move || ask(class, asked));
            gateway.wait_metric("cirque_queue_position_count", &["model=\"base\""], number as f64 + 1.0);
        }
        for (.., priority) in waiting {
            gateway.wait_metric("cirque_queue_depth", &[&format!("priority=\"{priority}\"")], 1.0);
        }
        gate.open();
    });
    let requests = upstream.requests();
    let order: Vec<String> = requests
        .iter()
        .map(|request| serde_json::from_slice::<serde_json::Value>(&request.body).unwrap())
        .map(|body| body["user"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(order, ["first", "high", "usual", "low9", "high0"]);
}

#[test]
fn a_reload_changes_the_rules_and_a_broken_one_does_not() {
    let upstream = answering();
    let gateway = ruled(
        &upstream,
        &[r#"name: r, when: 'headers["x-tier"] == "gold"', to: other"#],
    );
    let gold = "x-tier: gold\r\n";
    assert_eq!(answers(&gateway, gold, chat("base")), "other");
    gateway.edit(|text| text.replace("to: other", "to: third"));
    gateway.reload();
    assert_eq!(answers(&gateway, gold, chat("base")), "third");
    assert_eq!(answers(&gateway, "", chat("base")), "base");
    for (from, to) in [
        ("== \"gold\"", "== 5 &&"),
        ("to: third", "to: nowhere"),
        ("headers[", "heders["),
    ] {
        let good = std::fs::read_to_string(&gateway.config).unwrap();
        gateway.edit(|text| text.replace(from, to));
        let line = good.lines().position(|line| line.contains("name: r,")).unwrap() + 1;
        gateway.reload();
        assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 0.0, "{to}");
        let at = format!("cirque.yaml:{line}:");
        eventually("the log names the line", || gateway.log_has(&at).then_some(()));
        assert_eq!(answers(&gateway, gold, chat("base")), "third");
        std::fs::write(&gateway.config, good).unwrap();
    }
    gateway.edit(|text| text.split("routes:").next().unwrap().to_owned());
    gateway.reload();
    assert_eq!(answers(&gateway, gold, chat("base")), "base", "no rules any more");
}

#[test]
fn metadata_that_is_not_a_flat_object_says_nothing_and_harms_nobody() {
    let upstream = answering();
    let gateway = ruled(
        &upstream,
        &[
            "name: listed, when: 'size(metadata.job) > 5', to: third",
            "name: batch, when: 'metadata.job == \"batch\"', to: other",
        ],
    );
    let huge = format!("{{\"job\":\"batch\",\"x\":\"{}\"}}", "y".repeat(9000));
    let deep = format!("{}1{}", "{\"job\":".repeat(900), "}".repeat(900));
    let many = format!("{{{}\"job\":\"batch\"}}", "\"k\":1,".repeat(1000));
    for (value, model) in [
        (r#"{"job":"batch"}"#, "other"),
        (r#"  {"job" : "b\u0061tch"}  "#, "other"),
        // The last of two wins, as in every JSON reader in use.
        (r#"{"job":"x","job":"batch"}"#, "other"),
        (many.as_str(), "other"),
        (r#"{"job":"batches"}"#, "third"),
        (r#"{"job":"Batch"}"#, "base"),
        (r#"{"job":{"kind":1}}"#, "base"),
        (r#"{"job":["batch"]}"#, "base"),
        (r#"["job"]"#, "base"),
        (r#""batch""#, "base"),
        ("null", "base"),
        ("", "base"),
        ("{", "base"),
        (r#"{"job":"batch"} x"#, "base"),
        (r#"{"job":"batch",}"#, "base"),
        (r#"{"job":"\ud800"}"#, "base"),
        (r#"{"job":1e999}"#, "base"),
        ("job=batch", "base"),
        (huge.as_str(), "base"),
        (deep.as_str(), "base"),
    ] {
        let headers = format!("x-cirque-metadata: {value}\r\n");
        let shown = &value[..value.len().min(60)];
        assert_eq!(answers(&gateway, &headers, chat("base")), model, "{shown}");
    }
    // Of two headers the first.
    let two = "x-cirque-metadata: {\"job\":\"batch\"}\r\nx-cirque-metadata: {\"job\":\"x\"}\r\n";
    assert_eq!(answers(&gateway, two, chat("base")), "other");
    for sent in upstream.requests() {
        assert_eq!(sent.header("x-cirque-metadata"), None, "it is ours");
    }
}

#[test]
fn bytes_that_are_no_text_are_no_header() {
    let upstream = answering();
    let gateway = ruled(
        &upstream,
        &[
            r#"name: gold, when: 'headers["x-tier"].contains("gold")', to: other"#,
            r#"name: batch, when: 'metadata.job.contains("batch")', to: other"#,
        ],
    );
    let ask = |header: &[u8]| {
        let request = post(CHATS, "x-mark: y\r\n", chat("base"));
        let at = request.windows(9).position(|bytes| bytes == b"x-mark: y").unwrap();
        let mut client = gateway.client();
        client.send([&request[..at], header, b"\r\n", &request[at..]].concat());
        client.response()
    };
    for header in [
        &b"x-tier: gold\xff"[..],
        b"x-tier: gold\xc3\x28",
        b"x-tier: \x80\x81gold",
        b"x-cirque-metadata: {\"job\":\"batch\xff\"}",
        b"x-cirque-metadata: \xff\xfe{\"job\":\"batch\"}",
    ] {
        let response = ask(header).ok();
        assert_eq!(response.header("x-cirque-model"), Some("base"), "{header:?}");
    }
    let response = ask("x-cirque-metadata: {\"job\":\"batch ö\"}".as_bytes()).ok();
    assert_eq!(response.header("x-cirque-model"), Some("other"), "UTF-8 is text");
}

#[test]
fn bodies_that_cannot_be_read_are_refused_as_without_rules() {
    let upstream = answering();
    let gateway = ruled(
        &upstream,
        &[
            "name: all, when: 'needs.tools || tokens >= 0', set: { temperature: 0 }",
            "name: to, to: other",
        ],
    );
    let deep = format!(r#"{{"model":"base","tools":{}{}}}"#, "[".repeat(300), "]".repeat(300));
    for (body, code) in [
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        (r#"{"messages":[]}"#, "missing_required_parameter"),
        (r#"{"model":5}"#, "invalid_value"),
        (deep.as_str(), "invalid_json"),
    ] {
        let response = gateway.post(CHATS, body);
        assert_eq!(response.status, 400, "{body}");
        assert_eq!(response.json()["error"]["type"], "invalid_request_error");
        let said = &response.json()["error"]["code"];
        assert!(said == code || said == "invalid_type", "{said} {body}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.metric("cirque_route_rules_total", &[]), 0.0);
}
