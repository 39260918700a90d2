//! What a request owes: its records for the ledger and its lease on limits, settled once, when what it used is known.
//!
//! A provider that gives no usage has its tokens counted on another thread, after the request is over, and the bill waits for
//! the figures there. So it holds all it needs and nothing of the request.

use super::super::super::App;
use super::super::super::context::{Asked, Record, RequestContext, Try};
use super::account::{Prices, used};
use crate::clock;
use crate::error::ErrorKind;
use crate::ledger::{Charge, Ledger, Row, RowId};
use crate::limits::{Lease, Prompt, Ratio, Spent};
use crate::snapshot::{Snapshot, Tariff};
use crate::telemetry::{Meters, NONE, Outcome, Purpose};
use crate::units::{Cost, Price, Usage};
use crate::upstream::Target;
use crate::wire::Operation;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// What a request owes.
pub(super) struct Bill {
    lease: Option<Lease>,
    ledger: Option<Arc<Ledger>>,
    meters: Arc<Meters>,
    tariff: Arc<Tariff>,
    /// In the box in which the ledger takes it.
    row: Box<Row>,
    /// The model as configured: for metrics, which never hold what a client wrote.
    model: Option<Arc<str>>,
    /// Its calls that did not answer.
    calls: Vec<Call>,
    /// The one that did, or was to.
    answered: Option<Call>,
    /// It passed unread, and was to tell what it used.
    tells: bool,
    /// What the model's ratio of bytes to tokens can learn from.
    lesson: Option<(Arc<Ratio>, Prompt)>,
}

/// One call to a target.
struct Call {
    target: Arc<Target>,
    price: Option<Arc<Price>>,
    purpose: &'static str,
    outcome: &'static str,
    took: Duration,
    usage: Option<Usage>,
    estimated: bool,
    /// Another was quicker.
    overtaken: bool,
}

impl Call {
    fn cost(&self) -> Option<Cost> {
        Some(self.price.as_ref()?.of(&self.usage?))
    }
}

/// Draw up the bill; none where nothing is counted and nothing recorded.
pub(super) fn open(
    app: &App,
    ctx: &mut RequestContext,
    snapshot: Option<&Snapshot>,
    prices: &Prices,
    duration: Duration,
    now_ms: u64,
) -> Option<Bill> {
    let lease = ctx.lease.take();
    let ledger = app.ledger.load_full().filter(|_| is_recorded(ctx));
    if lease.is_none() && ledger.is_none() {
        return None;
    }
    let snapshot = snapshot?;
    let answer = ctx.record.usage;
    let call = |target: &Arc<Target>, price: &Option<Arc<Price>>, purpose: Purpose, outcome: &'static str| Call {
        target: Arc::clone(target),
        price: price.clone(),
        purpose: purpose.as_str(),
        outcome,
        took: duration,
        usage: None,
        estimated: false,
        overtaken: false,
    };
    let calls: Vec<Call> = ctx
        .record
        .tries
        .iter()
        .zip(prices.tries.iter().chain(std::iter::repeat(&None)))
        .map(|(tried, price)| {
            let call = call(&tried.target, price, tried.purpose, tried.outcome.as_str());
            fell(ctx, tried, call)
        })
        .collect();
    // The last target asked is among the calls that fell when nobody answered.
    let asked = ctx.record.answered || u32::try_from(calls.len()).unwrap_or(u32::MAX) < ctx.record.attempts;
    let record = &ctx.record;
    let outcome = outcome(record.error, record.status);
    let answered = record.target.as_ref().filter(|_| asked).map(|target| Call {
        usage: left_early(ctx, answer),
        estimated: answer.is_none(),
        ..call(target, &prices.answer, record.purpose, outcome)
    });
    let row = Box::new(row(ctx, snapshot, now_ms, duration, outcome));
    let lesson = match (&ctx.prompt, record.place, &ctx.record.model) {
        (Some(prompt), (model, _), Some(_)) => snapshot
            .models
            .get(model)
            .map(|model| (Arc::clone(&model.ratio), *prompt)),
        _ => None,
    };
    Some(Bill {
        lease,
        ledger,
        meters: Arc::clone(&app.meters),
        tariff: Arc::clone(&snapshot.tariff),
        row,
        model: ctx.record.model.clone(),
        calls,
        answered,
        tells: ctx.record.tells,
        lesson,
    })
}

/// A call that did not answer, with what it used.
fn fell(ctx: &RequestContext, tried: &Try, call: Call) -> Call {
    let told = used(tried, ctx.record.usage.as_ref());
    // The time was up, which the client may have set, and the prompt was sent.
    let in_vain = || prompt_of(ctx).filter(|_| tried.outcome == Outcome::TotalTimeout);
    Call {
        took: tried.took,
        usage: told.or_else(in_vain),
        estimated: tried.estimated || told.is_none(),
        overtaken: tried.outcome == Outcome::Overtaken,
        ..call
    }
}

/// What a client is charged with that left before the answer's usage was known, and nobody counts it: the prompt was sent.
fn left_early(ctx: &RequestContext, answer: Option<Usage>) -> Option<Usage> {
    let left = ctx.record.status == 499 && answer.is_none() && ctx.record.uncounted.is_none();
    if left { prompt_of(ctx) } else { answer }
}

/// The prompt, where its size was told before it went out.
fn prompt_of(ctx: &RequestContext) -> Option<Usage> {
    let prompt = ctx.prompt?;
    Some(Usage {
        input: Ratio::default().likely(&prompt),
        ..Usage::default()
    })
}

fn row(ctx: &RequestContext, snapshot: &Snapshot, now_ms: u64, duration: Duration, outcome: &'static str) -> Row {
    let record = &ctx.record;
    let known = ctx.principal.known.as_ref();
    let at_ms = now_ms.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or_default());
    let from_cache = record.cache.as_ref().filter(|cache| cache.result.saves());
    Row {
        id: RowId::new(at_ms),
        attempt: 0,
        at_ms,
        tenant: known.map_or_else(|| Arc::clone(&snapshot.nobody.0), |known| Arc::clone(&known.tenant)),
        tags: known.map_or_else(|| Arc::clone(&snapshot.nobody.1), |known| Arc::clone(&known.tags)),
        metadata: ctx.metadata.clone(),
        request_id: ctx.id.as_str().into(),
        operation: record.asked.as_str(),
        model: model_name(record, outcome),
        target: record.target.as_ref().map(|target| target.id.shared()),
        provider: record.target.as_ref().map(|target| Arc::clone(&target.provider)),
        purpose: record.purpose.as_str(),
        status: record.status,
        outcome,
        cache: record.cache.as_ref().map_or("off", |cache| cache.result.as_str()),
        guardrails: ctx.guard.as_ref().and_then(|guard| guard.told()),
        stream: record.stream,
        latency_ms: short(duration),
        ttft_ms: record.ttft.map(short),
        // Added to by calls that were made all the same.
        usage: from_cache.and_then(|cache| cache.usage).unwrap_or_default(),
        estimated: false,
        cost: None,
        billed: None,
        saved: from_cache.and_then(|cache| cache.cost).unwrap_or(0),
        charges: Vec::new(),
    }
}

/// Longest name of a model that a client may bring into the ledger, in bytes: as many as there are in one word of the store's.
const LONGEST_MODEL: usize = 256;

/// The public model. Of a pattern, the name that was asked for, since its price is that name's; only of a request that a provider
/// answered, so that nobody fills the ledger with names that are none.
fn model_name(record: &Record, outcome: &str) -> Option<Arc<str>> {
    match &record.wild {
        Some((asked, _)) if outcome == "ok" && asked.len() <= LONGEST_MODEL => Some(Arc::from(&**asked)),
        _ => record.model.clone(),
    }
}

/// Whether there is a row for it: not for who is nobody, who could fill the ledger, nor for paths that are none.
fn is_recorded(ctx: &RequestContext) -> bool {
    ctx.identified && !matches!(ctx.record.asked, Asked::Other) && ctx.record.error != Some(ErrorKind::Unauthenticated)
}

fn outcome(error: Option<ErrorKind>, status: u16) -> &'static str {
    match error {
        Some(kind) => kind.as_str(),
        None if status < 400 => "ok",
        None => "refused",
    }
}

impl Bill {
    /// The request is over; what it used is counted yet.
    pub(super) fn wait(&mut self, now_ms: u64) {
        if let Some(lease) = &mut self.lease {
            lease.over(now_ms);
        }
    }

    /// The provider told its usage, or nobody was asked.
    pub(super) fn close(self, now_ms: u64) {
        self.settle(now_ms);
    }

    /// The answering call's usage was counted here.
    pub(super) fn close_with(mut self, usage: Usage) {
        if let Some(answered) = &mut self.answered {
            answered.usage = Some(usage);
            answered.estimated = true;
        }
        // They read the same prompt.
        let overtaken = self
            .calls
            .iter_mut()
            .filter(|call| call.overtaken && call.usage.is_none());
        for call in overtaken {
            call.usage = Some(Usage {
                input: usage.input,
                ..Usage::default()
            });
            call.estimated = true;
        }
        self.settle(clock::now_ms());
    }

    /// An answer that tells no usage has the price of a request, if it has one; of one that passes unread the cost is not known,
    /// and never nothing. Whether it is known.
    fn price_untold(&mut self) -> bool {
        let ok = self.row.outcome == "ok";
        let in_vain = || self.answered.as_ref().is_some_and(|call| call.usage.is_none());
        if !ok && self.row.status == 499 && self.row.operation == "passthrough" && in_vain() {
            // It was asked, and what it would have told of its cost nobody waited for.
            return false;
        }
        let untold = self.answered.as_mut().filter(|call| ok && call.usage.is_none());
        let Some(answered) = untold else { return true };
        let of_request = || answered.price.as_ref().is_some_and(|price| price.base.request > 0);
        if self.row.operation == "passthrough" && !(self.tells && of_request()) {
            return false;
        }
        if self.row.operation != Operation::CountTokens.as_str() {
            answered.usage = Some(Usage::default());
        }
        true
    }

    fn settle(mut self, now_ms: u64) {
        if let (Some((ratio, prompt)), Some(answered)) = (&self.lesson, &self.answered)
            && let (Some(usage), false) = (answered.usage, answered.estimated)
        {
            ratio.learn(prompt, usage.input);
        }
        let known = self.price_untold();
        let all = self.calls.iter().chain(&self.answered);
        let all: SmallVec<[(&Call, Option<Cost>); 1]> = all.map(|call| (call, call.cost())).collect();
        let spent: SmallVec<[Spent<'_>; 1]> = all.iter().map(|(call, cost)| self.spent(call, cost.as_ref())).collect();
        if let Some(mut lease) = self.lease.take() {
            if all.is_empty() && self.row.outcome == "ok" {
                // Answered here: a request all the same.
                lease.sent();
            }
            let charged = lease.settle(&spent, now_ms);
            self.row.charges = charged
                .into_iter()
                .map(|charged| Charge {
                    count: charged.count,
                    window: charged.window,
                    nano: charged.nano,
                })
                .collect();
        }
        let (mut usage, mut cost, mut priced) = (self.row.usage, Cost::default(), known);
        for (call, one) in &all {
            let Some(used) = call.usage else { continue };
            usage.add(&used);
            match one {
                Some(one) => cost.add(one),
                None => priced = false,
            }
        }
        self.row.estimated = all.iter().any(|(call, _)| call.estimated && call.usage.is_some());
        self.row.usage = usage;
        let answered = self.row.outcome == "ok" && self.answered.is_some();
        if priced {
            self.row.cost = Some(cost);
            self.row.billed = Some(self.tariff.billed(cost.total()));
        } else if answered {
            self.meters.accounts.unpriced(self.model.as_deref().unwrap_or(NONE));
        }
        let Some(ledger) = self.ledger.take() else { return };
        // Of a request with one call the row of the request says all there is.
        if all.len() > 1 {
            for (index, (call, _)) in all.iter().enumerate() {
                ledger.push(Box::new(self.attempt(call, index)));
            }
        }
        ledger.push(self.row);
    }

    fn spent<'a>(&self, call: &'a Call, cost: Option<&Cost>) -> Spent<'a> {
        let usage = call.usage.unwrap_or_default();
        Spent {
            provider: Some(call.target.provider_name()),
            input: usage.input,
            output: usage.output,
            nano: cost.map_or(0, |cost| self.tariff.billed(cost.total())),
        }
    }

    fn attempt(&self, call: &Call, index: usize) -> Row {
        let cost = call.cost();
        Row {
            attempt: u16::try_from(index + 1).unwrap_or(u16::MAX),
            target: Some(call.target.id.shared()),
            provider: Some(Arc::clone(&call.target.provider)),
            purpose: call.purpose,
            outcome: call.outcome,
            status: if call.outcome == Outcome::Ok.as_str() { 200 } else { 0 },
            latency_ms: short(call.took),
            ttft_ms: None,
            usage: call.usage.unwrap_or_default(),
            estimated: call.estimated && call.usage.is_some(),
            cost,
            billed: cost.map(|cost| self.tariff.billed(cost.total())),
            guardrails: None,
            saved: 0,
            charges: Vec::new(),
            ..(*self.row).clone()
        }
    }
}

pub(super) fn short(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
