//! Tokens that are not what they say, each refused for the right reason.

use super::signing::{SigningKey, encoded, unsigned};
use super::{Bench, ISSUER, Issuer, START, at, claims, header, issuers, terms};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cirque::auth::jwt::{Issuers, JwtError};
use proptest::test_runner::{Config, TestRunner};
use ring::hmac;
use serde_json::{Value, json};

const ALL: [(&str, &str); 9] = [
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
    ("ES256", "p256"),
    ("ES384", "p384"),
    ("EdDSA", "ed"),
];

fn keys() -> [(&'static str, SigningKey); 4] {
    [
        ("rsa", SigningKey::rsa()),
        ("p256", SigningKey::p256()),
        ("p384", SigningKey::p384()),
        ("ed", SigningKey::ed25519()),
    ]
}

fn issuers_of(keys: &[(&'static str, SigningKey); 4]) -> Issuers {
    let published: Vec<Value> = keys.iter().map(|(id, key)| key.jwk(id)).collect();
    issuers(&Issuer::with(&published))
}

#[tokio::test]
async fn every_algorithm_is_taken_with_a_key_of_its_kind_only() {
    let keys = keys();
    let issuers = issuers_of(&keys);
    for (algorithm, own) in ALL {
        for (id, key) in &keys {
            let named = key.token(&header(algorithm, id), &claims());
            let verified = issuers.verify(&named, at(0)).await.map(|who| who.user.clone());
            let wanted = if *id == own {
                Ok("ada".to_owned())
            } else {
                Err(JwtError::Algorithm)
            };
            assert_eq!(verified, wanted, "{algorithm} {id}");
        }
        // Without the key's name, those of its kind are tried.
        let (_, key) = keys.iter().find(|(id, _)| *id == own).unwrap();
        let unnamed = key.token(&json!({ "alg": algorithm }), &claims());
        assert!(issuers.verify(&unnamed, at(0)).await.is_ok(), "{algorithm}");
    }
}

#[tokio::test]
async fn no_signature_is_none() {
    let issuers = issuers_of(&keys());
    for name in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS1", "RS256 ", "rs256", "ES256K",
    ] {
        for signature in ["", "AA"] {
            for id in ["rsa", "p256", "ed"] {
                let head = unsigned(&header(name, id).to_string(), &claims().to_string());
                let token = format!("{head}.{signature}");
                assert_eq!(
                    issuers.verify(&token, at(0)).await.unwrap_err(),
                    JwtError::Algorithm,
                    "{name}"
                );
            }
        }
    }
    for (algorithm, id) in ALL {
        for signature in [
            vec![],
            vec![0; 32],
            vec![0; 64],
            vec![0; 96],
            vec![0; 256],
            vec![0xff; 256],
            vec![0; 1024],
        ] {
            let head = unsigned(&header(algorithm, id).to_string(), &claims().to_string());
            let token = format!("{head}.{}", encoded(&signature));
            assert_eq!(
                issuers.verify(&token, at(0)).await.unwrap_err(),
                JwtError::Signature,
                "{algorithm}"
            );
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let keys = keys();
    let issuers = issuers_of(&keys);
    for (id, key) in &keys {
        let jwk = key.jwk(id);
        let raw = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default()).unwrap();
        for secret in [
            jwk.to_string().into_bytes(),
            raw("n"),
            raw("x"),
            [raw("x"), raw("y")].concat(),
            Vec::new(),
        ] {
            for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
                let signed = unsigned(&header(algorithm, id).to_string(), &claims().to_string());
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
                let token = format!("{signed}.{}", encoded(tag.as_ref()));
                let refused = issuers.verify(&token, at(0)).await.unwrap_err();
                assert!(
                    matches!(refused, JwtError::Algorithm | JwtError::Signature),
                    "{algorithm}: {refused}"
                );
            }
        }
    }
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_ignored() {
    let bench = Bench::new();
    let own = SigningKey::p256();
    for (name, value) in [
        ("jwk", own.jwk("k1")),
        ("jku", json!("https://attacker.example/keys")),
        ("x5u", json!("https://attacker.example/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = header("ES256", "k1");
        header[name] = value;
        let token = own.token(&header, &claims());
        assert_eq!(
            bench.verify(&token, 0).await.unwrap_err(),
            JwtError::Signature,
            "{name}"
        );
        // Nor do they spoil a token that is good without them.
        assert!(
            bench.verify(&bench.key.token(&header, &claims()), 0).await.is_ok(),
            "{name}"
        );
    }
    assert!(
        bench
            .issuer
            .asked
            .lock()
            .unwrap()
            .iter()
            .all(|url| !url.contains("attacker"))
    );
}

#[tokio::test]
async fn another_issuers_key_does_not_sign_for_this_one() {
    let (ours, theirs) = (SigningKey::p256(), SigningKey::p256());
    let (here, there) = (Issuer::with(&[ours.jwk("k")]), Issuer::with(&[theirs.jwk("k")]));
    let mut second = terms(&there);
    second.name = "other".into();
    second.issuer = "https://other.example".to_owned();
    second.keys = cirque::auth::jwt::KeySource::Url(super::KEYS.to_owned());
    let issuers = Issuers::new(vec![terms(&here), second], None).unwrap();
    let token = theirs.token(&header("ES256", "k"), &claims());
    assert_eq!(issuers.verify(&token, at(0)).await.unwrap_err(), JwtError::Signature);
    let mut own = claims();
    own["iss"] = "https://other.example".into();
    let who = issuers
        .verify(&theirs.token(&header("ES256", "k"), &own), at(0))
        .await
        .unwrap();
    assert_eq!(&*who.issuer, "other");
    for iss in [
        json!("https://login.example/tenant/"),
        json!("https://LOGIN.example/tenant"),
        json!(""),
        json!([ISSUER]),
        json!(null),
    ] {
        own["iss"] = iss;
        let token = ours.token(&header("ES256", "k"), &own);
        assert_eq!(
            issuers.verify(&token, at(0)).await.unwrap_err(),
            JwtError::UnknownIssuer
        );
    }
}

#[tokio::test]
async fn only_configured_algorithms_are_taken() {
    let key = SigningKey::rsa();
    let issuer = Issuer::with(&[key.jwk("k")]);
    let mut strict = terms(&issuer);
    strict.algorithms = vec!["PS256".to_owned()];
    let issuers = Issuers::new(vec![strict.clone()], None).unwrap();
    assert!(
        issuers
            .verify(&key.token(&header("PS256", "k"), &claims()), at(0))
            .await
            .is_ok()
    );
    let refused = issuers
        .verify(&key.token(&header("RS256", "k"), &claims()), at(0))
        .await;
    assert_eq!(refused.unwrap_err(), JwtError::Algorithm);
    for name in ["none", "HS256", "rs256", ""] {
        strict.algorithms = vec![name.to_owned()];
        assert!(Issuers::new(vec![strict.clone()], None).is_err(), "{name}");
    }
    // A key that its issuer has for one algorithm only.
    let mut jwk = key.jwk("k");
    jwk["alg"] = "RS512".into();
    let issuers = super::issuers(&Issuer::with(&[jwk]));
    assert!(
        issuers
            .verify(&key.token(&header("RS512", "k"), &claims()), at(0))
            .await
            .is_ok()
    );
    let refused = issuers
        .verify(&key.token(&header("RS256", "k"), &claims()), at(0))
        .await;
    assert_eq!(refused.unwrap_err(), JwtError::Algorithm);
}

#[tokio::test]
async fn what_is_misshapen_is_refused_before_anything_is_fetched() {
    let bench = Bench::new();
    let good = bench.token(json!({}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let signed = |header: &str, claims: &str| {
        let signed = unsigned(header, claims);
        let signature = encoded(&bench.key.sign("ES256", signed.as_bytes()));
        format!("{signed}.{signature}")
    };
    let plain = header("ES256", "k1").to_string();
    let members = claims().to_string();
    let inner = members.trim_start_matches('{').trim_end_matches('}');
    let deep = format!("{{{inner},\"x\":{}1{}}}", "[".repeat(3000), "]".repeat(3000));
    for token in [
        format!("{good}."),
        format!("{good}.x"),
        format!(".{good}"),
        format!("{head}..{signature}"),
        format!("{good}="),
        format!("{good}=="),
        good.replace('_', "/").replace('-', "+") + "/",
        format!(" {good}"),
        format!("{good}\n"),
        signed(&plain, &deep),
        signed(&plain, &format!("{{{inner},\"aud\":\"gateway\"}}")),
        signed(&plain, &format!("{{{inner},\"\\u0061ud\":\"gateway\"}}")),
        signed(&plain, &format!("[{members}]")),
        signed(&plain, &format!("{members}{members}")),
        signed(r#"{"alg":"ES256","alg":"none","kid":"k1"}"#, &members),
        signed(r#"{"alg":"ES256","kid":"k1","crit":["exp"],"exp":1}"#, &members),
        signed(r#"{"kid":"k1"}"#, &members),
    ] {
        let refused = bench.verify(&token, 0).await.unwrap_err();
        assert!(matches!(refused, JwtError::Malformed(_)), "{refused}: {token}");
    }
    let huge = bench.token(json!({"x": "y".repeat(16 * 1024)}));
    assert_eq!(bench.verify(&huge, 0).await.unwrap_err(), JwtError::TooLarge);
    assert_eq!(
        bench.verify(&"a.".repeat(1 << 20), 0).await.unwrap_err(),
        JwtError::TooLarge
    );
    assert!(bench.issuer.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn other_things_that_issuers_sign_are_not_for_calling() {
    let bench = Bench::new();
    for kind in ["logout+jwt", "secevent+jwt", "dpop+jwt"] {
        let mut header = header("ES256", "k1");
        header["typ"] = kind.into();
        assert_eq!(
            bench.verify(&bench.key.token(&header, &claims()), 0).await.unwrap_err(),
            JwtError::Kind,
            "{kind}"
        );
    }
    let logout = json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    assert_eq!(bench.refused(logout, 0).await, JwtError::Kind);
}

#[tokio::test]
async fn errors_repeat_nothing_of_a_token() {
    let bench = Bench::new();
    let canary = "canary-b7f3";
    let mut head = header("ES256", "k1");
    head["x"] = canary.into();
    let mut odd = claims();
    for (name, value) in [("iss", canary), ("aud", canary), ("exp", canary), ("sub", canary)] {
        // The user's name is no secret, so make it one that is refused.
        odd[name] = if name == "sub" {
            json!([value, value])
        } else {
            value.into()
        };
        for kid in ["k1", canary] {
            head["kid"] = kid.into();
            let token = bench.key.token(&head, &odd);
            let refused = bench.verify(&token, 0).await.unwrap_err();
            let said = format!("{refused} {refused:?} {} {:?}", refused.reason(), bench.issuers);
            assert!(!said.contains(canary) && !said.contains(&token[..40]), "{said}");
        }
        odd = claims();
    }
}

/// Any one character of a good token changed: refused, always.
#[test]
fn a_changed_token_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let keys = keys();
    let issuers = issuers_of(&keys);
    let tokens: Vec<String> = ALL
        .iter()
        .map(|(algorithm, own)| {
            let (_, key) = keys.iter().find(|(id, _)| id == own).unwrap();
            key.token(
                &header(algorithm, own),
                &json!({"iss": ISSUER, "aud": "gateway", "sub": "a", "exp": START + 60}),
            )
        })
        .collect();
    let mut runner = TestRunner::new(Config::with_cases(2000));
    let strategy = (0..tokens.len(), proptest::num::usize::ANY, "[A-Za-z0-9_.=-]", 0..3_u8);
    runner
        .run(&strategy, |(which, place, other, how)| {
            let good = &tokens[which];
            let place = place % good.len();
            let changed = match how {
                0 => format!("{}{other}{}", &good[..place], &good[place + 1..]),
                1 => format!("{}{other}{}", &good[..place], &good[place..]),
                _ => format!("{}{}", &good[..place], &good[place + 1..]),
            };
            let verified = runtime.block_on(issuers.verify(&changed, at(0)));
            proptest::prop_assert_eq!(verified.is_ok(), changed == *good, "{}", changed);
            Ok(())
        })
        .unwrap();
}
