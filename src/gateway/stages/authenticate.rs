//! Who is calling. Until virtual keys exist there is one answer: anybody, if the operator said so.

use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::Snapshot;

/// The caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A client without a key, let in by `insecure.open_access`.
    Anonymous,
}

/// Decide who calls.
pub fn run(snapshot: &Snapshot) -> Result<Principal, GatewayError> {
    if snapshot.open_access {
        return Ok(Principal::Anonymous);
    }
    Err(GatewayError::new(
        ErrorKind::Unauthenticated,
        "this gateway has no keys configured and does not allow open access",
    ))
}
