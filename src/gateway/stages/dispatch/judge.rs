//! An answer that is not 200: whose fault, and so what next. The table is the vendors' (`Provider::classify`, docs/blame.md);
//! what each verdict means for the request and for the target is here.

use super::super::super::live as stream;
use super::super::super::plan::{self, Answer, Plan};
use super::Reply;
use super::attempt::{Attempt, Notes};
use super::failure::{Failure, Report, provider_error};
use crate::balance::Permit;
use crate::error::{ErrorKind, GatewayError};
use crate::providers::{Blame, Reason, Verdict};
use crate::telemetry::Outcome;
use crate::upstream::{Backend, Exchange, Site, Target};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

/// Largest error body that is read.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// Longest wait for an error body.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// What an error body that could not be read whole is judged as: something that is not JSON, as a firewall's long page.
const UNREAD: &[u8] = b"?";
/// Cool-down after a 429 that names no time.
const DEFAULT_COOL: Duration = Duration::from_secs(5);
/// The shortest one: who waits for its end would ask as fast as the provider refuses.
const LEAST_COOL: Duration = Duration::from_millis(250);

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
        let (body, judged) = match notes.within(deadline, pin!(exchange.read_all(ERROR_BODY_LIMIT))).await {
            Ok(Ok(Ok(body))) => (body.clone(), body),
            // Not the same as an empty one, which says that there is no more to it than the status.
            _ => (Bytes::new(), Bytes::from_static(UNREAD)),
        };
        let empty = HeaderMap::new();
        let headers = exchange.headers().unwrap_or(&empty);
        let verdict = site.provider.classify(status, headers, &judged, SystemTime::now());
        exchange.release().await;
        if status == StatusCode::UNAUTHORIZED {
            site.credential.refused(SystemTime::now());
        }
        let body = if site.is_betrayed_by(&body) { Bytes::new() } else { body };
        let native = matches!(plan.answer, Answer::Native { .. });
        self.weigh(verdict, native, client_status(status), body, format!("status {status}"))
    }

    /// Judge what a 200 reports: an event before the answer has begun, or a body that is an error. Nothing when it is none.
    pub(super) fn judge_report(&self, native: bool, name: &str, data: &[u8]) -> Option<Result<Reply, Failure>> {
        let Backend::Http(site) = &self.target.backend else {
            return None;
        };
        let verdict = site.provider.classify_event(name, data, SystemTime::now())?;
        let shown = data.len() <= ERROR_BODY_LIMIT && !site.is_betrayed_by(data);
        let body = Bytes::copy_from_slice(if shown { data } else { b"" });
        let detail = "an error with status 200".to_owned();
        Some(self.weigh(verdict, native, StatusCode::BAD_REQUEST, body, detail))
    }

    /// What a verdict means for the request and for the target.
    #[allow(
        clippy::result_large_err,
        reason = "as every attempt's; boxing it would cost the async ones too"
    )]
    fn weigh(
        &self,
        verdict: Verdict,
        native: bool,
        status: StatusCode,
        body: Bytes,
        detail: String,
    ) -> Result<Reply, Failure> {
        match blame(self.target, &verdict) {
            // The client chose a model that the gateway's credential may not use: nothing against the target, and nothing that the
            // client could mend with a credential of its own.
            Blame::Client if verdict.blame == Blame::Target && verdict.reason == Some(Reason::Permission) => {
                Err(auth_failed(Report::Good, detail))
            }
            Blame::Client => Ok(Reply::Refused {
                status,
                body: plan::refusal(self.common.call, native, status, body, self.common.id),
                reason: verdict.reason,
            }),
            Blame::Credential => Err(auth_failed(Report::Credential, detail)),
            Blame::Target => Err(auth_failed(Report::Forbidden, detail)),
            Blame::RateLimit => {
                let after = verdict.retry_after.unwrap_or(DEFAULT_COOL).max(LEAST_COOL);
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

/// Tell the breaker whose fault an error in the middle of a stream was. False: the request's, and no other target would do better.
pub fn settle_broken(target: &Target, permit: Permit, reported: &stream::Report) -> bool {
    let now = Instant::now();
    let verdict = match &target.backend {
        Backend::Http(site) => site
            .provider
            .classify_event(&reported.name, &reported.data, SystemTime::now()),
        Backend::Demo => None,
    };
    let verdict = verdict.map(|verdict| (blame(target, &verdict), verdict.retry_after));
    let is_the_clients = matches!(verdict, Some((Blame::Client, _)));
    match verdict {
        Some((Blame::Client, _)) => permit.success(),
        Some((Blame::Credential, _)) => permit.refused_credential(now),
        Some((Blame::Target, _)) => permit.forbidden(now),
        Some((Blame::RateLimit, _)) if target.model.is_the_clients() => drop(permit),
        Some((Blame::RateLimit, after)) => permit.cool(now, after.unwrap_or(DEFAULT_COOL).max(LEAST_COOL)),
        Some((Blame::Server, _)) | None => permit.failure(now),
    }
    !is_the_clients
}

/// Under a pattern the client names the provider's model: one that is not there is its mistake, and no reason to leave the target
/// alone.
fn blame(target: &Target, verdict: &Verdict) -> Blame {
    match verdict.blame {
        Blame::Target if target.model.is_the_clients() && verdict.reason.is_some_and(about_the_model) => Blame::Client,
        blame => blame,
    }
}

/// The provider does not let this gateway in, or not to this model.
fn auth_failed(report: Report, detail: String) -> Failure {
    let text = match report {
        Report::Forbidden | Report::Good => {
            "the provider does not give the gateway access to this model; its operator has to mend it"
        }
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
    // A 401 or 402 is about the gateway's account, whatever came with it: a client would look for the mistake in its own.
    if status.is_client_error() && !matches!(status.as_u16(), 401 | 402) {
        status
    } else {
        StatusCode::BAD_REQUEST
    }
}
