//! Which answers are kept.

use crate::cache::Policy;
use crate::cache::ask::Skip;
use crate::wire::canonical::{Candidate, Finish, Part, Response, ToolCallKind};

/// Whether an answer is kept: complete, ended by itself, as many candidates as were asked for, each of which says something, and
/// no refusal, error or pause among them. Its length is judged where its bytes are.
pub fn storable(response: &Response<'_>, candidates: u32, policy: &Policy) -> Result<(), Skip> {
    let mut indexes: Vec<u32> = response.candidates.iter().map(|candidate| candidate.index).collect();
    indexes.sort_unstable();
    if !indexes.iter().copied().eq(0..candidates) {
        return Err(Skip::Incomplete);
    }
    response
        .candidates
        .iter()
        .try_for_each(|candidate| keepable(candidate, policy))
}

fn keepable(candidate: &Candidate<'_>, policy: &Policy) -> Result<(), Skip> {
    let calls = candidate.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    match &candidate.finish {
        None => return Err(Skip::Incomplete),
        Some(Finish::Stop | Finish::StopSequence) => {}
        Some(Finish::Length) if policy.length => {}
        Some(Finish::Length | Finish::ContextWindow) => return Err(Skip::Length),
        Some(Finish::ToolCalls) => {}
        Some(Finish::Refusal | Finish::ContentFilter) => return Err(Skip::Refused),
        Some(Finish::Pause | Finish::MalformedCall | Finish::Error | Finish::Other(_)) => return Err(Skip::Finish),
    }
    // Gemini ends a turn with calls by `STOP`, as others end one without.
    if (calls || candidate.finish == Some(Finish::ToolCalls)) && !policy.tool_calls {
        return Err(Skip::ToolCalls);
    }
    let mut says = false;
    for part in &candidate.parts {
        match part {
            Part::Text { text, .. } => says |= !text.trim().is_empty(),
            Part::Refusal(_) => return Err(Skip::Refused),
            Part::ToolCall(call) => {
                // Cut calls are not served to anybody.
                let whole = call.kind == ToolCallKind::Custom
                    || serde_json::from_str::<&serde_json::value::RawValue>(&call.arguments).is_ok();
                if !whole {
                    return Err(Skip::Incomplete);
                }
                says = true;
            }
            Part::Media(_) | Part::ToolResult(_) | Part::Opaque { .. } => says = true,
            Part::Thinking(_) => {}
        }
    }
    says.then_some(()).ok_or(Skip::Empty)
}
