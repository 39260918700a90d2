//! What a native stream needs so that its answer can be judged: the decoder of its API, and where it may have to change a
//! writer of its client's dialect.
//!
//! Not for translated streams, which have both. A body that passes unread may hold what this gateway does not understand; its
//! answer is judged all the same, so such a stream is written as the answer to a request of which only the envelope is known.

use super::super::cached;
use super::super::live::Translation;
use super::{MOST_VALUES, Terms, asked, client_of, reply};
use crate::providers::chat::TextDecoder;
use crate::providers::codec::{Expect, StreamDecoder};
use crate::upstream::Site;
use crate::wire::canonical::Request;
use crate::wire::json::Node;
use crate::wire::{Call, Operation};

/// What reads a native stream of this call; `site`: whose it is, if it is somebody's.
pub fn decoder(call: &Call, site: Option<&Site>, terms: Terms<'_>) -> Option<Box<dyn StreamDecoder>> {
    if call.operation == Operation::Completions {
        return Some(Box::new(TextDecoder::default()));
    }
    let api = site.and_then(|site| site.provider.api(asked(call, terms)));
    match api {
        Some(api) => Some(api.codec.decoder(Expect::default())),
        None => Some(cached::codec(call.dialect).ok()?.decoder(Expect::default())),
    }
}

/// What reads it and writes it anew. Costs a reading of the body.
pub fn through(call: &Call, site: Option<&Site>, terms: Terms<'_>) -> Option<Translation> {
    let decoder = decoder(call, site, terms)?;
    let client = client_of(call);
    let document = Node::parse_up_to(&call.body, terms.max_depth, MOST_VALUES).ok();
    let request = document.as_ref().and_then(|document| client.read(document, true).ok());
    let request = request.unwrap_or_else(|| Request {
        stream: true,
        stream_usage: call.envelope.include_usage,
        ..Request::default()
    });
    Some(Translation::new(decoder, client.writer(&request, reply(call))))
}
