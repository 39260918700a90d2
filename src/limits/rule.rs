//! A limit or budget of one scope, as run.
//!
//! Not how it is written (`config::model::limit`) and not what was used of it ([`super::Bank`]). The idea: whether a rule counts
//! a request is decided from names alone, without a lock.

use super::demand::Demand;
use crate::glob;
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::time::Duration;

/// A compiled limit or budget.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Stable over restarts and the same on all instances: made of scope, measure, window and filters, not of the amount, so
    /// that a changed amount goes on from what was used.
    pub id: Arc<str>,
    /// Where it is written.
    pub scope: Scope,
    /// As shown in errors, headers and alerts.
    pub name: Arc<str>,
    /// What is counted.
    pub measure: Measure,
    /// How much, in the unit of the measure.
    pub amount: u64,
    /// In which time; nothing for [`Measure::Concurrent`].
    pub window: Window,
    /// Only requests for these public models.
    pub models: Patterns,
    /// Only what these providers answer; empty: all.
    pub providers: Vec<Arc<str>>,
    /// Counted apart for each of these.
    pub each: Option<Each>,
    /// Refuses nothing.
    pub soft: bool,
    /// Percent at which an alert is raised once in each calendar window; empty: none, and none on the forecast.
    pub alerts: Vec<u32>,
    /// Public model to use instead when it is used up.
    pub downgrade_to: Option<Arc<str>>,
    /// When the exchange cannot be asked.
    pub on_outage: OnOutage,
}

/// Whom or what a rule is written for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Its kind.
    pub kind: ScopeKind,
    /// Its name in the configuration.
    pub name: Arc<str>,
}

/// Kinds of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKind {
    /// An organisation.
    Organisation,
    /// A team.
    Team,
    /// A project.
    Project,
    /// A user.
    User,
    /// A virtual key.
    Key,
    /// A tag: all callers that carry it.
    Tag,
    /// A public model.
    Model,
    /// A provider.
    Provider,
}

impl ScopeKind {
    /// As in ids and texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
            Self::Tag => "tag",
            Self::Model => "model",
            Self::Provider => "provider",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Requests.
    Requests,
    /// Input and output tokens.
    Tokens,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Requests under way at one time.
    Concurrent,
    /// Billionths of a US dollar.
    NanoUsd,
}

impl Measure {
    /// As in ids, names and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Concurrent => "concurrent",
            Self::NanoUsd => "usd",
        }
    }
}

/// In which time.
#[derive(Debug, Clone)]
pub enum Window {
    /// Now: what is under way.
    Now,
    /// Any stretch of this time.
    Sliding(Duration),
    /// From one moment of a calendar to the next.
    Calendar {
        /// Of which length.
        period: Period,
        /// On the clocks of which zone.
        zone: TimeZone,
    },
}

/// Length of a calendar window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From second 0.
    Minute,
    /// From minute 0.
    Hour,
    /// From midnight.
    Day,
    /// From midnight before Monday.
    Week,
    /// From midnight before the first.
    Month,
    /// Never anew.
    Total,
}

/// What a rule is counted apart for. Requests without one share a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Each {
    /// Every public model.
    Model,
    /// Every user.
    User,
    /// Every key.
    Key,
}

/// What becomes of a count while the exchange cannot be asked, once what was taken ahead is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOutage {
    /// What was left, divided by the instances there were.
    Share,
    /// Refuse.
    FailClosed,
    /// Let pass, report afterwards.
    FailOpen,
}

/// Names, or patterns with `*`; none: everything.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Box<[Box<str>]>);

impl Patterns {
    /// From what the configuration holds.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self(patterns.into_iter().map(|text| text.as_ref().into()).collect())
    }

    /// Whether it is one of them.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| glob::fits(pattern, name))
    }
}

impl Rule {
    /// Whether the request counts.
    pub(super) fn applies(&self, demand: &Demand<'_>) -> bool {
        self.models.matches(demand.model)
            && (self.providers.is_empty() || demand.providers.iter().any(|one| self.providers.contains(one)))
    }

    /// Whether what was used at this provider counts.
    pub(super) fn counts_at(&self, provider: Option<&str>) -> bool {
        self.providers.is_empty() || provider.is_some_and(|name| self.providers.iter().any(|one| **one == *name))
    }

    /// Which of its counts.
    pub(super) fn value<'a>(&self, demand: &Demand<'a>) -> Option<&'a str> {
        self.each.map(|each| match each {
            Each::Model => demand.model,
            Each::User => demand.user.unwrap_or_default(),
            Each::Key => demand.key.unwrap_or_default(),
        })
    }

    /// How much a request needs of it.
    pub(super) fn needs(&self, demand: &Demand<'_>) -> u64 {
        match self.measure {
            Measure::Requests | Measure::Concurrent => 1,
            Measure::Tokens => demand.input.saturating_add(demand.output),
            Measure::InputTokens => demand.input,
            Measure::OutputTokens => demand.output,
            Measure::NanoUsd => demand.nano,
        }
    }

    /// Its stretch, if it slides.
    pub(super) fn stretch(&self) -> Option<Duration> {
        match self.window {
            Window::Sliding(stretch) => Some(stretch),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_hold_names_and_what_is_around_stars() {
        let patterns = Patterns::new(["gpt-4o", "claude-*-latest"]);
        for (name, expected) in [
            ("gpt-4o", true),
            ("gpt-4o-mini", false),
            ("claude-x-latest", true),
            ("claude-latest", false),
            ("", false),
        ] {
            assert_eq!(patterns.matches(name), expected, "{name}");
        }
        assert!(Patterns::default().matches("anything"));
        assert!(!Patterns::new(["aba*aba"]).matches("aba"), "the ends may not overlap");
        // As many `*` as the configuration takes: a budget that counts nothing would be none.
        assert!(Patterns::new(["claude-*-4-*"]).matches("claude-opus-4-1"));
        assert!(!Patterns::new(["claude-*-4-*"]).matches("claude-opus-5"));
    }
}
