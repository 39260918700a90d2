//! One attempt: ask one target, and judge what it says.
//!
//! An attempt knows nothing of the client's connection: it can run beside another (`race.rs`), without a client (`mirror.rs`,
//! `probe.rs`), and is simply dropped when nobody wants its answer any more, which closes its connection. What it learns besides
//! its answer goes into its own [`Notes`]; only those of the attempt that answered reach the request's record.

use super::super::super::buffers::Room;
use super::super::super::context::Uncounted;
use super::super::super::live::{LiveStream, Source, Trail, facts_of, is_framed_as};
use super::super::super::plan::{Answer, Plan, Terms, is_filtered};
pub(in crate::gateway) use super::common::{Common, Notes};
use super::doubt::Doubts;
use super::failure::{Failure, Report, bad_response, broken_stream, no_room, provider_error, unplannable};
use super::guard::Guarded;
use super::{Live, Reply, count, schema};
use crate::balance::Permit;
use crate::error::{ErrorKind, GatewayError};
use crate::providers::Asked;
use crate::providers::codec::{Expect, Framing, Undecodable};
use crate::telemetry::{Outcome, ResponseText};
use crate::units::Usage;
use crate::upstream::exchange::BodyTooLarge;
use crate::upstream::{Backend, Exchange, Site, Target};
use crate::wire::json::Node;
use crate::wire::{Operation, usage};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// A target being asked. Dropped without a verdict (the client left, another was quicker) it says that much.
pub(super) struct Asking {
    permit: Option<Permit>,
    target: Arc<Target>,
    /// The request is on its way.
    pub asked: bool,
}

impl Asking {
    pub fn new(permit: Permit, target: &Arc<Target>) -> Self {
        Self {
            permit: Some(permit),
            target: Arc::clone(target),
            asked: false,
        }
    }

    /// Somebody else reports.
    pub fn into_permit(mut self) -> Option<Permit> {
        self.permit.take()
    }

    /// It gave a whole answer.
    pub fn answered(mut self) {
        self.target.attempts.count(Outcome::Ok);
        if let Some(mut permit) = self.permit.take() {
            permit.heard(Instant::now);
            permit.success();
        }
    }

    /// It works, and says that the request is wrong.
    fn refused(mut self) {
        self.target.attempts.count(Outcome::ClientError);
        if let Some(permit) = self.permit.take() {
            permit.success();
        }
    }

    pub fn failed(mut self, failure: &Failure, doubts: &Doubts) {
        self.target.attempts.count(failure.outcome);
        let Some(permit) = self.permit.take() else { return };
        match failure.report {
            Report::Good => permit.success(),
            Report::Bad => doubts.failed(permit, failure.outcome),
            // The client names the model there, and limits are a model's: others want other models of this target.
            Report::Cool(_) if self.target.model.is_the_clients() => permit.unanswered(Instant::now),
            Report::Cool(length) => permit.cool(Instant::now(), length),
            Report::Credential => permit.refused_credential(Instant::now()),
            Report::Forbidden => permit.forbidden(Instant::now()),
            Report::Nothing => permit.unanswered(Instant::now),
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.asked
        {
            self.target.attempts.count(Outcome::Cancelled);
            permit.unanswered(Instant::now);
        }
    }
}

/// One target to be asked for one request.
pub(super) struct Attempt<'a> {
    pub common: &'a Common<'a>,
    pub target: &'a Arc<Target>,
    /// When it began.
    pub began: Instant,
}

/// What came of it, before it is said to the breaker.
#[allow(
    clippy::large_enum_variant,
    reason = "lives for a moment in its caller; a box would cost every stream an allocation"
)]
enum Came {
    Reply(Reply),
    Stream(LiveStream, Bytes),
}

impl Attempt<'_> {
    /// Ask, and report to the breaker.
    pub async fn run(&self, permit: Permit, notes: &mut Notes) -> Result<Reply, Failure> {
        let mut asking = Asking::new(permit, self.target);
        let site = match &self.target.backend {
            Backend::Demo => return self.demo(notes, asking).await,
            Backend::Http(site) => site,
        };
        match self.answer(site, notes, &mut asking).await {
            Ok(Came::Stream(stream, first)) => Ok(self.commit(asking, stream, first)),
            Ok(Came::Reply(reply)) => {
                match &reply {
                    Reply::Refused { .. } => asking.refused(),
                    _ => {
                        asking.answered();
                        self.common.doubts.answered();
                    }
                }
                Ok(reply)
            }
            Err(failure) => {
                asking.failed(&failure, &self.common.doubts);
                Err(failure)
            }
        }
    }

    async fn answer(&self, site: &Arc<Site>, notes: &mut Notes, asking: &mut Asking) -> Result<Came, Failure> {
        let Common { app, call, .. } = self.common;
        let limits = self.common.limits();
        let model = self.target.model.resolve(&call.envelope.model, self.common.matched);
        let plan = match self.plan(notes, site, self.terms(&model)).await? {
            Ok(plan) => plan,
            Err(no_plan) if call.operation == Operation::CountTokens && no_plan.unoffered => {
                return count::estimate(self, notes, &model).await.map(Came::Reply);
            }
            Err(no_plan) => return Err(unplannable(no_plan)),
        };
        notes.dropped = dropped_header(&plan);
        let mut room = Room::none(&app.buffers);
        if plan.dialect().is_some() {
            // A second body beside the client's.
            room.grow_to(plan.body.len(), limits.buffered_bytes)
                .map_err(|_| no_room())?;
        }
        self.common.count_call();
        asking.asked = true;
        let exchange = self.ask(notes, site, &plan).await?;
        if exchange.status() != StatusCode::OK {
            return self.judge(site, notes, exchange, &plan).await.map(Came::Reply);
        }
        if !call.streamed() {
            return self.whole(site, notes, exchange, plan).await.map(Came::Reply);
        }
        let guarded = self.guarded(Some(site), plan.dialect().is_none()).await?;
        let passes = guarded.as_ref().is_none_or(Guarded::lets_pass);
        let trail = self.trail(site, &plan, passes).await;
        self.first_event(notes, exchange, plan, trail, guarded).await
    }

    /// What decides how the call is planned for this target, under its own name of the model.
    pub(super) fn terms<'m>(&self, model: &'m str) -> Terms<'m> {
        let (max_depth, mixed, strict) = self.settings();
        Terms {
            model,
            max_depth,
            mixed,
            strict,
        }
    }

    /// The same without the name: depth of JSON, whether conversations may hold other vendors' parts, strictness.
    pub(super) fn settings(&self) -> (usize, bool, bool) {
        let common = self.common;
        (common.limits().json_depth, common.snapshot.mixed, common.strict)
    }

    /// Hand a stream on, with what is to be reported at its end.
    pub(super) fn commit(&self, mut asking: Asking, stream: LiveStream, first: Bytes) -> Reply {
        if let Some(permit) = &mut asking.permit {
            permit.heard(Instant::now);
            permit.begun();
        }
        self.common.doubts.answered();
        Reply::Live(Box::new(Live {
            stream,
            first,
            target: Arc::clone(self.target),
            permit: asking.permit.take(),
            total: self.common.total,
            uncounted: self.uncounted(ResponseText::Events(Vec::new())),
        }))
    }

    /// Read a whole answer.
    async fn whole(
        &self,
        site: &Site,
        notes: &mut Notes,
        mut exchange: Exchange,
        plan: Plan,
    ) -> Result<Reply, Failure> {
        let limits = self.common.limits();
        let mut room = Room::none(&self.common.app.buffers);
        let expected = exchange.content_length().unwrap_or(0);
        if expected <= limits.response_body {
            room.grow_to(expected, limits.buffered_bytes).map_err(|_| no_room())?;
        }
        let body = match self.read_whole(notes, &mut exchange, &mut room).await? {
            Ok(body) => body,
            Err(BodyTooLarge) => return Err(too_large()),
        };
        exchange.release().await;
        let translated = match plan.answer {
            Answer::Translated(translated) => translated,
            Answer::Native { .. } => return self.native_whole(site, notes, body, room),
        };
        let whole = match self.translate_whole(translated, &body).await {
            Ok(whole) => whole,
            Err(failure) => return self.judge_report(false, "", &body).unwrap_or(Err(failure)),
        };
        room.grow_to(body.len() + whole.body.len(), limits.buffered_bytes)
            .map_err(|_| no_room())?;
        if let Some((schema, text)) = whole.check
            && let Err(why) = schema::check(schema, text).await
        {
            // The target works. A schema is the client's, who can write one that no model follows.
            return Err(Failure {
                report: Report::Good,
                ..bad_response(why)
            });
        }
        self.note_usage(notes, whole.usage, ResponseText::Json(body));
        Ok(Reply::Whole {
            body: whole.body,
            room,
            filtered: whole.filtered && self.common.filters,
        })
    }

    #[allow(
        clippy::result_large_err,
        reason = "as every attempt's; boxing it would cost the async ones too"
    )]
    fn native_whole(&self, site: &Site, notes: &mut Notes, body: Bytes, room: Room) -> Result<Reply, Failure> {
        let facts = facts_of(self.common.call.dialect, &body, self.common.limits().json_depth)
            .map_err(|error| bad_response(format!("not JSON: {error}")))?;
        if facts.error {
            return self.judge_report(true, "", &body).unwrap_or_else(|| {
                Err(provider_error(
                    "the provider answered with an error",
                    "an error object with status 200".to_owned(),
                ))
            });
        }
        self.note_usage(notes, facts.usage, ResponseText::Json(body.clone()));
        let filtered = self.common.filters && self.is_filtered(site, &body);
        Ok(Reply::Whole { body, room, filtered })
    }

    /// Whether a content filter left nothing of an answer that passes as it is: read once more, only where it matters.
    fn is_filtered(&self, site: &Site, body: &[u8]) -> bool {
        let call = self.common.call;
        let model = self.target.model.resolve(&call.envelope.model, self.common.matched);
        let asked = Asked {
            operation: call.operation,
            client: call.dialect,
            model: &model,
            stream: false,
            several: false,
        };
        let expect = Expect::default();
        let read = || {
            let api = site.provider.api(asked)?;
            let document = Node::parse(body, self.common.limits().json_depth).ok()?;
            let response = api.codec.decode(&document, &expect).ok()?;
            Some(is_filtered(&response))
        };
        matches!(call.operation, Operation::Chat) && read().unwrap_or(false)
    }

    /// The figures, or what to count where there are none and tokens mean something.
    fn note_usage(&self, notes: &mut Notes, usage: Option<Usage>, text: ResponseText) {
        notes.usage = usage;
        let counted = matches!(
            self.common.call.operation,
            Operation::Chat | Operation::Completions | Operation::Embeddings
        );
        if usage.is_none() && counted {
            notes.uncounted = Some(self.uncounted(text));
        }
    }

    /// An error object with status 200 is the provider's failure; anything else that cannot be read is a bad answer.
    pub(super) fn undecodable(&self, body: &[u8], error: &Undecodable) -> Failure {
        match usage::read(body, self.common.limits().json_depth) {
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
        notes: &mut Notes,
        exchange: &mut Exchange,
        room: &mut Room,
    ) -> Result<Result<Bytes, BodyTooLarge>, Failure> {
        let limits = self.common.limits();
        let expected = exchange.content_length().unwrap_or(0);
        if expected > limits.response_body {
            return Ok(Err(BodyTooLarge));
        }
        let mut body = BytesMut::with_capacity(expected);
        loop {
            // What is there already costs no timer; most answers arrive with their header.
            let read = match exchange.read_ready(&mut body) {
                Some(read) => read,
                None => {
                    let deadline = (Instant::now() + self.target.deadlines.idle).min(self.common.total);
                    let read = notes.within(deadline, pin!(exchange.read(&mut body))).await;
                    read.map_err(|_| self.late(Outcome::IdleTimeout))?
                }
            };
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(body.freeze())),
                Err(fault) => return Err(super::failure::broken_connection(&fault)),
            }
            if body.len() > limits.response_body {
                return Ok(Err(BodyTooLarge));
            }
            room.grow_to(body.len(), limits.buffered_bytes).map_err(|_| no_room())?;
        }
    }

    /// Read a stream up to its first event: from there on it is committed.
    async fn first_event(
        &self,
        notes: &mut Notes,
        exchange: Exchange,
        plan: Plan,
        trail: Option<Trail>,
        guarded: Option<Guarded>,
    ) -> Result<Came, Failure> {
        let native = matches!(plan.answer, Answer::Native { .. });
        let framing = match &plan.answer {
            Answer::Native { .. } => Framing::Sse,
            Answer::Translated(translated) => translated.framing(),
        };
        if !content_type(exchange.headers()).is_some_and(|kind| is_framed_as(framing, kind)) {
            return Err(bad_response(
                "a stream was asked for and something else came".to_owned(),
            ));
        }
        let deadline = (self.began + self.target.deadlines.first_event).min(self.common.total);
        let mut stream = self.live(Source::Upstream(Box::new(exchange)), plan.answer, guarded, trail);
        let mut first = BytesMut::new();
        let mut only: Option<Bytes> = None;
        loop {
            notes
                .within(deadline, pin!(stream.fill()))
                .await
                .map_err(|_| self.late(Outcome::FirstEventTimeout))?;
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
                return Ok(Came::Stream(stream, only.unwrap_or_else(|| first.freeze())));
            }
            if let Some(broken) = stream.broken.take() {
                let judged = match stream.reported {
                    Some(said) => self.judge_report(native, &said.name, &said.data),
                    None => None,
                };
                return match judged {
                    Some(judged) => judged.map(Came::Reply),
                    None => Err(broken_stream(broken)),
                };
            }
            if stream.ended || stream.is_done() || first.len() > self.common.limits().stream_event {
                return Err(bad_response("the stream has no events".to_owned()));
            }
        }
    }

    pub(super) fn uncounted(&self, response: ResponseText) -> Uncounted {
        let call = self.common.call;
        let model = self.target.model.resolve(&call.envelope.model, self.common.matched);
        Uncounted {
            model: model.into_owned(),
            request: call.body.clone(),
            dialect: call.dialect,
            output_only: false,
            forgotten: 0,
            response,
        }
    }

    /// A deadline passed; `outcome` says which, unless it was the total one. That says something of the target only if it had
    /// most of the time: neither what the client cut short nor what others used up before is its fault.
    pub(super) fn late(&self, outcome: Outcome) -> Failure {
        let over = Instant::now() >= self.common.total;
        let had = self.began.elapsed();
        let fair = self.common.allotted.is_some_and(|allotted| had >= allotted / 2);
        let outcome = if over { Outcome::TotalTimeout } else { outcome };
        let error = GatewayError::new(ErrorKind::ProviderTimeout, "the provider did not answer in time")
            .because(outcome.as_str());
        Failure {
            error,
            outcome,
            elsewhere: !over,
            report: if over && !fair { Report::Nothing } else { Report::Bad },
            unasked: false,
        }
    }
}

/// An answer beyond `limits.response_body`: the target works, and another's would be no smaller.
fn too_large() -> Failure {
    let error = GatewayError::new(
        ErrorKind::ProviderBadResponse,
        "the provider's answer is larger than this gateway accepts",
    );
    Failure {
        error,
        outcome: Outcome::BadResponse,
        elsewhere: false,
        report: Report::Good,
        unasked: false,
    }
}

pub(super) fn content_type(headers: Option<&HeaderMap>) -> Option<&[u8]> {
    Some(headers?.get(CONTENT_TYPE)?.as_bytes())
}

/// For `x-cirque-dropped`.
fn dropped_header(plan: &Plan) -> Option<HeaderValue> {
    if plan.dropped.is_empty() {
        return None;
    }
    HeaderValue::from_str(&plan.dropped.header()).ok()
}
