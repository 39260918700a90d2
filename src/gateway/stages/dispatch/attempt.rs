//! One attempt: ask one target, and judge what it says.

use super::super::super::App;
use super::super::super::buffers::Room;
use super::super::super::context::{RequestContext, Uncounted};
use super::super::super::downstream::{Downstream, Stop};
use super::super::super::live::{LiveStream, Source};
use super::failure::{
    Failure, Report, bad_response, broken_connection, broken_stream, no_room, provider_error, report, unsupported,
};
use super::{Live, Reply};
use crate::balance::Permit;
use crate::error::{ErrorKind, GatewayError};
use crate::providers::{self, Blame, EncodeOptions, Encoded};
use crate::snapshot::Limits;
use crate::telemetry::{Outcome, ResponseText};
use crate::upstream::exchange::BodyTooLarge;
use crate::upstream::{Backend, Exchange, Fault, Site, Target};
use crate::wire::{Call, errors, usage};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Largest error body that is read.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// Longest wait for an error body.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// Cool-down after a 429 that names no time.
const DEFAULT_COOL: Duration = Duration::from_secs(5);

/// Client headers that mean something to a provider and carry no credential.
const FORWARDED: [HeaderName; 4] = [
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// What one attempt needs.
pub(super) struct Attempt<'a> {
    pub app: &'a App,
    pub limits: &'a Limits,
    pub call: &'a Call,
    pub target: &'a Arc<Target>,
    pub asked: &'a str,
    pub matched: &'a str,
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
        permit: Permit,
    ) -> Result<Reply, Failure> {
        let site = match &self.target.backend {
            Backend::Demo => return self.demo(down, ctx, permit).await,
            Backend::Http(site) => site,
        };
        let model = self.target.model.resolve(self.asked, self.matched);
        let encoded = site.provider.encode(
            self.call,
            EncodeOptions {
                model: &model,
                stream_usage: site.stream_usage,
            },
        );
        let outcome = match self.ask(down, ctx, site, &encoded).await {
            Ok(exchange) if self.call.streamed() => return self.first_event(down, exchange, &encoded, permit).await,
            Ok(exchange) => self.whole(down, ctx, exchange).await,
            Err(failure) => Err(failure),
        };
        match &outcome {
            Ok(Reply::Refused { .. }) => self.target.attempts.count(Outcome::ClientError),
            Ok(_) => self.target.attempts.count(Outcome::Ok),
            Err(_) => {}
        }
        report(
            permit,
            outcome.as_ref().map_or_else(|failure| failure.report, |_| Report::Good),
        );
        outcome
    }

    /// Send the request; a response with status 200, or why not.
    async fn ask(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        site: &Site,
        encoded: &Encoded,
    ) -> Result<Exchange, Failure> {
        let client = &down.request().headers;
        let forwarded: Vec<(HeaderName, HeaderValue)> = FORWARDED
            .iter()
            .filter_map(|name| Some((name.clone(), client.get(name)?.clone())))
            .collect();
        let operation = self.call.operation;
        if !site.provider.supports(operation) {
            return Err(unsupported(self.call));
        }
        let head = move || {
            let mut head = site
                .request(operation)
                .ok_or_else(|| Fault::Malformed("no such operation".to_owned()))?;
            for (name, value) in &forwarded {
                head.insert_header(name.clone(), value.clone())
                    .map_err(|e| Fault::Malformed(e.to_string()))?;
            }
            Ok(head)
        };
        let first_byte = (self.began + self.target.deadlines.first_byte).min(self.total);
        let sent = self.app.transport.send(site, &head, &encoded.body, first_byte);
        let exchange = match down.until(first_byte, sent).await {
            Ok(Ok(exchange)) => exchange,
            Ok(Err(fault)) => return Err(broken_connection(&fault)),
            Err(stop) => return Err(self.stopped(stop, Outcome::FirstByteTimeout)),
        };
        if let Some(headers) = exchange.headers() {
            ctx.record.upstream_request_id = request_id(headers);
        }
        Ok(exchange)
    }

    /// Read a whole answer.
    async fn whole(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        mut exchange: Exchange,
    ) -> Result<Reply, Failure> {
        if exchange.status() != StatusCode::OK {
            return self.refused(down, exchange).await;
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
                });
            }
        };
        exchange.release().await;
        let facts =
            usage::read(&body, self.limits.json_depth).map_err(|error| bad_response(format!("not JSON: {error}")))?;
        if facts.error {
            return Err(provider_error(
                "the provider answered with an error",
                "an error object with status 200".to_owned(),
            ));
        }
        ctx.record.usage = facts.usage;
        if facts.usage.is_none() && self.call.operation != crate::wire::Operation::Moderations {
            ctx.record.uncounted = Some(self.uncounted(ResponseText::Json(body.clone())));
        }
        Ok(Reply::Whole { body, room })
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
        exchange: Exchange,
        encoded: &Encoded,
        permit: Permit,
    ) -> Result<Reply, Failure> {
        match self.decode_first(down, exchange, encoded).await {
            Ok(Ok((stream, first))) => {
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
        exchange: Exchange,
        encoded: &Encoded,
    ) -> Result<Result<(LiveStream, Bytes), Reply>, Failure> {
        if exchange.status() != StatusCode::OK {
            return self.refused(down, exchange).await.map(Err);
        }
        if !is_event_stream(exchange.headers()) {
            return Err(bad_response(
                "a stream was asked for and something else came".to_owned(),
            ));
        }
        let deadline = (self.began + self.target.deadlines.first_event).min(self.total);
        let mut stream = LiveStream::new(
            Source::Upstream(Box::new(exchange)),
            self.limits.stream_event,
            self.limits.json_depth,
            encoded.withhold_usage,
        );
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

    /// Judge a response that is not 200.
    async fn refused(&self, down: &mut Downstream<'_>, mut exchange: Exchange) -> Result<Reply, Failure> {
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
        let detail = format!("status {status}");
        match verdict.blame {
            Blame::Client => Ok(Reply::Refused {
                status: client_status(status),
                body: presentable(status, body),
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

    async fn demo(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        permit: Permit,
    ) -> Result<Reply, Failure> {
        if !providers::demo::supports(self.call.operation) {
            permit.success();
            return Err(unsupported(self.call));
        }
        let created = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        match providers::demo::answer(self.call, ctx.id.as_str(), created) {
            providers::demo::DemoAnswer::Whole(body) => {
                permit.success();
                self.target.attempts.count(Outcome::Ok);
                ctx.record.usage = usage::read(&body, self.limits.json_depth)
                    .ok()
                    .and_then(|facts| facts.usage);
                Ok(Reply::Whole {
                    body,
                    room: Room::none(&self.app.buffers),
                })
            }
            providers::demo::DemoAnswer::Events(events) => {
                let source = Source::Paced {
                    events: events.into(),
                    pace: providers::demo::TOKEN_PACE,
                };
                let mut stream = LiveStream::new(source, self.limits.stream_event, self.limits.json_depth, false);
                down.until(self.total, stream.fill())
                    .await
                    .map_err(|stop| self.stopped(stop, Outcome::Cancelled))?;
                let first = stream.take();
                let uncounted = self.uncounted(ResponseText::Events(Vec::new()));
                Ok(Reply::Live(Box::new(Live {
                    stream,
                    first,
                    target: Arc::clone(self.target),
                    permit,
                    total: self.total,
                    uncounted,
                })))
            }
        }
    }

    fn uncounted(&self, response: ResponseText) -> Uncounted {
        Uncounted {
            model: self.target.model.resolve(self.asked, self.matched).into_owned(),
            request: self.call.body.clone(),
            response,
        }
    }

    /// A wait that was cut short. `outcome` says which deadline, unless it was the total one.
    fn stopped(&self, stop: Stop, outcome: Outcome) -> Failure {
        match stop {
            Stop::ClientLeft => Failure {
                error: GatewayError::client_left(),
                outcome: Outcome::Cancelled,
                elsewhere: false,
                report: Report::Nothing,
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
                }
            }
        }
    }
}

fn is_event_stream(headers: Option<&HeaderMap>) -> bool {
    let kind = headers
        .and_then(|headers| headers.get(CONTENT_TYPE))
        .map(|value| value.as_bytes());
    kind.and_then(|kind| kind.get(..17))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    (text.len() <= 128).then(|| text.into())
}

/// Only statuses that mean the same to a client of this gateway are passed on.
fn client_status(status: StatusCode) -> StatusCode {
    if status.is_client_error() {
        status
    } else {
        StatusCode::BAD_REQUEST
    }
}

/// The provider's own error body when it has the client's shape, else its text in that shape.
fn presentable(status: StatusCode, body: Bytes) -> Bytes {
    if errors::is_presentable(&body) {
        return body;
    }
    let text = errors::foreign_message(&body)
        .unwrap_or_else(|| format!("the provider refused the request with status {}", status.as_u16()));
    errors::body(
        crate::wire::Dialect::OpenAi,
        &GatewayError::new(ErrorKind::InvalidRequest, text).code("provider_refused"),
    )
}
