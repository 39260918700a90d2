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
