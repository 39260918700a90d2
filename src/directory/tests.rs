//! The directory from outside: what wins, what is closed, who sees what, and that no key has more than its team.

mod merged;
mod renewed;
mod tags;

use super::*;
use crate::auth::{KeyHasher, Question, token};
use crate::config::Config;
use crate::secret::Secret;
use crate::storage::{KeyHashRow, Object};
use proptest::prelude::*;
use serde_json::{Value, json};

fn hasher() -> KeyHasher {
    KeyHasher::new(&Secret::new("h".repeat(32))).unwrap()
}

/// The digest of the key with this short name.
fn digest(name: &str) -> Digest {
    hasher().digest(&format!("key-of-{name}-0123456789abcdef"))
}

fn config(more: &str) -> Config {
    let head = "listen: 127.0.0.1:0\nauth: { key_secret: env:UNREAD }\nproviders: { p: { kind: demo } }\n\
                models: { m: { targets: [ { provider: p } ] } }\n";
    crate::config::parse(&format!("{head}{more}"), "f").unwrap()
}

fn object(kind: Kind, name: &str, document: Value) -> Object {
    Object {
        kind,
        name: name.to_owned(),
        document: document.into(),
        hashes: Vec::new(),
        revision: 7,
        created_at: 1,
        updated_at: 2,
        deleted: false,
    }
}

fn key(name: &str, document: Value) -> Object {
    Object {
        hashes: vec![row(name, None)],
        ..object(Kind::Key, name, document)
    }
}

fn row(name: &str, until: Option<i64>) -> KeyHashRow {
    KeyHashRow {
        hash: digest(name).to_hex(),
        shown: "cq-abcd…".to_owned(),
        until,
    }
}

fn build(config: &Config, objects: &[Object]) -> Directory {
    let (file_keys, problems) = FileKeys::read(config, &hasher());
    assert_eq!(problems, Vec::new());
    Directory::build(&Sources {
        config,
        file_keys: &file_keys,
        objects,
    })
}

fn may(principal: &Principal, model: &str) -> bool {
    let question = Question {
        model: Some(model),
        operation: "chat",
        ip: None,
        now: 100,
    };
    principal.access.check(&question).is_ok()
}

fn fault(directory: &Directory, kind: TenantKind, name: &str) -> Option<String> {
    directory.entry(kind, name).unwrap().fault.as_deref().map(str::to_owned)
}

#[test]
fn what_a_team_admin_may_have_written_takes_the_place_of_nothing() {
    let config = config(
        "teams: { search: { tags: [silver], metadata: { plan: free } } }\nkeys: { filed: { hash: HASH, team: search, metadata: { plan: gold } } }"
            .replace("HASH", &digest("filed").to_hex())
            .as_str(),
    );
    let stored = json!({"team": "search", "tags": ["gold"], "metadata": {"plan": "gold", "job": "batch"}});
    let directory = build(
        &config,
        &[
            key("made", stored),
            object(Kind::Team, "other", json!({"tags": ["bronze"]})),
        ],
    );
    let made = directory.key("made").unwrap();
    let words = |tags: &[Arc<str>]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (words(&made.tags), words(&made.vouched_tags)),
        (vec!["gold".to_owned(), "silver".to_owned()], vec!["silver".to_owned()])
    );
    assert_eq!((&*made.metadata["plan"], made.metadata.len()), ("free", 1));
    assert_eq!(
        (&*made.team_metadata["plan"], &*made.team_metadata["job"]),
        ("gold", "batch")
    );
    let filed = directory.key("filed").unwrap();
    assert_eq!((&*filed.metadata["plan"], filed.team_metadata.len()), ("gold", 0));
    let named = Named {
        team: Some("other"),
        user: Some("x"),
        ..Named::default()
    };
    let person = directory.person(&named).unwrap();
    assert_eq!(
        words(&person.vouched_tags),
        ["bronze"],
        "only owners and admins make teams"
    );
}

fn acme() -> String {
    format!(
        "organisations: {{ acme: {{ models: [\"m\", \"x-*\"], tags: [o], metadata: {{ a: org, b: org }}, budgets: [ {{ usd: \"10\" }} ] }} }}\n\
         teams: {{ search: {{ organisation: acme, denied_models: [\"x-2*\"], tags: [t, o], defaults: {{ temperature: 0.1, top_p: 0.5 }}, limits: [ {{ requests: 5 }} ] }} }}\n\
         projects: {{ web: {{ team: search, metadata: {{ b: project }} }} }}\n\
         users: {{ ann: {{ team: search }} }}\n\
         keys: {{ ci: {{ hash: {}, project: web, user: ann, defaults: {{ temperature: 0.2 }}, limits: [ {{ concurrent: 2 }} ] }} }}\n",
        digest("ci").to_hex()
    )
}

#[test]
fn a_key_has_what_its_blocks_have() {
    let directory = build(&config(&acme()), &[]);
    let ci = directory.principal(&digest("ci"), 0).unwrap();
    let tenant = &ci.tenant;
    let names = [
        &tenant.organisation,
        &tenant.team,
        &tenant.project,
        &tenant.user,
        &tenant.key,
    ];
    let names = names.map(|name| name.as_deref().unwrap());
    assert_eq!(names, ["acme", "search", "web", "ann", "ci"]);
    assert_eq!(ci.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["o", "t"]);
    assert_eq!(
        *ci.metadata,
        [("a", "org"), ("b", "project")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into()
    );
    assert_eq!(json!(*ci.defaults), json!({"temperature": 0.2, "top_p": 0.5}));
    let kinds: Vec<&str> = ci.scopes.iter().map(|scope| scope.kind.as_str()).collect();
    assert_eq!(kinds, ["organisation", "team", "key"]);
    for scope in ci.scopes.iter() {
        assert!(Arc::ptr_eq(scope, &directory.scopes()[scope.index as usize]));
    }
    assert!(may(ci, "m") && may(ci, "x-1") && !may(ci, "x-2") && !may(ci, "y"));
    assert_eq!(ci.origin, Some(Origin::File));
    assert!(directory.principal(&digest("other"), 0).is_none());
    assert!(Arc::ptr_eq(ci, &directory.key("ci").unwrap()));
}

#[test]
fn what_the_file_declares_wins_and_the_other_is_shown_as_shadowed() {
    let objects = [
        object(Kind::Team, "search", json!({"organisation": "acme", "models": ["y"]})),
        key("late", json!({"team": "search"})),
        Object {
            hashes: vec![row("other", None)],
            ..key("ci", json!({}))
        },
    ];
    let directory = build(&config(&acme()), &objects);
    assert!(
        may(directory.principal(&digest("late"), 0).unwrap(), "m"),
        "the file's team holds"
    );
    assert!(directory.principal(&digest("ci"), 0).is_some());
    assert!(
        directory.principal(&digest("other"), 0).is_none(),
        "a shadowed key opens nothing"
    );
    let teams: Vec<_> = directory.list(TenantKind::Team, &Within::All).collect();
    let shown: Vec<_> = teams
        .iter()
        .map(|team| (team.origin.as_str(), team.shadowed, team.revision))
        .collect();
    assert_eq!(shown, [("file", false, None), ("store", true, Some(7))]);
    assert_eq!(teams[1].fault.as_deref(), Some("the file declares a team of this name"));
    let late = directory.entry(TenantKind::Key, "late").unwrap();
    assert_eq!(&*late.shown[0].text, "cq-abcd…");
}

#[test]
fn what_does_not_fit_is_closed_with_a_reason_and_takes_nothing_else_down() {
    let objects = [
        object(Kind::Team, "lost", json!({"organisation": "gone"})),
        object(Kind::Team, "broken", json!({"colour": 1})),
        object(Kind::Team, "odd", json!({"allowed_ips": ["10.0.0.0/99"]})),
        object(Kind::Team, "fine", json!({})),
        key("a", json!({"team": "lost"})),
        key("b", json!({"team": "broken"})),
        key("c", json!({"team": "odd"})),
        key("d", json!({"team": "nowhere"})),
        key("e", json!({"team": "fine"})),
        Object {
            hashes: vec![row("e", None)],
            ..key("f", json!({}))
        },
        Object {
            hashes: vec![KeyHashRow {
                hash: "zz".to_owned(),
                ..row("g", None)
            }],
            ..key("g", json!({}))
        },
        object(Kind::Price, "m", json!({})),
        Object {
            deleted: true,
            ..key("h", json!({}))
        },
    ];
    let directory = build(&config(""), &objects);
    for name in ["a", "b", "c", "d"] {
        assert!(!may(directory.principal(&digest(name), 0).unwrap(), "m"), "{name}");
    }
    assert!(may(directory.principal(&digest("e"), 0).unwrap(), "m"));
    assert_eq!(
        fault(&directory, TenantKind::Team, "lost").unwrap(),
        "there is no organisation \"gone\""
    );
    assert_eq!(
        fault(&directory, TenantKind::Team, "broken").unwrap(),
        "its document is not what this version keeps"
    );
    assert_eq!(
        fault(&directory, TenantKind::Team, "odd").unwrap(),
        "`allowed_ips`: not a network"
    );
    assert_eq!(
        fault(&directory, TenantKind::Key, "d").unwrap(),
        "there is no team \"nowhere\""
    );
    assert_eq!(fault(&directory, TenantKind::Key, "e"), None);
    assert_eq!(
        fault(&directory, TenantKind::Key, "f").unwrap(),
        "one of its secrets opens the key \"e\""
    );
    assert!(
        fault(&directory, TenantKind::Key, "g")
            .unwrap()
            .contains("one of its hashes")
    );
    assert!(directory.entry(TenantKind::Key, "h").is_none());
    assert_eq!(directory.faults().count(), 6);
    assert_eq!(
        directory
            .person(&Named {
                team: Some("lost"),
                ..Named::default()
            })
            .map(|it| may(&it, "m")),
        Ok(false)
    );
}

#[test]
fn a_rotation_overlaps_until_its_moment_and_then_looks_unknown() {
    let rotated = Object {
        hashes: vec![row("new", None), row("old", Some(100))],
        ..key("ci", json!({"expires": "1970-01-01T00:10:00Z"}))
    };
    let directory = build(&config(""), &[rotated]);
    let opens = |name: &str, now| directory.principal(&digest(name), now).is_some();
    assert!(opens("old", 99) && !opens("old", 100) && opens("new", 100));
    let principal = directory.principal(&digest("new"), 0).unwrap();
    assert_eq!((principal.until, directory.key_count()), (Some(600), 2));
    assert_eq!(
        directory.entry(TenantKind::Key, "ci").unwrap().shown[1].until,
        Some(100)
    );
}

#[test]
fn no_list_shows_what_belongs_to_another() {
    let objects = [
        object(Kind::Team, "ads", json!({})),
        key("mine", json!({"team": "search"})),
        key("theirs", json!({"team": "ads"})),
        key("nobodys", json!({})),
        key("lost", json!({"team": "gone"})),
    ];
    let directory = build(&config(&acme()), &objects);
    let names = |kind, within: &Within| -> Vec<String> {
        directory
            .list(kind, within)
            .map(|entry| entry.name.to_string())
            .collect()
    };
    let team = Within::Team("search".into());
    assert_eq!(names(TenantKind::Key, &team), ["ci", "mine"]);
    assert_eq!(names(TenantKind::Team, &team), ["search"]);
    assert_eq!(names(TenantKind::User, &team), ["ann"]);
    assert_eq!(names(TenantKind::Organisation, &team), ["acme"; 0]);
    assert_eq!(names(TenantKind::Key, &Within::Team("ads".into())), ["theirs"]);
    assert_eq!(
        names(TenantKind::Key, &Within::Organisation("acme".into())),
        ["ci", "mine"]
    );
    assert_eq!(
        names(TenantKind::Key, &Within::All),
        ["ci", "lost", "mine", "nobodys", "theirs"]
    );
}

#[test]
fn people_have_their_teams_blocks_and_are_kept_within_a_bound() {
    let directory = build(&config(&acme()), &[]);
    let ann = directory
        .person(&Named {
            user: Some("ann"),
            ..Named::default()
        })
        .unwrap();
    assert_eq!(
        (ann.tenant.team.as_deref(), ann.tenant.organisation.as_deref()),
        (Some("search"), Some("acme"))
    );
    let named = Named {
        team: Some("search"),
        user: Some("unheard-of"),
        ..Named::default()
    };
    let someone = directory.person(&named).unwrap();
    assert_eq!(
        (someone.tenant.user.as_deref(), someone.origin),
        (Some("unheard-of"), None)
    );
    assert!(!may(&someone, "y") && someone.scopes.len() == 2);
    assert!(Arc::ptr_eq(&someone, &directory.person(&named).unwrap()));
    let unknown = directory
        .person(&Named {
            team: Some("nope"),
            ..Named::default()
        })
        .unwrap_err();
    assert_eq!(unknown.to_string(), "there is no team \"nope\"");
    for number in 0..people::MOST + 100 {
        let user = format!("u{number}");
        directory
            .person(&Named {
                user: Some(&user),
                ..Named::default()
            })
            .unwrap();
    }
    assert!(directory.people.len() <= people::MOST, "{}", directory.people.len());
}

#[test]
fn secrets_of_the_file_open_their_keys() {
    let folder = std::env::temp_dir().join(format!("cirque-file-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = token::generate().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("made", made.expose());
    write("again", &format!("{}\n", made.expose()));
    write("old", "sk-an-old-one-0123456789");
    write("short", "sk-short");
    write("typo", &made.expose().replace(&made.expose()[10..12], "--"));
    let names = ["again", "made", "missing", "old", "short", "typo"];
    let keys = names.map(|name| format!("{name}: {{ secret: \"file:{}/{name}\" }}", folder.display()));
    let config = config(&format!("keys: {{ {} }}\n", keys.join(", ")));
    let (file_keys, problems) = FileKeys::read(&config, &hasher());
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "keys.made.secret",
            "keys.missing.secret",
            "keys.short.secret",
            "keys.typo.secret"
        ]
    );
    let text = format!("{problems:?} {file_keys:?}");
    assert!(
        !text.contains("sk-short") && !text.contains(&made.expose()[8..20]),
        "{text}"
    );
    let directory = Directory::build(&Sources {
        config: &config,
        file_keys: &file_keys,
        objects: &[],
    });
    std::fs::remove_dir_all(&folder).unwrap();
    let owner = |secret: &str| {
        directory
            .principal(&hasher().digest(secret), 0)
            .map(|it| it.tenant.key.clone().unwrap())
    };
    assert_eq!(owner(made.expose()).as_deref(), Some("again"));
    assert_eq!(owner("sk-an-old-one-0123456789").as_deref(), Some("old"));
    assert_eq!(directory.key_count(), 2);
    assert_eq!(
        &*directory.entry(TenantKind::Key, "again").unwrap().shown[0].text,
        &format!("{}…", &made.expose()[..7])
    );
    assert!(fault(&directory, TenantKind::Key, "missing").is_some());
}

proptest! {
    /// Whatever the store holds: building does not panic, and a key of the store never reaches beyond its team's block.
    #[test]
    fn a_key_never_has_more_than_its_team(
        allowed in prop::collection::vec("[abc*]{1,2}", 0..3), own in prop::option::of(prop::collection::vec("[abc*]{1,2}", 0..3)),
        asked in "[abc]{1,2}", odd in "\\PC{0,10}",
    ) {
        let objects = [
            object(Kind::Team, "t", json!({"models": allowed})),
            key("k", own.map_or(json!({"team": "t"}), |own| json!({"team": "t", "models": own}))),
            key(&odd, json!({"team": odd, "x": odd})),
            object(Kind::User, &odd, json!(odd)),
        ];
        let directory = build(&config(""), &objects);
        let team = directory.person(&Named { team: Some("t"), ..Named::default() }).unwrap();
        if let Some(key) = directory.principal(&digest("k"), 0) && may(key, &asked) {
            prop_assert!(may(&team, &asked));
        }
    }
}
