//! The routes under `/admin/v1/targets` and `/admin/v1/route`: what an operator looks up, tries and changes.
//!
//! Not what they do: that is [`Control`]; not who may use them, which the table says and `api/guard.rs` sees to.

use super::api::{Route, Serve, Who};
use super::control::{Action, Control, Unknown};
use super::explain::{Explanation, LARGEST_QUESTION, Question, Refused};
use super::{AdminState, failure, internal};
use crate::config::Role;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Questions answered at one time; more wait. A body of brackets takes twenty times its size once it is read.
const QUESTIONS_AT_ONCE: usize = 4;

/// Who changes targets when there are operators.
const CHANGING: &[Role] = &[Role::Owner, Role::Admin];

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const ONE: &str = "/admin/v1/targets/{*id}";
    let look = Who::Unguarded(super::LOOKING);
    let change = Who::Unguarded(CHANGING);
    let act = Serve::Own(|| post(act).layer(DefaultBodyLimit::max(LARGEST_QUESTION)));
    vec![
        Route::new::<Value>(
            Method::GET,
            "/admin/v1/targets",
            look,
            Serve::Own(|| get(targets)),
            "Every target once, with its breaker, load and latencies",
        ),
        Route::new::<Value>(
            Method::GET,
            "/admin/v1/targets/{id}",
            look,
            Serve::Own(|| get(target)),
            "One of them",
        )
        .mounted(ONE),
        Route::new::<Value>(
            Method::POST,
            "/admin/v1/targets/{id}/reset",
            change,
            act,
            "Close its breaker, forget cool-down and isolation",
        )
        .mounted(ONE),
        Route::new::<Value>(
            Method::POST,
            "/admin/v1/targets/{id}/isolate",
            change,
            act,
            "Ask it no more until it is reset",
        )
        .mounted(ONE),
        Route::new::<Explanation>(
            Method::POST,
            "/admin/v1/route/explain",
            look,
            Serve::Own(explaining),
            "Which rules hold for a request and where it would go; nothing is sent",
        )
        .body::<Question>(),
    ]
}

fn explaining() -> MethodRouter<AdminState> {
    let places = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
    let explain = move |State(state): State<AdminState>, body: Result<Bytes, BytesRejection>| {
        let places = Arc::clone(&places);
        async move {
            match places.acquire_owned().await {
                Ok(_place) => explain(state.control, body).await,
                Err(_) => internal(),
            }
        }
    };
    post(explain).layer(DefaultBodyLimit::max(LARGEST_QUESTION))
}

/// Run on a thread that may block; `None` when it panicked, which is in the log.
async fn ask<T: Send + 'static>(
    control: Arc<dyn Control>,
    question: impl FnOnce(&dyn Control) -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(move || question(&*control)).await.ok()
}

async fn targets(State(state): State<AdminState>) -> Response {
    match ask(state.control, |control| control.targets()).await {
        Some(targets) => Json(json!({"targets": targets})).into_response(),
        None => internal(),
    }
}

async fn target(State(state): State<AdminState>, Path(id): Path<String>) -> Response {
    let Some(targets) = ask(state.control, |control| control.targets()).await else {
        return internal();
    };
    let targets = targets.as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |target: &Value| target.get("id").and_then(Value::as_str).map(str::to_owned);
    match targets.iter().find(|target| name(target).as_ref() == Some(&id)) {
        Some(target) => Json(target).into_response(),
        None => {
            let ids: Vec<String> = targets.iter().filter_map(name).collect();
            unknown(&Unknown::among(&id, ids.iter().map(String::as_str)))
        }
    }
}

async fn act(
    State(state): State<AdminState>,
    Path(path): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let parts = path.rsplit_once('/');
    let Some((id, action)) = parts.and_then(|(id, name)| Some((id.to_owned(), Action::named(name)?))) else {
        let message = "POST is for /admin/v1/targets/ID/reset and /admin/v1/targets/ID/isolate";
        return failure(StatusCode::NOT_FOUND, "not_found", message);
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unreadable(&rejection),
    };
    let nothing = body.is_empty() || serde_json::from_slice(&body).is_ok_and(|body: Value| body == json!({}));
    if !nothing {
        let message = "this takes no parameters: leave the body empty, or send `{}`";
        return failure(StatusCode::BAD_REQUEST, "invalid_request", message);
    }
    // Known to exist when it is logged, so nothing of a stranger's making.
    let shown = id.clone();
    match ask(state.control, move |control| control.act(&id, action)).await {
        Some(Ok(target)) => {
            tracing::info!(target_id = shown, ?action, "an operator changed a target");
            Json(target).into_response()
        }
        Some(Err(near)) => unknown(&near),
        None => internal(),
    }
}

async fn explain(control: Arc<dyn Control>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unreadable(&rejection),
    };
    let answer = ask(control, move |control| {
        let question = serde_json::from_slice(&body).map_err(|error| Refused::new(format!("not JSON: {error}")))?;
        control.explain(question)
    });
    match answer.await {
        Some(Ok(explanation)) => Json(explanation).into_response(),
        Some(Err(Refused { message, param })) => {
            let body = json!({"error": {"code": "invalid_request", "message": message, "param": param}});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
        None => internal(),
    }
}

fn unknown(unknown: &Unknown) -> Response {
    let message = match unknown.near.as_slice() {
        [] => "no such target; GET /admin/v1/targets lists them".to_owned(),
        near => format!("no such target; did you mean {}?", near.join(" or ")),
    };
    failure(StatusCode::NOT_FOUND, "unknown_target", &message)
}

fn unreadable(rejection: &BytesRejection) -> Response {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("the body is larger than {LARGEST_QUESTION} bytes");
        return failure(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", &message);
    }
    failure(StatusCode::BAD_REQUEST, "invalid_request", "the body could not be read")
}
