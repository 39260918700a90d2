//! `cirque usage`: what was used and what it cost, of a running gateway; exports; recomputing past cost.

use super::client::{AdminArgs, Client, Trouble, cell, print, print_json, run, table, with_query};
use super::download::{download, progress};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Groups shown at most.
const MOST_GROUPS: usize = 10_000;
/// Pause between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `cirque usage …`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UsageArgs {
    #[command(subcommand)]
    command: Option<UsageCommand>,
    #[command(flatten)]
    sums: SumArgs,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
enum UsageCommand {
    /// Write all records of a time into a file.
    Export(ExportArgs),
    /// Give past usage what it costs by the prices in force now.
    Recompute(RecomputeArgs),
}

/// Which usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
struct Filters {
    /// From then on: 2026-01-31T22:00:00Z, or a day. Default: 30 days before `--to`.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until then, exclusive. Default: now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only what has this value: `team=search`, `model=gpt-4o,o3`. Dimensions as in `--by`. May be repeated.
    #[arg(long = "only", value_name = "DIMENSION=VALUES")]
    only: Vec<String>,
    /// Short for `--only team=…`.
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
}

impl Filters {
    fn path(&self, path: &str) -> Result<String, Trouble> {
        let named = [
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("team", self.team.clone()),
        ];
        let mut only = Vec::new();
        for pair in &self.only {
            let wrong = || Trouble::input(format!("--only {pair}: write DIMENSION=VALUE"));
            let (dimension, values) = pair.split_once('=').ok_or_else(wrong)?;
            let word = !dimension.is_empty() && dimension.bytes().all(|byte| byte.is_ascii_lowercase());
            only.push((
                if word { dimension } else { return Err(wrong()) },
                Some(values.to_owned()),
            ));
        }
        Ok(with_query(path, named.into_iter().chain(only)))
    }
}

/// Sums.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
struct SumArgs {
    #[command(flatten)]
    filters: Filters,
    /// Told apart by at most four of organisation, team, project, user, key, model, provider, target, operation, outcome, cache, tag.
    #[arg(long, value_name = "DIMENSIONS")]
    by: Option<String>,
    /// And by time: all, hour, day, month.
    #[arg(long, default_value = "all")]
    bucket: String,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Parquet,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
struct ExportArgs {
    #[command(flatten)]
    filters: Filters,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// The file; `-` for standard output. It is there when it is whole.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// The calls made for each request too.
    #[arg(long)]
    attempts: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
struct RecomputeArgs {
    /// From then on: 2026-01-31T22:00:00Z, or a day.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Until then, exclusive.
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// `cirque usage …`
pub fn usage(args: &UsageArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        None => run(&args.sums.admin, async |client| sums(&client, &args.sums).await),
        Some(UsageCommand::Export(args)) => run(&args.admin, async |client| export(&client, args).await),
        Some(UsageCommand::Recompute(args)) => run(&args.admin, async |client| recompute(&client, args).await),
    }
}

async fn sums(client: &Client, args: &SumArgs) -> Result<ExitCode, Trouble> {
    let path = args.filters.path("/admin/v1/usage")?;
    let path = with_query(
        &path,
        [
            ("group_by", args.by.clone()),
            ("bucket", Some(args.bucket.clone())),
            ("limit", Some("1000".to_owned())),
        ],
    );
    let mut all = client.get(&path).await?;
    let mut next = all.get_mut("next_cursor").map(Value::take);
    while let Some(Value::String(cursor)) = next.take() {
        let mut page = client.get(&with_query(&path, [("cursor", Some(cursor))])).await?;
        next = page.get_mut("next_cursor").map(Value::take);
        let (Some(items), Some(more)) = (
            all.get_mut("items").and_then(Value::as_array_mut),
            page.get_mut("items"),
        ) else {
            break;
        };
        if let Value::Array(more) = more.take() {
            items.extend(more);
        }
        if items.len() >= MOST_GROUPS {
            eprintln!("cirque: only the first {MOST_GROUPS} groups are shown: narrow it with --from, --to, --only");
            break;
        }
    }
    if client.json {
        if let Some(all) = all.as_object_mut() {
            all.remove("next_cursor");
        }
        print_json(&all)?;
    } else {
        print(&rendered(&all))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rendered(answer: &Value) -> String {
    let group_by = answer.get("group_by").and_then(Value::as_array).into_iter().flatten();
    let group_by: Vec<&str> = group_by.filter_map(Value::as_str).collect();
    let bucketed = answer.get("bucket").and_then(Value::as_str) != Some("all");
    let mut columns: Vec<(String, String)> = Vec::new();
    if bucketed {
        columns.push(("FROM".to_owned(), "/at".to_owned()));
    }
    columns.extend(
        group_by
            .iter()
            .map(|name| (name.to_uppercase(), format!("/group/{name}"))),
    );
    let figures = [
        ("REQUESTS", "/requests"),
        ("FAILED", "/failed"),
        ("INPUT", "/tokens/input"),
        ("CACHED", "/tokens/cached"),
        ("OUTPUT", "/tokens/output"),
        ("COST USD", "/cost_usd"),
        ("BILLED USD", "/billed_usd"),
        ("SAVED USD", "/saved_usd"),
        ("NO PRICE", "/unpriced"),
        ("ESTIMATED", "/estimated"),
        ("MEAN MS", "/mean_latency_ms"),
    ];
    columns.extend(figures.map(|(name, path)| (name.to_owned(), path.to_owned())));
    let head: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let items = answer.get("items").and_then(Value::as_array).into_iter().flatten();
    let row = |item: &Value| columns.iter().map(|(_, path)| cell(item, path)).collect();
    let rows: Vec<Vec<String>> = items.map(row).collect();
    table(&head, &rows)
}

async fn export(client: &Client, args: &ExportArgs) -> Result<ExitCode, Trouble> {
    let format = match args.format {
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    };
    let path = args.filters.path("/admin/v1/usage/export")?;
    let attempts = args.attempts.then(|| "true".to_owned());
    let path = with_query(&path, [("format", Some(format.to_owned())), ("attempts", attempts)]);
    download(client, &path, &args.out).await?;
    Ok(ExitCode::SUCCESS)
}

async fn recompute(client: &Client, args: &RecomputeArgs) -> Result<ExitCode, Trouble> {
    const PATH: &str = "/admin/v1/usage/recompute";
    let body = json!({"from": args.from, "to": args.to, "dry_run": args.dry_run});
    let mut job = client.ask(Method::POST, PATH, Some(&body)).await?;
    let bar = progress(Some(100), "{wide_bar} {percent}%, {msg}");
    while job.get("state").and_then(Value::as_str) == Some("running") {
        tokio::time::sleep(LOOK_EVERY).await;
        job = client.get(PATH).await?;
        bar.set_position(job.get("percent").and_then(Value::as_u64).unwrap_or_default());
        bar.set_message(format!("{} rows", cell(&job, "/rows")));
    }
    bar.finish_and_clear();
    if client.json {
        print_json(&job)?;
    } else {
        let what = if args.dry_run { "would change" } else { "changed" };
        print(&format!(
            "{} of {} rows {what}: {} USD before, {} USD now\n",
            cell(&job, "/changed"),
            cell(&job, "/rows"),
            cell(&job, "/cost_before_usd"),
            cell(&job, "/cost_after_usd")
        ))?;
    }
    if job.get("state").and_then(Value::as_str) == Some("done") {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Trouble::unreachable(
        "the gateway's store failed on the way: what was changed stays so; start it again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_shown_as_a_table() {
        let answer = json!({"group_by": ["team"], "bucket": "day", "items": [{"at": "2026-01-31T00:00:00Z",
            "group": {"team": null}, "requests": 3, "failed": 0, "tokens": {"input": 5, "cached": 1, "output": 2},
            "cost_usd": "0.5", "billed_usd": "0.55", "saved_usd": "0.1", "unpriced": 0, "estimated": 1, "mean_latency_ms": 10}]});
        let shown = rendered(&answer);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..4], ["FROM", "TEAM", "REQUESTS", "FAILED"]);
        assert_eq!(
            lines[1],
            [
                "2026-01-31T00:00:00Z",
                "-",
                "3",
                "0",
                "5",
                "1",
                "2",
                "0.5",
                "0.55",
                "0.1",
                "0",
                "1",
                "10"
            ]
        );
    }

    #[test]
    fn filters_become_a_query() {
        let filters = Filters {
            from: Some("2026-01-31".to_owned()),
            only: vec!["model=gpt-4o,o3".to_owned()],
            ..Filters::default()
        };
        assert_eq!(filters.path("/x").unwrap(), "/x?from=2026-01-31&model=gpt-4o%2Co3");
        for wrong in ["model", "=x", "mo&del=x"] {
            let filters = Filters {
                only: vec![wrong.to_owned()],
                ..Filters::default()
            };
            assert_eq!(filters.path("/x").unwrap_err().status, 2, "{wrong}");
        }
    }
}
