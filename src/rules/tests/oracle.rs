//! Our evaluation against the interpreter of the `cel` crate: the same expression over the same facts gives the same, be it
//! true, false or an error.

use super::{Held, Pairs};
use crate::rules::eval::Scope;
use crate::rules::{Facts, Needs, condition};
use cel::{Context, Program, Value};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

const WORDS: [&str; 6] = ["a", "b", "gold", "gpt-4o", "", "é"];
const KEYS: [&str; 4] = ["x", "n", "s", "g"];

fn words() -> impl Strategy<Value = &'static str> {
    prop::sample::select(WORDS.to_vec())
}

fn keys() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.to_vec())
}

fn text() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => words().prop_map(|word| format!("{word:?}")),
        3 => prop::sample::select(vec!["model", "team", "operation"]).prop_map(str::to_owned),
        2 => keys().prop_map(|key| format!("headers[{key:?}]")),
        1 => keys().prop_map(|key| format!("headers.{key}")),
        1 => (0..4).prop_map(|at| format!("tags[{at}]")),
    ];
    leaf.prop_recursive(1, 4, 2, |inner| {
        prop_oneof![
            3 => inner.clone(),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(stream ? {a} : {b})")),
            1 => inner.prop_map(|key| format!("headers[{key}]")),
        ]
    })
    .boxed()
}

fn int() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => (-3i64..12).prop_map(|n| format!("({n})")),
        1 => prop::sample::select(vec![i64::MAX, i64::MIN + 1]).prop_map(|n| format!("({n})")),
        3 => Just("tokens".to_owned()),
        1 => Just("request.max_tokens".to_owned()),
        1 => text().prop_map(|text| format!("size({text})")),
        1 => Just("tags.size()".to_owned()),
        1 => prop::sample::select(vec![
            "now.getHours(\"Europe/Berlin\")", "now.getMinutes()", "now.getDayOfWeek(\"America/New_York\")",
            "now.getDate(\"+05:30\")", "now.getMonth()", "now.getDayOfYear(\"Asia/Tokyo\")", "now.getFullYear()",
            "now.getDayOfMonth()", "now.getSeconds()",
        ]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        (
            inner.clone(),
            prop::sample::select(vec!["+", "-", "*", "/", "%"]),
            inner,
        )
            .prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    })
    .boxed()
}

/// Without NaN: nothing is ordered beside it, which the interpreter takes for an error.
fn double() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["0.5", "5.0", "-1.5", "0.0"]).prop_map(|n| format!("({n})")),
        Just("double(tokens)".to_owned()),
    ];
    leaf.prop_recursive(1, 4, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!["+", "-", "*"]), inner)
            .prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    })
    .boxed()
}

fn entry() -> BoxedStrategy<String> {
    prop_oneof![
        keys().prop_map(|key| format!("metadata.{key}")),
        keys().prop_map(|key| format!("metadata[{key:?}]"))
    ]
    .boxed()
}

fn order() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="])
}

fn equality() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["==", "!="])
}

fn list() -> impl Strategy<Value = String> {
    prop::collection::vec(words(), 0..4).prop_map(|words| format!("{words:?}"))
}

fn atom() -> BoxedStrategy<String> {
    prop_oneof![
        4 => (text(), order(), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        3 => (int(), order(), int()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (double(), order(), double()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (int(), order(), double()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        2 => (entry(), order(), prop_oneof![text(), int(), double()]).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (entry(), equality(), entry()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (entry(), equality()).prop_map(|(a, op)| format!("{a} {op} null")),
        1 => entry(),
        1 => prop::sample::select(vec!["stream", "needs.tools", "true", "false", "has(request.max_tokens)"])
            .prop_map(str::to_owned),
        1 => keys().prop_map(|key| format!("has(metadata.{key})")),
        1 => text().prop_map(|key| format!("{key} in metadata")),
        2 => (text(), list()).prop_map(|(a, list)| format!("{a} in {list}")),
        1 => (entry(), list()).prop_map(|(a, list)| format!("{a} in {list}")),
        1 => entry().prop_map(|a| format!("{a} in [1, 2.5, \"a\", true]")),
        1 => text().prop_map(|a| format!("{a} in tags")),
        1 => (text(), entry()).prop_map(|(a, list)| format!("{a} in {list}")),
        2 => (text(), prop::sample::select(vec!["startsWith", "endsWith", "contains"]), text())
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        1 => (text(), prop::sample::select(vec!["^g", "o$", "[ab]", "^$", "é"]))
            .prop_map(|(a, re)| format!("{a}.matches({re:?})")),
        1 => Just("now < timestamp(\"2026-06-01T00:00:00Z\")".to_owned()),
    ]
    .boxed()
}

fn bool() -> BoxedStrategy<String> {
    atom()
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
                3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
                1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} && {b} || {c})")),
                2 => inner.clone().prop_map(|a| format!("!({a})")),
                1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
                1 => (inner.clone(), text()).prop_map(|(a, b)| format!("tags.exists(t, t == {b} && {a})")),
                1 => (list(), inner.clone()).prop_map(|(list, a)| format!("{list}.all(t, t != model || {a})")),
            ]
        })
        .boxed()
}

fn held() -> impl Strategy<Value = Held> {
    prop_oneof![
        Just(Held::Null),
        proptest::bool::ANY.prop_map(Held::Bool),
        (-2i64..12).prop_map(Held::Int),
        prop::sample::select(vec![0.5, 5.0, 2.5, -1.5]).prop_map(Held::Double),
        words().prop_map(Held::Str),
        prop::collection::vec(words(), 0..3).prop_map(Held::List),
    ]
}

#[derive(Debug, Clone)]
struct World {
    model: &'static str,
    team: &'static str,
    stream: bool,
    tools: bool,
    tokens: u32,
    max_tokens: Option<u32>,
    now: u32,
    tags: Vec<&'static str>,
    headers: Pairs,
    metadata: Pairs,
}

fn world() -> impl Strategy<Value = World> {
    let pairs = |values: BoxedStrategy<Held>| {
        prop::collection::hash_map(keys(), values, 0..4).prop_map(|map| Pairs(map.into_iter().collect()))
    };
    (
        (
            words(),
            words(),
            any::<bool>(),
            any::<bool>(),
            0u32..12,
            prop::option::of(0u32..12),
            any::<u32>(),
        ),
        prop::collection::vec(words(), 0..3),
        pairs(words().prop_map(Held::Str).boxed()),
        pairs(held().boxed()),
    )
        .prop_map(
            |((model, team, stream, tools, tokens, max_tokens, now), tags, headers, metadata)| World {
                model,
                team,
                stream,
                tools,
                tokens,
                max_tokens,
                now,
                tags,
                headers,
                metadata,
            },
        )
}

fn cel_value(held: &Held) -> Value {
    let string = |word: &str| Value::String(Arc::new(word.to_owned()));
    match held {
        Held::Null => Value::Null,
        Held::Bool(value) => Value::Bool(*value),
        Held::Int(value) => Value::Int(*value),
        Held::Double(value) => Value::Float(*value),
        Held::Str(value) => string(value),
        Held::List(list) => Value::List(Arc::new(list.iter().map(|word| string(word)).collect())),
    }
}

fn cel_map(pairs: &Pairs) -> HashMap<String, Value> {
    pairs
        .0
        .iter()
        .map(|(key, held)| ((*key).to_owned(), cel_value(held)))
        .collect()
}

fn context(world: &World) -> Context<'static, 'static> {
    let mut context = Context::default();
    let string = |word: &str| Value::String(Arc::new(word.to_owned()));
    let tags = world.tags.iter().map(|tag| string(tag)).collect();
    let now = chrono::DateTime::from_timestamp(i64::from(world.now), 0)
        .unwrap()
        .fixed_offset();
    let needs = HashMap::from([("tools".to_owned(), Value::Bool(world.tools))]);
    let request: HashMap<String, Value> = world
        .max_tokens
        .map(|limit| ("max_tokens".to_owned(), Value::Int(i64::from(limit))))
        .into_iter()
        .collect();
    for (name, value) in [
        ("model", string(world.model)),
        ("team", string(world.team)),
        ("operation", string("chat")),
        ("stream", Value::Bool(world.stream)),
        ("tokens", Value::Int(i64::from(world.tokens))),
        ("tags", Value::List(Arc::new(tags))),
        ("now", Value::Timestamp(now)),
        ("headers", cel_map(&world.headers).into()),
        ("metadata", cel_map(&world.metadata).into()),
        ("needs", needs.into()),
        ("request", request.into()),
    ] {
        context.add_variable_from_value(name, value);
    }
    context
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn we_give_what_the_interpreter_gives(when in bool(), world in world()) {
        let mut reads = Vec::new();
        // What always fails, we refuse at load.
        let (ours, _) = match condition(&when, &mut reads) {
            Ok(compiled) => compiled,
            Err(wrong) => {
                prop_assert!(wrong.message.contains("always fails"), "{}: {}", when, wrong.message);
                return Ok(());
            }
        };
        let facts = Facts {
            model: world.model,
            team: world.team,
            operation: "chat",
            stream: world.stream,
            tokens: u64::from(world.tokens),
            max_tokens: world.max_tokens.map(u64::from),
            now: i64::from(world.now),
            tags: &world.tags,
            headers: &world.headers,
            metadata: &world.metadata,
            needs: Needs { tools: world.tools, ..Needs::default() },
            ..Facts::default()
        };
        let ours = ours.eval(&Scope::new(&facts)).ok();
        let theirs = match Program::compile(&when).unwrap().execute(&context(&world)) {
            Ok(Value::Bool(value)) => Some(value),
            _ => None,
        };
        prop_assert_eq!(ours, theirs, "{}", when);
    }
}
