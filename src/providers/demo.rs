//! The embedded demo: answers chat calls in this process, token by token, so that a fresh clone has something to say
//! before any key exists. Its text is about itself; it is no model and does not pretend to be one.

use crate::wire::{Call, Operation};
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

/// Pause between two tokens of a stream: about the pace of a hosted model.
pub const TOKEN_PACE: Duration = Duration::from_millis(20);

const ANSWER: &str = "Hello from Cirque. This answer comes from the demo provider inside the gateway itself: no key, no \
network, no model. It went through the same stages as any other call, so what you see here (streaming, usage, request \
ids, metrics) is what your applications get. Set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, or start Ollama or \
vLLM, and run `make run` again to talk to a real one.";

/// The demo's answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DemoAnswer {
    /// A whole body.
    Whole(Bytes),
    /// Stream events, to be sent [`TOKEN_PACE`] apart.
    Events(Vec<Bytes>),
}

/// Whether the demo has this operation.
pub fn supports(operation: Operation) -> bool {
    matches!(operation, Operation::Chat | Operation::Completions)
}

/// Answer a call, in OpenAI's dialect whatever the client's. `created` is Unix seconds; `usage_wanted`: with the usage chunk
/// even if the client did not ask for it.
pub fn answer(call: &Call, id: &str, created: u64, usage_wanted: bool) -> DemoAnswer {
    let words: Vec<&str> = ANSWER.split_inclusive(' ').collect();
    let input = (call.body.len() / 4) as u64;
    let usage =
        json!({"prompt_tokens": input, "completion_tokens": words.len(), "total_tokens": input + words.len() as u64});
    let id = format!("chatcmpl-{id}");
    if !call.streamed() {
        let message = json!({"role": "assistant", "content": ANSWER, "refusal": null});
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
        let body = json!({"id": id, "object": "chat.completion", "created": created, "model": call.envelope.model, "choices": [choice], "usage": usage});
        return DemoAnswer::Whole(Bytes::from(body.to_string()));
    }
    let chunk = |choices: Value, usage: Option<&Value>| {
        let mut body = json!({"id": id, "object": "chat.completion.chunk", "created": created, "model": call.envelope.model, "choices": choices});
        if let (Some(usage), Some(object)) = (usage, body.as_object_mut()) {
            object.insert("usage".to_owned(), usage.clone());
        }
        Bytes::from(format!("data: {body}\n\n"))
    };
    let delta =
        |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]);
    let mut events = vec![chunk(
        delta(json!({"role": "assistant", "content": ""}), Value::Null),
        None,
    )];
    events.extend(
        words
            .iter()
            .map(|word| chunk(delta(json!({"content": word}), Value::Null), None)),
    );
    events.push(chunk(delta(json!({}), json!("stop")), None));
    if call.envelope.include_usage || usage_wanted {
        events.push(chunk(json!([]), Some(&usage)));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    DemoAnswer::Events(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Call {
        Call::read(Operation::Chat, Bytes::from(body.to_owned()), 64).unwrap()
    }

    #[test]
    fn the_stream_says_what_the_body_says() {
        let DemoAnswer::Whole(body) = answer(&call(r#"{"model":"demo"}"#), "x", 1, false) else {
            panic!("not whole")
        };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let DemoAnswer::Events(events) = answer(&call(r#"{"model":"demo","stream":true}"#), "x", 1, false) else {
            panic!("not a stream")
        };
        let mut text = String::new();
        for event in &events[..events.len() - 1] {
            let value: Value = serde_json::from_slice(event.strip_prefix(b"data: ").unwrap()).unwrap();
            text += value["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
            assert!(value.get("usage").is_none());
        }
        assert_eq!(body["choices"][0]["message"]["content"], text);
        assert_eq!(events.last().unwrap(), "data: [DONE]\n\n");
    }
}
