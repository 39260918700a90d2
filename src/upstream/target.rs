//! A target: one deployment that can answer calls for a public model.

use super::site::Site;
use crate::balance::Breaker;
use crate::balance::breaker::Settings;
use crate::ids::TargetId;
use crate::prices::Prices;
use crate::telemetry::AttemptMeter;
use crate::units::Price;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Deadlines of one upstream call; defaults from the resilience design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// TCP and TLS set-up.
    pub connect: Duration,
    /// Request sent to response header.
    pub first_byte: Duration,
    /// Request sent to first event.
    pub first_event: Duration,
    /// Between two events, or two reads of a body.
    pub idle: Duration,
    /// All attempts together, not streamed.
    pub total: Duration,
    /// All attempts together, streamed.
    pub stream_total: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            first_event: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
            stream_total: Duration::from_secs(3600),
        }
    }
}

/// The provider's name of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelName {
    /// Always this.
    Fixed(String),
    /// What the client asked for: the target of a pattern.
    AsAsked,
    /// `before`, what the public name's `*` matched, `after`.
    Expanded(String, String),
}

impl ModelName {
    /// From its configured form.
    pub fn parse(configured: Option<&str>, public: &str) -> Self {
        match configured {
            None if public.contains('*') => Self::AsAsked,
            // Not what the client asked for: this target may be answering as another model's fallback.
            None => Self::Fixed(public.to_owned()),
            Some(name) => match name.split_once('*') {
                Some((before, after)) if public.contains('*') => Self::Expanded(before.to_owned(), after.to_owned()),
                _ => Self::Fixed(name.to_owned()),
            },
        }
    }

    /// Whether the client says what the provider is asked for.
    pub fn is_the_clients(&self) -> bool {
        !matches!(self, Self::Fixed(_))
    }

    /// For a request for `asked`, of which the public name's `*` matched `matched`.
    pub fn resolve<'a>(&'a self, asked: &'a str, matched: &str) -> Cow<'a, str> {
        match self {
            Self::Fixed(name) => Cow::Borrowed(name),
            Self::AsAsked => Cow::Borrowed(asked),
            Self::Expanded(before, after) => Cow::Owned(format!("{before}{matched}{after}")),
        }
    }
}

/// What stands behind a target.
#[derive(Debug, Clone)]
pub enum Backend {
    /// A provider reached over HTTP.
    Http(Arc<Site>),
    /// The embedded demo.
    Demo,
}

/// When a target is left alone, and how much it is asked at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BreakerTerms {
    /// Its thresholds.
    pub settings: Settings,
    /// Requests under way at most.
    pub max_in_flight: Option<u32>,
}

/// One deployment in a pool.
#[derive(Debug)]
pub struct Target {
    /// Its id, kept over reloads.
    pub id: TargetId,
    /// Its id as a response header.
    pub id_header: http::HeaderValue,
    /// What it is called at the provider.
    pub model: ModelName,
    /// Its deadlines.
    pub deadlines: Deadlines,
    /// Its provider, as configured.
    pub provider: Arc<str>,
    /// The `kind` of that, by which prices are found.
    pub vendor: &'static str,
    /// What it costs, where the configuration says so.
    pub price: Option<Arc<Price>>,
    /// What it costs by the price table; none where the client says which model it is.
    pub listed: Option<Prices>,
    /// How often it is asked for one token while its breaker is open.
    pub one_token: Option<Duration>,
    /// Where it is.
    pub backend: Backend,
    /// When it is left alone.
    pub terms: BreakerTerms,
    /// Counts its attempts.
    pub attempts: AttemptMeter,
    /// Its breaker, for showing.
    pub breaker: Arc<Breaker>,
}

impl Target {
    /// Where it is, unless it is the demo.
    pub fn site(&self) -> Option<&Arc<Site>> {
        match &self.backend {
            Backend::Http(site) => Some(site),
            Backend::Demo => None,
        }
    }

    /// Configured name of its provider.
    pub fn provider_name(&self) -> &str {
        &self.provider
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_expand_the_wildcard() {
        for (configured, public, asked, matched, expected) in [
            (Some("gpt-4o-2024"), "gpt-4o", "gpt-4o", "", "gpt-4o-2024"),
            (None, "gpt-*", "gpt-4o", "4o", "gpt-4o"),
            (None, "small", "big", "", "small"),
            (Some("*"), "ollama/*", "ollama/llama3", "llama3", "llama3"),
            (Some("gpt-*-eu"), "gpt-*", "gpt-4o", "4o", "gpt-4o-eu"),
            (Some("odd*name"), "plain", "plain", "", "odd*name"),
        ] {
            assert_eq!(ModelName::parse(configured, public).resolve(asked, matched), expected);
        }
    }
}
