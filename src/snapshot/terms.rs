//! The terms of a pool beyond choosing, as run: defaults filled in.

use crate::balance::breaker::Settings;
use crate::balance::queue::Queue;
use crate::balance::{Backoff, HedgeBudget};
use crate::config;
use crate::units::{Price, Rates};
use crate::upstream::Deadlines;
use http::header::HeaderName;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often and how soon a pool is asked again when nobody is left.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryTerms {
    /// Times.
    pub same_target: u32,
    /// The pause before each.
    pub backoff: Backoff,
}

/// When a second target is asked.
#[derive(Debug)]
pub struct HedgeTerms {
    /// Fixed time, instead of the target's own.
    pub after: Option<Duration>,
    /// The least.
    pub at_least: Duration,
    /// The most.
    pub at_most: Duration,
    /// What it may cost.
    pub budget: HedgeBudget,
}

/// What requests that go to one target have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticks {
    /// The beginning of the conversation.
    Prefix,
    /// A header that names a session; without it the beginning.
    Header(http::HeaderName),
    /// Who calls.
    Caller,
}

/// Waiting for a turn.
#[derive(Debug)]
pub struct LineTerms {
    /// Who waits; survives reloads.
    pub queue: Arc<Queue>,
    /// How many may; the queue has it when the snapshot runs.
    pub size: usize,
    /// The longest wait.
    pub wait: Duration,
    /// Wait before the fallbacks are asked.
    pub before_fallback: bool,
}

/// A provider's own settings before the top level's, before the defaults.
pub(super) fn breaker(provider: Option<&config::Breaker>, general: &config::Breaker) -> Settings {
    let own = provider.copied().unwrap_or_default();
    let default = Settings::default();
    let time = |own: Option<config::Interval>, general: Option<config::Interval>, default: Duration| {
        own.or(general).map_or(default, |interval| interval.as_duration())
    };
    Settings {
        failures: own.failures.or(general.failures).unwrap_or(default.failures),
        failure_percent: own
            .failure_percent
            .or(general.failure_percent)
            .unwrap_or(default.failure_percent),
        min_requests: own
            .min_requests
            .or(general.min_requests)
            .unwrap_or(default.min_requests),
        window: time(own.window, general.window, default.window),
        open: time(own.open, general.open, default.open),
        open_at_most: time(own.open_at_most, general.open_at_most, default.open_at_most),
    }
}

/// What a target can take.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    /// What it cannot do.
    pub lacks: Vec<config::Need>,
    /// The longest prompt it takes, in tokens.
    pub context_tokens: Option<u64>,
}

impl Fit {
    /// Whether it takes any request.
    pub fn is_any(&self) -> bool {
        self.lacks.is_empty() && self.context_tokens.is_none()
    }
}

/// Going on with broken streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContinuationTerms {
    /// Seams in one answer at most.
    pub seams: u32,
    /// Targets that do not go on by themselves are told to.
    pub instruct: bool,
}

/// Defaults filled in.
pub(super) fn continuation(continuation: config::Continuation) -> ContinuationTerms {
    ContinuationTerms {
        seams: continuation.seams.unwrap_or(1),
        instruct: continuation.by == config::ContinueBy::Instruction,
    }
}

/// Copies of requests to another pool.
#[derive(Debug)]
pub struct MirrorTerms {
    /// Index of the model whose pool gets them.
    pub to: usize,
    /// Share of the requests.
    pub percent: f64,
    /// Copies under way at one time.
    pub slots: Arc<Semaphore>,
}

pub(super) fn sticks(model: &config::Model) -> Sticks {
    let sticky = model.sticky.clone().unwrap_or_default();
    let header = sticky.header.as_deref().unwrap_or("x-session-id");
    match (sticky.by, HeaderName::from_bytes(header.as_bytes())) {
        (config::StickyBy::SessionHeader, Ok(header)) => Sticks::Header(header),
        (config::StickyBy::Key, _) => Sticks::Caller,
        _ => Sticks::Prefix,
    }
}

/// A target's own price. Tiers in the order of their prompts, whatever order they are written in.
pub fn price(price: &config::Price) -> Price {
    let or = |given: Option<config::UsdPerMillion>, else_: u64| given.map_or(else_, config::UsdPerMillion::nano);
    let (input, output) = (price.input.nano(), price.output.nano());
    let cache_write = or(price.cache_write, input);
    let base = Rates {
        input,
        output,
        cached: or(price.cached, input),
        cache_write,
        cache_write_1h: or(price.cache_write_1h, cache_write),
        reasoning: or(price.reasoning, output),
        audio_input: or(price.audio_input, input),
        audio_output: or(price.audio_output, output),
        request: price.request.map_or(0, config::Usd::nano),
        search: price.search.map_or(0, config::Usd::nano),
    };
    let tier = |tier: &config::PriceTier| {
        let (input, output) = (tier.input.nano(), tier.output.nano());
        let cache_write = or(tier.cache_write, input);
        let rates = Rates {
            cached: or(tier.cached, input),
            cache_write,
            cache_write_1h: or(tier.cache_write_1h, cache_write),
            request: base.request,
            search: base.search,
            ..Rates::plain(input, output)
        };
        (tier.above, rates)
    };
    let mut tiers: Vec<_> = price.tiers.iter().map(tier).collect();
    tiers.sort_by_key(|(above, _)| *above);
    Price {
        tiers: tiers.into(),
        ..Price::flat(base)
    }
}

/// How often a target is asked for one token, where that is its provider's health check.
pub(super) fn one_token(provider: &config::Provider) -> Option<Duration> {
    match &provider.health_check {
        Some(config::HealthCheck::OneToken { interval }) => {
            Some(interval.map_or(Duration::from_secs(10), |interval| interval.as_duration()))
        }
        _ => None,
    }
}

pub(super) fn retry(retry: &config::Retry) -> RetryTerms {
    let default = Backoff::default();
    RetryTerms {
        same_target: retry.same_target,
        backoff: Backoff {
            first: retry.backoff.map_or(default.first, |first| first.as_duration()),
            at_most: retry.backoff_at_most.map_or(default.at_most, |most| most.as_duration()),
        },
    }
}

pub(super) fn hedge(hedge: &config::Hedge) -> HedgeTerms {
    let time = |interval: Option<config::Interval>, default: u64| {
        interval.map_or(Duration::from_millis(default), |i| i.as_duration())
    };
    HedgeTerms {
        after: hedge.after.map(|after| after.as_duration()),
        at_least: time(hedge.at_least, 50),
        at_most: time(hedge.at_most, 30_000),
        budget: HedgeBudget::new(hedge.budget_percent.unwrap_or(5)),
    }
}

/// First byte and first event of models that think before they say anything.
const THINKING: Duration = Duration::from_secs(600);

/// Deadlines of a target: models known to think first have more time until their first byte, where nothing is configured.
pub(super) fn deadlines_of(model: &str, mut deadlines: Deadlines, blocks: &[&config::Timeouts]) -> Deadlines {
    if !thinks_first(model) {
        return deadlines;
    }
    if blocks.iter().all(|block| block.first_byte.is_none()) {
        deadlines.first_byte = THINKING;
    }
    if blocks.iter().all(|block| block.first_event.is_none()) {
        deadlines.first_event = THINKING;
    }
    deadlines
}

/// By the names their vendors give them (model lists of OpenAI, DeepSeek, Mistral, Alibaba, Moonshot, xAI; from memory, 2026-11).
fn thinks_first(model: &str) -> bool {
    const FAMILIES: [&str; 7] = ["o1", "o3", "o4", "gpt-5", "magistral", "qwq", "grok-4"];
    const PARTS: [&str; 4] = ["-thinking", "reasoner", "reasoning", "deepseek-r"];
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let of_family = |family: &&str| {
        let rest = name.strip_prefix(family);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    FAMILIES.iter().any(of_family) || PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_think_have_time_unless_it_is_configured() {
        for (model, thinks) in [
            ("o3-mini", true),
            ("openai/o1", true),
            ("gpt-5", true),
            ("gpt-5.1-codex", true),
            ("gpt-50", false),
            ("deepseek-reasoner", true),
            ("deepseek-r1", true),
            ("kimi-k2-thinking", true),
            ("gpt-4o", false),
            ("o365", false),
        ] {
            assert_eq!(thinks_first(model), thinks, "{model}");
        }
        let none = config::Timeouts::default();
        let some = config::Timeouts {
            first_byte: config::Interval::parse("20s").ok(),
            ..none
        };
        let given = deadlines_of("o3", Deadlines::default(), &[&none]);
        assert_eq!((given.first_byte, given.first_event), (THINKING, THINKING));
        let given = deadlines_of("o3", Deadlines::default(), &[&some, &none]);
        assert_eq!(
            (given.first_byte, given.first_event),
            (Deadlines::default().first_byte, THINKING)
        );
        assert_eq!(
            deadlines_of("gpt-4o", Deadlines::default(), &[&none]),
            Deadlines::default()
        );
    }
}

/// How many tokens a request is taken to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputTerms {
    /// No target of it writes more; `u64::MAX` where that is not known.
    pub cap: u64,
    /// What rates are asked for where the request does not say.
    pub likely: u64,
    /// What budgets are asked for where the request does not say.
    pub assumed: u64,
}

/// Output tokens assumed of a model of which nothing is known.
const ASSUMED_OUTPUT: u64 = 4096;

pub(super) fn output(config: &config::Config, model: &config::Model, cap: Option<u64>) -> OutputTerms {
    let everywhere = config.prices.assumed_output_tokens.unwrap_or(ASSUMED_OUTPUT);
    OutputTerms {
        cap: cap.unwrap_or(u64::MAX),
        likely: model
            .assumed_output_tokens
            .unwrap_or(everywhere)
            .min(cap.unwrap_or(u64::MAX)),
        assumed: model.assumed_output_tokens.or(cap).unwrap_or(everywhere),
    }
}
