//! CPU time of other processes, to the nanosecond, from `/proc/PID/task/*/schedstat`.
//!
//! `/proc/PID/stat` counts in ticks of 10 ms, too coarse for short runs. Threads that end inside the measured part take
//! their time with them; the proxies measured here keep their threads.

use std::str::FromStr;

#[derive(Debug, Clone)]
pub struct Watch {
    pub name: String,
    pids: Vec<u32>,
}

impl FromStr for Watch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pids) = text.split_once('=').ok_or("expected NAME=PID[,PID...]")?;
        let pids = pids
            .split(',')
            .map(|pid| pid.parse().map_err(|e| format!("{pid}: {e}")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            pids,
        })
    }
}

impl Watch {
    /// Nanoseconds on a CPU so far, user and kernel, over all threads.
    pub fn spent_ns(&self) -> Result<u64, String> {
        let mut sum = 0;
        for pid in &self.pids {
            let folder = format!("/proc/{pid}/task");
            let threads = std::fs::read_dir(&folder).map_err(|e| format!("{folder}: {e}"))?;
            for thread in threads.flatten() {
                // A thread may end between the listing and the reading.
                let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else {
                    continue;
                };
                let first = text.split_whitespace().next().unwrap_or_default();
                sum += first.parse::<u64>().map_err(|e| e.to_string())?;
            }
        }
        Ok(sum)
    }
}
