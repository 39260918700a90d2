//! What the value of a member is, by its name and where it stands.
//!
//! One list for all dialects: none uses another's name for something else, but for the few that [`of_body`] tells apart. Sources:
//! OpenAI API reference, chat/create, completions/create, responses/create, embeddings/create, moderations/create; Anthropic,
//! messages/create; Gemini API reference, generateContent, countTokens, embedContent; Cohere, rerank; OpenRouter, reasoning tokens;
//! all read 2026-11.

use super::super::{Dialect, Operation};
use super::strings::{container_end, inside, number_end, read, string_end};
use super::{Channel, Document};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A body, or several.
    Body,
    /// Conversation: texts, but for members that are listed.
    Prose(Channel),
    /// An object whose names the client chose; what it holds is conversation.
    Named(Channel),
    /// Somebody's own data: every leaf is a text.
    Free(Channel),
    /// The same, where it is no string; that holds JSON, or is a text.
    Encoded(Channel),
    /// An identifier, if it looks like one.
    Identifier(Channel),
    /// An encoding, if it looks like one.
    Base64(Channel),
    /// The signature of what stands beside it, if it looks like one.
    Signature(Channel),
    /// An address of media; no text where it holds the media itself.
    Address(Channel),
    /// A schema: descriptions are texts.
    Schema,
    /// A description, where it is a string.
    Described,
    /// The tokens of a text.
    Tokens,
    /// No text, nor anything in it.
    Nothing,
}

impl Mode {
    /// Of what is in a container that is this. `None`: nothing in it is looked at.
    pub(super) fn inside(self, object: bool) -> Option<Self> {
        Some(match self {
            Self::Body => Self::Body,
            Self::Named(channel) if object => Self::Named(channel),
            Self::Prose(channel)
            | Self::Named(channel)
            | Self::Identifier(channel)
            | Self::Base64(channel)
            | Self::Signature(channel)
            | Self::Address(channel) => Self::Prose(channel),
            Self::Free(channel) | Self::Encoded(channel) => Self::Free(channel),
            Self::Schema | Self::Described => Self::Schema,
            Self::Tokens | Self::Nothing => return None,
        })
    }
}

/// What an object is, by what it says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// A call of a tool, whose name is an identifier.
    pub(super) calls: bool,
    /// A source of plain text: its `data` is no encoding.
    plain: bool,
    /// An image that was made: its `result` is an encoding.
    image: bool,
    /// What a model thinks.
    thinks: bool,
    /// With a signature.
    signed: bool,
    /// Whose reasoning it says it is. Only where that API reads it so: of a message that says of itself that it was thought, most
    /// readers take the text and leave the rest.
    reasoning: Option<Dialect>,
}

impl Shape {
    /// As far as nobody looked: nothing in it is an identifier or an encoding that could also be a text.
    pub(super) const UNKNOWN: Self = Self {
        calls: false,
        plain: true,
        image: false,
        thinks: false,
        signed: false,
        reasoning: None,
    };

    /// Of the object that begins at `at`.
    pub(super) fn of(bytes: &[u8], at: usize) -> Self {
        let mut shape = Self::default();
        let mut typed = false;
        let mut at = at + 1;
        let mut key = None;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let end = string_end(bytes, at);
                    let written = bytes.get(at..end).unwrap_or_default();
                    at = end;
                    match key.take() {
                        None => key = Some(read(written)),
                        Some(name) if name == "type" => {
                            if typed {
                                // Which one counts is the reader's.
                                return Self::UNKNOWN;
                            }
                            typed = true;
                            shape.typed(&read(written));
                        }
                        Some(name) => shape.signed |= name == "signature" && !inside(written).is_empty(),
                    }
                }
                b'{' | b'[' => {
                    at = container_end(bytes, at);
                    key = None;
                }
                b't' => {
                    shape.thinks |= key.take().is_some_and(|name| name == "thought");
                    at += "true".len();
                }
                b'}' => break,
                b'-' | b'0'..=b'9' => at = number_end(bytes, at),
                b',' => {
                    key = None;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        shape
    }

    fn typed(&mut self, kind: &str) {
        self.calls = kind.ends_with("tool_use") || kind.ends_with("_call") || kind == "mcp_approval_request";
        self.plain = kind == "text";
        self.image = kind == "image_generation_call";
        self.reasoning = match kind {
            "thinking" => Some(Dialect::Anthropic),
            "reasoning.text" => Some(Dialect::OpenAi),
            _ => None,
        };
        self.thinks |= matches!(kind, "thinking" | "reasoning" | "reasoning.text" | "reasoning.summary");
    }

    /// What its texts are, where they would be `outside`.
    pub(super) fn channel(self, outside: Channel, document: Document) -> Channel {
        match (outside, document) {
            (Channel::Text | Channel::Thinking, Document::Request(_, dialect))
                if self.signed && self.reasoning == Some(dialect) =>
            {
                Channel::Signed
            }
            (Channel::Text, _) if self.thinks => Channel::Thinking,
            _ => outside,
        }
    }
}

/// Whether what stands under this name in a call of a tool has a `name` of its own.
pub(super) fn names_a_tool(key: &str) -> bool {
    matches!(
        key,
        "function" | "function_call" | "functionCall" | "functionResponse" | "function_response" | "custom"
    )
}

/// Of a member of something in a conversation.
pub(super) fn of_prose(key: &str, shape: Shape, channel: Channel) -> Mode {
    let channel = match (channel, key) {
        // What is signed, and nothing beside it.
        (Channel::Signed, "thinking" | "text") => Channel::Signed,
        (Channel::Signed, _) => Channel::Thinking,
        _ => channel,
    };
    let thinking = if channel == Channel::Text {
        Channel::Thinking
    } else {
        channel
    };
    match key {
        "type"
        | "role"
        | "id"
        | "call_id"
        | "tool_call_id"
        | "tool_use_id"
        | "item_id"
        | "file_id"
        | "response_id"
        | "message_id"
        | "container_id"
        | "approval_request_id"
        | "vector_store_id"
        | "model"
        | "media_type"
        | "mimeType"
        | "mime_type"
        | "format"
        | "detail"
        | "status"
        | "object"
        | "ttl"
        | "language"
        | "outcome"
        | "phase"
        | "category"
        | "probability"
        | "finish_reason"
        | "native_finish_reason"
        | "finishReason"
        | "stop_reason" => Mode::Identifier(channel),
        "name" if shape.calls => Mode::Identifier(channel),
        "result" if shape.image => Mode::Base64(channel),
        "data" if shape.plain => Mode::Prose(channel),
        "signature" | "thoughtSignature" | "thought_signature" => Mode::Signature(channel),
        "data" | "file_data" | "b64_json" | "bytes" | "encrypted_content" | "encrypted_index" => Mode::Base64(channel),
        "url" | "uri" | "fileUri" | "file_uri" | "file_url" | "image_url" | "video_url" | "audio_url" | "image" => {
            Mode::Address(channel)
        }
        "arguments" | "input" => Mode::Encoded(Channel::Arguments),
        "args" => Mode::Free(Channel::Arguments),
        "response" | "env" | "attributes" => Mode::Free(channel),
        "variables" => Mode::Named(channel),
        "thinking" | "reasoning" | "reasoning_content" | "reasoning_details" => Mode::Prose(thinking),
        "logprobs" | "logprobsResult" => Mode::Tokens,
        _ => Mode::Prose(channel),
    }
}

/// Of a member of a schema, or of a tool.
pub(super) fn of_schema(key: &str) -> Mode {
    match key {
        "description" | "title" | "server_description" => Mode::Described,
        _ => Mode::Schema,
    }
}

/// Of a member of a body.
pub(super) fn of_body(key: &str, document: Document) -> Mode {
    match document {
        Document::Request(operation, dialect) => of_request(key, operation, dialect),
        Document::Answer(operation, dialect) => of_answer(key, operation, dialect),
    }
}

fn of_request(key: &str, operation: Operation, dialect: Dialect) -> Mode {
    match key {
        // Several of them, or one in another.
        "requests" | "generateContentRequest" | "generate_content_request" => Mode::Body,
        "tools" | "functions" | "response_format" | "generationConfig" | "generation_config" | "output_config"
        | "output_format" => Mode::Schema,
        "text" if dialect == Dialect::Responses => Mode::Schema,
        "reasoning" | "thinking" | "reasoning_effort" => Mode::Nothing,
        "audio" | "stop" | "stop_sequences" if operation != Operation::Rerank => Mode::Nothing,
        // How, where and for whom, in no words of theirs.
        "model"
        | "models"
        | "stream"
        | "stream_options"
        | "user"
        | "safety_identifier"
        | "metadata"
        | "labels"
        | "prompt_cache_key"
        | "prompt_cache_retention"
        | "service_tier"
        | "previous_response_id"
        | "conversation"
        | "cachedContent"
        | "cached_content"
        | "container"
        | "include"
        | "modalities"
        | "truncation"
        | "truncate"
        | "verbosity"
        | "logit_bias"
        | "encoding_format"
        | "input_type"
        | "embedding_types"
        | "taskType"
        | "task_type"
        | "speed"
        | "safetySettings"
        | "safety_settings"
        | "tool_choice"
        | "function_call"
        | "toolConfig"
        | "tool_config"
        | "web_search_options"
        | "plugins"
        | "provider"
        | "transforms"
        | "mcp_servers"
        | "cache_control"
        | "context_management"
        | "rank_fields" => Mode::Nothing,
        // Not what a tool is called with.
        "input" => Mode::Prose(Channel::Text),
        _ => of_prose(key, Shape::UNKNOWN, Channel::Text),
    }
}

fn of_answer(key: &str, operation: Operation, dialect: Dialect) -> Mode {
    match (operation, dialect, key) {
        (Operation::Embeddings | Operation::Moderations | Operation::CountTokens, ..) => Mode::Nothing,
        (
            ..,
            "id"
            | "object"
            | "model"
            | "created"
            | "usage"
            | "usageMetadata"
            | "modelVersion"
            | "responseId"
            | "createTime"
            | "system_fingerprint"
            | "service_tier"
            | "provider"
            | "request_id"
            | "billing"
            | "prompt_filter_results"
            | "type"
            | "role"
            | "stop_reason"
            | "stop_sequence"
            | "container"
            | "meta"
            | "x_groq",
        ) => Mode::Nothing,
        // What Responses repeats of the request.
        (
            _,
            Dialect::Responses,
            "instructions"
            | "tools"
            | "tool_choice"
            | "text"
            | "reasoning"
            | "metadata"
            | "prompt"
            | "user"
            | "safety_identifier"
            | "prompt_cache_key"
            | "previous_response_id"
            | "conversation"
            | "truncation"
            | "status",
        ) => Mode::Nothing,
        _ => of_prose(key, Shape::UNKNOWN, Channel::Text),
    }
}
