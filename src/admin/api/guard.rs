//! What every request passes before its handler: not from a web page, who is it, may the role, is the query known, is the body
//! JSON within bounds.

use super::table::Who;
use super::{Answer, Api, Asked, Connection, Failure, Query, Route, Serve};
use crate::admin::access::{LONGEST_TOKEN, counted_as};
use crate::admin::failure;
use crate::admin::tenancy::Identity;
use crate::config::Role;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// Largest body.
pub(super) const LARGEST_BODY: usize = 256 * 1024;
/// Deepest nesting of a body.
pub(super) const DEEPEST: usize = 32;

/// An operator's browser reaches the listener on behalf of any page it shows. What is not a GET is therefore refused unless it
/// could not have come from a page: no `origin`, a content type that a page may not send unasked, and, while there are no
/// operators, a `host` that no foreign name can have been made to point here (DNS rebinding). A page knows no operator's token.
pub(in crate::admin) async fn not_from_a_page(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let refused = |message| failure(StatusCode::FORBIDDEN, "forbidden", message);
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return refused("requests of web pages (with an `origin`) are refused");
    }
    let guarded = api.access.has_operators();
    if !guarded && !host_is_an_address(headers, request.uri().authority()) {
        return refused("use the listener's IP address or localhost: other names in `host` are refused");
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let empty = length.is_none_or(|length| length == "0") && !headers.contains_key(header::TRANSFER_ENCODING);
    let needs_none = guarded && empty;
    if !needs_none && !is_json(headers) {
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

/// Before a handler that reads the request itself.
pub(in crate::admin) async fn authorise(
    State((api, route)): State<(Arc<Api>, Arc<Route>)>,
    request: Request,
    next: Next,
) -> Response {
    let from = request
        .extensions()
        .get::<Connection>()
        .map(|connection| connection.address);
    match identify(&api, route.who, request.headers(), from).await {
        Ok(who) if changes_a_target(&route) => noted(&api, &who, from, request, next).await,
        Ok(_) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn changes_a_target(route: &Route) -> bool {
    route.method == Method::POST && route.mounted.starts_with("/admin/v1/targets/")
}

/// A change of a target, in the audit log if there is one. It lasts no longer than the process and may be what mends an outage:
/// unlike what the store keeps it is also done while the log cannot be written, and the process's own log tells who did it.
async fn noted(api: &Api, who: &Identity, from: Option<IpAddr>, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches("/admin/v1/targets/");
    let (id, action) = path.rsplit_once('/').unwrap_or((path, "change"));
    let subject: String = format!("target/{id}").chars().take(512).collect();
    let action: String = format!("target.{action}").chars().take(64).collect();
    let begun = match api.store() {
        Ok(_) => api.begin(who, from, (&action, &subject), Value::Null).await.ok(),
        Err(_) => None,
    };
    if begun.is_none() {
        tracing::warn!(operator = who.name, role = ?who.role, action, subject, "a target is changed");
    }
    let answer = next.run(request).await;
    if let Some(begun) = begun {
        let outcome = if answer.status().is_success() {
            "done".to_owned()
        } else {
            format!("failed: {}", answer.status().as_u16())
        };
        api.complete(begun, &outcome, Value::Null).await;
    }
    answer
}

/// The handler of a row of the table.
pub(in crate::admin) async fn handle(api: Arc<Api>, route: Arc<Route>, request: Request) -> Response {
    let Serve::Api(handler) = route.serve else {
        return Failure::internal().into_response();
    };
    let asked = match read(api, &route, request).await {
        Ok(asked) => asked,
        Err(failure) => return failure.into_response(),
    };
    // A task of its own: what changes something is finished also when whoever asked has left, and a bug ends no connection.
    let answer = tokio::spawn(handler(asked)).await;
    let answer = answer.unwrap_or_else(|_| Err(Failure::internal()));
    answer.map_or_else(Failure::into_response, Answer::into_response)
}

async fn read(api: Arc<Api>, route: &Route, request: Request) -> Result<Asked, Failure> {
    let (mut parts, body) = request.into_parts();
    let connection = parts.extensions.get::<Connection>().cloned();
    let from = connection.as_ref().map(|connection| connection.address);
    let who = identify(&api, route.who, &parts.headers, from).await?;
    let query = Query::read(&parts.uri, route.query)?;
    let names = RawPathParams::from_request_parts(&mut parts, &()).await;
    let names = names.map_err(|_| Failure::invalid("the path is not percent-encoded UTF-8"))?;
    let name = names.iter().last().map(|(_, name)| name.to_owned()).unwrap_or_default();
    let body = if route.method == Method::GET {
        Value::Null
    } else {
        read_body(body).await?
    };
    if route.body.is_none() && !matches!(&body, Value::Null) && body != serde_json::json!({}) {
        return Err(Failure::invalid("this takes no body: leave it empty, or send `{}`"));
    }
    let now_ms = (api.clock)();
    Ok(Asked {
        api,
        who,
        from,
        name,
        query,
        body,
        now_ms,
        connection,
    })
}

async fn read_body(body: Body) -> Result<Value, Failure> {
    let Ok(bytes) = to_bytes(body, LARGEST_BODY).await else {
        let message = format!("the body is larger than {LARGEST_BODY} bytes, or broke off");
        return Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            message,
        ));
    };
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if depth(&bytes) > DEEPEST {
        return Err(Failure::invalid(format!("the body is nested deeper than {DEEPEST}")));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::invalid(format!("the body is not JSON ({place})"))
    })
}

/// Deepest nesting of what is meant to be JSON.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Who is asking, if the route may be used by whoever that is.
async fn identify(api: &Api, who: Who, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Identity, Failure> {
    let nobody = || Identity {
        name: "anonymous".to_owned(),
        role: Role::ReadOnly,
        team: None,
        via: "none",
    };
    match who {
        Who::Everybody => return Ok(nobody()),
        Who::Unguarded(_) if !api.access.has_operators() => return Ok(nobody()),
        Who::Only(_) if !api.access.has_operators() => {
            let message = "no operators are configured: write one under `admin.operators` with a role and a token \
                           (`token: env:CIRQUE_ADMIN_TOKEN`, at least 32 characters) and restart";
            return Err(Failure::new(StatusCode::FORBIDDEN, "no_operators", message));
        }
        Who::Unguarded(_) | Who::Only(_) => {}
    }
    let identity = authenticate(api, headers, from).await?;
    let now_ms = (api.clock)();
    // An identity provider may call somebody by the name of a declared operator.
    let counted = format!("{}:{}", identity.via, identity.name);
    if let Some(seconds) = api.access.requests.full(&counted, now_ms) {
        return Err(Failure::too_many(
            "too many requests of this operator in a minute",
            seconds,
        ));
    }
    api.access.requests.count(&counted, now_ms);
    if who.admits(&identity) {
        return Ok(identity);
    }
    // To who sees one team only, what is outside it does not exist.
    if identity.role == Role::TeamAdmin {
        return Err(Failure::no_such_path());
    }
    let roles: Vec<&str> = who
        .roles()
        .iter()
        .map(|role| super::operators::role_name(*role))
        .collect();
    let message = format!("this is for operators with one of the roles {}", roles.join(", "));
    Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// The operator whose token came with the request. A token that is right is taken at any time; an address that keeps sending
/// wrong ones is not looked at any closer until the minute is over.
async fn authenticate(api: &Api, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Identity, Failure> {
    let refused = |message| Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
    let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(credential), None) = (credentials.next(), credentials.next()) else {
        return refused("send an operator's token, once: `authorization: Bearer …`");
    };
    let token = credential.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = token.filter(|token| !token.is_empty() && token.len() <= LONGEST_TOKEN);
    if let Some(identity) = token.and_then(|token| api.access.by_token(token)) {
        return Ok(identity.clone());
    }
    let now_ms = (api.clock)();
    let place = counted_as(from);
    if let Some(seconds) = api.access.failures.full(&place, now_ms) {
        return Err(Failure::too_many("too many wrong tokens from this address", seconds));
    }
    if let (true, Some(token)) = (api.access.oidc(), token)
        && let Some(identity) = api.tenancy.operator(token, now_ms.div_euclid(1000)).await
    {
        return Ok(identity);
    }
    api.access.failures.count(&place, now_ms);
    refused("this is not the token of an operator")
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert_eq!(depth(br#"{"a": [[1]], "b": "[[[[\"[["}"#), 3);
        assert_eq!(depth(b"]]]]["), 1);
        assert_eq!(depth(&b"[".repeat(100)), 100);
        assert_eq!(depth(b""), 0);
    }
}
