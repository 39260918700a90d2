//! Who is told when something needs an operator, as written. Metrics and the event log say it in any case.

use crate::config::scalars::SecretRef;
use schemars::JsonSchema;
use serde::Deserialize;

/// Who is told.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// An address that alerts are sent to as JSON. Default: none.
    #[serde(default)]
    pub webhook: Option<Webhook>,
}

/// Where alerts are sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its URL, as `env:NAME` or `file:PATH`, for such addresses are secrets themselves: https, or http on this machine.
    pub url: SecretRef,
    /// What the alerts are signed with, as `env:NAME` or `file:PATH`, at least 32 characters.
    pub secret: SecretRef,
    /// Which kinds are sent. Default: all.
    #[serde(default)]
    pub kinds: Vec<AlertKind>,
}

/// What is alerted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A budget has reached a share it alerts at.
    BudgetShare,
    /// All of a budget is used.
    BudgetExhausted,
    /// A budget will be exceeded if things go on as they went.
    BudgetForecast,
    /// A target's breaker opened.
    BreakerOpened,
    /// Redis does not answer.
    RedisDown,
    /// Records of usage wait for the store.
    StoreBehind,
    /// Records of usage cannot be kept any more.
    LedgerFull,
}

impl AlertKind {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BudgetShare => "budget_share",
            Self::BudgetExhausted => "budget_exhausted",
            Self::BudgetForecast => "budget_forecast",
            Self::BreakerOpened => "breaker_opened",
            Self::RedisDown => "redis_down",
            Self::StoreBehind => "store_behind",
            Self::LedgerFull => "ledger_full",
        }
    }
}
