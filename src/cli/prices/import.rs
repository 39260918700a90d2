//! `cirque prices import`: the de-facto `model_prices_and_context_window.json` → a price file of ours.
//!
//! ```json
//! {"gpt-4o": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
//!             "cache_read_input_token_cost": 1.25e-06, "max_output_tokens": 16384, "max_input_tokens": 128000}}
//! ```
//! Not a fetch: the file is the operator's. The one idea: numbers stay text until they are nano-dollars, and whatever cannot be
//! taken over is said, by name. Nothing is written unless what was made of it can be read back.

use super::decimal::{Nano, each, per_million};
use crate::units::usd;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Largest file, in bytes.
pub const LARGEST: usize = 64 << 20;
/// Most models of it.
const MOST: usize = 100_000;
/// Mistakes that are told.
const TOLD: usize = 50;

/// Their name of a provider, our `kind`, what stands before the names of its models.
const PROVIDERS: [(&str, &str, &str); 30] = [
    ("openai", "openai", "openai/"),
    ("text-completion-openai", "openai", "text-completion-openai/"),
    ("anthropic", "anthropic", "anthropic/"),
    ("bedrock", "bedrock", "bedrock/"),
    ("bedrock_converse", "bedrock", "bedrock/"),
    ("azure", "azure", "azure/"),
    ("azure_text", "azure", "azure/"),
    ("gemini", "gemini", "gemini/"),
    ("vertex_ai-language-models", "vertex", "vertex_ai/"),
    ("vertex_ai-anthropic_models", "vertex", "vertex_ai/"),
    ("vertex_ai-embedding-models", "vertex", "vertex_ai/"),
    ("vertex_ai", "vertex", "vertex_ai/"),
    ("cohere", "cohere", "cohere/"),
    ("cohere_chat", "cohere", "cohere/"),
    ("mistral", "mistral", "mistral/"),
    ("groq", "groq", "groq/"),
    ("together_ai", "together", "together_ai/"),
    ("fireworks_ai", "fireworks", "fireworks_ai/"),
    ("deepseek", "deepseek", "deepseek/"),
    ("xai", "xai", "xai/"),
    ("perplexity", "perplexity", "perplexity/"),
    ("openrouter", "openrouter", "openrouter/"),
    ("cerebras", "cerebras", "cerebras/"),
    ("deepinfra", "deepinfra", "deepinfra/"),
    ("sambanova", "sambanova", "sambanova/"),
    ("moonshot", "moonshot", "moonshot/"),
    ("minimax", "minimax", "minimax/"),
    ("zai", "zai", "zai/"),
    ("dashscope", "dashscope", "dashscope/"),
    ("nvidia_nim", "nvidia", "nvidia_nim/"),
];

/// Their keys of what a token costs, and ours; with `_above_200k_tokens` behind they are of a tier.
const RATES: [(&str, &str); 8] = [
    ("input_cost_per_token", "input"),
    ("output_cost_per_token", "output"),
    ("cache_read_input_token_cost", "cached"),
    ("cache_creation_input_token_cost", "cache_write"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
    ("output_cost_per_reasoning_token", "reasoning"),
    ("input_cost_per_audio_token", "audio_input"),
    ("output_cost_per_audio_token", "audio_output"),
];

/// What was made of a file.
#[derive(Debug, Default)]
pub struct Imported {
    /// A price file.
    pub yaml: String,
    /// How many models are in it.
    pub models: usize,
    /// What was left out, and how often.
    pub left_out: BTreeMap<String, usize>,
    /// Mistakes that were skipped.
    pub skipped: Vec<String>,
}

/// Convert the text of a file. `origin` names it, `read` is the day it is of. Mistakes are errors, all of them at once, unless
/// they are to be skipped.
pub fn convert(text: &str, origin: &str, read: &str, skip: bool) -> Result<Imported, Vec<String>> {
    if text.len() > LARGEST {
        return Err(vec!["larger than 64MiB".to_owned()]);
    }
    // serde_json bounds the depth (128) and refuses NaN; the entries stay text until each is looked at.
    let models: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| vec![format!("not the JSON of prices by model: {error}")])?;
    if models.len() > MOST {
        return Err(vec![format!("{} models: more than {MOST}", models.len())]);
    }
    let mut imported = Imported::default();
    let mut vendors: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, raw) in &models {
        match model(name, raw, &mut imported.left_out) {
            Ok(Some((vendor, model, line))) => {
                vendors.entry(vendor).or_default().insert(model, line);
            }
            Ok(None) => {}
            Err(fault) => faults.push(format!("{}: {fault}", shown(name))),
        }
    }
    if !faults.is_empty() && !skip {
        let more = faults.len().saturating_sub(TOLD);
        faults.truncate(TOLD);
        if more > 0 {
            faults.push(format!("and {more} more"));
        }
        return Err(faults);
    }
    imported.skipped = faults;
    imported.models = vendors.values().map(BTreeMap::len).sum();
    imported.yaml = written(&vendors, origin, read);
    Ok(imported)
}

fn shown(name: &str) -> String {
    format!("{:?}", name.chars().take(80).collect::<String>())
}

fn written(vendors: &BTreeMap<&str, BTreeMap<String, String>>, origin: &str, read: &str) -> String {
    let mut yaml = format!("# Made by `cirque prices import`.\nread: {read}\n\nvendors:\n");
    for (vendor, models) in vendors {
        // JSON text is YAML text.
        let origin = serde_json::Value::from(origin);
        let _ = write!(
            yaml,
            "  {vendor}:\n    source: {origin}\n    confidence: own\n    models:\n"
        );
        for (model, line) in models {
            let _ = writeln!(yaml, "      {}: {{ {line} }}", serde_json::Value::from(model.as_str()));
        }
    }
    if vendors.is_empty() {
        yaml.truncate(yaml.len() - "vendors:\n".len());
    }
    yaml
}

type Members<'j> = BTreeMap<String, &'j RawValue>;

/// The vendor, the name and the line of a model; nothing when it is left out.
fn model<'j>(
    name: &str,
    raw: &'j RawValue,
    left_out: &mut BTreeMap<String, usize>,
) -> Result<Option<(&'static str, String, String)>, String> {
    let mut leave = |why: String| *left_out.entry(why).or_default() += 1;
    if name == "sample_spec" {
        return Ok(None);
    }
    if name.is_empty() || name.len() > 300 || name.chars().any(char::is_control) {
        return Err("not a name of a model".to_owned());
    }
    let members: Members<'j> = Deserialize::deserialize(raw).map_err(|_| "not an object".to_owned())?;
    let text = |key: &str| {
        members
            .get(key)
            .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
    };
    let provider = text("litellm_provider").unwrap_or_default();
    let Some((_, vendor, before)) = PROVIDERS.iter().find(|(theirs, ..)| *theirs == provider) else {
        leave(format!("models of provider {}", shown(&provider)));
        return Ok(None);
    };
    let model = name.strip_prefix(before).unwrap_or(name);
    if model.contains("/commitment/")
        || model.contains("-month-commitment/")
        || (*vendor == "bedrock" && model.contains('/'))
    {
        leave("prices of one region or of a commitment (Bedrock)".to_owned());
        return Ok(None);
    }
    let mut line = Line::default();
    line.rates(&members)?;
    line.beside(&members, &mut leave)?;
    if line
        .parts
        .iter()
        .all(|part| part.starts_with("context") || part.starts_with("max_output"))
    {
        let mode = text("mode").unwrap_or_default();
        leave(format!(
            "models without a price for tokens or requests (mode {})",
            shown(&mode)
        ));
        return Ok(None);
    }
    Ok(Some((vendor, model.to_owned(), line.parts.join(", "))))
}

#[derive(Default)]
struct Line {
    parts: Vec<String>,
}

impl Line {
    /// Rates, and those of tiers.
    fn rates(&mut self, members: &Members<'_>) -> Result<(), String> {
        let mut tiers: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (key, raw) in members {
            if raw.get() == "null" {
                continue;
            }
            if let Some((_, ours)) = RATES.iter().find(|(theirs, _)| theirs == key) {
                let price = number(key, raw, per_million)?;
                self.parts.push(format!("{ours}: \"{}\"", usd(price.nano)));
            } else if let Some((theirs, above)) = tier(key)
                && let Some((_, ours)) = RATES.iter().find(|(key, _)| *key == theirs)
            {
                let price = number(key, raw, per_million)?;
                tiers
                    .entry(above)
                    .or_default()
                    .push(format!("{ours}: \"{}\"", usd(price.nano)));
            }
        }
        let whole = |rates: &Vec<String>| rates.iter().any(|rate| rate.starts_with("input:"));
        let all: Vec<String> = tiers
            .iter()
            .filter(|(_, rates)| whole(rates))
            .map(|(above, rates)| format!("{{ above: {above}, {} }}", self.completed(rates)))
            .collect();
        if !all.is_empty() {
            self.parts.push(format!("tiers: [{}]", all.join(", ")));
        }
        Ok(())
    }

    /// A tier's rates, and those of the base that it does not change.
    fn completed(&self, rates: &[String]) -> String {
        let key = |part: &str| part.split(':').next().unwrap_or_default().to_owned();
        let has: Vec<String> = rates.iter().map(|rate| key(rate)).collect();
        let rest = self.parts.iter().filter(|part| !has.contains(&key(part))).cloned();
        rates.iter().cloned().chain(rest).collect::<Vec<_>>().join(", ")
    }

    fn beside(&mut self, members: &Members<'_>, leave: &mut impl FnMut(String)) -> Result<(), String> {
        let mut service = Vec::new();
        for (key, raw) in members.iter().filter(|(_, raw)| raw.get() != "null") {
            match key.as_str() {
                "input_cost_per_request" | "input_cost_per_query" => {
                    let price = number(key, raw, each)?;
                    self.parts.push(format!("request: \"{}\"", usd(price.nano)));
                }
                "max_output_tokens" => self.tokens("max_output", key, raw)?,
                "max_input_tokens" => self.tokens("context", key, raw)?,
                "search_context_cost_per_query" => {
                    let sizes: Members<'_> =
                        Deserialize::deserialize(*raw).map_err(|_| format!("{key}: not an object"))?;
                    if let Some(raw) = sizes.get("search_context_size_medium") {
                        let price = number(key, raw, each)?;
                        self.parts.push(format!("search: \"{}\"", usd(price.nano)));
                    }
                }
                _ => {}
            }
            for (theirs, ours) in [("_batches", "batch"), ("_flex", "flex"), ("_priority", "priority")] {
                if key.strip_suffix(theirs) == Some("input_cost_per_token")
                    && let Some(base) = members.get("input_cost_per_token")
                {
                    let (part, base) = (number(key, raw, per_million)?, number(key, base, per_million)?);
                    match percent(part.nano, base.nano) {
                        Some(percent) => service.push(format!("{ours}: {percent}")),
                        None => leave(format!("`{key}` that is no even part of the price")),
                    }
                }
            }
            if key.contains("cost") && !known(key) {
                leave(format!("`{}`", key.chars().take(80).collect::<String>()));
            }
        }
        if !service.is_empty() {
            self.parts.push(format!("service: {{ {} }}", service.join(", ")));
        }
        Ok(())
    }

    /// Some entries give it as text; what is no number of tokens is no fact.
    fn tokens(&mut self, ours: &str, key: &str, raw: &RawValue) -> Result<(), String> {
        let text = raw.get().trim_matches('"');
        let text = text.strip_suffix(".0").unwrap_or(text);
        let number: u64 = text
            .parse()
            .map_err(|_| format!("{key}: not a number of tokens: {}", shown(text)))?;
        if number > 1_000_000_000 {
            return Err(format!("{key}: an absurd number of tokens"));
        }
        if number > 0 {
            self.parts.push(format!("{ours}: {number}"));
        }
        Ok(())
    }
}

fn number(key: &str, raw: &RawValue, read: impl Fn(&str) -> Result<Nano, String>) -> Result<Nano, String> {
    read(raw.get()).map_err(|error| format!("{key}: {error}"))
}

/// `input_cost_per_token_above_200k_tokens` → the key, 200000.
fn tier(key: &str) -> Option<(&str, u64)> {
    let (key, rest) = key.split_once("_above_")?;
    let thousands: u64 = rest.strip_suffix("k_tokens")?.parse().ok()?;
    Some((
        key,
        thousands
            .checked_mul(1000)
            .filter(|tokens| (1..=1_000_000_000).contains(tokens))?,
    ))
}

fn known(key: &str) -> bool {
    let beside = [
        "input_cost_per_request",
        "input_cost_per_query",
        "search_context_cost_per_query",
    ];
    let base = ["_batches", "_flex", "_priority"]
        .iter()
        .find_map(|suffix| key.strip_suffix(suffix))
        .unwrap_or(key);
    let base = tier(base).map_or(base, |(base, _)| base);
    beside.contains(&key) || RATES.iter().any(|(theirs, _)| *theirs == base)
}

/// `50%`, when it is one to the hundredth.
fn percent(part: u64, base: u64) -> Option<String> {
    let points = u128::from(part) * 10_000;
    let base = u128::from(base);
    if base == 0 || points % base != 0 || points / base > 100_000 {
        return None;
    }
    let points = points / base;
    Some(format!("{}.{:02}%", points / 100, points % 100))
}
