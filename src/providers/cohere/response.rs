//! A whole chat answer in, and the pieces a stream shares with it: usage, finish reasons, citations, probabilities.

use super::super::codec::{Expect, Undecodable};
use super::super::free_text;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Candidate, Citation, Finish, Logprob, Part, Response, Text, Thinking, ToolCall, ToolCallKind,
};
use crate::wire::json::Node;

/// ```json
/// {"id":"…","finish_reason":"COMPLETE","message":{"role":"assistant","tool_plan":"…","tool_calls":[…],
///   "content":[{"type":"thinking","thinking":"…"},{"type":"text","text":"…"}],
///   "citations":[{"start":0,"end":5,"text":"…","type":"TEXT_CONTENT","content_index":0,"sources":[{"type":"document","id":"doc-0","document":{}}]}]},
///  "logprobs":[{"text":"…","token_ids":[1],"logprobs":[-0.1]}],
///  "usage":{"billed_units":{"input_tokens":1,"output_tokens":1},"tokens":{"input_tokens":1,"output_tokens":1},"cached_tokens":0}}
/// ```
pub(super) fn decode<'d>(body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
    let message = body
        .get("message")
        .filter(|message| message.as_object().is_some())
        .ok_or_else(|| Undecodable("no `message` object".to_owned()))?;
    let mut parts = Vec::new();
    // Which part each content block became.
    let mut blocks = Vec::new();
    match message.get("content") {
        None => {}
        Some(content) if content.as_str().is_some() => {
            blocks.push(Some(0));
            parts.push(Part::text(content.as_str().unwrap_or_default()));
        }
        Some(content) => {
            for block in content.array().map_err(|e| e.within("content"))? {
                let part = block_part(block);
                blocks.push(part.is_some().then_some(parts.len()));
                parts.extend(part);
            }
        }
    }
    let mut plan = None;
    if let Some(text) = message.get_str("tool_plan").filter(|text| !text.is_empty()) {
        plan = Some(parts.len());
        parts.push(Part::text(text));
    }
    let first_text = parts.iter().position(|part| matches!(part, Part::Text { .. }));
    for cited in message.get("citations").and_then(Node::as_array).unwrap_or_default() {
        let at = match (cited.get_str("type"), cited.get_u64("content_index")) {
            (Some("PLAN"), _) => plan,
            (_, Some(index)) => blocks
                .get(usize::try_from(index).unwrap_or(usize::MAX))
                .copied()
                .flatten(),
            (_, None) => first_text,
        };
        if let Some(Part::Text { citations: into, .. }) = at.and_then(|at| parts.get_mut(at)) {
            citations(cited, |citation| into.push(citation));
        }
    }
    let id = body.get_str("id").unwrap_or_default();
    let calls = message.get("tool_calls").and_then(Node::as_array).unwrap_or_default();
    for (index, call) in calls.iter().enumerate() {
        parts.push(Part::ToolCall(tool_call(call, id, index, expect)?));
    }
    let logprobs = body.get("logprobs").and_then(Node::as_array).unwrap_or_default();
    Ok(Response {
        id: id.into(),
        model: body.get_str("model").unwrap_or(&expect.model).into(),
        created: None,
        candidates: vec![Candidate {
            index: 0,
            parts,
            finish: body.get_str("finish_reason").map(finish),
            stop_sequence: None,
            logprobs: logprobs.iter().filter_map(logprob).collect(),
            safety: None,
        }],
        usage: body.get("usage").and_then(usage),
        service_tier: None,
        fingerprint: None,
    })
}

fn block_part<'d>(block: &'d Node<'_>) -> Option<Part<'d>> {
    if let Some(text) = block.get_str("thinking") {
        return Some(Part::Thinking(Thinking {
            text: text.into(),
            ..Thinking::default()
        }));
    }
    block.get_str("text").map(Part::text)
}

fn tool_call<'d>(
    call: &'d Node<'_>,
    answer: &str,
    index: usize,
    expect: &'d Expect,
) -> Result<ToolCall<'d>, Undecodable> {
    let missing = || Undecodable(format!("message.tool_calls[{index}] has no function name"));
    let function = call.get("function").ok_or_else(missing)?;
    let name = function.get_str("name").ok_or_else(missing)?;
    let (name, kind) = free_text::tool(name, expect);
    let arguments = arguments(function.get("arguments"));
    Ok(ToolCall {
        id: call_id(call.get_str("id"), answer, index),
        name: name.into(),
        arguments: match kind {
            ToolCallKind::Function => arguments,
            ToolCallKind::Custom => free_text::whole(&arguments).into_owned().into(),
        },
        kind,
        signature: None,
        cache: None,
    })
}

/// The call's id, or one made from the answer's.
pub(super) fn call_id<'d>(given: Option<&'d str>, answer: &str, index: usize) -> Text<'d> {
    match given.filter(|id| !id.is_empty()) {
        Some(id) => id.into(),
        None => format!("call_{answer}_{index}").into(),
    }
}

/// Arguments are JSON text; an object, as some self-hosted servers write it, is taken as its text.
fn arguments<'d>(given: Option<&'d Node<'_>>) -> Text<'d> {
    match given {
        None => "{}".into(),
        Some(node) => match node.as_str() {
            Some("") => "{}".into(),
            Some(text) => text.into(),
            None => node.raw.into(),
        },
    }
}

/// What an answer's end is called.
pub(super) fn finish(word: &str) -> Finish<'_> {
    match word {
        "COMPLETE" => Finish::Stop,
        "STOP_SEQUENCE" => Finish::StopSequence,
        "MAX_TOKENS" => Finish::Length,
        "TOOL_CALL" => Finish::ToolCalls,
        "ERROR_LIMIT" => Finish::ContextWindow,
        "ERROR_TOXIC" => Finish::ContentFilter,
        "ERROR" | "TIMEOUT" => Finish::Error,
        other => Finish::Other(other.into()),
    }
}

/// The figures of a usage object: what the model read and wrote, or what is billed where only that is said; and what of it is
/// not billed.
pub(super) fn usage(usage: &Node<'_>) -> Option<Usage> {
    let side = |name: &str| {
        let side = usage.get(name)?;
        let input = side.get_u64("input_tokens");
        let output = side.get_u64("output_tokens");
        (input.is_some() || output.is_some()).then(|| (input.unwrap_or(0), output.unwrap_or(0)))
    };
    let billed = side("billed_units");
    let (input, output) = side("tokens").or(billed)?;
    let (paid_input, paid_output) = billed.unwrap_or((input, output));
    Some(Usage {
        input,
        output,
        cached: usage.get_u64("cached_tokens").unwrap_or(0).min(input),
        unbilled_input: input.saturating_sub(paid_input),
        unbilled_output: output.saturating_sub(paid_output),
        ..Usage::default()
    })
}

/// The billed side of the usage of a whole answer, or of a stream's `message-end`: input and output.
pub fn billed(document: &Node<'_>) -> Option<(u64, u64)> {
    let usage = document.get("usage").or_else(|| document.get("delta")?.get("usage"))?;
    let units = usage.get("billed_units")?;
    Some((
        units.get_u64("input_tokens")?,
        units.get_u64("output_tokens").unwrap_or(0),
    ))
}

/// One Cohere citation may rest on several sources; canonically that is one citation for each, at the same place. The first
/// keeps the whole as written.
pub(super) fn citations<'d>(cited: &'d Node<'_>, mut each: impl FnMut(Citation<'d>)) {
    let span = cited.get_u64("start").zip(cited.get_u64("end"));
    let sources = cited.get("sources").and_then(Node::as_array).unwrap_or_default();
    let mut raw = Some((Dialect::Cohere, cited.raw.into()));
    if sources.is_empty() {
        each(Citation {
            span,
            raw: raw.take(),
            ..Citation::default()
        });
    }
    for source in sources {
        let content = source.get("document").or_else(|| source.get("tool_output"));
        let member = |name: &str| content.and_then(|content| content.get_str(name)).map(Text::from);
        let id = source.get_str("id").unwrap_or_default();
        each(Citation {
            url: member("url"),
            title: member("title").or_else(|| (!id.is_empty()).then(|| id.into())),
            cited_text: member("text")
                .or_else(|| member("snippet"))
                .or_else(|| member("output")),
            span,
            // The ids this codec gives to a request's documents.
            document: id.strip_prefix("doc-").and_then(|number| number.parse().ok()),
            raw: raw.take(),
        });
    }
}

/// `{"text":"…","token_ids":[1,2],"logprobs":[-0.1,-0.2]}`: a chunk of several tokens is as likely as all of them together.
pub(super) fn logprob<'d>(item: &'d Node<'_>) -> Option<Logprob<'d>> {
    let each = item.get("logprobs")?.as_array()?;
    Some(Logprob {
        token: item.get_str("text")?.into(),
        logprob: each.iter().filter_map(Node::as_f64).sum(),
        top: Vec::new(),
    })
}
