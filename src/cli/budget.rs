//! `cirque budget list` and `cirque limit list`: how full budgets and limits of a running gateway are.

use super::client::{AdminArgs, cell, pages, print, print_json, run, table, with_query};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::process::ExitCode;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StandingCommand {
    /// List them, with what is used.
    List(StandingArgs),
}

/// Which ones.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StandingArgs {
    /// Only those of this team and of its projects, users and keys.
    #[arg(long)]
    team: Option<String>,
    /// Only those written there: organisation, team, project, user, key, tag, model, provider.
    #[arg(long)]
    scope: Option<String>,
    /// Only those of the tenant, key, tag, model or provider of this name.
    #[arg(long)]
    name: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    admin: AdminArgs,
}

const BUDGETS: &[(&str, &str)] = &[
    ("SCOPE", "/scope/kind"),
    ("NAME", "/scope/name"),
    ("BUDGET", "/name"),
    ("FOR", "/each/name"),
    ("LIMIT", "/limit_usd"),
    ("USED", "/used_usd"),
    ("%", "/used_percent"),
    ("RESERVED", "/reserved_usd"),
    ("LEFT", "/remaining_usd"),
    ("FORECAST", "/forecast_usd"),
    ("UNTIL", "/window_end"),
];
const LIMITS: &[(&str, &str)] = &[
    ("SCOPE", "/scope/kind"),
    ("NAME", "/scope/name"),
    ("LIMIT", "/name"),
    ("FOR", "/each/name"),
    ("MEASURE", "/measure"),
    ("MOST", "/limit"),
    ("USED", "/used"),
    ("RESERVED", "/reserved"),
    ("LEFT", "/remaining"),
    ("PER MS", "/per_ms"),
];

/// `cirque budget …`
pub fn budgets(StandingCommand::List(args): &StandingCommand) -> anyhow::Result<ExitCode> {
    list(args, "/admin/v1/budgets", BUDGETS)
}

/// `cirque limit …`
pub fn limits(StandingCommand::List(args): &StandingCommand) -> anyhow::Result<ExitCode> {
    list(args, "/admin/v1/limits", LIMITS)
}

fn list(args: &StandingArgs, path: &str, columns: &[(&str, &str)]) -> anyhow::Result<ExitCode> {
    run(&args.admin, async |client| {
        let filters = [
            ("team", args.team.clone()),
            ("scope", args.scope.clone()),
            ("name", args.name.clone()),
            ("limit", Some(args.limit.clamp(1, 500).to_string())),
        ];
        let (items, more) = pages(&client, &with_query(path, filters), args.limit).await?;
        if client.json {
            print_json(&Value::Array(items))?;
        } else {
            print(&rendered(&items, columns))?;
        }
        if more {
            eprintln!("cirque: there are more: --limit says how many are shown");
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn rendered(items: &[Value], columns: &[(&str, &str)]) -> String {
    let head: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let row = |item: &Value| columns.iter().map(|(_, path)| cell(item, path)).collect();
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn budgets_are_shown_as_a_table() {
        let items = [
            json!({"scope": {"kind": "team", "name": "search"}, "name": "month", "limit_usd": "250", "used_usd": "12.5",
            "used_percent": 5, "reserved_usd": "0", "remaining_usd": "237.5", "window_end": "2026-12-01T00:00:00Z"}),
        ];
        let shown = rendered(&items, BUDGETS);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines[0].starts_with("SCOPE  NAME    BUDGET  FOR  LIMIT  USED  %  RESERVED  LEFT"),
            "{shown}"
        );
        assert!(lines[1].ends_with("237.5  -         2026-12-01T00:00:00Z"), "{shown}");
    }
}
