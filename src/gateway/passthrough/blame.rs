//! What a request of the passthrough lane says of its target.
//!
//! A status is judged without its body, of a path and a body that the client chose freely: what the client can cause at will (403,
//! 408, 501, an upload that is too slow) says nothing of the target here.

use super::{DEFAULT_COOL, Passing};
use crate::balance::Permit;
use crate::providers::Blame;
use crate::telemetry::Outcome;
use crate::upstream::Target;
use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;
use std::time::Instant;

/// Whether a status says something of the target, and not only of the path, body or pace that the client chose.
pub(super) fn speaks(status: u16, headers: &HeaderMap) -> bool {
    let challenge = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    let scope = challenge.is_some_and(|text| text.contains("insufficient_scope"));
    match status {
        403 | 408 | 410 | 499 | 501 | 505 => false,
        401 => !scope,
        _ => true,
    }
}

/// What a request says of its target when it is over.
pub(super) fn report(target: &Target, permit: Permit, passing: &Passing, ending: Ending<'_>) {
    let now = Instant::now();
    let count = |outcome| target.attempts.count(outcome);
    match ending {
        Ending::ClientLeft => count(Outcome::Cancelled),
        // No verdict: one would have been reported when it came.
        Ending::Failed(_) if passing.auth_failed => count(Outcome::AuthFailed),
        // Of our own making: a path that cannot be forwarded, a token that could not be had.
        Ending::Failed(ErrorType::HTTPStatus(_)) => count(Outcome::Abandoned),
        Ending::Failed(ErrorType::ReadTimedout) => {
            count(Outcome::IdleTimeout);
            permit.failure(now);
        }
        Ending::Failed(_) => {
            count(Outcome::Disconnected);
            permit.failure(now);
        }
        // As long as the client does not send its body, nobody owes it an answer; and a websocket may be silent.
        Ending::Waited => count(Outcome::Abandoned),
        Ending::Answered(status) => match passing.verdict.map(|verdict| (verdict.blame, verdict.retry_after)) {
            _ if status < 400 => {
                count(Outcome::Ok);
                permit.success();
            }
            None => count(if status >= 500 {
                Outcome::ServerError
            } else {
                Outcome::ClientError
            }),
            Some((Blame::RateLimit, after)) => {
                count(Outcome::RateLimited);
                permit.cool(now, after.unwrap_or(DEFAULT_COOL));
            }
            Some((Blame::Server, _)) => {
                count(Outcome::ServerError);
                permit.failure(now);
            }
            Some((Blame::Credential, _)) => {
                count(Outcome::AuthFailed);
                permit.refused_credential(now);
            }
            Some((Blame::Client | Blame::Target, _)) => {
                count(Outcome::ClientError);
                permit.success();
            }
        },
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending<'a> {
    ClientLeft,
    Answered(u16),
    Failed(&'a ErrorType),
    /// The provider was silent while the client was not done.
    Waited,
}

/// How it did.
pub(super) fn ending<'a>(session: &mut Session, error: Option<&'a Error>, status: u16) -> Ending<'a> {
    let Some(error) = error else {
        return Ending::Answered(status);
    };
    if *error.esource() == ErrorSource::Downstream {
        return Ending::ClientLeft;
    }
    let http = session.as_downstream_mut();
    let unfinished = !http.is_body_done() || http.was_upgraded();
    if error.etype == ErrorType::ReadTimedout && unfinished {
        return Ending::Waited;
    }
    Ending::Failed(&error.etype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_a_client_can_cause_by_its_path_or_pace_says_nothing() {
        let none = HeaderMap::new();
        for status in [403, 408, 410, 499, 501, 505] {
            assert!(!speaks(status, &none), "{status}");
        }
        for status in [400, 401, 402, 404, 429, 500, 503] {
            assert!(speaks(status, &none), "{status}");
        }
        let mut scope = HeaderMap::new();
        scope.insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer error=\"insufficient_scope\""),
        );
        assert!(!speaks(401, &scope));
    }
}
