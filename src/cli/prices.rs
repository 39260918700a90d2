//! `cirque prices list|explain|import`: what models cost by the built-in table and files over it. Offline.
//!
//! Not past usage: that is repriced through the admin API. Exit status: 0, 1 for what is not in the table, 2 for what cannot be
//! read.

mod decimal;
mod import;

#[cfg(test)]
mod tests;

use crate::config;
use crate::prices::{Entry, Named, Selector, Table};
use crate::units::{NanoUsd, Rates, ServiceTier, Usage, usd};
use anyhow::{Context, bail};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `cirque prices …`
#[derive(Debug, Clone, clap::Subcommand)]
pub enum PricesCommand {
    /// Print the table: what models cost today, in dollars per million tokens.
    List(ListArgs),
    /// Say what a call would cost, and by which entry.
    Explain(ExplainArgs),
    /// Make a price file of one in the shape of `model_prices_and_context_window.json`.
    Import(ImportArgs),
}

/// `cirque prices list`
#[derive(Debug, Clone, clap::Args)]
pub struct ListArgs {
    /// `VENDOR/MODEL`, or `MODEL` of any vendor; `*` stands for any text.
    #[arg(long, default_value = "*")]
    pub model: String,
    /// Price file over the built-in table; may be given again, the last one wins.
    #[arg(long, value_name = "FILE")]
    pub prices: Vec<PathBuf>,
    /// Prices of this day or moment instead of today.
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
}

/// `cirque prices explain`
#[derive(Debug, Clone, clap::Args)]
pub struct ExplainArgs {
    /// `VENDOR/MODEL` (the vendor is a provider's `kind`), or `MODEL` where one vendor has it.
    pub model: String,
    /// Input tokens, those read from and written to the cache included.
    #[arg(long, default_value_t = 0)]
    pub input: u64,
    /// Output tokens, reasoning included.
    #[arg(long, default_value_t = 0)]
    pub output: u64,
    /// Input tokens read from the cache.
    #[arg(long, default_value_t = 0)]
    pub cached: u64,
    /// Input tokens written to the cache.
    #[arg(long, default_value_t = 0)]
    pub cache_write: u64,
    /// Of those, the ones kept for an hour.
    #[arg(long, default_value_t = 0)]
    pub cache_write_1h: u64,
    /// Output tokens of reasoning.
    #[arg(long, default_value_t = 0)]
    pub reasoning: u64,
    /// Web searches.
    #[arg(long, default_value_t = 0)]
    pub searches: u64,
    /// standard, batch, flex or priority.
    #[arg(long, default_value = "standard")]
    pub tier: String,
    /// Price file over the built-in table; may be given again, the last one wins.
    #[arg(long, value_name = "FILE")]
    pub prices: Vec<PathBuf>,
    /// Price of this day or moment instead of today.
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
}

/// `cirque prices import`
#[derive(Debug, Clone, clap::Args)]
pub struct ImportArgs {
    /// The JSON file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write here instead of to standard output; the file appears whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Leave out entries with mistakes instead of refusing the file.
    #[arg(long)]
    pub skip_bad: bool,
}

/// Run one of them.
pub fn run(command: &PricesCommand) -> anyhow::Result<ExitCode> {
    let now = jiff::Timestamp::now().as_second();
    let mut out = std::io::stdout().lock();
    match command {
        PricesCommand::List(args) => {
            let table = table(&args.prices)?;
            let at = moment(args.at.as_deref(), now)?;
            out.write_all(list(&table, &args.model, at).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        PricesCommand::Explain(args) => {
            let table = table(&args.prices)?;
            let at = moment(args.at.as_deref(), now)?;
            match explain(&table, args, at)? {
                Some(text) => out.write_all(text.as_bytes())?,
                None => {
                    writeln!(out, "{}: not in the table: its cost is unknown", args.model)?;
                    return Ok(ExitCode::FAILURE);
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        PricesCommand::Import(args) => {
            import_file(args, now, &mut out, &mut std::io::stderr())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn table(files: &[PathBuf]) -> anyhow::Result<Table> {
    let read = |path: &PathBuf| Ok((path.display().to_string(), text(path, config::LARGEST_PRICE_FILE)?));
    let files: Vec<(String, String)> = files.iter().map(read).collect::<anyhow::Result<_>>()?;
    config::load_prices(&files).map_err(|problems| anyhow::anyhow!("price files cannot be read:\n{problems}"))
}

fn text(path: &Path, most: usize) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    file.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    if bytes.len() > most {
        bail!("{}: larger than {} MiB", path.display(), most >> 20);
    }
    String::from_utf8(bytes).with_context(|| format!("{}: not UTF-8", path.display()))
}

fn moment(text: Option<&str>, now: i64) -> anyhow::Result<i64> {
    let Some(text) = text else { return Ok(now) };
    let day = || {
        Some(
            text.parse::<jiff::civil::Date>()
                .ok()?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .ok()?
                .timestamp(),
        )
    };
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(day);
    let moment = moment.with_context(|| format!("{text:?} is not a day: write it such as 2026-11-22"))?;
    Ok(moment.as_second())
}

fn day(at: Option<i64>) -> String {
    let shown = at
        .and_then(|at| jiff::Timestamp::from_second(at).ok())
        .map(|at| at.to_string());
    shown.map_or_else(String::new, |text| {
        text.split('T').next().unwrap_or_default().to_owned()
    })
}

/// One line for each model that has a price at the moment.
fn list(table: &Table, model: &str, at: i64) -> String {
    let head = [
        "MODEL", "INPUT", "CACHED", "WRITE 5M", "WRITE 1H", "OUTPUT", "SINCE", "SURE", "READ",
    ];
    let mut rows: Vec<[String; 9]> = vec![head.map(str::to_owned)];
    for named in table.list(&Selector::new(model)) {
        let Some(entry) = named.periods.at(at) else { continue };
        rows.push(row(&named, entry));
    }
    let mut out = String::new();
    let wide = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..head.len()).map(|column| wide(column).unwrap_or_default()).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let _ = writeln!(out, "{} models; dollars per million tokens", rows.len() - 1);
    out
}

fn row(named: &Named<'_>, entry: &Entry) -> [String; 9] {
    let rates = &entry.price.base;
    // Tiers are told by `explain`.
    let more = if entry.price.tiers.is_empty() { "" } else { "+" };
    [
        format!("{}/{}", named.vendor, named.model),
        format!("{}{more}", usd(rates.input)),
        usd(rates.cached),
        usd(rates.cache_write),
        usd(rates.cache_write_1h),
        format!("{}{more}", usd(rates.output)),
        day(entry.from),
        entry.facts.confidence.as_str().to_owned(),
        entry.facts.read.to_string(),
    ]
}

/// The vendor and the model that are meant: as written, else the one vendor that has such a model.
fn meant<'a>(table: &Table, model: &'a str, at: i64) -> anyhow::Result<Option<(String, &'a str)>> {
    if let Some((vendor, name)) = model.split_once('/')
        && table.find(vendor, name, at).is_some()
    {
        return Ok(Some((vendor.to_owned(), name)));
    }
    let all = table.list(&Selector::new("*"));
    let mut vendors: Vec<&str> = all.iter().map(|named| named.vendor).collect();
    vendors.dedup();
    vendors.retain(|vendor| table.find(vendor, model, at).is_some());
    match vendors.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(((*one).to_owned(), model))),
        several => bail!("{model} is a model of {}: write VENDOR/{model}", several.join(", ")),
    }
}

fn explain(table: &Table, args: &ExplainArgs, at: i64) -> anyhow::Result<Option<String>> {
    let tier = ServiceTier::ALL.into_iter().find(|tier| tier.as_str() == args.tier);
    let tier = tier.with_context(|| format!("{:?} is not one of standard, batch, flex, priority", args.tier))?;
    let Some((vendor, model)) = meant(table, &args.model, at)? else {
        return Ok(None);
    };
    let Some(entry) = table.find(&vendor, model, at) else {
        return Ok(None);
    };
    let usage = Usage {
        input: args.input,
        output: args.output,
        cached: args.cached,
        cache_write: args.cache_write.max(args.cache_write_1h),
        cache_write_1h: args.cache_write_1h,
        reasoning: args.reasoning,
        web_searches: args.searches,
        tier,
        ..Usage::default()
    };
    Ok(Some(explained(&vendor, model, entry, &usage)))
}

fn explained(vendor: &str, model: &str, entry: &Entry, usage: &Usage) -> String {
    let mut out = String::new();
    let price = &entry.price;
    let rates: &Rates = price.rates(usage.input);
    let cost = price.of(usage);
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    fact("model", format!("{vendor}/{model}"));
    fact(
        "source",
        format!(
            "{} ({}, read {})",
            entry.facts.source,
            entry.facts.confidence.as_str(),
            entry.facts.read
        ),
    );
    if entry.from.is_some() || entry.until.is_some() {
        fact("valid", format!("from {} until {}", day(entry.from), day(entry.until)));
    }
    if let Some((above, _)) = price.tiers.iter().rev().find(|(above, _)| usage.input > *above) {
        fact("tier", format!("prompts above {above} tokens"));
    }
    if usage.tier != ServiceTier::Standard {
        let part = price.service.of(usage.tier);
        fact(
            "service",
            format!(
                "{}: {}.{:02}% of the rates below",
                usage.tier.as_str(),
                part / 100,
                part % 100
            ),
        );
    }
    let mut class = |name: &str, rate: String, nano: NanoUsd| {
        if nano > 0 {
            let _ = writeln!(out, "{name:<12} {:<16} {rate}", usd(nano));
        }
    };
    let per = |rate: NanoUsd| format!("at {} per million", usd(rate));
    class("input", per(rates.input), cost.input);
    class("cached", per(rates.cached), cost.cached);
    let written = format!(
        "at {} (5m) and {} (1h) per million",
        usd(rates.cache_write),
        usd(rates.cache_write_1h)
    );
    class("cache write", written, cost.cache_write);
    class("output", per(rates.output), cost.output);
    class("reasoning", per(rates.reasoning), cost.reasoning);
    let by_piece = format!("at {} a request and {} a search", usd(rates.request), usd(rates.search));
    class("by piece", by_piece, cost.request);
    let _ = writeln!(out, "{:<12} {} dollars", "total", usd(cost.total()));
    out
}

fn import_file(args: &ImportArgs, now: i64, out: &mut impl Write, notes: &mut impl Write) -> anyhow::Result<()> {
    let text = text(&args.file, import::LARGEST)?;
    let origin = args.file.display().to_string();
    let imported = import::convert(&text, &origin, &day(Some(now)), args.skip_bad)
        .map_err(|faults| anyhow::anyhow!("{origin}: nothing was imported:\n  {}", faults.join("\n  ")))?;
    // What is written must be what is read.
    let file = [("import".to_owned(), imported.yaml.clone())];
    config::load_only_prices(&file).map_err(|problems| anyhow::anyhow!("nothing was written:\n{problems}"))?;
    match &args.out {
        Some(path) => replace(path, imported.yaml.as_bytes())?,
        None => out.write_all(imported.yaml.as_bytes())?,
    }
    writeln!(notes, "{} models imported", imported.models)?;
    for (what, times) in &imported.left_out {
        writeln!(notes, "left out {times}×: {what}")?;
    }
    for fault in &imported.skipped {
        writeln!(notes, "skipped: {fault}")?;
    }
    Ok(())
}

/// Write a file whole or not at all: beside it, then over it.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let named = |what: &str| format!("{}: {what}", path.display());
    let name = path.file_name().with_context(|| named("not a file name"))?;
    let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&beside, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    moved.with_context(|| named("cannot be written"))
}
