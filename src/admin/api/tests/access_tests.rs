//! Who may do what: a matrix made from the table of routes, isolation of teams, wrong tokens.

use super::*;
use crate::admin::api::table::Reply;

/// A path of a row, with something that is there in it.
fn concrete(route: &Route) -> String {
    let id = if route.path.contains("/cache/") {
        "01010101010101010101010101010101"
    } else {
        "openai/gpt-4o"
    };
    route.path.replace("{id}", id).replace("{name}", "ci")
}

#[tokio::test]
async fn each_route_admits_the_roles_it_declares_and_no_others() {
    let mut checked = 0;
    for route in routes() {
        for (name, role) in ROLES {
            // Each on its own: what was deleted by one is there for the next.
            let world = World::peopled();
            let (status, answer) = world
                .ask(name, route.method.as_str(), &concrete(&route), Value::Null)
                .await;
            let code = answer["error"]["code"].as_str().unwrap_or_default();
            let place = format!("{} {} as {name}: {status} {answer}", route.method, route.path);
            let allowed = match route.who {
                Who::Everybody => true,
                Who::Unguarded(roles) | Who::Only(roles) => roles.contains(&role),
            };
            match (allowed, role) {
                (true, _) => {
                    assert!(!matches!(status, 401 | 403), "{place}");
                    assert_ne!(answer["error"]["message"], "no such path", "{place}");
                }
                (false, Role::TeamAdmin) => assert_eq!((status, code), (404, "not_found"), "{place}"),
                (false, _) => assert_eq!((status, code), (403, "forbidden"), "{place}"),
            }
            if !allowed {
                assert!(world.audit().is_empty(), "{place}");
            }
            // Nobody without a token, or with a wrong one.
            if route.who != Who::Everybody {
                for stranger in ["", "nobody"] {
                    let (status, _) = world
                        .ask(stranger, route.method.as_str(), &concrete(&route), Value::Null)
                        .await;
                    assert_eq!(status, 401, "{place}");
                }
            }
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
}

#[test]
fn only_who_changes_may_use_what_changes() {
    for route in routes() {
        let changes = route.method != axum::http::Method::GET && !route.path.ends_with("/explain");
        let readers = [Role::Auditor, Role::ReadOnly];
        let read = readers.iter().any(|role| route.who.roles().contains(role));
        assert!(!(changes && read), "{} {}", route.method, route.path);
        assert!(
            route.who != Who::Everybody || !route.path.starts_with("/admin"),
            "{}",
            route.path
        );
    }
    let audit = routes()
        .into_iter()
        .filter(|route| route.path.starts_with("/admin/v1/audit"));
    for route in audit {
        assert!(!route.who.roles().contains(&Role::ReadOnly) && !route.who.roles().contains(&Role::TeamAdmin));
    }
}

#[tokio::test]
async fn without_operators_what_needs_none_works_and_the_rest_says_how_to_get_one() {
    let world = World::with(Access::default());
    for route in routes() {
        let (status, answer) = world
            .ask("", route.method.as_str(), &concrete(&route), Value::Null)
            .await;
        let place = format!("{} {}: {status} {answer}", route.method, route.path);
        if let Who::Only(_) = route.who {
            assert_eq!(
                (status, &answer["error"]["code"]),
                (403, &json!("no_operators")),
                "{place}"
            );
            assert!(
                answer["error"]["message"].as_str().unwrap().contains("admin.operators"),
                "{place}"
            );
        } else {
            assert!(!matches!(status, 401 | 403 | 405), "{place}");
        }
    }
}

#[tokio::test]
async fn a_team_admin_never_sees_another_team() {
    let world = World::peopled();
    let mut paths: Vec<String> = Vec::new();
    let shown = |route: &&Route| {
        let about_tenants = route.path.starts_with("/admin/v1/") && !route.path.ends_with("openapi.json");
        route.method == axum::http::Method::GET && about_tenants
    };
    for route in routes().iter().filter(shown) {
        for name in [
            "ci",
            "zebra",
            "zebra-org",
            "zebra-app",
            "zebra-user",
            "zebra-key",
            "search-key",
            "written-key",
        ] {
            paths.push(route.path.replace("{id}", name).replace("{name}", name));
        }
        for parameter in route.query {
            for value in [
                "zebra",
                "zebra-key",
                "zebra-app",
                "zebra-user",
                "zebra-org",
                "team",
                "1",
                "true",
            ] {
                paths.push(format!("{}?{}={value}", concrete(route), parameter.name));
            }
        }
        if route.query.iter().any(|parameter| parameter.name == "group_by") {
            paths.push(format!("{}?group_by=team,user,key,project", route.path));
            paths.push(format!("{}?group_by=organisation,tag&team=search,zebra", route.path));
        }
    }
    paths.sort();
    paths.dedup();
    let mut seen = 0;
    for path in &paths {
        let (status, answer) = world.get("team-admin", path).await;
        let text = answer.to_string();
        // Names of the schema are nobody's.
        assert!(
            !text.contains("zebra") && !text.contains("written"),
            "{path}: {status} {text}"
        );
        seen += usize::from(status == 200 && text.contains("search"));
    }
    assert!(paths.len() > 200 && seen > 20, "{} {seen}", paths.len());
    // The same answers for what is another's and for what is not at all.
    for (there, nowhere) in [
        ("/admin/v1/keys/zebra-key", "/admin/v1/keys/nokey"),
        ("/admin/v1/teams/zebra", "/admin/v1/teams/no"),
    ] {
        for method in ["GET", "DELETE"] {
            if method == "DELETE" && there.contains("teams") {
                continue;
            }
            let theirs = world.ask("team-admin", method, there, Value::Null).await;
            assert_eq!(theirs, world.ask("team-admin", method, nowhere, Value::Null).await);
        }
    }
}

#[tokio::test]
async fn a_team_admin_changes_nothing_of_another_team() {
    let world = World::peopled();
    // Another team's key that names a project of this one: that it is in the way is told, not whose it is.
    world.store.put(
        Kind::Key,
        "zebra-guest",
        json!({"team": "zebra", "project": "search-app"}),
    );
    let before = format!("{:?}", world.store.held.lock().unwrap().objects);
    for (method, path, body) in [
        (
            "POST",
            "/admin/v1/keys",
            json!({"name": "n", "settings": {"team": "zebra"}}),
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"name": "n", "settings": {"project": "zebra-app"}}),
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"name": "n", "settings": {"team": "search", "user": "zebra-user"}}),
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"name": "n", "settings": {"organisation": "zebra-org"}}),
        ),
        ("POST", "/admin/v1/keys", json!({"name": "zebra-key"})),
        ("POST", "/admin/v1/keys", json!({"name": "written-key"})),
        ("POST", "/admin/v1/projects", json!({"name": "zebra-app"})),
        (
            "POST",
            "/admin/v1/users",
            json!({"name": "n", "settings": {"team": "zebra"}}),
        ),
        ("POST", "/admin/v1/teams", json!({"name": "n"})),
        (
            "PATCH",
            "/admin/v1/keys/zebra-key",
            json!({"settings": {"team": "search"}}),
        ),
        ("PATCH", "/admin/v1/keys/ci", json!({"settings": {"team": "zebra"}})),
        ("PATCH", "/admin/v1/keys/ci", json!({"settings": {"team": null}})),
        (
            "PATCH",
            "/admin/v1/projects/search-app",
            json!({"settings": {"team": null}}),
        ),
        ("PATCH", "/admin/v1/teams/search", json!({"settings": {"limits": []}})),
        (
            "PUT",
            "/admin/v1/keys/zebra-key",
            json!({"revision": 5, "settings": {}}),
        ),
        ("DELETE", "/admin/v1/keys/zebra-key", Value::Null),
        ("DELETE", "/admin/v1/projects/search-app", Value::Null),
        ("POST", "/admin/v1/keys/zebra-guest/revoke", Value::Null),
        ("DELETE", "/admin/v1/projects/zebra-app?force=true", Value::Null),
        ("POST", "/admin/v1/keys/zebra-key/rotate", json!({})),
        ("POST", "/admin/v1/keys/zebra-key/disable", json!({})),
        ("POST", "/admin/v1/keys/zebra-key/revoke", json!({})),
        ("PUT", "/admin/v1/prices/x", json!({"settings": {}})),
    ] {
        let (status, answer) = world.ask("team-admin", method, path, body.clone()).await;
        assert!(
            matches!(status, 400 | 404 | 409),
            "{method} {path} {body}: {status} {answer}"
        );
        assert!(!answer.to_string().contains("zebra"), "{method} {path}: {answer}");
    }
    assert_eq!(before, format!("{:?}", world.store.held.lock().unwrap().objects));
    assert!(world.audit().is_empty());
    // And of its own what it may: without a team named, it is its own.
    let (status, made) = world
        .ask("team-admin", "POST", "/admin/v1/keys", json!({"name": "mine"}))
        .await;
    assert_eq!((status, &made["key"]["team"]), (201, &json!("search")), "{made}");
    let (status, _) = world.get("other", "/admin/v1/keys/mine").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn wrong_tokens_are_not_listened_to_for_long_and_right_ones_are() {
    let world = World::peopled();
    for _ in 0..20 {
        assert_eq!(world.get("nobody", "/admin/v1/operators/me").await.0, 401);
    }
    let (status, answer) = world.get("nobody", "/admin/v1/operators/me").await;
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("too_many_requests")));
    assert_eq!(
        world.get("", "/admin/v1/operators/me").await.0,
        401,
        "without a token nothing was guessed"
    );
    let (status, me) = world.get("team-admin", "/admin/v1/operators/me").await;
    assert_eq!(
        (status, me),
        (
            200,
            json!({"name": "team-admin", "role": "team-admin", "team": "search", "via": "token"})
        )
    );
    world.now.fetch_add(60_000, Ordering::Relaxed);
    assert_eq!(world.get("nobody", "/admin/v1/operators/me").await.0, 401);
}

#[tokio::test]
async fn one_operator_asks_so_often_and_no_more() {
    let world = World::peopled();
    for _ in 0..1200 {
        assert_eq!(world.get("auditor", "/admin/v1/operators/me").await.0, 200);
    }
    assert_eq!(world.get("auditor", "/admin/v1/operators/me").await.0, 429);
    assert_eq!(world.get("owner", "/admin/v1/operators/me").await.0, 200);
}

#[tokio::test]
async fn tokens_of_identity_providers_are_asked_of_the_process() {
    let world = World::peopled();
    let request = |credential: &str| {
        let request = Request::builder()
            .uri("/admin/v1/operators/me")
            .header("authorization", credential);
        request.body(Body::empty()).unwrap()
    };
    let (status, _, body) = world.raw(request("bearer a.json.web-token")).await;
    assert_eq!(status, 200);
    assert!(String::from_utf8(body).unwrap().contains("ann@example.com"));
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "a.json.web-token",
        "Bearer b.json.web-token",
    ] {
        assert_eq!(world.raw(request(wrong)).await.0, 401, "{wrong}");
    }
    let long = format!("Bearer {}", "x".repeat(9000));
    assert_eq!(world.raw(request(&long)).await.0, 401);
}

#[tokio::test]
async fn with_a_token_the_listener_may_be_named_but_pages_are_kept_out() {
    let world = World::peopled();
    let request = |headers: &[(&str, &str)]| {
        let mut request = Request::builder().method("POST").uri("/admin/v1/keys/ci/disable");
        request = request.header("authorization", format!("Bearer {}", token("owner")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    };
    for (headers, expected) in [
        (&[("host", "cirque.svc")][..], 200),
        (&[("host", "cirque.svc"), ("origin", "https://evil.example")], 403),
        (
            &[
                ("host", "cirque.svc"),
                ("content-type", "text/plain"),
                ("content-length", "2"),
            ],
            415,
        ),
    ] {
        assert_eq!(world.raw(request(headers)).await.0, expected, "{headers:?}");
    }
}

#[test]
fn files_are_no_json() {
    let files = routes()
        .into_iter()
        .filter(|route| matches!(route.reply, Reply::File(_)));
    let paths: Vec<&str> = files.map(|route| route.path).collect();
    assert_eq!(
        paths,
        [
            "/metrics",
            "/healthz",
            "/admin/v1/usage/export",
            "/admin/v1/audit/export"
        ]
    );
}

#[tokio::test]
async fn what_a_team_admin_may_not_name_is_not_told_apart_from_what_is_not_there() {
    let world = World::peopled();
    let mut answers = Vec::new();
    for team in ["zebra", "zebr"] {
        let sent = json!({"name": "k", "settings": {"team": team}});
        let (status, answer) = world.ask("team-admin", "POST", "/admin/v1/keys", sent.clone()).await;
        assert_eq!(status, 400, "{answer}");
        answers.push(answer);
        let (_, told) = world.ask("admin", "POST", "/admin/v1/keys", sent).await;
        assert_eq!(told.to_string().contains("did you mean"), team == "zebr", "{told}");
    }
    assert_eq!(answers[0], answers[1]);
    assert!(!answers[1].to_string().contains("zebra"), "{}", answers[1]);
}

#[tokio::test]
async fn who_changes_a_target_is_noted_and_an_outage_of_the_log_does_not_hold_it_up() {
    let world = World::peopled();
    let path = "/admin/v1/targets/openai/gpt-4o/isolate";
    assert_eq!(world.ask("admin", "POST", path, Value::Null).await.0, 200);
    let noted: Vec<_> = world.store.held.lock().unwrap().audit.clone();
    let told: Vec<_> = noted
        .iter()
        .map(|entry| (&*entry.actor, &*entry.action, &*entry.subject, &*entry.outcome))
        .collect();
    let entry = |outcome| ("admin", "target.isolate", "target/openai/gpt-4o", outcome);
    assert_eq!(told, [entry("begun"), entry("done")]);
    assert_eq!(world.ask("auditor", "POST", path, Value::Null).await.0, 403);
    world.store.down.store(true, Ordering::Relaxed);
    assert_eq!(world.ask("admin", "POST", path, Value::Null).await.0, 200);
    world.store.down.store(false, Ordering::Relaxed);
    assert_eq!(world.store.held.lock().unwrap().audit.len(), 2);
    // What only looks is not noted.
    world
        .ask("admin", "POST", "/admin/v1/route/explain", json!({"body": {}}))
        .await;
    assert_eq!(world.store.held.lock().unwrap().audit.len(), 2);
}
