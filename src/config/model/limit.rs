//! Limits and budgets as written: what one tenant, key or model may use, and in which time.
//!
//! The same two blocks stand under organisations, teams, projects, users, keys, tags, models and providers; what they mean is in
//! `docs/limits.md` and `docs/budgets.md`. A request must find room in all that apply to it, all at once.

use crate::config::money::Usd;
use crate::config::scalars::Interval;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One limit. Exactly one of `requests`, `tokens`, `input_tokens`, `output_tokens` and `concurrent` is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Name in errors, headers and metrics of this limit. Default: made from what it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Requests per time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub requests: Option<u64>,
    /// Input and output tokens per time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_u64))]
    pub tokens: Option<u64>,
    /// Input tokens per time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_u64))]
    pub input_tokens: Option<u64>,
    /// Output tokens per time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_u64))]
    pub output_tokens: Option<u64>,
    /// Requests under way at one time; `per` is not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub concurrent: Option<u64>,
    /// In which time: any stretch of it, not one that begins on the clock. 1s to 24h. Default 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Interval>,
    /// Only requests for these public models count: names, or patterns with `*`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Counted apart for each of these. Default: one count for the whole of where the limit is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// What happens when Redis, which instances share counts through, does not answer. Default share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_outage: Option<OnOutage>,
}

/// What a limit or budget is counted apart for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Every public model.
    Model,
    /// Every user.
    User,
    /// Every key.
    Key,
}

/// What becomes of a shared count while its store cannot be asked, after what was leased before is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Each instance takes its share: the limit, divided by the instances there were.
    Share,
    /// Requests are refused.
    FailClosed,
    /// Requests pass, and are counted afterwards.
    FailOpen,
}

/// One budget: money in a window of time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Name in errors, alerts and metrics. Default: its period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// US dollars, as text: `"250.00"`.
    pub usd: Usd,
    /// When it begins anew, on the calendar of `time_zone`. Default month.
    #[serde(default)]
    pub period: Period,
    /// IANA time zone of the calendar, such as `Europe/Berlin`. Default UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Nothing is refused: it only alerts. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
    /// Shares of it, in percent, at which an alert is raised once in each window. Default 80 and 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_percent: Option<Vec<u32>>,
    /// Only what is spent on these public models counts: names, or patterns with `*`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Only what is spent at these providers counts. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Counted apart for each of these. Default: one count for the whole of where the budget is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// When it is used up, requests go to this public model instead of being refused; what they cost there counts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downgrade_to: Option<String>,
    /// What happens when Redis, which instances share counts through, does not answer. Default fail_closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_outage: Option<OnOutage>,
}

/// Calendar window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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
    #[default]
    Month,
    /// Never anew.
    Total,
}
