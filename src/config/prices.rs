//! Price files: YAML → [`prices::Table`], or every problem at once.
//!
//! ```yaml
//! read: 2026-11-22
//! vendors:
//!   openai:                              # the `kind` of a provider
//!     source: https://…                  # defaults for all below: source, read, confidence, search, service
//!     service: { batch: 50%, flex: 50% }
//!     like: [other]                      # names not found here are looked up there
//!     models:
//!       gpt-4o: { input: "2.50", cached: "1.25", output: "10", also: ["chatgpt-*"], max_output: 16384 }
//!       o3:                              # by date
//!         - { input: "10", output: "40" }
//!         - { valid_from: 2025-06-10, input: "2", output: "8" }
//!       gpt-4o-long: { same_as: gpt-4o, times: 110% }
//! ```
//! Not the configuration: the file has a shape of its own and is read when prices are needed. Dollars are text, per million
//! tokens (`request`, `search`: for one). What a class costs is, where it is not written, what its kind costs: cached and
//! written tokens as input, reasoning as output, an hour's as five minutes'.

mod entry;
mod reader;

#[cfg(test)]
mod tests;

use super::problem::{Place, Problem, Problems};
use super::tree::{Node, Position};
use super::yaml;
use crate::prices::{Confidence, Entry, Layer, Pattern, Periods, Table, Vendor};
use reader::{Defaults, Reader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The prices that come with the gateway.
pub const BUILT_IN: &str = include_str!("../../conf/prices.yaml");

/// Largest price file.
pub const LARGEST: usize = 8 << 20;
/// How far `same_as` may lead.
const FARTHEST: usize = 8;

/// The built-in prices and files over them, by name and text; the last one wins. Every mistake of every file.
pub fn load_prices(files: &[(String, String)]) -> Result<Table, Problems> {
    let built_in = [("conf/prices.yaml".to_owned(), BUILT_IN.to_owned())];
    load_only(built_in.iter().chain(files))
}

/// Files without the built-in prices.
pub fn load_only<'f>(files: impl IntoIterator<Item = &'f (String, String)>) -> Result<Table, Problems> {
    let mut layers: Vec<Layer> = Vec::new();
    let mut problems = Vec::new();
    for (position, (origin, text)) in files.into_iter().enumerate() {
        let own = if position == 0 && text == BUILT_IN {
            Confidence::Page
        } else {
            Confidence::Own
        };
        let mut reader = Reader::new(origin, own);
        if text.len() > LARGEST {
            reader.fault(
                Position::START,
                &Place::root(),
                "larger than 8MiB",
                "split or shorten the file",
            );
        } else {
            layers.push(layer(&mut reader, text, &layers));
        }
        problems.append(&mut reader.problems);
    }
    if problems.is_empty() {
        Ok(Table::new(layers))
    } else {
        Err(Problems::new(problems))
    }
}

/// A model as it was read, before `same_as` is followed.
struct Draft {
    /// Its name and `also`.
    names: Vec<String>,
    entries: Vec<Entry>,
    same: Option<Same>,
}

/// `same_as`, and what is said beside it.
struct Same {
    vendor: String,
    model: String,
    /// In hundredths of a percent.
    times: u32,
    own: entry::Beside,
    at: Position,
    place: Place,
}

type Drafts = BTreeMap<String, BTreeMap<String, Draft>>;

fn layer(reader: &mut Reader<'_>, text: &str, before: &[Layer]) -> Layer {
    let reading = yaml::read(text);
    for (at, finding) in reading.findings {
        reader.problems.push(Problem {
            file: reader.origin.to_owned(),
            line: at.line,
            column: at.column,
            ..finding.unplaced()
        });
    }
    let mut layer = Layer::default();
    let Some(root) = reading.root else { return layer };
    let drafts = drafts(reader, &root, &mut layer);
    for (vendor, models) in &drafts {
        for draft in models.values() {
            let Some(entries) = resolved(reader, vendor, draft, &drafts, before) else {
                continue;
            };
            let periods = Arc::new(Periods::new(entries));
            let to = layer.vendors.entry(vendor.as_str().into()).or_default();
            for name in &draft.names {
                insert(to, name, &periods);
            }
        }
    }
    layer
}

fn insert(vendor: &mut Vendor, name: &str, periods: &Arc<Periods>) {
    if name.contains('*') {
        vendor.patterns.push((Pattern::new(name), Arc::clone(periods)));
    } else {
        vendor.exact.insert(name.into(), Arc::clone(periods));
    }
}

fn drafts(reader: &mut Reader<'_>, root: &Node, layer: &mut Layer) -> Drafts {
    let mut drafts = Drafts::new();
    let place = Place::root();
    let mut defaults = Defaults::new(reader.own);
    for key in reader.members(root, &place, &["read", "vendors"]) {
        if key.key == "read" {
            defaults.read = reader.date_text(&key.node, &place.key("read"));
        }
    }
    let place = place.key("vendors");
    for vendor in reader.any_members(root.get("vendors"), &place) {
        let here = place.key(&vendor.key);
        let defaults = reader.vendor_defaults(&vendor.node, &here, &defaults);
        let like = reader.names(vendor.node.get("like"), &here.key("like"));
        let to = layer.vendors.entry(vendor.key.as_str().into()).or_default();
        to.like = like.into_iter().map(Into::into).collect();
        let here = here.key("models");
        let mut models = BTreeMap::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for model in reader.any_members(vendor.node.get("models"), &here) {
            let at = here.key(&model.key);
            let Some(draft) = entry::draft(reader, &vendor.key, model, &at, &defaults) else {
                continue;
            };
            for name in &draft.names {
                if let Some(line) = seen.insert(name.clone(), model.at.line) {
                    let message = format!("the name {name:?} is taken, on line {line}");
                    reader.fault(model.at, &at, &message, "keep one of the two");
                }
            }
            models.insert(model.key.clone(), draft);
        }
        drafts.insert(vendor.key.clone(), models);
    }
    drafts
}

/// The entries of a draft, `same_as` followed: in this file, else in those before it.
fn resolved(
    reader: &mut Reader<'_>,
    vendor: &str,
    draft: &Draft,
    drafts: &Drafts,
    before: &[Layer],
) -> Option<Vec<Entry>> {
    let Some(same) = &draft.same else {
        return Some(draft.entries.clone());
    };
    let mut steps = vec![same];
    loop {
        let last = steps.last()?;
        let next = drafts.get(&last.vendor).and_then(|models| {
            let by_name = || models.values().find(|draft| draft.names.contains(&last.model));
            models.get(&last.model).or_else(by_name)
        });
        let found = match next {
            Some(Draft {
                same: Some(further), ..
            }) if steps.len() < FARTHEST => {
                steps.push(further);
                continue;
            }
            Some(Draft { same: Some(_), .. }) => {
                let remedy = "name the model that has the price";
                reader.fault(same.at, &same.place, "`same_as` leads in a circle, or too far", remedy);
                return None;
            }
            Some(draft) => Some(draft.entries.clone()),
            None => {
                let named = |layer: &Layer| Some(layer.vendors.get(&*last.vendor)?.named(&last.model)?.all().to_vec());
                before.iter().rev().find_map(named)
            }
        };
        let Some(mut entries) = found else {
            let message = format!("`{}/{}` is not in the table", last.vendor, last.model);
            let remedy = format!("name a model of this file, such as one of {vendor:?}, or a built-in one");
            reader.fault(same.at, &same.place, &message, &remedy);
            return None;
        };
        for step in steps.iter().rev() {
            entry::follow(&mut entries, step);
        }
        return Some(entries);
    }
}
