//! The APIs a body can be shaped in.

/// An API: of a client, of a target, or of a part that only it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions, with the legacy and auxiliary operations beside it (`/v1/…`), and every server that speaks it.
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini (AI Studio and Vertex).
    Gemini,
    /// Amazon Bedrock Converse. Not a client dialect.
    Bedrock,
    /// Cohere v2; of clients, only its rerank.
    Cohere,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OpenAi,
        Self::Responses,
        Self::Anthropic,
        Self::Gemini,
        Self::Bedrock,
        Self::Cohere,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }
}
