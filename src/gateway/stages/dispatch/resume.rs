//! Going on with a stream that broke after its beginning was sent: another target is asked for the rest.
//!
//! What must be kept of a stream for that is prepared when it is committed, and only in pools that have `continuation`. A target
//! that refuses, fails or cannot be asked to go on leaves the place to the next; when nobody is left the stream ends in an error
//! as it would have without. `live.rs` knows what may be continued and splices.

use super::super::super::App;
use super::super::super::aside::{OFFLOAD_FROM, aside};
use super::super::super::buffers::Room;
use super::super::super::context::{RequestContext, Uncounted};
use super::super::super::downstream::Downstream;
use super::super::super::live::{LiveStream, Resumable, Source, Trail, is_framed_as, tokens};
use super::super::super::plan::{self, Answer, Continued, Plan, Terms};
use super::super::reserve;
use super::attempt::{Asking, Attempt, Common, Notes, content_type};
use super::doubt::Doubts;
use super::failure::{Failure, bad_response, unplannable, unsupported};
use super::forward::Forwarded;
use super::search::{Chosen, Search, Who};
use super::{Reply, failure};
use crate::balance::Permit;
use crate::error::GatewayError;
use crate::guardrails::{Direction, Judge};
use crate::snapshot::{ContinuationTerms, Found, Snapshot};
use crate::telemetry::{Purpose, ResponseText};
use crate::upstream::{Backend, Exchange, Site, Target};
use crate::wire::Call;
use http::StatusCode;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

/// A target that speaks now.
pub struct Speaker {
    /// Which of the snapshot's models' members.
    pub place: (usize, usize),
    /// It.
    pub target: Arc<Target>,
    /// To be reported when it is done.
    pub permit: Option<Permit>,
    /// For counting, should it give no usage.
    pub uncounted: Uncounted,
    /// Why it was asked.
    pub purpose: Purpose,
    /// When.
    pub began: Instant,
    /// Something has come from it.
    pub begun: bool,
    /// Tokens of the answer that others had given before it.
    pub given: u64,
}

/// A request whose answer may be gone on with.
#[derive(Clone, Copy)]
pub struct Resumption<'a> {
    pub app: &'a App,
    pub snapshot: &'a Arc<Snapshot>,
    pub call: &'a Call,
    pub found: Found<'a>,
    pub total: Instant,
}

/// Ask other targets for the rest; the stream is spliced when somebody gives it. Nothing when nobody does. `broken`: who spoke
/// before.
pub async fn go_on(
    what: Resumption<'_>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    live: &mut LiveStream,
    broken: &[(usize, usize)],
) -> Result<Option<Speaker>, GatewayError> {
    let Resumption {
        app,
        snapshot,
        call,
        found,
        total,
    } = what;
    let Some(terms) = found.model.continuation else {
        return Ok(None);
    };
    let routing = &app.meters.routing;
    let said = match live.resumable() {
        Resumable::Text(said) => said.to_owned(),
        Resumable::No(why) => {
            routing.seam(&found.model.name, why);
            return Ok(None);
        }
    };
    // What one provider said goes to another as a request does, and guardrails for requests have not seen it.
    if let Some(guarding) = &ctx.guard {
        let mut judge = Judge::new(&guarding.policy, Direction::Input);
        if judge.acts() && judge.text(&said).is_some() {
            routing.seam(&found.model.name, "a guardrail");
            return Ok(None);
        }
    }
    // Both calls are paid for.
    if !reserve::again(app, down, ctx, snapshot, call, found).await? {
        routing.seam(&found.model.name, "no room");
        return Ok(None);
    }
    let headers = Forwarded::of(&down.request().headers);
    let id = ctx.id.clone();
    let common = Common {
        matched: found.matched,
        strict: found.model.strict,
        continuation: Some(terms),
        calls: AtomicU32::new(ctx.record.attempts.max(1)),
        doubts: Doubts::after_a_failure(),
        ..Common::plain(app, snapshot, call, id.as_str(), &headers, total)
    };
    let mut search = Search::new(snapshot, &app.state.retries, &found.model.chain, true);
    search.leave_out(broken.iter().chain(&ctx.unfit).copied().collect());
    while let Some(chosen) = search.next(common.calls()) {
        let Chosen { who, permit } = chosen;
        let Who {
            index,
            model,
            member,
            target,
            began,
            ..
        } = who;
        let mut notes = Notes::default();
        let attempt = Attempt {
            common: &common,
            target,
            began,
        };
        let asked = {
            let ask = pin!(attempt.resume(permit, &mut notes, &said, terms));
            down.or_left(ask).await
        };
        ctx.record.attempts = common.calls();
        let asked = asked.map_err(|_| GatewayError::client_left())?;
        down.waited += notes.waited;
        match asked {
            Ok((exchange, rest, asking)) => {
                common.doubts.answered();
                let source = Source::Upstream(Box::new(exchange));
                if !live.splice(source, rest.framing, rest.decoder, rest.how) {
                    return Ok(None);
                }
                let speaker = Speaker {
                    place: (index, member),
                    target: Arc::clone(target),
                    permit: asking.into_permit(),
                    uncounted: attempt.uncounted(ResponseText::Events(Vec::new())),
                    purpose: Purpose::Continuation,
                    began,
                    begun: false,
                    given: tokens(&said),
                };
                ctx.record.target = Some(Arc::clone(target));
                ctx.record.meter = model.meter(member, call.operation).cloned();
                ctx.record.purpose = Purpose::Continuation;
                ctx.record.upstream_request_id = notes.upstream_request_id;
                routing.seam(&found.model.name, "continued");
                return Ok(Some(speaker));
            }
            Err(failure) => {
                if !failure.unasked {
                    ctx.record
                        .fell(target, Purpose::Continuation, failure.outcome, began.elapsed());
                }
                let elsewhere = failure.elsewhere;
                // Whatever it is, it is not the client's answer: that has begun.
                let _ = search.failed(index, member, failure);
                if !elsewhere {
                    break;
                }
            }
        }
    }
    routing.seam(&found.model.name, "nobody to go on");
    Ok(None)
}

impl Speaker {
    /// An event of its has come: as when an answer is committed.
    pub fn begun(&mut self) {
        if let (false, Some(permit)) = (std::mem::replace(&mut self.begun, true), &mut self.permit) {
            permit.heard(Instant::now);
            permit.begun();
        }
    }
}

impl Attempt<'_> {
    /// Ask for the rest of an answer; the response's head has come, and it is a stream.
    async fn resume(
        &self,
        permit: Permit,
        notes: &mut Notes,
        said: &str,
        terms: ContinuationTerms,
    ) -> Result<(Exchange, Continued, Asking), Failure> {
        let mut asking = Asking::new(permit, self.target);
        let Backend::Http(site) = &self.target.backend else {
            return Err(unsupported(self.common.call));
        };
        match self.ask_for_rest(site, notes, said, terms, &mut asking).await {
            Ok((exchange, rest)) => Ok((exchange, rest, asking)),
            Err(failure) => {
                asking.failed(&failure, &self.common.doubts);
                Err(failure)
            }
        }
    }

    async fn ask_for_rest(
        &self,
        site: &Arc<Site>,
        notes: &mut Notes,
        said: &str,
        terms: ContinuationTerms,
        asking: &mut Asking,
    ) -> Result<(Exchange, Continued), Failure> {
        let rest = self.rest(site, said, terms).await?.map_err(unplannable)?;
        // A second body beside the client's.
        let mut room = Room::none(&self.common.app.buffers);
        room.grow_to(rest.plan.body.len(), self.common.limits().buffered_bytes)
            .map_err(|_| failure::no_room())?;
        self.common.count_call();
        asking.asked = true;
        let exchange = self.ask(notes, site, &rest.plan).await?;
        if exchange.status() != StatusCode::OK {
            return Err(match self.judge(site, notes, exchange, &rest.plan).await {
                Err(failure) => failure,
                // It does not take what was said so: no verdict on it, and another may.
                Ok(Reply::Refused { status, .. }) => failure::refused_rest(status),
                Ok(_) => bad_response("an answer that was none".to_owned()),
            });
        }
        if !content_type(exchange.headers()).is_some_and(|kind| is_framed_as(rest.framing, kind)) {
            return Err(bad_response(
                "a stream was asked for and something else came".to_owned(),
            ));
        }
        Ok((exchange, rest))
    }

    async fn rest(
        &self,
        site: &Arc<Site>,
        said: &str,
        terms: ContinuationTerms,
    ) -> Result<Result<Continued, plan::NoPlan>, Failure> {
        let call = self.common.call;
        let model = self.target.model.resolve(&call.envelope.model, self.common.matched);
        let instruct = terms.instruct;
        if call.body.len() < OFFLOAD_FROM {
            return Ok(plan::continued(call, site, self.terms(&model), said, instruct));
        }
        let (call, site, model, said) = (call.clone(), Arc::clone(site), model.into_owned(), said.to_owned());
        let (max_depth, mixed, strict) = self.settings();
        let work = move || {
            let terms = Terms {
                model: &model,
                max_depth,
                mixed,
                strict,
            };
            plan::continued(&call, &site, terms, &said, instruct)
        };
        let made = aside(work).await;
        made.map_err(|error| failure::defect(format!("blocking task: {error}")))
    }

    /// What must be kept of a stream so that it can be gone on with, where the pool wants that.
    /// `passes`: the bytes of a native stream do.
    pub(super) async fn trail(&self, site: &Arc<Site>, plan: &Plan, passes: bool) -> Option<Trail> {
        let terms = self.common.continuation?;
        let call = self.common.call;
        let native = passes && matches!(plan.answer, Answer::Native { .. });
        let model = self.target.model.resolve(&call.envelope.model, self.common.matched);
        if call.body.len() < OFFLOAD_FROM {
            return plan::trail(call, site, self.terms(&model), native, terms.seams);
        }
        let (call, site, model) = (call.clone(), Arc::clone(site), model.into_owned());
        let (max_depth, mixed, strict) = self.settings();
        let work = move || {
            let asked = Terms {
                model: &model,
                max_depth,
                mixed,
                strict,
            };
            plan::trail(&call, &site, asked, native, terms.seams)
        };
        aside(work).await.ok()?
    }
}
