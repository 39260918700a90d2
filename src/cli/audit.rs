//! `cirque audit …`: who changed what with the admin API, whether the log is whole, all of it as a file.

use super::client::{AdminArgs, Client, Trouble, cell, print, print_json, run, table, with_query};
use super::download::download;
use clap::Subcommand;
use serde_json::Value;
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
        AuditCommand::Verify { admin } => run(admin, async |client| verify(&client).await),
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

async fn verify(client: &Client) -> Result<ExitCode, Trouble> {
    let verdict = client.get("/admin/v1/audit/verify").await?;
    let intact = verdict.get("intact") == Some(&Value::Bool(true));
    if client.json {
        print_json(&verdict)?;
    } else if intact {
        let (checked, head) = (cell(&verdict, "/checked"), cell(&verdict, "/head"));
        print(&format!(
            "{checked} entries, all of them as they were written; the last one's hash: {head}\n"
        ))?;
    } else {
        let number = cell(&verdict, "/broken_at");
        print(&format!(
            "entry {number} is not what was written there, or is missing\n"
        ))?;
    }
    Ok(ExitCode::from(u8::from(!intact)))
}
