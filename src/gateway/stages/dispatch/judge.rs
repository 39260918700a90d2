//! An answer that is not 200: whose fault, and so what next. The table is the vendors' (`Provider::classify`, docs/blame.md);
//! what each verdict means for the request and for the target is here.

use super::super::super::plan::{self, Answer, Plan};
use super::Reply;
use super::attempt::{Attempt, Notes};
use super::failure::{Failure, Report, provider_error};
use crate::error::{ErrorKind, GatewayError};
use crate::providers::{Blame, Reason};
use crate::telemetry::Outcome;
use crate::upstream::{Exchange, Site};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

/// Largest error body that is read.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// Longest wait for an error body.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// Cool-down after a 429 that names no time.
const DEFAULT_COOL: Duration = Duration::from_secs(5);

impl Attempt<'_> {
    /// Judge a response that is not 200.
    pub(super) async fn judge(
        &self,
        site: &Site,
        notes: &mut Notes,
        mut exchange: Exchange,
        plan: &Plan,
    ) -> Result<Reply, Failure> {
        let status = exchange.status();
        let deadline = (Instant::now() + ERROR_BODY_TIME).min(self.common.total);
        let body = match notes.within(deadline, pin!(exchange.read_all(ERROR_BODY_LIMIT))).await {
            Ok(Ok(Ok(body))) => body,
            _ => Bytes::new(),
        };
        let empty = HeaderMap::new();
        let headers = exchange.headers().unwrap_or(&empty);
        let verdict = site.provider.classify(status, headers, &body, SystemTime::now());
        exchange.release().await;
        if status == StatusCode::UNAUTHORIZED {
            site.credential.refused(SystemTime::now());
        }
        let body = if site.is_betrayed_by(&body) { Bytes::new() } else { body };
        let detail = format!("status {status}");
        let blame = match verdict.blame {
            // Under a pattern the client names the provider's model: one that is not there is its mistake, and no reason to leave
            // the target alone.
            Blame::Target if self.target.model.is_the_clients() && verdict.reason.is_some_and(about_the_model) => {
                Blame::Client
            }
            blame => blame,
        };
        match blame {
            Blame::Client => {
                let native = matches!(plan.answer, Answer::Native { .. });
                Ok(Reply::Refused {
                    status: client_status(status),
                    body: plan::refusal(self.common.call, native, status, body, self.common.id),
                    reason: verdict.reason,
                })
            }
            Blame::Credential => Err(auth_failed(Report::Credential, detail)),
            Blame::Target => Err(auth_failed(Report::Forbidden, detail)),
            Blame::RateLimit => {
                let after = verdict.retry_after.unwrap_or(DEFAULT_COOL);
                let error = GatewayError::new(ErrorKind::RateLimited, "the provider's rate limit is reached")
                    .because(detail)
                    .retry_after(after);
                Err(Failure {
                    error,
                    outcome: Outcome::RateLimited,
                    elsewhere: true,
                    report: Report::Cool(after),
                    unasked: false,
                })
            }
            Blame::Server => {
                let mut failure = provider_error("the provider failed on this request", detail);
                // A provider that fails and says when to come back means it.
                if let Some(after) = verdict.retry_after {
                    failure.error = failure.error.retry_after(after);
                }
                Err(failure)
            }
        }
    }
}

/// The provider does not let this gateway in, or not to this model.
fn auth_failed(report: Report, detail: String) -> Failure {
    let text = match report {
        Report::Forbidden => "the provider does not give the gateway access to this model; its operator has to mend it",
        _ => "the provider refused the gateway's credential; its operator has to mend it",
    };
    Failure {
        error: GatewayError::new(ErrorKind::ProviderAuthFailed, text).because(detail),
        outcome: Outcome::AuthFailed,
        elsewhere: true,
        report,
        unasked: false,
    }
}

fn about_the_model(reason: Reason) -> bool {
    matches!(reason, Reason::ModelMissing | Reason::Permission)
}

/// Only statuses that mean the same to a client of this gateway are passed on.
fn client_status(status: StatusCode) -> StatusCode {
    if status.is_client_error() {
        status
    } else {
        StatusCode::BAD_REQUEST
    }
}
