//! The configuration as written: one struct per YAML block, nothing computed, no I/O.
//!
//! These structs are the single source of truth: serde reads them, schemars turns them into the JSON Schema that both
//! `cirque config schema` and the loader's "every problem at once" check use, and their doc comments are what an editor
//! shows. What a request reads is built from them in [`crate::snapshot`].

mod alerts;
mod auth;
mod cache;
mod guardrails;
mod limit;
mod pool;
mod provider;
mod resilience;
mod routes;
mod stores;
mod tenancy;

use super::scalars::{ByteSize, Interval};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use alerts::{AlertKind, Alerts, Webhook};
pub use auth::{Auth, CertificateName, ClaimNames, ClaimRule, ClientCertificates, Jwt};
pub use cache::{CacheMode, CachePolicy, CacheScope, CacheStore, SemanticStore, VectorStore};
pub use guardrails::{Guardrail, GuardrailAction, GuardrailDirection, GuardrailTerms};
pub use limit::{Budget, Each, Limit, OnOutage, Period};
pub use pool::{Model, Sticky, StickyBy, Strategy, Target};
pub use provider::{AwsKeys, Entra, HealthCheck, OpenAiApi, Provider, ProviderKind};
pub use resilience::{
    Breaker, Continuation, ContinueBy, Hedge, Mirror, Need, Price, PriceTier, Queue, Retry, RetryBudget,
};
pub use routes::{Rule, Switch};
pub use stores::{Ledger, OnFull, Operator, Prices, Redis, Role, Secrets, Store, Unpriced};
pub use tenancy::{Hours, Key, Organisation, Project, Shared, Tag, Team, Tenant, TenantKind, User};

/// One Cirque configuration file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address or addresses on which clients are served, for example `127.0.0.1:8080`.
    pub listen: Listen,
    /// The operator's own listener: metrics, health, readiness.
    #[serde(default)]
    pub admin: Admin,
    /// Switches that weaken security. All off unless written here.
    #[serde(default)]
    pub insecure: Insecure,
    /// Process-wide settings: threads, draining, upgrade socket. Read at start only.
    #[serde(default)]
    pub server: Server,
    /// Caps on what one client or the whole process may use.
    #[serde(default)]
    pub limits: Limits,
    /// Deadlines for every target, unless a provider or model says otherwise.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// When a target is left alone, unless its provider says otherwise.
    #[serde(default)]
    pub breaker: Breaker,
    /// Bounds what failing targets can cause in calls.
    #[serde(default)]
    pub retry_budget: RetryBudget,
    /// Where requests can go, by a name of your choosing.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
    /// What clients may ask for: public model name, or a pattern with one `*`, to the pool that answers it.
    #[serde(default)]
    pub models: BTreeMap<String, Model>,
    /// Who answers by conditions on the request: rules in order, tried before `models`.
    #[serde(default)]
    pub routes: Vec<Rule>,
    /// Paths forwarded without being read (files, audio, images, batches, realtime): the first matching rule wins.
    #[serde(default)]
    pub passthrough: Vec<PassthroughRoute>,
    /// How callers prove who they are.
    #[serde(default)]
    pub auth: Auth,
    /// Organisations.
    #[serde(default)]
    pub organisations: BTreeMap<String, Organisation>,
    /// Teams.
    #[serde(default)]
    pub teams: BTreeMap<String, Team>,
    /// Projects.
    #[serde(default)]
    pub projects: BTreeMap<String, Project>,
    /// Users.
    #[serde(default)]
    pub users: BTreeMap<String, User>,
    /// Virtual keys, by a name of your choosing. More can be made at run time (`cirque key create`).
    #[serde(default)]
    pub keys: BTreeMap<String, Key>,
    /// Limits and budgets of tags, each for all that carry the tag together. A tag counts for a caller when a block in this file
    /// carries it, or an organisation or team in the store; not when only a project, user or key in the store does.
    #[serde(default)]
    pub tags: BTreeMap<String, Tag>,
    /// What a request costs.
    #[serde(default)]
    pub prices: Prices,
    /// Where keys, tenants, usage and the audit log are kept. Default: SQLite in the state directory as soon as something is to
    /// be kept, that is unless `insecure.open_access` is on and none of `keys`, `auth`, `admin.operators`, `secrets` and `ledger` is
    /// written.
    #[serde(default)]
    pub store: Option<Store>,
    /// What seals the secrets of providers that the store keeps (`store:NAME`, `cirque secret set NAME`).
    #[serde(default)]
    pub secrets: Secrets,
    /// Who is told when a budget runs out, a breaker opens, Redis or the store is away.
    #[serde(default)]
    pub alerts: Alerts,
    /// What instances share limits, budgets and revocations through. Default: each instance counts alone.
    #[serde(default)]
    pub redis: Option<Redis>,
    /// Where answers are kept. What may be kept is said by the `cache` of models, tenants, keys and rules.
    #[serde(default)]
    pub cache: CacheStore,
    /// What is looked for in the texts of requests and answers, by a name of your choosing.
    #[serde(default)]
    pub guardrails: BTreeMap<String, Guardrail>,
    /// Usage records.
    #[serde(default)]
    pub ledger: Ledger,
    /// Logging.
    #[serde(default)]
    pub log: Log,
}

impl Config {
    /// Whether something is to be kept: keys, tenants, usage or an audit log; then there is a store.
    pub fn keeps(&self) -> bool {
        !self.insecure.open_access
            || self.store.is_some()
            || self.ledger.enabled == Some(true)
            || !self.secrets.keys.is_empty()
            || !(self.keys.is_empty() && self.auth.jwt.is_empty() && self.admin.operators.is_empty())
    }

    /// Whether anything asks what requests cost.
    pub fn counts_money(&self) -> bool {
        let prices = &self.prices;
        self.keeps()
            || !prices.files.is_empty()
            || prices.margin.is_some()
            || self
                .models
                .values()
                .any(|model| !model.budgets.is_empty() || model.strategy == Strategy::Cheapest)
            || self.providers.values().any(|provider| !provider.budgets.is_empty())
    }
}

/// `listen:` one address, one listener, or a list of either.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Listen {
    /// `127.0.0.1:8080`
    Address(String),
    /// `{ address: …, tls: … }`
    One(Listener),
    /// A list of addresses or listeners.
    Many(Vec<ListenItem>),
}

/// One entry of a `listen:` list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ListenItem {
    /// `127.0.0.1:8080`
    Address(String),
    /// `{ address: …, tls: … }`
    Listener(Listener),
}

/// One client-facing listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `host:port` to bind. The host is an IP address or `localhost`.
    pub address: String,
    /// Serve TLS with this certificate. HTTP/2 is offered by ALPN.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Accept HTTP/2 without TLS (prior knowledge) on this plaintext listener.
    #[serde(default)]
    pub h2c: bool,
}

/// Certificate of a TLS listener; both files are read again at every reload.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// PEM file with the certificate chain, leaf first.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose client certificates are taken as identities (`auth.client_certificates`).
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Refuse clients without a certificate of those. Default false.
    #[serde(default)]
    pub client_certificate_required: bool,
}

/// The admin listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// `host:port`; keep it off public networks.
    #[serde(default = "default_admin_listen")]
    pub listen: String,
    /// Who may use the admin API, by a name of your choosing. Without any, what needs no secret can be read and what concerns
    /// targets done by anybody who reaches the listener, and nothing else.
    #[serde(default)]
    pub operators: BTreeMap<String, Operator>,
    /// Networks whose addresses may connect. Default: all that reach the listener.
    #[serde(default)]
    pub allowed_ips: Vec<String>,
}

fn default_admin_listen() -> String {
    "127.0.0.1:8081".to_owned()
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: default_admin_listen(),
            operators: BTreeMap::new(),
            allowed_ips: Vec::new(),
        }
    }
}

/// Switches that weaken security.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Insecure {
    /// Answer clients that present no key. Required until virtual keys are configured.
    #[serde(default)]
    pub open_access: bool,
    /// Allow provider base URLs on link-local and cloud metadata addresses (169.254.0.0/16, fe80::/10, …).
    #[serde(default)]
    pub allow_link_local_providers: bool,
}

/// Process-wide settings, read at start only: a reload that changes them says so and keeps the old ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Worker threads of the client listener. Default: one per core.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<usize>,
    /// Longest wait for requests in flight after SIGTERM or SIGQUIT. Default 300s.
    #[serde(default)]
    pub drain_timeout: Option<Interval>,
    /// Unix socket through which a new binary takes over the listeners. Default `/run/cirque/upgrade.sock`.
    #[serde(default)]
    pub upgrade_socket: Option<PathBuf>,
    /// Idle upstream connections kept open, in total. Default 1024, or a quarter of the file descriptors if that is less.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub upstream_keepalive_connections: Option<usize>,
    /// Where what lasts is kept: the store's file, waiting usage records. Default `$STATE_DIRECTORY` (systemd sets it), else
    /// `/var/lib/cirque` if that is writable, else `.cirque` in the working directory.
    #[serde(default)]
    pub state_dir: Option<PathBuf>,
    /// Share work between worker threads. Default false: each connection stays on one thread, which costs less.
    #[serde(default)]
    pub work_stealing: Option<bool>,
}

/// Caps. Each has its own error.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest request body, after inflating. Default 32MiB; beyond it 413.
    #[serde(default)]
    pub request_body: Option<ByteSize>,
    /// Largest non-streamed answer accepted from a provider. Default 64MiB.
    #[serde(default)]
    pub response_body: Option<ByteSize>,
    /// Largest single event of a stream. Default 1MiB.
    #[serde(default)]
    pub stream_event: Option<ByteSize>,
    /// All request and response bodies held in memory at one time. Default 1GiB; beyond it 503.
    #[serde(default)]
    pub buffered_bytes: Option<ByteSize>,
    /// Largest header block of a request. Default 64KiB; beyond it 431.
    #[serde(default)]
    pub request_headers: Option<ByteSize>,
    /// Most header fields of a request. Default 100; beyond it 431.
    #[serde(default)]
    #[schemars(range(min = 1, max = 250))]
    pub request_header_count: Option<usize>,
    /// Deepest nesting of a JSON body. Default 128.
    #[serde(default)]
    #[schemars(range(min = 2, max = 1024))]
    pub json_depth: Option<usize>,
    /// Client connections open at one time. Default 20000; beyond it new ones are closed at once.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections: Option<usize>,
    /// Client connections of one IP address. Default: no bound of its own; set it where clients connect directly.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections_per_ip: Option<usize>,
    /// Requests under way at one time. Default 20000; beyond it 503, and short of it for low priorities: 0 may use half of
    /// it, 5 (the default) 95 %, 9 all.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub in_flight: Option<usize>,
    /// Concurrent streams of one HTTP/2 client connection. Default 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000))]
    pub http2_streams: Option<u32>,
    /// Time a client has to send a request's header block. Default 10s.
    #[serde(default)]
    pub header_timeout: Option<Interval>,
    /// Time a client has to send a whole request body. Default 30s; beyond it 408.
    #[serde(default)]
    pub body_timeout: Option<Interval>,
    /// Longest pause between two requests on one client connection. Default 75s.
    #[serde(default)]
    pub keepalive_timeout: Option<Interval>,
    /// Longest time one write to a client may block before the client is given up. Default 60s.
    #[serde(default)]
    pub write_timeout: Option<Interval>,
}

/// Deadlines of one upstream call. Unset fields come from the next wider block (model, provider, top level, default).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// TCP and TLS set-up. Default 5s.
    #[serde(default)]
    pub connect: Option<Interval>,
    /// From the request sent to the response header. Default 60s; 600s for models whose name says that they think first.
    #[serde(default)]
    pub first_byte: Option<Interval>,
    /// From the request sent to the first event of a stream. Default 120s; 600s for models whose name says that they think
    /// first.
    #[serde(default)]
    pub first_event: Option<Interval>,
    /// Between two events of a stream, or two reads of a body. Default 60s.
    #[serde(default)]
    pub idle: Option<Interval>,
    /// The whole of a non-streamed request, all attempts together. Default 600s.
    #[serde(default)]
    pub total: Option<Interval>,
    /// The whole of a streamed request. Default 3600s.
    #[serde(default)]
    pub stream_total: Option<Interval>,
}

/// A path that is forwarded without being read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassthroughRoute {
    /// Path prefix under `/v1/`, matched at a segment boundary: `/v1/files` covers `/v1/files/abc`. `/v1/` covers all.
    pub path: String,
    /// The public model whose pool of targets serves it.
    pub pool: String,
}

/// Logging.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Shape of every line. Default text.
    #[serde(default)]
    pub format: LogFormat,
    /// One line a request, on standard output. Default true.
    #[serde(default)]
    pub access: Option<bool>,
    /// Least severe event that is logged. Default info.
    #[serde(default)]
    pub level: LogLevel,
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// `key=value` for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Failures that need a person.
    Error,
    /// Things that went wrong and were handled.
    Warn,
    /// Starts, stops, reloads, changes of state.
    #[default]
    Info,
    /// Everything.
    Debug,
}
