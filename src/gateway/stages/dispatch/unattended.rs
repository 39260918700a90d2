//! A request without a client: asked of a model's pool and its fallbacks until somebody answers, without hedging, waiting or a
//! mirror. For copies (`mirror.rs`), answers fetched anew and vectors (the cache). Nobody can leave; deadlines end it.
//!
//! Not a call that a client's request could have had: it moves on to calm targets only, and takes nothing of the retry budget.

use super::super::super::App;
use super::super::super::downstream::sleep_until;
use super::super::super::live::Broken;
use super::attempt::Common;
use super::forward::Forwarded;
use super::race::{self, Finished};
use super::search::Search;
use super::{Live, Reply};
use crate::balance::RetryBudget;
use crate::clock;
use crate::snapshot::{Named, Snapshot};
use crate::telemetry::{Outcome, Purpose};
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
}

/// Who answered, and how.
pub(in crate::gateway) struct Answered {
    /// Who.
    pub target: Arc<Target>,
    /// Tokens, where the provider told.
    pub usage: Option<Usage>,
    /// The whole answer came.
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
            let Finished { who, result, notes } = race::single(&common, chosen).await;
            match result {
                Ok(Reply::Live(live)) => {
                    let heard = self.listen(*live, began, piece).await;
                    return Some(Answered { own, ..heard });
                }
                Ok(Reply::Whole { body, .. }) => {
                    self.account(who.target, notes.usage.as_ref());
                    piece(body);
                    return Some(Answered {
                        target: Arc::clone(who.target),
                        usage: notes.usage,
                        ok: true,
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
        while in_time && !(stream.broken.is_some() || stream.is_done() || stream.ended) {
            let deadline = (stream.last_event + target.deadlines.idle).min(total);
            in_time = tokio::select! {
                () = stream.fill() => true,
                () = sleep_until(deadline) => false,
            };
            piece(stream.take());
        }
        let ok = in_time && stream.broken.is_none();
        target.attempts.count(match &stream.broken {
            _ if !in_time => Outcome::IdleTimeout,
            None => Outcome::Ok,
            Some(Broken::Connection(_)) => Outcome::Disconnected,
            Some(Broken::Reported(_) | Broken::Said(_)) => Outcome::ServerError,
            Some(_) => Outcome::BadResponse,
        });
        if let Some(permit) = permit {
            match &stream.reported {
                _ if ok => permit.success(),
                // What it fails on may be the request: then it would not have to be left alone.
                Some(reported) => {
                    super::settle_broken(&target, permit, reported);
                }
                None => permit.failure(Instant::now()),
            }
        }
        self.account(&target, stream.usage.as_ref());
        let usage = stream.usage;
        stream.release().await;
        Answered {
            target,
            usage,
            ok,
            own: true,
            ttft,
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
