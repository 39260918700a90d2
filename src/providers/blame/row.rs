//! One row of the blame table: what an error must look like, and what it means then.

use super::facts::Facts;
use super::{Blame, Reason, pattern};
use std::time::Duration;

/// Rows of one vendor, or of one API that several speak.
#[derive(Debug)]
pub struct Section {
    /// Its heading in docs/blame.md.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the page"))]
    pub title: &'static str,
    /// Where the vendor describes its errors, and what else the rows are from.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the page"))]
    pub source: &'static str,
    /// In order; the first that fits decides.
    pub rows: &'static [Row],
}

/// Which statuses.
#[derive(Debug, Clone, Copy)]
pub enum Statuses {
    /// Whatever it is: the code or message says enough.
    Any,
    /// One of these.
    Of(&'static [u16]),
    /// From, to.
    Range(u16, u16),
}

/// What an error must look like (all of it), and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The status is one of these.
    pub statuses: Statuses,
    /// One of these is among the codes; empty: any.
    pub codes: &'static [&'static str],
    /// One of these [`pattern`]s is the message; empty: any.
    pub says: &'static [&'static str],
    /// Whose fault it is.
    pub blame: Blame,
    /// What exactly.
    pub reason: Option<Reason>,
    /// Leave it alone at least this long.
    pub cool: Option<Duration>,
}

impl Row {
    /// Whether an error is of this row.
    pub fn fits(&self, status: u16, facts: &Facts) -> bool {
        let status = match self.statuses {
            Statuses::Any => true,
            Statuses::Of(list) => list.contains(&status),
            Statuses::Range(from, to) => (from..=to).contains(&status),
        };
        let code = || self.codes.is_empty() || facts.codes.iter().any(|code| self.codes.contains(&code.as_str()));
        let says = |text: &String| self.says.iter().any(|wanted| pattern::fits(wanted, text));
        status && code() && (self.says.is_empty() || facts.messages.iter().any(says))
    }

    /// With one of these statuses.
    pub const fn at(mut self, statuses: &'static [u16]) -> Self {
        self.statuses = Statuses::Of(statuses);
        self
    }

    /// With a status from … to.
    pub const fn within(mut self, from: u16, to: u16) -> Self {
        self.statuses = Statuses::Range(from, to);
        self
    }

    /// With one of these codes.
    pub const fn code(mut self, codes: &'static [&'static str]) -> Self {
        self.codes = codes;
        self
    }

    /// With a message of one of these [`pattern`]s.
    pub const fn says(mut self, patterns: &'static [&'static str]) -> Self {
        self.says = patterns;
        self
    }

    /// To be left alone for at least so many seconds.
    pub const fn cool(mut self, seconds: u64) -> Self {
        self.cool = Some(Duration::from_secs(seconds));
        self
    }
}

/// Any error is the fault of …
const fn any(blame: Blame, reason: Option<Reason>) -> Row {
    Row {
        statuses: Statuses::Any,
        codes: &[],
        says: &[],
        blame,
        reason,
        cool: None,
    }
}

/// The client's.
pub const CLIENT: Row = any(Blame::Client, None);
/// The client's: too long.
pub const TOO_LONG: Row = any(Blame::Client, Some(Reason::ContextLength));
/// The client's: refused by a filter.
pub const FILTERED: Row = any(Blame::Client, Some(Reason::ContentFilter));
/// The credential's: the key.
pub const KEY: Row = any(Blame::Credential, Some(Reason::Key));
/// The credential's: no money.
pub const MONEY: Row = any(Blame::Credential, Some(Reason::Quota));
/// The credential's: account or country.
pub const ACCOUNT: Row = any(Blame::Credential, Some(Reason::Account));
/// The target's: no such model.
pub const MISSING: Row = any(Blame::Target, Some(Reason::ModelMissing));
/// The target's: not for this account.
pub const FORBIDDEN: Row = any(Blame::Target, Some(Reason::Permission));
/// The target's: a quota of this model or this request that more money would lift.
pub const UNPAID: Row = any(Blame::Target, Some(Reason::Quota));
/// A rate limit.
pub const LIMIT: Row = any(Blame::RateLimit, None);
/// A rate limit for lack of capacity.
pub const BUSY: Row = any(Blame::RateLimit, Some(Reason::Overloaded));
/// A limit that does not refill soon.
pub const USED_UP: Row = any(Blame::RateLimit, Some(Reason::Quota)).cool(3600);
/// The server's.
pub const SERVER: Row = any(Blame::Server, None);
/// The server's: overloaded.
pub const OVERLOADED: Row = any(Blame::Server, Some(Reason::Overloaded));
