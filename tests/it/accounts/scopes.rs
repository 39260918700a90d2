//! What keys and tenants allow: models, operations, providers, networks, hours, times; what they add to a request; what rules see.

use super::*;
use crate::support::client::post;
use crate::support::upstream::json_answer;

const CHAT: &str = "/v1/chat/completions";

/// Models `m`, `fast-1` and `fast-2` of `p`, `other` of `q`, `both` of either, and a path that is passed through.
fn wide(upstream: &Upstream, more: &str) -> Gateway {
    let url = upstream.url();
    let text = format!(
        "{TIMEOUTS}providers:\n  p: {{ kind: openai, base_url: \"{url}\", api_key: env:UP_KEY }}\n  \
         q: {{ kind: openai, base_url: \"{url}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ targets: [ {{ provider: p, model: up }} ], aliases: [ n ] }}\n  \
         fast-1: {{ targets: [ {{ provider: p, model: up }} ] }}\n  fast-2: {{ targets: [ {{ provider: p, model: up }} ] }}\n  \
         other: {{ targets: [ {{ provider: q, model: up-q }} ] }}\n  \
         both: {{ targets: [ {{ provider: p, model: up-p }}, {{ provider: q, model: up-q }} ] }}\n\
         passthrough: [ {{ path: /v1/files, pool: m }}, {{ path: /v1/audio, pool: other }} ]\n{more}\n"
    );
    builder(text).start()
}

fn ask(gateway: &Gateway, key: &str, model: &str) -> Response {
    gateway.post_with(CHAT, &bearer(key), chat(model))
}

/// Words of a refusal that is no 401.
#[track_caller]
fn denied(answer: &Response, code: &str) -> String {
    answer.expect_error(403, "permission_error", code)
}

#[test]
fn models_that_may_not_be_asked_are_refused_and_not_listed() {
    let upstream = Upstream::ok();
    let gateway = wide(
        &upstream,
        "organisations: { o: { denied_models: [ fast-2 ] } }\nteams: { t: { organisation: o, models: [ \"fast-*\", m ] } }\n\
         keys: { k: { secret: env:KEY, team: t } }",
    );
    for model in ["m", "n", "fast-1"] {
        ask(&gateway, KEY, model).ok();
    }
    let text = denied(&ask(&gateway, KEY, "fast-2"), "model_not_allowed");
    assert!(text.contains("organisation \"o\""), "{text}");
    let text = denied(&ask(&gateway, KEY, "other"), "model_not_allowed");
    assert!(text.contains("team \"t\""), "{text}");
    assert_eq!(upstream.count(), 3);
    let listed = get_as(&gateway, KEY, "/v1/models").ok().text();
    for (model, shown) in [
        ("\"m\"", true),
        ("fast-1", true),
        ("fast-2", false),
        ("other", false),
        ("both", false),
    ] {
        assert_eq!(listed.contains(model), shown, "{model} in {listed}");
    }
    get_as(&gateway, KEY, "/v1/models/fast-1").ok();
    assert_eq!(get_as(&gateway, KEY, "/v1/models/fast-2").status, 404);
    assert_eq!(get_as(&gateway, KEY, "/v1beta/models/other").status, 404);
    let near = ask(&gateway, KEY, "fast-3").expect_error(404, "invalid_request_error", "model_not_found");
    assert!(near.contains("fast-1") && !near.contains("fast-2"), "{near}");
    let passed = gateway.post_with("/v1/audio/speech", &bearer(KEY), "{}");
    denied(&passed, "model_not_allowed");
    gateway.post_with("/v1/files", &bearer(KEY), "{}").ok();
}

#[test]
fn operations_and_providers_are_allowed_by_name() {
    let upstream = Upstream::ok();
    let gateway = wide(&upstream, "keys: {}");
    let chats = make_key(&gateway, "chats", json!({"operations": ["chat", "models"]}));
    let ours = make_key(&gateway, "ours", json!({"providers": ["q"]}));
    ask(&gateway, &chats, "m").ok();
    get_as(&gateway, &chats, "/v1/models").ok();
    for (path, body) in [
        ("/v1/embeddings", r#"{"model":"m","input":"x"}"#),
        ("/v1/files", "{}"),
        ("/v2/rerank", r#"{"model":"m","query":"x","documents":["y"]}"#),
    ] {
        let answer = gateway.post_with(path, &bearer(&chats), body);
        assert_eq!(answer.status, 403, "{path} {}", answer.text());
        assert!(
            answer.text().contains("may not use the operation"),
            "{path} {}",
            answer.text()
        );
    }
    let messages = gateway.post_with("/v1/messages/count_tokens", &bearer(&chats), chat("m"));
    assert_eq!(
        (messages.status, &messages.json()["error"]["type"]),
        (403, &json!("permission_error"))
    );
    denied(&ask(&gateway, &ours, "m"), "provider_not_allowed");
    denied(
        &gateway.post_with("/v1/files", &bearer(&ours), "{}"),
        "provider_not_allowed",
    );
    ask(&gateway, &ours, "other").ok();
    for _ in 0..6 {
        let answer = ask(&gateway, &ours, "both").ok();
        assert_eq!(answer.header("x-cirque-target"), Some("q/up-q"));
    }
}

#[test]
fn networks_are_those_of_the_client_behind_trusted_proxies_only() {
    let upstream = Upstream::ok();
    let keys = "keys: { k: { secret: env:KEY, allowed_ips: [ 10.0.0.0/8 ], denied_ips: [ 10.9.0.0/16 ] } }";
    let from = |gateway: &Gateway, chain: &str| {
        let headers = format!("{}x-forwarded-for: {chain}\r\n", bearer(KEY));
        gateway.post_with(CHAT, &headers, chat("m"))
    };
    let gateway = wide(
        &upstream,
        &format!("auth: {{ trusted_proxies: [ 127.0.0.0/8, 192.168.0.0/16 ] }}\n{keys}"),
    );
    from(&gateway, "10.1.2.3").ok();
    from(&gateway, "8.8.8.8, 10.1.2.3, 192.168.1.1").ok();
    for chain in ["10.9.2.3", "8.8.8.8", "10.1.2.3, 8.8.8.8", "nonsense", ""] {
        denied(&from(&gateway, chain), "ip_not_allowed");
    }
    denied(&ask(&gateway, KEY, "m"), "ip_not_allowed");
    // Nobody is trusted: whatever a client writes is nothing.
    let gateway = wide(&upstream, keys);
    denied(&from(&gateway, "10.1.2.3"), "ip_not_allowed");
}

#[test]
fn times_and_switches_of_all_blocks_count() {
    let upstream = Upstream::ok();
    let gateway = wide(&upstream, "keys: { k: { secret: env:KEY } }");
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    // Not a day that midnight could make today's.
    let elsewhen = today.checked_add(jiff::Span::new().days(3)).unwrap();
    let day = elsewhen.strftime("%a").to_string().to_lowercase();
    let team = |name: &str, settings: Value| {
        let made = admin(
            &gateway,
            "POST",
            "/admin/v1/teams",
            &json!({"name": name, "settings": settings}),
        );
        assert_eq!(made.status, 201, "{}", made.text());
        make_key(&gateway, name, json!({"team": name}))
    };
    let closed = team("closed", json!({"hours": [{"days": day}]}));
    denied(&ask(&gateway, &closed, "m"), "outside_hours");
    let always = team(
        "always",
        json!({"hours": [{"days": day}, {"days": "mon-sun", "time": "00:00-24:00"}]}),
    );
    ask(&gateway, &always, "m").ok();
    let off = team("off", json!({}));
    ask(&gateway, &off, "m").ok();
    admin(
        &gateway,
        "PATCH",
        "/admin/v1/teams/off",
        &json!({"settings": {"disabled": true}}),
    )
    .ok();
    denied(&ask(&gateway, &off, "m"), "disabled");
    admin(
        &gateway,
        "PATCH",
        "/admin/v1/teams/off",
        &json!({"settings": {"disabled": null}}),
    )
    .ok();
    ask(&gateway, &off, "m").ok();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let expires = jiff::Timestamp::from_second(soon.as_second()).unwrap().to_string();
    let brief = make_key(&gateway, "brief", json!({"expires": expires}));
    let answer = crate::support::eventually("it expires", || {
        let answer = ask(&gateway, &brief, "m");
        (answer.status != 200).then_some(answer)
    });
    answer.expect_error(401, "authentication_error", "expired");
    assert!(
        jiff::Timestamp::now().as_second() >= soon.as_second(),
        "it expired early"
    );
    let old = admin(
        &gateway,
        "PATCH",
        "/admin/v1/teams/always",
        &json!({"settings": {"expires": "2020-01-01T00:00:00Z"}}),
    );
    assert!(old.status == 200 || old.status == 400, "{}", old.text());
    if old.status == 200 {
        denied(&ask(&gateway, &always, "m"), "expired");
    }
}

#[test]
fn defaults_are_given_by_the_narrowest_block_and_never_over_what_was_said() {
    let upstream = Upstream::ok();
    let gateway = wide(
        &upstream,
        "teams: { t: { defaults: { temperature: 0.5, max_tokens: 77, seed: 4 } } }\n\
         keys: { k: { secret: env:KEY, team: t, defaults: { max_tokens: 11 } } }",
    );
    gateway.post_with(CHAT, &bearer(KEY), body(json!({"seed": 9}))).ok();
    let sent: Value = serde_json::from_slice(&upstream.request().body).unwrap();
    assert_eq!(
        (&sent["temperature"], &sent["max_tokens"], &sent["seed"]),
        (&json!(0.5), &json!(11), &json!(9)),
        "{sent}"
    );
}

#[test]
fn rules_see_who_is_calling() {
    let upstream = Upstream::always(json_answer(200, crate::support::upstream::CHAT));
    let gateway = wide(
        &upstream,
        "teams: { gold: { tags: [ vip ], metadata: { tier: gold } }, tin: {} }\n\
         keys: { k: { secret: env:KEY, team: tin, metadata: { job: batch } } }\n\
         routes:\n  - { name: by-key, when: 'key == \"k\" && metadata.job == \"batch\"', to: fast-1 }\n  \
         - { name: by-team, when: 'team == \"gold\" && \"vip\" in tags && metadata.tier == \"gold\"', to: fast-2 }",
    );
    let rule = |answer: Response| answer.ok().header("x-cirque-model").unwrap().to_owned();
    assert_eq!(rule(ask(&gateway, KEY, "m")), "fast-1");
    let gold = make_key(&gateway, "g", json!({"team": "gold"}));
    assert_eq!(rule(ask(&gateway, &gold, "m")), "fast-2");
    let none = make_key(&gateway, "n", json!({}));
    assert_eq!(rule(ask(&gateway, &none, "m")), "m");
    // What a tenant is configured with is not overwritten by what a client says of itself; what it is not, is the client's.
    let says = |key: &str, text: &str| {
        let headers = format!("{}x-cirque-metadata: {text}\r\n", bearer(key));
        rule(gateway.post_with(CHAT, &headers, chat("m")))
    };
    assert_eq!(says(&gold, r#"{"tier":"tin"}"#), "fast-2");
    assert_eq!(says(KEY, r#"{"job":"other"}"#), "fast-1");
    assert_eq!(says(&none, r#"{"tier":"gold"}"#), "m");
}

#[test]
fn tenants_do_not_learn_of_each_other() {
    let upstream = Upstream::ok();
    let gateway = wide(
        &upstream,
        "organisations: { secretive: { budgets: [ { usd: \"0\", period: total, name: hush } ] } }\n\
         teams: { a: { organisation: secretive }, b: {} }\nkeys: { k: { secret: env:KEY, team: b } }",
    );
    let of_a = make_key(&gateway, "of-a", json!({"team": "a"}));
    for path in ["/v1/models", "/v1/models/nothing"] {
        let text = get_as(&gateway, KEY, path).text();
        assert!(!text.contains("secretive") && !text.contains("of-a"), "{text}");
    }
    assert_eq!(ask(&gateway, &of_a, "m").status, 429);
    let mut client = gateway.client();
    client.send(post(CHAT, &bearer(KEY), chat("m")));
    let answer = client.response().ok();
    let all = format!("{:?} {}", answer.headers, answer.text());
    assert!(!all.contains("secretive") && !all.contains("hush"), "{all}");
}
