//! What a request may take, and what it took.

use crate::units::{NanoUsd, Tokens};
use std::sync::Arc;

/// What a request may take, before it goes out.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Public model.
    pub model: &'a str,
    /// User, if one is known.
    pub user: Option<&'a str>,
    /// Virtual key by its name.
    pub key: Option<&'a str>,
    /// Providers that may answer: a rule of one of them counts the request until it is known who did.
    pub providers: &'a [Arc<str>],
    /// Input tokens, as is likely ([`super::Ratio::likely`]) or counted.
    pub input: Tokens,
    /// Output tokens: the most the request allows, times the answers it wants.
    pub output: Tokens,
    /// The most it can cost at the dearest provider, from the safe figure of input tokens.
    pub nano: NanoUsd,
    /// Ids of rules that refuse nothing this time: budgets that sent the request to a cheaper model, and count it on.
    pub overruled: &'a [Arc<str>],
}

/// What was used at one provider. A request that was tried at several has one of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent<'a> {
    /// Which; none: nobody was asked (an answer from the cache), and only rules that are for all providers count it.
    pub provider: Option<&'a str>,
    /// Input tokens.
    pub input: Tokens,
    /// Output tokens.
    pub output: Tokens,
    /// What it is billed at.
    pub nano: NanoUsd,
}

/// What a count of money was charged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// Id of the count.
    pub count: Arc<str>,
    /// When the window began in which it was reserved, in seconds since 1970; 0 for `total`.
    pub window: i64,
    /// Nano-dollars.
    pub nano: NanoUsd,
}
