//! Quantities with their unit in the type.

/// A number of model tokens.
pub type Tokens = u64;

/// What one call used, as the provider reported it (or as counted locally, when it did not).
///
/// `input` includes `cached`, `cache_write` and `audio_input`; `output` includes `reasoning` and `audio_output`, as in
/// OpenAI's usage object. Vendors that count cached tokens beside their input figure are added up when they are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input: Tokens,
    /// Tokens of the answer, reasoning included.
    pub output: Tokens,
    /// Prompt tokens read from the provider's cache.
    pub cached: Tokens,
    /// Prompt tokens written to the provider's cache, all lifetimes.
    pub cache_write: Tokens,
    /// Of those, the ones kept for an hour.
    pub cache_write_1h: Tokens,
    /// Output tokens spent on reasoning.
    pub reasoning: Tokens,
    /// Prompt tokens that are audio.
    pub audio_input: Tokens,
    /// Output tokens that are audio.
    pub audio_output: Tokens,
}

impl Usage {
    /// Input and output.
    pub fn total(&self) -> Tokens {
        self.input.saturating_add(self.output)
    }

    /// Take the larger of each figure: streams report usage in pieces, and later pieces repeat or complete earlier ones.
    pub fn merge(&mut self, later: &Self) {
        for (mine, theirs) in [
            (&mut self.input, later.input),
            (&mut self.output, later.output),
            (&mut self.cached, later.cached),
            (&mut self.cache_write, later.cache_write),
            (&mut self.cache_write_1h, later.cache_write_1h),
            (&mut self.reasoning, later.reasoning),
            (&mut self.audio_input, later.audio_input),
            (&mut self.audio_output, later.audio_output),
        ] {
            *mine = (*mine).max(theirs);
        }
    }
}
