//! The smaller operations: embeddings, rerank, counting tokens.

use super::{Dropped, Raw, Text};
use crate::units::Usage;

/// A request for vectors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbedRequest<'a> {
    /// What to embed.
    pub inputs: Vec<EmbedInput<'a>>,
    /// Length of the vectors.
    pub dimensions: Option<u64>,
    /// The client wants base64 of little-endian f32 instead of numbers (OpenAI `encoding_format: base64`).
    pub base64: bool,
    /// What the vectors are for, in Cohere's words: `search_document`, `search_query`, `classification`, `clustering`; or
    /// any other word of the client's dialect.
    pub task: Option<Text<'a>>,
    /// Gemini `title`.
    pub title: Option<Text<'a>>,
    /// The end user.
    pub user: Option<Text<'a>>,
    /// Gemini: the client asked by `batchEmbedContents`, or OpenAI: by a list. Decides the shape of the answer.
    pub batch: bool,
    /// Members only their own API knows.
    pub extras: Vec<super::Extra<'a>>,
}

/// One thing to embed.
#[derive(Debug, Clone, PartialEq)]
pub enum EmbedInput<'a> {
    /// Text.
    Text(Text<'a>),
    /// Token ids, as written (OpenAI).
    Tokens(Raw<'a>),
}

/// Vectors, in the order of the inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbedResponse<'a> {
    /// The provider's name of the model.
    pub model: Text<'a>,
    /// One per input.
    pub vectors: Vec<Vector<'a>>,
    /// Tokens.
    pub usage: Option<Usage>,
}

/// One vector, as the provider wrote it.
#[derive(Debug, Clone, PartialEq)]
pub enum Vector<'a> {
    /// A JSON array of numbers.
    Numbers(Raw<'a>),
    /// Base64 of little-endian f32.
    Base64(Text<'a>),
}

/// A request to order documents by how well they answer a query (Cohere and Jina shape).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RerankRequest<'a> {
    /// The question.
    pub query: Text<'a>,
    /// What to order: text, and the document as written when it was an object.
    pub documents: Vec<(Text<'a>, Option<Raw<'a>>)>,
    /// How many to give back.
    pub top_n: Option<u64>,
    /// Give the documents back too.
    pub return_documents: Option<bool>,
    /// Cohere `max_tokens_per_doc`.
    pub max_tokens_per_doc: Option<u64>,
    /// Members only their own API knows.
    pub extras: Vec<super::Extra<'a>>,
}

/// The order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RerankResponse<'a> {
    /// The provider's id of it.
    pub id: Text<'a>,
    /// The provider's name of the model.
    pub model: Text<'a>,
    /// Index into the request's documents and score, best first.
    pub results: Vec<(u64, f64)>,
    /// Tokens, where the provider counts them.
    pub usage: Option<Usage>,
    /// Cohere: billed searches.
    pub search_units: Option<u64>,
}

/// What a count of tokens found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenCount {
    /// Tokens of the input.
    pub input: u64,
    /// Of them, read from the provider's cache.
    pub cached: Option<u64>,
}

/// A body made for a target, and what it could not take.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Made {
    /// JSON.
    pub body: Vec<u8>,
    /// By name.
    pub dropped: Dropped,
}
