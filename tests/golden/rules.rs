//! What targets refuse although its shape is right: documented rules between members of a request. A rule that the client's
//! own request breaks already is not held against the codec; here every request is one that its own API had accepted.
//!
//! Sources: the vendors' references as the codecs name them, and their error texts.

use serde_json::{Value, json};

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn has(message: &Value, kind: &str) -> bool {
    list(message, "content")
        .iter()
        .any(|block| block["type"] == kind || block.get(kind).is_some())
}

/// What of this body a target of this shape would refuse.
pub fn broken(shape: &str, body: &Value) -> Vec<String> {
    match shape {
        "anthropic" | "vertex-claude" => anthropic(body),
        "bedrock" => bedrock(body),
        "chat" | "mistral" | "cohere" => chat(shape, body),
        "gemini" => gemini(body),
        _ => Vec::new(),
    }
}

fn marks(value: &Value, key: &str) -> usize {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, inner)| usize::from(name == key) + marks(inner, key))
            .sum(),
        Value::Array(items) => items.iter().map(|inner| marks(inner, key)).sum(),
        _ => 0,
    }
}

fn anthropic(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let messages = list(body, "messages");
    let thinks = body["thinking"]["type"] == "enabled";
    if thinks {
        if body["thinking"]["budget_tokens"].as_u64() >= body["max_tokens"].as_u64() {
            wrong.push("budget_tokens must be below max_tokens".to_owned());
        }
        if body
            .get("temperature")
            .is_some_and(|temperature| temperature.as_f64() != Some(1.0))
        {
            wrong.push("temperature with thinking".to_owned());
        }
        if body.get("top_k").is_some() {
            wrong.push("top_k with thinking".to_owned());
        }
        if matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
            wrong.push("a forced tool with thinking".to_owned());
        }
        // The turn that tools are being run for must begin with its thoughts.
        let open = messages
            .iter()
            .rposition(|message| message["role"] == "user" && !has(message, "tool_result"));
        let turn = messages
            .iter()
            .skip(open.map_or(0, |at| at + 1))
            .find(|message| message["role"] == "assistant");
        if let Some(turn) = turn.filter(|turn| has(turn, "tool_use")) {
            let first = turn["content"][0]["type"].as_str().unwrap_or_default();
            if !first.ends_with("thinking") {
                wrong.push(format!("the last turn begins with {first:?} while thinking is on"));
            }
        }
    }
    // Claude 4.5 and later take one of them.
    if body.get("temperature").is_some() && body.get("top_p").is_some() {
        wrong.push("temperature and top_p together".to_owned());
    }
    if marks(body, "cache_control") > 4 {
        wrong.push("more than 4 cache markers".to_owned());
    }
    if !list(body, "tools").iter().any(|_| true) && body.get("tool_choice").is_some() {
        wrong.push("tool_choice without tools".to_owned());
    }
    wrong.extend(answered(
        messages,
        "tool_use",
        "tool_result",
        |block| &block["id"],
        |block| &block["tool_use_id"],
    ));
    wrong
}

/// Calls are answered in the very next message, before anything else is said.
fn answered(
    messages: &[Value],
    call: &str,
    result: &str,
    id: fn(&Value) -> &Value,
    of: fn(&Value) -> &Value,
) -> Option<String> {
    for (at, message) in messages.iter().enumerate() {
        let is = |block: &&Value, kind: &str| block["type"] == kind || block.get(kind).is_some();
        let calls: Vec<&Value> = list(message, "content")
            .iter()
            .filter(|block| is(block, call))
            .map(id)
            .collect();
        let Some(next) = messages.get(at + 1).filter(|_| !calls.is_empty()) else {
            continue;
        };
        let results = list(next, "content");
        let first: Vec<&Value> = results.iter().take_while(|block| is(block, result)).map(of).collect();
        if let Some(open) = calls.iter().find(|id| !first.contains(id)) {
            return Some(format!("call {open} of messages[{at}] is not answered at once"));
        }
    }
    None
}

fn bedrock(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let messages = list(body, "messages");
    let uses = messages
        .iter()
        .any(|message| has(message, "toolUse") || has(message, "toolResult"));
    if uses && body.get("toolConfig").is_none() {
        wrong.push("tools in the conversation without toolConfig".to_owned());
    }
    let chance = &body["inferenceConfig"];
    if chance.get("temperature").is_some() && chance.get("topP").is_some() {
        wrong.push("temperature and topP together".to_owned());
    }
    if marks(body, "cachePoint") > 4 {
        wrong.push("more than 4 cache points".to_owned());
    }
    for (at, message) in messages.iter().enumerate() {
        if has(message, "document") && !has(message, "text") {
            wrong.push(format!("messages[{at}] has a document without text"));
        }
    }
    let fields = &body["additionalModelRequestFields"];
    if fields["thinking"]["type"] == "enabled" {
        let most = body["inferenceConfig"]["maxTokens"].as_u64();
        if most.is_some() && fields["thinking"]["budget_tokens"].as_u64() >= most {
            wrong.push("budget_tokens must be below maxTokens".to_owned());
        }
        if body["inferenceConfig"]
            .get("temperature")
            .is_some_and(|t| t.as_f64() != Some(1.0))
        {
            wrong.push("temperature with thinking".to_owned());
        }
        let choice = &body["toolConfig"]["toolChoice"];
        if choice.get("any").is_some() || choice.get("tool").is_some() {
            wrong.push("a forced tool with thinking".to_owned());
        }
    }
    wrong.extend(answered(
        messages,
        "toolUse",
        "toolResult",
        |block| &block["toolUse"]["toolUseId"],
        |block| &block["toolResult"]["toolUseId"],
    ));
    wrong
}

fn chat(shape: &str, body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let messages = list(body, "messages");
    let tools = list(body, "tools");
    for member in ["tool_choice", "parallel_tool_calls"] {
        // `none` and `auto` change nothing and are taken.
        let forces = !matches!(body[member].as_str(), Some("none" | "auto" | "NONE"));
        if tools.is_empty() && body.get(member).is_some() && forces {
            wrong.push(format!("{member} without tools"));
        }
    }
    if let Some(name) = body["tool_choice"]["function"]["name"].as_str()
        && !tools.iter().any(|tool| tool["function"]["name"] == name)
    {
        wrong.push(format!("tool_choice names {name}, which is not offered"));
    }
    for (at, message) in messages.iter().enumerate() {
        let calls = list(message, "tool_calls");
        if calls.is_empty() || at + 1 == messages.len() {
            continue;
        }
        let after = messages
            .iter()
            .skip(at + 1)
            .take_while(|message| message["role"] == "tool");
        let results: Vec<&Value> = after.map(|message| &message["tool_call_id"]).collect();
        if let Some(open) = calls.iter().map(|call| &call["id"]).find(|id| !results.contains(id)) {
            wrong.push(format!("call {open} of messages[{at}] is not answered at once"));
        }
    }
    if shape == "mistral" {
        let last = messages.last().unwrap_or(&Value::Null);
        if last["role"] == "assistant" && last["prefix"] != true {
            wrong.push("the last message is the assistant's without prefix".to_owned());
        }
        for pair in messages.windows(2) {
            if pair[0]["role"] == "tool" && pair[1]["role"] == "user" {
                wrong.push("user after tool".to_owned());
            }
        }
    }
    wrong
}

fn gemini(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let contents = list(body, "contents");
    let count = |content: &Value, kind: &str| {
        list(content, "parts")
            .iter()
            .filter(|part| part.get(kind).is_some())
            .count()
    };
    for (at, content) in contents.iter().enumerate() {
        let calls = count(content, "functionCall");
        if let Some(next) = contents.get(at + 1).filter(|_| calls > 0)
            && count(next, "functionResponse") != calls
        {
            wrong.push(format!(
                "{calls} calls of contents[{at}] and other responses behind them"
            ));
        }
    }
    let declared = list(body, "tools")
        .iter()
        .any(|tool| tool.get("functionDeclarations").is_some());
    if !declared && body["toolConfig"]["functionCallingConfig"]["mode"] == json!("ANY") {
        wrong.push("mode ANY without functions".to_owned());
    }
    wrong
}
