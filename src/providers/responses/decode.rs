//! Whole answers, and the items that streams share with them.
//!
//! ```json
//! {"id":"resp_…","created_at":1,"status":"completed","incomplete_details":null,"error":null,"model":"…","output":[item],
//!  "service_tier":"default","usage":{…}}
//! ```
//! Missing members are forgiven. Items without a form of their own here travel as they were written.

use crate::providers::codec::{Expect, Undecodable};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Candidate, Finish, Logprob, Media, MediaKind, Part, Response, Signature, Source, Thinking, ToolCall, ToolCallKind,
};
use crate::wire::json::Node;
use crate::wire::media;
use crate::wire::responses::{citation, facts, joined};

pub(super) fn response<'d>(body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
    if body.as_object().is_none() {
        return Err(Undecodable("the answer is no object".to_owned()));
    }
    if let Some(error) = failure(body) {
        return Err(Undecodable(format!("the answer is an error: {}", error.0)));
    }
    let output = body
        .req("output", Node::array)
        .map_err(|invalid| Undecodable(invalid.to_string()))?;
    let mut candidate = Candidate::default();
    for item in output {
        let logprobs = &mut candidate.logprobs;
        item_parts(item, expect, logprobs, &mut candidate.parts);
    }
    candidate.finish = Some(finish(body, &candidate.parts)?);
    Ok(Response {
        id: body.get_str("id").unwrap_or_default().into(),
        model: body.get_str("model").unwrap_or(&expect.model).into(),
        created: created(body),
        candidates: vec![candidate],
        usage: facts::usage(body),
        service_tier: body.get_str("service_tier").map(Into::into),
        fingerprint: None,
    })
}

/// When it was made. Some servers write a float.
pub(super) fn created(body: &Node<'_>) -> Option<u64> {
    let at = body.get("created_at")?.as_f64()?;
    (0.0..9e15).contains(&at).then_some(at as u64)
}

/// The error a body holds: code and message.
pub(super) fn failure<'n>(body: &'n Node<'_>) -> Option<(&'n str, &'n str)> {
    let error = body.get("error");
    if let Some(text) = error.and_then(Node::as_str).filter(|text| !text.is_empty()) {
        return Some(("server_error", text));
    }
    let members = error.and_then(Node::as_object).filter(|members| !members.is_empty());
    let failed = matches!(body.get_str("status"), Some("failed" | "cancelled"));
    if members.is_none() && !failed {
        return None;
    }
    let said = |key: &str| error.and_then(|error| error.get_str(key));
    let code = said("code").or_else(|| said("type")).unwrap_or("server_error");
    Some((
        code,
        said("message").unwrap_or("the provider reports a failure without a reason"),
    ))
}

/// Why it ended. An answer that is not there yet cannot be given on.
fn finish<'d>(body: &'d Node<'_>, parts: &[Part<'_>]) -> Result<Finish<'d>, Undecodable> {
    match body.get_str("status") {
        Some("incomplete") => Ok(incomplete(body)),
        Some("queued" | "in_progress") => Err(Undecodable("the answer is not complete yet".to_owned())),
        _ => Ok(completed(
            parts.iter().any(|part| matches!(part, Part::ToolCall(_))),
            parts.iter().any(|part| matches!(part, Part::Refusal(_))),
        )),
    }
}

/// This API has no word for why a complete answer ended.
pub(super) fn completed(calls: bool, refuses: bool) -> Finish<'static> {
    match (calls, refuses) {
        (true, _) => Finish::ToolCalls,
        (false, true) => Finish::Refusal,
        (false, false) => Finish::Stop,
    }
}

/// Why an answer is incomplete.
pub(super) fn incomplete<'n>(body: &'n Node<'_>) -> Finish<'n> {
    let details = body.get("incomplete_details");
    match details.and_then(|details| details.get_str("reason")) {
        Some("max_output_tokens") | None => Finish::Length,
        Some("content_filter") => Finish::ContentFilter,
        Some(other) => Finish::Other(other.into()),
    }
}

/// The parts an item consists of.
pub(super) fn item_parts<'d>(
    item: &'d Node<'_>,
    expect: &'d Expect,
    logprobs: &mut Vec<Logprob<'d>>,
    into: &mut Vec<Part<'d>>,
) {
    match item.get_str("type") {
        Some("message") => {
            for content in item.get("content").and_then(Node::as_array).unwrap_or_default() {
                into.extend(said(content));
                logprobs.extend(tokens(content.get("logprobs")));
            }
        }
        Some("reasoning") => into.extend(thinking(item).map(Part::Thinking)),
        Some("function_call" | "custom_tool_call") => into.extend(call(item, expect).map(Part::ToolCall)),
        Some(_) => into.extend(opaque(item)),
        None => {}
    }
}

fn said<'d>(content: &'d Node<'_>) -> Option<Part<'d>> {
    if let Some(refusal) = content.get_str("refusal") {
        return Some(Part::Refusal(refusal.into()));
    }
    let text = content.get_str("text")?;
    let citations = content.get("annotations").and_then(Node::as_array).unwrap_or_default();
    Some(Part::Text {
        text: text.into(),
        cache: None,
        citations: citations.iter().map(citation).collect(),
        signature: None,
    })
}

/// Token likelihoods, as far as they can be read.
pub(super) fn tokens<'d>(list: Option<&'d Node<'_>>) -> impl Iterator<Item = Logprob<'d>> {
    fn pair<'d>(node: &'d Node<'_>) -> Option<(&'d str, f64)> {
        Some((node.get_str("token")?, node.get("logprob")?.as_f64()?))
    }
    let list = list.and_then(Node::as_array).unwrap_or_default();
    list.iter().filter_map(|node| {
        let (token, logprob) = pair(node)?;
        let top = node.get("top_logprobs").and_then(Node::as_array).unwrap_or_default();
        Some(Logprob {
            token: token.into(),
            logprob,
            top: top
                .iter()
                .filter_map(pair)
                .map(|(token, logprob)| (token.into(), logprob))
                .collect(),
        })
    })
}

/// The reasoning's text: what the model thought where a server shows it, else the summary.
pub(super) fn reasoning_texts<'d>(item: &'d Node<'_>) -> Vec<&'d str> {
    let texts = |key: &str| -> Vec<&'d str> {
        let list = item.get(key).and_then(Node::as_array).unwrap_or_default();
        list.iter().filter_map(|part| part.get_str("text")).collect()
    };
    let content = texts("content");
    if content.is_empty() { texts("summary") } else { content }
}

/// Nothing when it shows no text and gives nothing to send back: then it says only that the model thought.
fn thinking<'d>(item: &'d Node<'_>) -> Option<Thinking<'d>> {
    let text = joined(&reasoning_texts(item));
    let signature = proof(item);
    if text.is_empty() && signature.is_none() {
        return None;
    }
    Some(Thinking {
        redacted: text.is_empty(),
        text,
        signature,
        id: item.get_str("id").map(Into::into),
    })
}

/// What must come back with the reasoning.
pub(super) fn proof<'d>(item: &'d Node<'_>) -> Option<Signature<'d>> {
    let encrypted = item.get_str("encrypted_content").filter(|text| !text.is_empty())?;
    Some(Signature::new(Dialect::Responses, encrypted))
}

/// A call. Its item id stands in for a missing call id; one without any name is none.
pub(super) fn call<'d>(item: &'d Node<'_>, expect: &'d Expect) -> Option<ToolCall<'d>> {
    let custom = item.get_str("type") == Some("custom_tool_call");
    let id = item.get_str("call_id").filter(|id| !id.is_empty());
    let id = id.or_else(|| item.get_str("id").filter(|id| !id.is_empty()))?;
    let arguments = item.get_str(if custom { "input" } else { "arguments" });
    Some(ToolCall {
        id: id.into(),
        name: expect.tool_name(item.get_str("name")?).into(),
        arguments: arguments.unwrap_or_default().into(),
        kind: if custom {
            ToolCallKind::Custom
        } else {
            ToolCallKind::Function
        },
        signature: None,
        cache: None,
    })
}

/// A made picture is a medium to everyone; anything else only this API knows.
pub(super) fn opaque<'d>(item: &'d Node<'_>) -> Option<Part<'d>> {
    let kind = item.get_str("type")?;
    if kind == "image_generation_call"
        && let Some(data) = item.get_str("result").filter(|data| media::check_base64(data).is_ok())
    {
        let media_type = match item.get_str("output_format") {
            Some("jpeg") => "image/jpeg",
            Some("webp") => "image/webp",
            _ => "image/png",
        };
        let image = Media::new(MediaKind::Image, Source::Base64(data.into()), Some(media_type.into()));
        return Some(Part::Media(image));
    }
    Some(Part::Opaque {
        dialect: Dialect::Responses,
        kind: kind.into(),
        raw: item.raw.into(),
    })
}
