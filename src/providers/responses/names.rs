//! Names and ids as this API takes them: letters, digits, `_` and `-`, at most 64.

use crate::wire::canonical::{Part, Request, Tool};
use std::borrow::Cow;
use std::collections::HashSet;

const LONGEST: usize = 64;

fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// FNV-1a: the same everywhere and always, so that a name is changed alike in every turn.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A call's id; one that is too long becomes another, the same for call and result.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    if id.len() <= LONGEST {
        return id.into();
    }
    format!("call_{:016x}", hash(id)).into()
}

/// A tool's name; one that does not fit keeps what of it does, and a hash that tells it from others.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(fits) {
        return name.into();
    }
    let kept: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(LONGEST - 17)
        .collect();
    format!("{kept}_{:016x}", hash(name)).into()
}

/// Every tool name of the request that has to be changed: the target's, the client's.
pub(super) fn renamed(request: &Request<'_>) -> Vec<(Box<str>, Box<str>)> {
    let offered = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function(function) => Some(function.name.as_ref()),
        Tool::Custom { name, .. } => Some(name.as_ref()),
        Tool::Builtin { .. } => None,
    });
    let called = request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .filter_map(|part| match part {
            Part::ToolCall(call) => Some(call.name.as_ref()),
            _ => None,
        });
    let mut known = HashSet::new();
    let changed = offered.chain(called).filter_map(|name| match tool_name(name) {
        Cow::Owned(theirs) => known.insert(name).then(|| (theirs.into(), name.into())),
        Cow::Borrowed(_) => None,
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_fit_are_changed_alike() {
        assert_eq!(tool_name("get_weather-2"), "get_weather-2");
        let changed = tool_name("mcp.server/übersetze");
        assert!(changed.starts_with("mcp_server__bersetze_") && changed.len() <= 64);
        assert_eq!(tool_name("mcp.server/übersetze"), changed);
        assert_ne!(tool_name("mcp server/übersetze"), changed);
        assert_eq!(tool_name(&"x".repeat(65)).len(), 64);
        assert_eq!(call_id("call_1"), "call_1");
        assert_eq!(call_id(&"y".repeat(99)).len(), 21);
    }
}
