//! The operator's own HTTP listener: metrics, health, readiness, status, targets, explained routing, and the tenancy API.
//!
//! Not for clients; nothing shown is a secret but a key that was just made. Who may do what is in the table of routes
//! (`api/table.rs`); as long as no operators are configured, what needs none is for whoever reaches the listener: keep it off
//! public networks. What is not a GET is guarded against web pages that an operator's browser shows (`api/guard.rs`). It runs
//! apart from the client listeners, so that a scrape works while those are saturated; its own use of memory is bounded
//! (connections, header block, body, time), because a monitoring system can misbehave too.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus text format 0.0.4 |
//! | `/healthz` | 200 `ok` as long as the process lives |
//! | `/readyz` | 200 or 503, `{"ready":bool,"reasons":[…]}` |
//! | `/admin/v1/status` | version, uptime, and what the snapshot says about itself |
//! | `/admin/v1/targets` | `{"targets":[…]}`, each with its `id` |
//! | `/admin/v1/targets/ID` | one of them; an id may contain slashes, written as they are or as `%2F` |
//! | POST `/admin/v1/targets/ID/reset` | breaker closed, cool-down and isolation forgotten; the target afterwards |
//! | POST `/admin/v1/targets/ID/isolate` | asked no more until reset; the target afterwards |
//! | POST `/admin/v1/route/explain` | [`Question`] → [`Explanation`] |
//! | the rest of `/admin/v1` | tenants, keys, limits, budgets, usage, prices, audit: `/admin/v1/openapi.json` |

mod access;
mod api;
mod cache;
mod control;
pub mod decide;
mod explain;
mod listener;
mod operate;
mod readiness;
mod tenancy;

pub use access::Access;
pub use api::{Api, Clock, Origin};
pub use cache::{CacheDesk, CacheTier, CacheTotals, Cleared, Disowned, Kept, Look, Looked, SharedAway, Warm};
pub use control::{Action, Control, Unknown};
pub use explain::{Candidate, Edit, Explanation, LARGEST_QUESTION, Question, Refused, RuleTried};
pub use listener::{bind, serve};
pub use readiness::{Phase, Readiness};
pub use tenancy::{
    Declared, Format, Identity, Measure, NewKey, NoTenancy, PriceEntry, Problem, RowWriter, Standing, Tenancy, declared,
};

use crate::config::Role;
use crate::telemetry::Meters;
use api::{Route, Serve, Who};
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get, on};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time one answer may take to be made.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Gives the facts of the current snapshot as a JSON object: config path, time loaded, models, breakers. No secrets.
pub type Facts = Arc<dyn Fn() -> Value + Send + Sync>;

/// What the routes read.
#[derive(Clone)]
pub struct AdminState {
    /// The process's metrics.
    pub meters: Arc<Meters>,
    /// Whether requests should be sent here.
    pub readiness: Arc<Readiness>,
    /// What runs, for `/admin/v1/status`.
    pub facts: Facts,
    /// What the operator can look at and change.
    pub control: Arc<dyn Control>,
    /// What the tenancy routes work over; who the operators are.
    pub api: Arc<Api>,
    /// When the process started.
    pub started: Instant,
}

/// Who looks at the process when there are operators.
const LOOKING: &[Role] = &[Role::Owner, Role::Admin, Role::Auditor, Role::ReadOnly];

/// The rows of the routes of this file and of `operate.rs`.
fn routes() -> Vec<Route> {
    let open = |path, serve, about| Route::new::<Value>(Method::GET, path, Who::Everybody, Serve::Own(serve), about);
    let status = Serve::Own(|| get(status));
    let mut rows = vec![
        open("/metrics", || get(metrics), "Metrics").file(&["text/plain"]),
        open("/healthz", || get(|| async { "ok" }), "Whether the process lives").file(&["text/plain"]),
        Route::new::<Ready>(
            Method::GET,
            "/readyz",
            Who::Everybody,
            Serve::Own(|| get(readyz)),
            "Whether to send requests here; 503 if not",
        )
        .also(503),
        Route::new::<Value>(
            Method::GET,
            "/admin/v1/status",
            Who::Unguarded(LOOKING),
            status,
            "What runs",
        ),
    ];
    rows.extend(operate::routes());
    rows
}

/// The routes, made from their table.
pub fn router(state: AdminState) -> Router {
    let mut router = Router::new();
    let mut mounted: Vec<(&str, Method)> = Vec::new();
    for route in api::routes() {
        let place = (route.mounted, route.method.clone());
        let (Ok(filter), false) = (MethodFilter::try_from(route.method.clone()), mounted.contains(&place)) else {
            continue;
        };
        mounted.push(place);
        let (path, route, own) = (route.mounted, Arc::new(route), Arc::clone(&state.api));
        let methods = match route.serve {
            Serve::Own(make) => make().route_layer(from_fn_with_state((own, route), api::authorise)),
            Serve::Api(_) => on(filter, move |request| api::handle(own, route, request)),
        };
        let guard = from_fn_with_state(Arc::clone(&state.api), api::not_from_a_page);
        router = router.route(path, methods.route_layer(guard));
    }
    router
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "not_found", "no such path") })
        .method_not_allowed_fallback(|| async {
            failure(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take this method",
            )
        })
        .layer(from_fn(guarded))
        .with_state(state)
}

/// Body of `/readyz`.
#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    /// Whether requests should be sent here.
    ready: bool,
    /// Why not.
    reasons: &'static [&'static str],
}

/// Bounds the time of an answer and keeps it out of caches.
async fn guarded(request: axum::extract::Request, next: Next) -> Response {
    let mut response = tokio::time::timeout(ANSWER_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| {
            failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                "the answer took too long; what was to be changed may be changed: look",
            )
        });
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    response
}

async fn metrics(State(state): State<AdminState>) -> Response {
    // Reads /proc and formats every series: not on a thread that serves others meanwhile.
    match tokio::task::spawn_blocking(move || state.meters.render()).await {
        Ok(text) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => internal(),
    }
}

async fn readyz(State(state): State<AdminState>) -> Response {
    let reasons = state.readiness.reasons();
    let ready = reasons.is_empty();
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(Ready { ready, reasons })).into_response()
}

async fn status(State(state): State<AdminState>) -> Response {
    let uptime = state.started.elapsed().as_secs();
    let ready = state.readiness.reasons().is_empty();
    let in_flight = state.meters.in_flight();
    let Ok(facts) = tokio::task::spawn_blocking(move || (state.facts)()).await else {
        return internal();
    };
    let mut answer = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": uptime,
        "ready": ready,
        "in_flight_requests": in_flight,
    });
    if let (Value::Object(answer), Value::Object(facts)) = (&mut answer, facts) {
        answer.extend(facts);
    }
    Json(answer).into_response()
}

fn internal() -> Response {
    failure(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "see the log")
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"error": {"code": code, "message": message}});
    (status, Json(body)).into_response()
}

#[cfg(test)]
pub(crate) use api::tests::serving;

#[cfg(test)]
mod tests;
