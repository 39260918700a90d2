//! `cirque audit …`: who changed what with the admin API, whether the log is whole, all of it as a file.

use super::client::{AdminArgs, Client, Trouble, cell, print, print_json, run, table, with_query};
use super::download::download;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// What can be done with the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum AuditCommand {
    /// The last entries, or those after a number.
    List {
        /// Only entries after this number, from the oldest on.
        #[arg(long, value_name = "NUMBER")]
        after: Option<u32>,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Whether all entries are there and as they were written. Exit status 1 if not.
    Verify {
        /// Only entries after this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u32,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Write it into a file, one JSON object a line.
    Export {
        /// Only entries after this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u32,
        /// The file; `-` for standard output.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// `cirque audit …`
pub fn audit(command: &AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::List { after, limit, admin } => run(admin, async |client| list(&client, *after, *limit).await),
        AuditCommand::Verify { after, admin } => run(admin, async |client| verify(&client, *after).await),
        AuditCommand::Export { after, out, admin } => run(admin, async |client| {
            let path = with_query("/admin/v1/audit/export", [("after", Some(after.to_string()))]);
            download(&client, &path, out).await?;
            Ok(ExitCode::SUCCESS)
        }),
    }
}

async fn list(client: &Client, after: Option<u32>, limit: u32) -> Result<ExitCode, Trouble> {
    let limit = limit.to_string();
    let path = match after {
        None => with_query("/admin/v1/audit", [("newest", Some(limit))]),
        Some(after) => with_query(
            "/admin/v1/audit",
            [("after", Some(after.to_string())), ("limit", Some(limit))],
        ),
    };
    let page = client.get(&path).await?;
    if client.json {
        print_json(page.get("items").unwrap_or(&Value::Null))?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        "/number", "/at", "/actor", "/role", "/from", "/action", "/subject", "/outcome",
    ];
    let items = page.get("items").and_then(Value::as_array).into_iter().flatten();
    let row = |item: &Value| columns.iter().map(|path| cell(item, path)).collect();
    let rows: Vec<Vec<String>> = items.map(row).collect();
    let head = ["NUMBER", "AT", "WHO", "ROLE", "FROM", "ACTION", "SUBJECT", "OUTCOME"];
    print(&table(&head, &rows))?;
    Ok(ExitCode::SUCCESS)
}

async fn verify(client: &Client, after: u32) -> Result<ExitCode, Trouble> {
    let (mut after, mut checked) = (u64::from(after), 0);
    let broken = loop {
        let verdict = client
            .get(&with_query(
                "/admin/v1/audit/verify",
                [("after", Some(after.to_string()))],
            ))
            .await?;
        checked += verdict.get("checked").and_then(Value::as_u64).unwrap_or_default();
        if verdict.get("intact") != Some(&Value::Bool(true)) {
            break verdict.get("broken_at").cloned();
        }
        match verdict.get("next_after").and_then(Value::as_u64) {
            Some(next) if next > after => after = next,
            _ => break None,
        }
    };
    if client.json {
        print_json(&json!({"intact": broken.is_none(), "checked": checked, "broken_at": broken}))?;
    } else {
        print(&match &broken {
            None => format!("{checked} entries, all of them as they were written\n"),
            Some(number) => format!("entry {number} is not what was written there, or one before it is missing\n"),
        })?;
    }
    Ok(ExitCode::from(u8::from(broken.is_some())))
}
