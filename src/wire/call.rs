//! A call: which API operation, the body as it came, and the few members of it the gateway reads (the envelope).
//!
//! ```json
//! {"model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, …}
//! ```
//! Gemini names model and method in the path instead; see [`super::endpoint`].
//! Source: OpenAI API reference, chat/create, responses/create, completions/create, embeddings/create, moderations/create;
//! Anthropic API reference, messages/create; all read 2026-11.

mod bounds;
mod unseen;

pub use bounds::Bounds;
pub use unseen::{Searches, Unseen};

use super::Dialect;
use super::json::{self, JsonError, Kind, Member, Scan, Span};
use crate::error::GatewayError;
use bytes::Bytes;

/// An API operation whose body the gateway reads. What is asked, not in which dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An answer of a model: chat completions, responses, messages, generateContent.
    Chat,
    /// `POST /v1/completions`
    Completions,
    /// Vectors: embeddings, embedContent.
    Embeddings,
    /// `POST /v1/moderations`
    Moderations,
    /// How many tokens a request would be.
    CountTokens,
    /// Documents ordered by a query.
    Rerank,
}

impl Operation {
    /// All of them, in index order.
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Moderations,
        Self::CountTokens,
        Self::Rerank,
    ];

    /// OpenTelemetry-style name, for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderation",
            Self::CountTokens => "count_tokens",
            Self::Rerank => "rerank",
        }
    }

    /// Position in tables kept per operation.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether `"stream": true` means something here.
    pub fn streams(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }
}

/// The members of a request body that decide its way, and where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The public model name the client asked for.
    pub model: String,
    /// Where its value is in the body.
    pub model_at: Span,
    /// Where the body's opening brace is.
    pub brace_at: usize,
    /// The client asked for a stream.
    pub stream: bool,
    /// `stream_options`, when present: where its value is.
    pub stream_options_at: Option<Span>,
    /// Where the value of `stream_options.include_usage` is, when present.
    pub include_usage_at: Option<Span>,
    /// `stream_options` is an object with at least one member.
    pub stream_options_filled: bool,
    /// The client asked for usage on its stream.
    pub include_usage: bool,
    /// Model and stream stood in the path (Gemini), `model_at` is empty.
    pub in_path: bool,
    /// How much may be written, as far as the request says.
    pub bounds: Bounds,
}

/// Operation and body of a request, read once.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is asked.
    pub operation: Operation,
    /// In which dialect.
    pub dialect: Dialect,
    /// Gemini: the stream is wanted as one JSON array.
    pub json_array: bool,
    /// The body as the client sent it (inflated).
    pub body: Bytes,
    /// What was read from it.
    pub envelope: Envelope,
}

impl Call {
    /// Read the envelope of a body; errors say what is wrong and where.
    pub fn read(operation: Operation, body: Bytes, max_depth: usize) -> Result<Self, GatewayError> {
        Self::read_as(operation, Dialect::OpenAi, body, max_depth)
    }

    /// The same for a dialect whose model stands in the body.
    pub fn read_as(
        operation: Operation,
        dialect: Dialect,
        body: Bytes,
        max_depth: usize,
    ) -> Result<Self, GatewayError> {
        Reading::new(operation, dialect, max_depth).finish(body)
    }

    /// The same call with another body; fails when that cannot be read.
    pub fn edited(&self, body: Bytes, max_depth: usize) -> Result<Self, GatewayError> {
        if !self.envelope.in_path {
            return Self::read_as(self.operation, self.dialect, body, max_depth);
        }
        let given = Given {
            model: self.envelope.model.clone(),
            stream: self.envelope.stream,
            json_array: self.json_array,
        };
        Reading::given(self.operation, self.dialect, given, max_depth).finish(body)
    }

    /// Whether this call answers as a stream.
    pub fn streamed(&self) -> bool {
        self.envelope.stream
    }
}

/// A call whose body is still arriving.
#[derive(Debug)]
pub struct Reading {
    operation: Operation,
    dialect: Dialect,
    given: Option<Given>,
    max_depth: usize,
    scan: Scan,
    envelope: EnvelopeReader,
}

/// What the path said already.
#[derive(Debug, Clone)]
pub struct Given {
    /// The public model name.
    pub model: String,
    /// A stream is wanted.
    pub stream: bool,
    /// As one JSON array.
    pub json_array: bool,
}

impl Reading {
    /// Nothing read yet.
    pub fn new(operation: Operation, dialect: Dialect, max_depth: usize) -> Self {
        Self {
            operation,
            dialect,
            given: None,
            max_depth,
            scan: Scan::object(max_depth),
            envelope: EnvelopeReader::default(),
        }
    }

    /// Nothing read yet, but the path named model and method.
    pub fn given(operation: Operation, dialect: Dialect, given: Given, max_depth: usize) -> Self {
        Self {
            given: Some(given),
            ..Self::new(operation, dialect, max_depth)
        }
    }

    /// Look at what has arrived: `body` is all of it so far. A fault is reported by [`Self::finish`]: the rest is still to
    /// be taken in, so that the client reads an answer and not a broken connection.
    pub fn advance(&mut self, body: &[u8]) {
        let envelope = &mut self.envelope;
        let _ = self.scan.advance(body, |member| envelope.member(&member));
    }

    /// The whole body.
    pub fn finish(mut self, body: Bytes) -> Result<Call, GatewayError> {
        let envelope = &mut self.envelope;
        self.scan
            .finish(&body, |member| envelope.member(&member))
            .map_err(|error| bad_json(error, &body))?;
        let json_array = self.given.as_ref().is_some_and(|given| given.json_array);
        let envelope = match self.given {
            Some(given) => Envelope {
                brace_at: memchr::memchr(b'{', &body).unwrap_or(0),
                model: given.model,
                stream: given.stream,
                in_path: true,
                bounds: self.envelope.bounds()?,
                ..Envelope::default()
            },
            None => self
                .envelope
                .finish(self.operation, self.dialect, &body, self.max_depth)?,
        };
        Ok(Call {
            operation: self.operation,
            dialect: self.dialect,
            json_array,
            body,
            envelope,
        })
    }
}

fn bad_json(error: JsonError, body: &[u8]) -> GatewayError {
    if error.what == json::NOT_UTF8 {
        let text = format!("the body is not UTF-8: bad byte at offset {}", error.offset);
        return GatewayError::invalid("invalid_utf8", text);
    }
    let (line, column) = error.line_column(body);
    GatewayError::invalid(
        "invalid_json",
        format!(
            "the body is not valid JSON: {} (line {line}, column {column})",
            error.what
        ),
    )
}

#[derive(Debug, Default)]
struct EnvelopeReader {
    model: Option<(Kind, Span)>,
    stream: Option<(Kind, Span)>,
    stream_options: Option<(Kind, Span)>,
    bounds: Bounds,
    repeated: Option<&'static str>,
}

impl EnvelopeReader {
    fn member(&mut self, member: &Member<'_>) {
        for (name, slot) in [
            ("model", &mut self.model),
            ("stream", &mut self.stream),
            ("stream_options", &mut self.stream_options),
        ] {
            if member.is(name) {
                if slot.is_some() {
                    // Two readers of a repeated key may each take another one: the gateway would authorise one model
                    // and the provider run the other.
                    self.repeated = Some(name);
                }
                *slot = Some((member.kind, member.value.clone()));
                return;
            }
        }
        let bounds = &mut self.bounds;
        bounds.beyond.member(member);
        let (name, slot) = match () {
            () if member.is("max_tokens") => ("max_tokens", &mut bounds.max_tokens),
            () if member.is("max_completion_tokens") => ("max_completion_tokens", &mut bounds.max_output),
            () if member.is("max_output_tokens") => ("max_output_tokens", &mut bounds.max_output),
            () if member.is("n") => ("n", &mut bounds.n),
            () if member.is("best_of") => ("best_of", &mut bounds.best_of),
            () if member.is("generationConfig") => ("generationConfig", &mut bounds.generation.0),
            () if member.is("generation_config") => ("generation_config", &mut bounds.generation.1),
            () if member.is("prompt") => ("prompt", &mut bounds.prompt),
            () if member.is("service_tier") => ("service_tier", &mut bounds.tier),
            () if member.is("speed") => ("speed", &mut bounds.speed),
            () => return,
        };
        if slot.is_some() {
            self.repeated = Some(name);
        }
        *slot = Some(member.value.clone());
    }

    /// What was said of how much may be written: each once, since what is reserved must be what is run.
    fn bounds(&self) -> Result<Bounds, GatewayError> {
        match self.repeated {
            Some(name) if !["model", "stream", "stream_options"].contains(&name) => Err(given_twice(name)),
            _ => Ok(self.bounds.clone()),
        }
    }

    fn finish(
        self,
        operation: Operation,
        dialect: Dialect,
        body: &[u8],
        max_depth: usize,
    ) -> Result<Envelope, GatewayError> {
        if let Some(name) = self.repeated {
            return Err(given_twice(name));
        }
        let Some((kind, model_at)) = self.model else {
            return Err(GatewayError::invalid(
                "missing_required_parameter",
                "you must give a `model`; GET /v1/models lists them",
            )
            .param("model"));
        };
        let model = match kind {
            Kind::String => read_string(body, &model_at)?,
            _ => return Err(wrong_type("model", "a string")),
        };
        if model.is_empty() {
            return Err(
                GatewayError::invalid("invalid_value", "`model` is empty; GET /v1/models lists the models")
                    .param("model"),
            );
        }
        let stream = match self.stream {
            Some((Kind::Bool, at)) => body.get(at.start) == Some(&b't'),
            None | Some((Kind::Null, _)) => false,
            Some(_) => return Err(wrong_type("stream", "true or false")),
        };
        let brace_at = memchr::memchr(b'{', body).unwrap_or(0);
        let mut envelope = Envelope {
            model,
            model_at,
            brace_at,
            stream: stream && operation.streams(),
            bounds: self.bounds,
            ..Envelope::default()
        };
        if let (Some((kind, at)), Dialect::OpenAi) = (self.stream_options, dialect) {
            match kind {
                Kind::Object => read_stream_options(body, &at, max_depth, &mut envelope)?,
                Kind::Null => {}
                _ => return Err(wrong_type("stream_options", "an object")),
            }
            envelope.stream_options_at = Some(at);
        }
        Ok(envelope)
    }
}

fn read_string(body: &[u8], at: &Span) -> Result<String, GatewayError> {
    let raw = body.get(at.clone()).unwrap_or_default();
    serde_json::from_slice(raw).map_err(|_| {
        GatewayError::invalid("invalid_value", "`model` holds an escape that is not a character").param("model")
    })
}

fn read_stream_options(body: &[u8], at: &Span, max_depth: usize, envelope: &mut Envelope) -> Result<(), GatewayError> {
    let object = body.get(at.clone()).unwrap_or_default();
    let mut include_usage = None;
    let mut repeated = false;
    json::scan_object(object, max_depth, |member| {
        envelope.stream_options_filled = true;
        if member.is("include_usage") {
            repeated |= include_usage.is_some();
            include_usage = Some((member.kind, at.start + member.value.start..at.start + member.value.end));
        }
    })
    .map_err(|error| bad_json(error, object))?;
    if repeated {
        return Err(given_twice("stream_options.include_usage"));
    }
    match include_usage {
        Some((Kind::Bool, span)) => {
            envelope.include_usage = body.get(span.start) == Some(&b't');
            envelope.include_usage_at = Some(span);
        }
        Some((Kind::Null, span)) => envelope.include_usage_at = Some(span),
        Some(_) => return Err(wrong_type("stream_options.include_usage", "true or false")),
        None => {}
    }
    Ok(())
}

fn given_twice(param: &'static str) -> GatewayError {
    GatewayError::invalid("duplicate_field", format!("`{param}` is given twice; give it once")).param(param)
}

fn wrong_type(param: &'static str, wanted: &str) -> GatewayError {
    GatewayError::invalid("invalid_type", format!("`{param}` must be {wanted}")).param(param)
}

#[cfg(test)]
mod tests;
