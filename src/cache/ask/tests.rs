//! Names of requests: what they are blind to, and what they see. Every recorded request goes through `tests/golden/names.rs`.

use super::*;
use crate::wire::{Given, Reading};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;

const DEPTH: usize = 64;

fn terms(policy: &Policy) -> Terms<'_> {
    Terms {
        policy,
        owner: "key\0ci",
        model: "fast",
        target: None,
        also: None,
        max_depth: DEPTH,
        now_ms: 0,
    }
}

fn call(operation: Operation, dialect: Dialect, body: &str) -> Call {
    if dialect == Dialect::Gemini {
        let given = Given {
            model: "fast".to_owned(),
            stream: false,
            json_array: false,
        };
        let reading = Reading::given(operation, dialect, given, DEPTH);
        return reading.finish(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    }
    Call::read_as(operation, dialect, Bytes::copy_from_slice(body.as_bytes()), DEPTH).unwrap()
}

fn named_by(dialect: Dialect, body: &str, policy: &Policy) -> Result<Asked, Skip> {
    ask(&call(Operation::Chat, dialect, body), &terms(policy))
}

fn name(dialect: Dialect, body: &Value) -> (Key, Partition) {
    text_name(dialect, &body.to_string())
}

fn text_name(dialect: Dialect, body: &str) -> (Key, Partition) {
    let asked = named_by(dialect, body, &lax()).unwrap();
    (asked.key, asked.partition)
}

fn lax() -> Policy {
    Policy {
        max_temperature: 2.0,
        tools: true,
        time_bound: true,
        personal: true,
        ..Policy::default()
    }
}

fn chat(question: &str) -> Value {
    json!({"model": "fast", "temperature": 0.5, "max_tokens": 100, "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": question}]})
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[key] = value;
    body
}

#[test]
fn the_same_question_in_every_dialect_has_one_name() {
    let asked = name(Dialect::OpenAi, &chat("Why is the sky blue?"));
    let anthropic = json!({"model": "fast", "temperature": 0.5, "max_tokens": 100, "system": "Be brief.", "stream": true,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi."}]},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": "Why is the sky blue?",
                "cache_control": {"type": "ephemeral"}}]}]});
    assert_eq!(name(Dialect::Anthropic, &anthropic), asked);
    let gemini = json!({"generationConfig": {"temperature": 0.50, "maxOutputTokens": 100},
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hi."}]}, {"role": "model", "parts": [{"text": "Hello."}]},
            {"role": "user", "parts": [{"text": "Why is the sky blue?"}]}]});
    assert_eq!(name(Dialect::Gemini, &gemini), asked);
    let short = json!({"model": "fast", "max_completion_tokens": 9, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]});
    let responses = json!({"model": "fast", "max_output_tokens": 9, "instructions": "Be brief.", "input": "q"});
    assert_eq!(name(Dialect::Responses, &responses), name(Dialect::OpenAi, &short));
}

#[test]
fn only_the_last_turn_is_outside_of_the_partition() {
    let base = name(Dialect::OpenAi, &chat("one"));
    let other = name(Dialect::OpenAi, &chat("two"));
    assert_eq!(base.1, other.1);
    assert_ne!(base.0, other.0);
    for (pointer, value) in [
        ("/messages/0/content", json!("Be long.")),
        ("/messages/0/role", json!("developer")),
        ("/messages/1/content", json!("Hi!")),
        ("/messages/2/content", json!("HELLO.")),
        ("/temperature", json!(0.6)),
        ("/max_tokens", json!(101)),
        ("/tools", json!([{"type": "function", "function": {"name": "f"}}])),
        ("/response_format", json!({"type": "json_object"})),
        ("/seed", json!(1)),
        ("/unheard_of", json!(false)),
    ] {
        let changed = with(chat("one"), pointer, value);
        assert_ne!(name(Dialect::OpenAi, &changed).1, base.1, "{pointer}");
    }
    // Beside a picture it is no question of its own.
    let seen = |text: &str| {
        let content =
            json!([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "https://x/y"}}]);
        with(chat(""), "/messages/3/content", content)
    };
    let (a, b) = (name(Dialect::OpenAi, &seen("one")), name(Dialect::OpenAi, &seen("two")));
    assert_ne!(a.1, b.1);
    let asked = named_by(Dialect::OpenAi, &seen("one").to_string(), &lax()).unwrap();
    assert_eq!(asked.question, None);
}

#[test]
fn nothing_crosses_tenants_models_targets_or_operations() {
    let policy = lax();
    let body = chat("one").to_string();
    let call = call(Operation::Chat, Dialect::OpenAi, &body);
    let mut seen = HashSet::new();
    let base = terms(&policy);
    for terms in [
        base,
        Terms { owner: "", ..base },
        Terms {
            owner: "key\0cd",
            ..base
        },
        Terms {
            owner: "team\0ci",
            ..base
        },
        // The same letters, otherwise divided.
        Terms {
            owner: "key\0cif",
            model: "ast",
            ..base
        },
        Terms { model: "smart", ..base },
        Terms {
            target: Some(""),
            ..base
        },
        Terms {
            target: Some("openai/gpt"),
            ..base
        },
        Terms {
            also: Some("openai/gpt"),
            ..base
        },
    ] {
        let asked = ask(&call, &terms).unwrap();
        assert!(seen.insert(asked.key.0) && seen.insert(asked.partition.0), "{terms:?}");
    }
    let prompt = r#"{"model":"fast","prompt":"one"}"#;
    let count = r#"{"model":"fast","max_tokens":100,"messages":[{"role":"user","content":"one"}]}"#;
    for (operation, dialect, body) in [
        (Operation::Completions, Dialect::OpenAi, prompt),
        (Operation::CountTokens, Dialect::Anthropic, count),
        (Operation::Chat, Dialect::Anthropic, count),
    ] {
        let asked = ask(&self::call(operation, dialect, body), &base).unwrap();
        assert!(
            seen.insert(asked.key.0) && seen.insert(asked.partition.0),
            "{operation:?}"
        );
    }
}

#[test]
fn spelling_does_not_matter_and_values_do() {
    let one = |body: &str| text_name(Dialect::OpenAi, body);
    let base =
        r#"{"model":"fast","messages":[{"role":"user","content":"é\n"}],"temperature":1,"custom":{"a":10,"b":[1,2]}}"#;
    for same in [
        r#" {"custom" : {"b":[1, 2], "a":10}, "temperature":1.0,"messages":[{"content":"\u00e9\u000a","role":"user"}],"model":"fast"}"#,
        r#"{"model":"fast","messages":[{"role":"user","content":"é\n"}],"temperature":1,"custom":{"a":1e1,"b":[10e-1,2.0]}}"#,
        r#"{"model":"fast","messages":[{"role":"user","content":"é\n"}],"temperature":1e0,"custom":{"a":10.00,"b":[0.1e1,200E-2]},"stream":true,"user":"jane","metadata":{"a":"b"},"service_tier":"flex"}"#,
    ] {
        assert_eq!(one(same), one(base), "{same}");
    }
    for other in [
        r#"{"model":"fast","messages":[{"role":"user","content":"é\n"}],"temperature":1,"custom":{"a":10,"b":[2,1]}}"#,
        r#"{"model":"fast","messages":[{"role":"user","content":"é\n"}],"temperature":1,"custom":{"a":"10","b":[1,2]}}"#,
        r#"{"model":"fast","messages":[{"role":"user","content":"é\n"}],"temperature":1,"custom":{"a":10,"b":[1,2],"c":null}}"#,
        r#"{"model":"fast","messages":[{"role":"user","content":"É\n"}],"temperature":1,"custom":{"a":10,"b":[1,2]}}"#,
        r#"{"model":"fast","messages":[{"role":"user","content":"é"}],"temperature":1,"custom":{"a":10,"b":[1,2]}}"#,
    ] {
        assert_ne!(one(other), one(base), "{other}");
    }
    // Of repeated keys readers take one or the other.
    let (first, second) = (
        r#"{"model":"fast","messages":[{"role":"user","content":"q"}],"top_p":0.1,"top_p":0.2}"#,
        r#"{"model":"fast","messages":[{"role":"user","content":"q"}],"top_p":0.2,"top_p":0.1}"#,
    );
    assert_ne!(one(first), one(second));
}

#[test]
fn numbers_are_told_apart_to_the_last_digit() {
    let of = |number: &str| {
        let body = format!(r#"{{"model":"fast","input":"x","n":{number}}}"#);
        let asked = ask(&call(Operation::Embeddings, Dialect::OpenAi, &body), &terms(&lax()));
        asked.unwrap().key
    };
    for (a, b) in [
        ("100", "1e2"),
        ("0.10", "1E-1"),
        ("-0", "0.0e9"),
        ("12300", "1.23e+4"),
        ("-5", "-0.5e1"),
    ] {
        assert_eq!(of(a), of(b), "{a} {b}");
    }
    let different = [
        "9007199254740992",
        "9007199254740993",
        "0.1",
        "0.10000000000000001",
        "1",
        "-1",
        "10",
        "1e400",
        "1e401",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "0",
    ];
    let names: HashSet<Key> = different.iter().map(|number| of(number)).collect();
    assert_eq!(names.len(), different.len());
}

/// `cache_control` is a marker where vendors put it, and a name like any other inside a schema.
#[test]
fn a_property_called_like_a_marker_counts() {
    let tool = |properties: Value, marker: Value| {
        let mut tool = json!({"name": "f", "input_schema": {"type": "object", "properties": properties}});
        tool["cache_control"] = marker;
        json!({"model": "fast", "max_tokens": 1, "tools": [tool], "messages": [{"role": "user", "content": "q"}]})
    };
    let base = name(Dialect::Anthropic, &tool(json!({}), json!({"type": "ephemeral"})));
    let marked = name(
        Dialect::Anthropic,
        &tool(json!({}), json!({"type": "ephemeral", "ttl": "1h"})),
    );
    assert_eq!(base, marked);
    let property = json!({"cache_control": {"type": "string"}});
    assert_ne!(
        base,
        name(Dialect::Anthropic, &tool(property, json!({"type": "ephemeral"})))
    );
}

#[test]
fn why_requests_are_left_alone() {
    let strict = Policy::default();
    let skip = |dialect, body: Value| named_by(dialect, &body.to_string(), &strict).err();
    let plain = |question: &str| json!({"model": "fast", "messages": [{"role": "user", "content": question}]});
    assert_eq!(skip(Dialect::OpenAi, plain("Why is the sky blue?")), None);
    assert_eq!(
        skip(Dialect::OpenAi, with(plain("q"), "/temperature", json!(1.01))),
        Some(Skip::Temperature)
    );
    assert_eq!(
        skip(Dialect::OpenAi, plain("What is new today?")),
        Some(Skip::TimeBound)
    );
    assert_eq!(skip(Dialect::OpenAi, plain("Where is my order?")), Some(Skip::Personal));
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    assert_eq!(
        skip(Dialect::OpenAi, with(plain("q"), "/tools", tools)),
        Some(Skip::Tools)
    );
    assert_eq!(
        skip(Dialect::OpenAi, with(plain("q"), "/web_search_options", json!({}))),
        Some(Skip::Tools)
    );
    assert_eq!(
        skip(Dialect::OpenAi, with(plain("q"), "/store", json!(true))),
        Some(Skip::Stateful)
    );
    assert_eq!(skip(Dialect::OpenAi, with(plain("q"), "/store", json!(false))), None);
    let response = |member: &str, value: Value| {
        let mut body = json!({"model": "fast", "input": "q"});
        body[member] = value;
        body
    };
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("store", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
    ] {
        assert_eq!(
            skip(Dialect::Responses, response(member, value)),
            Some(Skip::Stateful),
            "{member}"
        );
    }
    assert_eq!(skip(Dialect::Responses, response("background", json!(false))), None);
    let gemini = json!({"contents": [{"parts": [{"text": "q"}]}], "cachedContent": "cachedContents/x"});
    assert_eq!(skip(Dialect::Gemini, gemini), Some(Skip::Stateful));
    let file = json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]);
    assert_eq!(
        skip(Dialect::OpenAi, with(plain("q"), "/messages", file)),
        Some(Skip::Stateful)
    );
    let long = "x".repeat(strict.max_request);
    assert_eq!(skip(Dialect::OpenAi, plain(&long)), Some(Skip::TooLarge));
    assert_eq!(
        skip(Dialect::OpenAi, json!({"model": "fast", "messages": 5})),
        Some(Skip::Unreadable)
    );
    let cold = Policy {
        max_temperature: 0.2,
        ..Policy::default()
    };
    let unsaid = named_by(Dialect::OpenAi, &plain("q").to_string(), &cold);
    assert_eq!(unsaid.err(), Some(Skip::Temperature), "unsaid is 1");
}

#[test]
fn what_is_needed_to_answer() {
    let body = json!({"model": "fast", "n": 2, "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]});
    let asked = named_by(Dialect::OpenAi, &body.to_string(), &lax()).unwrap();
    assert!(asked.stream && asked.stream_usage && asked.reply.is_some());
    assert_eq!((asked.candidates, asked.question.as_deref()), (2, Some("a\nb")));
    let embed = call(
        Operation::Embeddings,
        Dialect::OpenAi,
        r#"{"model":"fast","input":"x"}"#,
    );
    let asked = ask(&embed, &terms(&lax())).unwrap();
    assert!(asked.reply.is_none() && asked.question.is_none());
    let prefilled = json!({"model": "fast", "max_tokens": 5, "messages": [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "Well"}]});
    let asked = named_by(Dialect::Anthropic, &prefilled.to_string(), &lax()).unwrap();
    assert_eq!(asked.question, None, "the last turn is the assistant's");
}

#[test]
fn reasons_have_words_of_their_own() {
    let words: HashSet<&str> = Skip::ALL.iter().map(|skip| skip.as_str()).collect();
    assert_eq!(words.len(), Skip::ALL.len());
}

proptest! {
    /// However the texts of two conversations are divided, only the same ones have one name.
    #[test]
    fn different_conversations_have_different_names(
        a in proptest::collection::vec("[ab]{0,2}", 1..4), b in proptest::collection::vec("[ab]{0,2}", 1..4)
    ) {
        let body = |texts: &[String]| {
            let messages: Vec<Value> = texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
            json!({"model": "fast", "messages": messages})
        };
        let parts = |texts: &[String]| {
            let parts: Vec<Value> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
            json!({"model": "fast", "messages": [{"role": "user", "content": parts}]})
        };
        prop_assert_eq!(name(Dialect::OpenAi, &body(&a)).0 == name(Dialect::OpenAi, &body(&b)).0, a == b);
        prop_assert_eq!(name(Dialect::OpenAi, &parts(&a)).0 == name(Dialect::OpenAi, &parts(&b)).0, a == b);
        if a.len() > 1 {
            prop_assert_ne!(name(Dialect::OpenAi, &body(&a)).0, name(Dialect::OpenAi, &parts(&a)).0);
        }
    }
}
