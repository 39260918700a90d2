//! What of a request in another dialect than OpenAI's is text that a model reads, for [`super::count`].
//!
//! Anthropic's, Gemini's and the Responses API's bodies nest text in blocks of many kinds. Rather than know them all, every
//! string counts except those under keys that hold no prose, so a new kind of block is counted too. An estimate.

use super::chat_text::{Answer, PER_IMAGE, PER_MESSAGE, PER_REPLY, Tally};
use crate::wire::json::{Node, Value};
use crate::wire::sse;
use bytes::Bytes;

/// Keys whose strings are no prose: ids, types, addresses, bytes, signatures, settings.
const NOT_PROSE: [&str; 28] = [
    "type",
    "role",
    "model",
    "id",
    "call_id",
    "tool_use_id",
    "data",
    "url",
    "image_url",
    "file_data",
    "fileUri",
    "file_uri",
    "file_id",
    "mimeType",
    "mime_type",
    "media_type",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "ttl",
    "status",
    "service_tier",
    "previous_response_id",
    "prompt_cache_key",
    "user_id",
    "metadata",
    "include",
];
/// Deepest nesting read.
const DEPTH: usize = 128;

/// The text of a request body; `None` when it is not JSON.
pub(super) fn of_request(body: &[u8]) -> Option<Tally> {
    let node = Node::parse(body, DEPTH).ok()?;
    let mut tally = Tally {
        fixed: PER_REPLY,
        ..Tally::default()
    };
    collect(&node, &mut tally);
    Some(tally)
}

/// The text of a stream in such a dialect, given as it arrived: Anthropic's `delta.text`, `.thinking` and `.partial_json`, the
/// Responses API's `delta`, Gemini's parts.
pub(super) fn of_events(chunks: &[Bytes]) -> Answer {
    let stream = chunks.concat();
    let mut answer = Answer::default();
    let mut output = String::new();
    for event in sse::events(&stream) {
        let Some(Ok(node)) = event.data.as_deref().map(|data| Node::parse(data, DEPTH)) else {
            continue;
        };
        if let Some(delta) = node.get("delta") {
            let inside = ["text", "thinking", "partial_json"]
                .iter()
                .find_map(|key| delta.get_str(key));
            output.push_str(delta.as_str().or(inside).unwrap_or_default());
        }
        let candidates = node.get("candidates").and_then(Node::as_array).unwrap_or_default();
        let parts = candidates
            .iter()
            .filter_map(|candidate| candidate.get("content")?.get("parts")?.as_array());
        parts
            .flatten()
            .for_each(|part| output.push_str(part.get_str("text").unwrap_or_default()));
    }
    // One text: tokens do merge across events.
    answer.output.push(&output);
    answer
}

fn collect(node: &Node<'_>, tally: &mut Tally) {
    match &node.value {
        Value::String(text) => tally.text.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, tally)),
        Value::Object(members) => {
            for (key, value) in members {
                match key.as_ref() {
                    "role" => tally.fixed += PER_MESSAGE,
                    "type" if value.as_str().is_some_and(|kind| kind.contains("image")) => tally.fixed += PER_IMAGE,
                    "inlineData" | "inline_data" => tally.fixed += PER_IMAGE,
                    // Models see schemas as JSON, keys and all.
                    "input_schema" | "parameters" | "parametersJsonSchema" => tally.text.push(value.raw),
                    key if NOT_PROSE.contains(&key) && value.as_str().is_some() => {}
                    "metadata" | "include" => {}
                    _ => collect(value, tally),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_counts_and_settings_do_not() {
        let body = br#"{"model":"m","system":[{"type":"text","text":"be kind"}],"messages":[{"role":"user","content":[
            {"type":"image","source":{"type":"base64","data":"AAAA"}},{"type":"tool_result","tool_use_id":"t","content":"42"}]}],
            "metadata":{"user_id":"u"}}"#;
        let tally = of_request(body).unwrap();
        assert_eq!(tally.text.pieces, ["be kind", "42"]);
        assert_eq!(tally.fixed, PER_REPLY + PER_MESSAGE + PER_IMAGE);
        let events = Bytes::from_static(
            b"event: x\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n\
              data: {\"type\":\"response.output_text.delta\",\"delta\":\"lo \"}\n\n\
              data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"you\"}]}}]}\n\ndata: [DONE]\n\n",
        );
        assert_eq!(of_events(&[events]).output.pieces, ["Hello you"]);
        let gemini = of_request(br#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#).unwrap();
        assert_eq!(gemini.text.pieces, ["hi"]);
    }
}
