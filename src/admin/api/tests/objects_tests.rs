//! Tenants and keys: made, shown, changed, deleted; noted; nothing half-written; no secret shown twice.

use super::*;
use crate::storage::Store;

#[tokio::test]
async fn a_key_lives_its_life() {
    let world = World::peopled();
    let settings = json!({"team": "search", "tags": ["a"], "expires": "2027-01-31T00:00:00Z", "limits": [{"requests": 5, "per": "1m"}]});
    let (status, made) = world
        .ask(
            "admin",
            "POST",
            "/admin/v1/keys",
            json!({"name": "bot", "settings": settings}),
        )
        .await;
    assert_eq!((status, &made["secret"]), (201, &json!("cq-PLAINTEXT-0")), "{made}");
    let key = &made["key"];
    assert_eq!(
        (&key["state"], &key["origin"], &key["organisation"]),
        (&json!("live"), &json!("store"), &json!("search-org"))
    );
    assert_eq!(key["settings"], settings);
    let (_, shown) = world.get("read-only", "/admin/v1/keys/bot").await;
    assert_eq!(shown["revision"], key["revision"]);
    assert_eq!(shown["credentials"], json!([{"shown": "cq-0…"}]));

    let (status, rotated) = world
        .ask("admin", "POST", "/admin/v1/keys/bot/rotate", json!({"overlap": "2h"}))
        .await;
    assert_eq!((status, &rotated["secret"]), (200, &json!("cq-PLAINTEXT-1")));
    assert_eq!(
        rotated["key"]["credentials"],
        json!([{"shown": "cq-0…", "until": "2026-02-01T00:53:20Z"}, {"shown": "cq-1…"}])
    );
    for (action, state) in [("disable", "disabled"), ("enable", "live"), ("revoke", "revoked")] {
        let (status, key) = world
            .ask("admin", "POST", &format!("/admin/v1/keys/bot/{action}"), Value::Null)
            .await;
        assert_eq!((status, &key["state"]), (200, &json!(state)), "{action}: {key}");
        let (_, listed) = world
            .get("admin", &format!("/admin/v1/keys?state={state}&prefix=bot"))
            .await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{state}");
    }
    let (_, patched) = world
        .ask(
            "admin",
            "PATCH",
            "/admin/v1/keys/bot",
            json!({"settings": {"tags": ["b"], "expires": null}}),
        )
        .await;
    assert_eq!(
        patched["settings"],
        json!({"team": "search", "tags": ["b"], "limits": [{"requests": 5, "per": "1m"}]})
    );
    let (status, deleted) = world.ask("admin", "DELETE", "/admin/v1/keys/bot", Value::Null).await;
    assert_eq!((status, deleted), (200, json!({"deleted": true, "disabled": false})));
    assert_eq!(world.get("admin", "/admin/v1/keys/bot").await.0, 404);
    let actions: Vec<String> = world
        .audit()
        .into_iter()
        .map(|(action, subject, outcome)| format!("{action} {subject} {outcome}"))
        .collect();
    let expected = ["create", "rotate", "disable", "enable", "revoke", "update", "delete"];
    let expected: Vec<String> = expected
        .iter()
        .flat_map(|action| {
            [
                format!("key.{action} key/bot begun"),
                format!("key.{action} key/bot done"),
            ]
        })
        .collect();
    assert_eq!(actions, expected);
    assert_eq!(world.process.changed.load(Ordering::Relaxed), 7);
    // The name is free again.
    assert_eq!(
        world
            .ask("admin", "POST", "/admin/v1/keys", json!({"name": "bot"}))
            .await
            .0,
        201
    );
}

#[tokio::test]
async fn no_answer_and_no_note_holds_a_secret_but_the_one_that_made_it() {
    let world = World::peopled();
    world
        .ask(
            "owner",
            "POST",
            "/admin/v1/keys",
            json!({"name": "bot", "settings": {"team": "search"}}),
        )
        .await;
    world.ask("owner", "POST", "/admin/v1/keys/bot/rotate", json!({})).await;
    for route in routes() {
        let making = route.path.ends_with("/rotate");
        let path = route.path.replace("{id}", "openai/gpt-4o").replace("{name}", "bot");
        let (_, answer) = world.ask("owner", route.method.as_str(), &path, Value::Null).await;
        let text = answer.to_string();
        assert!(making || !text.contains("PLAINTEXT"), "{path}: {text}");
        assert!(!text.contains("HASH") && !text.contains("TOKEN"), "{path}: {text}");
    }
    let held = world.store.held.lock().unwrap();
    let noted = format!("{:?}", held.audit);
    assert!(held.audit.len() > 4);
    assert!(
        !noted.contains("PLAINTEXT") && !noted.contains("HASH") && !noted.contains("TOKEN"),
        "{noted}"
    );
    assert!(!format!("{:?}", held.objects).contains("PLAINTEXT"));
    assert!(!format!("{:?}", world.api).contains("TOKEN"));
}

#[tokio::test]
async fn what_the_file_declares_is_the_files() {
    let world = World::peopled();
    let (_, shown) = world.get("owner", "/admin/v1/teams/written").await;
    assert_eq!((&shown["origin"], &shown["revision"]), (&json!("file"), &Value::Null));
    let body = json!({"revision": 1, "settings": {}});
    for (method, path, body) in [
        ("PUT", "/admin/v1/teams/written", body),
        ("PATCH", "/admin/v1/teams/written", json!({"settings": {}})),
        ("DELETE", "/admin/v1/teams/written?force=true", Value::Null),
        ("POST", "/admin/v1/teams", json!({"name": "written"})),
        ("POST", "/admin/v1/keys/written-key/rotate", json!({})),
        ("POST", "/admin/v1/keys/written-key/revoke", json!({})),
    ] {
        let (status, answer) = world.ask("owner", method, path, body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (409, &json!("declared_in_file")),
            "{method} {path}"
        );
    }
    assert!(world.audit().is_empty());
    // One that was made before it was declared is told of, and means nothing.
    world.store.put(Kind::Team, "written", json!({"description": "older"}));
    let (_, shown) = world.get("owner", "/admin/v1/teams/written").await;
    assert_eq!(
        (&shown["shadows_store"], &shown["settings"]["description"]),
        (&json!(true), &json!("from the file"))
    );
    let (_, listed) = world.get("owner", "/admin/v1/teams?origin=file").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_go_page_by_page() {
    let world = World::peopled();
    for index in 0..25 {
        world
            .store
            .put(Kind::Key, &format!("k{index:02}"), json!({"team": "search"}));
    }
    let (mut path, mut names, mut pages) = ("/admin/v1/keys?limit=10&team=search".to_owned(), Vec::new(), 0);
    loop {
        let (status, page) = world.get("owner", &path).await;
        assert_eq!(status, 200);
        pages += 1;
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/admin/v1/keys?limit=10&team=search&cursor={next}");
    }
    assert_eq!((names.len(), pages), (27, 3));
    assert!(names.is_sorted() && names.contains(&"search-key".to_owned()) && names.contains(&"ci".to_owned()));
    for (query, message) in [
        ("limit=501", "from 1 to 500"),
        ("cursor=!", "next_cursor"),
        ("colour=red", "known: limit, cursor"),
        ("origin=moon", "file, store"),
    ] {
        let (status, answer) = world.get("owner", &format!("/admin/v1/keys?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(
            answer["error"]["message"].as_str().unwrap().contains(message),
            "{query}: {answer}"
        );
    }
}

#[tokio::test]
async fn who_changes_what_somebody_else_changed_is_told() {
    let world = World::peopled();
    let (_, read) = world.get("owner", "/admin/v1/teams/search").await;
    let revision = read["revision"].as_i64().unwrap();
    let body = json!({"revision": revision, "settings": {"description": "mine"}});
    let (status, changed) = world.ask("owner", "PUT", "/admin/v1/teams/search", body.clone()).await;
    assert_eq!(status, 200);
    assert!(changed["revision"].as_i64().unwrap() > revision);
    assert_eq!(changed["settings"], json!({"description": "mine"}));
    let (status, answer) = world.ask("owner", "PUT", "/admin/v1/teams/search", body).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("conflict")));
    let now = changed["revision"].to_string();
    assert!(answer["error"]["message"].as_str().unwrap().contains(&now), "{answer}");
    // Another instance's change is there at once.
    world.store.put(Kind::Team, "search", json!({"description": "theirs"}));
    let (_, read) = world.get("owner", "/admin/v1/teams/search").await;
    assert_eq!(read["settings"]["description"], "theirs");
}

#[tokio::test]
async fn what_is_named_is_not_deleted() {
    let world = World::peopled();
    for index in 0..15 {
        world
            .store
            .put(Kind::Key, &format!("k{index:02}"), json!({"team": "search"}));
    }
    let (status, answer) = world
        .ask("owner", "DELETE", "/admin/v1/teams/search", Value::Null)
        .await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("in_use")));
    let told = answer["error"]["problems"].as_array().unwrap();
    assert_eq!((told.len(), &told[0]["path"]), (10, &json!("project/search-app")));
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("18 name this team"),
        "{answer}"
    );
    let (status, answer) = world
        .ask("owner", "DELETE", "/admin/v1/teams/search?force=true", Value::Null)
        .await;
    assert_eq!(
        (status, &answer["deleted"], &answer["disabled"]),
        (200, &json!(false), &json!(true))
    );
    let (_, team) = world.get("owner", "/admin/v1/teams/search").await;
    assert_eq!(team["settings"]["disabled"], true);
    let (status, _) = world
        .ask("owner", "DELETE", "/admin/v1/users/search-user", Value::Null)
        .await;
    assert_eq!(status, 409);
    world
        .ask("owner", "DELETE", "/admin/v1/keys/search-key", Value::Null)
        .await;
    let (status, answer) = world
        .ask("owner", "DELETE", "/admin/v1/users/search-user", Value::Null)
        .await;
    assert_eq!((status, answer), (200, json!({"deleted": true, "disabled": false})));
}

#[tokio::test]
async fn what_is_no_block_is_refused_and_nothing_is_written() {
    let world = World::peopled();
    let before = format!("{:?}", world.store.held.lock().unwrap().objects);
    let deep = serde_json::from_str::<Value>(&format!("{}1{}", "[".repeat(40), "]".repeat(40))).unwrap();
    let many: serde_json::Map<String, Value> = (0..300).map(|index| (index.to_string(), "x".into())).collect();
    for (settings, path) in [
        (json!([]), "settings"),
        (json!({"teem": "search"}), "settings"),
        (json!({"metadata": {"a": 1}}), "settings.metadata.a"),
        (json!({"metadata": {"a": "\u{1b}[31m"}}), "settings.metadata.a"),
        (json!({"metadata": {"a\u{0}": "b"}}), "settings.metadata"),
        (json!({"metadata": {"a": "\u{202e}gnp"}}), "settings.metadata.a"),
        (json!({"metadata": {"a": "x".repeat(5000)}}), "settings.metadata.a"),
        (json!({"metadata": many}), "settings.metadata"),
        (json!({"tags": vec!["t"; 300]}), "settings.tags"),
        (json!({"metadata": {"a": vec!["x".repeat(4000); 60]}}), "settings"),
        (json!({"limits": [{"requests": -1}]}), "settings.limits.0.requests"),
        (json!({"budgets": [{"usd": "-5"}]}), "settings.budgets.0.usd"),
        (json!({"budgets": [{"usd": "5 EUR"}]}), "settings.budgets.0.usd"),
        (json!({"budgets": [{"usd": 5}]}), "settings.budgets.0.usd"),
        (json!({"expires": "tomorrow"}), "settings.expires"),
        (json!({"models": ["["]}), "settings.models[0]"),
        (json!({"team": "nowhere"}), "settings.team"),
        (json!({"secret": "env:X"}), "settings.secret"),
        (json!({"hash": "abc"}), "settings.hash"),
    ] {
        let (status, answer) = world
            .ask(
                "owner",
                "POST",
                "/admin/v1/keys",
                json!({"name": "k", "settings": settings}),
            )
            .await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!("invalid_request")),
            "{settings}"
        );
        assert_eq!(answer["error"]["problems"][0]["path"], path, "{answer}");
        assert!(!answer.to_string().contains('\u{1b}'));
    }
    for name in [
        "",
        " ",
        "a b",
        "../x",
        "a/b",
        "é",
        "-a",
        &"n".repeat(129),
        "a\nb",
        "{name}",
    ] {
        let (status, answer) = world
            .ask("owner", "POST", "/admin/v1/teams", json!({"name": name}))
            .await;
        assert_eq!(
            (status, &answer["error"]["problems"][0]["path"]),
            (400, &json!("name")),
            "{name:?}"
        );
    }
    for body in [
        json!([]),
        json!({}),
        json!({"name": "x", "setings": {}}),
        json!({"name": 1}),
        json!({"name": "x", "settings": deep}),
    ] {
        let (status, _) = world.ask("owner", "POST", "/admin/v1/teams", body.clone()).await;
        assert_eq!(status, 400, "{body}");
    }
    let (status, _) = world
        .ask(
            "owner",
            "POST",
            "/admin/v1/teams",
            json!({"name": "x".repeat(300 * 1024)}),
        )
        .await;
    assert_eq!(status, 413);
    let (status, _) = world
        .ask("owner", "POST", "/admin/v1/keys/ci/disable", json!({"why": "so"}))
        .await;
    assert_eq!(status, 400);
    assert_eq!(before, format!("{:?}", world.store.held.lock().unwrap().objects));
    assert!(world.audit().is_empty());
    assert_eq!(world.process.keys.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn without_its_store_nothing_is_changed_and_what_was_known_is_shown() {
    let world = World::peopled();
    assert_eq!(world.get("owner", "/admin/v1/keys/ci").await.0, 200);
    world.store.down.store(true, Ordering::Relaxed);
    for (method, path, body) in [
        ("POST", "/admin/v1/keys", json!({"name": "k"})),
        ("PATCH", "/admin/v1/keys/ci", json!({"settings": {}})),
        ("DELETE", "/admin/v1/keys/ci", Value::Null),
        ("POST", "/admin/v1/keys/ci/revoke", Value::Null),
        ("GET", "/admin/v1/usage", Value::Null),
        ("GET", "/admin/v1/usage/records", Value::Null),
        ("GET", "/admin/v1/audit", Value::Null),
        ("GET", "/admin/v1/usage/export", Value::Null),
    ] {
        let (status, answer) = world.ask("owner", method, path, body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (503, &json!("store_unavailable")),
            "{method} {path}"
        );
        assert!(!answer.to_string().contains("SECRET"), "{answer}");
    }
    assert_eq!(world.get("owner", "/admin/v1/keys/ci").await.0, 200);
    world.store.down.store(false, Ordering::Relaxed);
    // A change that fails after it was noted is noted as failed, and its cause is not told.
    world.store.no_changes.store(true, Ordering::Relaxed);
    let (status, answer) = world
        .ask("owner", "POST", "/admin/v1/keys/ci/revoke", Value::Null)
        .await;
    assert_eq!((status, &answer["error"]["code"]), (500, &json!("internal_error")));
    assert!(!answer.to_string().contains("SECRET"));
    let noted = world.audit();
    assert_eq!(noted.last().unwrap().2, "failed: internal_error");
    assert_eq!(noted.len(), 2);
}

#[tokio::test]
async fn two_that_make_the_same_at_once_make_it_once() {
    let world = World::peopled();
    let body = || json!({"name": "twice"});
    let (one, two) = tokio::join!(
        world.ask("owner", "POST", "/admin/v1/keys", body()),
        world.ask("admin", "POST", "/admin/v1/keys", body())
    );
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    assert!(world.store.object(Kind::Key, "twice").await.unwrap().is_some());
}

#[tokio::test]
async fn prices_are_listed_and_overridden() {
    let world = World::peopled();
    let (_, all) = world.get("read-only", "/admin/v1/prices?prefix=openai/&limit=1").await;
    assert_eq!(all["items"][0]["name"], "openai/gpt-4o");
    let next = all["next_cursor"].as_str().unwrap();
    let (_, rest) = world
        .get("read-only", &format!("/admin/v1/prices?prefix=openai/&cursor={next}"))
        .await;
    assert_eq!(
        (&rest["items"][0]["name"], &rest["next_cursor"]),
        (&json!("openai/o3"), &Value::Null)
    );
    let body = json!({"settings": {"input": "2.5"}});
    let (status, made) = world
        .ask("admin", "PUT", "/admin/v1/prices/openai/gpt-4o", body.clone())
        .await;
    assert_eq!((status, &made["name"]), (200, &json!("openai/gpt-4o")), "{made}");
    assert_eq!(
        world
            .ask("admin", "PUT", "/admin/v1/prices/openai/gpt-4o", body)
            .await
            .0,
        409
    );
    let body = json!({"revision": made["revision"], "settings": {"input": "3"}});
    assert_eq!(
        world
            .ask("admin", "PUT", "/admin/v1/prices/openai/gpt-4o", body)
            .await
            .0,
        200
    );
    let (_, shown) = world.get("read-only", "/admin/v1/prices/openai/gpt-4o").await;
    assert_eq!(shown["settings"], json!({"input": "3"}));
    assert_eq!(
        world
            .ask("admin", "DELETE", "/admin/v1/prices/openai/gpt-4o", Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(world.get("read-only", "/admin/v1/prices/openai/gpt-4o").await.0, 404);
}

#[tokio::test]
async fn a_store_that_was_put_back_is_read_anew() {
    let world = World::new();
    world.store.put(Kind::Team, "old", json!({}));
    world.store.put(Kind::Team, "lost", json!({}));
    assert_eq!(world.get("admin", "/admin/v1/teams/lost").await.0, 200);
    {
        let mut held = world.store.held.lock().unwrap();
        held.objects.remove(&(Kind::Team, "lost".to_owned()));
        held.revision = 1;
    }
    assert_eq!(world.get("admin", "/admin/v1/teams/lost").await.0, 404);
    let change = json!({"settings": {"description": "changed after that"}});
    let (status, answer) = world.ask("admin", "PATCH", "/admin/v1/teams/old", change).await;
    assert_eq!(status, 200, "{answer}");
    let (_, shown) = world.get("admin", "/admin/v1/teams/old").await;
    assert_eq!(shown["settings"]["description"], "changed after that");
}
