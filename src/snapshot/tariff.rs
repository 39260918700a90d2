//! What calls cost and are billed at: a target's own price, else the price table's, as of the moment of the call.
//!
//! Targets of one model find their entries when the snapshot is built. For a target of a pattern (`gpt-*`) the client says which
//! model it is; its entry is looked up once and kept, within a bound.

use crate::config;
use crate::prices::{self, Entry, Prices, Table, billed};
use crate::units::{NanoUsd, Price, Tokens};
use crate::upstream::{ModelName, Target};
use dashmap::DashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// Names that are kept of those that clients put in place of a `*`.
const MOST_NAMES: usize = 1024;

/// Web searches assumed of a request that does not say.
const ASSUMED_SEARCHES: u64 = 10;

/// How a client named a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Named<'a> {
    /// The name it asked for.
    pub asked: &'a str,
    /// What of it the public name's `*` matched.
    pub matched: &'a str,
}

/// Prices, and what is added to them.
#[derive(Debug)]
pub struct Tariff {
    table: Table,
    /// In hundredths of a percent.
    margin: u32,
    refuse_unpriced: bool,
    assumed_searches: u64,
    /// By vendor and upstream model.
    wild: DashMap<(&'static str, Box<str>), Option<Arc<Prices>>>,
}

impl Tariff {
    /// Of a table that holds what the configured targets may need.
    pub fn new(table: Table, prices: &config::Prices) -> Self {
        Self {
            table,
            margin: prices.margin.map_or(0, config::Percent::basis_points),
            refuse_unpriced: prices.unknown == config::Unpriced::Refuse,
            assumed_searches: prices.assumed_web_searches.unwrap_or(ASSUMED_SEARCHES),
            wild: DashMap::new(),
        }
    }

    /// What a cost is billed at.
    pub fn billed(&self, cost: NanoUsd) -> NanoUsd {
        if self.margin == 0 {
            cost
        } else {
            billed(cost, self.margin)
        }
    }

    /// Whether requests of unknown cost are refused where a hard budget applies.
    pub fn refuses_unpriced(&self) -> bool {
        self.refuse_unpriced
    }

    /// What a call costs that begins now (seconds since 1970), of a model asked for by this name.
    pub fn price<'t>(&self, target: &'t Target, named: &Named<'_>, now: i64) -> Option<Cow<'t, Price>> {
        if let Some(own) = &target.price {
            return Some(Cow::Borrowed(own));
        }
        if !target.model.is_the_clients() {
            return target.listed.as_ref()?.at(now).map(|entry| Cow::Borrowed(&entry.price));
        }
        let name = target.model.resolve(named.asked, named.matched);
        self.wild(target.vendor, &name, now, |entry| Cow::Owned(entry.price.clone()))
    }

    /// What a call costs whose request was not read, by the model that its answer names (none: it names none). A price of the target
    /// is that of its own model, also of dated names of it; any other model has what the table says of it.
    pub fn told<'t>(&self, target: &'t Target, model: Option<&str>, now: i64) -> Option<Cow<'t, Price>> {
        let own = match (&target.model, model) {
            (ModelName::Fixed(own), Some(named)) => own == named || prices::undated(named) == Some(own),
            (ModelName::Fixed(_), None) => true,
            // Said of whatever clients ask for there.
            _ => target.price.is_some(),
        };
        if own {
            return self.price(target, &Named::default(), now);
        }
        self.wild(target.vendor, model?, now, |entry| Cow::Owned(entry.price.clone()))
    }

    /// Tokens of the context window of the model that would answer, where its price entry says.
    pub fn context(&self, target: &Target, named: &Named<'_>, now: i64) -> Option<Tokens> {
        if !target.model.is_the_clients() {
            return target.listed.as_ref()?.at(now)?.facts.context;
        }
        let name = target.model.resolve(named.asked, named.matched);
        self.wild(target.vendor, &name, now, |entry| entry.facts.context)?
    }

    /// Web searches that a request is assumed to make at most which does not say how many.
    pub fn assumed_searches(&self) -> u64 {
        self.assumed_searches
    }

    fn wild<T>(&self, vendor: &'static str, name: &str, now: i64, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        let key = (vendor, Box::from(name));
        if let Some(known) = self.wild.get(&key) {
            return known.as_ref()?.at(now).map(read);
        }
        let found = self.table.prices(vendor, name).map(Arc::new);
        if self.wild.len() < MOST_NAMES {
            self.wild.insert(key, found.clone());
        }
        found?.at(now).map(read)
    }
}

/// The prices that the configured targets may need; none where nothing asks what things cost.
pub(super) fn load(config: &config::Config, overrides: &str) -> Result<Tariff, Vec<String>> {
    if !config.counts_money() {
        return Ok(Tariff::new(Table::default(), &config.prices));
    }
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in &config.prices.files {
        match std::fs::read_to_string(path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => problems.push(format!("prices.files: {} cannot be read: {error}", path.display())),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if !overrides.is_empty() {
        files.push(("the store".to_owned(), overrides.to_owned()));
    }
    let table = config::load_prices(&files)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    // What answers name that pass unread may be any model of the vendor.
    let told = config.passthrough.iter().filter(|rule| rule.usage);
    let told = told
        .filter_map(|rule| config.models.get(&rule.pool))
        .flat_map(|model| &model.targets);
    let told = told.filter_map(|target| Some((config.providers.get(&target.provider)?.kind.name(), "*")));
    let wanted: Vec<(&str, &str)> = config
        .models
        .iter()
        .flat_map(|(name, model)| model.targets.iter().map(move |target| (name, target)))
        .filter_map(|(name, target)| {
            let vendor = config.providers.get(&target.provider)?.kind.name();
            Some((vendor, target.model.as_deref().unwrap_or(name)))
        })
        .chain(told)
        .collect();
    Ok(Tariff::new(table.narrowed(&wanted), &config.prices))
}

impl Tariff {
    /// What a model costs, whenever.
    pub(super) fn listed(&self, vendor: &str, model: &str) -> Option<Prices> {
        self.table.prices(vendor, model)
    }
}
