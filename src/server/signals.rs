//! Stopping: SIGTERM drains and exits as soon as nothing is in flight, SIGQUIT hands the listeners to a new process first,
//! SIGINT leaves at once. SIGUSR2 starts the new process itself (the binary now on disk) and then does as SIGQUIT does:
//! the way to upgrade under systemd, which must be told the new main process by the old one.
//!
//! Pingora sleeps its whole grace period even when idle, so [`leave_when_idle`] ends the process itself.

use super::lasting::Lasting;
use crate::admin::{Phase, Readiness};
use crate::gateway::App;
use crate::notify::Notifier;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Longest wait for a new process to be ready to take the listeners.
const SUCCESSOR_TIME: Duration = Duration::from_secs(30);

/// What stopping touches.
pub(super) struct StopSignals {
    pub app: Arc<App>,
    /// What lasts.
    pub lasting: Option<Arc<Lasting>>,
    pub readiness: Arc<Readiness>,
    pub notifier: Option<Arc<Notifier>>,
    /// Where a new process waits for the listeners.
    pub upgrade_socket: PathBuf,
}

#[async_trait]
impl ShutdownSignalWatch for StopSignals {
    async fn recv(&self) -> ShutdownSignal {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::interrupt(),
            SignalKind::user_defined2(),
        ];
        let [Ok(mut term), Ok(mut quit), Ok(mut int), Ok(mut usr2)] = kinds.map(signal) else {
            tracing::error!("signal handlers could not be installed");
            return ShutdownSignal::FastShutdown;
        };
        let shutdown = loop {
            tokio::select! {
                _ = term.recv() => break ShutdownSignal::GracefulTerminate,
                _ = quit.recv() => break ShutdownSignal::GracefulUpgrade,
                _ = int.recv() => break ShutdownSignal::FastShutdown,
                _ = usr2.recv() => match self.start_successor().await {
                    Ok(()) => break ShutdownSignal::GracefulUpgrade,
                    Err(problem) => tracing::error!(problem, "the upgrade failed; this process goes on serving"),
                },
            }
        };
        tracing::info!(how = ?shutdown, in_flight = self.app.meters.in_flight(), "stopping");
        self.readiness.advance(Phase::Draining);
        self.app.draining.store(true, Ordering::Relaxed);
        if let (Some(notifier), false) = (&self.notifier, matches!(shutdown, ShutdownSignal::GracefulUpgrade)) {
            let _ = notifier.stopping();
        }
        if matches!(shutdown, ShutdownSignal::FastShutdown) {
            // Pingora joins its runtimes first, which with a request under way took more than ten seconds now and then.
            close(&self.app, self.lasting.as_ref()).await;
            std::process::exit(0);
        }
        shutdown
    }
}

impl StopSignals {
    /// Start the binary now on disk with `--upgrade`, wait until it asks for the listeners, and name it to systemd.
    async fn start_successor(&self) -> Result<(), String> {
        let _ = std::fs::remove_file(&self.upgrade_socket);
        let mut successor = successor_command()?
            .spawn()
            .map_err(|e| format!("the new binary does not start: {e}"))?;
        let begun = Instant::now();
        while !self.upgrade_socket.exists() {
            if let Ok(Some(status)) = successor.try_wait() {
                return Err(format!("the new process ended: {status}; its log says why"));
            }
            if begun.elapsed() > SUCCESSOR_TIME {
                let _ = successor.kill();
                return Err("the new process did not ask for the listeners in time".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if let Some(notifier) = &self.notifier {
            let _ = notifier.main_pid(successor.id());
        }
        tracing::info!(pid = successor.id(), "handing the listeners to a new process");
        Ok(())
    }
}

fn successor_command() -> Result<Command, String> {
    let running = std::env::current_exe().map_err(|e| format!("the path of this binary is not known: {e}"))?;
    // Linux names a binary that was replaced on disk so.
    let path = running.to_string_lossy();
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    let mut command = Command::new(path);
    command.args(std::env::args_os().skip(1).filter(|argument| argument != "--upgrade"));
    // The watchdog is the new process's to feed, and its pid is another one.
    command.arg("--upgrade").env_remove("WATCHDOG_PID");
    Ok(command)
}

/// After the listeners closed: end the process once nothing is in flight.
pub(super) async fn leave_when_idle(app: Arc<App>, lasting: Option<Arc<Lasting>>, mut shutdown: ShutdownWatch) {
    while !*shutdown.borrow() {
        if shutdown.changed().await.is_err() {
            return;
        }
    }
    // A request whose header is just being read is not counted yet; three quiet looks in a row leave it time to be.
    let mut quiet = 0;
    while quiet < 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        quiet = if app.meters.in_flight() == 0 { quiet + 1 } else { 0 };
    }
    close(&app, lasting.as_ref()).await;
    tracing::info!("stopped: nothing in flight");
    std::process::exit(0);
}

/// What must not be lost when the process ends.
async fn close(app: &Arc<App>, lasting: Option<&Arc<Lasting>>) {
    if let Some(lasting) = lasting {
        let closing = lasting.runtime().spawn(Arc::clone(lasting).close(Arc::clone(app)));
        // Its failure is its own; the process ends all the same.
        let _ = closing.await;
    }
    app.access_log.flush(Duration::from_secs(1));
}
