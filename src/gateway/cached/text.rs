//! A whole legacy completion, read: the one answer of a client's API that no codec reads, since no request is translated into it.
//!
//! ```json
//! {"id":"cmpl-…","object":"text_completion","created":1,"model":"…",
//!  "choices":[{"text":"…","index":0,"logprobs":null | {…},"finish_reason":"stop"}],"usage":{…}}
//! ```

use crate::cache::ask::Skip;
use crate::wire::canonical::{Candidate, Finish, Part, Response};
use crate::wire::json::Node;
use crate::wire::usage;

/// The answer.
pub(super) fn whole(body: &[u8], max_depth: usize) -> Result<Response<'static>, Skip> {
    let document = Node::parse(body, max_depth).map_err(|_| Skip::Unreadable)?;
    let choices = document.get("choices").and_then(Node::as_array);
    let candidates: Option<Vec<_>> = choices.ok_or(Skip::Unreadable)?.iter().map(candidate).collect();
    Ok(Response {
        id: document.get_str("id").unwrap_or_default().to_owned().into(),
        model: document.get_str("model").unwrap_or_default().to_owned().into(),
        created: document.get_u64("created"),
        candidates: candidates.ok_or(Skip::Unreadable)?,
        usage: document.get("usage").and_then(usage::from_node),
        service_tier: None,
        fingerprint: document
            .get_str("system_fingerprint")
            .map(|print| print.to_owned().into()),
    })
}

/// Logprobs would be lost: an answer that has them is not kept.
fn candidate(choice: &Node<'_>) -> Option<Candidate<'static>> {
    if choice.get("logprobs").is_some() {
        return None;
    }
    let text = choice.get_str("text")?;
    Some(Candidate {
        index: u32::try_from(choice.get_u64("index")?).ok()?,
        parts: vec![Part::text(text.to_owned())],
        finish: Some(match choice.get_str("finish_reason")? {
            "stop" => Finish::Stop,
            "length" => Finish::Length,
            "content_filter" => Finish::ContentFilter,
            other => Finish::Other(other.to_owned().into()),
        }),
        ..Candidate::default()
    })
}
