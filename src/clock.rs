//! Moments as numbers since 1970, for what is stored, signed or compared with other machines. A clock before 1970 is 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn since(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// In seconds.
pub fn seconds(at: SystemTime) -> i64 {
    i64::try_from(since(at).as_secs()).unwrap_or(i64::MAX)
}

/// In milliseconds.
pub fn milliseconds(at: SystemTime) -> u64 {
    u64::try_from(since(at).as_millis()).unwrap_or(u64::MAX)
}

/// Now, in seconds.
pub fn now() -> i64 {
    seconds(SystemTime::now())
}

/// Now, in milliseconds.
pub fn now_ms() -> u64 {
    milliseconds(SystemTime::now())
}
