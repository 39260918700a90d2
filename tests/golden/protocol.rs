//! What the SDKs rely on in answers and streams, beyond what a codec that reads liberally would notice: words of endings,
//! the order of events, their indices and counters.

use super::answers::Problems;
use super::speakers::Client;
use super::stream::Cut;
use serde_json::{Value, json};

/// The words each API documents for an end, by client.
const WORDS: [(&str, &[(&str, &str)]); 4] = [
    (
        "chat",
        &[
            ("Stop", "stop"),
            ("StopSequence", "stop"),
            ("Length", "length"),
            ("ContextWindow", "length"),
            ("ToolCalls", "tool_calls"),
            ("ContentFilter", "content_filter"),
        ],
    ),
    (
        "messages",
        &[
            ("Stop", "end_turn"),
            ("StopSequence", "stop_sequence"),
            ("Length", "max_tokens"),
            ("ContextWindow", "model_context_window_exceeded"),
            ("ToolCalls", "tool_use"),
            ("ContentFilter", "refusal"),
            ("Refusal", "refusal"),
            ("Pause", "pause_turn"),
        ],
    ),
    (
        "responses",
        &[
            ("Stop", "completed"),
            ("StopSequence", "completed"),
            ("ToolCalls", "completed"),
            ("Length", "incomplete"),
            ("ContextWindow", "incomplete"),
            ("ContentFilter", "incomplete"),
        ],
    ),
    (
        "gemini",
        &[
            ("Stop", "STOP"),
            ("StopSequence", "STOP"),
            ("ToolCalls", "STOP"),
            ("Length", "MAX_TOKENS"),
            ("ContextWindow", "MAX_TOKENS"),
            ("ContentFilter", "SAFETY"),
            ("Refusal", "SAFETY"),
            ("MalformedCall", "MALFORMED_FUNCTION_CALL"),
        ],
    ),
];

/// Where a whole answer says how it ended.
fn ending<'d>(client: &str, document: &'d Value) -> &'d Value {
    match client {
        "chat" => &document["choices"][0]["finish_reason"],
        "messages" => &document["stop_reason"],
        "responses" => &document["status"],
        _ => &document["candidates"][0]["finishReason"],
    }
}

/// A whole answer ends with the word its API documents.
pub fn word(place: &str, client: &Client, original: &Value, document: &Value, problems: &mut Problems) {
    let finish = &original["candidates"][0]["finish"];
    let refused = original["candidates"][0]["refusal"] != "";
    let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == client.name) else {
        return;
    };
    let Some((_, word)) = words.iter().find(|(from, _)| *finish == *from) else {
        return;
    };
    let got = ending(client.name, document);
    // A refusal in words is one, whatever its provider called its end.
    if *got != *word && !(refused && client.ends_refused) {
        problems.push(place, format!("{finish} ends with {got}, not {word:?}"));
    }
}

/// The order of a stream's events.
pub fn order(place: &str, client: &Client, cuts: &[Cut], problems: &mut Problems) {
    let mut documents = Vec::new();
    for cut in cuts.iter().filter(|cut| cut.data != b"[DONE]") {
        match serde_json::from_slice::<Value>(&cut.data) {
            Ok(document) => documents.push((cut.name.as_str(), document)),
            Err(_) => return problems.push(place, "an event is not JSON"),
        }
    }
    let wrong = match client.name {
        "chat" => chat(&documents, cuts),
        "messages" => messages(&documents),
        "responses" => responses(&documents),
        _ => gemini(&documents),
    };
    if let Err(wrong) = wrong {
        problems.push(place, wrong);
    }
}

type Events<'c> = [(&'c str, Value)];

fn chat(events: &Events<'_>, cuts: &[Cut]) -> Result<(), String> {
    if cuts.last().is_none_or(|cut| cut.data != b"[DONE]") {
        return Err("no [DONE] at the end".to_owned());
    }
    let mut finished: Vec<u64> = Vec::new();
    let mut begun: Vec<u64> = Vec::new();
    let mut usage = false;
    for (_, chunk) in events {
        if chunk["object"] != "chat.completion.chunk" || chunk["id"] != events[0].1["id"] || !chunk["created"].is_u64()
        {
            return Err(format!("no chunk of this answer: {chunk}"));
        }
        if usage {
            return Err("a chunk after the usage".to_owned());
        }
        for choice in chunk["choices"].as_array().ok_or("no choices")? {
            let index = choice["index"].as_u64().ok_or("no index")?;
            // Verdicts of filters may follow, as Azure's do.
            if finished.contains(&index) && choice["delta"] != json!({}) {
                return Err("a choice goes on after its end".to_owned());
            }
            if !choice["delta"].is_object() || choice.get("finish_reason").is_none() {
                return Err(format!("no delta or no finish_reason: {choice}"));
            }
            if !begun.contains(&index) {
                begun.push(index);
                if choice["delta"]["role"] != "assistant" {
                    return Err(format!("begins without a role: {choice}"));
                }
            }
            if choice["finish_reason"].is_string() {
                finished.push(index);
            }
            for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                if !call["index"].is_u64() {
                    return Err("a call without an index".to_owned());
                }
            }
        }
        usage = chunk["usage"].is_object();
        if usage && chunk["choices"] != json!([]) {
            return Err("usage beside choices".to_owned());
        }
    }
    if begun.is_empty() || begun.len() != finished.len() {
        return Err("a choice without an end".to_owned());
    }
    Ok(())
}

fn messages(events: &Events<'_>) -> Result<(), String> {
    // Calls may be open together, as their pieces come; SDKs go by the index. Prose stands alone.
    let mut open: Vec<(u64, String)> = Vec::new();
    let mut next = 0;
    let last = events.len() - 1;
    for (at, (name, event)) in events.iter().enumerate() {
        let kind = event["type"].as_str().ok_or("no type")?;
        if kind != *name {
            return Err(format!("event {name:?} of type {kind:?}"));
        }
        let index = event["index"].as_u64();
        let fine = match kind {
            "message_start" => {
                at == 0 && event["message"]["content"] == json!([]) && event["message"]["usage"].is_object()
            }
            "ping" => true,
            "content_block_start" => {
                let block = event["content_block"]["type"].as_str().unwrap_or_default().to_owned();
                let fine =
                    index == Some(next) && open.iter().all(|(_, open)| *open == "tool_use" && block == "tool_use");
                open.push((next, block));
                next += 1;
                fine
            }
            "content_block_delta" => match open.iter().find(|(number, _)| index == Some(*number)) {
                Some((_, block)) => {
                    let delta = event["delta"]["type"].as_str().unwrap_or_default();
                    match block.as_str() {
                        "text" => matches!(delta, "text_delta" | "citations_delta"),
                        "thinking" => matches!(delta, "thinking_delta" | "signature_delta"),
                        _ => delta == "input_json_delta",
                    }
                }
                None => false,
            },
            "content_block_stop" => {
                let before = open.len();
                open.retain(|(number, _)| index != Some(*number));
                open.len() + 1 == before
            }
            "message_delta" => open.is_empty() && at + 1 == last && event["usage"]["output_tokens"].is_u64(),
            "message_stop" => at == last,
            _ => false,
        };
        if !fine {
            return Err(format!("event {at} is out of place: {event}"));
        }
    }
    if events[last].0 == "message_stop" {
        Ok(())
    } else {
        Err("no message_stop".to_owned())
    }
}

fn responses(events: &Events<'_>) -> Result<(), String> {
    let last = events.len() - 1;
    let mut added: Vec<(String, String)> = Vec::new();
    let mut done: Vec<Value> = Vec::new();
    for (at, (name, event)) in events.iter().enumerate() {
        let kind = event["type"].as_str().ok_or("no type")?;
        if kind != *name || event["sequence_number"] != at {
            return Err(format!(
                "event {at} is {name:?} with number {}",
                event["sequence_number"]
            ));
        }
        let index = event["output_index"].as_u64().map(|index| index as usize);
        let fine = match kind {
            "response.created" => at == 0 && event["response"]["status"] == "in_progress",
            "response.in_progress" => at == 1,
            "response.completed" | "response.incomplete" | "response.failed" => {
                // What was done is what is in the whole.
                let output = event["response"]["output"].as_array().ok_or("no output")?;
                at == last && (kind == "response.failed" || *output == done)
            }
            "response.output_item.added" => {
                let id = event["item"]["id"].as_str().unwrap_or_default().to_owned();
                let fine = index == Some(added.len()) && !id.is_empty();
                added.push((id, event["item"]["type"].as_str().unwrap_or_default().to_owned()));
                fine
            }
            "response.output_item.done" => {
                let same = index
                    .and_then(|index| added.get(index))
                    .is_some_and(|(id, _)| event["item"]["id"] == **id);
                let place = index.unwrap_or(0).min(done.len());
                done.insert(place, event["item"].clone());
                same
            }
            // Pieces name an item that was added.
            _ if event.get("item_id").is_some() => index
                .and_then(|index| added.get(index))
                .is_some_and(|(id, _)| event["item_id"] == **id),
            _ => true,
        };
        if !fine {
            return Err(format!("event {at} is out of place: {event}"));
        }
    }
    let end = ["response.completed", "response.incomplete", "response.failed"];
    if end.contains(&events[last].0) && added.len() == done.len() {
        Ok(())
    } else {
        Err(format!(
            "ends with {}, {} items of {} done",
            events[last].0,
            done.len(),
            added.len()
        ))
    }
}

fn gemini(events: &Events<'_>) -> Result<(), String> {
    let mut ends: Vec<u64> = Vec::new();
    for (_, event) in events {
        if event["modelVersion"].as_str().is_none() || event["responseId"] != events[0].1["responseId"] {
            return Err(format!("no chunk of this answer: {event}"));
        }
        for candidate in event["candidates"].as_array().into_iter().flatten() {
            let index = candidate["index"].as_u64().unwrap_or(0);
            if candidate["finishReason"].is_string() {
                ends.push(index);
            }
        }
    }
    if ends.is_empty() {
        Err("no finishReason".to_owned())
    } else {
        Ok(())
    }
}
