//! The table: layers of vendors, vendors of models, models of periods.
//!
//! ```text
//! Table ─ Layer (built-in) ─ Vendor "openai" ─ "gpt-4o" ─► Periods ─ Entry from 2024-08-06, Entry from …
//!       └ Layer (a file: wins where it says something)
//! ```
//! Small: an entry is 300 bytes and shared by all names of its model, so that the whole built-in table may stay in memory
//! (measured in `docs/prices.md`) and models that only a pattern names are looked up when they are asked for.

use super::name::{self, Pattern, Selector};
use crate::units::{Price, Tokens};
use std::collections::HashMap;
use std::sync::Arc;

/// How sure an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// Read on the vendor's own page.
    Page,
    /// Read where others quote the vendor's page.
    Reported,
    /// Known, and not found written anywhere.
    Knowledge,
    /// Written by the operator.
    Own,
}

impl Confidence {
    /// As in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Reported => "reported",
            Self::Knowledge => "knowledge",
            Self::Own => "own",
        }
    }
}

/// What is known of a model beside its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Most tokens it writes.
    pub max_output: Option<Tokens>,
    /// Tokens of its context window.
    pub context: Option<Tokens>,
    /// Where the price was read.
    pub source: Arc<str>,
    /// The day it was read.
    pub read: Arc<str>,
    /// How sure it is.
    pub confidence: Confidence,
}

/// A price, and when it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it costs.
    pub price: Price,
    /// From when on, in seconds since 1970; none: always.
    pub from: Option<i64>,
    /// Until when (exclusive); none: until the next one.
    pub until: Option<i64>,
    /// What else is known.
    pub facts: Facts,
}

impl Entry {
    fn holds(&self, at: i64) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// The entries of one model, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periods(Box<[Entry]>);

impl Periods {
    /// In any order.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.from));
        Self(entries.into())
    }

    /// The entry that holds at a moment, in seconds since 1970.
    pub fn at(&self, at: i64) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.holds(at))
    }

    /// All of them, the latest first.
    pub fn all(&self) -> &[Entry] {
        &self.0
    }
}

/// What a vendor's models cost, by name.
#[derive(Debug, Clone, Default)]
pub struct Vendor {
    /// Names as they are.
    pub exact: HashMap<Box<str>, Arc<Periods>>,
    /// Names with `*`.
    pub patterns: Vec<(Pattern, Arc<Periods>)>,
    /// Other vendors whose prices are this one's too, for names it has no entry of (Azure: those of OpenAI).
    pub like: Vec<Box<str>>,
}

impl Vendor {
    /// By name, else by the pattern that says most; nothing is taken from the name.
    pub fn named(&self, model: &str) -> Option<&Arc<Periods>> {
        let pattern = || {
            let all = self.patterns.iter().filter(|(pattern, _)| pattern.matches(model));
            all.max_by_key(|(pattern, _)| pattern.weight())
                .map(|(_, periods)| periods)
        };
        self.exact.get(model).or_else(pattern)
    }

    /// As written, then without what vendors put before and behind.
    fn find(&self, model: &str) -> Option<&Arc<Periods>> {
        let bare = name::bare(model);
        let names = [Some(model), bare, name::undated(bare.unwrap_or(model))];
        names.into_iter().flatten().find_map(|name| self.named(name))
    }
}

/// Everything of one file.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// By `kind` of provider.
    pub vendors: HashMap<Box<str>, Vendor>,
}

/// How often `like` leads on: vendors that are like each other do not lead in circles.
const FARTHEST: usize = 3;

impl Layer {
    fn find(&self, vendor: &str, model: &str, far: usize) -> Option<&Arc<Periods>> {
        let own = self.vendors.get(vendor)?;
        own.find(model).or_else(|| {
            let mut like = own.like.iter().filter(|_| far < FARTHEST);
            like.find_map(|other| self.find(other, model, far + 1))
        })
    }
}

/// What a model costs, whenever: its periods, those that win first. What a target keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices(Box<[Arc<Periods>]>);

impl Prices {
    /// The entry that holds at a moment, in seconds since 1970.
    pub fn at(&self, at: i64) -> Option<&Entry> {
        self.0.iter().find_map(|periods| periods.at(at))
    }
}

/// One line of a list.
#[derive(Debug, Clone, Copy)]
pub struct Named<'t> {
    /// `kind` of provider.
    pub vendor: &'t str,
    /// Name or pattern.
    pub model: &'t str,
    /// What it costs.
    pub periods: &'t Periods,
}

/// All prices.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The last one wins.
    layers: Vec<Layer>,
}

impl Table {
    /// Of layers, the one that wins last. A vendor that is like others in one layer is so in those after it, so that a
    /// correction of OpenAI's prices is one of Azure's.
    pub fn new(mut layers: Vec<Layer>) -> Self {
        let mut known: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
        for layer in &mut layers {
            for (name, like) in &known {
                let vendor = layer.vendors.entry(name.clone()).or_default();
                if vendor.like.is_empty() {
                    vendor.like.clone_from(like);
                }
            }
            let likes = layer.vendors.iter().filter(|(_, vendor)| !vendor.like.is_empty());
            known.extend(likes.map(|(name, vendor)| (name.clone(), vendor.like.clone())));
        }
        Self { layers }
    }

    /// The layers, the one that wins last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What a model of a vendor (its provider's `kind`) costs at a moment, in seconds since 1970. None: not known.
    pub fn find(&self, vendor: &str, model: &str, at: i64) -> Option<&Entry> {
        let layers = self.layers.iter().rev();
        layers
            .filter_map(|layer| layer.find(vendor, model, 0))
            .find_map(|periods| periods.at(at))
    }

    /// What it costs, whenever: to be kept, so that requests do not look anything up. None: not known at any time.
    pub fn prices(&self, vendor: &str, model: &str) -> Option<Prices> {
        let layers = self.layers.iter().rev();
        let all: Vec<_> = layers
            .filter_map(|layer| layer.find(vendor, model, 0).cloned())
            .collect();
        (!all.is_empty()).then(|| Prices(all.into()))
    }

    /// Only what these models may need: of a model without `*` its own entries, of a pattern all of its vendor. Of vendors that
    /// are not named nothing is kept.
    #[must_use]
    pub fn narrowed(&self, wanted: &[(&str, &str)]) -> Self {
        let narrow = |layer: &Layer| {
            let mut kept = Layer::default();
            for (vendor, model) in wanted {
                if model.contains('*') {
                    layer.copy_vendor(vendor, &mut kept, 0);
                } else if let Some(periods) = layer.find(vendor, model, 0) {
                    let vendor = kept.vendors.entry((*vendor).into()).or_default();
                    vendor.exact.insert((*model).into(), Arc::clone(periods));
                }
            }
            kept
        };
        Self::new(self.layers.iter().map(narrow).collect())
    }

    /// What there is, by vendor and name; entries that a later layer has again only once.
    pub fn list(&self, selector: &Selector) -> Vec<Named<'_>> {
        let mut all: Vec<Named<'_>> = Vec::new();
        for layer in self.layers.iter().rev() {
            for (vendor, models) in &layer.vendors {
                let exact = models.exact.iter().map(|(name, periods)| (&**name, periods));
                let patterns = models.patterns.iter().map(|(name, periods)| (name.as_str(), periods));
                for (model, periods) in exact.chain(patterns) {
                    if selector.takes(vendor, model) {
                        all.push(Named { vendor, model, periods });
                    }
                }
            }
        }
        // Stable: of the same name the winning layer stays first.
        all.sort_by_key(|named| (named.vendor, named.model));
        all.dedup_by_key(|named| (named.vendor, named.model));
        all
    }
}

impl Layer {
    fn copy_vendor(&self, name: &str, to: &mut Self, far: usize) {
        let Some(vendor) = self.vendors.get(name) else { return };
        let mut copy = vendor.clone();
        if let Some(before) = to.vendors.remove(name) {
            copy.exact.extend(before.exact);
        }
        to.vendors.insert(name.into(), copy);
        if far < FARTHEST {
            vendor.like.iter().for_each(|like| self.copy_vendor(like, to, far + 1));
        }
    }
}
