//! Why a request is left alone.

use super::Skip;
use crate::cache::{Policy, words};
use crate::wire::Call;
use crate::wire::canonical::{Media, Part, Request, Role, Source};
use crate::wire::json::Node;
use crate::wire::{Dialect, responses};

/// The temperature where none is given, in every API that is spoken.
const USUAL_TEMPERATURE: f64 = 1.0;

/// The first reason there is.
pub(super) fn raised(call: &Call, body: &Node<'_>, request: &Request<'_>, policy: &Policy) -> Result<(), Skip> {
    let temperature = request.sampling.temperature.unwrap_or(USUAL_TEMPERATURE);
    if temperature > policy.max_temperature {
        return Err(Skip::Temperature);
    }
    if stateful(call, body, request) {
        return Err(Skip::Stateful);
    }
    if !policy.tools && tools(body, request) {
        return Err(Skip::Tools);
    }
    if policy.time_bound && policy.personal {
        return Ok(());
    }
    let asker = request.messages.iter().rev().find(|message| message.role == Role::User);
    let parts = asker.map_or(&[][..], |message| &message.parts);
    for part in parts {
        let Part::Text { text, .. } = part else { continue };
        let found = words::found(text);
        if found.time && !policy.time_bound {
            return Err(Skip::TimeBound);
        }
        if found.person && !policy.personal {
            return Err(Skip::Personal);
        }
    }
    Ok(())
}

/// Whether a member is there and is not `false`.
fn set(body: &Node<'_>, key: &str) -> bool {
    body.get(key).is_some_and(|value| value.raw != "false")
}

fn stateful(call: &Call, body: &Node<'_>, request: &Request<'_>) -> bool {
    let members: &[&str] = match call.dialect {
        // Said to be kept: whoever says so goes on from it, or looks at it, at the provider.
        Dialect::OpenAi => &["store"],
        Dialect::Responses => &[
            "store",
            "background",
            "conversation",
            "previous_response_id",
            "prompt",
            "context_management",
        ],
        Dialect::Anthropic => &["container", "context_management"],
        Dialect::Gemini => &["cachedContent", "cached_content"],
        Dialect::Bedrock | Dialect::Cohere => &[],
    };
    members.iter().any(|key| set(body, key))
        || responses::needs_state(request)
        || request
            .messages
            .iter()
            .flat_map(|message| &message.parts)
            .any(kept_elsewhere)
}

/// A part that is a file at the vendor, which may be gone tomorrow or be another's.
fn kept_elsewhere(part: &Part<'_>) -> bool {
    match part {
        Part::Media(Media { source, .. }) => match source {
            Source::File { .. } => true,
            Source::Parts(parts) => parts.iter().any(kept_elsewhere),
            Source::Url(_) | Source::Base64(_) | Source::Text(_) => false,
        },
        Part::ToolResult(result) => result.parts.iter().any(kept_elsewhere),
        Part::Opaque { kind, .. } => kind.contains("container") || kind == "item_reference",
        Part::Text { .. } | Part::Refusal(_) | Part::Thinking(_) | Part::ToolCall(_) => false,
    }
}

fn tools(body: &Node<'_>, request: &Request<'_>) -> bool {
    // Providers that search or act without a tool being listed.
    let acting = [
        "web_search_options",
        "mcp_servers",
        "plugins",
        "search_parameters",
        "functions",
    ];
    let used = |part: &Part<'_>| matches!(part, Part::ToolCall(_) | Part::ToolResult(_) | Part::Opaque { .. });
    !request.tools.is_empty()
        || acting.iter().any(|key| body.get(key).is_some())
        || request.messages.iter().flat_map(|message| &message.parts).any(used)
}
