//! Questions about usage.

use crate::units::Usage;

/// What sums can be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Organisation.
    Organisation,
    /// Team.
    Team,
    /// Project.
    Project,
    /// User.
    User,
    /// Virtual key.
    Key,
    /// Public model.
    Model,
    /// Provider.
    Provider,
    /// Target.
    Target,
    /// Operation.
    Operation,
    /// Outcome.
    Outcome,
    /// Cache verdict.
    Cache,
    /// Tag: a request with two tags counts under both.
    Tag,
}

/// Length of time of one sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// All in one.
    All,
    /// Hours, UTC.
    Hour,
    /// Days, UTC.
    Day,
    /// Months, UTC.
    Month,
}

/// Which rows count: those of a time, with all of these values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// From, in milliseconds since 1970, inclusive.
    pub from_ms: i64,
    /// To, exclusive.
    pub to_ms: i64,
    /// The dimension has one of these values.
    pub only: Vec<(Dimension, Vec<String>)>,
}

/// Sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Of what.
    pub filter: Filter,
    /// Told apart by these, at most four.
    pub by: Vec<Dimension>,
    /// And by time.
    pub bucket: Bucket,
    /// At most so many groups.
    pub limit: u32,
    /// Where an earlier page ended.
    pub cursor: Option<String>,
}

/// Single rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// Which.
    pub filter: Filter,
    /// Attempts too, not only requests.
    pub attempts: bool,
    /// At most so many.
    pub limit: u32,
    /// Where an earlier page ended.
    pub cursor: Option<String>,
}

/// Part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Where the next one begins; none: this was the last.
    pub next: Option<String>,
}

/// One sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouped {
    /// When its bucket began, in milliseconds since 1970.
    pub at_ms: i64,
    /// Values of the dimensions asked for, in their order; none: the row had none.
    pub values: Vec<Option<String>>,
    /// Requests.
    pub requests: u64,
    /// Requests that failed (status 400 and more, or an outcome other than `ok`).
    pub failed: u64,
    /// Requests whose tokens were estimated.
    pub estimated: u64,
    /// Requests whose cost is not known.
    pub unpriced: u64,
    /// Tokens.
    pub usage: Usage,
    /// Nano-dollars.
    pub cost: u64,
    /// Nano-dollars billed.
    pub billed: u64,
    /// Milliseconds of all requests together.
    pub latency_ms: u64,
    /// Nano-dollars that answers from the cache saved.
    pub saved: u64,
}
