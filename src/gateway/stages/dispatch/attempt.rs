//! One attempt: ask one target, and judge what it says.

use super::super::super::App;
use super::super::super::buffers::Room;
use super::super::super::context::{RequestContext, Uncounted};
use super::super::super::downstream::{Downstream, Stop};
use super::super::super::live::{Caps, LiveStream, Source, facts_of, is_framed_as};
use super::super::super::plan::{self, Answer, Plan, Terms};
use super::failure::{
    Failure, Report, bad_response, broken_connection, broken_stream, no_room, provider_error, report, unplannable,
    unsupported,
};
use super::{Live, Reply, count, schema};
use crate::balance::Permit;
use crate::error::{ErrorKind, GatewayError};
use crate::providers::Blame;
use crate::providers::codec::{Framing, Undecodable};
use crate::snapshot::Limits;
use crate::telemetry::{Outcome, ResponseText};
use crate::units::Usage;
use crate::upstream::exchange::BodyTooLarge;
use crate::upstream::{Backend, Exchange, Target};
use crate::wire::{Call, Operation, usage};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Largest error body that is read.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// Longest wait for an error body.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// Cool-down after a 429 that names no time.
const DEFAULT_COOL: Duration = Duration::from_secs(5);

/// What one attempt needs.
pub(super) struct Attempt<'a> {
    pub app: &'a App,
    pub limits: &'a Limits,
    pub call: &'a Call,
    pub target: &'a Arc<Target>,
    pub asked: &'a str,
    pub matched: &'a str,
    pub mixed: bool,
    pub strict: bool,
    /// When this attempt began.
    pub began: Instant,
    pub total: Instant,
}

impl Attempt<'_> {
    /// Ask, and report to the breaker.
    pub async fn run(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        mut permit: Permit,
    ) -> Result<Reply, Failure> {
        let site = match &self.target.backend {
            Backend::Demo => return self.demo(down, ctx, permit).await,
            Backend::Http(site) => site,
        };
        let model = self.target.model.resolve(self.asked, self.matched);
        let terms = Terms {
            model: &model,
            max_depth: self.limits.json_depth,
            mixed: self.mixed,
            strict: self.strict,
        };
        let plan = self.plan(down, site, terms).await?;
        let plan = match plan {
            Ok(plan) => plan,
            Err(no_plan) => {
                if self.call.operation == Operation::CountTokens && no_plan.unoffered {
                    drop(permit);
                    return count::estimate(self, ctx, &model).await;
                }
                return Err(unplannable(no_plan));
            }
        };
        ctx.record.dropped = dropped_header(&plan);
        let mut room = Room::none(&self.app.buffers);
        if plan.dialect().is_some() {
            // A second body beside the client's.
            room.grow_to(plan.body.len(), self.limits.buffered_bytes)
                .map_err(|_| no_room())?;
        }
        let outcome = match self.ask(down, ctx, site, &plan).await {
            Ok(exchange) if self.call.streamed() => return self.first_event(down, ctx, exchange, plan, permit).await,
            Ok(exchange) => self.whole(down, ctx, exchange, plan).await,
            Err(failure) => Err(failure),
        };
        match &outcome {
            Ok(Reply::Refused { .. }) => self.target.attempts.count(Outcome::ClientError),
            Ok(_) => {
                permit.heard(Instant::now);
                self.target.attempts.count(Outcome::Ok);
            }
            Err(_) => {}
        }
        report(
            permit,
            outcome.as_ref().map_or_else(|failure| failure.report, |_| Report::Good),
        );
        outcome
    }

    /// Read a whole answer.
    async fn whole(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        mut exchange: Exchange,
        plan: Plan,
    ) -> Result<Reply, Failure> {
        if exchange.status() != StatusCode::OK {
            return self.refused(down, ctx, exchange, &plan).await;
        }
        let mut room = Room::none(&self.app.buffers);
        let expected = exchange.content_length().unwrap_or(0);
        if expected <= self.limits.response_body {
            room.grow_to(expected, self.limits.buffered_bytes)
                .map_err(|_| no_room())?;
        }
        let deadline = (Instant::now() + self.target.deadlines.idle).min(self.total);
        let body = match self.read_whole(down, &mut exchange, &mut room, deadline).await? {
            Ok(body) => body,
            Err(BodyTooLarge) => {
                let error = GatewayError::new(
                    ErrorKind::ProviderBadResponse,
                    "the provider's answer is larger than this gateway accepts",
                );
                return Err(Failure {
                    error,
                    outcome: Outcome::BadResponse,
                    elsewhere: false,
                    report: Report::Good,
                    unasked: false,
                });
            }
        };
        exchange.release().await;
        let translated = match plan.answer {
            Answer::Translated(translated) => translated,
            Answer::Native { .. } => return self.native_whole(ctx, body, room),
        };
        let whole = self.translate_whole(translated, &body).await?;
        room.grow_to(body.len() + whole.body.len(), self.limits.buffered_bytes)
            .map_err(|_| no_room())?;
        if let Some((schema, text)) = whole.check
            && let Err(why) = schema::check(schema, text).await
        {
            return Err(bad_response(why));
        }
        self.note_usage(ctx, whole.usage, ResponseText::Json(body));
        Ok(Reply::Whole { body: whole.body, room })
    }

    #[allow(
        clippy::result_large_err,
        reason = "as every attempt's; boxing it would cost the async ones too"
    )]
    fn native_whole(&self, ctx: &mut RequestContext, body: Bytes, room: Room) -> Result<Reply, Failure> {
        let facts = facts_of(self.call.dialect, &body, self.limits.json_depth)
            .map_err(|error| bad_response(format!("not JSON: {error}")))?;
        if facts.error {
            return Err(provider_error(
                "the provider answered with an error",
                "an error object with status 200".to_owned(),
            ));
        }
        self.note_usage(ctx, facts.usage, ResponseText::Json(body.clone()));
        Ok(Reply::Whole { body, room })
    }

    /// The figures, or what to count where there are none and tokens mean something.
    fn note_usage(&self, ctx: &mut RequestContext, usage: Option<Usage>, text: ResponseText) {
        ctx.record.usage = usage;
        let counted = matches!(
            self.call.operation,
            Operation::Chat | Operation::Completions | Operation::Embeddings
        );
        if usage.is_none() && counted {
            ctx.record.uncounted = Some(self.uncounted(text));
        }
    }

    /// An error object with status 200 is the provider's failure; anything else that cannot be read is a bad answer.
    pub(super) fn undecodable(&self, body: &[u8], error: &Undecodable) -> Failure {
        match usage::read(body, self.limits.json_depth) {
            Ok(facts) if facts.error => provider_error(
                "the provider answered with an error",
                "an error object with status 200".to_owned(),
            ),
            _ => bad_response(error.to_string()),
        }
    }

    /// The body, with the idle deadline starting anew at every read.
    async fn read_whole(
        &self,
        down: &mut Downstream<'_>,
        exchange: &mut Exchange,
        room: &mut Room,
        first: Instant,
    ) -> Result<Result<Bytes, BodyTooLarge>, Failure> {
        let expected = exchange.content_length().unwrap_or(0);
        if expected > self.limits.response_body {
            return Ok(Err(BodyTooLarge));
        }
        let mut body = BytesMut::with_capacity(expected);
        let mut deadline = first;
        loop {
            // What is there already costs no timer; most answers arrive with their header.
            let read = match exchange.read_ready(&mut body) {
                Some(read) => read,
                None => down
                    .until(deadline, exchange.read(&mut body))
                    .await
                    .map_err(|stop| self.stopped(stop, Outcome::IdleTimeout))?,
            };
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(body.freeze())),
                Err(fault) => return Err(broken_connection(&fault)),
            }
            if body.len() > self.limits.response_body {
                return Ok(Err(BodyTooLarge));
            }
            room.grow_to(body.len(), self.limits.buffered_bytes)
                .map_err(|_| no_room())?;
            deadline = (Instant::now() + self.target.deadlines.idle).min(self.total);
        }
    }

    /// Read a stream up to its first event: from there on it is committed.
    async fn first_event(
        &self,
        down: &mut Downstream<'_>,
        ctx: &RequestContext,
        exchange: Exchange,
        plan: Plan,
        mut permit: Permit,
    ) -> Result<Reply, Failure> {
        match self.decode_first(down, ctx, exchange, plan).await {
            Ok(Ok((stream, first))) => {
                permit.heard(Instant::now);
                let uncounted = self.uncounted(ResponseText::Events(Vec::new()));
                let live = Live {
                    stream,
                    first,
                    target: Arc::clone(self.target),
                    permit,
                    total: self.total,
                    uncounted,
                };
                Ok(Reply::Live(Box::new(live)))
            }
            Ok(Err(refused)) => {
                self.target.attempts.count(Outcome::ClientError);
                permit.success();
                Ok(refused)
            }
            Err(failure) => {
                report(permit, failure.report);
                Err(failure)
            }
        }
    }

    async fn decode_first(
        &self,
        down: &mut Downstream<'_>,
        ctx: &RequestContext,
        exchange: Exchange,
        plan: Plan,
    ) -> Result<Result<(LiveStream, Bytes), Reply>, Failure> {
        if exchange.status() != StatusCode::OK {
            return self.refused(down, ctx, exchange, &plan).await.map(Err);
        }
        let framing = match &plan.answer {
            Answer::Native { .. } => Framing::Sse,
            Answer::Translated(translated) => translated.framing(),
        };
        if !content_type(exchange.headers()).is_some_and(|kind| is_framed_as(framing, kind)) {
            return Err(bad_response(
                "a stream was asked for and something else came".to_owned(),
            ));
        }
        let deadline = (self.began + self.target.deadlines.first_event).min(self.total);
        let mut stream = self.live(Source::Upstream(Box::new(exchange)), plan.answer);
        let mut first = BytesMut::new();
        let mut only: Option<Bytes> = None;
        loop {
            down.until(deadline, stream.fill())
                .await
                .map_err(|stop| self.stopped(stop, Outcome::FirstEventTimeout))?;
            let batch = stream.take();
            // One batch is the rule; it is sent as it is, without a copy.
            match only.take() {
                None if first.is_empty() => only = Some(batch),
                before => {
                    first.extend_from_slice(&before.unwrap_or_default());
                    first.extend_from_slice(&batch);
                }
            }
            if stream.begun {
                return Ok(Ok((stream, only.unwrap_or_else(|| first.freeze()))));
            }
            if let Some(broken) = stream.broken.take() {
                return Err(broken_stream(broken));
            }
            if stream.ended || stream.is_done() || first.len() > self.limits.stream_event {
                return Err(bad_response("the stream has no events".to_owned()));
            }
        }
    }

    /// The stream of an answer.
    pub(super) fn live(&self, source: Source, answer: Answer) -> LiveStream {
        let caps = Caps {
            event: self.limits.stream_event,
            depth: self.limits.json_depth,
        };
        match answer {
            Answer::Translated(translated) => {
                let framing = translated.framing();
                match translated.stream() {
                    Some(translation) => LiveStream::translated(source, caps, framing, translation),
                    None => LiveStream::native(source, caps, self.call.dialect, false, false),
                }
            }
            Answer::Native { withhold_usage } => {
                LiveStream::native(source, caps, self.call.dialect, withhold_usage, self.call.json_array)
            }
        }
    }

    /// Judge a response that is not 200.
    async fn refused(
        &self,
        down: &mut Downstream<'_>,
        ctx: &RequestContext,
        mut exchange: Exchange,
        plan: &Plan,
    ) -> Result<Reply, Failure> {
        let status = exchange.status();
        let deadline = (Instant::now() + ERROR_BODY_TIME).min(self.total);
        let body = match down.until(deadline, exchange.read_all(ERROR_BODY_LIMIT)).await {
            Ok(Ok(Ok(body))) => body,
            Ok(_) | Err(Stop::Deadline) => Bytes::new(),
            Err(Stop::ClientLeft) => return Err(self.stopped(Stop::ClientLeft, Outcome::Cancelled)),
        };
        let empty = HeaderMap::new();
        let Backend::Http(site) = &self.target.backend else {
            return Err(unsupported(self.call));
        };
        let verdict = site
            .provider
            .classify(status, exchange.headers().unwrap_or(&empty), &body, SystemTime::now());
        exchange.release().await;
        if status == StatusCode::UNAUTHORIZED {
            site.credential.refused(SystemTime::now());
        }
        let body = if site.is_betrayed_by(&body) { Bytes::new() } else { body };
        let native = matches!(plan.answer, Answer::Native { .. });
        let detail = format!("status {status}");
        match verdict.blame {
            Blame::Client => Ok(Reply::Refused {
                status: client_status(status),
                body: plan::refusal(self.call, native, status, body, ctx.id.as_str()),
            }),
            Blame::Credential => {
                let error = GatewayError::new(
                    ErrorKind::ProviderAuthFailed,
                    "the provider refused the gateway's credential; its operator has to mend it",
                )
                .because(detail);
                Err(Failure {
                    error,
                    outcome: Outcome::AuthFailed,
                    elsewhere: true,
                    report: Report::Bad,
                    unasked: false,
                })
            }
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

    pub(super) fn uncounted(&self, response: ResponseText) -> Uncounted {
        Uncounted {
            model: self.target.model.resolve(self.asked, self.matched).into_owned(),
            request: self.call.body.clone(),
            dialect: self.call.dialect,
            output_only: false,
            response,
        }
    }

    /// A wait that was cut short. `outcome` says which deadline, unless it was the total one.
    pub(super) fn stopped(&self, stop: Stop, outcome: Outcome) -> Failure {
        match stop {
            Stop::ClientLeft => Failure {
                error: GatewayError::client_left(),
                outcome: Outcome::Cancelled,
                elsewhere: false,
                report: Report::Nothing,
                unasked: false,
            },
            Stop::Deadline => {
                let over = Instant::now() >= self.total;
                let outcome = if over { Outcome::TotalTimeout } else { outcome };
                let error = GatewayError::new(ErrorKind::ProviderTimeout, "the provider did not answer in time")
                    .because(outcome.as_str());
                Failure {
                    error,
                    outcome,
                    elsewhere: !over,
                    report: Report::Bad,
                    unasked: false,
                }
            }
        }
    }
}

fn content_type(headers: Option<&HeaderMap>) -> Option<&[u8]> {
    Some(headers?.get(CONTENT_TYPE)?.as_bytes())
}

/// For `x-cirque-dropped`.
fn dropped_header(plan: &Plan) -> Option<HeaderValue> {
    if plan.dropped.is_empty() {
        return None;
    }
    HeaderValue::from_str(&plan.dropped.header()).ok()
}

/// Only statuses that mean the same to a client of this gateway are passed on.
fn client_status(status: StatusCode) -> StatusCode {
    if status.is_client_error() {
        status
    } else {
        StatusCode::BAD_REQUEST
    }
}
