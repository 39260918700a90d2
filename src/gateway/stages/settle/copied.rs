//! What a call without a client owes: a copy of a request (`dispatch/mirror.rs`), an answer fetched anew (`cached/refresh.rs`).
//!
//! A copy has a record of no tenant and its part of the limits of where it went: who pays for the request does not pay for its
//! copy, which the operator wants. A fresher answer is paid for by whose request caused it. Nothing that is spent goes unrecorded.

use super::super::super::App;
use super::bill::short;
use crate::clock;
use crate::directory::Principal;
use crate::ledger::{Charge, Row, RowId};
use crate::limits::{Lease, Spent};
use crate::snapshot::{Named, PublicModel, Snapshot};
use crate::telemetry::{Purpose, Side};
use crate::units::Usage;
use crate::upstream::Target;
use crate::wire::Operation;
use std::sync::Arc;

/// A call that was answered.
pub struct Copied<'a> {
    /// Its own, which names the request's.
    pub request_id: &'a str,
    /// What was asked.
    pub operation: Operation,
    /// As a stream.
    pub stream: bool,
    /// The model it went to.
    pub model: &'a PublicModel,
    /// How the client named its model.
    pub named: Named<'a>,
    /// Who answered.
    pub target: &'a Arc<Target>,
    /// What it used.
    pub usage: Option<Usage>,
    /// That is a figure of the gateway's own.
    pub estimated: bool,
    /// How it went.
    pub side: &'a Side,
    /// Why it was made.
    pub purpose: Purpose,
    /// Who pays; none: nobody.
    pub payer: Option<&'a Principal>,
    /// What it holds of limits.
    pub lease: Option<Lease>,
}

/// Record and settle it.
pub fn copy(app: &App, snapshot: &Snapshot, copied: Copied<'_>) {
    let ledger = app.ledger.load_full();
    if copied.lease.is_none() && ledger.is_none() {
        return;
    }
    let now_ms = clock::now_ms();
    let took = copied.side.duration;
    let at_ms = now_ms.saturating_sub(u64::from(short(took)));
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
    let price = snapshot.tariff.price(copied.target, &copied.named, seconds);
    let cost = price.zip(copied.usage).map(|(price, usage)| price.of(&usage));
    let billed = cost.map(|cost| snapshot.tariff.billed(cost.total()));
    let usage = copied.usage.unwrap_or_default();
    let spent = Spent {
        provider: Some(copied.target.provider_name()),
        input: usage.input,
        output: usage.output,
        nano: billed.unwrap_or_default(),
    };
    let charged = copied.lease.map(|lease| lease.settle(&[spent], now_ms));
    let Some(ledger) = ledger else { return };
    ledger.push(Box::new(Row {
        id: RowId::new(at_ms),
        attempt: 0,
        at_ms,
        tenant: Arc::clone(copied.payer.map_or(&snapshot.nobody.0, |payer| &payer.tenant)),
        tags: Arc::clone(copied.payer.map_or(&snapshot.nobody.1, |payer| &payer.tags)),
        metadata: None,
        request_id: copied.request_id.into(),
        operation: copied.operation.as_str(),
        model: Some(Arc::clone(&copied.model.name)),
        target: Some(copied.target.id.shared()),
        provider: Some(Arc::clone(&copied.target.provider)),
        purpose: copied.purpose.as_str(),
        status: if copied.side.ok { 200 } else { 0 },
        outcome: if copied.side.ok { "ok" } else { "provider_error" },
        cache: "off",
        stream: copied.stream,
        latency_ms: short(took),
        ttft_ms: copied.side.ttft.map(short),
        usage,
        estimated: copied.estimated,
        cost,
        billed,
        guardrails: None,
        saved: 0,
        charges: charged
            .into_iter()
            .flatten()
            .map(|charged| Charge {
                count: charged.count,
                window: charged.window,
                nano: charged.nano,
            })
            .collect(),
    }));
}
