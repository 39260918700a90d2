//! Embeddings of targets of this shape.
//!
//! Source: OpenAI API reference, embeddings; docs.mistral.ai/api, embeddings; read 2026-11. Azure's `output_dtype` and the
//! binary forms of others travel as extras only.

use super::answer;
use super::names;
use super::quirks::{Ask, Quirks};
use crate::providers::codec::{Aim, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::Dropped;
use crate::wire::canonical::aux::{EmbedInput, EmbedRequest, EmbedResponse, Made, Vector};
use crate::wire::json::{JsonWriter, Node, Value};
use crate::wire::usage;

/// The request.
pub fn encode(request: &EmbedRequest<'_>, aim: Aim<'_>, quirks: &Quirks) -> Result<Made, Unfit> {
    let mut dropped = Dropped::default();
    let tokens = request
        .inputs
        .iter()
        .any(|input| matches!(input, EmbedInput::Tokens(_)));
    if tokens && matches!(quirks.ask, Ask::Mistral) {
        let message = "this model takes text, not token ids; send the text";
        return Err(Unfit::request("input", message));
    }
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("model", aim.model);
        json.key("input");
        match request.inputs.as_slice() {
            [one] if !request.batch => input(json, one),
            many => json.array(|json| many.iter().for_each(|one| input(json, one))),
        }
        if request.base64 && quirks.embed_base64 {
            json.field("encoding_format", "base64");
        }
        match quirks.dimensions {
            Some(key) => json.opt(key, request.dimensions),
            None => dropped.given("dimensions", &request.dimensions),
        }
        dropped.given("task", &request.task);
        dropped.given("title", &request.title);
        match &request.user {
            Some(user) if quirks.openai && user.len() > 64 => json.field("user", names::digest(user)),
            Some(user) if quirks.user => json.field("user", user),
            user => dropped.given("user", user),
        }
        for extra in &request.extras {
            if extra.dialect == Dialect::OpenAi {
                json.raw_field(&extra.key, &extra.raw);
            } else {
                dropped.push(extra.key.as_ref());
            }
        }
    });
    Ok(Made {
        body: json.finish(),
        dropped,
    })
}

fn input(json: &mut JsonWriter, input: &EmbedInput<'_>) {
    match input {
        EmbedInput::Text(text) => json.value(text),
        EmbedInput::Tokens(raw) => json.raw(raw),
    }
}

/// The answer; vectors in the order of their `index`, as the inputs were.
pub fn decode<'d>(body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
    let data = body.get("data").and_then(Node::as_array);
    let data = data.ok_or_else(|| answer::not_an_answer(body, "data"))?;
    let mut found: Vec<(u64, Vector<'d>)> = Vec::with_capacity(data.len());
    for (at, item) in (0u64..).zip(data) {
        let vector = match item.get("embedding") {
            Some(node) => match &node.value {
                Value::Array(_) => Vector::Numbers(node.raw.into()),
                Value::String(text) => Vector::Base64(text.as_ref().into()),
                _ => return Err(Undecodable(format!("data[{at}].embedding is no vector"))),
            },
            None => return Err(Undecodable(format!("data[{at}] has no embedding"))),
        };
        found.push((item.get_u64("index").unwrap_or(at), vector));
    }
    found.sort_by_key(|(index, _)| *index);
    Ok(EmbedResponse {
        model: body.get_str("model").unwrap_or_default().into(),
        vectors: found.into_iter().map(|(_, vector)| vector).collect(),
        usage: body.get("usage").and_then(usage::from_node),
    })
}
