//! Anthropic's Messages: the same answers as `answers` gives, said in its way.
//!
//! Enough for a gateway to translate or to pass on: text and one tool call, streamed and not, usage at both ends. A last turn of
//! the assistant's is gone on with, as the models up to 4.5 do.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answers::{Answer, Body, Shape, TOOL_INPUT, told, words};

const ID: &str = "msg_mock0000000000000000001";
const TOOL_ID: &str = "toolu_mock000000000000000001";

pub fn answer(shape: &Shape, tokens: usize, response_bytes: usize) -> Answer {
    if shape.stream {
        return Answer::new(
            200,
            "text/event-stream; charset=utf-8",
            Body::Events(events(shape, tokens)),
        );
    }
    let (content, reason) = match &shape.tool {
        Some(tool) => (
            json!({"type": "tool_use", "id": TOOL_ID, "name": tool, "input": {"city": "Paris"}}),
            "tool_use",
        ),
        None => (
            json!({"type": "text", "text": words(response_bytes.saturating_sub(300))}),
            "end_turn",
        ),
    };
    let mut message = begun(shape);
    if let Some(members) = message.as_object_mut() {
        members.insert("content".to_owned(), json!([content]));
        members.insert("stop_reason".to_owned(), json!(reason));
        members.insert("usage".to_owned(), json!({"input_tokens": 9, "output_tokens": tokens}));
    }
    Answer::json(200, &message)
}

/// Anthropic's error shape.
pub fn error(status: u16, kind: &str, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_mock"}),
    )
}

fn begun(shape: &Shape) -> Value {
    json!({"id": ID, "type": "message", "role": "assistant", "model": shape.model, "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}})
}

fn events(shape: &Shape, tokens: usize) -> Vec<Bytes> {
    let mut events = vec![
        event("message_start", json!({"message": begun(shape)})),
        event("ping", json!({})),
    ];
    let begin = |block: Value| event("content_block_start", json!({"index": 0, "content_block": block}));
    let delta = |delta: Value| event("content_block_delta", json!({"index": 0, "delta": delta}));
    let reason = if let Some(tool) = &shape.tool {
        events.push(begin(
            json!({"type": "tool_use", "id": TOOL_ID, "name": tool, "input": {}}),
        ));
        let piece = |piece: &&str| delta(json!({"type": "input_json_delta", "partial_json": piece}));
        events.extend(TOOL_INPUT.iter().map(piece));
        "tool_use"
    } else {
        events.push(begin(json!({"type": "text", "text": ""})));
        let told = told(shape, tokens.saturating_sub(1));
        events.extend(
            told.iter()
                .map(|word| delta(json!({"type": "text_delta", "text": word}))),
        );
        "end_turn"
    };
    events.push(event("content_block_stop", json!({"index": 0})));
    events.push(event(
        "message_delta",
        json!({"delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": tokens}}),
    ));
    events.push(event("message_stop", json!({})));
    events
}

/// Its name stands in the data as well.
fn event(name: &str, mut data: Value) -> Bytes {
    if let Some(members) = data.as_object_mut() {
        members.insert("type".to_owned(), json!(name));
    }
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Api;

    fn shape(stream: bool, tool: Option<&str>) -> Shape {
        Shape {
            api: Api::Messages,
            name: "mock0001".to_owned(),
            numbered: true,
            said: String::new(),
            stream,
            usage: false,
            tool: tool.map(str::to_owned),
            model: "mock".to_owned(),
        }
    }

    fn data(shape: &Shape) -> Vec<Value> {
        match answer(shape, 32, 1024).body {
            Body::Whole(body) => vec![serde_json::from_slice(&body).unwrap()],
            Body::Events(events) => events
                .iter()
                .map(|event| {
                    let text = std::str::from_utf8(event).unwrap();
                    serde_json::from_str(text.split_once("data: ").unwrap().1).unwrap()
                })
                .collect(),
        }
    }

    #[test]
    fn streams_begin_and_end_as_they_should() {
        for tool in [None, Some("weather")] {
            let events = data(&shape(true, tool));
            assert_eq!(events[0]["message"]["role"], "assistant");
            assert_eq!(events[events.len() - 2]["usage"]["output_tokens"], 32);
            assert_eq!(events[events.len() - 1]["type"], "message_stop");
        }
    }

    #[test]
    fn the_text_of_a_stream_is_the_text_of_the_chat_stream() {
        let text: String = data(&shape(true, None))
            .iter()
            .filter_map(|event| event["delta"]["text"].as_str())
            .collect();
        assert_eq!(text, told(&shape(true, None), 31).concat());
    }

    #[test]
    fn whole_answers_have_text_or_a_call() {
        assert_eq!(data(&shape(false, None))[0]["content"][0]["type"], "text");
        assert_eq!(
            data(&shape(false, Some("w")))[0]["content"][0]["input"]["city"],
            "Paris"
        );
    }
}
