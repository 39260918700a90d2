//! From the bytes that a client was sent to the canonical answer.
//!
//! A stream without its end marker, with an error in it or with anything that is no event of its API is [`Skip::Incomplete`] or
//! [`Skip::Unreadable`]: there is no answer to keep.

use crate::cache::ask::Skip;
use crate::cache::{Answer, Policy, form};
use crate::providers::anthropic::{AnthropicCodec, Variant};
use crate::providers::chat::{ChatCodec, PLAIN, TextDecoder};
use crate::providers::codec::{Codec, Expect, RawEvent, StreamDecoder};
use crate::providers::gemini::GeminiCodec;
use crate::providers::responses::ResponsesCodec;
use crate::units::Usage;
use crate::wire::canonical::{Fold, Response};
use crate::wire::gemini::JsonArrayReader;
use crate::wire::json::Node;
use crate::wire::sse::{self, SseReader};
use crate::wire::{Call, Dialect, Operation};
use bytes::Bytes;

/// What a client was sent, of a response with status 200.
#[derive(Debug, Clone, Copy)]
pub enum Sent<'a> {
    /// A body.
    Whole(&'a [u8]),
    /// A stream, cut anywhere.
    Stream(&'a [Bytes]),
}

/// What is kept of an answer. `candidates`: as many as were asked for ([`crate::cache::ask::Asked::candidates`]). `usage`: what
/// is known of it beside the answer, which may not say. `compress_above`: bytes.
pub fn keep(
    call: &Call,
    sent: Sent<'_>,
    candidates: u32,
    usage: Option<Usage>,
    policy: &Policy,
    compress_above: usize,
    max_depth: usize,
) -> Result<Answer, Skip> {
    let answer = match (call.operation, sent) {
        (Operation::Chat | Operation::Completions, _) => {
            let mut response = read(call, sent, max_depth)?;
            form::storable(&response, candidates, policy)?;
            response.usage = response.usage.or(usage);
            form::pack(&response, compress_above)
        }
        (operation, Sent::Whole(body)) => {
            Node::parse(body, max_depth)
                .ok()
                .filter(|body| body.as_object().is_some())
                // An error that came with status 200, of a provider whose errors nobody knows to be some.
                .filter(|body| body.get("error").is_none_or(|error| error.raw == "null"))
                .ok_or(Skip::Unreadable)?;
            form::pack_verbatim(call.dialect, operation, body, compress_above)
        }
        (_, Sent::Stream(_)) => return Err(Skip::Operation),
    };
    if answer.length as usize > policy.max_answer {
        return Err(Skip::TooLarge);
    }
    Ok(answer)
}

/// The canonical answer of what a client was sent, if that is complete.
pub fn read(call: &Call, sent: Sent<'_>, max_depth: usize) -> Result<Response<'static>, Skip> {
    match (sent, call.operation) {
        (Sent::Whole(body), Operation::Completions) => super::text::whole(body, max_depth),
        (Sent::Whole(body), _) => {
            let document = Node::parse(body, max_depth).map_err(|_| Skip::Unreadable)?;
            let expect = Expect::default();
            let response = codec(call.dialect)?.decode(&document, &expect);
            response
                .map(|response| response.to_static())
                .map_err(|_| Skip::Unreadable)
        }
        (Sent::Stream(chunks), operation) => {
            let decoder: Box<dyn StreamDecoder> = match operation {
                Operation::Completions => Box::<TextDecoder>::default(),
                _ => codec(call.dialect)?.decoder(Expect::default()),
            };
            stream(call, chunks, decoder, max_depth)
        }
    }
}

/// What reads the answers of a client's API.
pub(in crate::gateway) fn codec(dialect: Dialect) -> Result<Box<dyn Codec>, Skip> {
    Ok(match dialect {
        Dialect::OpenAi => Box::new(ChatCodec { quirks: &PLAIN }),
        Dialect::Responses => Box::new(ResponsesCodec),
        Dialect::Anthropic => Box::new(AnthropicCodec {
            variant: Variant::Direct,
        }),
        Dialect::Gemini => Box::new(GeminiCodec { vertex: false }),
        Dialect::Bedrock | Dialect::Cohere => return Err(Skip::Operation),
    })
}

/// A stream being read.
struct Stream {
    decoder: Box<dyn StreamDecoder>,
    fold: Fold,
    broken: bool,
    max_depth: usize,
}

impl Stream {
    fn event(&mut self, name: &[u8], data: &[u8]) {
        let raw = RawEvent {
            name: std::str::from_utf8(name).unwrap_or_default(),
            exception: false,
            data,
            max_depth: self.max_depth,
        };
        let fold = &mut self.fold;
        self.broken |= self.decoder.event(raw, &mut |event| fold.event(&event)).is_err();
    }

    /// `marked`: the API has an end marker, and without it there is no end.
    fn end(mut self, marked: bool) -> Result<Response<'static>, Skip> {
        let unmarked = marked && !self.fold.ended();
        let fold = &mut self.fold;
        let ended = self.decoder.finish(&mut |event| fold.event(&event)).is_ok();
        if self.broken || self.fold.disorder.is_some() {
            return Err(Skip::Unreadable);
        }
        if unmarked || !ended || !self.fold.ended() || self.fold.error.is_some() {
            return Err(Skip::Incomplete);
        }
        Ok(self.fold.into_response())
    }
}

fn stream(
    call: &Call,
    chunks: &[Bytes],
    decoder: Box<dyn StreamDecoder>,
    max_depth: usize,
) -> Result<Response<'static>, Skip> {
    let mut stream = Stream {
        decoder,
        fold: Fold::new(),
        broken: false,
        max_depth,
    };
    let total: usize = chunks.iter().map(Bytes::len).sum();
    if call.json_array {
        let mut reader = JsonArrayReader::new(total);
        for chunk in chunks {
            reader
                .push(chunk, |element| stream.event(b"", element))
                .map_err(|_| Skip::Unreadable)?;
        }
        if !reader.ended() {
            return Err(Skip::Incomplete);
        }
        return stream.end(false);
    }
    let mut reader = SseReader::new(total.max(1));
    let mut take = |batch: &[u8]| {
        for event in sse::events(batch) {
            if let Some(data) = &event.data {
                stream.event(event.name, data);
            }
        }
    };
    for chunk in chunks {
        reader.space().extend_from_slice(chunk);
        take(&reader.take().map_err(|_| Skip::Unreadable)?);
    }
    // An event that lacks its blank line was cut off, or is complete to a lenient reader: not to this one.
    if !reader.take_rest().trim_ascii().is_empty() {
        return Err(Skip::Incomplete);
    }
    stream.end(call.dialect != Dialect::Gemini)
}
