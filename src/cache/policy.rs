//! What may be kept and served, as run. Written in the configuration as [`crate::config::CachePolicy`], merged from model, tenants,
//! key and rule; a caller's headers may only narrow it.

use std::time::Duration;

/// How answers are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Not at all.
    #[default]
    Off,
    /// Under the very same question.
    Exact,
    /// And by likeness, but what is found so is only written down: the real answer is fetched and compared.
    Shadow,
    /// And by likeness.
    Semantic,
}

/// Who shares answers. Nobody shares with another organisation, and nobody without a key with anybody who has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each virtual key (or person) for itself.
    #[default]
    Key,
    /// All of a user's.
    User,
    /// All of a project's.
    Project,
    /// All of a team's.
    Team,
    /// All of an organisation's.
    Organisation,
}

/// How a kept answer is streamed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Pace {
    /// As fast as the client takes it.
    #[default]
    AtOnce,
    /// So many tokens a second, each an event, as a model would.
    Tokens(f32),
}

/// What may be kept and served.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How answers are looked for.
    pub mode: Mode,
    /// Who shares them.
    pub scope: Scope,
    /// How long an answer is served.
    pub ttl: Duration,
    /// How much longer while a fresher one is fetched. Zero: not.
    pub stale_while_revalidate: Duration,
    /// How much longer when every target fails. Zero: not.
    pub stale_if_error: Duration,
    /// Requests with a higher temperature are left alone.
    pub max_temperature: f64,
    /// Answers that end in tool calls are kept.
    pub tool_calls: bool,
    /// Answers cut off by their length are kept.
    pub length: bool,
    /// Requests that offer tools are served and kept.
    pub tools: bool,
    /// So are those that ask for what changes with time (`today`, `latest`).
    pub time_bound: bool,
    /// And those about the asker (`my order`, an e-mail address).
    pub personal: bool,
    /// An answer is only for requests that would go to the same target.
    pub by_target: bool,
    /// How sure the verifier must be that one answer serves both questions, 0 to 1.
    pub threshold: f32,
    /// Longest wait for looking by likeness.
    pub time_limit: Duration,
    /// Of the answers found in shadow, which share has the real one compared with them: 0 to 1.
    pub sample: f32,
    /// Identical requests under way share one call.
    pub singleflight: bool,
    /// How a kept answer is streamed.
    pub pace: Pace,
    /// Longest request body that is looked at, in bytes.
    pub max_request: usize,
    /// Longest answer that is kept, in bytes.
    pub max_answer: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            scope: Scope::Key,
            ttl: Duration::from_secs(3600),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            max_temperature: 1.0,
            tool_calls: false,
            length: false,
            tools: false,
            time_bound: false,
            personal: false,
            by_target: false,
            threshold: 0.98,
            time_limit: Duration::from_millis(5),
            sample: 0.1,
            singleflight: true,
            pace: Pace::AtOnce,
            max_request: 256 * 1024,
            max_answer: 1024 * 1024,
        }
    }
}
