//! What a client asks of a model.

use super::{Cache, Message, Part, Raw, Text};
use crate::wire::Dialect;
use std::fmt::Write;

/// A request for an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request<'a> {
    /// The conversation in order, instructions included: leading system and developer messages are the system prompt.
    pub messages: Vec<Message<'a>>,
    /// What the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it must.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Several calls in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// Length and chance.
    pub sampling: Sampling<'a>,
    /// Shape of the answer's text.
    pub format: Format<'a>,
    /// How much to think.
    pub reasoning: Option<Reasoning<'a>>,
    /// OpenAI `verbosity`: `low`, `medium`, `high`.
    pub verbosity: Option<Text<'a>>,
    /// Wanted output besides text: `audio`, `image` (lower case). Empty: text only.
    pub modalities: Vec<Text<'a>>,
    /// OpenAI `audio`: voice and format, as written.
    pub audio: Option<Raw<'a>>,
    /// The end user, as the application names them (OpenAI `user`/`safety_identifier`, Anthropic `metadata.user_id`).
    pub user: Option<Text<'a>>,
    /// Free key and value pairs.
    pub metadata: Vec<(Text<'a>, Text<'a>)>,
    /// `auto`, `default`, `flex`, `priority`, `standard_only` …, as written.
    pub service_tier: Option<Text<'a>>,
    /// OpenAI `prompt_cache_key`.
    pub prompt_cache_key: Option<Text<'a>>,
    /// Keep the answer at the provider (OpenAI `store`).
    pub store: Option<bool>,
    /// Go on from an answer kept at the provider (Responses).
    pub previous_response_id: Option<Text<'a>>,
    /// The client asked for a stream.
    pub stream: bool,
    /// It asked for usage on the stream, or its dialect always has it.
    pub stream_usage: bool,
    /// A request-wide cache marker (Anthropic top-level `cache_control`).
    pub cache: Option<Cache>,
    /// Members only their own API knows.
    pub extras: Vec<Extra<'a>>,
}

/// A member only its own API knows (Gemini `safetySettings`, Anthropic `container`, unknown future ones).
#[derive(Debug, Clone, PartialEq)]
pub struct Extra<'a> {
    /// Whose.
    pub dialect: Dialect,
    /// Its key, with a dot for one nested level (`generationConfig.speechConfig`).
    pub key: Text<'a>,
    /// Its value.
    pub raw: Raw<'a>,
}

/// Length and chance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling<'a> {
    /// Most output tokens, reasoning included.
    pub max_tokens: Option<u64>,
    /// 0 to 2 (Anthropic: 0 to 1).
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// Most likely k.
    pub top_k: Option<u64>,
    /// −2 to 2.
    pub frequency_penalty: Option<f64>,
    /// −2 to 2.
    pub presence_penalty: Option<f64>,
    /// For repeatability.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<Text<'a>>,
    /// Number of answers.
    pub n: Option<u64>,
    /// Tell how likely each token was.
    pub logprobs: Option<bool>,
    /// And the likeliest others.
    pub top_logprobs: Option<u64>,
    /// OpenAI `logit_bias`, as written.
    pub logit_bias: Option<Raw<'a>>,
}

/// Something the model may call.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool<'a> {
    /// A function of the application's.
    Function(Function<'a>),
    /// OpenAI custom tool: free text, maybe with a grammar.
    Custom {
        /// Its name.
        name: Text<'a>,
        /// What it does.
        description: Option<Text<'a>>,
        /// Its `format` in the flat form of Responses: `{"type":"grammar","syntax":"lark","definition":"…"}` or
        /// `{"type":"text"}`. Chat completions nest the grammar one level deeper (`wire::chat::grammar`).
        format: Option<Raw<'a>>,
    },
    /// Something the provider runs.
    Builtin {
        /// Which, across vendors.
        kind: Builtin,
        /// Whose form it is written in.
        dialect: Dialect,
        /// Its `type` or key there.
        name: Text<'a>,
        /// The whole tool as written there.
        raw: Raw<'a>,
    },
}

/// A function of the application's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it does.
    pub description: Option<Text<'a>>,
    /// JSON Schema of its arguments.
    pub parameters: Option<Raw<'a>>,
    /// Arguments must follow the schema.
    pub strict: Option<bool>,
    /// A prompt-cache marker behind it.
    pub cache: Option<Cache>,
}

/// A tool the provider runs, as far as vendors have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// Search the web.
    WebSearch,
    /// Fetch a page.
    WebFetch,
    /// Run code in a sandbox.
    CodeExecution,
    /// Anything else.
    Other,
}

/// Whether the model must call something.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice<'a> {
    /// As it sees fit.
    Auto,
    /// It must not.
    None,
    /// It must, whichever.
    Required,
    /// This one.
    Function(Text<'a>),
    /// One of these; `required`: at least one.
    Allowed {
        /// Which.
        names: Vec<Text<'a>>,
        /// It must call one.
        required: bool,
    },
    /// A choice only its own API knows, as written.
    Opaque {
        /// Whose.
        dialect: Dialect,
        /// It.
        raw: Raw<'a>,
    },
}

/// Shape of the answer's text.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Format<'a> {
    /// Free.
    #[default]
    Text,
    /// Some JSON.
    Json,
    /// JSON that follows a schema.
    Schema {
        /// OpenAI's name for it.
        name: Option<Text<'a>>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// JSON Schema.
        schema: Raw<'a>,
        /// Follow it exactly.
        strict: Option<bool>,
    },
    /// A format only its own API knows (a grammar), as written.
    Opaque {
        /// Whose.
        dialect: Dialect,
        /// It.
        raw: Raw<'a>,
    },
}

/// How much to think, and what to show of it. Dialects say it by effort or by budget; see [`Reasoning::budget_for`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning<'a> {
    /// On, off, or not said.
    pub enabled: Option<bool>,
    /// By effort.
    pub effort: Option<Effort>,
    /// By tokens.
    pub budget: Option<u64>,
    /// The model decides how much (Anthropic `adaptive`, Gemini budget −1).
    pub dynamic: bool,
    /// Show the thoughts, or a summary of them.
    pub show: Option<bool>,
    /// OpenAI `summary`: `auto`, `concise`, `detailed`.
    pub summary: Option<Text<'a>>,
    /// The client wants what it needs to send the reasoning back (Responses `include: reasoning.encrypted_content`).
    pub encrypted: bool,
}

/// How hard to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// Not at all.
    None,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More.
    XHigh,
    /// All there is.
    Max,
}

impl Effort {
    /// From its name in any dialect.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Tokens to think with. Google's own table for OpenAI clients (ai.google.dev/gemini-api/docs/openai, "Thinking", read
    /// 2026-11): minimal and low 1 024, medium 8 192, high 24 576; the two above are ours.
    pub fn budget(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1024,
            Self::Medium => 8192,
            Self::High => 24_576,
            Self::XHigh => 32_768,
            Self::Max => 49_152,
        }
    }

    /// The effort nearest to a budget.
    pub fn from_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..=4096 => Self::Low,
            4097..=16_384 => Self::Medium,
            _ => Self::High,
        }
    }
}

impl Reasoning<'_> {
    /// Whether thinking is asked for; nothing when the client leaves it to the model.
    pub fn wanted(&self) -> Option<bool> {
        if self.enabled.is_some() {
            return self.enabled;
        }
        if self.effort == Some(Effort::None) || (self.budget == Some(0) && !self.dynamic) {
            return Some(false);
        }
        (self.effort.is_some() || self.budget.is_some() || self.dynamic).then_some(true)
    }

    /// Whether the client wants to see the thoughts: as it says, and if it says nothing, when it switched thinking on (in the
    /// dialects that have such a switch, thoughts come back with it).
    pub fn shown(&self) -> bool {
        self.show.unwrap_or(self.enabled == Some(true))
    }

    /// The budget in tokens, said or worked out from the effort.
    pub fn budget_for(&self) -> Option<u64> {
        self.budget.or_else(|| self.effort.map(Effort::budget))
    }

    /// The effort, said or worked out from the budget.
    pub fn effort_for(&self) -> Option<Effort> {
        self.effort.or_else(|| self.budget.map(Effort::from_budget))
    }
}

impl<'a> Request<'a> {
    /// The name of the function a call id belongs to.
    pub fn tool_name(&self, call_id: &str) -> Option<&str> {
        self.messages
            .iter()
            .rev()
            .flat_map(|m| &m.parts)
            .find_map(|part| match part {
                Part::ToolCall(call) if call.id == call_id => Some(call.name.as_ref()),
                _ => None,
            })
    }

    /// The functions offered.
    pub fn functions(&self) -> impl Iterator<Item = &Function<'a>> {
        self.tools.iter().filter_map(|tool| match tool {
            Tool::Function(function) => Some(function),
            _ => None,
        })
    }
}

/// What a target could not take, by name: `top_k`, `messages[2].content[0] (audio)`. Shown in `x-cirque-dropped`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    names: Vec<String>,
    more: usize,
}

impl Dropped {
    /// Most names kept: the header must stay a header.
    const MOST: usize = 32;

    /// Note one.
    pub fn push(&mut self, name: impl Into<String>) {
        let mut name = name.into();
        // It may hold what a client wrote, and goes into a header.
        name.retain(|c| c.is_ascii_graphic() || c == ' ');
        name.truncate(100);
        if self.names.contains(&name) {
            return;
        }
        if self.names.len() == Self::MOST {
            self.more += 1;
            return;
        }
        self.names.push(name);
    }

    /// Note it if it was given.
    pub fn given<T>(&mut self, name: &str, value: &Option<T>) {
        if value.is_some() {
            self.push(name);
        }
    }

    /// Nothing was dropped.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// As a header value.
    pub fn header(&self) -> String {
        let mut text = self.names.join(", ");
        if self.more > 0 {
            let _ = write!(text, ", and {} more", self.more);
        }
        text
    }
}
