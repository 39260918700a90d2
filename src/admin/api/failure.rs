//! What the API answers when it does not do something: one shape, a code for programs, a text for people.
//!
//! ```json
//! {"error": {"code": "invalid_request", "message": "…", "problems": [{"path": "settings.models[0]", "message": "…"}]}}
//! ```
//! What a store says is for the log only: it may name tables and hosts.

use super::super::tenancy::Problem;
use crate::storage::StoreError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Failure {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub problems: Vec<Problem>,
    /// Seconds.
    pub retry_after: Option<u64>,
}

/// Body of every answer that is an error.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorAnswer {
    /// The error.
    pub error: ErrorBody,
}

/// An error.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// For programs.
    pub code: String,
    /// For people: what happened and what to do.
    pub message: String,
    /// All that is wrong with what was sent, or what is in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Failure {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            problems: Vec::new(),
            retry_after: None,
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub fn invalid_parts(problems: Vec<Problem>) -> Self {
        let message = match problems.as_slice() {
            [only] => format!("{}: {}", only.path, only.message),
            several => format!("{} things are wrong with what was sent", several.len()),
        };
        Self {
            problems,
            ..Self::invalid(message)
        }
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// Also for what is there and not for this operator to see.
    pub fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no such path")
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "see the log")
    }

    pub fn store_unavailable() -> Self {
        let message = "the store cannot be reached, so nothing was changed; keys go on working, try again later";
        Self {
            retry_after: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message)
        }
    }

    pub fn no_store() -> Self {
        let message =
            "there is no store, so nothing can be kept: write `store:` into the configuration (docs/admin-api.md)";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_store", message)
    }

    pub fn too_many(message: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::conflict(
                "conflict",
                "somebody else changed it since it was read: read it again, and send the change with its new revision",
            ),
            StoreError::Unavailable(error) => {
                tracing::warn!(error, "the admin API cannot reach the store");
                Self::store_unavailable()
            }
            StoreError::Corrupt(_) | StoreError::Failed(_) => {
                tracing::error!(%error, "the admin API's store failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = ErrorAnswer {
            error: ErrorBody {
                code: self.code.to_owned(),
                message: self.message,
                problems: self.problems,
            },
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
