//! Edits: placed where the dialect has them, everything else byte for byte.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn edits(set: Value, default: Value, remove: &[&str]) -> Edits {
    let map = |value: Value| value.as_object().cloned().unwrap_or_default().into_iter().collect();
    Edits {
        set: map(set),
        default: map(default),
        remove: remove.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn applied(edits: &Edits, dialect: Dialect, body: &str) -> String {
    let body = Bytes::from(body.to_owned());
    let edited = edits.apply(&body, Operation::Chat, dialect, 64).unwrap();
    String::from_utf8(edited.to_vec()).unwrap()
}

#[test]
fn the_rest_of_the_body_stays_as_it_was() {
    let set = edits(json!({"temperature": 0.5}), json!({}), &[]);
    for (body, expected) in [
        (
            r#"{ "model" : "a","temperature": 1e0 ,"x":[ 1,2 ] }"#,
            r#"{ "model" : "a","temperature": 0.5 ,"x":[ 1,2 ] }"#,
        ),
        (r#"{ "model":"a" }"#, r#"{"temperature":0.5, "model":"a" }"#),
        ("{}", r#"{"temperature":0.5}"#),
        (
            r#"{"temperature":1,"a":{"temperature":3},"temperatur\u0065":2}"#,
            r#"{"temperature":0.5,"a":{"temperature":3},"temperatur\u0065":0.5}"#,
        ),
    ] {
        assert_eq!(applied(&set, Dialect::OpenAi, body), expected);
    }
    let remove = edits(json!({}), json!({}), &["seed", "user"]);
    for (body, expected) in [
        (r#"{"seed":1}"#, "{}"),
        (r#"{"seed":1, "user":"u" , "a":1}"#, r#"{  "a":1}"#),
        (r#"{"a":1 , "seed":1,"b":2}"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":1,"seed":1,"user":2}"#, r#"{"a":1}"#),
        (r#"{"seed":1,"a":1,"user":2}"#, r#"{"a":1}"#),
        (r#"{"seed":1,"seed":2,"a":3}"#, r#"{"a":3}"#),
    ] {
        let got = applied(&remove, Dialect::OpenAi, body);
        assert_eq!(got.replace(' ', ""), expected.replace(' ', ""), "{body}");
        assert!(serde_json::from_str::<Value>(&got).is_ok(), "{got}");
    }
}

#[test]
fn defaults_give_way_to_what_the_client_wrote() {
    let default = edits(json!({}), json!({"max_tokens": 7}), &[]);
    for (body, expected) in [
        (r#"{"max_tokens":1}"#, r#"{"max_tokens":1}"#),
        (r#"{"max_completion_tokens":1}"#, r#"{"max_completion_tokens":1}"#),
        (r#"{"max_tokens":null}"#, r#"{"max_tokens":7}"#),
        (
            r#"{"max_tokens":null,"max_completion_tokens":3}"#,
            r#"{"max_tokens":null,"max_completion_tokens":3}"#,
        ),
        (r#"{"a":1}"#, r#"{"max_tokens":7,"a":1}"#),
    ] {
        assert_eq!(applied(&default, Dialect::OpenAi, body), expected);
    }
}

#[test]
fn each_dialect_has_its_own_places() {
    let set = edits(
        json!({"max_tokens": 9, "temperature": 1.5, "stop": "x", "reasoning_effort": "low", "user": "u", "own": 1}),
        json!({}),
        &[],
    );
    for (dialect, body, expected) in [
        (
            Dialect::OpenAi,
            json!({"max_completion_tokens": 1}),
            json!({"max_completion_tokens": 9, "temperature": 1.5, "stop": "x", "reasoning_effort": "low", "user": "u", "own": 1}),
        ),
        (
            Dialect::Responses,
            json!({"reasoning": {"summary": "auto"}}),
            json!({"max_output_tokens": 9, "temperature": 1.5, "reasoning": {"summary": "auto", "effort": "low"}, "user": "u", "own": 1}),
        ),
        (
            Dialect::Anthropic,
            json!({"metadata": null}),
            json!({"max_tokens": 9, "temperature": 1.0, "stop_sequences": ["x"], "metadata": {"user_id": "u"}}),
        ),
        (
            Dialect::Gemini,
            json!({"contents": []}),
            json!({"contents": [], "generationConfig": {"maxOutputTokens": 9, "temperature": 1.5, "stopSequences": ["x"]}}),
        ),
        (
            Dialect::Gemini,
            json!({"generation_config": {"max_output_tokens": 1, "topK": 3}}),
            json!({"generation_config": {"max_output_tokens": 9, "temperature": 1.5, "stopSequences": ["x"], "topK": 3}}),
        ),
    ] {
        let got: Value = serde_json::from_str(&applied(&set, dialect, &body.to_string())).unwrap();
        assert_eq!(got, expected, "{}", dialect.as_str());
    }
    assert_eq!(
        set.skipped(Operation::Chat, Dialect::Gemini),
        ["own", "reasoning_effort", "user"]
    );
    let remove = edits(json!({}), json!({}), &["temperature"]);
    let body = r#"{"generationConfig":{"temperature":1}, "contents":[]}"#;
    assert_eq!(
        applied(&remove, Dialect::Gemini, body),
        r#"{"generationConfig":{}, "contents":[]}"#
    );
    assert_eq!(
        applied(&remove, Dialect::Gemini, r#"{"contents":[]}"#),
        r#"{"contents":[]}"#
    );
}

#[test]
fn other_operations_take_only_their_own() {
    let set = edits(
        json!({"temperature": 1, "user": "u", "dimensions": 3, "max_completion_tokens": 4}),
        json!({}),
        &[],
    );
    let run = |operation| {
        let body = Bytes::from_static(b"{}");
        let edited = set.apply(&body, operation, Dialect::OpenAi, 64).unwrap();
        serde_json::from_slice::<Value>(&edited).unwrap()
    };
    assert_eq!(run(Operation::Embeddings), json!({"user": "u", "dimensions": 3}));
    assert_eq!(run(Operation::Moderations), json!({}));
    let legacy = json!({"temperature": 1, "user": "u", "dimensions": 3, "max_tokens": 4});
    assert_eq!(run(Operation::Completions), legacy);
}

#[test]
fn bad_edits_are_told() {
    let bad = edits(
        json!({"temperature": 3, "max_tokens": 0, "model": "x", "stop": [], "seed": "a"}),
        json!({"max_completion_tokens": 5, "top_p": "high"}),
        &["temperature", ""],
    );
    let found: Vec<_> = bad
        .check()
        .into_iter()
        .map(|problem| (problem.list, problem.name))
        .collect();
    let expected = [
        ("set", "max_tokens"),
        ("set", "model"),
        ("set", "seed"),
        ("set", "stop"),
        ("set", "temperature"),
        ("default", "max_completion_tokens"),
        ("default", "top_p"),
        ("remove", "temperature"),
        ("remove", ""),
    ];
    assert_eq!(found, expected.map(|(list, name)| (list, name.to_owned())));
    assert_eq!(
        edits(json!({"temperature": 2, "stop": "x"}), json!({"own": 1}), &["seed"]).check(),
        []
    );
}

fn arb_member() -> impl Strategy<Value = (String, Value)> {
    let name = prop::sample::select(vec![
        "temperature",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "generationConfig",
        "metadata",
        "reasoning",
        "a",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(1)),
        Just(json!("x")),
        Just(json!({})),
        Just(json!([{}]))
    ];
    let inner = prop_oneof![
        leaf,
        prop::collection::btree_map(
            prop::sample::select(vec!["temperature", "effort", "user_id", "b"]).prop_map(str::to_owned),
            Just(json!(2)),
            0..3
        )
        .prop_map(|map| json!(map))
    ];
    (name.prop_map(str::to_owned), inner)
}

proptest! {
    #[test]
    fn an_edited_object_is_an_object_and_edited_twice_is_the_same(
        members in prop::collection::vec(arb_member(), 0..8),
        space in prop::sample::select(vec!["", " ", "\n\t "]),
        remove in prop::sample::subsequence(vec!["seed", "user", "a", "reasoning_effort"], 0..4),
        dialect in prop::sample::select(Dialect::ALL.to_vec()),
    ) {
        // Written by hand so that keys repeat.
        let inner: Vec<_> = members.iter().map(|(k, v)| format!("{space}\"{k}\"{space}:{space}{v}{space}")).collect();
        let body = format!("{space}{{{}}}{space}", inner.join(","));
        let edits = edits(json!({"temperature": 0.5}), json!({"max_tokens": 3}), &remove);
        let once = applied(&edits, dialect, &body);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&once).is_ok(), "{} -> {}", body, once);
        prop_assert_eq!(&applied(&edits, dialect, &once), &once);
    }

    #[test]
    fn hostile_bodies_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), deep in 0usize..200) {
        let edits = edits(json!({"temperature": 0.5}), json!({"user": "u"}), &["seed"]);
        let deep = format!("{{\"metadata\":{}1{}}}", "{\"a\":".repeat(deep), "}".repeat(deep));
        for body in [Bytes::from(bytes), Bytes::from(deep)] {
            for dialect in Dialect::ALL {
                let _ = edits.apply(&body, Operation::Chat, dialect, 64);
            }
        }
    }
}
