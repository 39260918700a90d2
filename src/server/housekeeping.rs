//! Everything that is not a request: readiness, reloads, name look-ups, health probes, gauges, the admin API, the watchdog.
//! One thread; nothing here may block it for long.

use super::alerts::{self, Alerts};
use super::caching::{self, Desk};
use super::control::Controls;
use super::lasting::{self, Lasting};
use super::pages;
use super::reload::{Reloader, Running};
use super::signals;
use super::tenancy::Tenants;
use crate::admin::{self, AdminState, Phase, Readiness};
use crate::balance::BreakerState;
use crate::gateway::App;
use crate::gateway::door::Gate;
use crate::gateway::stages::dispatch::probe;
use crate::ids::TargetId;
use crate::limits::Exchange;
use crate::notify::Notifier;
use crate::storage::redis::RedisExchange;
use crate::telemetry::BreakerLevel;
use crate::upstream::AddressBook;
use crate::upstream::address::RESOLVE_EVERY;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// The background service.
pub(super) struct Housekeeping {
    app: Arc<App>,
    running: Running,
    gate: Arc<Gate>,
    reloader: Arc<tokio::sync::Mutex<Reloader>>,
    readiness: Arc<Readiness>,
    notifier: Option<Arc<Notifier>>,
    admin: Mutex<Option<TcpListener>>,
    clients: Vec<SocketAddr>,
    written: Arc<ArcSwap<serde_json::Value>>,
    lasting: Option<Arc<Lasting>>,
    exchange: Option<Arc<RedisExchange>>,
    cache: Arc<caching::Opened>,
}

impl Housekeeping {
    pub fn new(
        app: Arc<App>,
        gate: Arc<Gate>,
        reloader: Reloader,
        readiness: Arc<Readiness>,
        notifier: Option<Arc<Notifier>>,
        admin: TcpListener,
        (lasting, exchange, cache): (Option<Arc<Lasting>>, Option<Arc<RedisExchange>>, Arc<caching::Opened>),
    ) -> Self {
        let clients = reloader
            .running
            .load()
            .listen
            .listeners()
            .iter()
            .filter_map(|listener| listener.socket().ok())
            .collect();
        Self {
            app,
            running: Arc::clone(&reloader.running),
            written: Arc::clone(&reloader.written),
            gate,
            reloader: Arc::new(tokio::sync::Mutex::new(reloader)),
            readiness,
            notifier,
            admin: Mutex::new(Some(admin)),
            clients,
            lasting,
            exchange,
            cache,
        }
    }

    /// Ready once every client listener accepts.
    async fn announce_ready(&self) {
        for &address in &self.clients {
            while tokio::net::TcpStream::connect(reachable(address)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        self.readiness.advance(Phase::Ready);
        if let Some(notifier) = &self.notifier {
            let _ = notifier.main_pid(std::process::id());
            let _ = notifier.ready();
        }
        tracing::info!(pid = std::process::id(), "ready");
        pages::give_back_code();
    }

    /// What operators can do about tenants: nothing where nothing lasts.
    fn api(&self) -> admin::Api {
        let config = self.running.load_full();
        let oidc = config
            .auth
            .jwt
            .values()
            .any(|jwt| jwt.claims.roles.is_some() || jwt.map.iter().any(|map| map.role.is_some()));
        let (access, problems) = admin::Access::new(&config.admin, oidc);
        // Checked before the process began; a secret may have gone since.
        for problem in problems {
            tracing::error!(problem, "an operator is not let in");
        }
        let desk = Arc::new(Desk {
            app: Arc::clone(&self.app),
            opened: Arc::clone(&self.cache),
        });
        let Some(lasting) = &self.lasting else {
            return admin::Api::new(access, None, Arc::new(admin::NoTenancy)).with_cache(desk);
        };
        let tenants = Tenants {
            app: Arc::clone(&self.app),
            config: Arc::clone(&self.running),
            lasting: Arc::clone(lasting),
            written: Arc::clone(&self.written),
        };
        admin::Api::new(access, Some(Arc::clone(&lasting.store)), Arc::new(tenants)).with_cache(desk)
    }

    async fn serve_admin(&self, mut shutdown: ShutdownWatch) {
        let listener = self.admin.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Ok(listener)) = listener.map(tokio::net::TcpListener::from_std) else {
            return;
        };
        let app = Arc::clone(&self.app);
        let state = AdminState {
            meters: Arc::clone(&self.app.meters),
            readiness: Arc::clone(&self.readiness),
            facts: Arc::new(move || app.snapshot.load().facts()),
            control: Arc::new(Controls {
                app: Arc::clone(&self.app),
                config: Arc::clone(&self.running),
            }),
            api: Arc::new(self.api()),
            started: Instant::now(),
        };
        // The admin API outlives the shutdown signal: draining is when an operator looks.
        let stop = async move { while shutdown.changed().await.is_ok() {} };
        admin::serve(listener, state, stop).await;
    }

    async fn reload_on_hangup(&self) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return;
        };
        while hangup.recv().await.is_some() {
            if let Some(notifier) = &self.notifier {
                let _ = notifier.reloading();
            }
            self.reloader.lock().await.reload().await;
            refresh(&self.app).await;
            if let Some(notifier) = &self.notifier {
                let _ = notifier.ready();
            }
        }
    }

    async fn keep_addresses(&self) {
        loop {
            refresh(&self.app).await;
            tokio::time::sleep(RESOLVE_EVERY).await;
        }
    }

    async fn probe_addresses(&self) {
        let mut next: Vec<(Arc<AddressBook>, Instant)> = Vec::new();
        loop {
            let snapshot = self.app.snapshot.load_full();
            next.retain(|(book, _)| snapshot.books.iter().any(|b| Arc::ptr_eq(b, book)));
            for book in &snapshot.books {
                let Some(probe) = &book.key().probe else { continue };
                let due = next.iter().position(|(known, _)| Arc::ptr_eq(known, book));
                let now = Instant::now();
                match due.and_then(|at| next.get_mut(at)) {
                    Some((_, at)) if *at > now => continue,
                    Some((_, at)) => *at = now + probe.interval,
                    None => next.push((Arc::clone(book), now + probe.interval)),
                }
                let book = Arc::clone(book);
                tokio::spawn(async move { book.probe().await });
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Ask targets whose breaker is open for one token, where that is their provider's health check.
    async fn probe_targets(&self) {
        let mut due: HashMap<TargetId, Instant> = HashMap::new();
        loop {
            let snapshot = self.app.snapshot.load_full();
            let now = Instant::now();
            due.retain(|_, at| *at > now);
            for (model, public) in snapshot.models.iter().enumerate() {
                for (member, target) in public.targets.iter().enumerate() {
                    let Some(interval) = target.one_token else { continue };
                    if target.model.is_the_clients() {
                        // Which of its models to ask, only a client knows.
                        continue;
                    }
                    if target.breaker.state(now) == BreakerState::Closed || due.contains_key(&target.id) {
                        continue;
                    }
                    due.insert(target.id.clone(), now + interval);
                    let (app, snapshot) = (Arc::clone(&self.app), Arc::clone(&snapshot));
                    tokio::spawn(async move { probe::run(&app, &snapshot, model, member).await });
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn show_gauges(&self) {
        let mut alerted: HashSet<Arc<str>> = HashSet::new();
        loop {
            let snapshot = self.app.snapshot.load_full();
            let now = Instant::now();
            for target in snapshot.models.iter().flat_map(|model| &model.targets) {
                let level = match target.breaker.state(now) {
                    BreakerState::Closed => BreakerLevel::Closed,
                    BreakerState::HalfOpen => BreakerLevel::HalfOpen,
                    BreakerState::Open => BreakerLevel::Open,
                };
                self.app.meters.breaker(target.id.as_str(), level);
                let shown = target.breaker.report(now);
                let routing = &self.app.meters.routing;
                routing.alone(target.id.as_str(), "cooling", shown.cooling_for.is_some());
                routing.alone(target.id.as_str(), "quarantined", shown.quarantined_for.is_some());
                routing.alone(target.id.as_str(), "isolated", shown.held);
                if let Some(site) = target.site()
                    && let Some(quarantine) = &site.quarantine
                {
                    let refused = !quarantine.is_free();
                    self.app.meters.routing.quarantined(&site.name, refused);
                    if refused && alerted.insert(Arc::clone(&site.name)) {
                        let provider = &site.name;
                        tracing::error!(%provider, "the provider refuses the gateway's credential: its targets are left alone, tried again now and then");
                    } else if !refused && alerted.remove(&site.name) {
                        tracing::info!(provider = %site.name, "the provider takes the gateway's credential again");
                    }
                }
            }
            for model in &snapshot.models {
                let Some(line) = &model.line else { continue };
                for (priority, waiting) in (0u8..).zip(line.queue.depth()) {
                    self.app.meters.routing.depth(&model.name, priority, waiting);
                }
            }
            self.app
                .meters
                .buffered_bytes
                .set(i64::try_from(self.app.buffers.held()).unwrap_or(i64::MAX));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn watch_descriptors(&self) {
        loop {
            self.gate.look();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Limits, and what lasts: on a thread of their own where there is a store, since a slow one must not hold up the rest.
    async fn keep_limits(&self) {
        let exchange = self.exchange.clone().map(|exchange| exchange as Arc<dyn Exchange>);
        let alerts = Alerts::new(Arc::clone(&self.app.meters));
        alerts.adopt(&self.running.load());
        let limits = lasting::keep_limits(Arc::clone(&self.app), exchange.clone(), Arc::clone(&alerts));
        let sent = alerts::keep(alerts, Arc::clone(&self.app), Arc::clone(&self.running), exchange);
        match &self.lasting {
            Some(lasting) => {
                let runtime = lasting.runtime();
                runtime.spawn(limits);
                runtime.spawn(sent);
                runtime.spawn(Arc::clone(lasting).keep(Arc::clone(&self.app), Arc::clone(&self.running)));
            }
            None => {
                tokio::join!(limits, sent);
            }
        }
    }

    async fn feed_watchdog(&self) {
        let Some((notifier, interval)) = self.notifier.as_ref().and_then(|n| Some((n, n.watchdog_interval()?))) else {
            return;
        };
        loop {
            let _ = notifier.watchdog();
            tokio::time::sleep(interval).await;
        }
    }
}

/// Look up every name that is not resolved yet or due.
async fn refresh(app: &App) {
    let books = app.snapshot.load().books.clone();
    let look_ups = books.iter().map(|book| async move {
        if let Err(problem) = book.refresh().await {
            tracing::warn!(host = %book.key().base.host, problem, "a provider's name could not be resolved; the last good addresses stay");
        }
    });
    futures::future::join_all(look_ups).await;
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, shutdown: ShutdownWatch) {
        tokio::spawn(signals::leave_when_idle(
            Arc::clone(&self.app),
            self.lasting.clone(),
            shutdown.clone(),
        ));
        tokio::join!(
            self.reload_on_hangup(),
            self.announce_ready(),
            self.serve_admin(shutdown),
            self.keep_addresses(),
            self.probe_addresses(),
            self.probe_targets(),
            self.show_gauges(),
            self.watch_descriptors(),
            self.feed_watchdog(),
            self.keep_limits(),
            caching::keep(Arc::clone(&self.app)),
        );
    }
}
