//! Standings, usage, exports, recomputation, the audit log.

use super::*;

#[tokio::test]
async fn standings_are_told_in_their_units() {
    let world = World::peopled();
    let (_, budgets) = world.get("read-only", "/admin/v1/budgets?team=search").await;
    let items = budgets["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{budgets}");
    let budget = &items[1];
    assert_eq!(budget["scope"], json!({"kind": "team", "name": "search"}));
    for (field, value) in [
        ("limit_usd", "10"),
        ("used_usd", "2.500000001"),
        ("reserved_usd", "0.5"),
        ("remaining_usd", "6.999999999"),
        ("forecast_usd", "9"),
        ("window_start", "2026-02-01T00:00:00Z"),
    ] {
        assert_eq!(budget[field], value, "{field}");
    }
    assert_eq!(budget["used_percent"], 25);
    let (_, limits) = world.get("read-only", "/admin/v1/limits?scope=model").await;
    assert_eq!(
        (limits["items"].as_array().unwrap().len(), &limits["items"][0]["per_ms"]),
        (1, &json!(60_000))
    );
    let (_, first) = world.get("read-only", "/admin/v1/limits?limit=4").await;
    let next = first["next_cursor"].as_str().unwrap();
    let (_, rest) = world
        .get("read-only", &format!("/admin/v1/limits?limit=4&cursor={next}"))
        .await;
    assert_eq!(
        (rest["items"].as_array().unwrap().len(), &rest["next_cursor"]),
        (1, &Value::Null)
    );
}

#[tokio::test]
async fn usage_is_grouped_and_filtered() {
    let world = World::peopled();
    let (status, usage) = world
        .get("read-only", "/admin/v1/usage?group_by=team,model&bucket=day")
        .await;
    assert_eq!(status, 200);
    let items = usage["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["group"], json!({"team": "search", "model": "gpt"}));
    assert_eq!(
        (&items[0]["requests"], &items[0]["tokens"]["input"]),
        (&json!(3), &json!(15))
    );
    assert_eq!(
        (&items[0]["cost_usd"], &items[0]["mean_latency_ms"]),
        (&json!("0.000003"), &json!(10))
    );
    let (_, usage) = world
        .get(
            "read-only",
            "/admin/v1/usage?group_by=team&team=zebra,none&from=2026-01-01&to=2026-03-01",
        )
        .await;
    assert_eq!(usage["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&usage["from"], &usage["to"]),
        (&json!("2026-01-01T00:00:00Z"), &json!("2026-03-01T00:00:00Z"))
    );
    let (_, none) = world.get("team-admin", "/admin/v1/usage?team=zebra").await;
    assert_eq!(none["items"], json!([]));
    let (_, own) = world
        .get("team-admin", "/admin/v1/usage?group_by=team&team=zebra,search")
        .await;
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    for (query, part) in [
        ("from=2026-02-01&to=2026-01-01", "not before"),
        ("from=never", "2026-01-31"),
        ("group_by=team,user,key,model,tag", "at most 4"),
        ("group_by=weather", "organisation, team"),
        ("bucket=week", "all, hour, day, month"),
        ("cursor=nonsense", "next_cursor"),
        ("limit=5000", "1 to 1000"),
    ] {
        let (status, answer) = world.get("owner", &format!("/admin/v1/usage?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(
            answer["error"]["message"].as_str().unwrap().contains(part),
            "{query}: {answer}"
        );
    }
}

#[tokio::test]
async fn records_go_page_by_page() {
    let world = World::peopled();
    let (_, page) = world.get("auditor", "/admin/v1/usage/records?limit=4").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 4);
    let record = &page["items"][0];
    assert_eq!(
        (&record["metadata"], &record["cost_usd"]),
        (&json!({"a": "b"}), &json!({"input": "0.000001", "total": "0.000001"}))
    );
    let next = page["next_cursor"].as_str().unwrap();
    let (_, page) = world
        .get("auditor", &format!("/admin/v1/usage/records?limit=4&cursor={next}"))
        .await;
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["next_cursor"]),
        (2, &Value::Null)
    );
    let (_, own) = world.get("team-admin", "/admin/v1/usage/records").await;
    assert_eq!(own["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_export_is_whole_and_noted() {
    let world = World::peopled();
    for index in 3..2500 {
        world.store.held.lock().unwrap().rows.push(row("search", index));
    }
    let (status, csv) = world.get("team-admin", "/admin/v1/usage/export?format=csv").await;
    let lines: Vec<&str> = csv.as_str().unwrap().lines().collect();
    assert_eq!((status, lines.len(), lines.last()), (200, 2501, Some(&"end")));
    assert!(lines.iter().all(|line| !line.contains("zebra")));
    let noted = world.audit();
    assert_eq!(
        noted[0],
        ("usage.export".to_owned(), "usage".to_owned(), "begun".to_owned())
    );
    assert_eq!(noted[1].2, "done");
    assert_eq!(world.store.held.lock().unwrap().audit[1].detail["rows"], 2500);
    let (status, nothing) = world.get("team-admin", "/admin/v1/usage/export?team=zebra").await;
    assert_eq!((status, nothing), (200, json!("end\n")));
    let (status, answer) = world.get("owner", "/admin/v1/usage/export?format=parquet").await;
    assert_eq!((status, &answer["error"]["code"]), (501, &json!("not_implemented")));
    // Every place is given back.
    assert_eq!(world.api.exports.available_permits(), EXPORTS_AT_ONCE);
}

#[tokio::test]
async fn usage_is_recomputed_in_the_background() {
    let world = World::peopled();
    for index in 3..1500 {
        world.store.held.lock().unwrap().rows.push(row("search", index));
    }
    {
        // Calls of one request, a page and more away from it among those of others, and one whose request is before all.
        let mut held = world.store.held.lock().unwrap();
        let request = held
            .rows
            .iter()
            .find(|row| &*row.request_id == "search-1400")
            .unwrap()
            .clone();
        for (attempt, later) in [(1, 0), (2, 1_300_000)] {
            let at_ms = request.at_ms + later;
            held.rows.push(Row {
                attempt,
                at_ms,
                ..request.clone()
            });
        }
        let id = RowId::new(1);
        held.rows.push(Row {
            id,
            attempt: 1,
            ..request
        });
    }
    assert_eq!(world.get("owner", "/admin/v1/usage/recompute").await.0, 404);
    for (body, expected) in [
        (json!({}), 400),
        (json!({"from": "2026-01-01"}), 400),
        (json!({"from": "2026-03-01", "to": "2026-01-01"}), 400),
        (json!({"from": "x", "to": "2026-01-01"}), 400),
        (json!({"from": "2026-01-01", "to": "2026-03-01", "dry": true}), 400),
    ] {
        assert_eq!(
            world.ask("admin", "POST", "/admin/v1/usage/recompute", body).await.0,
            expected
        );
    }
    for dry_run in [true, false] {
        let body = json!({"from": "2026-01-01", "to": "2026-03-01", "dry_run": dry_run});
        let (status, job) = world
            .ask("admin", "POST", "/admin/v1/usage/recompute", body.clone())
            .await;
        assert_eq!((status, &job["state"]), (202, &json!("running")), "{job}");
        let done = loop {
            let (_, job) = world.get("read-only", "/admin/v1/usage/recompute").await;
            if job["state"] != "running" {
                break job;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(
            (&done["state"], &done["rows"], &done["changed"]),
            (&json!("done"), &json!(1505), &json!(1505)),
            "{done}"
        );
        assert_eq!(
            (&done["cost_before_usd"], &done["cost_after_usd"]),
            (&json!("0.001503"), &json!("0.003006"))
        );
        let repriced = world.store.held.lock().unwrap().repriced;
        assert_eq!(
            *world.process.together.lock().unwrap(),
            vec![vec![2, 1, 0]; if dry_run { 1 } else { 2 }]
        );
        assert_eq!(repriced, if dry_run { 0 } else { 1505 });
    }
}

#[tokio::test]
async fn the_audit_log_is_listed_verified_and_exported() {
    let world = World::peopled();
    for _ in 0..3 {
        world
            .ask("owner", "POST", "/admin/v1/keys/ci/disable", Value::Null)
            .await;
        world
            .ask("owner", "POST", "/admin/v1/keys/ci/enable", Value::Null)
            .await;
    }
    let (_, page) = world.get("auditor", "/admin/v1/audit?limit=5").await;
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["next_after"]),
        (5, &json!(5))
    );
    let first = &page["items"][0];
    assert_eq!(
        (&first["actor"], &first["role"], &first["from"]),
        (&json!("owner"), &json!("owner"), &json!("192.0.2.7"))
    );
    assert_eq!(
        first["detail"]["after"]["settings"],
        json!({"team": "search", "disabled": true})
    );
    assert_eq!(page["items"][1]["detail"], json!({"completes": 1}));
    for newest in [1, 3, 12, 500] {
        let (_, page) = world.get("auditor", &format!("/admin/v1/audit?newest={newest}")).await;
        let items = page["items"].as_array().unwrap();
        assert_eq!(
            (items.len(), &items.last().unwrap()["number"]),
            (newest.min(12), &json!(12)),
            "{newest}"
        );
    }
    let (_, verdict) = world.get("auditor", "/admin/v1/audit/verify").await;
    let head = world.store.held.lock().unwrap().audit.last().unwrap().hash.clone();
    assert_eq!(verdict, json!({"intact": true, "checked": 12, "head": head}));
    let (status, lines) = world.get("auditor", "/admin/v1/audit/export?after=2").await;
    // Its own beginning is in it.
    assert_eq!((status, lines.as_str().unwrap().lines().count()), (200, 11));
    assert!(
        lines
            .as_str()
            .unwrap()
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).unwrap()["number"].is_i64())
    );

    world.store.held.lock().unwrap().audit[6].actor = "nobody".to_owned();
    let (_, verdict) = world.get("auditor", "/admin/v1/audit/verify").await;
    assert_eq!((&verdict["intact"], &verdict["broken_at"]), (&json!(false), &json!(7)));
}

#[tokio::test]
async fn an_empty_audit_log_is_one() {
    let world = World::new();
    let (_, page) = world.get("owner", "/admin/v1/audit?newest=5").await;
    assert_eq!(page, json!({"items": []}));
    let (_, verdict) = world.get("owner", "/admin/v1/audit/verify").await;
    assert_eq!(verdict, json!({"intact": true, "checked": 0, "head": ""}));
}
