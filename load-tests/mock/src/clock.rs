//! The clock that the mock stamps events with and the load generator reads them by.
//!
//! CLOCK_MONOTONIC is one clock for all processes of a machine; `std::time::Instant` hides its value.

/// Nanoseconds since an arbitrary moment, the same for every process.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime only writes into the timespec it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
