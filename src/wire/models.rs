//! The bodies of `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! `{"object":"list","data":[{"id":"gpt-4o","object":"model","created":0,"owned_by":"cirque"}]}`
//! Source: OpenAI API reference, models/list, read 2026-11.

use bytes::Bytes;
use serde_json::{Value, json};

/// One model.
pub fn entry(name: &str, created: u64) -> Value {
    json!({"id": name, "object": "model", "created": created, "owned_by": "cirque"})
}

/// The list.
pub fn list<'a>(names: impl Iterator<Item = &'a str>, created: u64) -> Bytes {
    let data: Vec<Value> = names.map(|name| entry(name, created)).collect();
    Bytes::from(json!({"object": "list", "data": data}).to_string())
}
