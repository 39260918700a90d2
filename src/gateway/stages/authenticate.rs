//! Who is calling. Until virtual keys exist there is one answer: anybody, if the operator said so.

use super::super::downstream::Downstream;
use crate::balance::KeyHash;
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::Snapshot;
use std::net::IpAddr;

/// The caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A client without a key, let in by `insecure.open_access`.
    Anonymous,
}

impl Principal {
    /// What tells this caller from others, for sticking to targets and for sharing them fairly: its key, or its address where
    /// it needs none.
    pub fn caller(self, down: &Downstream<'_>) -> u64 {
        match self {
            Self::Anonymous => {
                let hash = KeyHash::default();
                match down.client_ip() {
                    Some(IpAddr::V4(ip)) => hash.part(&ip.octets()).finish(),
                    Some(IpAddr::V6(ip)) => hash.part(&ip.octets()).finish(),
                    None => hash.finish(),
                }
            }
        }
    }
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
