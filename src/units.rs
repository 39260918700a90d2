//! Quantities with their unit in the type.

/// A number of model tokens.
pub type Tokens = u64;

/// How a call was served, where vendors price that differently. What none of these names is priced as standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ServiceTier {
    /// As usual (`default`, `standard`, `on_demand`).
    #[default]
    Standard,
    /// Within a day (`batch`).
    Batch,
    /// Slower and cheaper (`flex`).
    Flex,
    /// Faster and dearer (`priority`, `fast`).
    Priority,
}

impl ServiceTier {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Batch, Self::Flex, Self::Priority];

    /// From a vendor's word for it.
    pub fn read(word: &str) -> Self {
        match word {
            "batch" => Self::Batch,
            "flex" => Self::Flex,
            "priority" | "fast" => Self::Priority,
            _ => Self::Standard,
        }
    }

    /// One word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}

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
    /// Of `input`, what the provider does not charge (Cohere: its own prompt template).
    pub unbilled_input: Tokens,
    /// Of `output`, the same.
    pub unbilled_output: Tokens,
    /// Web searches that the provider made and counts (Anthropic, Perplexity, OpenRouter).
    pub web_searches: u64,
    /// How it was served.
    pub tier: ServiceTier,
}

impl Usage {
    /// Input and output.
    pub fn total(&self) -> Tokens {
        self.input.saturating_add(self.output)
    }

    /// Add what another call used.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.input, other.input),
            (&mut self.output, other.output),
            (&mut self.cached, other.cached),
            (&mut self.cache_write, other.cache_write),
            (&mut self.cache_write_1h, other.cache_write_1h),
            (&mut self.reasoning, other.reasoning),
            (&mut self.audio_input, other.audio_input),
            (&mut self.audio_output, other.audio_output),
            (&mut self.unbilled_input, other.unbilled_input),
            (&mut self.unbilled_output, other.unbilled_output),
            (&mut self.web_searches, other.web_searches),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        if other.tier != ServiceTier::Standard {
            self.tier = other.tier;
        }
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
            (&mut self.unbilled_input, later.unbilled_input),
            (&mut self.unbilled_output, later.unbilled_output),
            (&mut self.web_searches, later.web_searches),
        ] {
            *mine = (*mine).max(theirs);
        }
        if later.tier != ServiceTier::Standard {
            self.tier = later.tier;
        }
    }
}

/// Money, in billionths of a US dollar. Exact: no float between a price and a sum.
pub type NanoUsd = u64;

/// Nano-dollars as dollars, exactly: `2.5`, `0.000001234`.
pub fn usd(nano: NanoUsd) -> String {
    let (whole, part) = (nano / 1_000_000_000, nano % 1_000_000_000);
    if part == 0 {
        return format!("{whole}");
    }
    let part = format!("{part:09}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

/// What tokens of each class cost, in nano-dollars per million, and what a request costs beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of the prompt.
    pub input: NanoUsd,
    /// Of the answer.
    pub output: NanoUsd,
    /// Of what of the prompt was read from the provider's cache.
    pub cached: NanoUsd,
    /// Of what of the prompt was written to the provider's cache for five minutes.
    pub cache_write: NanoUsd,
    /// For an hour.
    pub cache_write_1h: NanoUsd,
    /// Of reasoning.
    pub reasoning: NanoUsd,
    /// Of audio in the prompt.
    pub audio_input: NanoUsd,
    /// Of audio in the answer.
    pub audio_output: NanoUsd,
    /// Nano-dollars for the request itself.
    pub request: NanoUsd,
    /// Nano-dollars for one web search.
    pub search: NanoUsd,
}

impl Rates {
    /// Where the classes cost what their kind costs: cached and written tokens as input, reasoning as output.
    pub const fn plain(input: NanoUsd, output: NanoUsd) -> Self {
        Self {
            input,
            output,
            cached: input,
            cache_write: input,
            cache_write_1h: input,
            reasoning: output,
            audio_input: input,
            audio_output: output,
            request: 0,
            search: 0,
        }
    }

    /// A part of all of them, in hundredths of a percent; rounded down.
    #[must_use]
    pub fn times(&self, part: u32) -> Self {
        Self {
            input: scaled(self.input, part),
            output: scaled(self.output, part),
            cached: scaled(self.cached, part),
            cache_write: scaled(self.cache_write, part),
            cache_write_1h: scaled(self.cache_write_1h, part),
            reasoning: scaled(self.reasoning, part),
            audio_input: scaled(self.audio_input, part),
            audio_output: scaled(self.audio_output, part),
            request: scaled(self.request, part),
            search: scaled(self.search, part),
        }
    }

    /// The dearest class of input and of output tokens.
    fn dearest(&self) -> (NanoUsd, NanoUsd) {
        let written = self.cache_write.max(self.cache_write_1h);
        let input = self.input.max(self.cached).max(self.audio_input).max(written);
        (input, self.output.max(self.reasoning).max(self.audio_output))
    }
}

/// A part of a price, in hundredths of a percent, that is all of it.
const WHOLE: u32 = 10_000;

/// What tokens of other service tiers cost, in hundredths of a percent of what they cost as standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceRates {
    /// Of batches.
    pub batch: u32,
    /// Of flex.
    pub flex: u32,
    /// Of priority.
    pub priority: u32,
}

impl ServiceRates {
    /// All the same.
    pub const SAME: Self = Self {
        batch: WHOLE,
        flex: WHOLE,
        priority: WHOLE,
    };

    /// Of this one.
    pub const fn of(&self, tier: ServiceTier) -> u32 {
        match tier {
            ServiceTier::Standard => WHOLE,
            ServiceTier::Batch => self.batch,
            ServiceTier::Flex => self.flex,
            ServiceTier::Priority => self.priority,
        }
    }
}

/// What a model costs: rates, and other rates for long prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// What counts unless a tier does.
    pub base: Rates,
    /// From this many input tokens on (exclusive) the whole call costs these; ascending.
    pub tiers: Box<[(Tokens, Rates)]>,
    /// Of other service tiers: of tokens, not of requests and searches.
    pub service: ServiceRates,
}

impl Price {
    /// Without tiers.
    pub fn flat(base: Rates) -> Self {
        Self {
            base,
            tiers: Box::default(),
            service: ServiceRates::SAME,
        }
    }

    /// The rates of a call of so many input tokens.
    pub fn rates(&self, input: Tokens) -> &Rates {
        let tier = self.tiers.iter().rev().find(|(above, _)| input > *above);
        tier.map_or(&self.base, |(_, rates)| rates)
    }

    /// What a call cost, by class; each class rounded down to a nano-dollar.
    ///
    /// A token has one class: read from the cache, else written to it, else audio, else plain; reasoning, else audio, else
    /// plain.
    pub fn of(&self, usage: &Usage) -> Cost {
        let rates = self.rates(usage.input);
        let part = self.service.of(usage.tier);
        let times = |tokens, rate| times(tokens, scaled(rate, part));
        let input = usage.input.saturating_sub(usage.unbilled_input);
        let output = usage.output.saturating_sub(usage.unbilled_output);
        let cached = usage.cached.min(input);
        let rest = input - cached;
        let written = usage.cache_write.min(rest);
        let written_1h = usage.cache_write_1h.min(written);
        let audio_input = usage.audio_input.min(rest - written);
        let reasoning = usage.reasoning.min(output);
        let audio_output = usage.audio_output.min(output - reasoning);
        Cost {
            input: times(rest - written - audio_input, rates.input),
            cached: times(cached, rates.cached),
            cache_write: times(written - written_1h, rates.cache_write)
                .saturating_add(times(written_1h, rates.cache_write_1h)),
            output: times(output - reasoning - audio_output, rates.output),
            reasoning: times(reasoning, rates.reasoning),
            audio: times(audio_input, rates.audio_input).saturating_add(times(audio_output, rates.audio_output)),
            request: rates
                .request
                .saturating_add(usage.web_searches.saturating_mul(rates.search)),
        }
    }

    /// The most that a call of so many tokens can cost as standard, whatever their class: rounded up. Without web searches
    /// ([`Self::searches`]).
    pub fn at_most(&self, input: Tokens, output: Tokens) -> NanoUsd {
        self.at_most_as(ServiceTier::Standard, input, output)
    }

    /// The same, of a call that asks for this tier. Rates never fall below standard here: a tier that is asked for may not be
    /// granted.
    pub fn at_most_as(&self, tier: ServiceTier, input: Tokens, output: Tokens) -> NanoUsd {
        let all = std::iter::once(&self.base).chain(self.tiers.iter().map(|(_, rates)| rates));
        let reached = self.tiers.iter().filter(|(above, _)| input > *above).count();
        let part = self.service.of(tier).max(WHOLE);
        all.take(reached + 1)
            .map(|rates| {
                let (dearest_in, dearest_out) = rates.dearest();
                let (dearest_in, dearest_out) = (scaled(dearest_in, part), scaled(dearest_out, part));
                let of = |tokens: Tokens, rate: NanoUsd| u128::from(tokens) * u128::from(rate);
                let sum = of(input, dearest_in).saturating_add(of(output, dearest_out));
                u64::try_from(sum.div_ceil(1_000_000))
                    .unwrap_or(u64::MAX)
                    .saturating_add(rates.request)
            })
            .max()
            .unwrap_or(0)
    }

    /// The most that so many web searches can cost.
    pub fn searches(&self, number: u64) -> NanoUsd {
        let all = self.tiers.iter().map(|(_, rates)| rates.search);
        number.saturating_mul(all.fold(self.base.search, NanoUsd::max))
    }

    /// One figure to compare targets by: a thousand tokens in, of which none is cached, and a quarter of that out.
    pub fn compared(&self) -> NanoUsd {
        self.base.input.saturating_add(self.base.output / 4)
    }
}

/// A part of a rate, in hundredths of a percent.
fn scaled(rate: NanoUsd, part: u32) -> NanoUsd {
    if part == WHOLE {
        return rate;
    }
    let nano = u128::from(rate) * u128::from(part) / u128::from(WHOLE);
    u64::try_from(nano).unwrap_or(u64::MAX)
}

fn times(tokens: Tokens, per_million: NanoUsd) -> NanoUsd {
    let nano = u128::from(tokens) * u128::from(per_million) / 1_000_000;
    u64::try_from(nano).unwrap_or(u64::MAX)
}

/// What a call cost, by class, in nano-dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Plain input.
    pub input: NanoUsd,
    /// Input read from the provider's cache.
    pub cached: NanoUsd,
    /// Input written to it.
    pub cache_write: NanoUsd,
    /// Plain output.
    pub output: NanoUsd,
    /// Reasoning.
    pub reasoning: NanoUsd,
    /// Audio, both ways.
    pub audio: NanoUsd,
    /// The request itself, and the web searches made for it.
    pub request: NanoUsd,
}

impl Cost {
    /// Add what another call cost.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.input, other.input),
            (&mut self.cached, other.cached),
            (&mut self.cache_write, other.cache_write),
            (&mut self.output, other.output),
            (&mut self.reasoning, other.reasoning),
            (&mut self.audio, other.audio),
            (&mut self.request, other.request),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// The sum.
    pub fn total(&self) -> NanoUsd {
        [
            self.cached,
            self.cache_write,
            self.output,
            self.reasoning,
            self.audio,
            self.request,
        ]
        .into_iter()
        .fold(self.input, NanoUsd::saturating_add)
    }
}

#[cfg(test)]
mod tests;
