//! The configuration as run: everything a request reads, immutable, swapped whole at a reload.
//!
//! ```text
//! Config (as written) ──build──► Snapshot (as run) ◄── one Arc pinned by each request
//!                          ▲
//!                        State (breakers, address books, meters: survives reloads, keyed by id)
//! ```
//! One constructor, [`Snapshot::build`]; it reads secrets and certificate files, so it can fail, and then the running
//! snapshot stays.

use crate::balance::{Breaker, Member, Pool};
use crate::config::{self, Config};
use crate::ids::TargetId;
use crate::providers::Provider;
use crate::providers::openai::OpenAi;
use crate::telemetry::{Meters, RouteMeter};
use crate::upstream::address::{AddressBook, AddressKey, Probe};
use crate::upstream::site::SiteParts;
use crate::upstream::{Backend, BaseUrl, Deadlines, ModelName, Site, Target};
use crate::wire::Operation;
use dashmap::DashMap;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What outlives a snapshot.
pub struct State {
    /// Metrics.
    pub meters: Arc<Meters>,
    breakers: DashMap<TargetId, Arc<Breaker>>,
    books: DashMap<AddressKey, Arc<AddressBook>>,
}

impl State {
    /// Nothing known yet.
    pub fn new(meters: Arc<Meters>) -> Self {
        Self {
            meters,
            breakers: DashMap::new(),
            books: DashMap::new(),
        }
    }

    fn breaker(&self, id: &TargetId) -> Arc<Breaker> {
        Arc::clone(&self.breakers.entry(id.clone()).or_default())
    }

    fn book(&self, key: AddressKey) -> Arc<AddressBook> {
        Arc::clone(
            &self
                .books
                .entry(key.clone())
                .or_insert_with(|| Arc::new(AddressBook::new(key))),
        )
    }

    /// Forget what the snapshot does not name: called once no older snapshot is the current one.
    pub fn retain(&self, snapshot: &Snapshot) {
        let targets = || snapshot.models.iter().flat_map(|model| &model.targets);
        self.breakers.retain(|id, _| targets().any(|target| &target.id == id));
        self.books
            .retain(|key, _| snapshot.books.iter().any(|book| book.key() == key));
        self.meters.retain(
            |model| snapshot.models.iter().any(|m| &*m.name == model),
            |target| targets().any(|t| t.id.as_str() == target),
        );
    }
}

/// A public model.
#[derive(Debug)]
pub struct PublicModel {
    /// Its configured name (or pattern): what metrics and logs call it.
    pub name: Arc<str>,
    /// Who answers, whose turn it is.
    pub pool: Pool,
    /// The members of the pool, by their index in it.
    pub targets: Vec<Arc<Target>>,
    /// This model and then its fallbacks, as indices into [`Snapshot::models`].
    pub chain: Vec<usize>,
    /// Meters by target, then operation.
    meters: Vec<Vec<RouteMeter>>,
    /// Meters of the passthrough lane by target.
    passing: Vec<RouteMeter>,
}

impl PublicModel {
    /// The meter of one target for one operation.
    pub fn meter(&self, target: usize, operation: Operation) -> Option<&RouteMeter> {
        self.meters.get(target)?.get(operation.index())
    }

    /// The meter of one target for requests forwarded unread.
    pub fn passing_meter(&self, target: usize) -> Option<&RouteMeter> {
        self.passing.get(target)
    }

    /// Deadlines of the first target: those of a request before a target is chosen.
    pub fn deadlines(&self) -> Deadlines {
        self.targets.first().map(|target| target.deadlines).unwrap_or_default()
    }

    fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }
}

/// A model found by the name a client asked for.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The model.
    pub model: &'a PublicModel,
    /// What its `*` stands for; empty when it has none.
    pub matched: &'a str,
}

/// Caps, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request body.
    pub request_body: usize,
    /// Bytes of a non-streamed answer.
    pub response_body: usize,
    /// Bytes of one stream event.
    pub stream_event: usize,
    /// Bytes of all bodies held at one time.
    pub buffered_bytes: usize,
    /// Bytes of a header block.
    pub request_headers: usize,
    /// Fields of a header block.
    pub request_header_count: usize,
    /// Nesting of JSON.
    pub json_depth: usize,
    /// Open client connections.
    pub connections: usize,
    /// Streams of an HTTP/2 connection.
    pub http2_streams: u32,
    /// Time for a header block.
    pub header_timeout: Duration,
    /// Time for a body.
    pub body_timeout: Duration,
    /// Pause between requests.
    pub keepalive_timeout: Duration,
    /// Time one write may block.
    pub write_timeout: Duration,
}

/// A passthrough rule.
#[derive(Debug, Clone)]
pub struct PassthroughRule {
    /// Path prefix without a trailing slash.
    pub path: String,
    /// Index of the model whose pool serves it.
    pub model: usize,
}

/// Everything a request reads.
#[derive(Debug)]
pub struct Snapshot {
    /// Public models.
    pub models: Vec<PublicModel>,
    by_name: HashMap<String, usize>,
    /// Patterns, the most specific first.
    patterns: Vec<(String, String, usize)>,
    passthrough: Vec<PassthroughRule>,
    /// Caps.
    pub limits: Limits,
    /// Clients need no key.
    pub open_access: bool,
    /// When it was built, Unix seconds.
    pub loaded_at: u64,
    /// Address books in use, to be resolved and probed.
    pub books: Vec<Arc<AddressBook>>,
}

impl Snapshot {
    /// Build it. Errors are lines for the operator: every problem that was found, not the first.
    pub fn build(config: &Config, state: &State) -> Result<Self, Vec<String>> {
        let mut builder = Builder {
            config,
            state,
            problems: Vec::new(),
            sites: BTreeMap::new(),
            books: Vec::new(),
        };
        builder.sites();
        let (models, by_name) = builder.models();
        let mut patterns: Vec<(String, String, usize)> = by_name
            .iter()
            .filter_map(|(name, &index)| name.split_once('*').map(|(a, b)| (a.to_owned(), b.to_owned(), index)))
            .collect();
        patterns.sort_by(|a, b| (b.0.len() + b.1.len(), &a.0).cmp(&(a.0.len() + a.1.len(), &b.0)));
        let passthrough = config
            .passthrough
            .iter()
            .filter_map(|rule| {
                Some(PassthroughRule {
                    path: rule.path.trim_end_matches('/').to_owned(),
                    model: *by_name.get(&rule.pool)?,
                })
            })
            .collect();
        if !builder.problems.is_empty() {
            return Err(builder.problems);
        }
        let loaded_at = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        Ok(Self {
            models,
            by_name,
            patterns,
            passthrough,
            limits: limits(&config.limits),
            open_access: config.insecure.open_access,
            loaded_at,
            books: builder.books,
        })
    }

    /// The model a client's name means: an exact name or alias first, then the most specific pattern.
    pub fn find<'a>(&'a self, name: &'a str) -> Option<Found<'a>> {
        if let Some(&index) = self.by_name.get(name) {
            let model = self.models.get(index)?;
            // A pattern is no model: asking for `gpt-*` itself would send a star to the provider.
            return (!name.contains('*')).then_some(Found { model, matched: "" });
        }
        self.patterns.iter().find_map(|(before, after, index)| {
            let matched = name.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
            (!matched.is_empty()).then_some(Found {
                model: self.models.get(*index)?,
                matched,
            })
        })
    }

    /// Names for `GET /v1/models`: what can be asked for literally.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self
            .by_name
            .keys()
            .map(String::as_str)
            .filter(|name| !name.contains('*'))
            .collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// Listed names much like this one, the nearest first.
    pub fn near(&self, name: &str) -> Vec<&str> {
        let lower = name.to_lowercase();
        let mut scored: Vec<(usize, &str)> = self
            .listed()
            .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
            .filter(|(distance, known)| *distance <= (known.len().max(name.len()) / 3).max(2))
            .collect();
        scored.sort_unstable();
        scored.into_iter().take(3).map(|(_, known)| known).collect()
    }

    /// The passthrough rule of a path.
    pub fn passthrough(&self, path: &str) -> Option<&PassthroughRule> {
        self.passthrough
            .iter()
            .find(|rule| match path.strip_prefix(rule.path.as_str()) {
                Some(rest) => rest.is_empty() || rest.starts_with('/'),
                None => false,
            })
    }

    /// What the operator may see of it.
    pub fn facts(&self) -> serde_json::Value {
        let now = std::time::Instant::now();
        let models: Vec<_> = self
            .models
            .iter()
            .map(|model| {
                let targets: Vec<_> = model
                    .targets
                    .iter()
                    .zip(model.pool.members())
                    .map(|(target, member)| {
                        serde_json::json!({
                            "id": target.id.as_str(), "provider": target.provider_name(), "weight": member.weight,
                            "breaker": target.breaker.state(now).as_str(), "in_flight": target.breaker.in_flight(),
                            "times_opened": target.breaker.times_opened(),
                        })
                    })
                    .collect();
                let fallback: Vec<&str> = model.chain.iter().skip(1).filter_map(|&i| Some(&*self.models.get(i)?.name)).collect();
                serde_json::json!({"name": &*model.name, "pattern": model.is_pattern(), "targets": targets, "fallback": fallback})
            })
            .collect();
        serde_json::json!({"loaded_at": self.loaded_at, "models": models})
    }
}

struct Builder<'a> {
    config: &'a Config,
    state: &'a State,
    problems: Vec<String>,
    /// Enabled providers; `None` for the demo.
    sites: BTreeMap<&'a str, Option<Arc<Site>>>,
    books: Vec<Arc<AddressBook>>,
}

impl<'a> Builder<'a> {
    fn sites(&mut self) {
        for (name, provider) in &self.config.providers {
            if !config::enabled(provider) {
                continue;
            }
            match provider.kind {
                config::ProviderKind::Demo => {
                    self.sites.insert(name, None);
                }
                config::ProviderKind::Openai => match self.site(name, provider, Arc::new(OpenAi)) {
                    Ok(site) => {
                        self.sites.insert(name, Some(Arc::new(site)));
                    }
                    Err(problem) => self.problems.push(format!("providers.{name}: {problem}")),
                },
            }
        }
    }

    fn site(&mut self, name: &str, provider: &config::Provider, dialect: Arc<dyn Provider>) -> Result<Site, String> {
        let url = provider
            .base_url
            .as_deref()
            .or(dialect.default_base_url())
            .ok_or("base_url is missing")?;
        let parsed =
            config::BaseUrl::parse(url).map_err(|(message, remedy)| format!("base_url: {message}; {remedy}"))?;
        let host = match parsed.host {
            config::Host::Name(name) => name,
            config::Host::Address(ip, _) => ip.to_string(),
        };
        let base = BaseUrl {
            tls: parsed.https,
            host,
            port: parsed.port,
            path: parsed.path,
        };
        let authorities = match &provider.ca_file {
            Some(path) => read_certificates(path)?,
            None => Vec::new(),
        };
        let timeouts = deadlines(&[&provider.timeouts, &self.config.timeouts]);
        let key = AddressKey {
            base: base.clone(),
            connect_timeout: timeouts.connect,
            http2: provider.http2,
            authorities,
            probe: provider.health_check.as_ref().map(probe),
            allow_link_local: self.config.insecure.allow_link_local_providers,
        };
        let book = self.state.book(key);
        self.books.push(Arc::clone(&book));
        let mut headers = HeaderMap::new();
        if let Some(reference) = &provider.api_key {
            let secret = reference.read()?;
            dialect
                .authorize(secret.expose(), &mut headers)
                .map_err(|_| "api_key: the credential has characters that no header can carry".to_owned())?;
        }
        for (name, value) in &provider.headers {
            let secret = config::read_header_value(value).map_err(|problem| format!("headers.{name}: {problem}"))?;
            let header =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("headers.{name}: not a header name"))?;
            let value =
                HeaderValue::from_str(secret.expose()).map_err(|_| format!("headers.{name}: not a header value"))?;
            headers.insert(header, value);
        }
        Site::new(SiteParts {
            name: name.into(),
            provider: dialect,
            base,
            addresses: book,
            stream_usage: provider.stream_usage.unwrap_or(true),
            http2: provider.http2,
            headers,
        })
    }

    fn models(&mut self) -> (Vec<PublicModel>, HashMap<String, usize>) {
        let mut models = Vec::new();
        let mut by_name = HashMap::new();
        let mut kept: Vec<&config::Model> = Vec::new();
        for (name, model) in &self.config.models {
            let targets: Vec<&config::Target> = model
                .targets
                .iter()
                .filter(|t| self.sites.contains_key(t.provider.as_str()))
                .collect();
            if targets.is_empty() {
                continue;
            }
            let index = models.len();
            models.push(self.model(name, model, &targets));
            kept.push(model);
            by_name.insert(name.clone(), index);
            for alias in &model.aliases {
                by_name.insert(alias.clone(), index);
            }
        }
        for index in 0..models.len() {
            let chain = chain(index, &kept, &by_name);
            if let Some(model) = models.get_mut(index) {
                model.chain = chain;
            }
        }
        (models, by_name)
    }

    fn model(&self, name: &str, model: &config::Model, configured: &[&config::Target]) -> PublicModel {
        let mut members = Vec::new();
        let mut targets: Vec<Arc<Target>> = Vec::new();
        let mut meters = Vec::new();
        let mut passing = Vec::new();
        for target in configured {
            let Some(site) = self.sites.get(target.provider.as_str()) else {
                continue;
            };
            let built = Arc::new(self.target(name, model, target, site.as_ref(), &targets));
            members.push(Member {
                id: built.id.clone(),
                weight: target.weight,
                breaker: Arc::clone(&built.breaker),
            });
            meters.push(
                Operation::ALL
                    .iter()
                    .map(|op| self.state.meters.route(op.as_str(), name, built.provider_name()))
                    .collect(),
            );
            passing.push(self.state.meters.route("passthrough", name, built.provider_name()));
            targets.push(built);
        }
        PublicModel {
            name: name.into(),
            pool: Pool::new(members),
            targets,
            chain: Vec::new(),
            meters,
            passing,
        }
    }

    fn target(
        &self,
        public: &str,
        model: &config::Model,
        target: &config::Target,
        site: Option<&Arc<Site>>,
        before: &[Arc<Target>],
    ) -> Target {
        let own_name = target.model.as_deref().unwrap_or(public);
        let base = format!("{}/{own_name}", target.provider);
        let repeats = before
            .iter()
            .filter(|t| t.id.as_str() == base || t.id.as_str().starts_with(&format!("{base}#")))
            .count();
        let id = TargetId::new(if repeats == 0 {
            base
        } else {
            format!("{base}#{}", repeats + 1)
        });
        let breaker = self.state.breaker(&id);
        let provider_timeouts = self.config.providers.get(&target.provider).map(|p| &p.timeouts);
        let blocks: Vec<&config::Timeouts> = [Some(&model.timeouts), provider_timeouts, Some(&self.config.timeouts)]
            .into_iter()
            .flatten()
            .collect();
        Target {
            id_header: HeaderValue::from_str(id.as_str()).unwrap_or_else(|_| HeaderValue::from_static("unprintable")),
            model: ModelName::parse(target.model.as_deref(), public),
            deadlines: deadlines(&blocks),
            attempts: self.state.meters.attempts(&target.provider, id.as_str()),
            backend: site.map_or(Backend::Demo, |site| Backend::Http(Arc::clone(site))),
            id,
            breaker,
        }
    }
}

/// The model itself, then its fallbacks depth first, each once.
fn chain(start: usize, models: &[&config::Model], by_name: &HashMap<String, usize>) -> Vec<usize> {
    let mut chain = vec![start];
    let mut stack: Vec<&String> = models
        .get(start)
        .map(|m| m.fallback.iter().rev().collect())
        .unwrap_or_default();
    while let Some(name) = stack.pop() {
        let Some(&index) = by_name.get(name) else { continue };
        if !chain.contains(&index) {
            chain.push(index);
            stack.extend(models.get(index).map(|m| m.fallback.iter().rev()).into_iter().flatten());
        }
    }
    chain
}

fn deadlines(blocks: &[&config::Timeouts]) -> Deadlines {
    let pick = |field: fn(&config::Timeouts) -> Option<config::Interval>, default: Duration| {
        blocks
            .iter()
            .find_map(|block| field(block))
            .map_or(default, |interval| interval.as_duration())
    };
    let default = Deadlines::default();
    Deadlines {
        connect: pick(|t| t.connect, default.connect),
        first_byte: pick(|t| t.first_byte, default.first_byte),
        first_event: pick(|t| t.first_event, default.first_event),
        idle: pick(|t| t.idle, default.idle),
        total: pick(|t| t.total, default.total),
        stream_total: pick(|t| t.stream_total, default.stream_total),
    }
}

fn probe(check: &config::HealthCheck) -> Probe {
    let (path, interval) = match check {
        config::HealthCheck::Tcp { interval } => (None, interval),
        config::HealthCheck::Http { path, interval } => (Some(path.clone()), interval),
    };
    Probe {
        path,
        interval: interval.map_or(Duration::from_secs(10), |i| i.as_duration()),
    }
}

fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let wrong = |what: String| format!("ca_file {}: {what}", path.display());
    let certificates: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| wrong(e.to_string()))?
        .map(|der| der.map(|der| der.to_vec()))
        .collect();
    let certificates = certificates.map_err(|e| wrong(e.to_string()))?;
    if certificates.is_empty() {
        Err(wrong("holds no certificate".to_owned()))
    } else {
        Ok(certificates)
    }
}

fn limits(limits: &config::Limits) -> Limits {
    const KIB: u64 = 1024;
    let bytes = |size: Option<config::ByteSize>, default: u64| size.map_or(default as usize, |s| s.as_bytes());
    let time = |interval: Option<config::Interval>, default: u64| {
        interval.map_or(Duration::from_secs(default), |i| i.as_duration())
    };
    Limits {
        request_body: bytes(limits.request_body, 32 * KIB * KIB),
        response_body: bytes(limits.response_body, 64 * KIB * KIB),
        stream_event: bytes(limits.stream_event, KIB * KIB),
        buffered_bytes: bytes(limits.buffered_bytes, KIB * KIB * KIB),
        request_headers: bytes(limits.request_headers, 64 * KIB),
        request_header_count: limits.request_header_count.unwrap_or(100),
        json_depth: limits.json_depth.unwrap_or(128),
        connections: limits.connections.unwrap_or(20_000),
        http2_streams: limits.http2_streams.unwrap_or(100),
        header_timeout: time(limits.header_timeout, 10),
        body_timeout: time(limits.body_timeout, 30),
        keepalive_timeout: time(limits.keepalive_timeout, 75),
        write_timeout: time(limits.write_timeout, 60),
    }
}
