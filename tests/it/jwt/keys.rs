//! The keys of issuers: fetched once, kept, renewed, survived with.

use super::signing::SigningKey;
use super::{Bench, DISCOVERY, ISSUER, Issuer, KEYS, at, claims, header, issuers, terms};
use cirque::auth::jwt::{Issuers, JwtError, KeySource};
use serde_json::json;
use std::sync::Arc;

const HOUR: i64 = 3600;

#[tokio::test]
async fn keys_are_fetched_when_first_needed_and_then_every_ten_minutes() {
    let bench = Bench::new();
    assert!(bench.verify(&bench.token(json!({})), 0).await.is_ok());
    assert_eq!((bench.issuer.asked(DISCOVERY), bench.issuer.asked(KEYS)), (1, 1));
    for second in 1..=1799 {
        bench.issuers.refresh(at(second)).await;
    }
    assert_eq!((bench.issuer.asked(DISCOVERY), bench.issuer.asked(KEYS)), (1, 3));
    bench.issuers.refresh(at(2 * HOUR)).await;
    assert_eq!((bench.issuer.asked(DISCOVERY), bench.issuer.asked(KEYS)), (2, 4));
    let report = &bench.issuers.report(at(2 * HOUR + 5))[0];
    assert_eq!(
        (&*report.name, report.keys, report.age, &report.failure),
        ("login", 1, Some(5), &None)
    );
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_one_fetch_in_thirty_seconds() {
    let bench = Bench::new();
    bench.issuers.refresh(at(0)).await;
    for second in 30..90 {
        for n in 0..50 {
            let token = bench.key.token(&header("ES256", &format!("{second}-{n}")), &claims());
            assert_eq!(bench.verify(&token, second).await.unwrap_err(), JwtError::UnknownKey);
        }
        // Those with a known key are not touched by it.
        assert!(bench.verify(&bench.token(json!({"jti": second})), second).await.is_ok());
    }
    assert_eq!(bench.issuer.asked(KEYS), 3, "the first, and at 30 and 60");
}

#[tokio::test]
async fn many_who_need_keys_share_one_fetch_and_one_who_leaves_does_not_end_it() {
    let bench = Arc::new(Bench::new());
    let closed = bench.issuer.gate.lock().await;
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            let bench = Arc::clone(&bench);
            let token = bench.token(json!({"jti": n}));
            tokio::spawn(async move { bench.verify(&token, 0).await })
        })
        .collect();
    while bench.issuer.asked(DISCOVERY) == 0 {
        tokio::task::yield_now().await;
    }
    // The first is the one who began it.
    waiting[0].abort();
    drop(closed);
    for (n, waiting) in waiting.into_iter().enumerate() {
        match waiting.await {
            Ok(verified) => assert_eq!(verified.map(|who| who.user.clone()), Ok("ada".to_owned())),
            Err(gone) => assert!(n == 0 && gone.is_cancelled()),
        }
    }
    assert_eq!((bench.issuer.asked(DISCOVERY), bench.issuer.asked(KEYS)), (1, 1));
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_at_once_and_the_old_one_dropped() {
    let bench = Bench::new();
    let old = bench.token(json!({}));
    assert!(bench.verify(&old, 0).await.is_ok());
    let next = SigningKey::rsa();
    bench.issuer.publish(&[bench.key.jwk("k1"), next.jwk("k2")]);
    let new = next.token(&header("RS256", "k2"), &claims());
    assert_eq!(
        bench.verify(&new, 29).await.unwrap_err(),
        JwtError::UnknownKey,
        "too early to ask again"
    );
    assert!(bench.verify(&new, 30).await.is_ok());
    assert!(bench.verify(&old, 30).await.is_ok(), "both are published");
    bench.issuer.publish(&[next.jwk("k2")]);
    assert!(bench.verify(&old, 100).await.is_ok(), "not known yet");
    bench.issuers.refresh(at(630)).await;
    assert_eq!(
        bench.verify(&old, 630).await.unwrap_err(),
        JwtError::UnknownKey,
        "also from the cache"
    );
    assert!(bench.verify(&new, 630).await.is_ok());
    // The same name for another key.
    bench.issuer.publish(&[SigningKey::p256().jwk("k2")]);
    bench.issuers.refresh(at(1230)).await;
    assert_eq!(bench.verify(&new, 1230).await.unwrap_err(), JwtError::Algorithm);
}

#[tokio::test]
async fn keys_outlive_their_issuer_for_as_long_as_configured() {
    let bench = Bench::new();
    assert!(
        bench
            .verify(&bench.token(json!({"exp": super::START + 100 * HOUR})), 0)
            .await
            .is_ok()
    );
    for url in [DISCOVERY, KEYS] {
        bench.issuer.fail(url);
    }
    let token = |n: i64| bench.token(json!({"exp": super::START + 100 * HOUR, "jti": n}));
    for hour in 1..24 {
        bench.issuers.refresh(at(hour * HOUR)).await;
        assert!(bench.verify(&token(hour), hour * HOUR).await.is_ok(), "{hour}");
    }
    let report = &bench.issuers.report(at(23 * HOUR))[0];
    assert_eq!((report.keys, report.age), (1, Some(23 * HOUR)));
    assert!(report.failure.as_deref().unwrap().contains("could not connect"));
    let cached = token(0);
    assert!(bench.verify(&cached, 24 * HOUR - 1).await.is_ok());
    for token in [&cached, &token(1)] {
        let refused = bench.verify(token, 24 * HOUR).await.unwrap_err();
        assert_eq!(refused, JwtError::KeysUnavailable);
        assert!(refused.is_ours());
    }
    bench.issuer.publish(&[bench.key.jwk("k1")]);
    // What discovery said last is still used.
    assert!(bench.verify(&token(2), 24 * HOUR + 30).await.is_ok());
}

#[tokio::test]
async fn garbage_for_keys_changes_nothing() {
    let bench = Bench::new();
    bench.issuers.refresh(at(0)).await;
    let mut now = 0;
    let weak = json!({"keys": [{"kty": "oct", "kid": "k1", "k": "AAAA"}]}).to_string();
    for garbage in [
        "",
        "<html>",
        "[]",
        "{\"keys\":[]}",
        "{\"keys\":1}",
        &weak,
        &"x".repeat(300 * 1024),
    ] {
        bench.issuer.serve(KEYS, garbage);
        now += 600;
        bench.issuers.refresh(at(now)).await;
        assert!(bench.issuers.report(at(now))[0].failure.is_some(), "{garbage:.20}");
        assert!(
            bench
                .verify(&bench.token(json!({"jti": now, "exp": super::START + 90_000})), now)
                .await
                .is_ok()
        );
    }
    bench.issuer.publish(&[bench.key.jwk("k1")]);
    bench.issuers.refresh(at(now + 30)).await;
    assert_eq!(bench.issuers.report(at(now + 30))[0].failure, None);
}

#[tokio::test]
async fn discovery_speaks_for_its_own_issuer_only() {
    let key = SigningKey::p256();
    for document in [
        json!({"issuer": "https://login.example/other", "jwks_uri": KEYS}).to_string(),
        json!({"issuer": format!("{ISSUER}/"), "jwks_uri": KEYS}).to_string(),
        json!({"jwks_uri": KEYS}).to_string(),
        json!({"issuer": ISSUER}).to_string(),
        json!({"issuer": ISSUER, "jwks_uri": 1}).to_string(),
        format!("{{\"issuer\":\"{ISSUER}\",\"issuer\":\"{ISSUER}\",\"jwks_uri\":\"{KEYS}\"}}"),
        "<html>".to_owned(),
    ] {
        let issuer = Issuer::with(&[key.jwk("k")]);
        issuer.serve(DISCOVERY, document.clone());
        let issuers = issuers(&issuer);
        let refused = issuers
            .verify(&key.token(&header("ES256", "k"), &claims()), at(0))
            .await;
        assert_eq!(refused.unwrap_err(), JwtError::KeysUnavailable, "{document}");
        assert_eq!(issuer.asked(KEYS), 0);
    }
}

#[tokio::test]
async fn keys_come_from_a_url_or_a_document_without_discovery() {
    let key = SigningKey::ed25519();
    let token = key.token(&header("EdDSA", "k"), &claims());
    let issuer = Issuer::with(&[key.jwk("k")]);
    let mut direct = terms(&issuer);
    direct.keys = KeySource::Url(KEYS.to_owned());
    let issuers = Issuers::new(vec![direct.clone()], None).unwrap();
    assert!(issuers.verify(&token, at(0)).await.is_ok());
    assert_eq!(issuer.asked(DISCOVERY), 0);
    let silent = Arc::new(Issuer::default());
    direct = terms(&silent);
    direct.keys = KeySource::Document(json!({"keys": [key.jwk("k")]}).to_string().into_bytes());
    direct.keys_valid = 1;
    let issuers = Issuers::new(vec![direct.clone()], None).unwrap();
    issuers.refresh(at(3000)).await;
    assert!(issuers.verify(&token, at(3000)).await.is_ok());
    let unknown = key.token(&header("EdDSA", "x"), &claims());
    assert_eq!(
        issuers.verify(&unknown, at(3000)).await.unwrap_err(),
        JwtError::UnknownKey
    );
    assert!(silent.asked.lock().unwrap().is_empty());
    direct.keys = KeySource::Document(b"{}".to_vec());
    let wrong = Issuers::new(vec![direct], None).unwrap_err();
    assert!(wrong.starts_with("auth.jwt.login: jwks_file: "), "{wrong}");
}

#[tokio::test]
async fn a_reload_keeps_keys_while_the_issuer_is_down_and_guards_it_still() {
    let bench = Bench::new();
    bench.issuers.refresh(at(0)).await;
    for url in [DISCOVERY, KEYS] {
        bench.issuer.fail(url);
    }
    let mut changed = terms(&bench.issuer);
    changed.name = "renamed".into();
    let reloaded = Issuers::new(vec![changed.clone()], Some(&bench.issuers)).unwrap();
    let who = reloaded.verify(&bench.token(json!({})), at(1)).await.unwrap();
    assert_eq!(&*who.issuer, "renamed");
    let unknown = bench.key.token(&header("ES256", "x"), &claims());
    assert_eq!(
        reloaded.verify(&unknown, at(2)).await.unwrap_err(),
        JwtError::UnknownKey
    );
    assert_eq!(bench.issuer.asked(KEYS), 1);
    // Keys from elsewhere are other keys.
    changed.keys = KeySource::Url("https://else.example".to_owned());
    let moved = Issuers::new(vec![changed.clone()], Some(&reloaded)).unwrap();
    assert_eq!(
        moved.verify(&bench.token(json!({})), at(3)).await.unwrap_err(),
        JwtError::KeysUnavailable
    );
    let twice = Issuers::new(vec![changed, terms(&bench.issuer)], None).unwrap_err();
    assert!(twice.contains("same `issuer`"), "{twice}");
}
