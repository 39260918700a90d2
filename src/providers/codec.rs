//! The API a target speaks: canonical requests out, its answers in.
//!
//! A vendor ([`super::Provider`]) has addresses, credentials and statuses; a codec has a body format. Vertex has two codecs
//! (Gemini, Claude), Azure shares OpenAI's, a compatible vendor is OpenAI's chat codec with a row of quirks.

use crate::error::GatewayError;
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedRequest, EmbedResponse, Made, RerankRequest, RerankResponse, TokenCount};
use crate::wire::canonical::{Dropped, Event, Request, Response};
use crate::wire::json::Node;
use http::{HeaderName, HeaderValue};

/// How a request is to be encoded for one target.
#[derive(Debug, Clone, Copy)]
pub struct Aim<'a> {
    /// The target's own name of the model.
    pub model: &'a str,
    /// Ask for usage on streams, where that has to be asked for.
    pub stream_usage: bool,
}

/// A request made for a target, and what must be remembered to read its answer.
#[derive(Debug, Clone, Default)]
pub struct Encoding {
    /// JSON.
    pub body: Vec<u8>,
    /// Headers that this request needs besides the usual (`anthropic-beta`).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the target could not take, by name.
    pub dropped: Dropped,
    /// For reading the answer.
    pub expect: Expect,
}

impl From<Made> for Encoding {
    fn from(made: Made) -> Self {
        Self {
            body: made.body,
            dropped: made.dropped,
            ..Self::default()
        }
    }
}

/// Changed names that are looked through one by one.
const FEW: usize = 256;

/// What a decoder must know of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// The answer was asked for as a forced call of this tool: its arguments are the answer's text.
    pub structured_tool: Option<Box<str>>,
    /// Tools whose name had to be changed: at the target, at the client.
    pub renamed_tools: Vec<(Box<str>, Box<str>)>,
    /// The target's model: some answers do not name it.
    pub model: Box<str>,
}

impl Expect {
    /// The client's name of a tool.
    pub fn tool_name<'n>(&'n self, name: &'n str) -> &'n str {
        self.renamed(name).map_or(name, |(_, ours)| ours)
    }

    /// The tool that is called so at the target, if its name was changed.
    pub fn renamed(&self, name: &str) -> Option<&(Box<str>, Box<str>)> {
        if self.renamed_tools.len() <= FEW {
            return self.renamed_tools.iter().find(|(theirs, _)| **theirs == *name);
        }
        let place = self.renamed_tools.binary_search_by(|(theirs, _)| (**theirs).cmp(name));
        self.renamed_tools.get(place.ok()?)
    }

    /// Whether there are so few changed names that looking at all of them costs nothing.
    pub fn has_few(&self) -> bool {
        self.renamed_tools.len() <= FEW
    }

    /// Make it fit to be searched, however many tools there are: an answer may make very many calls.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.renamed_tools.sort_unstable();
        self
    }
}

/// Why a request cannot be made for a target at all (what can merely not be taken is [`Dropped`]).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The API has no such operation.
    #[error("this API does not offer the operation")]
    Operation,
    /// Nothing sensible would be left of it. The text is for the client: what and how to mend it.
    #[error("{message}")]
    Request {
        /// For the client.
        message: String,
        /// The field at fault, by its canonical name.
        param: Option<String>,
    },
}

impl Unfit {
    /// Nothing sensible would be left.
    pub fn request(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Request {
            message: message.into(),
            param: Some(param.into()),
        }
    }
}

impl From<Unfit> for GatewayError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Operation => {
                Self::invalid("unsupported_operation", "this model does not offer this operation").param("model")
            }
            Unfit::Request { message, param } => {
                let error = Self::invalid("unsupported_value", message);
                match param {
                    Some(param) => error.param(param),
                    None => error,
                }
            }
        }
    }
}

/// Why an answer cannot be understood. For the log: never shown to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub String);

impl From<crate::wire::json::Invalid> for Undecodable {
    fn from(invalid: crate::wire::json::Invalid) -> Self {
        Self(invalid.to_string())
    }
}

impl From<crate::wire::json::JsonError> for Undecodable {
    fn from(error: crate::wire::json::JsonError) -> Self {
        Self(format!("not JSON: {error}"))
    }
}

/// How a stream of this API is cut into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// `application/vnd.amazon.eventstream`.
    AwsEventStream,
}

/// One event off the wire, its frame removed.
#[derive(Debug, Clone, Copy)]
pub struct RawEvent<'a> {
    /// SSE `event:`, or AWS `:event-type` / `:exception-type`; empty when there is none.
    pub name: &'a str,
    /// AWS `:message-type` is `exception` or `error`.
    pub exception: bool,
    /// The data, as it came.
    pub data: &'a [u8],
    /// Deepest nesting accepted.
    pub max_depth: usize,
}

/// The API a target speaks.
pub trait Codec: Send + Sync {
    /// Which.
    fn dialect(&self) -> Dialect;

    /// How its streams are framed.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// A request for an answer.
    fn encode(&self, request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit>;

    /// Whether this model goes on with a last message of the assistant's, from its last letter and in the same answer. `false`
    /// where that is refused, taken for a turn that is over, or not known.
    fn continues(&self, _model: &str) -> bool {
        false
    }

    /// A whole answer.
    fn decode<'d>(&self, body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable>;

    /// A reader of one stream.
    fn decoder(&self, expect: Expect) -> Box<dyn StreamDecoder>;

    /// A request to count tokens.
    fn encode_count(&self, _request: &Request<'_>, _aim: Aim<'_>) -> Result<Made, Unfit> {
        Err(Unfit::Operation)
    }

    /// A count.
    fn decode_count(&self, _body: &Node<'_>) -> Result<TokenCount, Undecodable> {
        Err(Undecodable("not an operation of this API".to_owned()))
    }

    /// A request for vectors.
    fn encode_embed(&self, _request: &EmbedRequest<'_>, _aim: Aim<'_>) -> Result<Made, Unfit> {
        Err(Unfit::Operation)
    }

    /// Vectors.
    fn decode_embed<'d>(&self, _body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
        Err(Undecodable("not an operation of this API".to_owned()))
    }

    /// A request for an order.
    fn encode_rerank(&self, _request: &RerankRequest<'_>, _aim: Aim<'_>) -> Result<Made, Unfit> {
        Err(Unfit::Operation)
    }

    /// An order.
    fn decode_rerank<'d>(&self, _body: &'d Node<'_>) -> Result<RerankResponse<'d>, Undecodable> {
        Err(Undecodable("not an operation of this API".to_owned()))
    }
}

/// Where a decoder puts the canonical events of one raw event.
pub type Sink<'s> = dyn FnMut(Event<'_>) + 's;

/// Reads one stream. Fed one raw event after another; keeps the order that [`Event`] promises.
pub trait StreamDecoder: Send + Sync {
    /// The canonical events of this raw event, at once. Unknown kinds of events are skipped. An error the provider reports is
    /// [`Event::Error`], not `Err`; `Err` is bytes that are no event of this API.
    fn event(&mut self, raw: RawEvent<'_>, sink: &mut Sink<'_>) -> Result<(), Undecodable>;

    /// The stream has ended. Closes open parts, gives what was still owed (`Finish`, `Usage`, `End`), or `Err` when the API's
    /// end marker (or, for APIs without one, a finish reason) is missing. Idempotent after `End`.
    fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Undecodable>;
}
