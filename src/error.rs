//! The one error of the gateway's edge: what a client is told, and beside it what only the log is told.
//!
//! Theory: a failure is *somebody's* (client, upstream, ours), that decides its status and OpenAI type, and the text a client sees
//! is written for the client: what is wrong and how to mend it, never an upstream's internals. Everything else goes
//! into `internal`, which no renderer reads. Rooms have their own small errors; the stage that calls them converts.

use http::StatusCode;
use std::borrow::Cow;
use std::time::Duration;

/// Whose failure it is and of which sort. Status, OpenAI `type` and default `code` follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 400: the request is malformed or says something impossible.
    InvalidRequest,
    /// 401: no or bad key.
    Unauthenticated,
    /// 403: this key may not do that.
    Forbidden,
    /// 404: unknown model or path.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 408: the client was too slow sending.
    RequestTimeout,
    /// 411/413/415/431 …: the client's framing or size.
    PayloadTooLarge,
    /// 415: a content-encoding we do not read.
    UnsupportedEncoding,
    /// 431: header block too large.
    HeadersTooLarge,
    /// 429: a limit, ours or the provider's.
    RateLimited,
    /// 429: money: a budget is used up, and time alone may not mend it.
    BudgetExceeded,
    /// 502: the provider refused the gateway's own credential.
    ProviderAuthFailed,
    /// 502: the provider failed.
    ProviderError,
    /// 502: the provider answered something that cannot be understood.
    ProviderBadResponse,
    /// 503: no target is fit to be asked.
    NoHealthyTarget,
    /// 503: the gateway itself is full.
    Overloaded,
    /// 504: a deadline passed.
    ProviderTimeout,
    /// 500: a defect of ours.
    Internal,
    /// 499 in the log: the client left; nothing is sent.
    ClientLeft,
}

impl ErrorKind {
    /// HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RateLimited | Self::BudgetExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::ProviderAuthFailed | Self::ProviderError | Self::ProviderBadResponse => StatusCode::BAD_GATEWAY,
            Self::NoHealthyTarget | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::ProviderTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal | Self::ClientLeft => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// OpenAI's `error.type`.
    pub fn openai_type(self) -> &'static str {
        match self {
            Self::Unauthenticated => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::RateLimited => "rate_limit_error",
            Self::BudgetExceeded => "insufficient_quota",
            Self::ProviderAuthFailed
            | Self::ProviderError
            | Self::ProviderBadResponse
            | Self::NoHealthyTarget
            | Self::Overloaded
            | Self::ProviderTimeout => "upstream_error",
            Self::Internal | Self::ClientLeft => "internal_error",
            _ => "invalid_request_error",
        }
    }

    /// `error.code` when the error names no more specific one.
    pub fn default_code(self) -> Option<&'static str> {
        Some(match self {
            Self::Unauthenticated => "invalid_api_key",
            Self::Forbidden => "permission_denied",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedEncoding => "unsupported_content_encoding",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RateLimited => "rate_limit_exceeded",
            Self::BudgetExceeded => "budget_exceeded",
            Self::ProviderAuthFailed => "provider_auth_failed",
            Self::ProviderError => "provider_error",
            Self::ProviderBadResponse => "provider_bad_response",
            Self::NoHealthyTarget => "no_healthy_target",
            Self::Overloaded => "overloaded",
            Self::ProviderTimeout => "provider_timeout",
            Self::InvalidRequest => "invalid_request",
            Self::Internal | Self::ClientLeft => return None,
        })
    }

    /// Short name for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::ClientLeft => "client_left",
            other => other.default_code().unwrap_or("error"),
        }
    }
}

/// A failure, as the client will see it and as the log will.
#[derive(Debug, Clone)]
pub struct GatewayError {
    /// Whose and which.
    pub kind: ErrorKind,
    /// For the client.
    pub message: Cow<'static, str>,
    /// The request field at fault.
    pub param: Option<Cow<'static, str>>,
    /// More specific than the kind's default.
    pub code: Option<&'static str>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// For the log only.
    pub internal: Option<String>,
}

impl GatewayError {
    /// An error of this kind with this text for the client.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            internal: None,
        }
    }

    /// A 400.
    pub fn invalid(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message).code(code)
    }

    /// The client has gone; nobody is told but the log.
    pub fn client_left() -> Self {
        Self::new(ErrorKind::ClientLeft, "the client closed the connection")
    }

    /// Ours: the client learns nothing but that.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(
            ErrorKind::Internal,
            "the gateway failed on this request; its log has the details under this request id",
        )
        .because(detail)
    }

    /// Set `code`.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Set `param`.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Set the log's text.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.internal = Some(detail.into());
        self
    }

    /// Set when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// `error.code`.
    pub fn error_code(&self) -> Option<&'static str> {
        self.code.or_else(|| self.kind.default_code())
    }
}
