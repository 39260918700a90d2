//! What the kernel says about this process, read when somebody scrapes and at no other time.
//!
//! Counting open descriptors walks `/proc/self/fd` (milliseconds with ten thousand connections), so a scrape belongs on a
//! blocking thread. A figure that cannot be read keeps its last value.

use prometheus::{Counter, Error, Gauge, IntGauge, Registry};
use std::time::{SystemTime, UNIX_EPOCH};

/// The `cirque_process_*` metrics.
pub(super) struct ProcessMeters {
    resident: IntGauge,
    cpu: Counter,
    open_fds: IntGauge,
}

impl ProcessMeters {
    /// Register them; the start time is now.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let resident = IntGauge::new(
            "cirque_process_resident_memory_bytes",
            "Resident memory of the process.",
        )?;
        let cpu = Counter::new(
            "cirque_process_cpu_seconds_total",
            "User and system CPU time of the process.",
        )?;
        let open_fds = IntGauge::new("cirque_process_open_fds", "File descriptors the process holds open.")?;
        let start = Gauge::new(
            "cirque_process_start_time_seconds",
            "Unix time at which the process started.",
        )?;
        start.set(unix_seconds(SystemTime::now()));
        registry.register(Box::new(resident.clone()))?;
        registry.register(Box::new(cpu.clone()))?;
        registry.register(Box::new(open_fds.clone()))?;
        registry.register(Box::new(start))?;
        Ok(Self {
            resident,
            cpu,
            open_fds,
        })
    }

    /// Read everything again.
    pub fn refresh(&self) {
        if let Some(bytes) = resident_bytes() {
            self.resident.set(bytes);
        }
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        // Two scrapes at once may both add a difference; the error is the microseconds between them.
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the directory being read.
            let open = entries.count().saturating_sub(1);
            self.open_fds.set(i64::try_from(open).unwrap_or(i64::MAX));
        }
    }
}

/// Seconds since the epoch; 0 for a clock set before it.
pub(super) fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Second field of `/proc/self/statm`, which counts pages.
fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page = i64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_plausible() {
        let registry = Registry::new();
        let process = ProcessMeters::new(&registry).unwrap();
        process.refresh();
        assert!(process.resident.get() > 100_000);
        assert!(process.cpu.get() > 0.0);
        assert!(process.open_fds.get() >= 3);
        let before = process.cpu.get();
        process.refresh();
        assert!(process.cpu.get() >= before);
        assert_eq!(registry.gather().len(), 4);
    }
}
