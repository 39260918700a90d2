//! The walk of a request's name in the cache: whatever is changed in a recorded request gives another name, and however it is
//! spelled it has the same. What does not count is listed here, as `cache::ask` documents it.

use super::answers::Problems;
use super::exchange::{exchanges, own, recordings};
use super::speakers::spoken;
use super::stream::DEPTH;
use super::translate::OWN;
use cirque::cache::ask::{Asked, Skip, Terms, ask};
use cirque::cache::{Key, Partition, Policy};
use cirque::wire::{Call, Dialect, Endpoint, Given, Operation, Reading};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Members of a body that change no answer.
const UNRELATED: &[(&str, &[&str])] = &[
    (
        "openai",
        &[
            "model",
            "stream",
            "stream_options",
            "user",
            "safety_identifier",
            "metadata",
            "store",
            "prompt_cache_key",
            "prompt_cache_retention",
            "service_tier",
            "cache_control",
        ],
    ),
    (
        "anthropic",
        &["model", "stream", "metadata", "service_tier", "cache_control"],
    ),
    ("gemini", &["labels"]),
    ("cohere", &["model"]),
];

/// What is asked, and how.
struct Case {
    operation: Operation,
    dialect: Dialect,
    body: Value,
}

impl Case {
    fn of(name: &str, path: &str, body: &Value) -> Option<Self> {
        let (operation, dialect) = match Endpoint::find(path) {
            Some(found) => (found.operation, found.dialect),
            None => match spoken(name, Some(path))?.client? {
                "chat" => (Operation::Chat, Dialect::OpenAi),
                "responses" => (Operation::Chat, Dialect::Responses),
                "messages" => (Operation::Chat, Dialect::Anthropic),
                _ => (Operation::Chat, Dialect::Gemini),
            },
        };
        let mut body = body.clone();
        if !body.is_object() {
            return None;
        }
        if dialect != Dialect::Gemini && body["model"].is_null() {
            body["model"] = "m".into();
        }
        if dialect == Dialect::Gemini && body["generation_config"].is_object() {
            return None;
        }
        Some(Self {
            operation,
            dialect,
            body,
        })
    }

    fn name_as(&self, text: String) -> Result<Asked, Skip> {
        let call = match self.dialect {
            Dialect::Gemini => {
                let given = Given {
                    model: "m".to_owned(),
                    stream: false,
                    json_array: false,
                };
                Reading::given(self.operation, self.dialect, given, DEPTH).finish(text.into())
            }
            _ => Call::read_as(self.operation, self.dialect, text.into(), DEPTH),
        };
        let call = call.map_err(|_| Skip::Unreadable)?;
        let policy = Policy {
            max_temperature: 10.0,
            tools: true,
            time_bound: true,
            personal: true,
            max_request: 64 << 20,
            ..Policy::default()
        };
        let terms = Terms {
            policy: &policy,
            owner: "key\0ci",
            model: "m",
            target: None,
            also: None,
            max_depth: DEPTH,
            now_ms: 0,
        };
        ask(&call, &terms)
    }

    fn name(&self, body: &Value) -> Result<(Key, Partition), Skip> {
        self.name_as(body.to_string()).map(|asked| (asked.key, asked.partition))
    }

    fn unrelated(&self, key: &str) -> bool {
        let dialect = match self.dialect {
            Dialect::Responses => "openai",
            other => other.as_str(),
        };
        UNRELATED.iter().any(|(of, keys)| *of == dialect && keys.contains(&key))
    }

    /// Whether a place in the body is one of those that do not count.
    fn ignored(&self, path: &[String]) -> bool {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let Some(at) = words.iter().position(|word| *word == "cache_control") else {
            return words.first().is_some_and(|first| self.unrelated(first));
        };
        let schema = words
            .iter()
            .any(|word| matches!(*word, "input_schema" | "parameters" | "input"));
        words.first().is_some_and(|first| self.unrelated(first)) || (at > 0 && !schema)
    }
}

/// Every place of a document: leaves, and objects.
fn places(value: &Value, path: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    out.push(path.clone());
    match value {
        Value::Object(members) => {
            for (key, inner) in members {
                path.push(key.clone());
                places(inner, path, out);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                path.push(at.to_string());
                places(inner, path, out);
                path.pop();
            }
        }
        _ => {}
    }
}

fn at<'v>(value: &'v mut Value, path: &[String]) -> &'v mut Value {
    path.iter().fold(value, |value, step| match value {
        Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
        other => &mut other[step.as_str()],
    })
}

/// Another value of the same sort; of an object, one with an unknown member.
fn change(value: &mut Value) {
    *value = match &*value {
        Value::Null => json!(1),
        Value::Bool(given) => json!(!given),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!(whole + 1),
            None => json!(number.as_f64().unwrap() + 0.25),
        },
        Value::String(text) => json!(format!("{text}~")),
        Value::Array(items) => Value::Array(items.iter().cloned().chain([json!("more")]).collect()),
        Value::Object(members) => {
            let mut members: Map<_, _> = members.clone();
            members.insert("x_unknown".to_owned(), json!(1));
            Value::Object(members)
        }
    };
}

/// The same document, spelled as oddly as JSON allows.
fn odd(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => odd_text(text, out),
        Value::Array(items) => {
            out.push_str("[\n");
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { " ,\t" } else { "" });
                odd(item, out);
            }
            out.push_str(" ]");
        }
        Value::Object(members) => {
            out.push_str("{ ");
            for (at, (key, inner)) in members.iter().rev().enumerate() {
                out.push_str(if at > 0 { "\r\n , " } else { "" });
                odd_text(key, out);
                out.push_str(" :  ");
                odd(inner, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn odd_text(text: &str, out: &mut String) {
    out.push('"');
    for unit in text.encode_utf16() {
        out.push_str(&format!("\\u{unit:04x}"));
    }
    out.push('"');
}

#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    stateful: usize,
    unreadable: usize,
    changes: usize,
    refused: usize,
}

fn walk(folder: &Path, tally: &mut Tally, problems: &mut Problems) {
    for exchange in exchanges(folder) {
        let Some((path, body)) = &exchange.request else {
            continue;
        };
        let Some(case) = Case::of(&exchange.name, path, body) else {
            continue;
        };
        let name = match case.name(&case.body) {
            Ok(name) => name,
            Err(Skip::Stateful) => {
                tally.stateful += 1;
                continue;
            }
            Err(_) => {
                tally.unreadable += 1;
                continue;
            }
        };
        tally.requests += 1;
        let mut text = String::new();
        odd(&case.body, &mut text);
        match case.name_as(text) {
            Ok(asked) if (asked.key, asked.partition) == name => {}
            other => problems.push(&exchange.name, format!("spelled otherwise: {other:?}")),
        }
        let mut all = Vec::new();
        places(&case.body, &mut Vec::new(), &mut all);
        for path in all {
            let mut changed = case.body.clone();
            change(at(&mut changed, &path));
            tally.changes += 1;
            match case.name(&changed) {
                Ok(other) => {
                    // Something unknown in a marker, too, is the marker's.
                    let ignored = case.ignored(&path);
                    if (other.0 == name.0) != ignored {
                        problems.push(
                            &exchange.name,
                            format!("{} changed: ignored {}", path.join("."), !ignored),
                        );
                    }
                }
                Err(_) => tally.refused += 1,
            }
        }
    }
}

#[test]
fn own_requests_have_names_of_their_own() {
    let (mut tally, mut problems) = (Tally::default(), Problems::default());
    for folder in OWN {
        walk(&own(folder), &mut tally, &mut problems);
    }
    assert!(tally.requests > 40 && tally.changes > 400, "{tally:?}");
    problems.report(&tally);
}

#[test]
fn recorded_requests_have_names_of_their_own() {
    let Some(folder) = recordings() else { return };
    let (mut tally, mut problems) = (Tally::default(), Problems::default());
    for (name, _) in super::FOLDERS {
        walk(&folder.join(name), &mut tally, &mut problems);
    }
    assert!(tally.requests > 100 && tally.changes > 3_000, "{tally:?}");
    problems.report(&tally);
}
