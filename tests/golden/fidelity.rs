//! The fidelity table: what of each feature reaches a target and comes back, worked out by running the code.
//!
//! Requests: `probes.json` has, for each feature, what each client API writes for it and what each target's own field for it
//! is (members of one object, somewhere in the body; `null`: any value). Answers: our own exchanges in `tests/fixtures`, as
//! [`super::answers`] walks them, so that a clone without the recordings makes the same table.

use super::exchange::own;
use super::requests::encode;
use super::speakers::{Client, Target, clients, targets};
use super::stream::DEPTH;
use super::translate::{OWN, walk};
use cirque::providers::codec::Unfit;
use cirque::wire::json::Node;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How much of a feature arrives. In order: the worst of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Exact,
    Mapped,
    Partly,
    Dropped,
    Refused,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Mapped => "mapped",
            Self::Partly => "partly",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        }
    }
}

/// Verdicts on answers: feature, provider's API, client.
#[derive(Default)]
pub struct Table(BTreeMap<(&'static str, &'static str, &'static str), Verdict>);

impl Table {
    /// Take in an answer and what a client of this dialect reads of it.
    pub fn answer(&mut self, api: &'static str, client: &'static str, original: &Value, got: &Value) {
        let said = got["candidates"][0]["text"].as_str().unwrap_or_default().to_owned();
        let ended = !got["candidates"][0]["finish"].is_null();
        let (wanted, got) = (features(original), features(got));
        for (feature, value) in wanted {
            // The words of a refusal and of a sound may be there as text, an end under another word.
            let otherwise = match feature {
                "refusal" => value[0].as_str().is_some_and(|words| said.contains(words)),
                _ => feature.starts_with("end: ") && ended,
            };
            let verdict = match got.get(feature) {
                Some(same) if *same == value => Verdict::Exact,
                Some(_) => Verdict::Mapped,
                None if otherwise => Verdict::Mapped,
                None => Verdict::Dropped,
            };
            let worst = self.0.entry((feature, api, client)).or_insert(verdict);
            *worst = (*worst).max(verdict);
        }
    }
}

/// What an answer has, by name.
fn features(meaning: &Value) -> BTreeMap<&'static str, Value> {
    let mut found = BTreeMap::new();
    let mut candidates = meaning["candidates"].as_array().cloned().unwrap_or_default();
    if candidates.len() > 1 {
        found.insert("several answers", json!(candidates.len()));
    }
    candidates.truncate(1);
    let mut take = |name, value: Vec<Value>| {
        let value: Vec<Value> = value
            .into_iter()
            .filter(|v| !v.is_null() && *v != json!("") && *v != json!([]) && *v != json!(false))
            .collect();
        if !value.is_empty() {
            found.insert(name, Value::Array(value));
        }
    };
    let each = |key: &str| -> Vec<Value> { candidates.iter().map(|one| one[key].clone()).collect() };
    let inside = |key: &str, member: &str| -> Vec<Value> {
        let lists = candidates.iter().filter_map(|one| one[key].as_array());
        lists.flatten().map(|one| one[member].clone()).collect()
    };
    take("text", each("text"));
    take("refusal", each("refusal"));
    take("thinking", each("thinking"));
    let proven = |what: &str| -> Vec<Value> {
        let all = candidates.iter().filter_map(|one| one["proofs"].as_array()).flatten();
        all.filter(|proof| proof["on"] == what)
            .map(|proof| proof["signature"].clone())
            .collect()
    };
    take("signature of thinking, in the next turn", proven("thinking"));
    take("redacted thinking, in the next turn", proven("redacted"));
    take("signature of a call, in the next turn", proven("call"));
    take("signature of a text, in the next turn", proven("text"));
    take("server tools and other blocks, in the next turn", proven("block"));
    let names = inside("calls", "call");
    if names.len() > 1 {
        take("parallel calls", names);
    }
    take("arguments of calls", inside("calls", "arguments"));
    take("ids of calls", inside("calls", "id"));
    take(
        "citations",
        inside("citations", "url")
            .into_iter()
            .chain(inside("citations", "title"))
            .collect(),
    );
    take("where citations stand", inside("citations", "span"));
    take("media made by the model", inside("media", "source"));
    take("server tools and other blocks", inside("opaque", "opaque"));
    take("logprobs", each("logprobs"));
    take("stop sequence that ended it", each("stop_sequence"));
    if candidates
        .iter()
        .any(|one| one["order"].as_array().is_some_and(|kinds| kinds.len() > 1))
    {
        take("order of the parts", each("order"));
    }
    for (word, name) in FINISHES {
        if candidates.iter().any(|one| one["finish"] == *word) {
            take(name, each("finish"));
        }
    }
    for (figure, name) in FIGURES {
        take(name, vec![meaning["usage"][*figure].clone()]);
    }
    found
}

const FINISHES: &[(&str, &str)] = &[
    ("Stop", "end: done"),
    ("StopSequence", "end: stop sequence"),
    ("Length", "end: max tokens"),
    ("ContextWindow", "end: context window"),
    ("ToolCalls", "end: tool calls"),
    ("ContentFilter", "end: content filter"),
    ("Refusal", "end: refusal"),
    ("Pause", "end: paused turn"),
    ("MalformedCall", "end: malformed call"),
];

const FIGURES: &[(&str, &str)] = &[
    ("input", "usage: input"),
    ("output", "usage: output"),
    ("cached", "usage: cached"),
    ("cache_write", "usage: cache write"),
    ("cache_write_1h", "usage: of it for an hour"),
    ("reasoning", "usage: reasoning"),
    ("audio_input", "usage: audio in"),
    ("audio_output", "usage: audio out"),
];

// Requests

/// The columns of the tables of requests: one target of each API.
const APIS: [&str; 7] = [
    "chat",
    "responses",
    "anthropic",
    "gemini",
    "bedrock",
    "cohere",
    "mistral",
];

fn probes() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/probes.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The base with a feature's members over it; objects that both have are merged.
fn with(base: &Value, feature: &Value) -> Value {
    let mut body = base.clone();
    for (key, value) in feature.as_object().unwrap() {
        match (body.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
            (Some(into), Some(members)) => into.extend(members.clone()),
            _ => body[key] = value.clone(),
        }
    }
    body
}

/// Whether an object somewhere in `body` has these members.
fn holds(body: &Value, members: &Value) -> bool {
    let here = members.as_object().unwrap().iter().all(|(key, wanted)| {
        body.get(key).is_some_and(|value| {
            wanted.is_null() || value == wanted || (value.is_number() && value.as_f64() == wanted.as_f64())
        })
    });
    here || match body {
        Value::Object(inner) => inner.values().any(|value| holds(value, members)),
        Value::Array(inner) => inner.iter().any(|value| holds(value, members)),
        _ => false,
    }
}

struct Probe {
    body: Value,
    dropped: Vec<String>,
}

/// What a target gets of this body; nothing when it is refused.
fn run(client: &Client, target: &Target, body: &Value) -> Option<Probe> {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
    let request = client
        .speak
        .read(&node, false)
        .unwrap_or_else(|invalid| panic!("a probe of {} is not read: {invalid}: {text}", client.name));
    match encode(target, &request) {
        Ok(encoding) => Some(Probe {
            body: serde_json::from_slice(&encoding.body).unwrap(),
            dropped: encoding.dropped.names().to_vec(),
        }),
        Err(Unfit::Request { .. }) => None,
        Err(Unfit::Operation) => panic!("{} does not converse", target.name),
    }
}

/// What is said of a probe: a verdict, nothing where the client's API has no such feature, or a problem.
fn judge(base: &Value, feature: &Value, client: &Client, target: &Target) -> Result<Option<Verdict>, String> {
    let Some(members) = feature["clients"].get(client.name) else {
        return Ok(None);
    };
    let against = match feature["against"].get(client.name) {
        Some(members) => with(base, members),
        None => base.clone(),
    };
    let name = feature["feature"].as_str().unwrap();
    let Some(probe) = run(client, target, &with(base, members)) else {
        return Ok(Some(Verdict::Refused));
    };
    let before = run(client, target, &against).unwrap();
    let native = feature["native"][target.name].as_array();
    if native.is_some_and(|forms| {
        forms
            .iter()
            .any(|form| holds(&probe.body, form) && !holds(&before.body, form))
    }) {
        return Ok(Some(Verdict::Exact));
    }
    if probe.dropped.iter().any(|name| !before.dropped.contains(name)) {
        let nothing = probe.body == before.body;
        return Ok(Some(if nothing { Verdict::Dropped } else { Verdict::Partly }));
    }
    if probe.body != before.body {
        return Ok(Some(Verdict::Mapped));
    }
    let silent = feature["silent"].as_array().cloned().unwrap_or_default();
    if silent.contains(&json!(target.name)) {
        return Ok(None);
    }
    Err(format!(
        "{name}: {} to {}: lost without a word",
        client.name, target.name
    ))
}

/// All of `docs/fidelity.md`, and what is lost without a word.
fn document() -> (String, Vec<String>) {
    let (clients, targets, probes) = (clients(), targets(), probes());
    let mut problems = Vec::new();
    let mut text = String::from(INTRODUCTION);
    for client in &clients {
        let base = &probes["base"][client.name];
        let _ = write!(text, "\n## Requests of {} clients\n\n| feature |", title(client.name));
        let columns: Vec<&Target> = APIS
            .iter()
            .map(|api| targets.iter().find(|target| target.name == *api).unwrap())
            .collect();
        for target in &columns {
            let _ = write!(text, " {} |", title(target.name));
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(columns.len()));
        text.push('\n');
        for feature in probes["features"].as_array().unwrap() {
            if feature["clients"].get(client.name).is_none() {
                continue;
            }
            let _ = write!(text, "| {} |", feature["feature"].as_str().unwrap());
            for target in &columns {
                let word = match judge(base, feature, client, target) {
                    Ok(verdict) => verdict.map_or("·", Verdict::word),
                    Err(problem) => {
                        problems.push(problem);
                        "LOST"
                    }
                };
                let _ = write!(text, " {word} |");
            }
            text.push('\n');
        }
    }
    answers(&mut text, &clients);
    (text, problems)
}

fn answers(text: &mut String, clients: &[Client]) {
    let mut table = Table::default();
    let folders: Vec<PathBuf> = OWN.iter().map(|name| own(name)).collect();
    let folders: Vec<&Path> = folders.iter().map(AsRef::as_ref).collect();
    // What goes wrong here is the other test's to tell.
    walk(&folders, &mut table, &mut super::answers::Problems::default());
    let apis: Vec<&str> = APIS
        .into_iter()
        .filter(|api| table.0.keys().any(|(_, of, _)| of == api))
        .collect();
    for client in clients.iter().filter(|client| client.back.is_some()) {
        let _ = write!(text, "\n## Answers to {} clients\n\n| feature |", title(client.name));
        for api in &apis {
            let _ = write!(text, " {} |", title(api));
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(apis.len()));
        text.push('\n');
        let named: BTreeSet<&str> = table.0.keys().map(|(feature, ..)| *feature).collect();
        for feature in named {
            let _ = write!(text, "| {feature} |");
            for api in &apis {
                let verdict = table
                    .0
                    .iter()
                    .find(|((f, a, c), _)| *f == feature && a == api && *c == client.name);
                let _ = write!(text, " {} |", verdict.map_or("·", |(_, verdict)| verdict.word()));
            }
            text.push('\n');
        }
    }
}

fn title(name: &str) -> &str {
    match name {
        "chat" => "Chat Completions",
        "responses" => "Responses",
        "messages" => "Anthropic Messages",
        "anthropic" => "Anthropic",
        "gemini" => "Gemini",
        "completions" => "legacy completions",
        "bedrock" => "Bedrock Converse",
        "cohere" => "Cohere v2",
        "mistral" => "Mistral",
        other => other,
    }
}

const INTRODUCTION: &str = "\
# What survives translation

Worked out by running the code (`tests/golden/fidelity.rs`); do not edit. `CIRQUE_UPDATE=1 cargo test --test golden` writes it
anew, and the test fails while it is out of date.

When the client's API is the API of the target, nothing is translated: bytes pass, only `model` is changed. These tables are
about the other cases, and about what the translation of an API into itself would do (a conversation that another vendor
answered before is translated even then).

* **exact**: it arrives in the target's own field for it, with the value the client wrote.
* **mapped**: it arrives in another form: an effort as a number of tokens, a schema as a forced tool, a developer prompt as a
  system prompt, a document as its text.
* **partly**: some of it arrives, or it arrives elsewhere (a system prompt from the middle of a conversation at its start); what
  is missing is named as below.
* **dropped**: the target has no place for it. The answer's header `x-cirque-dropped` names it; with `strict: true` the request
  is refused instead.
* **refused**: nothing sensible would be left; a 400 says how to mend it.
* **·**: the client's API has no such feature, the target's answers never have it, or it means nothing there (cache markers
  where the vendor caches by itself).

Requests are probed one feature at a time, to one model of each API: `gpt-5.1`, `claude-sonnet-4-5` (also on Bedrock),
`gemini-2.5-flash`, `command-a-reasoning-08-2025`, `magistral-medium-latest`. Other models of a vendor may take less. In the tables of answers
the columns are the APIs that answered, and a row holds for every exchange in `tests/fixtures` that has the feature, whole and
streamed: the worst of them is shown. An answer is read back with the codec of the client's API, so *exact* means that a client
which reads everything gets everything.
";

#[test]
fn the_table_is_up_to_date() {
    let (text, problems) = document();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fidelity.md");
    if std::env::var_os("CIRQUE_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/fidelity.md is out of date; CIRQUE_UPDATE=1 cargo test --test golden writes it"
    );
}
