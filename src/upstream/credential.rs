//! What proves to a provider who is asking, when that is more than a header that never changes.
//!
//! ```text
//! Fixed   nothing to do: the header was set when the configuration was loaded
//! Aws     a signature over this very request (SigV4), so the body has to be final
//! Token   a short-lived OAuth 2.0 access token, fetched when needed and shared by all requests
//! ```
//! Applied last, on the finished head of one attempt. Not for which kind a provider has: the snapshot decides.

mod aws;
mod grant;
mod token;

pub use aws::AwsKeys;
pub use grant::Grant;
pub use token::TokenSource;

use super::exchange::{Fault, Transport};
use crate::providers::Body;
use http::HeaderName;
use http::header::{AUTHORIZATION, HeaderValue};
use pingora::http::RequestHeader;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Why a request could not be given its credential. Clone, because everybody who waited for one token gets it. Says
/// nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialFault {
    /// The token endpoint could not be reached or broke off.
    #[error("the token endpoint could not be asked: {0}")]
    Unreachable(Fault),
    /// The token endpoint or the caller's deadline ran out of time.
    #[error("the token endpoint did not answer in time")]
    Timeout,
    /// The token endpoint said no: the key is wrong, revoked, or the machine's clock is off.
    #[error("the token endpoint refused: status {status}, {code}")]
    Refused {
        /// Its HTTP status.
        status: u16,
        /// Its OAuth error code (`invalid_grant`), and Entra's numbers; nothing else of its answer.
        code: String,
    },
    /// The token endpoint answered with something that is no token.
    #[error("the token endpoint's answer is not usable: {0}")]
    Answer(&'static str),
    /// The request cannot be signed.
    #[error("the request could not be signed: {0}")]
    Signing(&'static str),
}

impl CredentialFault {
    /// Whether our own credential is at fault, rather than the way to who checks it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Signing(_))
    }
}

/// How one provider is told who is asking.
#[derive(Debug, Clone, Default)]
pub enum Credential {
    /// By headers that are the same for every request, or not at all.
    #[default]
    Fixed,
    /// By AWS Signature Version 4.
    Aws(Arc<AwsKeys>),
    /// By a bearer token that expires.
    Token(Arc<TokenSource>),
}

impl Credential {
    /// Put the credential on a request that is otherwise finished: method, path, headers, and `body` as it will be sent.
    ///
    /// `host` is what the `Host` header says. May wait for a token, at most until `deadline`; dropping the future is
    /// safe, a fetch under way goes on for the others.
    pub async fn apply(
        &self,
        transport: &Arc<Transport>,
        head: &mut RequestHeader,
        body: &Body,
        host: &str,
        now: SystemTime,
        deadline: Instant,
    ) -> Result<(), CredentialFault> {
        match self {
            Self::Fixed => Ok(()),
            Self::Aws(keys) => keys.sign(head, body, host, now).await,
            Self::Token(source) => {
                let value = source.authorization(transport, now, deadline).await?;
                insert(head, AUTHORIZATION, value)
            }
        }
    }

    /// The token in use, if it is one.
    pub fn current(&self) -> Option<HeaderValue> {
        match self {
            Self::Token(source) => source.current(),
            Self::Fixed | Self::Aws(_) => None,
        }
    }

    /// The provider answered 401: a token that is not brand-new is forgotten, so that the next request fetches another.
    pub fn refused(&self, now: SystemTime) {
        if let Self::Token(source) = self {
            source.refused(now);
        }
    }
}

fn insert(head: &mut RequestHeader, name: HeaderName, mut value: HeaderValue) -> Result<(), CredentialFault> {
    value.set_sensitive(true);
    head.insert_header(name, value)
        .map_err(|_| CredentialFault::Signing("a header could not be set"))
}
