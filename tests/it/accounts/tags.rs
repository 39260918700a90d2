//! Limits and budgets of tags: one count for all that carry the tag, which nobody joins or leaves by what a request or a key says.

use super::*;

/// What a request for a path that is passed through is answered with.
fn passed(gateway: &Gateway, key: &str) -> Response {
    gateway.post_with("/v1/files", &bearer(key), "{}")
}

#[track_caller]
fn limited(answer: &Response) -> String {
    answer.expect_error(429, "rate_limit_error", "rate_limit_exceeded")
}

fn left(answer: &Response) -> u64 {
    answer
        .header("x-ratelimit-remaining-requests")
        .unwrap()
        .parse()
        .unwrap()
}

/// Two teams whose only common word is the tag `batch`, a third without, and keys of each; `more` is under the tag.
fn teams(upstream: &Upstream, more: &str) -> Gateway {
    let blocks = format!(
        "{}passthrough: [ {{ path: /v1/files, pool: m }} ]\ntags: {{ batch: {{ description: night jobs, {more} }} }}\n\
         teams: {{ red: {{ tags: [ batch ] }}, blue: {{ tags: [ batch, other ] }}, free: {{}} }}\n\
         keys: {{ r: {{ secret: env:KEY, team: red, tags: [ batch ] }} }}\n",
        priced(upstream)
    );
    builder(blocks)
        .admin(
            "operators: { root: { role: owner, token: env:OWNER }, head: { role: team-admin, team: red, token: env:HEAD } }",
        )
        .env("HEAD", HEAD)
        .start()
}

const HEAD: &str = "team-admin-0123456789-0123456789-0123456789";

/// The team-admin of `red` asks; status and answer.
fn head(gateway: &Gateway, method: &str, path: &str, body: &Value) -> (u16, String) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut client = Client::connect(gateway.admin);
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\n{}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        bearer(HEAD),
        body.len()
    ));
    let answer = client.response();
    (answer.status, answer.text())
}

#[test]
fn one_count_is_for_all_that_carry_the_tag_in_every_lane() {
    let upstream = Upstream::ok();
    let gateway = teams(&upstream, "limits: [ { requests: 6, per: 1h } ]");
    let blue = make_key(&gateway, "b", json!({"team": "blue"}));
    let free = make_key(&gateway, "f", json!({"team": "free"}));
    // Carried twice (key and team), counted once.
    assert_eq!(left(&chat_as(&gateway, KEY).ok()), 5);
    assert_eq!(left(&chat_as(&gateway, &blue).ok()), 4);
    assert_eq!(left(&chat_as(&gateway, &blue).ok()), 3);
    assert_eq!(left(&passed(&gateway, KEY).ok()), 2);
    get_as(&gateway, &blue, "/v1/models").ok();
    assert_eq!(left(&chat_as(&gateway, KEY).ok()), 0);
    for key in [KEY, &blue] {
        let text = limited(&chat_as(&gateway, key));
        assert!(
            text.contains("the limit `requests per hour` of tag `batch` is reached: 6 requests"),
            "{text}"
        );
        limited(&passed(&gateway, key));
    }
    // Who does not carry it is neither counted nor refused.
    let answer = chat_as(&gateway, &free).ok();
    assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
    assert_eq!(upstream.count(), 6);
    let standing = read(&gateway, "/admin/v1/limits?scope=tag&name=batch");
    let items = standing["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["used"]), (1, &json!(6)), "{standing}");
    assert_eq!(items[0]["scope"], json!({"kind": "tag", "name": "batch"}));
    let refusals = ["scope=\"tag\"", "measure=\"requests\""];
    assert_eq!(gateway.metric("cirque_limit_refusals_total", &refusals), 4.0);
}

#[test]
fn a_budget_of_a_tag_is_charged_by_all_and_outlives_the_process() {
    let upstream = Upstream::ok();
    let mut gateway = teams(&upstream, "budgets: [ { usd: \"0.15\", period: total, name: pot } ]");
    let blue = make_key(&gateway, "b", json!({"team": "blue"}));
    let ask = |gateway: &Gateway, key: &str| {
        gateway.post_with("/v1/chat/completions", &bearer(key), body(json!({"max_tokens": 12})))
    };
    ask(&gateway, KEY).ok();
    assert_eq!(settled(&gateway, "tag", "batch"), COST);
    ask(&gateway, &blue).ok();
    assert_eq!(settled(&gateway, "tag", "batch"), "0.066");
    records(&gateway, 2, "");
    gateway.kill_and_restart();
    assert_eq!(settled(&gateway, "tag", "batch"), "0.066");
    let answer = eventually("it is used up, for both", || {
        Some(ask(&gateway, KEY)).filter(|answer| answer.status != 200)
    });
    for answer in [answer, ask(&gateway, &blue)] {
        let text = answer.expect_error(429, "insufficient_quota", "budget_exceeded");
        assert!(text.contains("the budget `pot` of tag `batch`, 0.15 USD"), "{text}");
    }
    let spent = nano(&settled(&gateway, "tag", "batch"));
    assert_eq!(spent, upstream.count() as u64 * nano(COST));
    assert!(spent <= 150_000_000, "{spent}");
}

#[test]
fn no_client_and_no_team_admin_chooses_a_tag() {
    let upstream = Upstream::ok();
    let gateway = teams(
        &upstream,
        "limits: [ { requests: 4, per: 1h } ], budgets: [ { usd: \"500\" } ]",
    );
    let free = make_key(&gateway, "f", json!({"team": "free"}));
    let metadata = |tags: &str| format!("x-cirque-metadata: {{\"tags\":\"{tags}\",\"tag\":\"{tags}\"}}\r\n");
    let ask = |key: &str, headers: String| {
        let headers = bearer(key) + &headers;
        gateway.post_with("/v1/chat/completions", &headers, body(json!({"max_tokens": 12})))
    };
    // Neither loads it …
    for _ in 0..6 {
        assert_eq!(
            ask(&free, metadata("batch")).ok().header("x-ratelimit-limit-requests"),
            None
        );
    }
    // … nor evades it.
    assert_eq!(left(&ask(KEY, metadata("none")).ok()), 3);
    assert_eq!(left(&ask(KEY, metadata("")).ok()), 2);
    // The store takes it from organisations and teams, which only owners and admins write; not from what a team-admin may write.
    for (path, name, settings) in [
        ("keys", "k2", json!({"team": "red", "tags": ["batch"]})),
        ("projects", "p2", json!({"team": "red", "tags": ["batch"]})),
        ("users", "u2", json!({"team": "red", "tags": ["x", "batch"]})),
    ] {
        let named = json!({"name": name, "settings": settings});
        let (status, text) = head(&gateway, "POST", &format!("/admin/v1/{path}"), &named);
        assert_eq!(status, 400, "{text}");
        assert!(
            text.contains("\"tags[") && text.contains("does not count here"),
            "{text}"
        );
        assert_eq!(
            admin(&gateway, "POST", &format!("/admin/v1/{path}"), &named).status,
            400
        );
    }
    // What a team-admin leaves out is the team's all the same.
    let named = json!({"name": "k3", "settings": {"team": "red"}});
    let (status, text) = head(&gateway, "POST", "/admin/v1/keys", &named);
    assert_eq!(status, 201, "{text}");
    let made: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(left(&chat_as(&gateway, made["secret"].as_str().unwrap()).ok()), 1);
    let named = json!({"name": "green", "settings": {"tags": ["batch"]}});
    assert_eq!(admin(&gateway, "POST", "/admin/v1/teams", &named).status, 201);
    let green = make_key(&gateway, "g", json!({"team": "green"}));
    assert_eq!(left(&chat_as(&gateway, &green).ok()), 0);
    limited(&chat_as(&gateway, KEY));
    // Without the tag it is free again, and what others share is not.
    let revision = read(&gateway, "/admin/v1/teams/green")["revision"].as_i64().unwrap();
    let changed = json!({"settings": {"tags": null}, "revision": revision});
    let answer = admin(&gateway, "PATCH", "/admin/v1/teams/green", &changed);
    assert!(answer.status == 200, "{}", answer.text());
    chat_as(&gateway, &green).ok();
    limited(&chat_as(&gateway, KEY));
}

#[test]
fn how_a_tag_stands_is_no_team_admins_business() {
    let upstream = Upstream::ok();
    let gateway = teams(
        &upstream,
        "limits: [ { requests: 9, per: 1h } ], budgets: [ { usd: \"500\" } ]",
    );
    let blue = make_key(&gateway, "b", json!({"team": "blue"}));
    chat_as(&gateway, KEY).ok();
    chat_as(&gateway, &blue).ok();
    for query in ["", "?scope=tag", "?scope=tag&name=batch", "?name=batch", "?team=red"] {
        for path in ["limits", "budgets"] {
            let (status, text) = head(&gateway, "GET", &format!("/admin/v1/{path}{query}"), &Value::Null);
            assert_eq!(status, 200, "{text}");
            assert!(!text.contains("batch"), "{path}{query}: {text}");
        }
    }
    for path in ["limits", "budgets"] {
        let all = read(&gateway, &format!("/admin/v1/{path}?scope=tag"));
        assert_eq!(all["items"].as_array().unwrap().len(), 1, "{all}");
    }
}

#[test]
fn tags_come_go_and_change_with_the_file() {
    let upstream = Upstream::ok();
    let gateway = teams(&upstream, "limits: [ { requests: 2, per: 1h } ]");
    chat_as(&gateway, KEY).ok();
    chat_as(&gateway, KEY).ok();
    limited(&chat_as(&gateway, KEY));
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    let rewrite = |to: String, loaded: &str| {
        std::fs::write(&gateway.config, to).unwrap();
        gateway.signal("HUP");
        eventually(loaded, || {
            let answer = chat_as(&gateway, KEY);
            match loaded {
                "free" => (answer.status == 200).then_some(()),
                _ => (answer.status == 429).then_some(()),
            }
        });
    };
    rewrite(
        text.replace(
            "tags: { batch: { description: night jobs, limits: [ { requests: 2, per: 1h } ] } }\n",
            "",
        ),
        "free",
    );
    // What was used before is used still.
    rewrite(text, "limited");
}
