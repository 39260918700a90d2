//! The routes under `/admin/v1/targets` and `/admin/v1/route`: what an operator looks up, tries and changes.
//!
//! Not what they do: that is [`Control`]. The listener has no authentication, so whoever reaches it may use them, and an
//! operator's browser reaches it on behalf of any page it shows. What is not a GET is therefore refused unless it could not have
//! come from a page: no `origin`, a content type that a page may not send unasked, and a `host` that no foreign name can have
//! been made to point here (DNS rebinding).

use super::control::{Action, Control, Unknown};
use super::explain::{LARGEST_QUESTION, Refused};
use super::{AdminState, failure, internal};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Questions answered at one time; more wait. A body of brackets takes twenty times its size once it is read.
const QUESTIONS_AT_ONCE: usize = 4;

/// The routes.
pub(super) fn routes() -> Router<AdminState> {
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
    Router::new()
        .route("/admin/v1/targets", get(targets))
        .route("/admin/v1/targets/{*id}", get(target).post(act))
        .route("/admin/v1/route/explain", post(explain))
        .route_layer(from_fn(not_from_a_page))
        .layer(DefaultBodyLimit::max(LARGEST_QUESTION))
}

async fn not_from_a_page(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let refused = |message| failure(StatusCode::FORBIDDEN, "forbidden", message);
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return refused("requests of web pages (with an `origin`) are refused");
    }
    if !host_is_an_address(headers, request.uri().authority()) {
        return refused("use the listener's IP address or localhost: other names in `host` are refused");
    }
    if !is_json(headers) {
        let message = "send `content-type: application/json`";
        return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message);
    }
    next.run(request).await
}

/// Whether the request names this listener by an address or as localhost, which is all that `admin.listen` may be.
fn host_is_an_address(headers: &HeaderMap, target: Option<&Authority>) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    [Some(&host), target].into_iter().flatten().all(|authority| {
        let name = authority.host();
        let address = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let local = name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok();
        local && !authority.as_str().contains('@')
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return false;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
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
