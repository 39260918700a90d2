//! The configuration, from outside: every file under `conf/` loads, every broken file under `tests/fixtures/config/` is told
//! what is wrong with it, and no text makes the loader panic.
//!
//! A case is a pair of files: `NAME.yaml` and `NAME.expected`. Each line of the latter is `LINE  PATH: part of the message —
//! part of the remedy`; the problems must be exactly these, in this order.

// Clippy's leave for tests covers functions marked #[test], not those they call.
#![allow(clippy::unwrap_used)]

use cirque::config::{self, ByteSize, Interval, Problem};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(here(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "no YAML files in {folder}");
    files
}

/// Problems of a text; none when it is good.
fn problems(text: &str) -> Vec<Problem> {
    config::parse(text, "test.yaml")
        .err()
        .map(|problems| problems.0)
        .unwrap_or_default()
}

#[test]
fn every_broken_file_is_told_what_is_wrong_with_it() {
    let mut failures = String::new();
    for path in yaml_files("tests/fixtures/config") {
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = std::fs::read_to_string(path.with_extension("expected")).unwrap_or_default();
        let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
        let found = problems(&text);
        let matches = |(expected, found): (&&str, &Problem)| expected_matches(expected, found);
        let all = expected.len() == found.len() && expected.iter().zip(&found).all(matches);
        if !all || expected.is_empty() {
            failures += &format!("\n{}\n", path.display());
            for problem in &found {
                failures += &format!(
                    "{}  {}: {} — {}\n",
                    problem.line, problem.path, problem.message, problem.remedy
                );
            }
        }
    }
    assert!(
        failures.is_empty(),
        "files whose problems are not the expected ones, with what was found:\n{failures}"
    );
}

fn expected_matches(expected: &str, found: &Problem) -> bool {
    let Some((line, rest)) = expected.split_once("  ") else {
        return false;
    };
    let (said, remedy) = rest.split_once(" — ").unwrap_or((rest, ""));
    let Some(message) = said.strip_prefix(&format!("{}: ", found.path)) else {
        return false;
    };
    line == found.line.to_string() && found.message.contains(message) && found.remedy.contains(remedy)
}

#[test]
fn no_problem_repeats_a_secret() {
    for path in yaml_files("tests/fixtures/config") {
        let found = config::parse(&std::fs::read_to_string(&path).unwrap(), "f").err();
        let shown = format!(
            "{found:?} {}",
            found.as_ref().map(ToString::to_string).unwrap_or_default()
        );
        assert!(!shown.contains("THIS-IS-SECRET"), "{}: {shown}", path.display());
    }
}

#[test]
fn every_shipped_configuration_loads_without_any_secret_set() {
    for path in yaml_files("conf/examples").into_iter().chain(yaml_files("conf")) {
        if path.ends_with("prices.yaml") {
            continue; // figures, not a configuration
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(problems) = config::parse(&text, &path.display().to_string()) {
            panic!("{problems}");
        }
    }
}

#[test]
fn the_reference_names_every_key_of_the_schema() {
    fn walk(value: &serde_json::Value, names: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(properties) = map.get("properties").and_then(|properties| properties.as_object()) {
                    names.extend(properties.keys().cloned());
                }
                map.values().for_each(|value| walk(value, names));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| walk(value, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    walk(&config::json_schema(), &mut names);
    assert!(names.len() > 50, "the schema has only {} keys", names.len());
    let text = std::fs::read_to_string(here("conf/cirque.yaml")).unwrap();
    for name in names {
        let written = |line: &str| {
            let key = format!("{name}:");
            line.match_indices(&key)
                .any(|(at, _)| line[..at].chars().all(|c| matches!(c, ' ' | '#' | '-')))
        };
        assert!(text.lines().any(written), "conf/cirque.yaml does not name `{name}`");
    }
}

#[test]
fn a_file_with_what_it_names_missing_is_refused_with_lines() {
    let folder = std::env::temp_dir().join(format!("cirque-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("tls.yaml");
    let text = std::fs::read_to_string(here("conf/examples/tls-h2.yaml")).unwrap();
    let text = text.replace("/etc/cirque/tls", folder.to_str().unwrap());
    std::fs::write(&path, &text).unwrap();
    let problems = config::load(&path).unwrap_err();
    let places: Vec<&str> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(places, ["listen[0].tls.cert", "listen[0].tls.key"]);
    let line = text.lines().position(|line| line.contains("cert:")).unwrap() + 1;
    assert_eq!(problems.0[0].line, line);
    std::fs::write(folder.join("fullchain.pem"), "").unwrap();
    std::fs::write(folder.join("privkey.pem"), "").unwrap();
    assert!(config::load(&path).is_ok());

    std::fs::write(&path, b"listen: 127.0.0.1:1\nadmin: \xff\n").unwrap();
    assert!(
        config::load(&path)
            .unwrap_err()
            .to_string()
            .contains("not UTF-8 on line 2")
    );
    std::fs::write(&path, vec![b' '; (4 << 20) + 1]).unwrap();
    assert!(
        config::load(&path)
            .unwrap_err()
            .to_string()
            .contains("larger than 4MiB")
    );
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(config::load(&path).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn what_deserves_a_second_look_is_a_warning() {
    let text = "listen: 0.0.0.0:8080\ninsecure: { open_access: true }\nproviders:\n  \
                p: { kind: openai, base_url: \"http://10.0.0.1/v1\", api_key: env:P }\n  \
                q: { kind: openai, base_url: \"http://127.0.0.1/v1\", api_key: env:Q }\n\
                models: { m: { targets: [ { provider: p } ] } }\n";
    let warnings = config::warnings(&config::parse(text, "f").unwrap());
    let places: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(places, ["listen", "providers.p.base_url"]);
}

/// A good file, with `rules` as its routes.
fn with_rules(rules: impl Iterator<Item = String>) -> String {
    let head = "listen: 127.0.0.1:0\ninsecure: { open_access: true }\nproviders: { p: { kind: demo } }\n\
                models: { m: { targets: [ { provider: p } ] } }\nroutes:\n";
    rules.fold(head.to_owned(), |text, rule| text + &format!("  - {{ {rule} }}\n"))
}

#[test]
fn a_thousand_rules_are_enough() {
    let rules = |count: usize| with_rules((0..count).map(|index| format!("name: r{index}, priority: 1")));
    assert!(problems(&rules(1000)).is_empty());
    let found = problems(&rules(1001));
    assert_eq!((found.len(), found[0].path.as_str()), (1, "routes"));
    assert!(found[0].message.contains("at most 1000"), "{}", found[0]);
}

#[test]
fn only_a_rule_that_always_ends_hides_those_behind_it() {
    let hidden =
        |first: &str| !problems(&with_rules([first, "name: b, to: m"].map(str::to_owned).into_iter())).is_empty();
    assert!(hidden("name: a, to: m"));
    assert!(hidden("name: a, when: 'true', to: m"));
    assert!(hidden("name: a, refuse: no"));
    assert!(hidden("name: a, switch: { on: team, cases: { y: m }, otherwise: m }"));
    assert!(!hidden("name: a, switch: { on: team, cases: { y: m } }"));
    assert!(!hidden("name: a, when: stream, to: m"));
    assert!(!hidden("name: a, priority: 1"));
}

#[test]
fn a_tag_with_limits_that_nothing_carries_is_a_warning() {
    let text = "listen: 127.0.0.1:8080\ninsecure: { open_access: true }\nproviders: { p: { kind: demo } }\n\
                models: { m: { targets: [ { provider: p } ] } }\nteams: { t: { tags: [ a ] } }\n\
                tags: { a: { limits: [ { requests: 1 } ] }, b: { limits: [ { requests: 1 } ] }, c: { description: none } }\n";
    let warnings = config::warnings(&config::parse(text, "f").unwrap());
    let places: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert!(
        places.contains(&"tags.b") && !places.contains(&"tags.a") && !places.contains(&"tags.c"),
        "{places:?}"
    );
}

#[test]
fn a_cache_price_above_the_price_is_a_warning() {
    let warnings = |cached: &str| {
        let text = format!(
            "listen: 127.0.0.1:0\ninsecure: {{ open_access: true }}\nproviders: {{ p: {{ kind: demo }} }}\nmodels:\n  \
             m: {{ targets: [ {{ provider: p, price: {{ input: \"1\", output: \"2\", cached: \"{cached}\" }} }} ] }}\n"
        );
        let warnings = config::warnings(&config::parse(&text, "f").unwrap());
        warnings.into_iter().map(|warning| warning.path).collect::<Vec<_>>()
    };
    assert_eq!(warnings("1.01"), ["models.m.targets[0].price.cached"]);
    assert!(warnings("1.00").is_empty());
}

#[test]
fn link_local_providers_are_allowed_only_by_name() {
    let text = |allow: bool| {
        format!(
            "listen: 127.0.0.1:0\ninsecure: {{ open_access: true, allow_link_local_providers: {allow} }}\n\
             providers: {{ p: {{ kind: openai, base_url: \"http://169.254.1.1/v1\" }} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p }} ] }} }}\n"
        )
    };
    assert_eq!(problems(&text(false)).len(), 1);
    assert!(problems(&text(true)).is_empty());
}

#[test]
fn conditions_hold_or_do_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let enabled = |condition: &str| {
        let text = format!(
            "listen: 127.0.0.1:0\ninsecure: {{ open_access: true }}\n\
             providers: {{ p: {{ kind: openai, enabled_if: \"{condition}\" }} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p }} ] }} }}\n"
        );
        config::enabled(&config::parse(&text, "f").unwrap().providers["p"])
    };
    assert!(enabled("env:PATH"));
    assert!(!enabled("env:CIRQUE_TEST_SURELY_UNSET"));
    assert!(enabled(&format!("tcp:{open}")));
    drop(listener);
    assert!(!enabled(&format!("tcp:{open}")));
}

#[test]
fn every_secret_of_a_provider_is_tried_and_a_key_file_may_have_lines() {
    let path = std::env::temp_dir().join(format!("cirque-account-{}.json", std::process::id()));
    std::fs::write(&path, "{\n  \"type\": \"service_account\"\n}\n").unwrap();
    let text = format!(
        "listen: 127.0.0.1:0\ninsecure: {{ open_access: true }}\nproviders:\n  \
         a: {{ kind: bedrock, region: r, aws: {{ access_key_id: env:CIRQUE_NO_1, secret_access_key: env:CIRQUE_NO_2, session_token: env:CIRQUE_NO_3 }} }}\n  \
         b: {{ kind: azure, base_url: \"https://b.example\", entra: {{ tenant_id: t, client_id: c, client_secret: env:CIRQUE_NO_4 }} }}\n  \
         c: {{ kind: vertex, project: p, service_account: \"file:{}\" }}\n  \
         d: {{ kind: vertex, project: p, service_account: env:CIRQUE_NO_5 }}\n\
         models: {{ m: {{ targets: [ {{ provider: a }} ] }} }}\n",
        path.display()
    );
    let config = config::parse(&text, "f").unwrap();
    let places: Vec<String> = config::check_secrets(&config)
        .into_iter()
        .map(|problem| problem.path)
        .collect();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        places,
        [
            "providers.a.aws.access_key_id",
            "providers.a.aws.secret_access_key",
            "providers.a.aws.session_token",
            "providers.b.entra.client_secret",
            "providers.d.service_account",
        ]
    );
}

#[test]
fn every_kind_has_one_name_and_is_found_by_it() {
    let schema = config::json_schema();
    let names = schema["$defs"]["ProviderKind"]["enum"].as_array().unwrap();
    for name in names {
        let kind: config::ProviderKind = serde_json::from_value(name.clone()).unwrap();
        assert_eq!(kind.name(), name.as_str().unwrap());
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
    for own in [
        "openai",
        "azure",
        "anthropic",
        "gemini",
        "vertex",
        "bedrock",
        "cohere",
        "mistral",
        "demo",
    ] {
        let kind: config::ProviderKind = serde_json::from_value(own.into()).unwrap();
        assert!(!matches!(kind, config::ProviderKind::Compatible(_)), "{own}");
    }
}

#[test]
fn azure_without_a_credential_deserves_a_second_look() {
    let text = |more: &str| {
        format!(
            "listen: 127.0.0.1:0\ninsecure: {{ open_access: true }}\n\
             providers: {{ p: {{ kind: azure, base_url: \"https://p.example\"{more} }} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p }} ] }} }}\n"
        )
    };
    let warnings = |more: &str| config::warnings(&config::parse(&text(more), "f").unwrap()).len();
    assert_eq!(warnings(""), 1);
    assert_eq!(warnings(", api_key: env:X"), 0);
    assert_eq!(warnings(", headers: { ocp-apim-subscription-key: env:X }"), 0);
}

#[test]
fn gateways_that_let_nobody_in_and_tenants_that_are_over_deserve_a_second_look() {
    let places = |more: &str| {
        let head =
            "listen: 127.0.0.1:0\nproviders: { p: { kind: demo } }\nmodels: { m: { targets: [ { provider: p } ] } }\n";
        let warnings = config::warnings(&config::parse(&format!("{head}{more}"), "f").unwrap());
        warnings.into_iter().map(|warning| warning.path).collect::<Vec<_>>()
    };
    assert_eq!(places(""), ["insecure"]);
    assert_eq!(places("insecure: { open_access: true }\n"), [""; 0]);
    assert_eq!(places("keys: { k: { secret: env:K } }\n"), [""; 0]);
    let over = "keys: { k: { secret: env:K, expires: 2020-01-01T00:00:00Z }, l: { secret: env:L, expires: 2100-01-01T00:00:00Z } }\n";
    assert_eq!(places(over), ["keys.k.expires"]);
    let operator = "admin: { operators: { ann: { token: env:T, role: team-admin, team: made-later } } }\n";
    assert_eq!(places(operator), ["admin.operators.ann.team"]);
    let shared = "keys: { k: { secret: env:K } }\nredis: { urls: [ \"redis://127.0.0.1:6379\" ] }\n";
    assert_eq!(places(shared), ["redis"]);
    assert_eq!(
        places(&format!("{shared}store: {{ kind: postgres, url: env:U }}\n")),
        [""; 0]
    );
}

/// Text that is nearly a configuration: more likely to reach the later passes than noise is.
fn nearly_yaml() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "listen",
        "models",
        "providers",
        "targets",
        "provider",
        "a",
        "kind",
        "openai",
        "demo",
        ":",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "*x",
        "&x ",
        "!t ",
        "'",
        "\"",
        "#",
        "|",
        ">",
        "? ",
        "<<",
        "~",
        "1",
        "-1",
        "0x",
        "1e999",
        "30s",
        "env:A",
        "127.0.0.1:1",
        "insecure",
        "open_access",
        "true",
        "fallback",
        "\t",
        "\r",
        "\u{feff}",
        "\u{0}",
        "ä",
        "---",
        "...",
        "%YAML 1.2",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC{0,200}", near in nearly_yaml(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = config::parse(&text, "f");
        let _ = config::parse(&near, "f");
        let _ = config::parse(&String::from_utf8_lossy(&bytes), "f");
    }

    #[test]
    fn a_broken_good_file_never_panics_and_always_has_a_place(cut in 0_usize..6000, insert in nearly_yaml()) {
        let good = include_str!("../conf/cirque.yaml");
        let mut at = cut.min(good.len());
        while !good.is_char_boundary(at) {
            at -= 1;
        }
        for problem in problems(&format!("{}{insert}{}", &good[..at], &good[at..])) {
            prop_assert!(problem.line > 0 && problem.column > 0, "{problem}");
            prop_assert!(!problem.message.is_empty() && !problem.remedy.is_empty());
        }
    }

    #[test]
    fn durations_survive_being_shown_and_read(ms in 1_u64..=30 * 24 * 3_600_000) {
        let interval = Interval::parse(&format!("{ms}ms")).unwrap();
        prop_assert_eq!(Interval::parse(&interval.to_string()).unwrap(), interval);
    }

    #[test]
    fn sizes_survive_being_shown_and_read(bytes in 1_u64..=1 << 40, shift in 0_u32..40) {
        let size = ByteSize::parse(&((bytes >> shift) << shift).max(1).to_string()).unwrap();
        prop_assert_eq!(ByteSize::parse(&size.to_string()).unwrap(), size);
    }
}
