//! Who gets the answers, and what each insists on in a stream, seam or not.

use super::*;
use crate::wire::chat::{Chat, Completions};
use crate::wire::client::ClientDialect;
use crate::wire::gemini::Gemini;
use crate::wire::messages::Messages;
use crate::wire::responses::Responses;
use serde_json::Value;
use std::collections::BTreeMap;

/// A client.
#[derive(Clone, Copy)]
pub struct Side {
    pub name: &'static str,
    pub dialect: Dialect,
    pub speak: &'static dyn ClientDialect,
    /// Reads what it gets.
    pub decoder: fn() -> Box<dyn StreamDecoder>,
    /// Panics on a stream that its SDK would not take.
    pub insists: fn(&[u8]),
    /// Its SDKs skip comments.
    pub comments: bool,
}

pub const CHAT: Side = Side {
    name: "chat",
    dialect: Dialect::OpenAi,
    speak: &Chat,
    decoder: chat_decoder,
    insists: chunks,
    comments: true,
};
pub const COMPLETIONS: Side = Side {
    name: "completions",
    speak: &Completions,
    decoder: text_decoder,
    ..CHAT
};
pub const MESSAGES: Side = Side {
    name: "messages",
    dialect: Dialect::Anthropic,
    speak: &Messages,
    decoder: messages_decoder,
    insists: blocks,
    comments: true,
};
pub const GEMINI: Side = Side {
    name: "gemini",
    dialect: Dialect::Gemini,
    speak: &Gemini,
    decoder: gemini_decoder,
    insists: documents,
    comments: false,
};
pub const RESPONSES: Side = Side {
    name: "responses",
    dialect: Dialect::Responses,
    speak: &Responses,
    decoder: responses_decoder,
    insists: items,
    comments: true,
};
pub const ALL: [Side; 5] = [CHAT, COMPLETIONS, MESSAGES, GEMINI, RESPONSES];

fn documents_of(out: &[u8]) -> Vec<Value> {
    let events = sse::events(out).filter_map(|event| event.data.map(|data| data.into_owned()));
    let read = |data: Vec<u8>| match data.as_slice() {
        b"[DONE]" => Value::Null,
        json => serde_json::from_slice(json).unwrap(),
    };
    events.map(read).collect()
}

fn chunks(out: &[u8]) {
    let all = documents_of(out);
    let (end, chunks) = all.split_last().unwrap();
    assert!(end.is_null() && !chunks.iter().any(Value::is_null));
    // Azure's first event holds verdicts on the prompt and no names.
    let named: Vec<&Value> = chunks.iter().filter(|chunk| chunk["id"] != "").collect();
    for key in ["id", "created", "model", "object"] {
        assert!(named.iter().all(|chunk| chunk[key] == named[0][key]), "{key}: {all:?}");
    }
    let choices = || chunks.iter().filter_map(|chunk| chunk["choices"].get(0));
    // Some vendors give the role with every chunk.
    let shown = String::from_utf8_lossy(out);
    if let Some((before, behind)) = shown.split_once(": cirque seam") {
        assert!(!(before.contains("\"role\"") && behind.contains("\"role\"")), "{shown}");
    }
    assert_eq!(choices().filter(|choice| !choice["finish_reason"].is_null()).count(), 1);
    assert!(chunks.iter().filter(|chunk| chunk["usage"].is_object()).count() <= 1);
}

fn blocks(out: &[u8]) {
    let all = documents_of(out);
    let kinds: Vec<&str> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let count = |kind: &str| kinds.iter().filter(|known| **known == kind).count();
    assert_eq!((count("message_start"), count("message_stop")), (1, 1));
    assert!(
        count("message_delta") == 1 && kinds.last() == Some(&"message_stop"),
        "{kinds:?}"
    );
    let (mut open, mut next) = (None, 0);
    for event in &all {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, event["index"].as_u64()), (None, Some(next)), "{all:?}");
                (open, next) = (Some(next), next + 1);
            }
            "content_block_delta" => assert_eq!(event["index"].as_u64(), open, "{all:?}"),
            "content_block_stop" => {
                assert_eq!(event["index"].as_u64(), open, "{all:?}");
                open = None;
            }
            "message_delta" => assert_eq!(open, None),
            _ => {}
        }
    }
}

fn documents(out: &[u8]) {
    let all = documents_of(out);
    for key in ["modelVersion", "responseId"] {
        assert!(all.iter().all(|chunk| chunk[key] == all[0][key]), "{key}: {all:?}");
    }
    let finished = |chunk: &&Value| !chunk["candidates"][0]["finishReason"].is_null();
    assert_eq!(all.iter().filter(finished).count(), 1);
}

fn items(out: &[u8]) {
    let all = documents_of(out);
    let numbers = all[0]["sequence_number"].as_u64().unwrap()..;
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    let mut texts: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let names = ["id", "created_at", "model"];
    for (number, event) in numbers.zip(&all) {
        assert_eq!(event["sequence_number"].as_u64(), Some(number), "{all:#?}");
        let at = event["output_index"].as_u64();
        let place = (at.unwrap_or(0), event["content_index"].as_u64().unwrap_or(0));
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                let id = event["item"]["id"].as_str().unwrap().to_owned();
                assert_eq!(open.insert(at.unwrap(), id), None);
            }
            "response.output_item.done" => {
                assert_eq!(open.get(&at.unwrap()).unwrap(), event["item"]["id"].as_str().unwrap());
            }
            "response.output_text.delta" => {
                assert_eq!(open.get(&at.unwrap()).unwrap(), event["item_id"].as_str().unwrap());
                *texts.entry(place).or_default() += event["delta"].as_str().unwrap();
            }
            "response.output_text.done" => {
                assert_eq!(
                    texts.get(&place).map_or("", String::as_str),
                    event["text"].as_str().unwrap(),
                    "{all:#?}"
                );
            }
            "response.completed" | "response.incomplete" => {
                let response = &event["response"];
                for name in names {
                    assert_eq!(response[name], all[0]["response"][name]);
                }
                let output = response["output"].as_array().unwrap();
                assert_eq!(output.len(), open.len(), "{all:#?}");
                for (item, id) in output.iter().zip(open.values()) {
                    assert_eq!(item["id"].as_str().unwrap(), id);
                }
                let said: String = output
                    .iter()
                    .flat_map(|item| item["content"].as_array().cloned().unwrap_or_default())
                    .filter_map(|content| content["text"].as_str().map(str::to_owned))
                    .collect();
                assert_eq!(said, texts.into_values().collect::<String>());
                return;
            }
            _ => {}
        }
    }
    panic!("no end: {all:#?}");
}
