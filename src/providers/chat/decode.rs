//! A whole `chat.completion`, of whichever vendor.

use super::{answer, names};
use crate::providers::codec::{Expect, Undecodable};
use crate::providers::free_text;
use crate::wire::Dialect;
use crate::wire::canonical::{Candidate, Finish, Part, Response, Text, Thinking, ToolCall, ToolCallKind};
use crate::wire::chat::reasoning;
use crate::wire::json::{Node, Value};

/// Read it.
pub fn response<'d>(body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
    let choices = body.get("choices").and_then(Node::as_array);
    let choices = choices.filter(|choices| !choices.is_empty());
    let Some(choices) = choices else {
        return Err(answer::not_an_answer(body, "choices"));
    };
    let id = body.get_str("id").unwrap_or_default();
    let mut candidates = Vec::with_capacity(choices.len());
    for (at, choice) in (0u32..).zip(choices) {
        candidates.push(candidate(choice, at, id, expect)?);
    }
    let cited = |part: &Part<'_>| matches!(part, Part::Text { citations, .. } if !citations.is_empty());
    if let Some(first) = candidates.first_mut()
        && !first.parts.iter().any(cited)
        && let Some(Part::Text { citations, .. }) =
            first.parts.iter_mut().find(|part| matches!(part, Part::Text { .. }))
    {
        citations.extend(answer::addresses(body));
    }
    Ok(Response {
        id: id.into(),
        model: body.get_str("model").unwrap_or(&expect.model).into(),
        created: body.get_u64("created").filter(|&created| created > 0),
        candidates,
        usage: answer::usage_of(body),
        service_tier: body.get_str("service_tier").map(Into::into),
        fingerprint: body
            .get_str("system_fingerprint")
            .filter(|text| !text.is_empty())
            .map(Into::into),
    })
}

fn candidate<'d>(choice: &'d Node<'_>, at: u32, id: &str, expect: &'d Expect) -> Result<Candidate<'d>, Undecodable> {
    let index = choice
        .get_u64("index")
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(at);
    let message = choice.get("message").or_else(|| choice.get("delta"));
    let message = message.ok_or_else(|| Undecodable(format!("choices[{at}] has no message")))?;
    let mut calls = calls(message, id, index, expect)?;
    let mut parts = reasoning::parts(message, &mut calls)?;
    content(message, &mut parts)?;
    if let Some(Part::Text { citations, .. }) = parts.iter_mut().rev().find(|part| matches!(part, Part::Text { .. })) {
        citations.extend(answer::citations(message));
    }
    if let Some(refusal) = message.get_str("refusal").filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal(refusal.into()));
    }
    parts.extend(answer::images(message).map(Part::Media));
    parts.extend(answer::audio(message).map(Part::Media));
    let mut called = false;
    for call in calls {
        if expect.structured_tool.as_deref() == Some(&*call.name) {
            parts.push(Part::text(call.arguments));
        } else {
            called = true;
            parts.push(Part::ToolCall(call));
        }
    }
    let finish = match answer::finish(choice, called) {
        Some(Finish::ToolCalls) if !called && expect.structured_tool.is_some() => Some(Finish::Stop),
        None if called => Some(Finish::ToolCalls),
        other => other,
    };
    Ok(Candidate {
        index,
        parts,
        finish,
        stop_sequence: answer::stop_sequence(choice),
        logprobs: answer::logprobs(choice),
        safety: answer::verdicts(choice).map(|raw| (Dialect::OpenAi, raw.into())),
    })
}

/// A string, or Mistral's chunks.
fn content<'d>(message: &'d Node<'_>, parts: &mut Vec<Part<'d>>) -> Result<(), Undecodable> {
    let Some(content) = message.get("content") else {
        return Ok(());
    };
    match &content.value {
        Value::String(text) => {
            if !text.is_empty() {
                parts.push(Part::text(text.as_ref()));
            }
        }
        Value::Array(chunks) => {
            for piece in chunks.iter().filter_map(chunk) {
                join(parts, piece);
            }
        }
        _ => {
            return Err(Undecodable(
                "the content of the message is neither text nor chunks".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Neighbours of one kind are one part, as a stream would spell them.
fn join<'d>(parts: &mut Vec<Part<'d>>, piece: Chunk<'d>) {
    match (piece, parts.last_mut()) {
        (Chunk::Text(more), Some(Part::Text { text, .. })) => text.to_mut().push_str(&more),
        (Chunk::Text(text), _) => parts.push(Part::text(text)),
        (Chunk::Thinking(more, signature), Some(Part::Thinking(thinking))) if !thinking.redacted => {
            thinking.text.to_mut().push_str(&more);
            if let Some(signature) = signature {
                thinking.signature = Some(reasoning::echoed(Some("mistral"), signature));
            }
        }
        (Chunk::Thinking(text, signature), _) => parts.push(Part::Thinking(Thinking {
            text,
            signature: signature.map(|data| reasoning::echoed(Some("mistral"), data)),
            ..Thinking::default()
        })),
    }
}

/// A chunk of content.
pub enum Chunk<'d> {
    /// Prose.
    Text(Text<'d>),
    /// Reasoning, and its signature.
    Thinking(Text<'d>, Option<&'d str>),
}

/// `{"type":"text","text":…}` or `{"type":"thinking","thinking":[{"type":"text","text":…}]}`; references point at documents of
/// Mistral's own libraries and say nothing by themselves.
pub fn chunk<'d>(node: &'d Node<'_>) -> Option<Chunk<'d>> {
    match node.get_str("type").unwrap_or("text") {
        "text" => node
            .get_str("text")
            .filter(|text| !text.is_empty())
            .map(|text| Chunk::Text(text.into())),
        "thinking" => {
            let thinking = node.get("thinking")?;
            let text: Text<'d> = match thinking.as_str() {
                Some(text) => text.into(),
                None => {
                    let pieces = thinking.as_array()?.iter().filter_map(|piece| piece.get_str("text"));
                    pieces.collect::<String>().into()
                }
            };
            let signature = node.get_str("signature").filter(|text| !text.is_empty());
            (!text.is_empty() || signature.is_some()).then_some(Chunk::Thinking(text, signature))
        }
        _ => None,
    }
}

/// An id for a call that came without.
pub fn made_id(answer: &str, candidate: u32, number: usize, name: &str) -> String {
    let of = format!("{answer}/{candidate}/{number}/{name}");
    format!("call_{}", names::digest(&of).get(..24).unwrap_or_default())
}

fn calls<'d>(
    message: &'d Node<'_>,
    id: &str,
    index: u32,
    expect: &'d Expect,
) -> Result<Vec<ToolCall<'d>>, Undecodable> {
    let list = message.get("tool_calls").and_then(Node::as_array).unwrap_or_default();
    let mut calls = Vec::with_capacity(list.len());
    for (number, node) in list.iter().enumerate() {
        let custom = node.get("custom");
        let (inner, kind) = match custom {
            Some(custom) => (Some(custom), ToolCallKind::Custom),
            None => (node.get("function"), ToolCallKind::Function),
        };
        let inner = inner.ok_or_else(|| Undecodable(format!("tool_calls[{number}] has no function")))?;
        let mut call =
            call(inner, kind, expect).ok_or_else(|| Undecodable(format!("tool_calls[{number}] has no name")))?;
        call.id = match node.get_str("id").filter(|id| !id.is_empty() && *id != "null") {
            Some(id) => id.into(),
            None => made_id(id, index, number, &call.name).into(),
        };
        call.signature = thought_signature(node);
        calls.push(call);
    }
    if let (Some(legacy), true) = (message.get("function_call"), calls.is_empty())
        && let Some(mut call) = call(legacy, ToolCallKind::Function, expect)
    {
        call.id = made_id(id, index, 0, &call.name).into();
        calls.push(call);
    }
    Ok(calls)
}

/// Google's place for it.
pub fn thought_signature<'d>(call: &'d Node<'_>) -> Option<crate::wire::canonical::Signature<'d>> {
    let google = call.get("extra_content")?.get("google")?;
    let text = google.get_str("thought_signature").filter(|text| !text.is_empty())?;
    Some(reasoning::echoed(Some("google-gemini-v1"), text))
}

fn call<'d>(inner: &'d Node<'_>, kind: ToolCallKind, expect: &'d Expect) -> Option<ToolCall<'d>> {
    let name = inner.get_str("name").filter(|name| !name.is_empty())?;
    let key = if kind == ToolCallKind::Custom {
        "input"
    } else {
        "arguments"
    };
    let arguments = inner.get(key).map(|node| node.as_str().unwrap_or(node.raw));
    let arguments = arguments.unwrap_or_default();
    let (name, stands_for) = free_text::tool(name, expect);
    let (kind, arguments) = match (kind, stands_for) {
        (ToolCallKind::Custom, _) => (kind, arguments.into()),
        (_, ToolCallKind::Custom) => (stands_for, free_text::whole(arguments)),
        _ if arguments.is_empty() => (kind, "{}".into()),
        _ => (kind, arguments.into()),
    };
    Some(ToolCall {
        id: Text::default(),
        name: name.into(),
        arguments,
        kind,
        signature: None,
        cache: None,
    })
}
