//! Whose limits of tags count for whom: of what an operator of all has written, and of nothing else.

use super::*;

const TAGS: &str = "tags: { batch: { limits: [ { requests: 5 } ] }, eu: { budgets: [ { usd: \"5\" } ] }, idle: { description: counts nothing } }\n";

fn scopes(principal: &Principal) -> Vec<String> {
    let scopes = principal.scopes.iter();
    scopes
        .map(|scope| format!("{} {}", scope.kind.as_str(), scope.name))
        .collect()
}

fn filed(more: &str) -> Config {
    config(&format!(
        "{TAGS}organisations: {{ acme: {{ tags: [ eu, batch ], budgets: [ {{ usd: \"9\" }} ] }} }}\n\
         teams: {{ search: {{ organisation: acme, tags: [ batch, x, idle ], limits: [ {{ requests: 1 }} ] }}, plain: {{}} }}\n{more}"
    ))
}

#[test]
fn a_tag_counts_once_behind_the_outermost_block_that_carries_it() {
    let key = format!(
        "keys: {{ ci: {{ hash: {}, team: search, tags: [ eu ] }} }}\n",
        digest("ci").to_hex()
    );
    let directory = build(&filed(&key), &[]);
    let ci = directory.principal(&digest("ci"), 0).unwrap();
    assert_eq!(scopes(ci), ["organisation acme", "tag eu", "tag batch", "team search"]);
    for scope in ci.scopes.iter() {
        assert!(Arc::ptr_eq(scope, &directory.scopes()[scope.index as usize]));
    }
    let named = Named {
        team: Some("search"),
        user: Some("anybody"),
        ..Named::default()
    };
    let person = directory.person(&named).unwrap();
    assert_eq!(scopes(&person), scopes(ci));
    assert_eq!(directory.faults().count(), 0);
}

#[test]
fn of_the_store_only_organisations_and_teams_carry_tags_that_count() {
    let inherits = json!({"team": "stored", "tags": ["eu"]});
    let objects = [
        object(Kind::Team, "stored", json!({"tags": ["eu"]})),
        object(Kind::Project, "tagged", json!({"team": "plain", "tags": ["batch"]})),
        object(Kind::User, "ann", json!({"team": "plain", "tags": ["x", "eu"]})),
        key("inherits", inherits),
        key("alone", json!({"team": "plain", "tags": ["batch", "x"]})),
        key("both", json!({"project": "tagged", "user": "ann"})),
    ];
    let directory = build(&filed(""), &objects);
    for (name, expected) in [("inherits", vec!["tag eu"]), ("alone", vec![]), ("both", vec![])] {
        assert_eq!(scopes(&directory.key(name).unwrap()), expected, "{name}");
    }
    // What does not count is told to the operator, and runs.
    for (kind, name, tag) in [
        (TenantKind::Key, "alone", "batch"),
        (TenantKind::Project, "tagged", "batch"),
        (TenantKind::User, "ann", "eu"),
    ] {
        let fault = fault(&directory, kind, name).unwrap();
        assert!(fault.contains(&format!("its tag {tag:?} has limits")), "{fault}");
    }
    assert!(may(&directory.key("alone").unwrap(), "m"));
    assert_eq!(fault(&directory, TenantKind::Key, "inherits"), None);
    // Usage is grouped by all of them, as before.
    let words: Vec<String> = directory
        .key("both")
        .unwrap()
        .tags
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(words, ["batch", "eu", "x"]);
}

proptest! {
    /// Whatever the store's projects, users and keys are tagged with: what counts for a key is what its team and organisation carry.
    #[test]
    fn nothing_a_team_admin_writes_adds_or_removes_a_tag(
        of_team in prop::collection::btree_set("batch|eu|x", 0..3), of_key in prop::collection::btree_set("batch|eu|x", 0..3),
        of_project in prop::collection::btree_set("batch|eu|x", 0..3),
    ) {
        let objects = [
            object(Kind::Team, "t", json!({"tags": of_team})),
            object(Kind::Project, "p", json!({"team": "t", "tags": of_project})),
            key("k", json!({"project": "p", "tags": of_key})),
        ];
        let directory = build(&config(TAGS), &objects);
        let mut counted = scopes(&directory.key("k").unwrap());
        counted.sort_unstable();
        let expected: Vec<String> = of_team.iter().filter(|tag| *tag != "x").map(|tag| format!("tag {tag}")).collect();
        prop_assert_eq!(counted, expected);
    }
}
