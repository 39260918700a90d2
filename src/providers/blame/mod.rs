//! Whose fault an answer that is not 200 is, by table.
//!
//! ```text
//! status, headers, body ─ facts ─► codes, messages, delay ─ first row that fits ─► Verdict { blame, retry_after, reason }
//!                                                           the vendor's rows, those of the API it speaks, then by status
//! ```
//! The one idea: an error body is read once into what vendors say errors by (codes, a message, a delay), and rows say what that
//! means; [docs/blame.md] is written from the same rows. Messages are compared from their first character on, against the
//! vendor's own words, and only where the vendor's error object has its message: a body may repeat what a client wrote.
//! A verdict must not be a weapon either: what one client's request can cause never quarantines what others use.
//! Not here: what happens to target and request (`gateway/stages/dispatch`).
//!
//! [docs/blame.md]: ../../../docs/blame.md

mod event;
mod facts;
mod general;
mod openai_shaped;
#[cfg(test)]
mod page;
mod pattern;
mod row;
#[cfg(test)]
mod tests;
mod vendors;

use self::facts::Facts;
use self::row::{Row, Section};
use super::retry_after;
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

/// Whose fault a non-200 answer is, and so what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client's: pass it on, no retry, no penalty. Some [`Reason`]s may go to a fallback made for them.
    Client,
    /// The gateway's own credential, or the account behind it: every target that uses it is affected.
    Credential,
    /// This target alone: no access to the model, or no such model.
    Target,
    /// Too much asked of this target: leave it alone for a while, try elsewhere.
    RateLimit,
    /// The provider's: counts against the target, try elsewhere.
    Server,
}

impl Blame {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::Client,
        Self::Credential,
        Self::Target,
        Self::RateLimit,
        Self::Server,
    ];

    /// Its word in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Credential => "credential",
            Self::Target => "target",
            Self::RateLimit => "rate_limit",
            Self::Server => "server",
        }
    }
}

/// What exactly, where it matters to what happens next or to whoever has to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The input is longer than this model (or this account at this model) takes. With [`Blame::Client`].
    ContextLength,
    /// The vendor's filter refused the content. With [`Blame::Client`].
    ContentFilter,
    /// Money, or a quota that waiting a minute does not refill.
    Quota,
    /// The vendor has more to do than it can.
    Overloaded,
    /// The vendor does not know the model or deployment. If the *client* chose that name (a model pattern), it is the
    /// client's after all.
    ModelMissing,
    /// The model exists, this account may not use it. If the *client* chose the name: as above.
    Permission,
    /// The key is unknown, expired, or used from where it may not be.
    Key,
    /// The account is suspended, or its country is not served.
    Account,
}

impl Reason {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::ContextLength,
        Self::ContentFilter,
        Self::Quota,
        Self::Overloaded,
        Self::ModelMissing,
        Self::Permission,
        Self::Key,
        Self::Account,
    ];

    /// Its word in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContextLength => "context_length",
            Self::ContentFilter => "content_filter",
            Self::Quota => "quota",
            Self::Overloaded => "overloaded",
            Self::ModelMissing => "model_missing",
            Self::Permission => "permission",
            Self::Key => "key",
            Self::Account => "account",
        }
    }
}

/// A non-200 answer, judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whose.
    pub blame: Blame,
    /// When the provider says to try again. Only with [`Blame::RateLimit`] and [`Blame::Server`], at most a day.
    pub retry_after: Option<Duration>,
    /// What exactly, if known.
    pub reason: Option<Reason>,
}

/// Judge an answer of the vendor of this name that is not 200.
pub fn judge(vendor: &str, status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Verdict {
    let facts = Facts::read(headers, body, now);
    weigh(vendor, status.as_u16(), &facts, headers, now)
}

/// Judge an event of a stream, or the body of a 200: nothing unless it is an error. `name` is the name of the event
/// (SSE) or of the exception (`:exception-type` of an AWS event stream), empty when it has none.
pub fn judge_event(vendor: &str, name: &str, data: &[u8], now: SystemTime) -> Option<Verdict> {
    let facts = Facts::read_event(name, data, now)?;
    let status = event::status(&facts.codes);
    Some(weigh(vendor, status, &facts, &HeaderMap::new(), now))
}

fn weigh(vendor: &str, status: u16, facts: &Facts, headers: &HeaderMap, now: SystemTime) -> Verdict {
    let row = find(vendor, status, facts);
    let (blame, reason, cool) = row.map_or((Blame::Client, None, None), |row| (row.blame, row.reason, row.cool));
    let said = match blame {
        Blame::RateLimit => retry_after::read(headers, now).or(facts.delay),
        // Limits that happen to be used up say nothing about when a fault ends.
        Blame::Server => retry_after::explicit(headers, now).or(facts.delay),
        Blame::Client | Blame::Credential | Blame::Target => None,
    };
    Verdict {
        blame,
        // Gemini tells to come back in 30 s also when a day's quota is used up.
        retry_after: said.max(cool),
        reason,
    }
}

fn find(vendor: &str, status: u16, facts: &Facts) -> Option<&'static Row> {
    let sections = sections(vendor);
    let mut rows = sections.iter().flat_map(|section| section.rows);
    rows.find(|row| row.fits(status, facts))
}

/// The sections for a vendor, in the order in which they are asked.
fn sections(vendor: &str) -> Vec<&'static Section> {
    let own = vendors::ALL.iter().find(|(names, _)| names.contains(&vendor));
    let own = own.map_or(vendors::OPENAI_SHAPED, |(_, sections)| *sections);
    own.iter().copied().chain([&general::GENERAL]).collect()
}
