//! What tokens name, and what blocks say of the cache, put together.

use super::*;

#[test]
fn what_a_token_names_must_go_together() {
    let objects = [
        object(Kind::Organisation, "other", json!({})),
        object(Kind::Team, "ads", json!({"organisation": "other"})),
        object(Kind::Team, "loose", json!({})),
    ];
    let directory = build(&config(&acme()), &objects);
    let person = |organisation, team, project| {
        let named = Named {
            organisation,
            team,
            project,
            user: Some("eve"),
        };
        let found = directory.person(&named);
        found.map(|it| it.tenant.team.as_deref().unwrap_or_default().to_owned())
    };
    assert_eq!(person(Some("acme"), None, Some("web")).unwrap(), "search");
    assert_eq!(person(Some("other"), Some("loose"), None).unwrap(), "loose");
    for (organisation, team, project, kind) in [
        (None, Some("ads"), Some("web"), TenantKind::Project),
        (Some("acme"), Some("ads"), None, TenantKind::Team),
        (Some("other"), None, Some("web"), TenantKind::Team),
    ] {
        assert_eq!(person(organisation, team, project).unwrap_err().kind, kind);
    }
}

#[test]
fn what_blocks_say_of_the_cache_is_put_over_each_other() {
    let config = config(
        "organisations: { acme: { cache: { mode: exact, ttl: 1h, scope: organisation } } }\n\
         teams: { search: { organisation: acme, cache: { ttl: 2h } }, plain: {} }\n",
    );
    let objects = [
        key(
            "a",
            json!({ "team": "search", "cache": { "ttl": "3h", "tools": true } }),
        ),
        key("b", json!({ "team": "search" })),
        key("c", json!({ "team": "plain" })),
        key("d", json!({ "team": "plain", "cache": { "mode": "off" } })),
    ];
    let directory = build(&config, &objects);
    let policy = |name: &str| {
        let principal = directory.principal(&digest(name), 0).unwrap();
        principal
            .cache
            .as_ref()
            .map(|policy| serde_json::to_value(&**policy).unwrap())
    };
    let outer = json!({ "mode": "exact", "ttl": "2h", "scope": "organisation" });
    assert_eq!(
        policy("a"),
        Some(json!({ "mode": "exact", "ttl": "3h", "scope": "organisation", "tools": true }))
    );
    assert_eq!(policy("b"), Some(outer.clone()));
    // What the key added is its own.
    assert_eq!(policy("c"), None);
    assert_eq!(policy("d"), Some(json!({ "mode": "off" })));
    let named = Named {
        team: Some("search"),
        user: Some("eve"),
        ..Named::default()
    };
    let person = directory.person(&named).unwrap();
    assert_eq!(
        person
            .cache
            .as_ref()
            .map(|policy| serde_json::to_value(&**policy).unwrap()),
        Some(outer)
    );
}
