//! Prices as the admin API shows and corrects them: the built-in table, the files over it, and what the store says over both.

use crate::admin::{PriceEntry, Problem};
use crate::config::{self, Config};
use crate::glob;
use crate::ledger::Row;
use crate::prices::{Confidence, Selector, Table, recompute};
use crate::snapshot::{Tariff, target_price};
use crate::storage::{Document, Kind, Object};
use crate::telemetry::CacheResult;
use crate::units::{Cost, Price, Rates, usd};
use crate::upstream::ModelName;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The text of a price file that says what the store does; empty: it says nothing.
pub(in crate::server) fn overrides(objects: &[Object]) -> String {
    let mut vendors: BTreeMap<&str, BTreeMap<&str, &Document>> = BTreeMap::new();
    for object in objects.iter().filter(|object| object.kind == Kind::Price) {
        if let Some((vendor, model)) = object.name.split_once('/') {
            vendors.entry(vendor).or_default().insert(model, &object.document);
        }
    }
    if vendors.is_empty() {
        return String::new();
    }
    let vendors: BTreeMap<_, _> = vendors
        .into_iter()
        .map(|(vendor, models)| (vendor, json!({ "models": models })))
        .collect();
    // JSON is YAML.
    json!({ "vendors": vendors }).to_string()
}

/// What is wrong with a price that is to be kept.
pub(super) fn problems(name: &str, settings: &Value) -> Vec<Problem> {
    let wrong = |path: &str, message: &str| {
        vec![Problem {
            path: path.to_owned(),
            message: message.to_owned(),
        }]
    };
    let Some((vendor, model)) = name.split_once('/') else {
        return wrong(
            "",
            "the name of a price is the provider's kind and the model: openai/gpt-4o",
        );
    };
    let text = json!({ "vendors": { vendor: { "models": { model: settings } } } }).to_string();
    let read = config::load_prices(&[("this price".to_owned(), text)]);
    let Err(found) = read else { return Vec::new() };
    let told = found.0.into_iter().map(|problem| Problem {
        message: format!("{}; {}", problem.message, problem.remedy),
        path: "settings".to_owned(),
    });
    told.collect()
}

/// All prices in force.
pub(super) fn list(config: &Config, objects: &[Object], now: i64) -> Vec<PriceEntry> {
    let table = table(config, &overrides(objects));
    let held: Vec<&str> = objects
        .iter()
        .filter(|object| object.kind == Kind::Price)
        .map(|object| object.name.as_str())
        .collect();
    let named = table.list(&Selector::new("*"));
    let entries = named.into_iter().filter_map(|named| {
        let entry = named.periods.at(now)?;
        let name = format!("{}/{}", named.vendor, named.model);
        let origin = match entry.facts.confidence {
            _ if held.contains(&name.as_str()) => "store",
            Confidence::Own => "file",
            _ => "builtin",
        };
        Some(PriceEntry {
            name,
            origin: origin.to_owned(),
            valid_from: entry.from.map(|from| config::Moment::from_unix(from).to_string()),
            usd_per_million: shown(&entry.price.base),
            source: Some(entry.facts.source.to_string()).filter(|source| !source.is_empty()),
        })
    });
    entries.collect()
}

fn shown(rates: &Rates) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (class, nano, usual) in [
        ("input", rates.input, None),
        ("output", rates.output, None),
        ("cached", rates.cached, Some(rates.input)),
        ("cache_write", rates.cache_write, Some(rates.input)),
        ("cache_write_1h", rates.cache_write_1h, Some(rates.cache_write)),
        ("reasoning", rates.reasoning, Some(rates.output)),
        ("audio_input", rates.audio_input, Some(rates.input)),
        ("audio_output", rates.audio_output, Some(rates.output)),
        ("request", rates.request, Some(0)),
        ("search", rates.search, Some(0)),
    ] {
        if usual != Some(nano) {
            all.insert(class.to_owned(), usd(nano));
        }
    }
    all
}

/// Built-in, files, store. Files that were good when they were loaded and are not any more are passed over, and said.
pub(in crate::server) fn table(config: &Config, overrides: &str) -> Table {
    let mut files = Vec::new();
    for path in &config.prices.files {
        match std::fs::read_to_string(path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => tracing::warn!(path = %path.display(), %error, "a price file cannot be read"),
        }
    }
    if !overrides.is_empty() {
        files.push(("the store".to_owned(), overrides.to_owned()));
    }
    config::load_prices(&files)
        .or_else(|_| config::load_prices(&[]))
        .unwrap_or_default()
}

/// Give the rows of one request what they cost by the prices of their time.
pub(super) fn reprice(config: &Config, table: &Table, tariff: &Tariff, request: &mut [Row]) {
    let mut sum: Option<Cost> = Some(Cost::default());
    let several = request.iter().any(|row| row.attempt > 0);
    if !several && request.iter().any(|row| from_cache(row.cache)) {
        // Its tokens are those of the kept answer.
        return;
    }
    for row in request.iter_mut().filter(|row| row.attempt > 0 || !several) {
        let cost = cost(config, table, row);
        sum = match (sum, cost) {
            (Some(mut sum), Some(cost)) => {
                sum.add(&cost);
                Some(sum)
            }
            _ => None,
        };
        set(row, cost, tariff);
    }
    if several {
        for row in request.iter_mut().filter(|row| row.attempt == 0) {
            set(row, sum, tariff);
        }
    }
}

fn from_cache(word: &str) -> bool {
    CacheResult::ALL
        .iter()
        .any(|result| result.saves() && result.as_str() == word)
}

fn set(row: &mut Row, cost: Option<Cost>, tariff: &Tariff) {
    row.cost = cost;
    row.billed = cost.map(|cost| tariff.billed(cost.total()));
}

/// What one call cost. Nothing was used: nothing, whatever the model.
fn cost(config: &Config, table: &Table, row: &Row) -> Option<Cost> {
    let Some(target) = row.target.as_deref() else {
        return Some(Cost::default());
    };
    let provider = row.provider.as_deref()?;
    let written = target.strip_prefix(provider)?.strip_prefix('/')?;
    let own = written.split_once('#').map_or(written, |(name, _)| name);
    let own_price = own_price(config, row.model.as_deref(), provider, own);
    if let Some(price) = own_price {
        return Some(price.of(&row.usage));
    }
    let model = if own.contains('*') {
        // The row says which model was asked for. Where it does not, or the pattern is gone, nothing is known better.
        match row
            .model
            .as_deref()
            .and_then(|asked| behind(config, provider, own, asked))
        {
            Some(model) => model,
            None => return row.cost,
        }
    } else {
        own.to_owned()
    };
    let vendor = config.providers.get(provider)?.kind.name();
    let at = i64::try_from(row.at_ms / 1000).unwrap_or(i64::MAX);
    recompute(table, vendor, &model, &row.usage, at)
}

/// The provider's model that a pattern's target stands for when a model is asked for.
fn behind(config: &Config, provider: &str, own: &str, asked: &str) -> Option<String> {
    let patterns = config.models.iter().filter_map(|(name, model)| {
        let (head, tail) = name.split_once('*')?;
        let matched = asked.strip_prefix(head)?.strip_suffix(tail)?;
        let mut targets = model.targets.iter();
        let target =
            targets.find(|target| target.provider == provider && target.model.as_deref().unwrap_or(name) == own)?;
        let behind = ModelName::parse(target.model.as_deref(), name);
        Some((glob::exactness(name), behind.resolve(asked, matched).into_owned()))
    });
    let (_, model) = patterns.max_by_key(|(exactness, _)| *exactness)?;
    (!model.contains('*')).then_some(model)
}

/// The price that the configuration gives this target, where it does.
fn own_price(config: &Config, model: Option<&str>, provider: &str, own: &str) -> Option<Price> {
    let all = config
        .models
        .iter()
        .flat_map(|(name, model)| model.targets.iter().map(move |target| (name, target)));
    let same =
        all.filter(|(name, target)| target.provider == provider && target.model.as_deref().unwrap_or(name) == own);
    // Several models may have it; the one that was asked for counts first.
    let fits = |name: &str| model.is_some_and(|model| glob::fits(name, model));
    let written = same
        .min_by_key(|(name, _)| (model != Some(name.as_str()), !fits(name)))?
        .1;
    written.price.as_ref().map(target_price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{RowId, Tenant};
    use crate::units::Usage;
    use std::sync::Arc;

    fn row(model: &str, target: &str) -> Row {
        Row {
            id: RowId(1),
            attempt: 0,
            at_ms: 1_795_305_600_000,
            tenant: Arc::new(Tenant::default()),
            tags: Arc::default(),
            metadata: None,
            request_id: "r".into(),
            operation: "chat",
            model: Some(model.into()),
            target: Some(target.into()),
            provider: Some("openai".into()),
            purpose: "first",
            status: 200,
            outcome: "ok",
            cache: "off",
            stream: false,
            latency_ms: 1,
            ttft_ms: None,
            usage: Usage {
                input: 1000,
                output: 100,
                ..Usage::default()
            },
            estimated: false,
            cost: Some(Cost {
                input: 7,
                ..Cost::default()
            }),
            billed: Some(7),
            guardrails: None,
            saved: 0,
            charges: Vec::new(),
        }
    }

    #[test]
    fn of_a_pattern_the_name_that_was_asked_for_is_priced() {
        let text = "
listen: 127.0.0.1:0
insecure: { open_access: true }
providers: { openai: { kind: openai, api_key: env:X } }
models:
  gpt-*: { targets: [ { provider: openai } ] }
  my-*: { targets: [ { provider: openai, model: gpt-* } ] }
";
        let config = config::parse(text, "test").unwrap();
        let table = table(&config, "");
        let usage = row("", "").usage;
        let listed = |model: &str| recompute(&table, "openai", model, &usage, 1_795_305_600);
        assert!(listed("gpt-4o").is_some());
        let cost = |model: &str, target: &str| cost(&config, &table, &row(model, target));
        assert_eq!(cost("gpt-4o", "openai/gpt-*"), listed("gpt-4o"));
        assert_eq!(
            cost("my-4o", "openai/gpt-*"),
            listed("gpt-4o"),
            "what the pattern stands for"
        );
        assert_eq!(cost("gpt-unheard-of", "openai/gpt-*"), None, "as before: no price");
        // Rows of before the name was kept, and those whose pattern is gone, stay as they are.
        let kept = row("", "").cost;
        assert_eq!(cost("gpt-*", "openai/gpt-*"), kept);
        assert_eq!(cost("other-4o", "openai/gpt-*"), kept);
    }
}
