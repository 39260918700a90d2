//! What is wrong with edits, found at load.

use super::{Edits, names};
use serde_json::Value;

/// What is wrong with an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `set`, `default` or `remove`.
    pub list: &'static str,
    /// The parameter.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

/// The request itself, not parameters of it: the gateway decides on them before and after.
const NOT_PARAMETERS: [&str; 9] = [
    "model",
    "stream",
    "stream_options",
    "messages",
    "input",
    "prompt",
    "contents",
    "system",
    "generationConfig",
];

pub(super) fn problems(edits: &Edits) -> Vec<Problem> {
    let mut found = Vec::new();
    let sets = edits.set.iter().map(|(name, value)| ("set", name, Some(value)));
    let defaults = edits.default.iter().map(|(name, value)| ("default", name, Some(value)));
    let removals = edits.remove.iter().map(|name| ("remove", name, None));
    let mut seen: Vec<(&'static str, &str)> = Vec::new();
    for (list, name, value) in sets.chain(defaults).chain(removals) {
        let mut note = |message: String, remedy| {
            found.push(Problem {
                list,
                name: name.clone(),
                message,
                remedy,
            });
        };
        if name.is_empty() {
            note(
                "a parameter has no name".to_owned(),
                "name it as OpenAI's chat API does",
            );
        }
        if NOT_PARAMETERS.contains(&name.as_str()) {
            note(
                format!("`{name}` is not a parameter that rules may change"),
                "to route elsewhere use `to`; the rest of the request is the client's",
            );
        }
        if let Some((other, twin)) = seen.iter().find(|(_, other)| names::same(other, name)) {
            note(
                format!("`{name}` is in `{list}`, but `{twin}` is in `{other}` already"),
                "name each parameter once",
            );
        }
        seen.push((list, name));
        if let Some((message, remedy)) = value.and_then(|value| bad(name, value)) {
            note(message, remedy);
        }
    }
    found
}

/// What is wrong with a value.
fn bad(name: &str, value: &Value) -> Option<(String, &'static str)> {
    let outside = |low: f64, high: f64| !value.as_f64().is_some_and(|it| (low..=high).contains(&it));
    let wanted = match name {
        "temperature" if outside(0.0, 2.0) => "a number from 0 to 2",
        "top_p" if outside(0.0, 1.0) => "a number from 0 to 1",
        "presence_penalty" | "frequency_penalty" if outside(-2.0, 2.0) => "a number from -2 to 2",
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" | "top_k" | "n"
            if value.as_u64().is_none_or(|it| it == 0) =>
        {
            "a whole number, at least 1"
        }
        "top_logprobs" if value.as_u64().is_none_or(|it| it > 20) => "a whole number from 0 to 20",
        "seed" if value.as_i64().is_none() => "a whole number",
        // In legacy completions it is a number.
        "logprobs" if !value.is_boolean() && value.as_u64().is_none_or(|it| it > 5) => "true or false",
        "parallel_tool_calls" | "store" if !value.is_boolean() => "true or false",
        "reasoning_effort" | "verbosity" | "service_tier" | "user" if value.as_str().is_none_or(str::is_empty) => {
            "a string"
        }
        "metadata" | "logit_bias" | "response_format" | "prediction" if !value.is_object() => "an object",
        "stop" if !stops(value) => "a string or a list of up to 4 strings",
        _ => return None,
    };
    Some((format!("`{name}` must be {wanted}, not {value}"), "correct the value"))
}

fn stops(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(list) => !list.is_empty() && list.len() <= 4 && list.iter().all(Value::is_string),
        _ => false,
    }
}
