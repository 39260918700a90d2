//! What a conversation is made of: messages and their parts.

use super::{Raw, Signature, Text};
use crate::wire::Dialect;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator of the model; the strongest instructions.
    System,
    /// The application's author (OpenAI); to others the same as system.
    Developer,
    /// The user; also carries tool results.
    User,
    /// The model.
    Assistant,
}

/// One turn. Tool results are parts of a user message; dialects with a `tool` role gather and scatter them.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    /// Who.
    pub role: Role,
    /// A name that tells participants apart (OpenAI `name`).
    pub name: Option<Text<'a>>,
    /// What was said, in order.
    pub parts: Vec<Part<'a>>,
}

/// A piece of a message or an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<'a> {
    /// Prose.
    Text {
        /// It.
        text: Text<'a>,
        /// A prompt-cache marker behind it.
        cache: Option<Cache>,
        /// What it relies on.
        citations: Vec<Citation<'a>>,
        /// Gemini: a thought signature on a text part.
        signature: Option<Signature<'a>>,
    },
    /// The model declines, in words (OpenAI `refusal`).
    Refusal(Text<'a>),
    /// An image, a sound, a film, a document.
    Media(Media<'a>),
    /// The model's reasoning.
    Thinking(Thinking<'a>),
    /// The model asks for a function to be run.
    ToolCall(ToolCall<'a>),
    /// What the function said.
    ToolResult(ToolResult<'a>),
    /// Something only this API knows (server tool use, search results, computer calls): the whole block as written.
    Opaque {
        /// Whose.
        dialect: Dialect,
        /// Its `type`, for naming it when it is dropped.
        kind: Text<'a>,
        /// It.
        raw: Raw<'a>,
    },
}

impl<'a> Part<'a> {
    /// Plain prose.
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::Text {
            text: text.into(),
            cache: None,
            citations: Vec::new(),
            signature: None,
        }
    }
}

/// A prompt-cache marker: everything up to here may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// The vendor's default lifetime (Anthropic: five minutes), nothing said.
    Default,
    /// Five minutes, said so.
    FiveMinutes,
    /// An hour.
    OneHour,
}

/// What a medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// A PDF, a text file, anything else with a name.
    Document,
}

/// Where its bytes are.
#[derive(Debug, Clone, PartialEq)]
pub enum Source<'a> {
    /// At an address (never fetched by the gateway). `data:` addresses are [`Source::Base64`].
    Url(Text<'a>),
    /// Here, in standard base64, checked by whoever read it ([`crate::wire::media::check_base64`]).
    Base64(Text<'a>),
    /// Uploaded to a vendor before; only that API can take it.
    File {
        /// Whose.
        dialect: Dialect,
        /// Its id or URI there.
        id: Text<'a>,
    },
    /// Plain text (Anthropic document source `text`).
    Text(Text<'a>),
    /// Ready-made parts (Anthropic document source `content`).
    Parts(Vec<Part<'a>>),
}

/// An image, a sound, a film, a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Media<'a> {
    /// What it is.
    pub kind: MediaKind,
    /// Where its bytes are.
    pub source: Source<'a>,
    /// `image/png`, `application/pdf` …; known for base64.
    pub media_type: Option<Text<'a>>,
    /// OpenAI image `detail`: `low`, `high`, `auto`.
    pub detail: Option<Text<'a>>,
    /// File name or title.
    pub title: Option<Text<'a>>,
    /// Anthropic document `context`.
    pub context: Option<Text<'a>>,
    /// Anthropic, Bedrock: answers shall cite this document.
    pub citations: Option<bool>,
    /// What is said in the sound, when the model made it.
    pub transcript: Option<Text<'a>>,
    /// A prompt-cache marker behind it.
    pub cache: Option<Cache>,
    /// Gemini: a thought signature on a media part.
    pub signature: Option<Signature<'a>>,
}

impl<'a> Media<'a> {
    /// With nothing else said.
    pub fn new(kind: MediaKind, source: Source<'a>, media_type: Option<Text<'a>>) -> Self {
        Self {
            kind,
            source,
            media_type,
            detail: None,
            title: None,
            context: None,
            citations: None,
            transcript: None,
            cache: None,
            signature: None,
        }
    }
}

/// The model's reasoning.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thinking<'a> {
    /// Readable text: the thoughts, or a summary of them. Empty when redacted.
    pub text: Text<'a>,
    /// Proof of origin that must come back unchanged with the next turn; for redacted reasoning, the whole of it.
    pub signature: Option<Signature<'a>>,
    /// The vendor shows no text, only `signature` (Anthropic `redacted_thinking`, OpenAI `encrypted_content` alone).
    pub redacted: bool,
    /// Its id at the vendor (OpenAI `rs_…`).
    pub id: Option<Text<'a>>,
}

/// Who runs a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ToolCallKind {
    /// A function with JSON arguments.
    #[default]
    Function,
    /// OpenAI custom tool: free text input.
    Custom,
}

/// The model asks for a function to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall<'a> {
    /// Ties the result to it. Never empty: a reader of a dialect without ids makes one (`call_<n>` unique in the
    /// document, or better from the answer's id).
    pub id: Text<'a>,
    /// The function.
    pub name: Text<'a>,
    /// JSON text of an object (`{}` when there are none); for [`ToolCallKind::Custom`] the free text itself. Models do write
    /// broken JSON: dialects whose wire form is an object must check, and carry broken text as `{"_raw": "…"}`.
    pub arguments: Text<'a>,
    /// Which sort.
    pub kind: ToolCallKind,
    /// Gemini: the thought signature on the call.
    pub signature: Option<Signature<'a>>,
    /// A prompt-cache marker behind it.
    pub cache: Option<Cache>,
}

/// What a function said.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult<'a> {
    /// The call it answers.
    pub call_id: Text<'a>,
    /// The function's name where the dialect gives it (Gemini); else found by [`super::Request::tool_name`].
    pub name: Option<Text<'a>>,
    /// Text, images, documents. A dialect whose results are JSON objects carries their JSON text as one text part.
    pub parts: Vec<Part<'a>>,
    /// The function failed.
    pub is_error: bool,
    /// It answers an OpenAI custom tool call.
    pub kind: ToolCallKind,
    /// A prompt-cache marker behind it.
    pub cache: Option<Cache>,
}

/// What a piece of an answer relies on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Citation<'a> {
    /// Web address.
    pub url: Option<Text<'a>>,
    /// Title of the page or document.
    pub title: Option<Text<'a>>,
    /// The words cited.
    pub cited_text: Option<Text<'a>>,
    /// Where in the answer's text part the claim stands, in characters: start, end (exclusive).
    pub span: Option<(u64, u64)>,
    /// Index of the document among those of the request.
    pub document: Option<u64>,
    /// As its own API writes it; that API gets this back.
    pub raw: Option<(Dialect, Raw<'a>)>,
}
