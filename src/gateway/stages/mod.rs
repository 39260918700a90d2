//! The steps of the walk, one file each, in the order [`super::pipeline`] calls them.

pub mod admit;
pub mod authenticate;
pub mod authorize;
pub mod dispatch;
pub mod receive;
pub mod relay;
pub mod reserve;
pub mod rules;
pub mod settle;

/// Seconds since 1970.
fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
