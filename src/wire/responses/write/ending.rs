//! How an answer ends in this API's words.
//!
//! | finish | status |
//! |---|---|
//! | stop, stop sequence, tool calls, pause, a word not known here | `completed` |
//! | length, context window | `incomplete`, `max_output_tokens` |
//! | content filter; a refusal without words | `incomplete`, `content_filter` |
//! | error, a call that cannot be read | `failed`, `server_error` |

use crate::error::{ErrorKind, GatewayError};
use crate::wire::canonical::Finish;

/// Status and reason.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Ending {
    #[default]
    Completed,
    Incomplete(&'static str),
    Failed(&'static str),
}

impl Ending {
    /// `refused`: the answer has a refusal in words, which says it already.
    pub(super) fn of(finish: Option<&Finish<'_>>, refused: bool) -> Self {
        match finish {
            Some(Finish::Length | Finish::ContextWindow) => Self::Incomplete("max_output_tokens"),
            Some(Finish::ContentFilter) => Self::Incomplete("content_filter"),
            Some(Finish::Refusal) if !refused => Self::Incomplete("content_filter"),
            Some(Finish::Error) => Self::Failed("the provider failed before the answer was complete"),
            Some(Finish::MalformedCall) => Self::Failed("the model wrote a tool call that cannot be read"),
            _ => Self::Completed,
        }
    }

    /// Status of the response.
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed(_) => "failed",
        }
    }

    /// Status of the last item, which the ending cut short.
    pub(super) fn last_item(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            _ => "incomplete",
        }
    }

    /// Why it is incomplete.
    pub(super) fn incomplete(self) -> Option<&'static str> {
        match self {
            Self::Incomplete(reason) => Some(reason),
            _ => None,
        }
    }

    /// Code and message.
    pub(super) fn error(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Failed(message) => Some(("server_error", message)),
            _ => None,
        }
    }
}

/// The code of a failure in the middle of an answer, of those the API documents.
pub(super) fn code(error: &GatewayError) -> &'static str {
    match error.kind {
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::InvalidRequest => "invalid_prompt",
        _ => "server_error",
    }
}
