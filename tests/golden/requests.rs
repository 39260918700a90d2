//! The walk of a request: read by its client dialect, encoded by every codec, held against the target's documented shape,
//! and read back where the target's API is spoken by clients too.

use super::answers::Problems;
use super::exchange::Exchange;
use super::meaning::{self, difference, forget, number_ids};
use super::rules;
use super::speakers::{Client, Target};
use super::stream::DEPTH;
use cirque::providers::codec::{Aim, Encoding, Unfit};
use cirque::wire::canonical::Request;
use cirque::wire::json::Node;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// The shapes of `golden/shapes`, by name.
pub struct Shapes(BTreeMap<String, Validator>);

impl Shapes {
    fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/shapes");
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let schema: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            all.insert(name, jsonschema::validator_for(&schema).unwrap());
        }
        Self(all)
    }

    /// What of `body` is not of this shape.
    pub fn faults(&self, shape: &str, body: &Value) -> Vec<String> {
        let clip = |value: &Value| value.to_string().chars().take(300).collect::<String>();
        self.0[shape]
            .iter_errors(body)
            .map(|error| {
                let at = error.instance_path().to_string();
                format!(
                    "{at}: {} ({})",
                    clip(body.pointer(&at).unwrap_or(&Value::Null)),
                    clip(&json!(error.to_string()))
                )
            })
            .collect()
    }
}

/// Loaded once.
pub fn shapes() -> &'static Shapes {
    static SHAPES: OnceLock<Shapes> = OnceLock::new();
    SHAPES.get_or_init(Shapes::load)
}

/// Encode for a target.
pub fn encode(target: &Target, request: &Request<'_>) -> Result<Encoding, Unfit> {
    let aim = Aim {
        model: model_for(target.name),
        stream_usage: true,
    };
    target.codec.encode(request, aim)
}

/// A model each target would have: codecs know families by name.
fn model_for(target: &str) -> &'static str {
    match target {
        "anthropic" => "claude-sonnet-4-5",
        "vertex-claude" => "claude-sonnet-4-5@20250929",
        "gemini" | "vertex-gemini" => "gemini-2.5-flash",
        "bedrock" => "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "cohere" => "command-a-reasoning-08-2025",
        "mistral" => "magistral-medium-latest",
        "groq" => "openai/gpt-oss-120b",
        "deepseek" => "deepseek-chat",
        "xai" => "grok-4",
        "openrouter" => "anthropic/claude-sonnet-4.5",
        "huggingface" => "meta-llama/Llama-3.3-70B-Instruct",
        _ => "gpt-5.1",
    }
}

pub fn walk(exchange: &Exchange, client: &Client, targets: &[Target], problems: &mut Problems) -> bool {
    let Some((path, body)) = &exchange.request else {
        return false;
    };
    let name = &exchange.name;
    let stream = body["stream"] == true || path.contains("stream") || path.contains("Stream");
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
    let request = match client.speak.read(&node, stream) {
        Ok(request) => request,
        Err(invalid) if exchange.status == 400 || invalid.code == "unsupported_value" => {
            eprintln!("{name}: refused: {invalid}");
            return false;
        }
        Err(invalid) => {
            problems.push(name, format!("is not read: {invalid}"));
            return false;
        }
    };
    for target in targets {
        one(name, &request, target, problems);
    }
    damaged(exchange, client, targets, &text, stream);
    true
}

/// Encode for a target and hold it against the target's shape.
pub fn fits(place: &str, request: &Request<'_>, target: &Target, problems: &mut Problems) -> Option<Encoding> {
    let encoding = match encode(target, request) {
        Ok(encoding) => encoding,
        // What the target keeps nothing for, or when nothing of the conversation is left for it (a picture alone, by URL).
        Err(Unfit::Request { param: Some(param), .. }) if ["previous_response_id", "messages"].contains(&&*param) => {
            return None;
        }
        Err(unfit) => {
            problems.push(place, format!("is refused: {unfit}"));
            return None;
        }
    };
    let Ok(body) = serde_json::from_slice::<Value>(&encoding.body) else {
        problems.push(place, "is not JSON");
        return None;
    };
    // Members this gateway does not know go on to targets of their own family as they are.
    let mut known = body.clone();
    for extra in &request.extras {
        if let Some(members) = known.as_object_mut() {
            members.remove(extra.key.as_ref());
        }
    }
    for fault in shapes().faults(target.shape, &known) {
        problems.push(place, format!("not in shape at {fault}"));
    }
    for rule in rules::broken(target.shape, &body) {
        problems.push(place, format!("breaks a rule: {rule}"));
    }
    if request.previous_response_id.is_none() {
        links(place, target.shape, &body, problems);
    }
    Some(encoding)
}

fn one(name: &str, request: &Request<'_>, target: &Target, problems: &mut Problems) {
    let place = format!("{name} to {}", target.name);
    let Some(encoding) = fits(&place, request, target, problems) else {
        return;
    };
    if let Some(back) = &target.back {
        let node = Node::parse(&encoding.body, DEPTH).unwrap();
        match back.read(&node, request.stream) {
            Err(invalid) => problems.push(&place, format!("does not read back: {invalid}")),
            Ok(again) => {
                let mut wanted = meaning::request(request);
                let mut got = meaning::request(&again);
                names_back(&mut got, &encoding);
                told_in_words(target, &mut wanted, &mut got);
                for name in encoding.dropped.names() {
                    lose(name, &mut wanted);
                    lose(name, &mut got);
                }
                if encoding.expect.structured_tool.is_some() {
                    for meaning in [&mut wanted, &mut got] {
                        forget(meaning, &["response_format", "tools", "tool_choice", "reasoning"]);
                    }
                }
                level(target, &mut wanted);
                level(target, &mut got);
                for line in difference(&wanted, &got) {
                    problems.push(&place, line);
                }
            }
        }
    }
}

/// Take out what a dropped name names.
fn lose(name: &str, meaning: &mut Value) {
    let what = name.split_once('(').map(|(_, rest)| rest.trim_end_matches(')'));
    if name.starts_with("messages") {
        let what = what.unwrap_or_default();
        without(meaning, &|part| {
            let media = part["media"].as_str().map(str::to_lowercase);
            media.is_some_and(|kind| what.contains(&kind))
                || (part.get("thinking").is_some() && what.contains("thinking"))
                || part["opaque"].as_str().is_some_and(|kind| what.contains(kind))
        });
        return;
    }
    if name.starts_with("tools") {
        if name.contains(".parameters") {
            forget(meaning, &["parameters"]);
        } else if let Some(tools) = meaning["tools"].as_array_mut() {
            tools.retain(|tool| tool.get("function").is_some());
        }
        return;
    }
    let key = name.split([' ', '.', '(', '[']).next().unwrap_or_default();
    if let Some(members) = meaning.as_object_mut() {
        members.remove(key);
    }
}

/// Remove parts, wherever they are, and messages that are empty then.
fn without(meaning: &mut Value, gone: &dyn Fn(&Value) -> bool) {
    for message in meaning["messages"].as_array_mut().into_iter().flatten() {
        if let Some(parts) = message["parts"].as_array_mut() {
            parts.retain(|part| !gone(part));
            for part in parts {
                if let Some(inner) = part["content"].as_array_mut() {
                    inner.retain(|part| !gone(part));
                }
            }
        }
    }
}

/// What a target's form levels: it says the same in other words. Data, by shape.
const LEVELED: [(&str, &[&str]); 4] = [
    // Files must have a name there.
    ("chat", &["title"]),
    ("responses", &["title"]),
    // Must be given; schemas must be closed; there is no `detail`.
    (
        "anthropic",
        &["max_tokens", "stream", "additionalProperties", "detail", "media_type"],
    ),
    // Ids are optional, media types must be given.
    (
        "gemini",
        &["id", "result", "of", "stream", "media_type", "title", "detail"],
    ),
];

fn level(target: &Target, meaning: &mut Value) {
    let (_, keys) = LEVELED.iter().find(|(shape, _)| *shape == target.shape).unwrap();
    number_ids(meaning);
    if target.shape == "gemini" {
        bare_results(meaning);
    }
    forget(meaning, keys);
    // The default, left out where other values are refused.
    if meaning["temperature"] == 1.0 {
        meaning["temperature"] = Value::Null;
    }
    // Proofs of other vendors do not reach it, but through OpenRouter, which serves them; their own blocks do not even there.
    let own = target.codec.dialect().as_str();
    if let Some(proofs) = meaning["proofs"].as_array_mut() {
        let serves = |proof: &Value| target.name == "openrouter" && proof["on"] != "block";
        proofs.retain(|proof| serves(proof) || proof["signature"].as_str().is_some_and(|text| text.starts_with(own)));
    }
}

/// What a target has no form for and is told in words, or as something else: the words are the codec's own, so what they
/// replace is not compared.
fn told_in_words(target: &Target, wanted: &mut Value, got: &mut Value) {
    let text = wanted.to_string();
    let free_text = |meaning: &Value| meaning["tools"].to_string().contains("\"custom\"");
    let mut gone: Vec<&str> = Vec::new();
    if free_text(wanted) && !free_text(got) {
        gone.push("tools");
    }
    if wanted["response_format"] == "json" && target.shape == "anthropic" {
        gone.extend(["messages", "response_format"]);
    }
    if text.contains("\"media\":\"Document\"") && target.shape != "anthropic" {
        gone.push("messages");
    }
    // Nobody but the system speaks: somebody must.
    let systems = wanted["messages"]
        .as_array()
        .is_some_and(|all| all.iter().all(|one| one["role"] == "System"));
    if systems && !matches!(target.shape, "chat" | "responses") {
        gone.push("role");
    }
    if matches!(target.shape, "chat" | "responses") {
        for message in wanted["messages"].as_array_mut().into_iter().flatten() {
            for result in message["parts"].as_array_mut().into_iter().flatten() {
                if result["is_error"] == true {
                    let text = &mut result["content"][0]["text"];
                    *text = format!("Error: {}", text.as_str().unwrap_or_default()).into();
                }
            }
        }
        gone.push("is_error");
    }
    // Pictures of results stand beside them where results are text.
    let shows = |part: &Value| part["content"].to_string().contains("\"media\"");
    let pictures = wanted["messages"].as_array().is_some_and(|all| {
        all.iter()
            .any(|one| one["parts"].as_array().is_some_and(|parts| parts.iter().any(shows)))
    });
    if pictures && matches!(target.shape, "chat" | "gemini") {
        for meaning in [&mut *wanted, &mut *got] {
            for message in meaning["messages"].as_array_mut().into_iter().flatten() {
                beside(message);
            }
        }
    }
    forget(wanted, &gone);
    forget(got, &gone);
}

/// Move the media of results behind the message's other parts, and leave out its prose: it introduces them.
fn beside(message: &mut Value) {
    let Some(parts) = message["parts"].as_array_mut() else {
        return;
    };
    if !parts.iter().any(|part| part.get("result").is_some()) {
        return;
    }
    parts.retain(|part| part.get("text").is_none());
    let mut media = Vec::new();
    for part in parts.iter_mut() {
        if let Some(content) = part["content"].as_array_mut() {
            media.extend(content.extract_if(.., |one| one.get("media").is_some()));
        }
    }
    media.extend(parts.extract_if(.., |one| one.get("media").is_some()));
    parts.extend(media);
}

/// Tools are called at the target as it takes their names; the answer's names are changed back by the same table.
fn names_back(value: &mut Value, encoding: &Encoding) {
    match value {
        Value::Object(members) => {
            for (key, inner) in members.iter_mut() {
                match (key.as_str(), inner.as_str()) {
                    ("function" | "call", Some(name)) => *inner = encoding.expect.tool_name(name).to_owned().into(),
                    _ => names_back(inner, encoding),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| names_back(inner, encoding)),
        _ => {}
    }
}

/// Results are objects there: a text is the `output` of one.
fn bare_results(meaning: &mut Value) {
    for part in meaning
        .pointer_mut("/messages")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for result in part["parts"].as_array_mut().into_iter().flatten() {
            for text in result["content"].as_array_mut().into_iter().flatten() {
                let object: Option<Value> = text["text"].as_str().and_then(|text| serde_json::from_str(text).ok());
                let Some(object) = object.filter(Value::is_object) else {
                    continue;
                };
                let inner = object.get("output").or(object.get("error"));
                text["text"] = inner
                    .map_or(object.to_string(), |inner| {
                        inner.as_str().map_or(inner.to_string(), str::to_owned)
                    })
                    .into();
            }
        }
    }
}

/// Every result answers a call before it; ids are of the target's form.
fn links(place: &str, shape: &str, body: &Value, problems: &mut Problems) {
    let mut known: Vec<String> = Vec::new();
    let mut seen = |result: bool, id: &Value, problems: &mut Problems| {
        let id = id.as_str().unwrap_or_default().to_owned();
        if result && !known.contains(&id) {
            problems.push(place, format!("a result without its call: {id:?}"));
        }
        if !result {
            known.push(id);
        }
    };
    for message in body["messages"].as_array().into_iter().flatten() {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            seen(false, &call["id"], problems);
        }
        if message["role"] == "tool" {
            seen(true, &message["tool_call_id"], problems);
        }
        for block in message["content"].as_array().into_iter().flatten() {
            if block["type"] == "tool_use" {
                seen(false, &block["id"], problems);
            } else if block["type"] == "tool_result" {
                seen(true, &block["tool_use_id"], problems);
            } else if block.get("toolUse").is_some() {
                seen(false, &block["toolUse"]["toolUseId"], problems);
            } else if block.get("toolResult").is_some() {
                seen(true, &block["toolResult"]["toolUseId"], problems);
            }
        }
    }
    for item in body["input"].as_array().into_iter().flatten() {
        match item["type"].as_str() {
            Some("function_call" | "custom_tool_call") => seen(false, &item["call_id"], problems),
            Some("function_call_output" | "custom_tool_call_output") => seen(true, &item["call_id"], problems),
            _ => {}
        }
    }
    for content in body["contents"].as_array().into_iter().flatten() {
        for part in content["parts"].as_array().into_iter().flatten() {
            if part.get("functionCall").is_some() {
                seen(false, &part["functionCall"]["name"], problems);
            } else if part.get("functionResponse").is_some() {
                seen(true, &part["functionResponse"]["name"], problems);
            }
        }
    }
    if shape == "bedrock" {
        let roles: Vec<&str> = body["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|message| message["role"].as_str())
            .collect();
        if roles.first() != Some(&"user") || roles.windows(2).any(|pair| pair[0] == pair[1]) {
            problems.push(place, format!("roles do not alternate from user: {roles:?}"));
        }
    }
}

/// Damaged copies: read or refused, encoded or refused, never a panic.
fn damaged(exchange: &Exchange, client: &Client, targets: &[Target], text: &str, stream: bool) {
    let mut dice = fastrand::Rng::with_seed(exchange.seed());
    for _ in 0..30 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..dice.usize(1..5) {
            let at = dice.usize(..bytes.len());
            bytes[at] ^= 1 << dice.u8(..8);
        }
        let Ok(node) = Node::parse(&bytes, DEPTH) else { continue };
        let Ok(request) = client.speak.read(&node, stream) else {
            continue;
        };
        for target in targets {
            if let Ok(encoding) = encode(target, &request) {
                assert!(
                    serde_json::from_slice::<Value>(&encoding.body).is_ok(),
                    "{} damaged, to {}: {}",
                    exchange.name,
                    target.name,
                    String::from_utf8_lossy(&encoding.body)
                );
            }
        }
    }
}
