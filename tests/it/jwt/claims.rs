//! Tokens with a good signature: when, for whom, and who.

use super::{Bench, START, at, path, terms};
use cirque::auth::jwt::{Issuers, JwtError, Meaning};
use cirque::auth::pattern::Pattern;
use serde_json::{Value, json};

#[tokio::test]
async fn a_token_ends_with_its_leeway() {
    let bench = Bench::new();
    let token = bench.token(json!({}));
    // Each time a token not seen before, too: the cache must not make a difference.
    for (seconds, good) in [
        (0, true),
        (3599, true),
        (3600, true),
        (3659, true),
        (3660, false),
        (90_000, false),
    ] {
        let fresh = bench.token(json!({"jti": seconds}));
        for token in [&token, &fresh] {
            let verified = bench.verify(token, seconds).await;
            assert_eq!(verified.is_ok(), good, "{seconds}");
            if let Err(refused) = verified {
                assert_eq!(refused, JwtError::Expired { ago: seconds - 3600 });
                assert_eq!(refused.to_string().contains("clocks"), seconds < 3900, "{refused}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_of_the_future_is_not_good_yet() {
    let bench = Bench::new();
    for claim in ["nbf", "iat"] {
        for (ahead, good) in [(-10, true), (60, true), (61, false), (100_000, false)] {
            let token = bench.token(json!({claim: START + ahead, "exp": START + 1_000_000}));
            let verified = bench.verify(&token, 0).await;
            let wanted = match claim {
                "nbf" => JwtError::NotYetValid { ahead },
                _ => JwtError::IssuedInFuture { ahead },
            };
            assert_eq!(
                verified.map(|_| ()).map_err(|it| it == wanted),
                if good { Ok(()) } else { Err(true) },
                "{ahead}"
            );
        }
        assert!(
            bench.verify(&bench.token(json!({claim: null})), 0).await.is_ok(),
            "optional"
        );
    }
}

#[tokio::test]
async fn moments_are_numbers_and_there_must_be_an_end() {
    let bench = Bench::new();
    assert_eq!(
        bench.refused(json!({"exp": null}), 0).await,
        JwtError::MissingClaim("exp".into())
    );
    for odd in [json!("1800003600"), json!([1]), json!({}), json!(true)] {
        assert_eq!(
            bench.refused(json!({"exp": odd}), 0).await,
            JwtError::ClaimValue("exp".into())
        );
        assert_eq!(
            bench.refused(json!({"nbf": odd}), 0).await,
            JwtError::ClaimValue("nbf".into())
        );
        assert_eq!(
            bench.refused(json!({"iat": odd}), 0).await,
            JwtError::ClaimValue("iat".into())
        );
    }
    let who = bench
        .verify(&bench.token(json!({"exp": START as f64 + 10.9})), 0)
        .await
        .unwrap();
    assert_eq!(who.expires, START + 10);
    for exp in [json!(1e300), json!(u64::MAX), json!(i64::MAX)] {
        assert!(
            bench.verify(&bench.token(json!({"exp": exp})), 0).await.is_ok(),
            "{exp}"
        );
    }
    for exp in [json!(-1e300), json!(i64::MIN), json!(0), json!(-0.0)] {
        assert!(
            matches!(bench.refused(json!({"exp": exp}), 0).await, JwtError::Expired { .. }),
            "{exp}"
        );
    }
    for nbf in [json!(1e300), json!(u64::MAX)] {
        assert!(
            matches!(
                bench.refused(json!({"nbf": nbf}), 0).await,
                JwtError::NotYetValid { .. }
            ),
            "{nbf}"
        );
    }
}

#[tokio::test]
async fn a_token_for_others_is_refused() {
    let bench = Bench::new();
    for (audience, good) in [
        (json!("gateway"), true),
        (json!("api://gateway"), true),
        (json!(["x", "gateway"]), true),
        (json!("gateway2"), false),
        (json!("Gateway"), false),
        (json!(["x", ["gateway"]]), false),
        (json!([]), false),
        (json!({"gateway": true}), false),
        (json!(1), false),
        (Value::Null, false),
    ] {
        let verified = bench.verify(&bench.token(json!({"aud": audience})), 0).await;
        assert_eq!(
            verified.map(|_| ()),
            if good { Ok(()) } else { Err(JwtError::Audience) },
            "{audience}"
        );
    }
    let mut nobody = terms(&bench.issuer);
    nobody.audiences.clear();
    assert!(Issuers::new(vec![nobody], None).is_err());
}

#[tokio::test]
async fn claims_of_the_usual_providers_become_an_identity() {
    let bench = Bench::new();
    let mut terms = terms(&bench.issuer);
    let meaning = |claim: &str, value: &str, team: Option<&str>, role: Option<&'static str>| Meaning {
        claim: path(claim),
        value: Pattern::new(value),
        organisation: None,
        team: team.map(str::to_owned),
        project: None,
        role,
    };
    terms.reading.user = path("email");
    terms.reading.roles = Some(path("roles"));
    terms.reading.keep = vec![path("groups"), path("\"https://acme.example/tier\"")];
    terms.reading.require = vec![(path("hd"), "acme.example".to_owned())];
    terms.reading.map = vec![
        meaning("groups", "b3f1*", Some("search"), None),
        meaning("realm_access.roles", "gateway-admin", None, Some("admin")),
    ];
    terms.reading.default_team = Some("everybody".to_owned());
    let issuers = Issuers::new(vec![terms], None).unwrap();
    let token = bench.token(json!({
        "email": "ada@acme.example", "hd": "acme.example", "roles": ["auditor", "Task.Read"],
        "groups": ["a", "b3f1-77"], "realm_access": {"roles": ["offline_access", "gateway-admin"]},
        "https://acme.example/tier": 2,
    }));
    let who = issuers.verify(&token, at(0)).await.unwrap();
    assert_eq!(
        (who.user.as_str(), who.team.as_deref()),
        ("ada@acme.example", Some("search"))
    );
    assert_eq!(who.roles, ["admin", "auditor"]);
    assert_eq!(
        json!(who.claims),
        json!({"groups": ["a", "b3f1-77"], "\"https://acme.example/tier\"": 2})
    );
    let other = bench.token(json!({"email": "ada@acme.example", "hd": "acme.example"}));
    assert_eq!(
        issuers.verify(&other, at(0)).await.unwrap().team.as_deref(),
        Some("everybody")
    );
    let outside = bench.token(json!({"email": "ada@acme.example", "hd": "else.example"}));
    assert_eq!(
        issuers.verify(&outside, at(0)).await.unwrap_err(),
        JwtError::ClaimValue("hd".into())
    );
    let nameless = bench.token(json!({"hd": "acme.example"}));
    assert_eq!(
        issuers.verify(&nameless, at(0)).await.unwrap_err(),
        JwtError::MissingClaim("email".into())
    );
}
