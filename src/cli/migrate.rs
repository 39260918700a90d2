//! `cirque migrate`: bring the schema of the store up to date, or say how it stands.
//!
//! For PostgreSQL, where a serving instance changes nothing; a SQLite file is brought up to date by whoever opens it. Exit
//! status: 0 up to date (now), 1 failed, or with `--status` and `--dry-run` something is pending.

use crate::config::{self, Config, Located};
use crate::storage::{self, CONNECTIONS, Place, Status};
use anyhow::Context;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// `cirque migrate …`
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct MigrateArgs {
    /// The configuration that names the store.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say what would be applied; change nothing.
    #[arg(long, conflicts_with = "status")]
    pub dry_run: bool,
    /// Say what is applied and what is not.
    #[arg(long)]
    pub status: bool,
}

/// Migrate, and tell on standard output.
pub fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let place = match &args.config {
        Some(file) => place_of(
            &Located::load(file)
                .map_err(|problems| anyhow::anyhow!("{problems}"))?
                .config,
        )?,
        None => sqlite_in(None),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("starting a runtime")?.block_on(migrate(args, &place))
}

async fn migrate(args: &MigrateArgs, place: &Place) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if args.status || args.dry_run {
        let status = storage::status(place).await?;
        out.write_all(told(&status, args.status).as_bytes())?;
        return Ok(ExitCode::from(u8::from(!status.pending.is_empty())));
    }
    let applied = storage::migrate(place).await?;
    for title in &applied {
        writeln!(out, "applied {title}")?;
    }
    if applied.is_empty() {
        writeln!(out, "up to date")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told(status: &Status, everything: bool) -> String {
    let mut text = String::new();
    let mut tell = |what: &str, titles: &[String]| {
        for title in titles {
            text.push_str(&format!("{what} {title}\n"));
        }
    };
    if everything {
        tell("applied", &status.applied);
        tell("applied by a newer version", &status.newer);
    }
    tell("pending", &status.pending);
    if status.pending.is_empty() {
        text.push_str("up to date\n");
    }
    text
}

/// Where the store of a configuration is.
pub fn place_of(config: &Config) -> anyhow::Result<Place> {
    match &config.store {
        Some(config::Store::Postgres { url, connections }) => Ok(Place::Postgres {
            url: url.read().map_err(|problem| anyhow::anyhow!("store.url: {problem}"))?,
            connections: connections.unwrap_or(CONNECTIONS),
        }),
        Some(config::Store::Sqlite { path: Some(path) }) => Ok(Place::Sqlite { path: path.clone() }),
        Some(config::Store::Sqlite { path: None }) | None => Ok(sqlite_in(config.server.state_dir.as_deref())),
    }
}

fn sqlite_in(state_dir: Option<&std::path::Path>) -> Place {
    Place::Sqlite {
        path: storage::state_dir(state_dir).join("cirque.db"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_line_by_line() {
        let status = Status {
            applied: vec!["0001 first".to_owned()],
            pending: vec!["0002 second".to_owned()],
            newer: Vec::new(),
        };
        assert_eq!(told(&status, true), "applied 0001 first\npending 0002 second\n");
        assert_eq!(told(&status, false), "pending 0002 second\n");
        assert_eq!(told(&Status::default(), false), "up to date\n");
    }

    #[tokio::test]
    async fn a_file_is_made_and_then_up_to_date() {
        let folder = std::env::temp_dir().join(format!("cirque-migrate-{}", std::process::id()));
        let place = sqlite_in(Some(&folder));
        assert_eq!(
            storage::status(&place).await.unwrap().pending,
            ["0001 first", "0002 labels", "0003 saved"]
        );
        assert!(!folder.exists(), "asking makes nothing");
        storage::migrate(&place).await.unwrap();
        assert_eq!(
            storage::status(&place).await.unwrap().applied,
            ["0001 first", "0002 labels", "0003 saved"]
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
