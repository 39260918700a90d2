//! Stopping: SIGTERM drains and exits as soon as nothing is in flight, SIGQUIT hands the listeners to a new process first,
//! SIGINT leaves at once.
//!
//! Pingora sleeps its whole grace period even when idle, so [`leave_when_idle`] ends the process itself.

use crate::admin::{Phase, Readiness};
use crate::gateway::App;
use crate::notify::Notifier;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// What stopping touches.
pub(super) struct StopSignals {
    pub app: Arc<App>,
    pub readiness: Arc<Readiness>,
    pub notifier: Option<Arc<Notifier>>,
}

#[async_trait]
impl ShutdownSignalWatch for StopSignals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut term), Ok(mut quit), Ok(mut int)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::quit()),
            signal(SignalKind::interrupt()),
        ) else {
            tracing::error!("signal handlers could not be installed");
            return ShutdownSignal::FastShutdown;
        };
        let shutdown = tokio::select! {
            _ = term.recv() => ShutdownSignal::GracefulTerminate,
            _ = quit.recv() => ShutdownSignal::GracefulUpgrade,
            _ = int.recv() => ShutdownSignal::FastShutdown,
        };
        tracing::info!(how = ?shutdown, in_flight = self.app.meters.in_flight(), "stopping");
        self.readiness.advance(Phase::Draining);
        self.app.draining.store(true, Ordering::Relaxed);
        if let Some(notifier) = &self.notifier {
            let _ = notifier.stopping();
        }
        shutdown
    }
}

/// After the listeners closed: end the process once nothing is in flight.
pub(super) async fn leave_when_idle(app: Arc<App>, mut shutdown: ShutdownWatch) {
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
    app.access_log.flush(Duration::from_secs(1));
    tracing::info!("stopped: nothing in flight");
    std::process::exit(0);
}
