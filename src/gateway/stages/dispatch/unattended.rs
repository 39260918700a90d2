//! A request without a client: asked of a model's pool and its fallbacks until somebody answers, without hedging, waiting or a
//! mirror. For copies (`mirror.rs`), answers fetched anew and vectors (the cache). Nobody can leave; deadlines end it.
//!
//! Not a call that a client's request could have had: it moves on to calm targets only, and takes nothing of the retry budget.

use super::super::super::App;
use super::super::super::aside::aside;
use super::super::super::downstream::sleep_until;
use super::super::super::live::Broken;
use super::super::guard::{self, Judged};
use super::attempt::Common;
use super::forward::Forwarded;
use super::race::{self, Finished};
use super::search::Search;
use super::{Live, Reply};
use crate::balance::RetryBudget;
use crate::clock;
use crate::guardrails::Policy;
use crate::snapshot::{Named, Snapshot};
use crate::telemetry::{Outcome, Purpose, rough_usage};
use crate::units::Usage;
use crate::upstream::Target;
use crate::wire::Call;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request without a client.
pub(in crate::gateway) struct Unattended {
    /// Its gateway.
    pub app: Arc<App>,
    /// The configuration it runs under.
    pub snapshot: Arc<Snapshot>,
    /// What is asked.
    pub call: Call,
    /// What of a client's headers goes with it.
    pub headers: Forwarded,
    /// Its id.
    pub id: String,
    /// Which model is asked, as an index into the snapshot's.
    pub to: usize,
    /// What the `*` of the public name matched.
    pub matched: String,
    /// Why it is asked.
    pub purpose: Purpose,
    /// Guardrails that its answer must pass, where somebody is to get it.
    pub guard: Option<Policy>,
}

/// Who answered, and how.
pub(in crate::gateway) struct Answered {
    /// Who.
    pub target: Arc<Target>,
    /// Tokens; a rough figure where the provider told none.
    pub usage: Option<Usage>,
    /// They are such a figure.
    pub estimated: bool,
    /// The whole answer came, and no guardrail refused it.
    pub ok: bool,
    /// It is the asked model's: not a fallback's, nor a figure of the gateway's own.
    pub own: bool,
    /// Time to its first event.
    pub ttft: Option<Duration>,
}

impl Unattended {
    /// Ask until somebody answers. What they say goes to `piece`, in the dialect of the call.
    pub async fn ask(&self, piece: &mut (dyn FnMut(Bytes) + Send)) -> Option<Answered> {
        let began = Instant::now();
        let model = self.snapshot.models.get(self.to)?;
        let deadlines = model.deadlines();
        let longest = if self.call.streamed() {
            deadlines.stream_total
        } else {
            deadlines.total
        };
        let common = Common {
            matched: &self.matched,
            strict: model.strict,
            allotted: Some(longest),
            guard: self.guard.clone(),
            ..Common::plain(
                &self.app,
                &self.snapshot,
                &self.call,
                &self.id,
                &self.headers,
                began + longest,
            )
        };
        let unpaid = RetryBudget::default();
        unpaid.configure(0, 0);
        let mut search = Search::new(&self.snapshot, &unpaid, &model.chain, self.call.streamed());
        loop {
            let mut chosen = search.next(common.calls())?;
            chosen.who.purpose = self.purpose;
            let own = chosen.who.index == self.to;
            let Finished { who, result, mut notes } = race::single(&common, chosen).await;
            match result {
                Ok(Reply::Live(live)) => {
                    let heard = self.listen(*live, began, piece).await;
                    return Some(Answered { own, ..heard });
                }
                Ok(Reply::Whole { body, .. }) => {
                    let rough = notes.uncounted.take();
                    let rough = || rough.map(|it| rough_usage(&it.request, &it.response, it.forgotten));
                    let estimated = notes.usage.is_none();
                    let usage = notes.usage.or_else(rough);
                    self.account(who.target, usage.as_ref());
                    let passed = self.judged(body, usage).await;
                    let ok = passed.is_some();
                    piece(passed.unwrap_or_default());
                    return Some(Answered {
                        target: Arc::clone(who.target),
                        usage,
                        estimated: estimated && usage.is_some(),
                        ok,
                        own: own && !notes.estimated,
                        ttft: None,
                    });
                }
                Ok(Reply::Refused { .. }) => return None,
                Err(failure) => search.failed(who.index, who.member, failure).ok()?,
            }
        }
    }

    /// Take a stream to its end.
    async fn listen(&self, live: Live, began: Instant, piece: &mut (dyn FnMut(Bytes) + Send)) -> Answered {
        let Live {
            mut stream,
            first,
            target,
            permit,
            total,
            ..
        } = live;
        let ttft = Some(began.elapsed());
        piece(first);
        let mut in_time = true;
        while in_time && !(stream.broken.is_some() || stream.is_done() || stream.ended || stream.is_refused()) {
            let deadline = (stream.last_event + target.deadlines.idle).min(total);
            in_time = tokio::select! {
                () = stream.fill() => true,
                () = sleep_until(deadline) => false,
            };
            piece(stream.take());
        }
        let whole = in_time && stream.broken.is_none();
        target.attempts.count(match &stream.broken {
            _ if !in_time => Outcome::IdleTimeout,
            None => Outcome::Ok,
            Some(Broken::Connection(_)) => Outcome::Disconnected,
            Some(Broken::Reported(_) | Broken::Said(_)) => Outcome::ServerError,
            Some(_) => Outcome::BadResponse,
        });
        if let Some(permit) = permit {
            match &stream.reported {
                _ if whole => permit.success(),
                // What it fails on may be the request: then it would not have to be left alone.
                Some(reported) => {
                    super::settle_broken(&target, permit, reported);
                }
                None => permit.failure(Instant::now()),
            }
        }
        let estimated = stream.usage.is_none();
        let usage = stream.usage.unwrap_or_else(|| {
            let forgotten = stream.forgotten();
            rough_usage(&self.call.body, &stream.remembered(), forgotten)
        });
        self.account(&target, Some(&usage));
        let ok = whole && !stream.is_refused();
        stream.release().await;
        Answered {
            target,
            usage: Some(usage),
            estimated,
            ok,
            own: true,
            ttft,
        }
    }

    /// A whole answer as it may be kept; none: a guardrail refuses it, or cannot read it.
    async fn judged(&self, body: Bytes, usage: Option<Usage>) -> Option<Bytes> {
        let Some(policy) = self.guard.clone() else {
            return Some(body);
        };
        let (call, depth) = (self.call.clone(), self.snapshot.limits.json_depth);
        let work = move || guard::whole(&policy, &call, body, usage, depth).outcome;
        match aside(work).await {
            Ok(Ok(Judged::Pass(body))) => Some(body),
            _ => None,
        }
    }

    /// How its model was named.
    pub fn named(&self) -> Named<'_> {
        Named {
            asked: &self.call.envelope.model,
            matched: &self.matched,
        }
    }

    /// What it used, and cost.
    fn account(&self, target: &Target, usage: Option<&Usage>) {
        let routing = &self.app.meters.routing;
        routing.call(target.id.as_str(), self.purpose, usage);
        let price = self.snapshot.tariff.price(target, &self.named(), clock::now());
        if let (Some(price), Some(usage)) = (price, usage) {
            target.attempts.spent(self.purpose, price.of(usage).total());
        }
    }
}
