//! Client dialects: what one must do to be spoken by applications.
//!
//! A dialect reads a body into the canonical model and makes a [`ReplyWriter`] that turns the answer back, whole or event by
//! event. Both are pure. The same-dialect path uses neither.

use super::canonical::aux::{EmbedRequest, EmbedResponse, RerankRequest, RerankResponse, TokenCount};
use super::canonical::{Event, Request, Response};
use super::json::{Invalid, Node};
use super::{Call, Dialect, Operation, chat, gemini, messages, rerank, responses};
use crate::error::GatewayError;

/// What the gateway says about an answer, besides what the provider said.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// A fresh id: letters and digits, unique; dialects put their own prefix before it (`chatcmpl-`, `msg_`, `resp_`).
    pub id: String,
    /// Now, Unix seconds.
    pub created: u64,
    /// The model's name as the client asked for it: what the answer calls its model.
    pub model: String,
    /// Gemini: the stream is one JSON array instead of server-sent events.
    pub json_array: bool,
}

impl Reply {
    /// To this call, at this time (milliseconds since 1970), under a fresh id.
    pub fn to(call: &Call, now_ms: u64) -> Self {
        Self {
            id: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
            created: now_ms / 1000,
            model: call.envelope.model.clone(),
            json_array: call.json_array,
        }
    }
}

/// The dialect of a call's client.
pub fn of(call: &Call) -> &'static dyn ClientDialect {
    match (call.dialect, call.operation) {
        (Dialect::Cohere, _) => &rerank::Rerank,
        (Dialect::Anthropic, _) => &messages::Messages,
        (Dialect::Gemini, _) => &gemini::Gemini,
        (Dialect::Responses, _) => &responses::Responses,
        (_, Operation::Completions) => &chat::Completions,
        _ => &chat::Chat,
    }
}

/// A dialect that applications speak. Methods of operations it does not have keep their defaults.
pub trait ClientDialect: Send + Sync {
    /// Read a request for an answer. `stream` is what the envelope or the path said.
    fn read<'d>(&self, body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid>;

    /// What writes the answer to this request.
    fn writer(&self, request: &Request<'_>, reply: Reply) -> Box<dyn ReplyWriter>;

    /// Read a request to count tokens.
    fn read_count<'d>(&self, body: &'d Node<'_>) -> Result<Request<'d>, Invalid> {
        self.read(body, false)
    }

    /// Write a count.
    fn write_count(&self, _count: &TokenCount, _out: &mut Vec<u8>) {}

    /// Read a request for vectors.
    fn read_embed<'d>(&self, _body: &'d Node<'_>) -> Result<EmbedRequest<'d>, Invalid> {
        Err(Invalid::unsupported("is not an operation of this API"))
    }

    /// Write vectors.
    fn write_embed(
        &self,
        _request: &EmbedRequest<'_>,
        _response: &EmbedResponse<'_>,
        _reply: &Reply,
        _out: &mut Vec<u8>,
    ) {
    }

    /// Read a request for an order.
    fn read_rerank<'d>(&self, _body: &'d Node<'_>) -> Result<RerankRequest<'d>, Invalid> {
        Err(Invalid::unsupported("is not an operation of this API"))
    }

    /// Write an order.
    fn write_rerank(
        &self,
        _request: &RerankRequest<'_>,
        _response: &RerankResponse<'_>,
        _reply: &Reply,
        _out: &mut Vec<u8>,
    ) {
    }
}

/// Writes one answer in a client's dialect.
pub trait ReplyWriter: Send + Sync {
    /// The whole answer as one body.
    fn whole(&mut self, response: &Response<'_>, out: &mut Vec<u8>);

    /// What this event is for the client: none, one or several complete server-sent events (or array elements), written at
    /// once. [`Event::End`] writes the end marker, if the dialect has one; [`Event::Error`] is never given (the gateway
    /// calls [`Self::fail`]).
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>);

    /// The stream broke after it had begun: the dialect's in-band error and nothing that looks like an end.
    fn fail(&mut self, error: &GatewayError, out: &mut Vec<u8>);

    /// The client has had this event of the dialect as its provider wrote it, and what was written for it here is thrown away:
    /// take over the names and numbers in it, so that the stream can be gone on with. `data`: its JSON. Called after the
    /// canonical events of it were given to [`Self::event`].
    fn passed(&mut self, _data: &[u8], _max_depth: usize) {}

    /// From here on another target goes on with the answer: a comment, where the dialect's clients skip comments.
    fn seam(&mut self, number: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(b": cirque seam ");
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.extend_from_slice(b"\n\n");
    }
}
