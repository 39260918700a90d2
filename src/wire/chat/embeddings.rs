//! Embeddings (`/v1/embeddings`) as applications ask for them.
//!
//! ```json
//! {"model":"…","input":"…" | ["…"] | [1,2] | [[1,2]],"encoding_format":"float" | "base64","dimensions":256,"user":"…"}
//! {"object":"list","data":[{"object":"embedding","index":0,"embedding":[…] | "base64 of f32, little-endian"}],
//!  "model":"…","usage":{"prompt_tokens":1,"total_tokens":1}}
//! ```
//! Source: OpenAI API reference, embeddings, read 2026-11. The `openai` packages ask for base64 unless told otherwise, and most
//! vendors give numbers only, so each form is made from the other here.

use super::read::extras;
use crate::wire::canonical::Text;
use crate::wire::canonical::aux::{EmbedInput, EmbedRequest, EmbedResponse, Vector};
use crate::wire::client::Reply;
use crate::wire::json::{Invalid, JsonWriter, Node};
use crate::wire::media;
use std::fmt::Write;

const KNOWN: &[&str] = &["model", "input", "encoding_format", "dimensions", "user", "input_type"];

/// The request.
pub fn read<'d>(body: &'d Node<'_>) -> Result<EmbedRequest<'d>, Invalid> {
    body.object()?;
    let base64 = match body.opt("encoding_format", Node::str)? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Invalid::value("must be float or base64").within("encoding_format")),
    };
    let (inputs, batch) = body.req("input", inputs)?;
    Ok(EmbedRequest {
        inputs,
        batch,
        base64,
        dimensions: body.opt("dimensions", Node::u64)?,
        // Not OpenAI's, but NVIDIA's, Cohere's and LiteLLM's clients send it in this shape.
        task: body.opt("input_type", Node::str)?.map(Into::into),
        title: None,
        user: body.opt("user", Node::str)?.map(Into::into),
        extras: extras(body, KNOWN),
    })
}

fn inputs<'d>(node: &'d Node<'_>) -> Result<(Vec<EmbedInput<'d>>, bool), Invalid> {
    if let Some(text) = node.as_str() {
        return Ok((vec![EmbedInput::Text(text.into())], false));
    }
    let items = node
        .as_array()
        .ok_or_else(|| Invalid::wrong_type("a string or an array"))?;
    match items.first() {
        None => Err(Invalid::value("is empty")),
        Some(first) if first.as_u64().is_some() => {
            tokens(node)?;
            Ok((vec![EmbedInput::Tokens(node.raw.into())], false))
        }
        Some(_) => Ok((node.each(input)?, true)),
    }
}

fn input<'d>(node: &'d Node<'_>) -> Result<EmbedInput<'d>, Invalid> {
    if let Some(text) = node.as_str() {
        return Ok(EmbedInput::Text(text.into()));
    }
    if node.as_array().is_none() {
        return Err(Invalid::wrong_type("a string or an array of token ids"));
    }
    tokens(node)?;
    Ok(EmbedInput::Tokens(node.raw.into()))
}

fn tokens(node: &Node<'_>) -> Result<(), Invalid> {
    node.each(Node::u64).map(|_| ())
}

/// The answer.
pub fn write(request: &EmbedRequest<'_>, response: &EmbedResponse<'_>, reply: &Reply, out: &mut Vec<u8>) {
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        json.field("object", "list");
        json.key("data").array(|json| {
            for (index, vector) in (0u64..).zip(&response.vectors) {
                json.object(|json| {
                    json.field("object", "embedding");
                    json.field("index", index);
                    json.key("embedding");
                    match (vector, request.base64) {
                        (Vector::Numbers(numbers), false) => json.raw(numbers),
                        (Vector::Base64(text), true) => json.value(text),
                        (Vector::Numbers(numbers), true) => json.value(to_base64(numbers)),
                        (Vector::Base64(text), false) => json.raw(&to_numbers(text)),
                    }
                });
            }
        });
        json.field("model", &reply.model);
        json.key("usage").object(|json| {
            // The type requires the figures; a provider that counts nothing leaves 0.
            let input = response.usage.map_or(0, |usage| usage.input);
            json.field("prompt_tokens", input);
            json.field("total_tokens", input);
        });
    });
    *out = json.finish();
}

/// A JSON array of numbers as base64 of f32, little-endian.
fn to_base64(numbers: &str) -> String {
    let inner = numbers.trim().trim_start_matches('[').trim_end_matches(']');
    let values = inner.split(',').filter_map(|number| number.trim().parse::<f32>().ok());
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    media::encode_base64(&bytes)
}

/// Base64 of f32, little-endian, as a JSON array of numbers, each with as many digits as tell it from every other f32.
fn to_numbers(text: &str) -> Text<'static> {
    let bytes = media::decode_base64(text).unwrap_or_default();
    let mut array = String::with_capacity(bytes.len() * 3);
    array.push('[');
    for (at, group) in bytes.chunks_exact(4).enumerate() {
        if at > 0 {
            array.push(',');
        }
        let value = <[u8; 4]>::try_from(group).map(f32::from_le_bytes).unwrap_or_default();
        if value.is_finite() {
            let _ = write!(array, "{value}");
        } else {
            array.push_str("null");
        }
    }
    array.push(']');
    array.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(body: &str, vector: Vector<'_>) -> String {
        let node = Node::parse(body.as_bytes(), 8).unwrap();
        let request = read(&node).unwrap();
        let response = EmbedResponse {
            vectors: vec![vector],
            ..EmbedResponse::default()
        };
        let mut out = Vec::new();
        write(&request, &response, &Reply::default(), &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        json["data"][0]["embedding"].to_string()
    }

    #[test]
    fn either_form_is_made_from_the_other() {
        let plain = r#"{"input":"x"}"#;
        let coded = r#"{"input":["x"],"encoding_format":"base64"}"#;
        assert_eq!(made(plain, Vector::Numbers("[1, -0.5]".into())), "[1,-0.5]");
        assert_eq!(made(coded, Vector::Numbers("[1, -0.5]".into())), "\"AACAPwAAAL8=\"");
        assert_eq!(made(plain, Vector::Base64("AACAPwAAAL8=".into())), "[1,-0.5]");
        assert_eq!(made(coded, Vector::Base64("AACAPwAAAL8=".into())), "\"AACAPwAAAL8=\"");
        assert_eq!(made(plain, Vector::Base64("AACAfw==".into())), "[null]");
    }

    #[test]
    fn inputs_of_every_kind_and_what_is_wrong_with_others() {
        for (body, texts, batch) in [
            (r#"{"input":"x"}"#, 1, false),
            (r#"{"input":["x","y"]}"#, 2, true),
            (r#"{"input":[1,2,3]}"#, 1, false),
            (r#"{"input":[[1,2],[3]]}"#, 2, true),
        ] {
            let node = Node::parse(body.as_bytes(), 8).unwrap();
            let request = read(&node).unwrap();
            assert_eq!((request.inputs.len(), request.batch), (texts, batch), "{body}");
        }
        for (body, path) in [
            (r#"{}"#, "input"),
            (r#"{"input":[]}"#, "input"),
            (r#"{"input":["x",{}]}"#, "input[1]"),
            (r#"{"input":[1,"x"]}"#, "input[1]"),
            (r#"{"input":[[1],["x"]]}"#, "input[1][0]"),
            (r#"{"input":"x","encoding_format":"hex"}"#, "encoding_format"),
        ] {
            let node = Node::parse(body.as_bytes(), 8).unwrap();
            assert_eq!(read(&node).unwrap_err().path, path, "{body}");
        }
    }

    proptest! {
        #[test]
        fn numbers_survive_base64(values in prop::collection::vec(-1e3f32..1e3, 1..20)) {
            let numbers = serde_json::to_string(&values).unwrap();
            let back: Vec<f32> = serde_json::from_str(&to_numbers(&to_base64(&numbers))).unwrap();
            prop_assert_eq!(back, values);
        }
    }
}
