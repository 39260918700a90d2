//! How an attempt fails: what the client is told, what is counted, what the breaker learns, whether to ask elsewhere.

use super::super::super::live::Broken;
use super::super::super::plan::NoPlan;
use crate::error::{ErrorKind, GatewayError};
use crate::telemetry::Outcome;
use crate::upstream::{CredentialFault, Fault};
use crate::wire::Call;
use std::time::Duration;

/// Why one attempt failed, and what that means for the next.
pub(super) struct Failure {
    /// What the client is told when nobody else answers.
    pub error: GatewayError,
    /// For the metrics.
    pub outcome: Outcome,
    /// Whether asking another target can help.
    pub elsewhere: bool,
    /// What to tell the breaker.
    pub report: Report,
    /// No request could be made for the target.
    pub unasked: bool,
}

/// What an attempt says about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// It works (even if it refused the request).
    Good,
    /// It failed.
    Bad,
    /// Leave it alone for a while.
    Cool(Duration),
    /// It refused the credential: leave alone whoever uses that.
    Credential,
    /// It does not let this credential use this model: leave the target alone.
    Forbidden,
    /// Nothing: it was not asked, or our own time was up.
    Nothing,
}

/// How the connection failed, for metrics and the client.
pub(super) fn broken_connection(fault: &Fault) -> Failure {
    let (kind, outcome, text) = match fault {
        Fault::Unresolved | Fault::Connect(_) => (
            ErrorKind::ProviderError,
            Outcome::ConnectError,
            "the provider could not be reached",
        ),
        Fault::ConnectTimeout => (
            ErrorKind::ProviderTimeout,
            Outcome::ConnectTimeout,
            "the provider could not be reached in time",
        ),
        Fault::Disconnected(_) | Fault::Truncated(_) => (
            ErrorKind::ProviderError,
            Outcome::Disconnected,
            "the provider closed the connection before it had answered",
        ),
        Fault::Malformed(_) => (
            ErrorKind::ProviderBadResponse,
            Outcome::BadResponse,
            "the provider's answer could not be understood",
        ),
    };
    Failure {
        error: GatewayError::new(kind, text).because(fault.to_string()),
        outcome,
        elsewhere: true,
        report: Report::Bad,
        unasked: false,
    }
}

pub(super) fn broken_stream(broken: Broken) -> Failure {
    match broken {
        Broken::Connection(fault) => broken_connection(&fault),
        Broken::Reported(_) | Broken::Said(_) => provider_error(
            "the provider answered with an error",
            "an error event with status 200".to_owned(),
        ),
        Broken::Garbage(what) => bad_response(what),
        Broken::NoContinuation(why) => bad_response(why.to_owned()),
        Broken::Unfinished => bad_response("the stream ended before its first event".to_owned()),
    }
}

pub(super) fn bad_response(detail: String) -> Failure {
    let error = GatewayError::new(
        ErrorKind::ProviderBadResponse,
        "the provider's answer could not be understood",
    )
    .because(detail);
    Failure {
        error,
        outcome: Outcome::BadResponse,
        elsewhere: true,
        report: Report::Bad,
        unasked: false,
    }
}

pub(super) fn provider_error(text: &'static str, detail: String) -> Failure {
    let error = GatewayError::new(ErrorKind::ProviderError, text).because(detail);
    Failure {
        error,
        outcome: Outcome::ServerError,
        elsewhere: true,
        report: Report::Bad,
        unasked: false,
    }
}

pub(super) fn no_room() -> Failure {
    let error = GatewayError::new(
        ErrorKind::Overloaded,
        "the gateway holds as many answer bytes as it may; try again shortly",
    )
    .retry_after(Duration::from_secs(1));
    Failure {
        error,
        outcome: Outcome::Abandoned,
        elsewhere: false,
        report: Report::Nothing,
        unasked: false,
    }
}

/// A request that this target cannot be asked.
pub(super) fn unplannable(no_plan: NoPlan) -> Failure {
    Failure {
        error: no_plan.error,
        outcome: Outcome::Abandoned,
        elsewhere: no_plan.elsewhere,
        report: Report::Nothing,
        unasked: true,
    }
}

/// A request that could not be signed, or whose token could not be had.
pub(super) fn no_credential(fault: &CredentialFault) -> Failure {
    let error = GatewayError::new(
        ErrorKind::ProviderAuthFailed,
        "the gateway has no valid credential for the provider; its operator has to mend it",
    )
    .because(fault.to_string());
    Failure {
        error,
        outcome: Outcome::AuthFailed,
        elsewhere: true,
        report: if fault.is_refusal() {
            Report::Credential
        } else {
            Report::Bad
        },
        unasked: false,
    }
}

/// A target does not go on with what another has said.
pub(super) fn refused_rest(status: http::StatusCode) -> Failure {
    let error = GatewayError::new(ErrorKind::ProviderError, "the provider does not go on with this answer")
        .because(format!("status {status}"));
    Failure {
        error,
        outcome: Outcome::ClientError,
        elsewhere: true,
        report: Report::Good,
        unasked: false,
    }
}

/// A defect of ours.
pub(super) fn defect(detail: String) -> Failure {
    Failure {
        error: GatewayError::internal(detail),
        outcome: Outcome::Abandoned,
        elsewhere: false,
        report: Report::Nothing,
        unasked: false,
    }
}

pub(super) fn unsupported(call: &Call) -> Failure {
    let error = GatewayError::invalid(
        "unsupported_operation",
        format!("this model does not offer {}", call.operation.as_str()),
    )
    .param("model");
    Failure {
        error,
        outcome: Outcome::Abandoned,
        elsewhere: true,
        report: Report::Nothing,
        unasked: true,
    }
}
