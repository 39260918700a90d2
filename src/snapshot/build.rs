//! From the configuration as written to the parts of a snapshot: sites, targets, pools, fallback chains, limits.
//!
//! Reads secrets and certificate files. Collects every problem rather than stopping at the first.

use super::cached;
use super::counted::{self, compared, output_cap};
use super::guarded::{self, Guardrails};
use super::tariff::Tariff;
use super::vault::Vault;
use super::{Fit, Limits, LineTerms, MirrorTerms, PublicModel, State, credentials, terms};
use crate::balance::queue::Queue;
use crate::balance::{self, Member, Pool};
use crate::config::{self, Config};
use crate::ids::TargetId;
use crate::providers::Provider;
use crate::providers::anthropic::vendor::Anthropic;
use crate::providers::azure::Azure;
use crate::providers::bedrock::vendor::Bedrock;
use crate::providers::cohere::vendor::Cohere;
use crate::providers::compatible::Compatible;
use crate::providers::gemini::vendor::Gemini;
use crate::providers::mistral::vendor::Mistral;
use crate::providers::openai::{OpenAi, Preferred};
use crate::providers::vertex::Vertex;
use crate::upstream::address::{AddressBook, AddressKey, Probe};
use crate::upstream::site::SiteParts;
use crate::upstream::{Backend, BaseUrl, BreakerTerms, Deadlines, ModelName, Site, Target};
use crate::wire::Operation;
use http::HeaderValue;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

pub(super) struct Builder<'a> {
    config: &'a Config,
    state: &'a State,
    tariff: Arc<Tariff>,
    vault: Vault,
    pub problems: Vec<String>,
    /// Enabled providers; `None` for the demo.
    sites: BTreeMap<&'a str, Option<Arc<Site>>>,
    pub books: Vec<Arc<AddressBook>>,
}

impl<'a> Builder<'a> {
    /// Nothing built yet.
    pub fn new(config: &'a Config, state: &'a State, tariff: Arc<Tariff>) -> Self {
        let (vault, problem) = Vault::new(config, state);
        Self {
            config,
            state,
            tariff,
            vault,
            problems: problem.into_iter().collect(),
            sites: BTreeMap::new(),
            books: Vec::new(),
        }
    }

    /// Every enabled provider.
    pub fn sites(&mut self) {
        for (name, provider) in &self.config.providers {
            if !config::enabled(provider) {
                continue;
            }
            let Some(dialect) = vendor(provider) else {
                self.sites.insert(name, None);
                continue;
            };
            match self.site(name, provider, dialect) {
                Ok(site) => {
                    self.sites.insert(name, Some(Arc::new(site)));
                }
                Err(problem) => self.problems.push(format!("providers.{name}: {problem}")),
            }
        }
    }

    fn site(&mut self, name: &str, provider: &config::Provider, dialect: Arc<dyn Provider>) -> Result<Site, String> {
        let regional = config::regional_base_url(provider);
        let url = provider.base_url.as_deref().or(regional.as_deref());
        let url = url.or(dialect.default_base_url()).ok_or("base_url is missing")?;
        let parsed =
            config::BaseUrl::parse(url).map_err(|(message, remedy)| format!("base_url: {message}; {remedy}"))?;
        let mut base = upstream_url(parsed);
        if base.path.is_empty() {
            dialect.default_path().clone_into(&mut base.path);
        }
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
            probe: provider.health_check.as_ref().and_then(probe),
            allow_link_local: self.config.insecure.allow_link_local_providers,
        };
        let book = self.state.book(key);
        self.books.push(Arc::clone(&book));
        let (credential, token_endpoint) = credentials::credential(provider, self.config, self.state, &self.vault)?;
        self.books.extend(token_endpoint);
        let headers = credentials::headers(provider, &*dialect, &self.vault)?;
        let stream_usage = provider.stream_usage.unwrap_or(dialect.stream_usage());
        Site::new(SiteParts {
            name: name.into(),
            provider: dialect,
            base,
            addresses: book,
            stream_usage,
            http2: provider.http2,
            headers,
            credential,
            quarantine: credentials::fingerprint(provider, &self.vault)?
                .map(|credential| self.state.quarantine(name, credential)),
        })
    }

    /// Every model with a target left, and all names by which it can be asked for.
    pub fn models(&mut self, guardrails: Option<&Guardrails>) -> (Vec<PublicModel>, HashMap<String, usize>) {
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
        for (index, configured) in kept.iter().enumerate() {
            let own = chain(&[index], &kept, &by_name);
            let beside = |names: &[String]| -> Vec<usize> {
                let first: Vec<usize> = names.iter().filter_map(|name| by_name.get(name).copied()).collect();
                chain(&first, &kept, &by_name)
            };
            let too_long = beside(&configured.context_fallback);
            let filtered = beside(&configured.content_filter_fallback);
            if let Some(model) = models.get_mut(index) {
                model.mirror = configured.mirror.as_ref().and_then(|mirror| {
                    Some(MirrorTerms {
                        to: *by_name.get(&mirror.to)?,
                        percent: mirror.percent.unwrap_or(100.0),
                        slots: Arc::new(Semaphore::new(mirror.concurrency.unwrap_or(16))),
                    })
                });
                model.chain = own;
                model.context_chain = too_long;
                model.filter_chain = filtered;
            }
        }
        counted::bind(self.config, &self.state.bank, &mut models, &kept);
        guarded::bind(guardrails, &mut models, &kept);
        // Who waits after the fallbacks were asked waits for those too.
        for model in &models {
            let Some(line) = model.line.as_ref().filter(|line| !line.before_fallback) else {
                continue;
            };
            for fallback in model.chain.iter().filter_map(|&index| models.get(index)) {
                tell(&line.queue, &fallback.targets);
            }
        }
        (models, by_name)
    }

    fn model(&self, name: &str, model: &config::Model, configured: &[&config::Target]) -> PublicModel {
        let mut members = Vec::new();
        let mut targets: Vec<Arc<Target>> = Vec::new();
        let mut meters = Vec::new();
        let mut passing = Vec::new();
        let mut arms = Vec::new();
        let mut fits = Vec::new();
        for target in configured {
            let Some(site) = self.sites.get(target.provider.as_str()) else {
                continue;
            };
            let built = Arc::new(self.target(name, model, target, site.as_ref(), &targets));
            members.push(Member {
                id: built.id.clone(),
                weight: target.weight,
                tier: target.tier,
                cost: compared(&built),
                breaker: Arc::clone(&built.breaker),
                quarantine: built.site().and_then(|site| site.quarantine.clone()),
            });
            meters.push(
                Operation::ALL
                    .iter()
                    .map(|op| self.state.meters.route(op.as_str(), name, built.provider_name()))
                    .collect(),
            );
            passing.push(self.state.meters.route("passthrough", name, built.provider_name()));
            fits.push(Fit {
                lacks: target.lacks.clone(),
                context_tokens: target.context_tokens,
            });
            if let Some(arm) = &target.arm {
                arms.resize_with(targets.len(), || None);
                arms.push(Some(self.state.meters.routing.arm(name, arm)));
            }
            targets.push(built);
        }
        let line = self.line(name, model, &targets);
        PublicModel {
            name: name.into(),
            strict: model.strict,
            sticks: terms::sticks(model),
            pool: Pool::new(members, strategy(model), model.hedge.is_some()),
            output: terms::output(self.config, model, output_cap(&targets)),
            targets,
            chain: Vec::new(),
            context_chain: Vec::new(),
            filter_chain: Vec::new(),
            line,
            retry: terms::retry(&model.retry),
            hedge: model.hedge.as_ref().map(terms::hedge),
            continuation: model.continuation.map(terms::continuation),
            mirror: None,
            bounds: Box::default(),
            providers: Box::default(),
            cache: cached::of_model(self.config, model),
            guardrails: Box::default(),
            cache_meter: self.state.meters.cache.model(name),
            ratio: self.state.estimates.model(name),
            arms,
            fits: if fits.iter().all(Fit::is_any) { Vec::new() } else { fits },
            meters,
            passing,
        }
    }

    /// The line of a pool, told by every target when somebody else may pass.
    fn line(&self, name: &str, model: &config::Model, targets: &[Arc<Target>]) -> Option<LineTerms> {
        let configured = model.queue.as_ref()?;
        let size = configured.size.unwrap_or(100);
        let queue = self.state.line(name, size);
        tell(&queue, targets);
        Some(LineTerms {
            queue,
            size,
            wait: configured
                .wait
                .map_or(Duration::from_secs(10), |wait| wait.as_duration()),
            before_fallback: configured.before_fallback,
        })
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
        let vendor = self
            .config
            .providers
            .get(&target.provider)
            .map_or("", |provider| provider.kind.name());
        let upstream = ModelName::parse(target.model.as_deref(), public);
        let provider_timeouts = self.config.providers.get(&target.provider).map(|p| &p.timeouts);
        let blocks: Vec<&config::Timeouts> = [Some(&model.timeouts), provider_timeouts, Some(&self.config.timeouts)]
            .into_iter()
            .flatten()
            .collect();
        Target {
            id_header: HeaderValue::from_str(id.as_str()).unwrap_or_else(|_| HeaderValue::from_static("unprintable")),
            deadlines: terms::deadlines_of(own_name, deadlines(&blocks), &blocks),
            attempts: self.state.meters.attempts(&target.provider, id.as_str()),
            provider: target.provider.as_str().into(),
            vendor,
            price: target.price.as_ref().map(|price| Arc::new(terms::price(price))),
            listed: self
                .tariff
                .listed(vendor, own_name)
                .filter(|_| !upstream.is_the_clients()),
            model: upstream,
            terms: BreakerTerms {
                settings: terms::breaker(
                    self.config
                        .providers
                        .get(&target.provider)
                        .map(|provider| &provider.breaker),
                    &self.config.breaker,
                ),
                max_in_flight: target.max_in_flight,
            },
            one_token: self.config.providers.get(&target.provider).and_then(terms::one_token),
            backend: site.map_or(Backend::Demo, |site| Backend::Http(Arc::clone(site))),
            id,
            breaker,
        }
    }
}

/// A line is told by these targets when somebody else may pass.
fn tell(queue: &Arc<Queue>, targets: &[Arc<Target>]) {
    for target in targets {
        let listener: Weak<Queue> = Arc::downgrade(queue);
        let listener: Weak<dyn balance::Released> = listener;
        target.breaker.on_release(listener);
    }
}

/// Whether a provider's answers may hold reasoning that only its own API takes back.
pub(super) fn is_foreign(provider: &config::Provider) -> bool {
    use config::ProviderKind as Kind;
    config::enabled(provider)
        && (!matches!(
            provider.kind,
            Kind::Openai | Kind::Azure | Kind::Demo | Kind::Compatible(_)
        ) || provider.api.is_some())
}

/// The vendor of a configured provider; nothing for the demo.
fn vendor(provider: &config::Provider) -> Option<Arc<dyn Provider>> {
    let preferred = match provider.api {
        None => Preferred::Same,
        Some(config::OpenAiApi::Chat) => Preferred::Chat,
        Some(config::OpenAiApi::Responses) => Preferred::Responses,
    };
    Some(match provider.kind {
        config::ProviderKind::Demo => return None,
        config::ProviderKind::Openai => {
            let own = |url: &String| {
                config::BaseUrl::parse(url)
                    .is_ok_and(|url| matches!(url.host, config::Host::Name(name) if name.ends_with(".openai.com")))
            };
            Arc::new(OpenAi::new(preferred, provider.base_url.as_ref().is_none_or(own)))
        }
        config::ProviderKind::Azure => Arc::new(Azure::new(provider.api_version.as_deref(), preferred)),
        config::ProviderKind::Anthropic => Arc::new(Anthropic),
        config::ProviderKind::Gemini => Arc::new(Gemini),
        config::ProviderKind::Vertex => {
            let location = provider.location.as_deref().unwrap_or(config::DEFAULT_LOCATION);
            Arc::new(Vertex::new(provider.project.as_deref().unwrap_or_default(), location))
        }
        config::ProviderKind::Bedrock => Arc::new(Bedrock),
        config::ProviderKind::Cohere => Arc::new(Cohere),
        config::ProviderKind::Mistral => Arc::new(Mistral),
        config::ProviderKind::Compatible(vendor) => Arc::new(Compatible::new(vendor, preferred)),
    })
}

/// As the pool has it.
fn strategy(model: &config::Model) -> balance::Strategy {
    match model.strategy {
        config::Strategy::Weighted => balance::Strategy::Weighted,
        config::Strategy::LeastBusy => balance::Strategy::LeastBusy,
        config::Strategy::PeakEwma => balance::Strategy::PeakEwma,
        config::Strategy::Sticky => balance::Strategy::Sticky {
            load_factor: model
                .sticky
                .as_ref()
                .and_then(|sticky| sticky.load_factor)
                .unwrap_or(balance::LOAD_FACTOR),
        },
        config::Strategy::Cheapest => balance::Strategy::Cheapest,
        config::Strategy::Split => balance::Strategy::Split,
    }
}

/// These models, each followed by its fallbacks depth first, each once.
fn chain(start: &[usize], models: &[&config::Model], by_name: &HashMap<String, usize>) -> Vec<usize> {
    let mut chain = Vec::new();
    let mut stack: Vec<usize> = start.iter().rev().copied().collect();
    while let Some(index) = stack.pop() {
        if !chain.contains(&index) {
            chain.push(index);
            let fallbacks = models.get(index).map(|model| model.fallback.iter().rev());
            stack.extend(fallbacks.into_iter().flatten().filter_map(|name| by_name.get(name)));
        }
    }
    chain
}

/// A checked base URL as the room that dials it has it.
pub(super) fn upstream_url(parsed: config::BaseUrl) -> BaseUrl {
    let host = match parsed.host {
        config::Host::Name(name) => name,
        config::Host::Address(ip, _) => ip.to_string(),
    };
    BaseUrl {
        tls: parsed.https,
        host,
        port: parsed.port,
        path: parsed.path,
    }
}

pub(super) fn deadlines(blocks: &[&config::Timeouts]) -> Deadlines {
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

/// A probe of addresses, where the check is one.
fn probe(check: &config::HealthCheck) -> Option<Probe> {
    let (path, interval) = match check {
        config::HealthCheck::Tcp { interval } => (None, interval),
        config::HealthCheck::Http { path, interval } => (Some(path.clone()), interval),
        config::HealthCheck::OneToken { .. } => return None,
    };
    Some(Probe {
        path,
        interval: interval.map_or(Duration::from_secs(10), |i| i.as_duration()),
    })
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

/// Defaults filled in.
pub(super) fn limits(config: &Config) -> Limits {
    const KIB: u64 = 1024;
    const DEFAULT_PRIORITY: u8 = 5;
    let limits = &config.limits;
    let by_rule = config.routes.iter().filter_map(|rule| rule.priority).max();
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
        connections_per_ip: limits.connections_per_ip,
        in_flight: limits.in_flight.unwrap_or(20_000),
        highest_priority: by_rule.unwrap_or(DEFAULT_PRIORITY).max(DEFAULT_PRIORITY),
        http2_streams: limits.http2_streams.unwrap_or(100),
        header_timeout: time(limits.header_timeout, 10),
        body_timeout: time(limits.body_timeout, 30),
        keepalive_timeout: time(limits.keepalive_timeout, 75),
        write_timeout: time(limits.write_timeout, 60),
    }
}
