//! The tenancy API under `/admin/v1`: tenants and keys, how full limits and budgets are, usage, prices, the audit log.
//!
//! ```text
//! route (one table) ─► who is it ─► may the role ─► query known? ─► body bounded, JSON ─► handler ─► answer
//!                                                                                        └► audit note, store, note
//! ```
//! Not what lasts ([`crate::storage`]) and not what the process does about it ([`super::tenancy`]). The one idea: the table of
//! routes makes the router, the OpenAPI document, the permissions and the tests, so that none of them can forget a route.

mod audit;
mod cache;
mod catalogue;
mod change;
mod export;
mod failure;
mod guard;
mod keys;
mod objects;
mod openapi;
mod operators;
mod prices;
mod query;
mod recompute;
mod secrets;
mod settings;
mod standings;
mod table;
mod usage;
mod views;

pub(super) use failure::Failure;
pub(super) use guard::{authorise, handle, not_from_a_page};
pub(super) use table::{Route, Serve, Who, routes};
pub use views::Origin;

use super::access::Access;
use super::cache::CacheDesk;
use super::tenancy::{Identity, NoTenancy, Tenancy};
use crate::clock;
use crate::config::Role;
use crate::storage::{Store, StoreError};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use query::Query;
use serde::Serialize;
use serde_json::Value;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest wait for one answer of the store: four of them are within the listener's own bound on an answer.
const STORE_TIMEOUT: Duration = Duration::from_millis(2400);
/// The same of a sum over many rows.
const SUM_TIMEOUT: Duration = Duration::from_secs(9);
/// Exports under way at one time.
const EXPORTS_AT_ONCE: usize = 2;

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the tenancy routes work over.
pub struct Api {
    pub(super) access: Access,
    store: Option<Arc<dyn Store>>,
    tenancy: Arc<dyn Tenancy>,
    clock: Clock,
    catalogue: catalogue::Catalogue,
    /// Held while something is looked at and changed.
    changing: tokio::sync::Mutex<()>,
    exports: Arc<Semaphore>,
    recompute: recompute::Desk,
    cache: Option<Arc<dyn CacheDesk>>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// Over a store, if there is one, and the process.
    pub fn new(access: Access, store: Option<Arc<dyn Store>>, tenancy: Arc<dyn Tenancy>) -> Self {
        let now = || i64::try_from(clock::now_ms()).unwrap_or(i64::MAX);
        Self::with_clock(access, store, tenancy, Arc::new(now))
    }

    /// As [`Api::new`], with a clock of one's own.
    pub fn with_clock(access: Access, store: Option<Arc<dyn Store>>, tenancy: Arc<dyn Tenancy>, clock: Clock) -> Self {
        Self {
            access,
            store,
            tenancy,
            clock,
            catalogue: catalogue::Catalogue::default(),
            changing: tokio::sync::Mutex::default(),
            exports: Arc::new(Semaphore::new(EXPORTS_AT_ONCE)),
            recompute: recompute::Desk::default(),
            cache: None,
        }
    }

    /// With a cache to look into.
    #[must_use]
    pub fn with_cache(self, cache: Arc<dyn CacheDesk>) -> Self {
        Self {
            cache: Some(cache),
            ..self
        }
    }

    /// Without operators, store and tenants: the routes that need any of them say so.
    pub fn closed() -> Self {
        Self::new(Access::default(), None, Arc::new(NoTenancy))
    }

    fn store(&self) -> Result<&Arc<dyn Store>, Failure> {
        self.store.as_ref().ok_or_else(Failure::no_store)
    }

    /// What the store answers, in bounded time.
    async fn kept<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        within(STORE_TIMEOUT, answer).await
    }

    /// As [`Api::kept`], where it may have to read much.
    async fn summed<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        within(SUM_TIMEOUT, answer).await
    }
}

async fn within<T>(time: Duration, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
    match tokio::time::timeout(time, answer).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned()).into()),
    }
}

/// One request, past everything that is the same for all.
pub(super) struct Asked {
    api: Arc<Api>,
    who: Identity,
    from: Option<IpAddr>,
    /// Last part of the path, decoded; empty when the route has none.
    name: String,
    query: Query,
    /// `null` when there was none.
    body: Value,
    now_ms: i64,
    connection: Option<Connection>,
}

impl Asked {
    fn now_s(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    /// The one team whose things this operator sees; none: all. A team-admin without a team sees none: no team has no name.
    fn only_team(&self) -> Option<&str> {
        (self.who.role == Role::TeamAdmin).then(|| self.who.team.as_deref().unwrap_or_default())
    }
}

/// Where a request came from, as the listener knows it.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub address: IpAddr,
    /// Set by an answer that takes long by its nature: the connection may live longer.
    pub long: Arc<AtomicBool>,
}

/// What a handler gives back.
pub(super) enum Answer {
    /// JSON.
    Json(StatusCode, Value),
    /// A file, in pieces.
    File {
        kind: &'static str,
        name: String,
        body: Body,
    },
}

impl Answer {
    fn json(answer: &impl Serialize) -> Result<Self, Failure> {
        Self::with(StatusCode::OK, answer)
    }

    fn with(status: StatusCode, answer: &impl Serialize) -> Result<Self, Failure> {
        serde_json::to_value(answer)
            .map(|answer| Self::Json(status, answer))
            .map_err(|_| Failure::internal())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Json(status, body) => (status, Json(body)).into_response(),
            Self::File { kind, name, body } => {
                let mut response = Response::new(body);
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
                if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
                    headers.insert(header::CONTENT_DISPOSITION, disposition);
                }
                response
            }
        }
    }
}

/// A moment for people and programs: RFC 3339, UTC.
fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}

#[cfg(test)]
pub(in crate::admin) mod tests;
