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

/// Money, in billionths of a US dollar. Exact: no float between a price and a sum.
pub type NanoUsd = u64;

/// What tokens cost, in nano-dollars per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of the prompt.
    pub input: NanoUsd,
    /// Of the answer.
    pub output: NanoUsd,
    /// Of what of the prompt was read from the provider's cache.
    pub cached: NanoUsd,
}

impl Price {
    /// What a call cost, rounded down to a nano-dollar.
    pub fn of(&self, usage: &Usage) -> NanoUsd {
        let cached = usage.cached.min(usage.input);
        let sum = u128::from(usage.input - cached) * u128::from(self.input)
            + u128::from(cached) * u128::from(self.cached)
            + u128::from(usage.output) * u128::from(self.output);
        u64::try_from(sum / 1_000_000).unwrap_or(u64::MAX)
    }

    /// One figure to compare targets by: a thousand tokens in, of which none is cached, and a quarter of that out.
    pub fn compared(&self) -> NanoUsd {
        self.input.saturating_add(self.output / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_exact() {
        let price = Price {
            input: 2_500_000_000,
            output: 10_000_000_000,
            cached: 1_250_000_000,
        };
        let usage = Usage {
            input: 1000,
            cached: 400,
            output: 10,
            ..Usage::default()
        };
        // 600 × 2500 + 400 × 1250 + 10 × 10000 nano-dollars.
        assert_eq!(price.of(&usage), 2_100_000);
        let absurd = Usage {
            input: u64::MAX,
            output: u64::MAX,
            cached: u64::MAX,
            ..Usage::default()
        };
        assert_eq!(price.of(&absurd), u64::MAX);
    }
}
