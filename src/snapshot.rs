//! The configuration as run: everything a request reads, immutable, swapped whole at a reload.
//!
//! ```text
//! Config (as written) ──build──► Snapshot (as run) ◄── one Arc pinned by each request
//!                          ▲
//!                        State (breakers, address books, tokens, meters: survives reloads, keyed by id)
//! ```
//! One constructor, [`Snapshot::build`]; it reads secrets and certificate files, so it can fail, and then the running
//! snapshot stays.

mod build;
mod cached;
mod counted;
mod credentials;
mod guarded;
pub mod issuers;
pub mod routes;
mod shown;
mod tariff;
mod terms;
mod vault;

use self::build::Builder;
pub use self::cached::apply as apply_cache_policy;
use self::credentials::TokenKey;
pub use self::guarded::Guardrails;
use self::routes::Routes;
pub use self::tariff::{Named, Tariff};
pub use self::terms::price as target_price;
pub use self::terms::{ContinuationTerms, Fit, HedgeTerms, LineTerms, MirrorTerms, OutputTerms, RetryTerms, Sticks};
pub use self::vault::{Stored, keyring};
use crate::balance::queue::Queue;
use crate::balance::{Breaker, Pool, Quarantine, RetryBudget};
use crate::cache;
use crate::config::Config;
use crate::ids::TargetId;
use crate::ledger::Tenant;
use crate::limits::{Bank, Bound, Estimator, Exchange, Ratio};
use crate::telemetry::{ArmMeter, CacheMeter, Meters, RouteMeter};
use crate::upstream::address::{AddressBook, AddressKey};
use crate::upstream::credential::TokenSource;
use crate::upstream::{BreakerTerms, Deadlines, Target};
use crate::wire::Operation;
use arc_swap::ArcSwap;
use dashmap::DashMap;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

/// Longest name that a pattern takes, in bytes. It goes into paths and headers of providers, some of which answer what is too long
/// by closing the connection: a client must not be able to make a target fail by a name.
const LONGEST_MATCHED: usize = 512;

/// What outlives a snapshot.
pub struct State {
    /// Metrics.
    pub meters: Arc<Meters>,
    /// Bounds the calls that failing targets cause.
    pub retries: RetryBudget,
    /// What limits and budgets have counted.
    pub bank: Arc<Bank>,
    /// Prices that the store holds, as the text of a price file; empty: none.
    pub price_overrides: ArcSwap<String>,
    /// Secrets that the store holds, sealed.
    pub stored_secrets: ArcSwap<Stored>,
    /// How many tokens a byte is, by model.
    pub estimates: Estimator,
    breakers: DashMap<TargetId, Arc<Breaker>>,
    /// By provider and what its credential hashes to: another credential is not held to account for the one before.
    quarantines: DashMap<(String, u64), Arc<Quarantine>>,
    /// By public model.
    lines: DashMap<String, Arc<Queue>>,
    books: DashMap<AddressKey, Arc<AddressBook>>,
    tokens: DashMap<TokenKey, Weak<TokenSource>>,
}

impl State {
    /// Nothing known yet.
    pub fn new(meters: Arc<Meters>) -> Self {
        Self::sharing(meters, None)
    }

    /// The same, sharing counts with other instances.
    pub fn sharing(meters: Arc<Meters>, exchange: Option<Arc<dyn Exchange>>) -> Self {
        Self {
            meters,
            bank: Bank::new(exchange),
            price_overrides: ArcSwap::default(),
            stored_secrets: ArcSwap::default(),
            estimates: Estimator::default(),
            retries: RetryBudget::default(),
            breakers: DashMap::new(),
            quarantines: DashMap::new(),
            lines: DashMap::new(),
            books: DashMap::new(),
            tokens: DashMap::new(),
        }
    }

    fn breaker(&self, id: &TargetId) -> Arc<Breaker> {
        Arc::clone(&self.breakers.entry(id.clone()).or_default())
    }

    fn quarantine(&self, provider: &str, credential: u64) -> Arc<Quarantine> {
        let key = (provider.to_owned(), credential);
        Arc::clone(&self.quarantines.entry(key).or_default())
    }

    fn line(&self, model: &str, size: usize) -> Arc<Queue> {
        let entry = self.lines.entry(model.to_owned());
        Arc::clone(&entry.or_insert_with(|| Arc::new(Queue::new(size))))
    }

    fn book(&self, key: AddressKey) -> Arc<AddressBook> {
        Arc::clone(
            &self
                .books
                .entry(key.clone())
                .or_insert_with(|| Arc::new(AddressBook::new(key))),
        )
    }

    /// A snapshot is the current one: what outlives it takes its terms, and what it does not name is forgotten.
    pub fn adopt(&self, snapshot: &Snapshot) {
        let (percent, at_least) = snapshot.retry_budget;
        self.retries.configure(percent, at_least);
        let mut terms: HashMap<&TargetId, BreakerTerms> = HashMap::new();
        for target in snapshot.models.iter().flat_map(|model| &model.targets) {
            let bound = target.terms.max_in_flight;
            let known = terms.entry(&target.id).or_insert(target.terms);
            // Several pools may bound the same target: the tightest holds.
            known.max_in_flight = match (known.max_in_flight, bound) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        for (id, terms) in terms {
            if let Some(breaker) = self.breakers.get(id) {
                breaker.configure(terms.settings, terms.max_in_flight);
            }
        }
        for line in snapshot.models.iter().filter_map(|model| model.line.as_ref()) {
            line.queue.resize(line.size);
        }
        self.retain(snapshot);
    }

    fn retain(&self, snapshot: &Snapshot) {
        let rules: Vec<&str> = snapshot.routes.iter().flat_map(Routes::names).collect();
        let providers: Vec<&str> = snapshot
            .models
            .iter()
            .flat_map(|model| &model.targets)
            .map(|target| target.provider_name())
            .collect();
        self.meters
            .routing
            .retain_named(|provider| providers.contains(&provider), |rule| rules.contains(&rule));
        let targets = || snapshot.models.iter().flat_map(|model| &model.targets);
        self.breakers.retain(|id, _| targets().any(|target| &target.id == id));
        let sites = || targets().filter_map(|target| target.site()?.quarantine.as_ref());
        self.quarantines
            .retain(|_, known| sites().any(|used| Arc::ptr_eq(used, known)));
        let guardrails = snapshot.guardrails.as_ref();
        let is_named = |name: &str| guardrails.is_some_and(|known| known.all().iter().any(|it| &*it.name == name));
        self.meters.guardrails.retain(&is_named);
        self.lines.retain(|name, _| {
            snapshot
                .models
                .iter()
                .any(|model| *model.name == **name && model.line.is_some())
        });
        self.books
            .retain(|key, _| snapshot.books.iter().any(|book| book.key() == key));
        self.retain_tokens();
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
    /// What a target cannot take is refused, not dropped.
    pub strict: bool,
    /// What requests stick by, if the pool's strategy lets them.
    pub sticks: Sticks,
    /// Who answers, whose turn it is.
    pub pool: Pool,
    /// The members of the pool, by their index in it.
    pub targets: Vec<Arc<Target>>,
    /// This model and then its fallbacks, as indices into [`Snapshot::models`].
    pub chain: Vec<usize>,
    /// Who is asked when a conversation is too long for this model.
    pub context_chain: Vec<usize>,
    /// Who is asked when a content filter refuses.
    pub filter_chain: Vec<usize>,
    /// Asking the same target again.
    pub retry: RetryTerms,
    /// Asking a second target.
    pub hedge: Option<HedgeTerms>,
    /// Going on with streams that break.
    pub continuation: Option<ContinuationTerms>,
    /// Waiting for a turn when all targets are full.
    pub line: Option<LineTerms>,
    /// Copies to another pool.
    pub mirror: Option<MirrorTerms>,
    /// Its own limits and budgets, and those of providers that may answer.
    pub bounds: Box<[Arc<Bound>]>,
    /// Providers that may answer, those of fallbacks among them.
    pub providers: Box<[Arc<str>]>,
    /// How much is written at most by who does not say.
    pub output: OutputTerms,
    /// What may be kept and served of it where neither tenants nor rules say anything.
    pub cache: cache::Policy,
    /// The guardrails that hold for its requests, as places in [`Snapshot::guardrails`]: its own, and those of models that may answer in
    /// its place.
    pub guardrails: Box<[usize]>,
    /// Counts what the cache does with its requests.
    pub cache_meter: CacheMeter,
    /// How many tokens a byte of a prompt is.
    pub ratio: Arc<Ratio>,
    /// By target: what it can take; empty when each takes anything.
    pub fits: Vec<Fit>,
    /// By target: the arm of a comparison it belongs to; empty when there is none.
    arms: Vec<Option<ArmMeter>>,
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

    /// The arm a target belongs to.
    pub fn arm(&self, target: usize) -> Option<&ArmMeter> {
        self.arms.get(target)?.as_ref()
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
    /// Open client connections of one address.
    pub connections_per_ip: Option<usize>,
    /// Requests under way at one time.
    pub in_flight: usize,
    /// The highest priority a request may turn out to have once the routing rules have seen it: at least the default.
    pub highest_priority: u8,
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
    /// Rules on who answers; nothing when there are none.
    pub routes: Option<Routes>,
    /// Guardrails; nothing when there are none.
    pub guardrails: Option<Guardrails>,
    /// Caps.
    pub limits: Limits,
    /// Some target speaks another API than OpenAI's: conversations may hold parts that are another vendor's.
    pub mixed: bool,
    /// What calls cost.
    pub tariff: Arc<Tariff>,
    /// Who pays where nobody is known, and its tags.
    pub nobody: (Arc<Tenant>, Arc<[Arc<str>]>),
    /// Percent of requests that may be asked again while targets fail, and how many of any second.
    pub retry_budget: (u32, u32),
    /// Clients need no key.
    pub open_access: bool,
    /// Kept answers can be found by likeness.
    pub semantic_cache: bool,
    /// When it was built, Unix seconds.
    pub loaded_at: u64,
    /// Address books in use, to be resolved and probed.
    pub books: Vec<Arc<AddressBook>>,
}

impl Snapshot {
    /// Build it. Errors are lines for the operator: every problem that was found, not the first.
    pub fn build(config: &Config, state: &State) -> Result<Self, Vec<String>> {
        let tariff = Arc::new(tariff::load(config, &state.price_overrides.load())?);
        let mut builder = Builder::new(config, state, Arc::clone(&tariff));
        builder.sites();
        let guardrails = Guardrails::build(config).unwrap_or_else(|found| {
            builder.problems.extend(found);
            None
        });
        let (models, by_name) = builder.models(guardrails.as_ref());
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
        let routes = Routes::build(config, |name| by_name.get(name).copied()).unwrap_or_else(|found| {
            builder.problems.extend(found);
            None
        });
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
            routes,
            guardrails,
            limits: build::limits(config),
            tariff,
            nobody: (Arc::default(), Arc::from([])),
            mixed: config.providers.values().any(build::is_foreign),
            retry_budget: (
                config.retry_budget.percent.unwrap_or(20),
                config.retry_budget.at_least.unwrap_or(3),
            ),
            open_access: config.insecure.open_access,
            semantic_cache: config.cache.semantic.is_some(),
            loaded_at,
            books: builder.books,
        })
    }

    /// A model by its exact name or alias.
    pub fn model(&self, name: &str) -> Option<&PublicModel> {
        self.models.get(*self.by_name.get(name)?)
    }

    /// The model a client's name means: an exact name or alias first, then the most specific pattern.
    pub fn find<'a>(&'a self, name: &'a str) -> Option<Found<'a>> {
        if let Some(&index) = self.by_name.get(name) {
            let model = self.models.get(index)?;
            // A pattern is no model: asking for `gpt-*` itself would send a star to the provider.
            return (!name.contains('*')).then_some(Found { model, matched: "" });
        }
        if name.len() > LONGEST_MATCHED {
            return None;
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
}
