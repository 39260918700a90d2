//! What goes on beside requests: taking up changes, moving shares of limits, telling alerts, dropping what is old.

use super::super::alerts::Alerts;
use super::Lasting;
use crate::clock;
use crate::config::{Config, Interval};
use crate::gateway::App;
use crate::limits::{AlertKind, Bank, Exchange, Measure};
use crate::storage::redis::RedisExchange;
use crate::units::usd;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// How often shares of limits are looked after.
const TICK: Duration = Duration::from_millis(200);
/// How often the store is asked for changes, should Redis not have told.
const ASK: Duration = Duration::from_secs(2);
/// How often a copy is renewed that says how young it is.
const COPY: Duration = Duration::from_secs(3600);
/// How often what is old is dropped.
const MAINTAIN: Duration = Duration::from_secs(3600);
/// Records that wait for no longer than this do not wait for a store that is gone.
const RECENT_MS: u64 = 2_000;
/// Longest wait at a start for Redis: a new one grants nothing for two seconds.
const JOIN: Duration = Duration::from_secs(3);
/// Days that single records and the audit log are kept.
const KEEP: (u32, u32) = (90, 400);

impl Lasting {
    /// All of it, until the process stops.
    pub async fn keep(self: Arc<Self>, app: Arc<App>, running: Arc<ArcSwap<Config>>) {
        tokio::join!(
            self.follow(&app),
            self.renew(&app),
            self.maintain(&running),
            keep_copies(&self),
        );
    }

    /// Changes in the store: told by Redis, or found by asking.
    async fn follow(&self, app: &App) {
        let mut told = self.exchange.as_ref().map(|exchange| exchange.changes());
        loop {
            let read = self.refresh(app).await;
            app.meters.accounts.store_up.set(i64::from(read.is_ok()));
            let shares = self.shares_until.is_some_and(|until| Instant::now() < until);
            if read.is_ok() && (shares || !self.restored.load(Ordering::Relaxed)) && self.has_sent() {
                self.restore_counts(&app.state.bank).await;
            }
            match &mut told {
                // Ends only with the exchange; then asking is all there is.
                Some(told) => {
                    let _ = tokio::time::timeout(ASK, told.changed()).await;
                }
                None => tokio::time::sleep(ASK).await,
            }
        }
    }

    /// What budgets had been charged before this start. If the store is gone, again once it is back and has what waited for it:
    /// then the figures contain what was charged here meanwhile.
    pub(super) async fn restore_counts(&self, bank: &Bank) {
        match self.store.counts(0).await {
            Ok(counts) => {
                bank.restore(
                    counts
                        .into_iter()
                        .map(|charge| (charge.count, charge.window, charge.nano)),
                );
                self.restored.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::error!(%error, "what budgets had used before this start is not known until the store is back");
            }
        }
    }

    /// Whether the store has what earlier processes left and, but for the last moment, what this one recorded.
    fn has_sent(&self) -> bool {
        self.ledger.as_ref().is_none_or(|ledger| {
            let stats = ledger.stats(clock::now_ms());
            stats.adopted == 0 && stats.oldest_unsent_ms < RECENT_MS
        })
    }

    /// Keys of identity providers, and gauges.
    async fn renew(&self, app: &App) {
        let mut before = crate::ledger::Stats::default();
        loop {
            let issuers = app.accounts.load_full().and_then(|accounts| accounts.issuers.clone());
            if let Some(issuers) = issuers {
                issuers.refresh(SystemTime::now()).await;
            }
            let meters = &app.meters.accounts;
            if let Some(ledger) = &self.ledger {
                let stats = ledger.stats(clock::now_ms());
                let signed = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
                meters.records_waiting.set(signed(stats.queued + stats.spooled_rows));
                meters.spool_bytes.set(signed(stats.spooled_bytes));
                meters.spool_age.set(signed(stats.oldest_unsent_ms / 1000));
                meters.records("stored", stats.inserted.saturating_sub(before.inserted));
                meters.records("rejected", stats.rejected.saturating_sub(before.rejected));
                meters.records("corrupt", stats.corrupt.saturating_sub(before.corrupt));
                before = stats;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn maintain(&self, running: &ArcSwap<Config>) {
        loop {
            let ledger = running.load().ledger.clone();
            let keep = (
                ledger.keep_days.unwrap_or(KEEP.0),
                ledger.keep_audit_days.unwrap_or(KEEP.1),
            );
            let now = i64::try_from(clock::now_ms()).unwrap_or(i64::MAX);
            match self.store.maintain(now, keep.0, keep.1).await {
                Ok(done) if done.rows > 0 || done.audit > 0 => {
                    tracing::info!(
                        rows = done.rows,
                        audit = done.audit,
                        "dropped what is older than it is kept"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the store could not be maintained"),
            }
            tokio::time::sleep(MAINTAIN).await;
        }
    }
}

async fn keep_copies(lasting: &Lasting) {
    loop {
        tokio::time::sleep(COPY).await;
        lasting.keep_copy().await;
    }
}

/// How long the process that is taken over from may go on: until it starts to drain, its drain, and its last records.
pub(super) fn takes_over(config: &Config) -> Duration {
    let drain = config.server.drain_timeout.map(Interval::as_duration);
    drain.unwrap_or(Duration::from_secs(300)) + Duration::from_secs(60)
}

/// Wait for Redis before the first request, which would be refused where a limit fails closed; not for one that is away.
pub(in crate::server) fn join(app: &App, exchange: &RedisExchange) -> anyhow::Result<()> {
    let until = Instant::now() + JOIN;
    while !exchange.available() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(app.state.bank.tick(clock::now_ms()));
    Ok(())
}

/// Shares of limits, and alerts: also without a store, for limits of models and providers.
pub(in crate::server) async fn keep_limits(app: Arc<App>, exchange: Option<Arc<dyn Exchange>>, alerts: Arc<Alerts>) {
    loop {
        app.state.bank.tick(clock::now_ms()).await;
        for alert in app.state.bank.alerts() {
            alerts.budget(&alert);
            let rule = &alert.rule;
            let scope = rule.scope.kind.as_str();
            let (kind, share) = match alert.kind {
                AlertKind::Percent(percent) => ("share", Some(percent)),
                AlertKind::Forecast(_) => ("forecast", None),
            };
            app.meters.accounts.alerted(scope, kind);
            let shown = |figure: u64| match rule.measure {
                Measure::NanoUsd => usd(figure),
                _ => figure.to_string(),
            };
            let expected = match alert.kind {
                AlertKind::Forecast(figure) => Some(shown(figure)),
                AlertKind::Percent(_) => None,
            };
            tracing::warn!(
                scope,
                name = &*rule.scope.name,
                budget = &*rule.name,
                each = alert.value.as_deref(),
                percent = share,
                expected,
                used = shown(alert.used),
                limit = shown(alert.limit),
                "a budget alerts"
            );
        }
        if let Some(exchange) = &exchange {
            app.meters.accounts.exchange_up.set(i64::from(exchange.available()));
            app.meters
                .accounts
                .instances
                .set(i64::try_from(exchange.instances()).unwrap_or(i64::MAX));
        }
        tokio::time::sleep(TICK).await;
    }
}
