//! Why a token is not taken, in words for whoever sent it: what is wrong and what to do, never the token or a key.

use std::sync::Arc;

/// Difference of clocks below which a hint at them is worth giving, in seconds.
const CLOCKS: i64 = 300;

/// Why a token is not taken. Names in it are the configuration's, not the token's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Larger than any token that is taken.
    #[error("the token is larger than 16 KiB; ask the identity provider for fewer claims")]
    TooLarge,
    /// Not a signed JSON web token in its compact form.
    #[error("not a usable JSON web token: {0}")]
    Malformed(&'static str),
    /// Not one of the signatures that are taken from this issuer.
    #[error("the token's signature algorithm (`alg`) does not fit what is taken from this issuer")]
    Algorithm,
    /// A kind of token that says nothing about who calls.
    #[error("the token is not an access or identity token (`typ`)")]
    Kind,
    /// Not from a configured issuer.
    #[error("the token's issuer (`iss`) is not one that is accepted here")]
    UnknownIssuer,
    /// Its key is not among the issuer's.
    #[error("the token is signed with a key that its issuer does not publish; get a new token")]
    UnknownKey,
    /// The issuer's keys could not be had; ours to mend.
    #[error("the keys of the token's issuer cannot be had at the moment; try again")]
    KeysUnavailable,
    /// Changed, or signed by somebody else.
    #[error("the token's signature is not valid")]
    Signature,
    /// Past its end.
    #[error("the token has expired ({ago}s ago{})", clocks(*ago))]
    Expired {
        /// For how many seconds.
        ago: i64,
    },
    /// Before its beginning (`nbf`).
    #[error("the token is not valid yet (`nbf` is {ahead}s ahead{})", clocks(*ahead))]
    NotYetValid {
        /// How many seconds ahead that is.
        ahead: i64,
    },
    /// Issued in the future (`iat`).
    #[error("the token was issued in the future (`iat` is {ahead}s ahead{})", clocks(*ahead))]
    IssuedInFuture {
        /// How many seconds ahead that is.
        ahead: i64,
    },
    /// For somebody else.
    #[error("the token is meant for another audience (`aud`)")]
    Audience,
    /// A claim that is needed is not there.
    #[error("the token lacks the claim `{0}`")]
    MissingClaim(Arc<str>),
    /// A claim's value is not one that is taken.
    #[error("the token's claim `{0}` has a value that is not accepted here")]
    ClaimValue(Arc<str>),
}

/// A hint, where the difference is what clocks differ by.
fn clocks(seconds: i64) -> &'static str {
    if seconds <= CLOCKS {
        "; check the clocks of this machine and of the issuer"
    } else {
        ""
    }
}

impl JwtError {
    /// Whether the caller can do nothing about it.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }

    /// One word of a closed set, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed(_) => "malformed",
            Self::Algorithm => "algorithm",
            Self::Kind => "kind",
            Self::UnknownIssuer => "unknown_issuer",
            Self::UnknownKey => "unknown_key",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Signature => "signature",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::IssuedInFuture { .. } => "issued_in_future",
            Self::Audience => "audience",
            Self::MissingClaim(_) => "missing_claim",
            Self::ClaimValue(_) => "claim_value",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_named_where_they_may_be_the_reason() {
        assert!(JwtError::Expired { ago: 100 }.to_string().contains("clocks"));
        assert!(!JwtError::Expired { ago: 100_000 }.to_string().contains("clocks"));
        assert!(JwtError::NotYetValid { ahead: 61 }.to_string().contains("61s"));
    }
}
