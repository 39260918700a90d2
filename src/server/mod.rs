//! The process: listeners, background work, signals, the way it starts and stops.
//!
//! One service serves clients (a second one when some listeners take plaintext HTTP/2), one does everything else on a
//! single thread: reloads, name look-ups, health probes, the admin API, the watchdog. See `reload.rs` for SIGHUP and
//! `signals.rs` for stopping.

mod alerts;
mod banner;
mod caching;
mod control;
mod descriptors;
mod housekeeping;
mod lasting;
mod pages;
mod reload;
mod signals;
mod tenancy;
mod tls;

use self::lasting::{Lasting, Opened};
use crate::admin::{self, Readiness};
use crate::config::{self, Config, Problems};
use crate::gateway::door::Gate;
use crate::gateway::wire::Door;
use crate::gateway::{App, Unrouted, proxy::Gateway};
use crate::limits::Exchange;
use crate::notify::Notifier;
use crate::snapshot::{Snapshot, State, Stored};
use crate::storage::redis::RedisExchange;
use crate::telemetry::{AccessLog, LineFormat, LogHandle, Meters, TokenCounter, logging};
use crate::upstream::Transport;
use anyhow::Context;
use arc_swap::{ArcSwap, ArcSwapOption};
use pingora::apps::HttpServerOptions;
use pingora::listeners::{L4BufferSettings, ListenerConfig, Listeners};
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// The configuration that is served when none is named.
pub const QUICKSTART: &str = include_str!("../../conf/quickstart.yaml");

/// How to serve.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// Configuration file; the embedded quickstart when absent.
    pub config: Option<PathBuf>,
    /// Take the listeners over from the running process.
    pub upgrade: bool,
}

/// A TLS listener's certificate and its clients', and where they came from.
struct Secured {
    address: String,
    certificate: Arc<tls::Certificate>,
    authorities: Arc<tls::Authorities>,
}

/// Serve until told to stop.
pub fn run(options: &ServeOptions) -> anyhow::Result<()> {
    let config = load(options.config.as_deref())?;
    let log = logging::init(line_format(&config), level(&config))
        .ok()
        .context("logging was already set up")?;
    let meters = Meters::new().context("metrics")?;
    logging::install_panic_hook(meters.panics.clone());
    let descriptors = descriptors::raise_limit();
    let exchange = lasting::exchange(&config)?;
    let opened = Opened::open(&config)?;
    let secrets = opened.as_ref().map(Opened::secrets).unwrap_or_default();
    let app = build_app(&config, &meters, descriptors, exchange.clone(), secrets)?;
    let cache = Arc::new(caching::open(&config, &app)?);
    let lasting = opened
        .map(|opened| Lasting::begin(opened, &config, &app, exchange.clone(), options.upgrade))
        .transpose()?;
    if let Some(exchange) = &exchange {
        lasting::join(&app, exchange).context("limits shared through Redis")?;
    }
    if !options.upgrade {
        check_free(&config)?;
    }
    let mut server = Server::new_with_opt_and_conf(
        Opt {
            upgrade: options.upgrade,
            ..Opt::default()
        },
        server_conf(&config),
    );
    server.bootstrap();
    let gate = Arc::new(Gate::new(&app, descriptors));
    let (services, secured) = client_services(&config, &app, &gate, &server.configuration)?;
    for service in services {
        server.add_service(service);
    }
    let readiness = Arc::new(Readiness::new());
    let notifier = Notifier::from_env().map(Arc::new);
    let admin_address = config::socket_address(&config.admin.listen).map_err(anyhow::Error::msg)?;
    let admin_listener = admin::bind(admin_address).with_context(|| format!("admin listener {admin_address}"))?;
    let reloader = reload::Reloader::new(
        options.config.clone(),
        config.clone(),
        Arc::clone(&app),
        secured,
        log,
        lasting.clone(),
    );
    if notifier.is_none() {
        banner::print(&config, &app.snapshot.load());
    }
    let work = housekeeping::Housekeeping::new(
        Arc::clone(&app),
        gate,
        reloader,
        Arc::clone(&readiness),
        notifier.clone(),
        admin_listener,
        (lasting.clone(), exchange, cache),
    );
    server.add_service(background_service("housekeeping", work));
    let stop = signals::StopSignals {
        app: Arc::clone(&app),
        lasting: lasting.clone(),
        readiness,
        notifier,
        upgrade_socket: PathBuf::from(&server.configuration.upgrade_sock),
    };
    server.run(RunArgs {
        shutdown_signal: Box::new(stop),
    });
    app.access_log.flush(Duration::from_secs(1));
    if let Some(lasting) = lasting {
        let runtime = lasting.runtime().clone();
        runtime.block_on(lasting.close(app));
    }
    Ok(())
}

/// The file that runs as a document for operators.
fn written(path: Option<&Path>) -> serde_json::Value {
    let text = path.map(std::fs::read_to_string);
    match text {
        Some(text) => config::shown(&text.unwrap_or_default()),
        None => config::shown(QUICKSTART),
    }
}

/// Read the configuration of these options.
fn load(path: Option<&Path>) -> Result<Config, Problems> {
    match path {
        Some(path) => config::load(path),
        None => config::parse(QUICKSTART, "embedded quickstart"),
    }
}

fn build_app(
    config: &Config,
    meters: &Arc<Meters>,
    descriptors: u64,
    exchange: Option<Arc<RedisExchange>>,
    secrets: Stored,
) -> anyhow::Result<Arc<App>> {
    let exchange = exchange.map(|exchange| exchange as Arc<dyn Exchange>);
    let state = Arc::new(State::sharing(Arc::clone(meters), exchange));
    state.stored_secrets.store(Arc::new(secrets));
    let snapshot = Snapshot::build(config, &state).map_err(|problems| anyhow::anyhow!(problems.join("\n")))?;
    state.adopt(&snapshot);
    meters.config_loaded(true, true);
    // Idle connections must not be what keeps clients waiting for a descriptor.
    let keepalive = usize::try_from(descriptors / 4).map_or(1024, |quarter| quarter.clamp(1, 1024));
    let keepalive = config.server.upstream_keepalive_connections.unwrap_or(keepalive);
    let format = config.log.access.unwrap_or(true).then(|| line_format(config));
    Ok(Arc::new(App {
        snapshot: ArcSwap::from_pointee(snapshot),
        accounts: ArcSwapOption::empty(),
        cache: ArcSwapOption::empty(),
        ledger: ArcSwapOption::empty(),
        state,
        transport: Arc::new(Transport::new(keepalive)),
        unrouted: Unrouted::new(meters),
        access_log: AccessLog::start(format, Box::new(std::io::stdout()), meters.access_log_dropped.clone())
            .context("access log")?,
        counter: TokenCounter::start().context("token counter")?,
        buffers: Arc::default(),
        draining: AtomicBool::new(false),
        meters: Arc::clone(meters),
    }))
}

/// Pingora only panics in a service thread when a port is taken; say it before anything is started.
fn check_free(config: &Config) -> anyhow::Result<()> {
    for listener in config.listen.listeners() {
        let address = listener.socket().map_err(anyhow::Error::msg)?;
        std::net::TcpListener::bind(address).with_context(|| {
            format!("cannot listen on {address}: is another process (perhaps Cirque itself) using it? Choose another `listen`")
        })?;
    }
    Ok(())
}

fn server_conf(config: &Config) -> ServerConf {
    let server = &config.server;
    let drain = server
        .drain_timeout
        .map_or(Duration::from_secs(300), |d| d.as_duration());
    let threads = server
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let socket = server
        .upgrade_socket
        .clone()
        .unwrap_or_else(|| PathBuf::from("/run/cirque/upgrade.sock"));
    ServerConf {
        threads,
        work_stealing: server.work_stealing.unwrap_or(false),
        grace_period_seconds: Some(drain.as_secs()),
        graceful_shutdown_timeout_seconds: Some(5),
        upgrade_sock: socket.display().to_string(),
        // Per thread, and for the passthrough lane only: the API lane has its own pool.
        upstream_keepalive_pool_size: 128,
        max_retries: 16,
        ..ServerConf::default()
    }
}

type ClientService = Service<Door>;

fn client_services(
    config: &Config,
    app: &Arc<App>,
    gate: &Arc<Gate>,
    conf: &Arc<ServerConf>,
) -> anyhow::Result<(Vec<ClientService>, Vec<Secured>)> {
    let mut secured = Vec::new();
    let mut services = Vec::new();
    let all = config.listen.listeners();
    for h2c in [false, true] {
        let mut listeners = Listeners::new();
        listeners.set_connection_filter(Arc::clone(gate) as _);
        let mut any = false;
        for listener in all.iter().filter(|listener| listener.h2c == h2c) {
            any = true;
            let address = listener.socket().map_err(anyhow::Error::msg)?.to_string();
            // Reads go straight into Pingora's parse buffer: a 64 KiB read buffer per idle connection is most of what an
            // idle connection would cost.
            let mut endpoint = ListenerConfig::tcp(&address).l4_buffer(L4BufferSettings::default().read(0));
            if let Some(files) = &listener.tls {
                let certificate = Arc::new(tls::Certificate::load(&files.cert, &files.key)?);
                let authorities = Arc::new(tls::Authorities::default());
                authorities.replace(tls::authorities(files)?);
                endpoint = endpoint.tls(tls::settings(&certificate, &authorities)?);
                secured.push(Secured {
                    address: address.clone(),
                    certificate,
                    authorities,
                });
            }
            listeners.add_listener(endpoint);
        }
        if any {
            let door = Door {
                proxy: Arc::new(proxy(app, conf, h2c)),
                app: Arc::clone(app),
                gate: Arc::clone(gate),
                h2c,
            };
            services.push(Service::with_listeners(
                if h2c { "clients (h2c)" } else { "clients" }.to_owned(),
                listeners,
                door,
            ));
        }
    }
    Ok((services, secured))
}

fn proxy(app: &Arc<App>, conf: &Arc<ServerConf>, h2c: bool) -> pingora_proxy::HttpProxy<Gateway> {
    let limits = app.snapshot.load().limits;
    let mut proxy = pingora_proxy::http_proxy(conf, Gateway { app: Arc::clone(app) });
    let mut options = HttpServerOptions::default();
    options.h2c = h2c;
    options.h2_idle_timeout = Some(limits.keepalive_timeout);
    proxy.server_options = Some(options);
    let mut h2 = pingora::protocols::http::v2::server::default_h2_options();
    h2.max_concurrent_streams(limits.http2_streams);
    h2.max_header_list_size(u32::try_from(limits.request_headers).unwrap_or(u32::MAX));
    proxy.h2_options = Some(h2);
    proxy
}

fn line_format(config: &Config) -> LineFormat {
    match config.log.format {
        config::LogFormat::Text => LineFormat::Text,
        config::LogFormat::Json => LineFormat::Json,
    }
}

fn level(config: &Config) -> LevelFilter {
    match config.log.level {
        config::LogLevel::Error => LevelFilter::ERROR,
        config::LogLevel::Warn => LevelFilter::WARN,
        config::LogLevel::Info => LevelFilter::INFO,
        config::LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Apply the logging block of a configuration to what is running.
fn apply_log(config: &Config, app: &App, log: &LogHandle) {
    log.set(line_format(config), level(config));
    app.access_log
        .set_format(config.log.access.unwrap_or(true).then(|| line_format(config)));
}
