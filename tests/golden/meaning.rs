//! What an answer or a request means, as plain JSON, so that two of them can be compared and what a dialect cannot carry can
//! be taken out of both by name.
//!
//! Adjacent texts are one text, empty ones are none: dialects cut prose differently and no reader can tell.

use cirque::units::Usage;
use cirque::wire::Dialect;
use cirque::wire::canonical::{
    Builtin, Candidate, Citation, Finish, Format, Media, Message, Part, Request, Response, Role, Source, Thinking,
    Tool, ToolCallKind, ToolChoice,
};
use serde_json::{Map, Value, json};

/// JSON text as a value; text that is none, as itself.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!({ "broken": text }))
}

fn signature(signature: Option<&cirque::wire::canonical::Signature<'_>>) -> Value {
    signature.map_or(Value::Null, |s| json!(format!("{}:{}", s.origin.as_str(), s.data)))
}

fn citation(citation: &Citation<'_>) -> Value {
    fn said<'t>(text: &'t Option<cirque::wire::canonical::Text<'_>>) -> Option<&'t str> {
        text.as_deref().filter(|text| !text.is_empty())
    }
    json!({"url": said(&citation.url), "title": said(&citation.title), "cited_text": said(&citation.cited_text),
        "span": citation.span.map(|(start, end)| vec![start, end]), "document": citation.document})
}

fn media(media: &Media<'_>) -> Value {
    let source = match &media.source {
        Source::Url(url) => json!({ "url": url }),
        Source::Base64(data) => json!({ "base64": data.trim_end_matches('=') }),
        Source::File { id, .. } => json!({ "file": id }),
        Source::Text(text) => json!({ "text": text }),
        Source::Parts(inner) => json!({ "parts": parts(inner) }),
    };
    json!({"media": format!("{:?}", media.kind), "source": source, "media_type": media.media_type,
        "detail": media.detail.as_deref().filter(|detail| *detail != "auto"), "title": media.title,
        "transcript": media.transcript})
}

fn part(part: &Part<'_>) -> Value {
    match part {
        Part::Text { text, citations, .. } => {
            json!({"text": text, "citations": citations.iter().map(citation).collect::<Vec<_>>()})
        }
        Part::Refusal(text) => json!({ "refusal": text }),
        Part::Media(given) => media(given),
        Part::Thinking(thinking) => json!({"thinking": thinking.text}),
        Part::ToolCall(call) => {
            // APIs whose arguments are objects carry free text and broken text in one.
            let object = serde_json::from_str(&call.arguments).ok().filter(Value::is_object);
            let arguments = match (call.kind, object) {
                (ToolCallKind::Custom, _) => json!({"input": call.arguments}),
                (ToolCallKind::Function, Some(object)) => object,
                (ToolCallKind::Function, None) if call.arguments.is_empty() => json!({}),
                (ToolCallKind::Function, None) => json!({"_raw": call.arguments}),
            };
            json!({"call": call.name, "id": call.id, "arguments": arguments})
        }
        Part::ToolResult(result) => json!({"result": result.call_id, "is_error": result.is_error,
            "content": parts(&result.parts)}),
        Part::Opaque { dialect, kind, raw } => {
            json!({"opaque": kind, "dialect": dialect.as_str(), "raw": parsed(raw)})
        }
    }
}

/// Parts in order, texts joined.
pub fn parts(given: &[Part<'_>]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for one in given.iter().map(part) {
        let bare = |value: &Value| value.get("text").is_some();
        if bare(&one) && one["text"] == "" && one["citations"] == json!([]) {
            continue;
        }
        if let Some(last) = all.last_mut().filter(|last| bare(last) && bare(&one)) {
            let joined = format!("{}{}", last["text"].as_str().unwrap(), one["text"].as_str().unwrap());
            last["text"] = joined.into();
            let more = one["citations"].as_array().unwrap().clone();
            last["citations"].as_array_mut().unwrap().extend(more);
            continue;
        }
        // Sound comes in pieces.
        let sound = |value: &Value| value["media"] == "Audio" && value["source"]["base64"].is_string();
        if let Some(last) = all.last_mut().filter(|last| sound(last) && sound(&one)) {
            for pointer in ["/source/base64", "/transcript"] {
                let piece = |value: &Value| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
                if let Some(more) = piece(&one) {
                    *last.pointer_mut(pointer).unwrap() = (piece(last).unwrap_or_default() + &more).into();
                }
            }
            continue;
        }
        all.push(one);
    }
    all
}

fn finish(finish: Option<&Finish<'_>>) -> Value {
    match finish {
        None => Value::Null,
        Some(Finish::Other(word)) => format!("Other({word})").into(),
        Some(known) => format!("{known:?}").into(),
    }
}

/// The figures by name; zero is as good as not said.
pub fn usage(usage: Option<&Usage>) -> Value {
    let usage = usage.copied().unwrap_or_default();
    let all = [
        ("input", usage.input),
        ("output", usage.output),
        ("cached", usage.cached),
        ("cache_write", usage.cache_write),
        ("cache_write_1h", usage.cache_write_1h),
        ("reasoning", usage.reasoning),
        ("audio_input", usage.audio_input),
        ("audio_output", usage.audio_output),
    ];
    all.iter()
        .filter(|(_, figure)| *figure > 0)
        .map(|(name, figure)| ((*name).to_owned(), json!(figure)))
        .collect::<Map<_, _>>()
        .into()
}

/// The members of all parts of one sort.
fn all_of(parts: &[Value], key: &str) -> Vec<Value> {
    parts.iter().filter(|part| part.get(key).is_some()).cloned().collect()
}

fn candidate(candidate: &Candidate<'_>) -> Value {
    let ordered = parts(&candidate.parts);
    let joined = |key: &str| -> String { ordered.iter().filter_map(|part| part[key].as_str()).collect() };
    let citations: Vec<Value> = ordered
        .iter()
        .filter_map(|part| part["citations"].as_array())
        .flatten()
        .cloned()
        .collect();
    let logprobs: Vec<Value> = candidate
        .logprobs
        .iter()
        .map(|one| json!([one.token, one.logprob, one.top]))
        .collect();
    let kinds = ["text", "refusal", "thinking", "call"];
    let kind = |part: &Value| {
        kinds
            .into_iter()
            .find(|kind| part.get(kind).is_some() && part[kind] != "")
    };
    let mut order: Vec<&str> = ordered.iter().filter_map(kind).collect();
    // Without what stood between them, two texts are one.
    order.dedup_by(|a, b| a == b && *a == "text");
    json!({"index": candidate.index, "text": joined("text"), "refusal": joined("refusal"),
        "thinking": joined("thinking"), "citations": citations, "calls": all_of(&ordered, "call"),
        "media": all_of(&ordered, "media"), "opaque": all_of(&ordered, "opaque"), "order": order,
        "proofs": proofs(&candidate.parts), "logprobs": logprobs, "finish": finish(candidate.finish.as_ref()),
        "stop_sequence": candidate.stop_sequence})
}

fn is_of(thinking: &Thinking<'_>, origin: Dialect) -> bool {
    thinking
        .signature
        .as_ref()
        .is_some_and(|signature| signature.origin == origin)
}

/// What must come back to the vendor that answered: signatures, and on what they stand.
pub fn proofs(given: &[Part<'_>]) -> Vec<Value> {
    let on = |what: &str, of: &str, proof: Value| json!({"on": what, "of": of, "signature": proof});
    let all = given.iter().map(|part| match part {
        Part::Thinking(thinking) if thinking.redacted => on("redacted", "", signature(thinking.signature.as_ref())),
        // Gemini has no other form of a thought without text than its signature.
        Part::Thinking(thinking) if thinking.text.is_empty() && is_of(thinking, Dialect::Gemini) => {
            on("redacted", "", signature(thinking.signature.as_ref()))
        }
        Part::Thinking(thinking) => on("thinking", &thinking.text, signature(thinking.signature.as_ref())),
        Part::ToolCall(call) => on("call", &call.id, signature(call.signature.as_ref())),
        Part::Text {
            text, signature: proof, ..
        } => on("text", text, signature(proof.as_ref())),
        Part::Opaque { dialect, kind, raw } => {
            on("block", kind, json!(format!("{}:{}", dialect.as_str(), parsed(raw))))
        }
        _ => Value::Null,
    });
    all.filter(|proof| proof["signature"].is_string()).collect()
}

/// What an answer says.
pub fn answer(response: &Response<'_>) -> Value {
    json!({"candidates": response.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "usage": usage(response.usage.as_ref())})
}

/// Take these members out, wherever they are.
pub fn forget(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !keys.contains(&key.as_str()));
            members.values_mut().for_each(|inner| forget(inner, keys));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| forget(inner, keys)),
        _ => {}
    }
}

/// Where two differ, for the message of a failure.
pub fn difference(wanted: &Value, got: &Value) -> Vec<String> {
    fn walk(path: &str, wanted: &Value, got: &Value, out: &mut Vec<String>) {
        match (wanted, got) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let none = Value::Null;
                    walk(
                        &format!("{path}.{key}"),
                        a.get(key).unwrap_or(&none),
                        b.get(key).unwrap_or(&none),
                        out,
                    );
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (at, (x, y)) in a.iter().zip(b).enumerate() {
                    walk(&format!("{path}[{at}]"), x, y, out);
                }
            }
            (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
            (a, b) if a == b => {}
            (a, b) => {
                let clip = |value: &Value| value.to_string().chars().take(160).collect::<String>();
                out.push(format!("{path}: wanted {}, got {}", clip(a), clip(b)));
            }
        }
    }
    let mut out = Vec::new();
    walk("", wanted, got, &mut out);
    out
}

// Requests

/// What a request asks. Roles: developer is system; messages of one role in a row are one message.
pub fn request(request: &Request<'_>) -> Value {
    let mut messages: Vec<(Role, Vec<Part<'static>>)> = Vec::new();
    for Message { role, parts, .. } in &request.messages {
        let role = if *role == Role::Developer { Role::System } else { *role };
        let parts = parts.iter().map(Part::to_static);
        match messages.last_mut().filter(|(last, _)| *last == role) {
            Some((_, all)) => all.extend(parts),
            None => messages.push((role, parts.collect())),
        }
    }
    let messages: Vec<Value> = messages
        .iter()
        .map(|(role, all)| json!({"role": format!("{role:?}"), "parts": parts(all)}))
        .collect();
    let tools: Vec<Value> = request.tools.iter().map(tool).collect();
    let choice = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => Value::Null,
        Some(ToolChoice::None) => "none".into(),
        Some(ToolChoice::Required) => "required".into(),
        Some(ToolChoice::Function(name)) => json!({ "function": name }),
        Some(ToolChoice::Allowed { names, required }) => json!({"allowed": names, "required": required}),
        Some(ToolChoice::Opaque { raw, .. }) => parsed(raw),
    };
    let format = match &request.format {
        Format::Text => Value::Null,
        Format::Json => "json".into(),
        Format::Schema { schema, .. } => json!({ "schema": parsed(schema) }),
        Format::Opaque { raw, .. } => parsed(raw),
    };
    let sampling = &request.sampling;
    json!({"messages": messages, "tools": tools, "tool_choice": choice, "response_format": format,
        "parallel_tool_calls": request.parallel_tool_calls.filter(|parallel| !parallel), "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k,
        "frequency_penalty": sampling.frequency_penalty, "presence_penalty": sampling.presence_penalty,
        "seed": sampling.seed, "stop": sampling.stop, "n": sampling.n, "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs, "user": request.user, "stream": request.stream,
        "proofs": request.messages.iter().flat_map(|message| proofs(&message.parts)).collect::<Vec<_>>(),
        "reasoning": request.reasoning.as_ref().and_then(|reasoning| reasoning.wanted())})
}

/// Ids of calls by the order they come up in: targets have their own forms of them.
pub fn number_ids(meaning: &mut Value) {
    fn walk(value: &mut Value, seen: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (key, inner) in members.iter_mut() {
                    if let ("id" | "result", Some(id)) = (key.as_str(), inner.as_str()) {
                        let at = seen.iter().position(|known| known == id).unwrap_or_else(|| {
                            seen.push(id.to_owned());
                            seen.len() - 1
                        });
                        *inner = format!("#{at}").into();
                    } else {
                        walk(inner, seen);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|inner| walk(inner, seen)),
            _ => {}
        }
    }
    walk(&mut meaning["messages"], &mut Vec::new());
}

fn tool(tool: &Tool<'_>) -> Value {
    match tool {
        Tool::Function(function) => json!({"function": function.name, "description": function.description,
            "parameters": schema(function.parameters.as_deref())}),
        Tool::Custom { name, .. } => json!({ "custom": name }),
        Tool::Builtin {
            kind, name, dialect, ..
        } => match kind {
            Builtin::Other => json!({"builtin": name, "dialect": dialect.as_str()}),
            kind => json!({ "builtin": format!("{kind:?}") }),
        },
    }
}

/// No schema is the schema of no arguments.
fn schema(given: Option<&str>) -> Value {
    let mut schema = parsed(given.unwrap_or(r#"{"type":"object"}"#));
    if schema["type"] == "object" && schema.get("properties").is_none() {
        schema["properties"] = json!({});
    }
    schema
}
