//! Every call a request caused, with its tokens and what it cost: also those that did not answer it.
//!
//! Of a call that another overtook, no provider says what it used; its prompt was read all the same, so it counts with the
//! prompt's tokens as the answering call gave them. A call that failed counts with what its stream had reported, if anything.

use super::super::super::App;
use super::super::super::context::{Record, Try};
use crate::snapshot::Snapshot;
use crate::telemetry::{Detours, Outcome, Purpose, TriedCall};
use crate::units::{NanoUsd, Price, Usage};
use crate::upstream::Target;
use std::sync::Arc;
use std::time::Duration;

/// What the calls of a request cost, by the prices of when it began (a price that changes meanwhile is for later requests):
/// looked up once, for the bill and for the access line.
#[derive(Default)]
pub(super) struct Prices {
    /// Of the target that answered or was asked last.
    pub answer: Option<Arc<Price>>,
    /// Of the calls that did not answer, in their order.
    pub tries: Vec<Option<Arc<Price>>>,
}

impl Prices {
    /// Look them up, after so long. Nothing is done where no target has a price.
    pub(super) fn of(snapshot: Option<&Snapshot>, record: &Record, duration: Duration, now_ms: u64) -> Self {
        let Some(snapshot) = snapshot else {
            return Self::default();
        };
        let may_have = |target: &Arc<Target>| {
            target.price.is_some() || target.listed.is_some() || target.model.is_the_clients() || record.tells
        };
        let mut targets = record
            .target
            .iter()
            .chain(record.tries.iter().map(|tried| &tried.target));
        if !targets.any(may_have) {
            return Self::default();
        }
        let duration = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let began_ms = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_sub(duration);
        let named = record.named();
        let price = |target: &Arc<Target>| {
            // Its own is shared, and needs no search.
            if let (Some(own), false) = (&target.price, record.tells) {
                return Some(Arc::clone(own));
            }
            let (tariff, began) = (&snapshot.tariff, began_ms.div_euclid(1000));
            let price = if record.tells {
                tariff.told(target, record.told_model.as_deref(), began)
            } else {
                tariff.price(target, &named, began)
            }?;
            Some(Arc::new(price.into_owned()))
        };
        Self {
            answer: record.target.as_ref().and_then(price),
            tries: record.tries.iter().map(|tried| price(&tried.target)).collect(),
        }
    }
}

/// Account for the calls of a request; what of it belongs on its access line.
pub(super) fn detours(
    app: &App,
    prices: &Prices,
    record: &mut Record,
    guardrails: Option<Box<str>>,
) -> Option<Box<Detours>> {
    let price = &prices.answer;
    let usual = record.tries.is_empty()
        && price.is_none()
        && record.purpose == Purpose::First
        && record.rule.is_none()
        && record.arm.is_none()
        && record.queued.is_none()
        && record.seams == 0
        && guardrails.is_none();
    if usual {
        return None;
    }
    let routing = &app.meters.routing;
    let mut cost = None;
    let mut add = |one: u64| cost = Some(cost.unwrap_or(0u64).saturating_add(one));
    let fell = std::mem::take(&mut record.tries);
    let known = prices.tries.iter().map(Option::as_deref).chain(std::iter::repeat(None));
    let tries: Vec<TriedCall> = fell
        .into_iter()
        .zip(known)
        .map(|(tried, price)| {
            let usage = used(&tried, record.usage.as_ref());
            let target = tried.target.id.as_str();
            routing.call(target, tried.purpose, usage.as_ref());
            let cost = price.zip(usage.as_ref());
            let cost = cost.map(|(price, usage)| spent(&tried.target, tried.purpose, price, usage));
            cost.into_iter().for_each(&mut add);
            TriedCall {
                target: tried.target.id.shared(),
                purpose: tried.purpose.as_str(),
                outcome: tried.outcome.as_str(),
                took: tried.took,
                tokens: usage.map(|usage| (usage.input, usage.output)),
                cost,
            }
        })
        .collect();
    if let Some(target) = &record.target {
        if record.purpose != Purpose::First {
            routing.call(target.id.as_str(), record.purpose, record.usage.as_ref());
        }
        if let (Some(price), Some(usage)) = (price, &record.usage) {
            add(spent(target, record.purpose, price, usage));
        }
    }
    Some(Box::new(Detours {
        rule: record.rule.take(),
        arm: record.arm.as_ref().map(|arm| arm.name().clone()),
        purpose: (record.purpose != Purpose::First).then(|| record.purpose.as_str()),
        queued: record.queued,
        seams: record.seams,
        guardrails,
        cost,
        tries,
    }))
}

/// What a call cost, counted.
fn spent(target: &Target, purpose: Purpose, price: &Price, usage: &Usage) -> NanoUsd {
    let nano = price.of(usage).total();
    target.attempts.spent(purpose, nano);
    nano
}

/// What a call used that did not answer.
pub(super) fn used(tried: &Try, answer: Option<&Usage>) -> Option<Usage> {
    match (tried.usage, tried.outcome) {
        (Some(usage), _) => Some(usage),
        (None, Outcome::Overtaken) => Some(Usage {
            input: answer?.input,
            ..Usage::default()
        }),
        _ => None,
    }
}
