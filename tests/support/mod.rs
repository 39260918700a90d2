//! What the integration tests are written with: the real binary on free ports, a raw HTTP client, a scripted hostile
//! upstream, certificates. Blocking and on plain sockets, so that a test decides every byte and sees every byte.
//!
//! No sleep synchronises anything: what must happen is polled for with a deadline ([`eventually`]).

pub mod client;
pub mod gateway;
pub mod http2;
pub mod postgres;
pub mod redis;
pub mod tls;
pub mod upstream;

pub use client::Client;
pub use gateway::Gateway;
pub use upstream::{Conn, Upstream};

use std::time::{Duration, Instant};

/// Long enough for anything that should happen on a busy machine, short enough to fail a test.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Poll until `condition` gives something.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Opened once by a test, waited for by scripts.
#[derive(Clone, Default)]
pub struct Gate(std::sync::Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Wait until it is open; gives up after [`PATIENCE`], the test will notice.
    pub fn wait(&self) {
        let shut = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(shut, PATIENCE, |open| !*open).unwrap());
    }
}
