//! How many file descriptors the process may open.
//!
//! The soft limit is for programs that use `select`, which cannot take more than 1024; this one raises it to the hard
//! limit, as servers do.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raise the limit as far as it goes; what it is then.
pub(super) fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= hard {
        return soft;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, soft, hard, "the limit on open files could not be raised");
            soft
        }
    }
}
