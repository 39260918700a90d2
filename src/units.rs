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
}

impl Price {
    /// Without tiers.
    pub fn flat(base: Rates) -> Self {
        Self {
            base,
            tiers: Box::default(),
        }
    }

    /// The rates of a call of so many input tokens.
    pub fn rates(&self, input: Tokens) -> &Rates {
        let tier = self.tiers.iter().rev().find(|(above, _)| input > *above);
        tier.map_or(&self.base, |(_, rates)| rates)
    }

    /// What a call cost, by class; each class rounded down to a nano-dollar.
    pub fn of(&self, usage: &Usage) -> Cost {
        let rates = self.rates(usage.input);
        let cached = usage.cached.min(usage.input);
        let rest = usage.input - cached;
        let written = usage.cache_write.min(rest);
        let written_1h = usage.cache_write_1h.min(written);
        let audio_input = usage.audio_input.min(rest - written);
        let reasoning = usage.reasoning.min(usage.output);
        let audio_output = usage.audio_output.min(usage.output - reasoning);
        Cost {
            input: times(rest - written - audio_input, rates.input),
            cached: times(cached, rates.cached),
            cache_write: times(written - written_1h, rates.cache_write)
                .saturating_add(times(written_1h, rates.cache_write_1h)),
            output: times(usage.output - reasoning - audio_output, rates.output),
            reasoning: times(reasoning, rates.reasoning),
            audio: times(audio_input, rates.audio_input).saturating_add(times(audio_output, rates.audio_output)),
            request: rates.request,
        }
    }

    /// The most that a call of so many tokens can cost, whatever their class: rounded up.
    pub fn at_most(&self, input: Tokens, output: Tokens) -> NanoUsd {
        let all = std::iter::once(&self.base).chain(self.tiers.iter().map(|(_, rates)| rates));
        let reached = self.tiers.iter().filter(|(above, _)| input > *above).count();
        all.take(reached + 1)
            .map(|rates| {
                let dearest_in = rates
                    .input
                    .max(rates.cache_write)
                    .max(rates.cache_write_1h)
                    .max(rates.audio_input)
                    .max(rates.cached);
                let dearest_out = rates.output.max(rates.reasoning).max(rates.audio_output);
                let sum = u128::from(input) * u128::from(dearest_in) + u128::from(output) * u128::from(dearest_out);
                u64::try_from(sum.div_ceil(1_000_000))
                    .unwrap_or(u64::MAX)
                    .saturating_add(rates.request)
            })
            .max()
            .unwrap_or(0)
    }

    /// One figure to compare targets by: a thousand tokens in, of which none is cached, and a quarter of that out.
    pub fn compared(&self) -> NanoUsd {
        self.base.input.saturating_add(self.base.output / 4)
    }
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
    /// The request itself.
    pub request: NanoUsd,
}

impl Cost {
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
mod tests {
    use super::*;

    #[test]
    fn costs_are_exact() {
        let price = Price::flat(Rates {
            cached: 1_250_000_000,
            ..Rates::plain(2_500_000_000, 10_000_000_000)
        });
        let usage = Usage {
            input: 1000,
            cached: 400,
            output: 10,
            ..Usage::default()
        };
        // 600 × 2500 + 400 × 1250 + 10 × 10000 nano-dollars.
        assert_eq!(price.of(&usage).total(), 2_100_000);
        let absurd = Usage {
            input: u64::MAX,
            output: u64::MAX,
            cached: u64::MAX,
            ..Usage::default()
        };
        assert_eq!(price.of(&absurd).total(), u64::MAX);
        assert_eq!(price.at_most(1000, 10), 2_600_000);
    }

    #[test]
    fn dollars_are_told_exactly() {
        assert_eq!(usd(0), "0");
        assert_eq!(usd(2_500_000_000), "2.5");
        assert_eq!(usd(1_234), "0.000001234");
        assert_eq!(usd(u64::MAX), "18446744073.709551615");
    }

    proptest::proptest! {
        /// Whatever a call turns out to be made of, it costs no more than what was reserved for it.
        #[test]
        fn no_call_costs_more_than_at_most(
            input in 0..2_000_000u64, output in 0..200_000u64, parts: [u64; 6], rates: [u32; 9], tier: [u32; 9], above in 0..1_000_000u64,
        ) {
            let made = |r: [u32; 9]| Rates {
                input: r[0].into(), output: r[1].into(), cached: r[2].into(), cache_write: r[3].into(), cache_write_1h: r[4].into(),
                reasoning: r[5].into(), audio_input: r[6].into(), audio_output: r[7].into(), request: r[8].into(),
            };
            let price = Price { base: made(rates), tiers: Box::new([(above, made(tier))]) };
            let of = |part: u64, whole: u64| part % (whole + 1);
            let usage = Usage {
                input, output,
                cached: of(parts[0], input), cache_write: of(parts[1], input), cache_write_1h: of(parts[2], input),
                reasoning: of(parts[3], output), audio_input: of(parts[4], input), audio_output: of(parts[5], output),
            };
            proptest::prop_assert!(price.of(&usage).total() <= price.at_most(input, output));
        }
    }
}
