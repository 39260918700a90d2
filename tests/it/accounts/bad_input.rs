//! What clients and operators send that is wrong: told clearly, and nothing of it is kept.

use super::*;

const CHAT: &str = "/v1/chat/completions";

#[test]
fn metadata_of_a_request_is_small_flat_and_clean_or_refused() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, "keys: { k: { secret: env:KEY, team: t } }\nteams: { t: {} }");
    let ask = |text: &str| {
        let headers = format!("{}x-cirque-metadata: {text}\r\n", bearer(KEY));
        gateway.post_with(CHAT, &headers, chat("m"))
    };
    let many = |count: usize| {
        format!(
            "{{{}}}",
            (0..count)
                .map(|at| format!("\"n{at}\":1"))
                .collect::<Vec<_>>()
                .join(",")
        )
    };
    let wrong = [
        "nonsense".to_owned(),
        String::new(),
        "[1]".to_owned(),
        "\"text\"".to_owned(),
        "{\"a\":{}}".to_owned(),
        "{\"a\":[1]}".to_owned(),
        "{\"a\":\"\\u0000\"}".to_owned(),
        "{\"a\":\"\\u001b[31m\"}".to_owned(),
        "{\"\\n\":1}".to_owned(),
        "{\"a\":1".to_owned(),
        "{\"a\":\"\\ud800\"}".to_owned(),
        many(65),
        format!("{{\"a\":\"{}\"}}", "x".repeat(8 * 1024)),
        format!("{{\"a\":{}1{}}}", "[".repeat(3000), "]".repeat(3000)),
    ];
    for text in &wrong {
        let answer = ask(text);
        let shown = &text[..text.len().min(40)];
        assert_eq!(answer.status, 400, "{shown} {}", answer.text());
        let message = answer.expect_error_of_param("invalid_header", "x-cirque-metadata");
        assert!(message.contains("must be a JSON object"), "{shown}: {message}");
    }
    assert_eq!(upstream.count(), 0);
    for text in [
        many(64),
        "{\"a\":\"\u{e4}\u{1f600}\"}".to_owned(),
        "{\"a\":null,\"b\":1e300}".to_owned(),
        "{}".to_owned(),
    ] {
        ask(&text).ok();
    }
    // They are on record as this tenant's, without what was wrong with them.
    let rows = records(&gateway, wrong.len() + 4, "&team=t");
    let kept = rows
        .iter()
        .filter(|row| row["status"] == 400 && row.get("metadata").is_some())
        .count();
    assert_eq!(kept, 0);
    let text = json!({"a": "\u{e4}\u{1f600}"});
    assert_eq!(rows.iter().filter(|row| row["metadata"] == text).count(), 1);
}

impl Response {
    #[track_caller]
    fn expect_error_of_param(&self, code: &str, param: &str) -> String {
        let error = &self.json()["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!(code), &json!(param)),
            "{error}"
        );
        error["message"].as_str().unwrap().to_owned()
    }
}

/// Everything that is listed, to see that nothing has changed.
fn everything(gateway: &Gateway) -> Value {
    let kinds = [
        "organisations",
        "teams",
        "projects",
        "users",
        "keys",
        "prices",
        "limits",
        "budgets",
    ];
    kinds
        .iter()
        .map(|kind| {
            (
                kind.to_string(),
                read(gateway, &format!("/admin/v1/{kind}"))["items"].clone(),
            )
        })
        .collect()
}

#[track_caller]
fn refused(gateway: &Gateway, method: &str, path: &str, body: &Value) {
    let answer = admin(gateway, method, path, body);
    let shown = body.to_string();
    let shown = shown.chars().take(200).collect::<String>();
    assert!(
        matches!(answer.status, 400 | 404 | 409 | 413),
        "{method} {path} {shown}: {} {}",
        answer.status,
        answer.text()
    );
    let error = &answer.json()["error"];
    assert!(
        error["message"].as_str().is_some_and(|text| text.len() > 5),
        "{shown}: {error}"
    );
    assert!(
        !answer.text().contains('\u{1b}') && answer.text().len() < 20_000,
        "{shown}"
    );
}

#[test]
fn what_operators_send_that_is_wrong_changes_nothing() {
    let upstream = Upstream::ok();
    let mut gateway = gateway(&upstream, "keys: { k: { secret: env:KEY } }\nteams: { filed: {} }");
    let live = make_key(
        &gateway,
        "live",
        json!({"budgets": [{"usd": "50"}], "limits": [{"requests": 9}]}),
    );
    let before = everything(&gateway);
    let long = "x".repeat(129);
    for name in [
        "",
        "../x",
        "a b",
        "a/b",
        "a\u{0}",
        "\u{1b}[31m",
        "\u{e4}",
        "-a",
        ".a",
        "a\n",
        &long,
        "{}",
        "a,b",
        "a'b\"--",
    ] {
        for kind in ["keys", "teams", "users"] {
            refused(&gateway, "POST", &format!("/admin/v1/{kind}"), &json!({"name": name}));
        }
    }
    for name in ["k", "live"] {
        refused(&gateway, "POST", "/admin/v1/keys", &json!({"name": name}));
    }
    refused(&gateway, "POST", "/admin/v1/teams", &json!({"name": "filed"}));
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let many: serde_json::Map<String, Value> = (0..300).map(|at| (format!("n{at}"), json!("x"))).collect();
    let wrong = [
        json!({"nonsense": 1}),
        json!([]),
        json!("text"),
        json!({"team": "nowhere"}),
        json!({"models": ["nowhere"]}),
        json!({"providers": ["nowhere"]}),
        json!({"operations": ["nowhere"]}),
        json!({"allowed_ips": ["10.0.0.0/33"]}),
        json!({"allowed_ips": ["localhost"]}),
        json!({"expires": "tomorrow"}),
        json!({"hours": [{"days": "mon-someday"}]}),
        json!({"hours": [{"time": "25:00-26:00"}]}),
        json!({"hours": [{"time_zone": "Europe/Atlantis"}]}),
        json!({"metadata": {"a": 1}}),
        json!({"metadata": {"a": "\u{0}"}}),
        json!({"metadata": {"\u{1b}[2J": "a"}}),
        json!({"metadata": many}),
        json!({"metadata": {"a": "x".repeat(5000)}}),
        json!({"tags": ["\u{7}"]}),
        json!({"tags": vec!["x"; 300]}),
        json!({"description": "a\u{0}b"}),
        json!({"defaults": {"a": deep}}),
        json!({"limits": [{}]}),
        json!({"limits": [{"requests": -1}]}),
        json!({"limits": [{"requests": 1.5}]}),
        json!({"limits": [{"requests": 1e30}]}),
        json!({"limits": [{"requests": u64::MAX}]}),
        json!({"limits": [{"requests": "5"}]}),
        json!({"limits": [{"requests": 5, "tokens": 5}]}),
        json!({"limits": [{"requests": 5, "per": "0s"}]}),
        json!({"limits": [{"requests": 5, "per": "48h"}]}),
        json!({"limits": [{"requests": 5, "per": "-1m"}]}),
        json!({"limits": [{"concurrent": 5, "per": "1m"}]}),
        json!({"limits": [{"concurrent": 99_000_000}]}),
        json!({"limits": [{"requests": 5, "models": ["nowhere"]}]}),
        json!({"limits": vec![json!({"requests": 5}); 300]}),
        json!({"budgets": [{}]}),
        json!({"budgets": [{"usd": "-1"}]}),
        json!({"budgets": [{"usd": "1e3"}]}),
        json!({"budgets": [{"usd": "NaN"}]}),
        json!({"budgets": [{"usd": "5 EUR"}]}),
        json!({"budgets": [{"usd": "\u{20ac}5"}]}),
        json!({"budgets": [{"eur": "5"}]}),
        json!({"budgets": [{"usd": "5", "currency": "EUR"}]}),
        json!({"budgets": [{"usd": 5.1}]}),
        json!({"budgets": [{"usd": "0.0000000001"}]}),
        json!({"budgets": [{"usd": "99999999999999999999"}]}),
        json!({"budgets": [{"usd": "5", "period": "fortnight"}]}),
        json!({"budgets": [{"usd": "5", "time_zone": "Europe/Atlantis"}]}),
        json!({"budgets": [{"usd": "5", "alert_percent": [0, 5000]}]}),
        json!({"budgets": [{"usd": "5", "downgrade_to": "nowhere"}]}),
        json!({"budgets": [{"usd": "5"}, {"usd": "5"}]}),
        json!({"secret": "env:KEY"}),
        json!({"hash": "00"}),
    ];
    for settings in &wrong {
        refused(
            &gateway,
            "POST",
            "/admin/v1/keys",
            &json!({"name": "new", "settings": settings}),
        );
        refused(&gateway, "PATCH", "/admin/v1/keys/live", &json!({"settings": settings}));
        refused(
            &gateway,
            "PUT",
            "/admin/v1/keys/live",
            &json!({"revision": 1, "settings": settings}),
        );
    }
    refused(
        &gateway,
        "POST",
        "/admin/v1/teams",
        &json!({"name": "big", "settings": {"description": "x".repeat(300_000)}}),
    );
    refused(
        &gateway,
        "PATCH",
        "/admin/v1/keys/live",
        &json!({"revision": 99_999, "settings": {}}),
    );
    refused(
        &gateway,
        "POST",
        "/admin/v1/keys/live/rotate",
        &json!({"overlap": "-5s"}),
    );
    refused(&gateway, "POST", "/admin/v1/keys/nothing/revoke", &json!({}));
    refused(&gateway, "DELETE", "/admin/v1/teams/filed", &Value::Null);
    assert_eq!(everything(&gateway), before);
    chat_as(&gateway, &live).ok();
    settled(&gateway, "key", "live");
    gateway.kill_and_restart();
    let after = everything(&gateway);
    for kind in ["keys", "teams", "users", "organisations", "projects", "prices"] {
        assert_eq!(after[kind], before[kind], "{kind}");
    }
    chat_as(&gateway, &live).ok();
    assert_eq!(gateway.metric("cirque_virtual_keys", &[]), 2.0);
    let audit = admin(&gateway, "GET", "/admin/v1/audit/verify", &Value::Null);
    assert_eq!(audit.status, 200, "{}", audit.text());
}

#[test]
fn a_team_with_live_keys_is_not_deleted_and_can_be_stopped() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, "");
    let made = admin(&gateway, "POST", "/admin/v1/teams", &json!({"name": "t"}));
    assert_eq!(made.status, 201);
    let key = make_key(&gateway, "of-t", json!({"team": "t"}));
    let answer = admin(&gateway, "DELETE", "/admin/v1/teams/t", &Value::Null);
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (409, &json!("in_use")),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("of-t"), "{}", answer.text());
    chat_as(&gateway, &key).ok();
    let forced = admin(&gateway, "DELETE", "/admin/v1/teams/t?force=true", &Value::Null);
    assert!(forced.status < 300, "{}", forced.text());
    assert_eq!(forced.json()["disabled"], true, "{}", forced.text());
    chat_as(&gateway, &key).expect_error(403, "permission_error", "disabled");
    let gone = admin(&gateway, "DELETE", "/admin/v1/keys/of-t", &Value::Null);
    assert!(gone.status < 300, "{}", gone.text());
    let gone = admin(&gateway, "DELETE", "/admin/v1/teams/t", &Value::Null);
    assert!(gone.status < 300, "{}", gone.text());
    assert_eq!(chat_as(&gateway, &key).status, 401);
    assert_eq!(admin(&gateway, "GET", "/admin/v1/teams/t", &Value::Null).status, 404);
}

#[test]
fn a_file_that_is_wrong_is_not_taken_up_and_says_all_that_is() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, "keys: { k: { secret: env:KEY } }");
    let good = std::fs::read_to_string(&gateway.config).unwrap();
    for (keys, parts) in [
        (
            "keys: { k: { secret: env:KEY, team: nowhere, budgets: [ { usd: \"-5\" } ] } }",
            &["keys.k.team", "usd"][..],
        ),
        ("keys: { k: { secret: env:KEY }, twin: { secret: env:KEY } }", &["twin"]),
        ("keys: { k: { secret: env:SHORT } }", &["20"]),
        (
            "keys: { k: { secret: env:KEY, limits: [ { requests: 1, tokens: 2 } ] } }",
            &["limits"],
        ),
        (
            "keys: { k: { secret: env:KEY, budgets: [ { usd: \"5\" }, { usd: \"6\" } ] } }",
            &["budgets"],
        ),
        (
            "teams: { a: { organisation: b } }\nkeys: { k: { secret: env:KEY } }",
            &["organisation"],
        ),
    ] {
        std::fs::write(&gateway.config, good.replace("keys: { k: { secret: env:KEY } }", keys)).unwrap();
        let before = gateway.stderr.text().len();
        gateway.reload();
        assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 0.0, "{keys}");
        crate::support::eventually(&format!("all of {parts:?} is told"), || {
            let log = gateway.stderr.text()[before..].to_owned();
            assert!(!log.contains(KEY), "{keys}: {log}");
            parts.iter().all(|part| log.contains(part)).then_some(())
        });
        chat_as(&gateway, KEY).ok();
    }
}
