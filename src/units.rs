//! Quantities with their unit in the type.

/// A number of model tokens.
pub type Tokens = u64;

/// What one call used, as the provider reported it (or as counted locally, when it did not).
///
/// `input` includes `cached` and `cache_write`; `output` includes `reasoning`, as in OpenAI's usage object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input: Tokens,
    /// Tokens of the answer, reasoning included.
    pub output: Tokens,
    /// Prompt tokens read from the provider's cache.
    pub cached: Tokens,
    /// Output tokens spent on reasoning.
    pub reasoning: Tokens,
}
