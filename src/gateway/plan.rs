//! What to send to one target for a call, and how its answer is to be read.
//!
//! A native call (the client speaks the API that answers) is spliced and its answer passes. Any other is read into the
//! canonical model, written in the target's API, and its answer translated back. Made anew for every attempt: targets of one
//! pool may speak different APIs. Pure; nothing here waits.

mod continued;
pub mod guarded;

pub use self::continued::{Continued, continued, trail};

use super::live::Translation;
use crate::error::{ErrorKind, GatewayError};
use crate::providers::codec::{Aim, Codec, Encoding, Expect, Framing, Undecodable, Unfit};
use crate::providers::native::{self, EncodeOptions, Native};
use crate::providers::{Api, Asked, Body, Speaks};
use crate::units::Usage;
use crate::upstream::Site;
use crate::wire::canonical::{Dropped, Finish, Format, Part, Request, Response};
pub use crate::wire::client::of as client_of;
use crate::wire::client::{ClientDialect, Reply, ReplyWriter};
use crate::wire::json::{JsonError, Node};
use crate::wire::{Call, Dialect, Operation, responses};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;
use std::time::SystemTime;

/// Most JSON values of a request that is translated. A long conversation has some thousands; as a tree each takes many times
/// the two bytes that it may have in the body.
const MOST_VALUES: usize = 1 << 20;

/// What to send, and how to read the answer.
pub struct Plan {
    /// Path below the API root.
    pub path: Cow<'static, str>,
    /// The body.
    pub body: Body,
    /// Headers of this request only.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the target cannot take.
    pub dropped: Dropped,
    /// How to read the answer.
    pub answer: Answer,
}

impl Plan {
    /// The dialect of the target, if the call is translated.
    pub fn dialect(&self) -> Option<Dialect> {
        match &self.answer {
            Answer::Native { .. } => None,
            Answer::Translated(translated) => Some(translated.codec.dialect()),
        }
    }
}

/// How to read an answer.
pub enum Answer {
    /// As it is.
    Native {
        /// The usage chunk of the stream was asked for by us.
        withhold_usage: bool,
    },
    /// Through a codec.
    Translated(Translated),
}

/// An answer in another API than the client's.
pub struct Translated {
    codec: Speaks,
    client: &'static dyn ClientDialect,
    expect: Expect,
    /// Only for answers of a model.
    writer: Option<Box<dyn ReplyWriter>>,
    reply: Reply,
    /// The schema that the answer's text must follow, where the target itself does not see to it.
    schema: Option<String>,
}

/// A whole answer, translated.
pub struct Whole {
    /// For the client.
    pub body: Bytes,
    /// Tokens.
    pub usage: Option<Usage>,
    /// A schema, and the text that must follow it, to be checked before the answer is sent.
    pub check: Option<(String, String)>,
    /// A content filter left nothing of it.
    pub filtered: bool,
}

/// Why no plan could be made.
pub struct NoPlan {
    /// For the client.
    pub error: GatewayError,
    /// Whether another target may take what this one cannot.
    pub elsewhere: bool,
    /// The target's API has no such operation.
    pub unoffered: bool,
}

impl NoPlan {
    /// For a reason that lies in the request.
    fn because(error: GatewayError, elsewhere: bool) -> Self {
        Self {
            error,
            elsewhere,
            unoffered: false,
        }
    }
}

/// What decides how a call is planned, besides the call.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The target's own name of the model.
    pub model: &'a str,
    /// Deepest nesting of JSON.
    pub max_depth: usize,
    /// Conversations may hold parts of other vendors.
    pub mixed: bool,
    /// Refuse what the target cannot take.
    pub strict: bool,
}

fn asked<'a>(call: &Call, terms: Terms<'a>) -> Asked<'a> {
    Asked {
        operation: call.operation,
        client: call.dialect,
        model: terms.model,
        stream: call.streamed(),
        several: false,
    }
}

/// A plan by which the client's bytes pass; nothing when the call must be [`translated`].
pub fn native(call: &Call, site: &Site, terms: Terms<'_>) -> Option<Result<Plan, NoPlan>> {
    if climbs(terms.model) {
        return Some(Err(NoPlan::because(
            GatewayError::invalid("invalid_model", "a model's name may not have `.` or `..` as a segment")
                .param("model"),
            true,
        )));
    }
    let api = site.provider.api(asked(call, terms))?;
    let how = api.native.filter(|how| may_pass(*how, call, terms))?;
    let options = EncodeOptions {
        model: terms.model,
        stream_usage: site.stream_usage,
    };
    let encoded = native::encode(how, call, options);
    Some(Ok(Plan {
        path: api.path,
        body: encoded.body,
        headers: Vec::new(),
        dropped: Dropped::default(),
        answer: Answer::Native {
            withhold_usage: encoded.withhold_usage,
        },
    }))
}

/// A plan by which the call is read and written again. Its cost grows with the body.
pub fn translated(call: &Call, site: &Site, terms: Terms<'_>) -> Result<Plan, NoPlan> {
    let asked = asked(call, terms);
    let api = match call.operation {
        Operation::Completions => as_chat(site, asked),
        _ => site.provider.api(asked),
    };
    let api = api.ok_or_else(|| unfit(Unfit::Operation))?;
    let plan = translate(call, site, api, asked, terms)?;
    if terms.strict && !plan.dropped.is_empty() {
        let text = format!(
            "no target of this model takes: {}; leave it out, or ask the operator for a model without `strict`",
            plan.dropped.header()
        );
        let param = plan.dropped.names().first().cloned().unwrap_or_default();
        return Err(NoPlan::because(
            GatewayError::invalid("unsupported_parameter", text).param(param),
            true,
        ));
    }
    Ok(plan)
}

/// Where a model's name stands in the path, `..` would lead to another endpoint, under the gateway's credential.
fn climbs(model: &str) -> bool {
    model
        .split(['/', '\\', ';'])
        .any(|segment| matches!(segment, "." | ".."))
}

/// A legacy completion asked of a chat model.
fn as_chat(site: &Site, asked: Asked<'_>) -> Option<Api> {
    let chat = Asked {
        operation: Operation::Chat,
        ..asked
    };
    let api = (asked.operation == Operation::Completions).then(|| site.provider.api(chat))??;
    // Its body is another one than a chat client's.
    Some(Api { native: None, ..api })
}

/// Whether the client's bytes may reach the target: not when they hold what only this gateway understands.
fn may_pass(how: Native, call: &Call, terms: Terms<'_>) -> bool {
    let looked_at = terms.mixed || call.dialect != Dialect::OpenAi;
    !(looked_at && native::holds_foreign_parts(&call.body))
        && (how != Native::VertexClaude || native::can_be_vertex(call))
}

fn translate(call: &Call, site: &Site, api: Api, asked: Asked<'_>, terms: Terms<'_>) -> Result<Plan, NoPlan> {
    let document = Node::parse_up_to(&call.body, terms.max_depth, MOST_VALUES).map_err(unreadable)?;
    let client = client_of(call);
    let aim = Aim {
        model: terms.model,
        stream_usage: site.stream_usage,
    };
    let invalid = |error: crate::wire::json::Invalid| NoPlan::because(error.into(), false);
    let mut path = api.path;
    let (mut writer, mut wanted) = (None, None);
    let reply = reply(call);
    let encoding = match call.operation {
        Operation::Chat | Operation::Completions => {
            let mut request = client.read(&document, call.streamed()).map_err(invalid)?;
            stateless(call, &*api.codec, &request)?;
            writer = Some(client.writer(&request, reply.clone()));
            wanted = strict_schema(&request);
            own_tools(&*api.codec, &mut request);
            api.codec.encode(&request, aim).map_err(unfit)?
        }
        Operation::CountTokens => {
            let mut request = client.read_count(&document).map_err(invalid)?;
            own_tools(&*api.codec, &mut request);
            api.codec.encode_count(&request, aim).map_err(unfit)?.into()
        }
        Operation::Embeddings => {
            let request = client.read_embed(&document).map_err(invalid)?;
            let several = Asked {
                several: request.inputs.len() > 1,
                ..asked
            };
            path = site.provider.api(several).map_or(path, |api| api.path);
            api.codec.encode_embed(&request, aim).map_err(unfit)?.into()
        }
        Operation::Rerank => {
            let request = client.read_rerank(&document).map_err(invalid)?;
            api.codec.encode_rerank(&request, aim).map_err(unfit)?.into()
        }
        Operation::Moderations => return Err(unfit(Unfit::Operation)),
    };
    let Encoding {
        body,
        headers,
        dropped,
        expect,
    } = encoding;
    Ok(Plan {
        path,
        body: Body::whole(body.into()),
        headers,
        dropped,
        answer: Answer::Translated(Translated {
            codec: api.codec,
            client,
            schema: wanted.filter(|_| expect.structured_tool.is_some()),
            expect: expect.in_order(),
            writer,
            reply,
        }),
    })
}

/// A conversation that goes on from what a provider keeps can only be answered by an API that keeps it.
fn stateless(call: &Call, codec: &dyn Codec, request: &Request<'_>) -> Result<(), NoPlan> {
    if call.dialect != Dialect::Responses || codec.dialect() == Dialect::Responses || !responses::needs_state(request) {
        return Ok(());
    }
    let text = "this model's provider keeps no conversations: send the whole conversation in `input` instead of \
                `previous_response_id`, `conversation` or item references";
    Err(NoPlan::because(
        GatewayError::invalid("unsupported_state", text).param("previous_response_id"),
        true,
    ))
}

/// The tools of OpenAI's that the application runs are functions to everybody else.
fn own_tools(codec: &dyn Codec, request: &mut Request<'_>) {
    if codec.dialect() != Dialect::Responses {
        responses::as_functions(request);
    }
}

/// The schema that an answer must follow to the letter.
fn strict_schema(request: &Request<'_>) -> Option<String> {
    match &request.format {
        Format::Schema {
            schema,
            strict: Some(true),
            ..
        } => Some(schema.clone().into_owned()),
        _ => None,
    }
}

fn unfit(unfit: Unfit) -> NoPlan {
    NoPlan {
        unoffered: unfit == Unfit::Operation,
        ..NoPlan::because(unfit.into(), true)
    }
}

fn unreadable(error: JsonError) -> NoPlan {
    NoPlan::because(
        GatewayError::invalid("invalid_json", format!("the body cannot be read: {error}")),
        false,
    )
}

fn reply(call: &Call) -> Reply {
    let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ms = created.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Reply::to(call, now_ms)
}

impl Translated {
    /// Read every answer of this codec as the client of this call wants it: for answers made here.
    pub fn of(call: &Call, codec: Speaks, max_depth: usize) -> Result<Self, NoPlan> {
        let document = Node::parse_up_to(&call.body, max_depth, MOST_VALUES).map_err(unreadable)?;
        let client = client_of(call);
        let request = client
            .read(&document, call.streamed())
            .map_err(|error| NoPlan::because(error.into(), false))?;
        let reply = reply(call);
        Ok(Self {
            codec,
            client,
            expect: Expect::default(),
            writer: Some(client.writer(&request, reply.clone())),
            reply,
            schema: None,
        })
    }

    /// A whole answer, for the client.
    pub fn whole(mut self, call: &Call, body: &[u8], max_depth: usize) -> Result<Whole, Undecodable> {
        let document = Node::parse(body, max_depth)?;
        let mut out = Vec::with_capacity(body.len() + 256);
        let mut check = None;
        let mut filtered = false;
        let usage = match (call.operation, &mut self.writer) {
            (Operation::Chat | Operation::Completions, Some(writer)) => {
                let response = self.codec.decode(&document, &self.expect)?;
                filtered = is_filtered(&response);
                writer.whole(&response, &mut out);
                check = self
                    .schema
                    .take()
                    .and_then(|schema| Some((schema, finished_text(&response)?)));
                response.usage
            }
            _ => self.aside(call, &document, &mut out, max_depth)?,
        };
        Ok(Whole {
            body: out.into(),
            usage,
            check,
            filtered,
        })
    }

    /// The smaller operations: their answers are written with the request at hand.
    fn aside(
        &self,
        call: &Call,
        document: &Node<'_>,
        out: &mut Vec<u8>,
        max_depth: usize,
    ) -> Result<Option<Usage>, Undecodable> {
        let request = Node::parse(&call.body, max_depth)?;
        match call.operation {
            Operation::CountTokens => {
                let count = self.codec.decode_count(document)?;
                self.client.write_count(&count, out);
                Ok(None)
            }
            Operation::Embeddings => {
                let response = self.codec.decode_embed(document)?;
                let request = self.client.read_embed(&request)?;
                if response.vectors.len() != request.inputs.len() {
                    return Err(Undecodable("not one vector for each input".to_owned()));
                }
                self.client.write_embed(&request, &response, &self.reply, out);
                Ok(response.usage)
            }
            _ => {
                let response = self.codec.decode_rerank(document)?;
                let request = self.client.read_rerank(&request)?;
                let known = |(index, _): &(u64, f64)| (*index as usize) < request.documents.len();
                if !response.results.iter().all(known) {
                    return Err(Undecodable("an order of documents that were not given".to_owned()));
                }
                self.client.write_rerank(&request, &response, &self.reply, out);
                Ok(response.usage)
            }
        }
    }

    /// How the stream is framed.
    pub fn framing(&self) -> Framing {
        self.codec.framing()
    }

    /// A stream, for the client.
    pub fn stream(self) -> Option<Translation> {
        Some(Translation::new(self.codec.decoder(self.expect), self.writer?))
    }
}

/// Whether a content filter left nothing of an answer that came with status 200.
pub fn is_filtered(response: &Response<'_>) -> bool {
    let said = |part: &Part<'_>| match part {
        Part::Text { text, .. } => !text.trim().is_empty(),
        Part::Thinking(_) => false,
        _ => true,
    };
    response.candidates.first().is_some_and(|candidate| {
        matches!(candidate.finish, Some(Finish::ContentFilter)) && !candidate.parts.iter().any(said)
    })
}

/// The text of an answer that ended by itself: one cut short cannot follow a schema, and says so by its finish.
fn finished_text(response: &Response<'_>) -> Option<String> {
    let candidate = response.candidates.first()?;
    let text: String = candidate
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    (candidate.finish == Some(Finish::Stop)).then_some(text)
}

/// The text of a provider's error, in the client's dialect and with the provider's status.
pub fn refusal(call: &Call, native: bool, status: http::StatusCode, body: Bytes, request_id: &str) -> Bytes {
    use crate::wire::errors;
    if native && errors::is_presentable(call.dialect, &body) {
        return body;
    }
    let text = errors::foreign_message(&body)
        .unwrap_or_else(|| format!("the provider refused the request with status {}", status.as_u16()));
    let kind = match status.as_u16() {
        404 => ErrorKind::NotFound,
        413 => ErrorKind::PayloadTooLarge,
        _ => ErrorKind::InvalidRequest,
    };
    errors::body(
        call.dialect,
        &GatewayError::new(kind, text).code("provider_refused"),
        request_id,
    )
}
