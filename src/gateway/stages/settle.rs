//! The end of every request, also of those whose client left: metrics, the access line, token counts.

mod account;
mod bill;
mod copied;

pub(super) use self::copied::{Copied, copy};

use super::super::App;
use super::super::context::{Asked, RequestContext};
use super::{cached, guard};
use crate::clock;
use crate::error::ErrorKind;
use crate::telemetry::{AccessRecord, CountJob, Finished, NONE, RouteMeter, Side};
use crate::units::Usage;
use http::Method;
use std::borrow::Cow;
use std::time::SystemTime;

/// Settle. Called once, last.
pub fn run(app: &App, ctx: &mut RequestContext, method: &Method, path: &str) {
    let duration = ctx.started.elapsed();
    // One reading for all that is settled here.
    let now = SystemTime::now();
    let now_ms = clock::milliseconds(now);
    if ctx.record.cache.is_some() {
        cached::count(ctx);
        cached::keep(ctx);
    }
    if let Some(guarding) = &ctx.guard {
        guard::count(app, guarding);
    }
    let snapshot = ctx.snapshot.clone();
    let prices = account::Prices::of(snapshot.as_deref(), &ctx.record, duration, now_ms);
    let bill = bill::open(app, ctx, snapshot.as_deref(), &prices, duration, now_ms);
    let guardrails = ctx.guard.as_ref().and_then(|guard| guard.told());
    let record = &mut ctx.record;
    let own = duration.saturating_sub(record.waited);
    // Known, and nobody of it was asked: rare enough to look it up.
    let untold = match (&record.meter, record.asked, &record.model) {
        (None, Asked::Api(operation), Some(model)) => Some(app.meters.route(operation.as_str(), model, NONE)),
        _ => None,
    };
    let meter: &RouteMeter = match (record.meter.as_ref().or(untold.as_ref()), record.asked) {
        (Some(meter), _) => meter,
        (None, Asked::Api(operation)) => app.unrouted.api.get(operation.index()).unwrap_or(&app.unrouted.other),
        (None, Asked::Models) => &app.unrouted.models,
        (None, _) => &app.unrouted.other,
    };
    meter.finish(&Finished {
        status: record.status,
        duration,
        ttft: record.ttft,
        own,
        usage: record.usage,
        estimated: false,
    });
    if let Some(arm) = &record.arm {
        arm.finish(record.status, duration, record.ttft, record.usage.as_ref());
    }
    if let Some(comparison) = record.comparison.take() {
        comparison.own(Side {
            ok: record.status == 200 && record.error.is_none(),
            duration,
            ttft: record.ttft,
            output: record.usage.map(|usage| usage.output),
        });
    }
    if let (Some(detail), Some(kind)) = (&record.internal, record.error) {
        if kind == ErrorKind::Internal {
            tracing::error!(request_id = %ctx.id, detail, "a request failed inside the gateway");
        } else {
            tracing::debug!(request_id = %ctx.id, error = kind.as_str(), detail, "a request failed");
        }
    }
    let uncounted = record.uncounted.take();
    let (settled, mut later) = if uncounted.is_some() {
        (None, bill)
    } else {
        (bill, None)
    };
    if let Some(bill) = settled {
        bill.close(now_ms);
    }
    if let Some(bill) = &mut later {
        bill.wait(now_ms);
    }
    if let Some(work) = uncounted {
        let meter = meter.clone();
        let output_only = work.output_only;
        let told = record.usage;
        app.counter.submit(CountJob {
            model: work.model,
            request_body: work.request,
            dialect: work.dialect,
            response: work.response,
            forgotten: work.forgotten,
            done: Box::new(move |mut figures, estimated| {
                if let Some(bill) = later {
                    bill.close_with(match told {
                        // Its input is the provider's own figure, cached tokens and all.
                        Some(told) if output_only => Usage {
                            output: figures.output,
                            reasoning: figures.reasoning,
                            ..told
                        },
                        _ => figures,
                    });
                }
                if output_only {
                    figures.input = 0;
                }
                meter.tokens(&figures, estimated);
            }),
        });
    }
    let detours = account::detours(app, &prices, record, guardrails);
    if app.access_log.enabled() {
        app.access_log.push(Box::new(AccessRecord {
            time: now - duration,
            request_id: ctx.id.as_str().into(),
            operation: record.asked.as_str(),
            method: method_name(method),
            path: crate::telemetry::access_line::clip_path(path),
            model: record.model.clone(),
            target: record.target.as_ref().map(|target| target.id.shared()),
            attempts: record.attempts,
            status: record.status,
            duration,
            ttft: record.ttft,
            own,
            input_tokens: record.usage.map(|usage| usage.input),
            output_tokens: record.usage.map(|usage| usage.output),
            estimated: false,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            stream: record.stream,
            error: record.error.map(ErrorKind::as_str),
            upstream_request_id: record.upstream_request_id.take(),
            client_left: record.status == 499,
            detours,
        }));
    }
}

fn method_name(method: &Method) -> Cow<'static, str> {
    match *method {
        Method::GET => Cow::Borrowed("GET"),
        Method::POST => Cow::Borrowed("POST"),
        _ => Cow::Owned(method.as_str().to_owned()),
    }
}
