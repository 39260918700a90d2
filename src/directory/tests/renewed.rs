//! Keys of the store that change: what is renewed is what would have been built, and shares what did not change.

use super::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static FILE: LazyLock<Config> = LazyLock::new(|| {
    // Tags that keys carry by their team, by themselves, and that no key may count by itself.
    let tags = "tags: { o: { limits: [ { requests: 7 } ] }, t: { limits: [ { tokens: 8 } ] }, x: { limits: [ { requests: 9 } ] } }\n";
    config(&format!("{tags}{}", acme()))
});

/// Everything that can be seen of a directory.
fn seen(directory: &Directory) -> Vec<String> {
    let mut all: Vec<String> = TenantKind::ALL
        .into_iter()
        .flat_map(|kind| {
            directory
                .list(kind, &Within::All)
                .map(|entry| {
                    let principal = entry.principal.as_deref().map(shape);
                    format!(
                        "{:?} {principal:?}",
                        (
                            entry.kind,
                            &entry.name,
                            entry.origin,
                            entry.shadowed,
                            &entry.fault,
                            &entry.tenant,
                            &entry.shown,
                            entry.revision
                        )
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut keys: Vec<String> = directory
        .keys
        .iter()
        .map(|(digest, opens)| format!("{} {:?} {}", digest.to_hex(), opens.until, shape(&opens.principal)))
        .collect();
    keys.sort();
    let scopes = directory.scopes.iter().filter(|scope| !scope.limits.is_empty());
    let mut scopes: Vec<String> = scopes
        .map(|scope| format!("{:?}", (scope.kind, &scope.name, &scope.limits)))
        .collect();
    scopes.sort();
    all.extend(keys);
    all.extend(scopes);
    for (place, scope) in directory.scopes.iter().enumerate() {
        assert_eq!(scope.index as usize, place);
    }
    for opens in directory.keys.values() {
        for scope in opens.principal.scopes.iter() {
            assert!(Arc::ptr_eq(scope, &directory.scopes[scope.index as usize]));
        }
    }
    all
}

fn shape(principal: &Principal) -> String {
    let scopes: Vec<_> = principal
        .scopes
        .iter()
        .map(|scope| (scope.kind, &scope.name, &scope.limits))
        .collect();
    let it = principal;
    format!(
        "{:?}",
        (
            &it.tenant,
            &it.tags,
            &it.vouched_tags,
            &it.access,
            scopes,
            &it.defaults,
            &it.metadata,
            &it.guardrails,
            &it.team_metadata,
            &it.cache,
            it.origin,
            it.until
        )
    )
}

fn renewed(config: &Config, before: &Directory, objects: &[Object]) -> Directory {
    let (file_keys, _) = FileKeys::read(config, &hasher());
    before.renew(&Sources {
        config,
        file_keys: &file_keys,
        objects,
    })
}

#[test]
fn what_did_not_change_is_shared_and_places_of_limits_are_taken_again() {
    let config = config(&acme());
    let limited = |name: &str, most: u64, revision| Object {
        revision,
        ..key(name, json!({"team": "search", "limits": [{"requests": most}]}))
    };
    let first = build(
        &config,
        &[
            limited("a", 1, 1),
            limited("b", 2, 1),
            key("c", json!({"team": "search"})),
        ],
    );
    let size = first.scopes().len();
    let next = renewed(
        &config,
        &first,
        &[
            limited("a", 3, 2),
            limited("b", 2, 1),
            key("c", json!({"team": "search"})),
        ],
    );
    for name in ["b", "c", "ci"] {
        assert!(
            Arc::ptr_eq(&first.key(name).unwrap(), &next.key(name).unwrap()),
            "{name}"
        );
    }
    assert!(!Arc::ptr_eq(&first.key("a").unwrap(), &next.key("a").unwrap()));
    assert_eq!(
        next.key("a").unwrap().scopes.last().unwrap().limits[0].requests,
        Some(3)
    );
    assert_eq!(next.scopes().len(), size);
    // Gone, and what came in its place later.
    let less = renewed(
        &config,
        &next,
        &[limited("b", 2, 1), key("c", json!({"team": "search"}))],
    );
    assert!(less.principal(&digest("a"), 0).is_none() && less.key("a").is_none());
    assert_eq!(
        less.scopes()
            .iter()
            .filter(|scope| scope.limits.is_empty() && scope.budgets.is_empty())
            .count(),
        1
    );
    let more = renewed(
        &config,
        &less,
        &[
            limited("b", 2, 1),
            key("c", json!({"team": "search"})),
            limited("d", 4, 3),
        ],
    );
    assert_eq!(more.scopes().len(), size);
    assert!(Arc::ptr_eq(&first.key("b").unwrap(), &more.key("b").unwrap()));
    // Of a tenant that changed nothing is shared.
    let team = Object {
        revision: 9,
        ..object(Kind::Team, "other", json!({}))
    };
    let other = renewed(&config, &more, &[team, limited("b", 2, 1)]);
    assert!(!Arc::ptr_eq(&first.key("b").unwrap(), &other.key("b").unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_renewed_is_what_would_have_been_built(
        steps in prop::collection::vec((0_usize..6, 0_usize..9, 0_usize..4, any::<bool>()), 1..12),
    ) {
        let config = &*FILE;
        let names = ["a", "b", "ci", "d", "e", "team"];
        let documents = [
            json!({}), json!({"team": "search", "tags": ["t", "x"]}), json!({"team": "nowhere", "limits": [{"requests": 1}]}), json!({"colour": 1}),
            json!({"limits": [{"requests": 2}], "tags": ["x"]}), json!({"user": "ann", "limits": [{"tokens": 2}]}),
            json!({"expires": "2030-01-01T00:00:00Z", "project": "web"}), json!({"team": "team"}), json!({"disabled": true, "metadata": {"a": "b"}}),
        ];
        let mut objects: BTreeMap<&str, Object> = BTreeMap::new();
        let mut directory = build(config, &[]);
        for (revision, (name, document, secret, gone)) in (1..).zip(steps) {
            let name = names[name];
            if gone {
                objects.remove(name);
            } else {
                let kind = if name == "team" { Kind::Team } else { Kind::Key };
                let secrets = ["a", "b", "d", "ci"];
                let hashes = if kind == Kind::Key { vec![row(secrets[secret], None)] } else { Vec::new() };
                let changed = Object { hashes, revision, ..object(kind, name, documents[document].clone()) };
                objects.insert(name, changed);
            }
            let all: Vec<Object> = objects.values().cloned().collect();
            directory = renewed(config, &directory, &all);
            prop_assert_eq!(seen(&directory), seen(&build(config, &all)));
        }
    }
}
