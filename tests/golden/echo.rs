//! The next turn: what a client got goes back in its next request, as SDKs put it there, and must be read as what the
//! provider had said: reasoning with its signatures, calls with theirs.

use super::answers::Problems;
use super::meaning::{self, difference};
use super::requests;
use super::speakers::{Client, all_targets};
use super::stream::DEPTH;
use cirque::wire::canonical::{Request, Role};
use cirque::wire::json::Node;
use serde_json::{Value, json};

/// The request that carries this answer back. Calls are answered, so that nothing is left open.
fn next_turn(client: &str, document: &Value) -> Value {
    let hello = json!({"role": "user", "content": "hi"});
    match client {
        "chat" => {
            let message = &document["choices"][0]["message"];
            let mut messages = vec![hello, message.clone()];
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "done"}));
            }
            json!({"model": "m", "messages": messages})
        }
        "responses" => {
            let output = document["output"].as_array().unwrap();
            let mut input = vec![hello];
            input.extend(output.clone());
            for call in output {
                let kind = match call["type"].as_str() {
                    Some("function_call") => "function_call_output",
                    Some("custom_tool_call") => "custom_tool_call_output",
                    _ => continue,
                };
                input.push(json!({"type": kind, "call_id": call["call_id"], "output": "done"}));
            }
            json!({"model": "m", "input": input})
        }
        "messages" => {
            let content = document["content"].as_array().unwrap();
            let calls = content.iter().filter(|block| block["type"] == "tool_use");
            let results =
                calls.map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "done"}));
            let results: Vec<Value> = results.collect();
            let mut messages = vec![hello, json!({"role": "assistant", "content": content})];
            if !results.is_empty() {
                messages.push(json!({"role": "user", "content": results}));
            }
            json!({"model": "m", "max_tokens": 100, "messages": messages})
        }
        _ => {
            let content = &document["candidates"][0]["content"];
            let calls = content["parts"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|part| part.get("functionCall"));
            let results = calls.map(|call| {
                let mut result = json!({"name": call["name"], "response": {"output": "done"}});
                if !call["id"].is_null() {
                    result["id"] = call["id"].clone();
                }
                json!({"functionResponse": result})
            });
            let results: Vec<Value> = results.collect();
            let mut contents = vec![json!({"role": "user", "parts": [{"text": "hi"}]}), content.clone()];
            if !results.is_empty() {
                contents.push(json!({"role": "user", "parts": results}));
            }
            json!({ "contents": contents })
        }
    }
}

/// The same, with thinking and a tool.
fn thoughtful(client: &str, text: &str) -> Value {
    let mut body: Value = serde_json::from_str(text).unwrap();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "weather", "description": "d", "parameters": schema});
    match client {
        "chat" => {
            body["reasoning_effort"] = "high".into();
            body["tools"] = json!([{"type": "function", "function": function}]);
        }
        "responses" => {
            body["reasoning"] = json!({"effort": "high"});
            body["tools"] = json!([{"type": "function", "name": "weather", "parameters": schema}]);
        }
        "messages" => {
            body["thinking"] = json!({"type": "enabled", "budget_tokens": 2048});
            body["max_tokens"] = 4096.into();
            body["tools"] = json!([{"name": "weather", "input_schema": schema}]);
        }
        _ => {
            body["generationConfig"] = json!({"thinkingConfig": {"thinkingBudget": 2048}});
            body["tools"] = json!([{"functionDeclarations": [function]}]);
        }
    }
    body
}

/// The next turn may go to any other target.
fn send_on(place: &str, request: &Request<'_>, problems: &mut Problems) {
    for target in all_targets() {
        let place = format!("{place}, sent on to {}", target.name);
        requests::fits(&place, request, target, problems);
    }
}

/// Read the next turn; `got` takes the proofs that came back.
pub fn check(
    place: &str,
    client: &Client,
    document: &Value,
    original: &Value,
    got: &mut Value,
    problems: &mut Problems,
) {
    let first = &original["candidates"][0];
    let says = ["text", "thinking", "calls", "proofs"].iter().any(|key| {
        first[*key].as_str().is_some_and(|text| !text.is_empty())
            || first[*key].as_array().is_some_and(|all| !all.is_empty())
    });
    if !says {
        return;
    }
    let text = next_turn(client.name, document).to_string();
    let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
    let request = match client.speak.read(&node, false) {
        Ok(request) => request,
        Err(invalid) => return problems.push(place, format!("cannot be sent back: {invalid}: {text}")),
    };
    send_on(place, &request, problems);
    let thoughtful = thoughtful(client.name, &text).to_string();
    let node = Node::parse(thoughtful.as_bytes(), DEPTH).unwrap();
    match client.speak.read(&node, true) {
        Err(invalid) => problems.push(place, format!("cannot be sent back with thinking: {invalid}")),
        Ok(request) => send_on(&format!("{place}, to think"), &request, problems),
    }
    let parts: Vec<_> = request
        .messages
        .iter()
        .filter(|message| message.role == Role::Assistant)
        .flat_map(|message| message.parts.clone())
        .collect();
    let comparable = |proofs: &Value| -> Value {
        let all = proofs.as_array().into_iter().flatten().filter(|proof| {
            // A picture the model made is a block of its own there.
            !client.unproven.iter().any(|what| proof["on"] == *what) && proof["of"] != "image_generation_call"
        });
        all.cloned().collect::<Vec<_>>().into()
    };
    let proofs = json!(meaning::proofs(&parts));
    for line in difference(&comparable(&first["proofs"]), &comparable(&proofs)) {
        problems.push(place, format!("sent back: proofs{line}"));
    }
    got["candidates"][0]["proofs"] = proofs;
}
