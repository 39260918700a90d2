//! A whole answer of a target.
//!
//! ```json
//! {"id":"msg_…","type":"message","role":"assistant","model":"claude-…","content":[blocks],"stop_reason":"end_turn",
//!  "stop_sequence":null,"stop_details":{"type":"refusal","explanation":"…"},"usage":{…,"service_tier":"standard"}}
//! ```

use crate::providers::codec::{Expect, Undecodable};
use crate::providers::free_text;
use crate::wire::Dialect;
use crate::wire::canonical::{Candidate, Finish, Part, Response, Signature, Text, Thinking, ToolCall, ToolCallKind};
use crate::wire::json::Node;
use crate::wire::messages::{blocks, figures, stop};
use std::borrow::Cow;

/// Read it.
pub fn response<'d>(body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
    if body.get_str("type") == Some("error") || body.get("content").is_none() {
        return Err(Undecodable("the answer has no `content`".to_owned()));
    }
    let mut parts = body.req("content", |list| list.each(|block| Ok(part(block, expect))))?;
    if let Some(words) = refusal(body) {
        parts.push(Part::Refusal(words.into()));
    }
    let usage = body.get("usage");
    let called = expect.structured_tool.is_none() || parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    Ok(Response {
        id: body.get_str("id").unwrap_or_default().into(),
        model: body.get_str("model").unwrap_or(&expect.model).into(),
        created: None,
        candidates: vec![Candidate {
            index: 0,
            parts,
            finish: body.get_str("stop_reason").map(|word| finish(word, called)),
            stop_sequence: body.get_str("stop_sequence").map(Cow::Borrowed),
            ..Candidate::default()
        }],
        usage: usage.and_then(figures::read),
        service_tier: usage.and_then(|usage| usage.get_str("service_tier")).map(Cow::Borrowed),
        fingerprint: None,
    })
}

/// Why it ended. Without a call of the client's own tools, `tool_use` means the tool that is the answer.
pub fn finish(word: &str, called: bool) -> Finish<'_> {
    match stop::read(word) {
        Finish::ToolCalls if !called => Finish::Stop,
        finish => finish,
    }
}

/// What the API says about a refusal.
pub fn refusal<'d>(holder: &'d Node<'_>) -> Option<&'d str> {
    if holder.get_str("stop_reason") != Some("refusal") {
        return None;
    }
    holder
        .get("stop_details")?
        .get_str("explanation")
        .filter(|words| !words.is_empty())
}

/// The signature the API gave, if it did.
pub fn signature(data: &str) -> Option<Signature<'_>> {
    (!data.is_empty()).then(|| Signature::new(Dialect::Anthropic, data))
}

fn part<'d>(block: &'d Node<'_>, expect: &'d Expect) -> Part<'d> {
    let text = |key: &str| -> Text<'d> { block.get_str(key).unwrap_or_default().into() };
    let kind = block.get_str("type").unwrap_or_default();
    match kind {
        "text" => Part::Text {
            text: text("text"),
            cache: None,
            citations: blocks::read_citations(block),
            signature: None,
        },
        "thinking" => Part::Thinking(Thinking {
            text: text("thinking"),
            signature: block.get_str("signature").and_then(signature),
            ..Thinking::default()
        }),
        "redacted_thinking" => Part::Thinking(Thinking {
            signature: block.get_str("data").and_then(signature),
            redacted: true,
            ..Thinking::default()
        }),
        "tool_use" => call(block, expect),
        _ => Part::Opaque {
            dialect: Dialect::Anthropic,
            kind: kind.into(),
            raw: block.raw.into(),
        },
    }
}

fn call<'d>(block: &'d Node<'_>, expect: &'d Expect) -> Part<'d> {
    let name = block.get_str("name").unwrap_or_default();
    let input = block.get("input").map_or("{}", |input| input.raw);
    if expect.structured_tool.as_deref() == Some(name) {
        return Part::text(input);
    }
    let (name, kind) = free_text::tool(name, expect);
    let arguments = match kind {
        ToolCallKind::Function => Cow::Borrowed(input),
        ToolCallKind::Custom => free_text::whole(input),
    };
    Part::ToolCall(ToolCall {
        id: block
            .get_str("id")
            .filter(|id| !id.is_empty())
            .unwrap_or("call_0")
            .into(),
        name: name.into(),
        arguments,
        kind,
        signature: None,
        cache: None,
    })
}
