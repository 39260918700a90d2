//! What a row of the matrix says: the provider's script, and what client, provider and metrics must see of it.

use super::voice::Voice;
use crate::support::Conn;

/// What a script wants done with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Wait for the next request on it.
    Keep,
    /// End it.
    Close,
}

pub type Script = fn(&mut Conn, Voice) -> Then;

/// An error in every dialect.
#[derive(Debug)]
pub struct Expected {
    pub status: u16,
    /// OpenAI's `type` and `code`.
    pub openai: (&'static str, &'static str),
    /// Anthropic's `type`.
    pub anthropic: &'static str,
}

const fn upstream(status: u16, code: &'static str, anthropic: &'static str) -> Expected {
    Expected {
        status,
        openai: ("upstream_error", code),
        anthropic,
    }
}

pub static TIMEOUT: Expected = upstream(504, "provider_timeout", "timeout_error");
pub static FAILED: Expected = upstream(502, "provider_error", "api_error");
pub static BAD: Expected = upstream(502, "provider_bad_response", "api_error");
pub static AUTH: Expected = upstream(502, "provider_auth_failed", "api_error");
pub static FULL: Expected = upstream(503, "overloaded", "overloaded_error");
pub static LIMITED: Expected = Expected {
    status: 429,
    openai: ("rate_limit_error", "rate_limit_exceeded"),
    anthropic: "rate_limit_error",
};
pub static SLOW_CLIENT: Expected = Expected {
    status: 408,
    openai: ("invalid_request_error", "request_timeout"),
    anthropic: "invalid_request_error",
};

/// What the client gets.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// The row does not ask this.
    Nothing,
    /// The spare target's answer, whole, as the second attempt.
    Elsewhere,
    /// The spare target's answer as the first attempt: the faulty one is left alone.
    Skipped,
    /// The first target's answer, whole and nothing but it.
    Answer,
    /// An error response.
    Error(&'static Expected),
    /// The same with a `retry-after` between these, in seconds.
    Later(u64, u64),
    /// A stream of this many texts that ends in one error: no stop, no end marker, a clean end.
    InBand(&'static Expected, usize),
    /// The provider's own error event ends the stream.
    TheirError(usize),
    /// The provider's own error response.
    Passed(u16),
}

/// Who is to blame, and so what becomes of the next requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The target: its breaker opens after five, and it is left alone; the last resort is asked all the same.
    Target,
    /// Asked elsewhere; the design says nothing of the breaker.
    Elsewhere,
    /// The client: nobody else is asked, no penalty.
    Client,
    /// Too much asked: the target cools down.
    Limit,
    /// Our credential: it is put in quarantine.
    Credential,
    /// Nobody.
    Nobody,
}

/// Whether an answer is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Whole,
    Stream,
}

pub const BOTH: &[Form] = &[Form::Whole, Form::Stream];
pub const WHOLE: &[Form] = &[Form::Whole];
pub const STREAM: &[Form] = &[Form::Stream];

/// Deadlines of a first target that none of them ends: longer than the test waits.
pub const PATIENT: &str = "";

/// One fault.
#[derive(Clone, Copy)]
pub struct Row {
    /// The row of the design's table.
    pub design: &'static str,
    pub name: &'static str,
    pub forms: &'static [Form],
    pub script: Script,
    /// With a good target to go to.
    pub spare: Want,
    /// Without.
    pub alone: Want,
    /// With a second target like the first and a good third one, which is not to be asked.
    pub twins: Want,
    /// `outcome` of the attempts at the first target.
    pub outcome: &'static str,
    pub blame: Blame,
    /// The gateway closes its connection within a second of its answer's end.
    pub closes: bool,
    /// No connection serves two requests.
    pub fresh: bool,
    /// What was produced is counted.
    pub partial: bool,
    /// `timeouts:` of the first target.
    pub timeouts: &'static str,
    /// `timeouts:` of the model.
    pub total: &'static str,
}

/// A row that claims nothing yet.
pub const ROW: Row = Row {
    design: "",
    name: "",
    forms: BOTH,
    script: |_, _| Then::Close,
    spare: Want::Nothing,
    alone: Want::Nothing,
    twins: Want::Nothing,
    outcome: "",
    blame: Blame::Target,
    closes: false,
    fresh: false,
    partial: false,
    timeouts: PATIENT,
    total: PATIENT,
};
