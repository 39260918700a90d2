//! What a client is sent in the place of an answer that a guardrail blocked: an answer of its dialect that a content filter stopped.
//!
//! Nothing of what was said is in it, only how many answers there were and what they took. Written as kept answers are
//! (`gateway::cached`): read back by the codec of the client's API, written by its writer.

use super::super::super::cached::{Sent, read};
use super::super::super::plan::client_of;
use crate::clock;
use crate::units::Usage;
use crate::wire::canonical::{Candidate, Finish, Request, Response};
use crate::wire::client::{Reply, ReplyWriter};
use crate::wire::json::Node;
use crate::wire::prose::{self, Document};
use crate::wire::{Call, Operation};
use bytes::Bytes;

/// In the place of this answer. `usage`: where it does not say.
pub(super) fn of(call: &Call, body: &Bytes, usage: Option<Usage>, max_depth: usize) -> Bytes {
    if !matches!(call.operation, Operation::Chat | Operation::Completions) {
        return emptied(call, body, max_depth);
    }
    // One that the codec cannot read was read well enough to block it.
    let mut response = read(call, Sent::Whole(body), max_depth).unwrap_or_default();
    response.usage = response.usage.or(usage);
    stop(&mut response);
    let mut out = Vec::with_capacity(512);
    writer(call, max_depth).whole(&response, &mut out);
    out.into()
}

fn stop(response: &mut Response<'_>) {
    if response.candidates.is_empty() {
        response.candidates.push(Candidate::default());
    }
    for candidate in &mut response.candidates {
        *candidate = Candidate {
            index: candidate.index,
            finish: Some(Finish::ContentFilter),
            ..Candidate::default()
        };
    }
}

/// As the request wants it, where that can be read; it need not be, for a target of its own dialect.
fn writer(call: &Call, max_depth: usize) -> Box<dyn ReplyWriter> {
    let client = client_of(call);
    let reply = Reply::to(call, clock::now_ms());
    let body = Node::parse(&call.body, max_depth).ok();
    match body.as_ref().and_then(|body| client.read(body, false).ok()) {
        Some(request) => client.writer(&request, reply),
        None => client.writer(&Request::default(), reply),
    }
}

/// An answer that has no way to say so: its texts are empty.
fn emptied(call: &Call, body: &Bytes, max_depth: usize) -> Bytes {
    let document = Document::Answer(call.operation, call.dialect);
    prose::rewrite(body, document, max_depth, &mut |_, _| Some(String::new())).unwrap_or_default()
}
