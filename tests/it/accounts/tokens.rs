//! People with tokens of an identity provider: whose limits count from their first request on, what rules and records see of them.

use super::*;
use crate::jwt::signing::SigningKey;
use crate::support::upstream::json_answer;

const CHAT: &str = "/v1/chat/completions";
const ISSUER: &str = "https://login.example";

/// A signer, and a gateway that takes its tokens.
fn login(upstream: &Upstream, more: &str) -> (Gateway, SigningKey) {
    let key = SigningKey::p256();
    let text = format!(
        "{}auth:\n  jwt:\n    login:\n      issuer: {ISSUER}\n      jwks_file: JWKS\n      audiences: [ gateway ]\n      \
         claims: {{ team: group, keep: [ plan ] }}\n{more}\n",
        priced(upstream)
    );
    let mut builder = builder(text);
    let file = builder.file("keys.json", &json!({"keys": [key.jwk("k1")]}).to_string());
    builder.body = builder.body.replace("JWKS", &file.display().to_string());
    (builder.start(), key)
}

fn token(key: &SigningKey, changes: &Value) -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": ISSUER, "aud": "gateway", "sub": "ann@example.com", "iat": now, "exp": now + 600, "group": "t", "plan": "gold"
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    key.token(&json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), &claims)
}

#[test]
fn the_first_request_of_a_person_nobody_has_heard_of_is_limited() {
    let upstream = Upstream::ok();
    let (gateway, key) = login(
        &upstream,
        "teams: { t: { limits: [ { requests: 2, per: 1h, each: user } ], budgets: [ { usd: \"50\", period: total, each: user } ] }, \
         zero: { budgets: [ { usd: \"0\", period: total, each: user } ] } }\nusers: { known: { team: t } }",
    );
    for person in ["ann", "bob", "known"] {
        let token = token(&key, &json!({"sub": person}));
        let told: Vec<u16> = (0..3).map(|_| chat_as(&gateway, &token).status).collect();
        assert_eq!(told, [200, 200, 429], "{person}");
    }
    assert_eq!(upstream.count(), 6);
    let nobody = token(&key, &json!({"sub": "new", "group": "zero"}));
    chat_as(&gateway, &nobody).expect_error(429, "insufficient_quota", "budget_exceeded");
    assert_eq!(upstream.count(), 6);
    let rows = records(&gateway, 10, "");
    let ann = json!({"team": "t", "user": "ann"});
    assert_eq!(rows.iter().filter(|row| row["tenant"] == ann).count(), 3);
    // Somebody else's name cannot be had by a claim, and a team that is not there is no team.
    chat_as(&gateway, &token(&key, &json!({"group": "nowhere"}))).expect_error(
        403,
        "permission_error",
        "unknown_tenant",
    );
}

#[test]
fn tokens_that_do_not_hold_are_refused_and_those_that_do_are_taken_from_every_place() {
    let upstream = Upstream::ok();
    let (gateway, key) = login(&upstream, "teams: { t: {} }");
    let good = token(&key, &json!({}));
    for headers in [
        bearer(&good),
        format!("x-api-key: {good}\r\n"),
        format!("x-goog-api-key: {good}\r\n"),
    ] {
        gateway.post_with(CHAT, &headers, chat("m")).ok();
    }
    let now = jiff::Timestamp::now().as_second();
    let other = SigningKey::p256();
    for (what, wrong) in [
        ("expired", token(&key, &json!({"exp": now - 120}))),
        ("audience", token(&key, &json!({"aud": "another"}))),
        ("issuer", token(&key, &json!({"iss": "https://evil.example"}))),
        ("not yet", token(&key, &json!({"nbf": now + 600}))),
        ("signature", token(&other, &json!({}))),
        ("cut", good[..good.len() - 4].to_owned()),
    ] {
        let answer = chat_as(&gateway, &wrong);
        let text = answer.expect_error(401, "authentication_error", "invalid_token");
        assert!(!text.contains(&wrong) && !text.contains("ann@"), "{what}: {text}");
    }
    // Clocks may differ by a minute.
    chat_as(&gateway, &token(&key, &json!({"exp": now - 20, "nbf": now + 20}))).ok();
    assert_eq!(upstream.count(), 4);
    let head = String::from_utf8_lossy(&upstream.requests()[0].head).into_owned();
    assert!(!head.contains("eyJ"), "{head}");
}

#[test]
fn rules_see_claims() {
    let upstream = Upstream::always(json_answer(200, crate::support::upstream::CHAT));
    let (gateway, key) = login(
        &upstream,
        "teams: { t: {} }\nroutes: [ { name: gold, when: 'has(claims.plan) && claims.plan == \"gold\" && team == \"t\"', set: { max_tokens: 7 } } ]",
    );
    let sent = |changes: &Value| {
        chat_as(&gateway, &token(&key, changes)).ok();
        let last: Value = serde_json::from_slice(&upstream.requests().last().unwrap().body).unwrap();
        last["max_tokens"].clone()
    };
    assert_eq!(sent(&json!({})), 7);
    assert_eq!(sent(&json!({"plan": "tin"})), Value::Null);
}

#[test]
fn without_issuers_a_token_is_nothing() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream, "keys: { k: { secret: env:KEY } }");
    let token = token(&SigningKey::p256(), &json!({}));
    let text = chat_as(&gateway, &token).expect_error(401, "authentication_error", "invalid_api_key");
    assert!(text.contains("only keys"), "{text}");
}

/// Two issuers, `okta` and `entra`, each with a key of its own.
fn two_logins(upstream: &Upstream, okta: &str, entra: &str, more: &str) -> (Builder, [SigningKey; 2]) {
    let keys = [SigningKey::p256(), SigningKey::p256()];
    let mut builder = builder("");
    let mut issuers = String::new();
    for (name, key, terms) in [("okta", &keys[0], okta), ("entra", &keys[1], entra)] {
        let file = builder.file(&format!("{name}.json"), &json!({"keys": [key.jwk("k1")]}).to_string());
        issuers += &format!(
            "    {name}: {{ issuer: \"https://{name}.example\", jwks_file: \"{}\", audiences: [ gateway ], claims: {{ team: group }}, {terms} }}\n",
            file.display()
        );
    }
    builder.body = format!("{}auth:\n  jwt:\n{issuers}{more}\n", priced(upstream));
    (builder, keys)
}

#[test]
fn nobody_of_one_issuer_is_somebody_of_another() {
    let upstream = Upstream::ok();
    let (builder, [okta, entra]) = two_logins(
        &upstream,
        "prefix: \"okta:\", tenant_prefix: \"\"",
        "prefix: \"entra:\"",
        "teams: { t: { limits: [ { requests: 1, per: 1h, each: user } ] }, \"entra:t\": {} }",
    );
    let gateway = builder.start();
    let of = |key: &SigningKey, issuer: &str, changes: Value| {
        let mut all = json!({"iss": format!("https://{issuer}.example"), "sub": "ann", "group": "t"});
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        chat_as(&gateway, &token(key, &all))
    };
    of(&okta, "okta", json!({})).ok();
    assert_eq!(of(&okta, "okta", json!({})).status, 429);
    // Another person, of another team, though both are called the same.
    of(&entra, "entra", json!({})).ok();
    of(&entra, "entra", json!({})).ok();
    // No team of the others', and no name of the others'.
    of(&okta, "okta", json!({"group": "entra:t"})).expect_error(401, "authentication_error", "invalid_token");
    of(&okta, "okta", json!({"sub": "ann", "group": "u"})).expect_error(403, "permission_error", "unknown_tenant");
    let rows = records(&gateway, 4, "");
    let tenants: Vec<&Value> = rows.iter().map(|row| &row["tenant"]).collect();
    let [ours, theirs] = [
        json!({"team": "t", "user": "okta:ann"}),
        json!({"team": "entra:t", "user": "entra:ann"}),
    ];
    assert!(tenants.contains(&&ours) && tenants.contains(&&theirs), "{tenants:?}");
}

#[test]
fn several_issuers_have_to_say_whose_names_are_whose() {
    let upstream = Upstream::ok();
    let (builder, _) = two_logins(&upstream, "prefix: \"okta:\"", "", "teams: { t: {} }");
    let text = format!("listen: 127.0.0.1:0\n{}", builder.body);
    let problems = cirque::config::parse(&text, "f").map(drop).unwrap_err();
    let said: String = problems.0.iter().map(|problem| format!("{problem}\n")).collect();
    assert!(
        said.contains("auth.jwt.entra") && said.contains("write `prefix: \"entra:\"`"),
        "{said}"
    );
    assert!(!said.contains("auth.jwt.okta"), "{said}");
}

#[test]
fn a_token_of_no_tenant_is_refused_unless_the_operator_wants_it() {
    let upstream = Upstream::ok();
    let nobodys = json!({"group": null});
    let (gateway, key) = login(
        &upstream,
        "teams: { t: {} }\nusers: { bob: { limits: [ { requests: 1, per: 1h } ] } }",
    );
    chat_as(&gateway, &token(&key, &nobodys)).expect_error(403, "permission_error", "no_tenant");
    // Whoever is declared has the limits that are declared.
    let bob = token(&key, &json!({"group": null, "sub": "bob"}));
    chat_as(&gateway, &bob).ok();
    assert_eq!(chat_as(&gateway, &bob).status, 429);
    let (mut builder, [okta, _]) = two_logins(
        &upstream,
        "prefix: \"\"",
        "prefix: \"e:\", require_tenant: false",
        "teams: { t: {} }",
    );
    builder.body = builder
        .body
        .replace("prefix: \"\"", "prefix: \"\", require_tenant: false");
    let gateway = builder.start();
    chat_as(
        &gateway,
        &token(&okta, &json!({"iss": "https://okta.example", "group": null})),
    )
    .ok();
}

#[test]
fn a_team_admin_makes_nobody_whom_an_issuer_may_name() {
    let upstream = Upstream::ok();
    let tokens =
        "operators: { root: { role: owner, token: env:OWNER }, head: { role: team-admin, team: t, token: env:HEAD } }";
    let (builder, _) = two_logins(&upstream, "prefix: \"okta:\"", "prefix: \"entra:\"", "teams: { t: {} }");
    let head = "head-0123456789-0123456789-0123456789";
    let gateway = builder.admin(tokens).env("HEAD", head).start();
    let make = |operator: &str, name: &str| {
        let body = json!({"name": name}).to_string();
        let mut client = Client::connect(gateway.admin);
        client.send(format!(
            "POST /admin/v1/users HTTP/1.1\r\nhost: {}\r\n{}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            gateway.admin,
            bearer(operator),
            body.len()
        ));
        client.response()
    };
    let refused = make(head, "okta:ann");
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (403, Some("claimed_name")),
        "{}",
        refused.text()
    );
    assert_eq!(make(head, "ann").status, 201, "nobody of an issuer is called so");
    assert_eq!(make(OWNER, "okta:ann").status, 201);
}
